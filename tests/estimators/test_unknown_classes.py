"""Classes that an inner fold lacks, scores that are not defined, and class weights from TOML."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators import SubjectSearch, TemperatureCalibrated, notes_of
from dolorimeter.estimators._inner import class_weights, prior_of


def noisy(subjects: int = 20, windows: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two classes that overlap, both in every subject."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], subjects * windows // 2)
    x = rng.normal(size=(len(y), 2)) + 1.2 * y[:, None]
    return x, y, np.repeat(np.arange(subjects), windows)


def test_a_class_of_one_subject_leaves_the_temperature_alone() -> None:
    """Three of 400 windows took it from 0.95 to its bound, 100, and the mean certainty to 0.34."""
    x, y, groups = noisy()
    plain = TemperatureCalibrated(LogisticRegression()).fit(x, y, groups=groups)
    rare = y.copy()
    rare[:3] = 2  # of the first subject only
    found = TemperatureCalibrated(LogisticRegression()).fit(x, rare, groups=groups)
    assert found.left_out_ == 3
    assert found.temperature_ == pytest.approx(plain.temperature_, rel=0.2)
    assert "3 of 400 training windows" in notes_of(found)[0]
    assert not found.at_bound_
    np.testing.assert_allclose(found.predict_proba(x).sum(axis=1), 1)


def test_a_temperature_at_its_bound_is_said() -> None:
    rng = np.random.default_rng(0)
    x, y, groups = noisy()
    wrong = TemperatureCalibrated(KNeighborsClassifier(1)).fit(
        rng.normal(size=x.shape), y, groups=groups
    )
    assert wrong.at_bound_
    assert any("lies at a bound" in note for note in notes_of(wrong))


def test_a_calibration_that_meets_no_known_class_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = np.repeat([0, 1], 20)
    with pytest.raises(TrainingError, match="every class needs at least two subjects"):
        TemperatureCalibrated(DummyClassifier(), n_splits=2).fit(x, y, groups=y)


ORDERS = [(1e-6, 1.0), (1.0, 1e-6)]


@pytest.mark.parametrize("values", ORDERS)
@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "balanced_accuracy", "f1", None])
def test_a_subject_with_one_class_does_not_decide_a_search(
    values: tuple[float, ...], scoring: str | None
) -> None:
    """Its score is NaN (or an error), and argmax of NaN is whatever stands first."""
    x, y, groups = noisy(12, 20)
    y = y.copy()
    y[groups == 3] = 0
    space = {"weights": ["uniform"], "n_neighbors": [1 if v > 1e-3 else 15 for v in values]}
    search = SubjectSearch(KNeighborsClassifier(), space, n_splits=4, scoring=scoring)
    search.fit(x, y, groups=groups)
    assert all(math.isfinite(result["score"]) for result in search.results_)
    assert search.best_params_["n_neighbors"] == 15


def test_a_search_says_where_no_score_is_defined() -> None:
    x, _, groups = noisy(8, 10)
    y = groups % 2
    with pytest.raises(TrainingError, match="is undefined for every configuration"):
        SubjectSearch(
            _Fails(), {"strategy": ["prior"]}, n_splits=4, scoring="average_precision"
        ).fit(x, y, groups=groups)
    pooled = SubjectSearch(DummyClassifier(), {"strategy": ["prior", "uniform"]}, n_splits=4)
    pooled.fit(x, y, groups=groups)  # over all left-out windows
    assert math.isfinite(pooled.best_score_)


class _Fails(DummyClassifier):  # type: ignore[misc]
    def predict_proba(self, X: Any) -> Any:
        raise ValueError("no score here")


def test_the_default_scoring_is_the_metric_that_is_reported_first() -> None:
    """Of unequal classes accuracy is best for the majority, balanced accuracy is not."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(12), 20)
    y = np.tile((np.arange(20) < 3).astype(int), 12)
    x = rng.normal(size=(240, 1)) + 1.2 * y[:, None]
    space = {"class_weight": [None, "balanced"]}
    accurate = SubjectSearch(LogisticRegression(), space, scoring="accuracy")
    assert accurate.fit(x, y, groups=groups).best_params_ == {"class_weight": None}
    balanced = SubjectSearch(LogisticRegression(), space).fit(x, y, groups=groups)
    assert balanced.best_params_ == {"class_weight": "balanced"}


def test_class_weights_take_the_text_keys_of_toml() -> None:
    assert class_weights({"0": 1, "1": 1000}, [0, 1]).tolist() == [1.0, 1000.0]
    assert class_weights({1: 3}, np.array([0, 1])).tolist() == [1.0, 3.0]
    assert prior_of([0, 0, 0, 1], {"1": 3}) == [0.5, 0.5]
    with pytest.raises(ConfigError, match="'2' is not a class; expected weights of 0, 1"):
        class_weights({"2": 1}, [0, 1])
    with pytest.raises(ConfigError, match="named twice"):
        class_weights({"1": 1, 1: 2}, [0, 1])


@pytest.mark.extra("deep")
def test_a_network_counts_classes_as_their_weights_say() -> None:
    from dolorimeter.estimators import NetworkClassifier

    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1, 32)).astype(np.float32)
    y = np.tile([0, 1], 20)
    outputs = []
    for weight in (None, {"0": 1, "1": 1000}, {0: 1, 1: 1000}):
        model = NetworkClassifier(
            "perceptron", epochs=2, early_stopping=False, class_weight=weight
        )
        outputs.append(model.fit(x, y).predict_proba(x))
    np.testing.assert_array_equal(outputs[1], outputs[2])
    assert not np.array_equal(outputs[0], outputs[1])
