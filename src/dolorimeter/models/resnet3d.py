"""ResNet3D-18: a residual network of convolutions over time, rows and columns: a baseline.

Kensho Hara, Hirokatsu Kataoka, Yutaka Satoh: *Can spatiotemporal 3D CNNs retrace the history of 2D
CNNs and ImageNet?* CVPR 2018, arXiv:1711.09577; Du Tran et al.: *A closer look at spatiotemporal
convolutions for action recognition*. CVPR 2018, arXiv:1711.11248 (R3D-18, whose stem this is).
Nguyen et al., PeerJ Computer Science 11:e3158, 2025, compare with it.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dolorimeter.errors import ConfigError
from dolorimeter.registry import MODELS, Card

WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Two convolutions of 3 × 3 × 3, added to what came in."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(outside)
        self.conv2 = nn.Conv3d(outside, outside, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(outside)
        self.shorter: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            self.shorter = nn.Sequential(
                nn.Conv3d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm3d(outside)
            )

    def forward(
        self, x: Float[Tensor, "clip inside time row column"]
    ) -> Float[Tensor, "clip outside time2 row2 column2"]:
        """Half as long and wide where the stride is 2."""
        found = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(found)) + self.shorter(x))


@MODELS.register("resnet3d_18")
class ResNet3D18(nn.Module):
    """ResNet3D-18.

    Parameters
    ----------
    num_classes : int
        Number of logits. 0: no head, and the output is the mean over the last stage.
    dropout : float
        Share of the vector before the classifier left out in training.

    Notes
    -----
    Takes clips of any length and size; memory in training grows with both.

    Examples
    --------
    >>> model = ResNet3D18(400)
    >>> sum(p.numel() for p in model.parameters())
    33371472
    """

    card: Card
    gives_features = True
    width = WIDTHS[-1]

    def __init__(self, num_classes: int = 2, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.stem_norm = nn.BatchNorm3d(64)
        inside = (64, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(Block(i, o, 1 if i == o else 2), Block(o, o, 1))
            for i, o in zip(inside, WIDTHS, strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.width, num_classes) if num_classes else nn.Identity()
        self.apply(_draw_weights)

    def forward(self, x: Float[Tensor, "clip ..."]) -> Float[Tensor, "clip class"]:
        """Logits.

        Parameters
        ----------
        x : Float[Tensor, "clip frame 3 height width"]
            RGB in −1…1.

        Raises
        ------
        ConfigError
            If the clips have another number of axes or colours.
        """
        if x.ndim != 5 or x.shape[2] != 3:
            raise ConfigError(
                f"ResNet3D-18 was given clips of shape {tuple(x.shape[1:])}, expected (frame, 3, "
                "height, width)."
            )
        x = x.transpose(1, 2)  # (clip, 3, frame, row, column)
        x = functional.relu(self.stem_norm(self.stem(x)))  # (clip, 64, frame, row / 2, column / 2)
        for stage in self.stages:
            x = stage(x)  # the last: (clip, 512, frame / 8, row / 16, column / 16)
        return self.fc(self.dropout(x.mean(dim=(2, 3, 4))))  # (clip, class)


def _draw_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)
