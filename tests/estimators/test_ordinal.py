"""The proportional-odds model against statsmodels and its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from statsmodels.miscmodels.ordinal_model import OrderedModel

from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators import OrdinalLogistic, expected_level, ordinal_logistic
from dolorimeter.estimators import _ordinal as ordinal


def levels(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    latent = x @ [1.0, -0.5, 0.0] + rng.logistic(size=n)
    return x, np.digitize(latent, [-1.5, 0.0, 2.0])


def test_agrees_with_statsmodels_without_penalty() -> None:
    x, y = levels()
    ours = OrdinalLogistic(C=1e8).fit(x, y)
    theirs = OrderedModel(y, x, distr="logit").fit(method="bfgs", disp=False, gtol=1e-8)
    np.testing.assert_allclose(ours.coef_, theirs.params[:3], atol=2e-4)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict(x), atol=1e-4)


def test_two_levels_are_logistic_regression() -> None:
    x, y = levels()
    binary = (y > 1).astype(int)
    ours = OrdinalLogistic(C=0.5).fit(x, binary)
    theirs = LogisticRegression(C=0.5, tol=1e-10).fit(x, binary)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-4)


@given(seed=st.integers(0, 10_000))
def test_the_gradient_is_that_of_the_objective(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = levels(30, seed)
    y = np.concatenate([y, np.arange(4)])
    x = np.concatenate([x, rng.normal(size=(4, 3))])
    at = rng.normal(size=6)
    error = check_grad(
        lambda p: ordinal._objective(p, x, y, 3, 0.7)[0],
        lambda p: ordinal._objective(p, x, y, 3, 0.7)[1],
        at,
    )
    assert error < 1e-4 * (1 + np.abs(ordinal._objective(at, x, y, 3, 0.7)[1]).max())


def test_cumulative_probabilities_fall_and_give_the_expected_level() -> None:
    x, y = levels()
    model = OrdinalLogistic().fit(x, y)
    above = model.cumulative_proba(x)
    assert (np.diff(above, axis=1) <= 0).all()
    p = model.predict_proba(x)
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(above.sum(axis=1), model.expected_level(x))  # Σ P(level > k)
    assert np.corrcoef(model.expected_level(x), y)[0, 1] > 0.4


def test_the_order_of_names_must_be_given() -> None:
    x, y = levels()
    names = np.array(["low", "mid", "high", "top"])
    with pytest.raises(ConfigError, match=r"levels are high, low, mid, top, whose order"):
        OrdinalLogistic().fit(x, names[y])
    with pytest.raises(ConfigError, match=r"level top is in y and not in levels"):
        OrdinalLogistic(levels=("low", "mid", "high")).fit(x, names[y])
    model = OrdinalLogistic(levels=("low", "mid", "high", "top", "never")).fit(x, names[y])
    assert model.classes_.tolist() == names.tolist()
    numbers = OrdinalLogistic().fit(x, y)
    np.testing.assert_allclose(model.expected_level(x), numbers.expected_level(x))
    np.testing.assert_array_equal(names[numbers.predict(x)], model.predict(x))


def test_through_the_registered_pipeline() -> None:
    x, y = levels()
    x[3, 1] = np.nan
    chain = ordinal_logistic(C=2.0).fit(x, y)
    assert expected_level(chain, x).shape == (400,)


def test_refusals() -> None:
    x, y = levels()
    with pytest.raises(ConfigError, match="'C' parameter"):
        OrdinalLogistic(C=0.0).fit(x, y)
    with pytest.raises(TrainingError, match="only level 2 is in y"):
        OrdinalLogistic().fit(x, np.full(400, 2))
    with pytest.raises(TrainingError, match="did not converge in 1 steps"):
        OrdinalLogistic(max_iter=1).fit(x, y)
