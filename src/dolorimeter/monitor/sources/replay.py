"""A recording that any reader knows, as if it were recorded now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dolorimeter.errors import MonitorError
from dolorimeter.monitor.sources._items import Begins, Chunk, Item, Lost, Picture, VideoBegins
from dolorimeter.types import Recording, Signal
from dolorimeter.video import Frame, FrameReader, probe, read_frames

OVER = "the recording is over"
_ROUNDING = 1e-6


class Replay:
    """A recording, sample by sample as its clock says.

    How fast is the session's matter: its clock may run with the wall's, faster, or as fast as all
    is worked off.

    Parameters
    ----------
    recording : Recording
    lookalike : bool
        Whether it was synthesised.
    """

    follows_clock = True

    def __init__(self, recording: Recording, *, lookalike: bool = False) -> None:
        self._recording = recording
        self.lookalike = lookalike
        self._signals: dict[str, Signal] = {}
        self._sent: dict[str, int] = {}
        self._videos: dict[str, _Video] = {}
        self._over: set[str] = set()
        self._offset = 0.0

    @property
    def title(self) -> str:
        """In words, for page and exports."""
        recording = self._recording
        return f"replay of {recording.name} ({recording.dataset or 'recording'})"

    @property
    def start(self) -> float:
        """Where the recording's own time begins, in seconds."""
        starts = [s.start for s in self._recording.load().signals.values()]
        return min([*starts, *(0.0 for _ in self._recording.videos)], default=0.0)

    def open(self, wanted: Sequence[str], now: float) -> None:
        """Begin at the recording's first sample.

        Raises
        ------
        MonitorError
            If the recording has none of what is wanted.
        """
        loaded = self._recording.load()
        self._offset = now - self.start
        self._signals = {k: v for k, v in loaded.signals.items() if k in wanted}
        self._sent = dict.fromkeys(self._signals, 0)
        for name, video in loaded.videos.items():
            if name in wanted:
                rate = video.frame_rate or probe(video.path).frame_rate
                self._videos[name] = _Video(video.path, rate)
        if not self._signals and not self._videos:
            have = ", ".join(sorted({*loaded.signals, *loaded.videos})) or "none"
            raise MonitorError(
                f"recording {loaded.name} has none of {', '.join(wanted)}, which the model reads; "
                f"it has: {have}."
            )

    def read(self, now: float) -> Sequence[Item]:
        """What the recording holds up to `now` and has not given yet."""
        items: list[Item] = []
        for name in self._signals:
            items += self._samples(name, now)
        for name, video in self._videos.items():
            items += self._frames(name, video, now)
        return items

    def close(self) -> None:
        """End it."""
        for video in self._videos.values():
            video.close()

    def _samples(self, name: str, now: float) -> Iterator[Item]:
        signal, sent = self._signals[name], self._sent[name]
        start, rate, count = signal.start + self._offset, signal.sampling_rate, signal.values.shape
        if name in self._over or now < start:
            return
        if sent == 0:
            yield Begins(name, replace(signal, values=signal.values[:, :0], start=start))
        until = min(count[1], int(np.floor((now - start) * rate + _ROUNDING)))
        if until > sent:
            self._sent[name] = until
            yield Chunk(name, start + sent / rate, signal.values[:, sent:until])
        if until == count[1]:
            self._over.add(name)
            yield Lost(name, OVER, for_good=True)

    def _frames(self, name: str, video: _Video, now: float) -> Iterator[Item]:
        if name in self._over:
            return
        if not video.begun:
            video.begun = True
            yield VideoBegins(name, self._offset, video.frame_rate)
        while (frame := video.next()) is not None and frame.time + self._offset <= now + _ROUNDING:
            video.taken()
            yield Picture(name, frame.time + self._offset, frame.image)
        if frame is None:
            self._over.add(name)
            yield Lost(name, OVER, for_good=True)


class _Video:
    """A file's frames, one looked at ahead."""

    def __init__(self, path: Path, frame_rate: float | None) -> None:
        self.path, self.frame_rate = path, frame_rate
        self.begun = False
        self._frames: FrameReader | None = None
        self._waiting: Frame | None = None

    def next(self) -> Frame | None:
        """The next frame, which stays the next one until `taken`; None after the last."""
        if self._frames is None:
            self._frames = read_frames(self.path)
        if self._waiting is None:
            self._waiting = next(self._frames, None)
        return self._waiting

    def taken(self) -> None:
        self._waiting = None

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()
