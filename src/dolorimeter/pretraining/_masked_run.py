"""From rows and a job to weights that say whom they have met: what both masked kinds share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from dolorimeter.models import SignalAutoencoder
from dolorimeter.pretraining._checkpoint import Checkpoint, TrainedOn, joined
from dolorimeter.pretraining._masked_config import Masked
from dolorimeter.pretraining._masked_loop import Job, MaskedLoop
from dolorimeter.pretraining._people import Listing
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


@dataclass(frozen=True)
class Material:
    """Rows, who is trained on, and what a report must say of them.

    Parameters
    ----------
    met : mapping, or None
        Whom the starting weights have met; None: nobody has said.
    substituted : callable
        What has been put in the place of something else so far.
    identity : str
        Digest of all that the weights follow from.
    """

    listing: Listing
    train: Int64[np.ndarray, " row"]
    held: Int64[np.ndarray, " held"]
    met: TrainedOn | None
    modality: str
    labels: tuple[str, ...]
    substituted: Callable[[], Mapping[str, int]]
    identity: str


def run_masked(
    config: Masked,
    out: str | Path,
    material: Material,
    build: Callable[[torch.device], Job],
    progress: Progress | None,
) -> Pretrained:
    """Train, and write weights, log and report."""
    out = Path(out)
    runtime = accelerator(config.device)
    check_share(config.batch_size, runtime.num_processes)
    trained_on = joined([material.met, material.listing.met(material.train)])
    told = told_of(trained_on, self_supervised=True)
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(config.seed)
        job = build(runtime.device)
        loop = MaskedLoop(runtime, job, config, Checkpoint(out / CHECKPOINT, material.identity))
        loop.run(out / LOG, progress, told)
    report = _report(config, material, loop)
    if runtime.is_main_process:
        held = material.listing.met(material.held)
        whole = job.module if isinstance(job.module, SignalAutoencoder) else None
        write_result(out, _encoder(job), (report,), told, held, config, whole)
    runtime.wait_for_everyone()
    remarks = tuple(_remarks(config, material, report, loop))
    return Pretrained(
        out / WEIGHTS, out / LOG, (report,), config.steps, trained_on, remarks, loop.waiting.share
    )


def _encoder(job: Job) -> torch.nn.Module:
    module = job.module
    painter = module if isinstance(module, SignalAutoencoder) else module["autoencoder"]  # type: ignore[index]
    encoder: torch.nn.Module = painter.encoder
    return encoder


def _report(config: Masked, material: Material, loop: MaskedLoop) -> TaskReport:
    reasons = [reason for _, reason in sorted(loop.faults.items())]
    people = [
        sum(map(len, material.listing.met(rows).values()))
        for rows in (material.train, material.held)
    ]
    return TaskReport(
        name=str(getattr(config, "kind", "")),
        modality=material.modality,
        labels=material.labels,
        trained_rows=len(material.train),
        validated_rows=len(material.held),
        trained_people=people[0],
        validated_people=people[1],
        left_out=dict(material.listing.left_out),
        unreadable=len(reasons),
        examples=tuple(reasons[:EXAMPLES]),
        substituted=dict(material.substituted()),
    )


def _remarks(
    config: Masked, material: Material, report: TaskReport, loop: MaskedLoop
) -> list[str]:
    """Sentences a report must print."""
    found = []
    if material.met is None:
        found.append("nobody has said whom the starting weights have met")
    if report.unreadable:
        found.append(
            f"{report.unreadable:,} rows could not be read, and others stood in for them: "
            f"{report.examples[0]}"
        )
    found += [f"left out {n:,}: {why}" for why, n in report.left_out.items()]
    found += [f"substituted {n:,}: {why}" for why, n in report.substituted.items()]
    if config.validation and not report.validated_rows:
        found.append("no row validates")
    if loop.waiting.share is not None:
        found.append(f"{loop.waiting.share:.1%} of the time was waited for data")
    return found
