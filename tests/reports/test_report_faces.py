"""What `dolorimeter faces` writes of a video."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import ConfigError, RecordingError, StorageError
from dolorimeter.reports import faces, write_faces
from dolorimeter.video import VideoWriter, probe, read_frames

RATE = 10.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of a face, then four of nothing."""
    data = resources.files("dolorimeter").joinpath("assets/astronaut.png").read_bytes()
    face = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert face is not None
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with VideoWriter(path, RATE, (400, 400)) as writer:
        for i in range(12):
            picture = np.ascontiguousarray(face[:400, 20:420, ::-1])
            writer.write(picture if i < 8 else np.zeros_like(picture))
    return path


def test_the_table_the_summary_and_the_pictures(clip: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = write_faces(clip, tmp_path, aligned=True, progress=lambda *s: steps.append(s))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in found.files}
    table = pd.read_csv(tmp_path / "clip-frames.csv")
    assert len(table) == 12
    assert table["found"].tolist() == [True] * 8 + [False] * 4
    assert table["pain_expression"].notna().tolist() == table["found"].tolist()
    np.testing.assert_allclose(table["time"], np.arange(12) / RATE, atol=1e-6)
    assert (table["quality"][8:] == 0).all()
    told = json.loads((tmp_path / "clip-summary.json").read_text())
    assert told["face found"] == "66.7%"
    assert "not a medical device" in told["notice"]
    for name in ("clip-cues.png", "clip-preview.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None
        assert picture.std() > 5
    aligned = probe(tmp_path / "clip-aligned.mp4")
    assert (aligned.width, aligned.height, aligned.frames) == (224, 224, 12)


def test_no_frame_is_written_unless_asked(clip: Path, tmp_path: Path) -> None:
    found = write_faces(clip, tmp_path, stride=4, preview=False)
    assert {p.suffix for p in found.files} == {".csv", ".json", ".png"}
    assert not (tmp_path / "clip-preview.png").exists()
    assert found.frames["time"].tolist() == pytest.approx([0.0, 0.4, 0.8])


def test_a_single_frame_is_drawn_as_dots(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    with read_frames(clip) as frames, VideoWriter(path, RATE, (400, 400)) as writer:
        writer.write(next(frames).image)
    found = write_faces(path, tmp_path / "one", preview=False)
    assert found.frames["found"].tolist() == [True]
    picture = cv2.imread(str(tmp_path / "one" / "one-cues.png"))
    assert picture is not None
    height, width = picture.shape[:2]
    inside = picture[int(0.4 * height) : int(0.8 * height), int(0.45 * width) : int(0.55 * width)]
    coloured = inside.max(axis=2).astype(int) - inside.min(axis=2) > 60
    assert coloured.any()  # of a line through one point nothing would be seen


def test_a_video_of_nobody_is_a_result(tmp_path: Path) -> None:
    path = tmp_path / "nobody.mp4"
    with VideoWriter(path, RATE, (64, 64)) as writer:
        writer.write(np.zeros((64, 64, 3), dtype=np.uint8))
    found = write_faces(path, tmp_path / "out")
    assert found.summary["face found"] == "0.0%"
    assert found.summary["pain_expression"] is None
    assert found.summary["remarks"]


def test_faults_are_named(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="stride is 0, expected 1 or more"):
        write_faces(clip, tmp_path, stride=0)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(RecordingError, match=r"empty\.mp4"):
        write_faces(tmp_path / "empty.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    monkeypatch.setattr(faces, "track_face", lambda *_, **__: pytest.fail("looked at in vain"))
    with pytest.raises(StorageError, match="is a file, and a folder is needed"):
        write_faces(clip, tmp_path / "file")
