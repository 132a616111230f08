"""Features that no training row has."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class EmptyColumnsToZero(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Columns without any value among the training rows become 0; all others stay as they are.

    scikit-learn's histogram boosting takes missing values, and fails on a column of nothing else.

    Attributes
    ----------
    empty_ : bool array
        Which columns those are.
    """

    def fit(self, X: Any, y: Any = None) -> EmptyColumnsToZero:  # noqa: ARG002
        """Note which columns have no value."""
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        self.empty_ = np.isnan(X).all(axis=0)
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "window feature"]:
        """The table with those columns set to 0."""
        check_is_fitted(self)
        X = validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False, copy=True
        )
        X[:, self.empty_] = 0.0
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
