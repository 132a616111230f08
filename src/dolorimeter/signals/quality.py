"""Quality indices of windows: each one number between 0 and 1 a window, no verdict.

References
----------
Orphanidou et al., IEEE J. Biomed. Health Inform. 19:832 (2015), for template matching of beats.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Float, Int

from dolorimeter.errors import SignalError
from dolorimeter.signals.beats import median
from dolorimeter.signals.filters import check_below_nyquist
from dolorimeter.signals.gaps import bridge, missing_samples


def missing_share(x: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """Share of samples that are NaN."""
    return np.asarray(missing_samples(x).mean(axis=1))


def flat_share(
    x: Float[np.ndarray, "window time"], sampling_rate: float, duration: float = 1.0
) -> Float[np.ndarray, " window"]:
    """Share of samples inside runs of one unchanging value that last `duration` seconds or more.

    A slow sensor repeats values: choose a duration that the modality cannot be still for.
    Missing samples count neither as flat nor as moving.
    """
    return _share(_flat(x, sampling_rate, duration), ~np.isnan(x))


def clipped_share(
    x: Float[np.ndarray, "window time"], shortest: int = 3
) -> Float[np.ndarray, " window"]:
    """Share of samples that sit in a row at the window's own extreme.

    Parameters
    ----------
    shortest : int
        Samples in a row at the highest or lowest value that count as clipped; a peak that was
        rounded to two equal samples does not. A constant window is flat, not clipped: 0.
    """
    return _share(_clipped(x, shortest), ~np.isnan(x))


def good_share(
    x: Float[np.ndarray, "window time"], sampling_rate: float, still: float | None
) -> Float[np.ndarray, " window"]:
    """Share of all samples that are neither missing, nor flat, nor clipped.

    Parameters
    ----------
    still : float or None
        Seconds of one value that count as flat, as in `flat_share`; None where the signal may
        stand still.
    """
    bad = missing_samples(x) | _clipped(x, 3)
    if still is not None:
        bad |= _flat(x, sampling_rate, still)
    return np.asarray(1.0 - bad.mean(axis=1))


def saturated_share(
    x: Float[np.ndarray, "window time"], lowest: float, highest: float
) -> Float[np.ndarray, " window"]:
    """Share of samples at or beyond the recorder's limits, in the unit of `x`.

    Raises
    ------
    SignalError
        If the limits are not ascending.
    """
    if not lowest < highest:
        raise SignalError(f"recorder limits {lowest:g} and {highest:g} must be ascending.")
    return _share((x <= lowest) | (x >= highest), ~np.isnan(x))


def line_noise(
    x: Float[np.ndarray, "window time"], sampling_rate: float, frequency: float = 50.0
) -> Float[np.ndarray, " window"]:
    """Share of the power, without the mean, within 1 Hz of the mains frequency.

    Parameters
    ----------
    frequency : float
        Hertz: 50, or 60 in the Americas.

    Raises
    ------
    SignalError
        If the mains frequency is not below half the sampling rate, or a window is shorter than
        a second (its spectrum cannot tell 1 Hz apart).
    """
    check_below_nyquist(frequency, sampling_rate, "mains noise")
    if x.shape[1] < sampling_rate:
        raise SignalError(
            f"mains noise asked of {x.shape[1] / sampling_rate:.3g} s, expected at least 1 s."
        )
    filled, _ = bridge(x)
    frequencies, power = scipy.signal.periodogram(
        filled, sampling_rate, window="hann", detrend="constant", axis=1
    )
    near = np.abs(frequencies - frequency) <= 1.0
    total = power.sum(axis=1)
    return np.divide(power[:, near].sum(axis=1), total, out=np.zeros(len(x)), where=total > 0)


def template_quality(
    x: Float[np.ndarray, "window time"],
    peaks: list[Int[np.ndarray, "_"]],
    sampling_rate: float,
) -> Float[np.ndarray, " window"]:
    """Mean correlation of each beat with the window's median beat; 0 where it is negative.

    Parameters
    ----------
    x : Float[np.ndarray, "window time"]
        ECG or pulse wave; a gap is bridged.
    peaks : list of Int[np.ndarray, "peak"]
        From `beats.r_peaks` or `beats.ppg_peaks`.
    sampling_rate : float
        Hertz.

    Returns
    -------
    Float[np.ndarray, "window"]
        NaN with fewer than three whole beats: nothing to compare.
    """
    filled, _ = bridge(x)
    quality = np.full(len(x), np.nan)
    for row, own in enumerate(peaks):
        if own.size < 3:
            continue
        half = max(1, round(0.5 * min(float(median(np.diff(own))), sampling_rate)))
        whole = own[(own >= half) & (own + half < x.shape[1])]
        if whole.size < 3:
            continue
        beats = filled[row, whole[:, None] + np.arange(-half, half + 1)]
        beats -= beats.sum(axis=1, keepdims=True) / beats.shape[1]
        template = median(beats)
        template -= template.sum() / template.size
        size = np.sqrt(np.einsum("bt,bt->b", beats, beats) * (template @ template))
        alike = np.divide(beats @ template, size, out=np.zeros(len(beats)), where=size > 0)
        quality[row] = max(0.0, float(alike.mean()))
    return quality


def _flat(x: np.ndarray, sampling_rate: float, duration: float) -> np.ndarray:
    same = np.diff(x, axis=1) == 0
    return _in_runs(same, max(1, round(duration * sampling_rate) - 1))


def _clipped(x: np.ndarray, shortest: int) -> np.ndarray:
    known = ~np.isnan(x)
    high = np.where(known, x, -np.inf).max(axis=1, keepdims=True)
    low = np.where(known, x, np.inf).min(axis=1, keepdims=True)
    clipped = np.zeros(x.shape, dtype=bool)
    for extreme in (high, low):
        at = x == extreme
        clipped |= _in_runs(at[:, 1:] & at[:, :-1], shortest - 1)
    return clipped & (high > low)


def _in_runs(pairs: np.ndarray, shortest: int) -> np.ndarray:
    """Samples in runs of at least `shortest` True pairs of neighbours; one column more."""
    if not pairs.any():
        return np.zeros((len(pairs), pairs.shape[1] + 1), dtype=bool)
    edges = np.diff(np.pad(pairs, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    keep = stop - start >= shortest
    marks = np.zeros((len(pairs), pairs.shape[1] + 2), dtype=np.int32)
    marks[row[keep], start[keep]] += 1
    marks[row[keep], stop[keep] + 1] -= 1
    return np.cumsum(marks, axis=1)[:, :-1] > 0


def _share(mask: np.ndarray, among: np.ndarray) -> np.ndarray:
    count = among.sum(axis=1)
    return np.divide((mask & among).sum(axis=1), count, out=np.zeros(len(mask)), where=count > 0)
