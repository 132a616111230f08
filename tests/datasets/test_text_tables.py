"""Tables in any dialect: what is written by pandas is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dolorimeter.datasets._files import EMPTY_CELLS
from dolorimeter.datasets.text_tables import Dialect, file_key, nearest_file, open_table
from dolorimeter.errors import RecordingError

WORDS = st.text("abcXYZ \u00fc\u00df.,;|\t\"'-0", min_size=1, max_size=8).map(str.strip)
CELLS = WORDS.filter(lambda w: w and w not in EMPTY_CELLS)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELLS, NUMBERS, st.integers(0, 99)), min_size=1, max_size=6),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read(
    tmp_path: Path, rows: list[tuple[str, float, int]], separator: str, decimal: str, end: str
) -> None:
    table = pd.DataFrame(rows, columns=["word", "value", "count"])
    table["value"] += 0.5 * (table["value"] % 1 == 0)  # a mark to be found in each
    table.to_csv(
        tmp_path / "t.csv", index=False, sep=separator, decimal=decimal, lineterminator=end
    )
    found = open_table(tmp_path / "t.csv")
    words = found.text(["word"])["word"]
    assert found.dialect is not None
    if decimal == found.dialect.decimal:  # a word such as 0.0 may say otherwise
        np.testing.assert_allclose(found.numbers(["value"])["value"], table["value"], rtol=1e-12)
        np.testing.assert_array_equal(found.numbers(["count"])["count"], table["count"])
    assert words == table["word"].tolist()


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_each_dialect_is_detected(tmp_path: Path, separator: str, decimal: str) -> None:
    table = pd.DataFrame({"a": ["x", "y"], "b": [1.5, -2e-7], "c": [np.nan, 3.25]})
    table.to_csv(tmp_path / "t.csv", index=False, sep=separator, decimal=decimal)
    found = open_table(tmp_path / "t.csv")
    assert found.dialect == Dialect(separator, decimal)
    for name in ("b", "c"):
        np.testing.assert_allclose(found.numbers([name])[name], table[name], rtol=1e-15)


def test_dates_are_words_whatever_the_decimal_mark(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("day;x\n05.01.2026;1,5\n06.01.2026;2,5\n")
    numbers, others = open_table(tmp_path / "t.csv").sorted_by_kind(["day", "x"])
    assert numbers["x"].tolist() == [1.5, 2.5]
    assert others == {"day": "05.01.2026"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"a;b\n", "no data rows"),
        (b"a;b;a\n1;2;3\n", "column 'a' occurs twice"),
        (b"a;b\n1;2;3\n", r"line 2: 3 cells, expected 2 \(semicolon-separated"),
        (b"a;b\n1;\xfc\n", "not UTF-8 text"),
        ("a\tb\n1\t2\n".encode("utf-16"), "binary"),
        (b"a;b\n1.234,5;2\n", r"line 2, column 'a': '1\.234,5' is not a number"),
        (b"a;b\ninf;2\n", "line 2, column 'a': an infinite number"),
    ],
)
def test_faults_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(RecordingError, match=message):
        open_table(tmp_path / "t.csv").numbers(["a"])


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",a,,\n0,1,,\n1,2,,\n")
    table = open_table(tmp_path / "t.csv")
    assert table.columns == ("a",)
    assert table.numbers(["a"])["a"].tolist() == [1, 2]
    with pytest.raises(RecordingError, match="no column 'b'; there are 'a'"):
        table.numbers(["b"])


def test_parquet_has_the_same_columns(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "x": [1.5, None],
            "n": pd.array([1, None], dtype="Int64"),
            "flag": [True, False],
            "when": pd.to_datetime(["2026-01-05", None]),
            "kind": pd.Categorical(["a", "b"]),
            "text": ["0.5", "NA"],
        }
    )
    table.to_parquet(tmp_path / "t.parquet")
    numbers, others = open_table(tmp_path / "t.parquet").sorted_by_kind(list(table.columns))
    np.testing.assert_array_equal(numbers["x"], [1.5, np.nan])
    np.testing.assert_array_equal(numbers["n"], [1, np.nan])
    np.testing.assert_array_equal(numbers["text"], [0.5, np.nan])
    assert set(others) == {"flag", "when", "kind"}
    flags = open_table(tmp_path / "t.parquet").numbers(["flag"])["flag"]
    np.testing.assert_array_equal(flags, [1, 0])


def test_names_of_files() -> None:
    assert file_key(" .\\P1\\zoe\u0308.avi") == "P1/zo\u00eb.avi"
    assert nearest_file("a", ["b.avi", "A.avi"]) == "A.avi"
    assert nearest_file("x.avi", ["P1/x.AVI"]) == "P1/x.AVI"
    assert nearest_file("film.avi", ["other.avi"]) == ""
