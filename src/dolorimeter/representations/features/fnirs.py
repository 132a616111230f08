"""Features of near-infrared spectroscopy, for every channel and pooled over channels.

References
----------
Naseer & Hong, fNIRS-based brain-computer interfaces: a review, Frontiers in Human Neuroscience
9:3, 2015 (mean, slope, peak as the usual features of haemoglobin).
Fernandez Rojas, Huang & Ou, A machine learning approach for the identification of a biomarker of
human pain using fNIRS, Scientific Reports 9:5645, 2019 (the same in pain).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _rows
from dolorimeter.representations.features._table import Feature, Table, in_order

FEATURES = (
    Feature("mean", "{unit}", "mean of the window", "Naseer & Hong 2015"),
    Feature("slope", "{unit}/s", "least-squares slope", "Naseer & Hong 2015", min_duration=2.0),
    Feature("peak", "{unit}", "largest sample", "Naseer & Hong 2015"),
    Feature(
        "time_to_peak",
        "s",
        "time from the start of the window to its largest sample",
        "Fernandez Rojas 2019",
        min_duration=2.0,
        undefined="the channel is flat",
    ),
    Feature("sd", "{unit}", "standard deviation (n) of the window", "Fernandez Rojas 2019"),
)


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each row, without missing samples.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Haemoglobin, optical density or intensity of one channel a row.
    sampling_rate : float
        Hertz.
    """
    reached = values.argmax(axis=1) / sampling_rate
    columns = {
        "mean": values.mean(axis=1),
        "slope": _rows.slope(values, sampling_rate),
        "peak": values.max(axis=1),
        "time_to_peak": np.where(_rows.is_flat(values), np.nan, reached),
        "sd": np.sqrt(np.square(_rows.centred(values)).mean(axis=1)),
    }
    return in_order(FEATURES, columns, values.shape[1] / sampling_rate, sampling_rate)


HAEMOGLOBIN = Table(
    "Haemoglobin", "fnirs_hbo, fnirs_hbr", "umol/L", FEATURES, features, pooled=True
)
OTHER = Table(
    "Near-infrared signals of another kind", "fnirs", None, FEATURES, features, pooled=True
)
