"""load(save(model)) predicts the same, and nothing is pickled."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dolorimeter.errors import StorageError
from dolorimeter.estimators import (
    ConformalClassifier,
    ConformalRegressor,
    IsotonicCalibrated,
    NetworkClassifier,
    SubjectSearch,
    TemperatureCalibrated,
    fit_with_groups,
    load_estimator,
    save_estimator,
)
from dolorimeter.estimators._saving import TRUSTED
from dolorimeter.registry import ESTIMATORS


def network(**arguments: Any) -> NetworkClassifier:
    return NetworkClassifier("perceptron", epochs=2, batch_size=32, **arguments)


def table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"s{i:02d}" for i in range(30)], 34)
    y = np.tile([0, 1], 510)
    x = rng.normal(size=(1020, 4)) + y[:, None]
    x[::9, 1] = np.nan
    return x, y, groups


SMALL: dict[str, dict[str, Any]] = {
    "calibrated": {"estimator": "logistic_regression", "n_splits": 2},
    "conformal_classifier": {"estimator": "logistic_regression", "n_splits": 2},
    "conformal_regressor": {"estimator": "ridge", "n_splits": 2},
    "embedding_fusion": {
        "fusion": "fusion_n",
        "video": ["all"],
        "embedding_width": 4,
        "network": {"epochs": 2, "module_args": {"mixer_args": {"latents": 2, "width": 8}}},
    },
    "search": {"estimator": "ridge", "space": {"alpha": [1.0, 2.0]}, "n_splits": 2},
    "random_forest": {"n_estimators": 5},
    "random_forest_regressor": {"n_estimators": 5},
    "gradient_boosting": {"max_iter": 5},
}
REGISTERED = {
    name: (ESTIMATORS.get(name), SMALL.get(name, {}))
    for name in ESTIMATORS.names()
    if name not in ("dual_stream", "network", "painattnnet", "svm")
}
FILLED = {
    "svm": lambda: ESTIMATORS.get("svm")(n_splits=2),
    "network": lambda: network(keep_epochs=True),
    "chain": lambda: make_pipeline(StandardScaler(), network()),
    "temperature": lambda: TemperatureCalibrated(network(), n_splits=2),
    "isotonic": lambda: IsotonicCalibrated(LogisticRegression(), n_splits=2),
    "sets": lambda: ConformalClassifier(network(), n_splits=2),
    "search": lambda: SubjectSearch(network(), {"learning_rate": [1e-3, 1e-2]}, n_splits=2),
    "intervals": lambda: ConformalRegressor(Ridge(), n_splits=2),
}


def cases(names: Iterable[str], networks: set[str]) -> list[Any]:
    needs = pytest.mark.extra("deep")
    return [pytest.param(n, marks=needs) if n in networks else n for n in sorted(names)]


def same(a: Any, b: Any, x: np.ndarray) -> None:
    np.testing.assert_array_equal(a.predict(x), b.predict(x))
    if hasattr(a, "predict_proba"):
        np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))


@pytest.mark.parametrize("name", cases(REGISTERED, {"embedding_fusion"}))
def test_registered_estimators(name: str, tmp_path: Path) -> None:
    x, y, groups = table()
    make, arguments = REGISTERED[name]
    model = fit_with_groups(make(**arguments), x[::5], y[::5], groups[::5])
    save_estimator(model, tmp_path)
    same(model, load_estimator(tmp_path), x)


@pytest.mark.parametrize("name", cases(FILLED, set(FILLED) - {"svm", "isotonic", "intervals"}))
def test_wrappers_and_networks(name: str, tmp_path: Path) -> None:
    x, y, groups = table()
    x = np.nan_to_num(x)
    if name != "isotonic":  # which alone needs a thousand windows
        x, y, groups = x[::4], np.arange(255) % 2, groups[::4]
    model = fit_with_groups(FILLED[name](), x, y, groups)
    before = pickle.dumps(model)
    save_estimator(model, tmp_path)
    assert pickle.dumps(model) == before
    again = load_estimator(tmp_path)
    same(model, again, x[:50])
    if name == "sets":
        np.testing.assert_array_equal(model.predict_set(x[:50]), again.predict_set(x[:50]))
    if name == "intervals":
        np.testing.assert_array_equal(
            model.predict_interval(x[:50]), again.predict_interval(x[:50])
        )
    if name == "network":
        for a, b in zip(
            model.staged_predict_proba(x[:9]), again.staged_predict_proba(x[:9]), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_every_estimator_of_the_package_may_be_saved() -> None:
    ours = {
        f"{thing.__module__}.{thing.__qualname__}"
        for module in list(sys.modules.values())
        if module.__name__.startswith("dolorimeter.estimators")
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, BaseEstimator)
        and thing.__module__.startswith("dolorimeter.")
        and not thing.__name__.startswith("_")
    }
    assert ours == {name for name in TRUSTED if name.startswith("dolorimeter.")}


def test_a_function_or_a_type_of_ones_own_is_refused_by_name(tmp_path: Path) -> None:
    x, y, _ = table()
    chain = make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression()).fit(x, y)
    save_estimator(chain, tmp_path / "a", trusted=["numpy.nan_to_num"])
    with pytest.raises(StorageError, match=r"nan_to_num.*not known to be safe.*trusted="):
        save_estimator(chain, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(StorageError, match=r"nan_to_num.*not known to be safe"):
        load_estimator(tmp_path / "a")
    same(chain, load_estimator(tmp_path / "a", trusted=["numpy.nan_to_num"]), x)


class Own(ClassifierMixin, BaseEstimator):
    def fit(self, X: np.ndarray, y: np.ndarray) -> Own:
        self.classes_ = np.unique(y)
        return self


def test_an_estimator_of_ones_own_is_refused_by_name(tmp_path: Path) -> None:
    x, y, _ = table()
    with pytest.raises(StorageError, match=r"Own.*not known to be safe"):
        save_estimator(Own().fit(x, y), tmp_path)


def test_damaged_and_foreign_folders(tmp_path: Path) -> None:
    x, y, _ = table()
    with pytest.raises(StorageError, match=r"no estimator\.json"):
        load_estimator(tmp_path)
    save_estimator(LogisticRegression().fit(np.nan_to_num(x), y), tmp_path)
    about = tmp_path / "estimator.json"
    text = about.read_text()
    about.write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(StorageError, match="format 9, and this version reads 1"):
        load_estimator(tmp_path)
    about.write_text(text)
    assert json.loads(text)["type"] == "LogisticRegression"
    damage(tmp_path, ("estimator.skops", "estimator.json"))


def damage(folder: Path, names: Sequence[str]) -> None:
    """Cut each file off in turn; the folder is refused, and loads once the file is whole."""
    for name in names:
        good = (folder / name).read_bytes()
        (folder / name).write_bytes(good[:7])
        with pytest.raises(StorageError, match="damaged"):
            load_estimator(folder)
        (folder / name).write_bytes(good)
        load_estimator(folder)


@pytest.mark.extra("deep")
def test_weights_of_a_network_are_a_file_that_must_be_there_and_whole(tmp_path: Path) -> None:
    x, y, _ = table()
    fitted = network(early_stopping=False).fit(np.nan_to_num(x[:40]), np.arange(40) % 2)
    save_estimator(fitted, tmp_path)
    damage(tmp_path, ("estimator.skops", "tensors.safetensors", "estimator.json"))
    (tmp_path / "tensors.safetensors").rename(tmp_path / "moved")
    with pytest.raises(StorageError, match=r"no tensors\.safetensors"):
        load_estimator(tmp_path)
    (tmp_path / "moved").rename(tmp_path / "tensors.safetensors")
    shallow = LogisticRegression().fit(np.nan_to_num(x), y)
    save_estimator(shallow, tmp_path)
    assert not (tmp_path / "tensors.safetensors").exists()
    same(shallow, load_estimator(tmp_path), np.nan_to_num(x))
