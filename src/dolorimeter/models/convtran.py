"""ConvTran: hybrid positional attention over the samples of a multivariate signal, and a mean.

Navid Mohammadi Foumani, Chang Wei Tan, Geoffrey I. Webb, Mahsa Salehi: *Improving position
encoding of transformers for multivariate time series classification*. Data Mining and Knowledge
Discovery 38:22–48, 2024, doi:10.1007/s10618-023-00948-2; the authors' code is
Navidfoumani/ConvTran (MIT). A baseline of Nguyen et al., PeerJ Computer Science 11:e3158, 2025.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError
from dolorimeter.models._hybrid_attention import (
    DROPOUT,
    HEADS,
    HIDDEN,
    WIDTH,
    HybridPositionalAttention,
)
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.registry import MODELS, Card


@MODELS.register("convtran")
class ConvTran(nn.Module):
    """ConvTran on windows of signals.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the mean of the steps.
    input_shape : tuple of int
        ``(channel, time)`` of one window.
    scaling : str
        ``none``, ``train_robust`` or ``train_standard``: `ChannelScale`.
    width, heads, hidden, dropout
        As of `HybridPositionalAttention`.

    Examples
    --------
    >>> model = ConvTran(2, input_shape=(3, 2816))
    >>> sum(p.numel() for p in model.parameters())
    58234
    """

    card: Card
    takes_missing = True
    gives_features = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        scaling: str = "none",
        width: int = WIDTH,
        heads: int = HEADS,
        hidden: int = HIDDEN,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        if len(input_shape) != 2 or min(input_shape) < 1:
            raise ConfigError(f"input_shape is {tuple(input_shape)}, expected (channel, time).")
        self.width = width
        channels, time = (int(n) for n in input_shape)
        self.scale = ChannelScale(channels, scaling)
        self.block = HybridPositionalAttention(
            channels, time, width=width, heads=heads, hidden=hidden, dropout=dropout
        )
        self.out = nn.Linear(width, num_classes) if num_classes else nn.Identity()

    def learn_scale(self, x: Float[np.ndarray, "window channel time"]) -> None:
        """What the training windows teach of each channel; called once, before training."""
        self.scale.learn(x)

    def forward(self, x: Float[Tensor, "window channel time"]) -> Float[Tensor, "window class"]:
        """Logits.

        Raises
        ------
        ConfigError
            If the windows have another length.
        """
        return self.out(self.tokens(x).mean(dim=1))  # (window, class)

    def tokens(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window time width"]:
        """The steps before their mean."""
        return self.block(self.scale(x))

    def attention(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window head time time"]:
        """From a step (row) to the steps it reads: softmax plus learned numbers of offsets."""
        return self.block.attention_map(self.scale(x))
