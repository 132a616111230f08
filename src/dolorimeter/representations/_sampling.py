"""Which moments of a window pictures are taken at, and which frame stands for each moment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from dolorimeter.errors import RecordingError, SignalError
from dolorimeter.types import Recording
from dolorimeter.video import VideoInfo, probe, read_frames

ROUNDING = 1e-6
"""Seconds by which times that are sums of rounded frame periods may be off."""


def frame_count(duration: float, frame_rate: float, stride: int = 1) -> int:
    """How many frames ``frames[::stride]`` keeps of a window.

    Parameters
    ----------
    duration : float
        Seconds.
    frame_rate : float
        Nominal, in hertz. A frame that has begun counts: 5.5 s at 25 Hz are 137.5, hence 138.
    stride : int
        Every so many nominal frames.

    Examples
    --------
    >>> [frame_count(5.5, 25.0, stride) for stride in (1, 2, 3, 4)]
    [138, 69, 46, 35]
    """
    frames = max(1, math.ceil(round(duration * frame_rate, 6)))
    return math.ceil(frames / stride)


def nearest(
    times: Float[np.ndarray, " frame"], wanted: Float[np.ndarray, " moment"], reach: float
) -> Int[np.ndarray, " moment"]:
    """For each moment the frame nearest to it, the earlier of two; −1 where none is in reach.

    Parameters
    ----------
    times, wanted : array
        Seconds, ascending.
    reach : float
        Seconds to either side.
    """
    if not len(times):
        return np.full(len(wanted), -1)
    after = np.searchsorted(times, wanted).clip(0, len(times) - 1)
    before = (after - 1).clip(0)
    earlier = np.abs(times[before] - wanted) <= np.abs(times[after] - wanted) + ROUNDING
    found = np.where(earlier, before, after)
    return np.where(np.abs(times[found] - wanted) <= reach + ROUNDING, found, -1)


def held(rows: Int[np.ndarray, " moment"]) -> Int[np.ndarray, " moment"]:
    """Gaps (−1) closed by the row before, leading ones by the first row; not all may be gaps."""
    valid = np.flatnonzero(rows >= 0)
    last = np.searchsorted(valid, np.arange(len(rows)), side="right") - 1
    return rows[valid[last.clip(0)]]


def clip_positions(
    frames: int, count: int, stride: int | None, draw: np.random.Generator | None
) -> tuple[Int[np.ndarray, " picture"], str]:
    """Positions of a clip's pictures among the frames, and a sentence where it does not fit.

    Parameters
    ----------
    frames : int
        How many there are; at least one.
    count : int
        How many pictures the clip has.
    stride : int or None
        From picture to picture; None takes the largest whole number that fits.
    draw : numpy.random.Generator or None
        Where the clip begins: drawn, or (None) so that it lies in the middle.

    Returns
    -------
    (positions, sentence)
        Fewer frames than pictures repeat evenly. A stride that does not fit is replaced by the
        largest that does, as the released code of Nguyen et al. (2025) does. Both are said.

    Examples
    --------
    >>> clip_positions(138, 4, 8, None)[0].tolist()
    [56, 64, 72, 80]
    """
    if frames < count:
        even = np.arange(count) * frames // count
        return even, f"fewer than {count} frames, repeated evenly to {count}"
    widest = max(1, frames // count)
    fits = stride is not None and (count - 1) * stride < frames
    step = stride if fits and stride is not None else widest
    room = frames - 1 - (count - 1) * step
    first = room // 2 if draw is None else int(draw.integers(room + 1))
    told = "" if fits or stride is None else f"too short for stride {stride}, taken at {widest}"
    return first + step * np.arange(count), told


def published_rate(recording: Recording, modality: str, path: Path | None) -> float | None:
    """Frames per second of a video: what the data set says, else what the file says.

    None without either. Whether and how often a face was looked for does not matter.
    """
    video = recording.videos.get(modality)
    if video is not None and video.frame_rate is not None:
        return video.frame_rate
    path = video.path if video is not None else path
    return None if path is None else probed(path).frame_rate


def probed(path: Path) -> VideoInfo:
    """`dolorimeter.video.probe`, once for each state of a file.

    Raises
    ------
    RecordingError
        If the file is missing or not a video.
    """
    try:
        state = path.stat()
    except OSError:
        return probe(path)  # which says what is wrong
    return _probed(_State(path, state.st_size, state.st_mtime_ns))


class _State(NamedTuple):
    """A file as it was at some time."""

    path: Path
    size: int
    changed: int


@lru_cache(maxsize=4096)
def _probed(file: _State) -> VideoInfo:
    return probe(file.path)


def frames_at(
    path: Path, times: Float[np.ndarray, " picture"], reach: float
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The decoded frame nearest to each time, in one pass that begins near the first.

    Two frames are held at a time.

    Parameters
    ----------
    path : Path
        The video.
    times : Float[np.ndarray, "picture"]
        Seconds from its first frame, not descending.
    reach : float
        Seconds to either side within which there must be a frame.

    Raises
    ------
    RecordingError
        If the video cannot be read or has no such frame.
    SignalError
        If there is no time, or they descend.
    """
    if not len(times) or bool((np.diff(times) < 0).any()):
        raise SignalError(f"{path}: {len(times)} times of frames, expected some, not descending.")
    reach += ROUNDING
    start, stop = max(0.0, float(times[0]) - reach), max(0.0, float(times[-1])) + reach
    done, last = 0, None
    with read_frames(path, start=start, stop=stop) as frames:
        for frame in frames:
            while done < len(times) and frame.time >= times[done]:
                chosen, ahead = frame, frame.time - times[done]
                if last is not None and times[done] - last.time <= ahead + ROUNDING:
                    chosen = last
                _check_near(path, chosen.time, float(times[done]), reach)
                yield chosen.image
                done += 1
            last = frame
    for time in times[done:]:
        _check_near(path, None if last is None else last.time, float(time), reach)
        if last is not None:
            yield last.image


def _check_near(path: Path, found: float | None, wanted: float, reach: float) -> None:
    if found is None or abs(found - wanted) > reach:
        there = "none is near" if found is None else f"the nearest is at {found:.3f} s"
        raise RecordingError(
            f"{path}: no frame can be decoded within {reach:.3f} s of {wanted:.3f} s, where one "
            f"was expected; {there}. The file is damaged or has changed: copy it again, and run "
            "preprocessing again."
        )
