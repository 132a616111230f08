"""From what a killed run goes on, and what is left at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from dolorimeter.errors import StorageError, TrainingError
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._tasks import Task
from dolorimeter.storage import atomic_path, digest, write_bytes, write_json

FREE = ("workers", "device", "checkpoint_every", "log_every", "validate_every", "validation_rows")
"""Settings that may change while a run is interrupted: the weights do not depend on them."""
TrainedOn = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Checkpoint:
    """A file from which one pre-training, and no other, goes on."""

    path: Path
    identity: str

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace what is there, as a whole."""
        with atomic_path(self.path) as part:
            torch.save({"identity": self.identity, **state}, part)

    def load(self) -> dict[str, Any] | None:
        """What was saved; None if nothing was.

        Raises
        ------
        StorageError
            If it cannot be read.
        TrainingError
            If it is of another pre-training.
        """
        if not self.path.exists():
            return None
        try:
            content: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            identity = content["identity"]
        except Exception as error:  # of damaged bytes it may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise StorageError(
                f"{self.path}: the checkpoint cannot be read ({reason}). Remove it to start over."
            ) from error
        if identity != self.identity:
            raise TrainingError(
                f"{self.path}: this checkpoint is of another pre-training (other tasks, rows, "
                "starting weights or settings). Give another folder, or remove it to start over."
            )
        return content


def identity(config: Pretraining, tasks: Sequence[Task], encoder: str) -> str:
    """Digest of all that the weights of a run follow from, but the pictures' bytes."""
    rows = [part for task in tasks for part in (task.rows.digest, task.train)]
    return digest("pretraining 1", settings_that_count(config.plain()), encoder, *rows)


def settings_that_count(plain: Mapping[str, Any]) -> str:
    """Settings that the weights of a run follow from, as one text."""
    return json.dumps({k: v for k, v in plain.items() if k not in FREE}, sort_keys=True)


def joined(registers: Iterable[TrainedOn | None]) -> TrainedOn | None:
    """All people of several registers; an empty tuple (anybody) stays one, None makes it None."""
    total: dict[str, set[str] | None] = {}
    for register in registers:
        if register is None:
            return None
        for namespace, people in register.items():
            known = total.setdefault(namespace, set())
            total[namespace] = known | set(people) if people and known is not None else None
    return {n: tuple(sorted(people or ())) for n, people in total.items()}


def write_encoder(path: Path, encoder: nn.Module, told: Mapping[str, Any]) -> None:
    """Weights as ``.safetensors`` in float32, and beside them what `embeddings.Encoder` reads."""
    weights = {
        name: (v.detach().cpu().float() if v.is_floating_point() else v.detach().cpu())
        .clone()
        .contiguous()
        for name, v in encoder.state_dict().items()
    }
    # whom they have met is there before they are: weights are never without it
    write_json(path.with_name(path.name + ".json"), told)
    write_bytes(path, safetensors.torch.save(weights))
