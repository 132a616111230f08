"""What a network says of a window that holds nothing: the class shares of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dolorimeter.errors import ConfigError


def log_prior(prior: Sequence[float] | None, classes: int) -> Float[Tensor, " class"]:
    """Logarithms of shares; None: of all classes alike.

    Raises
    ------
    ConfigError
        If there is not a share of each class, none below 0.
    """
    shares = torch.ones(classes) if prior is None else torch.tensor(tuple(prior)).float()
    if len(shares) != classes or not bool((shares >= 0).all()) or not float(shares.sum()) > 0:
        raise ConfigError(
            f"prior is {prior}, expected a share of each of {classes} classes, none below 0."
        )
    return (shares / shares.sum()).clamp(min=1e-9).log()


def or_prior(
    logits: Float[Tensor, "window class"],
    present: Bool[Tensor, "window part"],
    log_prior: Float[Tensor, " class"],
) -> Float[Tensor, "window class"]:
    """The logits, and the prior for windows of which no part is there."""
    return torch.where(present.any(dim=1, keepdim=True), logits, log_prior.to(logits.dtype))
