"""The aligned face as pictures: all frames of a window, or a clip of a few."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int, UInt8

from dolorimeter.errors import ConfigError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._crops import aligned, landmarks_at
from dolorimeter.representations._occlusion import OCCLUSIONS, covered, occlusion_mask
from dolorimeter.representations._pictures import (
    FacePictures,
    Picks,
    Stretch,
    check_stride,
    generator,
    tracked_frames,
)
from dolorimeter.representations._sampling import clip_positions, frame_count
from dolorimeter.representations.keyframes import FEWEST, REFERENCES, keyframes
from dolorimeter.signals.face import LEFT_EYE, RIGHT_EYE
from dolorimeter.types import Window

STARTS = ("centre", "random")
SAMPLINGS = ("strided", "keyframes")


@dataclass(frozen=True)
class FaceCrops(FacePictures):
    """Aligned faces, where asked for with a part covered in grey.

    Parameters
    ----------
    occlude : str
        What is covered: ``eyes``, ``mouth``, ``brows``, ``nose`` (from the landmarks), ``upper``,
        ``lower``, ``left``, ``right`` (half of the picture; the person's own left), ``random``
        (one square, the same for all pictures of a window), or nothing.
    occluded_share : float
        How much of that region, half or (``random``) picture is covered: 0…1.
    seed : int
        Of everything drawn: the place of the square, and where a clip begins at random.
    """

    occlude: str = ""
    occluded_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.occlude and self.occlude not in OCCLUSIONS:
            raise ConfigError(
                f"{self.card.name}: occlude is '{self.occlude}', expected one of "
                f"{', '.join(OCCLUSIONS)}, or nothing."
            )
        if not 0 <= self.occluded_share <= 1 or (self.occluded_share and not self.occlude):
            raise ConfigError(
                f"{self.card.name}: occluded_share is {self.occluded_share} of "
                f"'{self.occlude}'; expected a share from 0 to 1, and 0 where nothing is occluded."
            )

    def drawn(
        self, stretch: Stretch, rows: Int[np.ndarray, " row"]
    ) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The aligned face of each row of the track, covered where asked for."""
        alignments = stretch.track.alignment[rows]
        landmarks = landmarks_at(stretch.track, rows, self.size) if self.occluded_share else None
        for i, image in enumerate(tracked_frames(stretch, rows)):
            picture = aligned(image, alignments[i], self.size)
            if landmarks is not None:
                draw = generator(stretch.window, self.seed)
                mask = occlusion_mask(
                    self.occlude, self.occluded_share, landmarks[i], self.size, draw
                )
                picture = covered(picture, mask)
            yield picture


@REPRESENTATIONS.register(
    Card(
        name="face_frames",
        summary="All frames of the aligned face at a stride: (window, picture, 3, 224, 224).",
    )
)
@dataclass(frozen=True)
class FaceFrames(FaceCrops):
    """``frames[::stride]`` of a window on the video's nominal frame rate, as aligned faces.

    Each nominal moment shows the tracked frame nearest to it, at most half a stride away. A moment
    without a face repeats the picture before, at the beginning the first one with a face. BioVid's
    5.5 s at 25 Hz give 138, 69, 46 and 35 pictures at strides 1 to 4.

    Parameters
    ----------
    stride : int
        Every so many nominal frames. A face that was looked for at a stride of its own serves
        multiples of that stride.

    Notes
    -----
    Further parameters: `FacePictures` (modality, offset, duration, frame_rate, size, min_valid)
    and `FaceCrops` (occlude, occluded_share, seed).
    """

    card: ClassVar[Card]
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stride(self.card.name, self.stride)

    def picture_count(self, window: Window) -> int:
        """How many pictures the window has, or would have; `SignalError` where unknown."""
        return frame_count(self.span(window), self.rate(window), self.stride)

    def pick(self, stretch: Stretch) -> Picks | str:
        """Which frames are shown, or why there are none."""
        return self.strided(stretch, self.stride)

    def settled(self, stretch: Stretch) -> Int[np.ndarray, " row"]:
        """Rows, ascending, that the stretch will show whatever frames still come."""
        number = frame_count(stretch.duration, stretch.frame_rate, self.stride)
        return self.settled_at(stretch, np.arange(number) * self.stride, self.stride)


@REPRESENTATIONS.register(
    Card(
        name="face_clip",
        summary="A few frames of the aligned face: (window, picture, 3, 224, 224).",
        paper="Dual-stream transformer approach for pain assessment using visual-physiological "
        "data modeling",
        doi="10.7717/peerj-cs.3158",
        code="https://github.com/mducducd/Multimodal_Pain",
        differences=(
            "Movement is measured in distances between the eyes, not in pixels of one crop.",
            "Landmarks are found once, and the threshold is lowered over them.",
            "Of more keyframes than the clip has pictures, every so many are taken, centred.",
        ),
    )
)
@dataclass(frozen=True)
class FaceClip(FaceCrops):
    """A fixed number of frames of a window, as aligned faces.

    Too few frames repeat evenly, and a stride that does not fit is replaced by the largest that
    does; both stand in the remarks.

    Parameters
    ----------
    frames : int
        Pictures in a clip.
    stride : int, optional
        From picture to picture, in nominal frames. None takes the largest whole number that fits:
        8 for 16 pictures of BioVid's 5.5 s at 25 Hz, 18 for AI4Pain's 10 s at 30 Hz.
    start : {"centre", "random"}
        Where the clip lies in the window. ``random`` is drawn from `seed` and the window.
    sampling : {"strided", "keyframes"}
        ``keyframes``: frames in which the face has changed (`keyframes`). Of more than `frames`
        every so many are taken. All tracked frames are looked at, so a face that was looked for
        at a stride has fewer.
    reference : {"keyframe", "previous"}
        Movement is measured from the last keyframe (the article), or from the previous frame (the
        released code).

    Notes
    -----
    Further parameters: `FacePictures` (modality, offset, duration, frame_rate, size, min_valid)
    and `FaceCrops` (occlude, occluded_share, seed).
    """

    card: ClassVar[Card]
    frames: int = 16
    stride: int | None = None
    start: str = "centre"
    sampling: str = "strided"
    reference: str = "keyframe"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("start", STARTS), ("sampling", SAMPLINGS), ("reference", REFERENCES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"face_clip: {name} is '{getattr(self, name)}', expected one of "
                    f"{', '.join(known)}."
                )
        if self.frames < 1:
            raise ConfigError(f"face_clip: frames is {self.frames}, expected 1 or more.")
        if self.stride is not None:
            check_stride("face_clip", self.stride)
        if self.stride is not None and self.sampling == "keyframes":
            raise ConfigError(
                f"face_clip: stride is {self.stride}, but keyframes have no fixed distance. Leave "
                "stride out, or take sampling = 'strided'."
            )

    def picture_count(self, window: Window) -> int:  # noqa: ARG002 every window has the same
        """How many pictures the window has: `frames`, whatever its video."""
        return self.frames

    def pick(self, stretch: Stretch) -> Picks | str:
        """Which frames are shown, or why there are none."""
        draw = generator(stretch.window, self.seed) if self.start == "random" else None
        if self.sampling == "keyframes":
            return self._keyframes(stretch, draw)
        positions, told = self._positions(stretch, draw)
        picks = self.at(stretch, positions, _step(positions))
        return picks if isinstance(picks, str) else Picks(picks.rows, picks.repeats, told)

    def settled(self, stretch: Stretch) -> Int[np.ndarray, " row"]:
        """Rows, ascending, that the stretch will show whatever frames still come."""
        if self.sampling == "keyframes":  # which they are depends on all frames
            return super().settled(stretch)
        draw = generator(stretch.window, self.seed) if self.start == "random" else None
        positions, _ = self._positions(stretch, draw)
        return self.settled_at(stretch, positions, _step(positions))

    def _positions(
        self, stretch: Stretch, draw: np.random.Generator | None
    ) -> tuple[Int[np.ndarray, " picture"], str]:
        frames = frame_count(stretch.duration, stretch.frame_rate)
        return clip_positions(frames, self.frames, self.stride, draw)

    def _keyframes(self, stretch: Stretch, draw: np.random.Generator | None) -> Picks | str:
        rows = stretch.rows()
        found = stretch.track.found[rows]
        # frames that the file should hold and does not are frames without a face
        wanted = max(len(rows), int(stretch.duration * stretch.track.frame_rate), 1)
        if not found.any() or found.sum() / wanted < self.min_valid:
            return self.few()
        rows = rows[found]
        landmarks = landmarks_at(stretch.track, rows)[:, :, :2]
        centres = [landmarks[:, list(eye)].mean(axis=1) for eye in (LEFT_EYE, RIGHT_EYE)]
        apart = float(np.median(np.linalg.norm(centres[0] - centres[1], axis=1)))
        chosen = keyframes(
            landmarks, np.ones(len(rows), dtype=bool), apart, reference=self.reference,
            fewest=max(FEWEST, self.frames),
        )  # fmt: skip
        positions, told = clip_positions(len(chosen), self.frames, None, draw)
        return Picks(rows[chosen[positions]], 0, told.replace("frames", "keyframes"))


def _step(positions: Int[np.ndarray, " picture"]) -> int:
    return int(np.diff(positions).max(initial=1))
