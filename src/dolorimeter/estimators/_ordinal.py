"""Proportional-odds logistic regression for ordered levels."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators._inner import check_parameters


class OrdinalLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Cumulative-link model with a logistic link: P(level ≤ k) = σ(θ_k − x·w), θ rising in k.

    Parameters
    ----------
    C : float
        Inverse strength of the L2 penalty on w (not on θ), as in scikit-learn.
    levels : sequence, optional
        The levels from lowest to highest. Needed where they are not numbers, whose order is known.
    max_iter : int
        Steps of L-BFGS at most.

    References
    ----------
    McCullagh, Regression models for ordinal data, J. R. Stat. Soc. B 42:109–142, 1980, section 2.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "levels": ["array-like", None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self, C: float = 1.0, *, levels: Sequence[Any] | None = None, max_iter: int = 1000
    ) -> None:
        self.C = C
        self.levels = levels
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> OrdinalLogistic:
        """Fit on features (finite numbers) and levels.

        Raises
        ------
        ConfigError
            If C is not positive, or the order of the levels is not known.
        TrainingError
            If there is only one level, or the fit does not converge.
        """
        check_parameters(self, "OrdinalLogistic")
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = self._ordered(np.unique(y))
        if len(self.classes_) < 2:
            raise TrainingError(
                f"only level {self.classes_[0]} is in y: a model of ordered classes needs two."
            )
        codes = np.argmax(y[:, None] == self.classes_[None, :], axis=1)
        cuts, width = len(self.classes_) - 1, X.shape[1]
        start = np.concatenate([np.zeros(width), _start(codes, cuts)])
        found = minimize(
            _objective,
            start,
            args=(X, codes, cuts, self.C),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.max_iter},
        )
        if not np.isfinite(found.fun) or found.status == 1:
            raise TrainingError(
                f"the ordinal model did not converge in {self.max_iter} steps: scale the features "
                "(the registered 'ordinal_logistic' does), lower C, or raise max_iter."
            )
        self.coef_ = found.x[:width]
        self.thresholds_ = _thresholds(found.x[width:])
        self.n_iter_ = int(found.nit)
        return self

    def cumulative_proba(self, X: Any) -> Float[np.ndarray, "window cut"]:
        """P(level > k) for every level k but the highest; falls along a row."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return expit((X @ self.coef_)[:, None] - self.thresholds_)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window level"]:
        """Probability of each level, in the order of `classes_`."""
        above = self.cumulative_proba(X)
        ends = np.ones((len(above), 1))
        out: Float[np.ndarray, "window level"] = -np.diff(
            np.concatenate([ends, above, 0 * ends], axis=1), axis=1
        )
        return out

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """The most probable level."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def expected_level(self, X: Any) -> Float[np.ndarray, " window"]:
        """Mean of the level under its probabilities; of its rank from 0 where it is no number."""
        return expected_level(self, X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # on classes that lie in no order
        return tags

    def _ordered(self, found: Shaped[np.ndarray, " level"]) -> Shaped[np.ndarray, " level"]:
        if self.levels is None:
            if found.dtype.kind not in "biuf":
                raise ConfigError(
                    f"the levels are {', '.join(map(str, found[:5]))}, whose order is not known: "
                    "give levels=(lowest, …, highest), or numbers."
                )
            return found
        unknown = [value for value in found if value not in self.levels]
        if unknown:
            raise ConfigError(
                f"level {unknown[0]} is in y and not in levels={tuple(self.levels)}: list every "
                "level from lowest to highest."
            )
        return np.array([value for value in self.levels if value in found], dtype=found.dtype)


def expected_level(estimator: Any, X: Any) -> Float[np.ndarray, " window"]:
    """Mean of the level under the probabilities of any fitted classifier, pipelines included.

    Where the classes are no numbers, it is the mean of their rank from 0 in `classes_`.
    """
    classes = np.asarray(estimator.classes_)
    values = classes.astype(float) if classes.dtype.kind in "biuf" else np.arange(len(classes))
    return np.asarray(estimator.predict_proba(X) @ values, dtype=float)


def _start(codes: Int[np.ndarray, " window"], cuts: int) -> Float[np.ndarray, " cut"]:
    """Parameters of thresholds that give the observed shares: the first, then log steps."""
    share = np.bincount(codes, minlength=cuts + 1).cumsum()[:-1] / len(codes)
    theta = np.log(share / (1 - share))
    return np.concatenate([theta[:1], np.log(np.diff(theta))])


def _thresholds(raw: Float[np.ndarray, " cut"]) -> Float[np.ndarray, " cut"]:
    return np.cumsum(np.concatenate([raw[:1], np.exp(raw[1:])]))


def _objective(
    params: Float[np.ndarray, " parameter"],
    X: Float[np.ndarray, "window feature"],
    codes: Int[np.ndarray, " window"],
    cuts: int,
    C: float,
) -> tuple[float, Float[np.ndarray, " parameter"]]:
    """Penalised negative log-likelihood and its gradient."""
    width = X.shape[1]
    w, raw = params[:width], params[width:]
    theta = np.concatenate([[-np.inf], _thresholds(raw), [np.inf]])
    score = X @ w
    upper, lower = theta[codes + 1] - score, theta[codes] - score
    # σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)), without cancellation
    log_p = log_expit(upper) + log_expit(-lower) + np.log1p(-np.exp(lower - upper))
    slope_up = np.exp(log_expit(upper) + log_expit(-upper) - log_p)
    slope_low = np.exp(log_expit(lower) + log_expit(-lower) - log_p)
    to_theta = np.bincount(codes + 1, slope_up, cuts + 2) - np.bincount(codes, slope_low, cuts + 2)
    inner = to_theta[1:-1]
    from_here = inner[::-1].cumsum()[::-1]  # θ_k holds every step up to k
    steps = np.concatenate([from_here[:1], from_here[1:] * np.exp(raw[1:])])
    gradient = np.concatenate([C * (X.T @ (slope_up - slope_low)) + w, -C * steps])
    return float(-C * log_p.sum() + 0.5 * w @ w), gradient
