"""The surface of the 478 landmarks, drawn as a depth map."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float, Int

TRIANGLES = 898
"""Of MediaPipe's face mesh: 468 points, a disc without holes; the irises are not part of it."""

_BUNDLE, _MEMBER = "face_landmarker.task", "geometry_pipeline_metadata_landmarks.binarypb"
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5  # wire types of protocol buffers
_MESH, _INDICES = 1, 4  # fields: the canonical mesh, and in it the corners of its triangles


@cache
def face_triangles() -> Int[np.ndarray, "triangle 3"]:
    """Corners of the face mesh's triangles, as the vendored model bundle lists them."""
    bundle = resources.files("dolorimeter") / "assets" / _BUNDLE
    with bundle.open("rb") as file, zipfile.ZipFile(file) as archive:
        message = archive.read(_MEMBER)
    mesh = next(value for number, value in _fields(message) if number == _MESH)
    assert isinstance(mesh, bytes)
    corners = np.array([value for number, value in _fields(mesh) if number == _INDICES])
    assert len(corners) == 3 * TRIANGLES  # the bundle is ours
    return corners.reshape(-1, 3)


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


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol-buffer message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        length = {_EIGHT: 8, _FOUR: 4}.get(kind, 0)
        if kind == _TEXT:
            length, at = _varint(message, at)
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a byte, seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
