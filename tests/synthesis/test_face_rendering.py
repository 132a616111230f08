"""Warps, lids, lips, light and course of made-up faces, without a face tracker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.synthesis.face_actions import (
    COLUMNS,
    PAIN_ACTIONS,
    Course,
    Expressiveness,
    draw_course,
    draw_expressiveness,
    pspi,
    strength,
)
from dolorimeter.synthesis.face_fields import Bump, came_from, displacement
from dolorimeter.synthesis.face_identity import PROPORTIONS, draw_identity
from dolorimeter.synthesis.face_model import FaceModel, face_model
from dolorimeter.synthesis.face_openings import move_lids
from dolorimeter.synthesis.face_render import Hand, Renderer

TIMES = np.arange(138) / 25
OPEN = Expressiveness(gain=1.0, mix=(0.9,) * 5, shutting=1.0, parting=0.5)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return face_model(draw_identity(np.random.default_rng(3), sex="w", age=40), (320, 240))


def course(response: float, seed: int = 0, confounders: float = 0.0) -> Course:
    return draw_course(
        TIMES,
        response,
        OPEN,
        stimulus=-1.0,
        confounders=confounders,
        moved=False,
        rng=np.random.default_rng(seed),
    )


@given(seed=st.integers(0, 2**16))
def test_a_warp_can_be_undone_and_never_folds(seed: int) -> None:
    """Folds would tear the face; the determinant of the warp's derivative stays positive."""
    rng = np.random.default_rng(seed)
    identity = draw_identity(rng, sex="m", age=50)
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 81), np.linspace(-2, 2.4, 89)))
    moved = grid + displacement(grid, identity.bumps)
    np.testing.assert_allclose(came_from(moved, identity.bumps), grid, atol=0.01)
    du, dv = np.diff(moved, axis=2)[:, :-1] / 0.05, np.diff(moved, axis=1)[:, :, :-1] / 0.05
    assert (du[0] * dv[1] - du[1] * dv[0]).min() > 0.15


def test_a_mirrored_bump_does_the_same_on_the_other_side() -> None:
    bump = Bump((0.5, 0.2), (0.3, 0.2), shift=(0.1, -0.05), stretch=(0.1, 0.2, 0.3, 0.4))
    points = np.random.default_rng(0).normal(size=(2, 50))
    flipped = points * np.array([[-1.0], [1.0]])
    expected = bump.at(points) * np.array([[-1.0], [1.0]])
    np.testing.assert_allclose(bump.mirrored().at(flipped), expected)


def test_identities_use_all_proportions_and_do_not_repeat() -> None:
    people = [
        np.array(draw_identity(np.random.default_rng(i), sex="w", age=30).proportions)
        for i in range(40)
    ]
    table = np.array(people)
    assert table.shape == (40, len(PROPORTIONS))
    assert np.abs(table).max() <= 1
    assert (np.ptp(table, axis=0) > 1).all()


def test_open_lids_leave_the_texture_as_it_is(model: FaceModel) -> None:
    for eye, skin in zip(model.eyes, model.lids, strict=True):
        box = eye.view(model.texture).astype(int)
        assert np.abs(move_lids(model.texture, eye, skin, 0.0, 0.0) - box).max() <= 1


def test_a_shut_lid_covers_the_eye_with_skin(model: FaceModel) -> None:
    """No dark iris is left between the edges: the eye's middle is as bright as the cheek."""
    for eye, skin in zip(model.eyes, model.lids, strict=True):
        rows, columns = eye.view(model.texture).shape[:2]
        column = columns // 2
        first, last = int(eye.upper[column]) + 1, int(eye.upper[column] + 0.6 * eye.height[column])
        opened = eye.view(model.texture)[first:last, column].mean()
        closed = move_lids(model.texture, eye, skin, 1.0, 0.0)[first:last, column].mean()
        cheek = eye.view(model.texture)[int(0.8 * rows), column].mean()
        assert opened < 0.6 * cheek
        assert closed > 0.75 * cheek


def test_a_state_at_rest_is_the_same_whoever_asks_and_actions_stay_local(
    model: FaceModel,
) -> None:
    still = Renderer(model, 0.0, np.random.default_rng(0))
    rest = still.frame({}).astype(int)
    np.testing.assert_array_equal(rest, still.frame({"au4": 0.0, "closure": 0.0}))
    for action in ("au4", "au6", "au7", "au9", "au10", "au12", "au26", "closure"):
        changed = np.abs(still.frame({action: 5.0 if action[0] == "a" else 1.0}) - rest).max(-1)
        assert changed.max() > 40, action
        assert max(changed[:, :60].max(), changed[:, 260:].max()) <= 2, action
        assert changed[:20].max() <= 2, action


def test_hand_noise_light_and_mark(model: FaceModel) -> None:
    still = Renderer(model, 0.0, np.random.default_rng(0))
    rest = still.frame({})
    hidden = still.frame({}, Hand((0.2, 1.2), -2.2, 0.3))
    share = (np.abs(hidden.astype(int) - rest).max(-1) > 20).mean()
    assert 0.01 < share < 0.2
    assert still.frame({"light": 0.1}).mean() > 1.05 * rest.mean()
    noisy = Renderer(model, 1.0, np.random.default_rng(0))
    one, two = noisy.frame({}).astype(int), noisy.frame({}).astype(int)
    assert 0.5 < (one - two).std() < 3
    corner = rest[-20:, :70].astype(int)
    unmarked = model.texture[-20:, :70].astype(int)
    written = (np.abs(corner - unmarked).max(-1) > 60).mean()
    assert 0.03 < written < 0.6


def test_pspi_is_prkachins_formula() -> None:
    one = {"au4": 2.0, "au6": 1.0, "au7": 3.0, "au9": 0.5, "au10": 4.0, "au43": 1.0}
    assert float(pspi({name: np.array([x]) for name, x in one.items()})[0]) == 2 + 3 + 4 + 1


def test_pain_rises_with_the_response_and_has_its_time() -> None:
    peaks = [course(r, seed=4).columns["pspi"].max() for r in (-1.0, 1.0, 2.5, 4.0, 6.0)]
    assert peaks == sorted(peaks)
    assert peaks[0] < 1
    assert peaks[-1] > 9
    strong = course(6.0).columns
    onset = TIMES[np.argmax(strong["pain"] > 0.05)]
    assert 0.0 <= onset <= 1.5  # 1 to 2 s after a stimulus that began 1 s before the clip
    assert strong["pain"][0] == 0
    assert strong["au43"].sum() > 0.5 * 25  # shut for longer than a blink
    assert strength(2.3) == pytest.approx(0.5)


def test_confounders_alone_make_no_pain_and_none_are_there_at_zero() -> None:
    none = course(-9.0, confounders=0.0).columns
    for name in ("blink", "talk", "smile", "occluded", "closure", "yaw", "light", "au12", "au26"):
        assert not none[name].any(), name
    many = [course(-9.0, seed, confounders=3.0).columns for seed in range(30)]
    for name in ("blink", "talk", "smile", "occluded"):
        assert 0.01 < np.mean([c[name].mean() for c in many]) < 0.8, name
    assert max(c["pain"].max() for c in many) < 0.05
    assert max(c["au43"].max() for c in many) == 0
    assert max(c["closure"].max() for c in many) == 1
    assert max(c["pspi"].max() for c in many) > 1  # a smile raises the cheeks: AU6


def test_blinks_are_short_and_about_17_a_minute() -> None:
    found = [course(-9.0, seed, confounders=1.0).columns["closure"] > 0.5 for seed in range(200)]
    starts = sum(int(np.sum(np.diff(shut.astype(int)) == 1)) for shut in found)
    assert 12 < starts / (200 * 5.52 / 60) < 20
    runs = [np.diff(np.flatnonzero(np.diff(np.r_[0, shut, 0])))[::2] for shut in found]
    assert np.concatenate(runs).max() <= 0.5 * 25


def test_the_course_does_not_change_what_is_blind_to_pain() -> None:
    """The same seed with and without pain: the same blinks, talk, smile, head and light."""
    calm, hurt = course(-9.0, 7, 1.0).columns, course(6.0, 7, 1.0).columns
    for name in ("talk", "smile", "occluded", "au12", "au26", "yaw", "pitch", "light"):
        np.testing.assert_array_equal(calm[name], hurt[name])
    assert set(calm) == set(COLUMNS)


def test_people_differ_in_how_much_they_show_and_some_are_stoic() -> None:
    people = [draw_expressiveness(np.random.default_rng(seed)) for seed in range(400)]
    gains = np.array([person.gain for person in people])
    assert 0.08 < (gains < 0.3).mean() < 0.22
    assert np.array([person.mix for person in people]).std(axis=0).min() > 0.1
    assert len(people[0].mix) == len(PAIN_ACTIONS)
