from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.preprocessing import Envelope, Rectify, Step
from dolorimeter.representations.features import Features, emg
from dolorimeter.types import Recording, Signal, Window

RATE = 512.0
NAMES = [feature.name for feature in emg.FEATURES]


def measured(values: np.ndarray, rate: float = RATE) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, emg.features(np.atleast_2d(values), rate).T, strict=True))


def noise(windows: int = 4, seconds: float = 5.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 10, (windows, round(RATE * seconds)))


def test_a_sine_has_known_answers() -> None:
    t = np.arange(2816) / RATE
    found = measured(5 + 3 * np.sin(2 * np.pi * 64 * t + 0.3))
    assert found["rms"][0] == pytest.approx(3 / np.sqrt(2), rel=1e-9)
    # 8 samples a period: the mean of |sin| over the 8 phases, not the integral
    phases = 0.3 + np.arange(8) * np.pi / 4
    assert found["mav"][0] == pytest.approx(3 * np.abs(np.sin(phases)).mean(), rel=1e-9)
    assert found["zero_crossings"][0] == pytest.approx(128, abs=0.5)
    assert found["slope_sign_changes"][0] == pytest.approx(128, abs=0.5)
    assert found["spectral_centroid"][0] == pytest.approx(64, abs=1e-3)
    assert found["median_frequency"][0] == pytest.approx(64, abs=RATE / 2816)


def test_white_noise_has_its_power_in_the_middle() -> None:
    found = measured(noise(windows=20))
    middle = (20 + RATE / 2) / 2
    assert found["spectral_centroid"].mean() == pytest.approx(middle, rel=0.02)
    assert found["median_frequency"].mean() == pytest.approx(middle, rel=0.03)


def test_against_definitions_written_sample_by_sample() -> None:
    window = noise(windows=1, seconds=1.5)[0]
    found = measured(window)
    x = [float(v) - float(np.mean(window)) for v in window]
    seconds = len(x) / RATE
    crossings = sum((a < 0) != (b < 0) for a, b in pairwise(x))
    turns = sum((b - a < 0) != (c - b < 0) for a, b, c in zip(x, x[1:], x[2:], strict=False))
    length = sum(abs(b - a) for a, b in pairwise(x))
    assert found["rms"][0] == pytest.approx((sum(v * v for v in x) / len(x)) ** 0.5)
    assert found["mav"][0] == pytest.approx(sum(map(abs, x)) / len(x))
    assert found["peak"][0] == pytest.approx(max(map(abs, x)))
    assert found["waveform_length"][0] == pytest.approx(length / seconds)
    assert found["zero_crossings"][0] == pytest.approx(crossings / seconds)
    assert found["slope_sign_changes"][0] == pytest.approx(turns / seconds)
    assert found["slope"][0] == pytest.approx(
        np.polyfit(np.arange(len(x)) / RATE, np.abs(x), 1)[0], rel=1e-9
    )
    k = np.arange(len(x) // 2 + 1)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(x)) / (len(x) - 1))
    basis = np.exp(-2j * np.pi * np.outer(k, np.arange(len(x))) / len(x))
    power = np.abs(basis @ (np.array(x) * hann)) ** 2
    hertz = k * RATE / len(x)
    kept = hertz >= 20
    centroid = np.average(hertz[kept], weights=power[kept])
    assert found["spectral_centroid"][0] == pytest.approx(centroid, rel=1e-9)


@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_scaling(factor: float, seed: int) -> None:
    window = noise(windows=1, seconds=2, seed=seed)
    once, scaled = measured(window), measured(factor * window)
    for name in ("rms", "mav", "peak", "slope", "waveform_length"):
        np.testing.assert_allclose(scaled[name], factor * once[name], rtol=1e-9)
    for name in ("zero_crossings", "slope_sign_changes", "spectral_centroid", "median_frequency"):
        np.testing.assert_allclose(scaled[name], once[name], rtol=1e-9)
    for name in ("burst_count", "burst_duration"):
        np.testing.assert_array_equal(scaled[name], once[name])


def test_relaxation_and_contraction_differ_below_and_above_a_baseline() -> None:
    """A rectified signal minus its baseline: the muscle relaxes and contracts by the same."""
    course = np.hanning(600)[None] + 0.01 * np.random.default_rng(0).normal(size=(1, 600))
    names = ["rms", "mav", "peak"]
    up, down = (
        dict(zip(NAMES, emg.rectified_features(sign * course, 100.0)[0], strict=True))
        for sign in (1, -1)
    )
    for name in names:
        assert up[name] > 0
        assert down[name] == -up[name]
    assert up["waveform_length"] == down["waveform_length"]
    burst = np.where(np.arange(600) // 60 == 4, 5.0, 0.0)[None] + 0.1 * course
    assert emg.bursts(burst, 100.0, signed=True)["burst_count"] == 1
    assert emg.bursts(-burst, 100.0, signed=True)["burst_count"] == 0


@pytest.mark.parametrize("rectifier", [Rectify(), Envelope(mode="window")])
def test_a_rectified_signal_keeps_its_level(rectifier: Step) -> None:
    """The mean of a raw window says nothing, that of a rectified one is the activity."""
    raw = np.random.default_rng(0).normal(size=(1, 3000)) * np.repeat([1.0, 3.0], 1500)
    signal = Signal(1e-6 * raw, 1000.0, "V", True, "voltage")
    recording = rectifier(Recording("d", "s", "r", signals={"emg_corrugator": signal}))
    rest, active = (
        Features("emg_corrugator")([Window(recording, start, 1.5)]).x[0, NAMES.index("mav")]
        for start in (0.0, 1.5)
    )
    assert active == pytest.approx(3 * rest, rel=0.1)
    assert rest == pytest.approx(
        np.sqrt(2 / np.pi) if isinstance(rectifier, Rectify) else 1, rel=0.1
    )


def test_the_mean_does_not_matter_for_raw_but_does_for_rectified() -> None:
    window = noise(windows=1)
    np.testing.assert_allclose(
        emg.features(window, RATE), emg.features(window + 50, RATE), rtol=1e-9
    )
    level = np.full((1, 2816), 4.0)
    rectified = dict(zip(NAMES, emg.rectified_features(level, RATE)[0], strict=True))
    assert rectified["rms"] == 4
    assert rectified["mav"] == 4
    assert rectified["slope"] == 0
    assert rectified["waveform_length"] == 0


def test_spectra_are_refused_where_they_cannot_be() -> None:
    slow = measured(noise()[:, :550], rate=100.0)
    rectified = dict(zip(NAMES, emg.rectified_features(np.abs(noise()), RATE).T, strict=True))
    for found in (slow, rectified):
        for name in emg._SPECTRAL:
            assert np.isnan(found[name]).all()
        assert np.isfinite(found["rms"]).all()


def test_a_flat_window_has_no_spectrum() -> None:
    found = measured(np.full((2, 2816), 0.1))
    assert np.isnan(found["spectral_centroid"]).all()
    assert np.isnan(found["median_frequency"]).all()
    for name in ("rms", "mav", "zero_crossings", "burst_count", "burst_duration"):
        assert (found[name] == 0).all()


def test_a_burst_is_found() -> None:
    t = np.arange(2816) / RATE
    rng = np.random.default_rng(3)
    window = rng.normal(0, 1, 2816)
    window[(t > 2) & (t < 3)] *= 20
    found = measured(window)
    assert found["burst_count"][0] == 1
    assert found["burst_duration"][0] == pytest.approx(1, abs=0.3)


def test_two_bursts_are_two() -> None:
    t = np.arange(5120) / RATE
    window = np.random.default_rng(4).normal(0, 1, 5120)
    window[((t > 2) & (t < 3)) | ((t > 6) & (t < 6.5))] *= 30
    found = measured(window)
    assert found["burst_count"][0] == 2
    assert found["burst_duration"][0] == pytest.approx(1.5, abs=0.4)


def test_one_row_is_that_row_of_many() -> None:
    windows = noise(windows=8)
    many = emg.features(windows, RATE)
    for row in range(8):
        one = emg.features(windows[row : row + 1], RATE)
        np.testing.assert_allclose(one[0], many[row], rtol=1e-12)
