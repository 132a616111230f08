"""Checks of who was trained on and who was tested: observed in the access record."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from dolorimeter.audits.case import Case
from dolorimeter.audits.findings import Finding, passed, some, unverified

FITS = frozenset({"fit", "fit_transform", "partial_fit"})
"""Methods that learn."""

TOUCH = 1e-6
"""Seconds: windows that only meet at an edge share no sample."""


def subject_in_two_sets(case: Case) -> Iterator[Finding]:
    """A subject's rows both fitted on and tested in one fold.

    Subject names are compared without case, blanks and punctuation, since ``S-01`` and ``s01``
    are one person. With ``labelled_reference`` (personalisation) this is what was asked: declared.
    """
    check = "subject_in_two_sets"
    if not case.sets:
        yield _nothing_observed(check)
        return
    where = []
    for fold, train, test in case.pairs():
        shared = set(_person(train["subject"])) & set(_person(test["subject"]))
        where += [f"fold {fold}: {name}" for name in sorted(shared)]
    if not where:
        yield passed(check, "observed", "no subject was fitted on and tested in one fold.")
    elif case.target_access == "labelled_reference":
        yield Finding(
            check,
            "declared",
            "observed",
            some(where),
            "labelled windows of the test subject were trained on, as declared "
            "(labelled_reference).",
        )
    else:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"{len(where)} times a person is on both sides of a fold. Split by subject, "
            "for example leave_one_subject_out().",
        )


def stimulus_in_two_sets(case: Case) -> Iterator[Finding]:
    """Windows of one stimulus both fitted on and tested in one fold."""
    check = "stimulus_in_two_sets"
    if not case.sets:
        yield _nothing_observed(check)
        return
    where, known = [], False
    for fold, train, test in case.pairs():
        sides = [_stimuli(side) for side in (train, test)]
        known = known or bool(sides[1])
        where += [f"fold {fold}: {'#'.join(key)}" for key in sorted(sides[0] & sides[1])]
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"{len(where)} stimuli have windows on both sides of a fold. Keep all "
            "windows of a stimulus together.",
        )
    elif known:
        yield passed(check, "observed", "no stimulus has windows on both sides of a fold.")
    else:
        yield unverified(check, "the rows name no stimuli.")


def overlapping_windows(case: Case) -> Iterator[Finding]:
    """Windows of one recording that share time, one fitted on and one tested in the same fold."""
    check = "overlapping_windows"
    if not case.sets:
        yield _nothing_observed(check)
        return
    if not np.isfinite(case.meta[["start", "duration"]].to_numpy(dtype=float)).any():
        yield unverified(check, "the rows have no start and duration.")
        return
    where = []
    for fold, train, test in case.pairs():
        where += [f"fold {fold}: {name}" for name in _overlaps(train, test)]
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"windows of {len(where)} recordings overlap across a fold: the same samples "
            "are learnt and tested. Split by subject, or leave a gap.",
        )
    else:
        yield passed(check, "observed", "no windows share time across a fold.")


def fit_touched_test_rows(case: Case) -> Iterator[Finding]:
    """Rows that any ``fit`` touched, also of a part inside, and the same fold tested."""
    check = "fitted_outside_fold"
    if not case.sets:
        yield _nothing_observed(check)
        return
    where = []
    access = case.run.access
    fits = access[access["method"].astype(str).isin(FITS)]
    tested = {s.fold: s.test_rows for s in case.sets}
    for fold, mine in tested.items():
        rows = fits[fits["fold"] == fold]
        touched = rows.loc[rows["row"].isin(mine), "estimator"].astype(str).unique()
        where += [f"fold {fold}: {part}" for part in sorted(touched)]
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            "a fit was given rows that the same fold tests.",
        )
    else:
        yield passed(check, "observed", "no fit was given a row that its fold tests.")


def inner_splits(case: Case) -> Iterator[Finding]:
    """Inner splits seen in the record: rows fitted and rows predicted that make up the fold.

    A pair counts when a part was fitted on some of the fold's training rows, another call
    predicted or transformed all the others, and people stand on both sides.
    """
    check = "search_without_groups"
    where, seen = [], 0
    subject = case.meta["subject"].astype(str)
    for sets in case.sets:
        inner = _calls(case.run.access, sets.fold)
        fits = {rows for method, rows in inner if method in FITS and rows < sets.train_rows}
        held = {rows for method, rows in inner if method not in FITS}
        for rows in sorted(held & {sets.train_rows - f for f in fits}, key=sorted):
            seen += 1
            both = set(subject.loc[sorted(rows)]) & set(
                subject.loc[sorted(sets.train_rows - rows)]
            )
            if both:
                where.append(f"fold {sets.fold}")
                break
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            "an inner split was seen that puts windows of one person on both sides, so it chooses "
            "what fits known people. Give it a splitter by group, such as GroupKFold.",
        )
    elif seen:
        yield passed(check, "observed", f"{seen} inner splits seen; all keep people apart.")


def _calls(access: pd.DataFrame, fold: int) -> list[tuple[str, frozenset[int]]]:
    """Method and rows of every inner call of a fold."""
    mine = access[(access["fold"] == fold) & (access["stage"] == "inner")]
    keys = ["estimator", "method", "call"]
    if "seed" in mine:
        mine = mine[mine["seed"] == mine["seed"].min()]
    return [
        (str(key[1]), frozenset(map(int, rows)))
        for key, rows in mine.groupby(keys, observed=True, sort=True)["row"]
    ]


def selection_on_test(case: Case) -> Iterator[Finding]:
    """An oracle selection, which looks at the labels of the fold that is reported."""
    check = "selection_on_test"
    kinds = {str(k) for k in case.run.predictions["selection"].unique()}
    kinds.add(str(case.run.question.selection))
    oracles = sorted(k for k in kinds if k.startswith("oracle"))
    if oracles:
        yield Finding(
            check,
            "fault",
            "observed",
            "all folds",
            f"selection = {', '.join(oracles)}: chosen on the labels that are reported. "
            "Such a figure only re-runs a published one; the honest one needs "
            "selection = inner.",
        )
    else:
        yield passed(
            check,
            "observed",
            f"selection = {', '.join(sorted(kinds))}: evaluate joined "
            "no test label with a choice.",
        )


def _nothing_observed(check: str) -> Finding:
    return unverified(check, "the run has no access record.")


def _person(subjects: pd.Series) -> pd.Series:
    plain = subjects.astype(str).str.casefold().str.replace(r"[\W_]+", "", regex=True)
    return plain.where(plain != "", subjects.astype(str))


def _stimuli(rows: pd.DataFrame) -> set[tuple[str, str]]:
    named = rows[rows["stimulus"].astype(str).str.len() > 0]
    return set(zip(named["recording"].astype(str), named["stimulus"].astype(str), strict=True))


def _overlaps(train: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    """Recordings with a training window and a test window that share time."""
    found = []
    shared = set(train["recording"]) & set(test["recording"])
    for name in sorted(map(str, shared)):
        spans = []
        for side in (train, test):
            mine = side[side["recording"].astype(str) == name]
            start = mine["start"].to_numpy(dtype=float)
            stop = start + mine["duration"].to_numpy(dtype=float)
            spans.append((start, stop))
        (a, b), (c, d) = spans
        if ((a[:, None] < d[None, :] - TOUCH) & (c[None, :] < b[:, None] - TOUCH)).any():
            found.append(name)
    return found
