"""BIOPAC AcqKnowledge files (``.acq``), read through bioread (extra ``formats``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dolorimeter.datasets._files import (
    read_bytes,
    relative,
    require_dir,
    walk_files,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets._open import (
    LIBRARY_FAULTS,
    check_names,
    field_names,
    signal_in_si,
)
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus


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
class AcqKnowledge(Listed):
    """One recording a file; the file's name is the subject.

    Parameters
    ----------
    root : path
        A folder with ``.acq`` files at any depth, or one file.
    names : mapping of str to str
        Channel name in the file → the field's name (``{"EMG100C": "emg_corrugator"}``). Names of
        one meaning (`_open.NAMES`) are understood without it; any other channel keeps its own.

    Notes
    -----
    Channels keep their own rates. Units come from the file and are converted to SI where they are
    understood. Event markers are stimuli, their text the condition (``event`` where empty).
    """

    def __init__(self, root: str | Path, *, names: Mapping[str, str] | None = None) -> None:
        root = Path(root)
        single = root.is_file() and _is_acq(root)
        self.root = root.parent if single else require_dir(root, dataset="AcqKnowledge files")
        self.names = dict(names or {})
        self._paths = [root] if single else [p for p in walk_files(self.root) if _is_acq(p)]
        if not self._paths:
            raise DatasetError(f"{root}: no .acq file in it. Give the folder that holds them.")

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        seen: list[str] = []
        for path in self._paths:
            where = relative(path, self.root)
            name = where.rsplit(".", 1)[0]
            try:
                data = _read(path)
            except RecordingError as error:
                exclusions.append(Exclusion(name, name, where, str(error)))
                continue
            labels = _labels(data)
            given = field_names(labels, self.names)
            seen += labels
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=name,
                    name=name,
                    signals=LazySignals(given, partial(_signals, path, tuple(given))),
                    stimuli=_events(data),
                    sources=(path,),
                )
            )
        check_names(self.names, seen, where=self.root)
        return recordings, tuple(exclusions)


def _is_acq(path: Path) -> bool:
    return path.suffix.lower() == ".acq"


def _read(path: Path) -> Any:
    from dolorimeter._extras import bioread

    read_bytes(path)  # names a missing or empty file
    try:
        data = bioread.read(str(path))
    except LIBRARY_FAULTS as error:
        raise RecordingError(
            f"{path}: bioread cannot read it ({type(error).__name__}: {error}). It is truncated, "
            "or not an AcqKnowledge file."
        ) from error
    if data is None or not data.channels or any(c.data is None for c in data.channels):
        raise RecordingError(f"{path}: no channel with samples in it. Is the file truncated?")
    return data


def _labels(data: Any) -> list[str]:
    """Names of the channels; a second one of the same name gets its number."""
    labels: list[str] = []
    for number, channel in enumerate(data.channels, start=1):
        label = str(channel.name).strip() or f"channel {number}"
        labels.append(f"{label} {number}" if label in labels else label)
    return labels


def _signals(path: Path, given: Sequence[str]) -> dict[str, Signal]:
    channels = _read(path).channels
    return {
        name: signal_in_si(
            name,
            np.asarray(channel.data, dtype=float),
            float(channel.samples_per_second),
            str(channel.units).strip(),
        )
        for name, channel in zip(given, channels, strict=True)
    }


def _events(data: Any) -> tuple[Stimulus, ...]:
    rate = float(data.samples_per_second)
    return tuple(
        Stimulus(marker.sample_index / rate, None, str(marker.text).strip() or "event")
        for marker in data.event_markers or ()
    )
