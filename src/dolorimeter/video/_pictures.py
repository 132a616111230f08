"""Decoded frames → upright RGB pictures with square pixels."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import RecordingError

if TYPE_CHECKING:
    from av import VideoFrame
else:
    # importing av takes 0.1 s; only a function that opens a file needs it
    VideoFrame = Any


class Turn(NamedTuple):
    """How a stored frame becomes upright: transpose, then mirror left–right, then up–down."""

    transposed: bool
    mirrored: bool
    flipped: bool


ANGLES = {
    Turn(False, False, False): (0, False),
    Turn(True, False, True): (90, False),
    Turn(False, True, True): (180, False),
    Turn(True, True, False): (270, False),
    Turn(False, True, False): (0, True),
    Turn(True, True, True): (90, True),
    Turn(False, False, True): (180, True),
    Turn(True, False, False): (270, True),
}
"""Degrees counter-clockwise, and whether it is then mirrored left to right."""
_BY_ANGLE = tuple(turn for turn, (_, mirrored) in ANGLES.items() if not mirrored)


def turn_of(frame: VideoFrame) -> Turn:
    """The multiple of 90° that a frame's display matrix asks for.

    The matrix maps a stored pixel (x, y) to (a·x + c·y, b·x + d·y), y downwards (ISO/IEC
    14496-12, 6.2.2; FFmpeg keeps it as nine 32-bit integers a b u c d v x y w).
    """
    from av.video.reformatter import VideoReformatter

    from dolorimeter._extras import av

    try:  # a frame whose side data was asked for stays until the collector comes: ask a tiny copy
        tiny = VideoReformatter().reformat(frame, 16, 16, "rgb24", threads=1)
    except (av.FFmpegError, ValueError):  # a picture of it will fail, and say why
        return Turn(False, False, False)
    try:
        matrix = cast("Mapping[str, Any]", tiny.side_data).get("DISPLAYMATRIX")
    except ValueError:  # side data that PyAV has no name for yet (EXIF, stereo): a mirror is lost
        return _BY_ANGLE[round(tiny.rotation / 90) % 4]
    if matrix is None:
        return Turn(False, False, False)
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32, count=5))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def square_size(frame: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of a stored frame in square pixels; `aspect` is width over height."""
    if not aspect or not 0.1 < aspect < 10:  # nonsense in a header is not followed
        return frame.width, frame.height
    return max(1, round(frame.width * aspect)), frame.height


class Picture:
    """Decoded frame → upright RGB picture; every picture of a file has the first one's size."""

    def __init__(self, path: Path, aspect: Fraction | None) -> None:
        from av.video.reformatter import VideoReformatter

        self._path, self._aspect = path, aspect
        self._reformatter = VideoReformatter()
        self._form: tuple[int, int, Turn] | None = None

    def __call__(self, frame: VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        from dolorimeter._extras import av

        if self._form is None:
            self._form = (*square_size(frame, self._aspect), turn_of(frame))
        width, height, turn = self._form
        try:
            rgb = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
            return turned(rgb.to_ndarray(), turn)
        except (av.FFmpegError, ValueError) as error:
            raise RecordingError(
                f"{self._path}: pixels of format {frame.format.name} cannot be converted "
                f"to RGB ({error}). Convert the file to H.264 in yuv420p."
            ) from error


def turned(image: UInt8[np.ndarray, "row column 3"], turn: Turn) -> UInt8[np.ndarray, "h w 3"]:
    if not any(turn):
        return image
    from dolorimeter._extras import (
        cv2,  # several times faster here than NumPy's copy of a transposed view
    )

    if turn.transposed:
        image = cv2.transpose(image)
    if turn.mirrored or turn.flipped:
        code = -1 if turn.mirrored and turn.flipped else int(turn.mirrored)
        image = cv2.flip(image, code)
    return image
