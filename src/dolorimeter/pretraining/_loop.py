"""The loop: one process or several, stopped and gone on with, to the same end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from dolorimeter.errors import TrainingError
from dolorimeter.pretraining._checkpoint import Checkpoint
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._loading import Batch, Fault, Loader, read_rows
from dolorimeter.pretraining._log import ALL, Entry, Log
from dolorimeter.pretraining._network import MultiTask
from dolorimeter.pretraining._runtime import Progress, due, gathered, spread, step_seed
from dolorimeter.pretraining._sampling import Sampler
from dolorimeter.pretraining._score import score
from dolorimeter.pretraining._tasks import Task
from dolorimeter.training import cosine, warm_up

Held = tuple[list[Entry], list[Fault]]


class Loop:
    """One pre-training in this process.

    Parameters
    ----------
    runtime : Accelerator
        Of `accelerate`: devices and processes.
    """

    def __init__(
        self,
        runtime: Any,
        module: MultiTask,
        tasks: Sequence[Task],
        config: Pretraining,
        checkpoint: Checkpoint,
    ) -> None:
        self.runtime, self.module, self.tasks, self.config = runtime, module, tasks, config
        self.checkpoint = checkpoint
        self.parallel, self.optimiser = runtime.prepare(module, _optimiser(module, config))
        self.loader = Loader(
            Sampler(tasks, config.batch_size, config.temperature, config.seed),
            config,
            runtime.process_index,
            runtime.num_processes,
        )
        rate = cosine(config.learning_rate, config.steps, config.warm_up)
        self.rate = warm_up(rate, config.warm_up)
        self.done = 0
        self.drawn: Int64[np.ndarray, " task"] = np.zeros(len(tasks), dtype=np.int64)
        self.faults: dict[tuple[int, int], str] = {}

    def run(self, log: Path, progress: Progress | None, told: dict[str, Any]) -> None:
        """Go on to the last step. `told` is kept in each checkpoint."""
        self._resume()
        lines = Log(log, self.done) if self.runtime.is_main_process else None
        for batch in self.loader.batches(self.done + 1, self.config.steps, self.drawn):
            entries = self._step(batch)
            step = self.done = batch.plan.step
            self.drawn = batch.plan.drawn
            if not due(step, self.config.log_every, self.config.steps):
                entries = []
            if due(step, self.config.validate_every, self.config.steps):
                entries += self._validate(step)
            if lines is not None:
                lines.add(entries)
            if due(step, self.config.checkpoint_every, self.config.steps):
                self._save(told)
            if progress is not None and self.runtime.is_main_process:
                progress(step, self.config.steps)

    def _step(self, batch: Batch) -> list[Entry]:
        """Learn from one batch."""
        self._remember(batch.faults)
        config, sizes = self.config, batch.plan.sizes.tolist()
        torch.manual_seed(step_seed(config.seed, batch.plan.step, self.runtime.process_index))
        self.parallel.train()
        rate = self.rate(batch.plan.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        total, parts, takes_part = self.parallel(*self._tensors(batch), sizes)
        values = self.runtime.reduce(torch.cat((total.detach()[None], parts.detach())), "sum")
        found = values.tolist()
        self._check(found, batch.plan.step, rate)
        # gradients are averaged over processes: times their number makes that a sum
        self.runtime.backward(total * self.runtime.num_processes)
        told = takes_part.tolist()
        self._forget_absent(told)
        if config.gradient_clip:
            nn.utils.clip_grad_norm_(self.module.parameters(), config.gradient_clip)
        s = [v.item() for v in self.module.log_variances]
        weights = [self.module.weight(number) for number in range(len(self.tasks))]
        self.optimiser.step()
        self.module.clamp()
        step = batch.plan.step
        return [Entry(step, "train", ALL, found[0], sum(sizes), learning_rate=rate)] + [
            Entry(step, "train", task.config.name, found[i + 1], sizes[i], s[i], weights[i], rate)
            for i, task in enumerate(self.tasks)
            if told[i]
        ]

    def _tensors(self, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Pictures, their tasks, and labels by task, on the device."""
        device = self.runtime.device
        targets = [
            torch.from_numpy(task.targets(batch.row[batch.task == number])).to(device)
            for number, task in enumerate(self.tasks)
        ]
        pictures = torch.from_numpy(batch.pictures).to(device)
        return pictures, torch.from_numpy(batch.task).to(device), targets

    def _forget_absent(self, takes_part: Sequence[bool]) -> None:
        """A task that has no loss in the batch is not touched, not even by momentum or decay."""
        for number, there in enumerate(takes_part):
            if not there:
                self.module.log_variances[number].grad = None
                for parameter in self.module.heads[number].parameters():
                    parameter.grad = None

    def _check(self, values: Sequence[float], step: int, rate: float) -> None:
        if all(map(math.isfinite, values)):
            return
        names = [
            f"{task.config.name} {value}"
            for task, value in zip(self.tasks, values[1:], strict=True)
            if not math.isfinite(value)
        ]
        raise TrainingError(
            f"the loss is not finite in step {step} ({', '.join(names) or values[0]}). Lower the "
            f"learning rate (now {rate:g}) or set gradient_clip; the last checkpoint is kept."
        )

    def _validate(self, step: int) -> list[Entry]:
        """Loss and score of each task over people who are not trained on."""
        self.module.eval()
        entries = []
        for number, task in enumerate(self.tasks):
            rows = spread(task.held, self.config.validation_rows)
            outputs, targets = self._outputs(number, rows)
            if not len(outputs):
                continue
            losses = self.module.losses(number, outputs, targets)
            name = task.config.name
            value = score(task.config.label, outputs.double().numpy(), targets.numpy())
            entries.append(
                Entry(step, "validation", name, losses.mean().item(), len(outputs), score=value)
            )
        return entries

    def _outputs(self, number: int, rows: Int64[np.ndarray, " row"]) -> tuple[Tensor, Tensor]:
        """Outputs and targets of rows, read by all processes together."""
        task, runtime = self.tasks[number], self.runtime
        own = rows[runtime.process_index :: runtime.num_processes]
        outputs, targets = [], []
        for first in range(0, len(own), self.config.batch_size):
            some = own[first : first + self.config.batch_size]
            pictures, kept, faults = read_rows(task, number, some, self.config.size)
            self._remember(faults)
            if not len(kept):
                continue
            with torch.inference_mode():
                features = self.module.features(torch.from_numpy(pictures).to(runtime.device))
                outputs.append(self.module.heads[number](features).cpu().numpy())
            targets.append(task.targets(kept))
        pairs = gathered(runtime, [list(zip(outputs, targets, strict=True))])
        flat = [pair for part in pairs for pair in part]
        if not flat:
            return torch.empty(0, task.width), torch.empty(0)
        joined = [np.concatenate(part) for part in zip(*flat, strict=True)]
        return torch.from_numpy(joined[0]), torch.from_numpy(joined[1])

    def _remember(self, faults: Sequence[Fault]) -> None:
        for task, row, reason in faults:
            self.faults.setdefault((task, row), reason)

    def _gather_faults(self) -> None:
        for part in gathered(self.runtime, [list(self.faults.items())]):
            for key, reason in part:
                self.faults.setdefault(key, reason)

    def _save(self, told: dict[str, Any]) -> None:
        self._gather_faults()
        if not self.runtime.is_main_process:
            return
        faults = [[*key, reason] for key, reason in sorted(self.faults.items())]
        self.checkpoint.save(
            {
                "step": self.done,
                "drawn": self.drawn.tolist(),
                "module": self.module.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "faults": faults,
                **told,
            }
        )

    def _resume(self) -> None:
        state = self.checkpoint.load()
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.done = int(state["step"])
        self.drawn = np.array(state["drawn"], dtype=np.int64)
        self.faults = {(task, row): reason for task, row, reason in state["faults"]}


def _optimiser(module: MultiTask, config: Pretraining) -> torch.optim.Optimizer:
    """AdamW; weight decay on matrices and larger, never on the tasks' weights."""
    s = {id(p) for p in module.log_variances}
    learning = [p for p in module.parameters() if p.requires_grad and id(p) not in s]
    groups = [
        ([p for p in learning if p.ndim >= 2], config.weight_decay, 1.0),
        ([p for p in learning if p.ndim < 2], 0.0, 1.0),
        ([p for p in module.log_variances if p.requires_grad], 0.0, config.weighting_rate),
    ]
    return torch.optim.AdamW(
        [{"params": p, "weight_decay": decay, "factor": f} for p, decay, f in groups if p]
    )
