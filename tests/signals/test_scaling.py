from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import SignalError
from dolorimeter.signals.scaling import NOISE, window_minmax


@given(seed=st.integers(0, 99), gain=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3))
def test_it_is_equation_5_whatever_the_unit(seed: int, gain: float, offset: float) -> None:
    x = np.random.default_rng(seed).normal(size=(3, 50))
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    scaled, floored = window_minmax(x)
    np.testing.assert_allclose(scaled, 2 * (x - low) / (high - low) - 1, atol=1e-12)
    assert not floored.any()
    again, _ = window_minmax(gain * (x + offset))
    np.testing.assert_allclose(again, scaled, atol=1e-8)


def test_constant_rows_are_zero_and_gaps_stay() -> None:
    x = np.array([[0.1 + 0.2, 0.3, 0.3], [1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    scaled, floored = window_minmax(x)
    np.testing.assert_array_equal(
        scaled, [[0.0, 0.0, 0.0], [-1.0, np.nan, 1.0], [np.nan, np.nan, np.nan]]
    )
    assert floored.tolist() == [True, False, True]


def test_a_range_below_the_floor_stays_small() -> None:
    floor, unit = NOISE["eda"]
    assert unit == "S"
    noise = 5e-6 + 1e-10 * np.array([0.0, 1.0, -1.0])
    scaled, floored = window_minmax(noise, floor)
    np.testing.assert_allclose(scaled, [0.0, 0.02, -0.02], rtol=1e-5, atol=1e-9)
    assert floored
    loud = 5e-6 + 1e-8 * np.array([0.0, 1.0, -1.0])
    np.testing.assert_allclose(window_minmax(loud, floor)[0], [0.0, 1.0, -1.0], atol=1e-9)


def test_a_floor_below_nothing_is_refused() -> None:
    with pytest.raises(SignalError, match="floor of a range is -1, expected 0 or more"):
        window_minmax(np.zeros(3), -1.0)
