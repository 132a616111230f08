"""Curves of levels against shuffled levels: exact where it can be counted, blind to people."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.explain import compare_levels

Case = tuple[np.ndarray, list[str], list[str]]


def case(
    people: int = 4, each: int = 6, steps: int = 10, effect: float = 0.0, seed: int = 0
) -> Case:
    """Windows of BL and PA4 by turns; people differ a lot, PA4 at step 7 by `effect`."""
    rng = np.random.default_rng(seed)
    subject = np.repeat([f"s{i}" for i in range(people)], each)
    level = np.tile(["BL", "PA4"], people * each // 2)
    x = rng.normal(size=(len(subject), steps))
    x += 20 * rng.normal(size=(people, steps)).repeat(each, axis=0)
    x[level == "PA4", min(7, steps - 1)] += effect
    return x, level.tolist(), subject.tolist()


def gap(x: np.ndarray, labels: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Mean over people of mean PA4 minus mean BL, written out."""
    gaps = []
    for who in np.unique(subject):
        own, said = x[subject == who], labels[subject == who]
        gaps.append(own[said == "PA4"].mean(0) - own[said == "BL"].mean(0))
    return np.mean(gaps, axis=0)


def test_p_is_that_of_all_orders_within_people() -> None:
    x, level, subject = case(people=2, each=4, steps=3, effect=2.0, seed=3)
    labels, who = np.array(level), np.array(subject)
    halves = [
        [set(c) for c in itertools.combinations(np.flatnonzero(who == s), 2)]
        for s in np.unique(who)
    ]
    orders = [
        np.array(["PA4" if i in a | b else "BL" for i in range(len(who))])
        for a, b in itertools.product(*halves)
    ]
    null = np.stack([gap(x, order, who) for order in orders])
    assert len(null) == 36
    seen = gap(x, labels, who)
    largest = np.abs(null / null.std(0)).max(1)
    exact = (largest >= np.abs(seen / null.std(0)).max() - 1e-9).mean()
    found = compare_levels(x, level, subject, permutations=3999)
    np.testing.assert_allclose(found.differences[0], seen, rtol=1e-10)
    # 4,000 draws: a standard error of at most 0.008, four of which are allowed
    assert abs(found.p[0] - exact) < 0.032
    assert found.smallest_p == pytest.approx(1 / 36)


def test_a_planted_moment_is_found_and_no_other() -> None:
    x, level, subject = case(effect=3.0)
    found = compare_levels(x, level, subject)
    assert found.p[0] == 0.001
    assert found.strongest[0] == 7
    assert abs(found.differences[0, 7]) > found.limit[0, 7]
    quiet = np.delete(np.arange(10), 7)
    assert (np.abs(found.differences[0, quiet]) < found.limit[0, quiet]).all()
    assert (found.low[0] < found.high[0]).all()


def test_without_an_effect_few_are_called_one() -> None:
    p = [compare_levels(*case(seed=s), permutations=39).p[0] for s in range(60)]
    # 3 expected of 60; 9 or more in 0.3 % of cases
    assert np.sum(np.array(p) <= 0.05) < 9
    assert np.mean(p) > 0.35


def test_people_who_differ_in_their_levels_are_no_effect() -> None:
    """One person has mostly pain, the other mostly rest, and they differ: not a level's doing."""
    rng = np.random.default_rng(0)
    subject = ["a"] * 20 + ["b"] * 20
    level = ["PA4"] * 16 + ["BL"] * 4 + ["PA4"] * 4 + ["BL"] * 16
    x = rng.normal(size=(40, 5)) + np.repeat([30.0, 0.0], 20)[:, None]
    assert compare_levels(x, level, subject).p[0] > 0.05
    pooled = compare_levels(x, level, ["one"] * 40)  # as if they were one
    assert pooled.p[0] == 0.001


def test_windows_of_a_stimulus_count_once() -> None:
    """Ten copies of each window make no finding of chance."""
    x, level, subject = case(seed=1)
    names = [f"trial {i}" for i in range(len(x))]
    once = compare_levels(x, level, subject)
    again = compare_levels(
        np.repeat(x, 10, axis=0), np.repeat(level, 10).tolist(), np.repeat(subject, 10).tolist(),
        stimulus=np.repeat(names, 10).tolist(),
    )  # fmt: skip
    assert again.blocks == once.blocks == 24
    np.testing.assert_allclose(again.differences, once.differences, atol=1e-12)
    assert abs(again.p[0] - once.p[0]) < 0.1


@given(st.integers(0, 1000), st.permutations([0, 1, 2, 3]))
@settings(max_examples=15)
def test_names_and_order_of_people_change_nothing(seed: int, order: list[int]) -> None:
    x, level, subject = case(seed=seed)
    rows = np.concatenate([np.flatnonzero(np.array(subject) == f"s{i}") for i in order])
    other = [f"person {subject[i]}" for i in rows]
    first = compare_levels(x, level, subject, permutations=19)
    second = compare_levels(x[rows], [level[i] for i in rows], other, permutations=19)
    np.testing.assert_allclose(first.curves, second.curves, atol=1e-9)
    np.testing.assert_allclose(first.differences, second.differences, atol=1e-9)


def test_three_levels_against_the_first_and_people_with_one_left_out() -> None:
    x, level, subject = case(people=6, each=6, effect=4.0)
    level = ["PA1" if s in ("s0", "s1") and v == "PA4" else v for v, s in zip(level, subject,
        strict=True)]  # fmt: skip
    level = ["BL" if s == "s5" else v for v, s in zip(level, subject, strict=True)]
    found = compare_levels(x, level, subject, levels=("BL", "PA1", "PA4"))
    assert found.left_out == ("s5",)
    assert found.people == 5
    own = [i for i, s in enumerate(subject) if s in ("s0", "s1")]
    labels = np.array(["PA4" if level[i] == "PA1" else level[i] for i in own])
    wanted = gap(x[own], labels, np.array(subject)[own])
    np.testing.assert_allclose(found.differences[0], wanted, atol=1e-10)
    assert found.p.shape == (2,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": ["BL"] * 24}, "levels are BL, expected two"),
        ({"levels": ("BL", "PA1")}, "there are windows of PA4"),
        ({"subject": [f"s{i}" for i in range(24)]}, "none of 24 people has windows of two levels"),
        ({"level": ["BL", "PA4"]}, "with 2 levels and 24 subjects"),
        ({"curves": np.full((24, 3), np.nan)}, "a curve is not finite"),
        ({"permutations": 5}, "permutations is 5, expected at least 19"),
    ],
)
def test_refuses_what_cannot_be_compared(change: dict[str, Any], message: str) -> None:
    x, level, subject = case()
    given_ = {"curves": x, "level": level, "subject": subject} | change
    with pytest.raises(ConfigError, match=message):
        compare_levels(**given_)
