"""One batch of recordings: loaded, preprocessed, cut and represented."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.chain._encoded import represented
from dolorimeter.chain._rows import facts_of, meta_of, quality_of
from dolorimeter.chain._stream import Stream, interval_of, margins_of, sources_of
from dolorimeter.errors import DolorimeterError, SignalError
from dolorimeter.representations import Represented
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import Array, Exclusion, Recording, Window
from dolorimeter.windows import Cut, WindowSpec, cut


@dataclass(frozen=True)
class Part:
    """Samples of one batch of recordings, before they are joined."""

    streams: Mapping[str, Represented]
    meta: pd.DataFrame
    facts: pd.DataFrame
    quality: Array
    notes: Mapping[str, int]
    exclusions: tuple[Exclusion, ...]

    @property
    def samples(self) -> Samples:
        """The arrays and tables as samples, one stream per entry of ``x``."""
        return Samples(
            {name: stream.x for name, stream in self.streams.items()},
            self.meta,
            present={name: stream.present for name, stream in self.streams.items()},
            facts=self.facts,
            quality=self.quality,
            exclusions=self.exclusions,
        )


def part_of(spec: WindowSpec, streams: Sequence[Stream], batch: Sequence[Recording]) -> Part:
    """Load, cut and represent one batch."""
    exclusions: list[Exclusion] = []
    gathered = Gathered(streams)
    for recording in batch:
        if not spec.asks_about(recording):
            continue  # before a face is looked for in a video that gives no window
        try:
            found, processed, told = windows_of(spec, streams, recording)
        except DolorimeterError as error:
            exclusions.append(
                Exclusion(recording.subject, recording.name, "recording", str(error))
            )
            continue
        exclusions += found.exclusions
        for note in told if found.windows else ():
            gathered.notes[note] = gathered.notes.get(note, 0) + len(found.windows)
        for window in found.windows:
            gathered.add(window, processed)
    return gathered.part(represented, exclusions)


class Gathered:
    """Windows of one batch: what each stream sees of them, and what is known of them besides."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._sources = sources_of(streams)
        self._windows: dict[str, list[Window]] = {s.name: [] for s in streams}
        self._rows: list[dict[str, Any]] = []
        self._facts: list[dict[str, float]] = []
        self._quality: list[float] = []
        self.notes: dict[str, int] = {}

    def add(self, window: Window, processed: Mapping[str, Recording]) -> None:
        """Add a window of a recording, given what each stream's steps along it have made of it."""
        self._rows.append(meta_of(window))
        self._facts.append(facts_of(window, self._sources))
        self._quality.append(quality_of(window, self._sources, self._rows[-1], self.notes))
        for stream in self._streams:
            own = stream_window(window, stream, processed, self.notes)
            self._windows[stream.name].append(own)

    def part(
        self,
        represent: Callable[[Stream, Sequence[Window]], Represented],
        exclusions: Sequence[Exclusion] = (),
    ) -> Part:
        """All of them as arrays."""
        rows = self._rows
        return Part(
            {s.name: represent(s, self._windows[s.name]) for s in self._streams if rows},
            pd.DataFrame(rows, columns=None if rows else list(META_COLUMNS)),
            pd.DataFrame(self._facts),
            np.array(self._quality, dtype=float),
            self.notes,
            tuple(exclusions),
        )


def windows_of(
    spec: WindowSpec, streams: Sequence[Stream], recording: Recording
) -> tuple[Cut, dict[str, Recording], dict[str, int]]:
    """The windows of a recording, and what each stream's steps made of it, with their notes."""
    loaded = _with_modalities(recording.load(), sources_of(streams))
    told: dict[str, int] = {}
    processed = _processed(loaded, streams, told)
    faces = {k: v for r in processed.values() for k, v in r.faces.items()}
    loaded = replace(loaded, faces=faces)
    margins = margins_of(streams, spec.duration)
    return cut(loaded, spec, margins=margins), processed, told


def _with_modalities(recording: Recording, modalities: Sequence[str]) -> Recording:
    """Only the signals and videos asked for: a short unrelated one must not cost windows."""
    signals = {name: recording.signals[name] for name in modalities if name in recording.signals}
    videos = {name: recording.videos[name] for name in modalities if name in recording.videos}
    if not signals and not videos:
        have = ", ".join(sorted({*recording.signals, *recording.videos})) or "none"
        raise SignalError(
            f"recording {recording.name} has none of {', '.join(modalities)}; it has: {have}."
        )
    return replace(recording, signals=signals, videos=videos)


def _processed(
    recording: Recording, streams: Sequence[Stream], notes: dict[str, int]
) -> dict[str, Recording]:
    """The recording after the steps along it, for each stream; equal steps run once."""
    done: dict[tuple[Any, ...], Recording] = {}
    found = {}
    for stream in streams:
        steps = tuple(step for step in stream.steps if step.scope != "window")
        if steps not in done:
            whole = recording
            for step in steps:
                _tell(step, whole, notes)
                whole = step(whole)
            done[steps] = whole
        found[stream.name] = done[steps]
    return found


def stream_window(
    window: Window,
    stream: Stream,
    processed: Mapping[str, Recording],
    notes: dict[str, int],
) -> Window:
    """The window on the stream's own preprocessed recording, window-wise steps applied."""
    recording = processed[stream.name]
    modality = stream.representation.modality
    offset, duration = interval_of(stream, window.duration)
    start, span = window.start + offset - stream.margin, duration + stream.margin
    try:
        if modality in recording.faces:
            recording.faces[modality].crop(start, span)
            return replace(window, recording=recording)
        if modality not in recording.signals:
            return replace(window, recording=recording)
        part = recording.signals[modality].crop(start, span)
    except SignalError:
        note = f"{modality} does not cover the window and counts as missing"
        notes[note] = notes.get(note, 0) + 1
        return replace(window, recording=replace(recording, signals={}, videos={}, faces={}))
    window_steps = [step for step in stream.steps if step.scope == "window"]
    if window_steps:
        recording = replace(recording, signals={modality: part})
        for step in window_steps:
            _tell(step, recording, notes)
            recording = step(recording)
    return replace(window, recording=recording)


def _tell(step: Any, recording: Recording, notes: dict[str, int]) -> None:
    """Count what a step has to say of a recording or of a window of it."""
    for note in step.remarks(recording) if hasattr(step, "remarks") else ():
        notes[note] = notes.get(note, 0) + 1
