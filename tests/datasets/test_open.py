"""Names and units as open formats write them."""

from __future__ import annotations

import numpy as np
import pytest

from dolorimeter.datasets._open import field_names, signal_in_si, to_si


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("µS", (1e-6, "S")),
        ("μS", (1e-6, "S")),
        ("Microsiemens", (1e-6, "S")),
        ("mV", (1e-3, "V")),
        ("microvolts", (1e-6, "V")),  # as the Lab Streaming Layer's metadata have it
        ("Millivolt", (1e-3, "V")),
        ("siemens", (1.0, "S")),
        ("megavolts", None),
        ("MV", None),
        ("°C", (1.0, "degC")),
        ("%", (0.01, "1")),
        ("", None),
        ("parsec", None),
    ],
)
def test_units(written: str, expected: tuple[float, str] | None) -> None:
    assert to_si(written) == expected


def test_names_are_told_understood_or_kept() -> None:
    labels = ["EKG", "ECG", "GSR (uS)", "ch 7", "EMG1", "!!"]
    assert field_names(labels, {"EMG1": "emg_corrugator"}) == [
        "ecg",
        "ecg_2",
        "gsr_us",
        "ch_7",
        "emg_corrugator",
        "unnamed",
    ]


def test_a_saturation_in_per_cent_becomes_a_fraction() -> None:
    signal = signal_in_si("spo2", np.array([97.0]), 1.0, "%")
    assert (signal.values[0, 0], signal.unit, signal.unit_confirmed) == (0.97, "1", True)
