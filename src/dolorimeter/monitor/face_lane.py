"""Frames on their way to rows of a face: here, or in a thread that takes only the newest."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dolorimeter.monitor.sources import Picture
from dolorimeter.preprocessing import FaceFrame

WAITING = 2
"""Frames that wait for the tracker; beyond it the oldest go, and are counted."""


@runtime_checkable
class Tracks(Protocol):
    """What is used of a `LiveChain`."""

    def is_due(self, modality: str) -> bool:
        """Whether the stride looks at the next frame."""
        ...

    def track(
        self, modality: str, image: UInt8[np.ndarray, "height width 3"], time: float
    ) -> FaceFrame:
        """Look for the face in a frame."""
        ...

    def push_face(
        self, modality: str, row: FaceFrame, image: UInt8[np.ndarray, "height width 3"] | None
    ) -> None:
        """Take the next row."""
        ...

    def push_frame(
        self, modality: str, image: UInt8[np.ndarray, "height width 3"], time: float
    ) -> None:
        """Both."""
        ...


class FaceLane:
    """The face tracker of one video.

    Parameters
    ----------
    live : Tracks
        A `LiveChain`.
    modality : str
    beside : bool
        In a thread of its own, so that signals do not wait for the networks. Else every frame is
        looked at when it is pushed, and none is lost.
    """

    def __init__(self, live: Tracks, modality: str, *, beside: bool) -> None:
        self._live, self._modality, self._beside = live, modality, beside
        self._waiting: deque[Picture] = deque(maxlen=WAITING)
        self._done: deque[tuple[FaceFrame, UInt8[np.ndarray, "height width 3"]]] = deque()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self.passed = 0
        """Frames that were not looked at, because newer ones came."""
        self.fault: Exception | None = None
        self._thread: threading.Thread | None = None
        if beside:
            self._thread = threading.Thread(target=self._run, name="dolorimeter-face", daemon=True)
            self._thread.start()

    def push(self, picture: Picture) -> None:
        """Take the next frame."""
        if not self._beside:
            self._live.push_frame(self._modality, picture.image, picture.time)
            return
        if not self._live.is_due(self._modality):
            return
        self.passed += len(self._waiting) == WAITING
        self._idle.clear()
        self._waiting.append(picture)
        self._news.set()

    def collect(self) -> None:
        """Hand on the rows that are done; called from the session's thread."""
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        while self._done:
            row, image = self._done.popleft()
            self._live.push_face(self._modality, row, image)

    def finish(self) -> None:
        """Wait for the frames that were taken, and hand on their rows."""
        if self._beside:
            self._idle.wait(timeout=2.0)
        self.collect()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(0.5)
            self._news.clear()
            while self._waiting and not self._stop.is_set():
                picture = self._waiting.popleft()
                try:
                    row = self._live.track(self._modality, picture.image, picture.time)
                except Exception as error:  # noqa: BLE001  # raised again by `collect`
                    self.fault = error
                else:
                    self._done.append((row, picture.image))
            self._idle.set()
