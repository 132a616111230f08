"""Subject identity: spellings that are one subject, and near ones that are not."""

import pytest

from dolorimeter.datasets.participants import identity, spellings


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
