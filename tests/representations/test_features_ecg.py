from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.representations.features import _beats, _rows, ecg

NAMES = [feature.name for feature in ecg.FEATURES]


def trace(beats: np.ndarray, seconds: float, rate: float = 512.0) -> np.ndarray:
    """A made-up electrocardiogram: a narrow spike a beat and a slow T wave after it."""
    t = np.arange(round(seconds * rate)) / rate
    values = np.zeros_like(t)
    for beat in beats:
        values += np.exp(-0.5 * ((t - beat) / 0.012) ** 2)
        values += 0.2 * np.exp(-0.5 * ((t - beat - 0.25) / 0.05) ** 2)
    return values


def measured(values: np.ndarray, rate: float = 512.0) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, ecg.features(np.atleast_2d(values), rate).T, strict=True))


def test_a_regular_heart() -> None:
    found = measured(trace(np.arange(0.4, 5.4, 0.75), 5.5))
    for name in ("rate_mean", "rate_min", "rate_max"):
        assert found[name][0] == pytest.approx(80, abs=0.1)
    assert found["rate_change"][0] == pytest.approx(0, abs=0.1)


def test_variability_needs_time() -> None:
    found = measured(trace(np.arange(0.4, 5.4, 0.75), 5.5))
    for name in ("rmssd", "sdnn", "pnn50"):
        assert np.isnan(found[name]).all()
    longer = measured(trace(np.arange(0.4, 11.4, 0.75), 12))
    assert longer["rmssd"][0] == pytest.approx(0, abs=0.5)
    assert np.isnan(longer["sdnn"]).all()


def test_variability_needs_a_clock() -> None:
    values = trace(np.arange(0.4, 59.4, 0.75), 60, rate=100.0)
    found = measured(values, rate=100.0)
    assert found["rate_mean"][0] == pytest.approx(80, abs=0.5)
    for name in ("rmssd", "sdnn", "pnn50"):
        assert np.isnan(found[name]).all()


def test_a_quickening_heart() -> None:
    """Rate rising by 4 beats a minute every second: the trend says so."""
    beats = [0.3]
    while beats[-1] < 9.5:
        beats.append(beats[-1] + 60 / (60 + 4 * beats[-1]))
    found = measured(trace(np.array(beats), 10))
    assert found["rate_change"][0] == pytest.approx(4, rel=0.12)
    assert found["rate_max"][0] > found["rate_mean"][0] > found["rate_min"][0]


@given(st.lists(st.floats(0.4, 1.5), min_size=3, max_size=12))
def test_variability_against_definitions_interval_by_interval(rr: list[float]) -> None:
    rows = np.array([[*rr, np.nan, np.nan]])
    found = ecg.variability(rows)
    steps = [1000 * (b - a) for a, b in pairwise(rr)]
    middle = sum(rr) / len(rr)
    rmssd = (sum(s * s for s in steps) / len(steps)) ** 0.5
    sdnn = 1000 * (sum((v - middle) ** 2 for v in rr) / (len(rr) - 1)) ** 0.5
    assert found["rmssd"][0] == pytest.approx(rmssd, rel=1e-9, abs=1e-9)
    assert found["sdnn"][0] == pytest.approx(sdnn, rel=1e-9, abs=1e-9)
    if all(abs(abs(s) - 50) > 1e-6 for s in steps):
        assert found["pnn50"][0] == sum(abs(s) > 50 for s in steps) / len(steps)


@given(st.lists(st.floats(0.4, 1.5), min_size=2, max_size=12), st.floats(0, 5))
def test_rates_against_definitions(rr: list[float], shift: float) -> None:
    beats = np.cumsum([0.1, *rr])
    found = _beats.rates(np.array([[*beats[1:], np.nan]]), np.array([[*rr, np.nan]]))
    assert found["rate_mean"][0] == pytest.approx(60 / np.mean(rr))
    assert found["rate_min"][0] == pytest.approx(60 / max(rr))
    assert found["rate_max"][0] == pytest.approx(60 / min(rr))
    slope = np.polyfit(beats[1:], 60 / np.array(rr), 1)[0]
    assert found["rate_change"][0] == pytest.approx(slope, rel=1e-6, abs=1e-6)
    later = _beats.rates(np.array([[*beats[1:] + shift, np.nan]]), np.array([[*rr, np.nan]]))
    for name, value in found.items():
        np.testing.assert_allclose(later[name], value, rtol=1e-6, atol=1e-6)


def test_too_few_beats_are_nan() -> None:
    found = measured(np.vstack([np.zeros(2816), trace(np.array([2.7]), 5.5)]))
    for name, value in found.items():
        assert np.isnan(value).all(), name


@pytest.mark.parametrize(("rate", "seconds"), [(25.0, 10.0), (512.0, 0.5), (512.0, 2.0)])
def test_what_beats_cannot_be_found_in_is_nan(rate: float, seconds: float) -> None:
    assert np.isnan(ecg.features(np.ones((2, round(rate * seconds))), rate)).all()


def test_unit_and_level_do_not_matter() -> None:
    values = trace(np.array([0.5, 1.3, 2.2, 2.9, 3.8, 4.7]), 5.5)
    np.testing.assert_allclose(
        ecg.features(values[None], 512.0), ecg.features(1e-3 * values[None] + 5, 512.0), rtol=1e-9
    )


def test_one_row_is_that_row_of_many() -> None:
    rng = np.random.default_rng(2)
    windows = np.stack(
        [
            trace(np.cumsum(rng.uniform(0.6, 1.1, 9)), 8) + rng.normal(0, 0.02, 4096)
            for _ in range(8)
        ]
    )
    many = ecg.features(windows, 512.0)
    for row in range(8):
        np.testing.assert_allclose(ecg.features(windows[row : row + 1], 512.0)[0], many[row])


def test_a_missed_beat_does_not_halve_the_rate() -> None:
    beats = np.delete(np.arange(0.4, 11.5, 0.75), 7)
    found = measured(trace(beats, 12))
    for name in ("rate_mean", "rate_min", "rate_max"):
        assert found[name][0] == pytest.approx(80, abs=0.2)
    assert found["rmssd"][0] == pytest.approx(0, abs=1)


CASE = Path(__file__).parents[1] / "fixtures" / "cases" / "15-fast-heart"


@pytest.mark.parametrize("rate", [195, 210])
def test_a_newborn(rate: int) -> None:
    """Ten-second windows of a published case: the rate of its true beats within 2 per minute."""
    ecg = np.loadtxt(CASE / f"ecg_{rate}.csv", delimiter=",")
    true = np.loadtxt(CASE / f"beats_{rate}.csv", delimiter=",")
    assert 60 / np.diff(true).mean() == pytest.approx(rate, abs=0.5)
    windows = ecg[: len(ecg) // 2500 * 2500].reshape(-1, 2500)
    for name in ("rate_mean", "rate_min", "rate_max"):
        np.testing.assert_allclose(measured(windows, rate=250.0)[name], rate, atol=4.0)
    np.testing.assert_allclose(measured(windows, rate=250.0)["rate_mean"], rate, atol=2.0)


def test_noise_has_no_heart_rate() -> None:
    noise = np.random.default_rng(0).normal(size=(100, 2500))
    assert np.isnan(measured(noise, rate=250.0)["rate_mean"]).mean() >= 0.95


def test_what_needs_too_much_editing_is_not_given() -> None:
    steady = np.arange(100, 3000, 100)
    third = np.delete(steady, [3, 8, 13, 18, 23])
    wild = np.cumsum([100, 40, 200, 90, 45, 210, 50, 180, 60])
    intervals, share = _beats.edited_intervals([steady, third, wild, steady[:1]], 100.0)
    assert intervals.shape == (4, 28)
    assert share[0] == 0
    assert share[1] == pytest.approx(5 / 23)
    assert share[2] > 0.5
    assert share[3] == 0
    np.testing.assert_allclose(intervals[1, :23], 1.0)
    kept = _beats.trusted(intervals, share, _beats.MOST_FOR_VARIABILITY)
    assert np.isfinite(kept).sum(axis=1).tolist() == [28, 0, 0, 0]
    kept = _beats.trusted(intervals, share, _beats.MOST_FOR_RATE)
    assert np.isfinite(kept).sum(axis=1).tolist() == [28, 23, 0, 0]


def test_padded_rows() -> None:
    assert _rows.padded([np.array([], dtype=int)], 10.0).shape == (1, 0)
    times = _rows.padded([np.array([5, 10]), np.array([1])], 10.0)
    np.testing.assert_array_equal(times, [[0.5, 1.0], [0.1, np.nan]])


@pytest.mark.shared
def test_against_neurokit_on_a_real_trace(data_root: Path) -> None:
    """Same peaks, same numbers; and the mean rate of its own peaks within 1 beat a minute."""
    values = np.loadtxt(data_root / "neurokit_data" / "ecg_1000hz.csv", skiprows=1, delimiter=",")
    values = values[:60_000] if values.ndim == 1 else values[:60_000, -1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neurokit2 as nk

        cleaned = nk.ecg_clean(values, sampling_rate=1000)
        peaks = nk.ecg_peaks(cleaned, sampling_rate=1000)[1]["ECG_R_Peaks"]
        theirs = nk.hrv_time(peaks, sampling_rate=1000)
    ours = ecg.variability(np.diff(peaks / 1000.0)[None])
    assert ours["rmssd"][0] == pytest.approx(theirs["HRV_RMSSD"][0], rel=1e-9)
    assert ours["sdnn"][0] == pytest.approx(theirs["HRV_SDNN"][0], rel=1e-9)
    # NeuroKit2 divides the count of long steps by the number of intervals, one more than of steps
    steps = len(peaks) - 2
    assert 100 * ours["pnn50"][0] == pytest.approx(
        theirs["HRV_pNN50"][0] * (steps + 1) / steps, rel=1e-6
    )
    found = measured(values, rate=1000.0)
    assert found["rate_mean"][0] == pytest.approx(60 / np.diff(peaks / 1000.0).mean(), abs=1)
