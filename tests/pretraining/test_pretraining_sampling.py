"""Which rows a batch holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.pretraining import pretraining_from
from dolorimeter.pretraining._sampling import Sampler, counts, order, shares
from dolorimeter.pretraining._tasks import Task, list_rows, split

SIZES = (10_000, 900, 100)


@pytest.mark.parametrize(
    ("temperature", "wanted"),
    [(0.5, (100, 30, 10)), (1.0, SIZES), (0.0, (1, 1, 1))],
)
def test_tasks_are_mixed_in_proportion_to_a_power_of_their_size(
    temperature: float, wanted: tuple[float, ...]
) -> None:
    share = shares(SIZES, temperature)
    np.testing.assert_allclose(share, np.array(wanted) / sum(wanted), rtol=1e-12)
    steps, size = 2000, 16
    found = np.array([counts(share, size, 5, step) for step in range(1, steps + 1)])
    assert (found.sum(axis=1) == size).all()
    assert (np.abs(found - size * share) < 1).all()  # what a comb promises of every batch
    # a count lies between two whole numbers, so its variance is at most 1/4: five standard errors
    # of the mean over 2,000 batches are 5 · 0.5 / √2000 = 0.056 rows
    np.testing.assert_allclose(found.mean(axis=0), size * share, atol=0.056)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
def test_a_turn_has_every_row_once_and_few_blocks_at_a_time(
    rows: int, blocks: int, at_once: int, seed: int
) -> None:
    block = np.random.default_rng(seed).integers(blocks, size=rows)
    found = order(block, at_once, seed, task=0, turn=0)
    assert sorted(found.tolist()) == list(range(rows))
    groups: list[set[int]] = []
    for number in block[found].tolist():
        if groups and (number in groups[-1] or len(groups[-1]) < at_once):
            groups[-1].add(number)
        else:
            groups.append({number})
    assert sum(map(len, groups)) == len(set(block.tolist()))  # none comes again later


def test_turns_and_tasks_differ() -> None:
    block = np.zeros(50, dtype=np.int64)
    found = {tuple(order(block, 1, 0, t, n).tolist()) for t in range(3) for n in range(3)}
    assert len(found) == 9
    assert tuple(order(block, 1, 0, 2, 2).tolist()) in found


@pytest.fixture
def tasks(four_tasks: list[dict[str, Any]], small: Callable[..., Any]) -> tuple[Task, ...]:
    config = pretraining_from(small(tasks=four_tasks[:2]))
    return split([list_rows(task) for task in config.tasks], 0.2, 0)


def test_a_plan_is_the_same_wherever_it_is_begun(tasks: tuple[Task, ...]) -> None:
    none = np.zeros(2, dtype=np.int64)
    whole = list(Sampler(tasks, 10, 0.5, 1).plans(1, 30, none))
    later = list(Sampler(tasks, 10, 0.5, 1).plans(18, 30, whole[16].drawn))
    for a, b in zip(whole[17:], later, strict=True):
        assert a.step == b.step
        assert (a.row == b.row).all()
        assert (a.task == b.task).all()
        assert (a.drawn == b.drawn).all()
    assert any((a.row != b.row).any() for a, b in pairwise(whole))


def test_every_row_comes_once_before_any_comes_again_and_none_that_validates(
    tasks: tuple[Task, ...],
) -> None:
    plans = list(Sampler(tasks, 10, 0.5, 1).plans(1, 30, np.zeros(2, dtype=np.int64)))
    for number, task in enumerate(tasks):
        drawn = np.concatenate([plan.row[plan.task == number] for plan in plans])
        assert len(drawn) == plans[-1].drawn[number]
        n = len(task.train)
        assert len(drawn) > n
        for first in range(0, len(drawn) - n, n):
            assert sorted(drawn[first : first + n].tolist()) == task.train.tolist()
        assert not set(drawn.tolist()) & set(task.held.tolist())
