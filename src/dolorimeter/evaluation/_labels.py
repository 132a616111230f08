"""Labels of any type as class indices, or as numbers for a regressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from dolorimeter.errors import EvaluationError
from dolorimeter.samples import Samples
from dolorimeter.types import TargetKind

Labels = Shaped[np.ndarray, " sample"]

EXACT = 1e-9
"""Seconds by which a start may miss the time that is looked for."""

_EMPTY = ("", "nan", "NaN", "None")
"""Text that NumPy and spreadsheets write for a missing label."""


def encode_labels(
    y: Any, n_samples: int, kind: TargetKind, classes: Sequence[Any] | None = None
) -> tuple[Labels, tuple[str, ...]]:
    """Return class indices and class names, or the targets of a regressor.

    Parameters
    ----------
    y : array-like of length `n_samples`
        Labels of any type: text, integers, booleans or a pandas Categorical. Numbers for a
        regressor.
    n_samples : int
        Number of samples the labels belong to.
    kind : {"classifier", "ordinal", "regressor"}
    classes : sequence, optional
        The labels in the order of their class indices, or names for the indices 0 … C−1. By
        default the sorted labels, or the order of a Categorical. Required for an ordinal model
        with text labels, because alphabetical order is not their order.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        Class indices 0 … C−1, or float targets.
    names : tuple of str
        Class names by index; empty for a regressor.

    Raises
    ------
    EvaluationError
        If the number of labels is wrong, labels are missing, a class never occurs, or the order of
        the classes is unknown.

    Examples
    --------
    >>> encode_labels(["pain", "rest", "pain"], 3, "classifier")
    (array([0, 1, 0]), ('pain', 'rest'))
    """
    classes = None if classes is None else list(classes)
    values, order = _values(y, n_samples)
    if classes is not None and len(set(classes)) < len(classes):
        raise EvaluationError(f"classes {classes} name a class twice: pass each label once.")
    if kind == "regressor":
        return _targets(values), ()
    if values.dtype.kind == "f" and (values != np.round(values)).any():
        raise EvaluationError(
            f"the labels are decimal numbers (the first is {values[0]:g}), expected classes. To "
            "predict numbers, pass target_kind='regressor' and an estimator that is a regressor."
        )
    known = _distinct(values)
    if classes is not None and not set(known) <= set(classes):
        return _named_indices(values, known, tuple(map(str, classes)))
    if classes is not None:
        order = tuple(classes)
    elif order is None:
        if kind == "ordinal" and values.dtype == object:
            raise EvaluationError(
                f"the labels are text ({', '.join(map(repr, known[:5]))}) and an ordinal model "
                "needs their order. Pass classes=(lowest, …, highest), or an ordered Categorical."
            )
        order = tuple(known)
    return _indices(values, known, order)


def lagged_targets(
    samples: Samples, y: Any, lag: float
) -> tuple[Int[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Return the target that each window has `lag` seconds later, where there is one.

    A continuous rating (such as COVAS) follows the pain that it rates. Windows are paired with the
    rating of the window that starts `lag` seconds later in the same recording, interpolated
    between windows that are at most twice the recording's median step apart. Windows without a
    later rating are left out; their number is ``len(samples) − len(rows)``.

    Parameters
    ----------
    samples : Samples
        With the start of each window.
    y : array-like of shape (n_samples,)
        Target of each window, without lag.
    lag : float
        Seconds by which the rating follows, at least 0. State it where results are reported.

    Returns
    -------
    rows : ndarray of int
        Windows that have a later target, for ``samples.take(rows)``.
    targets : ndarray of float
        Their targets.

    Raises
    ------
    EvaluationError
        If `lag` is negative or not finite, or a start is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from dolorimeter.samples import Samples
    >>> samples = Samples.from_arrays(
    ...     np.zeros((4, 1)), subject=["a"] * 4, recording=["r"] * 4, start=[0.0, 1.0, 2.0, 3.0])
    >>> rows, targets = lagged_targets(samples, [0.0, 10.0, 20.0, 30.0], lag=1.5)
    >>> rows.tolist(), targets.tolist()
    ([0, 1], [15.0, 25.0])
    """
    values, _ = _values(y, len(samples))
    later = targets_after(samples, _targets(values), lag)
    found: Int[np.ndarray, " row"] = np.flatnonzero(np.isfinite(later))
    return found, later[found]


def targets_after(
    samples: Samples, targets: Float[np.ndarray, " sample"], lag: float
) -> Float[np.ndarray, " sample"]:
    """Return the target `lag` seconds after each window, NaN where it is unknown.

    Parameters
    ----------
    samples : Samples
        With the start of each window.
    targets : array of float
        Target of each window, without lag; NaN where it is unknown.
    lag : float
        Seconds, at least 0.

    Raises
    ------
    EvaluationError
        As `lagged_targets`.
    """
    if not (np.isfinite(lag) and lag >= 0):
        raise EvaluationError(f"lag is {lag}, expected seconds of at least 0.")
    start = samples.meta["start"].to_numpy(dtype=float)
    if not np.isfinite(start).all():
        raise EvaluationError(
            f"lag: {int((~np.isfinite(start)).sum())} windows have no start; expected the start "
            "of each window in seconds (Samples.from_arrays(…, start=…))."
        )
    later = np.full(len(targets), np.nan)
    names = [samples.meta[column].astype(str).to_numpy() for column in ("subject", "recording")]
    for part in pd.Series(np.arange(len(start))).groupby(names, sort=False).indices.values():
        rows = part[np.argsort(start[part], kind="stable")]
        later[rows] = _between(start[rows] + lag, start[rows], targets[rows])
    return later


def _between(
    times: Float[np.ndarray, " time"],
    start: Float[np.ndarray, " row"],
    targets: Float[np.ndarray, " row"],
) -> Float[np.ndarray, " time"]:
    """Targets at times, linear between windows in order; NaN in a gap and after the last one."""
    step = np.diff(start)
    widest = 2 * float(np.median(step)) if len(step) else 0.0
    before = np.searchsorted(start, times + EXACT, side="right") - 1
    after = np.minimum(before + 1, len(start) - 1)
    distance, width = times - start[before], start[after] - start[before]
    known = (before < after) & (width <= widest + EXACT)
    share = np.where(known, distance / np.where(known, width, 1.0), np.nan)
    mixed = (1 - share) * targets[before] + share * targets[after]
    return np.where(np.abs(distance) <= EXACT, targets[before], mixed)


@runtime_checkable
class Labelled(Protocol):
    """What `labels_of` reads of a run."""

    @property
    def target_kind(self) -> TargetKind: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


def labels_of(run: Labelled, y: Any) -> Labels:
    """Return labels as the class indices, or the targets, of a run.

    Parameters
    ----------
    run : Run
        Its classes name the indices.
    y : array-like
        One label per sample of the run, of the type that `evaluate` was called with, or class
        indices.

    Raises
    ------
    EvaluationError
        If a label is not a class of the run.
    """
    values, _ = _values(y, len(y))
    if run.target_kind == "regressor":
        return _targets(values)
    names = [_name(v.item() if hasattr(v, "item") else v) for v in values]
    place = {name: i for i, name in enumerate(run.classes)}
    if all(name in place for name in names):
        return np.array([place[name] for name in names], dtype=int)
    if values.dtype.kind in "biu" and values.min() >= 0 and values.max() < len(place):
        return values.astype(int)
    unknown = next(name for name in names if name not in place)
    raise EvaluationError(
        f"label '{unknown}' is not a class of the run ({', '.join(run.classes)}). Pass the labels "
        "of the samples that were evaluated."
    )


def _values(y: Any, n_samples: int) -> tuple[Labels, tuple[Any, ...] | None]:
    """The labels as a one-dimensional array without missing values, and their declared order."""
    series = _series(y, n_samples)
    if len(series) != n_samples:
        raise EvaluationError(
            f"{n_samples} samples and {len(series)} labels: expected one label per sample."
        )
    if not n_samples:
        raise EvaluationError("there are no samples: every window was left out, or none was cut.")
    missing = (series.isna() | series.astype(object).isin(_EMPTY)).to_numpy()
    if missing.any():
        raise EvaluationError(
            f"{int(missing.sum())} of {n_samples} labels are missing (NaN, None or empty), the "
            f"first in row {int(missing.argmax())}. Leave these samples out first, and count them."
        )
    order = None
    if isinstance(series.dtype, pd.CategoricalDtype):
        order = tuple(series.cat.categories) if series.cat.ordered else None
        series = series.astype(object)
    if series.dtype.kind in "mM":
        series = series.astype(str)
    values = series.to_numpy()
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise EvaluationError(
            "labels are infinite in some samples: leave these out, and count them."
        )
    if values.dtype.kind not in "biuf":
        mixed = sorted({type(v).__name__ for v in values})
        if len(mixed) > 1:
            raise EvaluationError(
                f"the labels are of several types ({', '.join(mixed)}): expected one type."
            )
        inferred = np.asarray(values.tolist())
        values = inferred if inferred.dtype.kind in "biuf" else values.astype(object)
    return values, order


def _series(y: Any, n_samples: int) -> pd.Series:
    """The labels as a Series; a table of one column counts as one."""
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if isinstance(y, np.ndarray) and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    try:
        flat = hasattr(y, "__getitem__") and not isinstance(y, str) and np.ndim(y) == 1
    except ValueError:  # rows of different lengths
        flat = False
    if not flat:
        found = f"of shape {y.shape}" if hasattr(y, "shape") else f"{type(y).__name__} {y!r}"
        raise EvaluationError(
            f"y is {found[:80]}, expected one label per sample: a sequence of length {n_samples}."
        )
    return y if isinstance(y, pd.Series) else pd.Series(y)


def _targets(values: Labels) -> Labels:
    if values.dtype.kind not in "biuf":
        raise EvaluationError(
            f"targets of a regressor are numbers; the first label is {values[0]!r}. "
            "For classes pass target_kind='classifier'."
        )
    targets = values.astype(float)
    infinite = ~np.isfinite(targets)
    if infinite.any():
        raise EvaluationError(
            f"{int(infinite.sum())} of {len(targets)} targets are infinite, the first in row "
            f"{int(infinite.argmax())}. Leave these samples out first, and count them."
        )
    return targets


def _distinct(values: Labels) -> list[Any]:
    return sorted({v.item() if hasattr(v, "item") else v for v in values})


def _named_indices(
    values: Labels, known: list[Any], names: tuple[str, ...]
) -> tuple[Labels, tuple[str, ...]]:
    """Labels that are class indices already, with names for them."""
    indices = list(range(len(names)))
    if values.dtype.kind not in "biu" or [int(v) for v in known] != indices:
        raise EvaluationError(
            f"the labels are {', '.join(map(repr, known[:8]))}; classes = "
            f"{', '.join(map(repr, names[:8]))}. Expected the labels themselves in their order, "
            f"or names for the class indices 0 … {len(names) - 1}, each of which occurs."
        )
    return values.astype(int), names


def _indices(
    values: Labels, known: list[Any], order: tuple[Any, ...]
) -> tuple[Labels, tuple[str, ...]]:
    absent = [c for c in order if c not in set(known)]
    if absent or len(order) < 2:
        raise EvaluationError(
            f"the labels are {', '.join(map(repr, known[:8]))}; expected at least two classes, "
            f"and every class to occur{f' ({absent[0]!r} does not)' if absent else ''}."
        )
    place = {label: i for i, label in enumerate(order)}
    codes = np.array([place[v.item() if hasattr(v, "item") else v] for v in values], dtype=int)
    return codes, tuple(_name(label) for label in order)


def _name(label: Any) -> str:
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
