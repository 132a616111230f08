"""One batch of recordings: loaded, preprocessed, cut and represented."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.chain._encoded import represented
from dolorimeter.chain._ratings import RatingsOf
from dolorimeter.chain._rows import facts_of, meta_of, quality_of
from dolorimeter.chain._stream import Stream, interval_of, margins_of, sources_of
from dolorimeter.datasets.units import size_warning
from dolorimeter.errors import (
    DependencyError,
    DolorimeterError,
    FileReadError,
    RecordingError,
    SignalError,
    StorageError,
)
from dolorimeter.representations import Represented, Undefined
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import Array, Exclusion, Recording, Window
from dolorimeter.windows import Cut, WindowSpec, cut, without_stimuli

NO_SHAPE = (0, 0)
"""Shape of a window of an array stream that no window of a batch has."""


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
    """Load, cut and represent one batch.

    Raises
    ------
    FileReadError
        If a file cannot be read, which says nothing about the recording.
    SignalError, RecordingError
        If the windows of the batch cannot be represented together.
    """
    exclusions: list[Exclusion] = []
    gathered, sources = Gathered(streams), sources_of(streams)
    sizes: dict[tuple[str, str], str] = {}  # one look per subject and signal, not per clip
    for recording in batch:
        if not spec.asks_about(recording):
            if not recording.stimuli:
                exclusions.append(without_stimuli(recording))
            continue  # before a face is looked for in a video that gives no window
        try:
            found, processed, notes = _read_windows(spec, streams, recording)
        except DolorimeterError as error:
            exclusions.append(content_fault(recording, error))
            continue
        exclusions += found.exclusions
        for window in found.windows[:1]:
            for name, signal in window.recording.signals.items():
                key = recording.subject, name
                if name in sources and key not in sizes:
                    sizes[key] = size_warning(name, signal)
        for name in sources:
            if size := sizes.get((recording.subject, name)):
                note = f"{name} of subject {recording.subject}: {size}"
                gathered.notes[note] = gathered.notes.get(note, 0) + len(found.windows)
        for note in notes if found.windows else ():
            gathered.notes[note] = gathered.notes.get(note, 0) + len(found.windows)
        for note, count in found.notes.items():
            gathered.notes[note] = gathered.notes.get(note, 0) + count
        for window in found.windows:
            try:
                gathered.add(window, processed)
            except SignalError as error:
                what = f"window at {window.start:g} s"
                exclusions.append(Exclusion(recording.subject, recording.name, what, str(error)))
    return gathered.part(_represented_or_absent, exclusions)


def _read_windows(
    spec: WindowSpec, streams: Sequence[Stream], recording: Recording
) -> tuple[Cut, dict[str, Recording], dict[str, int]]:
    """Return `windows_of`, after a second attempt where a file could not be read the first time.

    A network drive that was away for a moment is not a property of the recording.

    Raises
    ------
    FileReadError
        If the second attempt fails because of a file that cannot be read.
    DolorimeterError
        If the content of the recording is at fault.
    """
    try:
        return windows_of(spec, streams, recording)
    except (DolorimeterError, OSError) as error:
        if isinstance(error, RecordingError | OSError):
            with suppress(DolorimeterError, OSError):
                return windows_of(spec, streams, recording)
        if isinstance(error, OSError):
            raise FileReadError(_unreadable(recording, error)) from error
        raise


def content_fault(recording: Recording, error: DolorimeterError) -> Exclusion:
    """Return the exclusion of a recording whose content cannot be used.

    Parameters
    ----------
    recording : Recording
    error : DolorimeterError
        Error that reading or representing the recording raised.

    Returns
    -------
    Exclusion

    Raises
    ------
    FileReadError
        If the error comes from a file that cannot be read now. Excluding the recording would
        count a fault of the environment as one of the data.
    DolorimeterError
        `error` itself, if it is not about the content of a recording.
    """
    if isinstance(error, StorageError | DependencyError):
        raise error
    cause = _system_error(error, recording)
    if cause is None and isinstance(error, RecordingError):
        cause = _first_unreadable(recording)
    if cause is not None:
        raise FileReadError(_unreadable(recording, cause)) from error
    return Exclusion(recording.subject, recording.name, "recording", str(error))


def _system_error(error: BaseException | None, recording: Recording) -> OSError | None:
    """The failed system call that an error was raised from, if there is one.

    An `OSError` without a number comes from a library that rejects the content. A file that is
    missing is a fault of the environment only where the reader listed it.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            listed = {str(path) for path in recording.sources if not path.is_symlink()}
            gone = error.errno == errno.ENOENT and str(error.filename) not in listed
            return None if gone else error
        error = error.__cause__
    return None


def _first_unreadable(recording: Recording) -> OSError | None:
    """The error of the first source that cannot be opened and read to its end, if any.

    A link to nothing (an annex whose content was never fetched) is a property of the copy.
    """
    for path in (*recording.sources, *(video.path for video in recording.videos.values())):
        if path.is_symlink() and not path.exists():
            continue
        try:
            if path.is_dir():
                os.scandir(path).close()
                continue
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass
        except OSError as error:
            return error
    return None


def _unreadable(recording: Recording, error: OSError) -> str:
    where = error.filename or ", ".join(map(str, recording.sources[:3])) or recording.name
    return (
        f"{where}: cannot be read ({error.strerror or error}), while windows of recording "
        f"{recording.name} were made. Nothing was excluded because of it and nothing of this "
        "recording was cached. Make the file readable and run the same command again."
    )


def _represented_or_absent(stream: Stream, windows: Sequence[Window]) -> Represented:
    """Windows as an array; one without a shape where no window of the batch has the modality."""
    try:
        return represented(stream, windows)
    except SignalError:
        modality = stream.representation.modality
        if any(
            modality in kinds
            for w in windows
            for kinds in (w.recording.signals, w.recording.videos, w.recording.faces)
        ):
            raise
    reason = f"the recording has no {modality}"
    return Represented(
        x=np.full((len(windows), *NO_SHAPE), np.nan),
        names=(),
        units=(),
        present=np.zeros(len(windows), dtype=bool),
        undefined=tuple(Undefined(stream.name, reason, 1) for _ in windows),
    )


class Gathered:
    """Windows of one batch: what each stream sees of them, and what is known of them besides."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self._sources = sources_of(streams)
        self._windows: dict[str, list[Window]] = {s.name: [] for s in streams}
        self._rows: list[dict[str, Any]] = []
        self._facts: list[dict[str, float]] = []
        self._quality: list[float] = []
        self._ratings: RatingsOf | None = None
        self.notes: dict[str, int] = {}

    def add(self, window: Window, processed: Mapping[str, Recording]) -> None:
        """Add a window of a recording.

        Parameters
        ----------
        window : Window
        processed : mapping of str to Recording
            The recording after the steps along it, per stream.

        Raises
        ------
        SignalError
            If a step inside the window fails; then nothing of the window is added.
        """
        notes: dict[str, int] = {}
        own = [stream_window(window, stream, processed, notes) for stream in self._streams]
        if self._ratings is None or self._ratings.recording is not window.recording:
            self._ratings = RatingsOf(window.recording)
        row = meta_of(window) | self._ratings.columns(window, notes)
        self._rows.append(row)
        self._facts.append(facts_of(window, self._sources))
        self._quality.append(quality_of(window, self._sources, row, notes))
        for stream, stream_own in zip(self._streams, own, strict=True):
            self._windows[stream.name].append(stream_own)
        for note, count in notes.items():
            self.notes[note] = self.notes.get(note, 0) + count

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
