"""What a pre-training leaves: weights that say whom they have met, a log, what it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from dolorimeter.pretraining._checkpoint import TrainedOn, write_encoder
from dolorimeter.storage import write_json

WEIGHTS, LOG, TASKS, CHECKPOINT = "encoder.safetensors", "log.csv", "tasks.json", "checkpoint.pt"
"""Files of a run."""
AUTOENCODER = "autoencoder.safetensors"
"""Encoder and decoder of signals together: they fill gaps."""
EXAMPLES = 20
"""Unreadable pictures that are named; all are counted."""


@dataclass(frozen=True)
class TaskReport:
    """What a task was made of.

    Parameters
    ----------
    labels : tuple of str
        Its classes or columns; of a masked pre-training, the channels.
    trained_rows, validated_rows : int
        Pictures, clips or windows there were, on each side.
    trained_people, validated_people : int
        Who is known to be shown in them.
    left_out : mapping of str to int
        Rows that were never used, and why.
    unreadable : int
        Rows that were asked for and could not be read; others were taken in their place.
    examples : tuple of str
        What was wrong with the first of them.
    substituted : mapping of str to int
        What was put in the place of something else, and how often.
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
    substituted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pretrained:
    """What a pre-training left.

    Parameters
    ----------
    weights : Path
        Of the encoder; beside it a JSON file that says whom they have met.
    log : Path
        CSV: losses, s and weight of each task, and the learning rate, step by step.
    tasks : tuple of TaskReport
    steps : int
    trained_on : mapping of namespace to people, or None
        None: nobody has said whom the starting weights have met.
    remarks : tuple of str
        What a reader must know.
    waiting : float or None
        Share of the time that this call waited for data; None where nobody measured.
    """

    weights: Path
    log: Path
    tasks: tuple[TaskReport, ...]
    steps: int
    trained_on: Mapping[str, tuple[str, ...]] | None
    remarks: tuple[str, ...] = ()
    waiting: float | None = None

    def table(self) -> Any:
        """The log as a pandas table."""
        import pandas as pd

        return pd.read_csv(self.log)


def told_of(trained_on: TrainedOn | None, *, self_supervised: bool = False) -> dict[str, Any]:
    """What stands beside weights, from the first checkpoint on."""
    return {"trained_on": lists(trained_on), "self_supervised": self_supervised}


def write_result(
    out: Path,
    encoder: nn.Module,
    reports: Sequence[TaskReport],
    told: Mapping[str, Any],
    held: TrainedOn | None,
    config: Any,
    autoencoder: nn.Module | None = None,
) -> None:
    """Weights, whom they have met, and the list of tasks; by the first process alone."""
    more = {"validated_on": lists(held), "steps": config.steps, "settings": config.plain()}
    write_json(out / TASKS, [vars(report) for report in reports])
    write_encoder(out / WEIGHTS, encoder, {**told, **more})
    if autoencoder is not None:
        write_encoder(out / AUTOENCODER, autoencoder, {**told, **more})


def lists(people: TrainedOn | None) -> dict[str, list[str]] | None:
    """As JSON has it."""
    return None if people is None else {n: list(names) for n, names in people.items()}
