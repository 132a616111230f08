"""How much of the relevance lies on which part of the face, beside how large that part is.

A map always lies somewhere, and large parts collect more of it: a share of relevance means
something only beside the share of the area. Their ratio is 1 where the map is as dense as on
average.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.face import region_masks
from dolorimeter.types import CROP_SIZE

REST, FACE, OUTSIDE = "rest of the face", "the whole face", "outside the face"
"""Rows of the tables beside the named regions."""

_COLUMNS = ["region", "of", "relevance_share", "area_share", "ratio"]


def regions_by_frame(
    patches: Float[np.ndarray, "frame row column"],
    landmarks: Float[np.ndarray, "frames 478 axis"],
    *,
    size: int = CROP_SIZE,
) -> pd.DataFrame:
    """Relevance and area of every region in every frame.

    Parameters
    ----------
    patches : Float[np.ndarray, "frame row column"]
        Relevance of each patch, not negative. It is spread evenly over the patch's pixels, so that
        nothing is added at its edges.
    landmarks : Float[np.ndarray, "frame 478 2"], or with depth
        In pixels of the aligned picture; NaN in a frame without a face, which gives no rows.
    size : int
        Side of the aligned picture in pixels.

    Returns
    -------
    pandas.DataFrame
        ``frame``, ``region``, ``of`` (``the face`` or ``the picture``: what the shares are parts
        of), ``relevance``, ``area`` (pixels), ``relevance_of``, ``area_of`` (of the whole that
        `of` names), ``relevance_share``, ``area_share``, ``ratio``.

    Raises
    ------
    SignalError
        If the numbers of frames differ, or relevance is negative or not finite.
    """
    _check(patches, landmarks)
    rows = []
    for frame, (heat, points) in enumerate(zip(patches, landmarks, strict=True)):
        if not np.isfinite(points[:, :2]).all():
            continue
        pixels = spread(heat, size)
        masks = masks_of(points, size)
        face = masks[FACE]
        for region, mask in masks.items():
            of_face = region not in (FACE, OUTSIDE)
            whole = face if of_face else np.ones_like(face)
            rows.append(
                {
                    "frame": frame,
                    "region": region,
                    "of": "the face" if of_face else "the picture",
                    "relevance": float(pixels[mask].sum()),
                    "area": float(mask.sum()),
                    "relevance_of": float(pixels[whole].sum()),
                    "area_of": float(whole.sum()),
                }
            )
    names = ["frame", "region", "of", "relevance", "area", "relevance_of", "area_of"]
    return _with_shares(pd.DataFrame(rows, columns=names))


def region_table(by_frame: pd.DataFrame) -> pd.DataFrame:
    """The table of the clip from that of its frames.

    Relevance is added up over the frames. The area of a region is averaged over the frames with
    the frames' relevance as weights, so that a map that is even within every frame has the ratio 1
    everywhere, however its relevance and the size of the face change in time.

    Returns
    -------
    pandas.DataFrame
        ``region``, ``of``, ``relevance_share``, ``area_share``, ``ratio``, in the order of
        `masks_of`; empty without a face or without relevance.
    """
    weights = by_frame["relevance_of"].where(
        by_frame["of"] == "the picture",
        by_frame["frame"].map(
            by_frame[by_frame["of"] == "the picture"].groupby("frame")["relevance_of"].first()
        ),
    )
    if not weights.sum() > 0:
        return pd.DataFrame(columns=_COLUMNS)
    weighted = by_frame.assign(
        area=by_frame["area"] * weights, area_of=by_frame["area_of"] * weights
    )
    columns = ["relevance", "area", "relevance_of", "area_of"]
    summed = weighted.groupby(["region", "of"], sort=False)[columns].sum().reset_index()
    return _with_shares(summed)[_COLUMNS]


def masks_of(
    landmarks: Float[np.ndarray, "478 axis"], size: int = CROP_SIZE
) -> dict[str, Bool[np.ndarray, "size size"]]:
    """Masks of the regions, which share no pixel, then `REST`, `FACE` and `OUTSIDE`.

    The face is the convex hull of the landmarks.
    """
    from dolorimeter._extras import cv2

    points = np.clip(np.round(landmarks[:, :2]), -size, 2 * size).astype(np.int32)
    face = np.zeros((size, size), dtype=np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(points), (1,))
    whole = face.astype(bool)
    regions = {name: mask & whole for name, mask in region_masks(landmarks, size).items()}
    rest = whole & ~np.any(list(regions.values()), axis=0)
    return regions | {REST: rest, FACE: whole, OUTSIDE: ~whole}


def spread(
    patches: Float[np.ndarray, "*frame row column"], size: int = CROP_SIZE
) -> Float[np.ndarray, "*frame size size"]:
    """Relevance of each pixel: that of its patch over the number of the patch's pixels.

    Raises
    ------
    SignalError
        If the patches do not tile the picture.
    """
    rows, columns = patches.shape[-2:]
    if size % rows or size % columns:
        raise SignalError(
            f"{rows}×{columns} patches do not tile a picture of {size}×{size} pixels: give the "
            "size of the pictures that the map was made from."
        )
    high, wide = size // rows, size // columns
    return np.repeat(np.repeat(patches, high, axis=-2), wide, axis=-1) / (high * wide)


def _with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """The table with both shares and their ratio; NaN where the whole is nothing."""
    relevance = table["relevance"] / table["relevance_of"].where(table["relevance_of"] > 0)
    area = table["area"] / table["area_of"].where(table["area_of"] > 0)
    ratio = relevance / area.where(area > 0)
    return table.assign(relevance_share=relevance, area_share=area, ratio=ratio)


def _check(
    patches: Float[np.ndarray, "frame row column"],
    landmarks: Float[np.ndarray, "frames 478 axis"],
) -> None:
    if len(patches) != len(landmarks):
        raise SignalError(
            f"{len(patches)} maps and landmarks of {len(landmarks)} frames: give one a frame."
        )
    if not np.isfinite(patches).all() or (patches < 0).any():
        raise SignalError(
            "the relevance of some patches is negative or not a number; shares need relevance "
            "that is not negative, as `relevance_maps` gives."
        )
