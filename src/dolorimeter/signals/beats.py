"""Heart beats: R-peaks of the ECG, systolic peaks of the pulse wave, intervals put right.

Both detectors mark *blocks of interest*, where a short moving average exceeds a long one, over
all windows at once, and then take the highest point of each block.

References
----------
Elgendi, PLoS ONE 8(9):e73557 (2013), for the ECG; Elgendi et al., PLoS ONE 8(10):e76585 (2013),
for the pulse wave. Ours differ for the ECG: the averages are of the magnitude at 8–25 Hz, not of
its square, so that one movement does not hide the beats around it; the R-peak is looked for in
the signal above 0.5 Hz; polarity is chosen per window; weak blocks (T waves) are dropped.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Bool, Float, Int

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import design, zero_phase
from dolorimeter.signals.gaps import bridge

Peaks = list[Int[np.ndarray, "_"]]

REFRACTORY = 0.3
"""Seconds within which no second beat is accepted (200 beats a minute)."""

_INVERT_ABOVE = 1.5  # a lead counts as upside down when its troughs exceed its peaks this much
_WEAK = 0.3  # a block below this share of its neighbours' steepness is not a beat


def r_peaks(ecg: Float[np.ndarray, "window time"], sampling_rate: float) -> Peaks:
    """R-peaks of each window, as sample indices.

    Parameters
    ----------
    ecg : Float[np.ndarray, "window time"]
        Any unit; upright or upside down. No peak is reported inside a gap.
    sampling_rate : float
        Hertz, at least 50.

    Returns
    -------
    list of Int[np.ndarray, "peak"]
        Ascending; empty for a flat window.

    Raises
    ------
    SignalError
        If the rate is below 50 Hz, or a window is shorter than a second.
    """
    _check(ecg, sampling_rate, lowest=50.0, what="R-peaks")
    filled, missing = bridge(ecg)
    clean = zero_phase(filled, design("highpass", 0.5, sampling_rate, 3))
    upper = min(25.0, 0.45 * sampling_rate)
    steep = np.abs(zero_phase(filled, design("bandpass", (8.0, upper), sampling_rate, 2)))
    energy = _average(steep, 0.08, sampling_rate)
    level = _average(energy, 0.75, sampling_rate)
    blocks = _Blocks((energy > 1.5 * level) & (energy > _rounding(ecg)), sampling_rate, 0.03)
    blocks = blocks.strongest(energy, sampling_rate)
    positions = _summits(clean, blocks, blocks.argmax(energy), sampling_rate)
    return _by_row(blocks.row, positions, missing, clean, sampling_rate)


def ppg_peaks(ppg: Float[np.ndarray, "window time"], sampling_rate: float) -> Peaks:
    """Systolic peaks of each window, as sample indices; the pulse must point upwards.

    Parameters
    ----------
    ppg : Float[np.ndarray, "window time"]
        Any unit.
    sampling_rate : float
        Hertz, at least 20.

    Raises
    ------
    SignalError
        If the rate is below 20 Hz, or a window is shorter than a second.
    """
    _check(ppg, sampling_rate, lowest=20.0, what="pulse peaks")
    filled, missing = bridge(ppg)
    clean = zero_phase(filled, design("bandpass", (0.5, 8.0), sampling_rate, 3))
    energy = np.clip(clean, 0.0, None) ** 2
    short = _average(energy, 0.111, sampling_rate)
    level = _average(energy, 0.667, sampling_rate)
    floor = 0.02 * energy.mean(axis=1, keepdims=True)
    blocks = _Blocks((short > level + floor) & (short > _rounding(ppg) ** 2), sampling_rate, 0.111)
    positions = blocks.argmax(clean)
    return _by_row(blocks.row, positions, missing, clean, sampling_rate)


def correct_intervals(
    intervals: Float[np.ndarray, " beat"], tolerance: float = 0.25, neighbours: int = 5
) -> tuple[Float[np.ndarray, " beat"], Bool[np.ndarray, " beat"]]:
    """Beat-to-beat intervals with those out of line replaced by interpolation.

    An interval that differs from the median of its neighbourhood by more than `tolerance` of that
    median (a missed, doubled or ectopic beat) is replaced by a straight line between the nearest
    accepted ones. Count the flags: variability of a series that needed many is not to be trusted.

    Parameters
    ----------
    intervals : Float[np.ndarray, "beat"]
        Seconds, all above 0.
    tolerance : float
        Share of the local median (0.25: three quarters to five quarters of it pass).
    neighbours : int
        Intervals on either side that the median is taken over, the interval itself included.

    Returns
    -------
    (corrected, replaced)

    Raises
    ------
    SignalError
        If an interval is not a positive number.
    """
    if not (np.isfinite(intervals).all() and (intervals > 0).all()):
        raise SignalError(
            "beat-to-beat intervals must be positive numbers of seconds, found "
            f"{intervals.min() if intervals.size else 'none'}: take differences of ascending "
            "peaks over the sampling rate."
        )
    padded = np.concatenate([np.full(neighbours, np.nan), intervals, np.full(neighbours, np.nan)])
    if not intervals.size:
        return intervals.copy(), np.zeros(0, dtype=bool)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * neighbours + 1)
    median = np.nanmedian(around, axis=1)
    replaced = np.abs(intervals - median) > tolerance * median
    good = np.flatnonzero(~replaced)
    if not good.size:
        return median, replaced
    return np.interp(np.arange(intervals.size), good, intervals[good]), replaced


class _Blocks:
    """Runs of True in a mask over windows: row, first and last (exclusive) sample of each."""

    def __init__(
        self, mask: Bool[np.ndarray, "window time"], sampling_rate: float, shortest: float
    ) -> None:
        edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
        self.row, self.start = np.nonzero(edges == 1)
        self.stop = np.nonzero(edges == -1)[1]
        self._keep(self.stop - self.start >= shortest * sampling_rate)

    def _keep(self, mask: Bool[np.ndarray, " block"]) -> None:
        self.row, self.start, self.stop = self.row[mask], self.start[mask], self.stop[mask]

    def argmax(self, x: Float[np.ndarray, "window time"]) -> Int[np.ndarray, " block"]:
        """Sample of the highest value in each block."""
        return np.array(
            [
                start + int(x[row, start:stop].argmax())
                for row, start, stop in zip(self.row, self.start, self.stop, strict=True)
            ],
            dtype=np.intp,
        )

    def strongest(self, energy: Float[np.ndarray, "window time"], sampling_rate: float) -> _Blocks:
        """The blocks that stand out: not weak beside their neighbours, none within refractory."""
        at = self.argmax(energy)
        strength = energy[self.row, at]
        keep = np.ones(len(at), dtype=bool)
        for row in np.unique(self.row):
            own = np.flatnonzero(self.row == row)
            keep[own] = strength[own] >= _WEAK * _local_median(strength[own])
            own = own[keep[own]]
            keep[own] = _apart(at[own], strength[own], REFRACTORY * sampling_rate)
        self._keep(keep)
        return self


def _check(x: np.ndarray, sampling_rate: float, lowest: float, what: str) -> None:
    if sampling_rate < lowest:
        raise SignalError(
            f"{what} asked of a signal at {sampling_rate:g} Hz, which needs at least {lowest:g}."
        )
    if x.shape[-1] < sampling_rate:
        raise SignalError(
            f"{what} asked of {x.shape[-1] / sampling_rate:.3g} s, expected at least 1 s."
        )


def _average(
    x: Float[np.ndarray, "window time"], duration: float, sampling_rate: float
) -> Float[np.ndarray, "window time"]:
    """Centred moving average over `duration` seconds."""
    return np.asarray(
        scipy.ndimage.uniform_filter1d(x, max(1, round(duration * sampling_rate)), axis=1)
    )


def _rounding(x: Float[np.ndarray, "window time"]) -> Float[np.ndarray, "window one"]:
    """Magnitude that rounding alone can leave of a constant window."""
    return np.asarray(1e-9 * np.abs(np.nan_to_num(x)).max(axis=1, keepdims=True))


def _local_median(x: Float[np.ndarray, " block"], half: int = 4) -> Float[np.ndarray, " block"]:
    """Median over `half` blocks on either side; at the edges, over as many on the inner side."""
    width = 2 * half + 1
    if len(x) <= width:
        return np.full(len(x), np.median(x)) if len(x) else x
    medians = np.median(np.lib.stride_tricks.sliding_window_view(x, width), axis=1)
    return np.pad(medians, half, mode="edge")


def _apart(
    at: Int[np.ndarray, " peak"], height: Float[np.ndarray, " peak"], distance: float
) -> Bool[np.ndarray, " peak"]:
    """Which peaks stay when, of two nearer than `distance`, the higher one wins."""
    keep = np.ones(len(at), dtype=bool)
    last = 0
    for i in range(1, len(at)):
        if at[i] - at[last] >= distance:
            last = i
        elif height[i] > height[last]:
            keep[last] = False
            last = i
        else:
            keep[i] = False
    return keep


def _summits(
    clean: Float[np.ndarray, "window time"],
    blocks: _Blocks,
    at: Int[np.ndarray, " block"],
    sampling_rate: float,
) -> Int[np.ndarray, " block"]:
    """The R-peak of each block: its highest point, or its lowest where the lead is inverted."""
    margin = round(0.04 * sampling_rate)
    blocks.start = np.maximum(np.minimum(at - margin, blocks.start), 0)
    blocks.stop = np.minimum(np.maximum(at + margin + 1, blocks.stop), clean.shape[1])
    up, down = blocks.argmax(clean), blocks.argmax(-clean)
    positions = up.copy()
    for row in np.unique(blocks.row):
        own = blocks.row == row
        if -np.median(clean[row, down[own]]) > _INVERT_ABOVE * np.median(clean[row, up[own]]):
            positions[own] = down[own]
    return positions


def _by_row(
    row: Int[np.ndarray, " peak"],
    at: Int[np.ndarray, " peak"],
    missing: Bool[np.ndarray, "window time"],
    height: Float[np.ndarray, "window time"],
    sampling_rate: float,
) -> Peaks:
    """Peaks of each window, without those inside gaps and those within refractory."""
    there = ~missing[row, at]
    row, at = row[there], at[there]
    peaks = np.split(at, np.searchsorted(row, np.arange(1, len(missing))))
    distance = REFRACTORY * sampling_rate
    return [
        own[_apart(own, np.abs(height[i, own]), distance)] if own.size > 1 else own
        for i, own in enumerate(peaks)
    ]
