"""Splits inside `fit`: by subject, on the subjects that `fit` was given, and on nobody else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from sklearn.base import clone
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.samples import take_rows
from dolorimeter.splits import inner_folds
from dolorimeter.types import Array

Windows = Array | Mapping[str, Array]
"""First axis: the window. One array, or one a stream."""


def check_parameters(estimator: Any, who: str) -> None:
    """Check an estimator's arguments against the constraints that its class declares.

    Raises
    ------
    ConfigError
        Naming the argument, what it is and what it may be.
    """
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    try:
        last._validate_params()
    except ValueError as error:
        raise ConfigError(f"{who}: {error}") from error


def checked(estimator: Any, X: Any, y: Any, **settings: Any) -> tuple[Any, Any]:
    """X and y as scikit-learn checks them for `estimator`, NaN allowed.

    A mapping of streams is only checked for its lengths: what is inside is the inner estimator's.
    """
    if not _of_streams(X):
        found: tuple[Any, Any] = validate_data(
            estimator, X, y, allow_nd=True, dtype=None, ensure_all_finite=False, **settings
        )
        return found
    y = check_array(y, ensure_2d=False, dtype=None)
    check_consistent_length(y, *X.values())
    return dict(X), y


def as_fitted(estimator: Any, X: Any) -> Any:
    """X as scikit-learn checks it against what `estimator` was fitted on; a mapping as it is."""
    if _of_streams(X):
        return dict(X)
    return validate_data(
        estimator, X, allow_nd=True, dtype=None, ensure_all_finite=False, reset=False
    )


def _of_streams(X: Any) -> bool:
    return isinstance(X, Mapping) and not hasattr(X, "shape")  # one sparse array of SciPy is both


def groups_parameter(estimator: Any) -> str | None:
    """The name under which `estimator.fit` takes groups, or None where it takes none.

    Looks through pipelines (``"svc__groups"``) and scikit-learn's search objects.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = None if last == "passthrough" else groups_parameter(last)
        return None if inner is None else f"{name}__{inner}"
    if isinstance(estimator, BaseSearchCV):
        return "groups"
    return "groups" if "groups" in inspect.signature(estimator.fit).parameters else None


def fit_with_groups(
    estimator: Any,
    x: Any,
    y: Shaped[np.ndarray, " window"],
    groups: Shaped[np.ndarray, " window"] | None,
) -> Any:
    """Fit `estimator`, handing it the groups if it takes them; returns it.

    `x` is an array whose first axis is the window, or a mapping of streams to such arrays.
    """
    name = groups_parameter(estimator)
    if name is None or groups is None:
        return estimator.fit(x, y)
    return estimator.fit(x, y, **{name: groups})


def require_groups(
    groups: Shaped[np.ndarray, " window"] | None, who: str, why: str, rows: int
) -> Shaped[np.ndarray, " window"]:
    """The groups as an array of one per window.

    Raises
    ------
    TrainingError
        If they were not given, or are not one per window.
    """
    if groups is None:
        raise TrainingError(
            f"{who} {why}, by subject, and was given no groups: call fit(x, y, groups=subjects). "
            "`evaluate` does so by itself."
        )
    groups = np.asarray(groups)
    if groups.shape != (rows,):
        raise TrainingError(
            f"{who} was given groups of shape {groups.shape} for {rows} windows: give the subject "
            "of each window."
        )
    return groups


def held_out_models(
    estimator: Any,
    x: Windows,
    y: Shaped[np.ndarray, " window"],
    groups: Shaped[np.ndarray, " window"],
    n_splits: int,
    seed: int,
) -> Iterator[tuple[Any, Int[np.ndarray, " held"]]]:
    """A clone fitted on the other subjects, and the rows of those left out, for each inner fold.

    Raises
    ------
    SplitError
        If there are fewer subjects than folds.
    """
    for train, held in inner_folds(groups, n_splits, seed):
        yield fit_with_groups(clone(estimator), take_rows(x, train), y[train], groups[train]), held


def log_probabilities(
    model: Any, x: Windows, classes: Shaped[np.ndarray, " class"]
) -> Float[np.ndarray, "window class"]:
    """Logarithms of the probabilities in the order of `classes`, or what stands for them.

    A model without `predict_proba` gives its margins, which a temperature turns into logits. A
    class that is not among the training labels of the model has −inf, at any temperature.
    """
    tiny = np.finfo(float).tiny
    if hasattr(model, "predict_proba"):
        known = np.log(np.maximum(model.predict_proba(x), tiny))
    else:
        margin = np.asarray(model.decision_function(x), dtype=float)
        known = margin if margin.ndim == 2 else np.stack([-margin / 2, margin / 2], axis=1)
    out = np.full((len(known), len(classes)), -np.inf)
    out[:, np.searchsorted(classes, model.classes_)] = known
    return out


def class_weights(class_weight: Mapping[Any, Any], classes: Any) -> Float[np.ndarray, " class"]:
    """Return the weight of each class in a loss.

    Parameters
    ----------
    class_weight : mapping of class to float
        Keys may be the text of a class, as TOML has text keys only. A class that is not named has
        weight 1.
    classes : sequence
        Classes by index.

    Returns
    -------
    Float[np.ndarray, "class"]

    Raises
    ------
    ConfigError
        If a key is not a class, or two keys name one class.

    Examples
    --------
    >>> class_weights({"0": 1, "1": 1000}, [0, 1]).tolist()
    [1.0, 1000.0]
    """
    place = {str(c): i for i, c in enumerate(classes)}
    weights = np.ones(len(classes))
    named = [str(key) for key in class_weight]
    unknown = [key for key in named if key not in place]
    if unknown or len(set(named)) < len(named):
        what = f"'{unknown[0]}' is not a class" if unknown else "a class is named twice"
        raise ConfigError(
            f"class_weight: {what}; expected weights of {', '.join(place)}, each at most once."
        )
    for key, weight in class_weight.items():
        weights[place[str(key)]] = float(weight)
    return weights


def prior_of(y: Any, class_weight: str | Mapping[Any, Any] | None) -> list[float]:
    """Return the share of each class as a loss with these weights counts it."""
    classes, counts = np.unique(np.asarray(y), return_counts=True)
    shares = counts.astype(float)
    if class_weight == "balanced":
        shares = np.ones(len(classes))
    elif isinstance(class_weight, Mapping):
        shares *= class_weights(class_weight, classes)
    return [float(share / shares.sum()) for share in shares]


def softmax(logits: Float[np.ndarray, "window class"]) -> Float[np.ndarray, "window class"]:
    """Rows that sum to 1."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
