from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal as dsp

from dolorimeter.errors import SignalError
from dolorimeter.signals.resampling import CausalResampler, ratio, resample

RATES = [1.0, 4.0, 10.0, 10.17, 25.0, 64.0, 100.0, 512.0, 1000.0]
rates = st.sampled_from(RATES)


@given(n=st.integers(60, 300), rate_in=rates, rate_out=rates)
def test_length_and_constants(n: int, rate_in: float, rate_out: float) -> None:
    count = round(n * rate_out / rate_in)
    if count < 1:
        return
    out = resample(np.full((2, n), 12.5), rate_in, rate_out)
    assert out.shape == (2, count)
    np.testing.assert_allclose(out, 12.5, rtol=1e-12)


@pytest.mark.parametrize("rate_out", [100.0, 250.0, 800.0])
def test_a_slow_sine_keeps_its_time(rate_out: float) -> None:
    x = np.sin(2 * np.pi * 2.0 * np.arange(5120) / 512.0)
    out = resample(x, 512.0, rate_out)
    expected = np.sin(2 * np.pi * 2.0 * np.arange(len(out)) / rate_out)
    # a Kaiser window of beta 5 ripples by 10^(−(5/0.1102 + 8.7)/20) = 0.002; edges reflect
    np.testing.assert_allclose(out, expected, atol=4e-3)


def test_what_the_new_rate_cannot_carry_is_removed() -> None:
    x = np.sin(2 * np.pi * 180.0 * np.arange(5120) / 512.0)
    assert np.abs(resample(x, 512.0, 100.0)[20:-20]).max() < 4e-3


def test_against_scipy_inside() -> None:
    x = np.random.default_rng(0).normal(size=4000)
    ours, theirs = resample(x, 1000.0, 400.0), dsp.resample_poly(x, 2, 5)
    # scipy leaves its branches' sums apart by the ripple of its window, 0.002 of unit variance
    np.testing.assert_allclose(ours[50:-50], theirs[50:-50], atol=1e-2)


def test_gaps_stay_gaps() -> None:
    x = np.arange(200.0)
    x[100:120] = np.nan
    out = resample(x, 100.0, 50.0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out)), np.arange(50, 60))
    np.testing.assert_allclose(out[20:40], 2.0 * np.arange(20, 40), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 10.0), "must be positive"),
        ((10.0, np.nan), "must be positive"),
        ((1.0, 1e6), "more than 10,000 times"),
        ((1.0, 1234.5678), "not a ratio of integers"),
    ],
)
def test_wrong_rates(arguments: tuple[float, float], message: str) -> None:
    with pytest.raises(SignalError, match=message):
        ratio(*arguments)


def test_nothing_left() -> None:
    with pytest.raises(SignalError, match="3 samples at 100 Hz give none at 1 Hz"):
        resample(np.ones(3), 100.0, 1.0)


@given(rate_in=rates, rate_out=rates)
def test_ratio_is_exact_enough(rate_in: float, rate_out: float) -> None:
    up, down = ratio(rate_in, rate_out)
    assert abs(up / down * rate_in / rate_out - 1) < 1e-6
    assert np.gcd(up, down) == 1


@given(
    seed=st.integers(0, 99),
    rates=st.sampled_from([(512.0, 100.0), (4.0, 10.0), (64.0, 4.0), (10.17, 4.0), (7.0, 7.0)]),
    gaps=st.booleans(),
    cuts=st.lists(st.integers(0, 300), max_size=9),
)
def test_chunked_equals_whole(
    seed: int, rates: tuple[float, float], gaps: bool, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(5.0, 1.0, (2, 300)).cumsum(axis=1)
    if gaps:
        x[rng.random(x.shape) < 0.1] = np.nan
        x[1, : rng.integers(1, 200)] = np.nan
    stream = CausalResampler(*rates, 2)
    edges = [0, *sorted(cuts), 300]
    parts = [stream.push(x[:, a:b]) for a, b in pairwise(edges)]
    whole = CausalResampler(*rates, 2).push(x)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    up, down = ratio(*rates)
    assert whole.shape[1] == -(-300 * up // down)


def test_causal_is_the_aligned_one_later() -> None:
    x = np.sin(2 * np.pi * 1.0 * np.arange(2000) / 200.0)
    stream = CausalResampler(200.0, 50.0, 1)
    late = stream.push(x[None])[0]
    assert stream.delay == pytest.approx(10 / 50.0)
    aligned = resample(x, 200.0, 50.0)
    np.testing.assert_allclose(late[110:400], aligned[100:390], atol=1e-9)


def test_causal_never_looks_ahead() -> None:
    x = np.random.default_rng(1).normal(size=(1, 400))
    changed = x.copy()
    changed[:, 201:] = 9.0
    run = [CausalResampler(100.0, 40.0, 1).push(v) for v in (x, changed)]
    np.testing.assert_array_equal(run[0][:, :81], run[1][:, :81])  # sample 80 is at 200 / 100 s
    assert (run[0][:, 81:] != run[1][:, 81:]).any()
