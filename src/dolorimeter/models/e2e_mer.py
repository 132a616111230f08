"""E2E-MER: a ResNet-50 on the frames, convolutions on the raw signals, an LSTM over both.

Panagiotis Tzirakis, George Trigeorgis, Mihalis A. Nicolaou, Björn Schuller, Stefanos Zafeiriou:
*End-to-end multimodal emotion recognition using deep neural networks*. IEEE Journal of Selected
Topics in Signal Processing 11:1301–1309, 2017, doi:10.1109/JSTSP.2017.2764438, arXiv:1704.08619.
Code: tzirakis/Multimodal-Emotion-Recognition (BSD-3; sizes were read there, nothing was copied).
ResNet-50: Kaiming He and others, CVPR 2016, arXiv:1512.03385. Nguyen et al., PeerJ Computer
Science 11:e3158, 2025, compare with it. Their signals are a person's, the article's is a voice.
"""

from __future__ import annotations

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
from dolorimeter.models._weights import load_weights
from dolorimeter.registry import MODELS, Card

BLOCKS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)
FILTERS, POOLED = 40, 10
"""Of the convolutions along a signal; filters whose maximum is kept."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures in 0…1: what ResNet's published weights expect."""


class Bottleneck(nn.Module):
    """Convolutions of 1 × 1, 3 × 3 and 1 × 1, added to what came in."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inside != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, 4 * width, 1, stride=stride, bias=False),
                nn.BatchNorm2d(4 * width),
            )

    def forward(self, x: Float[Tensor, "frame channel row column"]) -> Tensor:
        """(frame, 4 · width, row / stride, column / stride)."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = functional.relu(self.bn2(self.conv2(out)))
        return functional.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNet50(nn.Module):
    """ResNet-50 without its classifier; names as in torchvision's files.

    Parameters
    ----------
    blocks, widths : sequence of int
        Of the four stages.
    """

    def __init__(self, blocks: Sequence[int] = BLOCKS, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inside = widths[0]
        for stage, (count, width) in enumerate(zip(blocks, widths, strict=True), 1):
            made = []
            for i in range(count):
                made.append(Bottleneck(inside, width, 2 if i == 0 and stage > 1 else 1))
                inside = 4 * width
            self.add_module(f"layer{stage}", nn.Sequential(*made))
        self.stages, self.width = len(blocks), inside

    def forward(self, x: Float[Tensor, "frame 3 row column"]) -> Float[Tensor, "frame feature"]:
        """Mean over the last stage."""
        x = functional.relu(self.bn1(self.conv1(x)))  # (frame, 64, row / 2, column / 2)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)  # the last: (frame, 2048, row / 32, …)
        return x.mean(dim=(2, 3))


@MODELS.register("e2e_mer")
class E2EMER(nn.Module):
    """E2E-MER on packed windows: clips of pictures as they are (0…255), and signals.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int, optional
        ``(number,)`` of a packed window; checked where it is given.
    video : tuple of int
        ``(frame, 3, side, side)`` (article: 96 × 96); empty: no video.
    signals : tuple of int
        ``(channel, time)``; empty: no signals.
    frames_weights : str
        Path of a ResNet-50 weights file, needed at the start of a fit only; empty: fresh weights.
    frames_without : sequence of str
        Names that are not taken from it (``fc.weight``, ``fc.bias``).
    steps : int
        Of the LSTM where there is no video; else there are as many as frames.
    hidden, layers : int
        Of the LSTM.
    scaling : str
        Of the signals: ``none``, ``train_robust`` or ``train_standard``: `ChannelScale`.
    prior : sequence of float, optional
        Probability of each class for a window without either side; None: all the same.
    blocks, widths : sequence of int
        Of the ResNet's stages.
    dropout : float
        Of the signals before the first convolution (article), and of the vector before the
        classifier.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     backbone = ResNet50()
    >>> sum(p.numel() for p in backbone.parameters()) + 2049 * 1000  # with ImageNet's classifier
    25557032
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
        frames_weights: str = "",
        frames_without: Sequence[str] = (),
        steps: int = 16,
        hidden: int = 256,
        layers: int = 2,
        scaling: str = "none",
        prior: Sequence[float] | None = None,
        blocks: Sequence[int] = BLOCKS,
        widths: Sequence[int] = WIDTHS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.video = tuple(int(n) for n in video)
        self.signals = tuple(int(n) for n in signals)
        self.sizes = side_sizes("E2E-MER", self.video, self.signals, input_shape)
        self.steps = self.video[0] if self.video else steps
        self._check()
        features, notes = 0, []
        if self.video:
            self.frames = ResNet50(blocks, widths)
            self.apply(_draw_weights)
            if frames_weights:
                load_weights(self.frames, frames_weights, without=frames_without)
            else:
                notes = [
                    "ResNet-50 was randomly initialised (no frames_weights) and trained along"
                ]
            features += self.frames.width
            for name, values in (("mean", MEAN), ("std", STD)):
                scale = 255 * torch.tensor(values).reshape(3, 1, 1)
                self.register_buffer(name, scale, persistent=False)
        if self.signals:
            channels, time = self.signals
            self.scale = ChannelScale(channels, scaling)
            self.conv1 = nn.Conv1d(channels, FILTERS, 20)
            self.conv2 = nn.Conv1d(FILTERS, FILTERS, 40)
            features += FILTERS // POOLED * (time // self.steps // 2)
        self.notes = tuple(notes)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
        self.out = nn.Linear(hidden, num_classes)
        self.register_buffer("log_prior", log_prior(prior, num_classes))

    def learn_scale(self, x: Float[np.ndarray, "window number"]) -> None:
        """What the training windows teach of each channel; called once, before training."""
        if self.signals:
            own = x[:, -self.sizes[-1] :]
            self.scale.learn(own.reshape(len(x), *self.signals))

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
        parts = side_parts("E2E-MER", x, self.video, self.signals)
        there = sides_there(parts)
        found = []
        if self.video:
            found.append(self._of_frames(parts[0], there[:, 0]))  # (window, frame, 2048)
        if self.signals:
            found.append(self._of_signals(parts[-1], there[:, -1]))  # (window, step, feature)
        states, _ = self.lstm(torch.cat(found, dim=2))  # (window, step, hidden)
        logits = self.out(self.dropout(states.mean(dim=1)))  # (window, class)
        return or_prior(logits, there, cast(Tensor, self.log_prior))

    def _of_frames(self, x: Tensor, there: Tensor) -> Tensor:
        """Of windows with a clip alone: others never reach a BatchNorm."""
        out = x.new_zeros(len(x), self.steps, self.frames.width)
        if not bool(there.any()):
            return out
        clips = x[there].reshape(-1, *self.video[1:])  # (window · frame, 3, side, side)
        scaled = (clips.nan_to_num() - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        seen = self.frames(scaled).reshape(-1, *out.shape[1:])
        return out.to(seen.dtype).index_copy(0, there.nonzero()[:, 0], seen)

    def _of_signals(self, x: Tensor, there: Tensor) -> Tensor:
        """Each step by itself: samples that do not fill a last step are left out."""
        channels, time = self.signals
        length = time // self.steps
        x = self.scale(x.reshape(len(x), channels, time))[..., : length * self.steps]
        x = self.dropout(x).unflatten(2, (self.steps, length)).transpose(1, 2).flatten(0, 1)
        x = functional.max_pool1d(
            functional.relu(_same(self.conv1, x)), 2
        )  # (window · step, 40, half)
        x = functional.relu(_same(self.conv2, x))
        x = functional.max_pool1d(x.mT, POOLED).mT  # (window · step, 4, half): over the filters
        x = x.reshape(-1, self.steps, x[0].numel())  # (window, step, feature)
        return torch.where(there[:, None, None], x, 0.0)

    def _check(self) -> None:
        if self.video and (len(self.video) != 4 or self.video[1] != 3):
            raise ConfigError(
                f"video is {self.video}, expected (frame, 3, side, side): pictures as they are, "
                "of face_clip without an encoder."
            )
        if self.signals and (len(self.signals) != 2 or self.signals[1] // self.steps < 2):
            raise ConfigError(
                f"signals are {self.signals} in {self.steps} steps, expected (channel, time) of "
                "at least two samples a step."
            )


def _same(conv: nn.Conv1d, x: Float[Tensor, "window channel time"]) -> Tensor:
    """As many samples as there are: zeros before and after, the odd one after."""
    around = conv.kernel_size[0] - 1
    return conv(functional.pad(x, (around // 2, around - around // 2)))


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
