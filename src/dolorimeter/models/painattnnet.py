"""PainAttnNet: transformer encoder with multiscale deep learning for pain classification.

Zhenyu Lu, Burcu Ozek, Sagar Kamarthi: *Transformer encoder with multiscale deep learning for pain
classification using physiological signals*. Frontiers in Physiology 14:1294577, 2023,
doi:10.3389/fphys.2023.1294577, arXiv:2303.06845. The authors' code: zhenyuanlu/PainAttnNet at
d314456 (MIT); this file is written from its behaviour and keeps its state-dict names, so
that weights trained with either load in the other.

One window of skin conductance, 5.5 s at 512 Hz in microsiemens, goes through three convolutional
branches with short, medium and long kernels, a squeeze-excitation block that recalibrates and
reduces their 192 channels to 30, and two transformer encoder layers over 75 steps of time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.errors import ConfigError
from dolorimeter.registry import MODELS, Card

SAMPLES = 2816
"""Samples of one window: 5.5 s at 512 Hz."""
STEPS = 75
WIDTH = 30
HEADS = 5


class MultiscaleCNN(nn.Module):
    """Three branches of convolutions over one signal (paper, section "MSCN").

    The kernels of the first convolutions span 0.1, 1 and 2 s at 512 Hz.
    """

    def __init__(self) -> None:
        super().__init__()
        self.short_scale = nn.Sequential(
            nn.Conv1d(1, 64, kernel_size=50, stride=6, padding=24, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=8, stride=2, padding=4),
            nn.Dropout(0.5),
            nn.Conv1d(64, 128, kernel_size=8, padding=4, bias=False),
            nn.BatchNorm1d(128),
            nn.GELU(),
            nn.Conv1d(128, 64, kernel_size=8, padding=4, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=4, stride=4, padding=2),
        )
        self.medium_scale = nn.Sequential(
            nn.Conv1d(1, 64, kernel_size=512, stride=42, padding=256, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=4, stride=4),
            nn.Dropout(0.5),
            nn.Conv1d(64, 128, kernel_size=4, padding=3, bias=False),
            nn.BatchNorm1d(128),
            nn.GELU(),
            nn.Conv1d(128, 64, kernel_size=4, padding=3, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=2, stride=2, padding=1),
        )
        self.long_scale = nn.Sequential(
            nn.Conv1d(1, 64, kernel_size=1024, stride=84, padding=512, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=8, stride=8),
            nn.Dropout(0.5),
            nn.Conv1d(64, 128, kernel_size=7, padding=3, bias=False),
            nn.BatchNorm1d(128),
            nn.GELU(),
            nn.Conv1d(128, 64, kernel_size=7, padding=3, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(kernel_size=2, stride=2, padding=1),
        )
        self.fc_short = nn.Linear(60, STEPS)
        self.fc_medium = nn.Linear(12, STEPS)
        self.fc_long = nn.Linear(3, STEPS)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Float[Tensor, "window 1 2816"]) -> Float[Tensor, "window 192 75"]:
        """Features of the three scales, joined on channels."""
        short = self.short_scale(x)  # (window, 64, 60)
        medium = self.medium_scale(x)  # (window, 64, 12)
        long = self.long_scale(x)  # (window, 64, 3)
        short = self.fc_short(short)  # (window, 64, 75)
        medium = self.fc_medium(medium)  # (window, 64, 75)
        long = self.fc_long(long)  # (window, 64, 75)
        return self.dropout(torch.cat((short, medium, long), dim=1))  # (window, 192, 75)


class SqueezeExcitation(nn.Module):
    """Each channel scaled by a number between 0 and 1 that all channels decide."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window channel time"]:
        """The channels of `x`, rescaled."""
        squeezed = x.mean(dim=2)  # (window, channel)
        scale = self.fc(squeezed)  # (window, channel)
        return x * scale.unsqueeze(2)  # (window, channel, time)


class SEBasicBlock(nn.Module):
    """Residual block of two 1×1 convolutions with squeeze-excitation."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels_in, channels_out, kernel_size=1)
        self.bn1 = nn.BatchNorm1d(channels_out)
        self.conv2 = nn.Conv1d(channels_out, channels_out, kernel_size=1)
        self.bn2 = nn.BatchNorm1d(channels_out)
        self.se = SqueezeExcitation(channels_out)
        self.downsample = nn.Sequential(
            nn.Conv1d(channels_in, channels_out, kernel_size=1, bias=False),
            nn.BatchNorm1d(channels_out),
        )
        self.relu = nn.ReLU()

    def forward(
        self, x: Float[Tensor, "window channel_in time"]
    ) -> Float[Tensor, "window channel_out time"]:
        """Recalibrated channels."""
        out = self.relu(self.bn1(self.conv1(x)))  # (window, channel_out, time)
        out = self.se(self.bn2(self.conv2(out)))
        return self.relu(out + self.downsample(x))


class SEResNet(nn.Module):
    """One squeeze-excitation block, 192 → 30 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(SEBasicBlock(192, WIDTH))

    def forward(self, x: Float[Tensor, "window 192 75"]) -> Float[Tensor, "window 30 75"]:
        """Recalibrated channels."""
        return self.layer(x)  # (window, 30, 75)


class CausalTCN(nn.Module):
    """Two causal convolutions with a residual: step t sees no step after t."""

    def __init__(self, channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        pad = kernel_size - 1
        self.conv1 = nn.Conv1d(channels, channels, kernel_size, padding=pad)
        self.conv2 = nn.Conv1d(channels, channels, kernel_size, padding=pad)
        self.bn1 = nn.BatchNorm1d(channels)
        self.bn2 = nn.BatchNorm1d(channels)
        self.relu = nn.ReLU()
        self.pad = pad

    def forward(
        self, x: Float[Tensor, "window channel time"]
    ) -> Float[Tensor, "window channel time"]:
        """Causal features.

        As in the authors' code each BatchNorm comes before the right trim, so that in training
        its statistics include the `pad` steps beyond the end.
        """
        out = self.relu(self.bn1(self.conv1(x)))  # (window, channel, time + pad)
        out = out[:, :, : -self.pad]  # (window, channel, time)
        out = self.bn2(self.conv2(out))  # (window, channel, time + pad)
        out = out[:, :, : -self.pad]  # (window, channel, time)
        return self.relu(out + x)


class CausalAttention(nn.Module):
    """Multi-head attention over time; key and value are causal features of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.tcn = nn.ModuleList([CausalTCN(WIDTH), CausalTCN(WIDTH)])
        self.multihead_attention = nn.MultiheadAttention(
            WIDTH, HEADS, dropout=0.1, batch_first=True
        )

    def forward(
        self, query: Float[Tensor, "window 30 75"], x: Float[Tensor, "window 30 75"]
    ) -> Float[Tensor, "window 30 75"]:
        """Attended values."""
        q, k, v = self._inputs(query, x)
        attended, _ = self.multihead_attention(q, k, v, need_weights=False)  # (window, 75, 30)
        return attended.transpose(1, 2)  # (window, 30, 75)

    def attention(
        self, query: Float[Tensor, "window 30 75"], x: Float[Tensor, "window 30 75"]
    ) -> Float[Tensor, "window 5 75 75"]:
        """Attention weights of each head: from a step (row) to the steps it reads (column)."""
        q, k, v = self._inputs(query, x)
        return self.multihead_attention(q, k, v, average_attn_weights=False)[1]

    def _inputs(self, query: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q = query.transpose(1, 2)  # (window, 75, 30)
        k = self.tcn[0](x).transpose(1, 2)  # (window, 75, 30)
        v = self.tcn[1](x).transpose(1, 2)  # (window, 75, 30)
        return q, k, v


class FeedForward(nn.Module):
    """MLP along time, 75 → 120 → 75, the same for every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.w_1 = nn.Linear(STEPS, 120)
        self.w_2 = nn.Linear(120, STEPS)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Float[Tensor, "window 30 75"]) -> Float[Tensor, "window 30 75"]:
        """Mixed steps."""
        hidden = self.dropout(self.relu(self.w_1(x)))  # (window, 30, 120)
        return self.w_2(hidden)  # (window, 30, 75)


class SublayerOutput(nn.Module):
    """LayerNorm over channels and dropout of one sub-layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.1)

    def normalise(self, x: Float[Tensor, "window 30 75"]) -> Float[Tensor, "window 30 75"]:
        """LayerNorm over the 30 channels of each step."""
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Causal attention and feed-forward, each with dropout and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = CausalAttention()
        self.feed_forward = FeedForward()
        self.sublayer_output = nn.ModuleList([SublayerOutput(), SublayerOutput()])
        self.conv = CausalTCN(WIDTH)

    def forward(self, x: Float[Tensor, "window 30 75"]) -> Float[Tensor, "window 30 75"]:
        """Encoded steps.

        The attention sub-layer reads `query` and not its normalised form: in the authors' code
        the LayerNorm ``sublayer_output.0`` is computed and thrown away. Its weights stay in the
        state dict and receive no gradient.
        """
        first, second = cast(Iterable[SublayerOutput], self.sublayer_output)
        query = self.conv(x)  # (window, 30, 75)
        x = query + first.dropout(self.self_attn(query, x))
        return x + second.dropout(self.feed_forward(second.normalise(x)))


class Encoder(nn.Module):
    """Two encoder layers and a LayerNorm over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(), EncoderLayer()])
        self.norm = nn.LayerNorm(STEPS)

    def forward(self, x: Float[Tensor, "window 30 75"]) -> Float[Tensor, "window 30 75"]:
        """Encoded steps."""
        for layer in self.layers:
            x = layer(x)  # (window, 30, 75)
        return self.norm(x)


@MODELS.register("painattnnet")
class PainAttnNet(nn.Module):
    """PainAttnNet on windows of skin conductance.

    Parameters
    ----------
    num_classes : int
        Number of logits.

    Notes
    -----
    558,308 parameters with two classes. Input in microsiemens, not filtered, not standardised.
    Fresh weights are drawn as the authors draw them: convolutions N(0, 0.02), BatchNorm weights
    N(1, 0.02), biases of convolutions and linear layers as PyTorch does.
    """

    card: Card

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.mscn = MultiscaleCNN()
        self.seresnet = SEResNet()
        self.encoderWrapper = Encoder()
        self.fc = nn.Linear(WIDTH * STEPS, num_classes)
        self.apply(_draw_weights)

    def forward(self, x: Float[Tensor, "window ..."]) -> Float[Tensor, "window class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "window 1 2816"]
            Skin conductance in microsiemens, 5.5 s at 512 Hz.

        Raises
        ------
        ConfigError
            If the windows have another shape.
        """
        _check_shape(x)
        x = self.mscn(x)  # (window, 192, 75)
        x = self.seresnet(x)  # (window, 30, 75)
        x = self.encoderWrapper(x)  # (window, 30, 75)
        x = x.flatten(start_dim=1)  # (window, 2250)
        return self.fc(x)  # (window, class)

    def attention(
        self, x: Float[Tensor, "window ..."]
    ) -> Float[Tensor, "layer window head query key"]:
        """Attention weights of the 2 layers and 5 heads over the 75 steps.

        Each row sums to 1 in evaluation mode. The steps are learned mixtures of the whole window
        (a linear layer maps each branch to 75), so that a step is no place in time.

        Raises
        ------
        ConfigError
            If the windows have another shape.
        """
        _check_shape(x)
        x = self.seresnet(self.mscn(x))  # (window, 30, 75)
        maps = []
        for layer in cast(Iterable[EncoderLayer], self.encoderWrapper.layers):
            maps.append(layer.self_attn.attention(layer.conv(x), x))  # (window, 5, 75, 75)
            x = layer(x)  # (window, 30, 75)
        return torch.stack(maps)  # (2, window, 5, 75, 75)


def _check_shape(x: Tensor) -> None:
    if x.ndim != 3 or tuple(x.shape[1:]) != (1, SAMPLES):
        raise ConfigError(
            f"PainAttnNet was given windows of shape {tuple(x.shape)}, expected (window, 1, "
            f"{SAMPLES}): one channel of EDA in microsiemens, 5.5 s at 512 Hz. Its linear layers "
            "are sized for that length: cut windows of 5.5 s and resample to 512 Hz, or choose "
            "another network."
        )


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm1d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
