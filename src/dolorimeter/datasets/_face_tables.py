"""What OpenFace, py-feat and LibreFace call their columns, in all published versions.

- OpenFace 1 and 2, videos: ``frame, [face_id,] timestamp, confidence, success, …, AU01_r, …,
  AU01_c, …`` (Baltrušaitis et al. 2018, doi:10.1109/FG.2018.00019). Images (``FaceLandmarkImg``):
  ``face, confidence, …, AU01_r, …``, one row per face, without ``success``.
- OpenFace 3: ``face_id, …, emotion, gaze_yaw, gaze_pitch, action_units``, the last a list of eight
  numbers (Hu et al., arXiv 2506.02891).
- py-feat: ``FaceRectX, …, FaceScore, …, AU01, …, anger (Anger), …, input, frame``, from 0.6 on
  ``approx_time`` as text (``00:01``), from 1.0 on ``Identity``, ``valence`` and ``arousal``
  (Cheong et al. 2023, doi:10.1007/s42761-023-00191-4).
- LibreFace: ``frame_idx, frame_time_in_ms, …, au_1, …, au_1_intensity, …`` (Chang et al.,
  arXiv 2308.10713).
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.datasets.text_tables import MISSING, Table
from dolorimeter.errors import ConfigError, RecordingError

FORMATS = ("openface2", "openface3", "py-feat", "libreface")
FACE_COLUMNS = ("face_id", "face", "Identity")
"""Columns that number the faces: of OpenFace's videos, of its images, of py-feat."""

FRAME_COLUMNS = ("frame", "frame_idx", "timestamp")

OPENFACE3_UNITS = ("au1", "au2", "au4", "au6", "au9", "au12", "au25", "au26")
"""What OpenFace 3's eight unnamed numbers are, by our inference: its training code picks labels
0, 4, 8, 10, 11, 1, 6, 7, and that gives the eight units usually reported on DISFA, ascending,
when DISFA's twelve are sorted as text (AU1, AU12, AU15, AU17, AU2 …). The authors have not said
so (issues 1 and 9 of their repository), hence the low trust."""

EMOTIONS = frozenset(
    "anger disgust fear happiness happy sadness sad surprise neutral".split()  # noqa: SIM905
)
"""py-feat's emotions, in lower case."""


def face_format(columns: Sequence[str]) -> str | None:
    """Return whose table of faces it is, by its columns; None if it is none."""
    if "action_units" in columns:
        return "openface3"
    if numbered(columns, r"AU(\d\d)_[rc]"):
        return "openface2"
    if numbered(columns, r"au_(\d\d?)(?:_intensity)?"):
        return "libreface"
    if {"FaceScore", "FaceRectX"} & set(columns) or (
        numbered(columns, r"AU(\d\d?)") and "FrameHeight" in columns
    ):
        return "py-feat"
    return None


def numbered(columns: Sequence[str], pattern: str) -> dict[str, str]:
    """Return units and their columns, in the order of the table."""
    matches = ((re.fullmatch(pattern, column), column) for column in columns)
    return {f"au{int(match[1])}": column for match, column in matches if match}


def rows_of_face(table: Table, face: int | str | None) -> Bool[np.ndarray, " row"]:
    """Return which rows belong to the selected face.

    Parameters
    ----------
    table : Table
    face : int, str or None
        Value of the column that numbers the faces. None: there is only one.

    Raises
    ------
    RecordingError
        If there are several faces and `face` is None, or the selected one is not there.
    ConfigError
        If `face` is given and the table has no such column.
    """
    columns = [c for c in (*FACE_COLUMNS, *FRAME_COLUMNS) if c in table.columns]
    cells = table.text(columns)
    rows = np.ones(table.rows, dtype=bool)
    number = next((c for c in FACE_COLUMNS if c in cells), None)
    if number is None and face is not None:
        raise ConfigError(
            f"{table.path}: face={face!r}, but the table has no column "
            f"{' or '.join(FACE_COLUMNS)}. Leave face= out, or keep the rows of one face."
        )
    if number is not None:
        names = [_face_name(cell) for cell in cells[number]]
        faces = sorted({name for name in names if name})
        if face is None and len(faces) > 1:
            raise RecordingError(
                f"{table.path}: {len(faces)} faces ({number} {', '.join(faces[:8])}), expected "
                "one. Select one with face=."
            )
        if face is not None:
            selected = _face_name(str(face))
            if selected not in faces:
                raise RecordingError(
                    f"{table.path}: no {number} {selected}; there are "
                    f"{', '.join(faces[:8]) or 'none'}."
                )
            rows = np.array([name in (selected, "") for name in names], dtype=bool)
    frame = next((c for c in FRAME_COLUMNS if c in cells), None)
    if frame is not None:
        count = Counter(
            cell for cell, chosen in zip(cells[frame], rows, strict=True) if chosen and cell
        )
        if count and max(count.values()) > 1:
            value, most = count.most_common(1)[0]
            raise RecordingError(
                f"{table.path}: {most} rows for {frame} {value}, expected one: several faces? "
                "Keep the rows of one face."
            )
    return rows


def _face_name(cell: str) -> str:
    """A face's number as text: ``0``, ``0.0`` and ``Person_0`` are one."""
    if cell in MISSING:
        return ""
    match = re.fullmatch(r"(?:Person_)?(\d+)(?:\.0+)?", cell)
    return str(int(match[1])) if match else cell


def failed_rows(table: Table, columns: Sequence[str]) -> tuple[Bool[np.ndarray, " row"], str]:
    """Return the rows in which the program found no face, and the reason in words.

    Parameters
    ----------
    table : Table
    columns : sequence of str
        Columns of its action units: a row without any of them has no face.

    Raises
    ------
    RecordingError
        If OpenFace's table of a video lacks ``success``: a frame without a face is zeros in it.
    """
    if (
        face_format(table.columns) == "openface2"
        and {"frame", "timestamp"} & set(table.columns)
        and "success" not in table.columns
    ):
        raise RecordingError(
            f"{table.path}: no column success, expected in OpenFace's table of a video: without "
            "it a frame without a face looks like a face at rest. Export the table again."
        )
    values = table.numbers(columns)
    failed = (
        np.isnan(np.stack(list(values.values()))).all(axis=0)
        if values
        else np.zeros(table.rows, dtype=bool)
    )
    if "success" in table.columns:
        failed |= table.numbers(["success"])["success"] != 1
        return failed, "OpenFace found no face (success is not 1)"
    if "FaceScore" in table.columns:
        failed |= np.isnan(table.numbers(["FaceScore"])["FaceScore"])
        return failed, "py-feat found no face (no FaceScore)"
    return failed, "no face in this row (every action unit is missing)"


def seconds_of(table: Table) -> Float[np.ndarray, " row"]:
    """Return the time of each row in seconds; NaN where the table does not state it.

    ``approx_time`` of py-feat is text in whole seconds (``01:05``, ``1:00:05``).
    """
    if "timestamp" in table.columns:
        return table.numbers(["timestamp"])["timestamp"]
    if "frame_time_in_ms" in table.columns:
        return table.numbers(["frame_time_in_ms"])["frame_time_in_ms"] / 1000
    if "approx_time" in table.columns:
        return np.array([_clock(cell) for cell in table.text(["approx_time"])["approx_time"]])
    return np.full(table.rows, np.nan)


def _clock(cell: str) -> float:
    match = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", cell)
    if match:
        return 3600 * int(match[1] or 0) + 60 * int(match[2]) + float(match[3])
    return float(cell) if re.fullmatch(r"\d+(?:\.\d+)?", cell) else np.nan


def openface3_values(
    table: Table, rows: Bool[np.ndarray, " row"]
) -> Float[np.ndarray, "selected unit"]:
    """Return OpenFace 3's eight numbers of each selected row; NaN where the cell is empty."""
    cells = np.array(table.text(["action_units"])["action_units"], dtype=object)[rows]
    lines = np.flatnonzero(rows) + 2
    values = [_eight(table, int(n), c) for n, c in zip(lines, cells, strict=True)]
    return np.array(values, dtype=float).reshape(len(cells), len(OPENFACE3_UNITS))


def _eight(table: Table, line: int, cell: str) -> list[float]:
    """The numbers of one cell such as ``[[0.0, 0.1, …]]``; NaN for an empty one."""
    if cell in MISSING:
        return [np.nan] * len(OPENFACE3_UNITS)
    try:
        numbers = np.ravel(np.array(ast.literal_eval(cell), dtype=float)).tolist()
    except (ValueError, SyntaxError, TypeError) as error:
        raise RecordingError(
            f"{table.path}, line {line}: action_units is {cell[:60]!r}, expected a list of "
            f"{len(OPENFACE3_UNITS)} numbers."
        ) from error
    if len(numbers) != len(OPENFACE3_UNITS):
        raise RecordingError(
            f"{table.path}, line {line}: {len(numbers)} action units, expected "
            f"{len(OPENFACE3_UNITS)} ({', '.join(OPENFACE3_UNITS)})."
        )
    return list(numbers)
