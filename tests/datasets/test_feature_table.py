"""Plain tables, OpenFace's and py-feat's."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, RecordingError

PLAIN = (
    "subject,label,nrs,scl,rate\ns10,pain,7,0.5,60\ns2,rest,1,NA,61\ns2,NA,2,0.2,62\n,pain,3,1,1\n"
)
OPENFACE = (
    "frame, timestamp, confidence, success, gaze_0_x, AU01_r, AU04_r, AU45_c\n"
    "1,0,0.98,1,0.1,0.5,1.5,0\n2,0.04,0.1,0,0.1,0,0,0\n3,0.08,0.98,1,0.1,0.7,2.5,1\n"
)
PYFEAT = (
    "FaceRectX,FaceScore,AU01,AU04,anger,neutral,frame,input\n"
    "10,0.99,0.1,0.2,0.05,0.9,0,a.mp4\n,,,,,,1,a.mp4\n10,0.98,0.3,0.4,0.5,0.4,2,a.mp4\n"
)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_plain_table(tmp_path: Path) -> None:
    reader = open_dataset("feature_table", write(tmp_path / "t.csv", PLAIN), target="nrs")
    samples = reader.samples()
    assert samples.feature_names == ("scl", "rate")
    np.testing.assert_array_equal(samples.x, [[np.nan, 61.0], [0.5, 60.0]])
    assert samples.meta["subject"].tolist() == ["s2", "s10"]
    assert samples.meta["condition"].tolist() == ["rest", "pain"]
    assert samples.meta["target"].tolist() == [1.0, 7.0]
    assert [(e.what, e.reason) for e in samples.exclusions] == [
        ("row 3", "no label"),
        ("row 4", "no subject"),
    ]
    assert samples.notes == ("scl: missing in 1 of 2 rows.",)
    assert reader.subjects() == ("s2", "s10")
    assert len(reader.samples(["s10"])) == 1
    assert reader.exclusions == samples.exclusions
    assert reader.official_splits() == {}
    report = reader.check()
    assert (report.subjects_found, report.recordings, report.count("nan")) == (2, 4, 3)


@pytest.mark.parametrize("ending", ["tsv", "csv.gz", "parquet"])
def test_other_kinds_of_file_hold_the_same(tmp_path: Path, ending: str) -> None:
    expected = open_dataset("feature_table", write(tmp_path / "t.csv", PLAIN)).samples()
    folder = tmp_path / "other"
    folder.mkdir()
    if ending == "tsv":
        (folder / "t.tsv").write_text(PLAIN.replace(",", "\t"))
    elif ending == "csv.gz":
        (folder / "t.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    else:
        pd.read_csv(tmp_path / "t.csv").to_parquet(folder / "t.parquet")
    samples = open_dataset("feature_table", folder).samples()
    np.testing.assert_array_equal(samples.x, expected.x)
    pd.testing.assert_frame_equal(samples.meta, expected.meta)
    assert len(samples.exclusions) == len(expected.exclusions)


def test_openface(tmp_path: Path) -> None:
    write(tmp_path / "p2.csv", OPENFACE)
    write(tmp_path / "p1.csv", OPENFACE)
    reader = open_dataset("feature_table", tmp_path)
    samples = reader.samples()
    assert samples.feature_names == ("AU01_r", "AU04_r", "AU45_c")
    assert samples.feature_units == ("FACS intensity 0-5", "FACS intensity 0-5", "1")
    np.testing.assert_array_equal(samples.x[:2], [[0.5, 1.5, 0], [0.7, 2.5, 1]])
    assert samples.meta["subject"].tolist() == ["p1", "p1", "p2", "p2"]
    assert samples.meta["start"].tolist()[:2] == [0.0, 0.08]
    assert [e.reason for e in samples.exclusions] == [
        "OpenFace found no face (success is not 1)"
    ] * 2
    assert [(e.subject, e.what) for e in samples.exclusions] == [("p1", "row 2"), ("p2", "row 2")]


def test_py_feat(tmp_path: Path) -> None:
    samples = open_dataset("feature_table", write(tmp_path / "clip.csv", PYFEAT)).samples()
    assert samples.feature_names == ("AU01", "AU04", "anger", "neutral")
    assert set(samples.feature_units) == {"1"}
    np.testing.assert_array_equal(samples.x, [[0.1, 0.2, 0.05, 0.9], [0.3, 0.4, 0.5, 0.4]])
    (exclusion,) = samples.exclusions
    assert exclusion.reason == "py-feat found no face (no FaceScore)"


def test_features_and_columns_as_told(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", PLAIN)
    reader = open_dataset(
        "feature_table", path, features=("rate",), subject="label", label="subject"
    )
    assert reader.samples().feature_names == ("rate",)
    with pytest.raises(ConfigError, match=r"no column 'vas'; there are 'subject', 'label'"):
        open_dataset("feature_table", path, target="vas").samples()
    with pytest.raises(ConfigError, match="layout is 'excel'; expected one of 'auto'"):
        open_dataset("feature_table", path, layout="excel")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("subject,label,x\n", "a header and no data rows"),
        ("subject,label,x\na,b,c\n", r"no feature column.*x \(words, such as 'c'\)"),
        (
            "subject,label,x\na,b,1\na,b,2\na,b,c\n",
            "line 4, column 'x': 'c' is not a number. 2 of",
        ),
        (
            "subject;label;x\na;b;1.5\na;b;2.5\na;b;2,5\n",
            "'2,5' is not a number.*one decimal mark",
        ),
        ("subject,label,x\na,b,inf\n", "an infinite number"),
        ("subject,label,x\na,b,1\na,b\n", "cells, expected 3|2 cells"),
        ("subject,label,x,x\na,b,1,2\n", "column 'x' occurs twice"),
        ("subject,label\na,b\n", "no feature column. Name them"),
        ("subject,label,x\na,b,1\n\0", "a binary file"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    reader = open_dataset("feature_table", write(tmp_path / "t.csv", text))
    with pytest.raises(RecordingError, match=message):
        reader.samples()
    assert reader.check().count("unreadable") == 1


def test_parquet_faults_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", "no parquet")
    with pytest.raises(RecordingError, match="not a readable Parquet file"):
        open_dataset("feature_table", path).samples()
    table = pd.DataFrame({"subject": ["a"], "label": ["b"], "x": ["c"]})
    table.to_parquet(path)
    with pytest.raises(RecordingError, match="row 1, column 'x': 'c' is not a number"):
        open_dataset("feature_table", path, features=["x"]).samples()


def test_tables_of_one_folder_must_agree(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", OPENFACE)
    write(tmp_path / "b.csv", OPENFACE.replace("AU04_r", "AU05_r"))
    with pytest.raises(RecordingError, match=r"differ from those of a\.csv: AU04_r"):
        open_dataset("feature_table", tmp_path).samples()


def test_a_root_without_tables(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no table in it"):
        open_dataset("feature_table", tmp_path)
    with pytest.raises(DatasetError, match="no table in it"):
        open_dataset("feature_table", write(tmp_path / "x.docx", "x"))


@pytest.mark.shared
def test_a_real_openface_table(data_root: Path) -> None:
    reader = open_dataset("feature_table", data_root / "faces" / "OpenFace_Test.csv")
    samples = reader.samples()
    assert samples.x.shape == (100, 35)
    assert reader.subjects() == ("OpenFace_Test",)


def subject_files(root: Path, factors: dict[str, float], rows: int = 6) -> Path:
    """Write one table per subject, skin conductance in a scale of the subject's own."""
    rng = np.random.default_rng(3)
    root.mkdir()
    for subject, factor in factors.items():
        table = pd.DataFrame(
            {
                "subject": subject,
                "label": ["rest", "pain"] * (rows // 2),
                "scl": factor * rng.uniform(2, 8, size=rows),
                "rate": rng.uniform(60, 90, size=rows),
            }
        )
        table.to_csv(root / f"sub-{subject}.csv", index=False)
    return root


@pytest.mark.parametrize(("factor", "word"), [(1000.0, "larger"), (1e-3, "smaller")])
def test_a_subject_in_another_unit_is_named(tmp_path: Path, factor: float, word: str) -> None:
    factors = {f"{i:02d}": 1.0 for i in range(1, 6)} | {"03": factor}
    reader = open_dataset("feature_table", subject_files(tmp_path / "t", factors))
    [note] = [n for n in reader.samples().notes if "times" in n]
    assert note.startswith("subject 03: 'scl' about ")
    assert f"times {word} than in the other subjects" in note
    [problem] = [p for p in reader.check().problems if p.kind == "unit"]
    assert str(problem.path) == "sub-03.csv"


def test_subjects_who_differ_from_each_other_have_no_other_unit(tmp_path: Path) -> None:
    factors = {f"{i:02d}": 10.0 ** (i / 2) for i in range(8)}
    reader = open_dataset("feature_table", subject_files(tmp_path / "t", factors))
    assert not any("times" in note for note in reader.samples().notes)


def test_a_damaged_table_costs_its_subject_only(tmp_path: Path) -> None:
    root = subject_files(tmp_path / "t", {f"{i:02d}": 1.0 for i in range(1, 5)})
    (root / "sub-02.csv").write_bytes(b"\x00\x01PK\x00" * 40)
    reader = open_dataset("feature_table", root)
    assert reader.samples().meta["subject"].unique().tolist() == ["01", "03", "04"]
    [lost] = reader.exclusions
    assert (lost.subject, lost.what) == ("02", "sub-02.csv")
    for path in root.iterdir():
        path.write_bytes(b"\x00\x01PK\x00" * 40)
    with pytest.raises(RecordingError, match="sub-0"):
        open_dataset("feature_table", root).samples()


def test_a_missing_value_is_reported_with_the_file_of_its_subject(tmp_path: Path) -> None:
    root = subject_files(tmp_path / "t", {f"{i:02d}": 1.0 for i in range(1, 5)})
    table = pd.read_csv(root / "sub-03.csv", dtype={"subject": str})
    table.loc[2, "scl"] = np.nan
    table.to_csv(root / "sub-03.csv", index=False)
    [problem] = [
        p for p in open_dataset("feature_table", root).check().problems if p.kind == "nan"
    ]
    assert str(problem.path) == "sub-03.csv"
    assert problem.what == "subject 03: 'scl' missing in 1 of 6 rows"
