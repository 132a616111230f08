"""Checks of what an estimator carries and how it splits inside: recomputed on its parts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.audits.case import Case, Sets
from dolorimeter.audits.findings import Finding, passed, some, unverified
from dolorimeter.audits.parts import is_fitted, parts
from dolorimeter.registry import DATASETS
from dolorimeter.samples import take_rows
from dolorimeter.types import Array


def prefitted_parts(case: Case) -> Iterator[Finding]:
    """Parts of the estimator that arrive fitted: a clone in a fold cannot unlearn them.

    ``sklearn.base.clone`` drops what an estimator has learnt, but not what stands in a
    `FrozenEstimator`, in a closure or behind a bound method (`FunctionTransformer`).
    Parts that say whom they saw (attribute ``trained_on``) are left to `pretraining_overlap`.
    """
    check = "fitted_outside_fold"
    if case.estimator is None:
        yield unverified(check, "the estimator was not handed over: prefitted parts unseen.")
        return
    from sklearn.base import clone

    try:
        fresh = clone(case.estimator)
    except (TypeError, RuntimeError) as error:
        yield Finding(
            check,
            "warning",
            "recomputed",
            type(case.estimator).__name__,
            f"the estimator cannot be cloned ({error}); folds may share what it learns.",
        )
        return
    found = [
        path for path, part in parts(fresh) if is_fitted(part) and not hasattr(part, "trained_on")
    ]
    if found:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(found),
            f"{len(found)} parts of the estimator arrive fitted, outside any fold, and "
            "do not say on whom. Put them in unfitted, or give them "
            "`trained_on`.",
        )
    else:
        yield passed(check, "recomputed", "no part of the estimator arrives fitted.", "estimator")


def test_data_in_estimator(case: Case) -> Iterator[Finding]:
    """Arrays in the estimator that hold rows of the samples, or their labels.

    A row counts when it equals a sample bit for bit in at least one varying column and all
    others; labels count when a whole array equals them and they are not constant.
    """
    check = "test_data_in_estimator"
    if case.estimator is None or case.columns is None:
        yield unverified(check, "the estimator or the samples were not handed over.")
        return
    known = _row_keys(case.columns)
    found = []
    for path, part in parts(case.estimator):
        if _is_labels(part, case.y):
            found.append(f"{path}: the labels")
            continue
        rows = _rows_of(part, case.width)
        hits = 0 if rows is None else len(_row_keys(rows[:, case.drawn]) & known)
        if hits >= 2:
            found.append(f"{path}: {hits} rows of the samples")
    if found:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(found),
            "the estimator reaches data that it is tested on, without being given them "
            "by evaluate: an evaluation set, a look-up table, a global "
            "variable.",
        )
    else:
        yield passed(
            check,
            "recomputed",
            f"no array in the estimator holds samples or labels.{case.columns_told}",
        )


def search_without_groups(case: Case) -> Iterator[Finding]:
    """Inner splits that put one person on both sides.

    Each part with a parameter ``cv`` is asked for its splits of the first fold's training rows,
    with the subjects as groups, exactly as a search would ask. An early stopping that holds out
    single rows (``early_stopping`` with ``validation_fraction``) is a warning.
    """
    check = "search_without_groups"
    if case.estimator is None or case.samples is None or case.y is None or not case.sets:
        yield unverified(check, "the estimator or the samples were not handed over.")
        return
    faults, warned, seen = [], [], 0
    for path, part in parts(case.estimator):
        if isinstance(part, type) or not hasattr(part, "get_params"):
            continue
        if hasattr(part, "cv") and part.cv != "prefit":
            seen += 1
            if shared := _inner_shares(part, case, case.sets[0]):
                faults.append(f"{path} ({shared})")
        if getattr(part, "early_stopping", False) is True and hasattr(part, "validation_fraction"):
            warned.append(path)
    if faults:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(faults),
            "the inner split puts windows of one person on both sides, so it chooses "
            "what fits known people. Give it a splitter by group, such as "
            "GroupKFold.",
        )
    if warned:
        yield Finding(
            check,
            "warning",
            "recomputed",
            some(warned),
            "early stopping holds out single windows, not people: it stops too late. "
            "Prefer an estimator that takes groups.",
        )
    if not faults and not warned:
        yield passed(
            check,
            "recomputed",
            f"{seen} inner splits keep people apart."
            if seen
            else "the estimator has no inner split that evaluate cannot see.",
        )


def pretraining_overlap(case: Case) -> Iterator[Finding]:
    """Weights whose register of people overlaps the tested subjects.

    Registers are read from ``declared["trained_on"]``, from parts of the estimator with an
    attribute ``trained_on``, and from the weights on their Cards. An empty list of subjects means
    the whole data set; None means that nobody has said: "overlap unknown".
    """
    check = "pretraining_overlap"
    namespace = _namespace(case.run.question.dataset)
    tested = {str(s) for s in case.run.predictions["subject"].unique()}
    registers = _registers(case)
    unknown = [name for name, register in registers if register is None]
    found = []
    for name, register in registers:
        for space, people in (register or {}).items():
            if space in (namespace, case.run.question.dataset):
                met = tested & {str(p) for p in people} if people else tested
                found += [f"{name}: {some(sorted(met))}"] if met else []
    if found and case.target_access == "none":
        yield Finding(
            check,
            "fault",
            "declared",
            some(found),
            "the weights were trained on people they are tested on. Use weights that "
            "have not met them, or keep these people out.",
        )
    elif found:
        yield Finding(
            check,
            "declared",
            "declared",
            some(found),
            f"the weights have met the test subjects, as declared ({case.target_access}).",
        )
    elif unknown:
        yield Finding(
            check,
            "warning",
            "declared",
            some(unknown),
            "weights of unknown provenance: overlap unknown.",
        )
    elif registers:
        yield unverified(check, "the registers of the weights name none of the test subjects.")
    else:
        yield unverified(check, "no pre-trained weights were named.")


def _registers(case: Case) -> list[tuple[str, Mapping[str, Any] | None]]:
    found: list[tuple[str, Mapping[str, Any] | None]] = []
    if "trained_on" in case.declared:
        found.append(("declared", case.declared["trained_on"]))
    for path, part in parts(case.estimator) if case.estimator is not None else ():
        if isinstance(part, type):
            continue
        register = vars(part).get("trained_on", ...) if hasattr(part, "__dict__") else ...
        if register is not ...:
            found.append((path, register))
        weights = getattr(getattr(part, "card", None), "weights", None)
        if weights is not None and getattr(part, "pretrained", False):
            found.append((path, weights.trained_on))
    return found


def _namespace(dataset: str) -> str:
    if dataset not in DATASETS.names():
        return dataset
    return str(DATASETS.card(dataset).person_namespace or dataset)  # type: ignore[attr-defined]


def _inner_shares(part: Any, case: Case, sets: Sets) -> str:
    """What an inner split shares, in words; empty when it keeps people apart."""
    from sklearn.model_selection import check_cv

    assert case.samples is not None
    assert case.y is not None
    rows = np.asarray(sets.train, dtype=int)
    groups, y = case.samples.subjects[rows], case.y[rows]
    x = take_rows(case.samples.x, rows)
    if isinstance(x, Mapping):
        x = np.zeros((len(rows), 1))
    try:
        splitter = check_cv(part.cv, y, classifier=case.is_classifier)
        with warnings.catch_warnings():  # "groups is ignored" is the finding itself
            warnings.simplefilter("ignore", UserWarning)
            inner = list(splitter.split(x, y, groups))
    except (ValueError, TypeError) as error:
        return f"its splits cannot be made for this fold: {error}"
    for a, b in inner:
        if max(int(np.max(a, initial=0)), int(np.max(b, initial=0))) >= len(rows):
            return "its splits are fixed lists of rows, which do not fit this fold"
        if shared := set(groups[a]) & set(groups[b]):
            return f"{type(splitter).__name__}, people on both sides: {len(shared)}"
    return ""


def _is_labels(part: Any, y: Array | None) -> bool:
    if y is None or not isinstance(part, list | tuple | np.ndarray | pd.Series):
        return False
    if len(y) < 4 or len(part) != len(y) or len(np.unique(y)) < 2:
        return False
    values = np.asarray(part)
    return values.shape == y.shape and values.dtype.kind in "iufb" and bool((values == y).all())


def _rows_of(part: Any, width: int) -> Array | None:
    """The object as rows of the width of a sample, or None."""
    if isinstance(part, pd.DataFrame):
        part = part.select_dtypes("number").to_numpy()
    if not isinstance(part, np.ndarray) or part.dtype.kind not in "fiu" or part.ndim < 2:
        return None
    flat = part.reshape(len(part), -1).astype(float) if len(part) else None
    return flat if flat is not None and flat.shape[1] == width and width >= 1 else None


def _row_keys(rows: Array) -> set[bytes]:
    """Bytes of the rows that hold two different values, or one that is not 0 or 1."""
    rows = np.ascontiguousarray(rows.astype(np.float32))
    telling = [r for r in rows if len(np.unique(r)) > 1 or (r.size == 1 and r[0] not in (0, 1))]
    return {row.tobytes() for row in telling}
