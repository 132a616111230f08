"""A perceptron with one hidden layer: the smallest network, for feature tables.

No paper: a baseline between logistic regression and the published networks, and the network with
which the training loop is tested.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError
from dolorimeter.registry import MODELS, Card


@MODELS.register("perceptron")
class Perceptron(nn.Module):
    """BatchNorm, Linear, ReLU, Dropout, Linear.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        Shape of one sample, ``(feature,)`` or ``(channel, time)``; flattened.
    hidden : int
        Width of the hidden layer.
    dropout : float
        Share of hidden units left out in training.

    Notes
    -----
    The first BatchNorm takes the place of a scaler: it learns mean and sd on the training rows.
    """

    card: Card

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...],
        hidden: int = 32,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        features = math.prod(self.input_shape)
        self.flatten = nn.Flatten()
        self.scale = nn.BatchNorm1d(features)
        self.hidden = nn.Linear(features, hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, num_classes)

    def forward(self, x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample class"]:
        """Logits.

        Raises
        ------
        ConfigError
            If the samples have another shape than `input_shape`.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            raise ConfigError(
                f"the perceptron was given samples of shape {tuple(x.shape[1:])}, expected "
                f"{self.input_shape}: build it with input_shape={tuple(x.shape[1:])}."
            )
        x = self.scale(self.flatten(x))  # (sample, feature)
        x = self.dropout(self.relu(self.hidden(x)))  # (sample, hidden)
        return self.fc(x)  # (sample, class)
