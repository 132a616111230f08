"""Stamped samples, stamped blocks and events, against positions computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.datasets.recording_time import (
    UNEVEN,
    blocks,
    clock_of,
    coverage_warnings,
    distinct_events,
    event_warnings,
)
from dolorimeter.errors import RecordingError
from dolorimeter.types import Recording, Stimulus


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.lists(st.integers(2, 500), min_size=4, max_size=4),
    st.sampled_from([4.0, 10.0, 64.0, 250.0, 512.0]),
)
def test_samples_lie_where_their_stamps_say(
    lengths: list[int], lost: list[int], rate: float
) -> None:
    """Segments of regular samples with whole numbers of samples lost between them."""
    places: list[int] = []
    first = 0
    for i, length in enumerate([n + 20 for n in lengths]):
        places += range(first, first + length)
        first += length + lost[i % 4]
    truth = np.array(places)
    clock = clock_of(3.0 + truth / rate, where="x")
    assert clock.sampling_rate == pytest.approx(rate, rel=1e-6)
    np.testing.assert_array_equal(clock.index, truth)
    assert len(clock.gaps) == len(lengths) - 1
    placed = clock.place(truth[None].astype(float))
    np.testing.assert_array_equal(placed[0, truth], truth)
    assert np.isnan(placed).sum() == truth[-1] + 1 - truth.size


def test_late_stamps_are_jitter_and_no_gap() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(5000) / 100 + rng.exponential(0.003, 5000)  # a radio link delivers late
    clock = clock_of(np.maximum.accumulate(times), where="x")
    assert clock.gaps == ()
    assert clock.sampling_rate == pytest.approx(100.0, rel=1e-3)


def test_a_gap_is_found_among_late_stamps() -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.arange(2000), np.arange(2150, 4000)])
    times = np.maximum.accumulate(truth / 100 + rng.exponential(0.003, truth.size))
    clock = clock_of(times, where="x")
    (gap,) = clock.gaps
    assert gap[1] - gap[0] == pytest.approx(1.5, abs=0.05)
    assert np.abs(clock.index - truth).max() <= 2


@pytest.mark.parametrize("rate", [100.0, 256.0, 512.0, 1000.0])
def test_stamps_in_whole_milliseconds(rate: float) -> None:
    times = np.round(np.arange(5000) / rate, 3)
    clock = clock_of(times, where="x", stated_rate=rate)
    assert clock.gaps == ()
    assert clock.sampling_rate == rate
    assert clock.remarks == ()


def test_a_rate_that_the_stamps_contradict() -> None:
    clock = clock_of(np.arange(1000) / 99.0, where="x", stated_rate=100.0)
    assert clock.sampling_rate == pytest.approx(99.0)
    assert clock.remarks[0].detail == "99 Hz instead of 100 Hz"


def test_blocks_with_drift_stay_where_their_stamps_say() -> None:
    starts = [i * 1.01 for i in range(100)]  # one sample later per block
    clock = blocks(starts, 100, 100.0, where="x")
    begins = clock.index[::100]
    assert np.abs(begins - np.array(starts) * 100).max() <= 1.5
    with pytest.raises(RecordingError, match="do not agree"):
        blocks([i * 0.9 for i in range(10)], 100, 100.0, where="x")


def test_events_that_are_written_twice() -> None:
    stimuli = (
        Stimulus(1.0, 2.0, "pain", attributes={"counter": 0}),
        Stimulus(1.0, 2.0, "pain", attributes={"counter": 1}),  # a copy with another number
        Stimulus(1.0, 2.0, "pain", attributes={"side": "left"}),  # another stimulus
        Stimulus(1.0, 2.0, "rest"),
        Stimulus(None, None, "pain"),
        Stimulus(None, None, "pain"),  # clips without onset are not compared
    )
    kept, left_out = distinct_events(Recording("edf", "s", "r", stimuli=stimuli))
    assert kept == (stimuli[0], *stimuli[2:])
    assert [e.what for e in left_out] == ["event pain at 1 s"]
    (warning,) = event_warnings(kept, 0.0, 10.0)
    assert warning == "events of one condition at the same time: pain at 1 s (2 times)"


def test_events_outside_are_counted_with_the_distance() -> None:
    stimuli = [
        Stimulus(-0.5, None, "tag"),
        Stimulus(9.5, 2.0, "pain"),
        Stimulus(10.0, None, "tag"),
        Stimulus(3.0, 1.0, "pain"),
    ]
    outside, beyond = event_warnings(stimuli, 0.0, 10.0)
    assert outside == (
        "2 of 4 events lie outside 0–10 s: tag at -0.5 s (0.5 s before the start), "
        "tag at 10 s (0 s after the end)"
    )
    assert beyond == "1 of 4 events lasts beyond the end of 0–10 s: pain at 9.5 s (by 1.5 s)"


def test_signals_that_end_early() -> None:
    assert coverage_warnings({"eda": (0.0, 600.0), "hr": (10.0, 590.0)}) == []
    (warning,) = coverage_warnings({"eda": (0.0, 600.0), "hr": (10.0, 300.0)})
    assert "hr at 300 s, eda at 600 s" in warning


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.04, False), (0.3, True)])
def test_uneven_stamps_are_said_so(share: float, said: bool) -> None:
    rng = np.random.default_rng(1)
    times = np.arange(400) / 10 + share / 10 * rng.uniform(-1, 1, 400)
    clock = clock_of(times, where="a.snirf")
    assert not clock.gaps
    assert any(remark.kind == UNEVEN for remark in clock.remarks) == said


def test_a_drifting_clock_is_said_so() -> None:
    """The clock gains 2 % at the end: no step is a gap, and no even clock fits."""
    times = np.arange(400) / 10
    assert any(
        remark.kind == UNEVEN
        for remark in clock_of(times + 0.01 * times**2 / 40, where="a.snirf").remarks
    )
