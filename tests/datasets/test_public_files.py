"""Small files of the kinds that people report in public trackers, each with its right answer.

The files are in ``tests/fixtures/cases``; their README says what is in them. Truths are typed in
from there and were not computed by the readers.
"""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.types import Recording, Stimulus


@pytest.fixture
def cases(fixtures: Path) -> Path:
    return fixtures / "cases"


def only(reader: Any) -> Recording:
    (recording,) = reader.recordings()
    return recording


def kinds(reader: Any) -> list[str]:
    return sorted({problem.kind for problem in reader.check().problems})


def events(recording: Recording) -> list[tuple[float | None, float | None]]:
    return [(s.onset, s.duration) for s in recording.stimuli]


def test_01_a_pause_in_edf_plus_d(cases: Path) -> None:
    recording = only(open_dataset("edf", cases / "01-edf-gap" / "rest.edf"))
    assert recording.stimuli == (Stimulus(5.0, 2.0, "pain"), Stimulus(75.0, 2.0, "pain"))
    ecg = recording.signals["ecg"]
    assert (ecg.sampling_rate, ecg.start, ecg.duration) == (100.0, 0.0, 80.0)
    missing = np.isnan(ecg.values[0])
    np.testing.assert_array_equal(missing[1000:7000], True)
    assert missing.sum() == 6000
    # independent of the reader: 16-bit samples of the 11th record begin at 70 s
    data = (cases / "01-edf-gap" / "rest.edf").read_bytes()
    channels = int(data[252:256])
    counts = [int(data[256 + 216 * channels + 8 * i :][:8]) for i in range(channels)]
    record = 2 * sum(counts)
    raw = np.frombuffer(data[256 * (channels + 1) + 10 * record :][: 2 * counts[0]], "<i2")
    part = ecg.values[0, 7000:7100]
    assert np.corrcoef(raw, part)[0, 1] == pytest.approx(1.0, abs=1e-9)
    (remark,) = recording.remarks
    assert remark.detail == "60 s in 1 gap: 10–70 s"


def test_01_the_pause_is_listed_by_check(cases: Path) -> None:
    report = open_dataset("edf", cases / "01-edf-gap").check()
    assert any("60 s in 1 gap: 10–70 s" in p.what for p in report.problems if p.kind == "note")


def test_02_an_annotation_that_is_not_utf8(cases: Path) -> None:
    reader = open_dataset("edf", cases / "02-edf-annotation-bytes")
    assert reader.subjects() == ("P01", "P02")
    first, second = reader.recordings()
    assert [s.onset for s in first.stimuli] == [s.onset for s in second.stimuli] == [5.0, 15.0]
    assert any("stärker" in s.condition for s in first.stimuli)
    assert [r.kind for r in first.remarks] == [
        "annotations that are not UTF-8 were read as Latin-1"
    ]
    assert second.remarks == ()
    assert first.signals["ecg"].values.shape == (1, 2000)


def test_03_two_channels_with_one_label(cases: Path) -> None:
    reader = open_dataset("edf", cases / "03-edf-same-labels")
    chin, spare = reader.recordings()
    assert list(chin.signals) == ["ecg", "emg", "emg_2"]
    peaks = [np.abs(chin.signals[name].values).max() for name in ("emg", "emg_2")]
    np.testing.assert_allclose(peaks, [1e-3, 2e-3], rtol=1e-3)
    assert "ecg" in spare.signals
    assert reader.exclusions == ()


@pytest.mark.parametrize("name", ["nano", "lower"])
def test_04_units_of_voltage(cases: Path, name: str) -> None:
    recording = only(open_dataset("edf", cases / "04-edf-units" / f"{name}.edf"))
    ecg = recording.signals["ecg"]
    assert np.abs(ecg.values).max() == pytest.approx(1e-3, rel=1e-2)
    assert (ecg.unit, ecg.unit_confirmed) == ("V", True)


def test_04_skin_resistance(cases: Path) -> None:
    eda = only(open_dataset("edf", cases / "04-edf-units" / "ohm.edf")).signals["eda"]
    np.testing.assert_allclose(eda.values, 5e-6, rtol=1e-3)
    assert (eda.unit, eda.quantity) == ("S", "conductance")


@pytest.mark.extra("formats")
@pytest.mark.parametrize(("name", "duration"), [("rows", 1.0), ("columns", 1.0), ("onsets", None)])
def test_05_stimuli_in_another_shape(cases: Path, name: str, duration: float | None) -> None:
    reader = open_dataset("snirf", cases / "05-snirf-stim-shape" / f"{name}.snirf")
    recording = only(reader)
    assert events(recording) == [(t, duration) for t in (2.0, 6.0, 10.0, 14.0)]
    assert (kinds(reader) == []) == (name == "rows"), "what was changed is said"


@pytest.mark.extra("formats")
@pytest.mark.parametrize("name", ["ms", "ms-both"])
def test_06_milliseconds(cases: Path, name: str) -> None:
    recording = only(open_dataset("snirf", cases / "06-snirf-time-unit" / f"{name}.snirf"))
    np.testing.assert_allclose([s.onset for s in recording.stimuli], [2.0, 6.0, 10.0, 14.0])
    np.testing.assert_allclose([s.duration for s in recording.stimuli], 1.0)
    assert recording.signals["fnirs"].sampling_rate == pytest.approx(10.0)
    assert recording.signals["fnirs"].duration == pytest.approx(20.0)
    assert len(recording.remarks) == (name == "ms-both")


def linked_tree(case: Path, root: Path, target: str) -> Path:
    """The tree that ``make.sh`` of the case lays out."""
    store = root / ".git" / "annex" / "objects" / "aa" / "bb" / "KEY1"
    store.mkdir(parents=True)
    with gzip.open(store / "KEY1.tsv.gz", "wb") as file:
        file.write((case / "physio.tsv").read_bytes())
    for subject in ("sub-01", "sub-02"):
        folder = root / subject / "func"
        folder.mkdir(parents=True)
        stem = f"{subject}_task-heat"
        (folder / f"{stem}_physio.json").write_text(
            '{"SamplingFrequency": 50, "StartTime": 0, "Columns": ["cardiac", "respiratory"]}'
        )
        (folder / f"{stem}_events.tsv").write_text(
            "onset\tduration\ttrial_type\n1\t2\tpain\n8\t2\trest\n"
        )
    linked = root / "sub-01" / "func" / "sub-01_task-heat_physio.tsv.gz"
    linked.symlink_to("../../.git/annex/objects/aa/bb/KEY1/KEY1.tsv.gz")
    missing = root / "sub-02" / "func" / "sub-02_task-heat_physio.tsv.gz"
    missing.symlink_to(target)
    return root


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("../../.git/annex/objects/cc/dd/KEY2/KEY2.tsv.gz", "Run: datalad get"),
        ("/elsewhere/physio.tsv.gz", "a link to /elsewhere/physio.tsv.gz, which is missing"),
    ],
)
def test_07_linked_files(cases: Path, tmp_path: Path, target: str, reason: str) -> None:
    reader = open_dataset(
        "bids_physio", linked_tree(cases / "07-linked-files", tmp_path / "set", target)
    )
    recording = only(reader)
    assert (recording.subject, len(recording.stimuli)) == ("01", 2)
    assert recording.signals["cardiac"].values.shape == (1, 1000)
    (exclusion,) = reader.exclusions
    assert exclusion.subject == "02"
    assert reason in exclusion.reason


def test_08_inherited_events(cases: Path) -> None:
    reader = open_dataset("bids_physio", cases / "08-bids-inherited-events" / "tree")
    assert reader.subjects() == ("01", "02")
    for recording in reader.recordings():
        assert recording.stimuli == (Stimulus(1.0, 2.0, "pain"), Stimulus(8.0, 2.0, "rest"))


def test_19_sessions_in_folders_of_subjects(cases: Path) -> None:
    root = cases / "19-one-person-several-recordings"
    reader = open_dataset("empatica_e4", root / "nested")
    assert reader.subjects() == ("P01", "P02")
    assert len(reader.recordings()) == 3
    assert {r.name for r in reader.recordings(["P01"])} == {
        "P01/1544027337_A01525",
        "P01/1544127337_A01525",
    }
    flat = open_dataset("empatica_e4", root / "flat", subject="{subject}_day{session}")
    assert flat.subjects() == ("P01", "P02")
    assert len(flat.recordings()) == 3
    undeclared = open_dataset("empatica_e4", root / "flat")
    assert "P01_day1 and P01_day2 look like recordings of one subject" in undeclared.notes[0]


def test_19_zipped_sessions(cases: Path, tmp_path: Path) -> None:
    nested = cases / "19-one-person-several-recordings" / "nested"
    for session in sorted(nested.glob("*/*")):
        archive = tmp_path / session.parent.name / f"{session.name}.zip"
        archive.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(archive, "w") as content:
            for file in sorted(session.iterdir()):
                content.write(file, file.name)
    zipped, plain = open_dataset("empatica_e4", tmp_path), open_dataset("empatica_e4", nested)
    assert zipped.subjects() == plain.subjects()
    for a, b in zip(zipped.recordings(), plain.recordings(), strict=True):
        assert (a.name, a.subject, a.stimuli) == (b.name, b.subject, b.stimuli)
        for name in b.signals:
            np.testing.assert_array_equal(a.signals[name].values, b.signals[name].values)
        assert all(source.is_file() for source in a.sources)
    (tmp_path / "P02" / "1544999999_A01525.zip").write_bytes(b"no archive")
    damaged = open_dataset("empatica_e4", tmp_path)
    assert len(damaged.recordings()) == 3
    (exclusion,) = damaged.exclusions
    assert "not a zip archive" in exclusion.reason


@pytest.mark.extra("formats")
def test_24_snirf_in_capitals(cases: Path) -> None:
    folder = cases / "24-upper-case-endings" / "light"
    for root in (folder, folder / "A.SNIRF"):
        assert only(open_dataset("snirf", root)).name == "A"


def test_24_other_endings_in_capitals(cases: Path, tmp_path: Path) -> None:
    session = tmp_path / "e4" / "P01"
    shutil.copytree(cases / "25-events-outside" / "S1", session)
    (session / "EDA.csv").rename(session / "EDA.CSV")
    (session / "tags.csv").rename(session / "TAGS.CSV")
    recording = only(open_dataset("empatica_e4", tmp_path / "e4"))
    assert list(recording.signals) == ["eda", "temperature"]
    assert len(recording.stimuli) == 3
    tree = tmp_path / "tree"
    shutil.copytree(cases / "08-bids-inherited-events" / "tree", tree)
    for path in list(tree.rglob("*physio.tsv")):
        path.rename(path.with_suffix(".TSV"))
    assert len(open_dataset("bids_physio", tree).recordings()) == 2


def test_25_events_outside_the_recording(cases: Path) -> None:
    reader = open_dataset("empatica_e4", cases / "25-events-outside")
    assert len(only(reader).stimuli) == 3
    (problem,) = [p for p in reader.check().problems if p.kind == "event"]
    assert problem.what == (
        "2 of 3 events lie outside 0–60 s: tag at -50 s (50 s before the start), "
        "tag at 5,000 s (4,940 s after the end)"
    )
