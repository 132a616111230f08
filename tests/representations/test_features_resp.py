from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.representations.features import resp

NAMES = [feature.name for feature in resp.FEATURES]
RATE = 50.0


def measured(values: np.ndarray, rate: float = RATE) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, resp.features(np.atleast_2d(values), rate).T, strict=True))


def test_a_sine_has_known_answers() -> None:
    """A breath every 4 s of 2 lowest to highest: 15 a minute, in as long as out."""
    t = np.arange(round(60 * RATE)) / RATE
    found = measured(np.sin(2 * np.pi * t / 4))
    assert found["range"][0] == pytest.approx(2, rel=1e-3)
    assert found["rate"][0] == pytest.approx(15, rel=0.01)
    assert found["amplitude"][0] == pytest.approx(2, rel=0.01)
    assert found["inspiration_to_expiration"][0] == pytest.approx(1, rel=0.03)


def test_quick_in_and_slow_out() -> None:
    t = np.arange(round(60 * RATE)) / RATE
    phase = (t % 4) / 4
    breath = np.where(
        phase < 0.25, -np.cos(np.pi * phase / 0.25), np.cos(np.pi * (phase - 0.25) / 0.75)
    )
    # a low pass of 3 Hz moves each of the two corners by up to 0.04 s towards the slow side
    longest = (1 + 0.08) / (3 - 0.08)
    assert 1 / 3 <= measured(breath)["inspiration_to_expiration"][0] <= longest + 0.01


def test_scaling_and_level() -> None:
    t = np.arange(round(40 * RATE)) / RATE
    values = np.sin(2 * np.pi * t / 4) + 0.2 * np.sin(2 * np.pi * t / 1.7)
    once, twice = measured(values), measured(2 * values + 3)
    for name in ("range", "amplitude"):
        np.testing.assert_allclose(twice[name], 2 * once[name], rtol=1e-6)
    for name in ("rate", "inspiration_to_expiration"):
        np.testing.assert_allclose(twice[name], once[name], rtol=1e-6)


def test_what_a_short_slow_or_flat_window_cannot_have() -> None:
    for values, rate in ((np.arange(275.0), RATE), (np.arange(60.0), 1.0), (np.ones(1000), RATE)):
        found = measured(values, rate)
        assert np.isnan(found["rate"][0])
        assert np.isnan(found["amplitude"][0])
        assert found["range"][0] == pytest.approx(np.ptp(values))


def test_one_row_is_that_row_of_many() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(1500) / RATE
    windows = np.sin(2 * np.pi * rng.uniform(0.15, 0.5, (8, 1)) * t)
    windows += rng.normal(0, 0.02, windows.shape)
    many = resp.features(windows, RATE)
    for row in range(8):
        np.testing.assert_allclose(
            resp.features(windows[row : row + 1], RATE)[0], many[row], rtol=1e-9
        )


@pytest.mark.shared
def test_rate_and_depth_of_real_breathing_as_neurokit_finds_them(data_root: Path) -> None:
    table = np.genfromtxt(
        data_root / "neurokit_data" / "bio_resting_5min_100hz.csv", delimiter=",", names=True
    )
    values = table["RSP"][:12_000]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neurokit2 as nk

        cleaned = nk.rsp_clean(values, sampling_rate=100)
        events = nk.rsp_findpeaks(cleaned, sampling_rate=100)
        depth = nk.rsp_amplitude(cleaned, peaks=events)
    found = measured(values, rate=100.0)
    theirs = 60 / np.diff(events["RSP_Peaks"] / 100).mean()
    assert found["rate"][0] == pytest.approx(theirs, rel=0.05)
    # the same depth, theirs interpolated between breaths and so averaged over time
    assert found["amplitude"][0] == pytest.approx(np.nanmean(depth), rel=0.1)
