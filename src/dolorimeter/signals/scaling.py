"""Scaling of one window by itself, with a floor under its range.

References
----------
Nguyen et al., PeerJ Computer Science 11:e3158 (2025), equation 5 (its text calls it a z-score).
The floors are ours: what a range must reach before it can be anything but noise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError

NOISE: Mapping[str, tuple[float, str]] = {
    "eda": (1e-8, "S"),
    "ecg": (3e-5, "V"),
    "emg_trapezius": (1e-5, "V"),
    "emg_corrugator": (1e-5, "V"),
    "emg_zygomaticus": (1e-5, "V"),
}
"""Range of a signal that shows nothing, from lowest to highest sample, and its unit.

EDA: the least response that is counted (0.01 µS; Boucsein et al., Psychophysiology 49:1017, 2012).
ECG: noise that a recorder may have (30 µV, IEC 60601-2-25). EMG: 10 µV, about five times the 2 µV
of a good amplifier with electrodes."""


def window_minmax(
    x: Float[np.ndarray, "*batch time"], floor: float = 0.0
) -> tuple[Float[np.ndarray, "*batch time"], Bool[np.ndarray, "*batch"]]:
    """Each row to −1…1: ``2 (x − min) / (max − min) − 1``.

    Parameters
    ----------
    x : Float[np.ndarray, "*batch time"]
        Missing samples are NaN and stay so.
    floor : float
        Least range, in the unit of `x`. A row that moves less keeps the middle of its range at 0
        and is divided by the floor in the place of its range, so that noise stays small.

    Returns
    -------
    (scaled, floored)
        A constant row becomes zeros. `floored` tells which rows moved less than the floor, or not.

    Raises
    ------
    SignalError
        If the floor is below 0 or not finite.

    Examples
    --------
    >>> window_minmax(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))[0].tolist()
    [[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    if not 0 <= floor < np.inf:
        raise SignalError(f"the floor of a range is {floor:g}, expected 0 or more.")
    known = np.isfinite(x)
    low = np.where(known, x, np.inf).min(axis=-1, keepdims=True)
    high = np.where(known, x, -np.inf).max(axis=-1, keepdims=True)
    low, high = (np.where(np.isfinite(v), v, 0.0) for v in (low, high))
    spread = high - low
    # what is left of a constant after arithmetic is no range
    still = spread <= 1e-12 * np.maximum(np.abs(low), np.abs(high))
    small = still | (spread < floor)
    span = np.where(still, 1.0, np.maximum(spread, floor))
    scaled = 2 * (x - (low + high) / 2) / span
    return np.where(still & known, 0.0, scaled), small[..., 0]
