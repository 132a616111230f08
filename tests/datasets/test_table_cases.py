"""Tables from public reports: each input of tests/fixtures/cases gives its right answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset, read_action_units
from dolorimeter.datasets.text_tables import open_table
from dolorimeter.errors import ConfigError, DatasetError, RecordingError


@pytest.fixture(scope="module")
def cases() -> Path:
    return Path(__file__).parent.parent / "fixtures" / "cases"


# ── 09, 10, 11: tables of faces ─────────────────────────────────────────────────────────────────


def test_openface_on_images(cases: Path, tmp_path: Path) -> None:
    folder = cases / "09-openface-pictures"
    units = read_action_units(folder / "picture1.csv")
    assert len(units.names) == 17  # AU45 is a blink: 16 intensities, and AU28's presence
    assert units.unit("au4").tolist() == [1.81]
    assert np.isnan(units.times).all()
    with pytest.raises(RecordingError, match=r"group\.csv: 2 faces \(face 0, 1\).*face="):
        read_action_units(folder / "group.csv")
    assert read_action_units(folder / "group.csv", face=1).unit("au4").tolist() == [1.71]
    for name in ("picture1.csv", "picture2.csv"):
        shutil.copy(folder / name, tmp_path)
    samples = open_dataset("feature_table", tmp_path).samples()
    assert samples.meta["subject"].tolist() == ["picture1", "picture2"]
    assert samples.x[:, samples.feature_names.index("AU04_r")].tolist() == [1.81, 2.77]
    assert samples.meta["start"].isna().all()
    shutil.copy(folder / "group.csv", tmp_path)
    with pytest.raises(RecordingError, match="2 faces"):
        open_dataset("feature_table", tmp_path).samples()


def test_two_faces_are_not_one_subject(cases: Path) -> None:
    path = cases / "10-two-faces-in-table" / "visit.csv"
    reader = open_dataset("feature_table", path)
    with pytest.raises(RecordingError, match=r"2 faces \(face_id 0, 1\), expected one.*face="):
        reader.samples()
    assert "2 faces" in reader.check().problems[0].what
    for face, value in ((0, 3.0), (1, 0.0)):
        samples = open_dataset("feature_table", path, face=face).samples()
        assert len(samples) == 8
        assert set(samples.x[:, samples.feature_names.index("AU04_r")]) == {value}
        assert samples.meta["start"].is_unique
    with pytest.raises(RecordingError, match="no face_id 2; there are 0, 1"):
        open_dataset("feature_table", path, face=2).samples()
    table = open_dataset("feature_table", cases / "12-european-csv" / "plain.csv", face=1)
    with pytest.raises(ConfigError, match="face=1, but the table is no table of faces"):
        table.samples()


@pytest.mark.parametrize("name", ["clip", "old"])
def test_pyfeat_of_a_video(cases: Path, name: str) -> None:
    samples = open_dataset(
        "feature_table", cases / "11-pyfeat-video-table" / f"{name}.csv"
    ).samples()
    assert len(samples) == 6
    assert samples.meta["start"].tolist() == [0, 1, 2, 3, 4, 5]
    emotions = [n for n in samples.feature_names if not n.startswith("AU")]
    assert len(emotions) == 7
    assert len(samples.feature_names) == 27
    assert set(samples.x[:, samples.feature_names.index(emotions[0])]) == {0.1429}
    assert "valence" not in samples.feature_names


def test_pyfeat_names_its_faces(tmp_path: Path) -> None:
    head = "FaceRectX,FaceScore,AU01,AU04,Anger,frame,approx_time,Identity\n"
    rows = "1,0.9,0.1,0.2,0.5,0,00:59,Person_0\n9,0.9,0.8,0.7,0.5,0,00:59,Person_1\n"
    path = tmp_path / "two.csv"
    path.write_text(head + rows)
    with pytest.raises(RecordingError, match=r"2 faces \(Identity 0, 1\)"):
        read_action_units(path)
    assert read_action_units(path, face=1).unit("au1").tolist() == [0.8]
    samples = open_dataset("feature_table", path, face="Person_1").samples()
    np.testing.assert_array_equal(samples.x, [[0.8, 0.7, 0.5]])
    assert samples.meta["start"].tolist() == [59.0]
    path.write_text(
        head.replace(",Identity", "") + rows.replace(",Person_0", "").replace(",Person_1", "")
    )
    with pytest.raises(RecordingError, match="2 rows for frame 0, expected one: several faces"):
        open_dataset("feature_table", path).samples()


def test_libreface_and_openface3_are_feature_tables_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "frame_idx,frame_time_in_ms,yaw,au_1,au_1_intensity\n0,0.0,1.5,0,0.5\n1,40.0,1.5,1,2.5\n"
    )
    samples = open_dataset("feature_table", tmp_path).samples()
    assert samples.feature_names == ("au_1", "au_1_intensity")
    assert samples.meta["start"].tolist() == [0.0, 0.04]
    (tmp_path / "a.csv").write_text(
        'timestamp,face_id,action_units\n17.5,0,"[[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]]"\n'
    )
    samples = open_dataset("feature_table", tmp_path).samples()
    assert samples.feature_names == ("au1", "au2", "au4", "au6", "au9", "au12", "au25", "au26")
    assert samples.x[0, -1] == 0.7


# ── 12, 13, 14, 24: tables of any lab ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("plain", ""),
        ("semicolon-comma", "semicolon-separated, decimal comma"),
        ("semicolon-point", "semicolon-separated, decimal point"),
        ("tab", "tab-separated, decimal point"),
    ],
)
def test_every_dialect_gives_the_same_rows(cases: Path, name: str, note: str) -> None:
    plain = pd.read_csv(cases / "12-european-csv" / "plain.csv")
    samples = open_dataset("feature_table", cases / "12-european-csv" / f"{name}.csv").samples()
    np.testing.assert_array_equal(samples.x, plain[["scr", "hr"]].to_numpy())
    assert samples.feature_names == ("scr", "hr")
    assert samples.x[1].tolist() == [0.1, 2.5]
    assert samples.meta["subject"].tolist() == plain["subject"].tolist()
    assert note in " ".join(samples.notes)
    assert bool(note) == bool(samples.notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subject;label;x\na;b;1\na;c;-2,5e1\n", [1.0, -25.0]),
        ("sep=;\r\nsubject;label;x\r\na;b;1,5\r\na;c;2\r\n", [1.5, 2.0]),
        ('subject,label,x\na,"b,c","0,5"\na,d,1\n', [0.5, 1.0]),
        ('subject;label;x\n"a;b";c;1,5\n"a;b";c;2,5\n', [1.5, 2.5]),
        ("subject|label|x\na|b, c|1.5\na|d|2\n", [1.5, 2.0]),
        ("\ufeffsubject;label;x\na;b;1,5\na;c;NA\n", [1.5, np.nan]),
    ],
)
def test_dialects_of_spreadsheets(tmp_path: Path, text: str, expected: list[float]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(open_table(path).numbers(["x"])["x"], expected)
    np.testing.assert_array_equal(open_dataset("feature_table", path).samples().x[:, 0], expected)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_words_are_no_features(cases: Path, ending: str) -> None:
    reader = open_dataset("feature_table", cases / "13-text-column" / f"trials.{ending}")
    samples = reader.samples()
    assert samples.feature_names == ("scr", "hr")
    assert samples.x[1].tolist() == [0.1, 2.5]
    (note,) = samples.notes
    for name in ("sex", "video", "date", "valid"):
        assert name in note
        assert samples.meta[name].notna().all()
    assert samples.meta["sex"].tolist()[:2] == ["f", "m"]
    assert any("sex" in p.what and p.severity == "warning" for p in reader.check().problems)


def test_a_spoilt_cell_is_an_error_and_not_a_word(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("subject,label,scr\na,x,1\na,x,2\na,y,error\n")
    with pytest.raises(RecordingError, match=r"line 4, column 'scr': 'error' is not a number\. 2"):
        open_dataset("feature_table", path).samples()


def test_the_row_number_is_no_feature(cases: Path) -> None:
    path = cases / "14-row-number-as-feature" / "noise.csv"
    samples = open_dataset("feature_table", path).samples()
    assert samples.feature_names == ("f1", "f2", "f3", "f4")
    assert any("Unnamed: 0" in note for note in samples.notes)
    chosen = open_dataset("feature_table", path, features=["Unnamed: 0", "f1"]).samples()
    assert chosen.feature_names == ("Unnamed: 0", "f1")


def _counting() -> dict[str, list[float]]:
    n = 24
    within = [i % 6 for i in range(n)]
    return {
        "rows": list(range(n)),
        "rows_down": list(range(n, 0, -1)),
        "shuffled": list(np.random.default_rng(0).permutation(n)),
        "per_subject": within,
        "per_subject_down": [6 - w for w in within],
        "gaps": [3 * i + (i % 2) for i in range(n)],
        "seconds": [0.25 * i for i in range(n)],
        "restarts": [float(np.arange(12)[i % 12] % 6) for i in range(n)],
        "session": [i // 3 % 2 for i in range(n)],
        "id": list(np.random.default_rng(1).permutation(n) * 7),
        "nth_subject": [i // 6 for i in range(n)],
        "age": [30.0 + 7 * (i // 6) for i in range(n)],
    }


@pytest.mark.parametrize("name", list(_counting()))
def test_columns_that_count_are_left_out(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(2).normal(size=24)
    table = pd.DataFrame(
        {
            "subject": [f"P{i // 6}" for i in range(24)],
            "label": ["none", "pain"] * 12,
            name: _counting()[name],
            "scr": noise,
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    samples = open_dataset("feature_table", tmp_path / "t.csv").samples()
    assert samples.feature_names == ("scr",)
    assert name in samples.notes[0]
    assert name in samples.meta.columns


def test_honest_columns_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "subject": [f"P{i // 6}" for i in range(24)],
            "label": ["none", "none", "none", "pain", "pain", "pain"] * 4,
            "binary": [0, 0, 0, 1, 1, 1] * 4,
            "alternating": [0, 1] * 12,
            "rating": rng.integers(0, 10, 24),
            "flat": 1.0,
            "baseline_hr": [60 + 3.5 * (i // 6) for i in range(24)],
            "sorted": np.sort(rng.normal(size=24)),
        }
    )
    table.to_parquet(tmp_path / "t.parquet")
    samples = open_dataset("feature_table", tmp_path / "t.parquet").samples()
    assert samples.feature_names == (
        "binary", "alternating", "rating", "flat", "baseline_hr", "sorted",
    )  # fmt: skip


def test_capital_endings(cases: Path) -> None:
    folder = cases / "24-upper-case-endings" / "tables"
    assert len(open_dataset("feature_table", folder).samples()) == 12
    assert len(open_dataset("feature_table", folder / "A.CSV").samples()) == 12


# ── 19, 23: whose table it is ───────────────────────────────────────────────────────────────────


def test_a_subject_in_several_spellings_is_named(cases: Path, tmp_path: Path) -> None:
    for path in (cases / "23-person-spelt-twice").iterdir():
        if path.suffix != ".md":
            shutil.copy(path, tmp_path)
    reader = open_dataset("feature_table", tmp_path)
    assert "subjects 001 and 1 look like one." in " ".join(reader.samples().notes)
    warnings = [p for p in reader.check().problems if "look like one." in p.what]
    assert len(warnings) == 6
    assert "1.0" not in reader.subjects()
    (tmp_path / "participants.csv").write_text(
        "subject;sex\n" + "".join(f"{n:03};{'fm'[n % 2]}\n" for n in range(1, 7))
    )
    reader = open_dataset("feature_table", tmp_path)
    assert reader.subjects() == ("001", "002", "003", "004", "005", "006")
    assert set(reader.samples(["001"]).meta["sex"]) == {"m"}
    assert "subjects 001, 1 are read as subject 001" in " ".join(reader.samples().notes)
    assert not [p for p in reader.check().problems if "look like one." in p.what]


def test_a_missing_subject_is_named(tmp_path: Path) -> None:
    table = pd.DataFrame({"subject": [1.0, None, 2.0], "label": "x", "scr": [0.1, 0.2, 0.4]})
    table.to_parquet(tmp_path / "t.parquet")
    reader = open_dataset("feature_table", tmp_path / "t.parquet")
    assert reader.subjects() == ("1", "2")
    assert [(e.what, e.reason) for e in reader.exclusions] == [("row 2", "no subject")]
    (tmp_path / "t.csv").write_text("subject,label,scr\nNone,x,1\nb,x,2\nb,y,3\n")
    (exclusion,) = open_dataset("feature_table", tmp_path / "t.csv").exclusions
    assert (exclusion.what, exclusion.reason) == ("row 1", "no subject")


FACE = "frame, timestamp, confidence, success, AU04_r\n1, 0.0, 0.9, 1, 0.5\n2, 2.0, 0.9, 1, 1.5\n"


def test_sessions_of_face_tables_are_one_subject_where_somebody_says_so(tmp_path: Path) -> None:
    for place, name in enumerate(("mia_0", "mia_1", "tom_0")):
        (tmp_path / f"{name}.csv").write_text(FACE.replace("0.5", f"0.{place}"))
    reader = open_dataset("feature_table", tmp_path)
    assert len(reader.subjects()) == 3
    assert "mia_0 and mia_1 look like recordings of one subject" in " ".join(
        reader.samples().notes
    )
    assert any("mia_0 and mia_1" in p.what for p in reader.check().problems)
    reader = open_dataset("feature_table", tmp_path, subject="{subject}_{session}")
    samples = reader.samples()
    assert reader.subjects() == ("mia", "tom")
    assert samples.meta["session"].tolist() == ["0", "0", "1", "1", "0", "0"]
    assert not samples.notes


def test_labels_csv_serves_tables_of_faces(tmp_path: Path) -> None:
    for name in ("mia_0", "mia_1", "tom_0"):
        (tmp_path / f"{name}.csv").write_text(FACE)
    (tmp_path / "labels.csv").write_text(
        "file;subject;condition;onset;duration;nrs;sex\n"
        "mia_0.csv;mia;rest;0;1;0;f\nmia_0.csv;mia;heat;1,5;2;7,5;f\nmia_1.csv;mia;heat;;;;f\n"
        "tom_0.csv;tom;rest;0;1;;m\nanna.csv;anna;rest;0;1;;f\n"
    )
    reader = open_dataset("feature_table", tmp_path)
    samples = reader.samples()
    assert samples.meta["subject"].tolist() == ["mia"] * 4 + ["tom"]
    assert samples.meta["condition"].tolist() == ["rest", "heat", "heat", "heat", "rest"]
    np.testing.assert_array_equal(samples.meta["rating_nrs"], [0, 7.5, np.nan, np.nan, np.nan])
    assert samples.meta["sex"].tolist() == ["f"] * 4 + ["m"]
    assert [(e.subject, e.what) for e in samples.exclusions] == [
        ("tom", "row 2"),
        ("", "anna.csv"),
    ]
    assert reader.check().count("missing") == 1


# ── 22: names in labels.csv ─────────────────────────────────────────────────────────────────────


@pytest.mark.extra("face")
@pytest.mark.parametrize("folder", ["decomposed", "slashes"])
def test_a_name_in_another_form_is_the_same_file(cases: Path, folder: str) -> None:
    reader = open_dataset("video_files", cases / "22-video-label-names" / folder)
    (recording,) = reader.recordings()
    assert recording.subject == "P1"
    assert [s.condition for s in recording.stimuli] == ["pain"]
    assert reader.exclusions == ()


@pytest.mark.parametrize(("folder", "file"), [("case", "A.avi"), ("ending", "a.avi")])
def test_a_name_that_is_nearly_a_file_names_it(cases: Path, folder: str, file: str) -> None:
    reader = open_dataset("video_files", cases / "22-video-label-names" / folder)
    assert reader.subjects() == ()
    assert reader.recordings() == []
    row, unclear = reader.exclusions
    assert f"no such file; did you mean '{file}'?" in row.reason
    assert row.subject == "P1"
    assert (unclear.what, unclear.subject) == (file, "")
    assert reader.check().count("missing") == 1


@pytest.mark.extra("face")
def test_labels_of_a_spreadsheet_give_facts(cases: Path, tmp_path: Path) -> None:
    shutil.copy(cases / "22-video-label-names" / "ending" / "a.avi", tmp_path / "a.avi")
    (tmp_path / "labels.csv").write_text(
        "file;subject;condition;onset;age;sex\na.avi;P1;pain;0,5;41,5;f\na.avi;P1;rest;2;41,5;f\n"
    )
    (tmp_path / "participants.csv").write_text("subject,arm\np1,drug\n")
    reader = open_dataset("video_files", tmp_path)
    (recording,) = reader.recordings()
    assert recording.subject == "p1"
    assert [s.onset for s in recording.stimuli] == [0.5, 2.0]
    assert recording.subject_info == {"age": 41.5, "sex": "f", "arm": "drug"}
    assert "semicolon-separated, decimal comma" in " ".join(reader.notes)
    assert not [p for p in reader.check().problems if p.kind == "stray"]


@pytest.mark.extra("face")
def test_a_pattern_names_the_subject_of_a_video(cases: Path, tmp_path: Path) -> None:
    for name in ("P01_day1", "P01_day2", "pilot"):
        shutil.copy(cases / "22-video-label-names" / "ending" / "a.avi", tmp_path / f"{name}.avi")
    reader = open_dataset("video_files", tmp_path, subject="{subject}_day{session}")
    assert reader.subjects() == ("P01",)
    assert [r.subject_info["session"] for r in reader.recordings()] == ["1", "2"]
    assert [e.what for e in reader.exclusions] == ["pilot.avi"]


def test_open_ended_stimuli_end_at_the_next_and_overlaps_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{n}, {n}.0, 0.9, 1, {n}\n" for n in range(6))
    (tmp_path / "a.csv").write_text(
        "frame, timestamp, confidence, success, AU04_r\n" + rows.replace(", 5\n", ", 4.5\n")
    )
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,subject,condition,onset,duration,level,nrs\na.csv,P1,rest,0,,0,\na.csv,P1,heat,2,2,3,6\n"
        "a.csv,P1,rest,5,,0,1\n"
    )
    samples = open_dataset("feature_table", tmp_path).samples()
    assert samples.meta["condition"].tolist() == ["rest", "rest", "heat", "heat", "rest"]
    assert samples.meta["stimulus"].tolist() == ["a#0", "a#0", "a#1", "a#1", "a#2"]
    assert samples.meta["level"].tolist() == [0, 0, 3, 3, 0]
    np.testing.assert_array_equal(samples.meta["rating_nrs"], [np.nan, np.nan, 6, 6, 1])
    assert [(e.what, e.reason) for e in samples.exclusions] == [("row 5", "no label")]
    unlabelled = open_dataset("feature_table", tmp_path, label=None).samples()
    assert unlabelled.meta["subject"].tolist() == ["P1"] * 6
    assert set(unlabelled.meta["condition"]) == {""}
    labels.write_text("file,subject,condition\na.csv,P1,rest\na.csv,P1,heat\n")
    with pytest.raises(RecordingError, match=r"a\.csv: two stimuli hold for one time"):
        open_dataset("feature_table", tmp_path).samples()


def test_one_table_exported_twice_is_not_read_twice(cases: Path, tmp_path: Path) -> None:
    for path in (cases / "13-text-column").glob("trials.*"):
        shutil.copy(path, tmp_path)
    with pytest.raises(DatasetError, match=r"trials\.csv and trials\.parquet have one name"):
        open_dataset("feature_table", tmp_path)
    (tmp_path / "trials.parquet").unlink()
    shutil.copy(tmp_path / "trials.csv", tmp_path / "copy.csv")
    reader = open_dataset("feature_table", tmp_path)
    assert reader.check().count("duplicate") == 1
    assert "the same bytes as copy.csv" in " ".join(reader.samples().notes)


def test_the_index_that_pandas_writes_to_parquet_is_no_feature(tmp_path: Path) -> None:
    table = pd.DataFrame({"subject": ["a", "a", "b"], "label": "x", "scr": [0.5, 0.1, 0.7]})
    table.index = pd.Index([7, 3, 9])
    table.to_parquet(tmp_path / "t.parquet")
    samples = open_dataset("feature_table", tmp_path).samples()
    assert samples.feature_names == ("scr",)
