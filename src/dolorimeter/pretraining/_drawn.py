"""Signals of data sets, drawn as pictures while they are asked for."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dolorimeter.chain import build
from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, DolorimeterError, RecordingError
from dolorimeter.pretraining._pictures import fit
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._shards import check_at_once
from dolorimeter.pretraining._sources import Block, Source, check_columns
from dolorimeter.registry import PREPROCESSING, REPRESENTATIONS
from dolorimeter.types import Recording, Window
from dolorimeter.windows import WindowSpec, cut

COLUMNS = ("condition", "level", "modality", "channel", "representation", "dataset", "subject")
"""Labels that a drawn signal has; what a data set says of its people comes beside them."""


@dataclass(frozen=True)
class Drawn:
    """A data set whose signals are drawn: its name, folder, options, signals and people.

    `modalities` names the signals, `subjects` the people (empty: all).
    """

    name: str
    modalities: tuple[str, ...]
    root: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Row:
    """One picture: of which window, by which representation, which of its pictures."""

    window: Window
    representation: Any
    number: int
    channel: str


@dataclass(eq=False)
class DrawnSignals(Source):
    """Windows of recordings, drawn: one picture a channel and representation.

    Parameters
    ----------
    datasets : tuple of Drawn
        Tables with ``name`` and ``modalities``; ``root``, ``options``, ``subjects`` if need be.
    windows : mapping
        Fields of `WindowSpec`.
    representations : tuple of mappings
        Of signals as pictures (``{ name = "waveform" }``), without modality and size.
    preprocessing : tuple of mappings
        Steps along the recording before it is cut, each with its ``name``.
    at_once : int
        Recordings in memory, whose windows are shuffled together.
    """

    datasets: tuple[Drawn, ...]
    windows: Mapping[str, Any]
    representations: tuple[Mapping[str, Any], ...] = ({"name": "waveform"},)
    preprocessing: tuple[Mapping[str, Any], ...] = ()
    at_once: int = 8
    _recordings: list[Recording] = field(init=False, repr=False, default_factory=list)
    _rows: list[list[_Row]] = field(init=False, repr=False, default_factory=list)
    _kept: OrderedDict[int, Recording] = field(init=False, repr=False, default_factory=OrderedDict)
    _lock: Any = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        check_at_once(self.at_once)
        if not self.datasets or not self.representations:
            raise ConfigError("datasets and representations: name at least one of each.")
        self._spec = from_plain(WindowSpec, self.windows, "windows")
        self._steps = tuple(build(PREPROCESSING, values) for values in self.preprocessing)
        for step in self._steps:
            if step.scope == "window":
                raise ConfigError(
                    f"preprocessing: {step.card.name} acts inside a window; those along the "
                    "recording alone are run before signals are drawn."
                )

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """One block a recording; a label that a person lacks is None."""
        known = set(COLUMNS)
        for drawn in self.datasets:
            reader = open_dataset(drawn.name, drawn.root or None, **drawn.options)
            namespace = str(reader.card.person_namespace or reader.card.name)
            found = [self._by(drawn, values) for values in self.representations]
            what = f"{drawn.name}: left out by its reader (dolorimeter check {drawn.name})"
            left_out = Counter({what: len(getattr(reader, "exclusions", ()))})
            for recording in reader.recordings(drawn.subjects or None):
                rows, faults = self._cut(recording, drawn.modalities, found)
                known.update(recording.subject_info)
                self._recordings.append(recording)
                self._rows.append(rows)
                labels = [_labels(row) for row in rows]
                yield Block(
                    {c: [values.get(c) for values in labels] for c in columns},
                    [recording.subject] * len(rows),
                    namespace,
                    faults + left_out,  # zeros are dropped,
                )
                left_out = Counter()
        names = ", ".join(drawn.name for drawn in self.datasets)
        check_columns(columns, sorted(known), names)
        if not any(self._rows):
            raise DatasetError(
                f"{names}: no window can be drawn in {len(self._recordings)} recordings. Check "
                "windows and modalities."
            )

    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """That window's channel, drawn in that size."""
        wanted = self._rows[block][row]
        try:
            window = replace(wanted.window, recording=self._recording(block))
            representation = replace(wanted.representation, size=size)
            batches = list(representation.pictures(window))
        except RecordingError:
            raise
        except DolorimeterError as error:
            raise RecordingError(str(error)) from error
        drawn = np.concatenate(batches)[wanted.number]
        return fit(np.ascontiguousarray(drawn.transpose(1, 2, 0)), size)

    def _by(self, drawn: Drawn, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """That representation of each of the data set's signals."""
        found = tuple(
            build(REPRESENTATIONS, {"modality": modality, **values})
            for modality in drawn.modalities
        )
        for one in found:
            if not hasattr(one, "pictures") or one.pictures_of_people:
                raise ConfigError(
                    f"{one.card.name} draws no signal. Take waveform or a spectrogram "
                    "(dolorimeter list representations)."
                )
        return found

    def _cut(
        self, recording: Recording, modalities: Sequence[str], found: Sequence[tuple[Any, ...]]
    ) -> tuple[list[_Row], Counter[str]]:
        """Rows of one recording that can be drawn, and what cannot."""
        rows: list[_Row] = []
        try:
            loaded = self._processed(recording)
            windows = cut(loaded, self._spec, modalities=modalities)
        except DolorimeterError as error:
            return rows, Counter([str(error)])
        faults = Counter("a window: " + e.reason for e in windows.exclusions)
        faults.update(f"a recording without {m}" for m in modalities if m not in loaded.signals)
        present = [one for each in found for one in each if one.modality in loaded.signals]
        for window in windows.windows:
            bare = replace(window, recording=recording)
            for representation in present:
                reason = representation.missing(window)
                if reason is not None:
                    faults[f"{representation.modality}: {reason}"] += 1
                    continue
                modality = representation.modality
                names = loaded.signals[modality].channels or (modality,)
                count = representation.picture_count(window)
                rows += [_Row(bare, representation, n, names[n]) for n in range(count)]
        return rows, faults

    def _recording(self, block: int) -> Recording:
        with self._lock:
            if block not in self._kept:
                self._kept[block] = self._processed(self._recordings[block])
            self._kept.move_to_end(block)
            while len(self._kept) > self.at_once:
                self._kept.popitem(last=False)
            return self._kept[block]

    def _processed(self, recording: Recording) -> Recording:
        """Its signals that are drawn, in memory, after the steps."""
        wanted = {m for drawn in self.datasets for m in drawn.modalities}
        loaded = recording.load()
        signals = {name: s for name, s in loaded.signals.items() if name in wanted}
        loaded = replace(loaded, signals=signals)
        for step in self._steps:
            loaded = step(loaded)
        return loaded


def _labels(row: _Row) -> dict[str, Any]:
    recording, stimulus = row.window.recording, row.window.stimulus
    return {
        **recording.subject_info,
        "condition": None if stimulus is None else stimulus.condition,
        "level": None if stimulus is None else stimulus.level,
        "modality": row.representation.modality,
        "channel": row.channel,
        "representation": row.representation.card.name,
        "dataset": recording.dataset,
        "subject": recording.subject,
    }
