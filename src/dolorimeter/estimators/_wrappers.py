"""Search, calibration and conformal sets by name: estimators around a registered estimator.

Their arguments are plain values, as an experiment file holds them: `estimator` is a registered
name, `arguments` a table of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from dolorimeter import metrics
from dolorimeter.errors import ConfigError
from dolorimeter.estimators._calibration import IsotonicCalibrated, TemperatureCalibrated
from dolorimeter.estimators._conformal import ConformalClassifier, ConformalRegressor
from dolorimeter.estimators._inner import groups_parameter
from dolorimeter.estimators._search import SubjectSearch
from dolorimeter.estimators._shallow import factory
from dolorimeter.registry import ESTIMATORS

METHODS = {"temperature": TemperatureCalibrated, "isotonic": IsotonicCalibrated}


def chooses_on_subjects(estimator: Any) -> bool:
    """Return whether `fit` can choose an epoch or hyper-parameters on inner subjects.

    It can if it takes groups and its early stopping is not off. Calibration and conformal wrappers
    take groups and choose nothing, so that the estimator inside decides.

    Parameters
    ----------
    estimator : estimator

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> chooses_on_subjects(TemperatureCalibrated(DecisionTreeClassifier()))
    False
    >>> chooses_on_subjects(SubjectSearch(DecisionTreeClassifier(), {"max_depth": [1, 5]}))
    True
    """
    if isinstance(estimator, Pipeline):
        return chooses_on_subjects(estimator.steps[-1][1])
    if isinstance(
        estimator,
        TemperatureCalibrated | IsotonicCalibrated | ConformalClassifier | ConformalRegressor,
    ):
        return chooses_on_subjects(estimator.estimator)
    if not hasattr(estimator, "fit") or groups_parameter(estimator) is None:
        return False
    return getattr(estimator, "early_stopping", True) is not False


class RegisteredSearch(SubjectSearch):
    """`SubjectSearch` whose space names arguments of a registered estimator.

    A configuration is what ``ESTIMATORS.get(name)(**arguments, **configuration)`` gives, with the
    random states of `estimator`.

    Parameters
    ----------
    estimator : estimator
        ``ESTIMATORS.get(name)(**arguments)``.
    space : mapping of str to sequence
        Values to try by argument name (``{"C": [0.1, 1]}``).
    name : str
    arguments : mapping
        Those that stay the same.
    n_splits, scoring, n_configurations, random_state
        As in `SubjectSearch`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SubjectSearch._parameter_constraints,
        "name": [str],
        "arguments": [dict],
    }

    def __init__(
        self,
        estimator: Any,
        space: Mapping[str, Sequence[Any]],
        *,
        name: str,
        arguments: Mapping[str, Any],
        n_splits: int = 5,
        scoring: str | None = None,
        n_configurations: int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            estimator,
            space,
            n_splits=n_splits,
            scoring=scoring,
            n_configurations=n_configurations,
            random_state=random_state,
        )
        self.name = name
        self.arguments = arguments

    def _configured(self, params: Mapping[str, Any]) -> Any:
        made = clone(ESTIMATORS.get(self.name)(**{**self.arguments, **params}))
        known = made.get_params()
        seeds = {
            key: value
            for key, value in self.estimator.get_params().items()
            if key.rpartition("__")[2] == "random_state" and key in known
        }
        return made.set_params(**seeds) if "random_state" not in params else made

    def _known(self) -> set[str]:
        return set(self.space)  # the factory has built each of them


@factory("The configuration of a named estimator that scores best on inner folds by subject.")
def search(
    *,
    estimator: str = "",
    arguments: Any = None,
    space: Any = None,
    n_splits: int = 5,
    scoring: Any = None,
    n_configurations: Any = None,
    random_state: int = 0,
) -> Any:
    """`RegisteredSearch`: `space` lists the values to try of each argument of `estimator`."""
    fixed = table_of("search", "arguments", arguments)
    values = _space(estimator, fixed, space)
    _check_scoring(scoring)
    return RegisteredSearch(
        _inner("search", estimator, fixed),
        values,
        name=estimator,
        arguments=fixed,
        n_splits=n_splits,
        scoring=scoring,
        n_configurations=n_configurations,
        random_state=random_state,
    )


@factory(
    "A named classifier with calibrated probabilities, on inner folds by subject.",
    paper="Guo et al., On calibration of modern neural networks, ICML 2017 (temperature)",
)
def calibrated(
    *,
    estimator: str = "",
    arguments: Any = None,
    method: str = "temperature",
    n_splits: int = 5,
    random_state: int = 0,
) -> Any:
    """`TemperatureCalibrated` or, from 1,000 windows of 30 subjects, `IsotonicCalibrated`."""
    if method not in METHODS:
        raise ConfigError(
            f"estimator 'calibrated': method is {method!r}, expected one of "
            f"{', '.join(map(repr, METHODS))}."
        )
    inner = _classifier("calibrated", estimator, arguments)
    return METHODS[method](inner, n_splits=n_splits, random_state=random_state)


@factory(
    "A named classifier that also gives sets of classes: CV+ over subjects, each weighted 1.",
    paper="Barber et al., Predictive inference with the jackknife+, Ann. Stat. 49:486, 2021",
    doi="10.1214/20-AOS1965",
)
def conformal_classifier(
    *,
    estimator: str = "",
    arguments: Any = None,
    coverage: float = 0.9,
    n_splits: int = 5,
    random_state: int = 0,
) -> Any:
    """`ConformalClassifier`; refused in `fit` below 10 subjects, 95 % below 20."""
    inner = _classifier("conformal_classifier", estimator, arguments)
    return ConformalClassifier(
        inner, coverage=coverage, n_splits=n_splits, random_state=random_state
    )


@factory(
    "A named regressor that also gives intervals: CV+ over subjects, each weighted 1.",
    paper="Barber et al., Predictive inference with the jackknife+, Ann. Stat. 49:486, 2021",
    doi="10.1214/20-AOS1965",
)
def conformal_regressor(
    *,
    estimator: str = "",
    arguments: Any = None,
    coverage: float = 0.9,
    n_splits: int = 5,
    random_state: int = 0,
) -> Any:
    """`ConformalRegressor`; refused in `fit` below 10 subjects, 95 % below 20."""
    who = "conformal_regressor"
    inner = _inner(who, estimator, table_of(who, "arguments", arguments))
    if not is_regressor(inner):
        raise ConfigError(
            f"estimator '{who}': estimator is '{estimator}', which is not a regressor, expected "
            "one such as 'ridge'. Sets of classes come from 'conformal_classifier'."
        )
    return ConformalRegressor(
        inner, coverage=coverage, n_splits=n_splits, random_state=random_state
    )


def _inner(who: str, name: str, arguments: Mapping[str, Any]) -> Any:
    """The registered estimator that `who` stands around."""
    if not name:
        raise ConfigError(
            f"estimator '{who}' needs estimator = \"<name>\": a registered estimator, such as "
            '"logistic_regression" or "ridge".'
        )
    inner = ESTIMATORS.get(name)(**arguments)
    if hasattr(inner, "predict_set") or hasattr(inner, "predict_interval"):
        raise ConfigError(
            f"estimator '{who}': estimator is '{name}', whose sets or intervals would be lost. "
            f'Put it outside: name = "{name}", arguments = {{ estimator = "{who}", … }}.'
        )
    return inner


def _classifier(who: str, name: str, arguments: Any) -> Any:
    inner = _inner(who, name, table_of(who, "arguments", arguments))
    if not is_classifier(inner):
        raise ConfigError(
            f"estimator '{who}': estimator is '{name}', which is not a classifier, expected one "
            "such as 'logistic_regression'."
        )
    return inner


def table_of(who: str, key: str, value: Any) -> dict[str, Any]:
    """A table of plain values as a dict of its own; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
        raise ConfigError(
            f"estimator '{who}': {key} is {value!r}, expected a table: {key} = {{ name = value }}."
        )
    return dict(value)


def _space(name: str, arguments: Mapping[str, Any], space: Any) -> dict[str, list[Any]]:
    """The space as lists; each of its values is tried on the estimator's factory here."""
    found = table_of("search", "space", space)
    if not found:
        raise ConfigError(
            "estimator 'search' needs a space: space = { <argument> = [<values to try>] }."
        )
    lists: dict[str, list[Any]] = {}
    for argument, values in found.items():
        if argument in arguments:
            raise ConfigError(
                f"estimator 'search': '{argument}' stands in arguments and in space; give it once."
            )
        if isinstance(values, str | Mapping) or not isinstance(values, Sequence) or not values:
            raise ConfigError(
                f"estimator 'search': space.{argument} is {values!r}, expected a list of values, "
                "at least one."
            )
        for value in values:
            _inner("search", name, {**arguments, argument: value})
        lists[argument] = list(values)
    return lists


def _check_scoring(scoring: Any) -> None:
    """Raise if neither scikit-learn nor `metrics` knows a scoring."""
    if scoring is None or scoring in metrics.CLASSIFICATION or scoring in metrics.REGRESSION:
        return
    try:
        get_scorer(scoring)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"estimator 'search': scoring is {scoring!r}, expected a scorer of scikit-learn, such "
            "as 'balanced_accuracy', 'neg_log_loss' or 'neg_mean_absolute_error'."
        ) from error


def notes_of(estimator: Any) -> tuple[str, ...]:
    """What a fitted estimator and those inside it have to say in a report.

    They say it in an attribute ``notes_``: sentences, of up to 200 characters each.
    """
    told = getattr(estimator, "notes_", ())
    own = tuple(map(str, told)) if isinstance(told, tuple | list) else ()
    steps = getattr(estimator, "steps", None)
    inside = getattr(estimator, "estimator_", steps[-1][1] if steps else None)
    return own + (notes_of(inside) if inside is not None else ())
