from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal as dsp

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import (
    CausalFilter,
    CausalFir,
    band_design,
    causal,
    design,
    edge_samples,
    notch_design,
    zero_phase,
)


def chunked(
    push: Callable[[np.ndarray], np.ndarray], x: np.ndarray, cuts: list[int]
) -> np.ndarray:
    edges = [0, *sorted(c % (x.shape[1] + 1) for c in cuts), x.shape[1]]
    return np.concatenate([push(x[:, a:b]) for a, b in pairwise(edges)], axis=1)


def noisy(seed: int, gaps: bool, channels: int = 2, time: int = 120) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 1.0, (channels, time)).cumsum(axis=1)
    if gaps:
        x[rng.random(x.shape) < 0.15] = np.nan
        x[0, : rng.integers(1, 30)] = np.nan
    return x


@pytest.mark.parametrize(
    ("kind", "cut"),
    [("lowpass", 5.0), ("highpass", 5.0), ("bandpass", (5.0, 20.0)), ("bandstop", (5.0, 20.0))],
)
def test_half_power_is_at_the_cut(kind: str, cut: float | tuple[float, float]) -> None:
    sos = design(kind, cut, 100.0, 3)
    _, response = dsp.sosfreqz(sos, worN=np.atleast_1d(cut), fs=100.0)
    # exact by the pre-warped bilinear transform; only rounding is left
    np.testing.assert_allclose(np.abs(response) ** 2, 0.5, rtol=1e-9)


@pytest.mark.parametrize("kind", ["lowpass", "highpass"])
@pytest.mark.parametrize("cut", [50.0, 0.0, -1.0, 51.0, np.nan])
def test_cuts_are_checked_against_nyquist(kind: str, cut: float) -> None:
    with pytest.raises(SignalError, match=rf"{kind} at .* Hz asked .* 100 Hz.*below 50 Hz"):
        design(kind, cut, 100.0)


def test_a_band_that_ends_near_half_the_rate_is_a_high_pass() -> None:
    sections, highpass = band_design(20.0, 250.0, 512.0)
    assert highpass
    np.testing.assert_array_equal(sections, design("highpass", 20.0, 512.0))
    for high in (243.1, 243.3):  # 0.95 of 256 is 243.2
        sections, highpass = band_design(20.0, high, 512.0)
        assert highpass == (high > 243.2)
    np.testing.assert_array_equal(
        band_design(20.0, 200.0, 512.0)[0], design("bandpass", (20.0, 200.0), 512.0)
    )
    for high in (256.0, 300.0):
        with pytest.raises(SignalError, match=f"bandpass at {high:g} Hz asked of a signal"):
            band_design(20.0, high, 512.0)
    with pytest.raises(SignalError, match="must be ascending"):
        band_design(250.0, 250.0, 512.0)


def test_notch_is_checked_against_nyquist() -> None:
    with pytest.raises(SignalError, match="notch at 50 Hz asked of a signal sampled at 100 Hz"):
        notch_design(50.0, 100.0)
    with pytest.raises(SignalError, match="quality factor is 0"):
        notch_design(20.0, 100.0, 0.0)


def test_notch_removes_its_frequency_only() -> None:
    t = np.arange(20_000) / 1000.0
    hum, rest = np.sin(2 * np.pi * 50 * t), np.sin(2 * np.pi * 10 * t)
    out = zero_phase(hum + rest, notch_design(50.0, 1000.0))
    middle = slice(5000, 15_000)  # the notch rings for q / f = 0.6 s at either end
    # at 10 Hz the notch's squared gain is 1/(1 + x²), x = f·50/(q(50² − f²)): 4.8e-5 from 1
    np.testing.assert_allclose(out[middle], rest[middle], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lowpass", (1.0, 2.0), 100.0), "takes one cut, found 2"),
        (("bandpass", 1.0, 100.0), "takes two cuts, found 1"),
        (("bandpass", (9.0, 3.0), 100.0), "must be ascending"),
        (("lowpass", 1.0, 100.0, 0), "order is 0"),
    ],
)
def test_wrong_designs(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(SignalError, match=message):
        design(*arguments)


def test_zero_phase_has_the_squared_gain_and_no_delay() -> None:
    t = np.arange(2000) / 100.0
    x = np.cos(2 * np.pi * 5 * t)
    out = zero_phase(x, design("lowpass", 5.0, 100.0))
    middle = slice(500, 1500)
    np.testing.assert_allclose(out[middle], 0.5 * x[middle], atol=1e-6)


def test_zero_phase_is_scipys_without_gaps() -> None:
    x, sos = noisy(0, gaps=False), design("highpass", 0.5, 100.0)
    np.testing.assert_array_equal(zero_phase(x, sos), dsp.sosfiltfilt(sos, x))


@pytest.mark.parametrize("kind", ["lowpass", "highpass"])
def test_edge_is_scipys(kind: str) -> None:
    for order in range(1, 7):
        sos = design(kind, 5.0, 100.0, order)
        edge = edge_samples(sos)
        dsp.sosfiltfilt(sos, np.ones(edge + 1))
        with pytest.raises(ValueError, match="padlen"):
            dsp.sosfiltfilt(sos, np.ones(edge))
        zero_phase(np.ones(edge + 1), sos)
        with pytest.raises(SignalError, match=f"{edge} samples are too few"):
            zero_phase(np.ones(edge), sos)


def test_a_gap_costs_its_own_samples_only() -> None:
    x = np.sin(np.arange(400) / 30.0)[None]
    sos = design("lowpass", 5.0, 100.0)
    broken = x.copy()
    broken[0, 200:205] = np.nan
    for run in (zero_phase, causal):
        out = run(broken, sos)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(broken))
        # five samples of a slow sine bridged: below the sine's change over the gap, 5/30
        np.testing.assert_allclose(out[~np.isnan(out)], run(x, sos)[~np.isnan(out)], atol=5 / 30)
        np.testing.assert_allclose(out[0, 300:], run(x, sos)[0, 300:], atol=1e-3)


def test_a_row_of_nan_stays_nan() -> None:
    sos = design("lowpass", 5.0, 100.0)
    x = np.full((1, 100), np.nan)
    assert np.isnan(zero_phase(x, sos)).all()
    assert np.isnan(causal(x, sos)).all()


def test_causal_is_scipys_sosfilt_from_the_settled_state() -> None:
    x, sos = noisy(1, gaps=False), design("bandpass", (0.5, 20.0), 100.0, 2)
    start = dsp.sosfilt_zi(sos)[:, None, :] * x[None, :, :1].transpose(0, 1, 2)
    expected, _ = dsp.sosfilt(sos, x, zi=start)
    np.testing.assert_array_equal(causal(x, sos), expected)


def test_a_level_does_not_ring() -> None:
    level = np.full((1, 50), 7.0)
    np.testing.assert_allclose(causal(level, design("lowpass", 1.0, 100.0)), 7.0, rtol=1e-9)
    np.testing.assert_allclose(causal(level, design("highpass", 1.0, 100.0)), 0.0, atol=1e-9)


def test_causal_never_looks_ahead() -> None:
    x, sos = noisy(2, gaps=True), design("lowpass", 5.0, 100.0)
    changed = x.copy()
    changed[:, 60:] = 0.0
    np.testing.assert_array_equal(causal(changed, sos)[:, :60], causal(x, sos)[:, :60])


@given(
    seed=st.integers(0, 99), gaps=st.booleans(), cuts=st.lists(st.integers(0, 1000), max_size=9)
)
def test_chunked_equals_whole(seed: int, gaps: bool, cuts: list[int]) -> None:
    x = noisy(seed, gaps)
    for make in (
        lambda: CausalFilter(design("bandpass", (0.5, 20.0), 100.0, 2), 2),
        lambda: CausalFir(np.hanning(9), 2),
    ):
        np.testing.assert_array_equal(chunked(make().push, x, cuts), make().push(x))


@given(seed=st.integers(0, 99))
def test_a_batch_is_its_rows(seed: int) -> None:
    x, sos = noisy(seed, gaps=True, channels=4), design("lowpass", 5.0, 100.0)
    for run in (zero_phase, causal):
        np.testing.assert_array_equal(run(x, sos)[2], run(x[2:3], sos)[0])


def test_fir_is_a_convolution_after_a_constant_past() -> None:
    x, taps = noisy(3, gaps=False, channels=1), np.array([0.5, 0.3, 0.2])
    longer = np.concatenate([np.full(2, x[0, 0]), x[0]])
    np.testing.assert_allclose(CausalFir(taps, 1).push(x)[0], np.convolve(longer, taps, "valid"))
