"""Conformal sets and intervals: what they promise, for new subjects."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators import (
    ConformalClassifier,
    ConformalRegressor,
    coverage_by_subject,
    fewest_subjects,
)
from dolorimeter.estimators._conformal import _quantile, _weights


def cohort(
    subjects: int, each: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Subjects differ in an offset that no feature shows, so that their windows are alike."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(subjects), each)
    offset = rng.normal(0, 1.0, subjects)[groups]
    x = rng.normal(size=(len(groups), 2))
    target = 2 * x[:, 0] + offset + rng.normal(0, 0.5, len(groups))
    return x, target, (target > 0).astype(int), groups


def test_intervals_hold_for_new_subjects() -> None:
    shares = []
    for seed in range(5):
        x, target, _, groups = cohort(20, 12, seed)
        model = ConformalRegressor(Ridge(), coverage=0.8).fit(x, target, groups=groups)
        x, target, _, groups = cohort(60, 5, 100 + seed)
        lower, upper = model.predict_interval(x)
        assert (lower <= upper).all()
        shares.append(coverage_by_subject((lower <= target) & (target <= upper), groups, 0.8).mean)
    assert np.mean(shares) == pytest.approx(0.8, abs=0.06)


def test_sets_hold_for_new_subjects() -> None:
    shares = []
    for seed in range(5):
        x, _, y, groups = cohort(20, 12, seed)
        model = ConformalClassifier(LogisticRegression(), coverage=0.8).fit(x, y, groups=groups)
        x, _, y, groups = cohort(60, 5, 100 + seed)
        sets = model.predict_set(x)
        shares.append(coverage_by_subject(sets[np.arange(len(y)), y], groups, 0.8).mean)
    assert np.mean(shares) == pytest.approx(0.8, abs=0.06)


def test_more_coverage_gives_larger_sets_and_intervals() -> None:
    x, target, y, groups = cohort(25, 10, 0)
    sizes, widths = [], []
    for coverage in (0.6, 0.8, 0.95):
        classes = ConformalClassifier(LogisticRegression(), coverage=coverage)
        sizes.append(classes.fit(x, y, groups=groups).predict_set(x).sum())
        numbers = ConformalRegressor(Ridge(), coverage=coverage).fit(x, target, groups=groups)
        lower, upper = numbers.predict_interval(x)
        widths.append((upper - lower).mean())
    assert sizes == sorted(sizes)
    assert widths == sorted(widths)
    assert np.isfinite(widths).all()


def test_every_subject_weighs_the_same() -> None:
    weights, subjects = _weights(np.array(["a", "b", "b", "b", "c", "c"]))
    assert subjects == 3
    np.testing.assert_allclose(weights, np.array([1, 1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2]) / 4)


def test_quantile_by_hand() -> None:
    values = np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 5.0]])
    weights = np.array([0.2, 0.4, 0.3])
    np.testing.assert_array_equal(_quantile(values, weights, 0.7), [2.0, 5.0])
    np.testing.assert_array_equal(_quantile(values, weights, 0.95), [np.inf, np.inf])


def test_probabilities_are_those_of_the_estimator_fitted_on_all() -> None:
    x, target, y, groups = cohort(12, 10, 0)
    plain = LogisticRegression().fit(x, y)
    model = ConformalClassifier(LogisticRegression()).fit(x, y, groups=groups)
    np.testing.assert_allclose(model.predict_proba(x), plain.predict_proba(x), rtol=1e-10)
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))
    numbers = ConformalRegressor(Ridge()).fit(x, target, groups=groups)
    np.testing.assert_allclose(numbers.predict(x), Ridge().fit(x, target).predict(x))


@pytest.mark.parametrize(("subjects", "coverage"), [(9, 0.8), (9, 0.9), (19, 0.95), (99, 0.99)])
def test_too_few_subjects_are_refused_with_the_numbers(subjects: int, coverage: float) -> None:
    x, target, y, groups = cohort(subjects + 1, 2, 0)
    keep = groups < subjects
    needed = fewest_subjects(coverage)
    assert needed == subjects + 1
    message = f"{subjects} calibration subjects for a coverage of {coverage}; at least {needed}"
    with pytest.raises(ConfigError, match=message):
        ConformalClassifier(LogisticRegression(), coverage=coverage).fit(
            x[keep], y[keep], groups=groups[keep]
        )
    with pytest.raises(ConfigError, match=message):
        ConformalRegressor(Ridge(), coverage=coverage).fit(
            x[keep], target[keep], groups=groups[keep]
        )
    model = ConformalRegressor(Ridge(), coverage=coverage).fit(x, target, groups=groups)
    assert np.isfinite(model.predict_interval(x)).all()


def test_refusals() -> None:
    x, _, y, groups = cohort(12, 4, 0)
    with pytest.raises(TrainingError, match="ConformalClassifier calibrates on inner folds"):
        ConformalClassifier(LogisticRegression()).fit(x, y)
    with pytest.raises(ConfigError, match="'coverage' parameter"):
        ConformalClassifier(LogisticRegression(), coverage=1.0).fit(x, y, groups=groups)
    with pytest.raises(ValueError, match="NaN"):
        ConformalRegressor(Ridge()).fit(x, np.full(len(y), np.nan), groups=groups)


def test_coverage_by_subject() -> None:
    found = coverage_by_subject(
        np.array([True, True, True, False]), np.array(["a", "a", "b", "b"]), 0.8
    )
    assert (found.mean, found.share_below, found.worst, found.worst_subject) == (
        0.75,
        0.5,
        0.5,
        "b",
    )
    assert found.by_subject == {"a": 1.0, "b": 0.5}
