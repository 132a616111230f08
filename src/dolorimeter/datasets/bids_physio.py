"""BIDS physiological recordings: ``*_physio.tsv.gz`` with its JSON sidecar and ``*_events.tsv``.

Brain Imaging Data Structure 1.10, "Physiological recordings": the table has no header; the
sidecar gives ``SamplingFrequency`` (Hz), ``StartTime`` (s, relative to the run) and ``Columns``,
and may describe each column (``Units``). Sidecars higher up the tree apply to what lies below,
nearer ones win. https://bids-specification.readthedocs.io
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from dolorimeter.datasets._files import (
    find_optional,
    list_dirs,
    read_json,
    read_numbers,
    read_table,
    relative,
    require_dir,
    walk_files,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets._open import check_names, field_names, signal_in_si
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Signal, Stimulus

SUFFIX = "_physio.tsv"


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
    """A BIDS tree: one recording a run, its channels from every ``_physio`` file of that run.

    Parameters
    ----------
    root : path
        Folder with ``sub-…`` folders.
    names : mapping of str to str
        Column → the field's name, where the column's own is not enough (``{"cardiac": "ppg"}``:
        BIDS calls both ECG and pulse "cardiac", so that it stays ``cardiac`` unless told).

    Notes
    -----
    Units come from the sidecar's column description and are converted to SI; without one the unit
    is ``a.u.``, unconfirmed. An event of ``events.tsv`` is a stimulus: ``trial_type`` is its
    condition (``event`` where there is none), ``n/a`` its missing duration, other columns are its
    attributes.
    """

    def __init__(self, root: str | Path, *, names: Mapping[str, str] | None = None) -> None:
        self.root = require_dir(root, dataset="a BIDS data set")
        self.names = dict(names or {})
        if not self._runs:
            raise DatasetError(
                f"{self.root}: no BIDS physiology here: no sub-*/**/*{SUFFIX}(.gz). "
                "Give the folder that holds the sub- folders."
            )

    @cached_property
    def _runs(self) -> dict[str, list[Path]]:
        """Run (file name without recording label and suffix) → its ``_physio`` files."""
        runs: dict[str, list[Path]] = {}
        for folder in list_dirs(self.root):
            if not folder.name.startswith("sub-"):
                continue
            for path in walk_files(folder):
                stem = path.name.removesuffix(".gz")
                if stem.endswith(SUFFIX):
                    parts = stem.removesuffix(SUFFIX).split("_")
                    run = "_".join(p for p in parts if not p.startswith("recording-"))
                    runs.setdefault(run, []).append(path)
        return dict(sorted(runs.items()))

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        seen: list[str] = []
        for run, paths in self._runs.items():
            subject = run.split("_")[0].removeprefix("sub-")
            tables = []
            for path in paths:
                try:
                    tables.append(_describe(path, self.root))
                except RecordingError as error:
                    where = relative(path, self.root)
                    exclusions.append(Exclusion(subject, run, where, str(error)))
            if not tables:
                continue
            labels = [column for table in tables for column in table.columns]
            given = field_names(labels, self.names)
            seen += labels
            stimuli, left_out = _events(run, paths[0].parent, self.root)
            exclusions += left_out
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=run,
                    signals=LazySignals(given, partial(_signals, tuple(tables), tuple(given))),
                    stimuli=stimuli,
                    sources=tuple(table.path for table in tables),
                )
            )
        check_names(self.names, seen, where=self.root)
        return recordings, tuple(exclusions)


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: tuple[str, ...]
    units: tuple[str, ...]
    sampling_rate: float
    start: float


def _describe(path: Path, root: Path) -> _Table:
    """What the sidecars say of a ``_physio`` file."""
    facts: dict[str, object] = {}
    entities = set(path.name.removesuffix(".gz").removesuffix(SUFFIX).split("_"))
    folders = [folder for folder in (*reversed(path.parents),) if folder.is_relative_to(root)]
    used = []
    for folder in folders:
        for sidecar in sorted(folder.glob("*physio.json")):
            own = sidecar.name.removesuffix(".json").removesuffix("physio").rstrip("_")
            if not own or set(own.split("_")) <= entities:
                facts.update(read_json(sidecar))
                used.append(sidecar.name)
    if not used:
        raise RecordingError(
            f"{path}: no sidecar {path.name.removesuffix('.gz').removesuffix('.tsv')}.json beside "
            "it or above it; without it neither columns nor sampling rate are known."
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
    units = []
    for column in columns:
        about = facts.get(column)
        unit = about.get("Units", "") if isinstance(about, dict) else ""
        units.append(unit if isinstance(unit, str) else "")
    return _Table(path, tuple(columns), tuple(units), float(rate), float(start))  # type: ignore[arg-type]  # numbers by the tests above


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _signals(tables: Sequence[_Table], given: Sequence[str]) -> dict[str, Signal]:
    signals: dict[str, Signal] = {}
    names = iter(given)
    for table in tables:
        _, values = read_numbers(table.path, delimiter="\t", columns=table.columns, header=False)
        for column, unit in zip(values.T, table.units, strict=True):
            name = next(names)
            signals[name] = signal_in_si(name, column, table.sampling_rate, unit, table.start)
    return signals


def _events(run: str, folder: Path, root: Path) -> tuple[tuple[Stimulus, ...], list[Exclusion]]:
    """Stimuli of a run; an event without an onset is left out and counted."""
    path = find_optional(folder, f"{run}_events.tsv")
    subject = run.split("_")[0].removeprefix("sub-")
    if path is None:
        return (), []
    where = relative(path, root)
    try:
        table = read_table(path, delimiter="\t", columns=("onset", "duration"))
    except RecordingError as error:
        return (), [Exclusion(subject, run, where, str(error))]
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
    return tuple(stimuli), left_out


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
