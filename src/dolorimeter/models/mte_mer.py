"""MTE-MER: each modality's LSTM against the classes' vectors, which are mapped into its space.

Wenliang Dai, Zihan Liu, Tiezheng Yu, Pascale Fung: *Modality-transferable emotion embeddings for
low-resource multimodal emotion recognition*. AACL-IJCNLP 2020, arXiv:2009.09629. Code:
wenliangdai/Modality-Transferable-MER (CC BY 4.0; sizes were read there, nothing was copied).
Nguyen et al., PeerJ Computer Science 11:e3158, 2025, compare with it.

Every class has a vector. A modality reads its sequence with a bidirectional LSTM; its score of a
class is the product of its last state with the class's vector, mapped linearly into its space; the
scores of all modalities are added with learned weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._prior import log_prior, or_prior
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.models._sides import side_parts, side_sizes, sides_there
from dolorimeter.registry import MODELS, Card

WORD = 300
"""Numbers of a class's vector: of GloVe in the article."""
HIDDEN = (100, 200)
"""Of the LSTMs of video and of the other stream, as in the authors' commands."""


class Stream(nn.Module):
    """Scores of each class by one modality's sequence."""

    def __init__(self, features: int, word: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(
            features, hidden, layers, batch_first=True, bidirectional=True, dropout=between
        )
        self.map = nn.Linear(word, hidden)

    def forward(
        self, x: Float[Tensor, "window step feature"], words: Float[Tensor, "class word"]
    ) -> Float[Tensor, "window class"]:
        """Product of the last step's state, both directions added, with each class's vector."""
        states, _ = self.lstm(x)  # (window, step, 2 · hidden)
        last = states[:, -1].unflatten(1, (2, -1)).sum(dim=1)  # (window, hidden)
        return last @ self.map(words).T  # (window, class)


@MODELS.register("mte_mer")
class MTEMER(nn.Module):
    """MTE-MER on packed windows: video tokens and signals.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int, optional
        ``(number,)`` of a packed window; checked where it is given.
    video : tuple of int
        ``(token, feature)`` of a video encoder; empty: no video.
    signals : tuple of int
        ``(channel, time)``; empty: no signals.
    word : int
        Numbers of a class's vector.
    hidden : sequence of two int
        Of the LSTM of video and of that of signals.
    layers : int
        Of each LSTM.
    samples : int
        Samples of a signal a step: their mean.
    scaling : str
        Of the signals: ``none``, ``train_robust`` or ``train_standard``: `ChannelScale`.
    prior : sequence of float, optional
        Probability of each class for a window without either side; None: all the same.
    dropout : float
        Between the layers of an LSTM.

    Examples
    --------
    >>> model = MTEMER(3, video=(8, 384), signals=(3, 2816))
    >>> sum(p.numel() for p in model.parameters())
    2012802
    """

    card: Card
    takes_missing = True
    takes_packed = True

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: tuple[int, ...] | None = None,
        video: Sequence[int] = (),
        signals: Sequence[int] = (),
        word: int = WORD,
        hidden: Sequence[int] = HIDDEN,
        layers: int = 2,
        samples: int = 8,
        scaling: str = "none",
        prior: Sequence[float] | None = None,
        dropout: float = 0.15,
    ) -> None:
        super().__init__()
        self.video = tuple(int(n) for n in video)
        self.signals = tuple(int(n) for n in signals)
        self.sizes = side_sizes("MTE-MER", self.video, self.signals, input_shape)
        self.samples = samples
        self._check(hidden)
        self.words = nn.Parameter(torch.randn(num_classes, word) / math.sqrt(word))
        if self.video:
            self.video_scale = ChannelScale(self.video[1], "train_standard")
            self.video_stream = Stream(self.video[1], word, hidden[0], layers, dropout)
        if self.signals:
            self.scale = ChannelScale(self.signals[0], scaling)
            self.signal_stream = Stream(self.signals[0], word, hidden[1], layers, dropout)
        self.weights = nn.Parameter(torch.ones(len(self.sizes)) / len(self.sizes))
        self.register_buffer("log_prior", log_prior(prior, num_classes))

    def learn_scale(self, x: Float[np.ndarray, "window number"]) -> None:
        """What the training windows teach of features and channels; called once, before."""
        if self.video:
            own = x[:, : self.sizes[0]].reshape(len(x), *self.video)
            self.video_scale.learn(own.swapaxes(1, 2))
        if self.signals:
            self.scale.learn(x[:, -self.sizes[-1] :].reshape(len(x), *self.signals))

    def forward(self, x: Float[Tensor, "window number"]) -> Float[Tensor, "window class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "window number"]
            Both sides of each window in one row; a side with nothing but NaN is missing.

        Raises
        ------
        ConfigError
            If the rows have another length.
        """
        parts = side_parts("MTE-MER", x, self.video, self.signals)
        there = sides_there(parts)
        scores = []
        if self.video:
            tokens = self.video_scale(parts[0].reshape(len(x), *self.video).mT).mT
            scores.append(self._scored(self.video_stream, tokens))
        if self.signals:
            given = self.scale(parts[-1].reshape(len(x), *self.signals))
            steps = functional.avg_pool1d(given, self.samples).mT  # (window, step, channel)
            scores.append(self._scored(self.signal_stream, steps))
        weight = self.weights * there  # (window, side)
        total = weight.sum(dim=1, keepdim=True)
        weight = weight / torch.where(total.abs() > 1e-6, total, 1.0)
        logits = (weight[..., None] * torch.stack(scores, dim=1)).sum(dim=1)  # (window, class)
        return or_prior(logits, there, cast(Tensor, self.log_prior))

    def _scored(self, stream: Stream, x: Tensor) -> Tensor:
        return stream(x, self.words) / math.sqrt(stream.map.out_features)

    def _check(self, hidden: Sequence[int]) -> None:
        if self.video and len(self.video) != 2:
            raise ConfigError(
                f"video is {self.video}, expected (token, feature): give the stream an encoder "
                "with tokens."
            )
        if self.signals and (len(self.signals) != 2 or not 1 <= self.samples <= self.signals[1]):
            raise ConfigError(
                f"signals are {self.signals} with {self.samples} samples a step, expected "
                "(channel, time) of at least one step."
            )
        if len(hidden) != 2:
            raise ConfigError(f"hidden is {tuple(hidden)}, expected two: of video, of signals.")
