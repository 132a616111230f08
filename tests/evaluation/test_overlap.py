"""Weights are refused when they have met the people under test."""

from __future__ import annotations

import pandas as pd
import pytest

from dolorimeter.errors import OverlapError
from dolorimeter.evaluation import refuse_overlap, seen_subjects, subjects_by_namespace
from dolorimeter.registry import Weights

PEOPLE = {"biovid": ("a", "b", "c")}


def weights(seen: tuple[str, ...] | None, self_supervised: bool = False) -> Weights:
    trained_on = None if seen is None else {"biovid": seen}
    return Weights("https://example.org/w", None, trained_on, self_supervised)


def test_people_that_were_met_are_named() -> None:
    with pytest.raises(
        OverlapError, match=r"trained on 2 of the subjects under test \(b of biovid, c of"
    ):
        refuse_overlap(weights(("b", "c", "d")), PEOPLE, "none")
    with pytest.raises(OverlapError, match="trained on 3 of the subjects"):
        refuse_overlap(weights(()), PEOPLE, "none")


def test_others_pass_and_the_unknown_is_said() -> None:
    assert refuse_overlap(weights(("x",)), PEOPLE, "none") == ""
    assert refuse_overlap(weights(()), {"ai4pain": PEOPLE["biovid"]}, "none") == ""
    assert "overlap unknown" in refuse_overlap(weights(None), PEOPLE, "none")


def test_self_supervised_weights_need_the_declaration() -> None:
    own = weights(("a",), self_supervised=True)
    with pytest.raises(OverlapError, match="trained on 1 of the subjects"):
        refuse_overlap(own, PEOPLE, "none")
    assert "without their labels" in refuse_overlap(own, PEOPLE, "unlabelled_target")


JOINED = pd.DataFrame(
    {
        "dataset": ["biovid", "ai4pain_2025", "ai4pain_2025", "own"],
        "subject": ["biovid:p1", "ai4pain_2025:04", "ai4pain_2025:5", "7"],
    }
)


def test_subjects_of_joined_data_sets_are_those_of_each() -> None:
    assert subjects_by_namespace(JOINED) == {
        "biovid": ("p1",),
        "ai4pain": ("04", "5"),
        "own": ("7",),
    }


@pytest.mark.parametrize("seen", [{"ai4pain": ()}, {"ai4pain": ("4",)}, {"biovid": ("P1",)}])
def test_the_second_data_set_is_guarded_like_the_first(seen: dict[str, tuple[str, ...]]) -> None:
    people = subjects_by_namespace(JOINED)
    with pytest.raises(OverlapError, match=r"(04 of ai4pain|p1 of biovid)"):
        refuse_overlap(Weights("w", None, seen), people, "none")


def test_a_register_in_another_spelling_is_the_same_subject() -> None:
    assert seen_subjects({"x": ["001", "1-11"]}, {"x": ["1.0", "11-1"]}) == ["1.0 of x"]
    assert seen_subjects({"y": ["1"]}, {"x": ["1"]}) == []


@pytest.mark.parametrize("name", ["ai4pain", "AI4Pain", "ai4pain_2024"])
def test_a_register_may_name_the_data_set_in_any_spelling(name: str) -> None:
    """Weights of ``AI4Pain`` were let onto the subjects of ``ai4pain`` without a word."""
    assert seen_subjects({name: ()}, {"ai4pain": ["901"]}) == ["901 of ai4pain"]
    assert seen_subjects({name: ("902",)}, {"ai4pain": ["901"]}) == []
    assert seen_subjects({name: (), "biovid": ("1",)}, {"biovid": ["2"]}) == []
