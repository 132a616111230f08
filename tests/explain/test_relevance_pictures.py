"""Relevance to look at: one scale a clip, no colour where there is none, maps under frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from dolorimeter.explain import pictures


def test_one_scale_for_all_frames_of_a_clip() -> None:
    patches = np.zeros((3, 14, 14))
    patches[0], patches[1, :7] = 1.0, 4.0
    heat = pictures.heat_maps(patches)
    assert heat.shape == (3, 224, 224)
    assert heat[0] == pytest.approx(0.25)  # a frame that matters less stays pale
    assert heat[1].max() == 1.0
    assert not heat[2].any()
    assert not pictures.heat_maps(np.zeros((2, 14, 14))).any()


def test_the_face_is_grey_and_whole_where_nothing_is_relevant() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    heat = np.zeros((8, 8))
    heat[0, 0] = 1.0
    shown = pictures.overlay(picture, heat)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    assert (shown.reshape(-1, 3)[1:] == grey.reshape(-1, 1)[1:]).all()
    wanted = 0.25 * grey[0, 0] + 0.75 * pictures.colours()[255].astype(float)
    assert shown[0, 0] == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_each_map_stands_under_its_frame(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "saved", lambda figure, _: drawn.append(figure))
    table = pd.DataFrame(
        {"region": ["eyes"], "of": ["the face"], "relevance_share": [0.5], "area_share": [0.5],
         "ratio": [1.0]}
    )  # fmt: skip
    pictures.write_figure(
        tmp_path / "a.png",
        np.zeros((6, 32, 32, 3), dtype=np.uint8),
        np.ones((6, 2, 2)),
        np.ones(6),
        np.arange(6.0),
        table,
        title="t",
        caption="c",
        frames=frames,
    )
    (figure,) = drawn
    figure.canvas.draw()
    shown = [axes for axes in figure.axes if axes.images]
    edges = [axes.get_window_extent().x0 for axes in shown]
    assert len(edges) == 2 * frames
    assert edges[:frames] == pytest.approx(edges[frames:], abs=1)
