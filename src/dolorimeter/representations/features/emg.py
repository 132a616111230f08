"""Features of the electromyogram, raw or rectified.

References
----------
Hudgins, Parker & Scott, A new strategy for multifunction myoelectric control, IEEE TBME 40:82,
1993 (mean absolute value, waveform length, zero crossings, slope sign changes).
Phinyomark, Phukpattaraphont & Limsakul, Feature reduction and selection for EMG signal
classification, Expert Systems with Applications 39:7420, 2012 (definitions).
De Luca et al., Filtering the surface EMG signal: movement artifact and baseline noise
contamination, Journal of Biomechanics 43:1573, 2010 (20 Hz corner).
Hodges & Bui, A comparison of computer-based methods for the determination of onset of muscle
contraction using electromyography, Electroencephalography and Clinical Neurophysiology 101:511,
1996 (bursts as amplitude above baseline).
Merletti & Di Torino, Standards for reporting EMG data, Journal of Electromyography and
Kinesiology 9:III, 1999 (what a rate must cover).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _rows
from dolorimeter.representations.features._table import Feature, Table, any_within, in_order
from dolorimeter.signals.emg import burst_mask, envelope

LOWEST = 20.0
"""Hertz. Below it lie movement and baseline noise (De Luca et al. 2010)."""

_RATE = 500.0
"""Hertz. Surface EMG has most of its power at 50–150 Hz and little above 250 Hz."""

FEATURES = (
    Feature("rms", "{unit}", "root mean square of the window without its mean", "Phinyomark 2012"),
    Feature("mav", "{unit}", "mean magnitude of the window without its mean", "Hudgins 1993"),
    Feature("peak", "{unit}", "largest magnitude of the window without its mean", "Walter 2014"),
    Feature(
        "slope",
        "{unit}/s",
        "least-squares slope of that magnitude",
        "Walter 2014",
        min_duration=0.5,
    ),
    Feature(
        "waveform_length",
        "{unit}/s",
        "summed magnitude of the steps between samples, a second",
        "Hudgins 1993",
    ),
    Feature(
        "zero_crossings",
        "1/s",
        "changes of sign of the window without its mean, a second",
        "Hudgins 1993",
        min_sampling_rate=_RATE,
    ),
    Feature(
        "slope_sign_changes",
        "1/s",
        "changes of sign of the step between samples, a second",
        "Hudgins 1993",
        min_sampling_rate=_RATE,
    ),
    Feature(
        "spectral_centroid",
        "Hz",
        "power-weighted mean frequency above 20 Hz (one Hann window)",
        "Phinyomark 2012; 20 Hz: De Luca 2010",
        min_duration=0.5,
        min_sampling_rate=_RATE,
        undefined="the window has no power above 20 Hz",
    ),
    Feature(
        "median_frequency",
        "Hz",
        "frequency that halves the power above 20 Hz (one Hann window)",
        "Phinyomark 2012; 20 Hz: De Luca 2010",
        min_duration=0.5,
        min_sampling_rate=_RATE,
        undefined="the window has no power above 20 Hz",
    ),
    Feature(
        "burst_count",
        "1",
        "stretches of 50 ms or more in which the 0.1 s envelope is 3 robust standard deviations "
        "above the window's median",
        "Hodges & Bui 1996",
        min_duration=1.0,
        min_sampling_rate=50.0,
    ),
    Feature(
        "burst_duration",
        "s",
        "total length of those stretches",
        "Hodges & Bui 1996",
        min_duration=1.0,
        min_sampling_rate=50.0,
    ),
)

_SPECTRAL = ("zero_crossings", "slope_sign_changes", "spectral_centroid", "median_frequency")

_RECTIFIED = {
    "rms": "root of the mean signed square, with its sign: the root mean square of a rectified "
    "window, negative where a baseline was subtracted and the muscle relaxes below it",
    "mav": "mean of the window, negative below a baseline",
    "peak": "sample of the largest magnitude, with its sign",
    "slope": "least-squares slope",
    "burst_count": "stretches of 50 ms or more in which the signed 0.1 s envelope is 3 robust "
    "standard deviations above the window's median",
}

RECTIFIED_FEATURES = tuple(
    dataclasses.replace(f, refused="a rectified signal has no spectrum of the muscle any more")
    if f.name in _SPECTRAL
    else dataclasses.replace(f, definition=_RECTIFIED.get(f.name, f.definition))
    for f in FEATURES
)
"""The same columns for a signal that was rectified before: spectra refused, mean and sign kept."""


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window; NaN where its limits are not met.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Raw electromyogram, without missing samples. It is not filtered here: drift and mains
        belong to preprocessing.
    sampling_rate : float
        Hertz.
    """
    duration = values.shape[1] / sampling_rate
    signal = _rows.centred(values)
    columns = amplitudes(signal, sampling_rate)
    columns |= {
        "zero_crossings": sign_changes(signal) / duration,
        "slope_sign_changes": sign_changes(np.diff(signal, axis=1)) / duration,
        **spectrum(signal, sampling_rate),
    }
    columns |= bursts(signal, sampling_rate)
    return in_order(FEATURES, columns, duration, sampling_rate)


def rectified_features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `RECTIFIED_FEATURES` for each window of an already rectified signal.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Rectified electromyogram or its envelope, without missing samples. Below zero where a
        baseline was subtracted and the muscle is more relaxed than in it: no feature rectifies
        again.
    sampling_rate : float
        Hertz.
    """
    rows = np.arange(len(values))
    power = (values * np.abs(values)).mean(axis=1)
    columns = {
        "rms": np.sign(power) * np.sqrt(np.abs(power)),
        "mav": values.mean(axis=1),
        "peak": values[rows, np.abs(values).argmax(axis=1)],
        "slope": _rows.slope(values, sampling_rate),
        "waveform_length": waveform_length(values, sampling_rate),
    }
    columns |= bursts(values, sampling_rate, signed=True)
    duration = values.shape[1] / sampling_rate
    return in_order(RECTIFIED_FEATURES, columns, duration, sampling_rate)


def amplitudes(
    signal: Float[np.ndarray, "window time"], sampling_rate: float
) -> dict[str, Float[np.ndarray, " window"]]:
    """Root mean square, mean and largest magnitude, its slope, and waveform length a second."""
    magnitude = np.abs(signal)
    return {
        "rms": np.sqrt(np.square(signal).mean(axis=1)),
        "mav": magnitude.mean(axis=1),
        "peak": magnitude.max(axis=1),
        "slope": _rows.slope(magnitude, sampling_rate),
        "waveform_length": waveform_length(signal, sampling_rate),
    }


def waveform_length(
    signal: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, " window"]:
    """Sum of the absolute differences of neighbouring samples, per second."""
    steps = np.abs(np.diff(signal, axis=1))
    return np.asarray(steps.sum(axis=1) * (sampling_rate / signal.shape[1]))


def sign_changes(signal: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """How often each row changes from below zero to zero or above, or back."""
    above = signal >= 0
    changes = above[:, 1:] != above[:, :-1]
    return changes.sum(axis=1).astype(float)


def spectrum(
    signal: Float[np.ndarray, "window time"], sampling_rate: float
) -> dict[str, Float[np.ndarray, " window"]]:
    """Centroid and median of the power above `LOWEST`, in hertz; NaN without power.

    A window that is too short or too slow for them costs nothing and gives NaN.
    """
    samples = signal.shape[1]
    spectral = tuple(f for f in FEATURES if f.unit == "Hz")
    if not any_within(spectral, samples / sampling_rate, sampling_rate):
        unknown = np.full(len(signal), np.nan)
        return {"spectral_centroid": unknown, "median_frequency": unknown}
    frequency = np.fft.rfftfreq(samples, 1 / sampling_rate)
    kept = frequency >= LOWEST
    amplitude = np.fft.rfft(signal * np.hanning(samples), axis=1)[:, kept]
    power = np.square(amplitude.real) + np.square(amplitude.imag)
    frequency = frequency[kept]
    total = power.sum(axis=1)
    return {
        "spectral_centroid": _rows.ratio((power * frequency).sum(axis=1), total),
        "median_frequency": _median(power, frequency, total),
    }


def bursts(
    signal: Float[np.ndarray, "window time"], sampling_rate: float, signed: bool = False
) -> dict[str, Float[np.ndarray, " window"]]:
    """Number and total length of the stretches in which the muscle stands out of its rest."""
    duration = signal.shape[1] / sampling_rate
    if not any_within(FEATURES[-2:], duration, sampling_rate):
        unknown = np.full(len(signal), np.nan)
        return {"burst_count": unknown, "burst_duration": unknown}
    active = burst_mask(envelope(signal, sampling_rate, signed=signed), sampling_rate)
    starts = active[:, 0].astype(float) + (active[:, 1:] & ~active[:, :-1]).sum(axis=1)
    return {"burst_count": starts, "burst_duration": active.sum(axis=1) / sampling_rate}


def _median(
    power: Float[np.ndarray, "window frequency"],
    frequency: Float[np.ndarray, " frequency"],
    total: Float[np.ndarray, " window"],
) -> Float[np.ndarray, " window"]:
    """First frequency up to which half of the power lies."""
    below = np.cumsum(power, axis=1) < total[:, None] / 2
    position = np.minimum(below.sum(axis=1), power.shape[1] - 1)
    return np.where(total > 0, frequency[position], np.nan)


RECTIFIED_TABLE = Table(
    "Rectified electromyogram", "emg_*_rectified", "uV", RECTIFIED_FEATURES, rectified_features
)
TABLE = Table("Electromyogram", "emg, emg_*", "uV", FEATURES, features, rectified=RECTIFIED_TABLE)
