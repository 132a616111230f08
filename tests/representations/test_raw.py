from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import REPRESENTATIONS
from dolorimeter.representations import Raw, Represented, Undefined
from dolorimeter.types import Recording, Signal, Stimulus, Window


def window(values: np.ndarray, rate: float = 100.0, name: str = "eda", **signal: Any) -> Window:
    """A window over the whole of a one-signal recording."""
    given: dict[str, Any] = {"unit": "S", "unit_confirmed": True, "quantity": "conductance"}
    made = Signal(np.atleast_2d(values).astype(float), rate, **(given | signal))
    recording = Recording("made", "s1", "r1", signals={name: made})
    return Window(recording, made.start, made.duration)


def test_registered_by_name() -> None:
    assert REPRESENTATIONS.get("raw") is Raw
    assert Raw.card.name == "raw"


def test_siemens_become_microsiemens() -> None:
    made = Raw("eda", unit="uS")([window(np.linspace(1e-6, 2e-6, 550))])
    assert made.x.shape == (1, 1, 550)
    np.testing.assert_allclose(made.x[0, 0], np.linspace(1, 2, 550), rtol=1e-12)
    assert made.units == ("uS",)
    assert made.names == ("eda",)
    assert made.notes == ()
    assert made.present.tolist() == [True]


@pytest.mark.parametrize(
    ("found", "wanted", "factor"),
    [
        ("V", "uV", 1e6),
        ("V", "mV", 1e3),
        ("mV", "uV", 1e3),
        ("mol/L", "umol/L", 1e6),
        ("1", "%", 100.0),
        ("1/min", "Hz", 1 / 60),
        ("degC", "degC", 1.0),
        ("a.u.", "a.u.", 1.0),
    ],
)
def test_units(found: str, wanted: str, factor: float) -> None:
    made = Raw("eda", unit=wanted)([window(np.arange(4.0), unit=found)])
    np.testing.assert_allclose(made.x[0, 0], np.arange(4) * factor, rtol=1e-12)


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        ("a.u.", "uS", r"eda is in arbitrary units, uS was asked.*state the unit"),
        ("V", "uS", r"eda is in V, which does not convert to uS"),
        ("degC", "K", r"does not convert to K"),
        ("S", "a.u.", r"does not convert to a.u."),
        ("furlong", "S", r"does not convert to S"),
    ],
)
def test_units_that_do_not_convert(found: str, wanted: str, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        Raw("eda", unit=wanted)([window(np.arange(4.0), unit=found)])


def test_unconfirmed_unit_is_said() -> None:
    made = Raw("eda", unit="uS")([window(np.ones(10), unit_confirmed=False)])
    assert made.notes == ("the unit of eda (uS) is not confirmed.",)


def test_offset_and_duration() -> None:
    whole = window(np.arange(1000.0))
    part = Window(whole.recording, 2.0, 3.0)
    made = Raw("eda", offset=1.0, duration=0.5)([part])
    np.testing.assert_array_equal(made.x[0, 0], np.arange(300, 350))


def test_missing_modality_and_window_beyond_the_signal_are_rows_of_nan() -> None:
    whole = window(np.arange(1000.0))
    other = window(np.arange(1000.0), name="ecg")
    windows = [Window(whole.recording, 0.0, 5.0), other, Window(whole.recording, 6.0, 5.0)]
    made = Raw("eda", duration=5.0)(windows)
    assert made.present.tolist() == [True, False, False]
    assert np.isnan(made.x[1:]).all()
    assert np.isfinite(made.x[0]).all()
    assert made.notes == (
        "eda: NaN in 1 of 3 windows: the recording has no such signal.",
        "eda: NaN in 1 of 3 windows: the window reaches beyond the signal.",
    )


def test_no_window_has_it() -> None:
    with pytest.raises(SignalError, match=r"none of 1 windows has ecg \(the recording has no"):
        Raw("ecg")([window(np.ones(10))])


def test_differing_rates_are_refused_or_resampled() -> None:
    t1, t2 = np.arange(500) / 100, np.arange(1280) / 256
    windows = [window(np.sin(t1), 100.0), window(np.sin(t2), 256.0)]
    with pytest.raises(SignalError, match=r"window 1 has eda of 1,280 samples at 256 Hz"):
        Raw("eda")(windows)
    made = Raw("eda", sampling_rate=64.0)(windows)
    assert made.x.shape == (2, 1, 320)
    inner = slice(32, -32)
    wanted = np.sin(np.arange(320) / 64)
    np.testing.assert_allclose(made.x[0, 0, inner], wanted[inner], atol=0.02)
    np.testing.assert_allclose(made.x[1, 0, inner], wanted[inner], atol=0.02)


def test_standardised_inside_the_window() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (2, 400))
    windows = [window(values), window(np.vstack([values[0] * 7, np.full(400, 0.1)]))]
    z = Raw("eda", standardise="zscore")(windows)
    np.testing.assert_allclose(z.x[0].mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(z.x[0].std(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(z.x[1, 0], z.x[0, 0], rtol=1e-9, atol=1e-12)
    assert (z.x[1, 1] == 0).all()
    assert z.units == ("1", "1")
    assert z.names == ("eda_1", "eda_2")
    assert z.notes == ("eda is flat in 1 of 2 windows: standardising made it zero.",)
    m = Raw("eda", standardise="minmax")(windows)
    assert m.x[0].min() == 0
    assert m.x[0].max() == 1
    assert (m.x[1, 1] == 0).all()


def test_window_minmax_has_a_floor_in_the_unit_that_comes_out() -> None:
    loud, still = np.linspace(5e-6, 6e-6, 400), 5e-6 + 1e-10 * np.sin(np.arange(400))
    windows = [window(loud), window(still), window(np.full(400, 5e-6))]
    for unit, told in ((None, "1e-08 S"), ("uS", "0.01 uS")):
        made = Raw("eda", unit=unit, standardise="window_minmax")(windows)
        assert (made.x[0].min(), made.x[0].max()) == pytest.approx((-1, 1))
        assert 0.015 < np.abs(made.x[1]).max() < 0.021  # 2e-10 of 1e-8, to either side
        assert (made.x[2] == 0).all()
        assert made.notes == (
            "eda is flat in 1 of 3 windows: standardising made it zero.",
            f"eda was scaled to −1…1 in each window, its range taken at least {told}.",
        )
    own = Raw("eda", standardise="window_minmax", floor=1e-10)(windows)
    assert np.abs(own.x[1]).max() == pytest.approx(1, abs=1e-3)
    assert own.notes == ("eda is flat in 1 of 3 windows: standardising made it zero.",)
    unknown = Raw("eda", standardise="window_minmax")([window(still, unit="a.u.")])
    assert unknown.notes[-1].endswith("its range taken as it is: no floor is known.")
    with pytest.raises(ConfigError, match=r"floor is 1\.0 with standardise = 'minmax'"):
        Raw("eda", standardise="minmax", floor=1.0)


def test_missing_samples_stay_and_are_counted() -> None:
    values = np.ones(20)
    values[3] = np.nan
    made = Raw("eda")([window(values), window(np.ones(20))])
    assert np.isnan(made.x).sum() == 1
    assert made.notes == ("eda: NaN in 1 of 2 windows: samples are missing.",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"standardise": "robust"}, "standardise is 'robust', expected one of none, zscore"),
        ({"duration": 0.0}, r"raw eda: duration is 0.0, expected above 0"),
        ({"sampling_rate": -1.0}, "sampling_rate is -1.0"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Raw(modality="eda", **arguments)


@given(st.integers(0, 7), st.sampled_from(["none", "zscore", "minmax", "window_minmax"]))
def test_a_batch_of_one_equals_its_row(row: int, how: Any) -> None:
    rng = np.random.default_rng(1)
    windows = [window(values) for values in rng.normal(size=(8, 128))]
    represent = Raw("eda", unit="uS", sampling_rate=50.0, standardise=how)
    np.testing.assert_array_equal(represent(windows).x[row], represent([windows[row]]).x[0])


def test_parts_put_together_again(joined: Callable[..., Represented]) -> None:
    windows = [window(np.arange(10.0)), window(np.arange(10.0), name="ecg")]
    represent = Raw("eda")
    parts = [represent(windows), represent(windows[:1]), represent(windows)]
    whole = joined(*parts)
    assert whole.x.shape == (5, 1, 10)
    assert whole.present.tolist() == [True, False, True, True, False]
    assert whole.undefined == (Undefined("eda", "the recording has no such signal", 2),)
    assert whole.notes == ("eda: NaN in 2 of 5 windows: the recording has no such signal.",)


def test_parts_that_differ(joined: Callable[..., Represented]) -> None:
    part = Represented(np.ones((1, 2)), ("a", "b"), ("1", "1"), np.ones(1, dtype=bool))
    other = Represented(np.ones((1, 1)), ("a",), ("1",), np.ones(1, dtype=bool))
    with pytest.raises(SignalError, match=r"recordings differ: 1 × \(1,\)"):
        joined(part, other)


def test_raw_never_reads_a_file_twice_for_windows_of_one_recording(tmp_path: Path) -> None:
    from dolorimeter.types import LazySignals

    reads: list[int] = []

    def load() -> dict[str, Signal]:
        reads.append(1)
        return {"eda": Signal(np.ones((1, 1000)), 100.0, "S", True, "conductance")}

    recording = Recording(
        "made", "s", "r", signals=LazySignals(["eda"], load), stimuli=(Stimulus(0.0, 1.0, "a"),)
    )
    Raw("eda")([Window(recording, start, 2.0) for start in (0.0, 2.0, 4.0)])
    assert len(reads) == 1


def test_very_many_names_are_counted_not_listed() -> None:
    entries = tuple(Undefined(f"f{i}", "why", 2) for i in range(20))
    made = Represented(np.ones((2, 1)), ("a",), ("1",), np.ones(2, dtype=bool), undefined=entries)
    assert made.notes[0].endswith("f10, f11 and 8 more: NaN in 2 of 2 windows: why.")
