"""Empirical mode decomposition, and denoising by thresholds on its modes.

References
----------
Huang et al., Proc. R. Soc. A 454:903 (1998), the decomposition. Rilling, Flandrin and Gonçalvès,
IEEE-EURASIP Workshop on Nonlinear Signal and Image Processing (2003), extrema mirrored at the
edges. Wu and Huang, Adv. Adapt. Data Anal. 1:1 (2009), a fixed number of siftings of about ten.
Andrade, Nasuto, Kyberd, Sweeney-Reed and Van Kanijn, Biomed. Signal Process. Control 1:44 (2006),
thresholds on the modes of an EMG from a stretch of noise.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Float, Int

from dolorimeter.errors import SignalError
from dolorimeter.signals.gaps import bridge

SIFTINGS = 10
"""Times that the mean of the envelopes is taken away before a mode is one."""
MIRRORED = 2
"""Extrema of each kind that continue the signal at either end."""
FEWEST = 3
"""Extrema that a remainder needs to hold another mode."""


def modes(
    x: Float[np.ndarray, " time"], siftings: int = SIFTINGS, most: int | None = None
) -> Float[np.ndarray, "mode time"]:
    """Intrinsic modes from fast to slow, and what remains as the last row; they add up to `x`.

    Parameters
    ----------
    x : Float[np.ndarray, "time"]
        Without gaps.
    siftings : int
        Of each mode.
    most : int, optional
        Modes at most, the remainder not counted; None goes on until it has hardly an extremum.

    Raises
    ------
    SignalError
        If a sample is missing or an argument makes no sense.

    Examples
    --------
    >>> t = np.arange(400) / 100
    >>> parts = modes(np.sin(2 * np.pi * 10 * t) + t)
    >>> bool(np.abs(parts[0] - np.sin(2 * np.pi * 10 * t))[50:350].max() < 0.01)
    True
    """
    if siftings < 1 or (most is not None and most < 1):
        raise SignalError(f"{siftings} siftings of at most {most} modes: expected at least 1.")
    if not np.isfinite(x).all():
        raise SignalError("modes of a signal with missing samples: bridge its gaps first.")
    found: list[Float[np.ndarray, " time"]] = []
    rest = x.astype(np.float64)
    limit = int(np.log2(max(len(x), 2))) if most is None else most
    while len(found) < limit:
        mode = _sifted(rest, siftings)
        if mode is None:
            break
        found.append(mode)
        rest = rest - mode
    return np.stack([*found, rest])


def denoise(
    x: Float[np.ndarray, "*batch time"],
    sampling_rate: float,
    *,
    factor: float = 1.0,
    quiet: float = 1.0,
    siftings: int = SIFTINGS,
) -> Float[np.ndarray, "*batch time"]:
    """Each mode pulled towards 0 by its own noise level, and put together again.

    The noise level of a mode is its standard deviation in the quietest stretch of the signal; what
    a mode has beyond `factor` times that is kept, the rest becomes 0 (soft threshold). The
    remainder stays as it is.

    Parameters
    ----------
    x : Float[np.ndarray, "*batch time"]
        Muscle activity without its offset (high-pass or band-pass it before).
    sampling_rate : float
        Hertz.
    factor : float
        Threshold in noise levels; 0 gives the signal back.
    quiet : float
        Seconds of the stretch.
    siftings : int
        Of each mode.

    Raises
    ------
    SignalError
        If the signal is shorter than the stretch, or an argument makes no sense.
    """
    count = round(quiet * sampling_rate)
    if factor < 0 or not 2 <= count <= x.shape[-1]:
        raise SignalError(
            f"denoising by {factor:g} noise levels of the quietest {quiet:g} s of "
            f"{x.shape[-1] / sampling_rate:g} s: expected a factor of 0 or more, and a stretch of "
            "two samples at least and the signal's length at most."
        )
    filled, missing = bridge(x)
    rows = filled.reshape(-1, x.shape[-1])
    out = np.stack([_thresholded(row, factor, count, siftings) for row in rows])
    out = out.reshape(x.shape)
    out[missing] = np.nan
    return out


def quietest(x: Float[np.ndarray, " time"], count: int) -> int:
    """First sample of the `count` samples in a row with the least power around their mean."""
    centred = x - x.mean()
    sums = [np.concatenate([[0.0], np.cumsum(v)]) for v in (centred, centred**2)]
    total, power = (v[count:] - v[:-count] for v in sums)
    return int(np.argmin(power - total**2 / count))


def _thresholded(
    x: Float[np.ndarray, " time"], factor: float, count: int, siftings: int
) -> Float[np.ndarray, " time"]:
    start = quietest(x, count)
    *found, rest = modes(x, siftings)
    for mode in found:
        level = factor * mode[start : start + count].std()
        rest = rest + np.sign(mode) * np.maximum(np.abs(mode) - level, 0.0)
    return rest


def _sifted(x: Float[np.ndarray, " time"], siftings: int) -> Float[np.ndarray, " time"] | None:
    """The fastest mode of `x`; None where it has too few extrema for one."""
    mode = x
    for done in range(siftings):
        peaks, troughs = _extrema(mode)
        if len(peaks) + len(troughs) < FEWEST:
            return None if not done else mode
        mode = mode - _envelope_mean(mode, peaks, troughs)
    return mode


def _extrema(
    x: Float[np.ndarray, " time"],
) -> tuple[Int[np.ndarray, " peak"], Int[np.ndarray, " trough"]]:
    """Samples above, and below, both neighbours; of a flat top or bottom the middle."""
    change = np.diff(x)
    moves = np.flatnonzero(change)
    rising = change[moves] > 0
    turns = np.flatnonzero(rising[1:] != rising[:-1])
    # between the last move before a turn and the first one after it the signal stands still
    place = np.round((moves[turns] + 1 + moves[turns + 1]) / 2).astype(int)
    return place[rising[turns]], place[~rising[turns]]


def _envelope_mean(
    x: Float[np.ndarray, " time"],
    peaks: Int[np.ndarray, " peak"],
    troughs: Int[np.ndarray, " trough"],
) -> Float[np.ndarray, " time"]:
    """Mean of the splines through the peaks and through the troughs."""
    time = np.arange(len(x))
    before = _mirrored(x, peaks, troughs)
    last = len(x) - 1
    after = _mirrored(x[::-1], last - peaks[::-1], last - troughs[::-1])
    total = np.zeros(len(x))
    for inside, (t0, v0), (t1, v1) in zip((peaks, troughs), before, after, strict=True):
        place = np.concatenate([t0[::-1], inside, last - t1])
        value = np.concatenate([v0[::-1], x[inside], v1])
        place, once = np.unique(place, return_index=True)
        total += scipy.interpolate.CubicSpline(place, value[once])(time)
    return total / 2


Points = tuple[Int[np.ndarray, " _point"], Float[np.ndarray, " _point"]]


def _mirrored(
    x: Float[np.ndarray, " time"],
    peaks: Int[np.ndarray, " peak"],
    troughs: Int[np.ndarray, " trough"],
) -> tuple[Points, Points]:
    """Peaks and troughs that continue the signal before its first sample, nearest first.

    They are mirrored at the first extremum; or, where the first sample lies beyond the extremum
    that follows, at the first sample, which then counts as an extremum itself.
    """
    peak_first = peaks[0] < troughs[0]
    near, far = (peaks, troughs) if peak_first else (troughs, peaks)
    inside = x[0] > x[far[0]] if peak_first else x[0] < x[far[0]]
    axis = int(near[0]) if inside else 0
    if inside:
        mine, others = near[1 : MIRRORED + 1], far[:MIRRORED]
    else:
        mine, others = near[:MIRRORED], np.append(0, far[: MIRRORED - 1])
    mine, others = (m if len(m) else whole for m, whole in ((mine, near), (others, far)))
    if any(2 * axis - m[-1] > 0 for m in (mine, others)):  # they do not reach the beginning
        axis, mine, others = 0, near[:MIRRORED], far[:MIRRORED]
    points = [(2 * axis - m, x[m]) for m in (mine, others)]
    return (points[0], points[1]) if peak_first else (points[1], points[0])
