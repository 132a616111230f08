"""Heart beats: R-peaks of the ECG, systolic peaks of the pulse wave, corrected intervals.

Both detectors mark *blocks of interest*, where a short moving average exceeds a long one, over
all windows at once, take the highest point of each block, and then decide which blocks are beats:
weak blocks, second waves (T wave, dicrotic wave) and blocks out of the local rhythm are not.
Rates up to 260 per minute are followed. A rhythm faster than 300 per minute gives no beats
instead of every second or third one.

References
----------
Elgendi, PLoS ONE 8(9):e73557 (2013), for the ECG; Elgendi et al., PLoS ONE 8(10):e76585 (2013),
for the pulse wave. Ours differ for the ECG: the averages are of the magnitude at 8–25 Hz, not of
its square, so that one movement does not hide the beats around it; the R-peak is looked for in
the signal above 0.5 Hz. Polarity is chosen per window for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Bool, Float, Int, Real

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import design, zero_phase
from dolorimeter.signals.gaps import bridge

Peaks = list[Int[np.ndarray, "_"]]

SHORTEST = 0.2
"""Shortest interval between two beats that is accepted, in seconds (300 beats per minute)."""

LONGEST = 3.0
"""Seconds. A longer interval (below 20 beats per minute) is a stretch without detected beats."""

LEAST_COVERED = 0.3
"""Least share of a window between beats of a known interval. Two beats 2 s apart in a window of
5.5 s cover more."""

_INVERT_ABOVE = 1.5  # a lead counts as upside down when its troughs exceed its peaks this much
_INVERTED = -0.2  # summed skewness of pulse and slope: real upright recordings have 1.0 or more
_TOO_FAST = 0.25  # share of intervals below `SHORTEST` from which a rhythm cannot be followed
_EARLY = 0.5  # share of the local median interval below which one of two beats is not one


@dataclass(frozen=True)
class _Wave:
    """What separates the beats of a signal from the smaller waves between them.

    Parameters
    ----------
    weak : float
        Share of the typical strength of the beats around it, below which a block is not a beat.
    second : float
        Share of the strength of a beat, below which a block close to that beat is its second
        wave.
    within : float
        Seconds around a beat in which second waves occur.
    """

    weak: float
    second: float
    within: float


_QRS = _Wave(weak=0.3, second=0.6, within=0.36)  # Pan & Tompkins 1985: T waves within 0.36 s
_PULSE = _Wave(weak=0.3, second=0.7, within=0.45)


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
    at = blocks.beats(energy, sampling_rate, _QRS)
    positions = _summits(clean, blocks, at, sampling_rate)
    return _by_row(blocks.row, positions, missing)


def ppg_peaks(ppg: Float[np.ndarray, "window time"], sampling_rate: float) -> Peaks:
    """Systolic peaks of each window, as sample indices: the peaks of `ppg_beats`."""
    return ppg_beats(ppg, sampling_rate)[0]


def ppg_beats(
    ppg: Float[np.ndarray, "window time"], sampling_rate: float
) -> tuple[Peaks, Float[np.ndarray, "window one"]]:
    """Systolic peaks of each window, and the sign that turns its pulse upright.

    Several makers of reflectance sensors store the light that comes back, which falls with more
    blood. A pulse rises faster than it falls and its peak is narrower than its trough, so the
    skewness of the wave and of its slope are positive together; a window in which their sum is
    clearly negative is upside down. Elgendi, Bioengineering 3:21 (2016), finds the skewness the
    best single index of a good pulse wave.

    Parameters
    ----------
    ppg : Float[np.ndarray, "window time"]
        Any unit; upright or upside down. No peak is reported inside a gap.
    sampling_rate : float
        Hertz, at least 20.

    Returns
    -------
    peaks : list of Int[np.ndarray, "peak"]
        Sample indices, ascending; empty for a flat window.
    sign : Float[np.ndarray, "window one"]
        −1 for a window that is upside down, else 1: `ppg * sign` is upright.

    Raises
    ------
    SignalError
        If the rate is below 20 Hz, or a window is shorter than a second.

    Examples
    --------
    >>> time = np.arange(640) / 64.0
    >>> pulse = np.exp(4.0 * np.sin(2 * np.pi * 1.2 * time))
    >>> peaks, sign = ppg_beats(np.stack([pulse, -pulse]), 64.0)
    >>> [len(found) for found in peaks], sign.ravel()
    ([12, 12], array([ 1., -1.]))
    """
    _check(ppg, sampling_rate, lowest=20.0, what="pulse peaks")
    filled, missing = bridge(ppg)
    clean = zero_phase(filled, design("bandpass", (0.5, 8.0), sampling_rate, 3))
    sign = _polarity(clean)
    height = np.clip(clean * sign, 0.0, None)
    energy = np.square(height)
    short = _average(energy, 0.111, sampling_rate)
    level = _average(energy, 0.667, sampling_rate)
    floor = 0.02 * energy.mean(axis=1, keepdims=True)
    blocks = _Blocks((short > level + floor) & (short > _rounding(ppg) ** 2), sampling_rate, 0.06)
    at = blocks.beats(height, sampling_rate, _PULSE)
    return _by_row(blocks.row, at, missing), sign


def covered_share(
    peaks: Peaks, sampling_rate: float, samples: int
) -> Float[np.ndarray, " window"]:
    """Share of each window that lies between two beats at most `LONGEST` seconds apart.

    Parameters
    ----------
    peaks : list of Int[np.ndarray, "peak"]
        From `r_peaks` or `ppg_peaks`.
    sampling_rate : float
        Hertz.
    samples : int
        Length of the windows.

    Returns
    -------
    Float[np.ndarray, "window"]
        Between 0 (fewer than two beats) and 1.

    Examples
    --------
    >>> covered_share([np.array([50, 150, 250])], 100.0, 400)
    array([0.5])
    """
    most = LONGEST * sampling_rate
    steps = [np.diff(own) for own in peaks]
    return np.array([own[own <= most].sum() / samples for own in steps])


def median(x: Real[np.ndarray, "beat *time"]) -> Float[np.ndarray, "*time"]:
    """Median over the first axis, without NaN: for a few beats five times as fast as NumPy's."""
    ordered = np.sort(x, axis=0)
    return np.asarray(0.5 * (ordered[(len(x) - 1) // 2] + ordered[len(x) // 2]))


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
        self.keep(self.stop - self.start >= shortest * sampling_rate)

    def keep(self, mask: Bool[np.ndarray, " block"]) -> None:
        """Drop the blocks that are False in `mask`."""
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

    def beats(
        self, strength: Float[np.ndarray, "window time"], sampling_rate: float, wave: _Wave
    ) -> Int[np.ndarray, " beat"]:
        """Keep the blocks that are beats, and return the strongest sample of each."""
        at = self.argmax(strength)
        size = strength[self.row, at]
        # every two seconds hold a beat, down to 30 per minute
        around = _highest_around(strength, self.row, at, round(2.0 * sampling_rate) // 2)
        kept = np.zeros(len(at), dtype=bool)
        for first, stop in pairwise(np.searchsorted(self.row, np.arange(len(strength) + 1))):
            strong = size[first:stop] >= wave.weak * _local_median(around[first:stop])
            beats = first + np.flatnonzero(strong)
            beats = beats[_without_second_waves(at[beats], size[beats], sampling_rate, wave)]
            beats = beats[_in_rhythm(at[beats], size[beats])]
            kept[beats[_slow_enough(at[beats], size[beats], sampling_rate)]] = True
        self.keep(kept)
        return at[kept]


def _check(x: np.ndarray, sampling_rate: float, lowest: float, what: str) -> None:
    if sampling_rate < lowest:
        raise SignalError(
            f"{what} asked of a signal at {sampling_rate:g} Hz, which needs at least {lowest:g}."
        )
    if x.shape[-1] < sampling_rate:
        raise SignalError(
            f"{what} asked of {x.shape[-1] / sampling_rate:.3g} s, expected at least 1 s."
        )


def _highest_around(
    x: Float[np.ndarray, "window time"],
    row: Int[np.ndarray, " peak"],
    at: Int[np.ndarray, " peak"],
    half: int,
) -> Float[np.ndarray, " peak"]:
    """Highest value within `half` samples of each peak, in its window."""
    first = np.maximum(at - half, 0) + row * x.shape[1]
    stop = np.minimum(at + half + 1, x.shape[1]) + row * x.shape[1]
    limits = np.stack([first, stop], axis=1).ravel()
    padded = np.append(x, 0.0)  # the last stop may be the end
    return np.asarray(np.maximum.reduceat(padded, limits)[::2] if len(at) else x[row, at])


def _polarity(clean: Float[np.ndarray, "window time"]) -> Float[np.ndarray, "window one"]:
    """−1 for windows whose pulse is upside down, else 1."""
    skewness = _skewness(clean) + _skewness(np.diff(clean, axis=1))
    return np.where(skewness < _INVERTED, -1.0, 1.0)[:, None]


def _skewness(x: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """Third standardised moment; 0 for a constant window."""
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    # dividing first: the cube of a small unit may underflow
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return np.asarray((scaled * np.square(scaled)).mean(axis=1))


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
        return np.full(len(x), median(x)) if len(x) else x
    medians = np.median(np.lib.stride_tricks.sliding_window_view(x, width), axis=1)
    return np.pad(medians, half, mode="edge")


def _without_second_waves(
    at: Int[np.ndarray, " peak"],
    size: Float[np.ndarray, " peak"],
    sampling_rate: float,
    wave: _Wave,
) -> Bool[np.ndarray, " peak"]:
    """Which peaks are no T wave and no dicrotic wave of a beat close to them."""
    keep = np.ones(len(at), dtype=bool)
    distance = wave.within * sampling_rate
    if len(at) < 2 or np.diff(at).min() >= distance:
        return keep
    last = 0
    for i in range(1, len(at)):
        if at[i] - at[last] >= distance or size[last] * wave.second <= size[i]:
            if at[i] - at[last] < distance and size[last] < wave.second * size[i]:
                keep[last] = False
            last = i
        else:
            keep[i] = False
    return keep


def _in_rhythm(
    at: Int[np.ndarray, " peak"], size: Float[np.ndarray, " peak"]
) -> Bool[np.ndarray, " peak"]:
    """Which peaks stay when the smaller of two that are far too close for the rhythm goes."""
    keep = np.ones(len(at), dtype=bool)
    if len(at) < 4:
        return keep
    intervals = np.diff(at).astype(float)
    if intervals.min() >= _EARLY * intervals.max():
        return keep
    for i in np.flatnonzero(intervals < _EARLY * _local_median(intervals)).tolist():
        if keep[i] and keep[i + 1]:
            keep[i if size[i] < size[i + 1] else i + 1] = False
    return keep


def _slow_enough(
    at: Int[np.ndarray, " peak"], size: Float[np.ndarray, " peak"], sampling_rate: float
) -> Bool[np.ndarray, " peak"]:
    """Which peaks stay: none of a chain closer than `SHORTEST`, the higher one of a single pair.

    To thin out a chain would leave every second or third beat, and a rate that looks ordinary.
    """
    keep = np.ones(len(at), dtype=bool)
    short = np.diff(at) < SHORTEST * sampling_rate - 1  # rounding to samples: up to one
    if not short.any():
        return keep
    chain = _local_mean(short.astype(float)) > _TOO_FAST
    keep[:-1] &= ~chain
    keep[1:] &= ~chain
    for i in np.flatnonzero(short & ~chain).tolist():
        if keep[i] and keep[i + 1]:
            keep[i if size[i] < size[i + 1] else i + 1] = False
    return keep


def _local_mean(
    x: Float[np.ndarray, " interval"], half: int = 4
) -> Float[np.ndarray, " interval"]:
    """Mean over up to `half` entries on either side, over those that there are."""
    ones = np.ones(2 * half + 1)
    middle = slice(half, half + len(x))
    return np.asarray(np.convolve(x, ones)[middle] / np.convolve(np.ones(len(x)), ones)[middle])


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
) -> Peaks:
    """Peaks of each window, without those inside gaps."""
    there = ~missing[row, at]
    row, at = row[there], at[there]
    return np.split(at, np.searchsorted(row, np.arange(1, len(missing))))
