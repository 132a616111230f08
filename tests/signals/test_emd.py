"""Empirical modes against EMD-signal, and what thresholds on them must and must not do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import SignalError
from dolorimeter.signals.emd import denoise, modes, quietest

RATE = 512.0


def muscle(seed: int = 0, seconds: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A burst of half a second, and the same with noise all along."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    burst = np.zeros(count)
    inside = slice(round(1.2 * RATE), round(1.7 * RATE))
    burst[inside] = rng.normal(size=len(burst[inside])) * np.hanning(len(burst[inside])) * 8
    return burst, burst + rng.normal(size=count)


@pytest.mark.parametrize("which", ["", "flat_"])
def test_agrees_with_emd_signal(which: str, fixtures: Path) -> None:
    with np.load(fixtures / "emd" / "emd_signal_1_10_0.npz") as stored:
        x, wanted = stored["flat" if which else "x"], stored[f"{which}modes"]
    np.testing.assert_allclose(modes(x, most=5), wanted, rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), time=st.integers(4, 300), steps=st.integers(1, 40))
def test_modes_add_up_and_scale_with_the_signal(seed: int, time: int, steps: int) -> None:
    x = np.random.default_rng(seed).integers(-steps, steps + 1, time).astype(float)
    parts = modes(x)
    np.testing.assert_allclose(parts.sum(axis=0), x, atol=1e-9 * steps)
    np.testing.assert_allclose(modes(4 * x), 4 * parts, atol=1e-7 * steps)


def test_a_sum_of_tones_comes_apart() -> None:
    t = np.arange(1024) / RATE
    fast, slow = np.sin(2 * np.pi * 60 * t), np.sin(2 * np.pi * 7 * t)
    found = modes(fast + slow)
    middle = slice(100, 924)
    assert np.abs(found[0] - fast)[middle].max() < 0.05
    # near the edges the slow one keeps a tenth of itself less: mirrored extrema are not the truth
    assert np.corrcoef(found[1][middle], slow[middle])[0, 1] > 0.995


def test_noise_goes_and_the_burst_stays() -> None:
    burst, noisy = muscle()
    done = denoise(noisy, RATE)
    quiet = np.r_[0 : round(1.1 * RATE), round(1.8 * RATE) : len(noisy)]
    assert done[quiet].std() < 0.5 * noisy[quiet].std()
    assert np.corrcoef(done, burst)[0, 1] > np.corrcoef(noisy, burst)[0, 1] > 0.5
    stronger = denoise(noisy, RATE, factor=3.0)
    assert stronger[quiet].std() < 0.5 * done[quiet].std()


def test_a_factor_of_nothing_and_rows_and_gaps() -> None:
    _, noisy = muscle()
    np.testing.assert_allclose(denoise(noisy, RATE, factor=0.0), noisy, atol=1e-12)
    two = np.stack([noisy, 3 * noisy])
    done = denoise(two, RATE)
    np.testing.assert_allclose(done[1], 3 * done[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(done[0], denoise(noisy, RATE))
    two[0, 5:9] = np.nan
    assert np.isnan(denoise(two, RATE)).sum() == 4


def test_constant_and_rising_signals_have_no_mode() -> None:
    for x in (np.zeros(600), np.arange(600.0), np.full(600, 3.0)):
        assert modes(x).shape == (1, 600)
        np.testing.assert_array_equal(denoise(x, RATE), x)


def test_the_quietest_stretch_is_found_whatever_the_offset() -> None:
    x = np.random.default_rng(0).normal(size=2000) + 100
    x[700:900] = 100 + 0.1 * (x[700:900] - 100)
    assert quietest(x, 200) == 700
    assert quietest(x, 2000) == 0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(SignalError, match=r"quietest 1 s of 0\.5 s"):
        denoise(np.zeros(256), RATE)
    with pytest.raises(SignalError, match="denoising by -1 noise levels"):
        denoise(np.zeros(600), RATE, factor=-1.0)
    with pytest.raises(SignalError, match="0 siftings of at most None modes"):
        modes(np.zeros(9), siftings=0)
    with pytest.raises(SignalError, match="bridge its gaps first"):
        modes(np.array([1.0, np.nan, 2.0]))
