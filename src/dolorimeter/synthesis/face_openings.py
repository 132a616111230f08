"""Lids that slide over the eye, lips that part over the teeth: edges where the skin ends.

A smooth warp cannot do this: it would squash the eyeball. Each edge carries the skin on its side
along, column by column, and what lies beneath stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter._extras import cv2

RIGHT_EYE = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
)
LEFT_EYE = (
    (362, 398, 384, 385, 386, 387, 388, 466, 263),
    (362, 382, 381, 380, 374, 373, 390, 249, 263),
)
"""Landmarks of the upper and the lower lid's edge, from the picture's left to its right."""
INNER_LIPS = (
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
ROUNDING = 0.02
"""Landmarks are joined by lines whose corners are rounded over so much, in face units."""
LASHES = 0.02
"""The upper lid's skin ends so far below its landmarks, in face units: lashes go along."""
LID, CHEEK = 0.11, 0.30
"""Height of the skin that follows the upper lid, and the lower."""
LASH_LINE, LASH_WIDTH = (0.34, 0.26, 0.22), 0.019
"""Gain of red, green and blue, and half width (face units) of a falling lid's lashes."""
SHUT_UPPER, SHUT_LOWER = 0.90, 0.13
"""Share of the opening that each lid goes when the eye shuts: they overlap a little."""
TIGHT_UPPER, TIGHT_LOWER = 0.20, 0.36
"""The same when AU7 is at its strongest and the eye stays open."""
PHILTRUM, CHIN_FOLD = 0.20, 0.36
"""Height of the skin that follows the upper lip, and the lower."""
MEETING = 0.42
"""Where the lips meet, as a share of the way from the portrait's upper lip to its lower."""
CAVITY = (52.0, 20.0, 18.0)
"""RGB inside the mouth, beyond the teeth."""
LIP_LINE = (0.60, 0.48, 0.46)
"""Gain of red, green and blue of the line between closed lips."""


@dataclass(frozen=True)
class Gap:
    """A place where skin ends at an upper and a lower edge: a box of the texture.

    Parameters
    ----------
    box : tuple of int
        First and last row, first and last column (exclusive).
    upper, lower : Float[np.ndarray, "column"]
        Rows of both edges in the texture, in pixels of the box.
    unit : float
        Pixels of a face unit.
    """

    box: tuple[int, int, int, int]
    upper: Float[np.ndarray, " column"]
    lower: Float[np.ndarray, " column"]
    unit: float

    @property
    def height(self) -> Float[np.ndarray, " column"]:
        """Distance of the edges in pixels."""
        return self.lower - self.upper

    @property
    def rows(self) -> Float[np.ndarray, "row 1"]:
        """Row numbers of the box."""
        return np.arange(self.box[1] - self.box[0], dtype=float)[:, None]

    def view(self, texture: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "row column 3"]:
        """The box of a texture: no copy."""
        top, bottom, left, right = self.box
        return texture[top:bottom, left:right]


def gap(
    landmarks: Float[np.ndarray, "2 478"],
    edges: tuple[tuple[int, ...], tuple[int, ...]],
    margin: tuple[float, float, float],
    unit: float,
    shape: tuple[int, int],
) -> Gap:
    """The gap between two chains of landmarks.

    Parameters
    ----------
    landmarks : Float[np.ndarray, "2 478"]
        In pixels of the texture (column, row).
    margin : tuple of float
        How far the box reaches above, below and beside, in face units.
    shape : tuple of int
        Rows and columns of the texture.
    """
    upper, lower = (landmarks[:, list(chain)] for chain in edges)
    above, below, beside = (m * unit for m in margin)
    top = max(int(upper[1].min() - above), 0)
    bottom = min(int(lower[1].max() + below) + 1, shape[0])
    left = max(int(upper[0].min() - beside), 0)
    right = min(int(upper[0].max() + beside) + 1, shape[1])
    columns = np.arange(left, right, dtype=float)
    rows = [_smooth(columns, chain, unit) - top for chain in (upper, lower)]
    return Gap((top, bottom, left, right), rows[0], np.maximum(rows[0], rows[1]), unit)


def _smooth(
    columns: Float[np.ndarray, " column"], chain: Float[np.ndarray, "2 point"], unit: float
) -> Float[np.ndarray, " column"]:
    """Rows of a chain of landmarks at all columns: no corners, level beyond its ends."""
    order = np.argsort(chain[0], kind="stable")
    rows = np.interp(columns, chain[0][order], chain[1][order])
    return cv2.GaussianBlur(rows[None], (0, 0), ROUNDING * unit, borderType=cv2.BORDER_REPLICATE)[
        0
    ]


# ── eyes ────────────────────────────────────────────────────────────────────────────────────────


def lid_skin(texture: UInt8[np.ndarray, "_ _ 3"], eye: Gap) -> Float[np.ndarray, "row column 3"]:
    """What a shut eye's box shows: skin from above the eye to below it, with a cheek's grain.

    The lid's own skin cannot be drawn out for it: an open eye shows a crease and lashes there.
    """
    box, unit = eye.view(texture).astype(float), eye.unit
    first, last = eye.upper - LID * unit, eye.lower + LID * unit
    columns = np.arange(box.shape[1])
    ends = []
    for edge in (first, last):
        rows = np.clip(np.rint(edge), 0, len(box) - 1).astype(int)
        ends.append(cv2.GaussianBlur(box[rows, columns][None], (0, 0), 0.06 * unit))
    share = np.clip((eye.rows - first) / (last - first), 0.0, 1.0)[..., None]
    smooth = ends[0] * (1 - share) + ends[1] * share
    cheek = np.clip(np.rint(eye.rows[:, 0] + 0.45 * unit) + eye.box[0], 0, len(texture) - 1)
    skin = texture[cheek.astype(int), eye.box[2] : eye.box[3]].astype(float)
    return smooth + skin - cv2.GaussianBlur(skin, (0, 0), 0.05 * unit)


def move_lids(
    texture: UInt8[np.ndarray, "_ _ 3"],
    eye: Gap,
    skin: Float[np.ndarray, "row column 3"],
    shut: float,
    tight: float,
) -> UInt8[np.ndarray, "row column 3"]:
    """The box of an eye whose lids move.

    Parameters
    ----------
    skin : Float[np.ndarray, "row column 3"]
        See `lid_skin`.
    shut : float
        0 open … 1 shut.
    tight : float
        AU6 and AU7, 0 … 1.
    """
    box, rows, unit = eye.view(texture), eye.rows, eye.unit
    drop = eye.height * (SHUT_UPPER * shut + TIGHT_UPPER * tight * (1 - shut))
    rise = eye.height * (SHUT_LOWER * shut + TIGHT_LOWER * tight * (1 - shut))
    rim = eye.upper + LASHES * unit
    above = (rim + drop) - rows
    upper = _sampled(box, rim - _shortened(above, LID * unit + LASHES * unit, drop)).astype(float)
    below = rows - (eye.lower - rise)
    lower = _sampled(box, eye.lower + _shortened(below, CHEEK * unit, rise))
    gone = np.clip(2.0 * drop / max(float(eye.height.max()), 1.0), 0.0, 1.0)
    around = cv2.GaussianBlur(gone[None], (0, 0), 0.06 * unit)[0]  # lashes reach past the corner
    near = np.clip((LID * unit + drop - above) / (0.05 * unit), 0.0, 1.0)
    upper += (skin - upper) * (np.maximum(gone, 1.5 * around).clip(0, 1) * near)[..., None]
    line = np.exp(-0.5 * (above / (LASH_WIDTH * unit)) ** 2) * around
    upper *= 1 - line[..., None] * (1 - np.array(LASH_LINE))
    shade = 1 - 0.35 * np.clip(1 + above / (0.05 * unit), 0, 1) * min(1.0, 3 * (shut + tight))
    found = _blend(box * shade[..., None], lower, below)
    return np.clip(np.rint(_blend(found, upper, above)), 0, 255).astype(np.uint8)


def _shortened(
    away: Float[np.ndarray, "row column"], length: float, moved: Float[np.ndarray, " column"]
) -> Float[np.ndarray, "row column"]:
    """Distance from the edge in the texture, of what lies `away` from an edge that has moved.

    The skin within `length` is drawn out by `moved`.
    """
    return np.where(away < length + moved, away * (length / (length + moved)), away - moved)


def _sampled(
    box: UInt8[np.ndarray, "row column 3"], rows: Float[np.ndarray, "row column"]
) -> UInt8[np.ndarray, "row column 3"]:
    columns = np.broadcast_to(np.arange(box.shape[1], dtype=np.float32), rows.shape)
    return np.asarray(
        cv2.remap(
            box,
            np.ascontiguousarray(columns),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )


def _blend(
    beneath: Float[np.ndarray, "row column 3"],
    skin: np.ndarray,
    inside: Float[np.ndarray, "row column"],
) -> Float[np.ndarray, "row column 3"]:
    """Skin where `inside` (pixels to its edge) is positive, soft over one pixel."""
    share = np.clip(inside + 0.5, 0.0, 1.0)[..., None]
    return beneath + (skin - beneath) * share


# ── mouth ───────────────────────────────────────────────────────────────────────────────────────


def move_lips(
    texture: UInt8[np.ndarray, "_ _ 3"], mouth: Gap, raised: float, lowered: float, jaw: float
) -> UInt8[np.ndarray, "row column 3"]:
    """The box of a mouth whose lips part.

    Parameters
    ----------
    raised, lowered : float
        How far each lip is on its way from the line where they meet (0) to where the smiling
        portrait has it (1) and beyond.
    jaw : float
        How much further the lower lip has gone down with the jaw, in face units.
    """
    box, rows, unit = mouth.view(texture), mouth.rows, mouth.unit
    meeting = mouth.upper + MEETING * mouth.height
    sink = (1 - raised) * (meeting - mouth.upper)
    span = mouth.height / max(float(mouth.height.max()), 1e-6)
    lift = (1 - lowered) * (mouth.lower - meeting) - jaw * unit * np.sqrt(span)
    above = (mouth.upper + sink) - rows
    below = rows - (mouth.lower - lift)
    upper_rows = mouth.upper - _shortened(above, PHILTRUM * unit, sink)
    lower_rows = mouth.lower + _shortened(below, CHIN_FOLD * unit, lift)
    inside = _inside_mouth(box, mouth)
    shut = np.clip(1 - (mouth.height - sink - lift) / (0.06 * unit), 0, 1)
    shut *= np.clip(mouth.height / (0.10 * unit), 0, 1)  # the line ends before the corners do
    edge = np.minimum(np.abs(above), np.abs(below))
    line = np.exp(-0.5 * (edge / (0.014 * unit)) ** 2) * shut
    lower = _blend(inside, _sampled(box, lower_rows), below)
    found = _blend(lower, _sampled(box, upper_rows), above)
    found *= 1 - line[..., None] * (1 - np.array(LIP_LINE))
    return np.rint(found).astype(np.uint8)


def _inside_mouth(
    box: UInt8[np.ndarray, "row column 3"], mouth: Gap
) -> Float[np.ndarray, "row column 3"]:
    """Upper teeth as in the portrait, and beneath them the dark."""
    unit, rows = mouth.unit, np.broadcast_to(mouth.rows, box.shape[:2])
    teeth = _sampled(box, np.clip(rows, mouth.upper + 0.015 * unit, mouth.lower))
    depth = np.clip((rows - mouth.lower) / (0.03 * unit) + 0.6, 0.0, 1.0)[..., None]
    return teeth * (1 - depth) * 0.92 + np.array(CAVITY) * depth
