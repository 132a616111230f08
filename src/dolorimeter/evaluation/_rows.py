"""Prediction rows: their columns, joining windows, and one score per subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter import metrics
from dolorimeter.errors import EvaluationError
from dolorimeter.types import TargetKind

Aggregation = Literal["window", "stimulus", "recording"]
Metric = Callable[[np.ndarray, np.ndarray], float]

SCORE_COLUMNS = (
    "model",
    "seed",
    "subject",
    "metric",
    "value",
    "n_windows",
    "n_classes",
    "reason",
)
"""Columns of ``Run.scores()``."""

ROW_COLUMNS = (
    "dataset",
    "part",
    "subset",
    "question",
    "target_kind",
    "subject",
    "recording",
    "stimulus",
    "window_start",
    "duration",
    "modalities_present",
    "quality",
    "fold",
    "seed",
    "target_access",
    "selection",
    "row",
)
"""Columns of every prediction, besides ``label`` and ``p_0`` … (or ``target``, ``prediction``,
``lower``, ``upper``). `row` is the row number in the samples."""


def aggregate(predictions: pd.DataFrame, to: str) -> pd.DataFrame:
    """Join windows into one decision per stimulus or recording: probabilities are averaged.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Rows of a `Run`.
    to : {"window", "stimulus", "recording"}

    Raises
    ------
    EvaluationError
        If windows that are to be joined carry different labels.
    """
    if to == "window":
        return predictions
    if to not in ("stimulus", "recording"):
        raise EvaluationError(
            f"aggregation '{to}' is unknown; known: window, stimulus, recording."
        )
    keys = ["seed", "fold", "subject", "recording"] + (["stimulus"] if to == "stimulus" else [])
    truth = "label" if "label" in predictions else "target"
    mixed = predictions.groupby(keys, sort=False)[truth].nunique()
    if (mixed > 1).any():
        raise EvaluationError(
            f"aggregation to {to}: {int((mixed > 1).sum())} of them hold windows of different "
            f"{truth}s, such as {mixed[mixed > 1].index[0]}. Aggregate to 'stimulus' or 'window'."
        )
    values = [c for c in predictions if str(c).startswith("p_") or c in ("prediction", "quality")]
    how = {c: "mean" if c in values else "first" for c in predictions if c not in keys}
    joined = predictions.groupby(keys, sort=False, as_index=False).agg(how)
    return joined[[c for c in predictions if c in joined]]


Parts = Mapping[str, Sequence[tuple[Any, Any]]]
"""Labels and outputs of each seed by subject."""


def scores_by_subject(rows: pd.DataFrame, metric: Metric) -> pd.Series:
    """The metric of each subject, averaged over seeds; NaN where it is not defined."""
    return _scores(subject_parts(rows), metric)


def subject_parts(rows: pd.DataFrame) -> Parts:
    """Return labels and outputs of each seed by subject, subjects sorted."""
    truth, output = truth_and_output(rows)
    subject, names = pd.factorize(rows["subject"].astype(str), sort=True)
    seed = pd.factorize(rows["seed"], sort=True)[0]
    group = subject * (seed.max(initial=0) + 1) + seed
    order = np.argsort(group, kind="stable")
    parts: dict[str, list[tuple[Any, Any]]] = {str(name): [] for name in names}
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(members):
            parts[str(names[subject[members[0]]])].append((truth[members], output[members]))
    return parts


def _scores(parts: Parts, metric: Metric) -> pd.Series:
    return pd.Series(
        {who: float(np.mean([metric(*seed) for seed in seeds])) for who, seeds in parts.items()},
        dtype=float,
    )


def undefined_reasons(
    parts: Parts, name: str, scores: pd.Series, classes: Sequence[str]
) -> dict[str, int]:
    """Return the number of subjects without a score by the reason for it."""
    missing = scores.index[~np.isfinite(scores.to_numpy(dtype=float))]
    reasons = [undefined_reason(name, *parts[subject][0], classes) for subject in missing]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


def subject_scores(parts: Parts, name: str, kind: TargetKind) -> pd.Series:
    """Return `scores_by_subject` of a metric by name; NaN for metrics that are pooled only."""
    if name in metrics.POOLED_ONLY:
        return pd.Series(np.nan, index=list(parts), dtype=float)
    return _scores(parts, metrics.by_kind(kind)[name])


def pooled_instead(scores: pd.Series) -> bool:
    """Whether a score is undefined for most subjects, so that their mean says nothing."""
    return 2 * int(np.isfinite(scores.to_numpy(dtype=float)).sum()) < len(scores)


def pooled_score(rows: pd.DataFrame, metric: Metric) -> float:
    """Return the metric over all rows of a seed, averaged over seeds."""
    return float(np.mean([metric(*truth_and_output(part)) for _, part in rows.groupby("seed")]))


def headline(rows: pd.DataFrame, name: str, kind: TargetKind) -> float:
    """Return the mean of subjects of a metric, or the pooled figure where most have none."""
    scores = subject_scores(subject_parts(rows), name, kind)
    if pooled_instead(scores):
        return pooled_score(rows, metrics.by_kind(kind)[name])
    return float(np.nanmean(scores))


def truth_and_output(rows: pd.DataFrame) -> tuple[Any, Float[np.ndarray, "..."]]:
    """Labels and probabilities of prediction rows, or targets and predictions."""
    if "label" in rows:
        return rows["label"].to_numpy(dtype=int), probabilities_of(rows)
    return rows["target"].to_numpy(dtype=float), rows["prediction"].to_numpy(dtype=float)


def probabilities_of(table: pd.DataFrame) -> Float[np.ndarray, "row class"]:
    """Columns ``p_0``, ``p_1`` … of prediction rows, in the order of the classes."""
    names = [c for c in map(str, table.columns) if c.startswith("p_") and c[2:].isdigit()]
    names.sort(key=lambda name: int(name[2:]))
    return table.loc[:, names].to_numpy(dtype=float)


def score_table(
    predictions: pd.DataFrame,
    model: str,
    kind: TargetKind,
    classes: Sequence[str],
    names: Sequence[str],
    aggregation: str,
) -> pd.DataFrame:
    """Return one row per seed, subject and metric.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Rows of one model.
    model : str
        Its name.
    kind : {"classifier", "ordinal", "regressor"}
    classes : sequence of str
        Class names by index.
    names : sequence of str
        Metrics.
    aggregation : {"window", "stimulus", "recording"}
        Decision that is scored.

    Returns
    -------
    pandas.DataFrame
        Columns `SCORE_COLUMNS`. An undefined value is NaN and ``reason`` says why.
    """
    table = metrics.by_kind(kind)
    windows: dict[Any, int] = predictions.groupby(["seed", "subject"]).size().to_dict()
    rows = []
    joined = aggregate(predictions, aggregation)
    for key, part in joined.groupby(["seed", "subject"], sort=True):
        seed, subject = int(part["seed"].iloc[0]), str(part["subject"].iloc[0])
        truth, output = truth_and_output(part)
        n_classes = 0 if kind == "regressor" else len(np.unique(truth))
        for name in names:
            pooled_only = metrics.POOLED_ONLY.get(name, "")
            value = float("nan") if pooled_only else float(table[name](truth, output))
            reason = "" if np.isfinite(value) else undefined_reason(name, truth, output, classes)
            counts = (int(windows[key]), n_classes)
            rows.append((model, seed, subject, name, value, *counts, reason))
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def undefined_reason(
    metric: str, truth: Any, output: Float[np.ndarray, "..."], classes: Sequence[str]
) -> str:
    """Return why a metric is not defined for the rows of one subject."""
    if metric in metrics.POOLED_ONLY:
        return metrics.POOLED_ONLY[metric]
    if output.ndim == 2:
        present = np.unique(truth)
        if len(present) == 1:
            return f"the subject has one class only ({_class(classes, int(present[0]))})"
        absent = [_class(classes, k) for k in range(output.shape[1]) if k not in present]
        if metric.startswith("sensitivity") and output.shape[1] != 2:
            return f"defined for two classes, not for {output.shape[1]}"
        if absent:
            return f"the subject has no sample of {', '.join(absent)}"
        return "the predictions do not vary"
    if len(truth) < 2:
        return "the subject has a single sample"
    if np.ptp(truth) == 0:
        return "the target does not vary"
    return "the predictions do not vary"


def _class(classes: Sequence[str], index: int) -> str:
    return classes[index] if index < len(classes) else str(index)


def untested_subjects(
    failures: pd.DataFrame, exclusions: pd.DataFrame, tested: Sequence[str]
) -> Mapping[str, str]:
    """Return subjects without any prediction, and the reason for each."""
    reasons: dict[str, str] = {}
    for row in failures.to_dict("records"):
        for subject in str(row["subjects"]).split("; "):
            reasons.setdefault(subject, f"the fold failed: {row['error']}")
    for row in exclusions.to_dict("records"):
        reasons.setdefault(str(row["subject"]), f"left out: {row['reason']}")
    return {s: why for s, why in reasons.items() if s and s not in set(tested)}
