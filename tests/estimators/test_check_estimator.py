"""scikit-learn's own checks, with what we do not pass listed by name and reason.

Estimators that need groups are given some by a subclass, since the checks know of none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import _num_samples

from dolorimeter.estimators import (
    ConformalClassifier,
    ConformalRegressor,
    NetworkClassifier,
    OrdinalLogistic,
    SubjectSearch,
    TemperatureCalibrated,
)
from dolorimeter.estimators._empty import EmptyColumnsToZero

CHECKED = {
    "check_do_not_raise_errors_in_init_or_set_params": "the type checker of these tests sees to "
    "__init__; without it nothing is refused before fit"
}
ONE_CLASS = CHECKED | {
    "check_classifiers_one_label": "one class is refused with our TrainingError",
    "check_fit2d_1sample": "one row is refused with an error of ours",
}
ONE_ROW = CHECKED | {"check_fit2d_1sample": "one row is refused with an error of ours"}


class GroupedTemperature(TemperatureCalibrated):
    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(X, y, groups=np.arange(_num_samples(X)) % 5)


class GroupedSets(ConformalClassifier):
    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(X, y, groups=np.arange(_num_samples(X)) % 10)


class GroupedIntervals(ConformalRegressor):
    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(X, y, groups=np.arange(_num_samples(X)) % 10)


class GroupedSearch(SubjectSearch):
    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(X, y, groups=np.arange(_num_samples(X)) % 5)


CASES = {
    "ordinal": (
        OrdinalLogistic(),
        ONE_CLASS | {"check_classifiers_classes": "the order of levels with names must be given"},
    ),
    "empty_columns": (EmptyColumnsToZero(), {}),
    "network": (
        NetworkClassifier(
            "perceptron",
            early_stopping=False,
            epochs=8,
            batch_size=16,
            learning_rate=3e-2,
            learning_rate_drops=(),
            threads=1,
        ),
        ONE_CLASS,
    ),
    "temperature": (GroupedTemperature(GaussianNB(), n_splits=2), ONE_CLASS),
    "sets": (GroupedSets(GaussianNB(), n_splits=2), ONE_ROW),
    "intervals": (GroupedIntervals(Ridge(), n_splits=2), ONE_ROW),
    "search": (
        GroupedSearch(GaussianNB(), {"var_smoothing": [1e-9, 1e-6]}, n_splits=2),
        ONE_ROW | ONE_CLASS,
    ),
}


SLOW = [pytest.mark.extra("deep"), pytest.mark.long]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=SLOW if name == "network" else []) for name in sorted(CASES)],
)
def test_check_estimator(name: str) -> None:
    estimator, expected = CASES[name]
    results = check_estimator(
        estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
    )
    failed = {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"}
    assert failed == {}
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(expected)
