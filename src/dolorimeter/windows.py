"""Recordings cut into windows: all of a window is there, or it is kept out and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.types import Exclusion, FaceTrack, Recording, Signal, Stimulus, Window

Anchor = Literal["stimulus", "recording", "sliding"]

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
        and a window belongs to the stimulus that its middle falls into, or to none.
    conditions : sequence of str
        Conditions that are asked about; empty means all.
    """

    duration: float
    offset: float = 0.0
    anchor: str = "stimulus"
    step: float | None = None
    inside_stimulus: bool = True
    conditions: Sequence[str] = ()

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
    """Windows of one recording in the order of their stimuli, and what was kept out."""

    windows: tuple[Window, ...]
    exclusions: tuple[Exclusion, ...] = ()


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
    for candidate in _candidates(recording, spec, start, stop):
        if isinstance(candidate, Exclusion):
            exclusions.append(candidate)
        elif any(_fits(one, candidate, margins) for one in signals.values()):
            windows.append(candidate)
        else:
            exclusions.append(_misfit(candidate, margins, signals))
    return Cut(tuple(windows), tuple(exclusions))


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


def _candidates(
    recording: Recording, spec: WindowSpec, start: float, stop: float
) -> Iterator[Window | Exclusion]:
    stimuli = [
        s for s in recording.stimuli if not spec.conditions or s.condition in spec.conditions
    ]
    if spec.anchor == "stimulus":
        for stimulus in stimuli:
            onset = start if stimulus.onset is None else stimulus.onset
            yield Window(recording, onset + spec.offset, spec.duration, stimulus)
    elif spec.anchor == "sliding" and spec.inside_stimulus and recording.stimuli:
        for stimulus in stimuli:
            yield from _inside(recording, spec, stimulus, start, stop)
    else:
        yield from _along(recording, spec, stimuli, start, stop)


def _inside(
    recording: Recording, spec: WindowSpec, stimulus: Stimulus, start: float, stop: float
) -> Iterator[Window | Exclusion]:
    """Windows wholly inside one stimulus; a cut clip is inside its stimulus from end to end."""
    first = start if stimulus.onset is None else stimulus.onset
    if stimulus.duration is not None:
        last = first + stimulus.duration
    elif stimulus.onset is None:
        last = stop
    else:
        yield _excluded(
            recording,
            f"stimulus {stimulus.condition} at {stimulus.onset:g} s",
            "its duration is not stated, so nothing can be said to lie inside it",
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
        yield Window(recording, at, spec.duration, stimulus)


def _along(
    recording: Recording, spec: WindowSpec, stimuli: list[Stimulus], start: float, stop: float
) -> Iterator[Window | Exclusion]:
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
        stimulus = _around(at + spec.duration / 2, stimuli, start)
        if stimulus is None and spec.conditions:
            continue  # a window of none of the conditions asked about is not asked about
        yield Window(recording, at, spec.duration, stimulus)


def _starts(begin: float, end: float, spec: WindowSpec) -> list[float]:
    """Starts of all windows that end by `end`."""
    step = spec.duration if spec.step is None else spec.step
    count = int(np.floor((end - begin - spec.duration + _ROUNDING) / step)) + 1
    return [begin + i * step for i in range(max(0, count))]


def _around(time: float, stimuli: list[Stimulus], start: float) -> Stimulus | None:
    """The stimulus that is on at a time; one without a stated end is on for the rest."""
    for stimulus in reversed(stimuli):
        onset = start if stimulus.onset is None else stimulus.onset
        end = np.inf if stimulus.duration is None else onset + stimulus.duration
        if onset <= time < end:
            return stimulus
    return None


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
        f"window {window.start:g}–{window.start + window.duration:g} s"
        + (f" of {window.stimulus.condition}" if window.stimulus else ""),
        f"reaches beyond every {_noun(signals.values())}{around}; they cover: {extent}",
    )


def _noun(signals: Iterable[Signal | FaceTrack | _Extent]) -> str:
    """What is there: signals, videos (a face's track counts as its video), or both."""
    kinds = {"signal" if isinstance(one, Signal) else "video" for one in signals}
    return " and ".join(sorted(kinds))


def _excluded(recording: Recording, what: str, reason: str) -> Exclusion:
    return Exclusion(recording.subject, recording.name, what, reason)
