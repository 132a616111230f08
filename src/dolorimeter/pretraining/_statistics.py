"""Sums over processes that gradients flow through, and BatchNorm over all of them.

PyTorch's own `SyncBatchNorm` refuses the processor, so the batch's mean and variance are summed
here, on any device and any backend.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def processes() -> int:
    """How many processes train together."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


class _GlobalSum(torch.autograd.Function):
    """Sum over processes; a gradient is what all of them together owe to the sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004  # autograd's signature
        total = x.contiguous().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def over_processes(x: Tensor) -> Tensor:
    """The sum of that tensor over all processes; the tensor itself in one."""
    if processes() == 1:
        return x
    total: Tensor = _GlobalSum.apply(x)  # type: ignore[no-untyped-call]  # torch's stub lacks it
    return total


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics in training are those of the batch over all processes.

    In evaluation, and in one process, it is PyTorch's. Its state has the same names.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Of (row, channel, …), normalised over all but the channel."""
        if not self.training or processes() == 1:
            return super().forward(x)
        others = [0, *range(2, x.ndim)]
        shape = [1, -1, *([1] * (x.ndim - 2))]
        each = torch.full((1,), x.numel() / x.shape[1], dtype=x.dtype, device=x.device)
        sums = over_processes(torch.cat((x.sum(dim=others), each)))  # (channel + 1,)
        n = sums[-1].detach()
        mean = sums[:-1] / n
        centred = x - mean.view(shape)
        variance = over_processes((centred * centred).sum(dim=others)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        out = centred * torch.rsqrt(variance + self.eps).view(shape)
        if not self.affine:
            return out
        return out * self.weight.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # it comes with the running mean
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions: it stands for the BatchNorm of one, two and three."""


def share_statistics(module: nn.Module) -> int:
    """Swap every BatchNorm in `module` for a `GlobalBatchNorm` with its state; their number."""
    count = 0
    for name, child in list(module.named_children()):
        if not isinstance(child, nn.modules.batchnorm._BatchNorm):
            count += share_statistics(child)
            continue
        new = GlobalBatchNorm(
            child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
        )
        new.weight, new.bias = child.weight, child.bias
        new.running_mean, new.running_var = child.running_mean, child.running_var
        new.num_batches_tracked = child.num_batches_tracked
        setattr(module, name, new.train(child.training))
        count += 1
    return count


def freeze_statistics(module: nn.Module) -> int:
    """Put every BatchNorm in evaluation mode, with the statistics it has; their number."""
    found = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in found:
        norm.eval()
    return len(found)
