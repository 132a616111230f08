"""AI4Pain 2025: a segment a column, without its padding, in SI units."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.datasets.ai4pain_2025 import AI4Pain2025
from dolorimeter.errors import DatasetError, FileReadError, RecordingError
from dolorimeter.types import Stimulus

SAMPLE = {
    "Eda": "7_Baseline_1,7_LOW_1,7_HIGH_1\n1.5,2,3\n1.25,,4\nNaN,NaN,5\n1,NaN,\n",
    "SpO2": "7_Baseline_1,7_LOW_1,7_HIGH_1\n98,97,96.5\n98,97,96.5\n98,NaN,\n98,,\n",
}


def write(root: Path, split: str, modality: str, subject: str, text: str) -> Path:
    path = root / split / modality / f"{subject}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def table_text(names: str, lengths: tuple[int, ...], seed: int, level: float = 5.0) -> str:
    rng = np.random.default_rng(seed)
    table = np.full((max(lengths), len(lengths)), np.nan)
    for i, n in enumerate(lengths):
        table[:n, i] = rng.normal(level, 1, n)
    lines = [",".join("" if np.isnan(v) else f"{v:.4f}" for v in row) for row in table]
    return "\n".join([names, *lines]) + "\n"


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    for modality, text in SAMPLE.items():
        write(tmp_path, "train", modality, "7", text)
    return tmp_path


def test_a_sample_written_by_hand(hand: Path) -> None:
    reader = AI4Pain2025(hand)
    assert reader.subjects() == ("7",)
    baseline, low, high = reader.recordings()
    assert reader.exclusions == ()
    assert (baseline.name, baseline.subject_info) == ("train/7/7_Baseline_1", {"split": "train"})
    assert baseline.stimuli == (Stimulus(None, None, "no_pain", 0, {"clip": "7_Baseline_1"}),)
    assert [(r.stimuli[0].condition, r.stimuli[0].level) for r in (low, high)] == [
        ("low_pain", 1), ("high_pain", 2),
    ]  # fmt: skip
    assert list(baseline.signals) == ["eda", "spo2"]
    eda, spo2 = high.signals["eda"], high.signals["spo2"]
    np.testing.assert_allclose(eda.values, [[3e-6, 4e-6, 5e-6]], rtol=1e-15)
    np.testing.assert_allclose(spo2.values, [[0.965, 0.965]], rtol=1e-15)
    assert (eda.unit, spo2.unit, eda.sampling_rate) == ("S", "1", 100.0)
    assert not eda.unit_confirmed
    np.testing.assert_allclose(low.signals["eda"].values, [[2e-6]], rtol=1e-15)
    inner = baseline.signals["eda"].values
    np.testing.assert_allclose(inner, [[1.5e-6, 1.25e-6, np.nan, 1e-6]], rtol=1e-15)
    assert high.facts == {"segment_samples": 3.0}


def test_segments_differ_in_length_and_modalities_may_be_missing(tmp_path: Path) -> None:
    names = "a_rest_1,a_low_1,a_high_1"
    write(tmp_path, "train", "Bvp", "10", table_text(names, (990, 1022, 1118), 1))
    write(tmp_path, "validation", "Resp", "2", table_text(names, (100, 100, 100), 2))
    write(tmp_path, "test", "Resp", "9", table_text("9_1,9_2", (100, 100), 3))
    reader = AI4Pain2025(tmp_path)
    assert reader.subjects() == ("2", "9", "10")
    lengths = [r.signals["ppg"].values.shape for r in reader.recordings(["10"])]
    assert lengths == [(1, 990), (1, 1022), (1, 1118)]
    nine = reader.recordings(["9"])
    assert [(r.stimuli[0].condition, r.stimuli[0].level) for r in nine] == [
        ("unlabelled", None)
    ] * 2
    split = reader.official_splits()["challenge"]
    assert (split.train, split.validation, split.test) == (("10",), ("2",), ("9",))
    lacking = [p for p in reader.check().problems if p.kind == "missing"]
    assert ("train/10", "no file of Eda, Resp, SpO2") in [(p.path, p.what) for p in lacking]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        (SAMPLE["Eda"].replace(",", ";"), "no single state|is not a number"),
        (SAMPLE["Eda"].replace("1.25", '"1,25"'), "Decimal mark ',' found"),
        (SAMPLE["Eda"].replace("1.25,,4", "1.25,4"), "line 3: 2 cells, expected 3"),
        (SAMPLE["Eda"].replace("7_LOW_1", "7_Baseline_1"), "without a name of their own"),
        ("1,2,3\n4,5,6\n", "the header is missing"),
        (SAMPLE["Eda"].replace("1.5", "\0"), "a binary file"),
    ],
)
def test_unreadable_files_are_left_out_and_counted(hand: Path, text: str, reason: str) -> None:
    write(hand, "train", "Eda", "7", text)
    reader = AI4Pain2025(hand)
    assert all("eda" not in r.signals for r in reader.recordings())
    first = reader.exclusions[0]
    assert first.recording == "train/Eda/7.csv"
    assert re.search(reason, first.reason)


def test_columns_without_one_state_and_empty_segments(hand: Path) -> None:
    text = "7_x_1,7_low_high_1,7_restless_2,7_rest_2\n1,2,3,\n1,2,3,\n"
    for modality in SAMPLE:
        write(hand, "train", modality, "7", text)
    reader = AI4Pain2025(hand)
    assert reader.recordings() == []
    assert [e.reason for e in reader.exclusions] == [
        "no single state (rest, low, high) in its name"
    ] * 3 + ["empty"]


def test_files_that_change_are_read_again_and_lost_columns_are_named(hand: Path) -> None:
    high = AI4Pain2025(hand).recordings()[2]
    write(hand, "train", "Eda", "7", "7_Baseline_1,7_HIGH_1\n1,2\n1,2.5\n")
    np.testing.assert_allclose(high.signals["eda"].values, [[2e-6, 2.5e-6]], rtol=1e-15)
    write(hand, "train", "Eda", "7", "7_Baseline_1\n1\n")
    with pytest.raises(RecordingError, match="no segment '7_HIGH_1'; it has 1: 7_Baseline_1"):
        high.load()
    (hand / "train" / "Eda" / "7.csv").unlink()
    with pytest.raises(FileReadError, match="cannot be read"):
        high.load()


def test_check_reads_everything(hand: Path) -> None:
    write(hand, "train", "Resp", "8", SAMPLE["Eda"])
    write(hand, "validation", "Eda", "7", SAMPLE["SpO2"])
    (hand / "train" / "readme.txt").write_text("stray")
    text = SAMPLE["SpO2"].replace("98,97,96.5", "0.98,97,96.5", 1)
    write(hand, "train", "SpO2", "7", text)
    report = AI4Pain2025(hand).check()
    found = [(p.path, p.kind, p.what) for p in report.problems]
    assert ("train/7/7_HIGH_1", "flat", "spo2: flat (one value only)") in found
    assert ("train/7/7_Baseline_1", "nan", "eda: missing samples (NaN)") in found
    assert ("train/7/7_LOW_1", "short", "eda: 1 samples, under 1 s") in found
    assert any(k == "version" and "outside 50–100 %" in w for _, k, w in found)
    assert ("train/Resp/8.csv", "duplicate", "the same bytes as train/Eda/7.csv") in found
    assert ("train/readme.txt", "stray", "not a file of this data set") in found
    assert any("also found in validation; read from train" in w for _, _, w in found)


def test_wrong_roots(hand: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not AI4Pain 2025: looked for train/Eda or"):
        AI4Pain2025(hand / "train")
    with pytest.raises(DatasetError, match="no subject '8' among the 1 found; there are 7"):
        AI4Pain2025(hand).recordings(["8"])
    (hand / "LOOKALIKE.json").write_text("{}")
    assert AI4Pain2025(hand).lookalike
