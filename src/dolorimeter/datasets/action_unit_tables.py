"""Tables of action units from other programs: OpenFace 1 to 3, py-feat, LibreFace.

Each program means something else by the same unit, so the scale and the trust come with the
values; docs/face.md has a table. No reader of a data set: a file in, `ActionUnits` out.
`_face_tables` describes the layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.datasets._face_tables import (
    FORMATS,
    OPENFACE3_UNITS,
    face_format,
    failed_rows,
    numbered,
    openface3_values,
    rows_of_face,
)
from dolorimeter.datasets._files import one_of
from dolorimeter.datasets.text_tables import Table, listed, open_table
from dolorimeter.errors import ConfigError, RecordingError, SignalError
from dolorimeter.signals.action_units import FAIR, HIGHEST, WEAK, ActionUnits
from dolorimeter.signals.face import prolonged_closure

Numbers = Float[np.ndarray, " frame"]


@dataclass(frozen=True)
class _Columns:
    """Columns of units found in a table, before they are checked."""

    units: dict[str, Numbers]
    scale: str
    unit_scales: dict[str, str]
    trust: dict[str, float]
    times: Numbers
    failed: Bool[np.ndarray, " frame"]


def read_action_units(
    path: str | Path,
    format: str | None = None,  # noqa: A002  (the word that users of every such table use)
    *,
    frame_rate: float | None = None,
    face: int | str | None = None,
) -> ActionUnits:
    """The action units of one person from another program's table.

    Parameters
    ----------
    path : path
        Text in any usual dialect (commas, semicolons, tabs), or Parquet; text may be gzipped.
    format : {"openface2", "openface3", "py-feat", "libreface"}, optional
        None goes by the columns.
    frame_rate : float, optional
        Of the video in hertz: times are then frame numbers over it. None takes the table's own
        times (OpenFace 2, LibreFace), and NaN where it has none (OpenFace 3, images) or only whole
        seconds (py-feat). OpenFace 2 run on a folder of images writes times that mean nothing:
        pass it.
    face : int or str, optional
        Number of the face (``face_id`` of a video, ``face`` of an image, ``Identity`` of py-feat)
        where the table holds several.

    Returns
    -------
    ActionUnits
        A frame in which the program found no face is NaN in every unit. OpenFace 2 gets AU43 from
        its blink (AU45 present for half a second or longer), others have it or lack it.

    Raises
    ------
    ConfigError
        If the format is unknown, the columns are of none, or the frame rate is no positive number.
    RecordingError
        If the file is missing or damaged, holds several faces, or has values beyond the range of
        its format.
    """
    path = Path(path)
    if frame_rate is not None and not (np.isfinite(frame_rate) and frame_rate > 0):
        raise ConfigError(f"{path}: frame_rate is {frame_rate} Hz, expected a positive number.")
    table = open_table(path)
    name = _format(table) if format is None else format
    one_of("format", name, FORMATS, dataset="action units")
    rows = rows_of_face(table, face)
    found = _FORMATS[name](table, rows, frame_rate)
    if not found.units:
        raise RecordingError(f"{path}: no column of an action unit, expected those of {name}.")
    values = np.stack([np.where(found.failed, np.nan, v) for v in found.units.values()], axis=1)
    _check_ranges(path, name, found, values)
    try:
        return ActionUnits(
            names=tuple(found.units),
            values=values,
            scale=found.scale,
            trust=found.trust,
            source=f"{name} ({path.name})",
            times=found.times,
            unit_scales=found.unit_scales,
        )
    except SignalError as error:
        raise RecordingError(f"{path}: {error}") from error


# ── the formats ─────────────────────────────────────────────────────────────────────────────────


def _openface2(table: Table, rows: Bool[np.ndarray, " row"], frame_rate: float | None) -> _Columns:
    graded = numbered(table.columns, r"AU(\d\d)_r")
    present = numbered(table.columns, r"AU(\d\d)_c")
    if {"AU03_r", "AU08_r"} & set(table.columns):
        raise RecordingError(
            f"{table.path}: columns AU03_r or AU08_r, which OpenFace 2 does not have: somebody "
            "numbered OpenFace 3's eight outputs. Give the table with its 'action_units' column."
        )
    only = {unit: column for unit, column in present.items() if unit not in graded}
    values = _read(table, (*graded.values(), *only.values()), rows)
    units = {unit: values[column] for unit, column in graded.items() if unit != "au45"}
    units |= {unit: values[column] for unit, column in only.items() if unit != "au45"}
    failed = failed_rows(table, [*graded.values(), *only.values()])[0][rows]
    if frame_rate is not None:
        times = _by_number(table, rows, frame_rate, "frame", first=1)
    elif "timestamp" in table.columns:
        times = _read(table, ("timestamp",), rows)["timestamp"]
    else:  # images
        times = np.full(int(rows.sum()), np.nan)
    scales = {unit: "presence" for unit in only if unit != "au45"}
    trust = dict.fromkeys(units, FAIR)
    if "au45" in present and not np.isnan(times).all():
        shut = np.where(failed, np.nan, _read(table, (present["au45"],), rows)[present["au45"]])
        units["au43"] = _au43(table.path, shut, times)
        scales["au43"], trust["au43"] = "presence", WEAK
    return _Columns(units, "openface_intensity", scales, trust, times, failed)


def _openface3(table: Table, rows: Bool[np.ndarray, " row"], frame_rate: float | None) -> _Columns:
    table.require(("action_units",))
    values = openface3_values(table, rows)
    units = {unit: values[:, i] for i, unit in enumerate(OPENFACE3_UNITS)}
    times = _by_number(table, rows, frame_rate, "frame")
    return _Columns(
        units, "probability", {}, dict.fromkeys(units, WEAK), times, np.isnan(values).all(axis=1)
    )


def _pyfeat(table: Table, rows: Bool[np.ndarray, " row"], frame_rate: float | None) -> _Columns:
    named = numbered(table.columns, r"AU(\d\d?)")
    values = _read(table, tuple(named.values()), rows)
    units = {unit: values[column] for unit, column in named.items()}
    failed = failed_rows(table, tuple(named.values()))[0][rows]
    times = _by_number(table, rows, frame_rate, "frame")
    return _Columns(units, "probability", {}, dict.fromkeys(units, FAIR), times, failed)


def _libreface(table: Table, rows: Bool[np.ndarray, " row"], frame_rate: float | None) -> _Columns:
    graded = numbered(table.columns, r"au_(\d\d?)_intensity")
    named = numbered(table.columns, r"au_(\d\d?)")
    present = {unit: column for unit, column in named.items() if unit not in graded}
    values = _read(table, (*graded.values(), *present.values()), rows)
    units = {unit: values[column] for unit, column in (graded | present).items()}
    failed = failed_rows(table, (*graded.values(), *present.values()))[0][rows]
    if "frame_time_in_ms" in table.columns and frame_rate is None:
        times = _read(table, ("frame_time_in_ms",), rows)["frame_time_in_ms"] / 1000
    else:
        times = _by_number(table, rows, frame_rate, "frame_idx")
    scales = dict.fromkeys(present, "presence")
    return _Columns(
        units, "libreface_intensity", scales, dict.fromkeys(units, FAIR), times, failed
    )


_FORMATS: Mapping[str, Callable[..., _Columns]] = {
    "openface2": _openface2,
    "openface3": _openface3,
    "py-feat": _pyfeat,
    "libreface": _libreface,
}


def _format(table: Table) -> str:
    """Whose table it is, by its columns."""
    name = face_format(table.columns)
    if name is None:
        raise ConfigError(
            f"{table.path}: not a table of action units that we know; its columns are "
            f"{listed(table.columns, 12)}. Known are {', '.join(FORMATS)}; for another, make an "
            "ActionUnits and declare its scale."
        )
    return name


def _read(
    table: Table, names: Sequence[str], rows: Bool[np.ndarray, " row"]
) -> dict[str, Numbers]:
    """Columns of numbers. Where other cells hold text, only these are parsed."""
    return {name: values[rows] for name, values in table.numbers(names).items()}


def _by_number(
    table: Table,
    rows: Bool[np.ndarray, " row"],
    frame_rate: float | None,
    name: str,
    *,
    first: int = 0,
) -> Numbers:
    """Seconds from frame numbers, or from the order of the rows where there are none."""
    if frame_rate is None:
        return np.full(int(rows.sum()), np.nan)
    if name not in table.columns:
        return np.arange(rows.sum()) / frame_rate
    return (_read(table, (name,), rows)[name] - first) / frame_rate


def _au43(path: Path, blink: Numbers, times: Numbers) -> Numbers:
    """AU43 where AU45 lasts: FACS tells the two apart by their duration alone."""
    try:
        return prolonged_closure(blink, times)
    except SignalError as error:
        raise RecordingError(f"{path}: {error}") from error


def _check_ranges(
    path: Path, name: str, found: _Columns, values: Float[np.ndarray, "frame unit"]
) -> None:
    """Raise `RecordingError` for values that the format cannot have written."""
    for unit, column in zip(found.units, values.T, strict=True):
        scale = found.unit_scales.get(unit, found.scale)
        present = column[~np.isnan(column)]
        if present.size and not (present.min() >= 0 and present.max() <= HIGHEST[scale]):
            raise RecordingError(
                f"{path}: {unit} goes from {present.min():g} to {present.max():g}, and {name} "
                f"writes 0…{HIGHEST[scale]:g} ({scale}). Another version, or standardised since? "
                "Make an ActionUnits yourself and declare the scale."
            )
