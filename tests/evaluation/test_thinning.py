"""Thinning to 90/10: shares, turns, determinism, and what it shows of standardisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import thin_classes


def thinned(y: np.ndarray, who: np.ndarray, seed: int = 0) -> np.ndarray:
    return thin_classes(y, who, np.random.default_rng(seed))


@given(st.integers(1, 6), st.integers(9, 40), st.integers(2, 4), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_one_class_stays_whole_and_the_others_make_a_tenth(
    people: int, each: int, classes: int, seed: int
) -> None:
    y = np.tile(np.repeat(np.arange(classes), each), people)
    who = np.repeat([f"p{i:02d}" for i in range(people)], classes * each)
    keep = thinned(y, who, seed)
    for place, subject in enumerate(np.unique(who)):
        own = keep & (who == subject)
        common = place % classes
        assert (y[own] == common).sum() == each
        assert (y[own] != common).sum() == max(round(each / 9), 1)
    assert np.array_equal(keep, thinned(y, who, seed))


def test_rows_without_a_class_and_people_with_one_stay() -> None:
    y = np.array([-1, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    who = np.array(["a"] * 7 + ["b"] * 3)
    keep = thinned(y, who)
    assert keep[0]
    assert keep[[1, 2, 3]].all()
    assert keep[[4, 5, 6]].sum() == 1
    assert keep[7:].all()


def test_a_share_below_half_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"a share of 0.3 to thin to, expected at least"):
        thin_classes(np.array([0, 1]), np.array(["a", "a"]), np.random.default_rng(0), 0.3)
