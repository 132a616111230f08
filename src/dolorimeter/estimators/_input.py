"""What a network is given of a window: scaled pictures, and changes in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from dolorimeter.augmentation import add_noise, augment_clip, check_names, mask_out
from dolorimeter.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from dolorimeter.registry import Card


@dataclass(frozen=True)
class PictureScaling:
    """Pictures of uint8 as a network's Card wants them: divided by 255, minus mean, over std.

    Anything else passes as it is.

    Parameters
    ----------
    mean, std : tuple of float
        One a channel, of values in 0…1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """A batch ``(…, channel, height, width)`` as float32."""
        from dolorimeter._extras import torch

        if x.dtype != torch.uint8:
            return x
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=x.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        return x.float().div_(255).sub_(mean).div_(std)


def scaling_of(card: Card) -> PictureScaling | None:
    """The scaling that a network's Card asks for; None where it asks for none."""
    spec = card.input
    if spec is None or spec.mean is None or spec.std is None:
        return None
    return PictureScaling(spec.mean, spec.std)


@dataclass(frozen=True)
class ClipChange:
    """`augment_clip` with these names, for `dolorimeter.training.fit`."""

    names: tuple[str, ...]

    def __call__(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The clip, changed."""
        return augment_clip(window, self.names, rng)


@dataclass(frozen=True)
class ClipCut:
    """A stretch of a clip's frames: from a moment that is drawn, or from the middle.

    Parameters
    ----------
    frames, stride : int
        Frames that are kept, and from one to the next.
    then : callable, optional
        What changes the stretch in training.
    """

    frames: int
    stride: int
    then: Any = None

    def __call__(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A stretch that begins at a moment drawn anew, changed."""
        first = int(rng.integers(self._room(len(window)) + 1))
        cut = window[self._places(first)]
        return cut if self.then is None else np.asarray(self.then(cut, rng))

    def centred(self, x: Shaped[np.ndarray, "window frame ..."]) -> np.ndarray:
        """The stretch in the middle of each window, as far from either end as can be."""
        return x[:, self._places(self._room(x.shape[1]) // 2)]

    def check(self, x: Shaped[np.ndarray, "window ..."]) -> None:
        """`ConfigError` unless the windows are clips that are long enough."""
        reach = (self.frames - 1) * self.stride + 1
        if x.ndim != 5 or x.shape[1] < reach:
            raise ConfigError(
                f"clip_frames = {self.frames} with clip_stride = {self.stride} takes {reach} "
                f"frames, and the windows are of shape {x.shape}: expected (window, frame, 3, "
                "height, width) of at least so many. Take face_frames, or face_clip with more "
                "frames, and no encoder."
            )

    def _room(self, frames: int) -> int:
        return frames - 1 - (self.frames - 1) * self.stride

    def _places(self, first: int) -> slice:
        return slice(first, first + (self.frames - 1) * self.stride + 1, self.stride)


@dataclass(frozen=True)
class VectorChange:
    """Noise and a masked stretch in one window of numbers, for `dolorimeter.training.fit`.

    Parameters
    ----------
    mean, deviation : arrays
        Of each value over the training windows.
    noise : float
        Standard deviation of what is added, as a share of `deviation`.
    masked : float
        Share of the last axis that is set to `mean`.
    """

    mean: Float[np.ndarray, "*shape"]
    deviation: Float[np.ndarray, "*shape"]
    noise: float
    masked: float

    def __call__(
        self, window: Float[np.ndarray, "*shape"], rng: np.random.Generator
    ) -> Float[np.ndarray, "*shape"]:
        """The window, changed."""
        if self.noise:
            window = add_noise(window, self.deviation, self.noise, rng)
        if self.masked:
            window = mask_out(window, self.mean, self.masked, rng)
        return window


def change_of(
    x: Shaped[np.ndarray, "window ..."], augment: Sequence[str], noise: float, masked: float
) -> Any:
    """What changes the training windows `x` between epochs; None where nothing does.

    Raises
    ------
    ConfigError
        If the windows are not of the kind that the change is for, or a name is not known.
    """
    pictures = x.dtype == np.uint8
    check_names(augment)
    if len(augment):
        if not pictures or x.ndim != 5:
            raise ConfigError(
                f"augment={list(augment)} is for clips of pictures, uint8 (window, frame, 3, "
                f"height, width) to a network that takes them, and the windows are {x.dtype} of "
                f"shape {x.shape}. For embeddings there are embedding_noise and mask_out."
            )
        return ClipChange(tuple(augment))
    if not noise and not masked:
        return None
    if pictures:
        raise ConfigError(
            "embedding_noise and mask_out are for windows of floats, and these are pictures of "
            "uint8: use augment."
        )
    return VectorChange(*_mean_and_deviation(x), noise, masked)


def _mean_and_deviation(
    x: Float[np.ndarray, "window ..."],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Of each value over the windows that have it; NaN and 0 where none has."""
    if not np.isnan(x).any():
        mean, deviation = (f(axis=0, dtype=np.float64) for f in (x.mean, x.std))
        return mean.astype(np.float32), deviation.astype(np.float32)
    count = np.sum(~np.isnan(x), axis=0)
    mean = np.nansum(x, axis=0, dtype=np.float64) / np.where(count, count, np.nan)
    square = np.nansum(np.square(x - mean), axis=0) / np.maximum(count, 1)
    return mean.astype(np.float32), np.sqrt(square).astype(np.float32)
