"""Losses of the kinds of labels, and the weights between tasks.

A task's weight is learned with it (Kendall, Gal, Cipolla: *Multi-Task Learning Using Uncertainty
to Weigh Losses*, CVPR 2018, equations 7 and 10): the whole loss is the sum over the tasks in the
batch of ``c·exp(−s)·L + s/2``, s the logarithm of the task's variance, L its mean loss over the
batch of all processes, c = 1/2 for a squared error and 1 otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

LOG_VARIANCE = (-3.0, 3.0)
"""Lowest and highest s."""
Sum = Callable[[Tensor], Tensor]
"""A tensor to its sum over processes, with gradients."""


def class_losses(
    logits: Float[Tensor, "row class"], label: Int[Tensor, " row"], smoothing: float = 0.0
) -> Float[Tensor, " row"]:
    """Cross-entropy of each row; `smoothing` is the share of a label spread over all classes."""
    return functional.cross_entropy(logits, label, reduction="none", label_smoothing=smoothing)


def multi_label_losses(
    logits: Float[Tensor, "row column"], label: Float[Tensor, "row column"]
) -> Float[Tensor, " row"]:
    """Binary cross-entropy of each row, its mean over the labels that are known (not NaN)."""
    known = ~label.isnan()
    losses = functional.binary_cross_entropy_with_logits(
        logits, label.nan_to_num(), reduction="none"
    )
    return _mean_of_known(losses, known)


def squared_losses(
    output: Float[Tensor, "row column"], target: Float[Tensor, "row column"]
) -> Float[Tensor, " row"]:
    """Squared error of each row, its mean over the targets that are known (not NaN)."""
    known = ~target.isnan()
    return _mean_of_known((output - target.nan_to_num()) ** 2, known)


def concordance_loss(
    output: Float[Tensor, "row column"], target: Float[Tensor, "row column"], over_all: Sum
) -> tuple[Float[Tensor, ""], Bool[Tensor, ""]]:
    """1 − Lin's concordance correlation over the batch of all processes, and if there is one.

    The mean over columns with two known targets or more; 0 and False where there is none. Moments
    are over n, as Lin's (1989), not n − 1.
    """
    known = (~target.isnan()).to(output.dtype)
    wanted = target.nan_to_num()
    n = over_all(known.sum(dim=0)).detach()  # (column,)
    sums = over_all(torch.stack(((output * known).sum(dim=0), (wanted * known).sum(dim=0))))
    mean_x, mean_y = sums / n.clamp(min=1)
    x, y = (output - mean_x) * known, (wanted - mean_y) * known
    moments = over_all(torch.stack(((x * x).sum(dim=0), (y * y).sum(dim=0), (x * y).sum(dim=0))))
    xx, yy, xy = moments / n.clamp(min=1)
    spread = xx + yy + (mean_x - mean_y) ** 2
    losses = 1 - 2 * xy / spread.clamp(min=torch.finfo(output.dtype).tiny)
    usable = (n >= 2).to(output.dtype)
    return (losses * usable).sum() / usable.sum().clamp(min=1), usable.any()


def factor(label: str, loss: str) -> float:
    """What a kind of label has for c: 1/2 for a squared error, 1 otherwise."""
    return 0.5 if label == "continuous" and loss != "concordance" else 1.0


def weighted(
    loss: Float[Tensor, ""], log_variance: Float[Tensor, ""], c: float, share: float = 1.0
) -> Float[Tensor, ""]:
    """A task's ``c·exp(−s)·L + s/2``; `share` of the second part, where L is a part too."""
    return c * torch.exp(-log_variance) * loss + 0.5 * share * log_variance


def _mean_of_known(losses: Float[Tensor, "row column"], known: Tensor) -> Float[Tensor, " row"]:
    return (losses * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
