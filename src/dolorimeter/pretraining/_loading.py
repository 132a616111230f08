"""Batches of pictures, read ahead by threads; what cannot be read is replaced and counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from dolorimeter.augmentation import augment_clip
from dolorimeter.errors import RecordingError, TrainingError
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._runtime import read_ahead
from dolorimeter.pretraining._sampling import AUGMENT, Plan, Sampler
from dolorimeter.pretraining._tasks import Task

ATTEMPTS = 20
"""Rows of a task tried in place of one that cannot be read."""


class Fault(NamedTuple):
    """A picture that could not be read: number of its task, its row, and why."""

    task: int
    row: int
    reason: str


@dataclass(frozen=True)
class Loaded:
    """One picture, the row it shows, and what was wrong with those tried before."""

    picture: UInt8[np.ndarray, "3 side side"]
    row: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Batch:
    """What one process has of a batch; `plan` is of all of them."""

    plan: Plan
    task: Int64[np.ndarray, " own"]
    row: Int64[np.ndarray, " own"]
    pictures: UInt8[np.ndarray, "own 3 side side"]
    faults: tuple[Fault, ...]


class Loader:
    """Pictures of planned batches: those of the places that belong to this process.

    Parameters
    ----------
    rank, world : int
        This process, and how many there are: it has every `world`-th place from `rank` on.
    """

    def __init__(self, sampler: Sampler, config: Pretraining, rank: int, world: int) -> None:
        self.sampler, self.config = sampler, config
        self.rank, self.world = rank, world
        self.names = [config.augmentations(task.config) for task in sampler.tasks]

    def batches(self, first: int, last: int, drawn: Int64[np.ndarray, " task"]) -> Iterator[Batch]:
        """Batches of the steps `first` to `last`, after `drawn` rows of each task.

        Raises
        ------
        TrainingError
            If one row of a task after the other cannot be read.
        """
        plans = self.sampler.plans(first, last, drawn)
        jobs = ((p, [partial(self._load, p, place) for place in self._places(p)]) for p in plans)
        for plan, loaded in read_ahead(jobs, self.config.workers):
            yield self._joined(plan, loaded)

    def _places(self, plan: Plan) -> range:
        return range(self.rank, len(plan.task), self.world)

    def _joined(self, plan: Plan, loaded: Sequence[Loaded]) -> Batch:
        size = self.config.size
        pictures = np.empty((len(loaded), 3, size, size), dtype=np.uint8)
        for number, one in enumerate(loaded):
            pictures[number] = one.picture
        return Batch(
            plan,
            plan.task[self.rank :: self.world],
            np.array([one.row for one in loaded], dtype=np.int64),
            pictures,
            tuple(fault for one in loaded for fault in one.faults),
        )

    def _load(self, plan: Plan, place: int) -> Loaded:
        """The picture of a place, changed by a generator of that place in that step alone."""
        number, row = int(plan.task[place]), int(plan.row[place])
        task, faults = self.sampler.tasks[number], []
        for attempt in range(ATTEMPTS):
            try:
                picture = task.picture(row, self.config.size)
                break
            except RecordingError as error:
                faults.append(Fault(number, row, str(error)))
                row = self.sampler.other(number, plan.step, place, attempt)
        else:
            raise TrainingError(
                f"task '{task.config.name}': {ATTEMPTS} rows drawn one after another cannot be "
                f"read, the last since {faults[-1].reason} Check the files."
            )
        if self.names[number]:
            rng = np.random.default_rng([self.config.seed, AUGMENT, plan.step, place])
            picture = augment_clip(picture[None], self.names[number], rng)[0]
        return Loaded(picture, row, tuple(faults))


def read_rows(
    task: Task, number: int, rows: Int64[np.ndarray, " row"], size: int
) -> tuple[UInt8[np.ndarray, "kept 3 side side"], Int64[np.ndarray, " kept"], list[Fault]]:
    """Pictures of rows as they are, the rows that could be read, and the others' faults."""
    pictures, kept, faults = [], [], []
    for row in rows.tolist():
        try:
            pictures.append(task.picture(row, size))
            kept.append(row)
        except RecordingError as error:
            faults.append(Fault(number, row, str(error)))
    stacked = np.stack(pictures) if pictures else np.empty((0, 3, size, size), dtype=np.uint8)
    return stacked, np.array(kept, dtype=np.int64), faults
