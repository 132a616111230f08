"""Video tokens and signals to one network: packed, trained, saved, and predicted with gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import (
    DualStreamClassifier,
    load_estimator,
    notes_of,
    save_estimator,
)
from dolorimeter.registry import ESTIMATORS

Streams = dict[str, np.ndarray]
HYBRID = {"width": 8, "heads": 2, "hidden": 16}


def streams(people: int = 8, each: int = 12, seed: int = 0) -> tuple[Streams, Any, Any]:
    """Half of the truth in the video, half in the signals: the class is their sum, in 0, 1, 2."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"s{i:02d}" for i in range(people)], each)
    seen, felt = rng.integers(0, 2, (2, len(groups)))
    x = {
        "face": rng.normal(size=(len(groups), 4, 3)).astype(np.float16),
        "eda": rng.normal(size=(len(groups), 1, 24)).astype(np.float32),
        "ecg": rng.normal(size=(len(groups), 2, 24)),
    }
    x["face"][..., 1] += 2 * seen[:, None].astype(np.float16)
    x["eda"][..., 8:16] += 2 * felt[:, None, None]
    return x, seen + felt, groups


def dual(training: dict[str, Any] | None = None, **arguments: Any) -> DualStreamClassifier:
    training = dict(training or {})
    module = {"width": 16, "hybrid_args": HYBRID} | training.pop("module_args", {})
    settings = {
        "epochs": 20, "batch_size": 24, "learning_rate": 1e-2, "early_stopping": False,
        "threads": 1, "module_args": module,
    }  # fmt: skip
    made = ESTIMATORS.get("dual_stream")(network=settings | training, **arguments)
    assert isinstance(made, DualStreamClassifier)
    return made


def blind(x: Streams, *names: str) -> Streams:
    return {k: np.full_like(v, np.nan) if k in names else v for k, v in x.items()}


@pytest.fixture(scope="module")
def fitted() -> DualStreamClassifier:
    x, y, groups = streams()
    return dual({"module_args": {"stream_dropout": 0.3}}).fit(x, y, groups)


@pytest.mark.long
@pytest.mark.extra("deep")
def test_it_needs_both_sides_and_does_with_one(fitted: DualStreamClassifier) -> None:
    new, y, _ = streams(seed=1)
    both = (fitted.predict(new) == y).mean()
    alone = [
        (fitted.predict(blind(new, *lost)) == y).mean() for lost in (["face"], ["eda", "ecg"])
    ]
    # with half the truth nobody is right more often than 1/2 (± 0.05 with 96 windows)
    assert both > 0.65
    assert 0.35 < min(alone) <= max(alone) < 0.65


@pytest.mark.extra("deep")
def test_a_missing_stream_is_one_of_nan_in_any_order(fitted: DualStreamClassifier) -> None:
    new, _, _ = streams(2, seed=1)
    without = {k: v for k, v in new.items() if k != "face"}
    np.testing.assert_array_equal(
        fitted.predict_proba(without), fitted.predict_proba(blind(new, "face"))
    )
    turned = dict(reversed(new.items()))
    np.testing.assert_array_equal(fitted.predict_proba(turned), fitted.predict_proba(new))
    shares = np.bincount(streams()[1]) / len(streams()[1])
    nothing = fitted.predict_proba(blind(new, *new))
    np.testing.assert_allclose(nothing, np.tile(shares, (len(nothing), 1)), rtol=1e-6)
    assert fitted.network_.module_args["signals"] == [3, 24]
    assert fitted.network_.module_args["video"] == [4, 3]


@pytest.mark.extra("deep")
def test_saved_and_loaded_it_predicts_the_same(
    fitted: DualStreamClassifier, tmp_path: Path
) -> None:
    new, _, _ = streams(2, seed=1)
    save_estimator(fitted, tmp_path)
    again = load_estimator(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(new), fitted.predict_proba(new))


@pytest.mark.extra("deep")
def test_what_a_fit_learns_of_scale_comes_from_its_training_people_alone() -> None:
    x, y, groups = streams()
    arguments = {
        "epochs": 1, "early_stopping": True, "validation_share": 0.25,
        "module_args": {"scaling": "train_robust"},
    }  # fmt: skip
    model = dual(arguments).fit(x, y, groups)
    trained = ~np.isin(groups, model.network_.validation_groups_)
    centre = model.network_.weights_["signal_scale.centre"]
    wanted = [np.median(x["ecg"][trained, c].astype(np.float32)) for c in (0, 1)]
    np.testing.assert_allclose(centre[:2], wanted, rtol=1e-6)
    wanted = x["face"][trained].astype(np.float32).mean((0, 1))
    np.testing.assert_allclose(model.network_.weights_["video_scale.centre"], wanted, rtol=1e-5)


@pytest.mark.extra("deep")
@pytest.mark.parametrize("module", ["convtran", "dual_stream"])
def test_signals_alone_as_channels_of_one(module: str) -> None:
    x, _, _ = streams()
    y = (x["eda"][:, 0, 8:16].mean(1) > 1).astype(int)
    signals = {k: v for k, v in x.items() if k != "face"}
    given = HYBRID if module == "convtran" else {"width": 16, "hybrid_args": HYBRID}
    settings = {
        "module": module, "module_args": given, "epochs": 12, "batch_size": 16,
        "learning_rate": 1e-2, "early_stopping": False, "threads": 1,
    }  # fmt: skip
    model = ESTIMATORS.get("dual_stream")(video="", network=settings).fit(signals, y)
    assert (model.predict(signals) == y).mean() > 0.9
    one = ESTIMATORS.get("dual_stream")(video="", network=settings | {"epochs": 1})
    assert one.fit(x["eda"], y).predict_proba(x["eda"]).shape == (96, 2)


@pytest.mark.extra("deep")
def test_epochs_can_be_kept_and_ablations_are_configuration() -> None:
    x, y, _ = streams(3)
    for module in ({"fusion": "late"}, {"fusion": "concat"}, {"hybrid": False}, {"layers": 1}):
        model = dual({"epochs": 2, "module_args": module}).set_params(keep_epochs=True).fit(x, y)
        staged = list(model.staged_predict_proba(x))
        assert len(staged) == 2
        np.testing.assert_array_equal(staged[-1], model.predict_proba(x))
    only = dual({"epochs": 1}).fit(x["face"], y)
    assert only.predict_proba(x["face"]).shape == (36, 3)
    assert clone(only).get_params()["network"].optimiser == "radam"


@pytest.mark.extra("deep")
def test_what_taught_nothing_is_said() -> None:
    x, y, _ = streams(3)
    lost = blind(x, "eda")
    for name in ("face", "ecg"):
        lost[name] = lost[name].copy()
        lost[name][:2] = np.nan
    model = dual({"epochs": 1}).fit(lost, y)
    assert notes_of(model) == (
        "stream 'eda' is missing from every training window",
        "2 training windows had neither side and taught nothing",
    )


@pytest.mark.extra("deep")
def test_streams_that_do_not_fit_are_refused_in_words() -> None:
    x, y, _ = streams(3)
    cases: list[tuple[Streams, dict[str, Any], str]] = [
        (x | {"ecg": x["ecg"][..., :20]}, {}, r"signals have \{'ecg': 20, 'eda': 24\} samples"),
        (x | {"eda": x["eda"][:, 0]}, {}, "stream 'eda' is float32 of shape .36, 24., expected"),
        (x | {"eda": x["eda"][:9]}, {}, "give as many of each"),
        (x, {"video": "faces"}, "no stream is called 'faces'; there are ecg, eda, face"),
        (x, {"training": {"module": "convtran", "module_args": {}}}, "takes signals, and there"),
        (x, {"training": {"module_args": {"video": [4, 3]}}}, "module_args holds video, which"),
    ]
    for given, arguments, told in cases:
        arguments = dict(arguments)
        training = {"epochs": 1} | arguments.pop("training", {})
        with pytest.raises(ConfigError, match=told):
            dual(training, **arguments).fit(given, y)
    model = dual({"epochs": 1}).fit(x, y)
    with pytest.raises(ConfigError, match="streams emg are unknown, fitted on face, ecg, eda"):
        model.predict_proba(x | {"emg": x["eda"]})
    with pytest.raises(ConfigError, match=r"stream 'face' has windows of shape \(2, 3\), expect"):
        model.predict_proba(x | {"face": x["face"][:, :2]})
