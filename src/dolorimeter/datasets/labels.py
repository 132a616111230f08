"""``labels.csv``: what was done to whom when, beside files that do not say it themselves.

One row per stimulus: ``file`` (path from the folder of the table), and optionally ``subject``,
``condition``, ``level``, ``onset`` and ``duration`` (seconds). Columns ``vas``, ``nrs``
(self-report), ``opr`` (observer) and ``pspi`` (FACS) are ratings; any other column is an attribute
of the stimulus, and a fact of the subject where it has one value per subject.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from dolorimeter.datasets._files import EMPTY_CELLS
from dolorimeter.datasets.text_tables import file_key, nearest_file, open_table
from dolorimeter.errors import RecordingError
from dolorimeter.types import LabelSource, Rating, Stimulus

LABELS = "labels.csv"
ROLES = ("file", "subject", "condition", "level", "onset", "duration")
"""Columns of ``labels.csv`` with a meaning of their own."""

RATINGS: Mapping[str, LabelSource] = {
    "vas": "self_report",
    "nrs": "self_report",
    "opr": "observer",
    "pspi": "facs",
}
"""Columns that are ratings, and who gives them; any other column is an attribute."""

CONDITION_WORDS = frozenset({"label", "labels", "class", "conditions", "trial_type", "pain"})
"""Other names of a column of conditions, which a note points out."""

ABSENT = f"in {LABELS}, no such file"


@dataclass
class FileLabels:
    """Labels of one file; `subject` is None without such a column."""

    subject: str | None
    stimuli: list[Stimulus] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)


@dataclass(frozen=True)
class Labels:
    """The rows of ``labels.csv`` by file.

    Parameters
    ----------
    path : Path
    files : mapping of str to FileLabels
        By the normal form of the file's name (`text_tables.file_key`).
    notes : tuple of str
        Sentences on the dialect, and on a column of conditions that is not there.
    """

    path: Path
    files: Mapping[str, FileLabels]
    notes: tuple[str, ...] = ()

    def of(self, where: str) -> FileLabels | None:
        """Return the labels of a file, by its path from the folder; None without a row."""
        return self.files.get(file_key(where))

    def absent(self, there: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return the files that have a row and are not in the folder.

        Parameters
        ----------
        there : iterable of str
            Paths of the files in the folder, from it.

        Returns
        -------
        dict of str to tuple
            File of the row → why it is left out, and the file of the folder that it probably
            means (empty if none is near).
        """
        have = {file_key(name): name for name in there}
        unlabelled = [name for key, name in have.items() if key not in self.files]
        found = {}
        for file in self.files:
            if file in have:
                continue
            near = nearest_file(file, unlabelled)
            hint = (
                f"; did you mean {near!r}? Write the name as it is in the folder" if near else ""
            )
            found[file] = (ABSENT + hint, near)
        return found

    def facts(self, subject: str) -> dict[str, str | float]:
        """Return the columns that have one value in all rows of a subject (``sex``, ``age``)."""
        rows = [
            stimulus.attributes
            for labels in self.files.values()
            if labels.subject == subject
            for stimulus in labels.stimuli
        ]
        return {
            name: value
            for name, value in (rows[0].items() if rows else ())
            if all(row.get(name) == value for row in rows)
        }


def read_labels(path: Path) -> Labels:
    """Read ``labels.csv``, in any dialect.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Labels

    Raises
    ------
    RecordingError
        Naming the row, for a file outside the folder, a cell that is not a number, a negative
        duration, or a file with two subjects.
    """
    table = open_table(path)
    table.require(("file",), "Name the column with the file names 'file'.")
    decimal = "." if table.dialect is None else table.dialect.decimal
    columns = table.text(table.columns)
    found: dict[str, FileLabels] = {}
    for row in range(len(columns["file"])):
        where = f"{path}, row {row + 1}"
        cells = {name: cells[row] for name, cells in columns.items()}
        cells = {key: "" if cell in EMPTY_CELLS else cell for key, cell in cells.items()}
        file = _inside(where, cells["file"])
        labels = found.setdefault(file, FileLabels(cells.get("subject")))
        if labels.subject != cells.get("subject"):
            raise RecordingError(
                f"{where}: subject {cells.get('subject')!r} of {file}, which an earlier row gives "
                f"to {labels.subject!r}. A file has one subject."
            )
        numbers = {
            k: _number(where, cells, k, decimal) for k in ("onset", "duration", "level", *RATINGS)
        }
        onset, duration, level = (numbers[k] for k in ("onset", "duration", "level"))
        if duration is not None and duration < 0:
            raise RecordingError(f"{where}: duration {duration:g} s, expected 0 or more.")
        if level is not None and level != int(level):
            raise RecordingError(f"{where}: level {level:g}, expected a whole number.")
        for scale in RATINGS:
            value = numbers[scale]
            if value is not None:
                labels.ratings.append(Rating(scale, value, RATINGS[scale], onset))
        if cells.get("condition"):
            labels.stimuli.append(
                Stimulus(
                    onset,
                    duration,
                    cells["condition"],
                    None if level is None else int(level),
                    _attributes(cells, decimal),
                )
            )
    notes = [table.note] if table.note else []
    if "condition" not in columns:
        near = next((c for c in columns if c.casefold() in CONDITION_WORDS), "")
        notes.append(
            f"{path.name} has no column 'condition', so that its rows are no stimuli."
            + (f" If '{near}' holds the conditions, name it 'condition'." if near else "")
        )
    return Labels(path, found, tuple(notes))


def _inside(where: str, file: str) -> str:
    """A path from the root with forward slashes, unless it leads elsewhere."""
    name = file_key(file)
    path = PurePosixPath(name)
    if PureWindowsPath(file).anchor or ".." in path.parts or path == PurePosixPath():
        raise RecordingError(
            f"{where}: file is {file!r}; expected a path inside the folder, from the folder."
        )
    return path.as_posix()


def _number(where: str, cells: Mapping[str, str], column: str, decimal: str) -> float | None:
    text = cells.get(column)
    if not text:
        return None
    value = _float(text, decimal)
    if value is None:
        raise RecordingError(f"{where}: {column} is {text!r}, expected a number.")
    return value


def _float(text: str, decimal: str) -> float | None:
    try:
        value = float(text.replace(decimal, "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _attributes(cells: Mapping[str, str], decimal: str) -> dict[str, str | int | float]:
    """Columns without a meaning of their own; numbers where they read as such."""
    attributes: dict[str, str | int | float] = {}
    for name, text in cells.items():
        if text and name and name not in ROLES and name not in RATINGS:
            value = _float(text, decimal)
            attributes[name] = text if value is None else value
    return attributes


__all__ = ["ABSENT", "LABELS", "RATINGS", "FileLabels", "Labels", "read_labels"]
