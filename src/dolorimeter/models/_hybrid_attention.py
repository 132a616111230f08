"""Hybrid positional attention: a convolutional embedding, and attention that knows of time twice.

Navid Mohammadi Foumani, Chang Wei Tan, Geoffrey I. Webb, Mahsa Salehi: *Improving position
encoding of transformers for multivariate time series classification*. Data Mining and Knowledge
Discovery 38:22–48, 2024, doi:10.1007/s10618-023-00948-2 (ConvTran). Nguyen et al., PeerJ Computer
Science 11:e3158, 2025, take it over for the tokens of video and of signals. Two networks share
this file, `convtran` and `dual_stream`.

Positions enter as sines whose frequency depends on the length (tAPE), and as a learned number for
each head and offset that is added to the attention after its softmax (eRPE). That second term is
no attention at all, but a convolution of the values with a learned filter: it is computed as one,
by Fourier transform, so that nothing of size (time, time, head) is ever made.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError

WIDTH, HEADS, HIDDEN = 16, 8, 256
"""Of the article and of ConvTran's code."""
DROPOUT = 0.01
"""Of ConvTran's code; the dual-stream article gives none."""
DEPTH = 16
"""Numbers of a head that fused attention is given at least: two thirds of the time that two
numbers take (docs/benchmarks.md)."""
CELLS = 2**20
"""Numbers between the two filters of the embedding that are in memory at once, about."""
FILTER = 8
"""Samples of the embedding's filters along time."""


class ConvEmbedding(nn.Module):
    """Filters along time, the same for every channel; then filters across the channels.

    Parameters
    ----------
    channels : int
        Of the input.
    width : int
        Of the output; there are four times as many filters along time.
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        self.time = nn.Conv2d(1, 4 * width, kernel_size=(1, FILTER))
        self.time_norm = nn.BatchNorm2d(4 * width)
        self.across = nn.Conv2d(4 * width, width, kernel_size=(channels, 1))
        self.across_norm = nn.BatchNorm2d(width)

    def forward(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window time width"]:
        """As many steps as samples: zeros stand before (3) and after (4) the window.

        In evaluation the norms are folded into the filters, and a few channels at a time go
        through: 1,568 steps of 384 channels would have 38 million numbers in between, of which
        then a hundredth are in memory at once.
        """
        x = functional.pad(x, ((FILTER - 1) // 2, FILTER // 2))
        return self._whole(x) if self.training else self._by_channels(x)

    def _whole(self, x: Tensor) -> Tensor:
        x = self.time(x[:, None])  # (window, 4 · width, channel, time)
        x = functional.gelu(self.time_norm(x))
        x = self.across(x)  # (window, width, 1, time)
        x = functional.gelu(self.across_norm(x))
        return x[:, :, 0].transpose(1, 2)  # (window, time, width)

    def _by_channels(self, x: Tensor) -> Tensor:
        w, bias = _folded(self.time, self.time_norm)
        filters = w[:, 0, 0].T  # (tap, 4 · width)
        w, shift = _folded(self.across, self.across_norm)
        across = w[..., 0].permute(2, 1, 0)  # (channel, 4 · width, width)
        taps = x.unfold(2, FILTER, 1)  # (window, channel, time, tap), a view
        each = max(1, CELLS // (len(x) * taps.shape[2] * filters.shape[1]))
        total = shift
        for start in range(0, x.shape[1], each):
            part = slice(start, start + each)
            hidden = functional.gelu(taps[:, part] @ filters + bias)
            # sums of half-precision products over all channels would lose their last digits
            total = total + (hidden @ across[part]).sum(dim=1).to(shift.dtype)
        return functional.gelu(total)  # (window, time, width)


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the BatchNorm behind it, in evaluation, as one."""
    assert conv.bias is not None  # they are made with one
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    gain = norm.weight / (variance + norm.eps).sqrt()
    return conv.weight * gain[:, None, None, None], (conv.bias - mean) * gain + norm.bias


class RelativeAttention(nn.Module):
    """Multi-head attention plus a learned number for each head and offset (eRPE), then LayerNorm.

    ``Σ_j (softmax_j(q_i · k_j / √width) + w[i − j]) v_j``; `width` is that of all heads together.

    Attributes
    ----------
    offsets : Parameter
        ``(2 · time − 1, head)``: w of the offsets −(time − 1) … time − 1. Zero at first.
    """

    def __init__(
        self, time: int, width: int = WIDTH, heads: int = HEADS, dropout: float = DROPOUT
    ) -> None:
        super().__init__()
        if time < 1 or width % heads:
            raise ConfigError(
                f"{heads} heads cannot share a width of {width}, or {time} steps are none."
            )
        self.steps, self.heads = time, heads
        self.scale = width**-0.5
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.offsets = nn.Parameter(torch.zeros(2 * time - 1, heads))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "window time width"]) -> Float[Tensor, "window time width"]:
        """What each step reads, normalised.

        Raises
        ------
        ConfigError
            If there are more or fewer steps than the learned offsets are for.
        """
        q, k, v = self._inputs(x)
        out = fused_attention(q, k, v, self.scale)  # (window, head, time, width / head)
        out = out + relative_term(self.offsets, v)
        return self.norm(self.dropout(out.transpose(1, 2).flatten(2)))

    def attention(
        self, x: Float[Tensor, "window time width"]
    ) -> Float[Tensor, "window head time time"]:
        """The whole map, learned numbers included: rows sum to 1 plus those of the row's offsets.

        Memory grows with the square of the steps; `forward` makes no map.
        """
        q, k, _ = self._inputs(x)
        return (q @ k.mT * self.scale).softmax(-1) + materialised(self.offsets)

    def received(self, x: Float[Tensor, "window time width"]) -> Float[Tensor, "window time"]:
        """Column means of `attention` over heads and rows, a few rows in memory at once."""
        q, k, _ = self._inputs(x)
        total = x.new_zeros(x.shape[:2])
        for rows in torch.split(q, max(1, CELLS // (self.heads * self.steps)), dim=2):
            total = total + (rows @ k.mT * self.scale).softmax(-1).sum(dim=(1, 2))
        # of step j the offsets −j … time − 1 − j are in its column
        before = functional.pad(self.offsets.sum(dim=1).cumsum(dim=0), (1, 0))
        first = self.steps - 1 - torch.arange(self.steps, device=x.device)
        total = total + before[first + self.steps] - before[first]
        return total / (self.heads * self.steps)

    def _inputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if x.shape[1] != self.steps:
            raise ConfigError(
                f"hybrid positional attention was given {x.shape[1]} steps, expected "
                f"{self.steps}: it has learned a number for each of their offsets. Cut windows of "
                "that length, or build it for another."
            )
        return self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))

    def _split(self, x: Tensor) -> Tensor:
        x = x.reshape(*x.shape[:2], self.heads, -1)
        return x.transpose(1, 2)  # (window, head, time, width / head)


def fused_attention(
    q: Float[Tensor, "window head time depth"],
    k: Float[Tensor, "window head time depth"],
    v: Float[Tensor, "window head time depth"],
    scale: float,
) -> Float[Tensor, "window head time depth"]:
    """PyTorch's fused attention, heads narrower than `DEPTH` filled up with zeros.

    Two numbers a head, as here, are too few for its inner products to run at full speed, and
    kernels that make no map refuse them on some devices. Zeros change no product. On a processor
    half precision is computed in float32: its softmax is the work, and is not faster by half.
    """
    depth, kind = v.shape[-1], v.dtype
    if depth < DEPTH:
        q, k, v = (functional.pad(part, (0, DEPTH - depth)) for part in (q, k, v))
    if v.device.type == "cpu" and kind == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):
            q, k, v = q.float(), k.float(), v.float()
            out = functional.scaled_dot_product_attention(q, k, v, scale=scale)
    else:
        out = functional.scaled_dot_product_attention(q, k, v, scale=scale)
    return out[..., :depth].to(kind)


def relative_term(
    offsets: Float[Tensor, "offset head"], values: Float[Tensor, "window head time depth"]
) -> Float[Tensor, "window head time depth"]:
    """``Σ_j w[i − j] v_j`` of each head, as a product of Fourier transforms.

    Parameters
    ----------
    offsets : Float[Tensor, "offset head"]
        w of the offsets −(time − 1) … time − 1.
    values : Float[Tensor, "window head time depth"]

    Notes
    -----
    Time and memory grow with heads × time (and the logarithm of time), against heads × time² of
    the materialised bias. Half precision is computed in float32: the transforms know no other.
    """
    time = values.shape[2]
    size = next_fast_len(2 * time - 1, real=True)  # what wraps round falls outside the steps kept
    kind = torch.float64 if values.dtype == torch.float64 else torch.float32
    with torch.autocast(values.device.type, enabled=False):
        w = torch.fft.rfft(offsets.to(kind).T, n=size)  # (head, frequency)
        v = torch.fft.rfft(values.to(kind).mT, n=size)  # (window, head, depth, frequency)
        product = torch.fft.irfft(v * w[:, None], n=size)  # (window, head, depth, size)
    return product[..., time - 1 : 2 * time - 1].mT.to(values.dtype)


def materialised(offsets: Float[Tensor, "offset head"]) -> Float[Tensor, "head time time"]:
    """w[i − j] for each pair of steps, which `relative_term` avoids: for maps and tests."""
    time = (len(offsets) + 1) // 2
    step = torch.arange(time, device=offsets.device)
    return offsets.T[:, step[:, None] - step + time - 1]


class HybridPositionalAttention(nn.Module):
    """Channels over time to as many steps of `width` numbers: embedding, attention, feed-forward.

    The embedding without its positions is what the attention is added to; norms come last.

    Parameters
    ----------
    channels, time : int
        Of the input.
    width, heads, hidden : int
        Of the steps; of the attention; inside the feed-forward layer.
    dropout : float
        Share left out in training: of the positions, of what is attended, of the feed-forward's
        hidden and outgoing numbers.
    """

    def __init__(
        self,
        channels: int,
        time: int,
        *,
        width: int = WIDTH,
        heads: int = HEADS,
        hidden: int = HIDDEN,
        dropout: float = DROPOUT,
    ) -> None:
        super().__init__()
        self.embedding = ConvEmbedding(channels, width)
        self.register_buffer("position", time_positions(time, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.attention = RelativeAttention(time, width, heads, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window time width"]:
        """Steps that know of each other."""
        x = self.embedding(x)  # (window, time, width)
        placed = self._placed(x)
        x = self.attention_norm(x + self.attention(placed))  # (window, time, width)
        hidden = self.dropout(functional.relu(self.fc1(x)))  # (window, time, hidden)
        return self.norm(x + self.dropout(self.fc2(hidden)))  # (window, time, width)

    def attention_map(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window head time time"]:
        """From a step (row) to the steps it reads (column), learned numbers included."""
        return self.attention.attention(self._placed(self.embedding(x)))

    def received(self, x: Float[Tensor, "window channel time"]) -> Float[Tensor, "window time"]:
        """How much each step is read: column means of `attention_map` over heads and rows."""
        return self.attention.received(self._placed(self.embedding(x)))

    def _placed(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.attention.steps:
            return x  # whose length `RelativeAttention` refuses in words
        return self.dropout(x + cast(Tensor, self.position))


def time_positions(time: int, width: int) -> Float[Tensor, "time width"]:
    """tAPE: sines and cosines of ``t · 10000^(−2i/width) · width / time``.

    In float32, as in the authors' code: their tables differ from float64 by that rounding.

    Examples
    --------
    >>> [round(float(v), 4) for v in time_positions(4, 2)[2]]  # 2 · 1 · 2 / 4 = 1
    [0.8415, 0.5403]
    """
    step = torch.arange(time, dtype=torch.float32)[:, None]
    even = torch.arange(0, width, 2, dtype=torch.float32)
    angle = step * torch.exp(even * (-math.log(10_000.0) / width)) * (width / time)
    both = torch.stack((angle.sin(), angle.cos()), dim=2)  # (time, width / 2 rounded up, 2)
    return both.flatten(1)[:, :width]
