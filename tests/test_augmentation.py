"""Each operation against its definition, and the same draw for every frame."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter import augmentation
from dolorimeter.augmentation import (
    AUGMENTATIONS,
    MIXED,
    OPERATIONS,
    TRIVIAL,
    add_noise,
    augment_clip,
    mask_out,
)
from dolorimeter.errors import ConfigError

NEUTRAL = {
    "identity": 0.0,
    "posterize": 8.0,
    "solarize": 256.0,
    "brightness": 1.0,
    "contrast": 1.0,
    "colour": 1.0,
    "sharpness": 1.0,
    "rotate": 0.0,
    "shear_x": 0.0,
    "shear_y": 0.0,
    "translate_x": 0.0,
    "translate_y": 0.0,
}
STRONG = {
    "identity": 0.0,
    "autocontrast": 0.0,
    "equalize": 0.0,
    "posterize": 4.0,
    "solarize": 100.0,
    "brightness": 1.6,
    "contrast": 0.4,
    "colour": 0.2,
    "sharpness": 1.9,
    "rotate": 17.0,
    "shear_x": 0.2,
    "shear_y": -0.2,
    "translate_x": 5.0,
    "translate_y": -4.0,
}


def clip(frames: int = 4, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(20, 230, (frames, 3, height, width), dtype=np.uint8)


def apply(name: str, value: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = clip(seed=seed)
    before = x.copy()
    out = OPERATIONS[name](x, value)
    np.testing.assert_array_equal(x, before)
    assert (out.shape, out.dtype) == (x.shape, np.uint8)
    return x, out


def test_the_operations_are_those_of_the_papers() -> None:
    assert set(STRONG) == set(OPERATIONS)
    assert len(TRIVIAL) == 14
    assert sorted(MIXED) == sorted(
        set(OPERATIONS) - {"identity", "brightness", "contrast", "colour", "sharpness"}
    )


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_the_neutral_value_changes_nothing(name: str) -> None:
    x, out = apply(name, NEUTRAL[name])
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_strong_value_changes_all_frames_alike(name: str) -> None:
    still = np.repeat(clip(1), 5, axis=0)
    out = OPERATIONS[name](still, STRONG[name])
    assert all(np.array_equal(frame, out[0]) for frame in out)
    assert np.array_equal(out, still) == (name == "identity")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_any_layout_in_memory_gives_the_same(name: str) -> None:
    x = clip()
    turned = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(
        OPERATIONS[name](turned, STRONG[name]), OPERATIONS[name](x, STRONG[name])
    )


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_posterize_keeps_the_first_bits(bits: int) -> None:
    x, out = apply("posterize", float(bits))
    step = 2 ** (8 - bits)
    np.testing.assert_array_equal(out, x // step * step)


def test_solarize_inverts_from_the_threshold_on() -> None:
    x, out = apply("solarize", 100.0)
    np.testing.assert_array_equal(out, np.where(x < 100, x, 255 - x.astype(int)))


def test_autocontrast_takes_each_channel_to_0_and_255() -> None:
    x, out = apply("autocontrast", 0.0)
    assert (out.min(axis=(0, 2, 3)) == 0).all()
    assert (out.max(axis=(0, 2, 3)) == 255).all()
    low = x.min(axis=(0, 2, 3), keepdims=True).astype(float)
    high = x.max(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(out, (x - low) * 255 / (high - low), atol=0.5)
    flat = np.full((2, 3, 8, 8), 77, dtype=np.uint8)
    np.testing.assert_array_equal(OPERATIONS["autocontrast"](flat, 0.0), flat)


def test_equalize_is_that_of_opencv_over_all_frames() -> None:
    x = (clip() // 2 + np.arange(3, dtype=np.uint8)[:, None, None] * 20).astype(np.uint8)
    out = OPERATIONS["equalize"](x, 0.0)
    for channel in range(3):
        tall = np.concatenate(list(x[:, channel]))
        np.testing.assert_array_equal(
            np.concatenate(list(out[:, channel])), cv2.equalizeHist(tall)
        )
    one = OPERATIONS["equalize"](x[:1], 0.0)
    np.testing.assert_array_equal(one[0, 1], cv2.equalizeHist(x[0, 1]))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.7])
def test_the_four_enhancements(factor: float) -> None:
    x = clip().astype(float)
    grey = np.tensordot([0.299, 0.587, 0.114], x, axes=(0, 1))[:, None]
    towards = {
        "brightness": np.zeros_like(x),
        "contrast": np.full_like(x, np.rint(grey.mean())),
        "colour": np.repeat(grey, 3, axis=1),
    }
    for name, base in towards.items():
        wanted = np.clip(base + factor * (x - base), 0, 255)
        np.testing.assert_allclose(apply(name, factor)[1], wanted, atol=0.51, err_msg=name)


def test_sharpness_zero_is_the_smoothed_inside_and_the_border_as_it_was() -> None:
    x, out = apply("sharpness", 0.0)
    inner = sum(
        x[:, :, 1 + i : 23 + i, 1 + j : 31 + j].astype(float) * (5 if i == j == 0 else 1)
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
    )
    np.testing.assert_allclose(out[:, :, 1:-1, 1:-1], inner / 13, atol=0.51)
    for edge in (np.s_[..., 0], np.s_[..., -1], np.s_[..., 0, :], np.s_[..., -1, :]):
        np.testing.assert_array_equal(out[edge], x[edge])


def test_rotate_by_a_quarter_turn() -> None:
    x = clip(height=32)
    np.testing.assert_array_equal(OPERATIONS["rotate"](x, 90.0), np.rot90(x, axes=(2, 3)))
    np.testing.assert_array_equal(OPERATIONS["rotate"](x, -90.0), np.rot90(x, -1, axes=(2, 3)))


def test_translate_and_shear_move_pixels_and_bring_in_black() -> None:
    x, right = apply("translate_x", 5.0)
    np.testing.assert_array_equal(right[..., 5:], x[..., :-5])
    assert not right[..., :5].any()
    _, up = apply("translate_y", -3.0)
    np.testing.assert_array_equal(up[:, :, :-3], x[:, :, 3:])
    assert not up[:, :, -3:].any()
    _, down = apply("shear_y", 1.0)
    _, aside = apply("shear_x", 1.0)
    for column in range(10):
        np.testing.assert_array_equal(down[..., column:, column], x[..., : 24 - column, column])
    for row in range(14, 24):
        moved = 23 - row
        np.testing.assert_array_equal(aside[..., row, moved:], x[..., row, : 32 - moved])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(sorted(AUGMENTATIONS)))
def test_a_still_clip_stays_still_and_the_seed_decides(seed: int, name: str) -> None:
    x = np.repeat(clip(1), 3, axis=0)
    before = x.copy()
    out = augment_clip(x, [name], np.random.default_rng(seed))
    assert (out.shape, out.dtype) == (x.shape, np.uint8)
    assert all(np.array_equal(frame, out[0]) for frame in out)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(out, augment_clip(x, [name], np.random.default_rng(seed)))


def test_augmentations_follow_each_other() -> None:
    x, rng = clip(), np.random.default_rng(4)
    both = augment_clip(x, ["trivial_augment", "augmix"], np.random.default_rng(4))
    one = augmentation.augmix(augmentation.trivial_augment(x, rng), rng)
    np.testing.assert_array_equal(both, one)
    np.testing.assert_array_equal(augment_clip(x, (), rng), x)


def test_augmix_is_a_mean_whose_weights_sum_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "MIXED", ("identity",))
    for seed in range(5):
        x = clip(seed=seed)
        np.testing.assert_array_equal(augmentation.augmix(x, np.random.default_rng(seed)), x)


def test_trivial_augment_draws_every_operation_and_strength_evenly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, float]] = []

    def record(name: str, strength: float, sign: int, size: int) -> float:
        drawn.append((name, strength))
        return NEUTRAL.get(name, 0.0)

    monkeypatch.setattr(augmentation, "_trivial_value", record)
    rng, x = np.random.default_rng(0), clip(1, 4, 4)
    n = 2800
    for _ in range(n):
        augmentation.trivial_augment(x, rng)
    names, counts = np.unique([name for name, _ in drawn], return_counts=True)
    assert sorted(names) == sorted(TRIVIAL)
    assert np.abs(counts - n / 14).max() < 4.5 * np.sqrt(n / 14)
    strengths, counts = np.unique([round(30 * s) for _, s in drawn], return_counts=True)
    assert strengths.tolist() == list(range(31))
    assert np.abs(counts - n / 31).max() < 4.5 * np.sqrt(n / 31)


def test_values_reach_the_ends_of_their_ranges_and_no_further() -> None:
    ends = {
        "posterize": (8, 4),
        "solarize": (256, 0),
        "rotate": (0, 30),
        "shear_x": (0, 0.3),
        "shear_y": (0, 0.3),
        "translate_x": (0, 70),
        "translate_y": (0, 70),
        "brightness": (1, 1.9),
        "contrast": (1, 1.9),
        "colour": (1, 1.9),
        "sharpness": (1, 1.9),
    }
    for name, wanted in ends.items():
        found = [augmentation._trivial_value(name, s, 1, 224) for s in (0.0, 1.0)]
        assert found == pytest.approx(wanted), name
    rng = np.random.default_rng(0)
    bounds = {
        "posterize": (3, 4),
        "solarize": (180, 256),
        "rotate": (-9, 9),
        "shear_x": (-0.09, 0.09),
        "translate_y": (-22, 22),
    }
    for name, (low, high) in bounds.items():
        values = [augmentation._augmix_value(name, 224, rng) for _ in range(300)]
        assert low <= min(values) < max(values) <= high, name


def test_names_that_are_not_known() -> None:
    with pytest.raises(ConfigError, match="unknown augmentation 'mixup'; known: augmix, trivial"):
        augment_clip(clip(), ["augmix", "mixup"], np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"expected a list: \['augmix'\]"):
        augment_clip(clip(), "augmix", np.random.default_rng(0))


def test_noise_has_the_deviation_asked_for() -> None:
    rng = np.random.default_rng(0)
    x = np.ones((50, 400), dtype=np.float32)
    deviation = np.repeat(np.array([[0.5], [2.0]], dtype=np.float32), 25, axis=0)
    deviation = np.broadcast_to(deviation, x.shape)
    out = add_noise(x, deviation, 0.1, rng)
    assert out.dtype == np.float32
    assert (out - x)[:25].std() == pytest.approx(0.05, rel=0.03)
    assert (out - x)[25:].std() == pytest.approx(0.2, rel=0.03)
    np.testing.assert_array_equal(add_noise(x, deviation, 0.0, rng), x)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_one_stretch_of_the_last_axis_is_masked(share: float, seed: int) -> None:
    x = np.ones((4, 20), dtype=np.float32)
    fill = np.full((4, 20), -3, dtype=np.float32)
    out = mask_out(x, fill, share, np.random.default_rng(seed))
    masked = out == -3
    assert (masked == masked[0]).all()
    assert masked[0].sum() == round(20 * share)
    assert (np.diff(np.flatnonzero(masked[0])) == 1).all()
    assert (x == 1).all()


def test_importing_it_pulls_in_neither_torch_nor_opencv() -> None:
    code = (
        "import sys, dolorimeter.augmentation; sys.exit(bool({'torch', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
