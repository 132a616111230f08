"""Whoever is lost is named and counted: on the terminal, in JSON, in the report, by `check`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dolorimeter.cli import app
from dolorimeter.conditions import condition_counts, lacking, misspelt, unused_note
from dolorimeter.datasets import check, open_dataset
from dolorimeter.errors import ConfigError
from dolorimeter.evaluation import Run
from dolorimeter.experiment import experiment_from, prepare, run, write_experiment
from dolorimeter.reports import report
from dolorimeter.samples import Samples

RATE = 25.0
EVENTS = tuple((4.0 + 12.0 * i, ("none", "strong")[i % 2]) for i in range(8))
STUDY = {
    "title": "study",
    "dataset": {"name": "bids_physio"},
    "task": {"classes": [["none"], ["strong"]]},
    "classifier": {"name": "logistic_regression"},
    "split": {"name": "leave_one_subject_out"},
    "windows": {"duration": 8.0},
    "streams": [{"modality": "eda"}],
}


def study(folder: Path, faults: Mapping[str, str] | None = None, subjects: int = 6) -> Path:
    """A BIDS tree of skin conductance, eight stimuli per subject, with faults by subject."""
    rng = np.random.default_rng(0)
    for s in range(1, subjects + 1):
        subject = f"{s:02d}"
        fault = (faults or {}).get(subject, "")
        place = folder / f"sub-{subject}" / "beh"
        place.mkdir(parents=True)
        stem = place / f"sub-{subject}_task-heat"
        values = 5 + 0.1 * rng.normal(size=int(104 * RATE)).cumsum() / RATE
        rows = []
        for onset, condition in EVENTS:
            at = int(onset * RATE)
            if condition == "strong":
                values[at : at + 100] += 0.4 * np.hanning(100)
            rows.append((onset, 8.0, condition))
        text = "\n".join(f"{v:.5f}" for v in values) + "\n"
        data = b"\x1f\x8b damaged" if fault == "damaged" else gzip.compress(text.encode(), mtime=0)
        Path(f"{stem}_physio.tsv.gz").write_bytes(data)
        sidecar = {
            "SamplingFrequency": RATE,
            "StartTime": 0,
            "Columns": ["eda"],
            "eda": {"Units": "degC" if fault == "other unit" else "uS"},
        }
        if fault == "no sidecar":
            sidecar.pop("SamplingFrequency")
        Path(f"{stem}_physio.json").write_text(json.dumps(sidecar))
        table = pd.DataFrame(rows, columns=["onset", "duration", "trial_type"])
        if fault == "misspelt":
            table["trial_type"] = table["trial_type"].replace("strong", "Strong ")
        if fault == "no trial_type":
            table = table.drop(columns="trial_type")
        if fault == "one class":
            table = table[table["trial_type"] == "none"]
        if fault != "no events":
            table.to_csv(f"{stem}_events.tsv", sep="\t", index=False)
    return folder


LOST = {
    "damaged": "gzip",
    "no sidecar": "SamplingFrequency",
    "no events": "no stimulus is stated",
    "no trial_type": "has none of the conditions none, strong; it has: event",
    "misspelt": "did you mean 'strong'?",
    "other unit": "degC",
}


@pytest.mark.parametrize("fault", LOST)
def test_a_subject_that_is_lost_is_a_named_exclusion(tmp_path: Path, fault: str) -> None:
    prepared = prepare(experiment_from(STUDY), study(tmp_path / "study", {"03": fault}))
    out = [e for e in prepared.samples.exclusions if e.subject == "03"]
    assert out
    assert LOST[fault] in " ".join(e.reason for e in out)
    assert len(set(prepared.samples.subjects) - {"03"}) == 5
    notes = " | ".join(prepared.samples.notes)
    assert "of the 6 in the folder" in notes
    if fault == "misspelt":  # its other class is there
        assert "1 of 6 subjects have no window of strong: subject 03" in notes
        assert "Conditions of the data that are not part of the task: Strong" in notes
    else:
        assert "5 of the 6 subjects asked for have a sample that takes part" in notes


@pytest.mark.long
def test_a_lost_subject_is_counted_on_the_terminal_in_json_and_in_the_report(
    tmp_path: Path,
) -> None:
    root = study(tmp_path / "study", {"03": "damaged", "05": "misspelt"})
    write_experiment(tmp_path / "study.toml", experiment_from(STUDY))
    call = ["evaluate", str(tmp_path / "study.toml"), "--root", str(root), "--no-cache"]
    shown = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "run")])
    assert shown.exit_code == 0, shown.output
    assert "kept out, with reasons in the report: 2" in shown.output
    assert "1 (subjects: 05): 'Strong" in shown.output
    assert "5 of the 6 subjects asked for have a sample that takes part" in shown.output
    as_json = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "run"), "--json"])
    (row,) = json.loads(as_json.stdout)
    assert row["kept_out"] == sum(entry["count"] for entry in row["kept_out_reasons"]) == 2
    assert sorted(entry["subjects"] for entry in row["kept_out_reasons"]) == [["03"], ["05"]]
    found = Run.load(tmp_path / "run")
    assert sorted(found.exclusions["subject"]) == ["03", "05"]
    made = report(found)
    page = made.markdown
    assert len(json.loads(made.json)["runs"][0]["exclusions"]) == 2
    assert "Nothing was kept out" not in page
    assert "2 things kept out" in page
    assert "2 windows, recordings or people kept out" in page  # TRIPOD, item 11
    assert "Subjects: 6 in the data or left out, 5 tested, 1 lost" in page  # TRIPOD, item 20a


@pytest.mark.long
@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ([["none"], ["strong"]], "Nothing was kept out."),
        ([["none"], ["weak"]], "Nothing of the task's conditions was kept out"),
    ],
)
def test_nothing_was_kept_out_means_nothing(
    tmp_path: Path, classes: list[list[str]], sentence: str
) -> None:
    root = study(tmp_path / "study", subjects=3)
    if classes[1] == ["weak"]:  # every second strong stimulus is a weak one
        for path in root.rglob("*_events.tsv"):
            table = pd.read_csv(path, sep="\t")
            table.loc[table["onset"] > 50, "trial_type"] = ["none", "weak"] * 2
            table.to_csv(path, sep="\t", index=False)
    found = run(
        experiment_from(STUDY | {"task": {"classes": classes}}), root, tmp_path / "run",
        cache=False,
    )  # fmt: skip
    assert sentence in report(found).markdown


@pytest.mark.parametrize("fault", ["damaged", "no events", "misspelt"])
def test_check_names_the_subject_and_ends_with_1(tmp_path: Path, fault: str) -> None:
    root = study(tmp_path / "study", {"03": fault})
    shown = CliRunner().invoke(app, ["check", "bids_physio", str(root)])
    assert shown.exit_code == 1, shown.output
    assert "03" in shown.output
    assert ("stimuli per subject and condition" in shown.output) == (fault != "damaged")
    checked, counts = check(open_dataset("bids_physio", root))
    assert counts is not None
    assert counts.loc["03"].sum() == (8 if fault in ("damaged", "misspelt") else 0)
    assert any(p.severity == "fault" for p in checked.problems)
    as_json = CliRunner().invoke(app, ["check", "bids_physio", str(root), "--json"])
    assert json.loads(as_json.output)["stimuli"]


def test_check_of_a_sound_study_ends_with_0_and_draws_no_table(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["check", "bids_physio", str(study(tmp_path / "study"))])
    assert shown.exit_code == 0, shown.output
    assert "stimuli per subject" not in shown.output


def test_check_warns_of_a_subject_that_lacks_a_condition(tmp_path: Path) -> None:
    root = study(tmp_path / "study", {"03": "one class"})
    checked, _ = check(open_dataset("bids_physio", root))
    assert [(p.path, p.severity) for p in checked.problems] == [("03", "warning")]
    assert "no stimulus of condition 'strong'" in checked.problems[0].what


def test_a_named_subject_that_cannot_be_read_is_an_exclusion_and_others_are_not(
    tmp_path: Path,
) -> None:
    root = study(tmp_path / "study", {"03": "no sidecar", "04": "no sidecar"})
    named = STUDY | {"dataset": {"name": "bids_physio", "subjects": ["01", "02", "03"]}}
    samples = prepare(experiment_from(named), root).samples
    assert [e.subject for e in samples.exclusions] == ["03"]
    unknown = STUDY | {"dataset": {"name": "bids_physio", "subjects": ["01", "09"]}}
    with pytest.raises(ConfigError, match="subjects 09 are not in"):
        prepare(experiment_from(unknown), root)


def test_check_of_a_table_names_a_label_that_is_misspelt(tmp_path: Path) -> None:
    labels = ["low", "high"] * 6
    labels[9] = "High"
    table = pd.DataFrame({"subject": list("aaaabbbbcccc"), "label": labels,
                          "x": np.random.default_rng(0).normal(size=12)})  # fmt: skip
    table.to_csv(tmp_path / "table.csv", index=False)
    shown = CliRunner().invoke(app, ["check", "feature_table", str(tmp_path), "--json"])
    assert shown.exit_code == 1, shown.output
    problems = json.loads(shown.stdout)["problems"]
    assert [(p["severity"], p["what"]) for p in problems if "High" in p["what"]] == [
        ("fault", "condition 'High' (1 in c): did you mean 'high'?")
    ]


def test_check_warns_of_a_subject_that_lacks_a_signal(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    for s in range(1, 6):  # all but the last have a second channel
        path = root / f"sub-{s:02d}" / "beh" / f"sub-{s:02d}_task-heat_physio"
        sidecar = json.loads(path.with_suffix(".json").read_text())
        sidecar["Columns"] = ["eda", "ecg"]
        path.with_suffix(".json").write_text(json.dumps(sidecar))
        data = gzip.decompress(path.with_suffix(".tsv.gz").read_bytes()).decode().split()
        text = "\n".join(f"{v}\t{i % 7}" for i, v in enumerate(data)) + "\n"
        path.with_suffix(".tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    checked, _ = check(open_dataset("bids_physio", root))
    lacks = [p for p in checked.problems if p.kind == "missing" and p.severity == "warning"]
    assert [(p.path, p.what) for p in lacks] == [
        ("sub-06_task-heat", "subject 06: no signal 'ecg', which the other subjects have")
    ]


def test_rows_of_a_table_whose_label_is_misspelt_are_exclusions(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = ["low", "high"] * 12
    labels[9] = "High"
    table = pd.DataFrame(
        {"subject": np.repeat(["a", "b", "c"], 8), "label": labels, "x": rng.normal(size=24)}
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    experiment = experiment_from(
        {
            "title": "table",
            "dataset": {"name": "feature_table"},
            "task": {"classes": [["low"], ["high"]]},
            "classifier": {"name": "logistic_regression"},
            "split": {"name": "leave_one_subject_out"},
        }
    )
    samples = prepare(experiment, tmp_path).samples
    assert len(samples) == 23
    ((subject, what),) = [(e.subject, e.what) for e in samples.exclusions]
    assert (subject, what) == ("b", "1 of condition High")


# ── counting ────────────────────────────────────────────────────────────────────────────────────


def test_counts_of_samples_and_of_recordings_agree(tmp_path: Path) -> None:
    root = study(tmp_path / "study", subjects=3)
    recordings = open_dataset("bids_physio", root).recordings()
    counts = condition_counts(recordings, subjects=["99"])
    assert counts.loc["99"].sum() == 0
    windows = condition_counts(prepare(experiment_from(STUDY), root).samples)
    pd.testing.assert_frame_equal(counts.drop(index="99"), windows)


@pytest.mark.parametrize(
    ("rows", "expected", "answer"),
    [
        # levels that differ in a number are levels
        ({"a": {"PA1": 5, "PA4": 5}, "b": {"PA2": 5, "PA4": 5}}, ("PA4",), {}),
        # two spellings in one subject differ in case only
        ({"a": {"strong": 5, "STRONG": 1}}, ("strong",), {"STRONG": "strong"}),
        # similar words that one subject has both of are two conditions
        ({"a": {"no_pain": 5, "low_pain": 5}}, ("no_pain",), {}),
        # a typing error in the file of one subject
        ({"a": {"strong": 5}, "b": {"stronng": 5}}, ("strong",), {"stronng": "strong"}),
        # withheld labels
        ({"a": {"labelled": 5}, "b": {"unlabelled": 5}}, ("labelled",), {}),
        # without a task the more frequent spelling is right
        ({"a": {"rest": 5}, "b": {"Rest": 4}}, (), {"Rest": "rest"}),
        ({"a": {"rest": 4}, "b": {"Rest": 5}}, (), {"rest": "Rest"}),
    ],
)
def test_misspelt_conditions(
    rows: dict[str, dict[str, int]], expected: tuple[str, ...], answer: dict[str, str]
) -> None:
    counts = pd.DataFrame(rows).T.fillna(0).astype(int)
    assert misspelt(counts, expected) == answer


def test_a_subject_without_a_class_is_named() -> None:
    counts = pd.DataFrame({"BL1": [5, 5], "PA4": [0, 5]}, ["a", "b"])
    assert lacking(counts, {"BL1": ["BL1"], "pain": ["PA3", "PA4"]}) == {"pain": ["a"]}
    assert unused_note(counts, ["BL1", "PA4"]) == ()
    assert unused_note(counts, []) == ()


def test_samples_without_conditions_have_an_empty_table() -> None:
    samples = Samples.from_arrays([[0.0], [1.0]], subject=["a", "b"])
    assert condition_counts(samples).shape == (2, 0)
