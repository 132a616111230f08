"""Rates and heights from peaks, shared by heart, pulse wave and breath.

References
----------
Task Force of the ESC and NASPE, Heart rate variability, Circulation 93:1043, 1996 (intervals
between normal beats: what is missed, doubled or ectopic is edited out first).
Peltola, Role of editing of R-R intervals in the analysis of heart rate variability, Frontiers in
Physiology 3:148, 2012 (recordings that need much editing are left out; a fifth is usual).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from dolorimeter.representations.features import _rows
from dolorimeter.signals.beats import LEAST_COVERED, correct_intervals, covered_share
from dolorimeter.signals.quality import template_quality

TOLERANCE = 0.3
"""Share of the local median by which an interval may differ: breathing moves it by less."""

MOST_FOR_RATE, MOST_FOR_VARIABILITY = 1 / 3, 0.2
"""Largest share of edited intervals with which a feature is still computed."""

LEAST_ALIKE = 0.5
"""Least mean correlation of the beats with their median: in white noise of 10 s the 95th
percentile is 0.41 for R-peaks and 0.45 for pulses."""


def undefined(fewest: str, most: str) -> str:
    """The reason why a feature of beats is NaN."""
    return (
        f"fewer than {fewest} beats were detected, they differ too much from each other, they "
        f"cover less than {LEAST_COVERED:.0%} of the window, or more than {most} of the intervals "
        "are out of line"
    )


def edited_intervals(
    peaks: Sequence[Int[np.ndarray, " _"]], sampling_rate: float
) -> tuple[Float[np.ndarray, "window interval"], Float[np.ndarray, " window"]]:
    """Seconds from each beat to the next, those out of line replaced, and the share replaced.

    Rows are padded with NaN.
    """
    intervals = np.diff(_rows.padded(peaks, sampling_rate), axis=1)
    share = np.zeros(len(peaks))
    low, high = _rows.extremes(intervals)
    for i in np.flatnonzero(high - low > TOLERANCE * low).tolist():
        known = len(peaks[i]) - 1
        edited, replaced = correct_intervals(intervals[i, :known], TOLERANCE)
        intervals[i, :known] = edited
        share[i] = replaced.mean()
    return intervals, share


def without_rhythm(
    values: Float[np.ndarray, "window time"],
    peaks: Sequence[Int[np.ndarray, " _"]],
    sampling_rate: float,
) -> Bool[np.ndarray, " window"]:
    """Which windows have peaks that differ too much from each other, or cover too little."""
    covered = covered_share(list(peaks), sampling_rate, values.shape[1])
    alike = template_quality(values, list(peaks), sampling_rate)
    return (covered < LEAST_COVERED) | (alike < LEAST_ALIKE)


def rates(
    closing: Float[np.ndarray, "window interval"], intervals: Float[np.ndarray, "window interval"]
) -> dict[str, Float[np.ndarray, " window"]]:
    """Mean, least, greatest rate and its trend, from closing beats and intervals in seconds.

    The mean rate is 60 over the mean interval, so that long and short intervals weigh by number;
    the trend is the least-squares slope of 60/interval over the time of the closing beat.
    """
    momentary = 60.0 / intervals
    low, high = _rows.extremes(momentary)
    return {
        "rate_mean": 60.0 / _rows.mean(intervals),
        "rate_min": low,
        "rate_max": high,
        "rate_change": _rows.trend(closing, momentary),
    }


def trusted(
    intervals: Float[np.ndarray, "window interval"],
    share: Float[np.ndarray, " window"],
    most: float,
) -> Float[np.ndarray, "window interval"]:
    """The intervals, a row of NaN where more than `most` of them were edited."""
    return np.where(share[:, None] <= most, intervals, np.nan)


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
