"""Subject identity: spellings that are one subject, and near ones that are not."""

from pathlib import Path

import pytest

from dolorimeter.datasets.participants import (
    FileSubject,
    FileSubjects,
    identity,
    read_participants,
    session_notes,
    spellings,
)
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.types import Exclusion, Recording


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("001", "1"),
        ("1.0", "1"),
        (1.0, 1),
        ("sub-01", "1"),
        ("zoe\u0308", "zo\u00eb"),
        ("\uff11\uff12", "12"),
        ("\u0661", "1"),
        ("S1", "s1 "),
        ("p_01", "P-1"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u674e\u96f7", " \u674e\u96f7"),
    ],
)
def test_spellings_of_one_subject_are_one(one: object, other: object) -> None:
    assert identity(one) == identity(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1-11", "11-1"), ("1-11", "111"), ("1.5", "15"), ("s1", "1"), ("10", "1"), ("-", "--")],
)
def test_near_identifiers_stay_apart(one: object, other: object) -> None:
    assert identity(one) != identity(other)


def test_groups_name_each_spelling_once() -> None:
    assert spellings(["1", "001", "1", "2", "x"]) == [("001", "1")]


FACTS = "participant_id\tage\tsex\nsub-01\t30\tf\nsub-02\tn/a\tm\n"


def test_a_participants_table_gives_facts_and_the_spelling(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text(FACTS)
    subjects = FileSubjects(tmp_path)
    assert subjects.of("a/1.edf", default="1") == FileSubject("01")
    assert subjects.of("a/S1.edf", default="01").subject == "01"
    assert subjects.facts("1") == {"age": 30.0, "sex": "f"}
    assert subjects.facts("02") == {"sex": "m"}
    assert subjects.facts("3") == {}
    assert subjects.notes() == ("subjects 01, 1 are read as subject 01 (participants table).",)
    assert [p.what for p in subjects.problems()] == ["02: no file of this subject"]
    subjects.of("9.edf", default="9")
    assert [p.what for p in subjects.problems()][1:] == ["9: not in the table"]


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("{subject}_day{session}", "P01_day2.edf", FileSubject("P01", "2")),
        ("{subject}_{session}", "x/P_01_pre.edf.gz", FileSubject("P_01", "pre")),
        ("{subject}/{session}_*", "P01/1544027337_A01525", FileSubject("P01", "1544027337")),
        ("{session}-{subject}", "zoe\u0308-1.avi", FileSubject("1", "zo\u00eb")),
        ("rec({subject})", "rec(7).csv", FileSubject("7")),
    ],
)
def test_a_pattern_gives_subject_and_session(
    tmp_path: Path, rule: str, name: str, expected: FileSubject
) -> None:
    assert FileSubjects(tmp_path, rule).of(name, default="?") == expected


def test_a_file_that_the_pattern_does_not_match_has_no_subject(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"pilot.edf: does not match subject='\{subject\}_d"):
        FileSubjects(tmp_path, "{subject}_day{session}").of("pilot.edf", default="pilot")


@pytest.mark.parametrize("rule", ["{session}", "{subject}{subject}", "{who}_{subject}", "P01"])
def test_a_pattern_that_makes_no_sense_is_named(tmp_path: Path, rule: str) -> None:
    with pytest.raises(ConfigError, match="expected a pattern with"):
        FileSubjects(tmp_path, rule)


def test_a_table_of_files_in_any_dialect(tmp_path: Path) -> None:
    table = tmp_path / "who.csv"
    table.write_text("file;subject;session;age\nd1\\A.edf;P1;1;40,5\nb*;P1;2;40,5\nc;P2;;\n")
    subjects = FileSubjects(tmp_path / "data", str(table))
    assert subjects.of("d1/A.edf", default="A") == FileSubject("P1", "1")
    assert subjects.of("b7.edf", default="b7") == FileSubject("P1", "2")
    assert subjects.of("c.edf", default="c") == FileSubject("P2")
    assert subjects.facts("P1") == {"age": 40.5}
    with pytest.raises(RecordingError, match=r"C.edf: not in who.csv.*nearest name there is 'c'"):
        subjects.of("C.edf", default="C")
    assert "semicolon-separated, decimal comma" in subjects.notes()[0]
    with pytest.raises(ConfigError, match=r"no participants table .absent\.csv"):
        FileSubjects(tmp_path, "absent.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age\n3\n", "no column 'participant_id' or 'subject'; there are 'age'"),
        ("subject,age\nP1,3\n,4\n", "row 2: no subject"),
        ("subject,age\nP1,3\nNone,4\n", "row 2: no subject"),
        ("subject,age\n001,3\n1,4\n", "'001' and '1' look like one subject"),
        ("subject,file\nP1,a\nP2,a\n", "row 2: 'a' of subject 'P2', which an earlier row"),
        ("subject,age\nP1\n", "1 cells, expected 2"),
    ],
)
def test_faults_of_a_participants_table_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_participants(tmp_path / "p.csv")


def test_a_fact_that_differs_between_sessions_is_not_a_fact_of_the_subject(
    tmp_path: Path,
) -> None:
    (tmp_path / "p.csv").write_text("subject,file,sex,mood\nP1,a,f,good\nP1,b,f,bad\n")
    table = read_participants(tmp_path / "p.csv")
    assert table.facts == {"P1": {"sex": "f"}}
    assert table.notes == ("p.csv: mood differs between the rows of P1 and is not used.",)


def test_recordings_get_what_is_declared(tmp_path: Path) -> None:
    (tmp_path / "participants.csv").write_text("subject,sex\nP01,f\n")
    recordings = [
        Recording("edf", name, name, sources=(tmp_path / f"{name}.edf",))
        for name in ("P01_day1", "p1_day2", "pilot")
    ]
    broken = Exclusion("P01_day3", "P01_day3", "P01_day3.edf", "damaged")
    kept, left_out = FileSubjects(tmp_path, "{subject}_day{session}").apply(recordings, [broken])
    assert [(r.subject, r.name, dict(r.subject_info)) for r in kept] == [
        ("P01", "P01_day1", {"sex": "f", "session": "1"}),
        ("P01", "p1_day2", {"sex": "f", "session": "2"}),
    ]
    assert [(e.subject, e.what) for e in left_out] == [
        ("P01", "P01_day3.edf"),
        ("pilot", "pilot.edf"),
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["P01_day1", "P01_day2", "P02_day1"], "subject='{subject}_day{session}'"),
        (["mia_0", "mia_1", "tom_0"], "subject='{subject}_{session}'"),
        (["anna pre", "anna post", "ben pre"], "subject='{subject} {session}'"),
        (["sub_01", "sub_02"], ""),
        (["S01", "S02"], ""),
        (["S01", "S02_day1"], ""),
        (["1-11", "11-1", "12-1"], ""),
    ],
)
def test_names_that_look_like_sessions(names: list[str], expected: str) -> None:
    assert expected in " ".join(session_notes(names))
    assert bool(expected) == bool(session_notes(names))
