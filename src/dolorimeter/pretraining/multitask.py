"""Multi-task pre-training of an encoder of pictures.

Gkikas, Fernandez Rojas, Tsiknakis (PainFormer, IEEE TAFFC 2025) train one encoder on 14 tasks
together. Neither their code nor their list of tasks is public; what is stated is followed, and the
rest is ours, as ``docs/pretraining.md`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from dolorimeter.embeddings import Encoder
from dolorimeter.pretraining._checkpoint import Checkpoint, identity, joined
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._loop import Loop
from dolorimeter.pretraining._network import MultiTask
from dolorimeter.pretraining._result import (
    CHECKPOINT,
    EXAMPLES,
    LOG,
    WEIGHTS,
    Pretrained,
    TaskReport,
    told_of,
    write_result,
)
from dolorimeter.pretraining._runtime import Progress, accelerator, check_share
from dolorimeter.pretraining._tasks import Task, list_rows, split


def pretrain_multitask(
    config: Pretraining, out: str | Path, *, progress: Progress | None = None
) -> Pretrained:
    """Train an encoder on all tasks together; see `pretrain`."""
    out = Path(out)
    start = Encoder(
        config.encoder.name,
        weights=config.encoder.weights,
        without=config.encoder.without,
        seed=config.seed,
    )
    tasks = split([list_rows(task) for task in config.tasks], config.validation, config.seed)
    runtime = accelerator(config.device)
    check_share(config.batch_size, runtime.num_processes)
    trained_on = joined([start.trained_on, *(task.people(task.train) for task in tasks)])
    told = told_of(trained_on)
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        module = _network(config, start, tasks)
        checkpoint = Checkpoint(out / CHECKPOINT, identity(config, tasks, start.digest))
        loop = Loop(runtime, module, tasks, config, checkpoint)
        loop.run(out / LOG, progress, told)
    reports = tuple(_report(i, task, loop.faults) for i, task in enumerate(tasks))
    if runtime.is_main_process:
        held = joined(task.people(task.held) for task in tasks)
        told["size"] = config.size
        write_result(out, module.encoder, reports, told, held, config)
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
