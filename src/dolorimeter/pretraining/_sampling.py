"""Which rows each batch holds: from seed, step and row alone, never from the order of processes.

A batch mixes tasks in proportion to size^τ: shares are laid on a line, and a comb of `batch_size`
teeth with a random start picks from them. Every batch then holds each task as often as its share
says, up to one row more or less, and on average exactly so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from dolorimeter.pretraining._tasks import Task

MIX, ORDER, AUGMENT, REPLACE = 1, 2, 3, 4
"""First numbers of the seeds, so that no two kinds of draws share one."""


def shares(sizes: Sequence[int], temperature: float) -> Float64[np.ndarray, " task"]:
    """Share of each task in a batch: size^τ over the sum of these.

    Examples
    --------
    >>> shares([100, 400], 0.5).tolist()
    [0.3333333333333333, 0.6666666666666666]
    """
    powers = np.asarray(sizes, dtype=np.float64) ** temperature
    return powers / powers.sum()


def counts(
    share: Float64[np.ndarray, " task"], batch_size: int, seed: int, step: int
) -> Int64[np.ndarray, " task"]:
    """Rows of each task in the batch of a step."""
    start = np.random.default_rng([seed, MIX, step]).random()
    teeth = (start + np.arange(batch_size)) / batch_size
    edges = np.cumsum(share)[:-1]
    return np.bincount(np.searchsorted(edges, teeth, side="right"), minlength=len(share))


def order(
    block: Int[np.ndarray, " row"], at_once: int, seed: int, task: int, turn: int
) -> Int64[np.ndarray, " row"]:
    """Positions of all rows in the order of one turn through a task.

    Blocks come in random order, `at_once` of them at a time, and the rows of these are shuffled
    together: what is read at any time lies in few shards.
    """
    rng = np.random.default_rng([seed, ORDER, task, turn])
    found, inverse = np.unique(block, return_inverse=True)
    group = rng.permutation(len(found)) // at_once
    return np.lexsort((rng.random(len(block)), group[inverse]))


@dataclass(frozen=True)
class Plan:
    """The rows of one batch over all processes, tasks one after another.

    Parameters
    ----------
    task, row : arrays
        Number of the task, and row within it.
    drawn : array
        Rows of each task that batches up to this one have taken.
    """

    step: int
    task: Int64[np.ndarray, " place"]
    row: Int64[np.ndarray, " place"]
    drawn: Int64[np.ndarray, " task"]

    @property
    def sizes(self) -> Int64[np.ndarray, " task"]:
        """Rows of each task in the batch."""
        return np.bincount(self.task, minlength=len(self.drawn))


class Sampler:
    """Batches of a list of tasks; every row of a task comes once before any comes again."""

    def __init__(
        self, tasks: Sequence[Task], batch_size: int, temperature: float, seed: int
    ) -> None:
        self.tasks, self.batch_size, self.seed = tasks, batch_size, seed
        self.share = shares([len(task.train) for task in tasks], temperature)
        self._orders: dict[int, tuple[int, Int64[np.ndarray, " row"]]] = {}

    def plans(self, first: int, last: int, drawn: Int64[np.ndarray, " task"]) -> Iterator[Plan]:
        """Batches of the steps `first` to `last`, after `drawn` rows of each task."""
        for step in range(first, last + 1):
            wanted = counts(self.share, self.batch_size, self.seed, step)
            rows = [self._rows(i, int(drawn[i]), int(n)) for i, n in enumerate(wanted)]
            drawn = drawn + wanted
            yield Plan(
                step, np.repeat(np.arange(len(wanted)), wanted), np.concatenate(rows), drawn
            )

    def other(self, task: int, step: int, place: int, attempt: int) -> int:
        """A row in place of one that cannot be read."""
        rng = np.random.default_rng([self.seed, REPLACE, step, place, attempt])
        return int(rng.choice(self.tasks[task].train))

    def _rows(self, task: int, start: int, count: int) -> Int64[np.ndarray, " row"]:
        train = self.tasks[task].train
        found = [np.empty(0, dtype=np.int64)]
        while count:
            turn, at = divmod(start, len(train))
            taken = self._order(task, turn)[at : at + count]
            found.append(train[taken])
            start, count = start + len(taken), count - len(taken)
        return np.concatenate(found)

    def _order(self, task: int, turn: int) -> Int64[np.ndarray, " row"]:
        if self._orders.get(task, (-1,))[0] != turn:
            rows = self.tasks[task]
            block = rows.rows.block[rows.train]
            found = order(block, rows.rows.source.at_once, self.seed, task, turn)
            self._orders[task] = (turn, found)
        return self._orders[task][1]
