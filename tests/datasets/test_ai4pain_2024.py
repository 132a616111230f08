"""AI4Pain 2024: segments from sparse markers, two releases of file names, the answer file."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.ai4pain_2024 import AI4Pain2024, write_submission
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.types import Stimulus, Video
from dolorimeter.video import VideoWriter, probe

HEADER = ",".join(str(i) for i in range(1, 51))
CHANNELS = ",".join(f"{c / 4}" for c in range(48))
SAMPLE = f"""{HEADER}
0,{CHANNELS},B1
1,{CHANNELS},
2,{CHANNELS},L1
3,{CHANNELS},
"""


def fnirs_text(markers: dict[int, str], n: int = 100, seed: int = 0) -> str:
    table = np.random.default_rng(seed).normal(0, 1, (n, 48))
    lines = [HEADER]
    for i, row in enumerate(table):
        lines.append(",".join([str(i), *(f"{v:.5f}" for v in row), markers.get(i, "")]))
    return "\n".join(lines) + "\n"


def write(path: Path, text: str = "video") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "Train/fnirs/12.csv", fnirs_text({0: "B1", 30: "L1", 55: "R1", 80: "H12"}))
    write(tmp_path / "Train/fnirs/3.csv", fnirs_text({0: "B1", 50: "H1"}, seed=1))
    write(tmp_path / "Train/video/12/L1.mp4")
    write(tmp_path / "Train/video/12/12_H12.mp4")
    for name in ("2_Pain_HIGH_0", "2_Pain_HIGH_1", "2_Rest_1", "2_Baseline"):
        write(tmp_path / f"Validation/video/2/{name}.mp4")
    write(tmp_path / "Test/fnirs/6.csv", fnirs_text({0: "S1", 50: "S48"}, seed=2))
    return tmp_path


def test_segments_run_from_marker_to_marker(root: Path) -> None:
    reader = AI4Pain2024(root)
    assert reader.subjects() == ("2", "3", "6", "12")
    twelve = reader.recordings(["12"])[0]
    assert twelve.name == "Train/12"
    assert twelve.subject_info == {"split": "train"}
    assert twelve.stimuli == (
        Stimulus(0.0, 3.0, "no_pain", 0, {"clip": "B1", "order": 1}),
        Stimulus(3.0, 2.5, "low_pain", 1, {"clip": "L1", "order": 2, "modality": "electric"}),
        Stimulus(5.5, 2.5, "no_pain", 0, {"clip": "R1", "order": 3}),
        Stimulus(8.0, 2.0, "high_pain", 2, {"clip": "H12", "order": 4, "modality": "electric"}),
    )
    assert list(twelve.videos) == ["H12", "L1"]
    signal = twelve.signals["fnirs"]
    assert signal.values.shape == (48, 100)
    assert (signal.sampling_rate, signal.unit, signal.unit_confirmed) == (10.0, "a.u.", False)
    assert (signal.quantity, signal.channels[0], signal.channels[-1]) == (
        "unknown", "channel_1", "channel_48",
    )  # fmt: skip
    table = np.genfromtxt(twelve.sources[0], delimiter=",", skip_header=1)
    np.testing.assert_array_equal(signal.values, table[:, 1:49].T)


def test_a_sample_written_by_hand(tmp_path: Path) -> None:
    write(tmp_path / "Train/fnirs/3.csv", SAMPLE)
    (recording,) = AI4Pain2024(tmp_path).recordings()
    assert [(s.onset, s.duration, s.level) for s in recording.stimuli] == [
        (0.0, 0.2, 0), (0.2, 0.2, 1),
    ]  # fmt: skip
    np.testing.assert_array_equal(
        recording.signals["fnirs"].values, np.repeat(np.arange(48)[:, None] / 4, 4, axis=1)
    )


def test_the_test_set_is_unlabelled(root: Path) -> None:
    (six,) = AI4Pain2024(root).recordings(["6"])
    assert [(s.condition, s.level) for s in six.stimuli] == [("unlabelled", None)] * 2


def test_names_of_the_early_release_and_no_fnirs(root: Path) -> None:
    (two,) = AI4Pain2024(root).recordings(["2"])
    assert list(two.signals) == []
    assert list(two.videos) == ["B1", "H1", "H2", "R1"]
    assert [(s.onset, s.condition) for s in two.stimuli] == [
        (None, "no_pain"), (None, "high_pain"), (None, "high_pain"), (None, "no_pain"),
    ]  # fmt: skip


def clip(path: Path, frames: int = 6) -> Path:
    with VideoWriter(path, 30.0, (16, 16)) as writer:
        for i in range(frames):
            writer.write(np.full((16, 16, 3), 40 * i, np.uint8))
    return path


@pytest.mark.extra("face")
def test_one_recording_a_segment(root: Path) -> None:
    path = clip(root / "Train/video/12/L1.mp4")
    clip(root / "Train/video/12/12_H12.mp4")
    clip(root / "Train/video/12/R9.mp4")
    reader = AI4Pain2024(root, unit="segment")
    found = reader.recordings(["12"])
    assert [r.name for r in found] == [
        "Train/12/B1", "Train/12/L1", "Train/12/R1", "Train/12/H12", "Train/12/R9",
    ]  # fmt: skip
    baseline, low, _, high, unmarked = found
    attributes = {"clip": "L1", "order": 2, "modality": "electric"}
    assert low.stimuli == (Stimulus(None, None, "low_pain", 1, attributes),)
    assert low.videos == {"face": Video(path, 30.0)}
    assert (probe(path).frames, probe(path).frame_rate) == (6, 30.0)
    assert (low.subject, low.subject_info, low.facts) == (
        "12", {"split": "train"}, {"clip_index": 2.0},
    )  # fmt: skip
    assert low.sources == (root / "Train/fnirs/12.csv",)
    assert (baseline.videos, list(high.videos)) == ({}, ["face"])
    (whole,) = AI4Pain2024(root).recordings(["12"])
    for recording, first, last in ((baseline, 0, 30), (low, 30, 55), (high, 80, 100)):
        signal = recording.signals["fnirs"]
        np.testing.assert_array_equal(signal.values, whole.signals["fnirs"].values[:, first:last])
        assert (signal.start, signal.unit, len(signal.channels)) == (0.0, "a.u.", 48)
    assert unmarked.stimuli == (Stimulus(None, None, "no_pain", 0, {"clip": "R9"}),)
    assert (list(unmarked.signals), unmarked.sources) == ([], (root / "Train/video/12/R9.mp4",))
    copy = pickle.loads(pickle.dumps(low))
    assert np.array_equal(copy.signals["fnirs"].values, low.signals["fnirs"].values)


def test_segments_without_fnirs_are_videos_only(root: Path) -> None:
    found = AI4Pain2024(root, unit="segment").recordings(["2"])
    assert [r.name for r in found] == [f"Validation/2/{clip}" for clip in ("B1", "H1", "H2", "R1")]
    assert all(list(r.signals) == [] and list(r.videos) == ["face"] for r in found)
    assert [r.stimuli[0].condition for r in found] == [
        "no_pain", "high_pain", "high_pain", "no_pain",
    ]  # fmt: skip
    assert found[1].sources == (root / "Validation/video/2/2_Pain_HIGH_0.mp4",)


def test_segments_of_everybody(root: Path) -> None:
    reader = AI4Pain2024(root, unit="segment")
    names = [r.name for r in reader.recordings()]
    assert len(set(names)) == len(names) == 4 + 2 + 2 + 4
    assert [n for n in names if n.startswith("Test")] == ["Test/6/S1", "Test/6/S48"]
    write(root / "Train/fnirs/3.csv", SAMPLE.replace("L1", "X1"))
    assert not [r for r in reader.recordings() if r.subject == "3"]
    assert [e.subject for e in reader.exclusions] == ["3"]
    by_segment, by_subject = reader.check(), AI4Pain2024(root).check()
    assert by_segment.problems == by_subject.problems
    assert (by_segment.recordings, by_subject.recordings) == (10, 3)
    with pytest.raises(ConfigError, match="unit is 'clip'; expected one of 'subject', 'segment'"):
        AI4Pain2024(root, unit="clip")


def test_official_split_and_lists(root: Path) -> None:
    lists = AI4Pain2024.SUBJECT_LISTS
    assert (len(lists["train"]), len(lists["validation"])) == (41, 12)
    assert not set(lists["train"]) & set(lists["validation"])
    split = AI4Pain2024(root).official_splits()["challenge"]
    assert (split.train, split.validation, split.test) == (
        lists["train"], lists["validation"], ("6",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (SAMPLE.replace(",", ";"), "header has 1 columns"),
        (SAMPLE.replace("L1", "X1"), "line 4: event marker 'X1'; expected B1, L1…L12"),
        (SAMPLE.replace("L1", "Q").replace("3,", "3,"), "line 4: event marker 'Q'"),
        (SAMPLE + f"4,{CHANNELS},B1\n", "line 6: event marker B1 comes twice"),
        (SAMPLE.replace("L1", "\0"), "a binary file"),
    ],
)
def test_unreadable_files_are_left_out_and_counted(root: Path, text: str, reason: str) -> None:
    write(root / "Train/fnirs/3.csv", text)
    reader = AI4Pain2024(root)
    assert [r.subject for r in reader.recordings()] == ["2", "6", "12"]
    (exclusion,) = reader.exclusions
    assert (exclusion.subject, exclusion.recording) == ("3", "Train/fnirs/3.csv")
    assert reason in exclusion.reason
    problem = next(p for p in reader.check().problems if p.kind == "unreadable")
    assert problem.path == "Train/fnirs/3.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SAMPLE.replace("0.25", "0,25"), "cells, expected 50"),
        (SAMPLE.replace("0.25", "abc"), "'abc' is not a number"),
        (SAMPLE[:-40], "cells, expected 50"),
    ],
)
def test_reading_names_the_fault(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "Train/fnirs/3.csv", SAMPLE)
    (recording,) = AI4Pain2024(tmp_path).recordings()
    path.write_text(text)
    with pytest.raises(RecordingError, match=message):
        recording.load()


def test_check_reads_everything(root: Path) -> None:
    lines = fnirs_text({0: "B1", 50: "H1", 95: "R1"}, seed=1).splitlines()
    flat = [line.split(",") for line in lines[1:]]
    for row in flat:
        row[5] = "1.0"
    flat[3][7] = "nan"
    write(root / "Train/fnirs/3.csv", "\n".join([lines[0], *(",".join(r) for r in flat)]) + "\n")
    write(root / "Train/fnirs/4.csv", (root / "Train/fnirs/12.csv").read_text())
    write(root / "Train/fnirs/1.csv", fnirs_text({0: "B1"}, seed=5))
    write(root / "notes.txt", "stray")
    report = AI4Pain2024(root).check()
    found = [(p.path, p.kind, p.what) for p in report.problems]
    assert (report.subjects_found, report.subjects_expected) == (6, 65)
    assert (
        "Train/fnirs/3.csv",
        "flat",
        "fnirs: flat (one value only) in 1 of 48 channels",
    ) in found
    assert (
        "Train/fnirs/3.csv",
        "nan",
        "fnirs: missing samples (NaN) in 1 of 48 channels",
    ) in found
    assert ("Train/fnirs/3.csv", "short", "segment R1 lasts 0.5 s") in found
    assert ("Train/fnirs/4.csv", "duplicate", "the same bytes as Train/fnirs/12.csv") in found
    assert ("Train/1", "version", "found in train, published in validation") in found
    assert ("notes.txt", "stray", "not a file of this data set") in found
    assert ("Validation/2", "missing", "no fnirs file, videos only") in found
    assert any(k == "missing" and "12 of L" in w for p, k, w in found if "3.csv" in p)


def test_a_subject_in_two_splits_is_read_once(root: Path) -> None:
    write(root / "Validation/fnirs/3.csv", SAMPLE)
    reader = AI4Pain2024(root)
    assert [r.name for r in reader.recordings(["3"])] == ["Train/3"]
    assert reader.exclusions[0].reason == "found in train and validation; read from train"


def test_the_answer_file(tmp_path: Path) -> None:
    path = tmp_path / "answer.txt"
    write_submission(path, [("6", "S1", "high_pain"), ("6", "S2", "no_pain")])
    assert path.read_text() == "6, S1, High_Pain\n6, S2, No_Pain\n"
    for rows, message in (
        (
            [("6", "S1", "pain")],
            "condition 'pain' for subject 6, clip S1; expected one of no_pain",
        ),
        ([("6", "S1", "low_pain")] * 2, "subject 6, clip S1 is answered twice"),
        ([("6,7", "S1", "low_pain")], "are not a subject and a clip"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_submission(path, rows)


def test_wrong_roots(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not AI4Pain 2024: looked for Train/fnirs or"):
        AI4Pain2024(root / "Train")
    with pytest.raises(DatasetError, match="no subject '99'"):
        AI4Pain2024(root).recordings(["99"])
    assert not AI4Pain2024(root).lookalike
    write(root / "LOOKALIKE.json", "{}")
    assert AI4Pain2024(root).lookalike
