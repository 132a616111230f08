"""The sessions that run in this process, and what keeps and sends on what they say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dolorimeter.errors import DolorimeterError, MonitorError, StorageError
from dolorimeter.monitor.feed import Feed, Sink, StartSession
from dolorimeter.monitor.nouns import Estimate, RawChunk, SessionInfo, new_id, now
from dolorimeter.monitor.outlet import Metrics
from dolorimeter.monitor.store import Recorder, Store

WATCH_S = 0.5
"""Seconds between two looks whether a session has ended by itself."""

MAX_RUNNING = 64
"""Sessions at a time: the interface must not be a way to use all of a machine."""

MOST_ENDED = 8
"""Sessions that have ended and whose last signals can still be looked at; older ones are in the
store alone."""


class _Keeper:
    """Stores what a session says, counts it, and hands it to every further sink."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.sinks: list[Sink] = []
        self.trouble = ""

    @property
    def keep_signals(self) -> bool:
        return self.recorder.keep_signals

    def __call__(self, estimate: Estimate) -> None:
        self.recorder(estimate)
        for sink in tuple(self.sinks):
            try:
                sink(estimate)
            except Exception as error:  # noqa: BLE001 - storing goes on without a network
                self.sinks.remove(sink)
                name = getattr(sink, "__name__", type(sink).__name__)
                self.trouble = f"estimates are stored, and no longer sent to {name}: {error}"

    def add_signal(self, chunk: RawChunk) -> None:
        self.recorder.add_signal(chunk)


@dataclass
class _Live:
    feed: Feed
    keeper: _Keeper
    closed: bool = False
    trouble: str = ""

    @property
    def recorder(self) -> Recorder:
        return self.keeper.recorder

    @property
    def refused(self) -> str:
        """Why its estimates cannot be stored now."""
        return self.trouble or self.recorder.trouble


class Hub:
    """Starts and ends sessions, and keeps what they say; may be used from several threads.

    Parameters
    ----------
    store : Store
    start : StartSession, optional
        None where sessions cannot be started here (a store that is only looked at).
    keep_signals : bool
        Also store raw signals; ask the person first.
    outlets : sequence of callables
        Each gives a further sink for a new session, such as `LslOutlet`.
    """

    def __init__(
        self,
        store: Store,
        start: StartSession | None = None,
        *,
        keep_signals: bool = False,
        outlets: Sequence[Callable[[SessionInfo], Sink]] = (),
    ) -> None:
        self.store, self.metrics = store, Metrics()
        self._start, self._keep_signals, self._outlets = start, keep_signals, tuple(outlets)
        self._live: dict[str, _Live] = {}
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="hub", daemon=True)
        self._watcher.start()

    @property
    def can_start(self) -> bool:
        """Whether sessions can be started here."""
        return self._start is not None

    def start(self, subject: str) -> Feed:
        """Start a session.

        Raises
        ------
        MonitorError
            If none can be started here, or `MAX_RUNNING` are running.
        DolorimeterError
            If a source is busy or not there.
        """
        if self._start is None:
            raise MonitorError(
                "no session can be started here: the monitor was opened without a model. "
                "Start it with: dolorimeter monitor run --model MODEL --source …"
            )
        if len(self.running()) >= MAX_RUNNING:
            raise MonitorError(f"{MAX_RUNNING} sessions are running already: stop one first.")
        keepers: list[_Keeper] = []

        def attach(info: SessionInfo) -> _Keeper:
            keeper = _Keeper(Recorder(self.store, info, keep_signals=self._keep_signals))
            keepers.append(keeper)
            keeper.sinks += [self.metrics, *(make(info) for make in self._outlets)]
            return keeper

        with self._starting:
            try:
                feed = self._start(subject, attach)
            except BaseException as error:
                for keeper in keepers:
                    with suppress(DolorimeterError):
                        keeper.recorder.close(f"it could not start: {error}")
                raise
            assert keepers, "a session must attach before it starts"
            self._live[feed.info.id] = _Live(feed, keepers[0])
        return feed

    def start_diary(
        self, subject: str, reminders: Sequence[str] = (), timezone: str = "UTC"
    ) -> SessionInfo:
        """Begin a diary: self-reports and marks over days, without any stream."""
        info = SessionInfo(
            id=new_id(),
            subject=subject,
            started=now(),
            kind="diary",
            levels=(0.0, 10.0),
            reminders=tuple(reminders),
            timezone=timezone,
        )
        self.store.begin(info)
        return info

    def feed(self, session: str) -> Feed | None:
        """The session if it runs, or ran, in this process."""
        live = self._live.get(session)
        return None if live is None else live.feed

    def running(self) -> tuple[str, ...]:
        """Identifiers of the sessions that run in this process."""
        return tuple(name for name, live in tuple(self._live.items()) if live.feed.running)

    def trouble(self, session: str) -> str:
        """Why a session's estimates cannot be stored or sent now; empty where they can."""
        live = self._live.get(session)
        if live is None:
            return ""
        return live.refused or live.keeper.trouble

    def metrics_text(self) -> str:
        """What Prometheus reads."""
        return self.metrics.text({name: live.refused for name, live in tuple(self._live.items())})

    def stop(self, session: str) -> None:
        """End a session, or a diary, and note its end.

        Raises
        ------
        MonitorError
            If it does not run in this process.
        """
        live = self._live.get(session)
        if live is None and self.store.session(session).info.kind == "diary":
            self.store.end(session)
            return
        if live is None:
            raise MonitorError(f"session {session[:80]!r} does not run in this process.")
        live.feed.stop()
        self._settle(live)

    def check_stored(self) -> None:
        """Refuse to end in silence where something said is not on disk.

        Raises
        ------
        StorageError
            If there is; it names how much, and why.
        """
        lost = [
            f"session {live.feed.info.id}: {live.recorder.unsaved} estimates or pieces of signals "
            f"are not stored: {live.refused}"
            for live in self._live.values()
            if live.recorder.unsaved
        ]
        if lost:
            raise StorageError(" ".join(lost))

    def close(self) -> None:
        """End every session; what they said is stored when this returns (see `check_stored`)."""
        self._stop.set()
        self._watcher.join()
        for live in tuple(self._live.values()):
            live.feed.stop()
            self._settle(live)

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_S):
            for live in tuple(self._live.values()):
                if not live.feed.running:
                    self._settle(live)

    def _settle(self, live: _Live) -> None:
        """Note the end of a session, again and again while the database refuses."""
        with self._starting:
            if live.closed:
                return
            try:
                live.recorder.close(live.feed.stopped_because)
            except DolorimeterError as error:
                live.trouble = str(error)
                return
            live.closed, live.trouble = True, ""
            self.metrics.forget(live.feed.info.id)
            ended = [name for name, known in self._live.items() if known.closed]
            for name in ended[:-MOST_ENDED]:
                del self._live[name]
