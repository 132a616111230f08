"""Statistics of every row of a batch of windows. A flat row is exact: no spread, no slope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

FLAT = 1e-12
"""A row is flat when its range is below this share of its largest magnitude."""


def is_flat(values: Float[np.ndarray, "window time"]) -> Bool[np.ndarray, " window"]:
    """Rows that do not move beyond rounding."""
    spread = values.max(axis=1) - values.min(axis=1)
    return spread <= FLAT * np.abs(values).max(axis=1)


def centred(values: Float[np.ndarray, "window time"]) -> Float[np.ndarray, "window time"]:
    """Rows without their mean; exactly zero where flat."""
    rows = values - values.mean(axis=1, keepdims=True)
    rows[is_flat(values)] = 0.0
    return rows


def slope(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, " window"]:
    """Least-squares slope of each row, in its unit a second; 0 for a single sample."""
    time = np.arange(values.shape[1]) / sampling_rate
    time -= time.mean()
    spread = np.square(time).sum()
    if spread == 0:
        return np.zeros(len(values))
    return (centred(values) * time).sum(axis=1) / spread


def ratio(
    numerator: Float[np.ndarray, " window"], denominator: Float[np.ndarray, " window"]
) -> Float[np.ndarray, " window"]:
    """Element-wise quotient, NaN where the denominator is 0 or NaN."""
    result = np.full(len(numerator), np.nan)
    defined = (denominator != 0) & np.isfinite(denominator)
    return np.divide(numerator, denominator, out=result, where=defined)


def padded(
    indices: Sequence[Int[np.ndarray, " _"]], sampling_rate: float
) -> Float[np.ndarray, "window event"]:
    """Times of the events of each window in seconds, NaN after the last."""
    longest = max((len(row) for row in indices), default=0)
    times = np.full((len(indices), longest), np.nan)
    for i, row in enumerate(indices):
        times[i, : len(row)] = row / sampling_rate
    return times


def mean(events: Float[np.ndarray, "window event"]) -> Float[np.ndarray, " window"]:
    """Mean of the values of each row that are not NaN; NaN without any."""
    known = np.isfinite(events)
    return ratio(np.where(known, events, 0.0).sum(axis=1), known.sum(axis=1).astype(float))


def extremes(
    events: Float[np.ndarray, "window event"],
) -> tuple[Float[np.ndarray, " window"], Float[np.ndarray, " window"]]:
    """Smallest and largest value of each row that are not NaN; NaN without any."""
    known = np.isfinite(events)
    some = known.any(axis=1)
    low = np.where(known, events, np.inf).min(axis=1, initial=np.inf)
    high = np.where(known, events, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def trend(
    times: Float[np.ndarray, "window event"], events: Float[np.ndarray, "window event"]
) -> Float[np.ndarray, " window"]:
    """Least-squares slope of events over their times; NaN with fewer than two events."""
    known = np.isfinite(events) & np.isfinite(times)
    t = np.where(known, times - mean(np.where(known, times, np.nan))[:, None], 0.0)
    y = np.where(known, events - mean(np.where(known, events, np.nan))[:, None], 0.0)
    return ratio((t * y).sum(axis=1), np.square(t).sum(axis=1))
