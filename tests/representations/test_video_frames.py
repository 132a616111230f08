"""Whole frames, letterboxed: for cameras in which no face can be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.chain import build
from dolorimeter.errors import ConfigError, RecordingError, SignalError
from dolorimeter.registry import REPRESENTATIONS
from dolorimeter.representations import VideoFrames
from dolorimeter.representations.video_frames import letterboxed
from dolorimeter.types import Recording, Video, Window
from dolorimeter.video import read_frames


def window_of(
    path: Path | None, start: float = 0.0, duration: float = 5.5, rate: float | None = None
) -> Window:
    videos = {} if path is None else {"thermal": Video(path, rate)}
    return Window(Recording("made", "s1", "r1", videos=videos), start, duration)


def numbers(made: VideoFrames, window: Window, number: Callable[[np.ndarray], int]) -> list[int]:
    return [number(p) for p in np.concatenate(list(made.pictures(window)))]


@pytest.mark.parametrize(("stride", "count"), [(1, 138), (2, 69), (3, 46), (4, 35)])
def test_strides(clip: Path, number: Callable[[np.ndarray], int], stride: int, count: int) -> None:
    made = VideoFrames("thermal", stride=stride, size=64)
    window = window_of(clip)
    assert made.missing(window) is None
    assert made.picture_count(window) == count
    assert numbers(made, window, number) == list(range(0, 138, stride))


def test_in_the_middle_with_offset_and_published_rate(
    clip: Path, number: Callable[[np.ndarray], int]
) -> None:
    made = VideoFrames("thermal", offset=0.6, duration=1.0, size=64)
    assert numbers(made, window_of(clip, 1.0, rate=12.5), number) == list(range(40, 65, 2))
    assert numbers(replace(made, frame_rate=25.0), window_of(clip, 1.0), number) == list(
        range(40, 65)
    )


def test_the_whole_frame_keeps_its_proportions(clip: Path) -> None:
    made = VideoFrames("thermal")
    picture = next(made.pictures(window_of(clip)))[0]
    image = next(iter(read_frames(clip))).image
    assert picture.shape == (3, 224, 224)
    assert not picture[:, :28].any()
    assert not picture[:, 196:].any()
    wanted = cv2.resize(image, (224, 168)).transpose(2, 0, 1)
    np.testing.assert_array_equal(picture[:, 28:196], wanted)


@given(height=st.integers(1, 300), width=st.integers(1, 300), size=st.integers(2, 100))
def test_letterboxed(height: int, width: int, size: int) -> None:
    picture = letterboxed(np.full((height, width, 3), 200, dtype=np.uint8), size)
    rows, columns = picture.any(axis=(1, 2)).sum(), picture.any(axis=(0, 2)).sum()
    assert max(rows, columns) == size
    assert abs(rows - max(1, size * height / max(height, width))) <= 0.5
    assert abs(columns - max(1, size * width / max(height, width))) <= 0.5
    assert (picture[picture.any(axis=2)] == 200).all()


def test_slow_videos_repeat_and_long_gaps_are_refused(
    tmp_path: Path, write_at: Callable[..., Path], number: Callable[[np.ndarray], int]
) -> None:
    times = np.array([0, 0.2, 0.4, 1.0, 3.6, 3.8, 4.0])
    path = write_at(tmp_path / "thermal.mp4", times)
    made = VideoFrames("thermal", frame_rate=10.0, size=64)
    assert numbers(made, window_of(path, 0.0, 1.0), number) == [0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
    with pytest.raises(RecordingError, match=r"within 1.000 s of 2.100 s.*nearest is at 1.000 s"):
        numbers(made, window_of(path, 0.5, 3.0), number)


def test_missing_and_beyond(clip: Path) -> None:
    made = VideoFrames("thermal", frame_rate=25.0, size=16)
    assert made.missing(window_of(None)) == "the recording has no such video"
    for start in (-0.5, 0.1):
        reason = made.missing(window_of(clip, start))
        assert reason == "the window reaches beyond the video"
    represented = made([window_of(None), window_of(clip)])
    assert represented.x.shape == (2, 138, 3, 16, 16)
    assert represented.present.tolist() == [False, True]
    assert not represented.x[0].any()
    assert represented.remarks == ("thermal: whole frames, no face was looked for.",)
    with pytest.raises(SignalError, match=r"r1, window 0.1–5.6 s: no pictures of thermal, the w"):
        next(made.pictures(window_of(clip, 0.1)))
    with pytest.raises(SignalError, match=r"no video 'thermal' that tells its frame rate.*Give"):
        VideoFrames("thermal").picture_count(window_of(None))


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "thermal.mp4"
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match=r"thermal.mp4: the file is empty"):
        VideoFrames("thermal").missing(window_of(path))


def test_registered() -> None:
    assert REPRESENTATIONS.get("video_frames") is VideoFrames
    made = VideoFrames("thermal", stride=3)
    assert build(REPRESENTATIONS, {"name": "video_frames", **asdict(made)}) == made
    assert made.pictures_of_people


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"frame_rate": 0.0}, "frame_rate is 0.0, expected above 0 Hz"),
        ({"duration": -1.0}, "duration is -1.0"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VideoFrames("thermal", **arguments)
