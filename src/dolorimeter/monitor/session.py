"""A session: sources in, an estimate every half second out, with its quality and its age.

The loop is `Session.tick`, which takes the time as an argument: a thread calls it with the wall's
clock, tests call it with theirs. Every estimate is of the newest window that has wholly come; when
the machine is too slow, windows are passed over and counted, never queued.
"""

from __future__ import annotations

import threading
import time as clock
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from dolorimeter.chain import LiveChain
from dolorimeter.errors import ConfigError, DolorimeterError, MonitorError
from dolorimeter.monitor.assessment import Assessor
from dolorimeter.monitor.feed import Keeper
from dolorimeter.monitor.gate import Gate
from dolorimeter.monitor.intake import Intake
from dolorimeter.monitor.judgement import Alert, Judge, Judgement
from dolorimeter.monitor.nouns import (
    Estimate,
    FaceView,
    ModalityState,
    SessionInfo,
    Tail,
    new_id,
    now,
    one_line,
)
from dolorimeter.monitor.sources import Source
from dolorimeter.monitor.timeline import BRIDGED
from dolorimeter.monitor.views import face_view, tail_of
from dolorimeter.predictor import Predictor

STEP = 0.5
"""Seconds from one estimate to the next."""
PATIENCE = 1.0
"""Seconds that a window waits for a modality that lags before it goes on without."""
POLL = 0.02
"""Seconds between two looks for new samples."""
KEPT = 1200
"""Estimates that `since` can give: ten minutes."""
SHOWN = 30.0
"""Seconds of signals that are held for a page."""
SLICE = 1.0
"""Seconds of a signal that are taken in at once."""


@dataclass(frozen=True)
class Settings:
    """How a session goes about its work; see the constants of this module.

    Which modalities count and when the model abstains is not among it: see `Predictor.gate`.
    """

    step: float = STEP
    patience: float = PATIENCE
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("step", "patience"):
            if not 0 < getattr(self, name) <= 60:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 60 s.")


class Session:
    """One session; a `Feed`.

    Parameters
    ----------
    predictor : Predictor
    sources : sequence of Source
    subject : str
    settings : Settings
    speed : float
        Of the session's clock against the wall's; 0 is as fast as all is worked off, and then no
        window is passed over.
    alert : Alert, optional
    model_digest : str
        Content hash of the model, for the record.
    facts : mapping
        As `Recording.facts`.
    wall : callable
        Seconds of the wall's clock, ascending.

    Raises
    ------
    ConfigError
        If the model cannot run live: the message names the step and its substitute.
    """

    def __init__(
        self,
        predictor: Predictor,
        sources: Sequence[Source],
        subject: str,
        *,
        settings: Settings | None = None,
        speed: float = 1.0,
        alert: Alert | None = None,
        model_digest: str = "",
        facts: dict[str, float] | None = None,
        wall: Callable[[], float] = clock.monotonic,
    ) -> None:
        if predictor.chain is None:
            raise ConfigError(
                f"model '{predictor.title}' was fitted on a feature table and reads no signals: "
                "it cannot run live. Train one with [[streams]]."
            )
        self._settings = settings or Settings()
        self._predictor, self._sources = predictor, tuple(sources)
        self._live = LiveChain(
            predictor.chain, subject=subject, feature_names=predictor.feature_names, facts=facts,
            spare=max(SHOWN, BRIDGED + 2.0), gate=predictor.gate,
        )  # fmt: skip
        self._judge = Judge(predictor, self._settings.levels)
        low, high = self._judge.levels
        if alert is not None and not low < alert.threshold <= high:
            raise ConfigError(
                f"alert from level {alert.threshold:g}, but this model's levels go from {low:g} "
                f"to {high:g}: it would be on always, or never."
            )
        self._assess = Assessor(self._live, predictor, self._judge)
        self._gate = Gate(predictor.gate.least_quality)
        self._alert, self._digest, self._subject = alert, model_digest, subject
        self._speed, self._wall = speed, wall
        self._newest_only = speed > 0
        self._intake = Intake(self._live, beside=self._newest_only)
        self._count = 0
        self._states: dict[str, ModalityState] = {}
        self._estimates: deque[Estimate] = deque(maxlen=KEPT)
        self._number = 0
        self._keeper: Keeper | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._why = ""
        self._running = False
        self._info: SessionInfo | None = None
        self._now: Callable[[], float] = lambda: 0.0
        self.passed_over = 0
        """Windows for which there was no time."""

    # ── as it is seen from outside ──────────────────────────────────────────────────────────────

    @property
    def info(self) -> SessionInfo:
        """Who, with which model, from which sources."""
        if self._info is None:
            raise MonitorError("the session has not begun: call start, or open.")
        return self._info

    @property
    def running(self) -> bool:
        """Whether estimates are still coming."""
        return self._running

    @property
    def stopped_because(self) -> str:
        """Why it no longer runs; empty while it does, and after a stop that was asked for."""
        return self._why

    def since(self, number: int) -> tuple[int, tuple[Estimate, ...]]:
        """How many estimates there have been, and those after the first `number`."""
        with self._lock:
            newer = min(max(0, self._number - number), len(self._estimates))
            return self._number, tuple(self._estimates)[len(self._estimates) - newer :]

    def tails(self, seconds: float, points: int) -> tuple[Tail, ...]:
        """The last `seconds` of each signal, thinned to about `points` samples."""
        with self._lock:
            found = []
            for name in self._live.sources:
                signal, state = self._live.signal(name), self._states.get(name)
                if signal is not None:
                    known = state or ModalityState(name, 0.0, None, False, ("no estimate yet",))
                    found.append(tail_of(name, signal, known, self._now(), seconds, points))
            return tuple(found)

    def face(self) -> FaceView | None:
        """The newest face; None where no source is a camera."""
        with self._lock:
            for name in self._live.sources:
                ring, state = self._live.face(name), self._states.get(name)
                if ring is not None and ring.newest is not None:
                    known = state or ModalityState(name, 0.0, None, False, ("no estimate yet",))
                    return face_view(ring, known)
        return None

    def frame(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The newest frame of a camera (RGB); None without one. It is held until the next."""
        with self._lock:
            return next(iter(self._intake.frames.values()), None)

    @property
    def passed_frames(self) -> int:
        """Frames that no face tracker looked at, because newer ones came."""
        return self._intake.passed

    def start(self, attach: Callable[[SessionInfo], Keeper] | None = None) -> Session:
        """Open the sources and go on in a thread until `stop`, or until all is over.

        Raises
        ------
        DolorimeterError
            If a source is busy or not there.
        """
        self.open(attach)
        self._thread = threading.Thread(
            target=self._run, name=f"dolorimeter-session-{self.info.id}", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """End it; a second call does nothing."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)
        if self._thread is None:
            self._close("")

    def wait(self, timeout: float | None = None) -> None:
        """Return when it is over."""
        if self._thread is not None:
            self._thread.join(timeout)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────

    def open(
        self,
        attach: Callable[[SessionInfo], Keeper] | None = None,
        *,
        time: Callable[[], float] | None = None,
    ) -> float:
        """Open the sources; the time at which the session's clock begins.

        Parameters
        ----------
        attach : callable, optional
            Gives what keeps the estimates.
        time : callable, optional
            The session's clock, for tests; else it runs from `wall` with `speed`.
        """
        follow = all(source.follows_clock for source in self._sources)
        begin = min((s.start for s in self._sources), default=0.0) if follow else 0.0
        first = self._wall()
        self._now = time or (lambda: begin + self._speed * (self._wall() - first))
        opened: list[Source] = []
        try:
            for source in self._sources:
                source.open(self._live.sources, begin if follow else self._now())
                opened.append(source)
            self._info = self._told()
            if attach is not None:
                self._keeper = self._intake.keeper = attach(self._info)
        except BaseException:
            for source in opened:
                source.close()
            raise
        self._running = True
        return begin

    def tick(self, at: float) -> tuple[Estimate, ...]:
        """Take in what has come until `at`, and give the estimates that are due."""
        with self._lock:
            self._intake.take(self._sources, at)
            made = tuple(self._due(at))
            if not made and self._newest_only:
                self._look_ahead(at)
        for estimate in made:
            self._publish(estimate)
        return made

    def _look_ahead(self, at: float) -> None:
        """Use the time until the next window for pictures that the coming ones will show."""
        if self._intake.begun is None or not self._live.looks_ahead:
            return
        reach = int(self._live.duration / self._settings.step) + 1
        starts = [self._start(n) for n in range(self._count, self._count + reach)]
        with suppress(Exception):  # what is wrong is said where the window is judged
            self._live.look_ahead([start for start in starts if start <= at])

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more."""
        return self._intake.is_over

    def _run(self) -> None:
        at, why = self._now(), ""
        try:
            while not self._stop.is_set():
                if self._speed > 0:
                    at = self._now()
                else:
                    at += self._settings.step / 2
                    self._now = lambda at=at: at  # type: ignore[misc]
                self.tick(at)
                if self.is_over:
                    why = "the recording is over"
                    break
                if self._speed > 0:
                    self._stop.wait(POLL)
        except DolorimeterError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - the last boundary of this thread
            why = f"a fault of dolorimeter: {type(error).__name__}: {error}"
        self._close(why)

    def _close(self, why: str) -> None:
        if not self._running:
            return
        self._why = why
        try:
            for source in self._sources:
                with suppress(Exception):  # a device that is gone cannot be closed either
                    source.close()
            self._intake.close()
        finally:
            self._running = False

    # ── what goes out ───────────────────────────────────────────────────────────────────────────

    def _due(self, at: float) -> list[Estimate]:
        """Estimates of the windows that have come: the newest, or all where none may be lost."""
        if self._intake.begun is None:
            return []
        made: list[Estimate] = []
        first = self._count
        ready = [n for n in range(first, first + self._most(at)) if self._ready(n, at)]
        if not ready:
            return []
        if self._newest_only:
            self.passed_over += ready[-1] - first
            ready = ready[-1:]
        for number in ready:
            self._count = number + 1
            made.append(self._estimate(self._start(number)))
        return made

    def _start(self, number: int) -> float:
        assert self._intake.begun is not None
        return self._intake.begun + number * self._settings.step

    def _most(self, at: float) -> int:
        """How many windows could have ended by now since the last one."""
        room = at - self._start(self._count) - self._live.duration
        return max(0, int(np.floor(room / self._settings.step + 1e-9)) + 1)

    def _ready(self, number: int, at: float) -> bool:
        start = self._start(number)
        stop = start + self._live.duration + self._live.chain.margins[1]
        if self.is_over:
            return stop <= self._intake.stop() + 1e-9
        return not self._live.waits_for(start) or (
            self._newest_only and at >= stop + self._settings.patience
        )

    def _estimate(self, start: float) -> Estimate:
        time = self._now()
        try:
            judged, states = self._looked_at(start, time)
        except Exception as error:  # noqa: BLE001 - the next window may be well again
            judged, states = _fault(error), self._states
        self._states = states
        done = self._now()
        alert = self._alert is not None and self._alert.update(judged.expected_level, start)
        return Estimate(
            time=now(),
            session=self.info.id,
            probabilities=judged.probabilities,
            expected_level=judged.expected_level,
            lower=judged.lower,
            upper=judged.upper,
            coverage=judged.coverage,
            coverage_kind=judged.coverage_kind,
            abstained=one_line(judged.abstained),
            modalities=tuple(_aged(state, done - time) for state in states.values()),
            remarks=(*judged.remarks, *self._intake.told()),
            start=start,
            duration=self._live.duration,
            latency_s=max(0.0, done - start - self._live.duration) if self._speed else None,
            alert=alert,
        )

    def _looked_at(self, start: float, time: float) -> tuple[Judgement, dict[str, ModalityState]]:
        window = self._live.window(start)
        states = {
            name: self._gate.look(self._live, name, window, time, self._intake.silence(name))
            for name in self._live.sources
        }
        return self._assess(start, states)

    def _publish(self, estimate: Estimate) -> None:
        with self._lock:
            self._estimates.append(estimate)
            self._number += 1
        if self._keeper is not None:
            self._keeper(estimate)

    def _told(self) -> SessionInfo:
        predictor = self._predictor
        notes = list(self._judge.notes)
        notes.append("No estimate is a statement that there is no pain.")
        if predictor.label_source == "stimulus":
            notes.append("The model was trained on levels of a stimulus, not on felt pain.")
        if predictor.lookalike:
            notes.append(
                "The model was fitted on look-alikes: its estimates say nothing about people."
            )
        notes += [
            f"{source.title}: made up, no person behind it"
            for source in self._sources
            if source.lookalike
        ]
        return SessionInfo(
            id=new_id(),
            subject=self._subject,
            started=now(),
            model=one_line(predictor.title),
            model_digest=self._digest,
            classes=predictor.classes,
            levels=self._judge.levels,
            sources=tuple(one_line(source.title) for source in self._sources),
            lookalike=predictor.lookalike or any(s.lookalike for s in self._sources),
            notes=tuple(map(one_line, notes)),
        )


def _fault(error: Exception) -> Judgement:
    return Judgement(abstained=f"a fault of dolorimeter: {type(error).__name__}: {error}")


def _aged(state: ModalityState, seconds: float) -> ModalityState:
    """The state when the estimate is done, by which time its samples are older."""
    return state if state.age_s is None else replace(state, age_s=state.age_s + max(0.0, seconds))
