"""Check of the stimuli of a data set: who lacks them, and whose condition is misspelt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from dolorimeter.conditions import UNLABELLED, condition_counts, misspelt
from dolorimeter.datasets._files import CheckReport, Problem
from dolorimeter.errors import DolorimeterError
from dolorimeter.types import Recording


def check(reader: Any) -> tuple[CheckReport, pd.DataFrame | None]:
    """Check a data set: its files, and its stimuli across subjects.

    Parameters
    ----------
    reader : reader
        From `open_dataset`.

    Returns
    -------
    CheckReport, pandas.DataFrame or None
        The report, and the table of `condition_counts`; None if a feature table cannot be read.
    """
    report: CheckReport = reader.check()
    if not hasattr(reader, "recordings"):
        try:
            counts = condition_counts(reader.samples())
        except DolorimeterError:
            return report, None  # the report says why
        problems = _spelling_problems(counts) if len(counts.columns) > 1 else []
        problems += _class_problems(counts, "row")
        return replace(report, problems=(*report.problems, *problems)), counts
    recordings = reader.recordings()
    lost = {str(e.subject) for e in reader.exclusions if e.subject}
    counts = condition_counts(recordings, subjects=lost - set(reader.subjects()))
    problems = event_problems(recordings, counts)
    return replace(report, problems=(*report.problems, *problems)), counts


def event_problems(recordings: Sequence[Recording], counts: pd.DataFrame) -> list[Problem]:
    """Return what is odd about the stimuli of recordings, beside those of others.

    Parameters
    ----------
    recordings : sequence of Recording
    counts : pandas.DataFrame
        Their `condition_counts`.

    Returns
    -------
    list of Problem
        A fault costs a recording or part of it; a warning names a subject that lacks a condition
        which most others have.
    """
    if not any(recording.stimuli for recording in recordings):
        return []  # a data set without stimuli, such as a session that is watched
    what = "no stimulus is stated: no events, or none that the reader understands"
    problems = [
        Problem(recording.name, what, "label") for recording in recordings if not recording.stimuli
    ]
    return [
        *problems,
        *_spelling_problems(counts),
        *_signal_problems(recordings),
        *_class_problems(counts, "stimulus"),
    ]


def _class_problems(counts: pd.DataFrame, unit: str) -> list[Problem]:
    """Subjects who lack a condition that most others have."""
    problems = []
    labelled = counts.drop(columns=UNLABELLED, errors="ignore")
    labelled = labelled[labelled.sum(axis=1) > 0]
    for name in labelled:
        without = labelled.index[labelled[name] == 0]
        if 0 < len(without) < len(labelled) / 2:
            what = f"no {unit} of condition '{name}', which the other subjects have"
            problems += [Problem(str(s), what, "label", "warning") for s in without]
    return problems


def _spelling_problems(counts: pd.DataFrame) -> list[Problem]:
    """Conditions that look like another one misspelt."""
    problems = []
    for name, other in misspelt(counts).items():
        subjects = _names(counts.index[counts[name] > 0])
        words = f"condition '{name}' ({int(counts[name].sum())} in {subjects})"
        problems.append(Problem(subjects, f"{words}: did you mean '{other}'?", "label"))
    return problems


def _signal_problems(recordings: Sequence[Recording]) -> list[Problem]:
    """Subjects who lack a signal that most others have. No signal is read."""
    signals: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for recording in recordings:
        first.setdefault(recording.subject, recording.name)
        signals.setdefault(recording.subject, set()).update(recording.signals)
    problems = []
    for name in sorted(set().union(*signals.values())):
        without = [subject for subject, names in signals.items() if name not in names]
        if 0 < len(without) < len(signals) / 2:
            what = f"no signal '{name}', which the other subjects have"
            problems += [
                Problem(first[s], f"subject {s}: {what}", "missing", "warning") for s in without
            ]
    return problems


def _names(subjects: Iterable[object]) -> str:
    names = [str(subject) for subject in subjects]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
