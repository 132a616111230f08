"""A camera: OpenCV index, device path or network address, or a file that stands in for one.

A thread reads frames as they come and keeps the newest few: whoever is slower than the camera sees
the newest frame and never the oldest buffered. No frame is kept longer than it is needed, and none
is written anywhere.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dolorimeter.errors import MonitorError
from dolorimeter.monitor.sources._items import Item, Lost, Picture, VideoBegins

WAITING = 2
"""Frames that wait for the session; beyond it the oldest go."""
AGAIN = 1.0
"""Seconds between two attempts to open a camera that went."""
FAILURES = 5
"""Reads in a row without a frame after which a camera counts as gone."""


@runtime_checkable
class Capture(Protocol):
    """What is used of OpenCV's VideoCapture."""

    def read(self) -> tuple[bool, Any]:
        """Whether there is a frame, and the frame (BGR)."""
        ...

    def release(self) -> None:
        """Close it."""
        ...

    def get(self, what: int) -> float:
        """One of OpenCV's properties."""
        ...


class Camera:
    """Frames of one camera.

    Parameters
    ----------
    where : str
        ``"0"`` (index), ``"/dev/video0"``, ``"rtsp://…"``, or a video file, which is read at its
        own pace and then over.
    modality : str
        What the model calls it.
    opened : callable, optional
        Opens a capture, in place of OpenCV's.
    clock : callable
        Seconds, ascending; differences of it are taken.
    """

    follows_clock = False
    lookalike = False
    start = 0.0

    def __init__(
        self,
        where: str = "0",
        *,
        modality: str = "face",
        opened: Callable[[str | int], Capture | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where: str | int = int(where) if where.isdigit() else where
        self._file = isinstance(self._where, str) and Path(self._where).is_file()
        self._modality, self._opened, self._clock = modality, opened or _opened, clock
        self._news: deque[Item] = deque(maxlen=64)
        self._frames: deque[Picture] = deque(maxlen=WAITING)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._offset = 0.0
        self.passed = 0
        """Frames that were read and never looked at, because newer ones came."""

    @property
    def title(self) -> str:
        """In words, for page and exports; a password in an address is left out."""
        text = str(self._where)
        if "@" in text:
            text = f"{text.split('://')[0]}://…@{text.rsplit('@', 1)[1]}"
        return f"camera {text}"

    def open(self, wanted: Sequence[str], now: float) -> None:
        """Open the camera and begin to read.

        Raises
        ------
        MonitorError
            If it is not there or busy, or the model reads no such video.
        """
        if self._modality not in wanted:
            raise MonitorError(
                f"the camera gives {self._modality}; the model reads {', '.join(wanted)}. Leave "
                "the camera out, or take a model of the face."
            )
        self._offset = now - self._clock()
        capture = self._opened(self._where)
        if capture is None:
            raise MonitorError(
                f"{self.title} cannot be opened: it is not there, busy, or not allowed. Close "
                "other programs that use it, or give another index, path or address."
            )
        self._thread = threading.Thread(
            target=self._run, args=(capture,), name="dolorimeter-camera", daemon=True
        )
        self._thread.start()

    def read(self, now: float) -> Sequence[Item]:  # noqa: ARG002 - cameras have their own clock
        """The newest frames, and what else there is to say."""
        items: list[Item] = []
        while self._news:
            items.append(self._news.popleft())
        while self._frames:
            items.append(self._frames.popleft())
        return items

    def close(self) -> None:
        """Stop reading and let the camera go."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _now(self) -> float:
        return self._clock() + self._offset

    def _run(self, capture: Capture | None) -> None:
        while capture is not None and not self._stop.is_set():
            self._news.append(VideoBegins(self._modality, self._now(), _rate(capture)))
            over = "the file is over" if self._file else "the camera gives no picture"
            try:
                self._read_all(capture)
            except Exception as error:  # noqa: BLE001 - a driver's fault is a camera that is gone
                over = f"the camera gives no picture: {error or type(error).__name__}"
            with suppress(Exception):
                capture.release()
            if self._stop.is_set():
                return
            self._news.append(Lost(self._modality, over, for_good=self._file))
            capture = None if self._file else self._again()

    def _read_all(self, capture: Capture) -> None:
        """Read until the camera goes, or the session."""
        period = 1 / (_rate(capture) or 25.0) if self._file else 0.0
        failures, begin, count = 0, self._clock(), 0
        while not self._stop.is_set():
            there, image = capture.read()
            if not there:
                failures += 1
                if self._file or failures >= FAILURES:
                    return
                self._stop.wait(0.05)
                continue
            failures, count = 0, count + 1
            if self._file:
                self._stop.wait(max(0.0, begin + count * period - self._clock()))
            self.passed += len(self._frames) == WAITING
            self._frames.append(Picture(self._modality, self._now(), _rgb(image)))

    def _again(self) -> Capture | None:
        while not self._stop.wait(AGAIN):
            capture = None
            with suppress(Exception):
                capture = self._opened(self._where)
            if capture is not None:
                return capture
        return None


def _opened(where: str | int) -> Capture | None:
    from dolorimeter._extras import cv2  # takes a tenth of a second to import

    capture = cv2.VideoCapture(where)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, where the driver allows
    return capture if capture.isOpened() else None


def _rate(capture: Capture) -> float | None:
    from dolorimeter._extras import cv2

    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return rate if 1.0 <= rate <= 240.0 else None


def _rgb(image: Any) -> np.ndarray:
    return np.ascontiguousarray(image[:, :, ::-1])
