"""Arguments of `evaluate`: what they stand for, and one named error where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
from jaxtyping import Bool
from sklearn.base import is_classifier, is_regressor

from dolorimeter._on_demand import notice
from dolorimeter.errors import EvaluationError
from dolorimeter.samples import Samples, refuse_other_rows
from dolorimeter.types import TargetKind


def kind_of(estimator: Any, target_kind: Any) -> TargetKind:
    """Return the kind of target, by default what scikit-learn says of the estimator.

    Raises
    ------
    EvaluationError
        If the estimator is not an estimator, or the kind is unknown.
    """
    if isinstance(estimator, type) or not callable(getattr(estimator, "fit", None)):
        hint = f"{estimator.__name__}()" if isinstance(estimator, type) else "an object with fit"
        raise EvaluationError(f"estimator is {estimator!r}, expected {hint}.")
    if not callable(getattr(estimator, "get_params", None)):
        raise EvaluationError(
            f"estimator {type(estimator).__name__} has no get_params, so that it cannot be cloned "
            "for each fold. Inherit from sklearn.base.BaseEstimator."
        )
    if target_kind is not None and target_kind not in get_args(TargetKind):
        raise EvaluationError(
            f"target_kind is {target_kind!r}, expected one of {', '.join(get_args(TargetKind))}."
        )
    if target_kind is not None:
        kind: TargetKind = target_kind
        return kind
    return "regressor" if is_regressor(estimator) else "classifier"


def check_estimator(estimator: Any, kind: TargetKind) -> None:
    """Raise if the estimator cannot answer the kind of target.

    Raises
    ------
    EvaluationError
        Names the method or the kind that does not fit.
    """
    name = type(estimator).__name__
    if kind != "regressor" and not hasattr(estimator, "predict_proba"):
        raise EvaluationError(
            f"{name} has no predict_proba. Use a classifier that has it, or wrap this one: "
            f"dolorimeter.estimators.TemperatureCalibrated({name}(…)) learns probabilities from "
            "its margins on inner folds by subject."
        )
    if kind == "regressor" and is_classifier(estimator):
        raise EvaluationError(
            f"{name} is a classifier and target_kind is 'regressor'. Pass a regressor, or leave "
            "target_kind out."
        )
    if kind == "classifier" and is_regressor(estimator):
        raise EvaluationError(
            f"{name} is a regressor and target_kind is 'classifier'. Pass a classifier, or leave "
            "target_kind out."
        )


def seeds_of(seed: Any) -> tuple[int, ...]:
    """Return seeds as distinct integers.

    Raises
    ------
    EvaluationError
        If a seed is not an integer from 0, or is repeated.
    """
    values = [seed] if np.ndim(seed) == 0 else list(seed)
    wrong = [
        v for v in values if isinstance(v, bool) or not isinstance(v, int | np.integer) or v < 0
    ]
    if wrong or not values or len(set(values)) < len(values):
        raise EvaluationError(
            f"seed is {seed!r}, expected an integer from 0, or a sequence of different ones."
        )
    return tuple(int(v) for v in values)


def name_of(estimator: Any) -> str:
    """Name an estimator by its class, a pipeline by its steps."""
    steps = getattr(estimator, "steps", None)
    if not isinstance(steps, list):
        return type(estimator).__name__
    return " + ".join(name_of(step) for _, step in steps if step not in (None, "passthrough"))


def renamed_groups(
    X: Any, groups: Any, demographics: Sequence[str]
) -> tuple[Any, tuple[str, ...]]:
    """Read the old meaning of `groups`, names of columns of ``Samples.meta``."""
    if demographics is None:
        demographics = ()
    if isinstance(demographics, str):
        raise EvaluationError(
            f"demographics is the text '{demographics}', expected a sequence of columns: "
            f"['{demographics}']."
        )
    old = (
        isinstance(X, Samples)
        and isinstance(groups, list | tuple)
        and len(groups) < len(X)
        and all(isinstance(name, str) for name in groups)
    )
    if old:
        notice("the argument groups=('column', …) of evaluate", "demographics", stacklevel=4)
        return None, (*demographics, *groups)
    return groups, tuple(demographics)


def samples_of(X: Any, y: Any, groups: Any) -> Samples:
    """The samples that `X` and `groups` stand for."""
    if isinstance(X, Samples):
        if groups is not None:
            _check_groups(groups)
            if list(map(str, groups)) != X.subjects.astype(str).tolist():
                raise EvaluationError(
                    "groups differ from the subjects of the samples. Leave groups out, or change "
                    "the column 'subject' of Samples.meta."
                )
        _refuse_unnamed("the subject", X.meta["subject"].eq("").to_numpy())
        return X
    if y is None:
        raise EvaluationError(
            f"y is missing. X is a {type(X).__name__}, which has no labels: pass y."
        )
    if groups is None:
        raise EvaluationError(
            f"groups is missing. X is a {type(X).__name__}, which does not say whose samples "
            "these are: pass groups=, the subject of each sample."
        )
    _check_groups(groups)
    refuse_other_rows({"X": X, "y": y, "groups": groups})
    _check_length(X, groups)
    samples = Samples.from_arrays(X, subject=groups)
    subjects = np.unique(samples.subjects.astype(str))
    if len(subjects) < 2:
        raise EvaluationError(
            f"groups name one subject only ('{subjects[0]}'): an estimate for new people needs at "
            "least two."
            if len(subjects)
            else "X has no rows: pass at least two subjects' samples."
        )
    return samples


def _check_groups(groups: Any) -> None:
    """Raise if groups are not a column without missing values."""
    if isinstance(groups, str) or not hasattr(groups, "__len__") or np.ndim(groups) != 1:
        shape = getattr(groups, "shape", None)
        what = repr(groups) if shape is None else f"{type(groups).__name__} of shape {shape}"
        raise EvaluationError(
            f"groups is {what[:80]}, expected the subject of each sample: a sequence, such as "
            "table['subject']."
        )
    _refuse_unnamed("groups", pd.isna(pd.Series(list(groups), dtype=object)).to_numpy())


def _refuse_unnamed(name: str, missing: Bool[np.ndarray, " sample"]) -> None:
    """Raise if any sample has no subject."""
    if missing.any():
        raise EvaluationError(
            f"{name} is missing in {int(missing.sum())} of {len(missing)} samples, the first in "
            f"row {int(missing.argmax())}. Leave these samples out first, and count them."
        )


def _check_length(X: Any, groups: Any) -> None:
    """Raise if `X` is not a set of arrays with one row per subject of `groups`."""
    first = next(iter(X.values()), groups) if isinstance(X, Mapping) else X
    shape = getattr(first, "shape", None)
    if isinstance(first, str | bytes) or not (shape or hasattr(first, "__len__")):
        raise EvaluationError(
            f"X is {X!r}, expected samples: a DataFrame, an array, a mapping of arrays or Samples."
        )
    n_samples = shape[0] if shape else len(first)
    if len(groups) != n_samples:
        raise EvaluationError(
            f"groups has {len(groups)} values for {n_samples} samples: expected one subject each."
        )


def conditions_of(samples: Samples) -> pd.Series:
    """Conditions of the samples, as their labels."""
    conditions = samples.meta["condition"].astype(str)
    unknown = int((conditions == "").sum())
    if unknown:
        raise EvaluationError(
            f"y is missing, and {unknown} of {len(samples)} samples have no condition to take as "
            "their label: pass y."
        )
    return conditions
