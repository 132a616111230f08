"""Shares of relevance by region against maps whose shares are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.explain.regions import (
    FACE,
    OUTSIDE,
    masks_of,
    region_table,
    regions_by_frame,
    spread,
)
from dolorimeter.signals.face import REGIONS


def face(scale: float = 1.0) -> np.ndarray:
    """A face that is no face: the landmarks of each region lie on a circle of its own."""
    rng = np.random.default_rng(0)
    points = 112 + 20 * scale * rng.uniform(-1, 1, size=(478, 3))
    centres = [(70, 90), (112, 60), (112, 110), (112, 160), (150, 130), (112, 30), (112, 195)]
    for (x, y), polygons in zip(centres, REGIONS.values(), strict=True):
        for polygon in polygons:
            turn = np.linspace(0, 2 * np.pi, len(polygon), endpoint=False)
            points[list(polygon), 0] = 112 + scale * (x - 112 + 15 * np.cos(turn))
            points[list(polygon), 1] = 112 + scale * (y - 112 + 15 * np.sin(turn))
    return points


def share(table: pd.DataFrame, region: str, column: str = "relevance_share") -> float:
    return float(table.set_index("region")[column][region])


def test_an_even_map_has_the_ratio_1_everywhere_however_frames_differ() -> None:
    weights = np.array([1.0, 5.0, 0.1])
    patches = np.ones((3, 14, 14)) * weights[:, None, None]
    landmarks = np.stack([face(1.0), face(0.6), face(0.8)])
    by_frame = regions_by_frame(patches, landmarks)
    assert np.allclose(by_frame["ratio"].dropna(), 1.0)
    assert np.allclose(region_table(by_frame)["ratio"].dropna(), 1.0)


def test_shares_of_the_face_add_up_and_so_do_those_of_the_picture() -> None:
    patches = np.random.default_rng(1).exponential(size=(2, 14, 14))
    table = region_table(regions_by_frame(patches, np.stack([face(), face(0.7)])))
    of_face = table[table["of"] == "the face"]
    of_picture = table[table["of"] == "the picture"]
    assert set(of_face["region"]) == {*REGIONS, "rest of the face"}
    assert set(of_picture["region"]) == {FACE, OUTSIDE}
    for part in (of_face, of_picture):
        assert part["relevance_share"].sum() == pytest.approx(1)
        assert part["area_share"].sum() == pytest.approx(1)


def test_relevance_in_one_corner_lies_outside_the_face() -> None:
    patches = np.zeros((1, 14, 14))
    patches[0, 0, 0] = 2.0
    table = region_table(regions_by_frame(patches, face()[None]))
    assert share(table, OUTSIDE) == 1
    assert share(table, FACE) == 0
    assert np.isnan(share(table, "eyes"))  # no relevance on the face has no shares


def test_relevance_on_the_mouth_is_found_there() -> None:
    landmarks = face()
    mouth = masks_of(landmarks)["mouth"]
    patches = np.zeros((1, 14, 14))
    patches[0, 160 // 16, 112 // 16] = 1.0
    inside = mouth[160:176, 112:128].mean()
    table = region_table(regions_by_frame(patches, landmarks[None]))
    on_face = masks_of(landmarks)[FACE][160:176, 112:128].mean()
    assert share(table, "mouth") == pytest.approx(inside / on_face)
    assert share(table, "mouth", "ratio") > 3


def test_frames_weigh_by_their_relevance() -> None:
    patches = np.zeros((2, 14, 14))
    patches[0, 0, 0], patches[1] = 3.0, 1 / 196
    table = region_table(regions_by_frame(patches, np.stack([face(), face()])))
    outside = masks_of(face())[OUTSIDE].mean()
    assert share(table, OUTSIDE) == pytest.approx((3 + outside) / 4)


def test_a_frame_without_a_face_gives_no_rows() -> None:
    landmarks = np.stack([face(), np.full((478, 3), np.nan)])
    by_frame = regions_by_frame(np.ones((2, 14, 14)), landmarks)
    assert set(by_frame["frame"]) == {0}
    assert region_table(regions_by_frame(np.ones((1, 14, 14)), landmarks[1:])).empty
    assert region_table(regions_by_frame(np.zeros((1, 14, 14)), landmarks[:1])).empty


def test_spreading_keeps_the_sum() -> None:
    patches = np.random.default_rng(0).uniform(size=(3, 14, 14))
    pixels = spread(patches)
    assert pixels.shape == (3, 224, 224)
    assert np.allclose(pixels.sum(axis=(1, 2)), patches.sum(axis=(1, 2)))
    assert pixels[1, 17, 35] == pytest.approx(patches[1, 1, 2] / 256)


def test_what_cannot_be_shared_is_refused() -> None:
    with pytest.raises(SignalError, match="2 maps and landmarks of 1 frames"):
        regions_by_frame(np.ones((2, 14, 14)), face()[None])
    with pytest.raises(SignalError, match="negative"):
        regions_by_frame(-np.ones((1, 14, 14)), face()[None])
    with pytest.raises(SignalError, match="15×14 patches do not tile"):
        spread(np.ones((15, 14)))
