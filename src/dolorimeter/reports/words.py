"""Numbers and names of a run in the words of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dolorimeter.evaluation import Question

SHARES = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "macro_precision",
        "macro_recall",
        "macro_f1",
        "sensitivity_at_90_specificity",
        "majority_rate",
    }
)
"""Metrics printed in per cent, as published tables do."""

METRIC_NAMES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "mcc": "Matthews correlation",
    "quadratic_kappa": "quadratic kappa",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "sensitivity_at_90_specificity": "sensitivity at 90 % specificity",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "pearson": "Pearson correlation",
    "concordance": "concordance (Lin)",
    "icc_3_1": "ICC(3,1)",
}
"""What a reader sees instead of a metric's name in code."""

LABEL_SOURCES: Mapping[str, str] = {
    "stimulus": "Labels are levels of the stimulus, calibrated by the experimenter; they are not "
    "the pain that was felt.",
    "self_report": "Labels are what the people themselves reported.",
    "observer": "Labels are ratings by observers; they are not the pain that was felt.",
    "facs": "Labels are coded from facial action units; they are expression, not felt pain.",
    "procedure": "Labels are what was done to the person; they are not the pain that was felt.",
    "pose": "Labels are what the person was asked to pose; no pain was felt.",
}
"""A sentence for every source of labels."""

TARGET_ACCESS: Mapping[str, str] = {
    "none": "nothing",
    "unlabelled_target": "unlabelled windows",
    "labelled_reference": "labelled windows",
}
"""What the model may see of the person it is tested on."""

SELECTIONS: Mapping[str, str] = {
    "fixed": "nothing chosen",
    "inner": "chosen on inner subjects",
    "oracle_fold_epoch": "ORACLE: best epoch on each test fold",
    "oracle_global_epoch": "ORACLE: best epoch on the test set",
    "oracle_hyper": "ORACLE: hyper-parameters chosen on the test set",
    "oracle_seed": "ORACLE: best seed on the test set",
    "unstated": "not stated",
}
"""How epoch and hyper-parameters were chosen."""


def metric_name(name: str) -> str:
    """A metric's name for readers."""
    return METRIC_NAMES.get(name, name.replace("_", " "))


def capital(text: str) -> str:
    """Text with its first letter capital, the rest as it is.

    >>> capital("mean of AUROC")
    'Mean of AUROC'
    """
    return text[:1].upper() + text[1:]


def value(number: float | None, metric: str) -> str:
    """A number as its metric is printed: per cent with one decimal, or three decimals.

    >>> value(0.7126, "balanced_accuracy"), value(0.88604, "auroc"), value(None, "auroc")
    ('71.3 %', '0.886', '–')
    """
    if number is None or not math.isfinite(number):
        return "–"
    if metric in SHARES:
        return f"{100 * number:.1f} %"
    return f"{number:.3f}" if abs(number) < 100 else f"{number:.4g}"


def interval(
    low: float | None, high: float | None, metric: str, unreliable: str | bool = ""
) -> str:
    """An interval in the same unit as `value`, marked where it is unreliable.

    >>> interval(0.62, 0.805, "accuracy")
    '62.0–80.5 %'
    >>> interval(0.62, 0.805, "accuracy", "3 subjects are too few")
    '62.0–80.5 % (unreliable)'
    """
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    first = value(low, metric).removesuffix(" %")
    joint = " to " if low < 0 else "–"
    mark = " (unreliable)" if unreliable else ""
    return f"{first}{joint}{value(high, metric)}{mark}"


def difference(number: float, metric: str) -> str:
    """A difference with its sign, in points for shares.

    >>> difference(0.1234, "balanced_accuracy"), difference(-0.05, "auroc")
    ('+12.3 points', '-0.050')
    """
    if metric in SHARES:
        return f"{100 * number:+.1f} points"
    return f"{number:+.3f}"


def p_value(p: float | None) -> str:
    """A p-value with three decimals, never 0."""
    if p is None or not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def people(count: int) -> str:
    """A count of people.

    >>> people(1), people(12)
    ('1 person', '12 people')
    """
    return f"{count} person" if count == 1 else f"{count:,} people"


def data_name(question: Question) -> str:
    """Data set, part and subset of a question."""
    part = f" part {question.part}" if question.part else ""
    subset = f", subset {question.subset}" if question.subset not in ("", "all") else ""
    return f"{question.dataset}{part}{subset}"


def task_words(question: Question) -> str:
    """Classes or target of a question, short."""
    task = question.task
    names: Sequence[Any] = task.get("names") or ()
    classes: Sequence[Any] = task.get("classes") or ()
    if not names:
        names = [c if isinstance(c, str) else "+".join(map(str, c)) for c in classes]
    if names:
        return " vs ".join(map(str, names)) if len(names) < 4 else "/".join(map(str, names))
    return str(task.get("target") or "the target")


def protocol_words(question: Question) -> str:
    """How people were held out, in a sentence fragment."""
    split = question.split
    name = str(split.get("name", "an unnamed split"))
    arguments = {k: v for k, v in split.items() if k not in ("name", "arguments")}
    arguments |= dict(split.get("arguments") or {})
    known = {
        "leave_one_subject_out": "each person tested by a model that never saw them "
        "(leave one subject out)",
        "group_k_fold": f"people tested in {arguments.get('n_splits', 'several')} groups by "
        "models that never saw them",
        "hold_out": "people held out once",
        "cross_dataset": f"trained on {arguments.get('train', 'one data set')}, tested on "
        f"{arguments.get('test', 'another')}",
        "personalised": f"with {arguments.get('k', 'a few')} labelled stimuli per class of "
        "the subject tested",
    }
    return known.get(name, name.replace("_", " "))


def windows_words(question: Question) -> str:
    """Window length and source of a question."""
    windows = question.windows
    parts = []
    if windows.get("duration") is not None:
        parts.append(f"windows of {float(windows['duration']):g} s")
    if windows.get("offset"):
        parts.append(f"starting {float(windows['offset']):g} s after onset")
    if windows.get("source"):
        parts.append(f"source {windows['source']}")
    if windows.get("as_live"):
        parts.append("through the gate of a live session")
    return ", ".join(parts)
