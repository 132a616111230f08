"""Rates and heights from peaks, shared by heart, pulse wave and breath."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from dolorimeter.representations.features import _rows


def intervals(
    beats: Float[np.ndarray, "window beat"],
) -> Float[np.ndarray, "window interval"]:
    """Seconds from each beat to the next; NaN after the last."""
    return np.diff(beats, axis=1)


def rates(beats: Float[np.ndarray, "window beat"]) -> dict[str, Float[np.ndarray, " window"]]:
    """Mean, least, greatest rate and its trend, from beat times in seconds.

    The mean rate is 60 over the mean interval, so that long and short intervals weigh by number;
    the trend is the least-squares slope of 60/interval over the time of the closing beat.
    """
    rr = intervals(beats)
    momentary = 60.0 / rr
    low, high = _rows.extremes(momentary)
    return {
        "rate_mean": 60.0 / _rows.mean(rr),
        "rate_min": low,
        "rate_max": high,
        "rate_change": _rows.trend(beats[:, 1:], momentary),
    }


def pulses(
    values: Float[np.ndarray, "window time"], peaks: Sequence[Int[np.ndarray, " _"]]
) -> tuple[Float[np.ndarray, "window pulse"], Float[np.ndarray, "window pulse"]]:
    """Height above the foot, and samples from foot to peak, of every peak after the first.

    The foot is the lowest point between two peaks, its last sample where several are equally low.
    Rows are padded with NaN.
    """
    longest = max((len(row) for row in peaks), default=0)
    heights = np.full((len(values), max(longest - 1, 0)), np.nan)
    rises = heights.copy()
    for i, row in enumerate(peaks):
        for j, (before, peak) in enumerate(pairwise(row)):
            backwards = values[i, before + 1 : peak + 1][::-1]
            rises[i, j] = backwards.argmin()
            heights[i, j] = values[i, peak] - backwards.min()
    return heights, rises
