"""Example recordings of NeuroKit: ECG, skin conductance, respiration, pulse, EOG, EEG.

https://github.com/neuropsychology/NeuroKit, folder ``data`` (MIT). Neither people nor units are
described there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    bare_name,
    list_files,
    read_bytes,
    read_numbers,
    relative,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

COLUMNS: Mapping[str, tuple[str, str, float, str]] = {
    "ECG": ("ecg", "voltage", 1e-3, "V"),
    "EDA": ("eda", "conductance", 1e-6, "S"),
    "PPG": ("ppg", "pulse", 1.0, "a.u."),
    "RSP": ("resp", "respiration", 1.0, "a.u."),
    "vEOG": ("eog", "voltage", 1.0, "V"),
    "Photosensor": ("photosensor", "other", 1.0, "a.u."),
    "PhotoSensor": ("photosensor", "other", 1.0, "a.u."),
}
"""Column → name, quantity, factor, unit. The units are those that the ranges suggest (mV,
microsiemens, V); upstream states none, so that no signal's unit is confirmed."""

EVENT_CONDITIONS: Mapping[str, tuple[str, ...]] = {
    "bio_eventrelated_100hz": ("Negative", "Neutral", "Neutral", "Negative")
}
"""Conditions of the events, in order, from NeuroKit's documentation of event-related analysis."""


@DATASETS.register(
    DatasetCard(
        name="neurokit_data",
        summary="NeuroKit's example traces: resting and event-related ECG, EDA, PPG, respiration.",
        paper="Makowski et al. 2021, NeuroKit2",
        doi="10.3758/s13428-020-01516-y",
        code="https://github.com/neuropsychology/NeuroKit",
        licence="MIT",
        obtain="dolorimeter fetch neurokit_data",
        sharing="Free with attribution (MIT).",
        label_source="procedure",
        labels="Negative or neutral pictures in one recording; otherwise none.",
        units={name: unit for name, _, _, unit in COLUMNS.values()},
        units_confirmed=False,
        openly_available=True,
    )
)
class NeuroKitData(Listed):
    """One recording a file; the file's name stands for the subject, since nobody says who it is.

    Parameters
    ----------
    root : path
        Folder with ``*_100hz.csv`` and the like (upstream's ``data``), or the one above it.

    Notes
    -----
    The sampling rate comes from the file's name; a file without one (``eeg.txt``) is an exclusion.
    In ``bio_eventrelated_100hz`` an event lasts while the photosensor is low (3 s).
    """

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(root, dataset=self.card.name)
        inner = self.root / "data"
        self._folder = inner if inner.is_dir() else self.root
        if not any(_rate(path) for path in self._paths):
            raise DatasetError(
                f"{self.root}: is not {self.card.name}: no *_100hz.csv or *_1000hz.csv in it. "
                "Give the folder that holds them."
            )

    @cached_property
    def _paths(self) -> list[Path]:
        return list_files(self._folder, ".csv", ".txt")

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for path in self._paths:
            name = bare_name(path)
            rate = _rate(path)
            try:
                if rate is None:
                    raise RecordingError(f"{path}: no sampling rate in its name (…_100hz.csv).")
                columns, table = _read(path)
            except RecordingError as error:
                exclusions.append(Exclusion(name, name, relative(path, self.root), str(error)))
                continue
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=name,
                    name=name,
                    signals=LazySignals(
                        [COLUMNS[c][0] for c in columns], partial(_signals, path, rate)
                    ),
                    stimuli=_events(name, columns, table, rate),
                    sources=(path,),
                )
            )
        return recordings, tuple(exclusions)


def _rate(path: Path) -> float | None:
    match = re.search(r"_(\d+)hz$", bare_name(path))
    return float(match[1]) if match and int(match[1]) > 0 else None


def _read(path: Path) -> tuple[tuple[str, ...], Float[np.ndarray, "time column"]]:
    first = read_bytes(path).split(b"\n", 1)[0].decode("utf-8", "replace")
    columns = [cell.strip() for cell in first.split(",")]
    unknown = [c for c in columns if c not in COLUMNS]
    if unknown or len(set(columns)) != len(columns):
        raise RecordingError(
            f"{path}: columns {', '.join(map(repr, columns))}; expected some of "
            f"{', '.join(COLUMNS)}, each once. Is it another version?"
        )
    return read_numbers(path, delimiter=",", columns=columns)


def _signals(path: Path, rate: float) -> dict[str, Signal]:
    columns, table = _read(path)
    signals = {}
    for column, values in zip(columns, table.T, strict=True):
        name, quantity, factor, unit = COLUMNS[column]
        signals[name] = Signal(values[None] * factor, rate, unit, False, quantity)
    return signals


def _events(
    name: str, columns: Sequence[str], table: Float[np.ndarray, "time column"], rate: float
) -> tuple[Stimulus, ...]:
    conditions = EVENT_CONDITIONS.get(name)
    if conditions is None or "Photosensor" not in columns:
        return ()
    low = table[:, columns.index("Photosensor")] < 2.5  # volts, between 0 and 5
    edges = np.diff(np.concatenate(([False], low, [False])).astype(int))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts) != len(conditions):
        return ()  # another recording than the documented one: its conditions are unknown
    return tuple(
        Stimulus(float(a) / rate, float(b - a) / rate, condition)
        for a, b, condition in zip(starts, stops, conditions, strict=True)
    )
