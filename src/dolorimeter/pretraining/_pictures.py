"""Bytes of a picture file to RGB of one size; a damaged file is refused, not half shown."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import RecordingError

SUFFIXES = ("png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff")
"""Endings of picture files, in small letters."""
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"


def decode(content: bytes, where: str) -> UInt8[np.ndarray, "height width 3"]:
    """RGB of a picture file, upright.

    OpenCV fills what a cut JPEG or PNG lacks with grey and says nothing to its caller, so the end
    of the file, and the checksums of a PNG, are looked at first. A changed bit inside a JPEG's
    data cannot be found out.

    Raises
    ------
    RecordingError
        If it is no picture, or not all of one.
    """
    fault = _damage(content)
    picture = None
    if not fault:
        from dolorimeter._extras import cv2

        try:
            picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
        except cv2.error as error:
            fault = str(error).splitlines()[0]
    if fault or picture is None:
        raise RecordingError(f"{where}: {fault or 'not a picture that OpenCV reads'}.")
    return np.ascontiguousarray(picture, dtype=np.uint8)


def fit(
    picture: UInt8[np.ndarray, "height width 3"], size: int
) -> UInt8[np.ndarray, "3 side side"]:
    """The largest square in the middle, resized, channel first."""
    from dolorimeter._extras import cv2

    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side != size:
        way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        square = cv2.resize(square, (size, size), interpolation=way)
    return np.ascontiguousarray(square.transpose(2, 0, 1), dtype=np.uint8)


def _damage(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content.startswith(_JPEG) and b"\xff\xd9" not in content[-64:]:
        return "a JPEG that is cut short"
    return _png_damage(content) if content.startswith(_PNG) else ""


def _png_damage(content: bytes) -> str:
    at = len(_PNG)
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        stop = at + 8 + length
        if stop + 4 > len(content):
            break
        (told,) = struct.unpack(">I", content[stop : stop + 4])
        if zlib.crc32(content[at + 4 : stop]) != told:
            return "a PNG whose checksum is wrong"
        if content[at + 4 : at + 8] == b"IEND":
            return ""
        at = stop + 4
    return "a PNG that is cut short"
