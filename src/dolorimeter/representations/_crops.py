"""The aligned face: cut out of a frame, and its landmarks in the same pixels."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from jaxtyping import Float, Int, UInt8

from dolorimeter.types import CROP_SIZE, FaceTrack


def aligned(
    image: UInt8[np.ndarray, "height width 3"], alignment: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The aligned face cut out of a frame, black where the frame ends.

    Parameters
    ----------
    alignment : Float[np.ndarray, "2 3"]
        From frame pixels to pixels of a picture of `CROP_SIZE`.
    size : int
        Side of the picture wanted, in pixels.
    """
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    shrinking = float(np.sqrt(abs(np.linalg.det(alignment[:, :2])))) * size / CROP_SIZE
    # reading four pixels of a face that is shrunk to a quarter or less would alias
    finer = max(1, int(0.5 / max(shrinking, 1 / 64)))
    side = size * finer
    picture = cv2.warpAffine(image, scaled(alignment, side), (side, side), flags=cv2.INTER_LINEAR)
    if finer > 1:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, dtype=np.uint8)


def scaled(alignment: Float[np.ndarray, "2 3"], size: int) -> Float[np.ndarray, "2 3"]:
    """An alignment into a picture of another size; a pixel's centre is at its whole number."""
    factor = size / CROP_SIZE
    matrix = alignment.astype(np.float64) * factor
    matrix[:, 2] += 0.5 * factor - 0.5
    return matrix


def landmarks_at(
    track: FaceTrack, rows: Int[np.ndarray, " row"], size: int = CROP_SIZE
) -> Float[np.ndarray, "row 478 3"]:
    """Landmarks of some frames in pixels of an aligned picture of that size; z alike."""
    factor = size / CROP_SIZE
    points = rows_of(track, rows).aligned_landmarks * factor
    points[:, :, :2] += 0.5 * factor - 0.5
    return points


def rows_of(track: FaceTrack, rows: Int[np.ndarray, " row"]) -> FaceTrack:
    """Only these frames of a track."""
    found = {f.name: getattr(track, f.name) for f in fields(track)}
    arrays = {k: v[rows] for k, v in found.items() if isinstance(v, np.ndarray)}
    return replace(track, **arrays)
