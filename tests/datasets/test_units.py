"""Units as files write them, the user's word on them, and implausible sizes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dolorimeter.datasets._open import Sampled, field_names, unequal_problems
from dolorimeter.datasets.units import (
    check_stated,
    quantity_of,
    signal_in_si,
    size_of,
    to_si,
    unit_warnings,
)
from dolorimeter.errors import ConfigError
from dolorimeter.types import Signal


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("µS", (1e-6, "S")),
        ("μS", (1e-6, "S")),
        ("US", (1e-6, "S")),
        ("nS", (1e-9, "S")),
        ("Microsiemens", (1e-6, "S")),
        ("microS", (1e-6, "S")),
        ("microMho", (1e-6, "S")),
        ("umho", (1e-6, "S")),
        ("mV", (1e-3, "V")),
        ("mv", (1e-3, "V")),
        ("uv", (1e-6, "V")),
        ("NV", (1e-9, "V")),
        ("kV", (1e3, "V")),
        ("V", (1.0, "V")),
        ("Volts", (1.0, "V")),
        ("microvolts", (1e-6, "V")),  # as the Lab Streaming Layer's metadata have it
        ("Millivolt", (1e-3, "V")),
        ("megavolts", (1e6, "V")),
        ("MV", None),  # mega, or milli in capitals
        ("MS", None),
        ("siemens", (1.0, "S")),
        ("us", None),  # microseconds
        ("s", None),
        ("kOhm", (1e3, "ohm")),
        ("KOHM", (1e3, "ohm")),
        ("kΩ", (1e3, "ohm")),
        ("MOhm", (1e6, "ohm")),
        ("mOhm", (1e-3, "ohm")),
        ("mohm", None),
        ("°C", (1.0, "degC")),
        ("%", (0.01, "1")),
        ("", None),
        ("parsec", None),
    ],
)
def test_units(written: str, expected: tuple[float, str] | None) -> None:
    assert to_si(written) == expected


def test_a_quantity_decides_what_is_ambiguous_without_it() -> None:
    assert to_si("us", "conductance") == (1e-6, "S")
    assert to_si("MS", "conductance") is None
    assert to_si("ms", "interval") == (1e-3, "s")
    assert to_si("Hz", "rate") == (60.0, "1/min")
    assert to_si("Hz") is None


def test_names_are_understood_or_kept() -> None:
    labels = ["EKG", "ECG", "GSR (uS)", "ch 7", "EMG1", "!!"]
    assert field_names(labels, {"EMG1": "emg_corrugator"}) == [
        "ecg",
        "ecg_2",
        "gsr_us",
        "ch_7",
        "emg_corrugator",
        "unnamed",
    ]


def test_a_second_channel_measures_the_same() -> None:
    assert quantity_of("eda_2") == "conductance"
    signal = signal_in_si("eda_2", np.array([5.0]), 4.0, "uS")
    assert signal.values[0, 0] == pytest.approx(5e-6, rel=1e-12)
    assert (signal.unit, signal.unit_confirmed) == ("S", True)


def test_a_saturation_in_per_cent_becomes_a_fraction() -> None:
    signal = signal_in_si("spo2", np.array([97.0]), 1.0, "%")
    assert (signal.values[0, 0], signal.unit, signal.unit_confirmed) == (0.97, "1", True)


def test_resistance_becomes_conductance() -> None:
    signal = signal_in_si("eda", np.array([200.0, 0.0, -1.0, 100.0]), 4.0, "kOhm")
    np.testing.assert_allclose(signal.values, [[5e-6, np.nan, np.nan, 1e-5]], rtol=1e-12)
    assert (signal.unit, signal.unit_confirmed, signal.quantity) == ("S", True, "conductance")
    # resistance of anything else stays what it is
    other = signal_in_si("belt", np.array([2.0]), 4.0, "kOhm")
    assert (other.values[0, 0], other.unit, other.quantity) == (2000.0, "ohm", "other")


def test_a_unit_that_the_quantity_cannot_have_is_not_confirmed() -> None:
    signal = signal_in_si("eda", np.array([1.0]), 4.0, "mV")
    assert (signal.unit, signal.unit_confirmed, signal.quantity) == ("V", False, "other")
    (warning,) = unit_warnings("eda", signal)
    assert "states V, which is not a unit of conductance" in warning


@pytest.mark.parametrize("written", ["", "a.u.", "AU", "counts", "n/a"])
def test_pulse_and_respiration_have_no_unit(written: str) -> None:
    for name in ("ppg", "resp"):
        signal = signal_in_si(name, np.array([1.0, 2.0]), 64.0, written)
        assert (signal.unit, signal.unit_confirmed) == ("a.u.", False)
        assert unit_warnings(name, signal) == []


def test_an_unstated_unit_is_asked_for_and_can_be_stated() -> None:
    values = np.array([4.0, 5.0, 6.0])
    unstated = signal_in_si("eda", values, 4.0, "")
    assert (unstated.unit, unstated.unit_confirmed) == ("a.u.", False)
    (warning,) = unit_warnings("eda", unstated)
    assert "--option unit.eda=" in warning
    stated = signal_in_si("eda", values, 4.0, "", stated="uS")
    np.testing.assert_allclose(stated.values, [values * 1e-6], rtol=1e-12)
    assert stated.unit_confirmed
    assert unit_warnings("eda", stated) == []


def test_a_stated_unit_replaces_that_of_the_file() -> None:
    signal = signal_in_si("eda", np.array([5.0]), 4.0, "mS", stated="uS")
    assert signal.values[0, 0] == pytest.approx(5e-6, rel=1e-12)


def test_an_impossible_statement_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unit\.eda: 'mV' is not a unit of conductance"):
        check_stated({"eda": "mV"}, ["eda"])
    with pytest.raises(ConfigError, match=r"no file has the signal 'eda_1'.*mean 'eda'"):
        check_stated({"eda_1": "uS"}, ["eda", "ecg"])


def made(name: str, low: float, high: float, unit: str, rate: float = 100.0) -> Signal:
    values = low + (high - low) * (0.5 + 0.5 * np.sin(np.arange(1000) / 7))
    return Signal(values[None], rate, unit, True, quantity_of(name))


@pytest.mark.parametrize(
    ("name", "low", "high", "unit", "hint"),
    [
        ("eda", 4e-3, 6e-3, "S", "median 5,0.. µS.*1,000 times too large"),
        ("eda", 4e-9, 6e-9, "S", "1,000 times too small"),
        ("ecg", -1.0, 1.0, "V", "1,000 times too large"),
        ("ecg", -1e-6, 1e-6, "V", "1,000 times too small"),
        ("emg_corrugator", -100.0, 100.0, "V", "1,000,000 times too large"),
        ("temperature", 88.0, 95.0, "degC", "Is the unit degrees Fahrenheit"),
        ("temperature", 300.0, 310.0, "degC", "Is the unit kelvin"),
        ("spo2", 95.0, 99.0, "1", "Is the unit %"),
        ("hr", 1.0, 1.4, "1/min", "Is the unit hertz"),
        ("ibi", 700.0, 900.0, "s", "Is the unit ms"),
    ],
)
def test_implausible_sizes_name_the_factor(
    name: str, low: float, high: float, unit: str, hint: str
) -> None:
    (warning,) = unit_warnings(name, made(name, low, high, unit))
    assert re.search(hint, warning), warning


@pytest.mark.parametrize(
    ("name", "low", "high", "unit"),
    [
        ("eda", 0.05e-6, 0.2e-6, "S"),
        ("eda", 20e-6, 60e-6, "S"),
        ("ecg", 0.29, 0.30, "V"),  # an offset of the electrodes of 300 mV
        ("emg_corrugator", -3e-6, 3e-6, "V"),
        ("temperature", 28.0, 34.0, "degC"),
        ("spo2", 0.7, 1.0, "1"),
        ("hr", 180.0, 210.0, "1/min"),
        ("ibi", 0.3, 1.2, "s"),
    ],
)
def test_ordinary_sizes_are_not_reported(name: str, low: float, high: float, unit: str) -> None:
    assert unit_warnings(name, made(name, low, high, unit)) == []


def test_a_flat_signal_is_not_judged_by_its_size() -> None:
    flat = Signal(np.zeros((1, 100)), 4.0, "S", True, "conductance")
    assert np.isnan(size_of("eda", flat))
    assert unit_warnings("eda", flat) == []


def test_a_rate_in_milliseconds() -> None:
    (warning,) = unit_warnings("ecg", made("ecg", -1e-3, 1e-3, "V", rate=0.25))
    assert "sampled at 0.25 Hz" in warning


def test_recordings_that_differ_from_the_others_are_named() -> None:
    sizes = [5e-6, 0.1e-6, 9e-6, 4e-3, 6e-6]
    rates = [100.0, 100.0, 50.0, 100.0, 100.2]
    seen = [
        Sampled(f"p{i}.edf", f"p{i}", rate, size)
        for i, (rate, size) in enumerate(zip(rates, sizes, strict=True))
    ]
    problems = unequal_problems({"eda": seen})
    assert [(p.path, p.kind) for p in problems] == [("p2.edf", "unit"), ("p3.edf", "unit")]
    assert "sampled at 50 Hz, 4 of 5 recordings at 100 Hz" in problems[0].what
    assert "667 times larger than in the median subject" in problems[1].what
    assert unequal_problems({"eda": seen[:2]}) == [], "two subjects have no median"
