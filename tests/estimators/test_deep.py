"""Networks behind scikit-learn's interface."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from joblib.externals.loky import ProcessPoolExecutor
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.errors import ConfigError, SplitError, TrainingError
from dolorimeter.estimators import (
    NetworkClassifier,
    fit_with_groups,
    load_estimator,
    painattnnet,
    save_estimator,
)
from dolorimeter.estimators._deep import check_unit
from dolorimeter.estimators._input import PictureScaling, VectorChange, change_of
from dolorimeter.models import PainAttnNet, create_model
from dolorimeter.registry import ESTIMATORS


def table(
    subjects: int = 8, each: int = 10, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    groups = np.repeat([f"s{i:02d}" for i in range(subjects)], each)
    y = np.tile(np.arange(each) % 2, subjects)
    return rng.normal(size=(len(y), 5)) + y[:, None], y, groups


def eda(windows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skin conductance in microsiemens: a level of its own for each subject, and a response."""
    rng = np.random.default_rng(seed)
    t = np.arange(2816) / 512
    subject = np.arange(windows) // 4
    y = np.arange(windows) % 2
    level = rng.uniform(1, 12, subject.max() + 1)[subject, None]
    rise = rng.uniform(0.1, 1.0, windows)[:, None] * np.clip(t - 2, 0, None) * y[:, None]
    drift = rng.normal(0, 0.02, windows)[:, None] * t
    x = level + rise + drift + rng.normal(0, 0.005, (windows, 2816))
    return x[:, None, :], y, np.array([f"s{i}" for i in subject])


def small(**arguments: object) -> NetworkClassifier:
    settings: dict[str, object] = {
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "threads": 1,
    }
    return NetworkClassifier("perceptron", **(settings | arguments))  # type: ignore[arg-type]


def test_it_learns_a_table_and_keeps_the_chosen_epoch() -> None:
    x, y, groups = table()
    model = small(epochs=25, patience=5, keep_epochs=True).fit(x, y, groups=groups)
    new_x, new_y, _ = table(seed=1)
    assert (model.predict(new_x) == new_y).mean() > 0.75
    stages = list(model.staged_predict_proba(new_x))
    assert len(stages) == len(model.history_)
    np.testing.assert_array_equal(stages[model.selected_epoch_ - 1], model.predict_proba(new_x))
    losses = [epoch["validation_loss"] for epoch in model.history_]
    assert model.selected_epoch_ == 1 + int(np.argmin(losses))


def test_validation_subjects_are_whole_and_come_from_those_given() -> None:
    x, y, groups = table()
    model = small(validation_share=0.25).fit(x, y, groups=groups)
    assert len(model.validation_groups_) == 2
    assert set(model.validation_groups_) < set(groups)


def test_early_stopping_without_groups_says_so() -> None:
    x, y, groups = table()
    with pytest.raises(TrainingError, match=r"early_stopping=True\).*by subject.*groups=subjects"):
        small().fit(x, y)
    with pytest.raises(TrainingError, match=r"groups of shape \(3,\) for 80 windows"):
        small().fit(x, y, groups=groups[:3])
    with pytest.raises(SplitError, match="subject"):
        small().fit(x, y, groups=np.full(len(y), "one"))
    small(early_stopping=False).fit(x, y)


def test_groups_reach_it_through_a_pipeline() -> None:
    x, y, groups = table()
    chain = fit_with_groups(make_pipeline(StandardScaler(), small()), x, y, groups)
    assert chain[-1].validation_groups_.size == 2


def test_same_seed_same_bits_and_another_seed_others() -> None:
    x, y, groups = table()
    one, again, other = (
        small(random_state=seed).fit(x, y, groups=groups).predict_proba(x) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.long
def test_same_seed_same_bits_in_another_process() -> None:
    x, y, groups = table()
    one = small(random_state=5).fit(x, y, groups=groups).predict_proba(x)
    with ProcessPoolExecutor(max_workers=1) as pool:
        other = pool.submit(small(random_state=5).fit, x, y, groups=groups).result()
    np.testing.assert_array_equal(one, other.predict_proba(x))


def test_clone_and_pickle() -> None:
    x, y, groups = table()
    model = small().fit(x, y, groups=groups)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    fresh = clone(model)
    assert not hasattr(fresh, "weights_")
    assert fresh.get_params() == model.get_params()


def test_classes_keep_their_names_and_class_weights_their_policy() -> None:
    x, y, groups = table()
    y[: len(y) // 4] = 0
    names = np.array(["none", "pain"])[y]
    plain = small().fit(x, names, groups=groups)
    even = small(class_weight="balanced").fit(x, names, groups=groups)
    own = small(class_weight={"pain": 1e3}).fit(x, names, groups=groups)
    assert plain.classes_.tolist() == ["none", "pain"]
    assert set(plain.predict(x)) <= {"none", "pain"}
    share = [m.predict_proba(x)[:, 1].mean() for m in (plain, even, own)]
    assert share[0] < share[1] < share[2]


def test_epochs_must_have_been_kept() -> None:
    x, y, groups = table()
    model = small().fit(x, y, groups=groups)
    with pytest.raises(TrainingError, match="keep_epochs=True"):
        next(model.staged_predict_proba(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "'epochs' parameter"),
        ({"batch_size": 1}, "'batch_size' parameter"),
        ({"precision": "float16"}, "'precision' parameter"),
        ({"learning_rate": 0.0}, "'learning_rate' parameter"),
        (
            {"learning_rate_drops": ((10,),)},
            r"learning_rate_drops is \(\(10,\),\), expected pairs",
        ),
        ({"validation_share": 1.0}, "'validation_share' parameter"),
        ({"module_args": {"num_classes": 3}}, "num_classes comes from the labels"),
        ({"module_args": {"widht": 3}}, "no argument 'widht'"),
        ({"optimiser": "sgd"}, "'optimiser' parameter"),
        ({"weight_decay": -1.0}, "'weight_decay' parameter"),
        ({"schedule": "linear"}, "'schedule' parameter"),
        ({"label_smoothing": 1.0}, "'label_smoothing' parameter"),
        ({"mask_out": 1.0}, "'mask_out' parameter"),
        ({"warmup_epochs": 6}, "warmup_epochs is 6 of 6 epochs, expected fewer"),
        ({"augment": ("mixup",)}, "unknown augmentation 'mixup'"),
        ({"augment": ("augmix",)}, r"is for clips of pictures, uint8 .* float32 of shape \(60, 5"),
        ({"module": "perceptorn"}, "did you mean perceptron"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    x, y, groups = table()
    with pytest.raises(ConfigError, match=message):
        small().set_params(**arguments).fit(x, y, groups=groups)


def test_windows_of_another_shape_and_one_class_only() -> None:
    x, y, groups = table()
    cube = x[:, None, :]
    model = small().fit(cube, y, groups=groups)
    with pytest.raises(ConfigError, match=r"shape \(2, 5\), expected \(1, 5\) as in fit"):
        model.predict(np.repeat(cube, 2, axis=1))
    with pytest.raises(ValueError, match="expecting 1 features"):
        model.predict(x)
    with pytest.raises(TrainingError, match="all 80 training windows are of class 1"):
        small().fit(x, np.ones(len(y)), groups=groups)


def test_painattnnet_trains_on_eda_and_one_window_equals_its_row_of_eight() -> None:
    x, y, groups = eda(16)
    model = painattnnet(epochs=1, batch_size=8, threads=1).fit(x, y, groups=groups)
    whole = model.predict_proba(x[:8])
    np.testing.assert_allclose(model.predict_proba(x[3:4])[0], whole[3], rtol=1e-5)
    np.testing.assert_allclose(whole.sum(axis=1), 1)


def first_batch_norm(x: np.ndarray) -> torch.Tensor:
    torch.manual_seed(0)
    module = PainAttnNet().train()
    with torch.no_grad():
        return module.mscn.short_scale[:2](torch.tensor(x, dtype=torch.float32))


def test_microsiemens_reach_the_network_and_siemens_are_zeros() -> None:
    x, _, _ = eda(32)
    assert 0.5 < first_batch_norm(x).std() < 2
    assert first_batch_norm(x * 1e-6).std() < 1e-3


def test_siemens_left_in_are_refused_with_the_unit_expected() -> None:
    x, y, groups = eda(16)
    model = painattnnet(epochs=1)
    for factor in (1e-6, 1e3):
        with pytest.raises(TrainingError, match=r"'painattnnet' expects uS.*× 1e6"):
            model.fit(x * factor, y, groups=groups)
    check_unit(x.astype(np.float32), "uS", "painattnnet")
    check_unit(x.astype(np.float32) * 1e-6, "V", "another")


def test_painattnnet_refuses_other_windows() -> None:
    x, y, groups = eda(16)
    with pytest.raises(ConfigError, match=r"5\.5 s at 512 Hz"):
        painattnnet(epochs=1).fit(x[:, :, :2560], y, groups=groups)


def test_the_registered_network_takes_all_arguments_with_the_same_defaults() -> None:
    own = NetworkClassifier("perceptron", learning_rate_drops=()).get_params()
    assert ESTIMATORS.get("network")().get_params() == own
    given = {"module": "full_transformer", "augment": ["augmix"], "weight_decay": 0.05}
    assert ESTIMATORS.get("network")(**given).get_params() == own | given


def sequences(windows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of frames: a large constant, and in class 1 a small bump in the middle frames."""
    rng = np.random.default_rng(seed)
    y = np.arange(windows) % 2
    x = rng.normal(0, 0.02, (windows, 9, 6)) + np.linspace(-3, 3, 6)
    x[:, 3:6, 2] += 0.2 * y[:, None]
    return x.astype(np.float32), y, np.array([f"s{i // 4}" for i in range(windows)])


TEMPORAL = {"width": 16, "queries": 4, "heads": 2, "hidden": 16, "depth": 1, "dropout": 0.0}
FRAMES = {
    "image_size": 16,
    "depth": 1,
    "width": 16,
    "heads": 2,
    "inner_width": 4,
    "inner_heads": 1,
}


def temporal(**arguments: Any) -> NetworkClassifier:
    settings = {
        "module_args": TEMPORAL,
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "optimiser": "adamw",
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "label_smoothing": 0.1,
        "early_stopping": False,
        "threads": 1,
    }
    return NetworkClassifier("full_transformer", **(settings | arguments))


def test_the_temporal_part_learns_from_frame_vectors() -> None:
    x, y, _ = sequences(64)
    model = temporal(epochs=20, embedding_noise=0.1, mask_out=0.2).fit(x, y)
    new_x, new_y, _ = sequences(40, seed=1)
    assert (model.predict(new_x) == new_y).mean() > 0.9
    rates = [epoch["learning_rate"] for epoch in model.history_]
    assert rates[:3] == pytest.approx([1e-3, 2e-3, 3e-3])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    with pytest.raises(ConfigError, match=r"shape \(8, 6\), expected \(9, 6\) as in fit"):
        model.predict(x[:, 1:])
    with pytest.raises(ConfigError, match=r"shape \(9,\), expected \(9, 6\) as in fit"):
        model.predict(x[..., 0])


def test_missing_frames_are_refused_before_the_network() -> None:
    x, y, _ = sequences(16)
    x[3, 4] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        temporal().fit(x, y)


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": "adam"},
        {"weight_decay": 0.5},
        {"schedule": "drops"},
        {"warmup_epochs": 0},
        {"label_smoothing": 0.0},
        {"embedding_noise": 0.5},
        {"mask_out": 0.4},
    ],
)
def test_each_option_reaches_the_training(change: dict[str, Any]) -> None:
    x, y, _ = sequences(16)
    plain = temporal(epochs=4).fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(temporal(epochs=4).fit(x, y).predict_proba(x), plain)
    assert not np.array_equal(temporal(epochs=4, **change).fit(x, y).predict_proba(x), plain)


def test_noise_and_masks_are_relative_to_the_training_windows() -> None:
    x, _, _ = sequences(200)
    change = change_of(x, (), 0.5, 0.0)
    assert isinstance(change, VectorChange)
    np.testing.assert_allclose(change.deviation, x.std(axis=0), rtol=1e-4)
    np.testing.assert_allclose(change.mean, x.mean(axis=0), rtol=1e-5, atol=1e-6)
    moved = np.stack([change(w, np.random.default_rng(i)) - w for i, w in enumerate(x)])
    np.testing.assert_allclose(moved.std(axis=0), 0.5 * change.deviation, rtol=0.25)
    masked = change_of(x, (), 0.0, 0.5)(x[0], np.random.default_rng(0))
    assert ((masked == change.mean).all(axis=0)).sum() == 3
    assert change_of(x, (), 0.0, 0.0) is None


def clips(windows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise; in class 1 the left half of the middle frames is brighter."""
    rng = np.random.default_rng(seed)
    y = np.arange(windows) % 2
    x = rng.integers(0, 120, (windows, 4, 3, 16, 16), dtype=np.uint8)
    x[y == 1, 1:3, :, :, :8] += 100
    return x, y


def end_to_end(**arguments: Any) -> NetworkClassifier:
    parts = {"frame_args": FRAMES, "temporal_args": TEMPORAL}
    settings = {
        "module_args": parts | arguments.pop("module_args", {}),
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "learning_rate_drops": (),
        "early_stopping": False,
        "threads": 1,
    }
    return NetworkClassifier("full_transformer_end_to_end", **(settings | arguments))


@pytest.mark.long
def test_clips_are_learnt_end_to_end_and_come_back_from_disk(tmp_path: Path) -> None:
    x, y = clips(32)
    before = x.copy()
    model = end_to_end(epochs=24, module_args={"frames_at_once": 16}).fit(x, y)
    new_x, new_y = clips(24, seed=1)
    assert (model.predict(new_x) == new_y).mean() > 0.9
    np.testing.assert_array_equal(x, before)
    save_estimator(model, tmp_path / "kept")
    again = load_estimator(tmp_path / "kept")
    np.testing.assert_array_equal(again.predict_proba(new_x), model.predict_proba(new_x))
    assert again.get_params() == model.get_params()


def test_bytes_are_scaled_as_the_card_says_and_are_not_mixed_with_floats() -> None:
    x, y = clips(8)
    scaled = ((x / np.float32(255) - np.float32(0.5)) / np.float32(0.5)).astype(np.float32)
    of_bytes = end_to_end(epochs=2).fit(x, y)
    of_floats = end_to_end(epochs=2).fit(scaled, y)
    np.testing.assert_allclose(
        of_bytes.predict_proba(x), of_floats.predict_proba(scaled), rtol=1e-4
    )
    with pytest.raises(ConfigError, match="windows of float32, expected uint8 as in fit"):
        of_bytes.predict(scaled)
    with pytest.raises(ConfigError, match="windows of uint8, expected float32 as in fit"):
        of_floats.predict(x)


def test_scaling_is_that_of_its_definition() -> None:
    x = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(1, 2, 3, 2, 2)
    mean, std = (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)
    wanted = x.double() / 255
    for channel in range(3):
        wanted[:, :, channel] = (wanted[:, :, channel] - mean[channel]) / std[channel]
    found = PictureScaling(mean, std)(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-7)
    assert PictureScaling(mean, std)(wanted) is wanted


def test_clips_stay_bytes_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from dolorimeter import training

    given = []
    fit = training.fit

    def record(module: Any, x: np.ndarray, y: np.ndarray, **arguments: Any) -> Any:
        given.append(x)
        return fit(module, x, y, **arguments)

    monkeypatch.setattr(training, "fit", record)
    x, y = clips(8)
    end_to_end(epochs=1).fit(x, y)
    assert given[0].dtype == np.uint8
    assert np.shares_memory(given[0], x)


def test_a_table_of_bytes_is_numbers_to_a_network_that_takes_no_pictures() -> None:
    x, y, groups = table()
    coarse = np.clip(40 * (x + 3), 0, 255).astype(np.uint8)
    a = small().fit(coarse, y, groups=groups).predict_proba(coarse)
    b = small().fit(coarse.astype(float), y, groups=groups).predict_proba(coarse)
    np.testing.assert_array_equal(a, b)


def test_augmentation_is_for_clips() -> None:
    x, y = clips(8)
    names = ("augmix", "trivial_augment")
    plain = end_to_end(epochs=2).fit(x, y).predict_proba(x)
    first = end_to_end(epochs=2, augment=names).fit(x, y).predict_proba(x)
    np.testing.assert_array_equal(
        end_to_end(epochs=2, augment=list(names)).fit(x, y).predict_proba(x), first
    )
    assert not np.array_equal(plain, first)
    with pytest.raises(ConfigError, match="pictures of uint8: use augment"):
        end_to_end(embedding_noise=0.1).fit(x, y)


def test_weights_to_start_from_are_not_needed_to_predict(tmp_path: Path) -> None:
    x, y = clips(8)
    path = tmp_path / "frames.safetensors"
    torch.manual_seed(5)
    encoder = create_model("tnt_s_patch16_224", num_classes=0, **FRAMES)
    safetensors.torch.save_file(encoder.state_dict(), path)
    arguments = {"frame_weights": str(path), "frozen_frames": True}
    model = end_to_end(module_args=arguments, epochs=2).fit(x, y)
    for name, values in encoder.state_dict().items():
        np.testing.assert_array_equal(model.weights_[f"frame_encoder.{name}"], values.numpy())
    wanted = model.predict_proba(x)
    path.unlink()
    np.testing.assert_array_equal(model.predict_proba(x), wanted)
