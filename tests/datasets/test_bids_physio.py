"""A BIDS tree made here: inheritance of sidecars, two rates in one run, events."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.types import Stimulus

STEM = "sub-01_task-heat"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def write_tree(root: Path) -> Path:
    folder = root / "sub-01" / "func"
    write(root / "task-heat_physio.json", json.dumps({"SamplingFrequency": 10, "StartTime": 0}))
    write(folder / f"{STEM}_physio.tsv.gz", "1\t5.0\n2\tn/a\n3\t7.0\n")
    about = {"StartTime": -1.5, "Columns": ["cardiac", "EDA"], "EDA": {"Units": "uS"}}
    write(folder / f"{STEM}_physio.json", json.dumps(about))
    write(folder / f"{STEM}_recording-belt_physio.tsv", "1\n2\n")
    belt = {"SamplingFrequency": 4.0, "Columns": ["respiratory"]}
    write(folder / f"{STEM}_recording-belt_physio.json", json.dumps(belt))
    events = (
        "onset\tduration\ttrial_type\ttemp\n0.5\t1\thot\t47\n2\tn/a\tn/a\tn/a\nn/a\t1\thot\t47\n"
    )
    write(folder / f"{STEM}_events.tsv", events)
    return folder


def test_the_exact_recording(tmp_path: Path) -> None:
    write_tree(tmp_path)
    reader = open_dataset("bids_physio", tmp_path, names={"cardiac": "ppg"})
    (recording,) = reader.recordings(["01"])
    assert recording.name == STEM
    assert list(recording.signals) == ["ppg", "eda", "resp"]
    ppg, eda, resp = (recording.signals[k] for k in ("ppg", "eda", "resp"))
    np.testing.assert_array_equal(ppg.values, [[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(eda.values, [[5e-6, np.nan, 7e-6]])
    assert (eda.unit, eda.unit_confirmed, eda.start) == ("S", True, -1.5)
    assert (ppg.unit, ppg.unit_confirmed, ppg.quantity) == ("a.u.", False, "pulse")
    assert (resp.sampling_rate, resp.start, resp.quantity) == (4.0, -1.5, "respiration")
    assert recording.stimuli == (
        Stimulus(0.5, 1.0, "hot", attributes={"temp": "47"}),
        Stimulus(2.0, None, "event"),
    )
    (exclusion,) = reader.exclusions
    assert exclusion.what.endswith("_events.tsv, event 3")
    assert reader.official_splits() == {}
    assert reader.subjects() == ("01",)


def test_cardiac_stays_cardiac_unless_told(tmp_path: Path) -> None:
    write_tree(tmp_path)
    assert "cardiac" in open_dataset("bids_physio", tmp_path).recordings()[0].signals
    with pytest.raises(ConfigError, match=r"names= asks for 'heart'"):
        open_dataset("bids_physio", tmp_path, names={"heart": "ppg"}).recordings()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SamplingFrequency": 0}, "SamplingFrequency is 0 in"),
        ({"SamplingFrequency": "10"}, "SamplingFrequency is '10' in"),
        ({"StartTime": None}, "StartTime is None in"),
        ({"Columns": "eda"}, "Columns is 'eda' in"),
    ],
)
def test_a_faulty_sidecar_is_left_out_and_counted(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    folder = write_tree(tmp_path)
    about = {"StartTime": 0, "Columns": ["cardiac", "EDA"]} | changes
    write(folder / f"{STEM}_physio.json", json.dumps(about))
    reader = open_dataset("bids_physio", tmp_path)
    assert any(reason in e.reason for e in reader.exclusions)
    assert reader.check().count("unreadable") >= 1


def test_no_sidecar_at_all(tmp_path: Path) -> None:
    write(tmp_path / "sub-02" / "sub-02_physio.tsv", "1\n")
    (exclusion,) = open_dataset("bids_physio", tmp_path).exclusions
    assert "no sidecar sub-02_physio.json beside it or above it" in exclusion.reason


def test_another_number_of_columns_than_the_sidecar_says(tmp_path: Path) -> None:
    folder = write_tree(tmp_path)
    write(folder / f"{STEM}_physio.tsv.gz", "1\t2\t3\n4\t5\t6\n")
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    with pytest.raises(RecordingError, match=r"3 tab-separated columns, expected 2"):
        recording.load()
    assert open_dataset("bids_physio", tmp_path).check().count("unreadable") >= 1


def test_a_truncated_file(tmp_path: Path) -> None:
    folder = write_tree(tmp_path)
    path = folder / f"{STEM}_physio.tsv.gz"
    path.write_bytes(path.read_bytes()[:-6])
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    with pytest.raises(RecordingError, match="broken or truncated gzip file"):
        recording.load()


def test_a_root_that_is_no_bids_tree(tmp_path: Path) -> None:
    (tmp_path / "sub-01").mkdir()
    with pytest.raises(DatasetError, match=r"no BIDS physiology here"):
        open_dataset("bids_physio", tmp_path)


def tree(root: Path, physio: str, columns: list[str], *, rate: float = 10) -> Path:
    folder = root / "sub-01"
    write(folder / "sub-01_task-heat_physio.tsv", physio)
    about = {"SamplingFrequency": rate, "StartTime": 0, "Columns": columns}
    write(folder / "sub-01_task-heat_physio.json", json.dumps(about))
    return folder


def test_the_nearest_events_apply(tmp_path: Path) -> None:
    folder = tree(tmp_path, "1\n" * 50, ["eda"])
    head = "onset\tduration\ttrial_type\n"
    write(tmp_path / "task-heat_events.tsv", head + "1\t1\ttop\n")
    write(tmp_path / "task-cold_events.tsv", head + "1\t1\tother\n")
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    assert [s.condition for s in recording.stimuli] == ["top"]
    write(folder / "sub-01_events.tsv", head + "1\t1\tsubject\n")
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    assert [s.condition for s in recording.stimuli] == ["subject"]
    write(folder / "sub-01_task-heat_events.tsv", head + "1\t1\trun\n")
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    assert [s.condition for s in recording.stimuli] == ["run"]


def test_a_run_without_events_says_so(tmp_path: Path) -> None:
    tree(tmp_path, "1\n" * 50, ["eda"])
    reader = open_dataset("bids_physio", tmp_path)
    assert any("no events.tsv applies" in p.what for p in reader.check().problems)
    assert reader.notes[-1].startswith("1 recording: no events.tsv applies")
    write(tmp_path / "task-heat_events.tsv", "onset\tduration\n1\t1\n")
    notes = open_dataset("bids_physio", tmp_path).notes
    assert any("no column trial_type" in note for note in notes)


@pytest.mark.parametrize("unit", [1, 1e3, 1e6])
def test_a_gap_in_a_time_column(tmp_path: Path, unit: float) -> None:
    places = [*range(20), *range(35, 60)]
    rows = "".join(f"{place / 10 * unit:.9g}\t{place}\n" for place in places)
    tree(tmp_path, rows, ["timestamp", "eda"])
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    eda = recording.signals["eda"].values[0]
    truth = np.full(60, np.nan)
    truth[places] = places
    np.testing.assert_allclose(eda, truth, rtol=1e-12)
    assert recording.remarks[-1].detail == "1.5 s in 1 gap: 2–3.5 s"


def test_a_time_column_that_fits_no_rate(tmp_path: Path) -> None:
    tree(tmp_path, "".join(f"{i * 0.37}\t{i}\n" for i in range(30)), ["time", "eda"])
    (recording,) = open_dataset("bids_physio", tmp_path).recordings()
    assert "agrees with the stated sampling rate in no unit" in recording.remarks[-1].kind
    assert recording.signals["eda"].values.shape == (1, 30)


def test_participants_are_facts_of_subjects(tmp_path: Path) -> None:
    tree(tmp_path, "1\n" * 50, ["eda"])
    write(
        tmp_path / "participants.tsv", "participant_id\tage\tsex\nsub-01\t34\tF\nsub-02\t40\tM\n"
    )
    reader = open_dataset("bids_physio", tmp_path)
    (recording,) = reader.recordings()
    assert recording.subject == "01"
    assert recording.subject_info == {"age": 34.0, "sex": "F"}
    assert any("02: no file of this subject" in p.what for p in reader.check().problems)


def test_a_stated_unit_and_an_unstated_one(tmp_path: Path) -> None:
    tree(tmp_path, "4\n5\n6\n" * 20, ["eda"])
    plain = open_dataset("bids_physio", tmp_path)
    assert any("states no unit" in p.what for p in plain.check().problems)
    stated = open_dataset("bids_physio", tmp_path, **{"unit.eda": "uS"})
    eda = stated.recordings()[0].signals["eda"]
    assert (eda.unit, eda.unit_confirmed) == ("S", True)
    np.testing.assert_allclose(eda.values[0, :3], [4e-6, 5e-6, 6e-6], rtol=1e-12)
