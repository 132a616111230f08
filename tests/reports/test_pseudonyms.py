"""Reports are passed on; subjects' names are not."""

from __future__ import annotations

import pytest

from dolorimeter.reports.pseudonyms import hide, pseudonyms


def test_pseudonyms_do_not_depend_on_order_and_do_not_follow_it() -> None:
    names = [f"p{i:02d}" for i in range(20)]
    mapped = pseudonyms(names, salt="a")
    assert mapped == pseudonyms(reversed(names), salt="a")
    assert mapped != pseudonyms(names, salt="b")
    assert sorted(mapped.values()) == [f"S{i:02d}" for i in range(1, 21)]
    assert [mapped[n] for n in names] != sorted(mapped.values())


def test_names_are_shown_only_when_asked() -> None:
    assert pseudonyms(["b", "a"], reveal=True) == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("text", "numbers", "wanted"),
    [
        ("071309_w_21-PA4-043 is short", False, "S01-PA4-043 is short"),
        ("25 windows of subject 25", False, "25 windows of subject S02"),
        ("25_fmov.csv", True, "S02_fmov.csv"),
        ("071309_w_210", False, "071309_w_210"),
    ],
)
def test_names_inside_texts_are_replaced(text: str, numbers: bool, wanted: str) -> None:
    names = {"071309_w_21": "S01", "25": "S02"}
    assert hide(text, names, numbers=numbers) == wanted


def test_pseudonyms_that_are_other_peoples_names_do_not_chain() -> None:
    assert hide("S01 and S02", {"S01": "S02", "S02": "S01"}) == "S02 and S01"
