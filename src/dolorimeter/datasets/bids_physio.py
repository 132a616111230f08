"""BIDS physiological recordings: ``*_physio.tsv.gz`` with its JSON sidecar and ``*_events.tsv``.

Brain Imaging Data Structure 1.10, "Physiological recordings": the table has no header; the
sidecar gives ``SamplingFrequency`` (Hz), ``StartTime`` (s, relative to the run) and ``Columns``,
and may describe each column (``Units``). Sidecars and events higher up the tree apply to what lies
below; of sidecars nearer ones win field by field, of events the nearest file applies.
https://bids-specification.readthedocs.io
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import (
    list_dirs,
    list_files,
    read_json,
    read_numbers,
    read_table,
    reading,
    relative,
    require_dir,
    walk_files,
)
from dolorimeter.datasets._listed import STATED, Listed
from dolorimeter.datasets._open import check_names, field_names
from dolorimeter.datasets.participants import FileSubjects
from dolorimeter.datasets.recording_time import Clock, clock_of
from dolorimeter.datasets.units import check_stated, signal_in_si
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Remark, Signal, Stimulus

SUFFIX = "_physio.tsv"
EVENTS = "_events.tsv"
TIME_COLUMNS = frozenset({"time", "times", "timestamp", "timestamps", "seconds"})
"""Columns (lower case) that hold the time of each row."""
TIME_STEPS = (1.0, 1e-3, 1e-6, 1e-9)
"""Seconds per unit that a column of times may be written in."""

NO_EVENTS = "no events.tsv applies to this run, so that it has no stimuli"
NO_CONDITIONS = (
    "events.tsv has no column trial_type, so that every event has the condition 'event'"
)
BAD_TIMES = "the time column agrees with the stated sampling rate in no unit and was not used"


@DATASETS.register(
    DatasetCard(
        name="bids_physio",
        summary="Physiological recordings of any data set in the Brain Imaging Data Structure.",
        paper="Gorgolewski et al. 2016",
        doi="10.1038/sdata.2016.44",
        licence="the data set's",
        obtain="Any BIDS data set (OpenNeuro …): give its top folder.",
        sharing="As the data set says.",
        label_source="procedure",
        labels="What events.tsv calls trial_type.",
        units_confirmed=False,
    )
)
class BidsPhysio(Listed):
    """A BIDS tree: one recording per run, its channels from every ``_physio`` file of that run.

    Parameters
    ----------
    root : path
        Folder with ``sub-…`` folders. Links (DataLad, git-annex) are followed.
    names : mapping of str to str, optional
        Column → the field's name, where the column's own is not enough (``{"cardiac": "ppg"}``:
        BIDS calls both ECG and pulse "cardiac", so that it stays ``cardiac`` without a name).
    unit : mapping of str to str, optional
        The field's name → unit, where the sidecar states none or a wrong one
        (``{"eda": "uS"}``).

    Notes
    -----
    Units come from the sidecar's column description and are converted to SI; without one the unit
    is ``a.u.``, unconfirmed. An event of ``events.tsv`` is a stimulus: ``trial_type`` is its
    condition (``event`` where there is none), ``n/a`` its missing duration, other columns are its
    attributes. A column of times (``time``, ``timestamp``) is compared with the sampling rate, and
    its gaps become missing samples (NaN). ``participants.tsv`` gives facts of the subjects.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        names: Mapping[str, str] | None = None,
        unit: Mapping[str, str] | None = None,
    ) -> None:
        self.root = require_dir(root, dataset="a BIDS data set")
        self.names, self.unit = dict(names or {}), dict(unit or {})
        if not self._runs:
            raise DatasetError(
                f"{self.root}: no BIDS physiology here: no sub-*/**/*{SUFFIX}(.gz). "
                "Give the folder that holds the sub- folders."
            )
        self.file_subjects = FileSubjects(self.root)

    @cached_property
    def _runs(self) -> dict[str, list[Path]]:
        """Run (file name without recording label and suffix) → its ``_physio`` files."""
        runs: dict[str, list[Path]] = {}
        for folder in list_dirs(self.root):
            if not folder.name.startswith("sub-"):
                continue
            for path in walk_files(folder, SUFFIX):
                parts = _stem(path, SUFFIX).split("_")
                run = "_".join(p for p in parts if not p.startswith("recording-"))
                runs.setdefault(run, []).append(path)
        return dict(sorted(runs.items()))

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        labels_of_all: list[str] = []
        for run, paths in self._runs.items():
            subject = run.split("_")[0].removeprefix("sub-")
            tables: list[_Table] = []
            for path in paths:
                try:
                    with reading(path, "its sidecar cannot be used", "Check the sidecar."):
                        tables.append(_describe(path, self.root))
                except RecordingError as error:
                    where = relative(path, self.root)
                    exclusions.append(Exclusion(subject, run, where, str(error)))
            if not tables:
                continue
            labels = [column for table in tables for column in table.columns]
            names = field_names(labels, self.names)
            labels_of_all += labels
            stimuli, left_out, remarks = _events(run, paths[0], self.root)
            exclusions += left_out
            stated = {name: self.unit[name] for name in names if name in self.unit}
            if stated:
                units = ", ".join(f"{name}: {unit}" for name, unit in stated.items())
                remarks = (*remarks, Remark(STATED, units))
            for table in tables:
                remarks = (*remarks, *_time_remarks(table))
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=run,
                    signals=LazySignals(
                        names, partial(_signals, tuple(tables), tuple(names), stated)
                    ),
                    stimuli=stimuli,
                    sources=tuple(table.path for table in tables),
                    remarks=remarks,
                )
            )
        check_names(self.names, labels_of_all, where=self.root)
        if recordings:
            check_stated(self.unit, (name for r in recordings for name in r.signals))
        return recordings, tuple(exclusions)


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float
    start: float


def _stem(path: Path, suffix: str) -> str:
    """Return the entities of a file name, without suffix, in any case of the ending."""
    return path.name[: path.name.lower().rindex(suffix)]


def _inherited(path: Path, root: Path, entities: set[str], suffix: str) -> Iterator[list[Path]]:
    """Return the files that apply to `path` by inheritance, per folder from the top downwards.

    A file applies if it lies in the folder of `path` or above it, and its name has no entity that
    `path` lacks.
    """
    for folder in reversed(path.parents):
        if folder == root or folder.is_relative_to(root):
            yield [
                file
                for file in list_files(folder, suffix.removeprefix("_"))
                if set(filter(None, _stem(file, suffix.removeprefix("_")).split("_"))) <= entities
            ]


def _describe(path: Path, root: Path) -> _Table:
    """Return what the sidecars say of a ``_physio`` file."""
    facts: dict[str, object] = {}
    used = []
    if path.is_symlink() and not path.exists():
        read_numbers(path, delimiter="\t", columns=None, header=False)  # names what is missing
    for sidecars in _inherited(path, root, set(_stem(path, SUFFIX).split("_")), "_physio.json"):
        for sidecar in sorted(sidecars, key=lambda file: len(file.name)):
            facts.update(read_json(sidecar))
            used.append(sidecar.name)
    if not used:
        raise RecordingError(
            f"{path}: no sidecar {_stem(path, SUFFIX)}_physio.json beside it or above it; without "
            "it neither columns nor sampling rate are known."
        )
    rate, start, columns = (facts.get(k) for k in ("SamplingFrequency", "StartTime", "Columns"))
    if not _is_number(rate) or not 0 < float(rate) < 1e6:  # type: ignore[arg-type]  # a number by the test before
        raise RecordingError(
            f"{path}: SamplingFrequency is {rate!r} in {', '.join(used)}, expected hertz."
        )
    if not _is_number(start):
        raise RecordingError(
            f"{path}: StartTime is {start!r} in {', '.join(used)}, expected seconds."
        )
    if not (isinstance(columns, list) and columns and all(isinstance(c, str) for c in columns)):
        raise RecordingError(
            f"{path}: Columns is {columns!r} in {', '.join(used)}, expected a list of names."
        )
    if len(set(columns)) != len(columns):
        raise RecordingError(
            f"{path}: Columns names one column twice in {', '.join(used)}: {', '.join(columns)}."
        )
    units = []
    for column in columns:
        about = facts.get(column)
        unit = about.get("Units", "") if isinstance(about, dict) else ""
        units.append(unit if isinstance(unit, str) else "")
    return _Table(path, tuple(columns), tuple(units), float(rate), float(start))  # type: ignore[arg-type]  # numbers by the tests above


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _values(table: _Table) -> Float[np.ndarray, "row column"]:
    _, values = read_numbers(table.path, delimiter="\t", columns=table.columns, header=False)
    return values


def _time_clock(table: _Table, values: Float[np.ndarray, "row column"]) -> Clock | None:
    """Return the clock of the time column; None without one, or if it fits in no unit."""
    place = next((i for i, c in enumerate(table.columns) if c.lower() in TIME_COLUMNS), None)
    if place is None or len(values) < 3:
        return None
    times = values[:, place] - values[0, place]
    step = float(np.median(np.diff(times)))
    for unit in TIME_STEPS:
        if abs(step * unit * table.sampling_rate - 1) < 0.05:
            return clock_of(times * unit, where=table.path, stated_rate=table.sampling_rate)
    return None


def _time_remarks(table: _Table) -> tuple[Remark, ...]:
    """Return remarks on the time column of a table; none where there is no such column."""
    if not any(c.lower() in TIME_COLUMNS for c in table.columns):
        return ()
    try:
        clock = _time_clock(table, _values(table))
    except RecordingError:
        return ()  # reading the signals names it
    return (Remark(BAD_TIMES, table.path.name),) if clock is None else clock.remarks


def _signals(
    tables: Sequence[_Table], names: Sequence[str], unit: Mapping[str, str]
) -> dict[str, Signal]:
    signals: dict[str, Signal] = {}
    following = iter(names)
    for table in tables:
        values = _values(table)
        clock = _time_clock(table, values)
        rate = table.sampling_rate if clock is None else clock.sampling_rate
        columns = values.T if clock is None else clock.place(values.T)
        for column, written in zip(columns, table.units, strict=True):
            name = next(following)
            signals[name] = signal_in_si(
                name, column, rate, written, start=table.start, stated=unit.get(name)
            )
    return signals


def _events(
    run: str, physio: Path, root: Path
) -> tuple[tuple[Stimulus, ...], list[Exclusion], tuple[Remark, ...]]:
    """Return the stimuli of a run, the events that were left out, and remarks.

    An event without an onset is left out and counted.
    """
    subject = run.split("_")[0].removeprefix("sub-")
    levels = [files for files in _inherited(physio, root, set(run.split("_")), EVENTS) if files]
    if not levels:
        return (), [], (Remark(NO_EVENTS),)
    nearest = sorted(levels[-1], key=lambda file: len(_stem(file, EVENTS[1:]).split("_")))
    path = nearest[-1]
    where = relative(path, root)
    try:
        table = read_table(path, delimiter="\t", columns=("onset", "duration"))
    except RecordingError as error:
        return (), [Exclusion(subject, run, where, str(error))], ()
    remarks = () if "trial_type" in table.columns else (Remark(NO_CONDITIONS, where),)
    stimuli, left_out = [], []
    for number, row in enumerate(table.to_dict("records"), start=1):
        cells = {str(k): str(v) for k, v in row.items()}
        onset, duration = _number(cells.pop("onset")), _number(cells.pop("duration"))
        if onset is None:
            reason = f"onset is {row['onset']!r}, expected seconds"
            left_out.append(Exclusion(subject, run, f"{where}, event {number}", reason))
            continue
        condition = cells.pop("trial_type", "n/a")
        attributes = {k: v for k, v in cells.items() if v not in {"n/a", ""}}
        stimuli.append(
            Stimulus(
                onset,
                duration,
                "event" if condition in {"n/a", ""} else condition,
                attributes=attributes,
            )
        )
    return tuple(stimuli), left_out, remarks


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
