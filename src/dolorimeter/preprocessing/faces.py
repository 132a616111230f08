"""One person's face through a video: found, tracked, measured and aligned.

`track_face` reads a file, `FaceTracker` takes frame after frame (the live monitor uses the same
class), and `FaceTracking` is the preprocessing step around them. Networks: MediaPipe's Face
Landmarker, run by LiteRT (`_face_models`).

Notes
-----
*Who.* The largest face at first, afterwards the one that keeps its place from frame to frame. The
detector runs until a face is found and then once every `LOOK_AROUND` seconds, when the face
looks suddenly different, and on every frame while another face is near; in between the mesh of one
frame tells where to look in the next. When two people have changed places, the look of their
faces decides; when the person is lost, the nearest face that is nobody else (`_face_person`).
Nothing waits for a later frame.

*What.* Landmarks are not smoothed. MediaPipe's own video mode for one face does smooth them (One
Euro filter), which damps and delays the fast actions that matter here.

*Quality.* `blur`: variance of the Laplacian of the aligned picture as a share of its variance, on
a logarithmic scale. `exposure`: share of the face's pixels that are neither nearly black nor
nearly white. `occlusion`: how far eyes and mouth look as their landmarks say, times the share of
the face inside the frame; it cannot see what is before cheeks, forehead or chin. Each is between
0 (unusable) and 1 (good), and `_face_quality` states the constants.

*Limits.* The detector is made for faces within two metres. Where it finds none in the whole
picture it looks at parts of half its size, which reaches faces as narrow as a twentieth of the
longer side. Profiles are not found.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.preprocessing._face_geometry import align
from dolorimeter.preprocessing._face_rows import FaceFrame, FaceRows
from dolorimeter.preprocessing._face_tracker import FaceTracker, check_thresholds
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.types import FaceTrack, Recording, Scope
from dolorimeter.video import Frame, FrameReader, VideoInfo, probe, read_frames

__all__ = ["FaceFrame", "FaceTracker", "FaceTracking", "align", "track_face"]

SIDEWAYS = 45.0
"""Roll in degrees from which a clip counts as lying on its side."""

SMALL = 40.0
"""Pixels between the outer eye corners below which a face counts as small."""

AHEAD = 3
"""Decoded frames that wait for the tracker."""


def track_face(
    path: str | Path,
    *,
    stride: int = 1,
    start: float = 0.0,
    stop: float | None = None,
    min_detection: float = 0.5,
    min_presence: float = 0.5,
    threads: int = 1,
) -> FaceTrack:
    """One person's face through a video file.

    Parameters
    ----------
    path : path
    stride : int
        Frames whose index is a multiple of it are looked at.
    start, stop : float
        Seconds from the first frame: what is looked at.
    min_detection, min_presence, threads
        See `FaceTracker`.

    Returns
    -------
    FaceTrack
        Also where no face is found: then every row is NaN and a remark says so. Landmarks of
        more than 1024 frames are mapped from a temporary file.

    Raises
    ------
    RecordingError
        If the file is no video that can be decoded, or has no frame between `start` and `stop`.
    ConfigError
        For a stride below 1, an empty interval, or a threshold outside 0…1.

    Notes
    -----
    Frames are decoded in a thread of their own while the networks run. Nothing is kept of a frame
    once it is measured; pictures are read from the file again where they are needed.
    """
    info = probe(path)
    tracker = FaceTracker(min_detection=min_detection, min_presence=min_presence, threads=threads)
    rows = FaceRows()
    indices: list[int] = []
    with read_frames(path, stride=stride, start=start, stop=stop) as frames:
        with closing(_ahead(frames)) as waiting:
            for frame in waiting:
                indices = [*indices[:1], frame.index]
                rows.append(tracker.push(frame.image, frame.time))
        damaged, dropped = frames.damaged, frames.dropped
    if not len(rows):
        until = "the end" if stop is None else f"{stop:g} s"
        raise RecordingError(
            f"{path}: no frame between {start:g} s and {until} (the file says it lasts "
            f"{info.duration or 0:g} s). Give an interval inside it."
        )
    arrays: dict[str, Any] = rows.arrays()
    rate, end = _extent(arrays["times"], indices[-1] - indices[0], indices[-1], info, stride, stop)
    track = FaceTrack(
        path=Path(path),
        start=start,
        stop=end,
        frame_rate=rate,
        frame_size=(info.height, info.width),
        **arrays,
    )
    return replace(track, remarks=(*_remarks(track, damaged, dropped), *tracker.remarks))


@PREPROCESSING.register(
    Card(
        name="face_track",
        summary="One person's face through a video: 478 landmarks, 52 blendshapes, pose, quality.",
        paper="Kartynnik et al., Real-time Facial Surface Geometry from Monocular Video, 2019",
        doi="10.48550/arXiv.1907.06724",
        code="https://github.com/google-ai-edge/mediapipe",
        licence="networks: Apache-2.0",
        differences=(
            "landmarks are not smoothed over time",
            "depth is scaled as width in a turned face too, where MediaPipe scales it by the "
            "picture's sides",
            "one person is followed through a clip, and lying faces are looked for",
        ),
    )
)
@dataclass(frozen=True, kw_only=True)
class FaceTracking:
    """The preprocessing step: a recording gains the track of a face in one of its videos.

    A recording without that video is passed over.

    Parameters
    ----------
    modality : str
        Which of the recording's videos; the track gets the same name.
    stride : int
        Look at every so many frames.
    min_detection, min_presence : float
        See `FaceTracker`.

    Raises
    ------
    ConfigError
        For a stride below 1 or a threshold outside 0…1.
    """

    card: ClassVar[Card]
    scope: ClassVar[Scope] = "causal"
    live_substitute: ClassVar[str] = ""

    modality: str = "face"
    stride: int = 1
    min_detection: float = 0.5
    min_presence: float = 0.5

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ConfigError(f"face_track: stride is {self.stride}, expected 1 or more.")
        check_thresholds(self.min_detection, self.min_presence)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The video it reads."""
        return (self.modality,)

    def only(self, modality: str) -> FaceTracking:
        """The step itself, which acts on one modality.

        Raises
        ------
        ConfigError
            If it is another one.
        """
        if modality != self.modality:
            raise ConfigError(f"face_track acts on {self.modality}, not on '{modality}'.")
        return self

    def acts_on(self, modality: str) -> bool:
        """Whether it reads that video."""
        return modality == self.modality

    def __call__(self, recording: Recording) -> Recording:
        """The recording with the face's track; its signals stay as they are.

        Raises
        ------
        RecordingError
            If the video cannot be decoded.
        """
        if self.modality not in recording.videos:
            return recording
        track = track_face(
            recording.videos[self.modality].path,
            stride=self.stride,
            min_detection=self.min_detection,
            min_presence=self.min_presence,
        )
        return replace(recording, faces={**recording.faces, self.modality: track})


def _ahead(frames: FrameReader) -> Generator[Frame, None, None]:
    """The same frames, decoded by another thread up to `AHEAD` frames ahead."""
    waiting: queue.Queue[Frame | BaseException | None] = queue.Queue(AHEAD)
    left = threading.Event()

    def decode() -> None:
        last: BaseException | None = None
        try:
            for frame in frames:
                waiting.put(frame)
                if left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            last = error
        waiting.put(last)

    thread = threading.Thread(target=decode, name="dolorimeter-decode", daemon=True)
    thread.start()
    try:
        while isinstance(item := waiting.get(), Frame):
            yield item
        if item is not None:
            raise item
    finally:
        left.set()
        while thread.is_alive():  # it may wait for room in the queue
            try:
                waiting.get(timeout=0.01)
            except queue.Empty:
                continue
        thread.join()


def _extent(
    times: Float64[np.ndarray, " frame"],
    passed: int,
    last: int,
    info: VideoInfo,
    stride: int,
    stop: float | None,
) -> tuple[float, float]:
    """Frames looked at per second, and when the file, or what was asked of it, is over.

    `passed` is how many frames of the file lie between the first and the last one looked at, whose
    index is `last`.
    """
    span = float(times[-1] - times[0])
    file_rate = passed / span if passed else info.frame_rate or 25.0
    rate = (len(times) - 1) / span if passed else file_rate / stride
    after = (info.frames or 0) - last  # frames from the last one looked at to the end
    end = float(times[-1]) + (after if 0 < after <= stride else 1) / file_rate
    asked = stop is not None and stop <= max(end, float(times[-1]) + stride / file_rate)
    return rate, stop if asked and stop is not None else end


def _remarks(track: FaceTrack, damaged: int, dropped: int) -> tuple[str, ...]:
    """Sentences on what makes the track less than it seems."""
    remarks = []
    if damaged:
        remarks.append(f"damaged frames of the video, left out: {damaged}")
    if dropped:
        remarks.append(
            f"frames that the camera dropped (times of later frames include them): {dropped}"
        )
    if not track.found.any():
        return (*remarks, f"frames without a face: all {len(track)}")
    if abs(roll := float(np.nanmedian(track.pose[:, 2]))) > SIDEWAYS:
        how = "lies on its side" if abs(roll) < 180 - SIDEWAYS else "is upside down"
        remarks.append(
            f"the face {how} (median roll {roll:.0f} degrees): the person lies down, "
            "or the video was stored without saying how the camera was held"
        )
    if (size := float(np.nanmedian(track.size))) < SMALL:
        remarks.append(
            f"the face is small: {size:.0f} pixels between the outer eye corners (median), so "
            "fine actions may be lost"
        )
    return tuple(remarks)
