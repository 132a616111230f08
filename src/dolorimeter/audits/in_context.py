"""Checks of what stands beside the figure: baselines, and the question it says it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter import metrics
from dolorimeter.audits.case import Case
from dolorimeter.audits.findings import Finding, passed, some, unverified
from dolorimeter.evaluation import Run, scores_by_subject
from dolorimeter.statistics import interval_over_subjects

BASELINES = {
    "nuisance": (
        "nuisance_baseline",
        "facts that are not signal (lengths, missing shares, positions in the session)",
    ),
    "level_before": ("level_before", "the label of the previous stimulus"),
}
"""Baseline model in ``Run.baselines`` → check, and what it predicts from."""


def majority_baseline(case: Case) -> Iterator[Finding]:
    """The majority class (or mean target) was predicted for every row that the model predicted."""
    check = "majority_baseline"
    shown = baseline(case.run, "majority")
    tested = set(case.run.predictions["row"].unique())
    lacking = tested - set(shown["row"].unique())
    if lacking:
        yield Finding(
            check,
            "fault",
            "observed",
            f"{len(lacking)} of {len(tested)} rows",
            "the majority class was not evaluated on the same rows, so that the figure "
            "has nothing to stand against. Evaluate with baselines=True.",
        )
    else:
        yield passed(check, "observed", "the majority class was predicted for the same rows.")


def baselines_beat_chance(case: Case) -> Iterator[Finding]:
    """Baselines without signal whose 95 % interval over subjects lies above chance.

    A warning and not a fault: a design in which stimulus order or missing samples tell the class
    is a property of the data. The figure must be printed beside every model.
    """
    for model, (check, source) in BASELINES.items():
        rows = baseline(case.run, model)
        if rows.empty:
            yield unverified(check, f"the run has no baseline '{model}'.")
            continue
        if not case.is_classifier:
            yield unverified(
                check,
                "for continuous targets the report shows the figures side by "
                "side; there is no chance level to beat.",
            )
            continue
        chance = 1.0 / len(_classes(case.run))
        scores = scores_by_subject(rows, metrics.balanced_accuracy)
        low, high = interval_over_subjects(scores.to_numpy(dtype=float))
        words = f"{scores.mean():.3f} (95 % interval {low:.3f}–{high:.3f}, chance {chance:.3f})"
        if low > chance:
            yield Finding(
                check,
                "warning",
                "recomputed",
                f"{len(scores)} subjects",
                f"{source} alone score{'' if model == 'nuisance' else 's'} {words} in "
                "balanced accuracy: part of what a model scores needs no "
                "signal.",
            )
        else:
            yield passed(check, "recomputed", f"{source}: {words} in balanced accuracy.")


def comparison_differs(case: Case) -> Iterator[Finding]:
    """Classes, windows and aggregation that are not those of the question, or of the figure.

    The rows are compared with the question they say they answer (number of classes, conditions,
    window length), and the question with ``declared["compared_with"]``, a mapping with any of the
    fields of a `Question`, where the user names a published figure.
    """
    check = "comparison_differs"
    differ = [*_rows_against_question(case), *_against_figure(case)]
    if differ:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(name for name, _ in differ),
            "; ".join(text for _, text in differ) + ". Figures of different questions "
            "may not stand beside each other.",
        )
    else:
        yield passed(
            check,
            "recomputed",
            "the rows have the classes and windows of the question"
            + (
                ", which is that of the figure compared with."
                if "compared_with" in case.declared
                else "."
            ),
            "question",
        )


def baseline(run: Run, model: str) -> pd.DataFrame:
    """Prediction rows of a baseline; empty when the run has none."""
    if "model" not in run.baselines.columns:
        return run.predictions.iloc[:0]
    return run.baselines[run.baselines["model"] == model]


def _classes(run: Run) -> list[str]:
    return [c for c in run.predictions.columns if c.startswith("p_") and c[2:].isdigit()]


def _rows_against_question(case: Case) -> Iterator[tuple[str, str]]:
    question, predictions = case.run.question, case.run.predictions
    classes: Sequence[Sequence[str]] = question.task.get("classes") or ()
    found = len(_classes(case.run))
    if case.is_classifier and classes and found != len(classes):
        yield "classes", f"the question has {len(classes)} classes, the predictions have {found}"
    wanted = {str(c) for group in classes for c in ([group] if isinstance(group, str) else group)}
    if case.samples is not None and wanted:
        rows = np.intersect1d(predictions["row"].unique(), np.arange(len(case.samples)))
        seen = set(case.samples.meta["condition"].iloc[rows].astype(str))
        if others := sorted(seen - wanted - {""}):
            yield "conditions", f"rows of {some(others)} are not in the question"
    duration = question.windows.get("duration")
    lengths = predictions["duration"].dropna().unique()
    if duration is not None and len(lengths) and np.abs(lengths - float(duration)).max() > 0.05:
        far = lengths[np.argmax(np.abs(lengths - float(duration)))]
        yield "windows", f"the question has windows of {duration:g} s, rows have {far:g} s"


def _against_figure(case: Case) -> Iterator[tuple[str, str]]:
    figure: Mapping[str, Any] = case.declared.get("compared_with") or {}
    for name, theirs in figure.items():
        ours = getattr(case.run.question, name, None)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            pairs = [(f"{name}.{k}", v, ours.get(k)) for k, v in theirs.items()]
        else:
            pairs = [(name, theirs, ours)]
        for key, a, b in pairs:
            if _plain(a) != _plain(b):
                yield key, f"{key} of the figure is {a}, here {b}"


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
