"""Features of the pulse wave.

References
----------
Allen, Photoplethysmography and its application in clinical physiological measurement,
Physiological Measurement 28:R1, 2007 (rate, amplitude, rise time).
Korhonen & Yli-Hankala, Photoplethysmography and nociception, Acta Anaesthesiologica Scandinavica
53:975, 2009 (the amplitude falls with pain: vasoconstriction).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _beats, _rows
from dolorimeter.representations.features._table import Feature, Table, any_within, in_order
from dolorimeter.signals.beats import ppg_beats

_TWO = _beats.undefined("two", "a third")
_THREE = _beats.undefined("three", "a third")

FEATURES = (
    Feature(
        "rate_mean",
        "1/min",
        "60 over the mean interval between systolic peaks",
        "Allen 2007",
        min_duration=3.0,
        min_sampling_rate=20.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_min",
        "1/min",
        "60 over the longest interval",
        "Allen 2007",
        min_duration=3.0,
        min_sampling_rate=20.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_max",
        "1/min",
        "60 over the shortest interval",
        "Allen 2007",
        min_duration=3.0,
        min_sampling_rate=20.0,
        undefined=_TWO,
    ),
    Feature(
        "rate_change",
        "1/min/s",
        "least-squares slope of 60/interval over the time of the closing beat",
        "Allen 2007",
        min_duration=5.0,
        min_sampling_rate=20.0,
        undefined=_THREE,
    ),
    Feature(
        "amplitude",
        "{unit}",
        "mean height of a systolic peak above the foot before it",
        "Allen 2007",
        min_duration=3.0,
        min_sampling_rate=20.0,
        undefined=_TWO,
    ),
    Feature(
        "amplitude_change",
        "{unit}/s",
        "least-squares slope of that height over the time of the peak",
        "Korhonen & Yli-Hankala 2009",
        min_duration=5.0,
        min_sampling_rate=20.0,
        undefined=_THREE,
    ),
    Feature(
        "rise_time",
        "s",
        "mean time from the foot to the peak",
        "Allen 2007",
        min_duration=3.0,
        min_sampling_rate=50.0,
        undefined=_TWO,
    ),
)


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window; NaN where its limits are not met.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Pulse wave of either polarity, without missing samples.
    sampling_rate : float
        Hertz.
    """
    duration = values.shape[1] / sampling_rate
    if not any_within(FEATURES, duration, sampling_rate):
        return np.full((len(values), len(FEATURES)), np.nan)
    peaks, sign = ppg_beats(values, sampling_rate)
    values = values * sign
    intervals, share = _beats.edited_intervals(peaks, sampling_rate)
    share[_beats.without_rhythm(values, peaks, sampling_rate)] = 1.0
    closing = _rows.padded(peaks, sampling_rate)[:, 1:]
    heights, rises = (
        _beats.trusted(found, share, _beats.MOST_FOR_RATE)
        for found in _beats.pulses(values, peaks)
    )
    columns = _beats.rates(closing, _beats.trusted(intervals, share, _beats.MOST_FOR_RATE)) | {
        "amplitude": _rows.mean(heights),
        "amplitude_change": _rows.trend(closing, heights),
        "rise_time": _rows.mean(rises) / sampling_rate,
    }
    return in_order(FEATURES, columns, duration, sampling_rate)


TABLE = Table("Pulse wave", "ppg", None, FEATURES, features)
