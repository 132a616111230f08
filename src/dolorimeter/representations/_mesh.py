"""The surface of the 478 landmarks, drawn as a depth map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def depth_map(
    points: Float[np.ndarray, "point 3"], triangles: Int[np.ndarray, "triangle 3"], size: int
) -> Float[np.ndarray, "size size"]:
    """Depth of the nearest surface at the centre of every pixel, infinite where there is none.

    Parameters
    ----------
    points : Float[np.ndarray, "point 3"]
        x, y in pixels of the picture (the centre of the first at 0), z smaller when nearer.
    triangles : Int[np.ndarray, "triangle 3"]
        Rows of `points`; either way round.
    size : int
        Side of the picture in pixels.

    Notes
    -----
    All triangles at once: each is tested at every pixel of its bounding box.
    """
    corners = points[triangles]
    low = np.ceil(corners[:, :, :2].min(axis=1)).clip(0, size).astype(int)
    high = np.floor(corners[:, :, :2].max(axis=1)).clip(-1, size - 1).astype(int)
    width, height = (high - low + 1).clip(0).T
    pixels = width * height
    which = np.repeat(np.arange(len(corners)), pixels)
    place = np.arange(len(which)) - np.repeat(np.cumsum(pixels) - pixels, pixels)
    x = low[which, 0] + place % np.maximum(width, 1)[which]
    y = low[which, 1] + place // np.maximum(width, 1)[which]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[which].transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(np.abs(area) < 1e-9, np.nan, area)  # seen from the side: covers nothing
    of_b = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    of_c = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    inside = np.minimum(np.minimum(of_b, of_c), 1 - of_b - of_c) >= -1e-9
    z = az + of_b * (bz - az) + of_c * (cz - az)
    depth = np.full(size * size, np.inf)
    np.minimum.at(depth, (y * size + x)[inside], z[inside])
    return depth.reshape(size, size)
