"""Frames of a video file, one at a time, and what a file says of itself."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.video._pictures import ANGLES, Picture, square_size, turn_of
from dolorimeter.video._source import SLACK, Damage, Place, Source

if TYPE_CHECKING:
    from av import VideoFrame
else:
    # importing av takes 0.1 s; only a function that opens a file needs it
    VideoFrame = Any

MOST_THREADS = 4
"""Decoding threads at most: each holds a frame, and more than four gain little."""


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Parameters
    ----------
    index : int
        Position in the file, from 0. A damaged frame keeps its number, so that an index stays
        with its moment.
    time : float
        Seconds from the first frame's presentation time; ascending.
    image : UInt8[np.ndarray, "height width 3"]
        RGB, upright, square pixels.
    """

    index: int
    time: float
    image: UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself, and its first frame shows.

    Parameters
    ----------
    path : Path
        The file.
    width, height : int
        Of the upright frame, in (square) pixels.
    frame_rate : float or None
        Average, in hertz; None where the file does not tell.
    duration : float
        Seconds, as the file says.
    frames : int or None
        As the container says, which a truncated file does not keep; None where it does not say.
    codec, pixel_format : str
        FFmpeg's names (``"h264"``, ``"yuv420p10le"``).
    rotation : int
        Degrees by which stored frames are turned counter-clockwise to stand upright: 0, 90, 180
        or 270.
    mirrored : bool
        Whether they are then mirrored left to right.
    """

    path: Path
    width: int
    height: int
    frame_rate: float | None
    duration: float
    frames: int | None
    codec: str
    pixel_format: str
    rotation: int
    mirrored: bool


def probe(path: str | Path) -> VideoInfo:
    """What a video is, from its header and its first frame.

    Raises
    ------
    RecordingError
        Missing, empty, not a video, audio only, or without a frame that can be decoded.
    """
    with Source(Path(path), threads=1) as source:
        frame = next((item for item in source.decode() if not isinstance(item, Damage)), None)
        if frame is None:
            raise _nothing_decoded(source)
        turn = turn_of(frame)
        width, height = square_size(frame, source.stream.sample_aspect_ratio)
        rotation, mirrored = ANGLES[turn]
        return VideoInfo(
            path=source.path,
            width=height if turn.transposed else width,
            height=width if turn.transposed else height,
            frame_rate=None if source.rate is None else float(source.rate),
            frames=source.stream.frames or None,
            codec=source.stream.codec_context.codec.canonical_name,
            pixel_format=frame.format.name,
            rotation=rotation,
            mirrored=mirrored,
            duration=source.duration(),  # last: it may read the file to its end
        )


def frame_gaps(path: str | Path, *, shortest: float = 0.5) -> list[tuple[float, float]]:
    """Return the stretches of a video without a frame, from its packets, undecoded.

    Parameters
    ----------
    path : path
        Any file that FFmpeg decodes.
    shortest : float, default=0.5
        Seconds from one frame to the next that count as a gap, if they are also more than three
        times the median.

    Returns
    -------
    list of (float, float)
        Time of the frame before and of the frame after each gap, in seconds from the first frame.

    Raises
    ------
    RecordingError
        If the file is missing, empty, or not a video.
    """
    with Source(Path(path), threads=1) as source:
        times = source.packet_times()
    steps = np.diff(times)
    limit = max(shortest, 3 * float(np.median(steps))) if steps.size else shortest
    return [(times[k], times[k + 1]) for k in np.flatnonzero(steps > limit).tolist()]


def read_frames(
    path: str | Path,
    *,
    stride: int = 1,
    start: float = 0.0,
    stop: float | None = None,
    threads: int | None = None,
) -> FrameReader:
    """Frames of a video in the order of presentation, decoded as they are asked for.

    Parameters
    ----------
    path : path
        Any file that FFmpeg decodes.
    stride : int
        Frames whose index is a multiple of it are given; only those are converted to RGB.
    start, stop : float
        Seconds from the first frame: frames of ``[start, stop)`` are given. Where the container
        has an index (MP4, MOV), decoding begins at the key frame before `start`; elsewhere at the
        beginning of the file, so that the index is always that of the whole file.
    threads : int, optional
        Decoding threads; default the processors at hand, at most `MOST_THREADS`. The frames do
        not depend on it.

    Raises
    ------
    ConfigError
        For a stride below 1, a negative `start`, or a `stop` that is not after it.
    RecordingError
        Missing, empty, not a video, or audio only; on reading, when no frame can be decoded.

    Examples
    --------
    ::

        with read_frames("clip.mp4", stride=2) as frames:
            for frame in frames:
                print(frame.index, frame.time, frame.image.shape)
        print(frames.damaged)
    """
    if stride < 1 or start < 0 or not math.isfinite(start) or (stop is not None and stop <= start):
        raise ConfigError(
            f"frames of {start:g}–{'the end' if stop is None else f'{stop:g}'} s at stride "
            f"{stride} were asked for; expected a stride of 1 or more and 0 ≤ start < stop."
        )
    return FrameReader(Path(path), stride, start, stop, threads or _processors())


class FrameReader(Iterator[Frame]):
    """Frames of one video, one at a time: made by `read_frames`.

    The file is closed at the end, by `close`, on leaving a ``with`` block, and when the reader is
    no longer referred to.

    Notes
    -----
    What the decoder reports as damaged is left out and counted; decoding then goes on. Frames
    after a damaged one may carry its traces until the next key frame.
    """

    def __init__(
        self, path: Path, stride: int, start: float, stop: float | None, threads: int
    ) -> None:
        self._tally = _Tally()
        self._source = Source(path, threads)
        self._frames = _frames(self._source, stride, start, stop, self._tally)

    @property
    def damaged(self) -> int:
        """Frames so far that could not be decoded, or only in part, and were left out."""
        return self._tally.damaged

    @property
    def dropped(self) -> int:
        """Frames so far that the camera dropped, as an AVI file says with empty frames.

        Times of later frames take them into account. Other containers time each frame.
        """
        return self._source.dropped

    @property
    def frames(self) -> int:
        """Frames decoded so far, whether given or passed over."""
        return self._tally.decoded

    def __next__(self) -> Frame:
        return next(self._frames)

    def close(self) -> None:
        """Stop decoding and close the file."""
        self._frames.close()
        self._source.close()

    def __del__(self) -> None:
        if hasattr(self, "_frames"):  # not where opening has failed
            self.close()

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass
class _Tally:
    """What a reader counts; apart from the reader, so that no cycle keeps a file open."""

    decoded: int = 0
    damaged: int = 0


def _frames(
    source: Source, stride: int, start: float, stop: float | None, tally: _Tally
) -> Generator[Frame, None, None]:
    last = -math.inf
    with source:
        place = source.place(start)
        picture = Picture(source.path, source.stream.sample_aspect_ratio)
        origin = place.origin
        with closing(_numbered(source, place, tally)) as numbered:
            for index, decoded in numbered:
                if place.key is None and tally.decoded == 1 and decoded.pts is not None:
                    origin = decoded.pts if origin is None else min(origin, decoded.pts)
                time = source.time(decoded, index, origin)
                if time <= last:  # a file that repeats a time
                    time = last + source.step
                last = time
                if stop is not None and time >= stop - SLACK:
                    return
                if index % stride == 0 and time >= start - SLACK:
                    yield Frame(index, time, picture(decoded))
        if not tally.decoded:
            raise _nothing_decoded(source)


def _numbered(
    source: Source, place: Place, tally: _Tally
) -> Generator[tuple[int, VideoFrame], None, None]:
    """Decoded frames with their position in the file; damage is counted and keeps its number."""
    given, passed = 0, 0
    lost: list[float] = []
    for item in _steady(source, place):
        if isinstance(item, Damage):
            tally.damaged += 1
            lost.append(-math.inf if item.pts is None else item.pts)
            continue
        now = math.inf if item.pts is None else item.pts
        passed += sum(pts < now for pts in lost)
        lost = [pts for pts in lost if pts >= now]
        tally.decoded += 1
        yield place.index + given + passed, item
        given += 1


def _steady(source: Source, place: Place) -> Iterator[VideoFrame | Damage]:
    """What the file decodes to, the same for any number of threads.

    FFmpeg conceals damage differently from one number of threads to another. So at the first
    damage decoding begins again with a single thread, and goes on where it was.
    """
    given = 0
    if source.threads > 1:
        for item in source.decode(place):
            if isinstance(item, Damage):
                break
            given += 1
            yield item
        else:
            return
        source.close()
        source.reopen(threads=1)
    for item in source.decode(place):
        if isinstance(item, Damage) or given == 0:
            yield item
        else:
            given -= 1


def _nothing_decoded(source: Source) -> RecordingError:
    count = f"none of its {source.stream.frames} frames" if source.stream.frames else "no frame"
    return RecordingError(
        f"{source.path}: {count} can be decoded. The file is damaged or cut off: copy or record "
        "it again."
    )


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return min(MOST_THREADS, len(affinity(0)) if affinity else os.cpu_count() or 1)
