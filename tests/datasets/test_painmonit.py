"""PainMonit: semicolons and decimal commas; stimuli from the heater's column."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.painmonit import PainMonit
from dolorimeter.errors import DatasetError, FileReadError, RecordingError
from dolorimeter.types import Stimulus

HEADER = "Seconds;Bvp;Eda_E4;Tmp;Ibi;Hr;Resp;Eda_RB;Ecg;Emg;Heater [C];COVAS;Heater_cleaned"
SAMPLE = f"""{HEADER}
0,000;1,5;0,25;30,1;;;2,5;3,75;0,1;-0,2;32,0;0;32
0,004;1,5;0,25;30,2;0,8;75;2,5;3,5;0,2;-0,1;32,1;0;32
0,008;1,6;0,26;30,2;;;2,6;3,25;0,3;-0,3;32,0;5;32
0,012;1,7;0,27;30,3;;;2,7;3;0,4;0;32,0;10;32
"""


def text(heater: np.ndarray, seed: int = 0, rate: float = 250.0) -> str:
    table = np.random.default_rng(seed).normal(5, 1, (len(heater), 13))
    table[:, 0] = np.arange(len(heater)) / rate
    table[:, 12] = heater
    lines = [";".join(f"{v:.4f}" for v in row) for row in table]
    return HEADER + "\n" + "\n".join(lines).replace(".", ",").replace("nan", "") + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "S_01.csv"
    path.write_text(SAMPLE)
    return path


def test_a_sample_written_by_hand(path: Path) -> None:
    (recording,) = PainMonit(path.parent).recordings()
    assert (recording.subject, recording.stimuli) == ("S_01", ())
    signals = recording.load().signals
    np.testing.assert_allclose(signals["eda"].values[0], [3.75e-6, 3.5e-6, 3.25e-6, 3e-6])
    np.testing.assert_allclose(signals["eda_e4"].values[0, :2], [0.25e-6, 0.25e-6])
    np.testing.assert_allclose(signals["hr"].values[0], [np.nan, 75, np.nan, np.nan])
    np.testing.assert_array_equal(signals["emg"].values[0], [-0.2, -0.1, -0.3, 0])
    np.testing.assert_array_equal(signals["covas"].values[0], [0, 0, 5, 10])
    assert {s.sampling_rate for s in signals.values()} == {250.0}
    assert [signals[n].unit for n in ("eda", "temperature", "hr", "ecg", "heater")] == [
        "S", "degC", "1/min", "a.u.", "degC",
    ]  # fmt: skip


def test_stimuli_are_runs_of_one_temperature(tmp_path: Path) -> None:
    ramp = np.linspace(33, 44, 100)
    heater = np.concatenate([
        np.full(500, 32.0), ramp, np.full(750, 46.5), np.full(100, np.nan), np.full(250, 32.0),
        np.full(500, 44.0), np.full(300, 46.5),
    ])  # fmt: skip
    (tmp_path / "S_2.csv").write_text(text(heater))
    (tmp_path / "S_10.csv").write_text(text(np.full(600, 32.0), 1))
    reader = PainMonit(tmp_path)
    assert reader.subjects() == ("S_2", "S_10")
    assert reader.recordings()[0].stimuli == (
        Stimulus(0.0, 2.0, "baseline", 0, {"temperature": 32.0}),
        Stimulus(2.4, 3.0, "heat_2", 2, {"temperature": 46.5, "modality": "heat"}),
        Stimulus(5.8, 1.0, "baseline", 0, {"temperature": 32.0}),
        Stimulus(6.8, 2.0, "heat_1", 1, {"temperature": 44.0, "modality": "heat"}),
        Stimulus(8.8, 1.2, "heat_2", 2, {"temperature": 46.5, "modality": "heat"}),
    )
    whats = {(p.path, p.what) for p in reader.check().problems}
    assert ("S_10.csv", "no heat stimulus found") in whats


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("", "the file is empty"),
        (HEADER + "\n", "a header and no data rows"),
        (SAMPLE.replace(",", "."), r"line 2: '0\.000' is not a number. Decimal mark '\.' found"),
        (SAMPLE.replace(";", "\t"), "header is .*; missing 'Seconds'"),
        (SAMPLE.replace("Heater_cleaned", "Heater2"), "missing 'Heater_cleaned'"),
        (SAMPLE[:-12], "cells, expected 13"),
        (
            SAMPLE.replace("0,012", "0,024").replace("0,008", "0,016").replace("0,004", "0,008"),
            "advances by 0.008 s per row",
        ),
        (SAMPLE.replace("0,012", "0,006"), "time runs backwards"),
        (SAMPLE.replace("1,5", "\0"), "a binary file"),
    ],
)
def test_unreadable_files_are_left_out_and_counted(path: Path, changed: str, reason: str) -> None:
    path.write_text(changed)
    reader = PainMonit(path.parent)
    assert reader.recordings() == []
    (exclusion,) = reader.exclusions
    assert re.search(reason, exclusion.reason)
    assert reader.check().problems[0].kind == "unreadable"


def test_reading_names_the_fault(path: Path) -> None:
    (recording,) = PainMonit(path.parent).recordings()
    path.write_text(SAMPLE.replace("1,7", "x"))
    with pytest.raises(RecordingError, match="line 5: 'x' is not a number"):
        recording.load()
    path.unlink()
    with pytest.raises(FileReadError, match="the file is missing"):
        recording.load()


def test_check_reads_everything(path: Path) -> None:
    (path.parent / "S_02.csv").write_text(SAMPLE)
    (path.parent / "notes.txt").write_text("stray")
    path.write_text(SAMPLE.replace("1,6", "").replace("0,8;75", ";"))
    report = PainMonit(path.parent).check()
    (path.parent / "S_03.csv").write_text(SAMPLE)
    found = [(p.path, p.kind, p.what) for p in report.problems]
    assert ("S_01.csv", "nan", "ppg: missing samples (NaN)") in found
    assert ("S_01.csv", "flat", "heater_cleaned: flat (one value only)") in found
    assert ("S_01.csv", "missing", "ibi: no value at all") in found
    assert ("notes.txt", "stray", "not a file of this data set") in found
    again = PainMonit(path.parent).check()
    assert [(p.path, p.what) for p in again.problems if p.kind == "duplicate"] == [
        ("S_03.csv", "the same bytes as S_02.csv")
    ]
    assert (report.subjects_found, report.subjects_expected) == (2, 52)


def test_wrong_roots(path: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        DatasetError, match=r"is not PainMonit: looked for one \.csv file a subject"
    ):
        PainMonit(empty)
    with pytest.raises(DatasetError, match="no subject 'S_99'"):
        PainMonit(tmp_path).recordings(["S_99"])
    assert PainMonit(tmp_path).official_splits() == {}
    assert not PainMonit(tmp_path).lookalike


def test_a_gap_becomes_missing_samples(path: Path) -> None:
    lines = text(np.full(1000, 32.0)).splitlines(keepends=True)
    path.write_text("".join(lines[:501] + lines[751:]))  # one second is missing after the second
    (recording,) = PainMonit(path.parent).recordings()
    ecg = recording.signals["ecg"].values[0]
    assert ecg.shape == (1000,)
    assert np.flatnonzero(np.isnan(ecg)).tolist() == list(range(500, 750))
    assert recording.remarks[0].detail == "1 s in 1 gap: 2–3 s"
    assert [(s.onset, s.duration) for s in recording.stimuli] == [(0.0, 2.0), (3.0, 1.0)]


def test_a_unit_that_the_user_states(path: Path) -> None:
    path.write_text(text(np.full(1000, 32.0)))
    plain = PainMonit(path.parent).recordings()[0].signals["ecg"]
    stated = PainMonit(path.parent, unit={"ecg": "mV"}).recordings()[0].signals["ecg"]
    assert (plain.unit, plain.unit_confirmed) == ("a.u.", False)
    assert (stated.unit, stated.unit_confirmed) == ("V", True)
    np.testing.assert_allclose(stated.values, plain.values * 1e-3, rtol=1e-12)
