"""The public-domain portrait all made-up faces come from, its landmarks and its regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from jaxtyping import Float, Float32, UInt8

from dolorimeter._extras import cv2

ENLARGED = 3
"""The portrait is enlarged once, with its edges sharpened, so that frames are not blurred."""
ROWS = 330
"""Rows of the portrait that are used: head and shoulders."""
PUPILS = (468, 473)
"""Landmarks of the right and the left pupil."""
FOLDS = (
    ((-0.40, 0.55), (-0.52, 0.66), (-0.64, 0.78), (-0.66, 0.92)),
    ((0.40, 0.55), (0.54, 0.66), (0.66, 0.80), (0.66, 0.95)),
)
"""The folds beside the mouth of who smiles, as the portrait does: they are smoothed away."""
FOLD_WIDTH, FOLD_BLUR = 0.20, 0.13


@dataclass(frozen=True)
class Portrait:
    """A person's picture in face units (see `dolorimeter.synthesis.face_fields`).

    Parameters
    ----------
    picture : UInt8[np.ndarray, "row column 3"]
        RGB, enlarged.
    parts : UInt8[np.ndarray, "row column 3"]
        Share of clothing, hair and skin in each pixel, 0 to 255; what is left is background.
    landmarks : Float[np.ndarray, "2 478"]
        In face units.
    to_pixels : Float[np.ndarray, "2 3"]
        From face units to pixels of `picture`.
    """

    picture: UInt8[np.ndarray, "row column 3"]
    parts: UInt8[np.ndarray, "row column 3"]
    landmarks: Float[np.ndarray, "2 478"]
    to_pixels: Float[np.ndarray, "2 3"]

    def pixels(self, points: Float[np.ndarray, "2 *place"]) -> Float32[np.ndarray, "2 *place"]:
        """Pixels of `picture` (column, row) at points of the face."""
        (a, b, c), (d, e, f) = self.to_pixels
        u, v = points
        return np.stack([a * u + b * v + c, d * u + e * v + f]).astype(np.float32)


@lru_cache(maxsize=1)
def portrait() -> Portrait:
    """The portrait, read from the package once a process."""
    assets = resources.files("dolorimeter") / "assets"
    rgb = cv2.cvtColor(_image(assets / "astronaut.png"), cv2.COLOR_BGR2RGB)[:ROWS]
    rgb = cv2.bilateralFilter(rgb, 5, 16.0, 1.5)  # the film's grain would be enlarged too
    parts = _image(assets / "astronaut_regions.png")
    with (assets / "astronaut_landmarks.npz").open("rb") as file:
        landmarks = np.load(file)["landmarks"].astype(float)[:, :2]
    right, left = landmarks[PUPILS[0]], landmarks[PUPILS[1]]
    across = left - right
    turn = np.array([[across[0], -across[1]], [across[1], across[0]]])
    centre = (right + left) / 2
    in_face = np.linalg.inv(turn) @ (landmarks - centre).T
    offset = ENLARGED * (centre + 0.5) - 0.5  # centres of pixels lie at whole numbers
    to_pixels = np.hstack([ENLARGED * turn, offset[:, None]])
    large = [
        cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
        for image in (rgb, parts)
    ]
    found = Portrait(_sharpened(large[0]), large[1], in_face, to_pixels)
    return Portrait(_without_folds(found), large[1], in_face, to_pixels)


def _image(path: object) -> UInt8[np.ndarray, "row column 3"]:
    data = np.frombuffer(path.read_bytes(), np.uint8)  # type: ignore[attr-defined]  # a Traversable
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _sharpened(picture: UInt8[np.ndarray, "row column 3"]) -> UInt8[np.ndarray, "row column 3"]:
    soft = cv2.GaussianBlur(picture, (0, 0), 0.6 * ENLARGED)
    return np.asarray(cv2.addWeighted(picture, 1.6, soft, -0.6, 0.0), dtype=np.uint8)


def _without_folds(found: Portrait) -> UInt8[np.ndarray, "row column 3"]:
    """The picture with the folds beside the mouth blended into the cheeks."""
    unit = float(np.hypot(*found.to_pixels[:, 0]))
    mask = np.zeros(found.picture.shape[:2], np.float32)
    for fold in FOLDS:
        line = np.rint(found.pixels(np.array(fold).T)).astype(np.int32).T
        cv2.polylines(mask, [line], False, 1.0, int(FOLD_WIDTH * unit))
    soft_mask = cv2.GaussianBlur(mask, (0, 0), 0.05 * unit)[..., None]
    soft = cv2.GaussianBlur(found.picture, (0, 0), FOLD_BLUR * unit).astype(np.float32)
    return np.rint(found.picture * (1 - soft_mask) + soft * soft_mask).astype(np.uint8)
