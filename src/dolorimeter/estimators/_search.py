"""Choosing among configurations, nested by subject."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import get_scorer
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from dolorimeter.errors import ConfigError
from dolorimeter.estimators._inner import (
    check_parameters,
    checked,
    fit_with_groups,
    require_groups,
)
from dolorimeter.samples import take_rows
from dolorimeter.splits import inner_folds


def _has(name: str) -> Any:
    def check(search: Any) -> bool:
        return hasattr(getattr(search, "estimator_", search.estimator), name)

    return check


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
        A scorer of scikit-learn, taken on each left-out subject and averaged over subjects. None:
        accuracy, or for regressors the negative mean absolute error.
    n_configurations : int, optional
        Draw so many of the combinations; None tries all.
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
            If no groups are given.
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
        self.results_: list[dict[str, Any]] = []
        for params in configurations:
            scores: list[float] = []
            for train, held in folds:
                model = self._configured(params)
                fit_with_groups(model, take_rows(X, train), y[train], groups[train])
                scores += self._by_subject(model, take_rows(X, held), y[held], groups[held])
            self.results_.append({"params": params, "score": float(np.mean(scores))})
        best = int(np.argmax([r["score"] for r in self.results_]))
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

    def _by_subject(self, model: Any, X: Any, y: Any, groups: Any) -> list[float]:
        name = self.scoring
        if name is None:
            name = "accuracy" if is_classifier(model) else "neg_mean_absolute_error"
        scorer = get_scorer(name)
        each = [np.flatnonzero(groups == subject) for subject in np.unique(groups)]
        return [float(scorer(model, take_rows(X, rows), y[rows])) for rows in each]

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
