"""Checks that look into the samples themselves: recomputed, whatever was declared.

Each leaves a trace in numbers that chance does not: a column standardised over all rows has mean 0
and standard deviation 1 *to rounding*, which measured data never have.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from dolorimeter.audits.case import Case
from dolorimeter.audits.findings import Finding, passed, some, unverified
from dolorimeter.types import Array

ROUNDING = 1e-5
"""A float32 mean of 10,000 numbers of size 1 is off by about 1e-6; measured columns that happen to
have mean 0 and sd 1 within 1e-5 have odds of the order of 1e-10 a column."""

MIN_ROWS = 10
"""Below this, coincidences of a few numbers are too likely to say anything."""


def fitted_outside_fold(case: Case) -> Iterator[Finding]:
    """Columns that were standardised, scaled to 0…1 or decorrelated over all rows of the table.

    Standardised: mean and standard deviation (divided by n or n − 1) are 0 and 1 to `ROUNDING`;
    robust: median and quartile distance. Minimum 0 and maximum 1 exactly is only counted when at
    least three columns and half of them do so. Decorrelated: at least three centred columns with
    every correlation below 1e-6, where n independent rows give about 1/√n. Columns standardised
    within each subject are left to `target_access`.
    """
    check = "fitted_outside_fold"
    x = case.columns
    if x is None or not case.is_table or len(x) < MIN_ROWS:
        yield unverified(check, "no feature table was handed over, or one too small to judge.")
        return
    varying = _varying(x)
    within = _standardised_within(x, case) & varying
    rest = np.flatnonzero(varying & ~within)
    z = _standardised(x) & varying & ~within
    scaled = _unit_range(x[:, rest])
    found = False
    if z.any():
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, np.flatnonzero(z))),
            f"{z.sum()} of {varying.sum()} features are standardised over all subjects, "
            "to rounding (mean 0 and sd 1, or median 0 and quartile distance 1): a scaler "
            "saw the test subjects. Put the "
            "scaler into the estimator (make_pipeline).",
        )
    if scaled.sum() >= max(3, len(rest) / 2):
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, rest[scaled])),
            f"{scaled.sum()} features reach from exactly 0 to exactly 1 over all "
            "subjects: a min–max scaler saw the test subjects. Put it into the "
            "estimator.",
        )
    if _decorrelated(x[:, rest]):
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"{len(rest)} features",
            "the features are centred and uncorrelated over all subjects, to rounding: "
            "a PCA or whitening saw the test subjects. Put it into the "
            "estimator.",
        )
    if not found:
        yield passed(
            check,
            "recomputed",
            f"no feature is standardised, scaled to its range or decorrelated over all "
            f"subjects.{case.columns_told}",
        )


def target_access(case: Case) -> Iterator[Finding]:
    """Columns standardised within each subject while the rows say ``target_access = none``."""
    check = "target_access"
    x = case.columns
    if x is None or not case.is_table or len(x) < MIN_ROWS:
        return
    within = _standardised_within(x, case) & _varying(x)
    if not within.any():
        yield passed(
            check, "recomputed", f"no feature is standardised within subject.{case.columns_told}"
        )
    elif case.target_access == "none":
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, np.flatnonzero(within))),
            f"{within.sum()} features are standardised within each subject, to rounding, "
            "but the run says target_access = none. A new person's mean is not known "
            "before the last window: declare unlabelled_target, or use a running or "
            "declared-baseline reference.",
        )
    else:
        yield Finding(
            check,
            "declared",
            "recomputed",
            some(map(case.column_name, np.flatnonzero(within))),
            f"{within.sum()} features are standardised within each subject, as declared "
            f"({case.target_access}).",
        )


def label_informed_reference(case: Case) -> Iterator[Finding]:
    """Features measured against windows that were chosen by label.

    Two traces. (a) Within every subject one class has the same mean or median in a column (0
    after subtraction, 1 after division), to rounding, and another class does not. (b) Every
    subject has one row that is all zero, that row always has the same class, and it is not just
    the subject's first window (a baseline that needs no label). At least three subjects are asked
    for, and 90 % of them must show it. Columns of counts are left out: their medians are equal by
    nature.
    """
    check = "label_informed_reference"
    x, y = case.columns, case.y
    if not case.is_classifier:
        yield unverified(check, "looked for in classes only.")
        return
    if x is None or y is None or case.samples is None:
        yield unverified(check, "features and labels were not handed over.")
        return
    subjects = case.samples.subjects
    names = np.unique(subjects)
    if len(names) < 3:
        yield unverified(check, f"{len(names)} subjects are too few to tell.")
        return
    varying = _varying(x) & ~_counts(x)
    for label in np.unique(y):
        columns = np.flatnonzero(_pinned(x, subjects, y == label) & varying)
        columns = columns[~_pinned(x[:, columns], subjects, y != label)]
        if len(columns):
            yield Finding(
                check,
                "fault",
                "recomputed",
                some(map(case.column_name, columns)),
                f"{len(columns)} features have the same mean or median in class {label} "
                "of every subject, to rounding: the reference was chosen by the test "
                "subject's labels. Use a reference that needs no label.",
            )
            return
    if _zero_row_by_label(case, x, y):
        yield Finding(
            check,
            "fault",
            "recomputed",
            "one all-zero window a subject",
            "every subject has one window whose features are all zero, always of the "
            "same class: it was the reference, and it was chosen by label.",
        )
        return
    yield passed(
        check,
        "recomputed",
        f"no class is pinned to a fixed value within subjects.{case.columns_told}",
    )


def label_as_feature(case: Case) -> Iterator[Finding]:
    """A single feature that separates the classes without one error over all subjects.

    At least 20 rows a class and three subjects: by chance, an AUROC of 1 or 0 has odds below
    1 in 10¹¹ a column, and no physiological measure separates pain over people without one error.
    For a continuous target: a correlation above 1 − 1e-9.
    """
    check = "label_as_feature"
    x, y = case.columns, case.y
    if x is None or y is None or case.samples is None or not case.is_table:
        yield unverified(check, "no feature table with labels was handed over.")
        return
    if len(np.unique(case.samples.subjects)) < 3:
        yield unverified(check, "too few subjects to tell.")
        return
    telling = [c for c in np.flatnonzero(_varying(x)) if _tells(x[:, c], y, case.is_classifier)]
    if telling:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, telling)),
            "a feature tells the label by itself, without one error: it is the label, or "
            "a trace of it (a file name, a code, a rating). Take it out.",
        )
    else:
        yield passed(
            check, "recomputed", f"no feature tells the label by itself.{case.columns_told}"
        )


def near_duplicates(case: Case) -> Iterator[Finding]:
    """The same window, or nearly the same, tested in one fold and trained on in that fold.

    A row counts only if at least three of its features have values that fewer than 1 % of rows
    share (flat signals and counts agree by nature). Nearly the same: a distance, in standardised
    features (random projections of raw signals), below 1/1,000 of the median distance to the
    nearest neighbour.
    """
    check = "near_duplicates"
    if case.columns is None or case.samples is None:
        yield unverified(check, "no samples were handed over.")
        return
    x = _comparable(case.columns, case.seed)
    rows = np.flatnonzero(_rich(x))
    if len(rows) < MIN_ROWS:
        yield unverified(check, "too few features with continuous values to tell windows apart.")
        return
    pairs = _close_pairs(x[rows])
    close = [(int(rows[a]), int(rows[b])) for a, b in pairs]
    crossing = [(a, b) for a, b in close if _crosses(case, a, b)]
    if not crossing:
        yield passed(
            check,
            "recomputed",
            f"{len(rows)} windows compared; none is nearly the same as a window of another "
            f"set.{case.columns_told}",
        )
        return
    meta = case.samples.meta
    where = some(f"{meta['recording'].iloc[a]} / {meta['recording'].iloc[b]}" for a, b in crossing)
    yield Finding(
        check,
        "fault",
        "recomputed",
        where,
        f"{len(crossing)} pairs of windows are the same or nearly the same, one in "
        "training and one in test: a copied file, one person under two names, or "
        "overlapping windows.",
    )


def _varying(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns with at least `MIN_ROWS` finite and three different values."""
    out = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        values = x[np.isfinite(x[:, c]), c]
        out[c] = len(values) >= MIN_ROWS and len(np.unique(values)) > 2
    return out


def _standardised(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Mean 0 and sd 1, or median 0 and quartile distance 1, to `ROUNDING`.

    Whole numbers are asked for mean and sd only: the quartiles of counts are often 0, 0 and 1.
    """
    finite = np.isfinite(x)
    values = np.where(finite, x, 0.0)
    n = np.maximum(finite.sum(axis=0), 2)
    mean = values.sum(axis=0) / n
    square = (np.where(finite, x - mean, 0.0) ** 2).sum(axis=0)
    sds = [np.sqrt(square / n), np.sqrt(square / (n - 1))]
    by_mean = (np.abs(mean) < ROUNDING) & np.any([np.abs(s - 1) < ROUNDING for s in sds], axis=0)
    by_median = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        low, middle, high = (
            np.percentile(x[finite[:, c], c], [25, 50, 75]) if n[c] > 3 else (0, 1, 0)
        )
        by_median[c] = abs(middle) < ROUNDING and abs(high - low - 1) < ROUNDING
    return by_mean | (by_median & ~_whole(x))


def _standardised_within(
    x: Float[np.ndarray, "row column"], case: Case
) -> Bool[np.ndarray, " column"]:
    """Columns that are standardised within (nearly) every subject."""
    assert case.samples is not None
    subjects = case.samples.subjects
    names = np.unique(subjects)
    groups = [x[subjects == s] for s in names]
    judged = [_standardised(g) | ~_varying_little(g) for g in groups if len(g) >= 3]
    moving = [_varying_little(g) for g in groups if len(g) >= 3]
    if len(judged) < 2:
        return np.zeros(x.shape[1], dtype=bool)
    enough = np.sum(moving, axis=0) >= 2
    return (np.mean(judged, axis=0) >= 0.9) & enough


def _varying_little(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns of one subject that are not constant."""
    values = np.where(np.isfinite(x), x, np.nan)
    low = np.fmin.reduce(values, axis=0)
    high = np.fmax.reduce(values, axis=0)
    return np.nan_to_num(high - low) > 0


def _unit_range(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns from exactly 0 to exactly 1, with at least ten different values between."""
    out = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        values = np.unique(x[np.isfinite(x[:, c]), c])
        if len(values) >= MIN_ROWS:
            ends = abs(values[0]) < 1e-12 and abs(values[-1] - 1) < 1e-6
            out[c] = ends and not np.allclose(values * 2, np.round(values * 2))
    return out


def _decorrelated(x: Float[np.ndarray, "row column"]) -> bool:
    """At least three columns of mean 0, each pair uncorrelated to 1e-6."""
    x = x[np.isfinite(x).all(axis=1)]
    if x.shape[1] < 3 or len(x) <= x.shape[1] + 2:
        return False
    sd = x.std(axis=0)
    if (sd == 0).any() or (np.abs(x.mean(axis=0)) > ROUNDING * sd).any():
        return False
    correlation = np.corrcoef(x, rowvar=False)
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    return bool(np.abs(off).max() < 1e-6)


def _pinned(
    x: Float[np.ndarray, "row column"], subjects: Array, chosen: Bool[np.ndarray, " row"]
) -> Bool[np.ndarray, " column"]:
    """Columns whose mean or median over `chosen` is 0, or is 1, in 90 % of subjects."""
    if x.shape[1] == 0:
        return np.zeros(0, dtype=bool)
    finite = np.isfinite(x)
    away = np.where(finite, x - _mean(x), 0.0)
    scale = np.sqrt((away**2).sum(axis=0) / np.maximum(finite.sum(axis=0), 1))
    scale = np.where(scale > 0, scale, 1.0)
    pinned = []
    for subject in np.unique(subjects):
        mine = x[chosen & (subjects == subject)]
        if len(mine) < 2:
            continue
        moving = _varying_little(mine)
        middle = [_mean(mine), _median(mine)]
        hits = [np.abs(m - t) < 1e-7 * scale for m in middle for t in (0.0, 1.0)]
        pinned.append(np.stack(hits) & moving)
    if len(pinned) < 3:
        return np.zeros(x.shape[1], dtype=bool)
    return (np.mean(pinned, axis=0) >= 0.9).any(axis=0)


def _counts(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns most of whose values occur more than once."""
    distinct = np.array([len(np.unique(column)) for column in x.T])
    few: Bool[np.ndarray, " column"] = distinct < 0.5 * len(x)
    return few


def _whole(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns of whole numbers."""
    whole: Bool[np.ndarray, " column"] = ((x == np.round(x)) | ~np.isfinite(x)).all(axis=0)
    return whole


def _mean(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    finite = np.isfinite(x)
    return np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)


def _median(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    """Median of finite values; infinity where there are none."""
    kept = [column[np.isfinite(column)] for column in x.T]
    return np.array([np.median(k) if len(k) else np.inf for k in kept])


def _zero_row_by_label(case: Case, x: Float[np.ndarray, "row column"], y: Array) -> bool:
    """Whether (nearly) every subject has one all-zero window of one class, not its first."""
    assert case.samples is not None
    if x.shape[1] < 2:
        return False
    zero = (x == 0).all(axis=1)
    subjects = case.samples.subjects
    names = np.unique(subjects)
    labels, first = [], 0
    for subject in names:
        mine = np.flatnonzero(subjects == subject)
        hits = mine[zero[mine]]
        if len(hits) and len(hits) < len(mine) / 2:
            labels.extend(y[hits[:1]])
            first += hits[0] == mine[0]
    enough = len(labels) >= max(3, 0.9 * len(names))
    if not enough or len(set(labels)) > 1 or first > len(labels) / 2:
        return False
    return bool(np.mean(y == labels[0]) ** len(labels) < 1e-3 or len(labels) >= 5)


def _tells(column: Float[np.ndarray, " row"], y: Array, is_classifier: bool) -> bool:
    """Whether the column alone gives the label without an error."""
    known = np.isfinite(column)
    values, labels = column[known], y[known]
    if not is_classifier:
        return len(values) >= MIN_ROWS and abs(np.corrcoef(values, labels)[0, 1]) > 1 - 1e-9
    spans = []
    for label in np.unique(labels):
        mine = values[labels == label]
        if len(mine) < 20:
            return False
        spans.append((mine.min(), mine.max()))
    spans.sort()
    return len(spans) > 1 and all(a[1] < b[0] for a, b in itertools.pairwise(spans))


def _comparable(x: Float[np.ndarray, "row column"], seed: int) -> Float[np.ndarray, "row kept"]:
    """Standardised columns, at most 64 (seeded random projections), missing as the mean."""
    finite = np.isfinite(x)
    mean = np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    filled = np.where(finite, x, mean)
    sd = filled.std(axis=0)
    z = (filled - mean) / np.where(sd > 0, sd, 1.0)
    z = z[:, sd > 0]
    if z.shape[1] <= 64:
        return z
    return z @ np.random.default_rng(seed).normal(size=(z.shape[1], 64)) / np.sqrt(z.shape[1])


def _rich(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " row"]:
    """Rows with at least three values that fewer than 1 % of rows (or one other) share."""
    rare = np.zeros(len(x), dtype=int)
    for column in x.T:
        _, inverse, counts = np.unique(
            np.round(column, 9), return_inverse=True, return_counts=True
        )
        rare += counts[inverse] <= max(2, 0.01 * len(x))
    return rare >= 3


def _close_pairs(x: Float[np.ndarray, "row column"]) -> Int[np.ndarray, "pair two"]:
    """Pairs of rows nearer than 1/1,000 of the median nearest-neighbour distance."""
    from sklearn.neighbors import NearestNeighbors

    k = min(6, len(x))
    distance, neighbour = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(x)
    others = np.where(neighbour == np.arange(len(x))[:, None], np.inf, distance)
    typical = np.median(others.min(axis=1))
    near = others < max(1e-3 * typical, 1e-9)
    a, place = np.nonzero(near)
    pairs = np.stack([a, neighbour[a, place]], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _crosses(case: Case, a: int, b: int) -> bool:
    """Whether in some fold one of the rows was trained on and the other tested."""
    return any(
        (a in sets.test_rows and b in sets.train_rows)
        or (b in sets.test_rows and a in sets.train_rows)
        for sets in case.sets
    )
