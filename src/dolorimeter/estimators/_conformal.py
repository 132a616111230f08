"""Sets and intervals that hold for new people: CV+ over subjects, each weighted 1.

A subject's windows are not exchangeable with another's, subjects are. So the calibration scores
of a subject share the weight of one, however many windows it has, and coverage is counted per
subject.

References
----------
Barber, Candès, Ramdas, Tibshirani, Predictive inference with the jackknife+, Ann. Stat.
49:486–507, 2021, section 3 (CV+). Lee, Barber, Willett, Distribution-free inference with
hierarchical data, arXiv:2306.06342, 2023, section 3 (groups weighted equally).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from dolorimeter.errors import ConfigError
from dolorimeter.estimators._inner import (
    Windows,
    as_fitted,
    check_parameters,
    checked,
    fit_with_groups,
    held_out_models,
    log_probabilities,
    require_groups,
    softmax,
)
from dolorimeter.samples import take_rows

FEWEST_SUBJECTS = 10
ROUNDING = 1e-9


def fewest_subjects(coverage: float) -> int:
    """Calibration subjects that this coverage needs: 10, or where more, 1 / (1 − coverage).

    With fewer, the weight that stands for the new subject alone exceeds 1 − coverage, and every
    interval is infinite.

    Examples
    --------
    >>> fewest_subjects(0.8), fewest_subjects(0.9), fewest_subjects(0.95)
    (10, 10, 20)
    """
    return max(FEWEST_SUBJECTS, math.ceil(1 / (1 - coverage) - ROUNDING))


@dataclass(frozen=True)
class SubjectCoverage:
    """How often sets or intervals held, by subject.

    Parameters
    ----------
    mean : float
        Mean over subjects of the share of their windows that were covered.
    share_below : float
        Share of subjects whose own coverage is below the target.
    worst : float
        Coverage of the subject who was covered least.
    worst_subject : str
    by_subject : dict of str to float
    """

    mean: float
    share_below: float
    worst: float
    worst_subject: str
    by_subject: dict[str, float]


def coverage_by_subject(
    covered: Bool[np.ndarray, " window"],
    subjects: Shaped[np.ndarray, " window"],
    coverage: float,
) -> SubjectCoverage:
    """Coverage per subject, given which windows were covered and the coverage aimed at."""
    names, index = np.unique(subjects, return_inverse=True)
    share = np.bincount(index, covered.astype(float)) / np.bincount(index)
    low = int(share.argmin())
    return SubjectCoverage(
        mean=float(share.mean()),
        share_below=float((share < coverage).mean()),
        worst=float(share[low]),
        worst_subject=str(names[low]),
        by_subject={str(name): float(value) for name, value in zip(names, share, strict=True)},
    )


class _CVPlus(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Settings of both."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit"])],
        "coverage": [Interval(Real, 0.5, 1, closed="neither")],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        coverage: float = 0.9,
        n_splits: int = 5,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.coverage = coverage
        self.n_splits = n_splits
        self.random_state = random_state


class ConformalClassifier(ClassifierMixin, _CVPlus):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier that also gives sets of classes which hold the true one at a stated rate.

    Parameters
    ----------
    estimator : classifier
    coverage : float
        Target, between 0.5 and 1. Proven is 1 − 2(1 − coverage), as for every CV+; usual is
        about the target.
    n_splits : int
        Inner folds, by subject; one model of each is kept.
    random_state : int
        Of the inner folds.

    Notes
    -----
    The score of a window is 1 − p(its class), from the inner model that has not met its subject.
    A class is in the set of a new window when the weighted share of calibration scores at least as
    large as its own exceeds 1 − coverage. A set may be empty.
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> ConformalClassifier:
        """Fit one model an inner fold, their scores, and the estimator on all windows.

        Raises
        ------
        TrainingError
            If no groups are given.
        ConfigError
            If there are too few subjects for the coverage asked.
        SplitError
            If there are fewer subjects than inner folds.
        """
        check_parameters(self, type(self).__name__)
        X, y = checked(self, X, y)
        check_classification_targets(y)
        groups = _groups(self, groups, len(y))
        self.classes_, codes = np.unique(y, return_inverse=True)
        weights, self.n_subjects_ = _weights(groups)
        self.models_, self.scores_, self.score_weights_ = [], [], []
        for model, held in held_out_models(
            self.estimator, X, y, groups, self.n_splits, self.random_state
        ):
            p = _probabilities(model, take_rows(X, held), self.classes_)
            score = 1 - p[np.arange(len(held)), codes[held]]
            order = np.argsort(score, kind="stable")
            self.models_.append(model)
            self.scores_.append(score[order])
            self.score_weights_.append(weights[held][order])
        self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
        return self

    def predict_set(self, X: Any) -> Bool[np.ndarray, "window class"]:
        """Which classes are in the set of each window, in the order of `classes_`."""
        X = _input(self, X)
        # the new subject stands for one more score, at least as large as any
        share: Any = 1 / (self.n_subjects_ + 1)
        for model, scores, weights in zip(
            self.models_, self.scores_, self.score_weights_, strict=True
        ):
            own = 1 - _probabilities(model, X, self.classes_)
            tail = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])
            share = share + tail[np.searchsorted(scores, own - ROUNDING)]
        held: Bool[np.ndarray, "window class"] = share > 1 - self.coverage + ROUNDING
        return held

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Probabilities of the estimator that was fitted on all windows."""
        X = _input(self, X)
        return _probabilities(self.estimator_, X, self.classes_)

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """The most probable class."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class ConformalRegressor(RegressorMixin, _CVPlus):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor that also gives intervals which hold the true value at a stated rate.

    Parameters
    ----------
    estimator : regressor
    coverage : float
        Target, between 0.5 and 1; proven is 1 − 2(1 − coverage), as for every CV+.
    n_splits : int
        Inner folds, by subject; one model of each is kept.
    random_state : int
        Of the inner folds.
    """

    def fit(self, X: Any, y: Any, groups: Any = None) -> ConformalRegressor:
        """Fit one model an inner fold, their residuals, and the estimator on all windows.

        Raises
        ------
        TrainingError
            If no groups are given.
        ConfigError
            If there are too few subjects for the coverage asked.
        SplitError
            If there are fewer subjects than inner folds.
        """
        check_parameters(self, type(self).__name__)
        X, y = checked(self, X, y, y_numeric=True)
        if not np.isfinite(y).all():
            raise ValueError("Input y contains NaN or infinity: leave such windows out.")
        groups = _groups(self, groups, len(y))
        weights, self.n_subjects_ = _weights(groups)
        self.models_, self.residuals_, self.residual_weights_ = [], [], []
        for model, held in held_out_models(
            self.estimator, X, y, groups, self.n_splits, self.random_state
        ):
            self.models_.append(model)
            self.residuals_.append(np.abs(y[held] - model.predict(take_rows(X, held))))
            self.residual_weights_.append(weights[held])
        self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " window"]:
        """Prediction of the estimator that was fitted on all windows."""
        X = _input(self, X)
        return np.asarray(self.estimator_.predict(X), dtype=float)

    def predict_interval(
        self, X: Any
    ) -> tuple[Float[np.ndarray, " window"], Float[np.ndarray, " window"]]:
        """Lower and upper end of each window's interval."""
        X = _input(self, X)
        centres = [np.asarray(model.predict(X), dtype=float) for model in self.models_]
        weights = np.concatenate(self.residual_weights_)
        lower, upper = np.empty_like(centres[0]), np.empty_like(centres[0])
        for start in range(0, len(lower), 256):
            rows = slice(start, start + 256)
            pairs = list(zip(centres, self.residuals_, strict=True))
            up = np.concatenate([c[rows, None] + r for c, r in pairs], axis=1)
            down = np.concatenate([r - c[rows, None] for c, r in pairs], axis=1)
            upper[rows] = _quantile(up, weights, self.coverage)
            lower[rows] = -_quantile(down, weights, self.coverage)
        return lower, upper


def _quantile(
    values: Float[np.ndarray, "window score"],
    weights: Float[np.ndarray, " score"],
    level: float,
) -> Float[np.ndarray, " window"]:
    """The smallest value of each row up to which the weights sum to `level`."""
    order = np.argsort(values, axis=1, kind="stable")
    reached = np.cumsum(weights[order], axis=1) >= level - ROUNDING
    first = reached.argmax(axis=1)
    rows = np.arange(len(values))
    return np.where(reached.any(axis=1), values[rows, order[rows, first]], np.inf)


def _groups(estimator: Any, groups: Any, rows: int) -> Shaped[np.ndarray, " window"]:
    coverage = estimator.coverage
    found = require_groups(groups, type(estimator).__name__, "calibrates on inner folds", rows)
    subjects, needed = len(np.unique(found)), fewest_subjects(coverage)
    if subjects < needed:
        raise ConfigError(
            f"{subjects} calibration subjects for a coverage of {coverage:g}; at least {needed} "
            "are needed. Ask for less coverage (never below 10 subjects), or report no sets."
        )
    return found


def _weights(
    groups: Shaped[np.ndarray, " window"],
) -> tuple[Float[np.ndarray, " window"], int]:
    """Weight of each window: its subject's 1 / (subjects + 1), shared among its windows."""
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / (counts[index] * (len(names) + 1)), len(names)


def _probabilities(
    model: Any, x: Windows, classes: Shaped[np.ndarray, " class"]
) -> Float[np.ndarray, "window class"]:
    return softmax(log_probabilities(model, x, classes))


def _input(estimator: Any, X: Any) -> Any:
    check_is_fitted(estimator)
    return as_fitted(estimator, X)


def count_sets(sets: Bool[np.ndarray, "window class"]) -> dict[int, int]:
    """How many windows have a set of each size.

    Examples
    --------
    >>> count_sets(np.array([[True, False], [True, True], [True, False]]))
    {1: 2, 2: 1}
    """
    sizes: Int[np.ndarray, " window"] = sets.sum(axis=1)
    return {int(size): int((sizes == size).sum()) for size in np.unique(sizes)}
