"""The page beyond the figure: missing modalities, permutations, few people, pairs, curves."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter import metrics
from dolorimeter.evaluation import Permutations, Question, Run, summarise
from dolorimeter.reports import ReportPaths, compare_all, report
from dolorimeter.reports.blocks import Table
from dolorimeter.reports.numbers import numbers
from dolorimeter.reports.robustness import missing_table, silence_table, worth_table


def written(runs: list[Run], out: Path) -> ReportPaths:
    paths = report(runs, out).paths
    assert paths
    return paths


def rows_of(people: int, right: float, seed: int, windows: int = 20) -> pd.DataFrame:
    """Rows in which `right` of each person's windows are."""
    rng = np.random.default_rng(seed)
    label = np.tile(np.arange(windows) % 2, people)
    sure = np.where(rng.uniform(size=len(label)) < right, 0.8, 0.2)
    p = np.where(label == 1, sure, 1 - sure)
    who = np.repeat([f"person-{i}" for i in range(people)], windows)
    return pd.DataFrame(
        {
            "subject": who, "recording": who, "stimulus": [str(i) for i in range(len(who))],
            "window_start": 0.0, "duration": 5.5, "modalities_present": "ecg+eda",
            "fold": np.repeat(np.arange(people), windows), "seed": 0, "target_access": "none",
            "selection": "fixed", "row": np.arange(len(who)), "label": label,
            "p_0": 1 - p, "p_1": p,
        }
    )  # fmt: skip


def made(people: int = 12, right: float = 0.85, seed: int = 0, **changes: Any) -> Run:
    values: dict[str, Any] = {
        "question": Question("made_up", split={"name": "leave_one_subject_out"}),
        "model": "a model",
        "predictions": rows_of(people, right, seed),
        "access": pd.DataFrame(columns=["fold", "stage", "method", "row"]),
        "baselines": pd.DataFrame(),
        "failures": pd.DataFrame(columns=["fold", "seed", "subjects", "error", "traceback"]),
        "exclusions": pd.DataFrame(columns=["subject", "recording", "what", "reason"]),
        "classes": ("no pain", "pain"),
    }
    return Run(**(values | changes))


def degraded(people: int = 12) -> pd.DataFrame:
    return pd.concat(
        [
            rows_of(people, 0.5, 1).assign(missing="eda"),
            rows_of(people, 0.85, 2).assign(missing="ecg"),
        ],
        ignore_index=True,
    )


def cells(table: Table | None) -> list[tuple[str, ...]]:
    assert table is not None
    return [row.cells for row in table.rows]


def test_the_matrix_says_what_is_missed_and_what_is_not(tmp_path: Path) -> None:
    run = made(degradation=degraded())
    found = cells(missing_table("A", numbers(run)))
    assert [row[0] for row in found] == ["nothing", "ecg", "eda"]
    assert found[1][-1] == "no loss shown"
    assert found[2][-1] == "it is missed; no longer better than chance"
    paths = written([run], tmp_path / "report.html")
    html = paths.html.read_text(encoding="utf-8")
    assert "modalities missing at test" in html
    assert re.search(
        r"If eda is missing at test: \d\d.\d % .*, no longer better than chance", html
    )
    assert "no eda" in html  # the legend of the figure
    assert "it is missed; no longer better than chance" in paths.markdown.read_text("utf-8")
    told = json.loads(paths.json.read_text(encoding="utf-8"))["runs"][0]["numbers"]
    assert [d["missing"] for d in told["degradation"]] == ["ecg", "eda"]
    assert set(told["degradation_curve"]) == {"1"}
    assert missing_table("A", numbers(made())) is None


def test_a_model_that_was_never_better_is_not_called_no_longer_better() -> None:
    found = cells(missing_table("A", numbers(made(right=0.5, degradation=degraded()))))
    assert not any("no longer" in row[-1] for row in found)


@pytest.mark.parametrize(("count", "coarse"), [(19, True), (999, False)])
def test_the_permutation_test_is_told(tmp_path: Path, count: int, coarse: bool) -> None:
    permuted = tuple(np.linspace(0.4, 0.6, count).tolist())
    run = made(permutation=Permutations(0.85, permuted, 1 / (count + 1), coarse))
    html = written([run], tmp_path / "report.html").html.read_text(encoding="utf-8")
    assert f"permutation p {1 / (count + 1):.3f} of {count} shuffles" in html
    assert ("Coarse: with 19 shuffles p cannot be below 0.05" in html) == coarse
    assert f"Refitted {count} times on labels shuffled within each person" in html


def test_two_people_make_an_interval_within_the_metric_and_a_warning(tmp_path: Path) -> None:
    predictions = rows_of(2, 1.0, 0)
    wrong = predictions["subject"] == "person-1"
    predictions.loc[wrong, ["p_0", "p_1"]] = predictions.loc[wrong, ["p_1", "p_0"]].to_numpy()
    run = made(2, predictions=predictions)
    s = summarise(run)
    for name, found in s.by_subject.items():
        low, high = metrics.RANGES[name]
        if math.isfinite(found.low):
            assert low <= found.low <= found.mean <= found.high <= high
    assert (s.by_subject["auroc"].low, s.by_subject["auroc"].high) == (0.0, 1.0)
    html = written([run], tmp_path / "report.html").html.read_text(encoding="utf-8")
    assert "The interval is unreliable: 2 subjects are too few" in html
    five = written([made(5)], tmp_path / "report.html").html.read_text(encoding="utf-8")
    assert "says little" not in five


def test_every_metric_has_a_range() -> None:
    assert set(metrics.RANGES) == {*metrics.CLASSIFICATION, *metrics.REGRESSION}


@pytest.mark.long
def test_pairs_stand_in_the_page_with_what_could_be_shown(tmp_path: Path) -> None:
    runs = [made(), made(right=0.55, seed=4, model="a worse one"), made(seed=5, model="a twin")]
    found = compare_all(runs)
    paths = written(runs, tmp_path / "report.html")
    text = paths.markdown.read_text(encoding="utf-8")
    part = text[text.index("Two by two") :]
    lines = [line for line in part.splitlines() if line.startswith("| ")][2:5]
    assert [line.split(" | ")[0] for line in lines] == ["| A − B", "| A − C", "| B − C"]
    assert lines[0].endswith("| A is better |")
    assert lines[1].endswith("| no difference shown |")
    for line, c in zip(lines, found, strict=True):
        assert f"| {100 * c.paired.smallest_detectable:.1f} % |" in line
    assert "Smallest difference that could be shown" in paths.html.read_text(encoding="utf-8")


@pytest.mark.long
def test_many_runs_are_compared_with_the_first_only(tmp_path: Path) -> None:
    runs = [made(6, seed=i) for i in range(5)]
    assert len(compare_all(runs, against_first=True)) == 4
    text = written(runs, tmp_path / "report.html").markdown.read_text(encoding="utf-8")
    assert "| A − E |" in text
    assert "| B − C |" not in text


@pytest.mark.long
def test_runs_that_share_nobody_are_said_not_to_be_comparable(tmp_path: Path) -> None:
    other = rows_of(12, 0.8, 1)
    other["subject"] = "x" + other["subject"]
    text = written([made(), made(predictions=other)], tmp_path / "r.html").markdown.read_text(
        encoding="utf-8"
    )
    assert "cannot be compared person by person: the runs share 0 people" in text


def test_silence_and_worth_follow_the_metrics() -> None:
    run = made()
    n = numbers(run)
    assert cells(silence_table("A", n))[-1][0] == "100 %"
    assert n.abstention[1.0] == pytest.approx(1 - n.pooled["accuracy"])
    label = run.predictions["label"].to_numpy()
    at_half = metrics.net_benefit(label, run.probabilities, np.array([0.5]))[0]
    assert n.net_benefit[0.5][0] == pytest.approx(at_half)
    assert cells(worth_table("A", n))[4][0] == "0.5"
