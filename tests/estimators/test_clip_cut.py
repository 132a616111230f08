"""Clips that begin anywhere in training, and in the middle everywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter import training
from dolorimeter.errors import ConfigError
from dolorimeter.estimators import NetworkClassifier, load_estimator, save_estimator
from dolorimeter.estimators._input import ClipChange, ClipCut
from dolorimeter.registry import ESTIMATORS
from dolorimeter.representations._sampling import clip_positions

SHAPE = (3, 16, 16)


def clips(windows: int = 12, frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Each frame has its number in every pixel."""
    x = np.zeros((windows, frames, *SHAPE), dtype=np.uint8)
    x += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return x, np.arange(windows) % 2


def network(**arguments: Any) -> NetworkClassifier:
    settings: dict[str, Any] = {
        "clip_frames": 4, "clip_stride": 2, "epochs": 3, "batch_size": 4, "threads": 1,
        "learning_rate_drops": (), "early_stopping": False,
        "module_args": {"size": "tiny", "depth": 1},
    }  # fmt: skip
    return NetworkClassifier("vit3d", **(settings | arguments))


@given(
    frames=st.integers(1, 60), count=st.integers(1, 16), stride=st.integers(1, 5),
    seed=st.integers(0, 10),
)  # fmt: skip
def test_places_are_those_of_a_clip_of_the_representation(
    frames: int, count: int, stride: int, seed: int
) -> None:
    x = np.broadcast_to(np.arange(frames)[None, :, None, None, None], (1, frames, 3, 1, 1))
    cut = ClipCut(count, stride)
    if (count - 1) * stride >= frames:
        with pytest.raises(ConfigError, match=f"takes {(count - 1) * stride + 1} frames"):
            cut.check(x)
        return
    cut.check(x)
    centred, _ = clip_positions(frames, count, stride, None)
    assert cut.centred(x)[0, :, 0, 0, 0].tolist() == centred.tolist()
    drawn, _ = clip_positions(frames, count, stride, np.random.default_rng(seed))
    found = cut(x[0], np.random.default_rng(seed))
    assert found[:, 0, 0, 0].tolist() == drawn.tolist()


def test_training_draws_anew_in_each_epoch_and_all_else_is_centred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = clips()
    seen: list[tuple[bool, list[int]]] = []
    whole = training.fit

    def watched(module: Any, *given: Any, **more: Any) -> Any:
        module.register_forward_pre_hook(
            lambda m, args: seen.extend(
                (m.training, [round(float(v) * 127.5 + 127.5) for v in clip[:, 0, 0, 0]])
                for clip in args[0]
            )
        )
        return whole(module, *given, **more)

    monkeypatch.setattr(training, "fit", watched)
    groups = np.repeat(["a", "b", "c", "d", "e", "f"], 2)
    model = network(early_stopping=True, validation_share=0.3, patience=None)
    model.fit(x, y, groups=groups)
    learned = [places for learning, places in seen if learning]
    held = [places for learning, places in seen if not learning]
    assert len(learned) == 3 * 8
    assert {tuple(np.diff(places)) for places in learned} == {(2, 2, 2)}
    assert len({places[0] for places in learned}) == 6  # all that 12 frames have room for
    assert held == [[2, 4, 6, 8]] * (3 * 4)
    assert model.input_shape_ == (4, *SHAPE)
    assert model.window_shape_ == (12, *SHAPE)


def test_prediction_reads_the_middle_alone_also_when_saved(tmp_path: Path) -> None:
    x, y = clips()
    model = network(epochs=1, keep_epochs=True).fit(x, y)
    other = x.copy()
    other[:, [0, 1, 9, 10, 11]] = 200
    other[:, 3:9:2] = 200
    np.testing.assert_array_equal(model.predict_proba(other), model.predict_proba(x))
    other[:, 4] = 200
    assert not np.array_equal(model.predict_proba(other), model.predict_proba(x))
    staged = list(model.staged_predict_proba(x))
    np.testing.assert_array_equal(staged[-1], model.predict_proba(x))
    save_estimator(model, tmp_path)
    again = load_estimator(tmp_path)
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    with pytest.raises(ConfigError, match=r"shape \(4, 3, 16, 16\), expected \(12, 3, 16, 16\)"):
        model.predict_proba(x[:, :4])


def test_the_same_seed_gives_the_same_weights_and_changes_come_after_the_cut() -> None:
    x, y = clips(4)
    first, second = (network(epochs=1, augment=["trivial_augment"]).fit(x, y) for _ in range(2))
    for name, value in first.weights_.items():
        np.testing.assert_array_equal(value, second.weights_[name])
    cut = ClipCut(4, 2, ClipChange(("trivial_augment",)))
    assert cut(x[0], np.random.default_rng(0)).shape == (4, *SHAPE)


def test_from_an_experiments_arguments_and_what_is_refused() -> None:
    made = ESTIMATORS.get("network")(module="vit3d", clip_frames=16, clip_stride=8)
    assert (made.clip_frames, made.clip_stride) == (16, 8)
    x, y = clips(frames=6)
    with pytest.raises(ConfigError, match="takes 7 frames, and the windows are of shape"):
        network().fit(x, y)
    with pytest.raises(ConfigError, match="clip_frames cuts clips of pictures"):
        network(embedding_noise=0.1).fit(x, y)
