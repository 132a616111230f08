"""Skin conductance: slow level (tonic), fast responses (phasic), and the responses one by one.

References
----------
Boucsein, Electrodermal Activity, 2nd ed. (2012), ch. 2.2: the responses, their onset, amplitude,
rise time and half recovery. The split at 0.05 Hz is the one of BIOPAC's AcqKnowledge, which
NeuroKit2 calls ``highpass``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import design, zero_phase
from dolorimeter.signals.gaps import bridge

SPLIT_FREQUENCY = 0.05
"""Hertz: below it tonic, above it phasic."""

NOISE_FREQUENCY = 3.0
"""Hertz: skin conductance has nothing of its own above it (as in NeuroKit2's `eda_clean`)."""

SCR = np.dtype(
    [
        ("onset", np.int64),
        ("peak", np.int64),
        ("amplitude", np.float64),
        ("rise_time", np.float64),
        ("recovery", np.float64),
    ]
)
"""One response: onset and peak in samples; amplitude in the signal's unit; seconds from onset to
peak; seconds from the peak until half of the amplitude is lost (NaN where it is not seen)."""

Events = np.ndarray
"""A one-dimensional array of dtype `SCR`."""


def clean(
    x: Float[np.ndarray, "*batch time"], sampling_rate: float
) -> Float[np.ndarray, "*batch time"]:
    """The signal below 3 Hz, zero-phase (order 4); unchanged where the rate is 6 Hz or less."""
    if sampling_rate <= 2 * NOISE_FREQUENCY:
        return x
    return zero_phase(x, design("lowpass", NOISE_FREQUENCY, sampling_rate, 4))


def tonic_phasic(
    x: Float[np.ndarray, "*batch time"], sampling_rate: float
) -> tuple[Float[np.ndarray, "*batch time"], Float[np.ndarray, "*batch time"]]:
    """Tonic and phasic part, split at 0.05 Hz by zero-phase Butterworth filters of order 2.

    The phasic part is the high-pass output and the tonic part the rest, so that they add up to
    `x` exactly. One period of 0.05 Hz is 20 s: on shorter windows the split mostly removes the
    trend, and features that read the tonic part should ask for 20 s.

    Returns
    -------
    (tonic, phasic)
        In the unit of `x`; NaN where `x` is.
    """
    phasic = zero_phase(x, design("highpass", SPLIT_FREQUENCY, sampling_rate, 2))
    return x - phasic, phasic


def noise_level(
    x: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, " window"]:
    """Standard deviation of the noise of each window, without its responses.

    Fourth differences over 0.25 s hold next to nothing of responses that take seconds, and their
    median absolute value nothing of single jumps. White noise of standard deviation σ gives σ.

    Parameters
    ----------
    x : Float[np.ndarray, "window time"]
        Skin conductance in any unit, without missing samples.
    sampling_rate : float
        Hertz.

    Returns
    -------
    Float[np.ndarray, "window"]
        In the unit of `x`; 0 where the window is shorter than five such steps.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(2.0, 0.003, size=(1, 2400))
    >>> noise_level(noise, 4.0).round(3)
    array([0.003])
    """
    lag = max(1, round(0.25 * sampling_rate))
    if x.shape[1] <= 4 * lag:
        return np.zeros(len(x))
    differences = x
    for _ in range(4):
        differences = differences[:, lag:] - differences[:, :-lag]
    # the coefficients 1 −4 6 −4 1 have a sum of squares of 70; 1.4826: from a median of |x| to σ
    return np.asarray(1.4826 / np.sqrt(70.0) * np.median(np.abs(differences), axis=1))


def scr_events(
    phasic: Float[np.ndarray, "window time"],
    sampling_rate: float,
    min_amplitude: float,
    min_fall: float | None = None,
) -> list[Events]:
    """Skin-conductance responses of each window, from trough to peak.

    A response rises from a trough by at least `min_amplitude`; dips smaller than `min_fall` do
    not interrupt the rise. It must rise and begin to fall within the window. Works on the phasic
    part or on the signal itself, both free of noise above 3 Hz (`clean`).

    Parameters
    ----------
    phasic : Float[np.ndarray, "window time"]
        Siemens (or the unit of `min_amplitude`). A response that touches a gap is left out.
    sampling_rate : float
        Hertz.
    min_amplitude : float
        Siemens; 1e-8 to 5e-8 are usual.
    min_fall : float, optional
        Siemens; a tenth of `min_amplitude` by default.

    Returns
    -------
    list of structured array
        One array of dtype `SCR` a window, in time order.

    Raises
    ------
    SignalError
        If `min_amplitude` is not above zero.
    """
    if not min_amplitude > 0:
        raise SignalError(
            f"smallest response amplitude is {min_amplitude:g}, expected a positive number in the "
            "unit of the signal (0.01 microsiemens is 1e-8 siemens)."
        )
    fall = 0.1 * min_amplitude if min_fall is None else min_fall
    filled, missing = bridge(phasic)
    lost = np.cumsum(missing, axis=1) if missing.any() else None
    turns = _turning_points(filled)
    events = []
    for row, points in enumerate(turns):
        pairs = _rises(filled[row, points], min_amplitude, fall)
        onset, peak = points[pairs[:, 0]], points[pairs[:, 1]]
        if lost is not None:
            whole = (lost[row, onset] == lost[row, peak]) & ~missing[row, onset]
            onset, peak = onset[whole], peak[whole]
        events.append(_describe(filled[row], onset, peak, sampling_rate))
    return events


def _turning_points(x: np.ndarray) -> list[np.ndarray]:
    """Samples of each row where movement begins, turns and ends; none for a constant row.

    A maximum is where its rise ends, a minimum where the next rise begins, also on plateaus.
    """
    slope = np.sign(np.diff(x, axis=1))
    row, at = np.nonzero(slope)
    direction = slope[row, at]
    turn = np.zeros(len(row), dtype=bool)
    turn[1:] = (row[1:] == row[:-1]) & (direction[1:] != direction[:-1])
    before = np.concatenate([[0], at[:-1] + 1]) if len(at) else at
    where = np.where(direction > 0, at, before)
    bounds = np.searchsorted(row, np.arange(len(x) + 1))
    return [
        np.concatenate([[at[i]], where[i:j][turn[i:j]], [at[j - 1] + 1]])
        if j > i
        else np.zeros(0, dtype=np.intp)
        for i, j in pairwise(bounds)
    ]


def _rises(values: np.ndarray, least: float, fall: float) -> np.ndarray:
    """Pairs (trough, peak) of positions in `values` that rise by `least` and then fall at all.

    Falls below `fall` are bridged when the rise goes on above them.
    """
    pairs: list[tuple[int, int]] = []
    level = values.tolist()
    trough = peak = 0
    for i in range(1, len(level)):
        if level[i] > level[peak]:
            peak = i
        elif level[peak] - level[i] > fall or level[i] <= level[trough]:
            if level[peak] - level[trough] >= least:
                pairs.append((trough, peak))
            trough = peak = i
    last = len(level) - 1
    if peak < last and level[peak] - level[trough] >= least:
        pairs.append((trough, peak))
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)


def _describe(
    x: np.ndarray, onset: np.ndarray, peak: np.ndarray, sampling_rate: float
) -> np.ndarray:
    events = np.zeros(len(onset), dtype=SCR)
    events["onset"], events["peak"] = onset, peak
    events["amplitude"] = x[peak] - x[onset]
    events["rise_time"] = (peak - onset) / sampling_rate
    ends = np.append(onset, len(x) - 1)[1:]
    for i, end in enumerate(ends):
        half = x[peak[i]] - 0.5 * events["amplitude"][i]
        below = np.flatnonzero(x[peak[i] : end + 1] <= half)
        events["recovery"][i] = below[0] / sampling_rate if below.size else np.nan
    return events
