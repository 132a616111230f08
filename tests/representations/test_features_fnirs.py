from __future__ import annotations

import numpy as np
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.representations import Features
from dolorimeter.representations.features import _rows, fnirs
from dolorimeter.types import Recording, Signal, Window

RATE = 10.0


def window(
    values: np.ndarray,
    channels: tuple[str, ...] = (),
    name: str = "fnirs_hbo",
    unit: str = "mol/L",
) -> Window:
    made = Signal(np.atleast_2d(values).astype(float), RATE, unit, True, "hbo", channels)
    return Window(Recording("made", "s", "r", signals={name: made}), 0.0, made.duration)


def test_a_ramp_and_a_bump_have_known_answers() -> None:
    t = np.arange(100) / RATE
    made = fnirs.features(np.vstack([2 + 0.5 * t, np.exp(-((t - 4) ** 2))]), RATE)
    mean, slope, peak, reached, deviation = made.T
    assert mean[0] == pytest.approx(2 + 0.5 * 4.95)
    assert slope[0] == pytest.approx(0.5, rel=1e-12)
    assert peak.tolist() == pytest.approx([2 + 0.5 * 9.9, 1])
    assert reached.tolist() == pytest.approx([9.9, 4.0])
    assert deviation[0] == pytest.approx(np.std(0.5 * t), rel=1e-12)


def test_channels_and_their_mean() -> None:
    t = np.arange(100) / RATE
    values = 1e-6 * np.vstack([t, 3 * t])
    made = Features("fnirs_hbo")([window(values, ("S1_D1", "S1_D2"))])
    found = dict(zip(made.names, made.x[0], strict=True))
    assert found["fnirs_hbo_S1_D1_slope"] == pytest.approx(1)
    assert found["fnirs_hbo_S1_D2_slope"] == pytest.approx(3)
    assert found["fnirs_hbo_slope"] == pytest.approx(2)
    assert dict(zip(made.names, made.units, strict=True))["fnirs_hbo_slope"] == "umol/L/s"
    assert made.notes == ()


def test_a_broken_channel_is_left_out_of_the_mean_and_said() -> None:
    t = np.arange(100) / RATE
    values = np.vstack([t, np.where(t == 3, np.nan, t)])
    made = Features("fnirs")([window(values, ("a", "b"), "fnirs", "a.u.")])
    found = dict(zip(made.names, made.x[0], strict=True))
    assert found["fnirs_slope"] == pytest.approx(1)
    assert np.isnan(found["fnirs_b_slope"])
    assert made.notes == (
        "fnirs_b_mean, fnirs_b_slope, fnirs_b_peak, fnirs_b_time_to_peak, fnirs_b_sd: NaN in 1 "
        "of 1 windows: samples are missing or not finite.",
    )


def test_stated_channels_fix_the_columns() -> None:
    t = np.arange(100) / RATE
    represent = Features("fnirs", channels=("b", "c"))
    both = [
        window(np.vstack([t, 2 * t]), ("a", "b"), "fnirs", "a.u."),
        window(np.vstack([t, 2 * t]), ("c", "b"), "fnirs", "a.u."),
    ]
    made = represent(both)
    assert made.names[5:] == tuple(
        f"fnirs_{c}_{f.name}" for c in ("b", "c") for f in fnirs.FEATURES
    )
    found = dict(zip(made.names, made.x.T, strict=True))
    np.testing.assert_allclose(found["fnirs_b_slope"], [2, 2])
    np.testing.assert_allclose(found["fnirs_c_slope"], [np.nan, 1])
    assert any("the recording has no channel c" in note for note in made.notes)
    nothing = represent([window(t, (), "eda", "S")])
    assert nothing.names == made.names


def test_differing_montages_are_joined_by_name() -> None:
    t = np.arange(100) / RATE
    made = Features("fnirs")(
        [
            window(np.vstack([t, 2 * t]), ("a", "b"), "fnirs", "a.u."),
            window(np.vstack([t, 3 * t]), ("a", "c"), "fnirs", "a.u."),
        ]
    )
    found = dict(zip(made.names, made.x.T, strict=True))
    np.testing.assert_allclose(found["fnirs_b_slope"], [2, np.nan])
    np.testing.assert_allclose(found["fnirs_c_slope"], [np.nan, 3])
    np.testing.assert_allclose(found["fnirs_slope"], [1.5, 2])


def test_two_units_are_refused() -> None:
    t = np.arange(100) / RATE
    with pytest.raises(SignalError, match=r"fnirs_hbo is in a.u. and in umol/L in different"):
        Features("fnirs_hbo")([window(t), window(t, unit="a.u.")])


def test_haemoglobin_in_volts_is_refused() -> None:
    with pytest.raises(SignalError, match=r"fnirs_hbo is in V, which does not convert"):
        Features("fnirs_hbo")([window(np.ones(100), unit="V")])


def test_rows_helpers_against_numpy() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 50))
    t = np.arange(50) / RATE
    for row, found in zip(values, _rows.slope(values, RATE), strict=True):
        assert found == pytest.approx(np.polyfit(t, row, 1)[0], rel=1e-9)
    assert _rows.slope(np.ones((2, 1)), RATE).tolist() == [0, 0]
    low, high = _rows.extremes(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]))
    np.testing.assert_array_equal(low, [1, np.nan])
    np.testing.assert_array_equal(high, [3, np.nan])
