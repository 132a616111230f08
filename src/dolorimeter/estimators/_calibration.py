"""Probabilities that mean what they say: temperature, and isotonic where there are enough people.

Both learn on out-of-fold predictions of inner folds by subject, and refit the estimator on all.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.isotonic import IsotonicRegression
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators._inner import (
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

TEMPERATURES = (0.01, 100.0)
"""Lowest and highest temperature."""

ISOTONIC_WINDOWS = 1000
ISOTONIC_SUBJECTS = 30


class _Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both calibrations share: inner folds by subject, then a refit on all windows."""

    estimator: Any
    n_splits: int
    random_state: int
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit"])],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def fit(self, X: Any, y: Any, groups: Any = None) -> Any:
        """Fit the calibration on inner out-of-fold predictions and the estimator on all windows.

        Raises
        ------
        TrainingError
            If no groups are given, or there is one class only.
        ConfigError
            If there are too few windows or subjects for this calibration.
        SplitError
            If there are fewer subjects than inner folds.
        """
        check_parameters(self, type(self).__name__)
        X, y = checked(self, X, y)
        check_classification_targets(y)
        groups = require_groups(groups, type(self).__name__, "calibrates on inner folds", len(y))
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise TrainingError(
                f"all {len(y)} training windows are of class {self.classes_[0]}: a calibration "
                "needs two classes."
            )
        self._check(len(y), len(np.unique(groups)))
        logits = np.full((len(y), len(self.classes_)), -np.inf)
        for model, held in held_out_models(
            self.estimator, X, y, groups, self.n_splits, self.random_state
        ):
            logits[held] = log_probabilities(model, take_rows(X, held), self.classes_)
        # windows of a class that the other subjects lack say nothing of calibration
        known = np.isfinite(logits[np.arange(len(y)), codes])
        self.left_out_ = int((~known).sum())
        if not known.any():
            raise TrainingError(
                f"{type(self).__name__}: in every inner fold the classes of the held-out subjects "
                "are unknown to the other subjects: every class needs at least two subjects in "
                "different folds."
            )
        self._calibrate(logits[known], codes[known])
        self.notes_ = self._notes(len(y))
        self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Calibrated probabilities, in the order of `classes_`."""
        check_is_fitted(self)
        X = as_fitted(self, X)
        return self._apply(log_probabilities(self.estimator_, X, self.classes_))

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """The most probable class."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _notes(self, windows: int) -> tuple[str, ...]:
        """Sentences for the notes of a run."""
        if not self.left_out_:
            return ()
        return (
            f"{type(self).__name__}: {self.left_out_} of {windows} training windows are of "
            "classes that one inner fold only has, and do not count in the calibration",
        )

    def _check(self, windows: int, subjects: int) -> None:
        raise NotImplementedError

    def _calibrate(
        self, logits: Float[np.ndarray, "window class"], codes: Int[np.ndarray, " window"]
    ) -> None:
        raise NotImplementedError

    def _apply(
        self, logits: Float[np.ndarray, "window class"]
    ) -> Float[np.ndarray, "window class"]:
        raise NotImplementedError


class TemperatureCalibrated(_Calibrated):
    """A classifier whose log-probabilities (or margins) are divided by one learned temperature.

    The order of the classes, and so accuracy and AUROC, stay as they are for two classes. An
    estimator without `predict_proba` gets one.

    Parameters
    ----------
    estimator : classifier
    n_splits : int
        Inner folds, by subject.
    random_state : int
        Of the inner folds.

    Attributes
    ----------
    temperature_ : float
        Above 1 where the estimator was too sure.
    at_bound_ : bool
        Whether the temperature lies at a bound of its range; `notes_` says so too.
    left_out_ : int
        Training windows of a class that the model of their inner fold does not know. They do not
        count in the calibration.
    notes_ : tuple of str
        Sentences that `evaluate` puts into the notes of its run.

    References
    ----------
    Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """

    def __init__(self, estimator: Any, *, n_splits: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.random_state = random_state

    def _check(self, windows: int, subjects: int) -> None:
        """One number is learned: any count that inner folds allow will do."""

    def _calibrate(
        self, logits: Float[np.ndarray, "window class"], codes: Int[np.ndarray, " window"]
    ) -> None:
        rows = np.arange(len(codes))

        def loss(log_temperature: float) -> float:
            scaled = logits / np.exp(log_temperature)
            return -float(log_softmax(scaled, axis=1)[rows, codes].mean())

        low, high = np.log(TEMPERATURES)
        found = minimize_scalar(loss, bounds=(low, high), method="bounded")
        self.temperature_ = float(np.exp(found.x))
        self.at_bound_ = bool(min(found.x - low, high - found.x) < 0.01 * (high - low))

    def _notes(self, windows: int) -> tuple[str, ...]:
        """Sentences for the notes of a run."""
        notes = super()._notes(windows)
        if self.at_bound_:
            notes += (
                f"the calibration temperature {self.temperature_:.3g} lies at a bound of its "
                f"range ({TEMPERATURES[0]:g} to {TEMPERATURES[1]:g}): do not rely on the "
                "probabilities",
            )
        return notes

    def _apply(
        self, logits: Float[np.ndarray, "window class"]
    ) -> Float[np.ndarray, "window class"]:
        return softmax(logits / self.temperature_)


class IsotonicCalibrated(_Calibrated):
    """A classifier whose probabilities go through a rising step function, one a class.

    Refused below 1,000 windows of 30 subjects: it has as many parameters as steps. With more than
    two classes each is calibrated against the rest, and the row divided by its sum.

    Parameters
    ----------
    estimator : classifier
        With `predict_proba`.
    n_splits : int
        Inner folds, by subject.
    random_state : int
        Of the inner folds.

    References
    ----------
    Zadrozny & Elkan, Transforming classifier scores into accurate multiclass probability
    estimates, KDD 2002.
    """

    def __init__(self, estimator: Any, *, n_splits: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.random_state = random_state

    def _check(self, windows: int, subjects: int) -> None:
        if windows < ISOTONIC_WINDOWS or subjects < ISOTONIC_SUBJECTS:
            raise ConfigError(
                f"isotonic calibration was asked for on {windows:,} windows of {subjects} "
                f"subjects; it needs at least {ISOTONIC_WINDOWS:,} of {ISOTONIC_SUBJECTS}. Use "
                "TemperatureCalibrated."
            )

    def _calibrate(
        self, logits: Float[np.ndarray, "window class"], codes: Int[np.ndarray, " window"]
    ) -> None:
        p = softmax(logits)
        columns = range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))
        self.calibrators_ = [
            IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
                p[:, k], (codes == k).astype(float)
            )
            for k in columns
        ]

    def _apply(
        self, logits: Float[np.ndarray, "window class"]
    ) -> Float[np.ndarray, "window class"]:
        p = softmax(logits)
        if len(self.classes_) == 2:
            second = self.calibrators_[0].predict(p[:, 1])
            return np.stack([1 - second, second], axis=1)
        out = np.stack([c.predict(p[:, k]) for k, c in enumerate(self.calibrators_)], axis=1)
        total = out.sum(axis=1, keepdims=True)
        return np.where(total > 0, out / np.where(total > 0, total, 1.0), 1 / len(self.classes_))
