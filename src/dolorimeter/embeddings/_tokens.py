"""Tokens of a transformer in the place of their mean: all of them, or means of neighbours."""

from __future__ import annotations

from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError

TOKENS = ("", "all", "2x2", "time")
"""What an encoder gives: its features; every token; the mean of each square of two by two places;
the mean over all places of each moment. The last three are of clips."""


class Tokens(nn.Module):
    """A network's ``tokens(x)``, neighbours averaged.

    Parameters
    ----------
    module : nn.Module
        With ``tokens(x)`` and ``grid``: how many tokens there are in time, in rows and in columns,
        in that order.
    tokens : str
        One of `TOKENS`, not empty.
    """

    def __init__(self, module: nn.Module, tokens: str) -> None:
        super().__init__()
        self.module = module
        self.tokens = tokens

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip token feature"]:
        """Tokens in time, then row by row."""
        found = cast(Any, self.module).tokens(x)  # (clip, token, feature)
        if self.tokens == "all":
            return found
        time, rows, columns = cast(Any, self.module).grid
        if self.tokens == "time":
            return found.unflatten(1, (time, rows * columns)).mean(dim=2)
        squares = found.unflatten(1, (time, rows // 2, 2, columns // 2, 2))
        return squares.mean(dim=(3, 5)).flatten(1, 3)  # (clip, token / 4, feature)


def check_tokens(name: str, entry: Any, tokens: str, runtime: str, clips: bool) -> None:
    """Raise `ConfigError` unless the model has tokens of that kind."""
    if tokens not in TOKENS:
        raise ConfigError(f"tokens is '{tokens}', expected one of {', '.join(map(repr, TOKENS))}.")
    if tokens and not (hasattr(entry, "tokens") and clips):
        raise ConfigError(
            f"tokens = '{tokens}' is for encoders of clips that give tokens, and {name} is none. "
            "Leave it out."
        )
    if (tokens or clips) and runtime != "torch":
        raise ConfigError(
            f"encoders of clips run in PyTorch alone, and runtime is '{runtime}': leave it out."
        )
