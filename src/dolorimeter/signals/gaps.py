"""Missing samples: bridged where the whole signal is known, held where it arrives in chunks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError


def missing_samples(x: Float[np.ndarray, "*batch time"]) -> Bool[np.ndarray, "*batch time"]:
    """Which samples are NaN.

    Raises
    ------
    SignalError
        If a sample is infinite, which no sensor gives and no filter forgets.
    """
    missing = ~np.isfinite(x)
    if missing.any():
        infinite = int(np.isinf(x).sum())
        if infinite:
            raise SignalError(
                f"{infinite} of {x.size} samples are infinite, expected finite numbers or NaN "
                "for a missing sample: set them to NaN."
            )
    return missing


def bridge(
    x: Float[np.ndarray, "*batch time"],
) -> tuple[Float[np.ndarray, "*batch time"], Bool[np.ndarray, "*batch time"]]:
    """Gaps bridged by a straight line; the first and last value are held to the edges.

    Returns
    -------
    (filled, missing)
        `filled` is `x` itself when nothing is missing; a row with no value at all becomes zeros.
        `missing` tells which samples were NaN.

    Examples
    --------
    >>> bridge(np.array([np.nan, 1.0, np.nan, 3.0]))[0]
    array([1., 1., 2., 3.])
    """
    missing = missing_samples(x)
    if not missing.any():
        return x, missing
    filled = x.reshape(-1, x.shape[-1]).copy()
    gaps = missing.reshape(filled.shape)
    for row in np.flatnonzero(gaps.any(axis=1)):
        there = np.flatnonzero(~gaps[row])
        if there.size:
            filled[row] = np.interp(np.arange(x.shape[-1]), there, filled[row, there])
        else:
            filled[row] = 0.0
    return filled.reshape(x.shape), missing


class Hold:
    """The last value held through gaps, for signals that arrive in chunks.

    Parameters
    ----------
    channels : int
        Rows of every chunk.
    """

    def __init__(self, channels: int) -> None:
        self._last = np.full(channels, np.nan)

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        """The chunk with each gap filled by the value before it; NaN before the first value.

        Raises
        ------
        SignalError
            If the chunk has another number of channels, or an infinite sample.
        """
        if chunk.shape[0] != self._last.size:
            raise SignalError(
                f"a chunk of {chunk.shape[0]} channels was pushed into a stream of "
                f"{self._last.size}: make one stream for each number of channels."
            )
        if not chunk.shape[1]:
            return chunk
        missing = missing_samples(chunk)
        if missing.any():
            with_last = np.concatenate([self._last[:, None], chunk], axis=1)
            present = ~np.isnan(with_last)
            at = np.where(present, np.arange(with_last.shape[1]), 0)
            source = np.maximum.accumulate(at, axis=1)
            chunk = np.take_along_axis(with_last, source, axis=1)[:, 1:]
        self._last = chunk[:, -1].astype(np.float64)
        return chunk
