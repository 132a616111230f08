"""The tracker: one frame in, one row out, with nothing known of later frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.preprocessing._face_geometry import aligned_points, interocular, pose
from dolorimeter.preprocessing._face_models import Detection, FaceModels, Region, parts
from dolorimeter.preprocessing._face_person import Company, Sight
from dolorimeter.preprocessing._face_quality import quality
from dolorimeter.preprocessing._face_rows import FaceFrame
from dolorimeter.signals.face import eye_closure

LOOK_AROUND = 1.0
"""Seconds from one look for other faces to the next while the person is tracked."""

QUARTER_TURNS = (0, 1, 2, 3)
"""Turns of the picture in which a face is looked for while there is none: people lie down, and
phones forget to say how they were held. A face is taken as it is surest, since the detector
also answers to one upside down, wrongly."""

MOST_FACES = 4
"""Faces of one frame that are looked at, the surest first."""


class FaceTracker:
    """One person's face, frame after frame; one instance a video.

    Parameters
    ----------
    min_detection, min_presence : float
        How sure the detector, and the mesh network, must be of a face, 0…1.
    threads : int
        Threads of the networks. One is best where the frames are decoded beside.

    Raises
    ------
    ConfigError
        For a threshold outside 0…1, or less than one thread.
    """

    def __init__(
        self, *, min_detection: float = 0.5, min_presence: float = 0.5, threads: int = 1
    ) -> None:
        check_thresholds(min_detection, min_presence)
        if threads < 1:
            raise ConfigError(f"threads is {threads}, expected 1 or more.")
        self._min_detection, self._min_presence = min_detection, min_presence
        self._models = FaceModels(threads)
        self._company = Company()
        self._region: Region | None = None
        self._turn = 0
        self._time = self._looked = -np.inf
        self._looks = 0

    def push(self, image: UInt8[np.ndarray, "height width 3"], time: float) -> FaceFrame:
        """What is found in the next frame.

        Parameters
        ----------
        image : UInt8[np.ndarray, "height width 3"]
            RGB, upright.
        time : float
            Seconds on the recording's clock, later than that of the frame before.

        Raises
        ------
        SignalError
            If the time does not ascend.
        """
        if not time > self._time:
            raise SignalError(
                f"a frame at {time:g} s came after one at {self._time:g} s: push frames in the "
                "order of their times, and take a new FaceTracker for another video."
            )
        self._time = time
        sight = None if self._region is None else self._sight(image, self._region)
        if sight is None or self._must_look(sight, time):
            sight = self._look(image, time, sight)
        if sight is None:
            self._region = None
            return FaceFrame.absent(time)
        self._company.follow(sight, time)
        self._region = sight.mesh.region
        self._turn = round(np.degrees(self._region.angle) / 90) % 4
        return self._row(image, sight, time)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a report must say of the frames so far."""
        found = []
        if beside := self._company.crowded_at:
            found.append(
                f"another face was in view in {len(beside)} of {self._looks} looks for one, first "
                f"at {beside[0]:.2f} s; the track follows the person who was largest at first"
            )
        if changed := self._company.exchanged_at:
            found.append(
                f"people changed places {_times(len(changed))} (first at {changed[0]:.2f} s) and "
                "were told apart by brightness and colour of their faces: check the pictures"
            )
        return tuple(found)

    def _sight(self, image: UInt8[np.ndarray, "height width 3"], region: Region) -> Sight | None:
        mesh = self._models.mesh(image, region)
        return Sight.of(image, mesh) if mesh.presence >= self._min_presence else None

    def _must_look(self, sight: Sight, time: float) -> bool:
        return (
            time - self._looked >= LOOK_AROUND
            or self._company.close
            or self._company.startled(sight)
        )

    def _look(
        self, image: UInt8[np.ndarray, "height width 3"], time: float, tracked: Sight | None
    ) -> Sight | None:
        """Run the detector, and say which face is the person."""
        self._looked = time
        self._looks += 1
        turns = {self._turn, 0} if tracked else set(QUARTER_TURNS)
        found = [face for turn in turns for face in self._detect(image, turn)]
        if not found and not tracked:
            found = [f for part in parts(image) for f in self._detect(image, self._turn, part)]
        return self._company.choose(tracked, self._sights(image, found, tracked), time)

    def _detect(
        self, image: UInt8[np.ndarray, "height width 3"], turn: int, part: Region | None = None
    ) -> list[Detection]:
        return self._models.detect(image, self._min_detection, turn, part)

    def _sights(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        found: Sequence[Detection],
        tracked: Sight | None,
    ) -> list[Sight]:
        """Each face once, without the tracked one: at each place the surest detection counts."""
        places = [] if tracked is None else [tracked.place]
        sights: list[Sight] = []
        for face in sorted(found, key=lambda face: -face.score):
            x, y = face.centre.tolist()
            if len(sights) == MOST_FACES or any(place.holds(x, y) for place in places):
                continue
            sight = self._sight(image, face.region)
            if sight is None or any(sight.place.overlaps(place) for place in places):
                continue
            sights.append(sight)
            places.append(sight.place)
        return sights

    def _row(
        self, image: UInt8[np.ndarray, "height width 3"], sight: Sight, time: float
    ) -> FaceFrame:
        from dolorimeter._extras import cv2

        landmarks, transform = sight.mesh.landmarks, sight.alignment
        height, width = image.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
        grade = quality(
            cv2.cvtColor(sight.crop, cv2.COLOR_RGB2GRAY),
            aligned_points(landmarks, transform),
            corners @ transform[:, :2].T + transform[:, 2],
            sight.mesh.presence,
            eye_closure(landmarks[None])[0],
        )
        return FaceFrame(
            time=time,
            found=True,
            landmarks=landmarks,
            blendshapes=self._models.blendshapes(landmarks),
            pose=pose(landmarks),
            alignment=transform,
            size=interocular(landmarks),
            blur=grade.blur,
            occlusion=grade.occlusion,
            exposure=grade.exposure,
        )


def check_thresholds(detection: float, presence: float) -> None:
    if not (0 < detection < 1 and 0 < presence < 1):
        raise ConfigError(
            f"min_detection is {detection:g} and min_presence {presence:g}; expected numbers "
            "between 0 and 1, such as 0.5."
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
