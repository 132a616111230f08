"""Empatica E4 folders as the device writes them."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError, FileReadError, RecordingError
from dolorimeter.types import Stimulus


def write_session(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "EDA.csv").write_text("1644226061.000000\n4.000000\n0.5\n0.75\n1.0\n")
    (folder / "HR.csv").write_text("1644226071.000000\r\n1.000000\r\n83.00\r\n84.00\r\n")
    bvp = b"1644226061\n64\n-1.5\n2.5\n"
    (folder / "BVP.csv.gz").write_bytes(gzip.compress(bvp))
    (folder / "TEMP.csv").write_text("1644226061.0\n4.0\n28.39\n28.41\n")
    (folder / "tags.csv").write_text("1644226140.5\n1644226070\n")
    (folder / "IBI.csv").write_text("1644226061.000000, IBI\n35.484375,0.890625\n")
    (folder / "ACC.csv").write_text("1644226061.0,1644226061.0,1644226061.0\n32,32,32\n1,2,3\n")


def test_the_exact_recording(tmp_path: Path) -> None:
    write_session(tmp_path / "p02")
    write_session(tmp_path / "p01")
    (tmp_path / "notes").mkdir()
    reader = open_dataset("empatica_e4", tmp_path)
    assert reader.subjects() == ("p01", "p02")
    assert reader.exclusions == ()
    recording = reader.recordings(["p02"])[0]
    assert list(recording.signals) == ["eda", "hr", "ppg", "temperature"]
    eda, hr, ppg, temperature = recording.signals.values()
    np.testing.assert_allclose(eda.values, [[0.5e-6, 0.75e-6, 1e-6]], rtol=1e-12)
    assert (eda.unit, eda.unit_confirmed, eda.sampling_rate, eda.start) == ("S", True, 4.0, 0.0)
    assert (hr.start, hr.unit, hr.quantity, hr.values.tolist()) == (
        10,
        "1/min",
        "rate",
        [[83, 84]],
    )
    assert (ppg.unit, ppg.unit_confirmed, ppg.values.tolist()) == ("a.u.", False, [[-1.5, 2.5]])
    assert (temperature.unit, temperature.values.tolist()) == ("degC", [[28.39, 28.41]])
    assert recording.stimuli == (
        Stimulus(9.0, None, "tag", attributes={"counter": 0}),
        Stimulus(79.5, None, "tag", attributes={"counter": 1}),
    )
    kinds = {p.kind for p in reader.check().problems}
    assert kinds == {"time", "event"}, "heart rate and a button press come after the end"
    assert reader.official_splits() == {}


def test_a_session_folder_itself_is_a_root(tmp_path: Path) -> None:
    write_session(tmp_path / "p01")
    assert open_dataset("empatica_e4", tmp_path / "p01").subjects() == ("p01",)


def test_only_the_sensor_asked_for_is_read_and_recordings_travel(tmp_path: Path) -> None:
    write_session(tmp_path / "p01")
    recording = open_dataset("empatica_e4", tmp_path).recordings()[0]
    (tmp_path / "p01" / "TEMP.csv").unlink()
    copy = pickle.loads(pickle.dumps(recording))
    assert copy.signals["eda"].values.shape == (1, 3)
    with pytest.raises(FileReadError, match=r"TEMP\.csv: the file is missing"):
        copy.load()


def test_nobody_pressed_the_button(tmp_path: Path) -> None:
    write_session(tmp_path / "p01")
    (tmp_path / "p01" / "tags.csv").write_bytes(b"")
    assert open_dataset("empatica_e4", tmp_path).recordings()[0].stimuli == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"time,eda\n1,2\n", "line 1: 'time'; expected the start time"),
        (b"1644226061\n0\n1\n", "line 2: '0'; expected the sampling rate"),
        (b"1644226061\nnan\n1\n", "line 2: 'nan'; expected the sampling rate"),
    ],
)
def test_a_sensor_without_a_head_is_left_out_and_counted(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    write_session(tmp_path / "p01")
    (tmp_path / "p01" / "EDA.csv").write_bytes(content)
    reader = open_dataset("empatica_e4", tmp_path)
    assert list(reader.recordings()[0].signals) == ["hr", "ppg", "temperature"]
    (exclusion,) = reader.exclusions
    assert exclusion.what == "p01/EDA.csv"
    assert reason in exclusion.reason


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1644226061\n4\n", "2 lines; expected start time, sampling rate and samples"),
        (b"1644226061\n4\n0,5\n0,6\n", "line 3: 2 cells, expected 1"),
        (b"1644226061\n4\n0.5\nabc\n", "line 4: 'abc' is not a number"),
        (b"1644226061\n4\n0.5\n\0\0\0\n", "a binary file"),
    ],
)
def test_damaged_samples_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_session(tmp_path / "p01")
    (tmp_path / "p01" / "EDA.csv").write_bytes(content)
    reader = open_dataset("empatica_e4", tmp_path)
    with pytest.raises(RecordingError, match=message):
        reader.recordings()[0].load()
    (problem,) = [p for p in reader.check().problems if p.kind not in {"time", "event"}]
    assert (problem.kind, problem.path) == ("unreadable", "p01/EDA.csv")


def test_a_truncated_gzip_file(tmp_path: Path) -> None:
    write_session(tmp_path / "p01")
    path = tmp_path / "p01" / "BVP.csv.gz"
    path.write_bytes(path.read_bytes()[:-4])
    reader = open_dataset("empatica_e4", tmp_path)
    problems = [e.reason for e in reader.exclusions] + [p.what for p in reader.check().problems]
    assert any("BVP.csv.gz" in text for text in problems)


def test_a_flat_sensor_is_flagged(tmp_path: Path) -> None:
    write_session(tmp_path / "p01")
    (tmp_path / "p01" / "EDA.csv").write_text("1644226061\n4\n0\n0\n0\n")
    problems = open_dataset("empatica_e4", tmp_path).check().problems
    (problem,) = [p for p in problems if p.kind not in {"time", "event"}]
    assert (problem.kind, problem.what) == ("flat", "eda: flat (one value only)")


def test_a_root_that_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not an Empatica E4 session: no EDA\.csv"):
        open_dataset("empatica_e4", tmp_path)


@pytest.mark.shared
def test_real_sessions(data_root: Path) -> None:
    recordings = open_dataset("empatica_e4", data_root / "stress_predict").recordings()
    assert len(recordings) == 25
    first = recordings[0]
    assert first.signals["hr"].start == 10.0
    assert len(first.stimuli) == 10
