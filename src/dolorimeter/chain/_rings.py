"""The last seconds of signals and of a face that are still going on: bounded, and exact.

A sample keeps its number from the first one on, so a stretch cut out of a ring is, to the bit, the
one that would be cut out of the whole recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.errors import SignalError
from dolorimeter.preprocessing import FaceFrame
from dolorimeter.types import FaceTrack, Signal

ROUNDING = 1e-9
"""Seconds that sums of decimal times may be off."""


@dataclass(frozen=True)
class HeldSignal(Signal):
    """A signal of which the first samples are no longer held.

    Parameters
    ----------
    dropped : int
        How many samples went before the first of `values`; `start` is the time of the first ever.
    """

    dropped: int = 0

    @property
    def duration(self) -> float:
        """Seconds since the first sample ever, held or not."""
        return (self.dropped + self.values.shape[1]) / self.sampling_rate

    def crop(self, start: float, duration: float) -> Signal:
        """As `Signal.crop`, by the number of samples since the first one ever."""
        first = round((start - self.start) * self.sampling_rate)
        count = round(duration * self.sampling_rate)
        at = first - self.dropped
        if at < 0 or count < 1 or at + count > self.values.shape[1]:
            held = self.start + self.dropped / self.sampling_rate
            raise SignalError(
                f"{start:g}–{start + duration:g} s asked of a live signal of which "
                f"{held:g}–{self.stop:g} s are held at {self.sampling_rate:g} Hz."
            )
        told = {f.name: getattr(self, f.name) for f in fields(Signal)}
        told["values"] = self.values[:, at : at + count]
        told["start"] = self.start + first / self.sampling_rate
        return Signal(**told)


class SignalRing:
    """The last seconds of one signal.

    Parameters
    ----------
    like : Signal
        What the signal is; its values are not looked at, its `start` is that of the first sample.
    seconds : float
        How much is held at least, once it was there.
    """

    def __init__(self, like: Signal, seconds: float) -> None:
        self.like = like
        """What the signal is; without samples."""
        self._least = max(1, round(seconds * like.sampling_rate) + 2)
        self._values = np.empty((like.values.shape[0], 3 * self._least))
        self._end = self._dropped = 0

    def append(self, values: Float[np.ndarray, "channel time"]) -> None:
        """Add the newest samples; the oldest go when there is no room."""
        count, room = values.shape[1], self._values.shape[1]
        if self._end + count > room:
            keep = max(0, min(self._least, self._end, room - count))
            self._values[:, :keep] = self._values[:, self._end - keep : self._end].copy()
            self._dropped += self._end - keep
            self._end = keep
        beyond = max(0, count - room)
        self._dropped += beyond
        self._values[:, self._end : self._end + count - beyond] = values[:, beyond:]
        self._end += count - beyond

    def shift(self, seconds: float) -> None:
        """Move the clock of all samples: a recorder's own clock runs a little slow or fast."""
        self.like = replace(self.like, start=self.like.start + seconds)

    @property
    def stop(self) -> float:
        """Time just after the newest sample."""
        return self.like.start + (self._dropped + self._end) / self.like.sampling_rate

    @property
    def held(self) -> float:
        """Time of the oldest sample that is held."""
        return self.like.start + self._dropped / self.like.sampling_rate

    def signal(self) -> HeldSignal:
        """What is held, as a view that is good until the next `append`."""
        told = {f.name: getattr(self.like, f.name) for f in fields(Signal)}
        told["values"] = self._values[:, : self._end]
        return HeldSignal(**told, dropped=self._dropped)


@dataclass
class HeldFrames:
    """Frames of a camera that pictures may still be cut out of: see `FrameStore`."""

    _frames: dict[float, UInt8[np.ndarray, "height width 3"]] = field(default_factory=dict)

    def at(
        self, times: Float[np.ndarray, " picture"]
    ) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frame of each time."""
        for time in times.tolist():
            if time not in self._frames:
                raise SignalError(
                    f"the frame at {time:.3f} s is no longer held: the window asked for is older "
                    "than what a live session keeps."
                )
            yield self._frames[time]

    def put(self, time: float, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """Hold a frame."""
        self._frames[time] = image

    def drop(self, time: float) -> None:
        """Let a frame go."""
        self._frames.pop(time, None)


class FaceRing:
    """The last seconds of one face: a row for each frame looked at, and pictures where needed.

    Parameters
    ----------
    seconds : float
        How much is held at least.
    frame_rate : float or None
        Frames looked at a second, where the source tells; else what has come is counted.
    pictures : bool
        Whether the frames themselves are held, for models that look at pictures.
    """

    def __init__(
        self, seconds: float, frame_rate: float | None, pictures: bool, start: float = 0.0
    ) -> None:
        self._seconds, self._told, self._pictures = seconds, frame_rate, pictures
        self._rows: deque[FaceFrame] = deque()
        self._frames = HeldFrames()
        self._first: float | None = None
        self._count = 0
        self._start = start
        self.last_found: float | None = None
        """Time of the newest frame with a face."""
        self.size = (1, 1)
        """Height and width of the frames, in pixels."""

    def append(
        self, row: FaceFrame, image: UInt8[np.ndarray, "height width 3"] | None = None
    ) -> None:
        """Add the newest row, and its frame where pictures are held."""
        if self._first is None:
            self._first = row.time
        self._count += 1
        self._rows.append(row)
        if row.found:
            self.last_found = row.time
        if image is not None:
            self.size = (image.shape[0], image.shape[1])
            if self._pictures and row.found:
                self._frames.put(row.time, image)
        while self._rows[0].time < row.time - self._seconds:
            self._frames.drop(self._rows.popleft().time)

    @property
    def newest(self) -> FaceFrame | None:
        """The newest row, or None."""
        return self._rows[-1] if self._rows else None

    @property
    def frame_rate(self) -> float:
        """Frames looked at a second: told, or counted so far; 25 before there are two."""
        if self._told is not None:
            return self._told
        if self._first is None or self._count < 2:
            return 25.0
        return (self._count - 1) / (self._rows[-1].time - self._first)

    def track(self, path: Path) -> FaceTrack | None:
        """What is held as a track that ends with the newest frame; None before the first."""
        if not self._rows:
            return None
        rows, rate = list(self._rows), self.frame_rate
        whole = self._count == len(rows)
        return FaceTrack(
            path=path,
            times=np.array([row.time for row in rows]),
            start=self._start if whole else rows[0].time,
            stop=rows[-1].time + 1 / rate,
            frame_rate=rate,
            frame_size=self.size,
            landmarks=np.stack([row.landmarks for row in rows]),
            blendshapes=np.stack([row.blendshapes for row in rows]),
            pose=np.stack([row.pose for row in rows]),
            alignment=np.stack([row.alignment for row in rows]),
            found=np.array([row.found for row in rows]),
            size=np.array([row.size for row in rows], dtype=np.float32),
            blur=np.array([row.blur for row in rows], dtype=np.float32),
            occlusion=np.array([row.occlusion for row in rows], dtype=np.float32),
            exposure=np.array([row.exposure for row in rows], dtype=np.float32),
            frames=self._frames,
        )
