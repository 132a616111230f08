"""MediaPipe's canonical face mesh, and the networks beside it, from the vendored model bundle.

The bundle is a zip archive. Its geometry metadata is a message of Protocol Buffers: field 1 is the
mesh (in it, field 3 holds vertices and field 4 the corners of triangles), field 2 the landmarks
that a head's pose is fitted by, with weights.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

BUNDLE = "face_landmarker.task"
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
"""The bundle in ``assets``, and the metadata in it."""

VARINT, EIGHT_BYTES, SUBMESSAGE, FOUR_BYTES = 0, 1, 2, 5
"""Wire types of Protocol Buffers."""
VERTEX = ("x", "y", "z", "u", "v")


@cache
def bundle() -> Mapping[str, bytes]:
    """The files of the bundle, by name."""
    content = resources.files("dolorimeter").joinpath("assets", BUNDLE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        return MappingProxyType({name: files.read(name) for name in files.namelist()})


@cache
def canonical_face() -> Float64[np.ndarray, "468 3"]:
    """The canonical face in centimetres: x to the right, y upwards, z towards the camera."""
    vertices = b"".join(value for key, value in _fields(_mesh()) if key == (3, FOUR_BYTES))
    return np.frombuffer(vertices, "<f4").reshape(-1, len(VERTEX))[:, :3].astype(float)


@cache
def face_triangles() -> Int64[np.ndarray, "898 3"]:
    """Corners of the mesh's triangles: a disc of 468 points without holes, irises left out."""
    corners = [value for key, value in _fields(_mesh()) if key == (4, VARINT)]
    return np.array(corners, dtype=np.int64).reshape(-1, 3)


@cache
def pose_points() -> tuple[tuple[int, ...], Float64[np.ndarray, " point"]]:
    """Landmarks that MediaPipe fits a head's pose by, and their weights."""
    fields = _fields(bundle()[GEOMETRY])
    found = [dict(_fields(value)) for key, value in fields if key == (2, SUBMESSAGE)]
    weights = b"".join(point[2, FOUR_BYTES] for point in found)
    return tuple(point[1, VARINT] for point in found), np.frombuffer(weights, "<f4").astype(float)


def _mesh() -> bytes:
    (mesh,) = (value for key, value in _fields(bundle()[GEOMETRY]) if key == (1, SUBMESSAGE))
    return bytes(mesh)


def _fields(message: bytes) -> Iterator[tuple[tuple[int, int], Any]]:
    """Fields of a message: their number and wire type, and what they hold."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            number, place = _varint(message, place)
            yield (key >> 3, kind), number
            continue
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind, 0)
        if kind == SUBMESSAGE:
            length, place = _varint(message, place)
        yield (key >> 3, kind), message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """The number that begins at a byte, seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
