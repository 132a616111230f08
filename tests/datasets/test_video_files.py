"""Folders of video files with labels.csv: exact recordings, and each fault by its message."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.types import Exclusion, Rating, Stimulus, Video
from dolorimeter.video import VideoWriter

LABELS = """file,subject,condition,level,onset,duration,vas,pspi,site
s2/a.mp4,,pain,3,0.04,0.5,7.5,,arm
s2/a.mp4,,rest,0,,,,,
s10/b.mp4,,,,,,1,4,
"""


def clip(path: Path, frames: int = 3, level: int = 40) -> Path:
    with VideoWriter(path.with_suffix(".mp4"), 25.0, (16, 16)) as writer:
        for i in range(frames):
            writer.write(np.full((16, 16, 3), level + i, np.uint8))
    if path.suffix != ".mp4":
        path.with_suffix(".mp4").rename(path)  # FFmpeg looks at the bytes, not at the name
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    clip(tmp_path / "s10" / "b.mp4")
    clip(tmp_path / "s2" / "a.mp4", 5)
    clip(tmp_path / "s2" / "deep" / "c.MOV", 4)
    (tmp_path / "labels.csv").write_text(LABELS)
    return tmp_path


@pytest.mark.extra("face")
def test_the_exact_recordings(root: Path) -> None:
    reader = open_dataset("video_files", root)
    assert reader.subjects() == ("s2", "s10")
    first, second, third = reader.recordings()
    assert (first.dataset, first.subject, first.name) == ("video_files", "s2", "s2/a")
    assert first.videos == {"face": Video(root / "s2" / "a.mp4", None)}
    assert first.stimuli == (
        Stimulus(0.04, 0.5, "pain", 3, {"site": "arm"}),
        Stimulus(None, None, "rest", 0, {}),
    )
    assert first.ratings == (Rating("vas", 7.5, "self_report", 0.04),)
    assert first.sources == (root / "s2" / "a.mp4",)
    assert first.facts == {"duration": 0.2, "frame_count": 5.0}
    assert (second.name, second.stimuli, second.ratings) == ("s2/deep/c", (), ())
    assert (third.name, third.stimuli) == ("s10/b", ())
    assert third.ratings == (
        Rating("vas", 1.0, "self_report"), Rating("pspi", 4.0, "facs"),
    )  # fmt: skip
    assert [r.name for r in reader.recordings(["s10"])] == ["s10/b"]
    assert (reader.exclusions, reader.official_splits(), reader.lookalike) == ((), {}, False)
    assert pickle.loads(pickle.dumps(first)) == first


@pytest.mark.extra("face")
def test_without_labels_the_folder_or_the_name_is_the_subject(tmp_path: Path) -> None:
    clip(tmp_path / "p7-before.mp4")
    clip(tmp_path / "p7-after.mp4")
    clip(tmp_path / "p8" / "x.mp4")
    assert open_dataset("video_files", tmp_path).subjects() == ("p7-after", "p7-before", "p8")
    (tmp_path / "labels.csv").write_text("file,condition\np7-after.mp4,rest\n")
    assert open_dataset("video_files", tmp_path).subjects() == ("p7-after", "p7-before", "p8")
    (tmp_path / "labels.csv").write_text(
        "file,subject,condition\np7-after.mp4,,rest\np7-before.mp4,,pain\np8/x.mp4,p9,pain\n"
    )
    reader = open_dataset("video_files", tmp_path)
    assert reader.subjects() == ("p7", "p9")
    assert [(r.subject, r.name) for r in reader.recordings()] == [
        ("p7", "p7-after"), ("p7", "p7-before"), ("p9", "p8/x"),
    ]  # fmt: skip


@pytest.mark.extra("face")
def test_two_files_that_differ_in_suffix_only(tmp_path: Path) -> None:
    clip(tmp_path / "s1" / "a.mov")
    clip(tmp_path / "s1" / "a.mp4", 4)
    clip(tmp_path / "s1" / "b.mp4", 5)
    names = [r.name for r in open_dataset("video_files", tmp_path).recordings()]
    assert names == ["s1/a.mov", "s1/a.mp4", "s1/b"]


@pytest.mark.extra("face")
def test_what_cannot_be_read_is_left_out_and_counted(root: Path) -> None:
    (root / "s2" / "a.mp4").write_text("no video")
    (root / "s10" / "empty.mp4").touch()
    (root / "labels.csv").write_text(LABELS + "s3/gone.mp4,,pain,1,,,,,\n")
    reader = open_dataset("video_files", root)
    assert [r.name for r in reader.recordings()] == ["s2/deep/c", "s10/b"]
    gone, text, empty = reader.exclusions
    assert gone == Exclusion("", "s3/gone", "s3/gone.mp4", "in labels.csv, no such file")
    assert (text.subject, text.recording, text.what) == ("s2", "s2/a", "s2/a.mp4")
    assert text.reason.startswith("not a video that FFmpeg can read")
    assert (empty.what, empty.reason) == (
        "s10/empty.mp4", "the file is empty. Fetch or copy it again.",
    )  # fmt: skip
    reader.recordings(["s10"])
    assert [e.recording for e in reader.exclusions] == ["s10/empty"]


@pytest.mark.extra("face")
def test_check_says_what_is_wrong(root: Path) -> None:
    (root / "s10" / "copy.mp4").write_bytes((root / "s10" / "b.mp4").read_bytes())
    (root / "s10" / "bad.mkv").write_text("no video")
    (root / "labels.csv").write_text(LABELS + "s3/gone.mp4,,pain,1,,,,,\n")
    (root / "notes.txt").write_text("stray")
    (root / ".hidden.mp4").write_text("hidden")
    report = open_dataset("video_files", root).check()
    assert (report.subjects_found, report.subjects_expected, report.recordings) == (2, None, 4)
    found = {(p.path, p.kind, p.severity) for p in report.problems}
    assert found == {
        ("s3/gone.mp4", "missing", "fault"),
        ("s10/bad.mkv", "unreadable", "fault"),
        ("s10/copy.mp4", "duplicate", "fault"),
        ("s10/bad.mkv", "label", "warning"),
        ("s2/a.mp4", "event", "warning"),  # the stimulus lasts longer than the clip
        ("s10/copy.mp4", "label", "warning"),
        ("s2/deep/c.MOV", "label", "warning"),
        ("notes.txt", "stray", "warning"),
    }
    (root / "LOOKALIKE.json").write_text("{}")
    assert open_dataset("video_files", root).check().lookalike


@pytest.mark.extra("face")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("../a.mp4,,pain,1,,,,,", r"row 1: file is '\.\./a\.mp4'; expected a path inside"),
        ("s2/../../a.mp4,,pain,1,,,,,", r"row 1: file is 's2/\.\./\.\./a\.mp4'"),
        ("/etc/passwd,,pain,1,,,,,", "row 1: file is '/etc/passwd'"),
        ("C:/a.mp4,,pain,1,,,,,", "row 1: file is 'C:/a.mp4'"),
        (r"..\a.mp4,,pain,1,,,,,", "row 1: file is"),
        (",,pain,1,,,,,", "row 1: file is ''"),
        ("s2/a.mp4,,pain,high,,,,,", "row 1: level is 'high', expected a number"),
        ("s2/a.mp4,,pain,1.5,,,,,", "row 1: level 1.5, expected a whole number"),
        ("s2/a.mp4,,pain,1,soon,,,,", "row 1: onset is 'soon', expected a number"),
        ("s2/a.mp4,,pain,1,0,-1,,,", "row 1: duration -1 s, expected 0 or more"),
        ("s2/a.mp4,,pain,1,0,inf,,,", "row 1: duration is 'inf', expected a number"),
        ("s2/a.mp4,,pain,1,0,1,x,,", "row 1: vas is 'x', expected a number"),
        ("s2/a.mp4,,pain", "line 2: 3 cells, expected 9"),
        ("s2/a.mp4,x,pain,,,,,,\ns2/a.mp4,y,pain,,,,,,", "row 2: subject 'y' of s2/a.mp4"),
    ],
)
def test_rows_that_make_no_sense(root: Path, row: str, message: str) -> None:
    header = LABELS.split("\n", 1)[0]
    (root / "labels.csv").write_text(f"{header}\n{row}\n")
    reader = open_dataset("video_files", root)
    with pytest.raises(RecordingError, match=message):
        reader.recordings()
    with pytest.raises(RecordingError, match=message):
        reader.check()


@pytest.mark.extra("face")
def test_links_out_of_the_folder_are_followed(root: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    clip(inside / "s1" / "a.mp4")
    (inside / "s1" / "link.mp4").symlink_to(root / "s2" / "a.mp4")
    (inside / "labels.csv").write_text("file,condition\ns1/link.mp4,pain\n")
    reader = open_dataset("video_files", inside)
    assert [r.name for r in reader.recordings()] == ["s1/a", "s1/link"]
    assert reader.exclusions == ()


@pytest.mark.extra("face")
def test_wrong_roots(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a file; expected the folder of video files"):
        open_dataset("video_files", root / "labels.csv")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match=r"no video file in it; expected \.avi"):
        open_dataset("video_files", tmp_path / "nothing")
    (root / "labels.csv").write_text("path,condition\na,b\n")
    with pytest.raises(RecordingError, match="no column 'file'; there are"):
        open_dataset("video_files", root).subjects()
    (root / "labels.csv").unlink()
    with pytest.raises(DatasetError, match="no subject 's99'"):
        open_dataset("video_files", root).recordings(["s99"])


def test_readers_do_not_import_the_decoder() -> None:
    code = "import sys, dolorimeter.datasets; print('av' in sys.modules, 'cv2' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.extra("face")
def test_check_names_gaps_and_events_outside(fixtures: Path, tmp_path: Path) -> None:
    case = fixtures / "cases" / "17-avi-dropped-frames"
    for name in ("camera.avi", "camera.mkv"):
        (tmp_path / name).write_bytes((case / name).read_bytes())
    (tmp_path / "labels.csv").write_text(
        "file,subject,condition,onset,duration\n"
        "camera.avi,P1,pain,1,1\ncamera.avi,P1,pain,9,1\ncamera.mkv,P2,pain,1,1\n"
    )
    problems = open_dataset("video_files", tmp_path).check().problems
    gaps = [p for p in problems if p.kind == "time"]
    assert [p.path for p in gaps] == ["camera.avi", "camera.mkv"]
    assert gaps[0].what == "face: 1 stretches without a frame: 0.96–3 s"
    (event,) = [p for p in problems if p.kind == "event"]
    assert event.path == "camera.avi"
    assert "1 of 2 events lies outside 0–4 s: pain at 9 s (5 s after the end)" in event.what
