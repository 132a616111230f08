"""Regions, eye closure and distances of the face mesh, on one real mesh moved by known amounts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import SignalError
from dolorimeter.signals.face import (
    BLENDSHAPES,
    DISTANCES,
    OPEN_RATIO,
    REGIONS,
    SHUT_RATIO,
    blinks,
    distances,
    eye_closure,
    interocular,
    normalised,
    prolonged_closure,
    region_masks,
)

FIXTURE = Path(__file__).parents[1] / "fixtures" / "faces" / "astronaut_mesh.npz"
UPPER = {"left": (387, 386, 385), "right": (160, 159, 158)}
LOWER = {"left": (373, 374, 380), "right": (144, 145, 153)}


@pytest.fixture(scope="module")
def mesh() -> np.ndarray:
    """One open-eyed, smiling face: (1, 478, 3)."""
    return np.load(FIXTURE)["landmarks"].astype(float)[None]


def moved(
    mesh: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]
) -> np.ndarray:
    """The mesh in another picture: scaled, turned in the plane, shifted."""
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return scale * mesh @ turn.T + np.array([*shift, 0.0])


def yawed(mesh: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    centre = mesh.mean(axis=1, keepdims=True)
    return (mesh - centre) @ turn.T + centre


def shut(mesh: np.ndarray, side: str, share: float) -> np.ndarray:
    """The upper lid lowered by a share of its distance from the lower one."""
    lowered = mesh.copy()
    upper, lower = list(UPPER[side]), list(LOWER[side])
    lowered[:, upper] += share * (mesh[:, lower] - mesh[:, upper])
    return lowered


MOVES = {
    "scale": st.floats(0.1, 10.0),
    "degrees": st.floats(-180.0, 180.0),
    "shift": st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)),
}


def test_the_blendshapes_have_arkits_names_once_each() -> None:
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert BLENDSHAPES[0] == "_neutral"
    lefts = [name for name in BLENDSHAPES if name.endswith("Left") and len(name) > 9]
    assert all(name.replace("Left", "Right") in BLENDSHAPES for name in lefts)


@given(**MOVES)
def test_closure_and_distances_do_not_see_where_the_face_is(
    scale: float, degrees: float, shift: tuple[float, float]
) -> None:
    mesh = np.load(FIXTURE)["landmarks"].astype(float)[None]
    other = moved(mesh, scale, degrees, shift)
    np.testing.assert_allclose(eye_closure(other), eye_closure(mesh), atol=1e-8)
    np.testing.assert_allclose(normalised(other), normalised(mesh), atol=1e-8)
    np.testing.assert_allclose(interocular(other), scale * interocular(mesh), rtol=1e-8)
    wanted = distances(mesh)
    for name, found in distances(other).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-7)


@pytest.mark.parametrize("degrees", [-25.0, -10.0, 10.0, 25.0])
def test_a_turned_head_changes_closure_little_even_with_wrong_depth(
    mesh: np.ndarray, degrees: float
) -> None:
    half = shut(shut(mesh, "left", 0.5), "right", 0.5)
    exact = eye_closure(yawed(half, degrees))
    np.testing.assert_allclose(exact, eye_closure(half), atol=1e-9)
    flat = yawed(half, degrees)
    flat[..., 2] *= 0.7  # the mesh's depth is an estimate
    assert np.abs(eye_closure(flat) - eye_closure(half)).max() < 0.1
    alone = flat[..., :2]  # what an eye aspect ratio of the picture alone would see
    assert (
        np.abs(_ratio(alone) - _ratio(half[..., :2])).max()
        > 0.5 * np.abs(_ratio(flat) - _ratio(half)).max()
    )


def _ratio(points: np.ndarray) -> np.ndarray:
    height = np.mean(
        [
            np.linalg.norm(points[:, up] - points[:, low], axis=-1)
            for up, low in zip(UPPER["left"], LOWER["left"], strict=True)
        ],
        axis=0,
    )
    return height / np.linalg.norm(points[:, 263] - points[:, 362], axis=-1)


def test_closure_follows_the_lids_side_by_side(mesh: np.ndarray) -> None:
    ratio = _ratio(mesh)
    for share in (0.0, 0.4, 0.6, 1.0):
        left, right = eye_closure(shut(mesh, "left", share))[0]
        known = np.clip((OPEN_RATIO - ratio[0] * (1 - share)) / (OPEN_RATIO - SHUT_RATIO), 0, 1)
        assert left == pytest.approx(known)
        assert right == 0.0  # wide open
    assert eye_closure(shut(mesh, "right", 1.0))[0].tolist() == [0.0, 1.0]


def test_a_frame_without_a_face_has_no_closure(mesh: np.ndarray) -> None:
    both = np.concatenate([mesh, np.full_like(mesh, np.nan)])
    assert np.isnan(eye_closure(both)).tolist() == [[False, False], [True, True]]
    assert all(np.isnan(values).tolist() == [False, True] for values in distances(both).values())


def runs(rate: float, *stretches: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Closure made of stretches of (value, seconds), and its times."""
    closure = np.concatenate([np.full(round(s * rate), float(v)) for v, s in stretches])
    return closure, np.arange(len(closure)) / rate


@pytest.mark.parametrize("rate", [10.0, 25.0, 120.0])
def test_a_blink_is_short_and_closed_eyes_are_not(rate: float) -> None:
    closure, times = runs(rate, (0, 1.0), (1, 0.4), (0, 1.0), (1, 0.6), (0, 1.0), (1, 0.52))
    blink = blinks(closure, times)
    closed = prolonged_closure(closure, times)
    assert blink.tolist() == ((closure == 1) & (times < 2.0)).tolist()
    assert closed.tolist() == ((closure == 1) & (times > 2.0)).astype(float).tolist()


def test_half_shut_counts_from_the_threshold() -> None:
    closure, times = runs(25.0, (0.49, 1.0), (0.5, 1.0))
    assert prolonged_closure(closure, times).sum() == 25


def test_times_count_and_not_frames() -> None:
    closure = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0])
    assert blinks(closure, times).tolist() == [False, True, True, False, False, False, False]
    assert prolonged_closure(closure, times).tolist() == [0, 0, 0, 0, 1, 1, 0]


def test_a_short_gap_does_not_end_a_closure_and_a_long_one_does() -> None:
    closure, times = runs(10.0, (1, 0.3), (np.nan, 0.2), (1, 0.3), (0, 0.5))
    closed = prolonged_closure(closure, times)
    np.testing.assert_array_equal(closed, [1, 1, 1, np.nan, np.nan, 1, 1, 1, 0, 0, 0, 0, 0])
    assert not blinks(closure, times).any()
    closure, times = runs(10.0, (1, 0.3), (np.nan, 0.6), (1, 0.3), (0, 0.5))
    assert blinks(closure, times).sum() == 6
    assert np.nansum(prolonged_closure(closure, times)) == 0


def test_nothing_and_one_frame_are_no_closed_eyes() -> None:
    assert blinks(np.array([1.0]), np.array([0.0])).tolist() == [True]
    assert prolonged_closure(np.array([1.0]), np.array([0.0])).tolist() == [0.0]
    assert prolonged_closure(np.empty(0), np.empty(0)).shape == (0,)
    assert np.isnan(prolonged_closure(np.full(3, np.nan), np.arange(3.0))).all()


def test_faults_of_times_are_named() -> None:
    with pytest.raises(SignalError, match="do not ascend"):
        blinks(np.zeros(3), np.array([0.0, 2.0, 1.0]))


def test_distances_are_in_units_of_the_eyes(mesh: np.ndarray) -> None:
    found = distances(mesh)
    assert set(found) == set(DISTANCES)
    scale = interocular(mesh)[0]
    assert found["mouth_width"][0] == pytest.approx(
        np.linalg.norm(mesh[0, 291] - mesh[0, 61]) / scale
    )
    opened = mesh.copy()
    opened[:, 14, 1] += 0.25 * scale  # the lower lip, straight down
    grown = distances(opened)["mouth_opening"][0] - found["mouth_opening"][0]
    assert grown == pytest.approx(0.25, abs=0.02)
    lowered = mesh.copy()
    brows = [336, 296, 334, 285, 107, 66, 105, 55]
    lowered[:, brows, 1] += 0.05 * scale
    for name in ("brow_eye", "brow_inner_eye"):
        assert distances(lowered)[name][0] < found[name][0] - 0.03
    assert distances(lowered)["brow_gap"][0] == pytest.approx(found["brow_gap"][0])


def test_normalised_eyes_lie_level_one_apart(mesh: np.ndarray) -> None:
    levelled = normalised(moved(mesh, 3.0, 40.0, (50.0, -20.0)))[0]
    np.testing.assert_allclose(levelled[263, :2], [0.5, 0.0], atol=0.01)
    np.testing.assert_allclose(levelled[33, :2], [-0.5, 0.0], atol=0.01)
    assert levelled[152, 1] > levelled[0, 1] > 0 > levelled[10, 1]  # chin, lip, hairline


def on_a_picture(mesh: np.ndarray, size: int) -> np.ndarray:
    flat = normalised(mesh)[0]
    return flat * size * 0.3 + np.array([size / 2, size * 0.42, 0.0])


@pytest.mark.extra("face")
def test_regions_do_not_overlap_and_lie_as_in_a_face(mesh: np.ndarray) -> None:
    points = on_a_picture(mesh, 224)
    masks = region_masks(points)
    assert set(masks) == set(REGIONS)
    assert np.sum(list(masks.values()), axis=0).max() == 1
    height = {name: np.argwhere(mask).mean(axis=0)[0] for name, mask in masks.items()}
    order = ("forehead", "brows", "eyes", "nose", "mouth", "jaw")
    assert [height[name] for name in order] == sorted(height[name] for name in order)
    for name, inside in (("eyes", 468), ("eyes", 473), ("mouth", 13), ("nose", 4),
                         ("brows", 8), ("cheeks", 205), ("cheeks", 425)):  # fmt: skip
        x, y = np.round(points[inside, :2]).astype(int)
        assert masks[name][y, x], (name, inside)
    left = masks["cheeks"][:, 112:].sum() / masks["cheeks"].sum()
    assert 0.3 < left < 0.7


@pytest.mark.extra("face")
def test_regions_scale_with_the_picture(mesh: np.ndarray) -> None:
    small = region_masks(on_a_picture(mesh, 224), 224)
    large = region_masks(on_a_picture(mesh, 448), 448)
    for name in REGIONS:
        assert large[name].shape == (448, 448)
        assert large[name].mean() == pytest.approx(small[name].mean(), rel=0.1)


@pytest.mark.extra("face")
def test_regions_of_no_face_are_empty_and_of_a_far_one_too(mesh: np.ndarray) -> None:
    assert not any(mask.any() for mask in region_masks(np.full((478, 2), np.nan)).values())
    far = on_a_picture(mesh, 224) + np.array([1e7, 0.0, 0.0])
    assert not any(mask.any() for mask in region_masks(far).values())
    with pytest.raises(SignalError, match="0 pixels a side"):
        region_masks(np.zeros((478, 3)), 0)
