"""Recordings cut into windows: all of a window is there, or it is kept out and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.types import Exclusion, FaceTrack, Recording, Signal, Stimulus, Window

Anchor = Literal["stimulus", "recording", "sliding"]
OtherStimuli = Literal["exclude", "keep"]

HELD_SHARE = 0.05
"""Share of a window that another stimulus may take before the window is excluded: markers of
stimuli that follow each other without a pause jitter by some samples."""

_ROUNDING = 1e-9  # seconds that sums of decimal times may be off


@dataclass(frozen=True)
class WindowSpec:
    """Which windows a question is asked of.

    Parameters
    ----------
    duration : float
        Seconds.
    offset : float
        Seconds from the anchor to the window's start; may be negative.
    anchor : str
        ``stimulus``: one window for each stimulus, from its onset; of a stimulus without onset (a
        cut clip) from the start of the recording. ``recording``: one window from the start of the
        recording, or one every `step` seconds. ``sliding``: one every `step` seconds inside each
        stimulus; over the whole recording where there is no stimulus.
    step : float, optional
        Seconds between starts; by default `duration` when sliding, so that windows touch and do
        not overlap.
    inside_stimulus : bool
        When sliding: windows lie wholly inside a stimulus. False slides over the whole recording,
        and a window belongs to the stimulus that its middle falls into, or to none. A stimulus
        without duration lasts until the next marker of any condition.
    conditions : sequence of str
        Conditions that are asked about; empty means all.
    other_stimuli : {"exclude", "keep"}, default "exclude"
        Windows anchored to a stimulus of which more than `HELD_SHARE` belongs to another stimulus
        of `conditions`, before or after it: ``exclude`` counts them as exclusions, because their
        condition says nothing of that part; ``keep`` keeps them and counts them in a note. A
        stimulus around the window's stimulus is not another one. One that lies inside it is, if
        `conditions` names both and they differ: the later one is on.
    """

    duration: float
    offset: float = 0.0
    anchor: str = "stimulus"
    step: float | None = None
    inside_stimulus: bool = True
    conditions: Sequence[str] = ()
    other_stimuli: str = "exclude"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.duration) and self.duration > 0):
            raise ConfigError(
                f"window duration is {self.duration} s, expected a positive number of seconds."
            )
        if not np.isfinite(self.offset):
            raise ConfigError(f"window offset is {self.offset} s, expected a number of seconds.")
        if self.anchor not in get_args(Anchor):
            raise ConfigError(
                f"unknown window anchor '{self.anchor}'; it is one of: "
                f"{', '.join(get_args(Anchor))}."
            )
        if self.other_stimuli not in get_args(OtherStimuli):
            raise ConfigError(
                f"window other_stimuli is '{self.other_stimuli}', expected one of: "
                f"{', '.join(get_args(OtherStimuli))}."
            )
        if self.step is not None and not (np.isfinite(self.step) and self.step > 0):
            raise ConfigError(
                f"window step is {self.step} s, expected a positive number of seconds."
            )
        if self.step is not None and self.anchor == "stimulus":
            raise ConfigError(
                "windows anchored to the stimulus have no step: take anchor = 'sliding' for "
                "several windows a stimulus, or leave step out."
            )
        if isinstance(self.conditions, str):
            raise ConfigError(
                f"window conditions is the text '{self.conditions}', expected a list, such as "
                f"['{self.conditions}']."
            )
        object.__setattr__(self, "conditions", tuple(self.conditions))

    def asks_about(self, recording: Recording) -> bool:
        """Whether a window of the recording can be of one of the conditions."""
        return not self.conditions or any(
            stimulus.condition in self.conditions for stimulus in recording.stimuli
        )


@dataclass(frozen=True)
class Cut:
    """Windows of one recording in the order of their stimuli, and what was excluded.

    Parameters
    ----------
    windows : tuple of Window
    exclusions : tuple of Exclusion
    notes : mapping of str to int
        What a report must say of windows that are kept, with their number.
    """

    windows: tuple[Window, ...]
    exclusions: tuple[Exclusion, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


def cut(
    recording: Recording,
    spec: WindowSpec,
    *,
    margins: tuple[float, float] = (0.0, 0.0),
    modalities: Sequence[str] = (),
) -> Cut:
    """The windows of a recording.

    Load the recording first (`Recording.load`): lazy signals are read here for their extent, and
    again by whoever reads the windows.

    Parameters
    ----------
    margins : (float, float)
        Seconds before and after every window that must be there too: how far the streams' own
        offsets and durations, and the filters that act inside the window, reach out of it.
    modalities : sequence of str
        A window stays if at least one of these signals or videos covers it with its margins;
        empty means any. What else is missing is for the streams to count.

    Returns
    -------
    Cut
        A window that no signal covers wholly is an exclusion with its reason; never shortened,
        never padded.

    Raises
    ------
    ConfigError
        If a margin is negative.
    """
    if min(margins) < 0:
        raise ConfigError(f"window margins are {margins} s, expected 0 or more before and after.")
    signals = _covering(recording, modalities)
    if not signals:
        wanted = " or ".join(modalities) or "any signal or video"
        have = ", ".join(sorted({*recording.signals, *recording.videos})) or "none"
        return Cut((), (_excluded(recording, "windows", f"lacks {wanted}; it has: {have}"),))
    start = min(signal.start for signal in signals.values())
    stop = max(signal.stop for signal in signals.values())
    windows: list[Window] = []
    exclusions: list[Exclusion] = []
    notes: dict[str, int] = {}
    timeline = Timeline(recording.stimuli, start)
    for candidate in _candidates(recording, spec, timeline, start, stop):
        if isinstance(candidate, Exclusion):
            exclusions.append(candidate)
            continue
        window, place = candidate
        held = timeline.held(window, place, spec.conditions)
        if not any(_fits(one, window, margins) for one in signals.values()):
            exclusions.append(_misfit(window, margins, signals))
        elif held and spec.other_stimuli == "exclude" and not _is_along(spec, recording):
            reason = (
                f"{held} takes more than {HELD_SHARE:.0%} of it: shorten the window or move it "
                "by its offset, or keep such windows with other_stimuli = 'keep'"
            )
            exclusions.append(_excluded(recording, _named(window), reason))
        else:
            windows.append(window)
            if held:
                note = "windows hold part of another stimulus than their own"
                notes[note] = notes.get(note, 0) + 1
    return Cut(tuple(windows), tuple(exclusions), notes)


def without_stimuli(recording: Recording) -> Exclusion:
    """Return the exclusion of a recording that states no stimulus where windows need one."""
    return _excluded(
        recording,
        "recording",
        "no stimulus is stated: it has no events, or none that the reader understands",
    )


class Timeline:
    """When each stimulus of a recording is on.

    Parameters
    ----------
    stimuli : sequence of Stimulus
    start : float
        Start of the recording in seconds: a stimulus without onset (a cut clip) is on from there.
    """

    def __init__(self, stimuli: Sequence[Stimulus], start: float) -> None:
        self.stimuli = stimuli
        self.onsets = np.array([start if s.onset is None else s.onset for s in stimuli], float)
        self.ends = np.array([self._end(i) for i in range(len(stimuli))], float)

    def _end(self, place: int) -> float:
        """End of a stimulus: as stated, else the next marker of any kind, else infinity."""
        duration = self.stimuli[place].duration
        if duration is not None:
            return float(self.onsets[place] + duration)
        later = self.onsets[self.onsets > self.onsets[place]]
        return float(later.min(initial=np.inf))

    def at(self, time: float) -> int | None:
        """Index of the stimulus that is on at a time, the latest of several; None for none."""
        return self._latest((self.onsets <= time) & (time < self.ends))

    def at_or_before(self, time: float) -> int | None:
        """Index of the stimulus that is on at a time, else of the last one before; or None."""
        on = self.at(time)
        return self._latest(self.onsets <= time) if on is None else on

    def _latest(self, chosen: Bool[np.ndarray, " stimulus"]) -> int | None:
        places = np.flatnonzero(chosen)
        return max(places.tolist(), key=lambda i: (self.onsets[i], i), default=None)

    def held(self, window: Window, place: int | None, conditions: Sequence[str]) -> str:
        """Another stimulus that takes more than `HELD_SHARE` of a window, in words, or ''.

        Parameters
        ----------
        window : Window
        place : int or None
            Index of the window's own stimulus; None looks for nothing.
        conditions : sequence of str
            Conditions that count; empty means all.
        """
        if place is None or len(self.stimuli) == 1:
            return ""
        stop = window.start + window.duration
        onset, end = self.onsets[place], self.ends[place]
        apart = (self.onsets >= end - _ROUNDING) | (self.ends <= onset + _ROUNDING)
        if conditions:
            own = self.stimuli[place].condition
            differs = np.array([s.condition != own for s in self.stimuli])
            apart |= differs & (self.onsets >= onset) & (self.ends <= end + _ROUNDING)
        apart &= np.abs(self.onsets - onset) > _ROUNDING
        pulse = (self.ends <= self.onsets) & (self.onsets >= window.start)
        last = np.where(pulse, np.inf, self.ends)  # how long a pulse acts is not stated
        seconds = np.minimum(last, stop) - np.maximum(self.onsets, window.start)
        for i in np.flatnonzero(apart & (seconds > HELD_SHARE * window.duration)).tolist():
            other = self.stimuli[i]
            if not conditions or other.condition in conditions:
                return f"the stimulus {other.condition} at {self.onsets[i]:g} s"
        return ""


def isolate(window: Window, margins: tuple[float, float] = (0.0, 0.0)) -> Window:
    """The window with nothing around it but its margins, for steps that act inside the window.

    Parameters
    ----------
    margins : (float, float)
        Seconds kept before and after.

    Returns
    -------
    Window
        Of a recording with the same name and stimuli, in memory, whose signals are cropped (views,
        no copies). A signal that does not cover window and margins is left out: it is missing.
    """
    recording = window.recording.load()
    before, after = margins
    signals = {}
    for name, signal in recording.signals.items():
        try:
            signals[name] = signal.crop(window.start - before, window.duration + before + after)
        except SignalError:
            continue  # a signal that does not reach this far is missing here, as `cut` allows
    return replace(window, recording=replace(recording, signals=signals))


@dataclass(frozen=True)
class _Extent:
    """What of the recording's clock a video covers, where no face was looked for in it."""

    start: float
    stop: float

    def crop(self, start: float, duration: float) -> None:
        """Raise `SignalError` unless the interval is inside."""
        if start < self.start - _ROUNDING or start + duration > self.stop + _ROUNDING:
            raise SignalError(f"{start:g} s and {duration:g} s on are not inside the video.")


def _covering(
    recording: Recording, modalities: Sequence[str]
) -> dict[str, Signal | FaceTrack | _Extent]:
    """What can cover a window: signals, faces that were tracked, videos in which nobody looked."""
    covering: dict[str, Signal | FaceTrack | _Extent] = dict(recording.load().signals)
    covering |= recording.faces
    unseen = sorted(set(recording.videos) - set(covering))
    if unseen:
        from dolorimeter.video import probe  # most recordings have no video
    for name in unseen:
        if not modalities or name in modalities:
            covering[name] = _Extent(0.0, probe(recording.videos[name].path).duration)
    return {
        name: covering[name] for name in sorted(covering) if not modalities or name in modalities
    }


def _is_along(spec: WindowSpec, recording: Recording) -> bool:
    """Whether windows follow the recording, so that they cross the borders of stimuli."""
    sliding = spec.anchor == "sliding" and spec.inside_stimulus and bool(recording.stimuli)
    return not (spec.anchor == "stimulus" or sliding)


_Candidate = tuple[Window, int | None]
"""A window and the index of its stimulus."""


def _candidates(
    recording: Recording, spec: WindowSpec, timeline: Timeline, start: float, stop: float
) -> Iterator[_Candidate | Exclusion]:
    needs_stimuli = spec.anchor == "stimulus" or spec.conditions
    if not recording.stimuli and needs_stimuli:
        yield without_stimuli(recording)
    elif _is_along(spec, recording):
        yield from _along(recording, spec, timeline, start, stop)
    else:
        for place, stimulus in enumerate(recording.stimuli):
            if spec.conditions and stimulus.condition not in spec.conditions:
                continue
            if spec.anchor == "sliding":
                yield from _inside(recording, spec, timeline, place, stop)
            else:
                onset = float(timeline.onsets[place])
                yield Window(recording, onset + spec.offset, spec.duration, stimulus), place


def _inside(
    recording: Recording, spec: WindowSpec, timeline: Timeline, place: int, stop: float
) -> Iterator[_Candidate | Exclusion]:
    """Windows wholly inside one stimulus; a cut clip is inside its stimulus from end to end."""
    stimulus = recording.stimuli[place]
    first, last = float(timeline.onsets[place]), float(timeline.ends[place])
    if np.isinf(last) and stimulus.onset is None:
        last = stop
    elif np.isinf(last):
        yield _excluded(
            recording,
            f"stimulus {stimulus.condition} at {stimulus.onset:g} s",
            "its duration is not stated and no marker follows, so nothing can be said to lie "
            "inside it",
        )
        return
    begin = max(first, first + spec.offset)
    starts = _starts(begin, last, spec)
    if not starts:
        yield _excluded(
            recording,
            f"stimulus {stimulus.condition} at {first:g} s",
            f"{last - begin:.3g} s of it are left for a window of {spec.duration:g} s",
        )
    for at in starts:
        yield Window(recording, at, spec.duration, stimulus), place


def _along(
    recording: Recording, spec: WindowSpec, timeline: Timeline, start: float, stop: float
) -> Iterator[_Candidate | Exclusion]:
    """Windows along the whole recording, or the one at its start."""
    begin = start + spec.offset
    once = spec.anchor == "recording" and spec.step is None
    starts = [begin] if once else _starts(begin, stop, spec)
    if not starts:
        yield _excluded(
            recording,
            "windows",
            f"{stop - begin:.3g} s are left for a window of {spec.duration:g} s",
        )
    for at in starts:
        place = timeline.at(at + spec.duration / 2)
        stimulus = None if place is None else recording.stimuli[place]
        if spec.conditions and (stimulus is None or stimulus.condition not in spec.conditions):
            continue  # a window of none of the conditions asked about is not asked about
        yield Window(recording, at, spec.duration, stimulus), place


def _starts(begin: float, end: float, spec: WindowSpec) -> list[float]:
    """Starts of all windows that end by `end`."""
    step = spec.duration if spec.step is None else spec.step
    count = int(np.floor((end - begin - spec.duration + _ROUNDING) / step)) + 1
    return [begin + i * step for i in range(max(0, count))]


def _fits(
    signal: Signal | FaceTrack | _Extent, window: Window, margins: tuple[float, float]
) -> bool:
    before, after = margins
    try:
        signal.crop(window.start - before, window.duration + before + after)
    except SignalError:
        return False
    return True


def _misfit(
    window: Window,
    margins: tuple[float, float],
    signals: Mapping[str, Signal | FaceTrack | _Extent],
) -> Exclusion:
    before, after = margins
    extent = ", ".join(f"{n} {s.start:g}–{s.stop:g} s" for n, s in signals.items())
    around = f" with margins of {before:g} and {after:g} s" if before or after else ""
    return _excluded(
        window.recording,
        _named(window),
        f"reaches beyond every {_noun(signals.values())}{around}; they cover: {extent}",
    )


def _named(window: Window) -> str:
    condition = f" of {window.stimulus.condition}" if window.stimulus else ""
    return f"window {window.start:g}–{window.start + window.duration:g} s{condition}"


def _noun(signals: Iterable[Signal | FaceTrack | _Extent]) -> str:
    """What is there: signals, videos (a face's track counts as its video), or both."""
    kinds = {"signal" if isinstance(one, Signal) else "video" for one in signals}
    return " and ".join(sorted(kinds))


def _excluded(recording: Recording, what: str, reason: str) -> Exclusion:
    return Exclusion(recording.subject, recording.name, what, reason)
