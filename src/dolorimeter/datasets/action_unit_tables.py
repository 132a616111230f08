"""Tables of action units from other programs: OpenFace 2 and 3, py-feat, LibreFace.

Each program means something else by the same unit, so the scale and the trust come with the
numbers; docs/face.md has a table. No reader of a data set: a file in, `ActionUnits` out.

- OpenFace 2: ``frame, timestamp, confidence, success, …, AU01_r, …, AU01_c, …`` (Baltrušaitis et
  al. 2018, doi:10.1109/FG.2018.00019).
- OpenFace 3: ``face_id, …, emotion, gaze_yaw, gaze_pitch, action_units``, the last a list of eight
  numbers (Hu et al., arXiv 2506.02891).
- py-feat from 0.4 on: ``FaceScore, …, AU01, …, frame`` (Cheong et al. 2023,
  doi:10.1007/s42761-023-00191-4).
- LibreFace: ``frame_idx, frame_time_in_ms, …, au_1, …, au_1_intensity, …`` (Chang et al.,
  arXiv 2308.10713).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.datasets._files import EMPTY_CELLS, one_of, read_numbers, read_table, read_text
from dolorimeter.errors import ConfigError, RecordingError, SignalError
from dolorimeter.signals.action_units import FAIR, HIGHEST, WEAK, ActionUnits
from dolorimeter.signals.face import prolonged_closure

OPENFACE3_UNITS = ("au1", "au2", "au4", "au6", "au9", "au12", "au25", "au26")
"""What OpenFace 3's eight unnamed numbers are, by our inference: its training code picks labels
0, 4, 8, 10, 11, 1, 6, 7, and that gives the eight units usually reported on DISFA, ascending,
when DISFA's twelve are sorted as text (AU1, AU12, AU15, AU17, AU2 …). The authors have not said
so (issues 1 and 9 of their repository), hence the low trust."""

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
    face: int | None = None,
) -> ActionUnits:
    """The action units of one person from another program's table.

    Parameters
    ----------
    path : path
        Text with commas, or with tabs where the name ends in ``.tsv``; may be gzipped.
    format : {"openface2", "openface3", "py-feat", "libreface"}, optional
        None goes by the columns.
    frame_rate : float, optional
        Of the video in hertz: times are then frame numbers over it. None takes the table's own
        times (OpenFace 2, LibreFace), and NaN where it has none (OpenFace 3) or only whole seconds
        (py-feat). OpenFace 2 run on a folder of pictures writes times that mean nothing: give it.
    face : int, optional
        Which ``face_id``, where the table holds several people.

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
        If the file is missing or damaged, holds several people, or has values beyond the range of
        its format.
    """
    path = Path(path)
    if frame_rate is not None and not (np.isfinite(frame_rate) and frame_rate > 0):
        raise ConfigError(f"{path}: frame_rate is {frame_rate} Hz, expected a positive number.")
    columns = _header(path)
    name = _format(path, columns) if format is None else format
    one_of("format", name, tuple(_FORMATS), dataset="action units")
    rows = _rows(path, columns, face)
    found = _FORMATS[name](path, columns, rows, frame_rate)
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


def _openface2(
    path: Path, columns: Sequence[str], rows: Bool[np.ndarray, " row"], frame_rate: float | None
) -> _Columns:
    graded = _numbered(columns, r"AU(\d\d)_r")
    present = _numbered(columns, r"AU(\d\d)_c")
    if {"AU03_r", "AU08_r"} & set(columns):
        raise RecordingError(
            f"{path}: columns AU03_r or AU08_r, which OpenFace 2 does not have: somebody numbered "
            "OpenFace 3's eight outputs. Give the table with its 'action_units' column."
        )
    _need(path, columns, ("timestamp", "success"), "openface2")
    only = {unit: column for unit, column in present.items() if unit not in graded}
    table = _read(path, (*graded.values(), *only.values(), "timestamp", "success"), rows)
    units = {unit: table[column] for unit, column in graded.items() if unit != "au45"}
    units |= {unit: table[column] for unit, column in only.items() if unit != "au45"}
    failed = table["success"] != 1
    times = table["timestamp"]
    if frame_rate is not None:
        times = _by_number(path, columns, rows, frame_rate, "frame", first=1)
    scales = {unit: "presence" for unit in only if unit != "au45"}
    trust = dict.fromkeys(units, FAIR)
    if "au45" in present:
        shut = np.where(failed, np.nan, _read(path, (present["au45"],), rows)[present["au45"]])
        units["au43"] = _au43(path, shut, times)
        scales["au43"], trust["au43"] = "presence", WEAK
    return _Columns(units, "openface_intensity", scales, trust, times, failed)


def _openface3(
    path: Path, columns: Sequence[str], rows: Bool[np.ndarray, " row"], frame_rate: float | None
) -> _Columns:
    _need(path, columns, ("action_units",), "openface3")
    cells = read_table(path, delimiter=_delimiter(path), columns=("action_units",))
    chosen = cells["action_units"].to_numpy()[rows]
    lines = np.flatnonzero(rows) + 2
    values = np.array([_eight(path, int(n), c) for n, c in zip(lines, chosen, strict=True)])
    values = values.reshape(len(chosen), len(OPENFACE3_UNITS))
    units = {unit: values[:, i] for i, unit in enumerate(OPENFACE3_UNITS)}
    times = _by_number(path, columns, rows, frame_rate, "frame")
    return _Columns(
        units, "probability", {}, dict.fromkeys(units, WEAK), times, np.isnan(values).all(axis=1)
    )


def _pyfeat(
    path: Path, columns: Sequence[str], rows: Bool[np.ndarray, " row"], frame_rate: float | None
) -> _Columns:
    named = _numbered(columns, r"AU(\d\d)")
    score = [c for c in ("FaceScore",) if c in columns]
    table = _read(path, (*named.values(), *score), rows)
    units = {unit: table[column] for unit, column in named.items()}
    failed = np.isnan(np.stack(list(units.values()))).all(axis=0) if units else np.zeros(0, bool)
    if score:
        failed = failed | np.isnan(table["FaceScore"])
    times = _by_number(path, columns, rows, frame_rate, "frame")
    return _Columns(units, "probability", {}, dict.fromkeys(units, FAIR), times, failed)


def _libreface(
    path: Path, columns: Sequence[str], rows: Bool[np.ndarray, " row"], frame_rate: float | None
) -> _Columns:
    graded = _numbered(columns, r"au_(\d\d?)_intensity")
    present = {u: c for u, c in _numbered(columns, r"au_(\d\d?)").items() if u not in graded}
    clock = [c for c in ("frame_time_in_ms",) if c in columns]
    table = _read(path, (*graded.values(), *present.values(), *clock), rows)
    units = {unit: table[column] for unit, column in (graded | present).items()}
    failed = np.isnan(np.stack(list(units.values()))).all(axis=0) if units else np.zeros(0, bool)
    if clock and frame_rate is None:
        times = table["frame_time_in_ms"] / 1000
    else:
        times = _by_number(path, columns, rows, frame_rate, "frame_idx")
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


def _format(path: Path, columns: Sequence[str]) -> str:
    """Whose table it is, by its columns."""
    if "action_units" in columns:
        return "openface3"
    if _numbered(columns, r"AU(\d\d)_[rc]"):
        return "openface2"
    if _numbered(columns, r"au_(\d\d?)(?:_intensity)?"):
        return "libreface"
    if _numbered(columns, r"AU(\d\d)") and {"FaceScore", "FaceRectX", "FrameHeight"} & set(
        columns
    ):
        return "py-feat"
    raise ConfigError(
        f"{path}: not a table of action units that we know; its columns are "
        f"{', '.join(map(repr, columns[:12]))}{' …' if len(columns) > 12 else ''}. Known are "
        f"{', '.join(_FORMATS)}; for another, make an ActionUnits and declare its scale."
    )


# ── cells ───────────────────────────────────────────────────────────────────────────────────────


def _delimiter(path: Path) -> str:
    return "\t" if path.name.removesuffix(".gz").lower().endswith(".tsv") else ","


def _header(path: Path) -> list[str]:
    first = read_text(path).split("\n", 1)[0].rstrip("\r")
    return [cell.strip().strip('"').strip() for cell in first.split(_delimiter(path))]


def _need(path: Path, columns: Sequence[str], wanted: Sequence[str], name: str) -> None:
    missing = [column for column in wanted if column not in columns]
    if missing:
        raise RecordingError(f"{path}: no column {', '.join(missing)}, expected in {name}.")


def _numbered(columns: Sequence[str], pattern: str) -> dict[str, str]:
    """Units and their columns, in the order of the table."""
    matches = ((re.fullmatch(pattern, column), column) for column in columns)
    return {f"au{int(match[1])}": column for match, column in matches if match}


def _read(path: Path, names: Sequence[str], rows: Bool[np.ndarray, " row"]) -> dict[str, Numbers]:
    """Columns of numbers. Where other cells hold text, only these are parsed."""
    _, values = read_numbers(path, delimiter=_delimiter(path), columns=tuple(names))
    return {name: values[rows, i] for i, name in enumerate(names)}


def _rows(path: Path, columns: Sequence[str], face: int | None) -> Bool[np.ndarray, " row"]:
    """Which rows are of the person asked for."""
    key = next((c for c in ("frame", "frame_idx", "timestamp") if c in columns), None)
    wanted = [c for c in (key, "face_id") if c is not None and c in columns]
    if not wanted:
        return np.ones(len(read_table(path, delimiter=_delimiter(path), columns=())), dtype=bool)
    values = dict(
        zip(
            wanted,
            read_numbers(path, delimiter=_delimiter(path), columns=tuple(wanted))[1].T,
            strict=True,
        )
    )
    rows = np.ones(len(values[wanted[0]]), dtype=bool)
    if "face_id" in values:
        people = np.unique(values["face_id"][~np.isnan(values["face_id"])])
        if face is None and len(people) > 1:
            raise RecordingError(
                f"{path}: {len(people)} people (face_id "
                f"{', '.join(f'{p:g}' for p in people[:8])}): say which one with face=."
            )
        if face is not None:
            rows = (values["face_id"] == face) | np.isnan(values["face_id"])
            if not bool((values["face_id"] == face).any()):
                raise RecordingError(
                    f"{path}: no face_id {face}; there are "
                    f"{', '.join(f'{p:g}' for p in people[:8]) or 'none'}."
                )
    elif face is not None:
        raise ConfigError(f"{path}: face={face} asked of a table without a face_id column.")
    if key is not None:
        seen = values[key][rows]
        numbers, count = np.unique(seen[~np.isnan(seen)], return_counts=True)
        if len(count) and count.max() > 1:
            raise RecordingError(
                f"{path}: {int(count.max())} rows for {key} {numbers[count.argmax()]:g}, expected "
                "one: several faces? Keep the rows of one person."
            )
    return rows


def _by_number(
    path: Path,
    columns: Sequence[str],
    rows: Bool[np.ndarray, " row"],
    frame_rate: float | None,
    name: str,
    *,
    first: int = 0,
) -> Numbers:
    """Seconds from frame numbers, or from the order of the rows where there are none."""
    if frame_rate is None:
        return np.full(int(rows.sum()), np.nan)
    if name not in columns:
        return np.arange(rows.sum()) / frame_rate
    return (_read(path, (name,), rows)[name] - first) / frame_rate


def _eight(path: Path, line: int, cell: str) -> list[float]:
    """The numbers of one cell such as ``[[0.0, 0.1, …]]``; NaN for an empty one."""
    if cell in EMPTY_CELLS or cell == "None":
        return [np.nan] * len(OPENFACE3_UNITS)
    try:
        numbers = np.ravel(np.array(ast.literal_eval(cell), dtype=float)).tolist()
    except (ValueError, SyntaxError, TypeError) as error:
        raise RecordingError(
            f"{path}, line {line}: action_units is {cell[:60]!r}, expected a list of "
            f"{len(OPENFACE3_UNITS)} numbers."
        ) from error
    if len(numbers) != len(OPENFACE3_UNITS):
        raise RecordingError(
            f"{path}, line {line}: {len(numbers)} action units, expected "
            f"{len(OPENFACE3_UNITS)} ({', '.join(OPENFACE3_UNITS)})."
        )
    return list(numbers)


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
