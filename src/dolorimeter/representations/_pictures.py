"""What all picture representations share: batches, one array, sampling a face track."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import Card
from dolorimeter.representations._represented import Represented, Undefined, count
from dolorimeter.representations._sampling import (
    ROUNDING,
    frame_count,
    frames_at,
    held,
    nearest,
    published_rate,
)
from dolorimeter.representations.face_numbers import ABSENT, BEYOND
from dolorimeter.types import CROP_SIZE, FaceTrack, Window

BATCH = 32
"""Pictures in one batch at most."""

MEMORY = 4 * 2**30
"""Bytes that one array of pictures may take."""

REPEATED = "moments without a tracked face nearby repeat the picture before"
SPARSE = "the face was looked for too seldom for this frame rate and stride"


class Pictures(ABC):
    """A window as a fixed number of RGB pictures, one after another or as one array."""

    pictures_of_people: ClassVar[bool] = True
    """No picture may be kept where it is not asked for: caches hold embeddings alone."""

    card: ClassVar[Card]
    modality: str
    size: int
    names: ClassVar[tuple[str, str, str]] = ("red", "green", "blue")

    @abstractmethod
    def missing(self, window: Window) -> str | None:
        """Why the window has no pictures, in words that can be counted; None if it has."""

    @abstractmethod
    def picture_count(self, window: Window) -> int:
        """How many pictures the window has, or would have.

        Raises
        ------
        SignalError
            If that depends on a video the window does not have.
        """

    @abstractmethod
    def remarks(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sentences a report must print of these windows. Nothing is decoded."""

    @abstractmethod
    def sequence(self, window: Window) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The window's pictures in time, height × width × RGB.

        Raises
        ------
        SignalError
            If the window has none.
        RecordingError
            If the video cannot be read.
        """

    def pictures(self, window: Window) -> Iterator[UInt8[np.ndarray, "batch 3 side side"]]:
        """The window's pictures in time, channel first, at most `BATCH` at once.

        The video is decoded once, from near the first picture on. Errors as in `sequence`.
        """
        batch: list[UInt8[np.ndarray, "side side 3"]] = []
        for picture in self.sequence(window):
            batch.append(picture)
            if len(batch) == BATCH:
                yield _channel_first(batch)
                batch = []
        if batch:
            yield _channel_first(batch)

    def __call__(self, windows: Sequence[Window]) -> Represented:
        """The windows as uint8 ``(window, picture, 3, side, side)``; zeros where not present.

        Raises
        ------
        ConfigError
            If the array would take more than `MEMORY`.
        SignalError
            If windows differ in their number of pictures, or none tells it.
        RecordingError
            If a video cannot be read.
        """
        reasons = [self.missing(window) for window in windows]
        pictures = self._common_count(windows)
        self._check_memory(len(windows), pictures)
        x = np.zeros((len(windows), pictures, 3, self.size, self.size), dtype=np.uint8)
        for row, window in enumerate(windows):
            if reasons[row] is None:
                for place, picture in enumerate(self.sequence(window)):
                    x[row, place] = picture.transpose(2, 0, 1)
        return Represented(
            x=x,
            names=self.names,
            units=("1", "1", "1"),
            present=np.array([reason is None for reason in reasons], dtype=bool),
            remarks=self.remarks(windows),
            undefined=count(Undefined(self.modality, reason, 1) for reason in reasons if reason),
        )

    def _common_count(self, windows: Sequence[Window]) -> int:
        counts = set()
        for window in windows:
            try:
                counts.add(self.picture_count(window))
            except SignalError:
                continue  # a window without video has zeros of the others' shape
        if len(counts) != 1:
            found = " and ".join(map(str, sorted(counts))) or "an unknown number of"
            raise SignalError(
                f"{len(windows):,} windows have {found} pictures of {self.modality}: they do not "
                "fit into one array. Give `frame_rate` and `duration`."
            )
        return counts.pop()

    def _check_memory(self, windows: int, pictures: int) -> None:
        each = pictures * 3 * self.size**2
        if windows * each > MEMORY:
            raise ConfigError(
                f"{self.card.name}: {windows:,} windows of {pictures} pictures of {self.size} × "
                f"{self.size} take {windows * each / 2**30:,.1f} GiB, expected at most "
                f"{MEMORY / 2**30:g} GiB in memory, which is {MEMORY // each:,} windows. Give the "
                "stream an encoder, a larger stride, or fewer windows."
            )


@dataclass(frozen=True)
class Picks:
    """Which frames of a track a window's pictures show.

    Parameters
    ----------
    rows : Int[np.ndarray, "picture"]
        Rows of the track, not descending.
    repeats : int
        How many pictures stand for a moment without a face, and repeat a neighbour.
    remark : str
        What else must be said of this window, in words that can be counted.
    """

    rows: Int[np.ndarray, " picture"]
    repeats: int = 0
    remark: str = ""


@dataclass(frozen=True)
class Stretch:
    """A window's stretch of a face track, all of it inside the video; times in seconds."""

    window: Window
    track: FaceTrack
    start: float
    duration: float
    frame_rate: float

    def rows(self) -> Int[np.ndarray, " frame"]:
        """Tracked frames of the stretch; the first may lie half a frame before it."""
        first = self.start - 0.5 / self.frame_rate - ROUNDING
        stop = self.start + self.duration - ROUNDING
        return np.arange(*np.searchsorted(self.track.times, [first, stop]))

    def picks(self, moments: Float[np.ndarray, " picture"], reach: float) -> tuple[
        Int[np.ndarray, " picture"], float
    ]:  # fmt: skip
        """Row of the track for each moment (−1 without a face), and the share looked at."""
        rows = self.rows()
        near = nearest(self.track.times[rows], moments, reach)
        seen = near >= 0
        chosen = np.full(len(moments), -1)
        chosen[seen] = rows[near[seen]]
        chosen[seen] = np.where(self.track.found[chosen[seen]], chosen[seen], -1)
        return chosen, float(seen.mean())


@dataclass(frozen=True)
class FacePictures(Pictures):
    """Pictures of a tracked face; what a subclass adds is which frames, and how they are drawn.

    Parameters
    ----------
    modality : str
        Name of the face track.
    offset : float
        Seconds added to the start of every window.
    duration : float, optional
        Seconds; None keeps the window's own.
    frame_rate : float, optional
        Nominal, of the video, in hertz; None takes the published one, else the file's average.
        Give it where videos differ.
    size : int
        Side of a picture in pixels.
    min_valid : float
        A window with less than this share of pictures with a face is not present.
    """

    modality: str = "face"
    offset: float = 0.0
    duration: float | None = None
    frame_rate: float | None = None
    size: int = CROP_SIZE
    min_valid: float = 0.5

    def __post_init__(self) -> None:
        check_sampling(self.card.name, self.duration, self.frame_rate, self.size)
        if not 0 <= self.min_valid <= 1:
            raise ConfigError(
                f"{self.card.name}: min_valid is {self.min_valid}, expected a share from 0 to 1."
            )

    @abstractmethod
    def pick(self, stretch: Stretch) -> Picks | str:
        """Which frames are shown, or why there are none."""

    @abstractmethod
    def drawn(
        self, stretch: Stretch, rows: Int[np.ndarray, " row"]
    ) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The picture of each row of the track; rows ascend, and all have a face."""

    def missing(self, window: Window) -> str | None:
        """Why the window has no pictures, in words that can be counted; None if it has."""
        found = self._found(window)
        return found if isinstance(found, str) else None

    def ahead(
        self, window: Window, known: Container[float]
    ) -> tuple[float, UInt8[np.ndarray, "1 3 side side"]] | None:
        """The first picture of a window that is still coming, but for those of `known` times.

        Returns
        -------
        (time, picture) or None
            Time of its frame in the track; None while nothing new is sure to be shown.
        """
        track, start = window.recording.faces.get(self.modality), window.start + self.offset
        if track is None or not len(track.times) or track.times[-1] < start:
            return None
        stretch = Stretch(window, track, start, self.span(window), self.rate(window))
        for row in self.settled(stretch).tolist():
            time = float(track.times[row])
            if time not in known:
                return time, _channel_first(list(self.drawn(stretch, np.array([row]))))
        return None

    def settled(self, stretch: Stretch) -> Int[np.ndarray, " row"]:  # noqa: ARG002
        """Rows, ascending, that the stretch will show whatever frames still come."""
        return np.zeros(0, dtype=int)

    def repeats(self, window: Window) -> int:
        """How many of the window's pictures stand for a moment without a face."""
        found = self._found(window)
        return 0 if isinstance(found, str) else found[1].repeats

    def rows(self, window: Window) -> Int[np.ndarray, " picture"]:
        """Row of the face track that each of the window's pictures shows; empty if it has none."""
        found = self._found(window)
        return np.zeros(0, dtype=int) if isinstance(found, str) else found[1].rows

    def remarks(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sentences a report must print of these windows. Nothing is decoded."""
        told: dict[str, None] = {}
        for window in windows:
            found = self._found(window)
            if isinstance(found, str):
                continue
            if found[1].repeats:
                told[f"{self.modality}: {REPEATED}."] = None
            if found[1].remark:
                told[f"{self.modality}: {found[1].remark}."] = None
        return tuple(sorted(told))

    def sequence(self, window: Window) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The window's pictures in time; `SignalError` if it has none."""
        found = self._found(window)
        if isinstance(found, str):
            raise SignalError(
                f"recording {window.recording.name}, window {window.start:g}–"
                f"{window.start + window.duration:g} s: no pictures of {self.modality}, "
                f"{self._told(window, found)}. Ask `missing` before."
            )
        stretch, picks = found
        rows, times = np.unique(picks.rows, return_counts=True)
        for picture, repeated in zip(self.drawn(stretch, rows), times, strict=True):
            for _ in range(repeated):
                yield picture

    def pictures_of(
        self, window: Window, rows: Int[np.ndarray, " row"]
    ) -> Iterator[UInt8[np.ndarray, "batch 3 side side"]]:
        """The pictures of some rows of a window's track, ascending; channel first, in batches."""
        found = self._found(window)
        if isinstance(found, str):
            raise SignalError(f"no pictures of {self.modality}: {found}. Ask `missing` before.")
        pictures = list(self.drawn(found[0], rows))
        for first in range(0, len(pictures), BATCH):
            yield _channel_first(pictures[first : first + BATCH])

    def span(self, window: Window) -> float:
        """Seconds that are shown of a window."""
        return window.duration if self.duration is None else self.duration

    def rate(self, window: Window) -> float:
        """Nominal frames a second; `SignalError` where neither argument nor video tells."""
        track = window.recording.faces.get(self.modality)
        path = None if track is None else track.path
        rate = self.frame_rate or published_rate(window.recording, self.modality, path)
        if rate is None:
            raise SignalError(
                f"recording {window.recording.name} has no video '{self.modality}' that tells its "
                f"frame rate, so the number of pictures is unknown. Give {self.card.name} a "
                "frame_rate."
            )
        return rate

    def _found(self, window: Window) -> tuple[Stretch, Picks] | str:
        track = window.recording.faces.get(self.modality)
        if track is None:
            return ABSENT
        start, span = window.start + self.offset, self.span(window)
        try:
            track.crop(start, span)
        except SignalError:
            return BEYOND
        stretch = Stretch(window, track, start, span, self.rate(window))
        picks = self.pick(stretch)
        return picks if isinstance(picks, str) else (stretch, picks)

    def _told(self, window: Window, reason: str) -> str:
        """The reason, with the share that was found where there is a track."""
        if reason in (ABSENT, BEYOND):
            return reason
        share = window_faces(window, self.modality, self.offset, self.duration)[0]
        return f"{reason} (found in {share:.0%} of those looked at)"

    def few(self) -> str:
        """The reason for a window with too few pictures of a face."""
        return f"face found in fewer than {self.min_valid:.0%} of the frames"

    def strided(self, stretch: Stretch, stride: int) -> Picks | str:
        """Every so many nominal frames; a moment without a face repeats the picture before."""
        number = frame_count(stretch.duration, stretch.frame_rate, stride)
        return self.at(stretch, np.arange(number) * stride, stride)

    def settled_at(
        self, stretch: Stretch, positions: Int[np.ndarray, " picture"], stride: int
    ) -> Int[np.ndarray, " row"]:
        """Of `at`, the rows of moments that a later frame can no longer be nearer to."""
        moments = stretch.start + positions / stretch.frame_rate
        past = moments[moments <= stretch.track.times[-1]]
        if not len(past):
            return np.zeros(0, dtype=int)
        rows, _ = stretch.picks(past, 0.5 * stride / stretch.frame_rate)
        return np.unique(rows[rows >= 0])

    def at(
        self, stretch: Stretch, positions: Int[np.ndarray, " picture"], stride: int
    ) -> Picks | str:
        """The nominal frames at these positions, each within half a stride."""
        moments = stretch.start + positions / stretch.frame_rate
        rows, looked = stretch.picks(moments, 0.5 * stride / stretch.frame_rate)
        lost = int((rows < 0).sum())
        if lost == len(rows) or 1 - lost / len(rows) < self.min_valid:
            return SPARSE if looked < max(self.min_valid, ROUNDING) else self.few()
        return Picks(held(rows), lost)


def window_faces(
    window: Window, modality: str = "face", offset: float = 0.0, duration: float | None = None
) -> tuple[float, float]:
    """Share of a window's tracked frames with a face, and the mean quality of all of them.

    (0, 0) without a track or a frame.
    """
    track = window.recording.faces.get(modality)
    if track is None:
        return 0.0, 0.0
    start = window.start + offset
    stop = start + (window.duration if duration is None else duration)
    rows = slice(*np.searchsorted(track.times, [start - ROUNDING, stop - ROUNDING]))
    if not len(track.times[rows]):
        return 0.0, 0.0
    return float(track.found[rows].mean()), float(track.quality[rows].mean())


def check_sampling(name: str, duration: float | None, frame_rate: float | None, size: int) -> None:
    """Raise `ConfigError` unless these are positive."""
    if duration is not None and not 0 < duration < np.inf:
        raise ConfigError(f"{name}: duration is {duration}, expected above 0 s.")
    if frame_rate is not None and not 0 < frame_rate < np.inf:
        raise ConfigError(f"{name}: frame_rate is {frame_rate}, expected above 0 Hz.")
    if size < 1:
        raise ConfigError(f"{name}: size is {size}, expected 1 pixel or more.")


def check_stride(name: str, stride: int) -> None:
    """Raise `ConfigError` unless a stride is at least 1."""
    if stride < 1:
        raise ConfigError(f"{name}: stride is {stride}, expected 1 or more.")


def tracked_frames(
    stretch: Stretch, rows: Int[np.ndarray, " row"]
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The video's own frames at some rows of a track."""
    times = stretch.track.times[rows]
    if stretch.track.frames is not None:
        yield from stretch.track.frames.at(times)
        return
    yield from frames_at(stretch.track.path, times, 0.5 / stretch.frame_rate)


def generator(window: Window, seed: int) -> np.random.Generator:
    """Randomness that is the same for the same window and seed, on every machine."""
    recording = window.recording
    told = f"{seed}/{recording.dataset}/{recording.subject}/{recording.name}/{window.start:.6f}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(told.encode()).digest()[:8]))


def _channel_first(
    batch: Sequence[UInt8[np.ndarray, "side side 3"]],
) -> UInt8[np.ndarray, "batch 3 side side"]:
    return np.ascontiguousarray(np.stack(batch).transpose(0, 3, 1, 2))
