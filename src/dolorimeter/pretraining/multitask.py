"""Multi-task pre-training of an encoder of pictures.

Gkikas, Fernandez Rojas, Tsiknakis (PainFormer, IEEE TAFFC 2025) train one encoder on 14 tasks
together. Neither their code nor their list of tasks is public; what is stated is followed, and the
rest is ours, as ``docs/pretraining.md`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dolorimeter.embeddings import Encoder
from dolorimeter.pretraining._checkpoint import Checkpoint, identity, joined, write_encoder
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._loop import Loop, Progress, accelerator, check_share
from dolorimeter.pretraining._network import MultiTask
from dolorimeter.pretraining._tasks import Task, list_rows, split
from dolorimeter.storage import write_json

WEIGHTS, LOG, TASKS, CHECKPOINT = "encoder.safetensors", "log.csv", "tasks.json", "checkpoint.pt"
"""Files of a run."""
EXAMPLES = 20
"""Unreadable pictures that are named; all are counted."""


@dataclass(frozen=True)
class TaskReport:
    """What a task was made of.

    Parameters
    ----------
    labels : tuple of str
        Its classes or columns.
    trained_rows, validated_rows : int
        Pictures there were, on each side.
    trained_people, validated_people : int
        Who is known to be shown in them.
    left_out : mapping of str to int
        Rows that were never used, and why.
    unreadable : int
        Pictures that were asked for and could not be read; others were taken in their place.
    examples : tuple of str
        What was wrong with the first of them.
    """

    name: str
    modality: str
    labels: tuple[str, ...]
    trained_rows: int
    validated_rows: int
    trained_people: int
    validated_people: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training left.

    Parameters
    ----------
    weights : Path
        For `embeddings.Encoder`; beside it a JSON file that says whom they have met.
    log : Path
        CSV: losses, s and weight of each task, and the learning rate, step by step.
    tasks : tuple of TaskReport
    steps : int
    trained_on : mapping of namespace to people, or None
        None: nobody has said whom the starting weights have met.
    remarks : tuple of str
        What a reader must know.
    """

    weights: Path
    log: Path
    tasks: tuple[TaskReport, ...]
    steps: int
    trained_on: Mapping[str, tuple[str, ...]] | None
    remarks: tuple[str, ...] = ()

    def table(self) -> Any:
        """The log as a pandas table."""
        import pandas as pd

        return pd.read_csv(self.log)


def pretrain(
    config: Pretraining, out: str | Path, *, progress: Progress | None = None
) -> Pretrained:
    """Train an encoder on all tasks together.

    Every process of ``accelerate launch`` or ``torchrun`` calls it; they share `out`. A call that
    finds the checkpoint of an interrupted one goes on from it, and ends as if it had never
    stopped: in one process bit for bit.

    Parameters
    ----------
    config : Pretraining
        See `read_pretraining`.
    out : path
        Folder for weights, log, list of tasks and checkpoint.
    progress : callable, optional
        Called with the steps done and the steps wanted, by the first process alone.

    Raises
    ------
    ConfigError
        If a reader, a label or a setting makes no sense.
    DatasetError
        If a task's files are not there, or not what its reader reads.
    TrainingError
        If the loss is not finite, pictures cannot be read any more, or the checkpoint is of
        another pre-training.
    StorageError
        If files cannot be read or written.
    """
    out = Path(out)
    start = Encoder(
        config.encoder.name,
        weights=config.encoder.weights,
        without=config.encoder.without,
        seed=config.seed,
    )
    tasks = split([list_rows(task) for task in config.tasks], config.validation, config.seed)
    runtime = accelerator(config.device)
    check_share(config, runtime.num_processes)
    trained_on = joined([start.trained_on, *(task.people(task.train) for task in tasks)])
    told = {"trained_on": _lists(trained_on), "self_supervised": False}
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        module = _network(config, start, tasks)
        checkpoint = Checkpoint(out / CHECKPOINT, identity(config, tasks, start.digest))
        loop = Loop(runtime, module, tasks, config, checkpoint)
        loop.run(out / LOG, progress, told)
    reports = tuple(_report(i, task, loop.faults) for i, task in enumerate(tasks))
    if runtime.is_main_process:
        held = joined(task.people(task.held) for task in tasks)
        more = {"validated_on": _lists(held), "size": config.size, "steps": config.steps}
        more |= {"settings": config.plain()}
        write_json(out / TASKS, [vars(report) for report in reports])
        write_encoder(out / WEIGHTS, module.encoder, told | more)
    runtime.wait_for_everyone()
    remarks = tuple(_remarks(config, start, tasks, reports))
    return Pretrained(out / WEIGHTS, out / LOG, reports, config.steps, trained_on, remarks)


def _network(config: Pretraining, start: Encoder, tasks: tuple[Task, ...]) -> MultiTask:
    encoder = start.build().requires_grad_(True)
    torch.manual_seed(config.seed)
    module = MultiTask(encoder, start.width, start.input, tasks, config)
    if config.precision == "float64":
        module.double()
    module.fix_unused()
    return module


def _report(number: int, task: Task, faults: Mapping[tuple[int, int], str]) -> TaskReport:
    reasons = [reason for (of, _), reason in sorted(faults.items()) if of == number]
    return TaskReport(
        name=task.config.name,
        modality=task.config.modality,
        labels=task.rows.names,
        trained_rows=len(task.train),
        validated_rows=len(task.held),
        trained_people=_people(task, task.train),
        validated_people=_people(task, task.held),
        left_out=dict(task.rows.faults),
        unreadable=len(reasons),
        examples=tuple(reasons[:EXAMPLES]),
    )


def _people(task: Task, rows: np.ndarray) -> int:
    return len(set(task.rows.person[rows].tolist()) - {-1})


def _lists(people: Mapping[str, tuple[str, ...]] | None) -> dict[str, list[str]] | None:
    return None if people is None else {n: list(names) for n, names in people.items()}


def _remarks(
    config: Pretraining, start: Encoder, tasks: tuple[Task, ...], reports: tuple[TaskReport, ...]
) -> list[str]:
    """Sentences a report must print."""
    found = []
    if config.encoder.weights and start.trained_on is None:
        found.append(f"nobody has said whom the starting weights {start.weights} have met")
    for task, report in zip(tasks, reports, strict=True):
        name = report.name
        if (task.rows.person < 0).any():
            found.append(f"{name}: nobody says who is shown, so it counts as the whole set")
        if report.unreadable:
            found.append(f"{name}: {report.unreadable:,} pictures could not be read")
        found += [f"{name}: left out {n:,}: {why}" for why, n in report.left_out.items()]
        if config.validation and not report.validated_rows:
            found.append(f"{name}: no row validates")
        if task.rows.classes is not None:
            seen = set(task.rows.classes[task.train].tolist())
            rest = [label for i, label in enumerate(report.labels) if i not in seen]
            if rest:
                found.append(f"{name}: never trained on: {', '.join(rest[:5])}")
    return found
