"""The registered estimators: functions of keyword arguments that return scikit-learn estimators.

Feature tables may have missing values. Linear models, forests and support vectors fill them with
the median of the training rows (a feature that is missing everywhere becomes 0; no column is
added); boosting takes them as they are.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dolorimeter.errors import ConfigError
from dolorimeter.estimators._calibration import TemperatureCalibrated
from dolorimeter.estimators._deep import NetworkClassifier
from dolorimeter.estimators._empty import EmptyColumnsToZero
from dolorimeter.estimators._inner import check_parameters
from dolorimeter.estimators._ordinal import OrdinalLogistic
from dolorimeter.registry import ESTIMATORS, Card

F = TypeVar("F", bound=Callable[..., Any])


def factory(summary: str, paper: str = "", doi: str = "") -> Callable[[F], F]:
    """Register a function under its own name; its arguments are checked before it is called.

    Names are checked against its signature, kinds against the defaults (a whole number may stand
    for a float; None as default takes anything), ranges by scikit-learn on what it returns.
    """

    def add(make: F) -> F:
        name = make.__name__
        known = inspect.signature(make).parameters

        @functools.wraps(make)
        def checked(**arguments: Any) -> Any:
            for argument, value in arguments.items():
                _check_argument(name, argument, value, known)
                if isinstance(known[argument].default, float):
                    arguments[argument] = float(value)
            made = make(**arguments)
            check_parameters(made, f"estimator '{name}'")
            return made

        registered: F = ESTIMATORS.register(
            Card(name=name, summary=summary, paper=paper, doi=doi)
        )(checked)
        return registered

    return add


def _check_argument(
    name: str, argument: str, value: Any, known: Mapping[str, inspect.Parameter]
) -> None:
    if argument not in known:
        near = difflib.get_close_matches(argument, known, n=1)
        takes = f"it takes {', '.join(known)}." if known else "it takes none."
        hint = f"did you mean {near[0]}?" if near else takes
        raise ConfigError(f"estimator '{name}' takes no argument '{argument}'; {hint}")
    default = known[argument].default
    if default is None:
        return
    kinds: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if isinstance(default, tuple):
        kinds = (tuple, list)
    wrong_bool = isinstance(value, bool) and not isinstance(default, bool)
    if wrong_bool or not isinstance(value, kinds):
        words = " or ".join(kind.__name__ for kind in kinds)
        raise ConfigError(
            f"estimator '{name}': {argument} is {value!r}, expected {words} (default {default!r})."
        )


def _filled(last: Any, *, scale: bool) -> Pipeline:
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(fill, StandardScaler(), last) if scale else make_pipeline(fill, last)


def _numbered(class_weight: Any) -> Any:
    """Weights by class index where a mapping has the indices as text, as keys of TOML are."""
    if not isinstance(class_weight, Mapping):
        return class_weight
    return {int(k) if str(k).isdecimal() else k: weight for k, weight in class_weight.items()}


@factory("The share of each class among the training windows, for every window.")
def majority() -> Any:
    """Baseline that looks at no input: says the most frequent class."""
    return DummyClassifier(strategy="prior")


@factory("The mean target of the training windows, for every window.")
def mean() -> Any:
    """Baseline of regression that looks at no input."""
    return DummyRegressor(strategy="mean")


@factory("Logistic regression on scaled features, L2 penalty; medians for missing values.")
def logistic_regression(
    *,
    C: float = 1.0,
    class_weight: Any = None,
    max_iter: int = 1000,
    random_state: int = 0,
) -> Any:
    """Median imputation, scaling, logistic regression."""
    last = LogisticRegression(
        C=C, class_weight=_numbered(class_weight), max_iter=max_iter, random_state=random_state
    )
    return _filled(last, scale=True)


@factory("Random forest; medians for missing values.", paper="Breiman, Random forests, 2001")
def random_forest(
    *,
    n_estimators: int = 200,
    max_depth: Any = None,
    min_samples_leaf: int = 1,
    max_features: Any = None,
    class_weight: Any = None,
    random_state: int = 0,
) -> Any:
    """Median imputation, random forest (``max_features`` None: the square root)."""
    last = RandomForestClassifier(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features="sqrt" if max_features is None else max_features,
        class_weight=_numbered(class_weight),
        random_state=random_state,
        n_jobs=1,
    )
    return _filled(last, scale=False)


@factory("Random forest for a numeric target; medians for missing values.")
def random_forest_regressor(
    *,
    n_estimators: int = 200,
    max_depth: Any = None,
    min_samples_leaf: int = 1,
    max_features: Any = None,
    random_state: int = 0,
) -> Any:
    """Median imputation, random forest (``max_features`` None: all)."""
    last = RandomForestRegressor(
        n_estimators=n_estimators,
        max_depth=max_depth,
        min_samples_leaf=min_samples_leaf,
        max_features=1.0 if max_features is None else max_features,
        random_state=random_state,
        n_jobs=1,
    )
    return _filled(last, scale=False)


@factory("Gradient-boosted trees on histograms; takes missing values as they are.")
def gradient_boosting(
    *,
    learning_rate: float = 0.1,
    max_iter: int = 100,
    max_leaf_nodes: int = 31,
    min_samples_leaf: int = 20,
    l2_regularization: float = 0.0,
    class_weight: Any = None,
    random_state: int = 0,
) -> Any:
    """Boosting without early stopping, whose inner split would be by window and not by subject."""
    last = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf,
        l2_regularization=l2_regularization,
        class_weight=_numbered(class_weight),
        early_stopping=False,
        random_state=random_state,
    )
    return make_pipeline(EmptyColumnsToZero(), last)


@factory(
    "Support vectors on scaled features; probabilities by temperature on inner subject folds."
)
def svm(
    *,
    C: float = 1.0,
    kernel: str = "rbf",
    gamma: Any = "scale",
    class_weight: Any = None,
    n_splits: int = 5,
    random_state: int = 0,
) -> Any:
    """Support vectors; needs groups, since scikit-learn's own probabilities split by window."""
    last = SVC(C=C, kernel=kernel, gamma=gamma, class_weight=_numbered(class_weight))
    check_parameters(last, "estimator 'svm'")
    return TemperatureCalibrated(
        _filled(last, scale=True), n_splits=n_splits, random_state=random_state
    )


@factory("Linear regression with L2 penalty on scaled features; medians for missing values.")
def ridge(*, alpha: float = 1.0) -> Any:
    """Median imputation, scaling, ridge regression."""
    return _filled(Ridge(alpha=alpha), scale=True)


@factory(
    "Proportional-odds model of ordered levels on scaled features; medians for missing values.",
    paper="McCullagh, Regression models for ordinal data, 1980",
)
def ordinal_logistic(*, C: float = 1.0, levels: Any = None, max_iter: int = 1000) -> Any:
    """Median imputation, scaling, ordinal logistic regression."""
    return _filled(OrdinalLogistic(C=C, levels=levels, max_iter=max_iter), scale=True)


@factory(
    "PainAttnNet on raw EDA in microsiemens, trained as its authors do, the epoch chosen on an "
    "inner split by subject.",
    paper="Lu, Ozek, Kamarthi, Frontiers in Physiology 14:1294577, 2023",
    doi="10.3389/fphys.2023.1294577",
)
def painattnnet(
    *,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    learning_rate_drops: Sequence[Any] = ((10, 1e-4),),
    early_stopping: bool = True,
    validation_share: float = 0.2,
    patience: Any = 20,
    class_weight: Any = None,
    random_state: int = 0,
    threads: Any = None,
    precision: str = "float32",
    device: str = "cpu",
    keep_epochs: bool = False,
) -> Any:
    """`NetworkClassifier` around `PainAttnNet` with the authors' settings."""
    return NetworkClassifier(
        "painattnnet",
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        learning_rate_drops=learning_rate_drops,
        early_stopping=early_stopping,
        validation_share=validation_share,
        patience=patience,
        class_weight=class_weight,
        random_state=random_state,
        threads=threads,
        precision=precision,
        device=device,
        keep_epochs=keep_epochs,
    )


@factory(
    "Any registered network (`module`, with `module_args`), trained by the one loop; the epoch "
    "chosen on an inner split by subject unless early_stopping is off."
)
def network(
    *,
    module: str = "perceptron",
    module_args: Any = None,
    epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    learning_rate_drops: Sequence[Any] = (),
    early_stopping: bool = True,
    validation_share: float = 0.2,
    patience: Any = 20,
    class_weight: Any = None,
    random_state: int = 0,
    threads: Any = None,
    precision: str = "float32",
    device: str = "cpu",
    keep_epochs: bool = False,
    optimiser: str = "adam",
    weight_decay: float = 0.0,
    schedule: str = "drops",
    warmup_epochs: int = 0,
    label_smoothing: float = 0.0,
    augment: Sequence[str] = (),
    embedding_noise: float = 0.0,
    mask_out: float = 0.0,
    clip_frames: int = 0,
    clip_stride: int = 1,
) -> Any:
    """`NetworkClassifier`; without drops of the learning rate, which are PainAttnNet's."""
    return NetworkClassifier(
        module,
        module_args=module_args,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        learning_rate_drops=learning_rate_drops,
        early_stopping=early_stopping,
        validation_share=validation_share,
        patience=patience,
        class_weight=class_weight,
        random_state=random_state,
        threads=threads,
        precision=precision,
        device=device,
        keep_epochs=keep_epochs,
        optimiser=optimiser,
        weight_decay=weight_decay,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        label_smoothing=label_smoothing,
        augment=augment,
        embedding_noise=embedding_noise,
        mask_out=mask_out,
        clip_frames=clip_frames,
        clip_stride=clip_stride,
    )
