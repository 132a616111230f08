import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.signals.beats import (
    correct_intervals,
    covered_share,
    median,
    ppg_beats,
    ppg_peaks,
    r_peaks,
)

REAL_ECG = {
    "neurokit_data/ecg_1000hz.csv": 1000.0,
    "neurokit_data/bio_resting_8min_100hz.csv": 100.0,
    "neurokit_data/bio_resting_5min_100hz.csv": 100.0,
    "neurokit_data/bio_eventrelated_100hz.csv": 100.0,
    "biosppy_examples/ecg.txt": 1000.0,
}


def read(path: Path, column: str) -> np.ndarray:
    if path.suffix == ".txt":
        return np.loadtxt(path)
    return pd.read_csv(path)[column].to_numpy(dtype=float)


def share_found(wanted: np.ndarray, found: np.ndarray, within: float) -> float:
    return float((np.abs(wanted[:, None] - found[None, :]).min(axis=1) <= within).mean())


def beating(
    beats: np.ndarray, sampling_rate: float, duration: float, noise: float = 0.0
) -> np.ndarray:
    """An ECG drawn from Gaussians: P, Q, R, S and T around each beat time."""
    t = np.arange(round(duration * sampling_rate)) / sampling_rate
    x = np.zeros_like(t)
    for beat in beats:
        for lag, height, width in (
            (-0.17, 0.12, 0.025),
            (-0.03, -0.12, 0.009),
            (0.0, 1.0, 0.011),
            (0.03, -0.25, 0.009),
            (0.28, 0.3, 0.05),
        ):
            x += height * np.exp(-0.5 * ((t - beat - lag) / width) ** 2)
    return x + noise * np.random.default_rng(0).normal(size=t.shape)


@pytest.mark.parametrize("sampling_rate", [100.0, 250.0, 512.0, 1000.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_known_beats_upright_and_inverted(sampling_rate: float, sign: float) -> None:
    beats = np.cumsum(np.linspace(0.6, 1.1, 10)) - 0.1
    ecg = sign * 1e-3 * beating(beats, sampling_rate, 9.5, noise=0.02)
    (peaks,) = r_peaks(ecg[None], sampling_rate)
    # the R wave's summit is 11 ms wide; its neighbours and noise move it by a sample or two
    assert len(peaks) == len(beats)
    np.testing.assert_allclose(peaks / sampling_rate, beats, atol=0.012)


RATES = [40, 60, 72, 100, 140, 170, 195, 210, 220, 240, 260]


def irregular(rate: float, duration: float) -> np.ndarray:
    """Beat times whose intervals vary by a twentieth, seeded."""
    count = int(duration * rate / 60) + 2
    return np.cumsum(60 / rate * (1 + 0.05 * np.sin(0.9 * np.arange(count)))) - 0.3


def fast_ecg(beats: np.ndarray, rate: float, sampling_rate: float, noise: float) -> np.ndarray:
    """An ECG whose T wave comes earlier in a fast heart, as Bazett's formula has it."""
    t = np.arange(round(20 * sampling_rate)) / sampling_rate
    shorter = min(1.0, np.sqrt(60 / rate / 0.8))
    x = noise * np.random.default_rng(1).normal(size=t.shape)
    for beat in beats:
        for lag, height, width in (
            (-0.16 * shorter, 0.12, 0.025 * shorter),
            (-0.03, -0.12, 0.009),
            (0.0, 1.0, 0.011),
            (0.03, -0.25, 0.009),
            (0.28 * shorter, 0.3, 0.05 * shorter),
        ):
            x += height * np.exp(-0.5 * ((t - beat - lag) / width) ** 2)
    return x


def pulse(
    beats: np.ndarray, sampling_rate: float, noise: float, dicrotic: float, duration: float = 20.0
) -> np.ndarray:
    """A pulse wave with its systolic peak at a quarter of each beat, and a dicrotic wave."""
    t = np.arange(round(duration * sampling_rate)) / sampling_rate
    beats = np.concatenate([beats[:1] - np.diff(beats[:2]), beats])
    at = np.clip(np.searchsorted(beats, t, side="right") - 1, 0, len(beats) - 2)
    phase = (t - beats[at]) / np.diff(beats)[at]
    x = np.exp(-0.5 * ((phase - 0.25) / 0.1) ** 2)
    x += dicrotic * np.exp(-0.5 * ((phase - 0.58) / 0.11) ** 2)
    return x + noise * np.random.default_rng(2).normal(size=t.shape)


def check_beats(peaks: np.ndarray, beats: np.ndarray, within: float, sampling_rate: float) -> None:
    """The true beats away from the edges are detected, one in 50 may be lost, and no others."""
    seconds = peaks / sampling_rate
    assert share_found(beats[(beats > 1.0) & (beats < 19.0)], seconds, within) >= 0.98
    assert share_found(seconds[(seconds > 1.0) & (seconds < 19.0)], beats, within) == 1.0


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("sampling_rate", [100.0, 250.0, 512.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ecg_from_slow_to_newborn(rate: float, sampling_rate: float, sign: float) -> None:
    beats = irregular(rate, 20.0)
    for noise in (0.0, 0.1):
        ecg = sign * fast_ecg(beats, rate, sampling_rate, noise)
        check_beats(r_peaks(ecg[None], sampling_rate)[0], beats, 0.025, sampling_rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("sampling_rate", [32.0, 64.0, 100.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_pulse_from_slow_to_newborn(rate: float, sampling_rate: float, sign: float) -> None:
    beats = irregular(rate, 20.0)
    for noise, dicrotic in ((0.0, 0.0), (0.01, 0.35), (0.05, 0.35)):
        wave = sign * pulse(beats, sampling_rate, noise, dicrotic)
        (peaks,), turned = ppg_beats(wave[None], sampling_rate)
        assert turned.item() == sign
        at = np.interp(np.arange(len(beats) - 1) + 0.25, np.arange(len(beats)), beats)
        check_beats(peaks, at, 0.05, sampling_rate)


@pytest.mark.parametrize("rate", [340, 360, 420])
def test_a_rhythm_that_cannot_be_followed_has_no_beats(rate: float) -> None:
    beats = np.arange(0.1, 20.0, 60 / rate)
    (peaks,) = r_peaks(fast_ecg(beats, rate, 250.0, 0.01)[None], 250.0)
    # at the edges a pair may stay: what must not stay is a rhythm
    assert covered_share([peaks], 250.0, 5000)[0] < 0.1
    (peaks,) = ppg_peaks(pulse(beats, 100.0, 0.01, 0.35)[None], 100.0)
    assert covered_share([peaks], 100.0, 2000)[0] < 0.1


def test_covered_share_leaves_out_what_has_no_beats() -> None:
    peaks = [np.array([10, 110, 210, 700, 800]), np.array([5]), np.zeros(0, dtype=int)]
    np.testing.assert_allclose(covered_share(peaks, 100.0, 1000), [0.3, 0.0, 0.0])


def test_polarity_is_chosen_per_window() -> None:
    wave = pulse(irregular(70, 20.0), 64.0, 0.02, 0.35)
    rows = np.stack([wave, -wave, np.full_like(wave, 3.0), 1e-9 * wave])
    peaks, sign = ppg_beats(rows, 64.0)
    assert sign.ravel().tolist() == [1, -1, 1, 1]
    np.testing.assert_array_equal(peaks[0], peaks[1])
    np.testing.assert_array_equal(peaks[0], peaks[3])


def test_a_batch_is_its_rows() -> None:
    rows = np.stack([beating(np.arange(0.4 + i / 10, 5.4, 0.8), 256.0, 5.5) for i in range(4)])
    together = r_peaks(rows, 256.0)
    for row, peaks in zip(rows, together, strict=True):
        np.testing.assert_array_equal(peaks, r_peaks(row[None], 256.0)[0])


def test_scale_and_offset_do_not_matter() -> None:
    ecg = beating(np.arange(0.5, 5.3, 0.8), 512.0, 5.5, noise=0.01)[None]
    np.testing.assert_array_equal(r_peaks(ecg, 512.0)[0], r_peaks(1e-4 * ecg + 0.03, 512.0)[0])


def test_nothing_beats_in_flat_windows_and_gaps() -> None:
    ecg = np.stack(
        [np.full(1000, 3.3), np.full(1000, np.nan), beating(np.arange(0.5, 9.9, 0.8), 100.0, 10.0)]
    )
    whole = r_peaks(ecg, 100.0)
    assert len(whole[0]) == len(whole[1]) == 0
    broken = ecg.copy()
    broken[2, 300:500] = np.nan
    peaks = r_peaks(broken, 100.0)[2]
    expected = whole[2][(whole[2] < 300) | (whole[2] >= 500)]
    assert not ((peaks >= 300) & (peaks < 500)).any()
    assert share_found(expected[(expected < 280) | (expected > 520)], peaks, 1) == 1.0


@pytest.mark.parametrize("detect", [r_peaks, ppg_peaks])
def test_impossible_signals(detect) -> None:
    with pytest.raises(SignalError, match="at 10 Hz, which needs at least"):
        detect(np.zeros((1, 100)), 10.0)
    with pytest.raises(SignalError, match=r"0.5 s, expected at least 1 s"):
        detect(np.zeros((1, 50)), 100.0)


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL_ECG)
def test_real_ecg_agrees_with_neurokit(name: str, data_root: Path) -> None:
    import neurokit2 as nk

    ecg, rate = read(data_root / name, "ECG"), REAL_ECG[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cleaned = nk.ecg_clean(ecg, sampling_rate=int(rate))
        theirs = np.asarray(nk.ecg_peaks(cleaned, sampling_rate=int(rate))[1]["ECG_R_Peaks"])
    (ours,) = r_peaks(ecg[None], rate)
    # the issue's own bound; ours also finds the first beat of two records, which theirs leaves out
    assert share_found(theirs, ours, 0.020 * rate) >= 0.99
    assert share_found(ours, theirs, 0.020 * rate) >= 0.985 - 1.0 / len(ours)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rate"),
    [("neurokit_data/bio_resting_5min_100hz.csv", 100.0), ("biosppy_examples/ppg.txt", 1000.0)],
)
def test_real_pulse_agrees_with_neurokit(name: str, rate: float, data_root: Path) -> None:
    import neurokit2 as nk

    ppg = read(data_root / name, "PPG")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cleaned = nk.ppg_clean(ppg, sampling_rate=int(rate))
        theirs = np.asarray(nk.ppg_findpeaks(cleaned, sampling_rate=int(rate))["PPG_Peaks"])
    (ours,) = ppg_peaks(ppg[None], rate)
    assert share_found(theirs, ours, 0.020 * rate) >= 0.99
    assert share_found(ours, theirs, 0.020 * rate) >= 0.99


@pytest.mark.shared
def test_real_ecg_cut_into_windows_keeps_its_beats(data_root: Path) -> None:
    ecg = read(data_root / "neurokit_data/bio_resting_8min_100hz.csv", "ECG")
    (whole,) = r_peaks(ecg[None], 100.0)
    rows = ecg[: len(ecg) // 550 * 550].reshape(-1, 550)
    pieces = np.concatenate([p + 550 * i for i, p in enumerate(r_peaks(rows, 100.0))])
    inner = (whole % 550 > 10) & (whole % 550 < 540) & (whole < rows.size)
    assert share_found(whole[inner], pieces, 2) >= 0.99


def test_intervals_out_of_line_are_replaced() -> None:
    intervals = np.full(20, 0.8) + 0.01 * np.sin(np.arange(20))
    clean = intervals.copy()
    intervals[5], intervals[12] = 1.6, 0.35
    corrected, replaced = correct_intervals(intervals)
    np.testing.assert_array_equal(np.flatnonzero(replaced), [5, 12])
    np.testing.assert_allclose(corrected[5], (clean[4] + clean[6]) / 2)
    np.testing.assert_array_equal(corrected[~replaced], clean[~replaced])


@pytest.mark.parametrize("shape", [(1,), (4,), (5,), (6, 7), (9, 3)])
def test_median_is_that_of_numpy(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(median(x), np.median(x, axis=0), rtol=1e-15)


def test_intervals_of_none() -> None:
    corrected, replaced = correct_intervals(np.zeros(0))
    assert len(corrected) == len(replaced) == 0


def test_intervals_must_be_positive() -> None:
    with pytest.raises(SignalError, match="must be positive numbers of seconds, found -1"):
        correct_intervals(np.array([0.8, -1.0]))
