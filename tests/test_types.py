"""The nouns: cropping is exact, faults are named, samples keep their rows together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import LazySignals, Recording, Signal, Stimulus, Window


def ramp(n: int = 1000, rate: float = 100.0) -> Signal:
    return Signal(np.arange(n, dtype=float)[None], rate, "S", True, "conductance")


@given(
    start=st.floats(0, 5), duration=st.floats(0.1, 4), rate=st.sampled_from([4.0, 100.0, 512.0])
)
def test_crop_gives_equal_lengths_and_the_right_time(
    start: float, duration: float, rate: float
) -> None:
    whole = ramp(int(rate * 10), rate)
    part = whole.crop(start, duration) if round(duration * rate) else None
    if part is not None:
        assert part.values.shape[1] == round(duration * rate)
        assert part.values[0, 0] == round(start * rate)
        assert abs(part.start - start) <= 0.5 / rate + 1e-12


def test_crop_then_join_gives_the_signal_back() -> None:
    whole = ramp()
    parts = [whole.crop(t, 2.5).values for t in (0.0, 2.5, 5.0, 7.5)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole.values)


@pytest.mark.parametrize(("start", "duration"), [(-0.1, 1.0), (9.5, 1.0), (0.0, 0.001)])
def test_crop_outside_is_refused(start: float, duration: float) -> None:
    with pytest.raises(SignalError, match=r"asked of a signal that covers 0–10 s"):
        ramp().crop(start, duration)


def test_signal_refuses_wrong_shapes_and_rates() -> None:
    with pytest.raises(SignalError, match="positive number"):
        Signal(np.zeros((1, 2)), 0.0, "S", True, "x")
    with pytest.raises(SignalError, match="2 channel names for 1 channels"):
        Signal(np.zeros((1, 2)), 1.0, "S", True, "x", channels=("a", "b"))


def _two_signals(counter: list[int]) -> dict[str, Signal]:
    counter.append(1)
    return {"eda": ramp(), "ecg": ramp()}


def test_lazy_signals_read_only_when_asked_and_load_reads_once() -> None:
    reads: list[int] = []
    recording = Recording(
        "d", "s", "r", signals=LazySignals(("eda", "ecg"), partial(_two_signals, reads))
    )
    assert list(recording.signals) == ["eda", "ecg"]
    assert reads == []
    loaded = recording.load()
    loaded.signals["eda"], loaded.signals["ecg"]
    assert len(reads) == 1


def test_window_names_the_signals_it_has() -> None:
    stimulus = Stimulus(1.0, 2.0, "PA4", 4)
    recording = Recording("d", "s", "r", signals={"eda": ramp()}, stimuli=(stimulus,))
    window = Window(recording, 1.0, 2.0, stimulus)
    assert window.stimulus_id == "r#0"
    assert window.signal("eda", offset=1.5, duration=1.0).values[0, 0] == 250
    with pytest.raises(SignalError, match="has no signal 'ecg'; it has: eda"):
        window.signal("ecg")


def _meta(n: int) -> pd.DataFrame:
    return pd.DataFrame({c: [f"{c}{i}" for i in range(n)] for c in META_COLUMNS})


def test_samples_refuse_rows_that_do_not_match() -> None:
    with pytest.raises(ConfigError, match="x has 3 rows, meta has 2"):
        Samples(np.zeros((3, 1)), _meta(2))
    with pytest.raises(ConfigError, match="lacks subject"):
        Samples(np.zeros((2, 1)), _meta(2).drop(columns="subject"))


def test_take_keeps_every_part_of_a_row_together() -> None:
    n = 5
    samples = Samples(
        {"a": np.arange(n)[:, None], "b": np.arange(n)[:, None, None]},
        _meta(n),
        present={"a": np.arange(n) % 2 == 0},
        facts=pd.DataFrame({"k": range(n)}),
        quality=np.linspace(0, 1, n),
    )
    some = samples.take(np.array([3, 0]))
    assert some.meta["subject"].tolist() == ["subject3", "subject0"]
    assert isinstance(some.x, dict)
    assert some.x["b"].ravel().tolist() == [3, 0]
    assert some.facts is not None
    assert some.facts["k"].tolist() == [3, 0]
    assert len(samples.take(np.arange(n) > 2)) == 2
