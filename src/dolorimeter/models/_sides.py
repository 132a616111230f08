"""Windows of two sides, video and signals, in one row each: shapes, sizes and parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from dolorimeter.errors import ConfigError

Shape = tuple[int, ...]


def side_sizes(
    who: str, video: Shape, signals: Shape, input_shape: Sequence[int] | None
) -> list[int]:
    """Numbers of each side that there is, video first.

    Raises
    ------
    ConfigError
        If there is none, or `input_shape` is not that of both in one row. `who` is the network.
    """
    sizes = [math.prod(shape) for shape in (video, signals) if shape]
    if not sizes:
        raise ConfigError(f"{who} needs video, signals, or both: give a shape.")
    if input_shape is not None and tuple(input_shape) != (sum(sizes),):
        raise ConfigError(
            f"input_shape is {tuple(input_shape)}, expected ({sum(sizes)},): video and signals in "
            "one row (packed)."
        )
    return sizes


def side_parts(who: str, x: Any, video: Shape, signals: Shape) -> list[Any]:
    """Columns of each side, of a tensor or an array of rows.

    Raises
    ------
    ConfigError
        If the rows have another length.
    """
    shapes = {k: v for k, v in (("video", video), ("signals", signals)) if v}
    sizes = [math.prod(shape) for shape in shapes.values()]
    if x.ndim != 2 or x.shape[1] != sum(sizes):
        raise ConfigError(
            f"{who} was given windows of shape {tuple(x.shape[1:])}, expected rows of "
            f"{sum(sizes):,} numbers: {shapes}, one after the other. Use "
            "dolorimeter.models.dual_stream.packed."
        )
    return [x[:, : sizes[0]], x[:, sizes[0] :]][: len(sizes)]


def sides_there(parts: Sequence[Tensor]) -> Bool[Tensor, "window side"]:
    """Which sides each window has: one with nothing but NaN is missing."""
    return torch.stack([~part.isnan().all(dim=1) for part in parts], dim=1)
