from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.preprocessing import window_quality
from dolorimeter.registry import DATASETS
from dolorimeter.types import Signal


def signal(values: np.ndarray, rate: float = 100.0) -> Signal:
    return Signal(np.atleast_2d(values), rate, "a.u.", False, "conductance")


def wave(time: int = 1000) -> np.ndarray:
    return np.random.default_rng(0).normal(size=time).cumsum()


def test_a_good_signal() -> None:
    quality = window_quality(signal(wave()), "eda")
    assert quality.score > 0.99
    assert quality.reasons == ()


@pytest.mark.parametrize(
    ("spoil", "field", "reason"),
    [
        (slice(0, 250), "missing", "25% of samples missing"),
        (slice(0, 600), "flat", "60% of samples flat"),
    ],
)
def test_faults_are_counted_and_named(spoil: slice, field: str, reason: str) -> None:
    x = wave()
    x[spoil] = np.nan if field == "missing" else np.median(x)
    quality = window_quality(signal(x), "eda")
    share = (spoil.stop - spoil.start) / 1000
    assert getattr(quality, field) == pytest.approx(share, abs=2e-3)
    assert quality.score == pytest.approx(1 - share, abs=0.02)
    assert quality.reasons == (reason,)


def test_clipping_is_named() -> None:
    x = np.clip(np.sin(np.arange(1000) / 20.0), -0.8, 0.8)
    quality = window_quality(signal(x), "resp")
    assert quality.clipped == pytest.approx((np.abs(x) >= 0.8).mean(), abs=1e-3)
    assert "clipped" in quality.reasons[0]


def test_wholly_flat_and_wholly_missing() -> None:
    flat = window_quality(signal(np.full(550, 2e-6)), "eda")
    assert (flat.score, flat.flat, flat.reasons) == (0.0, 1.0, ("100% of samples flat",))
    gone = window_quality(signal(np.full(550, np.nan)), "ecg")
    assert (gone.score, gone.missing) == (0.0, 1.0)


def test_some_signals_may_stand_still() -> None:
    assert window_quality(signal(np.full(550, 32.0)), "temperature").score == 1.0
    assert window_quality(signal(np.full(550, 0.98)), "spo2").score == 0.0


@pytest.mark.parametrize("modality", ["spo2", "hr", "temperature"])
def test_full_saturation_is_not_clipping(modality: str) -> None:
    """Whole steps that rest at the highest value, as an oximeter shows a healthy person."""
    x = np.full(2000, 100.0)
    x[500:560] = np.round(100 - 20 * np.hanning(60))
    x[900:1500] = np.round(100 - 3 * np.hanning(600))
    quality = window_quality(signal(x), modality)
    assert quality.clipped == 0.0
    assert not any("clipped" in reason for reason in quality.reasons)


@pytest.mark.shared
@pytest.mark.extra("formats")
def test_slow_signals_of_a_real_wristband_are_not_clipped(data_root: Path) -> None:
    reader = DATASETS.get("stress_predict")(data_root / "stress_predict")
    recording = reader.recordings()[0].load()
    for modality in ("temperature", "eda"):
        whole = recording.signals[modality]
        windows = [whole.crop(t, 5.5) for t in whole.start + np.arange(60.0, 1800.0, 20.0)]
        clipped = np.array([window_quality(window, modality).clipped for window in windows])
        assert (clipped >= 0.05).mean() < 0.02


def test_beats_that_differ_lower_the_score() -> None:
    noise = np.random.default_rng(0).normal(size=1000)
    quality = window_quality(signal(noise), "ecg")
    assert quality.score < 0.7
    assert "beats" in quality.reasons[0]


CASES = Path(__file__).parents[1] / "fixtures" / "cases"


@pytest.mark.parametrize("rate", [195, 210])
def test_a_newborn_has_a_good_ecg(rate: int) -> None:
    ecg = np.loadtxt(CASES / "15-fast-heart" / f"ecg_{rate}.csv", delimiter=",")[:2500]
    assert window_quality(signal(ecg, 250.0), "ecg").score > 0.95


@pytest.mark.parametrize("modality", ["ecg", "ppg"])
def test_a_rhythm_that_cannot_be_followed_has_no_quality(modality: str) -> None:
    beats = np.mod(np.arange(2500) / 250.0 * 360 / 60, 1.0)
    quality = window_quality(signal(np.exp(-0.5 * ((beats - 0.5) / 0.1) ** 2), 250.0), modality)
    assert quality.score == 0.0
    assert quality.reasons == ("no heart rhythm between 20 and 300 per minute detected",)


def test_a_pulse_upside_down_is_as_good() -> None:
    upright, inverted = (
        np.loadtxt(CASES / "16-pulse-upside-down" / f"{name}.csv", delimiter=",")[:640]
        for name in ("upright", "inverted")
    )
    good, turned = (window_quality(signal(x, 64.0), "ppg").score for x in (upright, inverted))
    assert good > 0.9
    assert turned == pytest.approx(good)


def test_skin_conducts_or_the_electrode_is_off() -> None:
    x = np.abs(wave()) * 1e-6 / np.abs(wave()).max() + 2e-6
    x[:300] -= 2.2e-6
    on_skin = Signal(x[None], 100.0, "S", True, "conductance")
    quality = window_quality(on_skin, "eda")
    off = (x < 0.05e-6).mean()
    assert quality.score == pytest.approx(1 - off, abs=0.01)
    assert quality.reasons == (
        f"{off:.0%} of samples outside 0.05–60 µS: no contact with the skin",
    )
    unconfirmed = Signal(x[None], 100.0, "S", False, "conductance")
    assert window_quality(unconfirmed, "eda").reasons == ()


def test_millisiemens_for_microsiemens_are_a_wrong_unit() -> None:
    x = 4e-3 + 1e-4 * wave()
    (reason,) = window_quality(Signal(x[None], 100.0, "S", True, "conductance"), "eda").reasons
    assert "the unit is wrong" in reason


@pytest.mark.shared
def test_the_subject_without_contact_is_found(data_root: Path) -> None:
    reader = DATASETS.get("oxazepam_fmov")(data_root / "oxazepam_fmov")
    scores = {}
    for recording in reader.recordings(["24", "25"]):
        eda = recording.load().signals["eda"]
        windows = [eda.crop(t, 6.0) for t in np.arange(eda.start, eda.stop - 6.0, 30.0)]
        scores[recording.subject] = np.mean([window_quality(w, "eda").score for w in windows])
    assert scores["24"] > 0.95
    assert scores["25"] < 0.25


def test_no_samples() -> None:
    with pytest.raises(SignalError, match="the quality of eda was asked of no samples"):
        window_quality(signal(np.zeros((1, 0))), "eda")


@pytest.mark.shared
def test_real_ecg_is_good(data_root: Path) -> None:
    path = data_root / "neurokit_data/bio_resting_8min_100hz.csv"
    ecg = pd.read_csv(path)["ECG"].to_numpy(dtype=float)[2000:2550]
    assert window_quality(signal(ecg), "ecg").score > 0.9
