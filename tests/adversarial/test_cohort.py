"""The files of an adversarial cohort hold what the formulas say, read without the package."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.synthesis import adversarial_cohort
from dolorimeter.synthesis.adversarial import LAYOUTS, PROPERTIES

from adversarial_truth import SUBJECTS, conductance, heart_rate, identifier, levels, rating

CONDITION = ("rest", "low", "high")
BIOVID = {"BL1": "rest", "PA1": "low", "PA4": "high"}
Means = dict[tuple[str, int], float]
"""(Subject, stimulus) → mean conductance in microsiemens."""

ROLES = {
    "missing_class": 9, "one_class": 3, "missing_modality": 9, "missing_events": 5,
    "misspelt_condition": 6, "missing_rating": 9, "sessions": 1, "spellings": 2,
    "damaged_file": 7, "gaps": 10, "jitter": 10, "drift": 10, "drops": 10,
    "events_outside": 10, "doubled_events": 10, "units_wrong": 11, "unequal_rates": 11,
    "copied_subject": 12,
}  # fmt: skip
"""Properties of one subject, and its number."""


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def truth() -> Means:
    return {
        (f"{number:02d}", trial): conductance(number, trial, level)
        for number in SUBJECTS
        for trial, level in enumerate(levels(number))
    }


def windows(subject: str, values: np.ndarray, rate: float, onsets: list[float]) -> Means:
    at = [round(onset * rate) for onset in onsets]
    return {
        (subject, trial): float(values[a : a + round(10 * rate)].mean())
        for trial, a in enumerate(at)
    }


def of_bids(root: Path) -> Means:
    means: Means = {}
    for path in sorted(root.glob("sub-*/beh/*_recording-eda_physio.tsv.gz")):
        subject = path.name[4:6]
        about = json.loads(path.with_name(path.name.replace(".tsv.gz", ".json")).read_text())
        assert about == {
            "SamplingFrequency": 16.0, "StartTime": 0, "Columns": ["eda"], "eda": {"Units": "uS"},
        }  # fmt: skip
        values = np.array([float(line) for line in gzip.decompress(path.read_bytes()).split()])
        events = pd.read_csv(path.with_name(f"sub-{subject}_task-pain_events.tsv"), sep="\t")
        assert events["trial_type"].tolist() == [CONDITION[k] for k in levels(int(subject))]
        assert events["rating"].tolist() == pytest.approx(
            [rating(trial, level) for trial, level in enumerate(levels(int(subject)))]
        )
        means |= windows(subject, values, 16.0, events["onset"].tolist())
    return means


def of_folder(root: Path) -> Means:
    means: Means = {}
    for number in SUBJECTS:
        folder = root / f"{number:02d}"
        with (folder / "eda.csv").open() as file:
            rows = list(csv.DictReader(file))
        values = np.array([float(row["eda [uS]"]) for row in rows])
        with (folder / "events.csv").open() as file:
            onsets = [float(row["onset"]) for row in csv.DictReader(file)]
        means |= windows(folder.name, values, 16.0, onsets)
    return means


def of_edf(root: Path) -> Means:
    import mne

    means: Means = {}
    for path in sorted(root.glob("*.edf")):
        raw = mne.io.read_raw_edf(path, include=["EDA"], verbose="ERROR")
        onsets = [float(onset) for onset in raw.annotations.onset]
        assert raw.annotations.description.tolist() == [
            CONDITION[k] for k in levels(int(path.stem[4:]))
        ]
        means |= windows(path.stem[4:], raw.get_data()[0], raw.info["sfreq"], onsets)
    return means


def of_snirf(root: Path) -> Means:
    import h5py

    means: Means = {}
    for path in sorted(root.glob("*.snirf")):
        with h5py.File(path) as tree:
            values = tree["nirs/data1/dataTimeSeries"][:, 0] * 1e6
            np.testing.assert_allclose(np.diff(tree["nirs/data1/time"][:]), 1 / 8)
            stimuli = [tree[f"nirs/stim{place}/data"][:, 0] for place in (1, 2, 3)]
        onsets = sorted(float(onset) for part in stimuli for onset in part)
        means |= windows(path.stem[4:], values, 8.0, onsets)
    return means


def of_tables(root: Path) -> Means:
    paths = sorted([*root.glob("*.csv"), *root.glob("*.parquet")])
    read = pd.read_csv if paths[0].suffix == ".csv" else pd.read_parquet
    means: Means = {}
    for path in paths:
        table = read(path)
        number = int(path.stem[4:])
        assert table["label"].tolist() == [CONDITION[level] for level in levels(number)]
        means |= {(f"{number:02d}", k): float(v) for k, v in enumerate(table["eda_mean"])}
    return means


def of_biovid(root: Path) -> Means:
    means: Means = {}
    for path in sorted(root.glob("PartA/biosignals_raw/*/*_bio.csv")):
        table = pd.read_csv(path, sep="\t")
        assert len(table) == 2816
        number, counter = int(path.name[4:6]), int(path.name[-11:-8])
        condition = BIOVID[path.name.split("-")[1]]
        assert condition == CONDITION[levels(number)[counter - 1]]
        means[f"{number:02d}", counter - 1] = float(table["gsr"].mean())
    return means


def of_ai4pain(root: Path) -> Means:
    means: Means = {}
    for path in sorted(root.glob("*/Eda/*.csv")):
        for column, values in pd.read_csv(path).items():
            means[path.stem, int(str(column).rsplit("_", 1)[1].lstrip("S"))] = float(values.mean())
    return means


READ: dict[str, Callable[[Path], Means]] = {
    "folder": of_folder, "bids": of_bids, "edf": of_edf, "snirf": of_snirf,
    "feature_table": of_tables, "feature_table_parquet": of_tables, "biovid": of_biovid,
    "ai4pain_2025": of_ai4pain,
}  # fmt: skip
FORMATS = pytest.mark.extra("formats")


@pytest.mark.parametrize(
    "layout",
    [pytest.param(n, marks=[FORMATS] if n in ("edf", "snirf") else []) for n in LAYOUTS],
)
def test_means_of_stimuli_are_those_of_the_formulas(layout: str, tmp_path: Path) -> None:
    adversarial_cohort(tmp_path / "c", layout=layout, properties="none")
    means = READ[layout](tmp_path / "c")
    assert means.keys() == truth().keys()
    # EDF has 16 bits for 20 µS, text six decimals
    tolerance = 1e-4 if layout == "edf" else 1e-6
    for key, value in truth().items():
        assert means[key] == pytest.approx(value, abs=tolerance), key


def test_beats_have_the_rate_of_the_formula(tmp_path: Path) -> None:
    adversarial_cohort(tmp_path / "c", layout="bids", properties="none")
    for number in SUBJECTS:
        (path,) = tmp_path.glob(f"c/sub-{number:02d}/beh/*_recording-ecg_physio.tsv.gz")
        values = np.array([float(line) for line in gzip.decompress(path.read_bytes()).split()])
        above = values > 500.0
        beats = int(np.sum(above[1:] & ~above[:-1]))
        seconds = len(values) / 128.0
        # the rates of two subjects differ by three beats per minute or more
        assert beats == pytest.approx(seconds * heart_rate(number) / 60.0, abs=1.0), number


@pytest.mark.parametrize(
    ("layout", "name", "modality"),
    [
        ("bids", "bids_physio", "eda"),
        pytest.param("edf", "edf", "eda"),
        pytest.param("snirf", "snirf", "fnirs_hbo", marks=FORMATS),
        ("ai4pain_2025", "ai4pain_2025", "eda"),
        pytest.param("biovid", "biovid", "eda", marks=pytest.mark.long),
    ],
)
def test_readers_give_the_means_of_the_formulas(
    layout: str, name: str, modality: str, tmp_path: Path
) -> None:
    adversarial_cohort(tmp_path / "c", layout=layout, properties="none")
    found: dict[str, list[float]] = {}
    for recording in open_dataset(name, tmp_path / "c").recordings():
        signal = recording.load().signals[modality]
        for stimulus in recording.stimuli:
            part = signal
            if stimulus.onset is not None:
                part = signal.crop(stimulus.onset, 10.0)
            found.setdefault(recording.subject, []).append(float(part.values.mean()) * 1e6)
    for number in SUBJECTS:
        wanted = [v for (s, _), v in truth().items() if int(s) == number]
        means = found[identifier(layout, number)]
        assert sorted(means) == pytest.approx(sorted(wanted), abs=1e-4)


def test_the_same_arguments_give_the_same_files(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        adversarial_cohort(tmp_path / name, layout="bids", seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            n,
            marks=[
                *([] if "feature_table" in PROPERTIES[n].layouts else [pytest.mark.long]),
                *([] if {"feature_table", "bids"} & set(PROPERTIES[n].layouts) else [FORMATS]),
            ],
        )
        for n in ROLES
    ],
)
def test_a_property_changes_the_files_of_its_subject_alone(name: str, tmp_path: Path) -> None:
    layout = next(n for n in ("feature_table", "bids", "snirf") if n in PROPERTIES[name].layouts)
    adversarial_cohort(tmp_path / "plain", layout=layout, properties="none")
    adversarial_cohort(tmp_path / "broken", layout=layout, properties=[name])
    plain, broken = contents(tmp_path / "plain"), contents(tmp_path / "broken")
    subject = f"sub-{ROLES[name]:02d}"
    changed = {
        path
        for path in plain.keys() | broken.keys()
        if plain.get(path) != broken.get(path)
        and not path.startswith(("truth", "LOOKALIKE", "participants"))
    }
    assert changed
    assert {path[:6] for path in changed} <= {subject, "sub-2/", "sub-2."}


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(
            n,
            marks=[
                *([pytest.mark.long] if n in ("folder", "biovid") else []),
                *([FORMATS] if n == "snirf" else []),
            ],
        )
        for n in LAYOUTS
    ],
)
def test_all_properties_fit_into_one_cohort(layout: str, tmp_path: Path) -> None:
    cohort = adversarial_cohort(tmp_path / "c", layout=layout)
    assert set(cohort.properties) == {
        name for name, one in PROPERTIES.items() if layout in one.layouts and name != "two_faces"
    }
    stored = json.loads((tmp_path / "c" / "truth" / "adversarial.json").read_text())
    assert list(stored["properties"]) == list(cohort.properties)
    assert len(stored["events"]) == cohort.summary()["events"]
    mark = json.loads((tmp_path / "c" / "LOOKALIKE.json").read_text())
    assert "no person behind these data" in mark["what"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layout": "bid"}, UnknownNameError, "no layout 'bid'; did you mean 'bids'"),
        ({"properties": ["gap"]}, UnknownNameError, "did you mean 'gaps'"),
        ({"layout": "edf", "properties": ["two_faces"]}, ConfigError, "cannot express two_faces"),
        ({"subjects": 3}, ConfigError, "subjects is 3, expected an integer of 12 or more"),
        ({"seed": -1}, ConfigError, "seed is -1"),
    ],
)
def test_wrong_arguments_are_named(
    options: dict[str, object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        adversarial_cohort(tmp_path / "c", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "c").exists()


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        adversarial_cohort(tmp_path)
    assert contents(tmp_path).keys() == {"thesis.txt"}


def test_identifiers_are_those_of_the_files(tmp_path: Path) -> None:
    adversarial_cohort(tmp_path / "c", layout="biovid", properties="none")
    found = {path.name for path in (tmp_path / "c/PartA/biosignals_raw").iterdir()}
    assert found == {identifier("biovid", number) for number in SUBJECTS}
