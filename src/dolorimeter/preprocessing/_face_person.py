"""One person through a clip: who is followed when faces meet, vanish and come back.

Nothing here knows who somebody is. A face keeps its place from frame to frame, and a coarse
impression of its brightness and colour decides where places leave it open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, UInt8

from dolorimeter.preprocessing._face_geometry import align, alignment
from dolorimeter.preprocessing._face_models import OVERLAP, Mesh

MARGIN = 0.15
"""How much more one look must fit than another to count (see `unlike`). The same person differs
from the mean of the last seconds by 0.1 to 0.4; other people of `data/faces` by 0.4 to 1.1."""

HABIT = 3.0
"""Seconds over which a look is averaged."""

REACH = 1.5
"""Sides of the face within which it is looked for at once after a loss, and as much more for
every second since; also the distance at which two faces count as close."""

SIZE_RATIO = 2.0
"""A face that is back so soon is at most so many times larger or smaller."""

ABSENCE = 2.0
"""Seconds after which a person may come back anywhere."""

FRESH = 1.5
"""Seconds for which the place of another person is remembered."""

MOST_OTHERS = 8
"""Other people remembered by their looks."""

LOOK_AREA = np.s_[48:192, 48:176]
LOOK_SIZE = (12, 14)
CHROMA = 12.0
"""Brows to chin of the aligned picture, in cells of about a centimetre, and the weight of colour
against brightness."""


@dataclass(frozen=True)
class Sight:
    """A face seen in one frame."""

    mesh: Mesh
    alignment: Float32[np.ndarray, "2 3"]
    crop: UInt8[np.ndarray, "size size 3"]

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "height width 3"], mesh: Mesh) -> Sight:
        """The face of a mesh, cut out of its picture."""
        transform = alignment(mesh.landmarks)
        return cls(mesh, transform, align(image, transform))

    @cached_property
    def look(self) -> Float32[np.ndarray, "14 12 3"]:
        """Logarithm of brightness against the face's mean, and colour whatever the brightness."""
        from dolorimeter._extras import cv2

        cells = cv2.resize(self.crop[LOOK_AREA], LOOK_SIZE, interpolation=cv2.INTER_AREA)
        values = cells.astype(np.float32) + 1
        total = values.sum(axis=2)
        light = np.log(total)
        colour = CHROMA * (values[:, :, :2] / total[:, :, None] - 1 / 3)
        return np.dstack([light - light.mean(), colour]).astype(np.float32)

    @cached_property
    def place(self) -> Place:
        """Where the face is."""
        flat = self.mesh.landmarks[:, :2]
        low, high = flat.min(axis=0), flat.max(axis=0)
        x, y = ((low + high) / 2).tolist()
        return Place(x, y, float((high - low).max()))


@dataclass(frozen=True)
class Place:
    """A square in the picture, by its centre and side in pixels."""

    x: float
    y: float
    side: float

    def distance(self, other: Place) -> float:
        """Between centres, in pixels."""
        return float(np.hypot(self.x - other.x, self.y - other.y))

    def holds(self, x: float, y: float) -> bool:
        """Whether a point is well inside it."""
        return max(abs(x - self.x), abs(y - self.y)) < self.side / 4

    def overlaps(self, other: Place) -> bool:
        """Whether the two are one face."""
        width, height = (
            max(0.0, (self.side + other.side) / 2 - gap)
            for gap in (abs(self.x - other.x), abs(self.y - other.y))
        )
        shared = min(width, self.side, other.side) * min(height, self.side, other.side)
        return shared > OVERLAP * (self.side**2 + other.side**2 - shared)


@dataclass
class _Known:
    """A person as last seen."""

    place: Place
    look: Float32[np.ndarray, "14 12 3"]
    time: float

    def see(self, sight: Sight, time: float) -> None:
        share = np.float32(1 - np.exp(-max(time - self.time, 0.02) / HABIT))
        self.look = (1 - share) * self.look + share * sight.look
        self.place, self.time = sight.place, time


class Company:
    """The person who is followed, and the others who have been seen beside.

    Attributes
    ----------
    crowded_at : list of float
        Times at which another face was seen, beside the person or without.
    exchanged_at : list of float
        Times at which two people had changed places and the track went with the person.
    """

    def __init__(self) -> None:
        self._person: _Known | None = None
        self._others: list[_Known] = []
        self.crowded_at: list[float] = []
        self.exchanged_at: list[float] = []

    @property
    def met(self) -> bool:
        """Whether a person has been chosen."""
        return self._person is not None

    @property
    def close(self) -> bool:
        """Whether another face is near the person, so that they may be taken for each other."""
        person = self._person
        return person is not None and any(
            person.time - other.time < FRESH
            and person.place.distance(other.place)
            < REACH * max(person.place.side, other.place.side)
            for other in self._others
        )

    def startled(self, sight: Sight) -> bool:
        """Whether the face looks so different from a moment ago that it may be another one."""
        return self._person is not None and unlike(sight, self._person) > 2 * MARGIN

    def follow(self, sight: Sight, time: float) -> None:
        """The person is here now."""
        if self._person is None:
            self._person = _Known(sight.place, sight.look, time)
        self._person.see(sight, time)

    def choose(self, tracked: Sight | None, found: Sequence[Sight], time: float) -> Sight | None:
        """Which of the faces in a frame is the person.

        `tracked` is the face where the person was a frame ago, `found` are the faces elsewhere.
        """
        if self._person is None:
            mine = max(found, key=lambda sight: sight.place.side, default=None)
        elif tracked is None:
            mine = self._returned(self._person, found, time)
        else:
            mine = self._stayed(self._person, tracked, found, time)
        beside = [sight for sight in (tracked, *found) if sight is not None and sight is not mine]
        if beside:
            self.crowded_at.append(time)
        for sight in beside:
            self._note(sight, time, new=mine is not None)
        return mine

    def _stayed(
        self, person: _Known, tracked: Sight, found: Sequence[Sight], time: float
    ) -> Sight | None:
        """The tracked face, unless it and another one fit better the other way round."""
        for sight in found:
            for other in self._others:
                stay = unlike(tracked, person) + unlike(sight, other)
                change = unlike(tracked, other) + unlike(sight, person)
                if change + MARGIN < stay:
                    self.exchanged_at.append(time)
                    return sight
        if not found and self.close:
            hidden = any(
                unlike(tracked, other) + MARGIN < unlike(tracked, person) for other in self._others
            )
            return None if hidden else tracked
        return tracked

    def _returned(self, person: _Known, found: Sequence[Sight], time: float) -> Sight | None:
        """The nearest face that may be the person and is none of the others."""
        since = time - person.time
        reach = REACH * (1 + since)
        fit = []
        for sight in found:
            distance = sight.place.distance(person.place) / person.place.side
            ratio = abs(np.log2(sight.place.side / person.place.side))
            near = distance < reach and ratio < np.log2(SIZE_RATIO) * (1 + since)
            if (near or since > ABSENCE) and not self._is_other(person, sight, time):
                fit.append((distance + ratio, sight))
        return min(fit, key=lambda pair: pair[0])[1] if fit else None

    def _is_other(self, person: _Known, sight: Sight, time: float) -> bool:
        """Whether a face is another person's: by its look, and where that is open by its place."""
        mine = unlike(sight, person)
        for other in self._others:
            gain = mine - unlike(sight, other)
            there = time - other.time < FRESH and sight.place.overlaps(other.place)
            if gain > MARGIN or (there and gain > -MARGIN):
                return True
        return False

    def _note(self, sight: Sight, time: float, *, new: bool) -> None:
        """Remember another person; `new` ones only when the person is in view too."""
        known = [other for other in self._others if sight.place.overlaps(other.place)]
        known = known or [other for other in self._others if unlike(sight, other) < 2 * MARGIN]
        if known:
            min(known, key=lambda other: unlike(sight, other)).see(sight, time)
        elif new:
            self._others.append(_Known(sight.place, sight.look, time))
            self._others = sorted(self._others, key=lambda other: other.time)[-MOST_OTHERS:]


def unlike(sight: Sight, known: _Known) -> float:
    """How different a face looks from a remembered one: root mean square over cells."""
    return float(np.sqrt(np.square(sight.look - known.look).mean()))
