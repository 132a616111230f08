"""A small encoder with what makes training hard to repeat: BatchNorm and dropout."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dolorimeter.models.video_mae import VideoMAEEncoder
from dolorimeter.registry import MODELS, Card, InputSpec

SPEC = InputSpec((3, 32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


class TinyEncoder(nn.Module):
    gives_features = True
    share = 0.0

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.unused = nn.LayerNorm(8)  # published networks have such
        self.dropout = nn.Dropout(self.share)
        self.head = nn.Linear(8, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image out"]:
        grid = torch.tanh(self.norm(self.conv(x)))
        return self.head(self.dropout(grid.mean(dim=(2, 3))))


class TinyDropout(TinyEncoder):
    share = 0.3


class TinyClips(VideoMAEEncoder):
    """Four frames of 32 × 32 pixels."""

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__(num_classes, frames=4, image_size=32, depth=1, width=24, heads=2)


def register() -> None:
    """Put all among the models."""
    clips = InputSpec((3, 4, 32, 32), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    MODELS.register(Card(name="tiny_clips", summary="For tests.", input=clips))(TinyClips)
    for name, entry in (("tiny_encoder", TinyEncoder), ("tiny_dropout", TinyDropout)):
        MODELS.register(Card(name=name, summary="For tests.", input=SPEC))(entry)


def forget() -> None:
    """Take them out again: tests of all models shall not meet them."""
    for name in ("tiny_encoder", "tiny_dropout", "tiny_clips"):
        del MODELS._entries[name], MODELS._cards[name]
