"""Checks of the values in the samples, whatever was declared.

Each looks for a trace that chance does not leave: a column standardised over all rows has mean 0
and standard deviation 1 to rounding, which measured data never have.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import gammaln

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.types import Array

ROUNDING = 1e-5
"""A float32 mean of 10,000 values of size 1 is off by about 1e-6. Measured columns that happen to
have mean 0 and standard deviation 1 within 1e-5 have odds of the order of 1e-10 per column."""

MIN_ROWS = 10
"""Below this, coincidences of a few values are too likely to conclude anything."""

MIN_ROWS_OF_SUBJECT = 4
"""Rows of a subject below which its mean or median is not judged."""

LOG_CHANCE = np.log(1e-12)
"""Log probability below which an order of rows is no coincidence, over 10,000 columns too."""

NO_TABLE = "no feature table was passed, or one too small to judge."


def fitted_outside_fold(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report columns that were standardised, scaled to 0…1 or decorrelated over all rows.

    Standardised: mean and standard deviation (divided by n or n − 1) are 0 and 1 to `ROUNDING`;
    robust: median and quartile distance. Scaled to 0…1: one row is exactly 0 and one exactly 1
    (a share that saturates has several), in at least three columns and half of them.
    Decorrelated: at least three centred columns with every correlation below 1e-6, where n
    independent rows give about 1/√n. Columns referred to their subject belong to `target_access`.
    """
    check = "fitted_outside_fold"
    x = case.columns
    if x is None or not case.is_table or len(x) < MIN_ROWS:
        yield not_checked(check, NO_TABLE)
        return
    varying = _varying(x)
    within = np.zeros(x.shape[1], dtype=bool)
    for columns in _within_subject(case).values():
        within[columns] = True
    rest = np.flatnonzero(varying & ~within)
    z = rest[_standardised(x[:, rest])]
    scaled = rest[_unit_range(x[:, rest])]
    found = False
    if len(z):
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, z)),
            f"{len(z)} of {varying.sum()} features are standardised over all subjects, to "
            "rounding (mean 0 and std 1, or median 0 and quartile distance 1): a scaler was "
            "fitted on the test subjects. Put the scaler into the estimator (make_pipeline).",
        )
    if len(scaled) >= max(3, len(rest) / 2):
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, scaled)),
            f"{len(scaled)} features reach from exactly 0 to exactly 1 over all subjects: a "
            "min–max scaler was fitted on the test subjects. Put it into the estimator.",
        )
    if _decorrelated(x[:, rest]):
        found = True
        yield Finding(
            check,
            "fault",
            "recomputed",
            f"{len(rest)} features",
            "the features are centred and uncorrelated over all subjects, to rounding: a PCA or "
            "whitening was fitted on the test subjects. Put it into the estimator.",
        )
    if not found:
        yield passed(
            check,
            "recomputed",
            "no feature is standardised, scaled to its range or decorrelated over all subjects."
            f"{case.coverage}",
        )


def target_access(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report columns referred to statistics of their subject although ``none`` is declared.

    Traces: in 90 % of the subjects the mean, or the median, is 0 to rounding; the column reaches
    from 0 to 1; or its values are ranks (equally spaced, or the same values in every subject).
    Columns with repeated values (counts, codes) and columns that follow the order of rows are not
    judged.
    """
    check = "target_access"
    if case.columns is None or not case.is_table or len(case.columns) < MIN_ROWS:
        yield not_checked(check, NO_TABLE)
        return
    traces = {words: columns for words, columns in _within_subject(case).items() if len(columns)}
    for words, columns in traces.items():
        names = some(map(case.column_name, columns))
        if case.target_access == "none":
            yield Finding(
                check,
                "fault",
                "recomputed",
                names,
                f"{len(columns)} features {words} in every subject, to rounding, but the run "
                "declares target_access = none. A new subject's statistics are not known before "
                "the last window: declare unlabelled_target, or use a running or "
                "declared-baseline reference.",
            )
        else:
            yield Finding(
                check,
                "declared",
                "recomputed",
                names,
                f"{len(columns)} features {words} in every subject, as declared "
                f"({case.target_access}).",
            )
    if not traces:
        yield passed(
            check,
            "recomputed",
            f"no feature is referred to statistics of its subject.{case.coverage}",
        )


def label_informed_reference(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report features measured against windows that were chosen by label.

    Two traces. (a) Within every subject one class has the same mean or median in a column (0
    after subtraction, 1 after division), to rounding, and another class does not. (b) Every
    subject has one row that is all zero, that row always has the same class, and it is not just
    the subject's first window (a baseline that needs no label). At least three subjects are
    needed, and 90 % of them must show it. Columns of counts are left out: their medians are equal
    by nature.
    """
    check = "label_informed_reference"
    x, y = case.columns, case.y
    if not case.is_classifier:
        yield not_checked(check, "looked for in classes only.")
        return
    if x is None or y is None or case.samples is None:
        yield not_checked(check, "features and labels were not passed.")
        return
    subjects = case.subjects
    names = np.unique(subjects)
    if len(names) < 3:
        yield not_checked(check, f"{len(names)} subjects are too few to tell.")
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
                f"{len(columns)} features have the same mean or median in class {label} of every "
                "subject, to rounding: the reference was chosen by the test subject's labels. Use "
                "a reference that needs no label.",
            )
            return
    if _zero_row_by_label(case, x, y):
        yield Finding(
            check,
            "fault",
            "recomputed",
            "one all-zero window per subject",
            "every subject has one window whose features are all zero, always of the same class: "
            "it was the reference, and it was chosen by label.",
        )
        return
    yield passed(
        check,
        "recomputed",
        f"no class is pinned to a fixed value within subjects.{case.coverage}",
    )


def label_as_feature(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report a single feature that separates the classes without one error over all subjects.

    At least 20 rows per class and three subjects: by chance, an AUROC of 1 or 0 has odds below
    1 in 10¹¹ per column, and no physiological measure separates pain over subjects without one
    error. For a continuous target: a correlation above 1 − 1e-9.
    """
    check = "label_as_feature"
    x, y = case.columns, case.y
    if x is None or y is None or not case.is_table:
        yield not_checked(check, "no feature table with labels was passed.")
        return
    if len(np.unique(case.subjects)) < 3:
        yield not_checked(check, "too few subjects to tell.")
        return
    telling = [c for c in np.flatnonzero(_varying(x)) if _tells(x[:, c], y, case.is_classifier)]
    if telling:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, telling)),
            "a single feature tells the label without one error: it is the label, or a trace of "
            "it (a file name, a code, a rating). Remove it.",
        )
    else:
        yield passed(check, "recomputed", f"no single feature tells the label.{case.coverage}")


def label_encoding(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report columns whose values are mean labels of the rows that share the value.

    Target encoding before the split: at least three levels, and 95 % of the rows in levels of two
    or more rows whose value is the mean label, as it is or shrunk to the mean of all rows (by a
    constant number of rows, or as scikit-learn's `TargetEncoder` does by default).
    """
    check = "label_encoding"
    x, y = case.columns, case.y
    if x is None or y is None or not case.is_table or len(x) < MIN_ROWS:
        yield not_checked(check, "no feature table with labels was passed.")
        return
    targets = [y.astype(float)]
    if case.is_classifier and len(np.unique(y)) > 2:
        targets += [(y == label).astype(float) for label in np.unique(y)]
    elif case.is_classifier:
        targets.append(1.0 - targets[0])
    encoded = [
        c for c in np.flatnonzero(_varying(x)) if any(_encodes(x[:, c], t) for t in targets)
    ]
    if encoded:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, encoded)),
            f"{len(encoded)} features are mean labels of groups of rows, to rounding, computed "
            "over all subjects: an encoder was fitted with the labels of the test subjects. Put "
            "it into the estimator.",
        )
    else:
        yield passed(check, "recomputed", f"no feature is a mean of labels.{case.coverage}")


def counter_as_feature(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report columns that count rows, recordings or time.

    A fault: the values are consecutive integers, over the whole table in any order, or within each
    subject in the order of rows or of time. A warning: over the table, or within the subjects, the
    column follows the order of rows or of time without one exception, with odds below 1e-12 for an
    order by chance.
    """
    check = "counter_as_feature"
    x = case.columns
    if x is None or not case.is_table or len(x) < MIN_ROWS:
        yield not_checked(check, NO_TABLE)
        return
    counts, follows = [], []
    for c in np.flatnonzero(_moving(x)):
        if not np.isfinite(x[:, c]).all():
            continue
        follow = _follows_order(x[:, c], case)
        in_subjects = follow and _consecutive_in_subjects(x[:, c], case.subjects)
        if _consecutive(x[:, c]) or in_subjects:
            counts.append(c)
        elif follow:
            follows.append(c)
    if counts:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(map(case.column_name, counts)),
            f"{len(counts)} features are consecutive integers: they count rows or trials and are "
            "no measurement. Remove them from the table.",
        )
    if follows:
        yield Finding(
            check,
            "warning",
            "recomputed",
            some(map(case.column_name, follows)),
            f"{len(follows)} features follow the order of rows or of time without one exception: "
            "a model can read from them when a window was recorded (an index, a date, a session, "
            "a slow drift). Remove counters; state why a drift is kept.",
        )
    if not counts and not follows:
        yield passed(check, "recomputed", f"no feature counts rows or time.{case.coverage}")


def _varying(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns with at least `MIN_ROWS` finite and three different values."""
    out = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        values = x[np.isfinite(x[:, c]), c]
        out[c] = len(values) >= MIN_ROWS and len(np.unique(values)) > 2
    return out


def _standardised(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Mean 0 and std 1, or median 0 and quartile distance 1, to `ROUNDING`.

    Integers are judged by mean and std only: the quartiles of counts are often 0, 0 and 1.
    """
    finite = np.isfinite(x)
    values = np.where(finite, x, 0.0)
    n = np.maximum(finite.sum(axis=0), 2)
    mean = values.sum(axis=0) / n
    square = (np.where(finite, x - mean, 0.0) ** 2).sum(axis=0)
    stds = [np.sqrt(square / n), np.sqrt(square / (n - 1))]
    by_mean = (np.abs(mean) < ROUNDING) & np.any([np.abs(s - 1) < ROUNDING for s in stds], axis=0)
    by_median = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        low, middle, high = (
            np.percentile(x[finite[:, c], c], [25, 50, 75]) if n[c] > 3 else (0, 1, 0)
        )
        by_median[c] = abs(middle) < ROUNDING and abs(high - low - 1) < ROUNDING
    return by_mean | (by_median & ~_integers(x))


def _within_subject(case: EvaluationUnderAudit) -> dict[str, Array]:
    """Trace (in words) → columns in which (nearly) every subject shows it."""
    if "within_subject" in case.memo:
        return case.memo["within_subject"]
    x = case.columns
    assert x is not None
    judged = np.flatnonzero(_varying(x) & ~_counts_within(x, case.subjects))
    centred, middle, scaled, spaced = [], [], [], []
    values: list[Array] = []
    for subject in np.unique(case.subjects):
        mine = x[case.subjects == subject][:, judged]
        if len(mine) < MIN_ROWS_OF_SUBJECT:
            continue
        moving = _moving(mine)
        with np.errstate(all="ignore"):
            scale = np.where(moving, _std(mine), 1.0)
            centred.append((np.abs(_mean(mine)) < 1e-6 * scale) | ~moving)
            middle.append((np.abs(_median(mine)) < 1e-7 * scale) | ~moving)
            low, high = np.fmin.reduce(mine, axis=0), np.fmax.reduce(mine, axis=0)
            scaled.append(((np.abs(low) < 1e-12) & (np.abs(high - 1) < 1e-6)) | ~moving)
            ordered = np.sort(mine, axis=0)
            gaps = np.diff(ordered, axis=0)
            equal = np.ptp(gaps, axis=0) < 1e-6 * np.abs(gaps).max(axis=0)
            spaced.append((equal & (len(mine) >= 6)) | ~moving)
        values.append(np.where(np.isfinite(ordered), ordered, 0.0))
    traces = {
        "have mean 0": _nearly_all(centred, len(judged)),
        "have median 0": _nearly_all(middle, len(judged)),
        "reach from exactly 0 to exactly 1": _nearly_all(scaled, len(judged)),
        "are ranks (or count the rows)": _nearly_all(spaced, len(judged))
        | _same_values(values, len(judged)),
    }
    counters = np.array([_follows_order(x[:, c], case) for c in judged], dtype=bool)
    result, told = {}, np.zeros(len(judged), dtype=bool)
    for words, columns in traces.items():
        result[words] = judged[columns & ~told & ~counters]
        told |= columns
    case.memo["within_subject"] = result
    return result


def _nearly_all(hits: list[Array], columns: int) -> Bool[np.ndarray, " column"]:
    """Columns with a hit in 90 % of at least three subjects."""
    if len(hits) < 3:
        return np.zeros(columns, dtype=bool)
    nearly: Bool[np.ndarray, " column"] = np.mean(hits, axis=0) >= 0.9
    return nearly


def _same_values(values: list[Array], columns: int) -> Bool[np.ndarray, " column"]:
    """Columns that have the same set of values in all of at least three subjects."""
    lengths = pd.Series([len(v) for v in values]).value_counts()
    if lengths.empty or lengths.iloc[0] < 3 or lengths.index[0] < 6:
        return np.zeros(columns, dtype=bool)
    alike = np.stack([v for v in values if len(v) == lengths.index[0]])
    spread = np.ptp(alike, axis=1).max(axis=0)
    same: Bool[np.ndarray, " column"] = np.ptp(alike, axis=0).max(axis=0) <= 1e-9 * spread
    return same & (spread > 0)


def _counts_within(
    x: Float[np.ndarray, "row column"], subjects: Array
) -> Bool[np.ndarray, " column"]:
    """Columns whose values often repeat within a subject, to rounding."""
    codes = pd.factorize(subjects)[0]
    few = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        values = np.where(np.isfinite(x[:, c]), x[:, c], np.nan)
        order = np.lexsort((values, codes))
        steps, mine = np.diff(values[order]), np.diff(codes[order]) == 0
        missing = np.isnan(values[order])
        spread = np.ptp(values[~np.isnan(values)]) if not missing.all() else 0.0
        repeated = (steps <= 1e-9 * spread) | (missing[1:] & missing[:-1])
        few[c] = (mine & repeated).sum() > 0.3 * len(x)
    return few


def _moving(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns of one subject that are not constant."""
    values = np.where(np.isfinite(x), x, np.nan)
    low = np.fmin.reduce(values, axis=0)
    high = np.fmax.reduce(values, axis=0)
    return np.nan_to_num(high - low) > 0


def _unit_range(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns with one row at exactly 0, one at exactly 1, and ten different values."""
    out = np.zeros(x.shape[1], dtype=bool)
    for c in range(x.shape[1]):
        column = x[np.isfinite(x[:, c]), c]
        if len(np.unique(column)) >= MIN_ROWS:
            low, high = np.abs(column) < 1e-12, np.abs(column - 1) < 1e-6
            out[c] = low.sum() == 1 and high.sum() == 1 and column.min() > -1e-12
            out[c] &= column.max() < 1 + 1e-6
    return out


def _decorrelated(x: Float[np.ndarray, "row column"]) -> bool:
    """At least three columns of mean 0, each pair uncorrelated to 1e-6."""
    x = x[np.isfinite(x).all(axis=1)]
    if x.shape[1] < 3 or len(x) <= x.shape[1] + 2:
        return False
    std = x.std(axis=0)
    if (std == 0).any() or (np.abs(x.mean(axis=0)) > ROUNDING * std).any():
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
        moving = _moving(mine)
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


def _integers(x: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, " column"]:
    """Columns of integers."""
    whole: Bool[np.ndarray, " column"] = ((x == np.round(x)) | ~np.isfinite(x)).all(axis=0)
    return whole


def _mean(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    finite = np.isfinite(x)
    return np.where(finite, x, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)


def _std(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    finite = np.isfinite(x)
    square = (np.where(finite, x - _mean(x), 0.0) ** 2).sum(axis=0)
    return np.sqrt(square / np.maximum(finite.sum(axis=0), 1))


def _median(x: Float[np.ndarray, "row column"]) -> Float[np.ndarray, " column"]:
    """Median of finite values; infinity where there are none."""
    kept = [column[np.isfinite(column)] for column in x.T]
    return np.array([np.median(k) if len(k) else np.inf for k in kept])


def _zero_row_by_label(
    case: EvaluationUnderAudit, x: Float[np.ndarray, "row column"], y: Array
) -> bool:
    """Whether (nearly) every subject has one all-zero window of one class, not its first."""
    if x.shape[1] < 2:
        return False
    zero = (x == 0).all(axis=1)
    names = np.unique(case.subjects)
    labels, first = [], 0
    for subject in names:
        mine = np.flatnonzero(case.subjects == subject)
        hits = mine[zero[mine]]
        if len(hits) and len(hits) < len(mine) / 2:
            labels.extend(y[hits[:1]])
            first += hits[0] == mine[0]
    enough = len(labels) >= max(3, 0.9 * len(names))
    if not enough or len(set(labels)) > 1 or first > len(labels) / 2:
        return False
    return bool(np.mean(y == labels[0]) ** len(labels) < 1e-3 or len(labels) >= 5)


def _tells(column: Float[np.ndarray, " row"], y: Array, is_classifier: bool) -> bool:
    """Whether the column gives the label without an error."""
    known = np.isfinite(column)
    values, labels = column[known], y[known]
    if not is_classifier:
        if len(values) < MIN_ROWS or np.ptp(values) == 0 or np.ptp(labels) == 0:
            return False
        return abs(float(np.corrcoef(values, labels)[0, 1])) > 1 - 1e-9
    spans = []
    for label in np.unique(labels):
        mine = values[labels == label]
        if len(mine) < 20:
            return False
        spans.append((mine.min(), mine.max()))
    spans.sort()
    return len(spans) > 1 and all(a[1] < b[0] for a, b in itertools.pairwise(spans))


def _encodes(column: Float[np.ndarray, " row"], target: Float[np.ndarray, " row"]) -> bool:
    """Whether the levels of a column are mean labels, raw or shrunk."""
    known = np.isfinite(column)
    values, labels = column[known], target[known]
    levels, place, n = np.unique(values, return_inverse=True, return_counts=True)
    large = n >= 2
    if large.sum() < 3 or n[large].sum() < 0.95 * len(values) or len(levels) > 0.5 * len(values):
        return False
    total = np.bincount(place, labels)
    square = np.bincount(place, labels**2) - total**2 / n  # sum of squared residuals of a level
    mean, everywhere, variance = total / n, labels.mean(), labels.var()
    shrunk = variance * n / (variance * n + square / n + 1e-300)
    by_size = [mean, shrunk * mean + (1 - shrunk) * everywhere]
    away = large & (np.abs(levels - everywhere) > 1e-9)
    if away.any():  # a constant number of rows at the mean of all
        rows = n[away] * (mean[away] - levels[away]) / (levels[away] - everywhere)
        constant = float(np.median(rows))
        by_size.append((total + constant * everywhere) / (n + constant) if constant > 0 else mean)
    return any(np.abs(levels - expected)[large].max() < 1e-6 for expected in by_size)


def _consecutive(column: Float[np.ndarray, " row"]) -> bool:
    """Whether the values are n consecutive integers, each once, in any order."""
    if (column != np.round(column)).any() or np.ptp(column) != len(column) - 1:
        return False
    return len(np.unique(column)) == len(column)


def _consecutive_in_subjects(column: Float[np.ndarray, " row"], subjects: Array) -> bool:
    """Whether the values are consecutive integers within each of at least three subjects."""
    if (column != np.round(column)).any():
        return False
    groups = pd.Series(column).groupby(subjects)
    sizes = groups.size()
    full = (groups.nunique() == sizes) & (groups.max() - groups.min() == sizes - 1) & (sizes >= 5)
    return len(full) >= 3 and bool(full[sizes >= 5].all()) and int(full.sum()) >= 3


def _orders(case: EvaluationUnderAudit) -> list[list[Array]]:
    """Sequences of rows along which a counter would rise or fall: the table, subjects, time."""
    if "orders" in case.memo:
        return case.memo["orders"]
    rows = np.arange(len(case.meta))
    orders = [[rows]]
    by_subject = [rows[case.subjects == s] for s in np.unique(case.subjects)]
    orders.append(by_subject)
    start = case.meta["start"].to_numpy(dtype=float)
    if np.isfinite(start).all():
        keys = pd.factorize(case.identities + "\0" + case.meta["recording"])[0]
        order = np.lexsort((start, keys))
        cuts = np.flatnonzero(np.diff(keys[order])) + 1
        orders.append(np.split(order, cuts))
    case.memo["orders"] = orders
    return orders


def _follows_order(column: Float[np.ndarray, " row"], case: EvaluationUnderAudit) -> bool:
    """Whether a column without gaps counts, or follows one of `_orders`."""
    if not np.isfinite(column).all():
        return False
    if _consecutive(column):
        return True
    if _constant_in_subjects(column, case.subjects):  # age, sex, a number
        _, first = np.unique(case.subjects, return_index=True)
        first = np.sort(first)
        several = len(np.unique(column[first])) >= max(5, len(first) / 2)
        return several and _monotone(column, [first])
    return any(_monotone(column, orders) for orders in _orders(case))


def _constant_in_subjects(column: Float[np.ndarray, " row"], subjects: Array) -> bool:
    groups = pd.Series(column).groupby(subjects)
    return bool((groups.max() == groups.min()).all())


def _monotone(column: Float[np.ndarray, " row"], orders: list[Array]) -> bool:
    """Whether a column rises or falls along every sequence, and chance would not do that.

    Of n! orders of a sequence with ties of sizes c, 2 Π c! are monotone.
    """
    chance, moving = 0.0, 0
    for rows in orders:
        steps = np.diff(column[rows])
        if not steps.any():
            continue
        if (steps > 0).any() and (steps < 0).any():
            return False
        ties = np.unique(column[rows], return_counts=True)[1]
        chance += float(np.log(2) + gammaln(ties + 1).sum() - gammaln(len(rows) + 1))
        moving += 1
    return bool(moving > 0 and chance < LOG_CHANCE)
