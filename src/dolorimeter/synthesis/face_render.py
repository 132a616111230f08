"""One frame of a made-up face: lids and lips in the texture, light, one displacement, a mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from dolorimeter._extras import cv2
from dolorimeter.synthesis.face_model import ACTIONS, WRINKLES, FaceModel
from dolorimeter.synthesis.face_openings import move_lids, move_lips

FACS = 5.0
"""The highest intensity of an action unit."""
FIXED_POINTS = 2
"""Steps that turn a displacement of the face into where each pixel comes from."""
JAW = 0.16
"""How far the lower lip goes down beyond the chin's displacement at AU26's highest, face units."""
FOLD_COLOUR = (0.7, 1.0, 1.1)
"""How much a fold takes of red, green and blue."""
MARK = "look-alike"
NOISE = 1.2
"""Standard deviation of the camera's noise in grey levels."""
NOISE_TILE = 64
"""Rows and columns by which the tile of noise is larger than a frame."""
UNITY = 128
"""Grey level that stands for a gain of 1, and for no noise."""


@dataclass(frozen=True)
class Hand:
    """What is held before the face.

    Parameters
    ----------
    at : tuple of float
        Of the palm's middle, in face units from between the eyes.
    angle : float
        Of the fingers, in radians.
    size : float
        Half the width of the palm, in face units.
    """

    at: tuple[float, float]
    angle: float
    size: float


class Renderer:
    """Frames of one person.

    Parameters
    ----------
    model : FaceModel
    noise : float
        Strength of the camera's noise.
    rng : np.random.Generator
        Of the noise.
    """

    def __init__(self, model: FaceModel, noise: float, rng: np.random.Generator) -> None:
        self.model = model
        height, width = model.texture.shape[:2]
        self._size = (width, height)
        self._pixels = _places(width, height)
        down, across = model.basis.shape[1:3]
        self._cells = _places(across, down)
        self._step = np.array([width / across, height / down], np.float32)
        half = model.wrinkles.shape[1:]
        self._slope = np.linspace(-1, 1, half[1], dtype=np.float32)[None, :].repeat(half[0], 0)
        self._noise: UInt8[np.ndarray, "row column 3"] | None = None
        if noise > 0:
            shape = (height + NOISE_TILE, width + NOISE_TILE)
            grain = rng.standard_normal(shape, np.float32) * np.float32(NOISE * noise) + UNITY
            self._noise = cv2.merge([np.clip(np.rint(grain), 0, 255).astype(np.uint8)] * 3)
        self._rng = rng
        skin = model.texture[self._spot(0.78, 0.45)].astype(float)
        self._skin = tuple(float(c) for c in 0.92 * skin)

    def frame(
        self, state: Mapping[str, float], hand: Hand | None = None
    ) -> UInt8[np.ndarray, "row column 3"]:
        """The picture of a state.

        Parameters
        ----------
        state : mapping of str to float
            Action units 0…5, ``closure`` of the eyes 0…1, ``yaw``, ``pitch`` and ``roll`` in
            radians, ``shift_u`` and ``shift_v`` in face units, ``scale`` and ``light`` and
            ``light_slope`` as shares. What is not named is 0.
        hand : Hand, optional
            Held before the face.
        """
        image = _taken(self._texture(state), self._sources(state))
        if hand is not None:
            self._hold(image, hand, 1 + state.get("light", 0.0))
        if self._noise is not None:
            top, left = self._rng.integers(NOISE_TILE, size=2)
            width, height = self._size
            tile = self._noise[top : top + height, left : left + width]
            image = cv2.addWeighted(image, 1.0, tile, 1.0, -float(UNITY))
        self._mark(image)
        return np.asarray(image, dtype=np.uint8)

    def _texture(self, state: Mapping[str, float]) -> UInt8[np.ndarray, "row column 3"]:
        """The face at rest with its lids, lips, folds and light as they are now."""
        model = self.model
        texture = model.texture.copy()
        level = {name: state.get(name, 0.0) / FACS for name in ("au6", "au7", "au10", "au25")}
        tight = min(max(0.6 * level["au6"], level["au7"]), 1.0)
        shut = state.get("closure", 0.0)
        for eye, skin in zip(model.eyes, model.lids, strict=True):
            eye.view(texture)[:] = move_lids(model.texture, eye, skin, shut, tight)
        raised = min(0.8 * level["au25"] + 0.8 * level["au10"], 1.5)
        jaw = JAW * state.get("au26", 0.0) / FACS
        model.mouth.view(texture)[:] = move_lips(
            model.texture, model.mouth, raised, min(level["au25"], 1.0), jaw
        )
        return self._lit(texture, state)

    def _lit(
        self, texture: UInt8[np.ndarray, "row column 3"], state: Mapping[str, float]
    ) -> UInt8[np.ndarray, "row column 3"]:
        """Light as it is now, and folds in the skin: dark, and redder than the skin around."""
        light = UNITY * (1 + np.float32(state.get("light", 0.0)))
        gain = light + self._slope * np.float32(UNITY * state.get("light_slope", 0.0))
        folds = np.zeros_like(gain)
        for name, darker in zip(WRINKLES, self.model.wrinkles, strict=True):
            if state.get(name, 0.0) > 0:
                folds += np.float32(min(state[name] / FACS, 1.0)) * darker
        colours = [gain * (1 - share * folds) for share in FOLD_COLOUR]
        grey = cv2.merge([np.clip(np.rint(c), 0, 255).astype(np.uint8) for c in colours])
        grey = cv2.resize(grey, self._size, interpolation=cv2.INTER_LINEAR)
        product = cv2.multiply(texture, grey, dtype=cv2.CV_16U)
        return np.asarray(cv2.convertScaleAbs(product, alpha=1 / UNITY), np.uint8)

    def _sources(self, state: Mapping[str, float]) -> Float32[np.ndarray, "row column 2"]:
        """Where each pixel of the frame comes from in the texture: column and row."""
        total = np.zeros(self.model.basis.shape[1:], np.float32)
        for name, basis in zip(ACTIONS, self.model.basis, strict=True):
            if amount := state.get(name, 0.0) / (FACS if name.startswith("au") else 1.0):
                total += np.float32(amount) * basis
        moved = total
        for _ in range(FIXED_POINTS):
            moved = _taken(total, self._cells - moved / self._step)
        return self._pixels - cv2.resize(moved, self._size, interpolation=cv2.INTER_LINEAR)

    def _spot(self, u: float, v: float) -> tuple[int, int]:
        """Row and column of a place in face units, on the resting face."""
        middle = self.model.landmarks[:, [468, 473]].mean(axis=1)
        column, row = middle + self.model.unit * np.array([u, v])
        return int(row), int(column)

    def _hold(self, image: UInt8[np.ndarray, "row column 3"], hand: Hand, light: float) -> None:
        """Draw a palm with four fingers and a thumb over the face."""
        row, column = self._spot(*hand.at)
        size = hand.size * self.model.unit
        along = np.array([np.cos(hand.angle), np.sin(hand.angle)])
        beside = np.array([-along[1], along[0]])
        middle = np.array([column, row], dtype=float)
        colour = tuple(min(c * light, 255.0) for c in self._skin)
        dark = tuple(0.72 * c for c in colour)
        wrist = middle - 4.0 * size * along
        _limb(image, middle, wrist, 0.75 * size, colour, dark)
        _limb(
            image, middle - 0.2 * size * beside, middle + 0.2 * size * beside, size, colour, dark
        )
        thumb = middle - size * beside
        _limb(
            image,
            thumb,
            thumb + 1.1 * size * along - 0.7 * size * beside,
            0.3 * size,
            colour,
            dark,
        )
        for finger, length in zip((-0.75, -0.25, 0.25, 0.75), (1.7, 2.0, 1.9, 1.5), strict=True):
            root = middle + finger * size * beside
            tip = root + length * size * along + 0.15 * finger * size * beside
            _limb(image, root, tip, 0.23 * size, colour, dark)

    def _mark(self, image: UInt8[np.ndarray, "row column 3"]) -> None:
        """Say in the lower left corner what this is."""
        scale = self._size[1] / 1000
        place = (int(8 * scale) + 3, self._size[1] - int(10 * scale) - 3)
        for grey, width in ((0, 3), (255, 1)):
            cv2.putText(
                image,
                MARK,
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                scale,
                (grey,) * 3,
                width,
                cv2.LINE_AA,
            )


def _places(width: int, height: int) -> Float32[np.ndarray, "row column 2"]:
    """Column and row of every cell of a grid."""
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return np.stack(np.meshgrid(columns, rows), axis=-1)


def _taken(picture: np.ndarray, places: Float32[np.ndarray, "row column 2"]) -> np.ndarray:
    """What lies at `places` (column, row) of a picture; beyond its border, the border."""
    edge = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=edge))  # type: ignore[call-overload]  # one map may hold both


def _limb(
    image: UInt8[np.ndarray, "row column 3"],
    start: np.ndarray,
    stop: np.ndarray,
    radius: float,
    colour: tuple[float, ...],
    dark: tuple[float, ...],
) -> None:
    """A capsule with a darker rim."""
    a, b = (tuple(int(16 * x) for x in point) for point in (start, stop))
    for width, paint in ((2 * radius, dark), (1.8 * radius, colour)):
        cv2.line(image, a, b, paint, max(int(width), 1), cv2.LINE_AA, 4)
