"""The Transformer's encoder over stretches of a multivariate signal: a baseline.

Ashish Vaswani et al.: *Attention is all you need*. NeurIPS 2017, arXiv:1706.03762. Nguyen et al.,
PeerJ Computer Science 11:e3158, 2025, compare with a Transformer whose sizes they do not give;
those here are of their signal autoencoder (3 layers, width 64, 4 heads, feed-forward 256).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.registry import MODELS, Card


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward layer, each added to what came in; norms come last."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "window step width"]) -> Float[Tensor, "window step width"]:
        """Steps that have read each other."""
        parts = self.query_key_value(x).unflatten(2, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # (window, head, step, width / head) each
        read = functional.scaled_dot_product_attention(q, k, v)
        read = self.out(read.transpose(1, 2).flatten(2))  # (window, step, width)
        x = self.attention_norm(x + self.dropout(read))
        hidden = self.dropout(functional.relu(self.fc1(x)))  # (window, step, hidden)
        return self.norm(x + self.dropout(self.fc2(hidden)))


@MODELS.register("transformer")
class Transformer(nn.Module):
    """A Transformer encoder on windows of signals.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(channel, time)`` of one window.
    scaling : str
        ``none``, ``train_robust`` or ``train_standard``: `ChannelScale`.
    width, heads, hidden, layers : int
        Of the steps; of the attention; inside the feed-forward layers; how many there are.
    samples : int
        Samples a step.
    dropout : float
        Share left out in training.

    Examples
    --------
    >>> model = Transformer(2, input_shape=(3, 2816))
    >>> sum(p.numel() for p in model.parameters())
    153218
    """

    card: Card
    takes_missing = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        scaling: str = "none",
        width: int = 64,
        heads: int = 4,
        hidden: int = 256,
        layers: int = 3,
        samples: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if len(input_shape) != 2 or not 1 <= samples <= input_shape[1]:
            raise ConfigError(
                f"input_shape is {tuple(input_shape)} with {samples} samples a step, expected "
                "(channel, time) of at least one step."
            )
        if width % heads:
            raise ConfigError(f"{heads} heads cannot share a width of {width}: change either.")
        channels, time = (int(n) for n in input_shape)
        self.scale = ChannelScale(channels, scaling)
        self.embed = nn.Conv1d(channels, width, samples, stride=samples)
        steps = time // samples
        self.register_buffer("position", _positions(steps, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, dropout) for _ in range(layers)
        )
        self.out = nn.Linear(width, num_classes)

    def learn_scale(self, x: Float[np.ndarray, "window channel time"]) -> None:
        """What the training windows teach of each channel; called once, before training."""
        self.scale.learn(x)

    def forward(self, x: Float[Tensor, "window channel time"]) -> Float[Tensor, "window class"]:
        """Logits; samples that do not fill a last step are left out."""
        x = self.embed(self.scale(x)).mT  # (window, step, width)
        if x.shape[1] != len(cast(Tensor, self.position)):
            raise ConfigError(
                f"the transformer was given {x.shape[1]} steps, expected "
                f"{len(cast(Tensor, self.position))}: cut windows as long as those it was built "
                "for."
            )
        x = self.dropout(x + cast(Tensor, self.position))
        for layer in cast(Iterable[EncoderLayer], self.layers):
            x = layer(x)  # (window, step, width)
        return self.out(self.dropout(x.mean(dim=1)))  # (window, class)


def _positions(steps: int, width: int) -> Float[Tensor, "step width"]:
    """Sines and cosines of the step's number, as in section 3.5 of the paper."""
    angle = torch.arange(steps)[:, None] * torch.exp(
        torch.arange(0, width, 2) * (-math.log(10_000.0) / width)
    )
    both = torch.stack((angle.sin(), angle.cos()), dim=2)  # (step, width / 2 rounded up, 2)
    return both.flatten(1)[:, :width]
