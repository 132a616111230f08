"""Changing pictures and vectors at random in training; the same draw for every frame of a clip.

* AugMix: Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan: *AugMix: A Simple Data Processing
  Method to Improve Robustness and Uncertainty*. ICLR 2020, arXiv:1912.02781.
* TrivialAugment: Müller, Hutter: *TrivialAugment: Tuning-free Yet State-of-the-Art Data
  Augmentation*. ICCV 2021, arXiv:2103.10158.

A clip is changed as one thing: what an operation measures (a histogram, a mean) it measures over
all frames, so that a picture that stands still stays still. Written from the papers on OpenCV; the
authors' code uses Pillow, from which it differs by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.errors import ConfigError

Clip = UInt8[np.ndarray, "frame 3 height width"]
Operation = Callable[[Clip, float], Clip]

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in brightness (ITU-R BT.601)."""
WIDTH, DEPTH, SEVERITY = 3, 3, 3
"""Of AugMix: chains, most operations in a chain, and severity out of 10 (its authors' values)."""
STRENGTHS = 31
"""Of TrivialAugment: equally likely strengths, 0 to 30."""


def augment_clip(clip: Clip, names: Sequence[str], rng: np.random.Generator) -> Clip:
    """The clip after the augmentations of those names, in their order.

    Parameters
    ----------
    clip : UInt8[np.ndarray, "frame 3 height width"]
        RGB; not changed.
    names : sequence of str
        Of `AUGMENTATIONS`: ``"augmix"``, ``"trivial_augment"``.
    rng : np.random.Generator
        Decides once for all frames.

    Raises
    ------
    ConfigError
        If a name is not known.
    """
    check_names(names)
    for name in names:
        clip = AUGMENTATIONS[name](clip, rng)
    return clip


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are not of `AUGMENTATIONS`.

    Raises
    ------
    ConfigError
        Naming the first that is not known.
    """
    if isinstance(names, str):
        raise ConfigError(f"augmentations are '{names}', expected a list: ['{names}'].")
    for name in names:
        if name not in AUGMENTATIONS:
            raise ConfigError(
                f"unknown augmentation '{name}'; known: {', '.join(sorted(AUGMENTATIONS))}."
            )


def augmix(clip: Clip, rng: np.random.Generator) -> Clip:
    """Chains of one to three operations, mixed with each other and with the clip itself.

    The paper's second part, a loss that draws the predictions for three such mixtures together,
    belongs to training and is not here.
    """
    weights = rng.dirichlet([1.0] * WIDTH)
    share = rng.beta(1.0, 1.0)
    mixed = (1 - share) * clip.astype(np.float32)
    for weight in weights:
        changed = clip
        for _ in range(rng.integers(1, DEPTH, endpoint=True)):
            name = MIXED[rng.integers(len(MIXED))]
            changed = OPERATIONS[name](changed, _augmix_value(name, clip.shape[3], rng))
        mixed += np.float32(share * weight) * changed
    return _round(mixed)


def trivial_augment(clip: Clip, rng: np.random.Generator) -> Clip:
    """One operation, any as likely as any other, at a strength drawn evenly.

    The ranges are those that the paper calls RA; its wide ones turn a face by up to 135°, and an
    aligned face stands upright.
    """
    name = TRIVIAL[rng.integers(len(TRIVIAL))]
    strength = rng.integers(STRENGTHS) / (STRENGTHS - 1)
    sign = int(rng.choice((-1, 1)))
    return OPERATIONS[name](clip, _trivial_value(name, strength, sign, clip.shape[3]))


def add_noise(
    x: Float[np.ndarray, "*shape"],
    deviation: Float[np.ndarray, "*shape"],
    share: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "*shape"]:
    """Gaussian noise added to one sample, of `share` times the given standard deviations."""
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    return x + np.asarray(share * deviation * noise, dtype=x.dtype)


def mask_out(
    x: Float[np.ndarray, "*shape"],
    fill: Float[np.ndarray, "*shape"],
    share: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "*shape"]:
    """One stretch of the last axis, of `share` of its length, replaced by `fill`.

    The last axis is the feature of an embedding and the time of a signal; every row loses the same
    stretch. With `fill` the mean of the training samples this sets standardised values to zero.
    """
    length = round(share * x.shape[-1])
    start = rng.integers(x.shape[-1] - length, endpoint=True)
    out = x.copy()
    out[..., start : start + length] = fill[..., start : start + length]
    return out


def identity(clip: Clip, _: float = 0.0) -> Clip:
    """The clip as it is."""
    return clip


def autocontrast(clip: Clip, _: float = 0.0) -> Clip:
    """Each channel stretched so that its darkest value becomes 0 and its brightest 255."""
    tables = []
    for channel in clip.swapaxes(0, 1):
        low, high = int(channel.min()), int(channel.max())
        spread = (np.arange(256) - low) * (255 / (high - low)) if high > low else np.arange(256)
        tables.append(_round(np.asarray(spread, dtype=np.float32)))
    return _look_up(clip, np.stack(tables))


def equalize(clip: Clip, _: float = 0.0) -> Clip:
    """Each channel's histogram made even."""
    from dolorimeter._extras import cv2

    out = np.empty(clip.shape, dtype=np.uint8)
    for number, channel in enumerate(clip.swapaxes(0, 1)):
        stacked = np.ascontiguousarray(channel).reshape(-1, clip.shape[3])
        out[:, number] = cv2.equalizeHist(stacked).reshape(channel.shape)
    return out


def posterize(clip: Clip, bits: float) -> Clip:
    """Only the first `bits` of the 8 bits of each value kept."""
    return clip & np.uint8(256 - 2 ** (8 - round(bits)))


def solarize(clip: Clip, threshold: float) -> Clip:
    """Values of `threshold` and above inverted."""
    values = np.arange(256)
    table = np.where(values < threshold, values, 255 - values).astype(np.uint8)
    return _look_up(clip, np.stack([table] * 3))


def brightness(clip: Clip, factor: float) -> Clip:
    """Away from black, or towards it below 1."""
    return _blend_values(clip, 0.0, factor)


def contrast(clip: Clip, factor: float) -> Clip:
    """Away from the mean grey of the clip, or towards it below 1."""
    means = clip.mean(axis=(0, 2, 3), dtype=np.float64)
    return _blend_values(clip, float(np.rint(means @ GREY)), factor)


def colour(clip: Clip, factor: float) -> Clip:
    """Away from each pixel's own grey, or towards it below 1."""
    values = clip.astype(np.float32)
    grey = np.einsum("fchw,c->fhw", values, np.array(GREY, dtype=np.float32))[:, None]
    values -= grey
    values *= np.float32(factor)
    values += grey
    return _round(values)


def sharpness(clip: Clip, factor: float) -> Clip:
    """Away from the smoothed clip, or towards it below 1; the outermost pixels stay.

    Smoothed by a 3×3 kernel with 5 in the middle and 1 around, over 13.
    """
    from dolorimeter._extras import cv2

    kernel = np.ones((3, 3), dtype=np.float32)
    kernel[1, 1] = 5
    kernel /= 13
    out = clip.copy()
    for picture, sharp in zip(_pictures(clip), _pictures(out), strict=True):
        smooth = cv2.filter2D(picture, -1, kernel)
        blended = cv2.addWeighted(picture, factor, smooth, 1 - factor, 0)
        sharp[1:-1, 1:-1] = blended[1:-1, 1:-1]
    return out


def rotate(clip: Clip, degrees: float) -> Clip:
    """Turned counter-clockwise about the centre; black comes in."""
    height, width = clip.shape[2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = (width - 1) / 2, (height - 1) / 2
    return _warp(clip, [[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]])


def shear_x(clip: Clip, share: float) -> Clip:
    """Rows moved to the right in proportion to their height above the bottom."""
    return _warp(clip, [[1, -share, share * (clip.shape[2] - 1)], [0, 1, 0]])


def shear_y(clip: Clip, share: float) -> Clip:
    """Columns moved down in proportion to their place from the left."""
    return _warp(clip, [[1, 0, 0], [share, 1, 0]])


def translate_x(clip: Clip, pixels: float) -> Clip:
    """Moved to the right by whole pixels."""
    return _warp(clip, [[1, 0, round(pixels)], [0, 1, 0]])


def translate_y(clip: Clip, pixels: float) -> Clip:
    """Moved down by whole pixels."""
    return _warp(clip, [[1, 0, 0], [0, 1, round(pixels)]])


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        f.__name__: f
        for f in (
            *(identity, autocontrast, equalize, posterize, solarize),
            *(brightness, contrast, colour, sharpness),
            *(rotate, shear_x, shear_y, translate_x, translate_y),
        )
    }
)
"""By name; the second argument is in the operation's own unit."""
TRIVIAL = tuple(OPERATIONS)
MIXED = tuple(
    n for n in OPERATIONS if n not in ("identity", "brightness", "contrast", "colour", "sharpness")
)
"""AugMix leaves out what its authors test robustness with."""
AUGMENTATIONS: Mapping[str, Callable[[Clip, np.random.Generator], Clip]] = MappingProxyType(
    {"augmix": augmix, "trivial_augment": trivial_augment}
)


def _augmix_value(name: str, size: int, rng: np.random.Generator) -> float:
    """A value for `OPERATIONS`, whose strength is drawn from 0.1…`SEVERITY` out of 10."""
    strength, sign = rng.uniform(0.1, SEVERITY) / 10, float(rng.choice((-1, 1)))
    if name == "posterize":
        return 4.0 - math.floor(4 * strength)
    if name == "solarize":
        return 256.0 - math.floor(256 * strength)
    if name == "rotate":
        return sign * math.floor(30 * strength)
    if name in ("translate_x", "translate_y"):
        return sign * math.floor(size / 3 * strength)
    return sign * 0.3 * strength


def _trivial_value(name: str, strength: float, sign: int, size: int) -> float:
    """A value for `OPERATIONS` at a strength of 0…1: the ranges of RandAugment."""
    if name == "posterize":
        return 8.0 - round(4 * strength)
    if name == "solarize":
        return 256 - 256 * strength
    if name == "rotate":
        return sign * 30 * strength
    if name in ("translate_x", "translate_y"):
        return sign * size * 10 / 32 * strength
    if name in ("shear_x", "shear_y"):
        return sign * 0.3 * strength
    return 1 + sign * 0.9 * strength


def _blend_values(clip: Clip, towards: float, factor: float) -> Clip:
    table = _round(towards + factor * (np.arange(256, dtype=np.float32) - towards))
    return _look_up(clip, np.stack([table] * 3))


def _look_up(clip: Clip, tables: UInt8[np.ndarray, "3 256"]) -> Clip:
    from dolorimeter._extras import cv2

    out = np.empty(clip.shape, dtype=np.uint8)
    for picture, changed, table in zip(
        _pictures(clip), _pictures(out), np.tile(tables, (len(clip), 1)), strict=True
    ):
        cv2.LUT(picture, table, dst=changed)
    return out


def _warp(clip: Clip, matrix: Sequence[Sequence[float | int]]) -> Clip:
    """Every picture moved by a matrix from old to new pixel places."""
    from dolorimeter._extras import cv2

    transform = np.array(matrix, dtype=np.float64)
    out = np.empty(clip.shape, dtype=np.uint8)
    for picture, moved in zip(_pictures(clip), _pictures(out), strict=True):
        cv2.warpAffine(picture, transform, picture.shape[::-1], dst=moved)
    return out


def _pictures(clip: Clip) -> UInt8[np.ndarray, "picture height width"]:
    """One channel each: what OpenCV takes. Shares memory where the clip lies in order."""
    return np.ascontiguousarray(clip).reshape(-1, *clip.shape[2:])


def _round(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
