"""NeuroKit's example traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import DatasetError


def write_root(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ecg_1000hz.csv").write_text("ECG\n0.5\n-0.25\n")
    low = [5, 5, 0, 0, 5, 0, 5, 0, 5, 0]
    rows = "".join(f"0.1,13.2,{v},0.7\n" for v in low)
    (folder / "bio_eventrelated_100hz.csv").write_text(f"ECG,EDA,Photosensor,RSP\n{rows}")
    (folder / "eeg.txt").write_text("-56\n-50\n")


@pytest.mark.parametrize("tree", [".", "data"])
def test_the_exact_recordings(tmp_path: Path, tree: str) -> None:
    write_root(tmp_path / tree)
    reader = open_dataset("neurokit_data", tmp_path)
    assert reader.subjects() == ("bio_eventrelated_100hz", "ecg_1000hz")
    events, ecg = reader.recordings()
    np.testing.assert_allclose(ecg.signals["ecg"].values, [[0.5e-3, -0.25e-3]])
    assert (ecg.signals["ecg"].sampling_rate, ecg.signals["ecg"].unit) == (1000.0, "V")
    eda = events.signals["eda"]
    np.testing.assert_allclose(eda.values, np.full((1, 10), 13.2e-6))
    assert (eda.unit, eda.unit_confirmed) == ("S", False)
    assert [(s.onset, s.duration, s.condition) for s in events.stimuli] == [
        (0.02, 0.02, "Negative"),
        (0.05, 0.01, "Neutral"),
        (0.07, 0.01, "Neutral"),
        (0.09, 0.01, "Negative"),
    ]
    (exclusion,) = reader.exclusions
    assert "no sampling rate in its name" in exclusion.reason
    assert reader.check().count("unreadable") == 1
    assert reader.official_splits() == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("ECG\n", "a header and no data rows"),
        ("ECG;EDA\n1;2\n", "columns 'ECG;EDA'; expected some of"),
        ("ECG\n0,5\n", "cells, expected 1"),
        ("ECG\nx\n", "'x' is not a number"),
        ("ECG,ECG\n1,2\n", "each once"),
    ],
)
def test_a_faulty_file_is_left_out_and_counted(tmp_path: Path, text: str, reason: str) -> None:
    write_root(tmp_path)
    (tmp_path / "ecg_1000hz.csv").write_text(text)
    reader = open_dataset("neurokit_data", tmp_path)
    assert reader.subjects() == ("bio_eventrelated_100hz",)
    assert any(reason in e.reason for e in reader.exclusions)


def test_other_events_than_documented_have_no_condition(tmp_path: Path) -> None:
    write_root(tmp_path)
    (tmp_path / "bio_eventrelated_100hz.csv").write_text("ECG,Photosensor\n1,5\n1,0\n1,5\n")
    assert open_dataset("neurokit_data", tmp_path).recordings()[0].stimuli == ()


def test_a_root_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not neurokit_data: no \*_100hz\.csv"):
        open_dataset("neurokit_data", tmp_path)


@pytest.mark.shared
def test_the_real_traces(data_root: Path) -> None:
    recordings = open_dataset("neurokit_data", data_root / "neurokit_data").recordings()
    assert [r.name for r in recordings] == [
        "bio_eventrelated_100hz",
        "bio_resting_5min_100hz",
        "bio_resting_8min_100hz",
        "ecg_1000hz",
        "eog_100hz",
    ]
    events = recordings[0].stimuli
    assert [s.onset for s in events] == [10.24, 49.58, 92.24, 129.84]
    assert [s.condition for s in events] == ["Negative", "Neutral", "Neutral", "Negative"]
    assert {round(s.duration or 0, 1) for s in events} == {3.0}
