"""Every cell of the matrix: a verb of the command line on a cohort that breaks one assumption."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.evaluation import Run
from dolorimeter.synthesis.adversarial import LAYOUTS, PROPERTIES, TABLES

from adversarial_cells import Bench, Outcome, call, call_process
from adversarial_truth import (
    CONDITIONS,
    REVERSED,
    expected,
    expected_ratings,
    identifier,
    levels,
)

READABLE = tuple(layout for layout in LAYOUTS if layout != "folder")
"""Layouts with a reader: that of `folder` comes with the issue on own data."""
EXTRAS = {"snirf": "formats"}
MATRIX = Path(__file__).parent / "matrix.toml"
OUTCOMES = {"clean", "number", "exclusion", "note", "warning", "error"}
VERBS = ("check", "evaluate", "predict", "audit")
CONTROL = 0.8
"""Score that no control may exceed, since only the conductance tells the level."""


@dataclass(frozen=True)
class Cell:
    """One verb on one property in one layout, and what must come out."""

    broken: str
    verb: str
    layout: str
    outcomes: tuple[str, ...]
    says: tuple[str, ...]
    who: str
    numbers: bool
    light: bool
    xfail: str

    @property
    def properties(self) -> tuple[str, ...]:
        """Arguments of the cohort."""
        return () if self.broken == "none" else (self.broken,)

    def __str__(self) -> str:
        return f"{self.verb}-{self.broken}-{self.layout}"


def cells() -> Iterator[Cell]:
    """Rows of the matrix, one per layout."""
    for row in tomllib.loads(MATRIX.read_text(encoding="utf-8"))["cell"]:
        possible = PROPERTIES[row["property"]].layouts if row["property"] != "none" else READABLE
        outcome = row["outcome"]
        faults = row.get("xfail", {})
        for layout in row.get("layouts", [name for name in READABLE if name in possible]):
            assert layout in possible, (row, layout)
            yield Cell(
                row["property"],
                row["verb"],
                layout,
                tuple([outcome] if isinstance(outcome, str) else outcome),
                tuple(row.get("says", ())),
                identifier(layout, int(row["who"])) if "who" in row else "",
                row.get("numbers", True),
                layout in row.get("light", ()),
                faults.get(layout, faults.get("all", "")),
            )


def parameters() -> Iterator[Any]:
    """Cells with their markers."""
    for cell in cells():
        marks = [] if cell.light else [pytest.mark.long]
        if cell.layout in EXTRAS:
            marks.append(pytest.mark.extra(EXTRAS[cell.layout]))
        if cell.xfail:
            marks.append(pytest.mark.xfail(strict=True, reason=cell.xfail))
        yield pytest.param(cell, id=str(cell), marks=marks)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Cohorts and runs that the cells share."""
    return Bench(tmp_path_factory.mktemp("adversarial"))


@pytest.mark.parametrize("cell", list(parameters()))
def test_cell(cell: Cell, bench: Bench) -> None:
    outcome = bench.outcome(cell.verb, cell.layout, *cell.properties)
    assert "Traceback" not in outcome.text, outcome.text
    assert outcome.code in (0, 1, 2), outcome.text
    failures = []
    for name in cell.outcomes:
        try:
            CHECKS[name](cell, outcome, bench)
        except AssertionError as error:
            failures.append(f"{name}: {error}")
        else:
            return
    pytest.fail("\n".join((*failures, outcome.text[-2000:])))


# ── outcomes ────────────────────────────────────────────────────────────────────────────────────


def _clean(cell: Cell, outcome: Outcome, _: Bench) -> None:
    assert outcome.code == 0
    assert not _findings(cell, outcome)
    if cell.verb == "check":
        found = len(expected(cell.layout, cell.properties))
        found += 2 if cell.layout == "ai4pain_2025" else 0  # the test set has no labels
        # "12 of 87" where the size of the published data set is known
        assert str(outcome.json["subjects"]).split()[0] == str(found)


def _warning(cell: Cell, outcome: Outcome, _: Bench) -> None:
    findings = _findings(cell, outcome)
    assert any(_matches(cell.says, finding) for finding in findings), findings


def _error(cell: Cell, outcome: Outcome, _: Bench) -> None:
    assert outcome.code == 2
    assert _matches(cell.says, outcome.err)


def _number(cell: Cell, outcome: Outcome, bench: Bench) -> None:
    assert outcome.code == 0
    if cell.verb == "predict":
        _compare_estimates(cell, outcome)
        return
    run = Run.load(bench.run_folder(cell.layout, *cell.properties))
    _compare(cell, run)
    # a line per window is lost only where the reason is the cell's own
    assert not _who(cell, run), run.exclusions.to_dict("records")


def _note(cell: Cell, outcome: Outcome, bench: Bench) -> None:
    assert outcome.code == 0
    notes = [line for line in outcome.text.splitlines() if line.startswith(("note:", "kept out:"))]
    assert any(_matches(cell.says, note) for note in notes), notes
    if cell.verb == "predict":
        return
    shown = bench.outcome("evaluate_json", cell.layout, *cell.properties).json[0]
    assert any(_matches(cell.says, note) for note in shown["notes"]), shown["notes"]
    page = _report(cell, bench, ".html")
    assert all(re.search(pattern, page) for pattern in cell.says)
    if cell.numbers:
        _compare(cell, Run.load(bench.run_folder(cell.layout, *cell.properties)))


def _exclusion(cell: Cell, outcome: Outcome, bench: Bench) -> None:
    assert outcome.code == 0
    if cell.verb == "predict":
        kept_out = [line for line in outcome.err.splitlines() if line.startswith("kept out:")]
        assert any(cell.who in line for line in kept_out), kept_out
        if cell.numbers:
            _compare_estimates(cell, outcome)
        return
    run = Run.load(bench.run_folder(cell.layout, *cell.properties))
    if cell.numbers:
        _compare(cell, run)
    assert _who(cell, run) == {cell.who}, run.exclusions.to_dict("records")
    count = len(run.exclusions)
    assert re.search(rf"kept out\b.*\b{count}\b", outcome.out), "terminal"
    shown = bench.outcome("evaluate_json", cell.layout, *cell.properties).json[0]
    assert shown["kept_out"] == count, "JSON"
    report = json.loads(_report(cell, bench, ".json"))
    assert len(report["runs"][0]["exclusions"]) == count, "report"
    page = _report(cell, bench, ".md")
    assert "Nothing was kept out" not in page
    item = next(line for line in page.splitlines() if re.match(r"\| *11 *\|", line))
    assert re.search(rf"\b{count}\b", item), f"TRIPOD+AI: {item}"


CHECKS = {
    "clean": _clean,
    "warning": _warning,
    "error": _error,
    "number": _number,
    "note": _note,
    "exclusion": _exclusion,
}


def _who(cell: Cell, run: Run) -> set[str]:
    """Subjects with an exclusion, except those of an unlabelled test set."""
    unlabelled = {"11", "12"} if cell.layout == "ai4pain_2025" else set()
    return set(run.exclusions["subject"].astype(str)) - unlabelled


def _matches(patterns: Sequence[str], text: str) -> bool:
    return all(re.search(pattern, text) for pattern in patterns)


def _findings(cell: Cell, outcome: Outcome) -> list[str]:
    """Problems of `check`, faults and warnings of `audit`, as text."""
    assert outcome.code in (0, 1), outcome.text
    if cell.verb == "check":
        problems = outcome.json["problems"]
        # a cohort is smaller than the published data set
        return [json.dumps(p, ensure_ascii=False) for p in problems if not _smaller(p)]
    findings = outcome.json["findings"]
    return [
        f"{f['where']} {f['message']}" for f in findings if f["result"] in ("fault", "warning")
    ]


def _smaller(problem: dict[str, str]) -> bool:
    return problem["kind"] == "missing" and bool(re.search("of 20|clips", problem["what"]))


def _report(cell: Cell, bench: Bench, suffix: str) -> str:
    made = bench.outcome("report", cell.layout, *cell.properties)
    assert made.code == 0, made.text
    folder = bench.run_folder(cell.layout, *cell.properties).parent
    return (folder / "report" / f"report{suffix}").read_text(encoding="utf-8")


def _compare(cell: Cell, run: Run) -> None:
    """Windows per subject and condition, scores, and what controls may see."""
    rows = run.predictions
    if {"many_ratings", "missing_rating"} & set(cell.properties):
        truth = expected_ratings(cell.properties)
        found = {s: sorted(r["target"]) for s, r in rows.groupby("subject")}
        assert found.keys() == truth.keys()
        for subject, ratings in truth.items():
            np.testing.assert_allclose(found[subject], ratings, atol=1e-9)
        return
    subjects = expected(cell.layout, cell.properties)
    classes = CONDITIONS if "missing_class" in cell.properties else ("rest", "high")
    counts = {
        (subject, classes[label]): len(part)
        for (subject, label), part in rows.groupby(["subject", "label"])
    }
    wanted = {(s, c): n for s, one in subjects.items() for c, n in one.windows.items()}
    assert counts == wanted
    table = run.scores()
    table = table[table["metric"] == "balanced_accuracy"]
    main = table[table["model"] == run.model].set_index("subject")["value"]
    for subject, one in subjects.items():
        score = _recalls(rows[rows["subject"] == subject]) if one.score is None else one.score
        assert main[subject] == pytest.approx(score, nan_ok=True), subject
    for name, part in table.groupby("model"):
        if name != run.model:
            assert not part["value"].mean() > CONTROL, f"the control {name} sees the label"


def _recalls(rows: pd.DataFrame) -> float:
    """Mean recall of the classes that occur, from the probabilities in the rows."""
    columns = sorted(c for c in rows.columns if re.fullmatch(r"p_\d", c))
    right = rows[columns].to_numpy().argmax(axis=1) == rows["label"].to_numpy()
    return float(np.mean([right[rows["label"] == c].mean() for c in rows["label"].unique()]))


def _compare_estimates(cell: Cell, outcome: Outcome) -> None:
    """Estimates of the windows of rest and high, in the order of time."""
    rows = outcome.json
    truth = expected(cell.layout, cell.properties)
    assert {row["subject"] for row in rows} >= set(truth)
    for number in range(1, 13):
        subject = identifier(cell.layout, number)
        if subject not in truth:
            continue
        order = levels(number)
        if number == 3 and "one_class" in cell.properties:
            order = [level for level in order if level == 0]
        mine = [row for row in rows if row["subject"] == subject]
        if cell.layout in ("biovid", "ai4pain_2025"):  # a clip has no time
            mine.sort(key=lambda row: int(re.findall(r"\d+", row["recording"])[-1]))
        per_stimulus = 3 if "many_windows" in cell.properties and cell.layout in TABLES else 1
        assert len(mine) == len(order) * per_stimulus, subject
        for place, row in enumerate(mine):
            level = order[place // per_stimulus]
            if level == 1:
                continue
            high = (level == 2) != (number in REVERSED)
            assert (row["p_" + _names(cell)[1]] > 0.5) == high, (subject, place)


def _names(cell: Cell) -> tuple[str, str]:
    from adversarial_cells import CLASSES

    return CLASSES.get(cell.layout, ("rest", "high"))


# ── the matrix itself ───────────────────────────────────────────────────────────────────────────


def test_the_matrix_names_what_exists() -> None:
    for cell in cells():
        assert cell.verb in VERBS
        assert set(cell.outcomes) <= OUTCOMES


def test_every_property_has_a_cell() -> None:
    assert {cell.broken for cell in cells()} == {"none", *PROPERTIES}


def test_a_process_of_its_own_gives_the_same(bench: Bench) -> None:
    here = bench.outcome("check", "bids", "damaged_file")
    root = str(bench.root("bids", "damaged_file"))
    there = call_process("check", "bids_physio", root, "--json")
    assert (there.code, there.json) == (here.code, here.json)


@pytest.mark.long
@pytest.mark.parametrize("verb", ["evaluate", "audit", "predict"])
def test_longer_verbs_give_the_same_in_a_process_of_their_own(bench: Bench, verb: str) -> None:
    here = bench.outcome(verb, "feature_table")
    root, run = str(bench.root("feature_table")), str(bench.run_folder("feature_table"))
    arguments = {
        "evaluate": (str(Path(run).parent / "experiment.toml"), "--root", root, "--out", run),
        "audit": (run, "--root", root, "--json"),
        "predict": (str(bench.model("feature_table")), root, "--json"),
    }
    bench.outcome("evaluate", "feature_table")
    there = call_process(verb, *arguments[verb])
    assert (there.code, there.out) == (here.code, here.out)


def test_the_docs_name_every_property() -> None:
    page = (Path(__file__).parents[2] / "docs" / "adversarial.md").read_text(encoding="utf-8")
    for name, one in PROPERTIES.items():
        assert f"| `{name}` | {one.summary} |" in page


def test_an_unknown_property_is_an_error(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "cohort"))
    result = call("synthesise", "adversarial", *out, "--option", "properties=one_clas")
    assert (result.code, result.out) == (2, "")
    assert "did you mean 'one_class'?" in result.err
    assert not (tmp_path / "cohort").exists()
