"""A feature as the score: what a signal tells without any model of it."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval

from dolorimeter.errors import TrainingError
from dolorimeter.estimators._shallow import factory


class FeatureScore(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Probability of class 1 that rises with one feature; nothing is learnt but the class names.

    With d = x − threshold the probability is ``½ + ½ · d / (|d| + scale)``: strictly rising, so
    that the ROC curve is the feature's own. It is a score, not a calibrated probability.

    Parameters
    ----------
    feature : int
        Column.
    threshold : float
        Value of the feature at which the probability is one half, in the feature's unit.
    scale : float
        Distance from the threshold at which it is three quarters, in the feature's unit.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "feature": [Interval(Integral, 0, None, closed="left")],
        "threshold": [Interval(Real, None, None, closed="neither")],
        "scale": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, feature: int = 0, threshold: float = 0.0, scale: float = 1.0) -> None:
        self.feature = feature
        self.threshold = threshold
        self.scale = scale

    def fit(self, X: Any, y: Any) -> FeatureScore:
        """Note the two classes and the number of features.

        Raises
        ------
        TrainingError
            If there are not two classes, or the column does not exist.
        """
        self.classes_ = np.unique(y)
        self.n_features_in_ = np.shape(X)[1]
        if len(self.classes_) != 2:
            raise TrainingError(
                f"feature_score tells two classes apart, found {len(self.classes_)}: name two."
            )
        if not 0 <= self.feature < self.n_features_in_:
            raise TrainingError(
                f"feature_score: column {self.feature} of a table with {self.n_features_in_}."
            )
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window 2"]:
        """Score of class 0 and class 1 of each window; NaN where the feature is missing."""
        distance = np.asarray(X, dtype=float)[:, self.feature] - self.threshold
        high = 0.5 + 0.5 * distance / (np.abs(distance) + self.scale)
        return np.stack([1 - high, high], axis=1)

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"] | Int[np.ndarray, " window"]:
        """The class on whose side of the threshold the feature lies."""
        chosen: Shaped[np.ndarray, " window"] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return chosen


@factory("One feature as the score of the second of two classes; nothing is fitted.")
def feature_score(*, feature: int = 0, threshold: float = 0.0, scale: float = 1.0) -> Any:
    """A feature as the score; `threshold` and `scale` are in the feature's unit."""
    return FeatureScore(feature, threshold, scale)
