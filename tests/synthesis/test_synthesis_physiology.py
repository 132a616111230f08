"""Signals that look like a body's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from dolorimeter.synthesis import physiology
from dolorimeter.synthesis.disturbance import disturb

TIMES = np.arange(2816) / 512.0


def rngs(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, i]) for i in range(count)]


def test_skin_conductance_response_has_its_amplitude_and_a_quick_rise() -> None:
    times = np.linspace(-1.0, 30.0, 31_001)
    curve = physiology.scr(times)
    assert curve.max() == pytest.approx(1.0, abs=1e-6)
    assert (curve[times <= 0] == 0).all()
    peak = times[np.argmax(curve)]
    half = times[(times > peak) & (curve < 0.5)][0]
    assert 0.5 < peak < 3.0  # published rise times: 1 to 3 s
    assert half - peak > peak  # recovery takes longer


@given(amplitude=st.floats(0.01, 3.0), level=st.floats(1.0, 15.0))
def test_response_comes_one_to_three_seconds_after_the_stimulus(
    amplitude: float, level: float
) -> None:
    found = physiology.skin_conductance(
        TIMES, np.full(4, level), np.full(4, amplitude), 0.0, rngs(4), 0.0
    )
    slope = np.diff(found, axis=1)
    onset = TIMES[np.argmax(slope > slope[:, :1] + 1e-5 * amplitude, axis=1)]
    assert ((onset >= 1.0 - 1e-9) & (onset <= 3.0 + 0.1)).all()


def test_heart_beats_at_the_rate_asked_and_rises() -> None:
    rate, rise = np.array([50.0, 72.0, 110.0]), np.array([0.0, 0.0, 20.0])
    heart = physiology.heart(TIMES, rate, rise, np.full(3, 0.25), 0.0, rngs(3))
    per_minute = np.diff(heart.phase, axis=1) * 512 * 60
    np.testing.assert_allclose(
        per_minute[:2], np.repeat(rate[:2, None], heart.phase.shape[1] - 1, 1)
    )
    assert per_minute[2, 0] == pytest.approx(110.0)
    assert per_minute[2, -1] == pytest.approx(130.0)


def test_ecg_has_r_peaks_where_the_phase_is_whole() -> None:
    heart = physiology.heart(TIMES, np.full(5, 72.0), np.zeros(5), np.full(5, 0.25), 3.0, rngs(5))
    ecg = physiology.electrocardiogram(TIMES, heart, 900.0, rngs(5, 1), 1.0)
    for row, phase in zip(ecg, heart.phase, strict=True):
        peaks, _ = signal.find_peaks(row, height=450.0, distance=150)
        wanted = np.interp(np.arange(np.ceil(phase[0]), phase[-1]), phase, heart.times)
        wanted = wanted[(wanted > 0.02) & (wanted < TIMES[-1] - 0.02)]
        inside = TIMES[peaks][(TIMES[peaks] > 0.02) & (TIMES[peaks] < TIMES[-1] - 0.02)]
        np.testing.assert_allclose(inside, wanted, atol=0.006)


def test_muscle_noise_has_variance_1_in_the_band_of_emg() -> None:
    found = physiology.muscle(2816, 512.0, rngs(40))
    assert found.std() == pytest.approx(1.0, abs=0.02)
    frequency, power = signal.welch(found, 512.0, nperseg=512)
    mean = power.mean(axis=0)
    assert mean[frequency < 8].sum() < 0.001 * mean.sum()
    assert 50 < (frequency * mean).sum() / mean.sum() < 130  # centroid, Hz


def test_burst_stands_out_of_the_tone() -> None:
    tone = np.full(30, 6.0)
    calm = physiology.electromyogram(TIMES, tone, np.zeros(30), rngs(30), 0.0)
    tense = physiology.electromyogram(TIMES, tone, np.full(30, 3.0), rngs(30), 0.0)
    assert calm.std() == pytest.approx(6.0, rel=0.03)
    assert tense.std() > 1.3 * calm.std()


def test_vessels_narrow_and_breath_deepens() -> None:
    heart = physiology.heart(TIMES, np.full(2, 72.0), np.zeros(2), np.full(2, 0.25), 0.0, rngs(2))
    pulse = physiology.pulse_wave(TIMES, heart, np.ones(2), np.array([0.0, 0.7]), rngs(2), 0.0)
    late = TIMES > 4.5
    assert np.ptp(pulse[1, late]) < 0.6 * np.ptp(pulse[0, late])
    breath = physiology.breathing_wave(TIMES, heart, np.array([0.0, 0.5]), rngs(2), 0.0)
    assert np.ptp(breath[1]) == pytest.approx(np.exp(0.5) * np.ptp(breath[0]), rel=0.15)


def test_haemodynamic_response_peaks_at_five_seconds_and_ends_at_nothing() -> None:
    times = np.arange(100) / 10.0
    curve = physiology.haemodynamic_response(times)
    assert times[np.argmax(curve)] == 5.0
    assert curve[0] == 0.0
    assert curve[-1] == 0.0


def test_saturation_is_flat_where_asked() -> None:
    found = physiology.saturation(1022, 100.0, np.array([True, False]), rngs(2))
    assert np.ptp(found[0]) == 0
    assert np.ptp(found[1]) > 0
    assert ((found > 90) & (found < 100)).all()


def test_a_window_does_not_depend_on_those_made_with_it() -> None:
    alone = physiology.skin_conductance(
        TIMES, np.ones(1), np.ones(1), 0.0, [np.random.default_rng([0, 2])], 1.0
    )
    together = physiology.skin_conductance(TIMES, np.ones(4), np.ones(4), 0.0, rngs(4), 1.0)
    np.testing.assert_array_equal(alone[0], together[2])


@pytest.mark.parametrize(
    ("rate", "kinds"), [(0.0, set()), (1.0, {"clipped", "flat", "nan", "movement"})]
)
def test_artefacts_come_at_their_rate(rate: float, kinds: set[str]) -> None:
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(60):
        wave = np.sin(2 * np.pi * TIMES) + 5.0
        moved, artefact = disturb({"gsr": wave}, movement=0.0, artefacts=rate, rng=rng)
        assert not moved
        if artefact:
            kind = artefact.removeprefix("gsr:")
            found.add(kind)
            assert (kind == "nan") == bool(np.isnan(wave).any())
            assert (kind == "flat") == (np.nanstd(wave) == 0)
    assert found == kinds


def test_movement_reaches_every_signal() -> None:
    signals = {"gsr": np.full(500, 4.0), "ecg": np.zeros(500), "emg_trapezius": np.zeros(500)}
    moved, artefact = disturb(signals, movement=1.0, artefacts=0.0, rng=np.random.default_rng(3))
    assert moved
    assert artefact == ""
    assert all(np.ptp(values) > 0 for values in signals.values())
