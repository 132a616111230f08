"""Breathing: the top of each inspiration.

References
----------
Khodadad et al., Physiol. Meas. 39:094001 (2018): extremes between zero crossings, small ones
dropped. Ours takes prominence against the window's own typical breath.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Float, Int

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import design, zero_phase
from dolorimeter.signals.gaps import bridge

BAND = (0.05, 3.0)
"""Hertz: 3 to 180 breaths a minute."""

_SHORTEST = 1.0  # seconds between breaths
_SHALLOW = 0.3  # of the typical depth: what is shallower is not a breath


def breath_peaks(
    resp: Float[np.ndarray, "window time"], sampling_rate: float
) -> list[Int[np.ndarray, "_"]]:
    """Sample index of the end of each inspiration (highest point of a breath), per window.

    Parameters
    ----------
    resp : Float[np.ndarray, "window time"]
        Any unit, rising with inspiration. No peak is reported inside a gap.
    sampling_rate : float
        Hertz, above 0.2; above 6 the signal is band-limited to 0.05–3 Hz, below high-passed.

    Raises
    ------
    SignalError
        If the window is too short for the filter.
    """
    if sampling_rate <= 4 * BAND[0]:
        raise SignalError(
            f"breaths asked of a signal at {sampling_rate:g} Hz, expected above "
            f"{4 * BAND[0]:g} Hz."
        )
    filled, missing = bridge(resp)
    if sampling_rate > 2 * BAND[1]:
        sos = design("bandpass", BAND, sampling_rate, 2)
    else:
        sos = design("highpass", BAND[0], sampling_rate, 2)
    clean = zero_phase(filled, sos)
    distance = max(1, round(_SHORTEST * sampling_rate))
    peaks = []
    for row, gap in zip(clean, missing, strict=True):
        found, facts = scipy.signal.find_peaks(row, distance=distance, prominence=0.0)
        depth = facts["prominences"]
        if found.size:
            typical = np.quantile(row, 0.9) - np.quantile(row, 0.1)
            found = found[(depth >= _SHALLOW * typical) & (depth > _rounding(filled))]
        peaks.append(found[~gap[found]])
    return peaks


def _rounding(x: np.ndarray) -> float:
    """Depth that rounding alone can leave of a constant signal."""
    return float(1e-9 * np.abs(x).max())
