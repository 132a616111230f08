"""Calibration: learned on other subjects, refused where there are too few."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from dolorimeter.errors import ConfigError, SplitError, TrainingError
from dolorimeter.estimators import IsotonicCalibrated, TemperatureCalibrated


class Overconfident(ClassifierMixin, BaseEstimator):
    """Log-odds of the true model times `factor`."""

    def __init__(self, factor: float = 3.0) -> None:
        self.factor = factor

    def fit(self, X: np.ndarray, y: np.ndarray) -> Overconfident:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-self.factor * X[:, 0]))
        return np.stack([1 - p, p], axis=1)


def draw(subjects: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1.5, size=(subjects * each, 2))
    y = (rng.random(len(x)) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return x, y, np.repeat(np.arange(subjects), each)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return -float(np.log(p[np.arange(len(y)), y]).mean())


def test_temperature_finds_the_factor() -> None:
    x, y, groups = draw(40, 100)
    model = TemperatureCalibrated(Overconfident(3.0)).fit(x, y, groups=groups)
    assert model.temperature_ == pytest.approx(3.0, rel=0.12)
    new_x, new_y, _ = draw(20, 50, seed=1)
    raw = Overconfident(3.0).fit(x, y).predict_proba(new_x)
    found = model.predict_proba(new_x)
    assert log_loss(found, new_y) < log_loss(raw, new_y)
    np.testing.assert_array_equal(found.argmax(axis=1), raw.argmax(axis=1))


def test_margins_become_probabilities() -> None:
    x, y, groups = draw(10, 20)
    model = TemperatureCalibrated(SVC(kernel="linear")).fit(x, y, groups=groups)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(x), model.estimator_.predict(x))
    three = np.digitize(x[:, 0], [-1, 1])
    model = TemperatureCalibrated(SVC(kernel="linear")).fit(x, three, groups=groups)
    assert model.predict_proba(x).shape == (200, 3)


def test_a_class_that_an_inner_fold_lacks_is_no_obstacle() -> None:
    x, y, groups = draw(5, 20)
    y[groups == 0] = 2
    model = TemperatureCalibrated(LogisticRegression()).fit(x, y, groups=groups)
    assert model.predict_proba(x).shape == (100, 3)
    assert np.isfinite(model.predict_proba(x)).all()


def test_isotonic_calibrates_where_it_may() -> None:
    x, y, groups = draw(40, 50)
    model = IsotonicCalibrated(Overconfident(4.0), n_splits=4).fit(x, y, groups=groups)
    new_x, new_y, _ = draw(20, 100, seed=1)
    p = model.predict_proba(new_x)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    for low, high in ((0.1, 0.4), (0.4, 0.6), (0.6, 0.9)):
        inside = (p[:, 1] > low) & (p[:, 1] < high)
        assert new_y[inside].mean() == pytest.approx(p[inside, 1].mean(), abs=0.08)
    three = np.digitize(x[:, 0], [-1, 1])
    model = IsotonicCalibrated(LogisticRegression()).fit(x, three, groups=groups)
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(x), model.predict_proba(x).argmax(axis=1))


@pytest.mark.parametrize(("subjects", "each"), [(29, 100), (30, 33)])
def test_isotonic_is_refused_with_the_numbers(subjects: int, each: int) -> None:
    x, y, groups = draw(subjects, each)
    message = (
        f"on {subjects * each:,} windows of {subjects} subjects; it needs at least 1,000 of 30"
    )
    with pytest.raises(ConfigError, match=message):
        IsotonicCalibrated(LogisticRegression()).fit(x, y, groups=groups)


def test_groups_are_needed_and_enough_subjects() -> None:
    x, y, groups = draw(4, 20)
    model = TemperatureCalibrated(LogisticRegression())
    with pytest.raises(
        TrainingError, match=r"TemperatureCalibrated calibrates on inner folds, by"
    ):
        model.fit(x, y)
    with pytest.raises(SplitError, match="5 folds of 4 subjects"):
        model.fit(x, y, groups=groups)
    with pytest.raises(TrainingError, match="80 training windows are of class 0"):
        model.fit(x, 0 * y, groups=groups)
    with pytest.raises(ConfigError, match="'n_splits' parameter"):
        TemperatureCalibrated(LogisticRegression(), n_splits=1).fit(x, y, groups=groups)
