"""Mean, extremes and slope of slow quantities that are already numbers.

References
----------
Gruss et al., Pain intensity recognition rates via biopotential feature patterns with support
vector machines, PLoS ONE 10:e0140330, 2015 (mean, range and trend as pain features).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _rows
from dolorimeter.representations.features._table import Feature, in_order

FEATURES = (
    Feature("mean", "{unit}", "mean of the window", "Gruss 2015"),
    Feature("min", "{unit}", "smallest sample", "Gruss 2015"),
    Feature("max", "{unit}", "largest sample", "Gruss 2015"),
    Feature("slope", "{unit}/s", "least-squares slope", "Gruss 2015", min_duration=2.0),
)


def columns(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> dict[str, Float[np.ndarray, " window"]]:
    """Mean, least and greatest sample and slope of each row, without missing samples."""
    return {
        "mean": values.mean(axis=1),
        "min": values.min(axis=1),
        "max": values.max(axis=1),
        "slope": _rows.slope(values, sampling_rate),
    }


def features(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window."""
    duration = values.shape[1] / sampling_rate
    return in_order(FEATURES, columns(values, sampling_rate), duration, sampling_rate)
