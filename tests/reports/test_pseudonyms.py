"""Reports are passed on; subjects' names are not."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from dolorimeter.audits import Finding
from dolorimeter.audits.findings import CHECKS
from dolorimeter.evaluation import Question, Run, evaluate
from dolorimeter.reports import report
from dolorimeter.reports.pseudonyms import hide, pseudonymised, pseudonyms, with_plain_names
from dolorimeter.samples import Samples
from dolorimeter.splits import hold_out, leave_one_subject_out
from dolorimeter.types import Exclusion


def test_pseudonyms_do_not_depend_on_order_and_do_not_follow_it() -> None:
    names = [f"p{i:02d}" for i in range(20)]
    mapped = pseudonyms(names, salt="a")
    assert mapped == pseudonyms(reversed(names), salt="a")
    assert mapped != pseudonyms(names, salt="b")
    assert sorted(mapped.values()) == [f"S{i:02d}" for i in range(1, 21)]
    assert [mapped[n] for n in names] != sorted(mapped.values())


def test_names_are_shown_only_when_asked() -> None:
    assert pseudonyms(["b", "a"], reveal=True) == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("text", "numbers", "wanted"),
    [
        ("071309_w_21-PA4-043 is short", False, "S01-PA4-043 is short"),
        ("25 windows of subject 25", False, "25 windows of subject S02"),
        ("25_fmov.csv", True, "S02_fmov.csv"),
        ("071309_w_210", False, "071309_w_210"),
        ("event rest at 25 s", True, "event rest at 25 s"),
        ("25 of condition High", True, "25 of condition High"),
        ("subject 25 s.csv", True, "subject S02 s.csv"),
    ],
)
def test_names_inside_texts_are_replaced(text: str, numbers: bool, wanted: str) -> None:
    names = {"071309_w_21": "S01", "25": "S02"}
    assert hide(text, names, numbers=numbers) == wanted


def test_pseudonyms_that_are_other_peoples_names_do_not_chain() -> None:
    assert hide("S01 and S02", {"S01": "S02", "S02": "S01"}) == "S02 and S01"


def test_no_pseudonym_is_the_name_of_somebody() -> None:
    mapped = pseudonyms(["s01", "S02", "anna"])
    assert not {name.casefold() for name in mapped} & {p.casefold() for p in mapped.values()}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fold 3, subject 3", "fold 3, subject S07"),
        ("folds 3, 12; subjects 3, 12 and 4", "folds 3, 12; subjects S07, S08 and 4"),
        ("3.5 s of 12 windows of subject '12'", "3.5 s of 12 windows of subject 'S08'"),
        ("/data/3/ecg.csv and sub-12_eeg.edf", "/data/S07/ecg.csv and sub-S08_eeg.edf"),
        ("3_fmov.csv is damaged", "S07_fmov.csv is damaged"),
        (
            "subjects 3, 03 and 3.0 are read as subject 3",
            "subjects S07, S07 and S07 are read as subject S07",
        ),
        (
            "2 of 5 subjects have no window of high: subjects 3, 12",
            "2 of 5 subjects have no window of high: subjects S07, S08",
        ),
    ],
)
def test_identifiers_of_digits_are_told_from_numbers(text: str, wanted: str) -> None:
    assert hide(text, {"3": "S07", "12": "S08"}) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("PAT-17.edf", "S01.edf"),
        ("xpat-17y", "xS01y"),
        ("pat-170", "pat-170"),
        ("A\u030angstro\u0308m is short", "S02 is short"),
        ("annals of anna", "annals of S03"),
    ],
)
def test_other_spellings_and_parts_of_words(text: str, wanted: str) -> None:
    names = {"pat-17": "S01", "\u00c5ngstr\u00f6m": "S02", "anna": "S03"}
    assert hide(text, names) == wanted


IDS = (
    "071309_w_21",
    "pat-0417-x",
    "\u00c5ngstr\u00f6m-9",
    "Zebedee Quux",
    "112914_w_51",
    "proband0815",
)


def samples_of(ids: Sequence[str]) -> tuple[Samples, np.ndarray]:
    rng = np.random.default_rng(0)
    meta = pd.DataFrame(
        [
            {
                "dataset": "own",
                "part": "",
                "subject": who,
                "recording": f"{who}a",
                "stimulus": f"{who}a#{i}",
                "start": 5.0 * i,
                "duration": 5.0,
                "condition": "",
            }
            for who in ids
            for i in range(8)
        ]
    )
    excluded = (
        Exclusion(ids[0], f"{ids[0]}a", "window at 3 s", f"/data/{ids[0]}/eda.csv is flat"),
        Exclusion("left-out-99", "left-out-99b", "recording", "left-out-99b.csv cannot be read"),
    )
    samples = Samples(
        rng.normal(size=(len(meta), 3)),
        meta,
        ("a", "b", "c"),
        exclusions=excluded,
        notes=(f"subject {ids[1]} has no ecg", f"{ids[2].upper()}: 3 gaps"),
    )
    return samples, np.tile([0, 1], len(meta) // 2)


class Breaks(LogisticRegression):
    """Fails where one subject is not trained on, and names it."""

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Breaks:
        if IDS[4] not in groups:
            raise ValueError(f"no file /data/{IDS[4]}/x.csv")
        super().fit(X, y)
        return self


@pytest.mark.parametrize("split", ["hold out", "leave one out"])
def test_no_byte_of_a_report_names_a_subject(tmp_path: Path, split: str) -> None:
    samples, y = samples_of(IDS)
    chosen = leave_one_subject_out() if split == "leave one out" else hold_out(IDS[:2], IDS[2:3])
    run = evaluate(Breaks(), samples, y, chosen)
    subset = " ".join([*IDS, "left-out-99", "nobody-4"]) + ", first 6"
    question = replace(run.question, subset=subset)
    run = replace(run, question=question)
    check = next(iter(CHECKS))
    findings = [Finding(check, "warning", "observed", f"fold 3, {IDS[3]}", f"{IDS[5]} twice")]
    run.save(tmp_path / "run")
    run = Run.load(tmp_path / "run")
    report([run], tmp_path / "out", findings=[findings])
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 3
    for path in written:
        text = unicodedata.normalize("NFC", path.read_text(encoding="utf-8")).casefold()
        for who in (*IDS, "left-out-99", "nobody-4"):
            for shown in {who, html.escape(who), json.dumps(who)[1:-1]}:
                assert unicodedata.normalize("NFC", shown).casefold() not in text, (path.name, who)
    assert "fold 3" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert told["runs"][0]["question"]["subset"] == "S01 S02 S03 S04 S05 S06 S07 unknown, first 6"


def test_arguments_of_a_split_name_no_subject_of_digits(tmp_path: Path) -> None:
    ids = ("3", "7", "12", "25")
    samples, y = samples_of(ids)
    run = evaluate(LogisticRegression(), samples, y, hold_out(["3"], ["7"]))
    report([run], tmp_path)
    told = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["runs"][0]
    arguments = told["question"]["split"]["arguments"]
    listed = [name for value in arguments.values() if isinstance(value, list) for name in value]
    assert listed
    assert not set(listed) & set(ids)
    assert not set(told["numbers"]["scores"]) & set(ids)
    assert not {each["subject"] for each in told["exclusions"]} & set(ids)


def test_only_the_salt_of_the_run_undoes_pseudonyms(tmp_path: Path) -> None:
    samples, y = samples_of(IDS)
    runs = [evaluate(LogisticRegression(), samples, y) for _ in range(2)]
    for i, run in enumerate(runs):
        run.save(tmp_path / str(i))
        run.save(tmp_path / str(i))  # a second save keeps the salt
    salts = [(tmp_path / str(i) / "pseudonyms.salt") for i in range(2)]
    assert [path.stat().st_mode & 0o777 for path in salts] == [0o600, 0o600]
    loaded = [Run.load(tmp_path / str(i)) for i in range(2)]
    mapped = [pseudonyms(IDS, salt=run.salt) for run in loaded]
    assert mapped[0] == pseudonyms(IDS, salt=Run.load(tmp_path / "0").salt)
    assert mapped[0] != mapped[1]
    assert salts[0].read_text() not in (tmp_path / "0" / "run.json").read_text()


def test_subjects_of_two_data_sets_are_hidden_under_their_plain_names_too() -> None:
    names = with_plain_names({"own:3": "S01", "other:pat-17": "S02"})
    question = Question("own", subset="3, first 3; tested on other, pat-17 pat-18, part 3")
    run = Run(question, "m", *[pd.DataFrame({"subject": ["own:3"], "subjects": ["3"]})] * 5)
    shown = pseudonymised(run, names).question.subset
    assert shown == "S01, first 3; tested on other, S02 unknown, part 3"
