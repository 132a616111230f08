"""Checks of who was trained on and who was tested: observed in the access record."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.evaluation._fold_store import FITTED_AGAIN
from dolorimeter.types import Array

FITS = frozenset({"fit", "fit_transform", "partial_fit"})
"""Methods that learn."""

TOUCH = 1e-6
"""Seconds: windows that only touch at an edge share no sample."""

EXPECTED_OVERLAPS = 10.0
"""Overlaps expected between independent recordings, above which none at all is informative: with
this many the chance of none is below e^-10."""

SESSION = re.compile(
    r"^(?P<stem>.*?[^\W_])[\W_]+(ses(sion)?|visit|day|run|pre|post|morning|evening|am|pm)[\W_]*\d*$",
    re.IGNORECASE,
)
"""A subject identifier that ends in the name of a session."""

NO_RECORD = "the run has no access record."


def subject_in_two_sets(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report subjects that were fitted on and tested in one fold, under any spelling.

    Spellings are compared by `dolorimeter.datasets.participants.identity`. With
    ``labelled_reference`` (personalisation) the finding is only declared. Rows without a subject
    are reported too, and identifiers that look like sessions of one subject.
    """
    check = "subject_in_two_sets"
    if not case.sets:
        yield not_checked(check, NO_RECORD)
        return
    where, unnamed = [], 0
    for fold, train, test in case.pairs():
        shared = (set(train["identity"]) & set(test["identity"])) - {""}
        unnamed += bool((train["identity"] == "").any() or (test["identity"] == "").any())
        if shared:
            spelt = pd.concat([train, test]).groupby("identity")["subject"].unique()
            where += [f"fold {fold}: {' = '.join(sorted(spelt[name]))}" for name in sorted(shared)]
    if where and case.target_access == "labelled_reference":
        yield Finding(
            check,
            "declared",
            "observed",
            some(where),
            "labelled windows of the test subject were trained on, as declared "
            "(labelled_reference).",
        )
    elif where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"{len(where)} times a subject is on both sides of a fold. Split by subject, for "
            "example leave_one_subject_out(), and write one identifier per subject.",
        )
    if unnamed:
        rows = int((case.identities == "").sum())
        yield Finding(
            check,
            "fault",
            "observed",
            f"{rows} rows",
            f"{rows} rows have no subject (empty, None or NaN): nobody can tell whether their "
            "subject is on both sides. Name the subject of every row, or leave these rows out.",
        )
    sessions = _sessions(case)
    if sessions:
        yield Finding(
            check,
            "warning",
            "observed",
            some(sessions),
            "identifiers of subjects end in the name of a session. If these are sessions of one "
            "subject, the split separates sessions and not subjects.",
        )
    if not (where or unnamed or sessions):
        yield passed(check, "observed", "no subject was fitted on and tested in one fold.")


def _sessions(case: EvaluationUnderAudit) -> list[str]:
    """Groups of subjects that differ only in the name of a session."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in case.meta["subject"].unique():
        match = SESSION.match(name.strip())
        if match:
            groups[match["stem"].casefold()].add(name)
    return [" and ".join(sorted(names)) for _, names in sorted(groups.items()) if len(names) > 1]


def recording_of_two_subjects(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report recordings whose rows belong to several subjects.

    Recordings of different subjects may have the same name ("run 1"). Their windows then overlap
    in time; those of one recording that was divided among subjects never do.
    """
    check = "recording_of_two_subjects"
    shared = shared_recordings(case)
    divided = _divided_timeline(case) if not shared else 0
    if shared:
        names = case.meta[case.meta["recording"].isin(shared)].groupby("recording")["subject"]
        where = [f"{name}: {some(sorted(set(rows)), 3)}" for name, rows in names]
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"{len(shared)} recordings have rows of several subjects, whose windows follow one "
            "clock: a recording belongs to one subject. If these are different recordings, give "
            "them different names.",
        )
    elif divided:
        yield Finding(
            check,
            "warning",
            "observed",
            f"{divided} changes of subject",
            "windows of all subjects lie on one clock, never overlap, and the subjects change "
            f"{divided} times along it: blocks of one recording may have been declared as "
            "subjects.",
        )
    elif case.meta["recording"].nunique() < 2:
        yield not_checked(check, "the rows name fewer than two recordings.")
    else:
        yield passed(check, "observed", "no recording has rows of two subjects.")


def shared_recordings(case: EvaluationUnderAudit) -> frozenset[str]:
    """Return the names of recordings that are one recording under several subjects.

    A name that several subjects use is one recording if their windows never overlap in time
    although `EXPECTED_OVERLAPS` would be expected of independent recordings; or if it is one of at
    most two such names and fewer than half of the subjects use it.
    """
    if "shared_recordings" in case.memo:
        return case.memo["shared_recordings"]
    meta = case.meta.assign(identity=case.identities)
    meta = meta[(meta["recording"] != "") & (meta["identity"] != "")]
    users = meta.groupby(["dataset", "recording"])["identity"].nunique()
    several = users[users > 1]
    people = meta.groupby("dataset")["identity"].nunique()
    shared = set()
    for dataset, name, count in several.reset_index().to_numpy().tolist():
        rows = meta[(meta["dataset"] == dataset) & (meta["recording"] == name)]
        overlaps, expected = _overlaps_between(rows)
        few = len(several) <= 2 and count < people[dataset] / 2
        if (overlaps == 0 and expected > EXPECTED_OVERLAPS) or few:
            shared.add(str(name))
    case.memo["shared_recordings"] = frozenset(shared)
    return case.memo["shared_recordings"]


def _overlaps_between(rows: pd.DataFrame) -> tuple[int, float]:
    """Overlaps of neighbouring windows of different subjects, and those expected by chance.

    Windows are sorted by start. Two windows of length d, placed at random within T seconds,
    overlap with a probability of about 2 d / T.
    """
    start = rows["start"].to_numpy(dtype=float)
    length = rows["duration"].to_numpy(dtype=float)
    known = np.isfinite(start) & np.isfinite(length) & (length > 0)
    start, length = start[known], length[known]
    people = rows["identity"].to_numpy()[known]
    if len(start) < 4:
        return 0, 0.0
    order = np.argsort(start, kind="stable")
    start, length, people = start[order], length[order], people[order]
    stop = start + length
    meeting = (stop[:-1] > start[1:] + TOUCH) & (people[:-1] != people[1:])
    span = float(stop.max() - start.min())
    counts = pd.Series(people).value_counts().to_numpy(dtype=float)
    pairs = (counts.sum() ** 2 - (counts**2).sum()) / 2
    return int(meeting.sum()), float(pairs * 2 * length.mean() / max(span, 1e-9))


def _divided_timeline(case: EvaluationUnderAudit) -> int:
    """Changes of subject along one clock, if blocks of it seem to be subjects; else 0."""
    meta = case.meta.assign(identity=case.identities)
    people = meta["identity"].nunique()
    if people < 2 or (meta["dataset"] != meta["dataset"].iloc[0]).any():
        return 0
    overlaps, expected = _overlaps_between(meta)
    if overlaps or expected <= EXPECTED_OVERLAPS:
        return 0
    names = meta.sort_values("start", kind="stable")["identity"].to_numpy()
    changes = int((names[1:] != names[:-1]).sum())
    return changes if changes >= 3 * people else 0


def _recording_keys(case: EvaluationUnderAudit) -> Array:
    """Recording of each row as text: with its subject, unless subjects share the recording."""
    meta = case.meta
    shared = meta["recording"].isin(shared_recordings(case))
    owner = case.identities.where(~shared, "")
    return (meta["dataset"] + "\0" + owner + "\0" + meta["recording"]).to_numpy()


def stimulus_in_two_sets(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report stimuli with windows both fitted on and tested in one fold."""
    check = "stimulus_in_two_sets"
    if not case.sets:
        yield not_checked(check, NO_RECORD)
        return
    named = (case.meta["stimulus"] != "").to_numpy()
    keys = pd.Series(_recording_keys(case), index=case.meta.index) + "#" + case.meta["stimulus"]
    keys = keys[named]
    where, known = [], False
    for sets in case.sets:
        test = keys.reindex(keys.index.intersection(pd.Index(sets.test))).unique()
        train = keys.reindex(keys.index.intersection(pd.Index(sets.train))).unique()
        known = known or len(test) > 0
        both = sorted(set(test) & set(train))
        where += [f"fold {sets.fold}: {key.rpartition(chr(0))[2]}" for key in both]
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"{len(where)} stimuli have windows on both sides of a fold. Keep all windows of a "
            "stimulus together.",
        )
    elif known:
        yield passed(check, "observed", "no stimulus has windows on both sides of a fold.")
    else:
        yield not_checked(check, "the rows name no stimuli.")


def overlapping_windows(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report windows of one recording that share time, one fitted on and one tested in a fold."""
    check = "overlapping_windows"
    if not case.sets:
        yield not_checked(check, NO_RECORD)
        return
    start = case.meta["start"].to_numpy(dtype=float)
    stop = start + case.meta["duration"].to_numpy(dtype=float)
    if not np.isfinite(stop).any():
        yield not_checked(check, "the rows have no start and duration.")
        return
    keys = pd.factorize(_recording_keys(case))[0]
    recordings = case.meta["recording"].to_numpy()
    place = pd.Series(np.arange(len(case.meta)), index=case.meta.index)
    where = []
    for sets in case.sets:
        train = place.reindex(place.index.intersection(pd.Index(sets.train))).to_numpy(dtype=int)
        test = place.reindex(place.index.intersection(pd.Index(sets.test))).to_numpy(dtype=int)
        train = train[np.isin(keys[train], keys[test])]
        rows = np.concatenate([train, test])
        side = np.concatenate([np.zeros(len(train), int), np.ones(len(test), int)])
        meeting = _meeting(keys[rows], start[rows], stop[rows], side)
        where += [f"fold {sets.fold}: {name}" for name in sorted(set(recordings[rows[meeting]]))]
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            f"windows of {len(where)} recordings overlap across a fold: the same samples are "
            "learnt and tested. Split by subject, or leave a gap.",
        )
    else:
        yield passed(check, "observed", "no windows share time across a fold.")


def _meeting(keys: Array, start: Array, stop: Array, side: Array) -> Array:
    """Rows that start before an earlier row of the same key and the other side has ended."""
    known = np.flatnonzero(np.isfinite(stop))
    order = known[np.lexsort((start[known], keys[known]))]
    ends = {0: (-1, -np.inf), 1: (-1, -np.inf)}
    meeting = []
    for row in order:
        key, other = ends[1 - side[row]]
        if key == keys[row] and start[row] < other - TOUCH:
            meeting.append(row)
        mine_key, mine = ends[side[row]]
        ends[side[row]] = (keys[row], max(mine, stop[row]) if mine_key == keys[row] else stop[row])
    return np.array(meeting, dtype=int)


def calibration_in_time(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report labelled windows of a test subject that were recorded after tested ones.

    With ``labelled_reference`` windows of the test subject are trained on. In use they come first;
    drawn at random in time, they are the neighbours of the tested windows.
    """
    check = "calibration_in_time"
    if not case.sets:
        yield not_checked(check, NO_RECORD)
        return
    late, folds, known = [], 0, False
    for fold, train, test in case.pairs():
        own = train[train["identity"].isin(set(test["identity"]))]
        folds += len(own) > 0
        for name, rows in own.groupby("identity"):
            first = test.loc[test["identity"] == name]
            for recording, mine in rows.groupby("recording"):
                tested = first.loc[first["recording"] == recording, "start"].to_numpy(dtype=float)
                given = mine["start"].to_numpy(dtype=float)
                known = known or bool(np.isfinite(tested).any() and np.isfinite(given).any())
                if (
                    len(tested)
                    and len(given)
                    and np.nanmax(given, initial=-np.inf) > np.nanmin(tested, initial=np.inf)
                ):
                    late.append(f"fold {fold}: {mine['subject'].iloc[0]}")
    if not folds:
        yield passed(check, "observed", "no windows of a test subject were trained on.")
    elif late:
        yield Finding(
            check,
            "warning",
            "observed",
            some(dict.fromkeys(late)),
            "labelled windows of the test subject lie between or after the tested ones, so that "
            "their neighbours in time are trained on. In use, labelled windows come first: the "
            "figure is an upper limit.",
        )
    elif known:
        yield passed(check, "observed", "labelled windows precede the tested ones.")
    else:
        yield not_checked(check, "the rows have no start.")


def fit_touched_test_rows(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report test rows that any ``fit`` of the same fold received, also of a part inside."""
    check = "fitted_outside_fold"
    if not case.sets:
        yield not_checked(check, NO_RECORD)
        return
    access = case.run.access
    fits = access[access["method"].astype(str).isin(FITS).to_numpy()]
    where = []
    for fold, rows in fits.groupby("fold"):
        touched = rows[case.tested_in[int(str(fold))][rows["row"].to_numpy(dtype=int)]]
        parts = sorted(touched["estimator"].astype(str).unique())
        where += [f"fold {fold}: {part}" for part in parts]
    if where:
        yield Finding(
            check, "fault", "observed", some(where), "a fit received rows that its fold tests."
        )
    else:
        yield passed(check, "observed", "no fit received a row that its fold tests.")


def inner_splits_of_record(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report inner splits in the access record with one subject on both sides.

    A split is a pair of calls: a part was fitted on some of the fold's training rows, and another
    call predicted or transformed all the others.
    """
    check = "search_without_groups"
    where, seen = [], 0
    names = case.identities
    inner = case.run.access[(case.run.access["stage"] == "inner").to_numpy()]
    by_fold = dict(iter(inner.groupby("fold")))
    for sets in case.sets:
        if sets.fold not in by_fold:
            continue
        train = frozenset(map(int, sets.train))
        calls = _calls(by_fold[sets.fold])
        fits = {rows for method, rows in calls if method in FITS and rows < train}
        held = {rows for method, rows in calls if method not in FITS}
        for rows in sorted(held & {train - f for f in fits}, key=sorted):
            seen += 1
            if set(names.loc[sorted(rows)]) & set(names.loc[sorted(train - rows)]):
                where.append(f"fold {sets.fold}")
                break
    if where:
        yield Finding(
            check,
            "fault",
            "observed",
            some(where),
            "an inner split puts windows of one subject on both sides, so that it chooses what "
            "fits known subjects. Pass a splitter by group, such as GroupKFold.",
        )
    elif seen:
        yield passed(check, "observed", f"{seen} inner splits recorded; all keep subjects apart.")


def _calls(inner: pd.DataFrame) -> list[tuple[str, frozenset[int]]]:
    """Method and rows of every inner call of a fold."""
    if "seed" in inner:
        inner = inner[inner["seed"] == inner["seed"].min()]
    return [
        (str(key[1]), frozenset(map(int, rows)))
        for key, rows in inner.groupby(["estimator", "method", "call"], observed=True)["row"]
    ]


def selection_on_test(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report an oracle selection, which uses the labels of the fold that is scored."""
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
            f"selection = {', '.join(oracles)}: chosen on the labels that are scored. Such a "
            "figure only repeats a published one; an honest one needs selection = inner.",
        )
    else:
        yield passed(
            check,
            "observed",
            f"selection = {', '.join(sorted(kinds))}: evaluate joined no test label with a "
            "choice.",
        )


def failed_folds(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report folds that failed, and folds that failed in an earlier call.

    The subjects of a failed fold have no prediction. A fold that was fitted until it succeeded is
    a choice among fits, if the failure depends on chance.
    """
    check = "failed_folds"
    failures = case.run.failures
    done = case.run.predictions[["fold", "seed"]].drop_duplicates()
    again = [note for note in case.run.notes if FITTED_AGAIN in note]
    if again:
        yield Finding(
            check,
            "warning",
            "observed",
            some(note.partition(" ")[0] for note in again),
            f"folds that failed in an earlier call and were fitted again: {len(again)}. The "
            f"first: {again[0]}",
        )
    if failures.empty and again:
        return
    if failures.empty:
        yield passed(check, "observed", f"all {len(done)} folds gave predictions.")
        return
    share = len(failures) / (len(failures) + len(done))
    yield Finding(
        check,
        "fault" if share > 0.1 else "warning",
        "observed",
        some(dict.fromkeys(failures["subjects"].astype(str))),
        f"{len(failures)} of {len(failures) + len(done)} folds failed, so that their subjects "
        f"have no prediction of these folds. The first error: {failures['error'].iloc[0]}",
    )


def order_of_listing(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Compare the folds with those of the same samples listed in reverse."""
    check = "order_of_listing"
    if case.split is None or case.samples is None or case.y is None:
        yield not_checked(check, "samples, labels or split were not passed.")
        return
    if getattr(case.split, "name", "") == "rows":
        yield not_checked(check, "the split is a list of row numbers, which follows the listing.")
        return
    backwards = np.arange(len(case.y))[::-1]
    forward = case.split.folds(case.samples.meta, case.y)
    meta = case.samples.meta.iloc[backwards].reset_index(drop=True)
    reverse = case.split.folds(meta, case.y[backwards])
    here = sorted(tuple(sorted(map(int, f.test))) for f in forward)
    there = sorted(tuple(sorted(int(backwards[i]) for i in f.test)) for f in reverse)
    if here == there:
        yield passed(check, "recomputed", "listing the samples in reverse gives the same folds.")
    else:
        yield Finding(
            check,
            "fault",
            "recomputed",
            str(getattr(case.split, "name", "split")),
            "listing the samples in reverse gives other folds: on another file system the figure "
            "changes. Sort the subjects before drawing folds.",
        )
