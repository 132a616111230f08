"""Fused streams of embeddings: packed, trained, saved, calibrated, and predicted with gaps."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import (
    FusionClassifier,
    NetworkClassifier,
    load_estimator,
    notes_of,
    save_estimator,
)
from dolorimeter.estimators._input import change_of
from dolorimeter.evaluation import evaluate, summarise
from dolorimeter.registry import ESTIMATORS
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold

WIDTH = 6
MIXER = {"latents": 3, "width": 16, "heads": 2, "head_width": 8, "factor": 1, "repetitions": 1}
Streams = dict[str, np.ndarray]


def streams(
    subjects: int = 6, each: int = 8, seed: int = 0
) -> tuple[Streams, np.ndarray, np.ndarray]:
    """Four streams, of which all but the heart know the class."""
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"s{i:02d}" for i in range(subjects)], each)
    y = np.tile(np.arange(each) % 2, subjects)
    sizes = {"face": (5, WIDTH), "depth": (5, WIDTH), "eda": (2, WIDTH), "ecg": (WIDTH,)}
    x = {
        name: rng.normal(size=(len(y), *shape)).astype(np.float32) for name, shape in sizes.items()
    }
    for name in ("face", "depth", "eda"):
        x[name][..., 1] += 3 * y[:, None]
    return x, y, groups


def fusion(training: dict[str, Any] | None = None, **arguments: Any) -> FusionClassifier:
    settings = {
        "epochs": 15,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "early_stopping": False,
        "threads": 1,
        "module_args": {"mixer_args": MIXER, "video_args": {"latents": 2, "head_width": 4}},
    }
    made = ESTIMATORS.get("embedding_fusion")(
        embedding_width=WIDTH, network=settings | (training or {}), **arguments
    )
    assert isinstance(made, FusionClassifier)
    return made


def quick(**arguments: Any) -> FusionClassifier:
    return fusion({"epochs": 2}, **arguments)


def samples(x: Any, y: np.ndarray, groups: np.ndarray) -> Samples:
    place = np.arange(len(y)) % 100
    meta = pd.DataFrame(
        {
            "dataset": "made_up",
            "part": "",
            "subject": groups,
            "recording": groups,
            "stimulus": [f"{s}#{i}" for s, i in zip(groups, place, strict=True)],
            "start": place * 10.0,
            "duration": 5.5,
            "condition": np.where(y == 1, "PA4", "BL1"),
        }
    )
    return Samples(x, meta)


KINDS: dict[str, dict[str, Any]] = {
    "1": {"fusion": "fusion_1"},
    "2 shared": {"fusion": "fusion_2"},
    "2 apart": {"fusion": "fusion_2", "shared": False},
    "n": {"fusion": "fusion_n", "video": ["face", "depth"]},
}


@pytest.mark.long
@pytest.mark.extra("deep")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_learns_and_does_without_streams(kind: str) -> None:
    x, y, groups = streams()
    new, new_y, _ = streams(seed=1)
    model = fusion(stream_dropout=0.3, **KINDS[kind]).fit(x, y, groups)
    assert model.streams_ == {"face": 5, "depth": 5, "eda": 2, "ecg": 1}
    assert (model.predict(new) == new_y).mean() > 0.85
    blind = {k: np.full_like(v, np.nan) if k == "face" else v for k, v in new.items()}
    assert (model.predict(blind) == new_y).mean() > 0.8
    none = {k: np.full_like(v, np.nan) for k, v in new.items()}
    np.testing.assert_allclose(model.predict_proba(none), 0.5, rtol=1e-6)
    fewer = {k: v for k, v in new.items() if k != "face"}
    np.testing.assert_array_equal(model.predict_proba(fewer), model.predict_proba(blind))
    lost = {k: v[:, :0] if k == "face" else v for k, v in new.items()}
    np.testing.assert_array_equal(model.predict_proba(lost), model.predict_proba(blind))
    turned = dict(reversed(new.items()))
    np.testing.assert_array_equal(model.predict_proba(turned), model.predict_proba(new))


@pytest.mark.extra("deep")
def test_a_table_and_an_array_are_their_streams() -> None:
    x, y, _ = streams()
    two = {"a": x["face"][:, 0], "b": x["ecg"]}
    model = quick().fit(two, y)
    of_table = quick(streams=["a", "b"]).fit(np.concatenate([two["a"], two["b"]], axis=1), y)
    of_array = quick(streams=["a", "b"]).fit(np.stack([two["a"], two["b"]], axis=1), y)
    for other in (of_table, of_array):
        assert other.streams_ == model.streams_ == {"a": 1, "b": 1}
    expected = model.predict_proba(two)
    table = np.concatenate([two["a"], two["b"]], axis=1)
    np.testing.assert_array_equal(of_table.predict_proba(table), expected)
    np.testing.assert_array_equal(of_array.predict_proba(table), expected)
    one = quick(fusion="fusion_2").fit(x["face"], y)
    assert one.streams_ == {"all": 5}


@pytest.mark.extra("deep")
def test_the_prior_is_what_training_had() -> None:
    x, y, groups = streams()
    y = np.where(np.arange(len(y)) % 4 == 0, 2, y)
    none = {k: np.full_like(v[:3], np.nan) for k, v in x.items()}
    model = quick().fit(x, y, groups)
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_proba(none), [shares] * 3, rtol=1e-6)
    even = fusion({"epochs": 2, "class_weight": "balanced"}).fit(x, y, groups)
    np.testing.assert_allclose(even.predict_proba(none), 1 / 3, rtol=1e-6)


@pytest.mark.extra("deep")
def test_training_copes_with_missing_streams_and_says_what_taught_nothing() -> None:
    x, y, groups = streams()
    x["face"][::2] = np.nan
    x["eda"][1::3, 0] = np.nan
    x["ecg"][:] = np.nan
    for name in ("depth", "eda"):
        x[name][4] = np.nan
    given = {k: v.copy() for k, v in x.items()}
    changes = {"epochs": 3, "embedding_noise": 0.1, "mask_out": 0.2, "label_smoothing": 0.1}
    model = fusion(changes, stream_dropout=0.5).fit(x, y, groups)
    assert np.isfinite(model.predict_proba(x)).all()
    assert notes_of(model) == (
        "stream 'ecg' is missing from every training window",
        "1 training windows had no embedding and taught nothing",
    )
    assert all(np.array_equal(x[k], given[k], equal_nan=True) for k in x)
    assert all(np.isfinite(values).all() for values in model.network_.weights_.values())


def test_changes_of_windows_with_gaps_use_what_is_there() -> None:
    x = np.random.default_rng(0).normal(3, 2, (50, 2, 4)).astype(np.float32)
    x[::3, 1] = np.nan
    whole = x[np.isfinite(x).all(axis=(1, 2))]
    there = x[:, 1][np.isfinite(x[:, 1, 0])]
    change = change_of(x, (), 0.5, 0.5)
    np.testing.assert_allclose(change.mean[0], x[:, 0].mean(0), rtol=1e-5)
    np.testing.assert_allclose(change.mean[1], there.mean(0), rtol=1e-5)
    np.testing.assert_allclose(change.deviation[1], there.std(0), rtol=1e-5)
    changed = change(x[0], np.random.default_rng(1))
    assert np.isnan(changed[1]).any()
    assert np.isfinite(changed[0]).all()
    same = change_of(whole, (), 0.5, 0.0)
    np.testing.assert_allclose(same.deviation, whole.std(0), rtol=1e-5)
    x[:, 1] = np.nan
    empty = change_of(x, (), 0.5, 0.5)
    assert np.isnan(empty.mean[1]).all()
    assert (empty.deviation[1] == 0).all()


@pytest.mark.extra("deep")
def test_the_same_seed_gives_the_same_and_the_epochs_are_kept() -> None:
    x, y, groups = streams()
    model = quick(stream_dropout=0.4)
    once, again = clone(model).fit(x, y, groups), clone(model).fit(x, y, groups)
    np.testing.assert_array_equal(once.predict_proba(x), again.predict_proba(x))
    other = clone(model).set_params(network__random_state=1).fit(x, y, groups)
    assert not np.array_equal(once.predict_proba(x), other.predict_proba(x))
    kept = clone(model).set_params(keep_epochs=True).fit(x, y, groups)
    stages = list(kept.staged_predict_proba(x))
    assert len(stages) == 2
    np.testing.assert_array_equal(stages[-1], kept.predict_proba(x))


@pytest.mark.extra("deep")
def test_early_stopping_validates_on_whole_subjects() -> None:
    x, y, groups = streams()
    model = fusion({"early_stopping": True, "validation_share": 0.3, "patience": 2})
    model.fit(x, y, groups)
    assert len(model.network_.validation_groups_) == 2
    assert model.network_.history_[0]["validation_loss"] is not None


@pytest.mark.extra("deep")
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_saved_and_loaded_it_predicts_the_same(kind: str, tmp_path: Path) -> None:
    x, y, groups = streams()
    model = quick(**KINDS[kind]).fit(x, y, groups)
    save_estimator(model, tmp_path)
    x["face"][::2] = np.nan
    np.testing.assert_array_equal(
        load_estimator(tmp_path).predict_proba(x), model.predict_proba(x)
    )


@pytest.mark.extra("deep")
@pytest.mark.parametrize("name", ["calibrated", "conformal_classifier", "search"])
def test_it_goes_into_the_wrappers(name: str, tmp_path: Path) -> None:
    x, y, groups = streams(subjects=10, each=4)
    arguments = {
        "fusion": "fusion_2",
        "embedding_width": WIDTH,
        "network": {
            "epochs": 1,
            "early_stopping": False,
            "threads": 1,
            "module_args": {"mixer_args": MIXER},
        },
    }
    given = {"space": {"stream_dropout": [0.0, 0.3]}} if name == "search" else {}
    model = ESTIMATORS.get(name)(
        estimator="embedding_fusion", arguments=arguments, n_splits=2, **given
    )
    model.fit(x, y, groups=groups)
    x["eda"][:] = np.nan
    p = model.predict_proba(x)
    assert p.shape == (len(y), 2)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    if name == "conformal_classifier":
        assert model.predict_set(x).shape == (len(y), 2)
    save_estimator(model, tmp_path)
    np.testing.assert_array_equal(load_estimator(tmp_path).predict_proba(x), p)


@pytest.mark.extra("deep")
def test_evaluated_it_loses_streams_at_test() -> None:
    x, y, groups = streams(subjects=6, each=10)
    x = {name: x[name] for name in ("face", "ecg")}
    x["ecg"][::5] = np.nan
    given = samples(x, y, groups)
    here = {name: np.isfinite(v.reshape(len(v), -1)).all(axis=1) for name, v in x.items()}
    given = replace(given, present=here)
    run = evaluate(fusion(stream_dropout=0.3), given, y, group_k_fold(2), degradation=True)
    assert run.failures.empty
    assert set(run.degradation["missing"]) == {"face", "ecg"}
    s = summarise(run)
    assert s.degradation["ecg"].mean > 0.8
    assert s.degradation["face"].mean < 0.7
    without = run.degradation[run.degradation["missing"] == "face"]
    assert set(without["modalities_present"]) == {"ecg", ""}


@pytest.mark.extra("deep")
def test_a_network_on_one_stream_takes_gaps_too() -> None:
    x, y, _ = streams(each=12)
    x["face"][::4, 2:] = np.nan
    x["face"][1] = np.nan
    model = NetworkClassifier(
        "embedding_mixer",
        module_args={"mixer_args": MIXER},
        epochs=10,
        batch_size=8,
        learning_rate=5e-3,
        early_stopping=False,
        threads=1,
        embedding_noise=0.1,
        mask_out=0.1,
    )
    model.fit(x["face"], y)
    assert (model.predict(x["face"]) == y).mean() > 0.8
    assert np.isfinite(model.predict_proba(x["face"])).all()
    x["face"][0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        model.predict_proba(x["face"])
    plain = NetworkClassifier("perceptron", early_stopping=False, epochs=1)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        plain.fit(np.where(np.eye(4, 3), np.nan, 1.0), np.arange(4) % 2)


X: Any = np.zeros((4, 2, WIDTH), np.float32)
BAD: list[tuple[Any, str]] = [
    ({"eda": X.astype(np.uint8)}, r"eda is uint8 of shape \(4, 2, 6\), expected embeddings"),
    ({"eda": X[:, :, :, None]}, r"expected embeddings: floats \(window, token, feature\)"),
    ({"eda": np.zeros((4, 7))}, "expected embeddings of 6 numbers end to end"),
    ({"eda": X, "ecg": X[:3]}, re.escape("streams have {'eda': 4, 'ecg': 3} windows")),
    ({"eda": X, "ecg": X[:, :, :4]}, "need the same encoder"),
    ({}, "streams have {} windows"),
]


@pytest.mark.parametrize(("x", "message"), BAD)
def test_refuses_what_is_not_embeddings(x: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        quick().fit(x, np.arange(4) % 2)


def test_refuses_streams_that_do_not_share_an_array() -> None:
    with pytest.raises(ConfigError, match=r"has 2 tokens a window, which 3 streams \(a, b, c\)"):
        quick(streams=["a", "b", "c"]).fit(X, np.arange(4) % 2)


@pytest.mark.extra("deep")
def test_refuses_other_streams_than_in_fit() -> None:
    x, y, _ = streams()
    model = quick().fit({"eda": x["eda"], "ecg": x["ecg"]}, y)
    with pytest.raises(ConfigError, match="streams face are unknown, fitted on eda, ecg"):
        model.predict_proba({name: x[name] for name in ("eda", "ecg", "face")})
    with pytest.raises(ConfigError, match=r"'eda' has windows of shape \(5, 6\), expected \(2, 6"):
        model.predict_proba({"eda": x["face"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "fusion_3"}, "'fusion' parameter of FusionClassifier must be a str among"),
        ({"stream_dropout": 1.0}, "'stream_dropout' parameter"),
        ({"network": {"module": "perceptron"}}, "network.module is set by the fusion"),
        ({"network": {"epoch": 3}}, "'network' takes no argument 'epoch'; did you mean epochs"),
        ({"network": 3}, "network is 3, expected a table"),
    ],
)
def test_arguments_are_checked_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ESTIMATORS.get("embedding_fusion")(**arguments)


def test_what_the_fusion_sets_is_not_set_twice() -> None:
    x, y, _ = streams()
    model = fusion({"module_args": {"streams": {"eda": 1}}})
    with pytest.raises(ConfigError, match="module_args holds streams, which the fusion sets"):
        model.fit(x, y)
