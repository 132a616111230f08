"""Thinning to 90/10: shares, turns, determinism, and what it shows of standardisation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import THINNED, summarise, thin_classes
from dolorimeter.experiment import Experiment, experiment_from, run
from dolorimeter.reports import report


def thinned(y: np.ndarray, who: np.ndarray, seed: int = 0) -> np.ndarray:
    return thin_classes(y, who, np.random.default_rng(seed))


@given(st.integers(1, 6), st.integers(9, 40), st.integers(2, 4), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_one_class_stays_whole_and_the_others_make_a_tenth(
    people: int, each: int, classes: int, seed: int
) -> None:
    y = np.tile(np.repeat(np.arange(classes), each), people)
    who = np.repeat([f"p{i:02d}" for i in range(people)], classes * each)
    keep = thinned(y, who, seed)
    for place, subject in enumerate(np.unique(who)):
        own = keep & (who == subject)
        common = place % classes
        assert (y[own] == common).sum() == each
        assert (y[own] != common).sum() == max(round(each / 9), 1)
    assert np.array_equal(keep, thinned(y, who, seed))


def test_rows_without_a_class_and_people_with_one_stay() -> None:
    y = np.array([-1, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    who = np.array(["a"] * 7 + ["b"] * 3)
    keep = thinned(y, who)
    assert keep[0]
    assert keep[[1, 2, 3]].all()
    assert keep[[4, 5, 6]].sum() == 1
    assert keep[7:].all()


def test_a_share_below_half_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"a share of 0.3 to thin to, expected at least"):
        thin_classes(np.array([0, 1]), np.array(["a", "a"]), np.random.default_rng(0), 0.3)


def table_of(folder: Path, subjects: int = 6, each: int = 60) -> Path:
    """A CSV whose one feature tells the classes apart once each person's own level is gone."""
    rng = np.random.default_rng(0)
    rows = []
    for s in range(subjects):
        level = rng.normal(0, 50)
        for i in range(each):
            label = ("low", "high", "other")[i % 3]
            value = level + {"low": 0.0, "high": 3.0, "other": 1.0}[label] + rng.normal()
            rows.append({"subject": f"s{s}", "label": label, "a": value})
    path = folder / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def asked(standardise: str) -> Experiment:
    return experiment_from(
        {
            "title": "table",
            "dataset": {"name": "feature_table"},
            "task": {"classes": [["low"], ["high"]]},
            "classifier": {"name": "logistic_regression"},
            "split": {"name": "leave_one_subject_out"},
            "standardise": standardise,
        }
    )


@pytest.mark.long
def test_a_standardised_model_is_also_tested_on_thinned_people(tmp_path: Path) -> None:
    found = run(asked("task_windows"), table_of(tmp_path), cache=False)
    rows = found.baselines[found.baselines["model"] == THINNED]
    counts = [np.bincount(part["label"]).tolist() for _, part in rows.groupby("subject")]
    assert counts == [[20, 2], [2, 20]] * 3
    whole = found.predictions.set_index("row")["label"]
    assert rows["label"].tolist() == whole.loc[rows["row"]].tolist()
    assert set(rows["question"]) == {found.question.hash}
    s = summarise(found)
    assert THINNED not in s.baselines
    assert s.thinned is not None
    assert s.by_subject[s.main].mean > 0.85
    assert s.thinned.mean < s.by_subject[s.main].mean - 0.04
    assert any("uses the class balance of the test design" in n for n in found.notes)
    paths = report(found, tmp_path / "report.html").paths
    assert paths
    for path in (paths.html, paths.markdown):
        assert "s classes thinned 90/10" in path.read_text(encoding="utf-8")
    told = json.loads(paths.json.read_text(encoding="utf-8"))
    assert told["runs"][0]["numbers"]["thinned"]["mean"] == pytest.approx(s.thinned.mean)


def test_without_such_a_reference_nothing_is_thinned(tmp_path: Path) -> None:
    found = run(asked("none"), table_of(tmp_path), cache=False)
    assert THINNED not in set(found.baselines["model"])
    assert summarise(found).thinned is None
    assert "thinned" not in " ".join(found.notes)
