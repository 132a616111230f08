"""Who a made-up face is: proportions, tone, hair, clothing, light and background, from a seed.

Nobody looks like this: proportions of a portrait in the public domain are changed by smooth
warps, colours in CIELAB.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float

from dolorimeter.synthesis.face_fields import Bump, both_sides, displacement

PROPORTIONS = MappingProxyType(
    {
        "head_width": (Bump((0.0, 0.2), (1.7, 2.3), stretch=(0.11, 0.0, 0.0, 0.0), flat=True),),
        "jaw_width": (Bump((0.0, 1.45), (1.2, 0.55), stretch=(0.20, 0.0, 0.0, 0.0)),),
        "cheek_width": (Bump((0.0, 0.45), (1.3, 0.4), stretch=(0.12, 0.0, 0.0, 0.0)),),
        "face_length": (Bump((0.0, 1.5), (1.2, 0.55), shift=(0.0, 0.19)),),
        "chin_width": (Bump((0.0, 1.65), (0.5, 0.3), stretch=(0.2, 0.0, 0.0, 0.0)),),
        "forehead": (Bump((0.0, -0.9), (1.3, 0.5), shift=(0.0, -0.12)),),
        "eye_distance": both_sides(Bump((0.5, -0.02), (0.35, 0.30), shift=(0.095, 0.0))),
        "eye_size": both_sides(Bump((0.5, -0.02), (0.32, 0.22), stretch=(0.17, 0.0, 0.0, 0.25))),
        "eye_tilt": both_sides(Bump((0.5, -0.02), (0.32, 0.30), stretch=(0.0, 0.0, -0.12, 0.0))),
        "brow_height": both_sides(Bump((0.55, -0.27), (0.42, 0.15), shift=(0.0, -0.05))),
        "brow_tilt": both_sides(Bump((0.55, -0.27), (0.42, 0.15), stretch=(0.0, 0.0, -0.12, 0.0))),
        "nose_width": (Bump((0.0, 0.52), (0.33, 0.24), stretch=(0.30, 0.0, 0.0, 0.0)),),
        "nose_length": (Bump((0.0, 0.58), (0.38, 0.28), shift=(0.0, 0.14)),),
        "mouth_width": (Bump((0.0, 1.0), (0.55, 0.25), stretch=(0.2, 0.0, 0.0, 0.0)),),
        "mouth_height": (Bump((0.0, 1.02), (0.6, 0.28), shift=(0.0, 0.085)),),
        "lips": (Bump((0.0, 1.03), (0.5, 0.17), stretch=(0.0, 0.0, 0.0, 0.28)),),
        "crooked_mouth": (Bump((0.0, 1.0), (0.55, 0.25), stretch=(0.0, 0.0, 0.05, 0.0)),),
        "crooked_nose": (Bump((0.0, 0.6), (0.3, 0.35), shift=(0.04, 0.0)),),
        "crooked_eyes": (Bump((0.5, -0.05), (0.4, 0.3), shift=(0.0, 0.03)),),
        "hair": (Bump((0.0, -1.0), (2.0, 1.2), stretch=(0.1, 0.0, 0.0, 0.1), flat=True),),
    }
)
"""What each proportion does at 1; faces have it between −1 and 1."""

CLOTHES_HUES = 360.0


@dataclass(frozen=True)
class Identity:
    """What one person looks like.

    Parameters
    ----------
    proportions : tuple of float
        One for each of `PROPORTIONS`, −1 to 1.
    skin, hair, clothes : tuple of float
        Factor of lightness, factor of chroma, and turn of the hue in degrees, in CIELAB.
    light_angle, light_strength : float
        Direction the light comes from (radians, 0 from the picture's right, rising downwards) and
        how much brighter that side is, as a share.
    warmth : float
        Red against blue of the light, as a share.
    zoom : float
        Size of the face, around 1.
    stubble, age : float
        Darkness of the beard and depth of the skin's texture, 0 to 1.
    backdrop : tuple of float
        Lightness, chroma, hue (degrees) of the wall behind, and how uneven it is.
    seed : int
        Of the textures of skin and wall.
    """

    proportions: tuple[float, ...]
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    clothes: tuple[float, float, float]
    light_angle: float
    light_strength: float
    warmth: float
    zoom: float
    stubble: float
    age: float
    backdrop: tuple[float, float, float, float]
    seed: int

    @property
    def bumps(self) -> tuple[Bump, ...]:
        """The warp from the portrait's proportions to this person's."""
        return tuple(
            bump.times(amount)
            for amount, bumps in zip(self.proportions, PROPORTIONS.values(), strict=True)
            for bump in bumps
        )


def draw_identity(rng: np.random.Generator, *, sex: str, age: int) -> Identity:
    """A person's looks.

    Parameters
    ----------
    sex : {"w", "m"}
        Some of the men have a shadow of a beard.
    age : int
        In years: skin becomes rougher and hair grey.
    """
    proportions = rng.uniform(-1.0, 1.0, len(PROPORTIONS))
    darkness = float(rng.beta(1.0, 1.3))
    hair = _hair(rng, age)
    backdrop = rng.uniform(25, 80), rng.uniform(0, 30), rng.uniform(0, 360), rng.uniform(0, 1)
    return Identity(
        proportions=tuple(float(p) for p in proportions),
        skin=(
            1.06 - 0.52 * darkness,
            float(1.0 + 0.25 * darkness + 0.15 * rng.uniform(-1, 1)),
            float(rng.uniform(-7, 4)),
        ),
        hair=hair,
        clothes=(
            float(rng.uniform(0.45, 1.15)),
            float(rng.uniform(0.1, 1.0)),
            float(rng.uniform(0, CLOTHES_HUES)),
        ),
        light_angle=float(rng.uniform(-np.pi, np.pi)),
        light_strength=float(rng.uniform(0.05, 0.32)),
        warmth=float(rng.uniform(-0.06, 0.08)),
        zoom=float(rng.uniform(0.94, 1.06)),
        stubble=float(rng.uniform(0.3, 1.0) if sex == "m" and rng.random() < 0.7 else 0.0),
        age=(age - 20) / 45,
        backdrop=tuple(float(x) for x in backdrop),  # type: ignore[arg-type]  # there are four
        seed=int(rng.integers(2**31)),
    )


def _hair(rng: np.random.Generator, age: int) -> tuple[float, float, float]:
    grey = rng.random() < (age - 25) / 60
    lightness = rng.uniform(0.9, 1.5) if grey else rng.uniform(0.22, 1.15)
    chroma = rng.uniform(0.0, 0.3) if grey else rng.uniform(0.5, 1.3)
    return float(lightness), float(chroma), float(rng.uniform(-25, 3))


def moved_landmarks(
    identity: Identity, landmarks: Float[np.ndarray, "2 478"], rest: tuple[Bump, ...]
) -> Float[np.ndarray, "2 478"]:
    """The portrait's landmarks in this person's face at rest, in face units."""
    return landmarks + displacement(landmarks, (*identity.bumps, *rest))
