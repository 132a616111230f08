"""The sink that stores a session's estimates, and never holds the session up."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Any

from dolorimeter.errors import DolorimeterError
from dolorimeter.monitor.nouns import Estimate, RawChunk, SessionInfo
from dolorimeter.monitor.store.store import Store

COMMIT_S = 0.5
"""Seconds between commits: what a crash can lose."""

WAITING = 20_000
"""Estimates that are kept in memory while the database refuses: 2.7 hours at two a second."""

WAITING_CHUNKS = 2_000


class Recorder:
    """Stores what it is given twice a second, in a thread of its own.

    While the database refuses (disk full, locked), estimates wait in memory and `trouble` says
    why; they are stored as soon as it accepts again. Beyond `WAITING` the oldest are dropped and
    counted.

    Parameters
    ----------
    store : Store
    info : SessionInfo
        A new session, or one that is stored already and is gone on with.
    keep_signals : bool
        Also store raw signals; ask the person first.
    """

    def __init__(self, store: Store, info: SessionInfo, *, keep_signals: bool = False) -> None:
        self.store, self.session, self.keep_signals = store, info.id, keep_signals
        known = any(s.info.id == info.id for s in store.sessions(info.subject))
        self._token = (
            store.resume(info.id) if known else store.begin(info, keep_signals=keep_signals)
        )
        self.trouble = ""
        self.dropped = 0
        self._closed = False
        self._estimates: deque[Estimate] = deque()
        self._chunks: deque[RawChunk] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, estimate: Estimate) -> None:
        """Take an estimate; returns at once."""
        with self._lock:
            self._estimates.append(estimate)
            while len(self._estimates) > WAITING:
                self._estimates.popleft()
                self.dropped += 1

    def add_signal(self, chunk: RawChunk) -> None:
        """Take a piece of a raw signal; it is forgotten unless ``keep_signals``."""
        if not self.keep_signals:
            return
        with self._lock:
            self._chunks.append(chunk)
            while len(self._chunks) > WAITING_CHUNKS:
                self._chunks.popleft()
                self.dropped += 1

    def close(self, because: str = "") -> None:
        """Store what waits and note the end; a call after that does nothing.

        Raises
        ------
        StorageError
            If the database refuses; what waits is kept, so call it again.
        """
        if self._closed:
            return
        self._stop.set()
        self._thread.join()
        self._flush()
        self.store.end(self.session, because=because)
        self._closed = True

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close("" if error is None else f"{type(error).__name__}: {error}")

    def _run(self) -> None:
        while not self._stop.wait(COMMIT_S):
            try:
                self._flush()
            except DolorimeterError as error:
                self.trouble = str(error)

    def _flush(self) -> None:
        """One transaction of what waits; it waits on if the database refuses."""
        with self._lock:
            estimates, chunks = tuple(self._estimates), tuple(self._chunks)
        self.store.append(self.session, self._token, estimates)
        self._forget(self._estimates, estimates)
        if chunks:
            self.store.append_signals(self.session, self._token, chunks)
            self._forget(self._chunks, chunks)
        self.trouble = ""
        if self.dropped:
            self.trouble = (
                f"{self.dropped} estimates or pieces of signals were not stored: the database "
                "refused for too long."
            )

    def _forget(self, waiting: deque[Any], stored: tuple[Any, ...]) -> None:
        with self._lock:
            for item in stored:
                if waiting and waiting[0] is item:  # else it was dropped meanwhile
                    waiting.popleft()
