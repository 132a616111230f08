"""The signal masked autoencoder of the dual-stream system: a transformer over samples.

Nguyen, Yang, Dao, Kim, Kim, Shin, Nguyen, Nguyen: *Dual-stream transformer approach for pain
assessment using visual-physiological data modeling*. PeerJ Computer Science 11:e3158, 2025,
doi:10.7717/peerj-cs.3158. Sizes, BatchNorm and GELU are those of the authors' code
(mducducd/Multimodal_Pain at 3b5e185, no licence: none of it is here), and go back to Zerveas and
others, *A transformer-based framework for multivariate time series representation learning*, 2021.

Every moment is a token that holds a sample of each channel; other stretches are masked in each
channel. A sample that is NaN is missing: of a channel that a window lacks, of a gap, or, at the
end, of padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._scaling import ChannelScale
from dolorimeter.registry import MODELS, Card

WIDTH, HEADS, HIDDEN, LAYERS = 64, 4, 256, 3
DROPOUT = 0.1


class StepNorm(nn.Module):
    """BatchNorm over the steps of all windows that are no padding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(
        self, x: Float[Tensor, "window time width"], valid: Bool[Tensor, "window time"]
    ) -> Float[Tensor, "window time width"]:
        """Normalised steps; padding becomes 0."""
        rows = self.norm(x[valid])  # (step, width)
        return torch.zeros_like(x, dtype=rows.dtype).index_put((valid,), rows)


class Attention(nn.Module):
    """Multi-head self-attention of steps, blind to padding."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.keep_attention = False
        self.attention_map: Tensor | None = None

    def forward(
        self, x: Float[Tensor, "window time width"], valid: Bool[Tensor, "window time"]
    ) -> Float[Tensor, "window time width"]:
        """Attended values. Each window needs a step that is no padding."""
        windows, time, _ = x.shape
        q, k, v = self.qkv(x).reshape(windows, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if bool(valid.all()) else valid[:, None, None]  # (window, 1, 1, time)
        if self.keep_attention:
            scores = q @ k.mT * q.shape[-1] ** -0.5
            scores = scores if mask is None else scores.masked_fill(~mask, -math.inf)
            self.attention_map = scores.softmax(-1)
            out = self.attention_map @ v
        else:
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(out.transpose(1, 2).flatten(2))  # (window, time, width)


class Block(nn.Module):
    """Attention and a feed-forward layer with GELU, each followed by BatchNorm."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm1 = StepNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm2 = StepNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "window time width"], valid: Bool[Tensor, "window time"]
    ) -> Float[Tensor, "window time width"]:
        """Mixed steps."""
        x = self.norm1(x + self.dropout(self.attention(x, valid)), valid)
        inner = self.dropout(functional.gelu(self.fc1(x)))  # (window, time, hidden)
        return self.norm2(x + self.dropout(self.fc2(inner)), valid)


@MODELS.register("signal_mae")
class SignalMAEEncoder(nn.Module):
    """The encoder: what is kept of the pre-training.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the mean of the tokens.
    input_shape : tuple of int
        ``(channel, time)``; windows may have any length, and this one's is not used.
    scaling : str
        `ChannelScale`: ``none`` (scaled before), ``train_robust`` or ``train_standard``.
    width, heads, hidden, layers, dropout
        Of the transformer.

    Examples
    --------
    >>> model = SignalMAEEncoder(input_shape=(3, 2816))
    >>> sum(p.numel() for p in model.parameters())
    150400
    """

    card: Card
    takes_missing = True
    gives_features = True

    def __init__(
        self,
        num_classes: int = 0,
        *,
        input_shape: Sequence[int],
        scaling: str = "none",
        width: int = WIDTH,
        heads: int = HEADS,
        hidden: int = HIDDEN,
        layers: int = LAYERS,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        if len(input_shape) != 2 or input_shape[0] < 1:
            raise ConfigError(f"input_shape is {tuple(input_shape)}, expected (channel, time).")
        if width % heads or width % 2:
            raise ConfigError(f"{heads} heads, or sines and cosines, cannot share {width}.")
        self.channels, self.width = int(input_shape[0]), width
        self.scale = ChannelScale(self.channels, scaling)
        self.embed = nn.Linear(2 * self.channels, width)
        self.blocks = nn.ModuleList([Block(width, heads, hidden, dropout) for _ in range(layers)])
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Float[Tensor, "window channel time"]) -> Float[Tensor, "window out"]:
        """Logits, or the mean of the tokens that are no padding.

        Parameters
        ----------
        x : Float[Tensor, "window channel time"]
            NaN where a sample is missing.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        count = self.steps(x).sum(dim=1, keepdim=True)
        return self.head(self.tokens(x).sum(dim=1) / count)

    def tokens(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window time width"]:
        """A token a sample; those of padding are 0.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        return self.encoded(self.scale(x), ~x.isnan(), self.steps(x))

    def encoded(
        self,
        scaled: Float[Tensor, "window channel time"],
        seen: Bool[Tensor, "window channel time"],
        valid: Bool[Tensor, "window time"],
    ) -> Float[Tensor, "window time width"]:
        """Tokens of scaled windows of which some samples are seen."""
        hidden = (~seen).to(scaled.dtype)
        joined = torch.cat((torch.where(seen, scaled, 0.0), hidden), dim=1).mT
        x = self.embed(joined) + _positions(joined.shape[1], self.width).to(joined)
        x = self.dropout(x)  # (window, time, width)
        for block in self.blocks:
            x = block(x, valid)
        return x

    def attention(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window head time time"]:
        """Attention map of the last block: from a step (row) to the steps it reads.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        last = self.blocks[-1].attention
        assert isinstance(last, Attention)
        try:
            last.keep_attention = True
            self.tokens(x)
            assert last.attention_map is not None
            return last.attention_map
        finally:
            last.keep_attention, last.attention_map = False, None

    def steps(self, x: Float[Tensor, "window channel time"]) -> Bool[Tensor, "window time"]:
        """Which steps are no padding: padding is what is missing in all channels at the end.

        A window of nothing but missing samples keeps its first step.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        if x.ndim != 3 or x.shape[1] != self.channels:
            raise ConfigError(
                f"the signal encoder was given windows of shape {tuple(x.shape)}, expected "
                f"(window, {self.channels}, time). A channel that is missing is NaN."
            )
        there = (~x.isnan()).any(dim=1)  # (window, time)
        later = there.flip(1).cumsum(dim=1).flip(1) > 0  # something comes here or after
        first = torch.arange(x.shape[2], device=x.device) == 0
        return later | first

    def learn_scale(self, x: Float[np.ndarray, "window channel time"]) -> None:
        """What the training windows teach of each channel; called once, before training."""
        self.scale.learn(x)


class SignalAutoencoder(nn.Module):
    """Encoder and a decoder of the same kind: what is pre-trained.

    Parameters
    ----------
    encoder : SignalMAEEncoder
    heads, hidden, layers, dropout
        Of the decoder.
    """

    def __init__(
        self,
        encoder: SignalMAEEncoder,
        *,
        heads: int = HEADS,
        hidden: int = HIDDEN,
        layers: int = LAYERS,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.width
        self.blocks = nn.ModuleList([Block(width, heads, hidden, dropout) for _ in range(layers)])
        self.head = nn.Linear(width, encoder.channels)

    def forward(
        self,
        x: Float[Tensor, "window channel time"],
        masked: Bool[Tensor, "window channel time"],
    ) -> tuple[Float[Tensor, "window channel time"], Float[Tensor, "window channel time"]]:
        """All samples, and each as painted from those that are neither missing nor masked.

        Both scaled. Only where `masked` is True and the sample is there can they be compared.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        valid = self.encoder.steps(x)  # (window, time)
        scaled = self.encoder.scale(x)
        tokens = self.encoder.encoded(scaled, ~(masked | x.isnan()), valid)
        for block in self.blocks:
            tokens = block(tokens, valid)
        return scaled, self.head(tokens).mT  # (window, channel, time) each

    def filled(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window channel time"]:
        """Windows whose missing samples are painted, in their own units; padding stays NaN.

        What is there stays as it is, to the last bit. A channel that is missing from end to end is
        painted too: that is a guess from others. A window of nothing at all stays NaN.

        Parameters
        ----------
        x : Float[Tensor, "window channel time"]
            NaN where a sample is missing; of any floating-point type, which is given back.

        Raises
        ------
        ConfigError
            If the windows have another number of channels.
        """
        missing = x.isnan()
        _, painted = self(x.to(self.head.weight.dtype), torch.zeros_like(missing))
        if self.encoder.scale.scaling != "none":
            spread = torch.where(
                self.encoder.scale.spread.isfinite(), self.encoder.scale.spread, 0.0
            )
            painted = painted.double() * spread[:, None] + self.encoder.scale.centre[:, None]
        something = ~missing.all(dim=2).all(dim=1)
        inside = missing & self.encoder.steps(x)[:, None] & something[:, None, None]
        return torch.where(inside, painted.to(x.dtype), x)


def masked_error(
    scaled: Float[Tensor, "window channel time"],
    painted: Float[Tensor, "window channel time"],
    chosen: Bool[Tensor, "window channel time"],
) -> Float[Tensor, ""]:
    """Sum of squared errors over the chosen samples; a gradient flows through these alone."""
    return torch.where(chosen, painted - scaled, 0.0).square().sum()


def _positions(time: int, width: int) -> Float[Tensor, "time width"]:
    """Sines and cosines of a step's number, by turns."""
    rate = 10_000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.arange(time, dtype=torch.float64)[:, None] * rate  # (time, width / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)
