from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing import BaselineCorrect
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus, Video
from dolorimeter.video import VideoWriter
from dolorimeter.windows import WindowSpec, cut, isolate

RATE = 20.0


def made(
    duration: float = 60.0, stimuli: tuple[Stimulus, ...] = (), start: float = 0.0
) -> Recording:
    values = np.arange(round(duration * RATE), dtype=float)[None]
    signal = Signal(values, RATE, "S", True, "conductance", start=start)
    return Recording("made", "s1", "r1", signals={"eda": signal}, stimuli=stimuli)


PAIN = Stimulus(10.0, 4.0, "PA4", 4)
BASE = Stimulus(30.0, 4.0, "BL1", 0)


def starts(recording: Recording, **spec: object) -> list[float]:
    return [w.start for w in cut(recording, WindowSpec(**spec)).windows]


def test_one_window_a_stimulus_from_its_onset() -> None:
    done = cut(made(stimuli=(PAIN, BASE)), WindowSpec(5.5, offset=1.0))
    assert [(w.start, w.duration, w.stimulus) for w in done.windows] == [
        (11.0, 5.5, PAIN),
        (31.0, 5.5, BASE),
    ]
    assert done.exclusions == ()
    values = done.windows[0].signal("eda").values
    np.testing.assert_array_equal(values[0], np.arange(220, 330))


def test_a_cut_clip_starts_with_its_recording() -> None:
    clip = made(5.5, (Stimulus(None, None, "PA4", 4),), start=2.0)
    assert starts(clip, duration=5.5) == [2.0]
    assert starts(clip, duration=4.0, offset=1.0) == [3.0]


def test_conditions_choose() -> None:
    assert starts(made(stimuli=(PAIN, BASE)), duration=2.0, conditions=("BL1",)) == [30.0]


def test_what_does_not_fit_is_counted_with_its_reason() -> None:
    late = Stimulus(58.0, 4.0, "PA1", 1)
    done = cut(made(stimuli=(PAIN, late)), WindowSpec(5.5))
    assert [w.stimulus for w in done.windows] == [PAIN]
    assert done.exclusions == (
        Exclusion(
            "s1",
            "r1",
            "window 58–63.5 s of PA1",
            "reaches beyond every signal; they cover: eda 0–60 s",
        ),
    )


def test_margins_must_fit_too() -> None:
    recording = made(stimuli=(PAIN,))
    spec = WindowSpec(5.0)
    assert len(cut(recording, spec, margins=(10.0, 45.0)).windows) == 1
    for margins in ((10.1, 0.0), (0.0, 45.1)):
        done = cut(recording, spec, margins=margins)
        assert done.windows == ()
        assert "beyond every signal with margins of" in done.exclusions[0].reason
    with pytest.raises(ConfigError, match=r"margins are .*-1.*expected 0 or more"):
        cut(recording, spec, margins=(-1.0, 0.0))


def test_one_covering_signal_is_enough_unless_named() -> None:
    short = Signal(np.zeros((1, 100)), RATE, "V", True, "voltage")
    recording = made(stimuli=(PAIN,))
    recording = Recording(
        "made", "s1", "r1", signals={**recording.signals, "ecg": short}, stimuli=(PAIN,)
    )
    assert len(cut(recording, WindowSpec(5.0)).windows) == 1
    done = cut(recording, WindowSpec(5.0), modalities=("ecg",))
    assert "they cover: ecg 0–5 s" in done.exclusions[0].reason
    lacking = cut(recording, WindowSpec(5.0), modalities=("ppg", "resp"))
    assert lacking.exclusions[0].reason == "lacks ppg or resp; it has: ecg, eda"


def test_a_recording_without_signals_is_counted() -> None:
    done = cut(Recording("made", "s1", "r1", stimuli=(PAIN,)), WindowSpec(5.0))
    reason = "lacks any signal or video; it has: none"
    assert done.exclusions == (Exclusion("s1", "r1", "windows", reason),)


@pytest.mark.extra("face")
def test_what_is_too_short_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 10.0, (32, 32)) as file:
        for _ in range(20):
            file.write(np.zeros((32, 32, 3), np.uint8))
    clip = Recording("made", "s1", "r1", videos={"face": Video(path)}, stimuli=(PAIN,))
    done = cut(clip, WindowSpec(5.5))
    assert done.exclusions[0].reason == "reaches beyond every video; they cover: face 0–2 s"
    both = replace(clip, signals=made(5.0).signals)
    assert "beyond every signal and video;" in cut(both, WindowSpec(5.5)).exclusions[0].reason


def test_sliding_inside_a_phase() -> None:
    phase = Stimulus(5.0, 31.0, "stress")
    short = Stimulus(40.0, 8.0, "relax")
    done = cut(made(stimuli=(phase, short)), WindowSpec(10.0, anchor="sliding"))
    assert [w.start for w in done.windows] == [5.0, 15.0, 25.0]
    assert done.exclusions == (
        Exclusion("s1", "r1", "stimulus relax at 40 s", "8 s of it are left for a window of 10 s"),
    )


def test_sliding_needs_to_know_where_a_stimulus_ends() -> None:
    endless = Stimulus(5.0, None, "stress")
    done = cut(made(stimuli=(endless,)), WindowSpec(10.0, anchor="sliding"))
    assert "its duration is not stated" in done.exclusions[0].reason
    clip = made(25.0, (Stimulus(None, None, "stress"),))
    assert starts(clip, duration=10.0, anchor="sliding") == [0.0, 10.0]


def test_sliding_over_everything() -> None:
    assert starts(made(25.0), duration=10.0, anchor="sliding", step=5.0) == [0, 5, 10, 15]
    done = cut(made(40.0, (PAIN,)), WindowSpec(4.0, anchor="sliding", inside_stimulus=False))
    assert [w.start for w in done.windows if w.stimulus == PAIN] == [8.0, 12.0 - 1e-12][:1]
    short = cut(made(3.0), WindowSpec(4.0, anchor="sliding"))
    assert short.exclusions[0].reason == "3 s are left for a window of 4 s"


def test_whole_recordings() -> None:
    clip = made(12.0, (Stimulus(None, None, "PA4"),))
    done = cut(clip, WindowSpec(12.0, anchor="recording"))
    assert [(w.start, w.stimulus.condition) for w in done.windows] == [(0.0, "PA4")]
    assert starts(clip, duration=5.0, anchor="recording", step=3.0) == [0.0, 3.0, 6.0]
    too_long = cut(clip, WindowSpec(12.1, anchor="recording"))
    assert "reaches beyond every signal" in too_long.exclusions[0].reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"duration": 0.0}, "duration is 0.0 s, expected a positive"),
        ({"duration": float("nan")}, "duration is nan s"),
        ({"duration": 1.0, "offset": float("inf")}, "offset is inf s"),
        ({"duration": 1.0, "step": 0.0, "anchor": "sliding"}, "step is 0.0 s"),
        ({"duration": 1.0, "step": 1.0}, "anchored to the stimulus have no step"),
        ({"duration": 1.0, "anchor": "event"}, "unknown window anchor 'event'.*sliding"),
        ({"duration": 1.0, "conditions": "BL1"}, r"expected a list, such as \['BL1'\]"),
    ],
)
def test_impossible_specs(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WindowSpec(**arguments)


tenths = st.integers(1, 80).map(lambda n: n / 10)


@given(
    onsets=st.lists(st.integers(-50, 700), min_size=1, max_size=5),
    duration=tenths,
    offset=st.integers(-50, 50).map(lambda n: n / 10),
)
def test_every_stimulus_is_a_window_of_its_length_or_an_exclusion(
    onsets: list[int], duration: float, offset: float
) -> None:
    stimuli = tuple(Stimulus(o / 10, 3.0, "PA1", 1, {"counter": i}) for i, o in enumerate(onsets))
    done = cut(made(stimuli=stimuli), WindowSpec(duration, offset))
    assert len(done.windows) + len(done.exclusions) == len(stimuli)
    for window in done.windows:
        assert window.signal("eda").values.shape == (1, round(duration * RATE))


@given(
    phases=st.lists(st.tuples(st.integers(0, 500), tenths), min_size=1, max_size=4),
    duration=tenths,
    step=tenths,
    offset=st.integers(-20, 20).map(lambda n: n / 10),
)
def test_sliding_never_crosses_a_border(
    phases: list[tuple[int, float]], duration: float, step: float, offset: float
) -> None:
    stimuli = tuple(
        Stimulus(at / 10, length, "x", attributes={"counter": i})
        for i, (at, length) in enumerate(phases)
    )
    spec = WindowSpec(duration, offset, "sliding", step)
    for window in cut(made(stimuli=stimuli), spec).windows:
        stimulus = window.stimulus
        assert window.start >= stimulus.onset - 1e-9
        assert window.start + duration <= stimulus.onset + stimulus.duration + 1e-8


@given(samples=st.integers(1, 40), count=st.integers(1, 20))
def test_cut_then_joined_is_the_recording(samples: int, count: int) -> None:
    duration = samples / RATE
    recording = made(duration * count)
    done = cut(recording, WindowSpec(duration, anchor="sliding"))
    joined = np.concatenate([w.signal("eda").values for w in done.windows], axis=1)
    np.testing.assert_array_equal(joined, recording.signals["eda"].values)


def test_isolated_windows_hold_their_margins_and_nothing_else() -> None:
    short = Signal(np.zeros((1, 100)), RATE, "V", True, "voltage")
    recording = made(stimuli=(PAIN,))
    recording = Recording(
        "made", "s1", "r1", signals={**recording.signals, "ecg": short}, stimuli=(PAIN,)
    )
    (window,) = cut(recording, WindowSpec(5.0)).windows
    alone = isolate(window, (2.0, 1.0))
    assert list(alone.recording.signals) == ["eda"]
    signal = alone.recording.signals["eda"]
    assert (signal.start, signal.duration) == (8.0, 8.0)
    assert np.shares_memory(signal.values, recording.signals["eda"].values)
    np.testing.assert_array_equal(alone.signal("eda").values, window.signal("eda").values)
    assert alone.stimulus_id == window.stimulus_id


def test_a_step_inside_the_window_sees_its_margin() -> None:
    (window,) = cut(made(stimuli=(PAIN,)), WindowSpec(5.0), margins=(2.0, 0.0)).windows
    alone = isolate(window, (2.0, 0.0))
    corrected = BaselineCorrect(duration=2.0, mode="window")(alone.recording)
    baseline = np.arange(160, 200).mean()
    values = corrected.signals["eda"].crop(10.0, 5.0).values
    np.testing.assert_allclose(values[0], np.arange(200, 300) - baseline)


def _load(reads: list[int]) -> dict[str, Signal]:
    reads.append(1)
    return dict(made().signals)


def test_lazy_recordings_are_read_once_for_their_extent() -> None:
    reads: list[int] = []
    lazy = Recording(
        "made", "s1", "r1", signals=LazySignals(("eda",), partial(_load, reads)), stimuli=(PAIN,)
    )
    (window,) = cut(lazy, WindowSpec(5.0)).windows
    assert len(reads) == 1
    assert window.recording is lazy


@pytest.mark.extra("formats")
@pytest.mark.shared
def test_minutes_inside_real_phases(data_root: Path) -> None:
    from dolorimeter.datasets.stress_predict import StressPredict

    reader = StressPredict(data_root / "stress_predict")
    recording = reader.recordings(reader.subjects()[:1])[0].load()
    done = cut(recording, WindowSpec(60.0, anchor="sliding"), modalities=("eda",))
    assert len(done.windows) >= 10
    for window in done.windows:
        stimulus = window.stimulus
        assert stimulus.onset <= window.start
        assert window.start + 60.0 <= stimulus.onset + stimulus.duration + 1e-9
        assert window.signal("eda").values.shape[1] == round(
            60.0 * recording.signals["eda"].sampling_rate
        )


# ── markers without duration, and other stimuli ─────────────────────────────────────────────────


def marked(*stimuli: tuple[float | None, float | None, str]) -> Recording:
    """Thirty seconds with stimuli as (onset, duration, condition)."""
    signal = Signal(np.zeros((1, 3000)), 100.0, "S", True, "conductance")
    return Recording(
        "made", "a", "a", signals={"eda": signal}, stimuli=tuple(Stimulus(*s) for s in stimuli)
    )


MARKERS = ((0.0, None, "rest"), (10.0, None, "pain"), (20.0, None, "end"))


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), ["rest", "rest", "pain", "pain", "end", "end"]),
        (("rest", "pain"), ["rest", "rest", "pain", "pain"]),
        (("rest",), ["rest", "rest"]),
        (("pain",), ["pain", "pain"]),
    ],
)
def test_a_stimulus_without_duration_ends_at_the_next_marker_of_any_kind(
    conditions: tuple[str, ...], expected: list[str]
) -> None:
    spec = WindowSpec(5.0, anchor="sliding", inside_stimulus=False, conditions=conditions)
    found = cut(marked(*MARKERS), spec)
    assert [w.stimulus.condition for w in found.windows if w.stimulus] == expected
    assert len(found.windows) == len(expected)
    backwards = cut(marked(*MARKERS[::-1]), spec)
    assert [w.start for w in backwards.windows] == [w.start for w in found.windows]
    assert [w.stimulus for w in backwards.windows] == [w.stimulus for w in found.windows]


def test_inside_a_stimulus_without_duration_means_before_the_next_marker() -> None:
    spec = WindowSpec(4.0, anchor="sliding", conditions=("rest", "pain"))
    found = cut(marked(*MARKERS), spec)
    assert [w.start for w in found.windows] == [0.0, 4.0, 10.0, 14.0]
    assert not found.exclusions


def test_windows_that_hold_another_stimulus_are_excluded_with_its_name() -> None:
    stimuli = ((0.0, 10.0, "none"), (18.0, 10.0, "strong"))
    found = cut(marked(*stimuli), WindowSpec(25.0))
    assert not found.windows
    reason = found.exclusions[0].reason
    assert "strong at 18 s takes more than 5% of it" in reason
    assert "other_stimuli = 'keep'" in reason
    kept = cut(marked(*stimuli), WindowSpec(25.0, other_stimuli="keep"))
    assert [w.start for w in kept.windows] == [0.0]
    assert kept.notes == {"windows hold part of another stimulus than their own": 1}


@pytest.mark.parametrize(
    ("stimuli", "spec"),
    [
        # a pause between stimuli belongs to nobody
        (((0.0, 5.0, "a"), (12.0, 5.0, "b")), WindowSpec(10.0)),
        # stimuli without a pause, whose markers jitter by a tenth of a second
        (((0.0, 9.9, "a"), (9.9, 10.0, "b")), WindowSpec(10.0)),
        # a phase around the stimulus, and a response inside it, are no other stimulus
        (((0.0, 30.0, "session"), (5.0, 10.0, "a"), (8.0, 1.0, "key")), WindowSpec(10.0)),
        # two names of one event
        (((5.0, 0.0, "a"), (5.0, 0.0, "b")), WindowSpec(10.0)),
        # what the question is not about: an end marker
        (((5.0, 5.0, "a"), (10.0, None, "end")), WindowSpec(10.0, conditions=("a",))),
    ],
)
def test_what_is_no_other_stimulus(
    stimuli: tuple[tuple[float, float, str], ...], spec: WindowSpec
) -> None:
    found = cut(marked(*stimuli), spec)
    assert not [e for e in found.exclusions if "takes more than" in e.reason]
    assert found.windows


def test_a_window_is_not_of_two_conditions_that_are_nested() -> None:
    """Both conditions are asked about: while the inner stimulus is on, the outer one is not."""
    stimuli = ((0.0, 30.0, "warm"), (4.0, 10.0, "pain"))
    found = cut(marked(*stimuli), WindowSpec(10.0, conditions=("warm", "pain")))
    assert [w.stimulus.condition for w in found.windows if w.stimulus] == ["pain"]
    assert "pain at 4 s takes more than 5% of it" in found.exclusions[0].reason


def test_a_pulse_acts_until_the_window_ends() -> None:
    found = cut(marked((0.0, 0.0, "a"), (6.0, 0.0, "b")), WindowSpec(10.0))
    assert [w.stimulus.condition for w in found.windows if w.stimulus] == ["b"]
    assert "b at 6 s" in found.exclusions[0].reason


def test_a_window_that_reaches_back_into_another_stimulus_is_excluded() -> None:
    found = cut(marked((0.0, 8.0, "a"), (10.0, 5.0, "b")), WindowSpec(6.0, offset=-5.0))
    assert "a at 0 s" in found.exclusions[-1].reason


def test_a_recording_without_stimuli_is_counted_where_windows_need_them() -> None:
    for spec in (
        WindowSpec(5.0),
        WindowSpec(5.0, anchor="sliding", conditions=("pain",)),
        WindowSpec(5.0, anchor="recording", conditions=("pain",)),
    ):
        found = cut(marked(), spec)
        assert not found.windows
        assert ["no stimulus is stated" in e.reason for e in found.exclusions] == [True]
    assert len(cut(marked(), WindowSpec(5.0, anchor="sliding")).windows) == 6


def test_other_stimuli_is_one_of_two_words() -> None:
    with pytest.raises(ConfigError, match="other_stimuli is 'drop', expected one of"):
        WindowSpec(5.0, other_stimuli="drop")
