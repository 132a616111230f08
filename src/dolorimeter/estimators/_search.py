"""Choosing among configurations, nested by subject."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import get_scorer
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from dolorimeter import metrics
from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators._inner import (
    check_parameters,
    checked,
    fit_with_groups,
    require_groups,
)
from dolorimeter.samples import take_rows
from dolorimeter.splits import inner_folds
from dolorimeter.types import TargetKind


def _has(name: str) -> Any:
    def check(search: Any) -> bool:
        return hasattr(getattr(search, "estimator_", search.estimator), name)

    return check


@dataclass(frozen=True)
class _Metric:
    """A metric of ours, which is NaN where it is not defined; losses are negated."""

    name: str
    metric: str
    classes: Any

    def output(
        self,
        model: Any,
        X: Any,
        y: Any,
        groups: Any,  # noqa: ARG002  # as _Scorer takes it
    ) -> Float[np.ndarray, "..."]:
        """Return probabilities in the order of all classes, or predictions."""
        if self.classes is None:
            return np.asarray(model.predict(X), dtype=float)
        out = np.zeros((len(y), len(self.classes)))
        if hasattr(model, "predict_proba"):
            out[:, np.searchsorted(self.classes, model.classes_)] = model.predict_proba(X)
        else:
            out[np.arange(len(y)), np.searchsorted(self.classes, model.predict(X))] = 1
        return out

    def score(self, outputs: Sequence[Any], y: Any, groups: Any) -> float:
        """Return the mean over subjects, or the pooled score if most have none."""
        output = np.concatenate(outputs)
        truth = y.astype(float) if self.classes is None else np.searchsorted(self.classes, y)
        kind: TargetKind = "regressor" if self.classes is None else "classifier"
        metric = metrics.by_kind(kind)[self.metric]
        each = [metric(truth[groups == s], output[groups == s]) for s in np.unique(groups)]
        known = [score for score in each if np.isfinite(score)]
        value = float(np.mean(known)) if 2 * len(known) >= len(each) else metric(truth, output)
        return -value if self.metric in metrics.LOWER_IS_BETTER else value


@dataclass(frozen=True)
class _Scorer:
    """A scorer of scikit-learn; NaN for subjects on whom it fails."""

    name: str

    def output(self, model: Any, X: Any, y: Any, groups: Any) -> Float[np.ndarray, " subject"]:
        """Return the score of each subject."""
        scorer = get_scorer(self.name)
        scores = []
        for subject in np.unique(groups):
            rows = np.flatnonzero(groups == subject)
            try:
                scores.append(float(scorer(model, take_rows(X, rows), y[rows])))
            except ValueError:  # such as one class only
                scores.append(float("nan"))
        return np.array(scores)

    def score(
        self,
        outputs: Sequence[Any],
        y: Any,  # noqa: ARG002  # as _Metric takes it
        groups: Any,  # noqa: ARG002
    ) -> float:
        """Return the mean over subjects for whom it is defined; NaN for none."""
        scores = np.concatenate(outputs)
        known = scores[np.isfinite(scores)]
        return float(known.mean()) if len(known) else float("nan")


class SubjectSearch(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The configuration that scores best on subjects left out of the training subjects.

    Parameters
    ----------
    estimator : estimator
    space : mapping of str to sequence
        Values to try by parameter name (``{"logisticregression__C": (0.1, 1)}``).
    n_splits : int
        Inner folds, by subject.
    scoring : str, optional
        A metric of ours or a scorer of scikit-learn, as the mean over left-out subjects for whom
        it is defined; over all left-out windows if most subjects have one class. By default the
        metric that is reported first: balanced accuracy, or concordance for regressors.
    n_configurations : int, optional
        Number of combinations that are drawn; None tries all.
    random_state : int
        Of the inner folds and the draw.

    Attributes
    ----------
    n_configurations_ : int
        How many were tried: reports print it.
    best_params_, best_score_ : dict, float
    results_ : list of dict
        ``params`` and ``score`` of each, in the order tried.
    notes_ : tuple of str
        The count and the choice in a sentence: `evaluate` puts it into the notes of its run.
    estimator_ : estimator
        The best, fitted on all windows.
    """

    inner = "group_k_fold"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit"])],
        "space": [dict],
        "scoring": [str, None],
        "n_configurations": [Interval(Integral, 1, None, closed="left"), None],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any,
        space: Mapping[str, Sequence[Any]],
        *,
        n_splits: int = 5,
        scoring: str | None = None,
        n_configurations: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.estimator = estimator
        self.space = space
        self.n_splits = n_splits
        self.scoring = scoring
        self.n_configurations = n_configurations
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> SubjectSearch:
        """Score every configuration on inner folds, then fit the best on all windows.

        Raises
        ------
        TrainingError
            If there are no groups, or `scoring` is undefined for every configuration.
        ConfigError
            If the space is empty or names a parameter that the estimator lacks.
        SplitError
            If there are fewer subjects than inner folds.
        """
        check_parameters(self, type(self).__name__)
        X, y = checked(self, X, y)
        groups = require_groups(groups, "SubjectSearch", "compares on inner folds", len(y))
        configurations = self._configurations()
        folds = list(inner_folds(groups, self.n_splits, self.random_state))
        scoring = self._scoring(y)
        self.results_: list[dict[str, Any]] = []
        for params in configurations:
            outputs = []
            for train, held in folds:
                model = self._configured(params)
                fit_with_groups(model, take_rows(X, train), y[train], groups[train])
                outputs.append(scoring.output(model, take_rows(X, held), y[held], groups[held]))
            rows = np.concatenate([held for _, held in folds])
            score = scoring.score(outputs, y[rows], groups[rows])
            self.results_.append({"params": params, "score": score})
        scores = np.array([result["score"] for result in self.results_])
        if not np.isfinite(scores).any():
            raise TrainingError(
                f"SubjectSearch: scoring '{scoring.name}' is undefined for every configuration "
                "and left-out subject, for example because subjects have one class only. Use "
                "'accuracy' or 'neg_log_loss'."
            )
        best = int(np.nanargmax(np.where(np.isfinite(scores), scores, np.nan)))
        self.n_configurations_ = len(configurations)
        self.best_params_ = self.results_[best]["params"]
        self.best_score_ = self.results_[best]["score"]
        self.notes_ = (self._told(),)
        self.estimator_ = self._configured(self.best_params_)
        fit_with_groups(self.estimator_, X, y, groups)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        return self

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """Prediction of the best configuration."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Probabilities of the best configuration, in the order of `classes_`."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    def _configured(self, params: Mapping[str, Any]) -> Any:
        """An estimator with these parameters, not fitted."""
        return clone(self.estimator).set_params(**params)

    def _known(self) -> set[str]:
        """Names that the space may hold."""
        return set(self.estimator.get_params())

    def _told(self) -> str:
        """How many configurations were tried and which one was chosen, for reports."""
        chosen = ", ".join(f"{name} = {value}" for name, value in self.best_params_.items())
        return (
            f"search tried {self.n_configurations_} configurations on {self.n_splits} inner folds "
            f"by subject and chose {chosen}"
        )[:200]

    def _scoring(self, y: Any) -> _Metric | _Scorer:
        """How configurations are scored."""
        classifier = is_classifier(self.estimator)
        kind: TargetKind = "classifier" if classifier else "regressor"
        known = metrics.by_kind(kind)
        name = self.scoring or next(iter(known))
        metric = metrics.SKLEARN_NAMES.get(name, name)
        if metric not in known:
            return _Scorer(name)
        return _Metric(name, metric, np.unique(y) if classifier else None)

    def _configurations(self) -> list[dict[str, Any]]:
        known = self._known()
        for name, values in self.space.items():
            if name not in known:
                raise ConfigError(
                    f"the search space names '{name}', which {type(self.estimator).__name__} has "
                    f"not; it has {', '.join(sorted(known))}."
                )
            if len(values) == 0:
                raise ConfigError(f"the search space gives no value for '{name}'.")
        if not self.space:
            raise ConfigError("the search space is empty: give {parameter: values}.")
        names = sorted(self.space)
        every = [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*(self.space[name] for name in names))
        ]
        wanted = self.n_configurations
        if wanted is None or wanted >= len(every):
            return every
        drawn = np.random.default_rng(self.random_state).choice(len(every), wanted, replace=False)
        return [every[i] for i in sorted(drawn)]

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        return tags
