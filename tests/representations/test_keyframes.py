"""Keyframes: the algorithm written out a second time, and what must always hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.representations.keyframes import keyframes

EYES = 65.0


def walk(seed: int, frames: int = 138, speed: float = 1.0, points: int = 68) -> np.ndarray:
    """Points that drift at random; many frames hardly move, a few move much."""
    rng = np.random.default_rng(seed)
    amount = speed * rng.exponential(1.0, (frames, 1, 1)) ** 2
    return np.cumsum(amount * rng.normal(size=(frames, points, 2)), axis=0)


def as_written(
    landmarks: np.ndarray, found: np.ndarray, eyes: float, first: float, step: float,
    fewest: int, most: int,
) -> list[int]:  # fmt: skip
    """The loop of the article, frame by frame."""
    chosen: list[int] = []
    sweep = 0
    while True:
        limit = first - sweep * step
        if limit <= 0:
            return chosen
        chosen = []
        for frame in range(len(landmarks)):
            if not found[frame] or len(chosen) == most:
                continue
            if not chosen:
                chosen.append(frame)
                continue
            apart = landmarks[frame] - landmarks[chosen[-1]]
            if np.sqrt(np.mean(np.sum(apart**2, axis=1))) / eyes > limit:
                chosen.append(frame)
        if len(chosen) >= fewest:
            return chosen
        sweep += 1


@given(
    seed=st.integers(0, 10_000),
    speed=st.floats(0.001, 2.0),
    lost=st.floats(0, 0.9),
    most=st.integers(16, 100),
)
def test_as_the_article_says(seed: int, speed: float, lost: float, most: int) -> None:
    path = walk(seed, speed=speed)
    found = np.random.default_rng(seed).uniform(size=len(path)) >= lost
    path[~found] = np.nan
    chosen = keyframes(path, found, EYES, most=most)
    assert chosen.tolist() == as_written(path, found, EYES, 0.03, 0.008, 16, most)


@given(seed=st.integers(0, 10_000), speed=st.floats(0.001, 2.0),
       reference=st.sampled_from(["keyframe", "previous"]))  # fmt: skip
def test_what_always_holds(seed: int, speed: float, reference: str) -> None:
    path = walk(seed, speed=speed)
    found = np.random.default_rng(seed + 1).uniform(size=len(path)) >= 0.2
    chosen = keyframes(path, found, EYES, reference=reference)
    assert found[chosen].all()
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] == np.flatnonzero(found)[0]
    assert len(chosen) <= 100
    # the same in other pixels, elsewhere in the picture, turned
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    again = keyframes(3 * path @ turn + 100, found, 3 * EYES, reference=reference)
    np.testing.assert_array_equal(again, chosen)


@given(seed=st.integers(0, 10_000), limit=st.floats(0.005, 0.2))
def test_neighbouring_keyframes_differ_and_what_lies_between_does_not(
    seed: int, limit: float
) -> None:
    path = walk(seed, speed=0.5)
    chosen = keyframes(path, np.ones(len(path), dtype=bool), EYES, threshold=limit,
                       step=limit, fewest=1, most=1000)  # fmt: skip
    for key, following in zip(chosen, [*chosen[1:], len(path)], strict=True):
        moved = np.sqrt(((path - path[key]) ** 2).sum(axis=2).mean(axis=1)) / EYES
        assert (moved[key + 1 : following] <= limit).all()
        assert following == len(path) or moved[following] > limit


def test_the_published_numbers_are_pixels_of_68_points() -> None:
    """15 px over 68 stacked points is a root mean square of 15 / √68 px a point."""
    path = np.zeros((3, 68, 2))
    path[1, :, 0] = 0.95 * 15 / np.sqrt(68)
    path[2, :, 0] = 1.10 * 15 / np.sqrt(68)
    assert abs(np.linalg.norm(path[2]) - 16.5) < 1e-9
    found = np.ones(3, dtype=bool)
    assert keyframes(path, found, EYES, step=1.0).tolist() == [0, 2]


def test_the_threshold_falls_until_there_are_enough() -> None:
    path = np.zeros((40, 1, 1))
    path[:, 0, 0] = np.arange(40) * 0.02  # each frame 0.02 from the one before
    found = np.ones(40, dtype=bool)
    assert len(keyframes(path, found, 1.0, fewest=1)) == 20  # at 0.03 every other frame
    assert len(keyframes(path, found, 1.0, fewest=21)) == 40  # at 0.014
    assert len(keyframes(path, found, 1.0, fewest=16)) == 20
    still = np.zeros((40, 1, 1))
    assert keyframes(still, found, 1.0).tolist() == [0]


def test_previous_frame_misses_slow_movement() -> None:
    path = np.zeros((100, 5, 2))
    path[:, :, 1] = np.linspace(0, 10, 100)[:, None]  # 0.1 px a frame
    found = np.ones(100, dtype=bool)
    assert len(keyframes(path, found, EYES, step=1.0)) == 5
    assert keyframes(path, found, EYES, step=1.0, reference="previous").tolist() == [0]
    path[50:] += 20
    path[10] = np.nan
    found[10] = False  # the frame before 11 is 9
    assert keyframes(path, found, EYES, step=1.0, reference="previous").tolist() == [0, 50]


def test_no_face() -> None:
    none = keyframes(np.full((5, 68, 2), np.nan), np.zeros(5, dtype=bool), EYES)
    assert none.tolist() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": "first"}, r"reference is 'first', expected one of keyframe, previous"),
        ({"threshold": 0.0}, r"threshold 0\.0, step 0\.008"),
        ({"step": 0.0}, r"step 0\.0, 16 to 100"),
        ({"fewest": 200}, r"200 to 100 keyframes"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        keyframes(walk(0, frames=3), np.ones(3, dtype=bool), EYES, **arguments)


def test_landmarks_that_are_none() -> None:
    path = walk(0, frames=3)
    with pytest.raises(SignalError, match=r"at 0 px between the eyes"):
        keyframes(path, np.ones(3, dtype=bool), 0.0)
    path[1] = np.nan
    with pytest.raises(SignalError, match=r"landmarks in every frame with a face"):
        keyframes(path, np.ones(3, dtype=bool), EYES)
