"""Whether a stretch of signal can be believed: one score, and the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.beats import LEAST_COVERED, covered_share, ppg_beats, r_peaks
from dolorimeter.signals.quality import (
    NEVER_CLIPPED,
    clipped_samples,
    flat_share,
    good_share,
    missing_share,
    shares,
    template_quality,
)
from dolorimeter.types import Signal

LONGEST_STILL: Mapping[str, float] = {
    "ecg": 1.0,
    "emg_trapezius": 0.25,
    "emg_corrugator": 0.25,
    "emg_zygomaticus": 0.25,
    "ppg": 1.0,
    "resp": 2.0,
    "eda": 5.0,
    "spo2": 10.0,
    "fnirs": 2.0,
    "fnirs_hbo": 2.0,
    "fnirs_hbr": 2.0,
}
"""Seconds that a working sensor of this modality may show one unchanging value. Oxygen saturation
and conductance move slowly and are rounded. What is not listed (temperature, ratings, the heater)
may stand still for ever."""

SKIN = (0.05e-6, 60e-6)
"""Siemens that skin can have; outside, the electrode has no contact or a short (Kleckner et al.,
IEEE Trans. Biomed. Eng. 65:1460, 2018). Only asked where the unit is confirmed."""

NO_SKIN = 100e-6
"""Siemens that no skin reaches: a median above it means another unit rather than a short."""

PLAUSIBLE: Mapping[str, tuple[float, float, str]] = {
    "ecg": (20e-6, 20e-3, "V"),
    "emg_trapezius": (0.1e-6, 20e-3, "V"),
    "emg_corrugator": (0.1e-6, 20e-3, "V"),
    "emg_zygomaticus": (0.1e-6, 20e-3, "V"),
}
"""Smallest and largest swing (99th minus 1st percentile) that a body gives in this unit: outside,
the unit is not what it was said to be. Only asked where the unit is confirmed."""

BODY: Mapping[str, tuple[float, float, str]] = {
    "temperature": (15.0, 45.0, "degC"),
    "spo2": (0.3, 1.0, "1"),
    "hr": (20.0, 250.0, "1/min"),
}
"""Smallest and largest value that a body gives."""

_NOTICEABLE = 0.05  # share from which a fault is named as a reason
_UNLIKE = 0.6  # Orphanidou et al. 2015 accept beats that correlate above 0.66 (ECG), 0.86 (pulse)
_FEW_BEATS = "fewer than three whole beats detected"
_NO_RHYTHM = "no heart rhythm between 20 and 300 per minute detected"


@dataclass(frozen=True)
class Quality:
    """Quality of one stretch of one signal.

    Parameters
    ----------
    score : float
        From 0 (unusable) to 1: the share of samples that are present, moving and unclipped, and
        for ECG and pulse that share times how alike the beats are, for skin conductance times
        the share that skin can have. 0 where no body gives such values in the stated unit.
    flat, clipped, missing : float
        Shares of samples, the mean over channels.
    reasons : tuple of str
        What lowered the score, in words; empty for a good one.
    inverted : bool
        Whether a pulse wave points downwards; features turn it upright, and the score does not
        depend on it.
    """

    score: float
    flat: float
    clipped: float
    missing: float
    reasons: tuple[str, ...] = ()
    inverted: bool = False


def window_quality(signal: Signal, modality: str) -> Quality:
    """Quality of a signal, usually cropped to a window.

    Parameters
    ----------
    signal : Signal
        At least one sample.
    modality : str
        The field's name (``eda``, ``ecg`` …): decides how long a signal may stand still, and
        whether beats are looked for.

    Raises
    ------
    SignalError
        If the signal is empty or holds infinite samples.
    """
    values = signal.values
    if not values.size:
        raise SignalError(f"the quality of {modality} was asked of no samples at all.")
    missing = float(missing_share(values).mean())
    if missing == 1.0:
        return Quality(0.0, 0.0, 0.0, 1.0, ("every sample is missing",))
    if wrong := _implausible(signal, modality):
        return Quality(0.0, 0.0, 0.0, missing, (wrong,))
    still = LONGEST_STILL.get(modality)
    span = None if still is None else min(still, signal.duration)
    flat = 0.0
    if span is not None:
        flat = float(flat_share(values, signal.sampling_rate, span).mean())
    clipped, cut = 0.0, None
    if modality in LONGEST_STILL and modality not in NEVER_CLIPPED:
        cut = clipped_samples(values)
        clipped = float(shares(cut, ~np.isnan(values)).mean())
    reasons = [
        f"{share:.0%} of samples {what}"
        for share, what in ((missing, "missing"), (flat, "flat"), (clipped, "clipped"))
        if share >= _NOTICEABLE
    ]
    score = float(good_share(values, signal.sampling_rate, span, cut).mean())
    if modality == "eda" and signal.unit == "S" and signal.unit_confirmed:
        score *= 1 - _without_contact(values, reasons)
    inverted = False
    if modality in ("ecg", "ppg") and flat < 1.0:
        alike, inverted = _beats(signal, modality, reasons)
        score *= alike
    return Quality(score, flat, clipped, missing, tuple(reasons), inverted)


def _implausible(signal: Signal, name: str) -> str:
    """Why no body gives such a signal in its unit; empty where one could."""
    if not signal.unit_confirmed:
        return ""
    known = signal.values[np.isfinite(signal.values)]
    if not known.size:
        return ""
    if name in PLAUSIBLE and signal.unit == PLAUSIBLE[name][2]:
        low, high, unit = PLAUSIBLE[name]
        swing = float(np.subtract(*np.percentile(known, [99, 1])))
        if swing and not low <= swing <= high:
            return (
                f"swings by {swing:.2g} {unit}, which no body gives: the unit is wrong, or there "
                "is no contact"
            )
    if name in BODY and signal.unit == BODY[name][2]:
        low, high, unit = BODY[name]
        middle = float(np.median(known))
        if not low <= middle <= high:
            return f"is at {middle:.3g} {unit}, which no body gives: the unit is wrong"
    return ""


def _without_contact(values: Float[np.ndarray, "channel time"], reasons: list[str]) -> float:
    """Share of the samples that are there which no skin can give."""
    known = ~np.isnan(values)
    share = float(((values < SKIN[0]) | (values > SKIN[1])).sum() / known.sum())
    if share >= _NOTICEABLE:
        reason = f"{share:.0%} of samples outside 0.05–60 µS: no contact with the skin"
        if np.nanmedian(values) > NO_SKIN:
            reason += ", or the unit is wrong"
        reasons.append(reason)
    return share


def _beats(signal: Signal, modality: str, reasons: list[str]) -> tuple[float, bool]:
    """How alike the beats are, and whether a pulse points downwards.

    1 and False where the signal is too slow or too short to tell.
    """
    lowest = 50.0 if modality == "ecg" else 20.0
    if signal.sampling_rate < lowest or signal.duration < 3.0:
        return 1.0, False
    inverted = False
    if modality == "ecg":
        peaks = r_peaks(signal.values, signal.sampling_rate)
    else:
        peaks, sign = ppg_beats(signal.values, signal.sampling_rate)
        inverted = bool((sign < 0).any())
    covered = covered_share(peaks, signal.sampling_rate, signal.values.shape[1])
    if covered.mean() < LEAST_COVERED:
        reasons.append(_NO_RHYTHM)
        return 0.0, False
    alike = template_quality(signal.values, peaks, signal.sampling_rate)
    known = np.isfinite(alike)
    if not known.any():
        reasons.append(_FEW_BEATS)
        return 0.5, inverted
    mean = float(alike[known].mean())
    if mean < _UNLIKE:
        reasons.append(f"beats differ from each other (mean correlation {mean:.2f})")
    return mean, inverted
