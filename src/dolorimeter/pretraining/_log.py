"""The log: one line a task and step, written as it happens, cut back where a run goes on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from dolorimeter.errors import StorageError
from dolorimeter.storage import write_text

ALL = "(all)"
"""In place of a task's name: the whole loss."""


@dataclass(frozen=True)
class Entry:
    """One line.

    Parameters
    ----------
    step : int
        From 1.
    part : str
        ``train`` or ``validation``.
    task : str
        Its name, or ``(all)`` for the whole loss.
    loss : float
        Mean over the batch of all processes, or over what validates; not weighted, except of all.
    rows : int
        Pictures in it.
    log_variance, weight : float or None
        s, and what the loss is multiplied by.
    learning_rate : float or None
    score : float or None
        Validation: balanced accuracy, mean area under the curve, or mean concordance correlation.
    """

    step: int
    part: str
    task: str
    loss: float
    rows: int
    log_variance: float | None = None
    weight: float | None = None
    learning_rate: float | None = None
    score: float | None = None


class Log:
    """A CSV file of entries.

    Parameters
    ----------
    path : Path
    after : int
        The last step that is kept of what is there.
    """

    def __init__(self, path: Path, after: int) -> None:
        self.path = path
        header = ",".join(f.name for f in fields(Entry)) + "\n"
        write_text(path, header + "".join(_kept(path, after) if after else ()))

    def add(self, entries: Sequence[Entry]) -> None:
        """Write lines at the end; numbers so that they are read back exactly.

        Raises
        ------
        StorageError
            If the file cannot be written.
        """
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerows(astuple(entry) for entry in entries)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written ({error}).") from error


def _kept(path: Path, after: int) -> list[str]:
    """Whole lines up to that step; one that was being written when the run died is not whole."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    return [line for line in lines if line.endswith("\n") and int(line.partition(",")[0]) <= after]
