"""Small encoders of pictures, registered while these tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dolorimeter.embeddings import runtimes
from dolorimeter.models import TNT
from dolorimeter.registry import MODELS, Card, InputSpec

SPEC = InputSpec((3, 32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


class SmallTnt(TNT):
    """TNT as published, of a tenth of its depth and width."""

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__(
            num_classes,
            image_size=32,
            depth=2,
            width=48,
            heads=4,
            inner_width=12,
            inner_heads=2,
        )


class Colours(nn.Module):
    """Mean of each channel, times a number: what comes out can be reckoned by hand."""

    gives_features = True

    def __init__(self, num_classes: int = 0) -> None:
        super().__init__()
        self.times = nn.Parameter(torch.rand(3))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) * self.times


class Fourier(Colours):
    """With an operator that no runtime here takes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.fft.ifft2(torch.fft.fft2(x)).real)


class ExportableFourier(Fourier):
    """The same, with an equivalent module for runtimes."""

    def exportable(self) -> nn.Module:
        twin = Colours()
        twin.load_state_dict(self.state_dict())
        return twin


class FixedBatch(Colours):
    """Whose batch size becomes a constant in a file."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(len(x), 3, 32, 32))


class Map(Colours):
    """Whose output is a picture, not a vector."""

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture(scope="module", autouse=True)
def _small_encoders() -> Iterator[None]:
    """Registered for these tests alone: others walk the registry."""
    MODELS.names()
    before = dict(MODELS._entries), dict(MODELS._cards)
    for name, model in (
        ("small_tnt", SmallTnt),
        ("colours", Colours),
        ("fourier", Fourier),
        ("exportable_fourier", ExportableFourier),
        ("fixed_batch", FixedBatch),
        ("map", Map),
    ):
        MODELS.register(Card(name, "for tests", input=SPEC))(model)
    yield
    runtimes._loaded.cache_clear()
    for kept, now in zip(before, (MODELS._entries, MODELS._cards), strict=True):
        now.clear()
        now.update(kept)


@pytest.fixture(autouse=True)
def _nothing_loaded() -> None:
    """What one test loaded is no help to the next."""
    runtimes._loaded.cache_clear()


@pytest.fixture
def pictures() -> Callable[..., np.ndarray]:
    """Random pictures of a seed."""

    def make(count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
        return coarse.repeat(4, axis=2).repeat(4, axis=3)

    return make
