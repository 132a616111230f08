"""Checks of what is shown beside the figure: baselines, and the question that it answers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.evaluation import Run
from dolorimeter.evaluation._baselines import level_before as level_before_of
from dolorimeter.evaluation._label_units import label_units
from dolorimeter.statistics import student_p
from dolorimeter.types import Array

ALPHA = 1e-3
"""One-sided level of the t-tests over subjects."""

MIN_SUBJECTS = 3
"""Subjects with two classes below which a baseline is not tested against chance."""

ORDERS = 999
"""Orders of the stimuli drawn at random, against which the previous stimulus is tested."""

FACTS = "facts that are not signal (lengths, missing shares, positions in the session)"


def majority_baseline(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report rows for which the majority class (or mean target) was not predicted."""
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
            "the majority class was not evaluated on the same rows, so that the figure cannot be "
            "compared with it. Evaluate with baselines=True.",
        )
    else:
        yield passed(check, "observed", "the majority class was predicted for the same rows.")


def nuisance_baseline(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Test whether facts that are not signal score above chance (t-test over subjects).

    A warning and not a fault: a design in which missing samples or positions tell the class is a
    property of the data. Subjects with one class are not counted.
    """
    check = "nuisance_baseline"
    scores = yield from _scores_of(case, check, "nuisance")
    if scores is None:
        return
    words = _words(scores)
    if _above_chance(scores):
        yield Finding(
            check,
            "warning",
            "recomputed",
            f"{len(scores)} subjects",
            f"{FACTS} score {words}: part of the score of a model needs no signal.",
        )
    else:
        yield passed(check, "recomputed", f"{FACTS} score {words}.")


def level_before(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Test whether the previous stimulus tells the label more than in a random order.

    In a balanced design drawn at random the previous stimulus tells a little: the other class is
    the more frequent one among those left. The baseline is therefore compared with its scores on
    orders drawn at random within each subject. Without samples, with chance.
    """
    check = "level_before"
    scores = yield from _scores_of(case, check, "level_before")
    if scores is None:
        return
    words = _words(scores)
    if not _above_chance(scores):
        yield passed(check, "recomputed", f"the previous stimulus scores {words}.")
        return
    p = _p_of_order(case)
    if p > 2 * ALPHA:
        yield passed(
            check,
            "recomputed",
            f"the previous stimulus scores {words}, as in stimuli drawn in random order "
            f"(p = {p:.3f}).",
        )
        return
    yield Finding(
        check,
        "warning",
        "recomputed",
        f"{len(scores)} subjects",
        f"only the label of the previous stimulus scores {words}: part of the score of a model "
        "needs no signal.",
    )


def file_size(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Test whether the size of the file tells the label within subjects (t-test over subjects).

    The size depends on the signal: in text files it counts digits, in compressed video it follows
    movement. It may thus be signal, or show that classes were recorded or stored differently.
    """
    check = "file_size"
    if case.samples is None or case.y is None or not case.is_classifier:
        yield not_checked(check, "samples and classes were not passed.")
        return
    sizes = _sizes(case)
    if sizes is None:
        yield not_checked(check, "the samples have no file sizes.")
        return
    separations = []
    for subject in np.unique(case.subjects):
        mine = (case.subjects == subject) & np.isfinite(sizes)
        pairs = _separations(sizes[mine], case.y[mine])
        if pairs:
            separations.append(float(np.mean(pairs)))
    areas = np.array(separations)
    if len(areas) < MIN_SUBJECTS:
        yield not_checked(check, "file sizes do not vary within enough subjects.")
        return
    p = student_p(areas - 0.5)
    words = f"an AUROC of {areas.mean():.3f} within subjects ({len(areas)} subjects)"
    if p < ALPHA and abs(areas.mean() - 0.5) > 0.05:
        yield Finding(
            check,
            "warning",
            "recomputed",
            f"{len(areas)} subjects",
            f"the size of the file tells the label with {words}. In text files the size counts "
            "digits and in compressed video it follows movement, so that this may be signal. If "
            "the classes were recorded or stored differently, it is not.",
        )
    else:
        yield passed(check, "recomputed", f"the size of the file tells the label with {words}.")


def _scores_of(
    case: EvaluationUnderAudit, check: str, model: str
) -> Generator[Finding, None, Float[np.ndarray, " subject"] | None]:
    """Excess over chance of a baseline per subject; None where there is nothing to test."""
    rows = baseline(case.run, model)
    if rows.empty:
        yield not_checked(check, f"the run has no baseline '{model}'.")
        return None
    if not case.is_classifier:
        yield not_checked(check, "a continuous target has no chance level.")
        return None
    guess = rows[_classes(case.run)].to_numpy(dtype=float).argmax(axis=1)
    scores = excess_by_subject(
        guess, rows["label"].to_numpy(dtype=int), rows["subject"].astype(str).to_numpy()
    )
    if len(scores) < MIN_SUBJECTS:
        yield not_checked(check, f"{len(scores)} subjects have more than one class.")
        return None
    return scores


def excess_by_subject(
    guess: Int[np.ndarray, " row"], labels: Int[np.ndarray, " row"], subjects: Array
) -> Float[np.ndarray, " subject"]:
    """Return balanced accuracy minus chance of every subject with two or more classes.

    Parameters
    ----------
    guess, labels : array (row,)
        Predicted and true class.
    subjects : array (row,)

    Returns
    -------
    array
        Chance is one over the number of classes that the subject has.

    Examples
    --------
    >>> excess_by_subject(np.array([0, 1, 1]), np.array([0, 1, 1]), np.array(["A", "A", "B"]))
    array([0.5])
    """
    values = []
    for subject in np.unique(subjects):
        mine = subjects == subject
        names = np.unique(labels[mine])
        if len(names) > 1:
            recalls = [(guess[mine & (labels == name)] == name).mean() for name in names]
            values.append(float(np.mean(recalls)) - 1 / len(names))
    return np.array(values)


def _above_chance(scores: Float[np.ndarray, " subject"]) -> bool:
    """One-sided t-test over subjects at `ALPHA`; equal scores must be 0.05 above."""
    least = 0.05 if np.allclose(scores, scores[0]) else 0.0
    return float(scores.mean()) > least and student_p(scores) / 2 < ALPHA


def _words(scores: Float[np.ndarray, " subject"]) -> str:
    """Mean excess with its standard error, in words."""
    error = scores.std(ddof=1) / np.sqrt(len(scores))
    return (
        f"{scores.mean():+.3f} above chance in balanced accuracy (standard error {error:.3f}, "
        f"{len(scores)} subjects)"
    )


def _p_of_order(case: EvaluationUnderAudit) -> float:
    """Share of random orders of the stimuli in which the previous one tells as much."""
    if case.samples is None or case.y is None:
        return 0.0
    y = case.y.astype(int)
    units = label_units(case.samples, y, "classifier").unit
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    before = level_before_of(case.samples, place)
    known = before >= 0
    before, unit = before[known], place[known]
    owner = pd.factorize(case.subjects[first])[0]
    subject = owner[unit]
    rng = np.random.default_rng(case.seed)
    observed = _score_of_order(y[first], before, unit, subject)
    mine = [np.flatnonzero(owner == s) for s in np.unique(owner)]
    beaten = 0
    for _ in range(ORDERS):
        labels = y[first].copy()
        for rows in mine:
            labels[rows] = labels[rng.permutation(rows)]
        beaten += _score_of_order(labels, before, unit, subject) >= observed - 1e-12
    return (1 + beaten) / (1 + ORDERS)


def _score_of_order(
    labels: Int[np.ndarray, " unit"],
    before: Int[np.ndarray, " row"],
    unit: Int[np.ndarray, " row"],
    subject: Int[np.ndarray, " row"],
) -> float:
    """Mean excess of predicting, from the label before, the class most frequent in the others."""
    classes, people = int(labels.max()) + 1, int(subject.max(initial=0)) + 1
    counts = np.zeros((people, classes, classes))
    np.add.at(counts, (subject, labels[before], labels[unit]), 1)
    others = counts.sum(axis=0) - counts
    guess = others.argmax(axis=2)  # subject, class before
    hits = np.take_along_axis(counts, guess[:, :, None], axis=2)[:, :, 0]
    right = np.zeros((people, classes))
    np.add.at(right, (np.arange(people)[:, None], guess), hits)
    size = counts.sum(axis=1)
    present = (size > 0).sum(axis=1)
    recall = np.where(size > 0, right / np.maximum(size, 1), 0.0).sum(axis=1)
    several = present > 1
    if not several.any():
        return 0.0
    return float((recall[several] / present[several] - 1 / present[several]).mean())


def _sizes(case: EvaluationUnderAudit) -> Float[np.ndarray, " row"] | None:
    """Size of the file of each row, where facts or meta have it."""
    assert case.samples is not None
    for table in (case.samples.facts, case.samples.meta):
        if table is not None and "file_size" in table:
            return table["file_size"].to_numpy(dtype=float)
    return None


def _separations(values: Float[np.ndarray, " row"], labels: Array) -> list[float]:
    """AUROC of each pair of classes, the higher class as positive; ties count half."""
    names = np.unique(labels)
    areas = []
    for i, low in enumerate(names):
        for high in names[i + 1 :]:
            a, b = values[labels == low], values[labels == high]
            wins = (b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean()
            areas.append(float(wins))
    return areas


def comparison_differs(case: EvaluationUnderAudit) -> Iterator[Finding]:
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


def _rows_against_question(case: EvaluationUnderAudit) -> Iterator[tuple[str, str]]:
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


def _against_figure(case: EvaluationUnderAudit) -> Iterator[tuple[str, str]]:
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
