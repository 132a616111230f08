"""Shared file reading: exact numbers, and a named fault for each way a file can be wrong."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dolorimeter.datasets import _files as files
from dolorimeter.errors import ConfigError, DatasetError, FileReadError, RecordingError

GOOD = "a\tb\tc\n1\t2\t3\n4\t5\t6.5\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


def read(path: Path, data: bytes | str, **kwargs: object) -> tuple[tuple[str, ...], np.ndarray]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    options: dict[str, object] = {"delimiter": "\t", "columns": None, **kwargs}
    return files.read_numbers(path, **options)  # type: ignore[arg-type]


def test_columns_come_in_the_order_asked(path: Path) -> None:
    names, values = read(path, GOOD, columns=("c", "a"))
    assert names == ("c", "a")
    np.testing.assert_array_equal(values, [[3, 1], [6.5, 4]])


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("1\t2\t3\n4\t5\t6.5\n", {"header": False, "columns": ("a", "b", "c")}),
        ("a;b;c\r\n1,0;2,0;3\r\n4;5;6,5\r\n", {"delimiter": ";", "decimal": ","}),
        ("\ufeff" + GOOD, {}),
        (GOOD.rstrip("\n"), {"rows": 2}),
        ("a\tb\tc\t\n1\t2\t3\t\n4\t5\t6.5\t\n", {"drop_trailing": True}),
        ("a\tb\tc\n1\t2\t3\t\n4\t5\t6.5\t\n", {"drop_trailing": True}),
        (GOOD, {"drop_trailing": True}),
        ('"a"\t"b"\t"c"\n1\t2\t3\n4\t5\t6.5\n', {}),
    ],
)
def test_variants_of_a_valid_file(path: Path, text: str, options: dict[str, object]) -> None:
    names, values = read(path, text, **options)
    assert names == ("a", "b", "c")
    np.testing.assert_array_equal(values, [[1, 2, 3], [4, 5, 6.5]])


def test_columns_without_header_are_numbered(path: Path) -> None:
    assert read(path, "1\t2\n", header=False)[0] == ("1", "2")


def test_empty_cells_are_nan(path: Path) -> None:
    _, values = read(path, "a\tb\n1\t\nNaN\tn/a\n")
    np.testing.assert_array_equal(values, [[1, np.nan], [np.nan, np.nan]])


def test_gzip_is_read_through_and_found_beside_plain(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    found = files.find(tmp_path, "x.csv")
    assert found.name == "x.csv.gz"
    assert files.bare_name(found) == "x"
    assert files.read_numbers(found, delimiter="\t", columns=None)[1].shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"", {}, r"x\.csv: the file is empty"),
        ("a\tb\n", {}, "a header and no data rows"),
        (b"a\tb\n1\t\x002\n", {}, r"binary file \(zero byte at 6\)"),
        (b"a\xff\tb\n1\t2\n", {}, "first line is not UTF-8"),
        ("a,b,c\n1,2,3\n", {"columns": ("a", "b")}, "It looks comma-separated"),
        (
            GOOD,
            {"columns": ("a", "d")},
            r"header is 'a' 'b' 'c'; expected .* 'a' 'd'; missing 'd'",
        ),
        ("1\t2\n3\t4\n", {"columns": ("a", "b")}, "the header is missing"),
        ("1\t2\n", {"columns": ("a",), "header": False}, "2 tab-separated columns, expected 1"),
        ("a\tb\n1\t2\n3,5\t4\n", {}, "line 3: '3,5' is not a number. Decimal mark ',' found"),
        ("a\tb\n1\t2\n3.5\t4\n", {"decimal": ","}, r"line 3: '3\.5' .* mark '\.' found"),
        ("a\tb\n1\tx\n", {}, "line 2: 'x' is not a number"),
        ("a\tb\n1\t2\n3\n", {}, "line 3: 1 cells, expected 2. The file is truncated"),
        ("a\tb\n1\t2\n3\tinf\n", {}, "line 3: an infinite number"),
        (GOOD, {"rows": 3}, "2 data rows, expected 3"),
        (b"a\tb\n1\t\xff\n", {}, "is not a number"),
    ],
)
def test_faults_of_a_table_of_numbers(
    path: Path, data: bytes | str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        read(path, data, **options)


def test_missing_and_truncated_files(tmp_path: Path) -> None:
    with pytest.raises(FileReadError, match="the file is missing"):
        files.read_bytes(tmp_path / "no.csv")
    with pytest.raises(FileReadError, match="cannot be read"):
        files.read_bytes(tmp_path)
    whole = gzip.compress(GOOD.encode())
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-9])
    with pytest.raises(RecordingError, match="broken or truncated gzip"):
        files.read_bytes(tmp_path / "cut.csv.gz")


@given(
    arrays.arrays(
        float,
        st.tuples(st.integers(1, 20), st.integers(1, 5)),
        elements=st.floats(allow_nan=True, allow_infinity=False),
    )
)
def test_numbers_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, table: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("numbers") / "x.csv"
    lines = ["\t".join(repr(float(v)) for v in row) for row in table]
    names = "\t".join(f"c{i}" for i in range(table.shape[1]))
    _, values = read(path, "\n".join([names, *lines]) + "\n")
    np.testing.assert_array_equal(values, table)


def test_text_tables_and_their_faults(path: Path) -> None:
    path.write_text("id,name\n1, x \n2,y\n")
    table = files.read_table(path, delimiter=",", columns=("name",))
    assert table.to_dict("list") == {"id": ["1", "2"], "name": ["x", "y"]}
    for text, message in (
        ("id,name\n1\n", "line 2: 1 cells, expected 2"),
        ("id;name\n1;x\n", "It looks semicolon-separated"),
        ("\n", "the file is empty"),
        ('id,name\n1,"' + "x" * 200_000, "line .*: field larger"),
    ):
        path.write_text(text)
        with pytest.raises(RecordingError, match=message):
            files.read_table(path, delimiter=",", columns=("name",))


def test_json_faults(path: Path) -> None:
    path.write_text('{"a": 1}')
    assert files.read_json(path) == {"a": 1}
    for text, message in (("{", "not valid JSON"), ("[1]", "JSON list, expected an object")):
        path.write_text(text)
        with pytest.raises(RecordingError, match=message):
            files.read_json(path)
    path.write_bytes(b"\xff")
    with pytest.raises(RecordingError, match="not UTF-8 text"):
        files.read_json(path)


def test_rows_are_counted_without_reading(path: Path) -> None:
    for text, rows in ((GOOD, 2), (GOOD.rstrip("\n"), 2), ("a\n", 0)):
        path.write_text(text)
        assert files.count_rows(path) == rows


def test_listings_are_sorted_and_follow_links(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    for name in ("b.csv", "a.csv.gz", "c.txt", ".hidden.csv", "D.CSV"):
        (root / name).write_text("x")
    (outside / "other.csv").write_text("x")
    (root / "z.csv").symlink_to(outside / "other.csv")
    (root / "folder").symlink_to(outside)
    (root / "gone.csv").symlink_to(outside / "nothing.csv")
    (outside / "back").symlink_to(root)  # a circle
    names = ["D.CSV", "a.csv.gz", "b.csv", "gone.csv", "z.csv"]
    assert [p.name for p in files.list_files(root, ".csv")] == names
    assert [p.name for p in files.list_dirs(root)] == ["folder"]
    walked = [p.relative_to(root).as_posix() for p in files.walk_files(root)]
    assert sorted(walked) == sorted([*names, "c.txt", "folder/other.csv"])
    assert files.find_optional(root, "z.csv") == root / "z.csv"
    assert files.find_optional(root, "D.csv") == root / "D.CSV"
    with pytest.raises(RecordingError, match=r"a link to .*nothing\.csv, which is missing"):
        files.read_bytes(root / "gone.csv")
    with pytest.raises(DatasetError, match=r"no y\.csv \(nor y\.csv\.gz\)"):
        files.find(root, "y.csv")


class StrangeError(Exception):
    """Exception of a class that no reader knows."""


def test_any_exception_of_a_library_names_the_file(path: Path) -> None:
    for error in (StrangeError("x"), SystemError("x"), KeyError("x"), RecursionError("x")):
        with (
            pytest.raises(RecordingError, match=rf"x\.csv: cannot .*{type(error).__name__}"),
            files.reading(path, "cannot be read", "Copy it again."),
        ):
            raise error
    with pytest.raises(ConfigError), files.reading(path, "cannot be read", "Copy it again."):
        raise ConfigError("the user's fault")


def test_files_in_a_zip_archive(tmp_path: Path) -> None:
    archive = tmp_path / "a.ZIP"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("session/EDA.csv", GOOD)
        content.writestr("session/deeper/EDA.csv", "1")
        content.writestr("__MACOSX/BVP.csv", "1")
    found = files.find_optional(archive, "EDA.csv")
    assert found is not None
    assert files.read_bytes(found) == GOOD.encode()
    assert files.find_optional(archive, "BVP.csv") is None
    assert files.find_optional(archive, "TEMP.csv") is None
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(RecordingError, match="not a zip archive"):
        files.find_optional(archive, "EDA.csv")


def test_a_root_that_is_not_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(DatasetError, match="is not Set: looked for x or y, found other"):
        files.require_dir(tmp_path, "x", "y", dataset="Set")
    with pytest.raises(DatasetError, match="is not there; expected the folder of Set"):
        files.require_dir(tmp_path / "no", dataset="Set")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="is a file; expected the folder of Set"):
        files.require_dir(tmp_path / "file", dataset="Set")


def test_options_and_subjects_are_checked() -> None:
    with pytest.raises(ConfigError, match="set: part is 'Z'; expected one of 'A', 'B'"):
        files.one_of("part", "Z", ("A", "B"), dataset="set")
    assert files.select_subjects(("s2", "s1"), ("s1", "s2", "s3"), dataset="set") == ("s1", "s2")
    with pytest.raises(DatasetError, match="no subject 's9' among the 2 found; there are s1, s2"):
        files.select_subjects(("s9",), ("s1", "s2"), dataset="set")


def test_natural_order() -> None:
    assert files.names_of("L10 L2 10 9 B") == ("9", "10", "B", "L2", "L10")


def test_flat_and_clipped() -> None:
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(2000) / 30) + 0.01 * rng.normal(size=2000)
    signal = np.stack([wave, np.clip(wave, -2, 0.8), np.full(2000, 3.0), np.full(2000, np.nan)])
    assert files.is_flat(signal).tolist() == [False, False, True, True]
    signal[0, 5] = np.nan
    problems = files.signal_problems("f", {"eda": signal[:1], "ecg": signal[1:3]})
    assert [(p.kind, p.what) for p in problems] == [
        ("nan", "eda: missing samples (NaN)"),
        ("flat", "ecg: flat (one value only) in 1 of 2 channels"),
        ("clipped", "ecg: clipped in 1 of 2 channels"),
    ]


def test_duplicates_and_strays(tmp_path: Path) -> None:
    for name, text in (("a", "same"), ("b", "same"), ("c", "othr"), ("d", "")):
        (tmp_path / name).write_text(text)
    (tmp_path / files.LOOKALIKE_MARK).write_text("{}")
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "parameters.json").write_text("{}")
    paths = [tmp_path / n for n in "bacd"]
    found = files.duplicate_problems(paths, tmp_path)
    assert [(p.path, p.what) for p in found] == [("b", "the same bytes as a")]
    strays = files.stray_problems(tmp_path, paths[:2])
    assert [(p.path, p.kind) for p in strays] == [("c", "stray"), ("d", "stray")]
    assert files.is_lookalike(tmp_path)


def test_reports_count_by_kind(tmp_path: Path) -> None:
    problems = (files.Problem("a", "x", "flat"), files.Problem("b", "y", "nan", "warning"))
    report = files.CheckReport("set", tmp_path, 1, None, 2, problems)
    assert (report.count("flat"), report.count("short")) == (1, 0)
