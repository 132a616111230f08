"""Comparison of runs on the same subjects, labels and windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.errors import EvaluationError, UnknownNameError
from dolorimeter.evaluation import (
    Run,
    Summary,
    aggregate,
    paired_gain,
    pooled_score,
    summarise,
)
from dolorimeter.metrics import LOWER_IS_BETTER, RANGES, by_kind
from dolorimeter.statistics import Paired, holm, paired


@dataclass(frozen=True)
class Comparison:
    """Two models over the people that both have tested.

    Parameters
    ----------
    first, second : str
        Models, in the order of the difference: `difference` is first − second.
    metric : str
        Score of each person.
    first_mean, second_mean : float
        Over the shared people.
    paired : Paired
        Difference with interval, tests, effect size, smallest detectable difference.
    holm_p : float
        ``paired.p``, adjusted for all comparisons of the call (Holm).
    only_first, only_second : int
        People that only one of the runs has tested; they are left out.
    notes : tuple of str
        What a reader must know: other questions, look-alike data.
    """

    first: str
    second: str
    metric: str
    first_mean: float
    second_mean: float
    paired: Paired
    holm_p: float
    only_first: int
    only_second: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values on one level, for a table or JSON."""
        plain = asdict(self)
        inner = plain.pop("paired")
        return plain | inner | {"notes": "; ".join(self.notes)}


def compare(
    first: Run, second: Run, *, metric: str = "", across_protocols: bool = False
) -> Comparison:
    """Compare two runs over the people that both have tested.

    Parameters
    ----------
    first, second : Run
    metric : str
        A name in `dolorimeter.metrics`; by default balanced accuracy, or concordance.
    across_protocols : bool
        Compare runs that ask different questions all the same; the result says so.

    Raises
    ------
    EvaluationError
        If the questions differ (with the fields), the labels or windows of the shared subjects
        differ, the kinds of target differ, or fewer than two subjects are shared.
    """
    differ = _refused(first, second, across_protocols)
    return _compared(first, second, summarise(first), summarise(second), metric, differ)


def _refused(first: Run, second: Run, across_protocols: bool) -> list[str]:
    """Fields in which the questions differ; raises where they, or the targets, forbid it."""
    differ = question_differences(first, second)
    if differ and not across_protocols:
        raise EvaluationError(
            f"the runs ask different questions (hash {first.question.hash} and "
            f"{second.question.hash}): {', '.join(differ)}. Compare runs of one question, or pass "
            "across_protocols (--across-protocols) and say so where you report it."
        )
    if (first.target_kind == "regressor") != (second.target_kind == "regressor"):
        raise EvaluationError(
            f"a {first.target_kind} and a {second.target_kind} have no score in common."
        )
    rows = row_differences(first, second)
    if rows and not across_protocols:
        raise EvaluationError(
            f"the runs do not have the same labels and windows: {rows}. Compare runs of the same "
            "rows, or pass across_protocols (--across-protocols) and say so where you report it."
        )
    differ += [rows] if rows else []
    return differ


def _compared(
    first: Run, second: Run, one: Summary, other: Summary, metric: str, differ: Sequence[str]
) -> Comparison:
    summaries = [one, other]
    name = _metric(one, metric)
    scores = [pd.Series(s.scores[name], dtype=float) for s in summaries]
    shared = scores[0].index.intersection(scores[1].index).sort_values()
    if len(shared) < 2:
        raise EvaluationError(
            f"the runs share {len(shared)} people ({len(scores[0])} and {len(scores[1])} tested), "
            "at least 2 are needed. Were they made on the same data set?"
        )
    low, high = RANGES[name]
    a, b = (s.loc[shared].to_numpy(dtype=float) for s in scores)
    if one.by_subject[name].pooled or other.by_subject[name].pooled:
        found, means = _pooled_pair(first, second, name)
    else:
        found = paired(a, b, limits=(low - high, high - low))
        both = np.isfinite(a) & np.isfinite(b)
        means = float(a[both].mean()), float(b[both].mean())
    notes = [f"different questions: {', '.join(differ)}"] if differ else []
    if first.lookalike or second.lookalike:
        notes.append("look-alike data: no statement about people")
    return Comparison(
        first.model,
        second.model,
        name,
        *means,
        found,
        found.p,
        len(scores[0]) - len(shared),
        len(scores[1]) - len(shared),
        tuple(notes),
    )


def _pooled_pair(first: Run, second: Run, name: str) -> tuple[Paired, tuple[float, float]]:
    """Difference of two pooled figures over the same rows, and the figures."""
    shared = set(first.subjects) & set(second.subjects)
    tables = [
        aggregate(run.predictions[run.predictions["subject"].isin(shared)], run.aggregation)
        for run in (first, second)
    ]
    gain = paired_gain(tables[0], tables[1], name, first.target_kind)
    if gain is None:
        raise EvaluationError(
            f"{name} is undefined for most subjects, and the runs do not have the same rows: "
            "their pooled figures cannot be compared."
        )
    if name in LOWER_IS_BETTER:
        gain = replace(gain, difference=-gain.difference, low=-gain.high, high=-gain.low)
    metric = by_kind(first.target_kind)[name]
    return gain, (pooled_score(tables[0], metric), pooled_score(tables[1], metric))


def compare_all(
    runs: Sequence[Run],
    *,
    metric: str = "",
    across_protocols: bool = False,
    against_first: bool = False,
) -> list[Comparison]:
    """Every pair of runs, with Holm's adjustment over all pairs.

    With `against_first` only the first run against each other one.
    """
    pairs = [(0, j) for j in range(1, len(runs))]
    if not against_first:
        pairs = list(combinations(range(len(runs)), 2))
    differ = {(i, j): _refused(runs[i], runs[j], across_protocols) for i, j in pairs}
    summaries = [summarise(run) for run in runs]
    found = [
        _compared(runs[i], runs[j], summaries[i], summaries[j], metric, differ[i, j])
        for i, j in pairs
    ]
    adjusted = holm([c.paired.p for c in found]) if found else []
    return [replace(c, holm_p=p) for c, p in zip(found, adjusted, strict=True)]


def question_differences(a: Run, b: Run) -> list[str]:
    """Fields in which the questions of two runs differ, with both values."""
    found = []
    for name in (
        "dataset",
        "part",
        "subset",
        "windows",
        "task",
        "split",
        "selection",
        "aggregation",
    ):
        ours, theirs = getattr(a.question, name), getattr(b.question, name)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            keys = sorted({*ours, *theirs})
            found += [
                f"{name}.{key} ({ours.get(key)} / {theirs.get(key)})"
                for key in keys
                if _plain(ours.get(key)) != _plain(theirs.get(key))
            ]
        elif ours != theirs:
            found.append(f"{name} ({ours} / {theirs})")
    return found


def row_differences(a: Run, b: Run) -> str:
    """Return how the labels and windows of the shared subjects differ; empty if they do not.

    Parameters
    ----------
    a, b : Run

    Returns
    -------
    str
        Number of subjects whose rows differ, and the first difference.
    """
    if a.classes != b.classes:
        return f"classes ({', '.join(a.classes)} / {', '.join(b.classes)})"
    ours, theirs = _rows_by_subject(a), _rows_by_subject(b)
    shared = sorted(set(ours) & set(theirs))
    differing = [s for s in shared if not ours[s].equals(theirs[s])]
    if not differing:
        return ""
    one, other = ours[differing[0]], theirs[differing[0]]
    if len(one) != len(other):
        what = f"{len(one)} and {len(other)} windows"
    elif one.drop(columns="truth").equals(other.drop(columns="truth")):
        count = int((one["truth"] != other["truth"]).sum())
        what = f"{count} of {len(one)} labels differ"
    else:
        what = "other windows"
    return f"{len(differing)} of {len(shared)} shared subjects (subject {differing[0]}: {what})"


def _rows_by_subject(run: Run) -> dict[str, pd.DataFrame]:
    """Place and label of each window by subject, in an order that both runs share."""
    table = run.predictions
    table = table[table["seed"] == table["seed"].iloc[0]]
    truth = "label" if "label" in table else "target"
    places = ["recording", "stimulus", "window_start", "duration"]
    rows = table[["subject", *places, truth, "row"]].rename(columns={truth: "truth"})
    rows = rows.sort_values([*places, "row"], kind="stable").drop(columns="row")
    return {
        str(subject): part.drop(columns="subject").reset_index(drop=True)
        for subject, part in rows.groupby("subject")
    }


def _plain(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _metric(summary: Summary, metric: str) -> str:
    if metric and metric not in summary.scores:
        raise UnknownNameError(
            f"unknown metric '{metric}'; these runs have: {', '.join(summary.scores)}."
        )
    return metric or summary.main
