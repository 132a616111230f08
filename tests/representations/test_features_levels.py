from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.representations.features import Table, hr, spo2, temperature


@pytest.mark.parametrize("table", [spo2.TABLE, temperature.TABLE, hr.TABLE])
def test_a_ramp_has_known_answers(table: Table) -> None:
    made = table.compute(np.array([[1.0, 2.0, 3.0, 4.0], [7.0, 7.0, 7.0, 7.0]]), 2.0)
    found = dict(zip([f.name for f in table.features], made.T, strict=True))
    assert found["mean"].tolist() == [2.5, 7]
    assert found["min"].tolist() == [1, 7]
    assert found["max"].tolist() == [4, 7]
    assert found["slope"].tolist() == pytest.approx([2, 0])


def test_time_below() -> None:
    made = spo2.features(np.array([[0.97, 0.90, 0.89, 0.80], [0.99] * 4]), 0.5)
    assert made[:, -1].tolist() == [4, 0]


@given(st.lists(st.floats(0.5, 1.0), min_size=2, max_size=50), st.floats(0.1, 100))
def test_slope_against_numpy(values: list[float], rate: float) -> None:
    found = hr.TABLE.compute(np.array([values]), rate)[0, 3]
    if len(values) / rate < 2:
        assert np.isnan(found)
    else:
        slope = np.polyfit(np.arange(len(values)) / rate, values, 1)[0]
        assert found == pytest.approx(slope, rel=1e-6, abs=1e-9)


@given(st.floats(-100, 100), st.floats(0.1, 10))
def test_level_and_scale(level: float, factor: float) -> None:
    values = np.random.default_rng(0).normal(size=(1, 40))
    mean, low, high, slope = temperature.TABLE.compute(values, 4.0)[0]
    moved = temperature.TABLE.compute(factor * values + level, 4.0)[0]
    np.testing.assert_allclose(
        moved,
        [factor * mean + level, factor * low + level, factor * high + level, factor * slope],
        rtol=1e-9,
        atol=1e-9,
    )
