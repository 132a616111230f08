"""One encoder, a linear head for each task, and the tasks' weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from dolorimeter.pretraining import _losses
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._statistics import (
    freeze_statistics,
    over_processes,
    processes,
    share_statistics,
)
from dolorimeter.pretraining._tasks import Task
from dolorimeter.registry import InputSpec

HEAD_DEVIATION = 0.02
"""Of a head's first weights, as of PainFormer's own linear layers."""


class MultiTask(nn.Module):
    """What is trained.

    Parameters
    ----------
    encoder : nn.Module
        Normalised pictures to `width` numbers.
    spec : InputSpec
        Mean and std of its pictures.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        spec: InputSpec,
        tasks: Sequence[Task],
        config: Pretraining,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList([nn.Linear(width, task.width) for task in tasks])
        learned = config.weighting == "uncertainty"
        self.log_variances = nn.ParameterList(
            [nn.Parameter(torch.zeros(()), requires_grad=learned) for _ in tasks]
        )
        for head in self.heads:
            assert isinstance(head, nn.Linear)
            nn.init.trunc_normal_(head.weight, std=HEAD_DEVIATION)
            nn.init.zeros_(head.bias)
        for name, values in (("mean", spec.mean), ("std", spec.std)):
            assert values is not None  # an Encoder of that name was made
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        self.kinds = [(task.config.label, task.config.loss) for task in tasks]
        self.shares = [task.config.weight for task in tasks]
        self.config = config
        if config.batch_statistics == "global":
            share_statistics(self.encoder)

    def train(self, mode: bool = True) -> MultiTask:
        """As PyTorch's; statistics of BatchNorm stay frozen where that is asked for."""
        super().train(mode)
        if self.config.batch_statistics == "frozen":
            freeze_statistics(self.encoder)
        return self

    def fix_unused(self) -> None:
        """Take weights that the encoder keeps and does not use out of training.

        Processes that reduce gradients together would wait for theirs for ever.
        """
        side = self.config.size
        pictures = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=self.mean.device)
        self.eval()  # the statistics of BatchNorm stay as they are
        torch.autograd.backward(self.features(pictures).sum())
        for parameter in self.encoder.parameters():
            if parameter.grad is None:
                parameter.requires_grad_(False)
        self.zero_grad(set_to_none=True)

    def features(self, pictures: UInt8[Tensor, "row 3 side side"]) -> Float[Tensor, "row width"]:
        """Embeddings of pictures as they lie in memory."""
        x = (pictures.to(self.mean.dtype) / 255 - self.mean) / self.std
        with self._autocast(pictures.device.type):
            out = self.encoder(x)
        return out.to(self.mean.dtype)

    def forward(
        self,
        pictures: UInt8[Tensor, "row 3 side side"],
        task: Int64[Tensor, " row"],
        targets: Sequence[Tensor],
        sizes: Sequence[int],
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " task"], Bool[Tensor, " task"]]:
        """Part of the whole loss, and of each task's mean loss, that is this process's.

        Sums over processes are the loss and the means over the batch of all of them. Every head
        is part of the graph, so that all processes reduce the same gradients. The last output
        says which tasks take part: those that have rows, and two to agree on where the loss is
        concordance; it is the same in every process.

        Parameters
        ----------
        task : Int64[Tensor, "row"]
            Number of each picture's task.
        targets : sequence of Tensor
            Labels of each task's rows here, in their order.
        sizes : sequence of int
            Rows of each task in all processes.
        """
        features = self.features(pictures)
        parts, takes_part, total = [], [], features.sum() * 0
        for number, head in enumerate(self.heads):
            output = head(features[task == number])
            part, usable = self._part(number, output, targets[number], sizes[number])
            total = total + (self._weighted(number, part) if usable else output.sum() * 0)
            parts.append(part)
            takes_part.append(usable)
        return total, torch.stack(parts), torch.tensor(takes_part, device=features.device)

    def losses(self, number: int, output: Tensor, target: Tensor) -> Float[Tensor, " row"]:
        """Losses of a task's rows, labels not smoothed; squared errors for continuous ones."""
        label, _ = self.kinds[number]
        if label == "class":
            return _losses.class_losses(output, target)
        if label == "multi_label":
            return _losses.multi_label_losses(output, target.to(output.dtype))
        return _losses.squared_losses(output, target.to(output.dtype))

    def weight(self, number: int) -> float:
        """What a task's mean loss is multiplied by in the whole loss."""
        if self.config.weighting == "equal":
            return self.shares[number]
        s = self.log_variances[number].item()
        return float(self.shares[number] * _losses.factor(*self.kinds[number]) * np.exp(-s))

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep every s within `LOG_VARIANCE`; after a step, so that it can come back."""
        for s in self.log_variances:
            s.clamp_(*_losses.LOG_VARIANCE)

    def _part(self, number: int, output: Tensor, target: Tensor, size: int) -> tuple[Tensor, bool]:
        """What a process adds to a task's mean loss, and whether the batch has one."""
        label, loss = self.kinds[number]
        if label == "class":
            smoothing = self.config.label_smoothing
            losses = _losses.class_losses(output, target, smoothing)
        elif loss == "concordance":
            target = target.to(output.dtype)
            loss_of_all, usable = _losses.concordance_loss(output, target, over_processes)
            return loss_of_all / processes(), bool(usable)
        else:
            losses = self.losses(number, output, target)
        return losses.sum() / max(size, 1), size > 0

    def _weighted(self, number: int, part: Tensor) -> Tensor:
        share = self.shares[number]
        if self.config.weighting == "equal":
            return share * part
        s, c = self.log_variances[number], _losses.factor(*self.kinds[number])
        return share * _losses.weighted(part, s, c, 1 / processes())

    def _autocast(self, device: str) -> AbstractContextManager[object]:
        if self.config.precision == "bfloat16":
            return torch.autocast(device, torch.bfloat16)
        return nullcontext()
