"""LSTM over the samples of a multivariate signal: a baseline.

Sepp Hochreiter, Jürgen Schmidhuber: *Long short-term memory*. Neural Computation 9:1735–1780,
1997, doi:10.1162/neco.1997.9.8.1735. Nguyen et al., PeerJ Computer Science 11:e3158, 2025, compare
with an LSTM whose sizes they do not give; those here are ours.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.registry import MODELS, Card


@MODELS.register("lstm")
class LongShortTermMemory(nn.Module):
    """LSTM on windows of signals.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(channel, time)`` of one window.
    scaling : str
        ``none``, ``train_robust`` or ``train_standard``: `ChannelScale`.
    hidden, layers : int
        Numbers of a state; layers.
    samples : int
        Samples a step: their mean. 2,816 steps one after the other take their time.
    dropout : float
        Share left out in training: between layers, and of the vector before the classifier.

    Examples
    --------
    >>> model = LongShortTermMemory(2, input_shape=(3, 2816))
    >>> sum(p.numel() for p in model.parameters())
    51074
    """

    card: Card
    takes_missing = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        scaling: str = "none",
        hidden: int = 64,
        layers: int = 2,
        samples: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if len(input_shape) != 2 or not 1 <= samples <= input_shape[1]:
            raise ConfigError(
                f"input_shape is {tuple(input_shape)} with {samples} samples a step, expected "
                "(channel, time) of at least one step."
            )
        self.samples = samples
        self.scale = ChannelScale(int(input_shape[0]), scaling)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(int(input_shape[0]), hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, num_classes)

    def learn_scale(self, x: Float[np.ndarray, "window channel time"]) -> None:
        """What the training windows teach of each channel; called once, before training."""
        self.scale.learn(x)

    def forward(self, x: Float[Tensor, "window channel time"]) -> Float[Tensor, "window class"]:
        """Logits; samples that do not fill a last step are left out."""
        x = functional.avg_pool1d(self.scale(x), self.samples)  # (window, channel, step)
        states, _ = self.lstm(x.mT)  # (window, step, hidden)
        return self.out(self.dropout(states.mean(dim=1)))  # (window, class)
