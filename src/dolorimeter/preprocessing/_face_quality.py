"""How well a face can be seen: sharpness, light, and whether something is before it.

Every number is between 0 (unusable) and 1 (good) and is taken from the grey aligned picture,
whose 224 pixels show about 21 cm, so that a small face is judged by what is left of it.

The constants were set on `data/faces` (the two clips, the portrait and the photograph), before
any other face was looked at; `tests/preprocessing/test_faces.py` holds them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Outline of the face."""

SHARP, BLURRED = -2.0, -3.3
"""Decimal logarithm of the sharpness (see `blur`) that counts as 1 and as 0. Photographs of faces
are at −1.5 to −1.9; blurred by 2 pixels of the aligned picture at −2.2 to −2.6, by 4 at −2.9 to
−3.2."""

DARK, BRIGHT = 20, 245
"""Grey values (0…255) below and above which a pixel no longer tells skin from skin."""

COVERED, CLEAR = 0.2, 0.45
"""Likeness of a part to its drawing (see `occlusion`) that counts as 0 and as 1. On a clip of a
woman who passes a hand over her face, the least like part is at 0.47 or more without the hand,
at about 0.35 when it touches the lips, and at 0.24 or less when it covers them."""

FLAT, STRUCTURED = 2.0, 5.0
"""Grey values by which the lines of an eye vary where it is covered by a card (0 to 2.0 on the
clips and on drawn faces), and where it is in view but shut (5.1 and more; open 12 and more)."""

OPEN_ENOUGH, SHUT = 0.5, 0.8
"""Closure of an eye below which it must look as drawn, and above which any lines will do."""

EYES = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133),
     468, 469),
    ((263, 466, 388, 387, 386, 385, 384, 398, 362), (263, 249, 390, 373, 374, 380, 381, 382, 362),
     473, 474),
)  # fmt: skip
"""Upper lid, lower lid, centre of the iris and a point on its edge; right eye, left eye."""

LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146,
)  # fmt: skip
MOUTH = (
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
)  # fmt: skip
"""Outer and inner outline of the lips."""

SKIN, SCLERA, IRIS, LASHES, LOWER_LID, RED, LIP_LINE = 150, 160, 40, 40, 90, 120, 60
"""Grey values of the drawing: only their order matters much."""

HALF = 2
"""The drawing and what it is compared with have half the resolution of the aligned picture."""
FINE, LINES, COARSE = 1.0, 2.5, 6.0
"""Standard deviations in pixels of blurs. Between the first and the last is what is compared: what
is finer is noise and what is coarser is light. Between the first two are lines."""
AROUND = 2
"""Pixels around a part that are compared with it."""

FRACTION_BITS = 3


class Quality(NamedTuple):
    """Each 0 (unusable) … 1 (good)."""

    blur: float
    occlusion: float
    exposure: float


def quality(
    grey: UInt8[np.ndarray, "size size"],
    points: Float[np.ndarray, "478 2"],
    inside: Float[np.ndarray, "4 2"],
    presence: float,
    closure: Float[np.ndarray, "2"],
) -> Quality:
    """Quality of one face.

    Parameters
    ----------
    grey : UInt8[np.ndarray, "size size"]
        The aligned picture.
    points : Float[np.ndarray, "478 2"]
        Landmarks in its pixels.
    inside : Float[np.ndarray, "4 2"]
        Corners of the frame in its pixels, in order.
    presence : float
        How sure the mesh network is of the face, 0…1.
    closure : Float[np.ndarray, "2"]
        Of the left and the right eye, 0 open … 1 shut.
    """
    face = _filled(grey.shape, points[list(OVAL)])
    seen = face & _filled(grey.shape, inside)
    share = float(seen.sum() / max(face.sum(), 1))
    if share < 0.1:
        return Quality(0.0, 0.0, 0.0)
    return Quality(
        blur=blur(grey, seen),
        occlusion=min(presence, share * occlusion(grey, points, closure)),
        exposure=exposure(grey, seen),
    )


def blur(grey: UInt8[np.ndarray, "size size"], seen: Bool[np.ndarray, "size size"]) -> float:
    """Sharpness of the face: 1 sharp, 0 blurred, by focus, motion, or too few pixels.

    The variance of the Laplacian (of the picture blurred by one pixel, against noise) as a share
    of the variance of the grey values, on a logarithmic scale from `BLURRED` to `SHARP`.
    """
    from dolorimeter._extras import cv2

    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    edges = cv2.Laplacian(smooth, cv2.CV_32F)
    rim = cv2.erode(seen.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    if not rim.any() or (contrast := float(smooth[rim].var())) < FLAT:
        return 0.0
    sharpness = np.log10(float(edges[rim].var()) / contrast + 1e-12)
    return _between(sharpness, BLURRED, SHARP)


def exposure(grey: UInt8[np.ndarray, "size size"], seen: Bool[np.ndarray, "size size"]) -> float:
    """Share of the face's pixels that are neither too dark nor too bright to show structure."""
    values = grey[seen]
    return float(((values >= DARK) & (values <= BRIGHT)).mean())


def occlusion(
    grey: UInt8[np.ndarray, "size size"],
    points: Float[np.ndarray, "478 2"],
    closure: Float[np.ndarray, "2"],
) -> float:
    """How far eyes and mouth look as their landmarks say: 1 in full view, 0 when one is covered.

    The mesh network draws a whole face whatever it sees, so its landmarks alone do not tell. Eyes
    and lips are therefore drawn at their landmarks (dark upper lids and irises, lips darker than
    skin, a dark line between them), and each drawing is correlated with the picture. The least
    like of the three parts counts. What is inside an open mouth is left out.

    A shut eye without dark lashes is no more than a faint line. As far as an eye is shut, any
    structure there will do: shut eyes, which pain brings, must not pass for covered ones.

    Notes
    -----
    A hand, a mask, hair, a tube or the turn of the head away from the camera all lower it, alike;
    what is before the forehead, the cheeks or the chin alone does not, nor does a hand over shut
    eyes. Sunglasses and thick frames lower it, a moustache over the lip may.
    """
    from dolorimeter._extras import cv2

    small = cv2.resize(grey, None, fx=1 / HALF, fy=1 / HALF, interpolation=cv2.INTER_AREA)
    at = (points + 0.5) / HALF - 0.5
    picture, drawing = _band(small, COARSE), _band(_drawing(at, len(small)), COARSE)
    lines = _band(small, LINES)
    parts = []
    for (upper, lower, *_), shut in zip(EYES, closure[::-1], strict=True):
        box = _box(at[[*upper, *lower]], len(small))
        seen = _between(_likeness(picture[box], drawing[box]), COVERED, CLEAR)
        structure = _between(float(lines[box].std()), FLAT, STRUCTURED)
        parts.append(max(seen, structure * _between(float(shut), OPEN_ENOUGH, SHUT)))
    within = _filled(small.shape, at[list(MOUTH)]).astype(np.uint8)
    lips = ~cv2.erode(within, np.ones((3, 3), np.uint8)).astype(bool)  # the line itself counts
    box = _box(at[list(LIPS)], len(small))
    lips = lips[box]
    mouth = _likeness(picture[box][lips], drawing[box][lips])
    return min(*parts, _between(mouth, COVERED, CLEAR))


def _drawing(at: Float[np.ndarray, "478 2"], side: int) -> UInt8[np.ndarray, "side side"]:
    """Eyes and lips as lines and areas of grey."""
    from dolorimeter._extras import cv2

    sheet = np.full((side, side), SKIN, np.uint8)
    points = _fixed(at)

    def fill(where: Sequence[int], value: int) -> None:
        cv2.fillPoly(sheet, [points[list(where)]], value, cv2.LINE_AA, FRACTION_BITS)

    def line(where: Sequence[int], value: int, width: int, closed: bool = False) -> None:
        path = [points[list(where)]]
        cv2.polylines(sheet, path, closed, value, width, cv2.LINE_AA, FRACTION_BITS)

    for upper, lower, centre, edge in EYES:
        opening = (*upper, *lower[::-1])
        fill(opening, SCLERA)
        between = _filled(sheet.shape, at[list(opening)])
        radius = int(np.linalg.norm(points[centre] - points[edge]))
        whole = sheet.copy()
        place = (int(points[centre, 0]), int(points[centre, 1]))
        cv2.circle(whole, place, radius, IRIS, -1, cv2.LINE_AA, FRACTION_BITS)
        np.copyto(sheet, whole, where=between)
        line(upper, LASHES, 2)
        line(lower, LOWER_LID, 1)
    fill(LIPS, RED)
    line(MOUTH, LIP_LINE, 1, closed=True)
    return sheet


def _box(at: Float[np.ndarray, "point 2"], side: int) -> tuple[slice, slice]:
    """Rows and columns around some points, inside the picture."""
    left, top = np.clip(np.floor(at.min(axis=0)).astype(int) - AROUND, 0, side - 2)
    right, bottom = np.clip(np.ceil(at.max(axis=0)).astype(int) + AROUND + 1, 2, side)
    return slice(top, max(bottom, top + 2)), slice(left, max(right, left + 2))


def _likeness(picture: Float32[np.ndarray, "..."], drawing: Float32[np.ndarray, "..."]) -> float:
    """Correlation of two pieces; near 0 where either has no structure."""
    if picture.size < 2:
        return 0.0
    one, other = picture - picture.mean(), drawing - drawing.mean()
    spread = max(float(one.std()), FLAT) * max(float(other.std()), FLAT)
    return float((one * other).mean()) / spread


def _band(grey: UInt8[np.ndarray, "side side"], coarse: float) -> Float32[np.ndarray, "side side"]:
    from dolorimeter._extras import cv2

    values = grey.astype(np.float32)
    return cv2.GaussianBlur(values, (0, 0), FINE) - cv2.GaussianBlur(values, (0, 0), coarse)


def _filled(
    shape: tuple[int, ...], outline: Float[np.ndarray, "point 2"]
) -> Bool[np.ndarray, "height width"]:
    from dolorimeter._extras import cv2

    sheet = np.zeros(shape, np.uint8)
    cv2.fillPoly(sheet, [_fixed(outline)], 1, cv2.LINE_8, FRACTION_BITS)
    return sheet.astype(bool)


def _fixed(points: Float[np.ndarray, "point 2"]) -> Any:
    """OpenCV's coordinates with a fraction; far outside is far enough."""
    limit = 1 << 14
    return np.round(np.clip(points, -limit, limit) * (1 << FRACTION_BITS)).astype(np.int32)


def _between(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
