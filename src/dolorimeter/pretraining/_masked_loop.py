"""The loop of a masked pre-training: no labels, one network or two, resumed to the same end."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, distributed, nn

from dolorimeter.errors import RecordingError, TrainingError
from dolorimeter.pretraining._checkpoint import Checkpoint
from dolorimeter.pretraining._log import Entry, Log
from dolorimeter.pretraining._masked_config import Masked
from dolorimeter.pretraining._runtime import Progress, due, gathered, read_ahead, step_seed
from dolorimeter.pretraining._sampling import REPLACE, order
from dolorimeter.pretraining._statistics import processes
from dolorimeter.training import Schedule

DRAW = 6
"""First number of the seed of what is drawn for one sample: its mask, where a clip begins."""
ATTEMPTS = 20
"""Rows tried in place of one that cannot be read."""
Arrays = tuple[np.ndarray, ...]


@dataclass
class Part:
    """A network that learns by itself: its optimiser and its learning rate by step."""

    name: str
    optimiser: torch.optim.Optimizer
    rate: Schedule


class Job(ABC):
    """What is learned, and of what.

    Attributes
    ----------
    module : nn.Module
        All that learns.
    parts : list of Part
        What of it learns together.
    train : Int64[np.ndarray, "row"]
        Rows that are trained on.
    """

    module: nn.Module
    parts: list[Part]
    train: Int64[np.ndarray, " row"]

    @abstractmethod
    def load(self, row: int, rng: np.random.Generator) -> Arrays:
        """One sample and its mask; `RecordingError` if it cannot be read. Threads call it."""

    @abstractmethod
    def collate(self, samples: Sequence[Arrays]) -> tuple[Tensor, ...]:
        """A batch."""

    @abstractmethod
    def learn(self, batch: tuple[Tensor, ...], total: int, descend: Descend) -> dict[str, Tensor]:
        """Learn from this process's share of a batch of `total` samples.

        What is returned is this process's share of each loss.
        """

    @abstractmethod
    def validate(self) -> list[tuple[str, float, int]]:
        """Names, losses and numbers of samples, of people who are not trained on."""


Descend = Callable[[Sequence[str], Tensor], None]
"""One step of the parts of those names, down the gradient of this process's share of a loss."""


@dataclass(frozen=True)
class Loaded:
    """One sample, its row, and what was wrong with those tried before."""

    arrays: Arrays
    faults: tuple[tuple[int, str], ...]


@dataclass
class Waiting:
    """Seconds that were waited for data, and seconds in all."""

    waited: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float | None:
        """Of the time; None before any has passed."""
        return self.waited / self.total if self.total else None


@dataclass
class MaskedLoop:
    """One pre-training in this process.

    Parameters
    ----------
    runtime : Accelerator
        Of `accelerate`: devices and processes.
    """

    runtime: Any
    job: Job
    config: Masked
    checkpoint: Checkpoint
    done: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)

    def run(self, log: Path, progress: Progress | None, told: Mapping[str, Any]) -> None:
        """Go on to the last step. `told` is kept in each checkpoint."""
        self._resume()
        config = self.config
        lines = Log(log, self.done) if self.runtime.is_main_process else None
        for step, loaded in self._timed(read_ahead(self._plans(), config.workers)):
            for one in loaded:
                for row, reason in one.faults:
                    self.faults.setdefault(row, reason)
            entries = self._step(step, [one.arrays for one in loaded])
            self.done = step
            if not due(step, config.log_every, config.steps):
                entries = []
            if due(step, config.validate_every, config.steps):
                self.job.module.eval()
                entries += [
                    Entry(step, "validation", name, loss, rows)
                    for name, loss, rows in self.job.validate()
                ]
            if lines is not None:
                lines.add(entries)
            if due(step, config.checkpoint_every, config.steps):
                self._save(told)
            if progress is not None and self.runtime.is_main_process:
                progress(step, config.steps)

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The same, with the time that is waited for each; the first batch does not count."""
        first, begun = True, time.perf_counter()
        while True:
            asked = time.perf_counter()
            try:
                found = next(batches)
            except StopIteration:
                self.waiting.total += time.perf_counter() - begun
                return
            if first:
                first, begun = False, time.perf_counter()
            else:
                self.waiting.waited += time.perf_counter() - asked
            yield found

    def _plans(self) -> Iterator[tuple[int, list[Callable[[], Loaded]]]]:
        rank, world = self.runtime.process_index, self.runtime.num_processes
        size = self.config.batch_size
        for step in range(self.done + 1, self.config.steps + 1):
            rows = self._rows(step)
            yield step, [partial(self._load, step, p, rows[p]) for p in range(rank, size, world)]

    def _rows(self, step: int) -> list[int]:
        """Every row once before any comes again; in an order of its own in each turn."""
        train, size = self.job.train, self.config.batch_size
        found: list[int] = []
        at = (step - 1) * size
        while len(found) < size:
            turn, start = divmod(at + len(found), len(train))
            places = order(np.zeros(len(train), dtype=np.int64), 1, self.config.seed, 0, turn)
            found += train[places[start : start + size - len(found)]].tolist()
        return found

    def _load(self, step: int, place: int, row: int) -> Loaded:
        """The sample of a place, drawn by a generator of that place in that step alone."""
        faults: list[tuple[int, str]] = []
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.config.seed, DRAW, step, place])
            try:
                return Loaded(self.job.load(row, rng), tuple(faults))
            except RecordingError as error:
                faults.append((row, str(error)))
                draw = np.random.default_rng([self.config.seed, REPLACE, step, place, attempt])
                row = int(draw.choice(self.job.train))
        raise TrainingError(
            f"{ATTEMPTS} rows drawn one after another cannot be read, the last since "
            f"{faults[-1][1]} Check the files."
        )

    def _step(self, step: int, samples: Sequence[Arrays]) -> list[Entry]:
        config, device = self.config, self.runtime.device
        torch.manual_seed(step_seed(config.seed, step, self.runtime.process_index))
        self.job.module.train()
        for part in self.job.parts:
            for group in part.optimiser.param_groups:
                group["lr"] = part.rate(step)
        batch = tuple(t.to(device) for t in self.job.collate(samples))
        losses = self.job.learn(batch, config.batch_size, self._descend)
        stacked = torch.stack([v.detach().float() for v in losses.values()])
        values = self.runtime.reduce(stacked, "sum").tolist()
        rate = self.job.parts[0].rate(step)
        found = dict(zip(losses, values, strict=True))
        if not all(map(math.isfinite, values)):
            raise TrainingError(
                f"the loss is not finite in step {step} ({found}). Lower the learning rate (now "
                f"{rate:g}) or set gradient_clip; the last checkpoint is kept."
            )
        return [
            Entry(step, "train", name, value, config.batch_size, learning_rate=rate)
            for name, value in found.items()
        ]

    def _descend(self, names: Sequence[str], loss: Tensor) -> None:
        optimisers = [part.optimiser for part in self.job.parts if part.name in names]
        own = [p for o in optimisers for group in o.param_groups for p in group["params"]]
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=own)
        if processes() > 1:
            for parameter in own:
                if parameter.grad is None:  # every process joins each sum
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        if self.config.gradient_clip:
            nn.utils.clip_grad_norm_(own, self.config.gradient_clip)
        for optimiser in optimisers:
            optimiser.step()

    def _save(self, told: Mapping[str, Any]) -> None:
        for row, reason in gathered(self.runtime, list(self.faults.items())):
            self.faults.setdefault(row, reason)
        if not self.runtime.is_main_process:
            return
        state = {
            "step": self.done,
            "module": self.job.module.state_dict(),
            "optimisers": {part.name: part.optimiser.state_dict() for part in self.job.parts},
            "faults": [[row, reason] for row, reason in sorted(self.faults.items())],
        }
        self.checkpoint.save({**state, **told})

    def _resume(self) -> None:
        state = self.checkpoint.load()
        if state is None:
            return
        self.job.module.load_state_dict(state["module"])
        for part in self.job.parts:
            part.optimiser.load_state_dict(state["optimisers"][part.name])
        self.done = int(state["step"])
        self.faults = {int(row): str(reason) for row, reason in state["faults"]}


def computing(config: Masked, device: torch.device) -> AbstractContextManager[object]:
    """Autocast where bfloat16 is asked for."""
    if config.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
