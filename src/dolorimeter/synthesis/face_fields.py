"""Smooth displacements of the plane, as sums of bumps, and how they are undone.

Coordinates are those of the face: the origin lies between the pupils, u to the picture's right, v
down, and one unit is the distance of the pupils (about 62 mm in an adult).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

INVERSE_STEPS = 8
"""A displacement that changes by at most half its distance is undone to 1/256 by as many steps."""


@dataclass(frozen=True)
class Bump:
    """A displacement that is full at its centre and fades away from it.

    Parameters
    ----------
    centre, radius : tuple of float
        In face units, across and down. At the radius 0.61 of the displacement is left.
    shift : tuple of float
        The displacement at the centre.
    stretch : tuple of float
        What it gains with the offset (u, v) from the centre: du by u, du by v, dv by u, dv by v.
    flat : bool
        Whether it is all but constant inside the radius, and gone soon outside.
    """

    centre: tuple[float, float]
    radius: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)
    stretch: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    flat: bool = False

    def times(self, amount: float) -> Bump:
        """The same bump, `amount` as strong."""
        du, dv = self.shift
        a, b, c, d = self.stretch
        stretch = (amount * a, amount * b, amount * c, amount * d)
        return replace(self, shift=(amount * du, amount * dv), stretch=stretch)

    def mirrored(self) -> Bump:
        """The same on the other side of the face."""
        (u, v), (du, dv) = self.centre, self.shift
        a, b, c, d = self.stretch
        return replace(self, centre=(-u, v), shift=(-du, dv), stretch=(a, -b, -c, d))

    def weight(self, points: Float[np.ndarray, "2 *place"]) -> Float[np.ndarray, "*place"]:
        """How much of the displacement there is at each point, 0 to 1."""
        u, v = self._offset(points)
        square = (u / self.radius[0]) ** 2 + (v / self.radius[1]) ** 2
        return np.exp(-0.5 * (square**3 if self.flat else square))

    def at(self, points: Float[np.ndarray, "2 *place"]) -> Float[np.ndarray, "2 *place"]:
        """The displacement of each point."""
        u, v = self._offset(points)
        a, b, c, d = self.stretch
        moved = np.stack([self.shift[0] + a * u + b * v, self.shift[1] + c * u + d * v])
        return moved * self.weight(points)

    def _offset(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return points[0] - self.centre[0], points[1] - self.centre[1]


def both_sides(*bumps: Bump) -> tuple[Bump, ...]:
    """Bumps of the right of the picture, and their mirror images."""
    return (*bumps, *(bump.mirrored() for bump in bumps))


def displacement(
    points: Float[np.ndarray, "2 *place"], bumps: Sequence[Bump]
) -> Float[np.ndarray, "2 *place"]:
    """The sum of what all `bumps` do to each point."""
    total = np.zeros_like(points)
    for bump in bumps:
        total += bump.at(points)
    return total


def came_from(
    points: Float[np.ndarray, "2 *place"], bumps: Sequence[Bump]
) -> Float[np.ndarray, "2 *place"]:
    """Where each point was before the displacement: x with x + d(x) = point."""
    found = points
    for _ in range(INVERSE_STEPS):
        found = points - displacement(found, bumps)
    return found
