"""UNBC-McMaster: frame labels as signals, ratings, PSPI recomputed from FACS."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.unbc_mcmaster import UNBCMcMaster, pspi
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.types import Rating

SUBJECT, SEQUENCE = "042-ll042", "ll042t1aaaff"
PLACE = f"{SUBJECT}/{SEQUENCE}"
PSPI_SAMPLE = "   7.0000000e+00\n"
FACS_SAMPLE = """   4.0000000e+00   2.0000000e+00   0.0000000e+00   0.0000000e+00
   6.0000000e+00   1.0000000e+00   0.0000000e+00   0.0000000e+00
   7.0000000e+00   3.0000000e+00   0.0000000e+00   0.0000000e+00
  12.0000000e+00   5.0000000e+00   0.0000000e+00   0.0000000e+00
   9.0000000e+00   1.0000000e+00   0.0000000e+00   0.0000000e+00
  43.0000000e+00   1.0000000e+00   0.0000000e+00   0.0000000e+00
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def label(root: Path, tree: str, frame: int) -> Path:
    return root / "Frame_Labels" / tree / PLACE / f"{SEQUENCE}{frame:03d}_facs.txt"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three frames: no action unit, the sample, no action unit."""
    for frame in (1, 2, 3):
        write(label(tmp_path, "PSPI", frame), PSPI_SAMPLE if frame == 2 else "0.0\n")
        write(label(tmp_path, "FACS", frame), FACS_SAMPLE if frame == 2 else "")
        write(tmp_path / "Images" / PLACE / f"{SEQUENCE}{frame:03d}.png", f"image {frame}")
    for scale, value in (("AFF", 4), ("OPR", 3), ("SEN", 5), ("VAS", 6)):
        write(tmp_path / "Sequence_Labels" / scale / f"{PLACE}.txt", f"  {value}.0000000e+00\n")
    return tmp_path


def test_a_sequence_is_read_exactly(root: Path) -> None:
    reader = UNBCMcMaster(root, frame_rate=25.0)
    assert reader.subjects() == (SUBJECT,)
    (recording,) = reader.recordings()
    assert (recording.subject, recording.name) == (SUBJECT, PLACE)
    assert recording.ratings == (
        Rating("aff", 4.0, "self_report"),
        Rating("opr", 3.0, "observer"),
        Rating("sen", 5.0, "self_report"),
        Rating("vas", 6.0, "self_report"),
    )
    signals = recording.load().signals
    np.testing.assert_array_equal(signals["pspi"].values, [[0, 7, 0]])
    assert (signals["pspi"].quantity, signals["pspi"].sampling_rate) == ("rating", 25.0)
    assert signals["facs"].channels == ("au4", "au6", "au7", "au9", "au10", "au12", "au43")
    np.testing.assert_array_equal(signals["facs"].values[:, 1], [2, 1, 3, 1, 0, 5, 1])
    assert not signals["facs"].values[:, [0, 2]].any()
    assert recording.facts == {"frame_count": 3.0, "image_count": 3.0}
    assert recording.texts["frame_folder"] == f"Images/{PLACE}"
    assert recording.texts["frame_names"].split("\n")[0] == f"{SEQUENCE}001.png"
    assert len(recording.sources) == 6
    assert UNBCMcMaster(root, frame_rate=1.0).recordings()[0].signals["pspi"].duration == 3.0


def test_without_a_frame_rate_time_is_unknown(root: Path) -> None:
    reader = UNBCMcMaster(root)
    with pytest.raises(ConfigError, match="the frame rate is not in the files"):
        reader.recordings()
    assert reader.subjects() == (SUBJECT,)
    assert reader.exclusions == ()
    assert reader.check().recordings == 1
    assert reader.check().problems == ()
    assert reader.official_splits() == {}


def test_pspi_over_the_whole_scale() -> None:
    values = np.array(list(itertools.product((0.0, 2.0, 5.0), repeat=5)))
    columns = [np.repeat(values[:, i], 2) for i in range(5)]
    closed = np.tile([0.0, 1.0], len(values))
    found = pspi(*columns, closed)
    wanted = [
        a4 + (a6 if a6 > a7 else a7) + (a9 if a9 > a10 else a10) + a43
        for a4, a6, a7, a9, a10, a43 in zip(*columns, closed, strict=True)
    ]
    np.testing.assert_array_equal(found, wanted)
    assert (found.min(), found.max()) == (0, 16)


def test_missing_frames_are_nan_and_reported(root: Path) -> None:
    label(root, "PSPI", 2).unlink()
    label(root, "FACS", 2).unlink()
    (recording,) = UNBCMcMaster(root, frame_rate=1.0).recordings()
    np.testing.assert_array_equal(recording.signals["pspi"].values, [[0, np.nan, 0]])
    whats = [p.what for p in UNBCMcMaster(root).check().problems]
    assert "pspi: 1 of 3 frames have no label" in whats
    assert "facs: 1 of 3 frames have no label" in whats
    assert "3 images for 2 labelled frames" in whats


@pytest.mark.parametrize(
    ("tree", "text", "message"),
    [
        ("PSPI", "", "the file is empty"),
        ("PSPI", "1.0 2.0\n", "2 numbers, expected one"),
        ("PSPI", "1,5\n", r"line 1: '1,5' is not numbers \(decimal mark '.'\)"),
        ("PSPI", "nan\n", "line 1: a number that is not finite"),
        ("PSPI", "\0", "a binary file"),
        (
            "FACS",
            "4.0\n",
            r"line 1: expected an action unit \(1 to 99\) and its intensity, found 4",
        ),
        ("FACS", "4.5 1\n", "found 4.5 1"),
        ("FACS", "4 1\n4 2\n", "line 2: AU4 comes twice"),
    ],
)
def test_reading_names_the_fault(root: Path, tree: str, text: str, message: str) -> None:
    write(label(root, tree, 2), text)
    (recording,) = UNBCMcMaster(root, frame_rate=1.0).recordings()
    with pytest.raises(RecordingError, match=message):
        recording.load()
    (problem,) = UNBCMcMaster(root).check().problems
    assert problem.kind == "unreadable"
    assert problem.what.startswith(f"Frame_Labels/{tree}/{PLACE}/")


def test_check_recomputes_pspi(root: Path) -> None:
    write(label(root, "PSPI", 2), "6.0\n")
    write(label(root, "FACS", 3), "43 3\n6 1\n")
    whats = [p.what for p in UNBCMcMaster(root).check().problems]
    assert whats == [
        "AU43 above 1: this is no FACS scale, PSPI would be a proxy",
        "PSPI differs from its FACS in 2 frames, first in frame 2: file 6, recomputed 7",
    ]


def test_missing_ratings_strays_and_unreadable_ratings(root: Path) -> None:
    (root / "Sequence_Labels" / "VAS" / f"{PLACE}.txt").unlink()
    write(root / "Sequence_Labels" / "OPR" / f"{PLACE}.txt", "high\n")
    write(root / "notes.txt", "stray")
    reader = UNBCMcMaster(root, frame_rate=1.0)
    (recording,) = reader.recordings()
    assert [r.scale for r in recording.ratings] == ["aff", "sen"]
    assert reader.exclusions[0].reason == "line 1: 'high' is not numbers (decimal mark '.')."
    found = {(p.kind, p.path): p.what for p in reader.check().problems}
    assert found["missing", PLACE] == "no OPR, VAS"
    assert ("stray", "notes.txt") in found


def test_sequences_without_frames(root: Path) -> None:
    (root / "Frame_Labels" / "PSPI" / SUBJECT / "empty").mkdir()
    place = root / "Frame_Labels" / "FACS" / SUBJECT / "jumps"
    write(place / "jumps001_facs.txt", "")
    write(place / "jumps99999_facs.txt", "")
    reader = UNBCMcMaster(root, frame_rate=1.0)
    assert len(reader.recordings()) == 1
    assert [e.reason for e in reader.exclusions] == [
        "no frame label", "frame numbers jump; most are missing",
    ]  # fmt: skip


def test_wrong_roots_and_options(root: Path) -> None:
    with pytest.raises(
        DatasetError, match="is not UNBC-McMaster: looked for Frame_Labels/PSPI or"
    ):
        UNBCMcMaster(root / "Images")
    with pytest.raises(ConfigError, match=r"frame_rate is 0\.0; expected a positive number"):
        UNBCMcMaster(root, frame_rate=0.0)
    with pytest.raises(DatasetError, match="no subject '042'"):
        UNBCMcMaster(root, frame_rate=1.0).recordings(["042"])
    write(root / "LOOKALIKE.json", "{}")
    assert UNBCMcMaster(root).lookalike
