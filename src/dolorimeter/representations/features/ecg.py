"""Features of the electrocardiogram: rate, and variability where the window is long enough.

References
----------
Task Force of the ESC and NASPE, Heart rate variability, Circulation 93:1043, 1996.
Salahuddin et al., Ultra short term analysis of heart rate variability, IEEE EMBC 2007.
Munoz et al., Validity of (ultra-)short recordings for heart rate variability measurements, PLoS
ONE 10:e0138921, 2015.
Shaffer & Ginsberg, An overview of heart rate variability metrics and norms, Frontiers in Public
Health 5:258, 2017.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _beats, _rows
from dolorimeter.representations.features._table import Feature, Table, any_within, in_order
from dolorimeter.signals.beats import r_peaks

_TWO = _beats.undefined("two", "a third")
_THREE = _beats.undefined("three", "a third")
_NORMAL = _beats.undefined("three", "a fifth")

FEATURES = (
    Feature(
        "rate_mean",
        "1/min",
        "60 over the mean interval between R-peaks",
        "Task Force 1996",
        min_duration=3.0,
        min_sampling_rate=50.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_min",
        "1/min",
        "60 over the longest interval",
        "Task Force 1996",
        min_duration=3.0,
        min_sampling_rate=50.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_max",
        "1/min",
        "60 over the shortest interval",
        "Task Force 1996",
        min_duration=3.0,
        min_sampling_rate=50.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_change",
        "1/min/s",
        "least-squares slope of 60/interval over the time of the closing beat",
        "Walter et al. 2014 (slope of RR in pain windows)",
        min_duration=5.0,
        min_sampling_rate=50.0,
        undefined=_THREE,
    ),
    Feature(
        "rmssd",
        "ms",
        "root of the mean squared difference of successive intervals",
        "Task Force 1996; 10 s: Munoz et al. 2015",
        min_duration=10.0,
        min_sampling_rate=250.0,
        undefined=_NORMAL,
    ),
    Feature(
        "sdnn",
        "ms",
        "standard deviation (n − 1) of the intervals",
        "Task Force 1996; 30 s: Munoz et al. 2015",
        min_duration=30.0,
        min_sampling_rate=250.0,
        undefined=_NORMAL,
    ),
    Feature(
        "pnn50",
        "1",
        "share of successive interval differences above 50 ms",
        "Task Force 1996; 60 s: Salahuddin et al. 2007, Shaffer & Ginsberg 2017",
        min_duration=60.0,
        min_sampling_rate=250.0,
        undefined=_NORMAL,
    ),
)
"""250 Hz for variability: Task Force 1996. A slower clock rounds every difference."""


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window; NaN where its limits are not met.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Electrocardiogram in any unit and of either polarity, without missing samples.
    sampling_rate : float
        Hertz.
    """
    duration = values.shape[1] / sampling_rate
    if not any_within(FEATURES, duration, sampling_rate):
        return np.full((len(values), len(FEATURES)), np.nan)
    peaks = r_peaks(values, sampling_rate)
    intervals, share = _beats.edited_intervals(peaks, sampling_rate)
    share[_beats.without_rhythm(values, peaks, sampling_rate)] = 1.0
    closing = _rows.padded(peaks, sampling_rate)[:, 1:]
    columns = _beats.rates(closing, _beats.trusted(intervals, share, _beats.MOST_FOR_RATE))
    columns |= variability(_beats.trusted(intervals, share, _beats.MOST_FOR_VARIABILITY))
    return in_order(FEATURES, columns, duration, sampling_rate)


def variability(
    rr: Float[np.ndarray, "window interval"],
) -> dict[str, Float[np.ndarray, " window"]]:
    """RMSSD and SDNN in milliseconds and pNN50, from intervals in seconds padded with NaN."""
    steps = np.diff(rr, axis=1)
    known = np.isfinite(rr)
    count = known.sum(axis=1).astype(float)
    around = np.where(known, rr - _rows.mean(rr)[:, None], 0.0)
    variance = _rows.ratio(np.square(around).sum(axis=1), count - 1)
    beyond = np.where(np.isfinite(steps), (np.abs(steps) > 0.050).astype(float), np.nan)
    return {
        "rmssd": 1e3 * np.sqrt(_rows.mean(np.square(steps))),
        "sdnn": 1e3 * np.sqrt(np.where(count > 1, variance, np.nan)),
        "pnn50": _rows.mean(beyond),
    }


TABLE = Table("Electrocardiogram", "ecg", None, FEATURES, features)
