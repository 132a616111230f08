"""What every reader needs of a file system: listings, tables of numbers, faults by name, reports.

Nothing here writes. Listings are sorted, follow links (DataLad and git-annex trees consist of
them) and ignore the case of endings. Every fault of a file becomes a `RecordingError` that says
which file, which line where that is known, what was found and what was wanted.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import io
import json
import os
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    DolorimeterError,
    FileReadError,
    RecordingError,
)
from dolorimeter.signals.quality import NEVER_CLIPPED, clipped_share

if TYPE_CHECKING:
    import pandas as pd

LOOKALIKE_MARK = "LOOKALIKE.json"
"""A file of this name at a root says that the cohort was synthesised."""

EMPTY_CELLS = ("", "NaN", "nan", "NA", "N/A", "n/a", "null")
"""Cells that mean a missing number."""

LOOKALIKE_TRUTH = "truth"
"""Folder of a synthesised cohort that holds what was planted."""

DELIMITER_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", " ": "space"}

ProblemKind = Literal[
    "missing",
    "flat",
    "clipped",
    "short",
    "version",
    "unreadable",
    "stray",
    "nan",
    "duplicate",
    "label",
    "event",
    "time",
    "unit",
    "note",
]


@dataclass(frozen=True)
class OfficialSplit:
    """Subjects of a split that the publishers of a data set fixed."""

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """One thing that `check` found.

    `path` is relative to the root. A ``fault`` costs a recording or makes it wrong; a ``warning``
    asks for a look.
    """

    path: str
    what: str
    kind: ProblemKind
    severity: Literal["fault", "warning"] = "fault"


@dataclass(frozen=True)
class CheckReport:
    """What `check` found in a root, with how many of how many people are there.

    `subjects_expected` is None where the full number is not known.
    """

    dataset: str
    root: Path
    subjects_found: int
    subjects_expected: int | None
    recordings: int
    problems: tuple[Problem, ...] = ()
    lookalike: bool = False

    def count(self, kind: ProblemKind) -> int:
        """How many problems of that kind there are."""
        return sum(problem.kind == kind for problem in self.problems)


# ── roots, names, listings ──────────────────────────────────────────────────────────────────────


def require_dir(root: str | Path, *names: str, dataset: str) -> Path:
    """The root as a Path, after a look that it is a folder with at least one of `names` in it.

    Parameters
    ----------
    names : str
        Files or folders (``"PartA/biosignals_raw"``, plain or ``.gz``); none: any folder passes.
    dataset : str
        For the message.

    Raises
    ------
    DatasetError
        Naming what was looked for and what is there.
    """
    root = Path(root)
    if not root.is_dir():
        what = "a file" if root.exists() else "not there"
        raise DatasetError(
            f"{root}: is {what}; expected the folder of {dataset}. Give that folder."
        )
    if names and not any(find_optional(root, name) for name in names):
        there = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise DatasetError(
            f"{root}: is not {dataset}: looked for {' or '.join(names)}, found {there}. "
            "Give the folder that holds it."
        )
    return root


def find_optional(root: Path, name: str) -> Path | None:
    """Return the file or folder of that name, plain or gzipped, or None.

    Parameters
    ----------
    root : Path
        Folder, or a zip archive that holds the file at its top or in one folder.
    name : str
        Name with its ending. An ending in capitals (``EDA.CSV``) is found too.

    Returns
    -------
    Path or None
        For a file in a zip archive the path ``archive.zip/EDA.csv``, which `read_bytes` reads. A
        link whose target is missing is returned: reading it says what to do.
    """
    if is_zip(root):
        return _find_in_zip(root, name)
    stem, dot, ending = name.rpartition(".")
    variants = [name, f"{name}.gz"]
    if dot and "/" not in ending:
        variants += [f"{stem}.{ending.upper()}", f"{stem}.{ending.upper()}.GZ"]
    for candidate in (root / variant for variant in variants):
        if candidate.exists() or candidate.is_symlink():
            return candidate
    return None


def is_zip(path: Path) -> bool:
    """Return whether the path is a file named as a zip archive."""
    return path.suffix.lower() == ".zip" and path.is_file()


def _zip_of(path: Path) -> Path | None:
    """Return the archive that a path of the form ``archive.zip/EDA.csv`` leads into."""
    if ".zip" not in str(path).lower():  # almost every path: no parent is looked at
        return None
    return next((parent for parent in path.parents if is_zip(parent)), None)


def _find_in_zip(archive: Path, name: str) -> Path | None:
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.namelist()
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise RecordingError(f"{archive}: not a zip archive ({error}). Copy it again.") from error
    for member in sorted(members, key=lambda m: (m.count("/"), m)):
        folder, _, file = member.rpartition("/")
        if file.lower() in {name.lower(), f"{name.lower()}.gz"} and "/" not in folder:
            return archive / member if not member.startswith("__MACOSX") else None
    return None


def find(root: Path, name: str) -> Path:
    """``root/name`` or ``root/name.gz``.

    Raises
    ------
    DatasetError
        If neither exists.
    """
    found = find_optional(root, name)
    if found is None:
        raise DatasetError(f"{root}: no {name} (nor {name}.gz) there. Is the copy complete?")
    return found


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as scan:
        yield from sorted((e for e in scan if not e.name.startswith(".")), key=lambda e: e.name)


def list_files(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files of a folder, sorted by name, without hidden ones.

    Links are followed. A link whose target is missing is listed as well, so that reading it names
    the missing file.

    Parameters
    ----------
    folder : Path
        Folder; without it the list is empty.
    suffixes : str
        Endings in lower case (``".csv"`` also keeps ``.csv.gz`` and ``.CSV``); none keeps every
        file.
    """
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if not entry.is_dir() and has_ending(entry.name, *suffixes)
    ]


def has_ending(name: str, *suffixes: str) -> bool:
    """Return whether a file name ends in one of `suffixes`, in any case, plain or gzipped.

    Examples
    --------
    >>> has_ending("A.CSV.GZ", ".csv"), has_ending("A.TXT", ".csv")
    (True, False)
    """
    return not suffixes or name.lower().removesuffix(".gz").endswith(suffixes)


def list_dirs(folder: Path) -> list[Path]:
    """Return the folders of a folder, sorted by name, without hidden ones; links are followed."""
    return [Path(e.path) for e in _entries(folder) if e.is_dir()]


def walk_files(root: Path, *suffixes: str) -> list[Path]:
    """Return every file under the root, sorted, without hidden ones.

    Links to files and folders are followed, each folder once. A link whose target is missing is
    listed as well.

    Parameters
    ----------
    root : Path
        Top folder.
    suffixes : str
        As in `list_files`.
    """
    found: list[Path] = []
    seen: set[Path] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        kept = (n for n in sorted(names) if not n.startswith(".") and has_ending(n, *suffixes))
        found.extend(Path(folder, name) for name in kept)
    return found


def relative(path: Path, root: Path) -> str:
    """The path as a report shows it: relative to the root, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def bare_name(path: Path) -> str:
    """The file's name without its ending (and without ``.gz``)."""
    name = path.name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key that puts ``"L2"`` before ``"L10"``."""
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", name)
        if part
    )


def names_of(text: str) -> tuple[str, ...]:
    """A list of names written as words, in natural order."""
    return tuple(sorted(text.split(), key=natural_key))


def one_of(option: str, value: str, valid: Sequence[str], *, dataset: str) -> str:
    """`value`, if it is valid.

    Raises
    ------
    ConfigError
        Listing the valid values.
    """
    if value not in valid:
        raise ConfigError(
            f"{dataset}: {option} is {value!r}; expected one of {', '.join(map(repr, valid))}."
        )
    return value


def select_subjects(
    wanted: Sequence[str] | None, have: Sequence[str], *, dataset: str
) -> tuple[str, ...]:
    """The wanted subjects in the order of `have`; all of them for None.

    Raises
    ------
    DatasetError
        If one is not there, with the nearest that are.
    """
    if wanted is None:
        return tuple(have)
    known = set(have)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(have), n=3) or list(have)[:5]
            raise DatasetError(
                f"{dataset}: no subject {name!r} among the {len(have)} found; "
                f"there are {', '.join(near) or 'none'}."
            )
    asked = set(wanted)
    return tuple(subject for subject in have if subject in asked)


def is_lookalike(*folders: Path) -> bool:
    """Whether one of the folders carries the mark of a synthesised cohort."""
    return any((folder / LOOKALIKE_MARK).is_file() for folder in folders)


# ── bytes and text ──────────────────────────────────────────────────────────────────────────────


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, gunzipped when its name ends in ``.gz``.

    Parameters
    ----------
    path : Path
        A file, or a file in a zip archive (``archive.zip/EDA.csv``).

    Raises
    ------
    FileReadError
        If it is gone or cannot be read now, which says nothing about its content.
    RecordingError
        If it is empty, a link to nothing, or a broken gzip file or zip archive.
    """
    archive = _zip_of(path)
    try:
        data = path.read_bytes() if archive is None else _unzipped(archive, path)
    except OSError as error:
        raise system_error(path, error) from error
    if path.suffix.lower() == ".gz" and data:
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RecordingError(
                f"{path}: broken or truncated gzip file ({error}). Fetch or copy it again."
            ) from error
    if not data:
        raise RecordingError(f"{path}: the file is empty. Fetch or copy it again.")
    return data


def _unzipped(archive: Path, path: Path) -> bytes:
    with (
        reading(path, "the zip archive is damaged", "Copy it again."),
        zipfile.ZipFile(archive) as content,
    ):
        return content.read(path.relative_to(archive).as_posix())


def system_error(path: Path, error: OSError) -> FileReadError | RecordingError:
    """Return the error for a failed system call while a file was read.

    Parameters
    ----------
    path : Path
    error : OSError

    Returns
    -------
    FileReadError or RecordingError
        A link to nothing is a property of the copy; anything else is a fault of the environment.
    """
    if isinstance(error, FileNotFoundError):
        kind = RecordingError if path.is_symlink() else FileReadError
        return kind(f"{path}: {_why_missing(path)}")
    return FileReadError(f"{path}: cannot be read ({error.strerror or error}).")


def _why_missing(path: Path) -> str:
    if not path.is_symlink():
        return "the file is missing. Is the copy complete?"
    target = path.readlink().as_posix()
    if ".git/annex" in target:
        return "its content has not been fetched (git-annex). Run: datalad get"
    return f"a link to {target}, which is missing. Restore the target."


@contextmanager
def reading(path: Path, what: str, advice: str) -> Iterator[None]:
    """Turn any exception of a reading library into an error that names the file.

    Libraries raise exceptions of every class on a damaged file, also ones that they do not
    document. Each costs one file and never the folder. Errors of this package (a missing
    optional package among them) pass unchanged.

    Parameters
    ----------
    path : Path
        File that is read.
    what : str
        What is wrong, for the message (``"MNE cannot read it"``).
    advice : str
        What to do, as a sentence.

    Raises
    ------
    RecordingError
        With the class and text of the library's exception.
    FileReadError
        If the system refused to read the file, which says nothing about its content.

    Examples
    --------
    >>> with reading(Path("a.edf"), "damaged header", "Export it again."):
    ...     int("x")
    Traceback (most recent call last):
    dolorimeter.errors.RecordingError: a.edf: damaged header (ValueError: invalid literal for \
int() with base 10: 'x'). Export it again.
    """
    try:
        yield
    except (DolorimeterError, NameError):  # a NameError is a fault of code, not of a file
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # else a library's own
            raise system_error(path, error) from error
        raise RecordingError(
            f"{path}: {what} ({type(error).__name__}: {error}). {advice}"
        ) from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped), gunzipped when ``.gz``.

    Raises
    ------
    RecordingError
        As `read_bytes`, and for a file that is not text.
    """
    data = read_bytes(path)
    _refuse_binary(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{path}: not UTF-8 text (byte {error.start:,} is 0x{data[error.start]:02x})."
        ) from error


def read_json(path: Path) -> dict[str, object]:
    """A JSON object.

    Raises
    ------
    RecordingError
        As `read_text`, and when it is not JSON or not an object.
    """
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordingError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise RecordingError(f"{path}: JSON {type(value).__name__}, expected an object.")
    return value


def count_rows(path: Path, *, header: bool = True) -> int:
    """Number of lines of a text file without its header, counted without reading numbers."""
    data = read_bytes(path)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return lines - header


def _refuse_binary(path: Path, data: bytes) -> None:
    if b"\0" in data:
        raise RecordingError(
            f"{path}: a binary file (zero byte at {data.index(0):,}), expected text."
        )


def without_path(error: Exception, path: Path) -> str:
    """What an error says of a file, for a report that names the file itself."""
    return str(error).removeprefix(str(path)).lstrip(" ,:")


# ── tables of numbers ───────────────────────────────────────────────────────────────────────────


def read_numbers(
    path: Path,
    *,
    delimiter: str,
    columns: Sequence[str] | None,
    header: bool = True,
    rows: int | None = None,
    decimal: str = ".",
    drop_trailing: bool = False,
) -> tuple[tuple[str, ...], Float[np.ndarray, "row column"]]:
    """A text table of numbers, fast.

    Parameters
    ----------
    path : Path
        Plain, or gzipped when its name ends in ``.gz``.
    delimiter : str
        One character.
    columns : sequence of str or None
        With a header: the columns wanted, in the order wanted; others are not parsed. Without a
        header: the names of all columns. None: every column (named ``"1"``, ``"2"`` … without a
        header).
    header : bool
        Whether the first line holds names.
    rows : int, optional
        Number of data rows wanted.
    decimal : str
        Decimal mark.
    drop_trailing : bool
        Accept a delimiter at the end of each line.

    Returns
    -------
    names : tuple of str
        Of the columns returned.
    values : Float[np.ndarray, "row column"]
        float64; empty cells and ``NaN`` are NaN.

    Raises
    ------
    RecordingError
        Empty, binary or truncated file; wrong delimiter or header; a cell that is no number
        (decimal comma); an infinite number; ragged rows; wrong number of rows.
    """
    data = read_bytes(path)
    _refuse_binary(path, data)
    found, body, skipped = _header(path, data, delimiter, header)
    if not body.strip():
        raise RecordingError(f"{path}: a header and no data rows. Fetch or copy it again.")
    width = len(found)
    if drop_trailing:
        first = body[: body.find(b"\n") if b"\n" in body else len(body)].rstrip(b"\r")
        cells = first.count(delimiter.encode()) + 1
        trailing = first.endswith(delimiter.encode())
        width = cells if trailing and cells in (len(found), len(found) + 1) else len(found)
        if trailing:
            found = found[: width - 1]
    wanted = tuple(columns) if columns is not None else tuple(found)
    keep = _places(path, found, wanted, delimiter, header)
    values = _parse(path, body, delimiter, decimal, width, keep, skipped)
    if rows is not None and len(values) != rows:
        raise RecordingError(f"{path}: {len(values):,} data rows, expected {rows:,}.")
    return wanted, values


def _header(path: Path, data: bytes, delimiter: str, header: bool) -> tuple[list[str], bytes, int]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    end = data.find(b"\n")
    first = data if end < 0 else data[:end]
    try:
        cells = [c.strip().strip('"').strip() for c in first.decode("utf-8").split(delimiter)]
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path}: the first line is not UTF-8 text.") from error
    if not header:
        return [str(i + 1) for i in range(len(cells))], data, 1
    return cells, b"" if end < 0 else data[end + 1 :], 2


def _places(
    path: Path, found: Sequence[str], wanted: Sequence[str], delimiter: str, header: bool
) -> list[int]:
    name = DELIMITER_NAMES.get(delimiter, delimiter)
    if not header:
        if len(found) != len(wanted):
            raise RecordingError(
                f"{path}: {len(found)} {name}-separated columns, expected {len(wanted)} "
                f"({shortened(wanted)})."
            )
        return list(range(len(found)))
    missing = [column for column in wanted if column not in found]
    if not missing:
        return [list(found).index(column) for column in wanted]
    hint = ""
    if len(found) == 1:
        others = [d for d in DELIMITER_NAMES if d != delimiter and d in found[0]]
        hint = f" It looks {DELIMITER_NAMES[others[0]]}-separated." if others else ""
    elif all(_is_number(cell) for cell in found):
        hint = " The first line is numbers: the header is missing."
    raise RecordingError(
        f"{path}: header is {shortened(found)}; expected {name}-separated columns "
        f"{shortened(wanted)}; missing {shortened(missing)}.{hint}"
    )


def shortened(names: Sequence[str], most: int = 14) -> str:
    """Return the first names, quoted, and the number of all if there are more."""
    shown = " ".join(repr(name[:40]) for name in names[:most])
    return shown + (f" … ({len(names)} in all)" if len(names) > most else "")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _parse(
    path: Path,
    body: bytes,
    delimiter: str,
    decimal: str,
    width: int,
    keep: Sequence[int],
    first_line: int,
) -> Float[np.ndarray, "row column"]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    names = [str(i) for i in range(width)]
    chosen = [names[i] for i in keep]
    try:
        table = arrow.read_csv(
            pa.BufferReader(body),
            read_options=arrow.ReadOptions(
                use_threads=False, column_names=names, block_size=max(len(body) + 1, 1 << 16)
            ),
            parse_options=arrow.ParseOptions(delimiter=delimiter),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(chosen, pa.float64()),
                include_columns=chosen,
                null_values=list(EMPTY_CELLS),
                decimal_point=decimal,
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise RecordingError(_parse_fault(path, str(error), decimal, first_line)) from error
    values = np.empty((table.num_rows, len(chosen)))
    for i, column in enumerate(table.columns):
        values[:, i] = column.to_numpy()
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values).any(axis=1))[0])
        raise RecordingError(f"{path}, line {row + first_line}: an infinite number.")
    return values


def _parse_fault(path: Path, error: str, decimal: str, first_line: int) -> str:
    row = re.search(r"Row #(\d+)", error)
    where = f"{path}, line {int(row[1]) + first_line - 1}" if row else f"{path}"
    ragged = re.search(r"Expected (\d+) columns, got (\d+)", error)
    if ragged:
        return (
            f"{where}: {ragged[2]} cells, expected {ragged[1]}. "
            "The file is truncated, or its delimiter differs."
        )
    cell = re.search(r"invalid value '(.{0,40})", error, re.DOTALL)
    if cell:
        text = cell[1].rsplit("'", 1)[0] if "'" in cell[1] else cell[1]
        other = "," if decimal == "." else "."
        hint = f" Decimal mark '{other}' found, expected '{decimal}'." if other in text else ""
        return f"{where}: {text!r} is not a number.{hint}"
    return f"{where}: not a table of numbers ({error.splitlines()[0][:120]})."


def read_table(path: Path, *, delimiter: str, columns: Sequence[str]) -> pd.DataFrame:
    """A small text table with a header, every cell a string.

    Parameters
    ----------
    columns : sequence of str
        Columns that must be there; others are kept too.

    Raises
    ------
    RecordingError
        As `read_numbers`.
    """
    import pandas as pd

    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except csv.Error as error:
        raise RecordingError(f"{path}, line {reader.line_num}: {error}.") from error
    if not lines:
        raise RecordingError(f"{path}: the file is empty. Fetch or copy it again.")
    header = lines[0][1]
    _places(path, header, columns, delimiter, header=True)
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise RecordingError(
                f"{path}, line {line}: {len(row)} cells, expected {len(header)}. "
                "The file is truncated, or its delimiter differs."
            )
    return pd.DataFrame([row for _, row in lines[1:]], columns=header, dtype=str)


# ── what check looks for ────────────────────────────────────────────────────────────────────────


MOST_CLIPPED = 0.01
"""Share of clipped samples from which `check` names a channel."""


def is_flat(values: Float[np.ndarray, "channel time"]) -> Bool[np.ndarray, " channel"]:
    """Channels whose present samples are all equal (or that have none)."""
    if values.shape[1] == 0:
        return np.ones(len(values), dtype=bool)
    low = np.fmin.reduce(values, axis=1)
    high = np.fmax.reduce(values, axis=1)
    return ~(high > low)


def signal_problems(
    path: str, signals: Mapping[str, Float[np.ndarray, "channel time"]]
) -> list[Problem]:
    """Flat, clipped and missing samples of a file's signals, one problem a signal and kind."""
    problems = []
    for name, values in signals.items():
        tests: tuple[tuple[ProblemKind, str, Bool[np.ndarray, " channel"]], ...] = (
            ("nan", "missing samples (NaN)", np.isnan(values).any(axis=1)),
            ("flat", "flat (one value only)", is_flat(values)),
            ("clipped", "clipped", _are_clipped(name, values)),
        )
        for kind, words, found in tests:
            if found.any():
                many = f" in {int(found.sum())} of {len(found)} channels" if len(found) > 1 else ""
                problems.append(Problem(path, f"{name}: {words}{many}", kind, "warning"))
    return problems


def _are_clipped(
    name: str, values: Float[np.ndarray, "channel time"]
) -> Bool[np.ndarray, " channel"]:
    """Channels of which at least a hundredth is clipped."""
    if name in NEVER_CLIPPED:
        return np.zeros(len(values), dtype=bool)
    return clipped_share(values) >= MOST_CLIPPED


def duplicate_problems(paths: Iterable[Path], root: Path) -> list[Problem]:
    """Files with the very same bytes, each after the first as a problem."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        if path.is_file() and path.stat().st_size:
            sizes[path.stat().st_size].append(path)
    first: dict[bytes, Path] = {}
    problems = []
    for path in (p for group in sizes.values() if len(group) > 1 for p in group):
        key = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
        earlier = first.setdefault(key, path)
        if earlier is not path:
            what = f"the same bytes as {relative(earlier, root)}"
            problems.append(Problem(relative(path, root), what, "duplicate"))
    return sorted(problems, key=lambda problem: problem.path)


def stray_problems(root: Path, expected: Iterable[Path]) -> list[Problem]:
    """Files under the root that the format does not name.

    The mark of a synthesised cohort is expected, and with it the folder of its truth.
    """
    known = set(expected)
    truth = root / LOOKALIKE_TRUTH
    lookalike = is_lookalike(root)
    return [
        Problem(relative(path, root), "not a file of this data set", "stray", "warning")
        for path in walk_files(root)
        if path not in known
        and path.name != LOOKALIKE_MARK
        and not (lookalike and path.is_relative_to(truth))
    ]
