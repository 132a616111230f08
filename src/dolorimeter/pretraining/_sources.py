"""Where pictures and labels are: what a reader gives, and the readers of single files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.pretraining._pictures import SUFFIXES, decode, fit


@dataclass(frozen=True)
class Block:
    """Rows that lie together: a shard, a recording, or a whole list of files.

    Parameters
    ----------
    labels : mapping of column to values
        One value a row; None where it is not known.
    people : sequence, optional
        Who is shown in each row, None or empty where that is not known; None: nobody says.
    namespace : str
        Of the people; empty: the task's.
    faults : mapping of str to int
        What could not be used here, in words that can be counted, and how often.
    """

    labels: Mapping[str, Sequence[Any]]
    people: Sequence[Any] | None = None
    namespace: str = ""
    faults: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.labels.values())))


class Source(ABC):
    """A reader, opened with its options. Threads may ask it for pictures at the same time."""

    at_once: int = 1
    """Blocks whose rows are shuffled together, since their data lie ready together."""

    @abstractmethod
    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """Labels of those columns, block by block, always in the same order.

        Raises
        ------
        DatasetError
            If the files are not what the reader reads.
        ConfigError
            If there is no such column.
        """

    @abstractmethod
    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """The picture of a row of a block, after `blocks` has listed it.

        Raises
        ------
        RecordingError
            If it is damaged.
        """


@dataclass(eq=False)
class ImageFolders(Source):
    """Pictures in folders that are called after who or what is in them.

    Parameters
    ----------
    root : str
    layout : str
        What the folders under `root` are, from the outermost: ``class``, ``identity``,
        ``identity/class`` or ``class/identity``. Folders further in mean nothing.
    """

    root: str
    layout: Literal["class", "identity", "identity/class", "class/identity"]
    _paths: list[Path] = field(init=False, repr=False, default_factory=list)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """One block of all files, sorted."""
        root, parts = _folder(self.root), self.layout.split("/")
        check_columns(columns, parts, self.root)
        faults: dict[str, int] = {}
        found: list[tuple[str, ...]] = []
        for path in _files(root):
            names = path.relative_to(root).parts[:-1]
            if path.suffix[1:].lower() not in SUFFIXES:
                fault = "a file that is no picture"
            elif len(names) < len(parts):
                fault = f"a picture outside the folders {self.layout}"
            else:
                self._paths.append(path)
                found.append(names)
                continue
            faults[fault] = faults.get(fault, 0) + 1
        if not found:
            raise DatasetError(
                f"{root}: no pictures in folders {self.layout}; expected files that end in "
                f"{', '.join(SUFFIXES)}. Check root and layout."
            )
        labels = {c: [names[parts.index(c)] for names in found] for c in columns}
        people = None
        if "identity" in parts:
            people = [names[parts.index("identity")] for names in found]
        yield Block(labels, people, faults=faults)

    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """That file, decoded."""
        del block
        return read_picture(self._paths[row], size)


@dataclass(eq=False)
class Table(Source):
    """A CSV or Parquet table with one picture a row.

    Parameters
    ----------
    table : str
        Path of the table.
    path : str
        Column of the files.
    identity : str
        Column of who is shown; empty: nobody says.
    root : str
        Folder that the files are relative to; empty: the table's.
    """

    table: str
    path: str = "path"
    identity: str = ""
    root: str = ""
    _paths: list[str] = field(init=False, repr=False, default_factory=list)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """One block of all rows."""
        table = self._read()
        needed = [self.path, *([self.identity] if self.identity else []), *columns]
        check_columns(needed, [str(c) for c in table.columns], self.table)
        if not len(table):
            raise DatasetError(f"{self.table}: no rows, expected one a picture.")
        self._paths += table[self.path].astype(str).tolist()
        people = table[self.identity].tolist() if self.identity else None
        yield Block({c: table[c].tolist() for c in columns}, people)

    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """The file of that row, decoded."""
        del block
        root = Path(self.root) if self.root else Path(self.table).parent
        return read_picture(root / self._paths[row], size)

    def _read(self) -> Any:
        import pandas as pd

        try:
            if self.table.endswith(".parquet"):
                return pd.read_parquet(self.table)
            # texts stay as they are written: "01" is no 1, and a person may be called NA
            return pd.read_csv(self.table, dtype=str, keep_default_na=False)
        except (OSError, ValueError, pd.errors.ParserError) as error:
            raise DatasetError(
                f"{self.table}: cannot be read as a table ({error}). Give a .csv or .parquet."
            ) from error


def read_picture(path: Path, size: int) -> UInt8[np.ndarray, "3 side side"]:
    """A picture file, decoded and of that size; `RecordingError` if that cannot be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error}).") from error
    return fit(decode(content, str(path)), size)


def check_columns(wanted: Sequence[str], known: Sequence[str], where: object) -> None:
    """Refuse columns that are not there.

    Raises
    ------
    ConfigError
        Naming them, and those that there are.
    """
    absent = [c for c in wanted if c not in known]
    if absent:
        raise ConfigError(
            f"{where}: no column {', '.join(map(repr, absent))}; there are "
            f"{', '.join(map(repr, known)) or 'none'}. Set columns."
        )


def _folder(root: str) -> Path:
    path = Path(root)
    if not path.is_dir():
        raise DatasetError(f"{root}: no such folder. Check root.")
    return path


def _files(root: Path) -> Iterator[Path]:
    """Files under the root, sorted; hidden ones and links to folders are left out."""
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
