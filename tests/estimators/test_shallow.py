"""The registered estimators: what they take, and that missing values do not stop them."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.estimators import fit_with_groups, groups_parameter, svm
from dolorimeter.registry import ESTIMATORS

REGRESSORS = ("conformal_regressor", "mean", "random_forest_regressor", "ridge")
SMALL: dict[str, dict[str, object]] = {
    "calibrated": {"estimator": "gradient_boosting", "arguments": {"max_iter": 10}},
    "conformal_classifier": {"estimator": "ordinal_logistic"},
    "conformal_regressor": {"estimator": "ridge"},
    "search": {"estimator": "logistic_regression", "space": {"C": [0.1, 1.0]}},
    "random_forest": {"n_estimators": 10},
    "random_forest_regressor": {"n_estimators": 10},
    "gradient_boosting": {"max_iter": 10},
}


def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"s{i}" for i in range(12)], 10)
    y = np.tile([0, 1], 60)
    x = rng.normal(size=(120, 5)) + y[:, None]
    x[::7, 2] = np.nan
    x[:, 4] = np.nan
    return x, y, groups


def test_the_registry_lists_them() -> None:
    assert ESTIMATORS.names() == (
        "calibrated",
        "conformal_classifier",
        "conformal_regressor",
        "dual_stream",
        "embedding_fusion",
        "feature_score",
        "gradient_boosting",
        "logistic_regression",
        "majority",
        "mean",
        "network",
        "ordinal_logistic",
        "painattnnet",
        "random_forest",
        "random_forest_regressor",
        "ridge",
        "search",
        "svm",
    )
    assert all(card.summary for card in ESTIMATORS.cards())


OF_WINDOWS = ("dual_stream", "embedding_fusion", "network", "painattnnet")


@pytest.mark.parametrize("name", [n for n in ESTIMATORS.names() if n not in OF_WINDOWS])
def test_missing_values_are_dealt_with_inside_fit(name: str) -> None:
    x, y, groups = table()
    target = y * 2.0 + x[:, 0] if name in REGRESSORS else y
    model = clone(ESTIMATORS.get(name)(**SMALL.get(name, {})))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_with_groups(model, x, target, groups)
        found = model.predict(x)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), found)
    if name not in REGRESSORS:
        p = model.predict_proba(x)
        assert p.shape == (120, 2)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        if name != "majority":
            assert (found == y).mean() > (0.6 if name == "feature_score" else 0.8)


def test_no_column_is_added_or_dropped() -> None:
    x, y, _ = table()
    chain = ESTIMATORS.get("logistic_regression")().fit(x, y)
    assert chain[-1].coef_.shape == (1, 5)
    assert chain[-1].coef_[0, 4] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("logistic_regression", {"c": 1.0}, "takes no argument 'c'; it takes C, class_weight"),
        ("random_forest", {"n_estimatros": 3}, "did you mean n_estimators"),
        ("majority", {"zzz": 3}, "takes no argument 'zzz'; it takes none"),
        ("logistic_regression", {"C": -1.0}, "'C' parameter .* must be a float in the range"),
        ("logistic_regression", {"C": "big"}, r"C is 'big', expected int or float \(default 1\.0"),
        ("random_forest", {"n_estimators": 2.5}, "n_estimators is 2.5, expected int"),
        ("random_forest", {"n_estimators": True}, "n_estimators is True, expected int"),
        ("random_forest", {"class_weight": "even"}, "'class_weight' parameter"),
        ("svm", {"C": 0}, "'svm': The 'C' parameter"),
        ("svm", {"n_splits": 1}, "'n_splits' parameter"),
        ("ordinal_logistic", {"C": 0}, "'C' parameter"),
        ("painattnnet", {"epochs": 0}, "'epochs' parameter"),
        ("painattnnet", {"batch_size": "128"}, "batch_size is '128', expected int"),
        ("painattnnet", {"precision": "half"}, "'precision' parameter"),
    ],
)
def test_arguments_are_checked(name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ESTIMATORS.get(name)(**arguments)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean logistic_regression"):
        ESTIMATORS.get("logistic_regresion")


def test_where_groups_go() -> None:
    assert groups_parameter(svm()) == "groups"
    assert groups_parameter(make_pipeline(svm())) == "temperaturecalibrated__groups"
    assert groups_parameter(make_pipeline("passthrough")) is None
    assert groups_parameter(LogisticRegression()) is None
    assert groups_parameter(GridSearchCV(LogisticRegression(), {"C": [1.0]})) == "groups"


@pytest.mark.parametrize(
    "name", ["logistic_regression", "random_forest", "gradient_boosting", "svm"]
)
def test_weights_by_class_may_come_from_toml_where_keys_are_text(name: str) -> None:
    """They ended every fold: scikit-learn does not find class 0 in {"0": 1}."""
    rng = np.random.default_rng(0)
    y, groups = np.tile([0, 1], 60), np.repeat(np.arange(12), 10)
    x = rng.normal(size=(120, 3)) + 0.5 * y[:, None]
    entry = ESTIMATORS.get(name)
    text, number, none = (
        fit_with_groups(entry(class_weight=weights), x, y, groups).predict_proba(x)
        for weights in ({"0": 1.0, "1": 20.0}, {0: 1.0, 1: 20.0}, None)
    )
    np.testing.assert_array_equal(text, number)
    assert np.abs(text - none).max() > 1e-3
