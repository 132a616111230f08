"""Features of breathing.

References
----------
Khodadad et al., Optimized breath detection algorithm in electrical impedance tomography,
Physiological Measurement 39:094001, 2018 (breaths from extremes).
Jafari et al., Pain and respiration: a systematic review, Pain 158:995, 2017 (rate, depth and the
share of inspiration change with pain).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _beats, _rows
from dolorimeter.representations.features._table import Feature, Table, any_within, in_order
from dolorimeter.signals.filters import design, zero_phase
from dolorimeter.signals.respiration import BAND, breath_peaks

_TWO = "fewer than two breaths were found"

FEATURES = (
    Feature("range", "{unit}", "largest minus smallest sample", "Jafari 2017"),
    Feature(
        "rate",
        "1/min",
        "60 over the mean interval between ends of inspiration",
        "Khodadad 2018",
        min_duration=10.0,
        min_sampling_rate=4.0,
        undefined=_TWO,
    ),
    Feature(
        "amplitude",
        "{unit}",
        "mean height of an end of inspiration above the lowest point before it (below 3 Hz)",
        "Jafari 2017",
        min_duration=10.0,
        min_sampling_rate=4.0,
        undefined=_TWO,
    ),
    Feature(
        "inspiration_to_expiration",
        "1",
        "mean time from lowest to highest point over mean time back (below 3 Hz)",
        "Jafari 2017",
        min_duration=10.0,
        min_sampling_rate=4.0,
        undefined=_TWO,
    ),
)
"""Ten seconds hold two breaths at twelve a minute, the low end of rest."""


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window; NaN where its limits are not met.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Belt or flow-volume signal rising with inspiration, without missing samples.
    sampling_rate : float
        Hertz.
    """
    duration = values.shape[1] / sampling_rate
    columns = dict.fromkeys((f.name for f in FEATURES), np.full(len(values), np.nan))
    columns["range"] = values.max(axis=1) - values.min(axis=1)
    if any_within(FEATURES[1:], duration, sampling_rate):
        columns |= _breaths(values, sampling_rate)
    return in_order(FEATURES, columns, duration, sampling_rate)


def _breaths(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> dict[str, Float[np.ndarray, " window"]]:
    peaks = breath_peaks(values, sampling_rate)
    smooth = values
    if sampling_rate > 2 * BAND[1]:
        smooth = zero_phase(values, design("lowpass", BAND[1], sampling_rate, 2))
    heights, rises = _beats.pulses(smooth, peaks)
    between = np.diff(_rows.padded(peaks, sampling_rate), axis=1)
    inspiration = _rows.mean(rises) / sampling_rate
    return {
        "rate": 60.0 / _rows.mean(between),
        "amplitude": _rows.mean(heights),
        "inspiration_to_expiration": _rows.ratio(inspiration, _rows.mean(between) - inspiration),
    }


TABLE = Table("Breathing", "resp", None, FEATURES, features)
