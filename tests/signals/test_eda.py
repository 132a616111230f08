import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.signals.eda import SCR, clean, scr_events, tonic_phasic

RATE = 100.0


def responses(
    onsets: list[float], amplitudes: list[float], duration: float, rate: float = RATE
) -> np.ndarray:
    """Responses that rise as a half cosine for 1 s and then fall with a half life of 2 s."""
    t = np.arange(round(duration * rate)) / rate
    x = np.zeros_like(t)
    for onset, amplitude in zip(onsets, amplitudes, strict=True):
        since = t - onset
        rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(since, 0, 1))
        x += amplitude * rise * np.where(since > 1, 0.5 ** ((since - 1) / 2), 1.0)
    return x


def test_known_responses() -> None:
    x = responses([2.0, 12.0], [1e-6, 4e-7], 20.0)
    (events,) = scr_events(x[None], RATE, 1e-8)
    assert events.dtype == SCR
    np.testing.assert_allclose(events["peak"] / RATE, [3.0, 13.0], atol=1 / RATE)
    np.testing.assert_allclose(events["onset"] / RATE, [2.0, 12.0], atol=0.1)
    # the first response has half lives (12 − 3)/2 behind it when the second begins: 4.4 % is left
    left = 1e-6 * 0.5 ** np.array([np.inf, 4.5])
    lost = left * (1 - 0.5**0.5)
    np.testing.assert_allclose(events["amplitude"], [1e-6, 4e-7 - lost[1]], rtol=5e-3)
    np.testing.assert_allclose(events["rise_time"], [1.0, 1.0], atol=0.1)
    np.testing.assert_allclose(events["recovery"][0], 2.0, atol=2 / RATE)


def test_small_responses_and_dips_do_not_count() -> None:
    x = responses([2.0, 8.0], [1e-6, 5e-9], 14.0)
    assert len(scr_events(x[None], RATE, 1e-8)[0]) == 1
    dipped = x + 4e-10 * np.sin(2 * np.pi * 10 * np.arange(len(x)) / RATE)
    (events,) = scr_events(dipped[None], RATE, 1e-8)
    assert len(events) == 1
    np.testing.assert_allclose(events["amplitude"], 1e-6, rtol=5e-3)


def test_a_response_must_begin_to_fall_inside_the_window() -> None:
    x = responses([2.0], [1e-6], 10.0)
    assert len(scr_events(x[None, :290], RATE, 1e-8)[0]) == 0
    (events,) = scr_events(x[None, :310], RATE, 1e-8)
    assert len(events) == 1
    assert np.isnan(events["recovery"][0])


def test_plateau_flat_and_missing_rows() -> None:
    plateau = np.concatenate([np.zeros(50), np.linspace(0, 1e-6, 50), np.full(50, 1e-6)])
    fall = np.concatenate([plateau, np.linspace(1e-6, 0, 50)])
    whole = np.stack([fall, np.full(200, 2e-6), np.full(200, np.nan)])
    events = scr_events(whole, RATE, 1e-8)
    assert [len(e) for e in events] == [1, 0, 0]
    assert events[0]["onset"][0] == 50
    assert events[0]["peak"][0] == 99


def test_a_response_that_touches_a_gap_is_left_out() -> None:
    x = responses([2.0, 12.0], [1e-6, 1e-6], 20.0)
    x[240:260] = np.nan
    (events,) = scr_events(x[None], RATE, 1e-8)
    np.testing.assert_allclose(events["peak"] / RATE, [13.0], atol=1 / RATE)


def test_amplitude_must_be_positive() -> None:
    with pytest.raises(SignalError, match="smallest response amplitude is 0"):
        scr_events(np.zeros((1, 100)), RATE, 0.0)


def test_parts_add_up_and_bridge_gaps() -> None:
    x = 5e-6 + responses([10.0, 30.0], [1e-6, 1e-6], 60.0)
    x[1000:1010] = np.nan
    tonic, phasic = tonic_phasic(x, RATE)
    np.testing.assert_allclose(tonic + phasic, x, rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(tonic), np.isnan(x))


def test_clean_keeps_slow_signals_and_slow_rates() -> None:
    t = np.arange(2000) / RATE
    slow, fast = np.sin(2 * np.pi * 0.2 * t), np.sin(2 * np.pi * 20.0 * t)
    # order 4 twice: (20/3)^-8, and a transient of the reflected edge
    np.testing.assert_allclose(clean(slow + fast, RATE)[200:-200], slow[200:-200], atol=1e-3)
    assert clean(slow, 4.0) is slow


@pytest.mark.shared
def test_real_eda_against_neurokit(data_root: Path) -> None:
    import neurokit2 as nk

    path = data_root / "neurokit_data/bio_eventrelated_100hz.csv"
    eda = pd.read_csv(path)["EDA"].to_numpy(dtype=float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cleaned = nk.eda_clean(eda, sampling_rate=100)
        theirs = nk.eda_phasic(cleaned, sampling_rate=100, method="highpass")
        peaks = nk.eda_findpeaks(theirs["EDA_Phasic"], 100, method="neurokit", amplitude_min=0.1)
    ours = clean(eda, 100.0)
    tonic, phasic = tonic_phasic(ours, 100.0)
    # the same Butterworth filters in the same sections: rounding at a pole of 1 − 0.003, twice
    np.testing.assert_allclose(ours, cleaned, atol=1e-8)
    np.testing.assert_allclose(phasic, theirs["EDA_Phasic"], atol=1e-6)
    # their tonic part is a low-pass and not the rest; the two filters' sum is 1 to first order
    assert np.corrcoef(tonic, theirs["EDA_Tonic"])[0, 1] > 0.98
    least = 0.1 * float(np.max(peaks["SCR_Height"]))
    (events,) = scr_events(phasic[None], 100.0, least)
    for peak, height in zip(peaks["SCR_Peaks"], peaks["SCR_Height"], strict=True):
        if height >= 2 * least:
            assert np.abs(events["peak"] - peak).min() <= 1
