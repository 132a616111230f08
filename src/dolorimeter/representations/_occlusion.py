"""Part of a face covered with grey, to ask what a model's score owes to it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from dolorimeter.signals.face import region_masks

GREY = 128
"""What covers: nearly the mean of pictures that a network takes with a mean of 0.5."""

REGIONS = ("eyes", "mouth", "brows", "nose")
"""Regions that follow the landmarks (`dolorimeter.signals.face.REGIONS`)."""

_INWARDS: Mapping[str, tuple[int, bool]] = MappingProxyType(
    {"upper": (0, False), "lower": (0, True), "left": (1, True), "right": (1, False)}
)
"""Axis along which a half is covered, and whether from its end. Left is the person's own left."""

OCCLUSIONS = (*REGIONS, *_INWARDS, "random")
"""Everything that can be covered."""


def covered(
    picture: UInt8[np.ndarray, "side side 3"], mask: Bool[np.ndarray, "side side"]
) -> UInt8[np.ndarray, "side side 3"]:
    """A copy of the picture with `GREY` where the mask is."""
    picture = picture.copy()
    picture[mask] = GREY
    return picture


def occlusion_mask(
    what: str,
    share: float,
    landmarks: Float[np.ndarray, "478 d"],
    side: int,
    draw: np.random.Generator,
) -> Bool[np.ndarray, "side side"]:
    """Which pixels of an aligned picture are covered.

    Parameters
    ----------
    what : str
        One of `OCCLUSIONS`. A region is covered from its inside outwards (both eyes alike), a
        half of the picture from its outer edge inwards. ``random`` is one square anywhere, which
        becomes a rectangle where it would not fit.
    share : float
        Of the region's area, of the half's, or (``random``) of the picture's; 0…1.
    landmarks : Float[np.ndarray, "478 d"]
        In pixels of the aligned picture.
    side : int
        Of the picture, in pixels.
    draw : numpy.random.Generator
        For ``random``; give every frame of a clip one in the same state.
    """
    if what == "random":
        return _square(share, side, draw)
    if what in _INWARDS:
        axis, from_end = _INWARDS[what]
        lines = np.arange(side)[::-1] if from_end else np.arange(side)
        order = np.broadcast_to(lines[:, None] if axis == 0 else lines[None], (side, side))
        return _first(order, order < side // 2, share)
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    region = region_masks(landmarks, side)[what]
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return _first(-depth, region, share)


def _first(
    order: Float[np.ndarray, "side side"] | Int[np.ndarray, "side side"],
    region: Bool[np.ndarray, "side side"],
    share: float,
) -> Bool[np.ndarray, "side side"]:
    """The share of a region's pixels that comes first in order; equals in reading order."""
    inside = np.flatnonzero(region)
    chosen = inside[np.argsort(order.ravel()[inside], kind="stable")]
    mask = np.zeros(region.size, dtype=bool)
    mask[chosen[: round(share * len(inside))]] = True
    return mask.reshape(region.shape)


def _square(share: float, side: int, draw: np.random.Generator) -> Bool[np.ndarray, "side side"]:
    mask = np.zeros((side, side), dtype=bool)
    height = round(side * share**0.5)
    if height:
        width = min(side, round(share * side * side / height))
        top = int(draw.integers(side - height + 1))
        left = int(draw.integers(side - width + 1))
        mask[top : top + height, left : left + width] = True
    return mask
