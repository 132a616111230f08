"""Quality indices of windows: each one number between 0 and 1 a window, no verdict.

References
----------
Orphanidou et al., IEEE J. Biomed. Health Inform. 19:832 (2015), for template matching of beats.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Bool, Float, Int

from dolorimeter.errors import SignalError
from dolorimeter.signals.beats import median
from dolorimeter.signals.filters import check_below_nyquist
from dolorimeter.signals.gaps import bridge, missing_samples


def missing_share(x: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """Share of samples that are NaN."""
    return np.asarray(missing_samples(x).mean(axis=1))


def shares(
    mask: Bool[np.ndarray, "window time"], among: Bool[np.ndarray, "window time"]
) -> Float[np.ndarray, " window"]:
    """Share of the samples of `among` that are in `mask`; 0 where there is none."""
    count = among.sum(axis=1)
    return np.divide((mask & among).sum(axis=1), count, out=np.zeros(len(mask)), where=count > 0)


def flat_share(
    x: Float[np.ndarray, "window time"], sampling_rate: float, duration: float = 1.0
) -> Float[np.ndarray, " window"]:
    """Share of samples inside runs of one unchanging value that last `duration` seconds or more.

    A slow sensor repeats values: choose a duration that the modality cannot be still for.
    Missing samples count neither as flat nor as moving.
    """
    return shares(_flat(x, sampling_rate, duration), ~np.isnan(x))


NEVER_CLIPPED = frozenset({"spo2", "hr", "temperature"})
"""Quantities in coarse steps that rest at their highest value: 100 % of oxygen is not clipping."""


def clipped_samples(x: Float[np.ndarray, "window time"]) -> Bool[np.ndarray, "window time"]:
    """Return which samples sit in a row at the highest or lowest value, cut off by the recorder.

    A run of 3 or more equal samples at an extreme counts as clipped when at least 4 times as many
    samples have that value as have the next one inwards: the top of a smooth wave that is rounded
    to steps has at most 2.4 times as many, whatever its height. A window that spans fewer than 16
    steps of its resolution is too coarse to tell (oxygen saturation of 97 and 98 %, conductance
    in steps of 0.01 µS), and a constant one is flat: none of their samples is clipped. Missing
    samples are left out, so a run may go on behind a gap.

    Examples
    --------
    >>> wave = np.sin(np.arange(200) / 10)
    >>> bool(clipped_samples(wave[None]).any())
    False
    >>> float(np.abs(wave[clipped_samples(np.clip(wave, -0.9, 0.9)[None])[0]]).min()) >= 0.9
    True
    """
    clipped = np.zeros(x.shape, dtype=bool)
    for row, values in enumerate(x):
        known = np.flatnonzero(~np.isnan(values))
        clipped[row, known] = _clipped(values[known])
    return clipped


def clipped_share(x: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """Share of the present samples that are clipped: see `clipped_samples`."""
    return shares(clipped_samples(x), ~np.isnan(x))


def good_share(
    x: Float[np.ndarray, "window time"],
    sampling_rate: float,
    still: float | None,
    clipped: Bool[np.ndarray, "window time"] | None = None,
) -> Float[np.ndarray, " window"]:
    """Share of all samples that are neither missing, nor flat, nor clipped.

    Parameters
    ----------
    still : float or None
        Seconds of one value that count as flat, as in `flat_share`; None where the signal may
        stand still.
    clipped : Bool[np.ndarray, "window time"], optional
        From `clipped_samples`; None where the signal may rest at its extremes.
    """
    bad = missing_samples(x)
    if clipped is not None:
        bad = bad | clipped
    if still is not None:
        bad = bad | _flat(x, sampling_rate, still)
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
    return shares((x <= lowest) | (x >= highest), ~np.isnan(x))


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


_SHORTEST_RUN, _MORE, _STEPS = 3, 4, 16  # see clipped_samples


def _clipped(x: Float[np.ndarray, " time"]) -> Bool[np.ndarray, " time"]:
    """`clipped_samples` of one window without missing samples."""
    clipped = np.zeros(x.shape, dtype=bool)
    moves = np.abs(np.diff(x))
    step = moves[moves > 0].min(initial=np.inf)
    if len(x) < _SHORTEST_RUN or x.max() - x.min() < (_STEPS - 0.5) * step:
        return clipped
    for inwards in (x - x.min(), x.max() - x):
        at = inwards == 0
        beside = (inwards > 0.5 * step) & (inwards < 1.5 * step)
        if at.sum() >= _MORE * beside.sum():
            clipped |= _in_runs((at[1:] & at[:-1])[None], _SHORTEST_RUN - 1)[0]
    return clipped


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
