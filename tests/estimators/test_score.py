"""The feature score: its ROC curve is the feature's own, and it learns nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators import feature_score, load_estimator, save_estimator


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-7, 1.0, 50.0]))
def test_the_order_of_the_feature_is_kept(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 2)) * scale
    x[:10] = x[10:20]
    y = np.arange(60) % 2
    model = feature_score(feature=1, scale=scale).fit(x, y)
    score = model.predict_proba(x)[:, 1]
    assert roc_auc_score(y, score) == roc_auc_score(y, x[:, 1])
    assert np.allclose(model.predict_proba(x).sum(axis=1), 1)


def test_threshold_and_scale_are_where_they_say() -> None:
    model = feature_score(threshold=2.0, scale=3.0).fit(np.zeros((2, 1)), np.array([0, 1]))
    assert model.predict_proba(np.array([[2.0], [5.0], [-1.0]]))[:, 1].tolist() == [
        0.5,
        0.75,
        0.25,
    ]


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match=r"feature_score.*scale"):
        feature_score(scale=0.0)
    with pytest.raises(TrainingError, match="two classes apart, found 3"):
        feature_score().fit(np.zeros((3, 1)), np.arange(3))
    with pytest.raises(TrainingError, match="column 4 of a table with 1"):
        feature_score(feature=4).fit(np.zeros((2, 1)), np.arange(2))


def test_it_is_saved_without_pickle(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path)) / "model"
    x = np.array([[1.0], [2.0]])
    model = feature_score(threshold=1.5).fit(x, np.array([0, 1]))
    save_estimator(model, folder)
    assert np.array_equal(load_estimator(folder).predict_proba(x), model.predict_proba(x))
