"""Facial EMG with triggers, in both layouts and both trees."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.types import Stimulus


def table_of(seed: int = 1, rows: int = 60) -> np.ndarray:
    """Eight columns; a trigger of each condition is up for 10 rows from 5, 20 and 40."""
    table = np.random.default_rng(seed).normal(5.0, 0.5, (rows, 8))
    table[:, 5:] = 0
    for column, first in ((5, 5), (6, 20), (7, 40)):
        table[first : first + 10, column] = 5
    return table


def text_of(table: np.ndarray, end: str = "\t") -> str:
    return "".join("\t".join(f"{v:.6g}" for v in row) + end + "\n" for row in table)


def write(root: Path, name: str, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    path = root / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("end", ["\t", ""], ids=["trailing tab", "no trailing tab"])
@pytest.mark.parametrize("place", ["09_FMOV_preprocessed.txt", "09_FMOV_preprocessed.txt.gz"])
@pytest.mark.parametrize("tree", [".", "FMOV"])
def test_the_exact_recording(tmp_path: Path, end: str, place: str, tree: str) -> None:
    table = table_of()
    write(tmp_path / tree, place, text_of(table, end))
    (tmp_path / "CorrugatorEventData.csv").write_text("other")
    reader = open_dataset("oxazepam_fmov", tmp_path)
    (recording,) = reader.recordings(["09"])
    assert recording.stimuli == (
        Stimulus(0.15, None, "angry"),
        Stimulus(0.30, None, "happy"),
        Stimulus(0.50, None, "neutral"),
    )
    factors = {
        "eda": 1e-6,
        "emg_zygomaticus": 1e-3,
        "emg_corrugator": 1e-3,
        "emg_zygomaticus_rectified": 1e-3,
        "emg_corrugator_rectified": 1e-3,
    }
    assert list(recording.signals) == list(factors)
    for column, (name, factor) in enumerate(factors.items()):
        signal = recording.signals[name]
        np.testing.assert_allclose(signal.values, [table[:, column] * factor], rtol=1e-5)
        assert signal.sampling_rate == 100.0
        assert signal.unit == ("S" if name == "eda" else "V")
        assert signal.unit_confirmed == (not name.endswith("rectified"))
    assert reader.official_splits() == {}


def test_ten_columns_follow_the_codebook(tmp_path: Path) -> None:
    table = table_of()
    minutes = np.arange(len(table)) / 6000
    ten = np.column_stack([minutes, table[:, :2], np.full(len(table), 0.25), table[:, 2:]])
    write(tmp_path, "40_FMOV_preprocessed.txt", text_of(ten))
    (recording,) = open_dataset("oxazepam_fmov", tmp_path).recordings()
    assert recording.signals["ecg"].values[0, 0] == pytest.approx(0.25e-3)
    np.testing.assert_allclose(
        recording.signals["emg_corrugator"].values, [table[:, 2] * 1e-3], rtol=1e-5
    )
    assert not any(s.unit_confirmed for s in recording.load().signals.values())
    assert len(recording.stimuli) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: "", "the file is empty"),
        (lambda t: t.replace("\t", ","), "expected 8 or 10"),
        (lambda t: t[: len(t) // 2].rsplit("\t", 3)[0], "cells, expected"),
        (lambda t: t.replace(".", ","), "is not a number"),
        (lambda t: "1\t2\n" + t, "2 tab-separated columns, expected 8 or 10"),
        (lambda t: t.replace("\t5\t0\t0\t", "\t7\t0\t0\t"), "the trigger of angry holds 7"),
        (lambda t: "\0" + t, "a binary file"),
    ],
)
def test_a_faulty_file_is_left_out_and_counted(tmp_path: Path, change, reason: str) -> None:  # type: ignore[no-untyped-def]
    text = text_of(table_of())
    write(tmp_path, "09_FMOV_preprocessed.txt", text)
    write(tmp_path, "10_FMOV_preprocessed.txt", change(text))
    reader = open_dataset("oxazepam_fmov", tmp_path)
    assert reader.subjects() == ("09",)
    (exclusion,) = reader.exclusions
    assert reason in exclusion.reason
    assert reader.check().count("unreadable") == 1


def test_a_time_column_of_another_rate(tmp_path: Path) -> None:
    table = table_of()
    ten = np.column_stack([np.arange(len(table)) / 60, table[:, :2], table])
    ten = ten[:, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]]
    write(tmp_path, "40_FMOV_preprocessed.txt", text_of(ten))
    (exclusion,) = open_dataset("oxazepam_fmov", tmp_path).exclusions
    assert "expected 0.01 s. Is the first column time in minutes?" in exclusion.reason


def test_check_flags_a_sensor_that_is_off(tmp_path: Path) -> None:
    table = table_of(rows=100)
    table[:, 0] = np.random.default_rng(0).normal(0, 0.03, 100)
    write(tmp_path, "25_FMOV_preprocessed.txt", text_of(table))
    report = open_dataset("oxazepam_fmov", tmp_path).check()
    assert [p.kind for p in report.problems].count("flat") == 1
    assert report.count("short") == 3, "one event of each condition instead of four"
    assert report.subjects_expected == 37


def test_a_file_that_changes_later_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "09_FMOV_preprocessed.txt", text_of(table_of()))
    (recording,) = open_dataset("oxazepam_fmov", tmp_path).recordings()
    path.write_text("")
    with pytest.raises(RecordingError, match="the file is empty"):
        recording.load()


def test_a_root_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not oxazepam_fmov: no NN_FMOV_preprocessed\.txt"):
        open_dataset("oxazepam_fmov", tmp_path)


@pytest.mark.shared
def test_the_real_recordings(data_root: Path) -> None:
    reader = open_dataset("oxazepam_fmov", data_root / "oxazepam_fmov")
    recordings = reader.recordings()
    assert (len(recordings), reader.card.subjects) == (25, 37)
    conditions = [s.condition for r in recordings for s in r.stimuli]
    assert {c: conditions.count(c) for c in sorted(set(conditions))} == {
        "angry": 100,
        "happy": 100,
        "neutral": 100,
    }
    assert reader.exclusions == ()


@pytest.mark.long
@pytest.mark.shared
def test_check_finds_the_flat_skin_conductance_of_subject_25(data_root: Path) -> None:
    report = open_dataset("oxazepam_fmov", data_root / "oxazepam_fmov").check()
    flat = [p for p in report.problems if p.kind == "flat"]
    assert [p.path for p in flat] == ["25_FMOV_preprocessed.txt.gz"]
