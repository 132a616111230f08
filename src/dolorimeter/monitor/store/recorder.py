"""The sink that stores a session's estimates, and never holds the session up."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from dolorimeter.errors import DolorimeterError, StorageError
from dolorimeter.monitor.nouns import Estimate, RawChunk, SessionInfo
from dolorimeter.monitor.store._records import Batch
from dolorimeter.monitor.store.store import Store

COMMIT_S = 0.5
"""Seconds between commits: what a crash can lose."""

WAITING = 20_000
"""Estimates that are kept in memory while the database refuses: 2.7 hours at two a second."""

WAITING_SAMPLES = 16_000_000
"""Samples of raw signals that are kept in memory while the database refuses: 128 MB, or two hours
of four signals at 512 Hz."""

PIECE_S = 5.0
"""Seconds of a raw signal in one row of the database at most."""


class Recorder:
    """Stores what it is given twice a second, in a thread that all recorders of a store share.

    While the database refuses (disk full, locked), estimates wait in memory and `trouble` says
    why; they are stored as soon as it accepts again. Beyond `WAITING` the oldest are dropped and
    counted.

    Raw signals are stored in rows of half a second or so, each with a start of its own.

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
        if any(s.info.id == info.id for s in store.sessions(info.subject)):
            self._token = store.resume(info.id)
        else:
            self._token = store.begin(info, keep_signals=keep_signals)
        self.trouble = ""
        self.dropped = 0
        self._closed = False
        self._estimates: deque[Estimate] = deque()
        self._chunks: deque[RawChunk] = deque()
        self._samples = 0
        starts = store.signal_starts(info.id) if keep_signals else {}
        self._newest = {name: (start, start) for name, start in starts.items()}
        self._lock = threading.Lock()
        self._flusher = _flusher_of(store)
        self._flusher.add(self)

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
            start, end = self._newest.get(chunk.name, (-np.inf, -np.inf))
            if chunk.start <= start:  # a clock set back: rows have a start of their own
                chunk = replace(chunk, start=max(end, float(np.nextafter(start, np.inf))))
            end = chunk.start + len(chunk.samples) / chunk.sampling_rate
            self._newest[chunk.name] = (chunk.start, end)
            self._chunks.append(chunk)
            self._samples += len(chunk.samples)
            while self._samples > WAITING_SAMPLES:
                self._samples -= len(self._chunks.popleft().samples)
                self.dropped += 1

    @property
    def unsaved(self) -> int:
        """Estimates and pieces of signals that are not on disk, nor will be once dropped."""
        with self._lock:
            return len(self._estimates) + len(self._chunks) + self.dropped

    def close(self, because: str = "") -> None:
        """Store what waits and note the end; a call after that does nothing.

        Raises
        ------
        StorageError
            If the database refuses; what waits is kept, so call it again.
        """
        if self._closed:
            return
        self._flusher.flush()
        if self._estimates or self._chunks:
            raise StorageError(self.trouble)
        self.store.end(self.session, because=because)
        self._closed = True
        self._flusher.remove(self)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close("" if error is None else f"{type(error).__name__}: {error}")

    def waiting(self) -> Batch:
        """What is not stored yet."""
        with self._lock:
            self._chunks = deque(joined(self._chunks))
            return Batch(self.session, self._token, tuple(self._estimates), tuple(self._chunks))

    def settle(self, batch: Batch, refused: str) -> None:
        """Forget what was stored; where it was refused, keep it and say why."""
        if refused:
            self.trouble = refused
            return
        with self._lock:
            _forget(self._estimates, batch.estimates)
            _forget(self._chunks, batch.chunks)
            self._samples = sum(len(chunk.samples) for chunk in self._chunks)
        self.trouble = ""
        if self.dropped:
            self.trouble = (
                f"{self.dropped} estimates or pieces of signals were not stored: the database "
                "refused for too long."
            )


def joined(chunks: Iterable[RawChunk]) -> list[RawChunk]:
    """Pieces that follow on one another as one piece, up to `PIECE_S`."""
    parts: list[list[RawChunk]] = []
    newest: dict[str, list[RawChunk]] = {}
    for chunk in chunks:
        before = newest.get(chunk.name)
        if before is None or not _goes_on(before, chunk):
            before = newest[chunk.name] = []
            parts.append(before)
        before.append(chunk)
    return [
        part[0]
        if len(part) == 1
        else replace(part[0], samples=np.concatenate([chunk.samples for chunk in part]))
        for part in parts
    ]


def _goes_on(part: list[RawChunk], chunk: RawChunk) -> bool:
    first, rate = part[0], part[0].sampling_rate
    count = sum(len(piece.samples) for piece in part)
    return (
        (chunk.sampling_rate, chunk.unit) == (rate, first.unit)
        and abs(first.start + count / rate - chunk.start) < 0.5 / rate
        and count < PIECE_S * rate
    )


def _forget(waiting: deque[Any], stored: tuple[Any, ...]) -> None:
    for item in stored:
        if waiting and waiting[0] is item:  # else it was dropped meanwhile
            waiting.popleft()


class _Flusher:
    """Commits what all recorders of a store hold: one transaction, one sync to disk."""

    def __init__(self) -> None:
        self._recorders: list[Recorder] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def add(self, recorder: Recorder) -> None:
        with self._lock:
            self._recorders.append(recorder)
            if len(self._recorders) == 1:
                self._stop = threading.Event()  # each thread has its own: an old one may yet end
                threading.Thread(
                    target=self._run, args=(self._stop,), name="recorder", daemon=True
                ).start()

    def remove(self, recorder: Recorder) -> None:
        with self._lock:
            self._recorders = [r for r in self._recorders if r is not recorder]
            if not self._recorders:
                self._stop.set()

    def flush(self) -> None:
        """Commit now; the recorders say what came of it."""
        with self._lock:
            recorders = tuple(self._recorders)
            batches = [recorder.waiting() for recorder in recorders]
            refused: dict[str, str] = {}
            if recorders:
                try:
                    refused = recorders[0].store.append_all(batches)
                except Exception as error:  # noqa: BLE001 - whatever a driver does: tried again
                    told = str(error) if isinstance(error, DolorimeterError) else repr(error)
                    refused = {batch.session: told for batch in batches}
            for recorder, batch in zip(recorders, batches, strict=True):
                recorder.settle(batch, refused.get(batch.session, ""))

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(COMMIT_S):
            self.flush()


_FLUSHERS: WeakKeyDictionary[Store, _Flusher] = WeakKeyDictionary()
_MAKING = threading.Lock()


def _flusher_of(store: Store) -> _Flusher:
    with _MAKING:
        return _FLUSHERS.setdefault(store, _Flusher())
