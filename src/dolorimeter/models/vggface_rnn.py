"""VGG-Face and a recurrent network over the frames of a clip: a baseline.

Omkar M. Parkhi, Andrea Vedaldi, Andrew Zisserman: *Deep face recognition*. BMVC 2015,
doi:10.5244/C.29.41 (the network: VGG-16 of Simonyan and Zisserman, arXiv:1409.1556, configuration
D). Ghazal Bargshady and others: *A joint deep neural network model for pain recognition from
face*. ICCCS 2019 (its frames through a recurrent network, for pain). Nguyen et al., PeerJ Computer
Science 11:e3158, 2025, compare with it. No code of theirs was seen; sizes that we could not find
are ours, and stand in the Card.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.models._weights import load_weights
from dolorimeter.registry import MODELS, Card

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 3, 3, 3)
DENSE = 4096


class Backbone(nn.Module):
    """VGG-16 up to its second fully connected layer, names as published with VGG-Face.

    Thirteen convolutions of 3 × 3 in five groups, each followed by a maximum of 2 × 2; fc6, fc7.
    """

    def __init__(self, side: int, channels: Sequence[int], dense: int) -> None:
        super().__init__()
        inside, self.groups = 3, []
        for group, (width, count) in enumerate(zip(channels, CONVOLUTIONS, strict=True), 1):
            names = [f"conv{group}_{i}" for i in range(1, count + 1)]
            for name in names:
                self.add_module(name, nn.Conv2d(inside, width, 3, padding=1))
                inside = width
            self.groups.append(names)
        self.fc6 = nn.Linear(inside * (side // 32) ** 2, dense)
        self.fc7 = nn.Linear(dense, dense)
        self.dropout = nn.Dropout(0.5)  # as published

    def forward(self, x: Float[Tensor, "frame 3 side side"]) -> Float[Tensor, "frame dense"]:
        """fc7 after its ReLU."""
        for names in self.groups:
            for name in names:
                x = functional.relu(self.get_submodule(name)(x))
            x = functional.max_pool2d(x, 2)  # (frame, channel, side / 2, side / 2)
        x = x.flatten(1)  # (frame, channel · (side / 32)²)
        x = self.dropout(functional.relu(self.fc6(x)))  # (frame, dense)
        return functional.relu(self.fc7(x))  # (frame, dense)


@MODELS.register("vggface_rnn")
class VGGFaceRNN(nn.Module):
    """VGG-Face and an LSTM on clips.

    Parameters
    ----------
    num_classes : int
        Number of logits.
    input_shape : tuple of int
        ``(frame, 3, side, side)``; the side is a multiple of 32 (published: 224).
    backbone_weights : str
        Path of a weights file for the backbone (conv1_1.weight … fc7.bias), needed at the start of
        a fit only; empty: fresh weights.
    backbone_without : sequence of str
        Names that are not taken from that file (``fc8.weight``, ``fc8.bias``).
    frozen_backbone : bool
        The backbone does not learn, and stays in evaluation mode.
    hidden, layers : int
        Of the LSTM.
    channels : sequence of int
        Of the five groups of convolutions.
    dense : int
        Numbers of fc6 and fc7.
    dropout : float
        Of the vector before the classifier.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     backbone = Backbone(224, CHANNELS, DENSE)
    >>> sum(p.numel() for p in backbone.parameters()) + 4097 * 1000  # fc8 of ImageNet: 138 M
    138357544
    """

    card: Card

    def __init__(
        self,
        num_classes: int = 2,
        *,
        input_shape: Sequence[int] = (16, 3, 224, 224),
        backbone_weights: str = "",
        backbone_without: Sequence[str] = (),
        frozen_backbone: bool = False,
        hidden: int = 256,
        layers: int = 1,
        channels: Sequence[int] = CHANNELS,
        dense: int = DENSE,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        shape = tuple(int(n) for n in input_shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or shape[2] % 32:
            raise ConfigError(
                f"input_shape is {shape}, expected (frame, 3, side, side) with a side that is a "
                "multiple of 32."
            )
        if len(channels) != len(CONVOLUTIONS):
            raise ConfigError(f"channels are {tuple(channels)}, expected five numbers.")
        self.shape, self.frozen = shape, frozen_backbone
        self.backbone = Backbone(shape[2], channels, dense)
        self.apply(_draw_weights)
        if backbone_weights:
            load_weights(self.backbone, backbone_weights, without=backbone_without)
        told = "stayed so" if frozen_backbone else "trained along"
        self.notes = () if backbone_weights else (
            f"the VGG-16 backbone was randomly initialised (no backbone_weights) and {told}",
        )  # fmt: skip
        self.backbone.requires_grad_(not frozen_backbone)
        self.rnn = nn.LSTM(dense, hidden, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, num_classes)

    def train(self, mode: bool = True) -> VGGFaceRNN:
        """Training or evaluation mode; a frozen backbone stays in the latter."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        return self

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "clip frame 3 side side"]
            RGB, 0…255 minus the published mean of each colour (see the Card).

        Raises
        ------
        ConfigError
            If the clips have another shape.
        """
        if x.ndim != 5 or tuple(x.shape[2:]) != self.shape[1:]:
            raise ConfigError(
                f"VGG-Face with an RNN was given clips of shape {tuple(x.shape[1:])}, expected "
                f"{self.shape}."
            )
        frames = self.backbone(x.flatten(0, 1))  # (clip · frame, dense)
        states, _ = self.rnn(frames.unflatten(0, x.shape[:2]))  # (clip, frame, hidden)
        return self.out(self.dropout(states.mean(dim=1)))  # (clip, class)


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None  # they are made with one
        nn.init.zeros_(module.bias)
