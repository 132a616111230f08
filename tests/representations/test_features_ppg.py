from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.representations.features import _beats, ppg

NAMES = [feature.name for feature in ppg.FEATURES]
RATE = 64.0


def measured(values: np.ndarray, rate: float = RATE) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, ppg.features(np.atleast_2d(values), rate).T, strict=True))


def test_a_sine_has_known_answers() -> None:
    """One pulse a second of 2 peak to trough: 60 a minute, height 2, half a second to rise."""
    t = np.arange(640) / RATE
    found = measured(3 + np.sin(2 * np.pi * t))
    # a peak is known to one sample, and the first and last of ten bound nine intervals
    assert found["rate_mean"][0] == pytest.approx(60, abs=60 * 2 / (9 * RATE))
    assert found["rate_change"][0] == pytest.approx(0, abs=0.05)
    assert found["amplitude"][0] == pytest.approx(2, rel=0.01)
    assert found["amplitude_change"][0] == pytest.approx(0, abs=0.01)
    assert found["rise_time"][0] == pytest.approx(0.5, abs=1.5 / RATE)


def test_a_shrinking_pulse() -> None:
    t = np.arange(640) / RATE
    found = measured((2 - 0.1 * t) * np.sin(2 * np.pi * t))
    assert found["amplitude_change"][0] == pytest.approx(-0.2, rel=0.05)


def test_height_and_rise_against_a_search_by_hand() -> None:
    values = np.array([[0.0, 5.0, 2.0, 1.0, 1.0, 4.0, 9.0, 3.0]])
    heights, rises = _beats.pulses(values, [np.array([1, 6])])
    assert heights.tolist() == [[8.0]]
    assert rises.tolist() == [[2.0]]


CASE = Path(__file__).parents[1] / "fixtures" / "cases" / "16-pulse-upside-down"


def test_a_pulse_upside_down_has_the_same_features() -> None:
    upright, inverted = (
        np.loadtxt(CASE / f"{name}.csv", delimiter=",").reshape(-1, 640)
        for name in ("upright", "inverted")
    )
    np.testing.assert_array_equal(inverted, -upright)
    found, turned = measured(upright), measured(inverted)
    for name in NAMES:
        np.testing.assert_allclose(turned[name], found[name], rtol=1e-9)
    np.testing.assert_allclose(found["rise_time"], 0.25, atol=0.03)
    np.testing.assert_allclose(found["rate_mean"], 70, atol=1)


def test_noise_has_no_pulse() -> None:
    found = measured(np.random.default_rng(0).normal(size=(100, 640)))
    assert np.isnan(found["rate_mean"]).mean() >= 0.95
    assert np.isnan(found["amplitude"]).mean() >= 0.95


def test_scaling() -> None:
    t = np.arange(640) / RATE
    values = np.sin(2 * np.pi * t) + 0.3 * np.sin(4 * np.pi * t)
    once, twice = measured(values), measured(2 * values + 7)
    for name in ("amplitude", "amplitude_change"):
        np.testing.assert_allclose(twice[name], 2 * once[name], rtol=1e-6, atol=1e-9)
    for name in ("rate_mean", "rate_min", "rate_max", "rise_time"):
        np.testing.assert_allclose(twice[name], once[name], rtol=1e-9)


def test_what_a_short_or_slow_window_cannot_have() -> None:
    t = np.arange(160) / RATE
    assert np.isnan(ppg.features(np.sin(2 * np.pi * t)[None], RATE)).all()
    assert np.isnan(ppg.features(np.ones((1, 50)), 10.0)).all()
    slow = measured(np.sin(2 * np.pi * np.arange(320) / 32), rate=32.0)
    assert np.isnan(slow["rise_time"]).all()
    assert np.isfinite(slow["amplitude"]).all()


def test_one_row_is_that_row_of_many() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(640) / RATE
    pace = rng.uniform(0.8, 1.8, (8, 1))
    windows = np.sin(2 * np.pi * pace * t) + rng.normal(0, 0.05, (8, 640))
    many = ppg.features(windows, RATE)
    for row in range(8):
        np.testing.assert_allclose(ppg.features(windows[row : row + 1], RATE)[0], many[row])


@pytest.mark.shared
def test_the_rate_of_a_real_pulse_wave_as_neurokit_finds_it(data_root: Path) -> None:
    table = np.genfromtxt(
        data_root / "neurokit_data" / "bio_resting_5min_100hz.csv", delimiter=",", names=True
    )
    values = table["PPG"][:6000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neurokit2 as nk

        cleaned = nk.ppg_clean(values, sampling_rate=100)
        peaks = nk.ppg_findpeaks(cleaned, sampling_rate=100)["PPG_Peaks"]
    theirs = 60 / np.diff(peaks / 100).mean()
    assert measured(values, rate=100.0)["rate_mean"][0] == pytest.approx(theirs, rel=0.02)
