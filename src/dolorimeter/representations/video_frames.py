"""Whole frames of a video: thermal and depth cameras, which no landmark model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import SignalError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._pictures import Pictures, check_sampling, check_stride
from dolorimeter.representations._sampling import (
    ROUNDING,
    frame_count,
    frames_at,
    probed,
    published_rate,
)
from dolorimeter.types import CROP_SIZE, Window

ABSENT = "the recording has no such video"
BEYOND = "the window reaches beyond the video"

LONGEST_GAP = 1.0
"""Seconds that the frame shown may be away from its moment, where a video lacks frames."""


@REPRESENTATIONS.register(
    Card(
        name="video_frames",
        summary="Whole frames at a stride, letterboxed: (window, picture, 3, 224, 224).",
    )
)
@dataclass(frozen=True)
class VideoFrames(Pictures):
    """``frames[::stride]`` of a window on the nominal frame rate, whole, with black bars.

    Nobody looks for a face: for thermal or depth videos. Each nominal moment shows the decoded
    frame nearest to it; where more than `LONGEST_GAP` is missing, the video is refused.

    Parameters
    ----------
    modality : str
        Name of the video (``"thermal"``).
    offset : float
        Seconds added to the start of every window.
    duration : float, optional
        Seconds; None keeps the window's own.
    frame_rate : float, optional
        Nominal, in hertz; None takes the published one, else the file's average. Give it where
        videos differ.
    stride : int
        Every so many nominal frames.
    size : int
        Side of a picture in pixels.
    """

    card: ClassVar[Card]
    modality: str
    offset: float = 0.0
    duration: float | None = None
    frame_rate: float | None = None
    stride: int = 1
    size: int = CROP_SIZE

    def __post_init__(self) -> None:
        check_sampling("video_frames", self.duration, self.frame_rate, self.size)
        check_stride("video_frames", self.stride)

    def missing(self, window: Window) -> str | None:
        """Why the window has no pictures; None if it has. `RecordingError` for a broken file."""
        video = window.recording.videos.get(self.modality)
        if video is None:
            return ABSENT
        start, _, stop = self._times(window)
        length = probed(video.path).duration
        late = length is not None and stop > length + 0.5 / self._rate(window)
        return BEYOND if start < -ROUNDING or late else None

    def picture_count(self, window: Window) -> int:
        """How many pictures the window has; `SignalError` where no frame rate is known."""
        return frame_count(self._span(window), self._rate(window), self.stride)

    def remarks(self, windows: Sequence[Window]) -> tuple[str, ...]:  # noqa: ARG002 same for all
        """What a report must say: these are whole frames."""
        return (f"{self.modality}: whole frames, no face was looked for.",)

    def sequence(self, window: Window) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The window's pictures in time; `SignalError` if it has none."""
        reason = self.missing(window)
        if reason is not None:
            raise SignalError(
                f"recording {window.recording.name}, window {window.start:g}–"
                f"{window.start + window.duration:g} s: no pictures of {self.modality}, {reason}. "
                "Ask `missing` before."
            )
        start, step, _ = self._times(window)
        moments = start + np.arange(self.picture_count(window)) * step
        for image in frames_at(
            window.recording.videos[self.modality].path, moments, max(LONGEST_GAP, step / 2)
        ):
            yield letterboxed(image, self.size)

    def _span(self, window: Window) -> float:
        return window.duration if self.duration is None else self.duration

    def _rate(self, window: Window) -> float:
        rate = self.frame_rate or published_rate(window.recording, self.modality, None)
        if rate is None:
            raise SignalError(
                f"recording {window.recording.name} has no video '{self.modality}' that tells its "
                "frame rate, so the number of pictures is unknown. Give video_frames a frame_rate."
            )
        return rate

    def _times(self, window: Window) -> tuple[float, float, float]:
        """Seconds: first moment, from moment to moment, end of what is shown."""
        start = window.start + self.offset
        return start, self.stride / self._rate(window), start + self._span(window)


def letterboxed(
    image: UInt8[np.ndarray, "height width 3"], size: int
) -> UInt8[np.ndarray, "side side 3"]:
    """The whole frame inside a square picture, its proportions kept, black around it."""
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    height, width = image.shape[:2]
    factor = size / max(height, width)
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    top, left = (size - rows) // 2, (size - columns) // 2
    picture = np.zeros((size, size, 3), dtype=np.uint8)
    picture[top : top + rows, left : left + columns] = cv2.resize(
        image, (columns, rows), interpolation=method
    )
    return picture
