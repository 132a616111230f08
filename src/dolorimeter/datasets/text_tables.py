"""Tables of any lab: columns of text or numbers, from CSV in any usual dialect, or from Parquet.

Spreadsheets write ``;`` between cells and ``,`` in numbers in much of Europe, tabs under the name
``.csv``, and sometimes a first line ``sep=;``. `open_table` detects that once for every reader of
a user's table.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import DELIMITER_NAMES, EMPTY_CELLS, read_bytes, read_text
from dolorimeter.errors import RecordingError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = (*EMPTY_CELLS, "None", "NULL", "<NA>", "#N/A", "NaT")
"""Cells that mean a missing number or subject. As a condition, ``None`` may be a word."""

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_LINES = 50
"""Lines that decide on the delimiter. The decimal mark is looked for in the whole file."""

SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the cells of a text table are separated and how its numbers are written.

    Parameters
    ----------
    delimiter : str, default ","
        One character.
    decimal : str, default "."
        Decimal mark.
    """

    delimiter: str = ","
    decimal: str = "."

    @property
    def words(self) -> str:
        """Description such as ``"semicolon-separated, decimal comma"``."""
        name = DELIMITER_NAMES.get(self.delimiter, repr(self.delimiter))
        mark = "comma" if self.decimal == "," else "point"
        return f"{name}-separated, decimal {mark}"


def table_suffix(path: Path) -> str:
    """Return the ending of a table without ``.gz``, in lower case; empty if it is no table."""
    name = path.name.lower().removesuffix(".gz")
    return next((s for s in TABLE_SUFFIXES if name.endswith(s)), "")


def dialect_of(text: str, *, expected: str = ",") -> Dialect:
    r"""Return the dialect of a text table.

    The delimiter is the one that gives the same number of cells, two or more, in the header and
    in the first rows; the expected one if several do. The decimal mark is a comma if a cell of the
    table is a number with a comma and none is a number with a point.

    Parameters
    ----------
    text : str
        The table with its header.
    expected : str, default ","
        Delimiter by the name of the file.

    Examples
    --------
    >>> dialect_of("subject;scr\nS01;0,5\n")
    Dialect(delimiter=';', decimal=',')
    """
    lines = text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES]
    widths = {d: [len(row) for row in _rows(lines, d)] for d in DELIMITERS}
    regular = [d for d in DELIMITERS if widths[d] and widths[d][0] > 1 and len({*widths[d]}) == 1]
    usual = [d for d in DELIMITERS if widths[d] and widths[d][0] > 1]
    candidates = regular or usual
    if not candidates or expected in candidates:
        delimiter = expected
    else:
        delimiter = max(candidates, key=lambda d: widths[d][0])
    return Dialect(delimiter, _decimal(text, delimiter))


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return [
            row for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter) if row
        ]
    except csv.Error:
        return []


def _decimal(text: str, delimiter: str) -> str:
    def occurs(mark: str, quote: str) -> bool:
        edge = re.escape(delimiter)
        number = rf"[-+]?\d+{re.escape(mark)}\d+(?:[eE][-+]?\d+)?"
        pattern = rf"(?:^|{edge}) *{quote} *{number} *{quote} *(?={edge}|\r?$)"
        return re.search(pattern, text, re.MULTILINE) is not None

    if delimiter == "," and '"' not in text:
        return "."
    comma = occurs(",", '"' if delimiter == "," else '"?')
    return "," if comma and not occurs(".", '"?') else "."


@dataclass(frozen=True)
class Table:
    """A table of a user: its columns, read when they are needed.

    Parameters
    ----------
    path : Path
    header : tuple of str
        Names in the order of the file, without blanks around them.
    dialect : Dialect or None
        None for Parquet.
    skip : int, default 0
        Lines before the header.
    """

    path: Path
    header: tuple[str, ...]
    dialect: Dialect | None
    skip: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns with a name."""
        return tuple(name for name in self.header if name)

    @property
    def note(self) -> str:
        """A sentence on the dialect; empty for Parquet and for what the name promises."""
        usual = Dialect("\t" if table_suffix(self.path) == ".tsv" else ",")
        if self.dialect is None or self.dialect == usual:
            return ""
        return f"{self.path.name}: read as {self.dialect.words}."

    @cached_property
    def rows(self) -> int:
        """Number of rows below the header."""
        names = self.columns[:1]
        return len(self.text(names)[names[0]]) if names else 0

    def require(self, names: Sequence[str], hint: str = "") -> None:
        """Raise `RecordingError` if a column is missing."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise RecordingError(
                f"{self.path}: no column {', '.join(map(repr, missing))}; there are "
                f"{listed(self.columns)}.{' ' if hint else ''}{hint}"
            )

    def text(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return columns as text, without blanks around a cell; a missing cell is empty.

        Raises
        ------
        RecordingError
            If the file is damaged or a row has another number of cells than the header.
        """
        columns = self._arrow(tuple(names))
        return {name: _texts(column) for name, column in columns.items()}

    def numbers(self, names: Sequence[str]) -> dict[str, Float[np.ndarray, " row"]]:
        """Return columns as float64; a missing cell is NaN.

        Raises
        ------
        RecordingError
            Naming the column, the line and the cell that is no number, or an infinite one.
        """
        found = {}
        for name, column in self._arrow(tuple(names)).items():
            values, fault = self._number_column(column)
            if values is None:
                raise RecordingError(self._fault(name, fault))
            found[name] = values
        return found

    def sorted_by_kind(
        self, names: Sequence[str]
    ) -> tuple[dict[str, Float[np.ndarray, " row"]], dict[str, str]]:
        """Return the columns of numbers, and why each other column is not one.

        True and False are words, not numbers: name such a column to use it. A column without any
        value is not one of numbers either.

        Returns
        -------
        numbers : dict of str to array
            float64, a missing cell is NaN.
        others : dict of str to str
            Column and the first of its values that is no number; empty text where there is none.

        Raises
        ------
        RecordingError
            As `text`, and for an infinite number.
        """
        import pyarrow as pa

        numbers: dict[str, Float[np.ndarray, " row"]] = {}
        others: dict[str, str] = {}
        for name, column in self._arrow(tuple(names)).items():
            if not (pa.types.is_string(column.type) or _is_number_type(column.type)):
                others[name] = next((cell for cell in _texts(column) if cell), "")
                continue
            values, fault = self._number_column(column)
            if values is not None and not np.isnan(values).all():
                numbers[name] = values
            elif values is not None:
                others[name] = ""
            elif fault[1] in ("inf", "-inf"):
                raise RecordingError(self._fault(name, fault))
            else:
                others[name] = fault[1]
        return numbers, others

    def refuse_spoilt(self, name: str, cell: str) -> None:
        """Raise if a column of words is mostly numbers: a few spoilt cells, not words.

        Parameters
        ----------
        name : str
            Column.
        cell : str
            Its first cell that is no number.

        Raises
        ------
        RecordingError
            Naming the line and the cell.
        """
        cells = [text for text in self.text([name])[name] if text not in MISSING]
        decimal = "." if self.dialect is None else self.dialect.decimal
        count = sum(_is_float(text.replace(decimal, ".")) for text in cells)
        if cell and 2 * count > len(cells):
            row = self.text([name])[name].index(cell)
            raise RecordingError(
                f"{self._fault(name, (row, cell))} {count} of its {len(cells)} cells are. Correct "
                "the cell, empty it, or name the features with features=."
            )

    def _fault(self, name: str, fault: tuple[int, str]) -> str:
        row, cell = fault
        what = "an infinite number" if cell in ("inf", "-inf") else f"{cell!r} is not a number"
        where = f"row {row + 1}" if self.dialect is None else f"line {row + 2 + self.skip}"
        hint = ""
        if self.dialect is not None and re.fullmatch(r"[-+]?\d+[.,]\d+", cell):
            hint = f" The table was read as {self.dialect.words}: use one decimal mark in it."
        return f"{self.path}, {where}, column {name!r}: {what}.{hint}"

    def _number_column(
        self, column: Any
    ) -> tuple[Float[np.ndarray, " row"] | None, tuple[int, str]]:
        """Return the numbers of a column, or None with the row and text of the first fault."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_boolean(column.type):
            column = pc.cast(column, pa.int8())
        elif not (pa.types.is_string(column.type) or _is_number_type(column.type)):
            column = pa.chunked_array([pa.array(_texts(column), pa.string())])
        if pa.types.is_string(column.type):
            column = _blanked(column)
            if self.dialect is not None and self.dialect.decimal == ",":
                column = pc.replace_substring(column, ",", ".")
        try:
            values = pc.cast(column, pa.float64()).to_numpy()
        except pa.ArrowException:
            for row, cell in enumerate(column.to_pylist()):
                if cell is not None and not _is_float(str(cell)):
                    return None, (row, str(cell))
            values = np.array(
                [np.nan if c is None else float(str(c)) for c in column.to_pylist()], dtype=float
            )
        values = np.asarray(values, dtype=float)
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            return None, (int(infinite[0]), str(values[infinite[0]]))
        return values, (-1, "")

    def _arrow(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Columns as they are stored: strings of a text table, types of their own in Parquet."""
        self.require(names)
        if not names:
            return {}
        if self.dialect is None:
            table = _parquet(self.path, list(names))
            return {name: _plain(table[name]) for name in names}
        import pyarrow as pa
        from pyarrow import csv as arrow

        text = read_text(self.path)
        body = text.split("\n", self.skip + 1)[self.skip + 1 :]
        data = (body[0] if body else "").encode()
        if not data.strip():
            raise RecordingError(
                f"{self.path}: a header and no data rows. Fetch or copy it again."
            )
        every = [str(i) for i in range(len(self.header))]
        chosen = [str(self.header.index(name)) for name in names]
        try:
            table = arrow.read_csv(
                pa.BufferReader(data),
                read_options=arrow.ReadOptions(
                    use_threads=False,
                    column_names=every,
                    block_size=max(len(data) + 1, 1 << 16),
                ),
                parse_options=arrow.ParseOptions(
                    delimiter=self.dialect.delimiter, newlines_in_values=True
                ),
                convert_options=arrow.ConvertOptions(
                    column_types=dict.fromkeys(chosen, pa.string()),
                    include_columns=chosen,
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise RecordingError(self._parse_fault(str(error))) from error
        return {name: table[column] for name, column in zip(names, chosen, strict=True)}

    def _parse_fault(self, error: str) -> str:
        row = re.search(r"Row #(\d+)", error)
        where = f"{self.path}, line {int(row[1]) + 1 + self.skip}" if row else f"{self.path}"
        ragged = re.search(r"Expected (\d+) columns, got (\d+)", error)
        if ragged:
            assert self.dialect is not None
            return (
                f"{where}: {ragged[2]} cells, expected {ragged[1]} ({self.dialect.words}). The "
                "file is truncated, or its delimiter differs."
            )
        return f"{where}: not a table ({error.splitlines()[0][:120]})."


def open_table(path: str | Path) -> Table:
    """Look at the header of a table and at its dialect.

    Parameters
    ----------
    path : str or Path
        ``.csv`` or ``.tsv`` (also ``.gz``) in UTF-8, or ``.parquet``. Any other ending is read as
        CSV.

    Raises
    ------
    RecordingError
        If the file is missing, empty or damaged, or a column name occurs twice.
    """
    path = Path(path)
    if table_suffix(path) == ".parquet":
        names = [str(name) for name in _parquet_names(path)]
        dialect, skip = None, 0
    else:
        text = read_text(path)
        stated = SEPARATOR_LINE.match(text)
        skip = 1 if stated else 0
        body = text[stated.end() :] if stated else text
        expected = "\t" if table_suffix(path) == ".tsv" else ","
        dialect = (
            Dialect(stated[1], _decimal(body, stated[1]))
            if stated
            else dialect_of(body, expected=expected)
        )
        names = _header(text, skip, dialect.delimiter)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RecordingError(
            f"{path}: column {', '.join(map(repr, twice))} occurs twice. Rename one of them."
        )
    return Table(path, tuple(names), dialect, skip)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names as a message shows them: quoted, the first ones only."""
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "")


def file_key(name: str) -> str:
    r"""Return the normal form of a file name written in a table.

    The form has forward slashes and composed letters: a table made on Windows and a file stored
    by macOS name the same file. Upper and lower case stay apart, as they do on a disk.

    Examples
    --------
    >>> file_key("P1\\a.avi"), file_key("zoe\u0308.avi") == file_key("zo\u00eb.avi")
    ('P1/a.avi', True)
    """
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./")


def nearest_file(name: str, there: Iterable[str]) -> str:
    """Return the file that `name` probably means: another case or ending; else empty text."""

    def rough(text: str) -> str:
        return PurePosixPath(file_key(text).casefold()).with_suffix("").as_posix()

    files = list(there)
    wanted = rough(name)
    close = [f for f in files if rough(f) == wanted]
    close += [f for f in files if rough(f).rsplit("/", 1)[-1] == wanted.rsplit("/", 1)[-1]]
    return (close or difflib.get_close_matches(name, files, n=1, cutoff=0.8) or [""])[0]


def _header(text: str, skip: int, delimiter: str) -> list[str]:
    line = text.split("\n", skip + 1)[skip : skip + 1]
    rows = list(csv.reader(line, delimiter=delimiter, skipinitialspace=True))
    return [cell.strip().strip('"').strip() for cell in (rows[0] if rows else [])]


def _parquet_names(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(pa.BufferReader(read_bytes(path))).names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from error


def _parquet(path: Path, columns: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(read_bytes(path)), columns=list(columns))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path}: not a readable Parquet file ({str(error).splitlines()[0][:200]}). Write it "
        "again."
    )


def _plain(column: Any) -> Any:
    """A column without dictionary and large types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = pc.cast(column, pa.string())
    return column


def _is_number_type(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _blanked(column: Any, missing_cells: Sequence[str] = MISSING) -> Any:
    """Strings without blanks around them, null where they mean a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(column, value_set=pa.array(list(missing_cells)))
    return pc.if_else(missing, pa.scalar(None, pa.string()), column)


def _texts(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_string(column.type):
        return [cell or "" for cell in _blanked(column, EMPTY_CELLS).to_pylist()]
    return ["" if _is_missing(cell) else str(cell).strip() for cell in column.to_pylist()]


def _is_missing(value: object) -> bool:
    return value is None or value != value


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


__all__ = [
    "MISSING",
    "TABLE_SUFFIXES",
    "Dialect",
    "Table",
    "dialect_of",
    "file_key",
    "listed",
    "nearest_file",
    "open_table",
    "table_suffix",
]
