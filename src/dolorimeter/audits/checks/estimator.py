"""Checks of the parameters that an estimator brings along.

Only parameters are read (``get_params``), with what functions among them capture. What an
estimator does with data is left to the checks that fit it.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.audits.evaluation_under_audit import EvaluationUnderAudit
from dolorimeter.audits.findings import Finding, not_checked, passed, some
from dolorimeter.datasets.participants import identity
from dolorimeter.registry import DATASETS
from dolorimeter.types import Array

MAX_DEPTH = 6
"""Containers and functions inside each other that are followed."""

_LIBRARIES = ("sklearn.", "numpy.", "scipy.", "pandas.", "torch.", "dolorimeter.", "builtins.")
_PLAIN = (str, bytes, int, float, complex, bool, type(None), np.generic, np.random.Generator)


def prefitted_parts(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report parts of the estimator that are fitted before any fold.

    ``sklearn.base.clone`` resets an estimator, but not a `FrozenEstimator` and not what a function
    captures (`FunctionTransformer`). Parts with a register of their training subjects (attribute
    ``trained_on``) belong to `pretraining_overlap`.
    """
    check = "fitted_outside_fold"
    if case.estimator is None:
        yield not_checked(check, "the estimator was not passed.")
        return
    from sklearn.base import clone

    try:
        fresh = clone(case.estimator)
    except (TypeError, RuntimeError, ValueError) as error:
        yield Finding(
            check,
            "warning",
            "recomputed",
            type(case.estimator).__name__,
            f"the estimator cannot be cloned ({error}); folds may share what it learns.",
        )
        return
    fitted = [
        path
        for path, part in parameters(fresh)
        if is_fitted(part) and not hasattr(part, "trained_on")
    ]
    if fitted:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(fitted),
            f"{len(fitted)} parts of the estimator are fitted before any fold, and do not say on "
            "which subjects. Pass them unfitted, or give them `trained_on`.",
        )
    else:
        yield passed(check, "recomputed", "no part of the estimator is fitted.", "estimator")


def data_in_parameters(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report parameters that hold rows of the samples, or their labels.

    A row counts when it equals a sample bit for bit and holds two different values; labels count
    when a whole array equals them and they are not constant.
    """
    check = "test_data_in_estimator"
    if case.estimator is None or case.columns is None:
        yield not_checked(check, "the estimator or the samples were not passed.")
        return
    known: set[bytes] | None = None
    held = []
    for path, part in parameters(case.estimator):
        if _is_labels(part, case.y):
            held.append(f"{path}: the labels")
            continue
        rows = _rows_of(part, case.width)
        if rows is None:
            continue
        known = _row_keys(case.columns) if known is None else known
        hits = len(_row_keys(rows[:, case.drawn]) & known)
        if hits >= 2:
            held.append(f"{path}: {hits} rows of the samples")
    if held:
        yield Finding(
            check,
            "fault",
            "recomputed",
            some(held),
            "parameters of the estimator hold data that it is tested on: an evaluation set or a "
            "look-up table. Let `evaluate` pass the data.",
        )
    else:
        yield passed(
            check,
            "recomputed",
            f"no parameter of the estimator holds samples or labels.{case.coverage}",
        )


def pretraining_overlap(case: EvaluationUnderAudit) -> Iterator[Finding]:
    """Report weights whose register of training subjects overlaps the tested ones.

    Registers are read from ``declared["trained_on"]``, from parts of the estimator with an
    attribute ``trained_on``, and from the weights on their Cards. Each data set of the run is
    compared under its own person namespace. An empty list of subjects means the whole data set;
    None means unknown.
    """
    check = "pretraining_overlap"
    tested = _tested(case)
    registers = _registers(case)
    unknown = [name for name, register in registers if register is None]
    overlap = []
    for name, register in registers:
        for space, people in (register or {}).items():
            here = {k: v for names, by_id in tested if space in names for k, v in by_id.items()}
            ids = {identity(p) for p in people} if people else set(here)
            if met := sorted(here[k] for k in ids & here.keys()):
                overlap.append(f"{name}: {some(met)}")
    if overlap and case.target_access == "none":
        yield Finding(
            check,
            "fault",
            "declared",
            some(overlap),
            "the weights were trained on subjects they are tested on. Use other weights, or leave "
            "these subjects out.",
        )
    elif overlap:
        yield Finding(
            check,
            "declared",
            "declared",
            some(overlap),
            f"the weights were trained on test subjects, as declared ({case.target_access}).",
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
        yield not_checked(check, "the registers of the weights name none of the test subjects.")
    else:
        yield not_checked(check, "no pre-trained weights were named.")


def parameters(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Yield the estimator and everything that its parameters hold, with the way to it.

    Containers, partial functions, bound methods, and the closures, defaults and global names of
    functions that are parameters are followed. Attributes and methods of classes are not.

    Parameters
    ----------
    estimator : object

    Yields
    ------
    (path, object)
    """
    seen: set[int] = set()
    queue: list[tuple[str, Any, int]] = [(type(estimator).__name__, estimator, 0)]
    while queue:
        path, part, depth = queue.pop(0)
        if id(part) in seen or isinstance(part, _PLAIN):
            continue
        seen.add(id(part))
        yield path, part
        if depth < MAX_DEPTH:
            queue.extend((p, value, depth + 1) for p, value in _held(path, part))


def _held(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, np.ndarray | pd.DataFrame | pd.Series | type) or inspect.ismodule(part):
        return
    if isinstance(part, Mapping):
        yield from ((f"{path}[{key!r}]", value) for key, value in part.items())
    elif isinstance(part, list | tuple | set | frozenset):
        yield from ((f"{path}[{i}]", value) for i, value in enumerate(part))
    elif isinstance(part, types.MethodType):
        yield f"{path}.__self__", part.__self__
    elif isinstance(part, functools.partial):
        yield f"{path}.func", part.func
        yield f"{path}.args", part.args
        yield f"{path}.keywords", part.keywords
    elif isinstance(part, types.FunctionType):
        yield from _captured(path, part)
    elif hasattr(part, "get_params") and not isinstance(part, type):
        values = part.get_params(deep=False)
        yield from ((f"{path}.{name}", value) for name, value in sorted(values.items()))


def _captured(path: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Closure, defaults and global variables of a function that is a parameter."""
    if f"{function.__module__}.".startswith(_LIBRARIES):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{path}→{name}", cell.cell_contents
        except ValueError:  # the cell of a name that was never bound
            continue
    yield f"{path} defaults", function.__defaults__ or ()
    yield f"{path} keyword defaults", function.__kwdefaults__ or {}
    names = {i.argval for i in dis.get_instructions(function) if i.opname == "LOAD_GLOBAL"}
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if not inspect.ismodule(value) and not isinstance(value, type):
            yield f"{path}→global {name}", value


def is_fitted(part: Any) -> bool:
    """Return whether the object is an estimator that has already learnt from data.

    An estimator whose tags say that it learns nothing (``requires_fit`` is false, such as a
    `FunctionTransformer`) is never fitted in this sense.

    Parameters
    ----------
    part : object
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils import get_tags
    from sklearn.utils.validation import check_is_fitted

    if isinstance(part, type) or not hasattr(part, "fit") or not hasattr(part, "get_params"):
        return False
    learnt = [n for n in vars(part) if n.endswith("_") and not n.startswith("_")]
    if not learnt:
        return False
    try:
        if not get_tags(part).requires_fit:
            return False
        check_is_fitted(part)
    except (NotFittedError, TypeError, AttributeError):
        return False
    return True


def _tested(case: EvaluationUnderAudit) -> list[tuple[set[str], dict[str, str]]]:
    """Per data set: its name and person namespace, and its tested subjects by identity.

    Subjects of joined data sets are called ``dataset:subject``.
    """
    table = case.run.predictions[["dataset", "subject"]].astype(str).drop_duplicates()
    tested = []
    for dataset, rows in table.groupby("dataset"):
        names = {str(dataset), _namespace(str(dataset))}
        if len(table["dataset"].unique()) == 1:
            names |= {case.run.question.dataset, _namespace(case.run.question.dataset)}
        subjects = rows["subject"].str.removeprefix(f"{dataset}:")
        tested.append((names, {identity(s): s for s in subjects}))
    return tested


def _registers(case: EvaluationUnderAudit) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Name and register of every set of weights."""
    registers: list[tuple[str, Mapping[str, Any] | None]] = []
    if "trained_on" in case.declared:
        registers.append(("declared", case.declared["trained_on"]))
    for path, part in parameters(case.estimator) if case.estimator is not None else ():
        if isinstance(part, type):
            continue
        register = vars(part).get("trained_on", ...) if hasattr(part, "__dict__") else ...
        if register is not ...:
            registers.append((path, register))
        weights = getattr(getattr(part, "card", None), "weights", None)
        if weights is not None and getattr(part, "pretrained", False):
            registers.append((path, weights.trained_on))
    return registers


def _namespace(dataset: str) -> str:
    if dataset not in DATASETS.names():
        return dataset
    return str(getattr(DATASETS.card(dataset), "person_namespace", "") or dataset)


def _is_labels(part: Any, y: Array | None) -> bool:
    """Whether the object holds exactly the labels."""
    if y is None or not isinstance(part, list | tuple | np.ndarray | pd.Series):
        return False
    if isinstance(part, np.ndarray) and part.ndim == 0:
        return False
    if len(y) < 4 or len(part) != len(y) or len(np.unique(y)) < 2:
        return False
    try:
        values = np.asarray(part)
    except ValueError:  # a ragged list
        return False
    return values.shape == y.shape and values.dtype.kind in "iufb" and bool((values == y).all())


def _rows_of(part: Any, width: int) -> Array | None:
    """The object as rows of the width of a sample, or None."""
    if isinstance(part, pd.DataFrame):
        part = part.select_dtypes("number").to_numpy()
    if not isinstance(part, np.ndarray) or part.dtype.kind not in "fiu" or part.ndim < 2:
        return None
    if not len(part) or width < 1:
        return None
    flat = part.reshape(len(part), -1).astype(float)
    return flat if flat.shape[1] == width else None


def _row_keys(rows: Array) -> set[bytes]:
    """Bytes of the rows that hold two different values, or one that is not 0 or 1."""
    rows = np.ascontiguousarray(rows.astype(np.float32))
    low, high = np.fmin.reduce(rows, axis=1), np.fmax.reduce(rows, axis=1)
    single = (rows.shape[1] == 1) & np.isfinite(low) & ~np.isin(low, (0, 1))
    return {row.tobytes() for row in rows[(high > low) | single]}
