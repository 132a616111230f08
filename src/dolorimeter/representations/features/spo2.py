"""Features of oxygen saturation, a fraction.

References
----------
Jubran, Pulse oximetry, Critical Care 19:272, 2015 (hypoxaemia: saturation below 90 %).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _levels
from dolorimeter.representations.features._table import Feature, Table, in_order

HYPOXAEMIA = 0.90
"""Saturation below which blood is short of oxygen (Jubran 2015)."""

FEATURES = (
    *_levels.FEATURES,
    Feature(
        "time_below_90",
        "s",
        "time with a saturation below 0.90",
        "Jubran 2015",
        absolute_threshold=True,
    ),
)


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window of saturation as a fraction."""
    columns = _levels.columns(values, sampling_rate)
    columns["time_below_90"] = (values < HYPOXAEMIA).sum(axis=1) / sampling_rate
    return in_order(FEATURES, columns, values.shape[1] / sampling_rate, sampling_rate)


TABLE = Table("Oxygen saturation", "spo2", "1", FEATURES, features)
