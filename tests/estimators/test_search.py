"""Search nested by subject."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.errors import ConfigError, SplitError, TrainingError
from dolorimeter.estimators import SubjectSearch


def table(subjects: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(subjects), 10)
    y = np.tile([0, 1], subjects * 5)
    return rng.normal(size=(len(y), 3)) + y[:, None], y, groups


def test_it_tries_all_keeps_the_count_and_refits_the_best() -> None:
    x, y, groups = table()
    chain = make_pipeline(StandardScaler(), LogisticRegression())
    space = {"logisticregression__C": [1e-6, 1.0], "standardscaler__with_mean": [True, False]}
    search = SubjectSearch(chain, space, n_splits=4, scoring="neg_log_loss").fit(
        x, y, groups=groups
    )
    assert search.n_configurations_ == len(search.results_) == 4
    assert search.best_score_ == max(r["score"] for r in search.results_)
    assert search.best_params_["logisticregression__C"] == 1.0
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=1.0)).fit(x, y)
    np.testing.assert_allclose(search.predict_proba(x), plain.predict_proba(x), atol=1e-6)
    np.testing.assert_array_equal(search.predict(x), plain.predict(x))
    assert search.classes_.tolist() == [0, 1]
    assert is_classifier(search)


def test_identity_is_worth_nothing_to_it() -> None:
    """Labels tied to the subject: a split by window would choose the nearest neighbour."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 10)
    x = rng.normal(size=(20, 3))[groups] + rng.normal(0, 0.01, (200, 3))
    y = np.repeat(np.tile([0, 1], 10), 10)
    search = SubjectSearch(KNeighborsClassifier(), {"n_neighbors": [1, 41]}, n_splits=5)
    assert search.fit(x, y, groups=groups).best_score_ < 0.8


def test_a_drawn_part_of_the_space() -> None:
    x, y, groups = table()
    search = SubjectSearch(
        LogisticRegression(), {"C": [0.1, 0.2, 0.3, 0.4, 0.5]}, n_configurations=2, n_splits=2
    )
    first = search.fit(x, y, groups=groups).results_
    assert search.n_configurations_ == 2
    assert search.fit(x, y, groups=groups).results_ == first


def test_regressors_and_what_the_estimator_lacks() -> None:
    x, y, groups = table()
    search = SubjectSearch(Ridge(), {"alpha": [0.1, 1e4]}, n_splits=2)
    assert is_regressor(search)
    assert search.fit(x, y * 1.0, groups=groups).best_params_ == {"alpha": 0.1}
    assert not hasattr(search, "predict_proba")


def test_refusals() -> None:
    x, y, groups = table()
    with pytest.raises(TrainingError, match="SubjectSearch compares on inner folds, by subject"):
        SubjectSearch(LogisticRegression(), {"C": [1.0]}).fit(x, y)
    with pytest.raises(ConfigError, match="names 'c', which LogisticRegression has not"):
        SubjectSearch(LogisticRegression(), {"c": [1.0]}).fit(x, y, groups=groups)
    with pytest.raises(ConfigError, match="no value for 'C'"):
        SubjectSearch(LogisticRegression(), {"C": []}).fit(x, y, groups=groups)
    with pytest.raises(ConfigError, match="search space is empty"):
        SubjectSearch(LogisticRegression(), {}).fit(x, y, groups=groups)
    with pytest.raises(SplitError, match="9 folds of 8 subjects"):
        SubjectSearch(DummyClassifier(), {"strategy": ["prior"]}, n_splits=9).fit(
            x, y, groups=groups
        )
