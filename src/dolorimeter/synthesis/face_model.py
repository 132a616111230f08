"""One person's face at rest as a texture, and how actions and the head's motion displace it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Float32, UInt8

from dolorimeter._extras import cv2
from dolorimeter.synthesis.face_fields import Bump, both_sides, came_from, displacement
from dolorimeter.synthesis.face_identity import Identity, moved_landmarks
from dolorimeter.synthesis.face_openings import INNER_LIPS, LEFT_EYE, RIGHT_EYE, Gap, gap, lid_skin
from dolorimeter.synthesis.portrait import Portrait, portrait

GRID = 4
"""Displacements are smooth: they are computed at every fourth pixel."""
VIEW = (5.35, 4.4)
"""Height and width that must be seen, in face units."""
EYE_LINE = 0.43
"""Height of the eyes in the picture, as a share from its top."""

SMILE = both_sides(
    Bump((0.48, 0.92), (0.24, 0.18), shift=(0.075, -0.12)),
    Bump((0.68, 0.62), (0.26, 0.22), shift=(0.02, -0.05)),
)
"""Corners of the mouth and cheeks, from rest to a full smile: the portrait smiles."""
REST = tuple(bump.times(-1.0) for bump in SMILE)

HEAD = ((0.0, -0.1), (1.75, 2.15))
"""Centre and radius of what moves with the head."""

ACTIONS = MappingProxyType(
    {
        "au4": both_sides(
            Bump((0.24, -0.20), (0.22, 0.18), shift=(-0.05, 0.12)),
            Bump((0.62, -0.27), (0.24, 0.18), shift=(-0.01, 0.10)),
        ),
        "au6": both_sides(
            Bump((0.58, 0.42), (0.30, 0.20), shift=(0.0, -0.08)),
            Bump((0.85, 0.02), (0.16, 0.20), shift=(-0.02, 0.01)),
        ),
        "au7": both_sides(Bump((0.50, 0.20), (0.28, 0.10), shift=(0.0, -0.03))),
        "au9": (
            *both_sides(
                Bump((0.28, 0.50), (0.20, 0.18), shift=(0.015, -0.11)),
                Bump((0.25, 0.78), (0.24, 0.12), shift=(0.0, -0.035)),
                Bump((0.20, -0.18), (0.20, 0.15), shift=(-0.02, 0.045)),
            ),
            Bump((0.0, 0.05), (0.18, 0.16), shift=(0.0, 0.02)),
        ),
        "au10": both_sides(
            Bump((0.28, 0.80), (0.26, 0.13), shift=(0.0, -0.055)),
            Bump((0.38, 0.58), (0.18, 0.16), shift=(0.02, -0.05)),
        ),
        "au12": SMILE,
        "au26": (Bump((0.0, 1.62), (0.75, 0.36), shift=(0.0, 0.16)),),
        "yaw": (),
        "pitch": (),
        "roll": (Bump(*HEAD, stretch=(0.0, -1.0, 1.0, 0.0), flat=True),),
        "shift_u": (Bump(*HEAD, shift=(1.0, 0.0), flat=True),),
        "shift_v": (Bump(*HEAD, shift=(0.0, 1.0), flat=True),),
        "scale": (Bump(*HEAD, stretch=(1.0, 0.0, 0.0, 1.0), flat=True),),
    }
)
"""What each action does at FACS intensity 5, the jaw when it hangs, the head by one radian or face
unit."""

WRINKLES = MappingProxyType(
    {
        "au4": (
            ((-0.075, -0.30), (-0.065, -0.20), (-0.09, -0.11)),
            ((0.075, -0.30), (0.065, -0.20), (0.09, -0.11)),
        ),
        "au6": (
            ((0.86, 0.03), (1.0, 0.10)),
            ((0.86, -0.02), (1.02, 0.0)),
            ((-0.86, 0.03), (-1.0, 0.10)),
            ((-0.86, -0.02), (-1.02, 0.0)),
        ),
        "au9": (
            ((-0.14, -0.02), (0.14, -0.02)),
            ((-0.20, 0.10), (-0.12, 0.22)),
            ((0.20, 0.10), (0.12, 0.22)),
        ),
        "au10": (
            ((-0.38, 0.52), (-0.52, 0.68), (-0.62, 0.84)),
            ((0.38, 0.52), (0.52, 0.68), (0.62, 0.84)),
        ),
        "au12": (
            ((-0.42, 0.56), (-0.58, 0.72), (-0.68, 0.92)),
            ((0.42, 0.56), (0.58, 0.72), (0.68, 0.92)),
        ),
    }
)
"""Folds in the skin at rest's coordinates of the portrait, and which action deepens them."""
RIM = 0.45
"""The portrait's own wall shows where the person covers less of a pixel than this."""
WRINKLE_DEPTH = 0.28
WRINKLE_WIDTH = 0.022


@dataclass(frozen=True)
class FaceModel:
    """All that is precomputed of one person, for pictures of one size.

    Parameters
    ----------
    texture : UInt8[np.ndarray, "row column 3"]
        The face at rest as the portrait's warp gives it (lips apart), RGB.
    landmarks : Float[np.ndarray, "2 478"]
        At rest, in pixels (column, row).
    basis : Float32[np.ndarray, "action y x 2"]
        Displacement in pixels (across, down) by each of `ACTIONS` at 1, on a grid of `GRID`
        pixels.
    wrinkles : Float32[np.ndarray, "wrinkle y x"]
        How much darker each of `WRINKLES` makes the face, at half the size.
    eyes : tuple of Gap
    lids : tuple of Float[np.ndarray, "row column 3"]
        Skin of each eye when shut.
    mouth : Gap
    unit : float
        Pixels of a face unit.
    """

    texture: UInt8[np.ndarray, "row column 3"]
    landmarks: Float[np.ndarray, "2 478"]
    basis: Float32[np.ndarray, "action _ _ 2"]
    wrinkles: Float32[np.ndarray, "wrinkle _ _"]
    eyes: tuple[Gap, Gap]
    lids: tuple[np.ndarray, np.ndarray]
    mouth: Gap
    unit: float


def face_model(identity: Identity, size: tuple[int, int]) -> FaceModel:
    """The face of a person.

    Parameters
    ----------
    size : tuple of int
        Width and height of the picture in pixels.
    """
    source = portrait()
    width, height = size
    unit = identity.zoom * min(height / VIEW[0], width / VIEW[1])
    origin = np.array([width / 2, EYE_LINE * height])
    in_face = moved_landmarks(identity, source.landmarks, REST)
    landmarks = origin[:, None] + unit * in_face
    grid = (_grid(width, height) - origin[:, None, None]) / unit
    own = (*identity.bumps, *REST)
    texture = _texture(source, identity, source.pixels(came_from(grid, own)), size, unit)
    basis = np.stack([_displacement(name, grid, own) for name in ACTIONS])
    shape = (height, width)
    eyes = tuple(
        gap(landmarks, edges, (0.24, 0.40, 0.12), unit, shape) for edges in (RIGHT_EYE, LEFT_EYE)
    )
    return FaceModel(
        texture,
        landmarks,
        np.ascontiguousarray(np.moveaxis(unit * basis, 1, -1), dtype=np.float32),
        _wrinkles(identity, origin, unit, size),
        (eyes[0], eyes[1]),
        (lid_skin(texture, eyes[0]), lid_skin(texture, eyes[1])),
        gap(landmarks, INNER_LIPS, (0.30, 0.60, 0.12), unit, shape),
        unit,
    )


def _grid(width: int, height: int) -> Float[np.ndarray, "2 y x"]:
    """Pixels (column, row) of a grid that covers the picture, as `cv2.resize` places them."""
    columns = (np.arange(-(-width // GRID)) + 0.5) * width / -(-width // GRID) - 0.5
    rows = (np.arange(-(-height // GRID)) + 0.5) * height / -(-height // GRID) - 0.5
    return np.stack(np.broadcast_arrays(columns[None, :], rows[:, None]))


def _displacement(
    name: str, grid: Float[np.ndarray, "2 y x"], own: tuple[Bump, ...]
) -> Float[np.ndarray, "2 y x"]:
    """What an action does at 1, in face units; it sits where this person's features are."""
    if name in ("yaw", "pitch"):
        return _turn(name, grid)
    bumps = ACTIONS[name]
    if name not in ("roll", "shift_u", "shift_v", "scale"):
        centres = np.array([bump.centre for bump in bumps]).T
        moved = (centres + displacement(centres, own)).T
        bumps = tuple(
            Bump((float(u), float(v)), b.radius, b.shift, b.stretch, b.flat)
            for (u, v), b in zip(moved, bumps, strict=True)
        )
    return displacement(grid, bumps)


def _turn(name: str, grid: Float[np.ndarray, "2 y x"]) -> Float[np.ndarray, "2 y x"]:
    """Parallax of a head that turns: what is nearer moves further. An ellipsoid with a nose."""
    u, v = grid
    near = 0.95 * (1 - np.clip((u / 1.25) ** 2 + ((v - 0.2) / 2.0) ** 2, 0, 1.5))
    near = near + Bump((0.0, 0.58), (0.20, 0.24)).weight(grid) * 0.35
    near = near * Bump(*HEAD, flat=True).weight(grid)
    still = np.zeros_like(near)
    return np.stack([near, still] if name == "yaw" else [still, near])


def _wrinkles(
    identity: Identity, origin: Float[np.ndarray, "2"], unit: float, size: tuple[int, int]
) -> Float32[np.ndarray, "wrinkle y x"]:
    half = (size[0] // 2, size[1] // 2)
    maps = []
    for folds in WRINKLES.values():
        line = np.zeros((half[1], half[0]), np.float32)
        for fold in folds:
            points = np.array(fold).T
            points = points + displacement(points, (*identity.bumps, *REST))
            at = (origin[:, None] + unit * points) / 2
            cv2.polylines(
                line, [np.rint(at.T * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4
            )
        width = max(WRINKLE_WIDTH * unit / 2, 0.6)
        soft = cv2.GaussianBlur(line, (0, 0), width) * np.sqrt(2 * np.pi) * width
        maps.append(WRINKLE_DEPTH * (0.7 + 0.6 * identity.age) * np.minimum(soft, 1.0))
    return np.stack(maps).astype(np.float32)


# ── colours ─────────────────────────────────────────────────────────────────────────────────────


def _texture(
    source: Portrait,
    identity: Identity,
    pixels: Float32[np.ndarray, "2 y x"],
    size: tuple[int, int],
    unit: float,
) -> UInt8[np.ndarray, "row column 3"]:
    """The person before their wall."""
    columns, rows = (cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in pixels)
    edge = cv2.BORDER_REPLICATE
    rgb = cv2.remap(source.picture, columns, rows, cv2.INTER_CUBIC, borderMode=edge)
    parts = cv2.remap(source.parts, columns, rows, cv2.INTER_LINEAR, borderMode=edge)
    shares = parts.astype(np.float32) / 255
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    rng = np.random.default_rng(identity.seed)
    person = np.zeros_like(lab)
    for share, look in zip(
        np.moveaxis(shares, -1, 0), (identity.clothes, identity.hair, identity.skin), strict=True
    ):
        person += share[..., None] * _recoloured(lab, look)
    skin = shares[..., 2]
    person[..., 0] += skin * (0.8 + 1.4 * identity.age) * _grain(rng, size, unit)
    person[..., 0] *= 1 - 0.16 * identity.stubble * skin * _beard(size, unit)
    total = shares.sum(-1, keepdims=True)
    lit = cv2.cvtColor(person / np.maximum(total, 1e-3), cv2.COLOR_LAB2RGB)
    covered = np.clip((total - RIM) / (1 - RIM), 0, 1)
    lit = lit * _light(identity, size)[..., None]
    wall = cv2.cvtColor(_wall(identity, rng, size), cv2.COLOR_LAB2RGB)
    found = (wall + (lit - wall) * covered) * (1 + identity.warmth * np.array([1.0, 0.0, -1.0]))
    return np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)


def _recoloured(
    lab: Float32[np.ndarray, "row column 3"], look: tuple[float, float, float]
) -> Float32[np.ndarray, "row column 3"]:
    lightness, chroma, hue = look
    turn = np.deg2rad(hue)
    a, b = lab[..., 1], lab[..., 2]
    return np.stack(
        [
            np.clip(lab[..., 0] * lightness, 0, 100),
            chroma * (np.cos(turn) * a - np.sin(turn) * b),
            chroma * (np.sin(turn) * a + np.cos(turn) * b),
        ],
        axis=-1,
    ).astype(np.float32)


def _grain(
    rng: np.random.Generator, size: tuple[int, int], unit: float
) -> Float32[np.ndarray, "row column"]:
    """Texture of skin: noise of two sizes, with a standard deviation of about 1."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    for share in (0.015, 0.05):
        step = max(share * unit, 1.0)
        shape = (int(height / step) + 2, int(width / step) + 2)
        noise = rng.standard_normal(shape).astype(np.float32)
        total += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return total


def _beard(size: tuple[int, int], unit: float) -> Float32[np.ndarray, "row column"]:
    grid = np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1]))).astype(float)
    grid = (grid - np.array([size[0] / 2, EYE_LINE * size[1]])[:, None, None]) / unit
    whole = Bump((0.0, 1.35), (0.85, 0.42), flat=True).weight(grid)
    lips = Bump((0.0, 1.03), (0.32, 0.10)).weight(grid)
    return (whole * (1 - lips)).astype(np.float32)


def _light(identity: Identity, size: tuple[int, int]) -> Float32[np.ndarray, "row column"]:
    """Brighter on the side the light comes from."""
    across = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
    towards = np.cos(identity.light_angle) * across + np.sin(identity.light_angle) * down
    return (1 + identity.light_strength * np.tanh(2.5 * towards)).astype(np.float32)


def _wall(
    identity: Identity, rng: np.random.Generator, size: tuple[int, int]
) -> Float32[np.ndarray, "row column 3"]:
    """An uneven wall out of focus, in CIELAB."""
    lightness, chroma, hue, uneven = identity.backdrop
    turn = np.deg2rad(hue)
    coarse = rng.standard_normal((4, 6, 3)).astype(np.float32) * np.float32(uneven)
    coarse *= np.array([9.0, 5.0, 5.0], np.float32)
    coarse += np.array([lightness, chroma * np.cos(turn), chroma * np.sin(turn)], np.float32)
    wall = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    wall[..., 0] = np.clip(wall[..., 0], 5, 97)
    return wall
