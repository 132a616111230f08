from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.representations.features import eda

NAMES = [feature.name for feature in eda.FEATURES]
RATE = 64.0
SIZED = ("sd", "range", "slope", "scr_amplitude_sum", "scr_amplitude_max", "scr_area")


def bump(t: np.ndarray, start: float, size: float) -> np.ndarray:
    """A response of `size` that rises over 1.5 s in half a cosine and decays over seconds."""
    rise = 0.5 * size * (1 - np.cos(np.pi * np.clip((t - start) / 1.5, 0, 1)))
    fall = np.exp(-np.clip(t - start - 1.5, 0, None) / 2)
    return rise * fall


def measured(
    values: np.ndarray, rate: float = RATE, onset: float = float("nan")
) -> dict[str, np.ndarray]:
    rows = np.atleast_2d(values)
    found = eda.features(rows, rate, np.full(len(rows), onset))
    return dict(zip(NAMES, found.T, strict=True))


def test_a_ramp_has_known_answers() -> None:
    t = np.arange(640) / RATE
    found = measured(2 + 0.1 * t)
    assert found["mean"][0] == pytest.approx(2 + 0.1 * t.mean())
    assert found["slope"][0] == pytest.approx(0.1, rel=1e-9)
    assert found["sd"][0] == pytest.approx(0.1 * t.std(), rel=1e-9)
    assert found["range"][0] == pytest.approx(0.1 * t[-1], rel=1e-3)
    assert found["scr_count"][0] == 0
    assert found["scr_amplitude_sum"][0] == 0
    assert np.isnan(found["scr_rise_time"][0])


def test_a_response_has_known_answers() -> None:
    t = np.arange(round(12 * RATE)) / RATE
    found = measured(5 + bump(t, 3.0, 0.4), onset=1.0)
    assert found["scr_count"][0] == 1
    assert found["scr_amplitude_max"][0] == pytest.approx(0.4, rel=0.02)
    assert found["scr_amplitude_sum"][0] == found["scr_amplitude_max"][0]
    assert found["scr_rise_time"][0] == pytest.approx(1.5, abs=0.3)
    assert found["scr_latency"][0] == pytest.approx(2.0, abs=0.3)
    assert found["scr_area"][0] == pytest.approx(bump(t, 3.0, 0.4).sum() / RATE, rel=0.03)


def test_two_responses_add_up() -> None:
    t = np.arange(round(20 * RATE)) / RATE
    found = measured(5 + bump(t, 3.0, 0.4) + bump(t, 12.0, 0.2))
    assert found["scr_count"][0] == 2
    assert found["scr_amplitude_max"][0] == pytest.approx(0.4, rel=0.02)
    assert found["scr_amplitude_sum"][0] == pytest.approx(0.6, rel=0.03)


@pytest.mark.parametrize(("onset", "known"), [(1.0, True), (2.5, False), (-4.0, False)])
def test_latency_is_of_a_response_to_the_stimulus(onset: float, known: bool) -> None:
    t = np.arange(round(12 * RATE)) / RATE
    found = measured(5 + bump(t, 3.0, 0.4), onset=onset)
    assert np.isfinite(found["scr_latency"][0]) == known
    unknown = measured(5 + bump(t, 3.0, 0.4))
    assert np.isnan(unknown["scr_latency"][0])


def test_a_response_below_the_threshold_is_none() -> None:
    t = np.arange(round(12 * RATE)) / RATE
    assert measured(5 + bump(t, 3.0, 0.009))["scr_count"][0] == 0
    assert measured(5 + bump(t, 3.0, 0.02))["scr_count"][0] == 1


@given(st.floats(1.5, 50), st.floats(-5, 5))
def test_scaling_and_level(factor: float, level: float) -> None:
    t = np.arange(round(12 * RATE)) / RATE
    values = 5 + bump(t, 3.0, 0.4) + 0.02 * t
    once, scaled, moved = measured(values), measured(factor * values), measured(level + values)
    for name in SIZED:
        np.testing.assert_allclose(scaled[name], factor * once[name], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(moved[name], once[name], rtol=1e-6, err_msg=name)
    for name in ("scr_count", "scr_rise_time"):
        np.testing.assert_array_equal(moved[name], once[name])


@given(st.integers(0, 128))
def test_a_response_does_not_depend_on_when_it_comes(shift: int) -> None:
    t = np.arange(round(14 * RATE)) / RATE
    early, late = measured(5 + bump(t, 3, 0.4)), measured(5 + bump(t, 3 + shift / RATE, 0.4))
    for name in ("scr_count", "scr_amplitude_max", "scr_rise_time"):
        np.testing.assert_allclose(late[name], early[name], rtol=1e-3, err_msg=name)


def test_what_a_short_or_slow_window_cannot_have() -> None:
    short = measured(np.linspace(1, 2, 128))
    assert np.isnan(short["scr_count"][0])
    assert np.isfinite(short["slope"][0])
    for rate, samples in ((1.0, 60), (64.0, 10), (4.0, 3)):
        found = measured(np.linspace(1, 2, samples), rate=rate)
        assert np.isnan(found["scr_count"][0])
        assert found["mean"][0] == pytest.approx(1.5)
    wristband = measured(5 + bump(np.arange(240) / 4.0, 20.0, 0.4), rate=4.0)
    assert wristband["scr_count"][0] == 1
    assert np.isfinite(wristband["phasic_area"][0])


def test_tonic_and_phasic_part_of_a_known_mixture() -> None:
    """0.2 Hz on a level: the level is tonic, half waves of the sine are the area."""
    t = np.arange(round(100 * RATE)) / RATE
    found = measured(7 + 0.5 * np.sin(2 * np.pi * 0.2 * t))
    assert found["tonic_mean"][0] == pytest.approx(7, abs=0.02)
    assert found["phasic_area"][0] == pytest.approx(0.5 * 100 / np.pi, rel=0.05)
    assert np.isnan(measured(np.ones(round(19 * RATE)))["phasic_area"][0])


def test_one_row_is_that_row_of_many() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(2816) / 512.0
    windows = np.stack([5 + bump(t, s, 0.3) for s in rng.uniform(0, 4, 8)])
    windows += rng.normal(0, 0.001, windows.shape)
    onset = rng.uniform(-3, 1, 8)
    many = eda.features(windows, 512.0, onset)
    for row in range(8):
        one = eda.features(windows[row : row + 1], 512.0, onset[row : row + 1])
        np.testing.assert_allclose(one[0], many[row], rtol=1e-9)


def test_against_neurokit_on_its_own_simulation() -> None:
    """On a noiseless simulation both find the same responses; NeuroKit2's amplitudes are ours.

    Its peaks come from `eda_findpeaks` on the same cleaned signal, so that only the definition of
    a response is compared; amplitude is peak minus onset in both.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neurokit2 as nk

        # a fifth of its 1 uS in 0.4 s, which is steeper than skin and would ring at 3 Hz
        values = 0.2 * np.asarray(
            nk.eda_simulate(
                duration=60, sampling_rate=100, scr_number=6, drift=0, noise=0, random_state=3
            )
        )
        theirs = nk.eda_findpeaks(values, sampling_rate=100, method="neurokit", amplitude_min=0.05)
        known = np.isfinite(theirs["SCR_Onsets"])
    found = measured(values, rate=100.0)
    assert found["scr_count"][0] == len(theirs["SCR_Peaks"])
    assert found["scr_amplitude_max"][0] == pytest.approx(
        (theirs["SCR_Height"][known] - values[theirs["SCR_Onsets"][known].astype(int)]).max(),
        rel=0.03,
    )


@pytest.mark.shared
def test_tonic_and_phasic_part_of_real_skin_as_neurokit_splits_them(data_root: Path) -> None:
    """Its `highpass` is the same filter (Butterworth, order 2, 0.05 Hz); only edges may differ."""
    table = np.genfromtxt(
        data_root / "neurokit_data" / "bio_eventrelated_100hz.csv", delimiter=",", names=True
    )
    values = table["EDA"][:12_000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neurokit2 as nk

        parts = nk.eda_phasic(values, sampling_rate=100, method="highpass")
    found = measured(values, rate=100.0)
    area = np.clip(parts["EDA_Phasic"], 0, None).sum() / 100
    assert found["tonic_mean"][0] == pytest.approx(parts["EDA_Tonic"].mean(), rel=0.01)
    assert found["phasic_area"][0] == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize("rate", [4.0, 8.0, 32.0])
def test_noise_is_not_counted_as_responses(rate: float) -> None:
    """A minute of a still skin under white noise: no count, or next to none."""
    rng = np.random.default_rng(0)
    for noise in (0.001, 0.002, 0.003, 0.005, 0.02):
        still = 2.0 + noise * rng.normal(size=(50, round(60 * rate)))
        found = eda.features(still, rate, np.full(50, np.nan))[:, NAMES.index("scr_count")]
        assert np.nansum(found) / 50 < 0.3  # false responses per minute; NaN where it cannot tell


@pytest.mark.parametrize("amplitude", [0.05, 0.2, 2.0])
def test_responses_are_not_taken_for_noise(amplitude: float) -> None:
    """Ten responses of a minute that rise within 1.5 s, at the rate of a wristband."""
    t = np.arange(240) / 4.0
    course = 2.0 + sum(
        amplitude
        * np.clip(t - start, 0, None)
        / 1.5
        * np.exp(1 - np.clip(t - start, 0, None) / 1.5)
        for start in range(2, 60, 6)
    )
    noisy = course + 0.001 * np.random.default_rng(0).normal(size=240)
    found = eda.features(noisy[None], 4.0, np.full(1, np.nan))[0, NAMES.index("scr_count")]
    assert found == 10


def test_steps_of_a_coarse_recorder_are_not_responses() -> None:
    toggling = 2.0 + 0.01 * ((np.arange(240) // 17) % 2)
    found = eda.features(toggling[None], 4.0, np.full(1, np.nan))[0, NAMES.index("scr_count")]
    assert np.isnan(found)
