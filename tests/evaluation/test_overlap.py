"""Weights are refused when they have met the people under test."""

from __future__ import annotations

import pytest

from dolorimeter.errors import OverlapError
from dolorimeter.evaluation import refuse_overlap
from dolorimeter.registry import Weights

PEOPLE = ("a", "b", "c")


def weights(seen: tuple[str, ...] | None, self_supervised: bool = False) -> Weights:
    trained_on = None if seen is None else {"biovid": seen}
    return Weights("https://example.org/w", None, trained_on, self_supervised)


def test_people_that_were_met_are_named() -> None:
    with pytest.raises(
        OverlapError, match=r"trained on 2 of the people under test \(b, c of biovid"
    ):
        refuse_overlap(weights(("b", "c", "d")), "biovid", PEOPLE, "none")
    with pytest.raises(OverlapError, match="trained on 3 of the people"):
        refuse_overlap(weights(()), "biovid", PEOPLE, "none")


def test_others_pass_and_the_unknown_is_said() -> None:
    assert refuse_overlap(weights(("x",)), "biovid", PEOPLE, "none") == ""
    assert refuse_overlap(weights(()), "ai4pain", PEOPLE, "none") == ""
    assert "overlap unknown" in refuse_overlap(weights(None), "biovid", PEOPLE, "none")


def test_self_supervised_weights_need_the_declaration() -> None:
    own = weights(("a",), self_supervised=True)
    with pytest.raises(OverlapError, match="trained on 1 of the people"):
        refuse_overlap(own, "biovid", PEOPLE, "none")
    assert "without their labels" in refuse_overlap(own, "biovid", PEOPLE, "unlabelled_target")
