"""BIOPAC AcqKnowledge files (``.acq``), read through bioread (extra ``formats``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dolorimeter.datasets._files import read_bytes, reading
from dolorimeter.datasets._listed import Content, RecordingFiles
from dolorimeter.datasets._open import field_names
from dolorimeter.datasets.recording_time import LONGEST_PAUSE, gap_remarks
from dolorimeter.datasets.units import signal_in_si
from dolorimeter.errors import RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Remark, Signal, Stimulus

APPENDED = "apnd"
"""Type of the marker that AcqKnowledge sets where recording begins or goes on."""
UNKNOWN_PAUSE = (
    "recording was interrupted for an unknown time; a missing sample (NaN) marks the place"
)
SHORTEST_PAUSE = 0.5
"""Seconds; creation times of markers are not exact."""


@DATASETS.register(
    DatasetCard(
        name="acqknowledge",
        summary="BIOPAC AcqKnowledge recordings of any lab.",
        code="https://github.com/uwmadison-chm/bioread",
        licence="the owner's",
        obtain="Your own recordings: a folder of .acq files, or one file.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="The texts of the event markers in the file.",
        units_confirmed=False,
    )
)
class AcqKnowledge(RecordingFiles):
    """One recording per file.

    Parameters
    ----------
    root : path
        A folder with ``.acq`` files at any depth, or one file.
    names : mapping of str to str, optional
        Channel name in the file → the field's name (``{"EMG100C": "emg_corrugator"}``). Names of
        one meaning (`_open.NAMES`) are understood without it; any other channel keeps its own. A
        second channel of the same name gets a number.
    subject : str, optional
        Pattern of file names (``"{subject}_day{session}"``) or a participants table. By default
        the ``sub-`` part of the file name, else the whole name.
    unit : mapping of str to str, optional
        The field's name → unit, where the file states none or a wrong one (``{"eda": "uS"}``).

    Notes
    -----
    Channels keep their own rates. Units come from the file and are converted to SI where they are
    understood. Event markers are stimuli, their text the condition; without text it is the type
    of the marker (``QRS Peak``), or ``event`` for the default type.

    AcqKnowledge 4 and 5 set a marker of their own where recording begins and where it goes on
    after a pause (append mode). It is not a stimulus. The pause becomes missing samples (NaN) if
    the times at which the markers were set are known; otherwise one missing sample marks it.
    """

    ENDINGS: ClassVar[tuple[str, ...]] = (".acq",)
    FORMAT: ClassVar[str] = "AcqKnowledge"

    def _content(self, path: Path) -> Content:
        data = _read(path)
        labels = _labels(data)
        names = field_names(labels, self.names)
        stated = {name: self.unit[name] for name in names if name in self.unit}
        pauses, remarks = _pauses(path, data)
        return Content(
            names=tuple(names),
            load=partial(_signals, path, tuple(names), stated),
            stimuli=_events(data, pauses),
            labels=tuple(labels),
            remarks=remarks,
        )


def _read(path: Path) -> Any:
    from dolorimeter._extras import bioread

    read_bytes(path)  # names a missing or empty file
    with reading(path, "bioread cannot read it", "It is truncated, or not an AcqKnowledge file."):
        data = bioread.read(str(path))
    if data is None or not data.channels or any(c.data is None for c in data.channels):
        raise RecordingError(f"{path}: no channel with samples in it. Is the file truncated?")
    return data


def _labels(data: Any) -> list[str]:
    """Return the names of the channels; one without a name goes by its number."""
    return [
        str(channel.name).strip() or f"channel {number}"
        for number, channel in enumerate(data.channels, start=1)
    ]


def _signals(path: Path, names: Sequence[str], unit: Mapping[str, str]) -> dict[str, Signal]:
    data = _read(path)
    pauses, _ = _pauses(path, data)
    base = float(data.samples_per_second)
    signals = {}
    for name, channel in zip(names, data.channels, strict=True):
        rate = float(channel.samples_per_second)
        values = np.asarray(channel.data, dtype=float)
        for sample, seconds in reversed(pauses):  # from the end, so that places stay valid
            place = min(round(sample / base * rate), values.size)
            if seconds is None:
                values[place : place + 1] = np.nan
            else:
                lost = np.full(round(seconds * rate), np.nan)
                values = np.concatenate([values[:place], lost, values[place:]])
        written = str(channel.units).strip()
        signals[name] = signal_in_si(name, values, rate, written, stated=unit.get(name))
    return signals


def _pauses(
    path: Path, data: Any
) -> tuple[tuple[tuple[int, float | None], ...], tuple[Remark, ...]]:
    """Return sample and length in seconds of each pause (None: unknown), and remarks on them."""
    base = float(data.samples_per_second)
    appended = [m for m in data.event_markers or () if _is_appended(m)]
    appended.sort(key=lambda m: int(m.sample_index))
    begun = getattr(appended[0], "date_created_utc", None) if appended else None
    pauses: list[tuple[int, float | None]] = []
    gaps, unknown, before = [], 0, 0.0
    for marker in appended:
        sample = int(marker.sample_index)
        if sample == 0:
            continue
        set_at = getattr(marker, "date_created_utc", None)
        if begun is None or set_at is None or int(appended[0].sample_index) != 0:
            pauses.append((sample, None))
            unknown += 1
            continue
        seconds = (set_at - begun).total_seconds() - sample / base - before
        if not 0 <= seconds + SHORTEST_PAUSE <= LONGEST_PAUSE:
            raise RecordingError(
                f"{path}: recording went on after a pause of {seconds:,.1f} s by the markers of "
                "AcqKnowledge. Was the clock set? Split the file."
            )
        if seconds >= SHORTEST_PAUSE:
            pauses.append((sample, seconds))
            start = sample / base + before
            gaps.append((start, start + seconds))
            before += seconds
    remarks = [*gap_remarks(gaps)]
    if unknown:
        remarks.append(Remark(UNKNOWN_PAUSE, f"{unknown} times"))
    return tuple(pauses), tuple(remarks)


def _is_appended(marker: Any) -> bool:
    return str(getattr(marker, "type_code", "")).strip() == APPENDED


def _events(data: Any, pauses: Sequence[tuple[int, float | None]]) -> tuple[Stimulus, ...]:
    """Return the markers that somebody set, later by the pauses before them."""
    base = float(data.samples_per_second)
    return tuple(
        Stimulus(
            marker.sample_index / base
            + sum(seconds or 0.0 for at, seconds in pauses if at <= marker.sample_index),
            None,
            str(marker.text).strip() or _type_name(marker),
        )
        for marker in data.event_markers or ()
        if not _is_appended(marker)
    )


def _type_name(marker: Any) -> str:
    """Return the condition of a marker without text: the name of its type, else ``event``.

    Analyses of AcqKnowledge set markers without text (``QRS Peak``), which are no stimuli of the
    study and must not share a condition with markers that somebody set.
    """
    name = str(getattr(marker, "type", "Default"))
    return "event" if name in {"None", "Default", "Unknown"} else name
