from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.signals.beats import r_peaks
from dolorimeter.signals.quality import (
    clipped_samples,
    clipped_share,
    flat_share,
    line_noise,
    missing_share,
    saturated_share,
    template_quality,
)


def test_missing() -> None:
    x = np.array([[1.0, np.nan, 2.0, np.nan], [1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_array_equal(missing_share(x), [0.5, 0.0])


def test_flat() -> None:
    ramp = np.arange(100.0)
    part = ramp.copy()
    part[20:50] = 20.0
    short = ramp.copy()
    short[20:25] = 20.0
    gap = ramp.copy()
    gap[10:90] = np.nan
    x = np.stack([ramp, part, short, np.full(100, 3.0), gap, np.full(100, np.nan)])
    np.testing.assert_allclose(flat_share(x, 10.0, 1.0), [0, 0.3, 0, 1, 0, 0])


def test_clipped() -> None:
    sine = np.sin(2 * np.pi * np.arange(1000) / 100.0)
    cut = np.clip(sine, -0.9, 0.9)
    x = np.stack([sine, cut, np.full(1000, 2.0)])
    expected = (np.abs(sine) >= 0.9).mean()
    np.testing.assert_allclose(clipped_share(x), [0, expected, 0])


@pytest.mark.parametrize("steps", [5, 40, 400, 4000])
@pytest.mark.parametrize("period", [40, 400, 4000])
def test_what_is_slow_and_rounded_is_not_clipped(steps: int, period: int) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(6000)
    slow = np.sin(2 * np.pi * t / period)
    drift = np.cumsum(rng.normal(size=6000)) / 40
    for x in (slow, slow + 0.3 / steps * rng.normal(size=6000), drift):
        assert clipped_share(np.round(x * steps / 2)[None])[0] < 0.01


def test_two_values_are_too_coarse_to_tell() -> None:
    saturation = np.where((np.arange(550) // 150) % 2 == 0, 0.97, 0.98)
    heart_rate = np.repeat([71.0, 72.0, 71.0], [3, 4, 3])
    conductance = np.round(2.0 + 0.006 * np.sin(np.arange(22) / 5.0), 2)
    for x in (saturation, heart_rate, conductance):
        assert clipped_share(x[None])[0] == 0.0


@pytest.mark.parametrize("step", [0.0, 1e-3, 1e-2])
def test_a_recorder_that_cuts_off_is_clipped(step: float) -> None:
    """Heights of an ECG above the range of its recorder, whatever its resolution."""
    t = np.arange(2500) / 250.0
    ecg = np.exp(-0.5 * ((np.mod(t, 0.8) - 0.4) / 0.03) ** 2)
    ecg += 0.02 * np.random.default_rng(1).normal(size=2500)
    beyond = ecg > 0.6
    cut = np.minimum(ecg, 0.6)
    cut = np.round(cut / step) * step if step else cut
    np.testing.assert_allclose(clipped_share(cut[None])[0], beyond.mean(), atol=0.02)


def test_clipping_goes_on_behind_a_gap() -> None:
    cut = np.clip(np.sin(np.arange(400) / 15.0), -0.7, 0.7)
    gap = cut.copy()
    gap[100:110] = np.nan
    known = ~np.isnan(gap)
    np.testing.assert_array_equal(
        clipped_samples(gap[None])[0, known], clipped_samples(cut[known][None])[0]
    )


def test_saturated() -> None:
    x = np.array([[0.0, 1.0, 4095.0, np.nan], [0.5, 1.0, 2.0, 3.0]])
    np.testing.assert_allclose(saturated_share(x, 0.0, 4095.0), [2 / 3, 0])
    with pytest.raises(SignalError, match="must be ascending"):
        saturated_share(x, 1.0, 1.0)


def test_line_noise_is_the_share_of_power() -> None:
    t = np.arange(4000) / 1000.0
    body, hum = np.sin(2 * np.pi * 7 * t), 0.5 * np.sin(2 * np.pi * 50 * t)
    x = np.stack([body, body + hum, hum, np.zeros_like(t)])
    # whole periods and a Hann window, whose main lobe is 0.5 Hz wide here
    np.testing.assert_allclose(line_noise(x, 1000.0), [0, 0.2, 1, 0], atol=1e-6)


def test_line_noise_needs_a_second_and_nyquist() -> None:
    with pytest.raises(SignalError, match=r"mains noise at 50 Hz asked .* 100 Hz"):
        line_noise(np.zeros((1, 1000)), 100.0)
    with pytest.raises(SignalError, match=r"mains noise asked of 0.5 s"):
        line_noise(np.zeros((1, 500)), 1000.0)


def test_template() -> None:
    rng = np.random.default_rng(0)
    beat = np.exp(-0.5 * (np.arange(-40, 40) / 5.0) ** 2)
    x = np.stack([np.tile(beat, 8), rng.normal(size=640)])
    peaks = [np.arange(40, 640, 80)] * 2
    quality = template_quality(x, [np.asarray(p) for p in peaks], 100.0)
    np.testing.assert_allclose(quality[0], 1.0)
    assert quality[1] < 0.6
    assert np.isnan(template_quality(x[:1], [np.array([40, 120])], 100.0)[0])


@pytest.mark.shared
def test_real_ecg_is_better_than_its_noise(data_root: Path) -> None:
    path = data_root / "neurokit_data/bio_resting_8min_100hz.csv"
    ecg = pd.read_csv(path)["ECG"].to_numpy(dtype=float)[:10_000].reshape(10, 1000)
    rng = np.random.default_rng(0)
    bad = ecg + 3 * ecg.std() * rng.normal(size=ecg.shape)
    good, worse = (template_quality(x, r_peaks(x, 100.0), 100.0) for x in (ecg, bad))
    assert good.min() > 0.8
    assert np.nanmean(worse) < 0.7
