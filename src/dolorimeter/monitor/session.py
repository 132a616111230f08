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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dolorimeter.chain import LiveChain
from dolorimeter.errors import ConfigError, DolorimeterError, MonitorError
from dolorimeter.monitor.face_lane import FaceLane
from dolorimeter.monitor.feed import Keeper
from dolorimeter.monitor.gate import Gate, Silence
from dolorimeter.monitor.judgement import Alert, Judge, Judgement
from dolorimeter.monitor.nouns import (
    Estimate,
    FaceView,
    ModalityState,
    RawChunk,
    SessionInfo,
    Tail,
    new_id,
    now,
)
from dolorimeter.monitor.sources import (
    Begins,
    Chunk,
    Item,
    Lost,
    Picture,
    Source,
    VideoBegins,
)
from dolorimeter.monitor.timeline import BRIDGED, Timeline
from dolorimeter.monitor.views import face_view, tail_of
from dolorimeter.predictor import Predictor
from dolorimeter.types import Samples

STEP = 0.5
"""Seconds from one estimate to the next."""
PATIENCE = 1.0
"""Seconds that a window waits for a modality that lags before it goes on without."""
WARM_UP = 30.0
"""Seconds of a person that a running baseline needs before an estimate is given."""
LEAST_SHARE = 0.5
"""Share of the model's modalities below which it abstains."""
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
    """How a session goes about its work; see the constants of this module."""

    step: float = STEP
    patience: float = PATIENCE
    warm_up: float = WARM_UP
    least_share: float = LEAST_SHARE
    least_quality: float = 0.5
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("step", "patience"):
            if not 0 < getattr(self, name) <= 60:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 60 s.")
        for name in ("least_share", "least_quality"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 to 1.")


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
            spare=max(SHOWN, BRIDGED + 2.0),
        )  # fmt: skip
        self._judge = Judge(predictor, self._settings.levels)
        self._gate = Gate(self._settings.least_quality)
        self._alert, self._digest, self._subject = alert, model_digest, subject
        self._speed, self._wall = speed, wall
        self._newest_only = speed > 0
        self._begun: float | None = None
        self._count = 0
        self._timelines: dict[str, Timeline] = {}
        self._lost: dict[str, str] = {}
        self._over: set[str] = set()
        self._faces: dict[str, FaceLane] = {}
        self._states: dict[str, ModalityState] = {}
        self._remarks: list[str] = []
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
        left = list(self._live.sources)
        try:
            for source in self._sources:
                source.open(left, begin if follow else self._now())
                opened.append(source)
        except BaseException:
            for source in opened:
                source.close()
            raise
        self._info = self._told()
        if attach is not None:
            self._keeper = attach(self._info)
        self._running = True
        return begin

    def tick(self, at: float) -> tuple[Estimate, ...]:
        """Take in what has come until `at`, and give the estimates that are due."""
        with self._lock:
            for source in self._sources:
                try:
                    items = source.read(at)
                except DolorimeterError as error:
                    self._say(str(error))
                    continue
                for item in items:
                    self._take(item, at)
            for lane in self._faces.values():
                lane.collect()
            made = tuple(self._due(at))
        for estimate in made:
            self._publish(estimate)
        return made

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more."""
        return bool(self._over) and self._over == set(self._timelines) | set(self._faces)

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
        for source in self._sources:
            source.close()
        for lane in self._faces.values():
            lane.close()
        self._running = False

    # ── what comes in ───────────────────────────────────────────────────────────────────────────

    def _take(self, item: Item, at: float) -> None:
        name = item.modality
        try:
            if isinstance(item, Begins):
                self._begin_signal(item)
            elif isinstance(item, Chunk):
                self._take_chunk(item, at)
            elif isinstance(item, VideoBegins):
                self._begin_video(item)
            elif isinstance(item, Picture):
                if name in self._faces:
                    self._faces[name].push(item)
            elif isinstance(item, Lost):
                self._lose(item)
        except DolorimeterError as error:
            self._lost[name] = str(error)
            self._timelines.pop(name, None)
            self._say(f"{name} cannot be used: {error}")

    def _begin_signal(self, item: Begins) -> None:
        if item.modality in self._lost:
            self._say(f"{item.modality} is back")
        self._live.open(item.modality, item.like)
        self._timelines[item.modality] = Timeline(item.modality, item.like)
        self._lost.pop(item.modality, None)
        self._begins_at(item.like.start)

    def _begin_video(self, item: VideoBegins) -> None:
        name = item.modality
        if name in self._lost:
            self._say(f"{name} is back")
        if name in self._faces:
            self._faces[name].close()
        self._live.open_video(name, start=item.start, frame_rate=item.frame_rate)
        self._faces[name] = FaceLane(self._live, name, beside=self._newest_only)
        self._lost.pop(name, None)
        self._begins_at(item.start)

    def _begins_at(self, time: float) -> None:
        if self._begun is None:
            self._begun = time

    def _take_chunk(self, chunk: Chunk, at: float) -> None:
        name = chunk.modality
        if name not in self._timelines:
            return
        signal = self._live.signal(name)
        assert signal is not None
        if self._keeper is not None and self._keeper.keep_signals:
            for row in chunk.values:
                kept = RawChunk(name, chunk.start, signal.sampling_rate, signal.unit, row)
                self._keeper.add_signal(kept)
        place = self._timelines[name].place(chunk, at)
        if place.remark:
            self._say(place.remark)
        if place.anew is not None:
            self._live.open(name, replace(signal, start=place.anew))
        if place.shift:
            self._live.shift(name, place.shift)
        if place.missing:
            self._live.push(name, np.full((chunk.values.shape[0], place.missing), np.nan))
        values = np.where(np.isinf(chunk.values), np.nan, chunk.values)
        self._live.push(name, values)

    def _lose(self, item: Lost) -> None:
        if not item.modality:  # a channel that nobody can use: not one of the model's
            self._say(item.reason)
            return
        if item.modality in self._faces:
            self._faces[item.modality].finish()
        self._lost[item.modality] = item.reason
        self._live.end(item.modality)
        if item.for_good:
            self._over.add(item.modality)
        else:
            self._say(f"{item.modality}: {item.reason}")

    def _say(self, text: str) -> None:
        text = " ".join(text.split())[:480]
        if text not in self._remarks:
            self._remarks.append(text)

    # ── what goes out ───────────────────────────────────────────────────────────────────────────

    def _due(self, at: float) -> list[Estimate]:
        """Estimates of the windows that have come: the newest, or all where none may be lost."""
        if self._begun is None:
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
        assert self._begun is not None
        return self._begun + number * self._settings.step

    def _most(self, at: float) -> int:
        """How many windows could have ended by now since the last one."""
        room = at - self._start(self._count) - self._live.duration
        return max(0, int(np.floor(room / self._settings.step + 1e-9)) + 1)

    def _ready(self, number: int, at: float) -> bool:
        start = self._start(number)
        stop = start + self._live.duration + self._live.chain.margins[1]
        if self.is_over:
            ends = [self._live.stop_of(name) for name in (*self._timelines, *self._faces)]
            return stop <= max(end for end in ends if end is not None) + 1e-9
        return not self._live.waits_for(start) or (
            self._newest_only and at >= stop + self._settings.patience
        )

    def _estimate(self, start: float) -> Estimate:
        window = self._live.window(start)
        time = self._now()
        states = {
            name: self._gate.look(self._live, name, window, time, self._silence(name))
            for name in self._live.sources
        }
        judged, states = self._judged(start, states)
        self._states = states
        done = self._now()
        alert = self._alert is not None and self._alert.update(judged.expected_level, start)
        remarks, self._remarks = tuple(self._remarks), []
        return Estimate(
            time=now(),
            session=self.info.id,
            probabilities=judged.probabilities,
            expected_level=judged.expected_level,
            lower=judged.lower,
            upper=judged.upper,
            coverage=judged.coverage,
            coverage_kind=judged.coverage_kind,
            abstained=judged.abstained[:480],
            modalities=tuple(_aged(state, done - time) for state in states.values()),
            remarks=(*judged.remarks, *remarks),
            start=start,
            duration=self._live.duration,
            latency_s=max(0.0, done - start - self._live.duration) if self._speed else None,
            alert=alert,
        )

    def _silence(self, name: str) -> Silence:
        line = self._timelines.get(name)
        over = name in self._over
        lost = "" if over else self._lost.get(name, "")
        return Silence(lost, "" if line is None else line.wrong_rate)

    def _judged(
        self, start: float, states: dict[str, ModalityState]
    ) -> tuple[Judgement, dict[str, ModalityState]]:
        """What the model says without the modalities that cannot be believed."""
        left_out = tuple(name for name, state in states.items() if not state.present)
        try:
            samples = self._live.samples(start, left_out)
        except DolorimeterError as error:
            reason = _told(states) or str(error)
            gone = {name: replace(s, present=False) for name, s in states.items()}
            return Judgement(abstained=reason), gone
        states = _without_empty(samples, self._live, states)
        missing = sum(not s.present for s in states.values()) / len(states)
        if 1 - missing < self._settings.least_share or missing == 1:
            return Judgement(abstained=_told(states) or "too little is there"), states
        if self._live.chain.standardise == "running":
            since = start + self._live.duration - (self._begun or 0.0)
            if since < self._settings.warm_up:
                return Judgement(
                    abstained=f"the person's baseline is being learned: {since:.0f} of "
                    f"{self._settings.warm_up:.0f} s"
                ), states
        try:
            row = self._predictor.predict_samples(samples).iloc[0]
        except (DolorimeterError, ValueError) as error:
            told = _told(states)
            reason = f"the model cannot go on without them: {told}" if told else str(error)
            return Judgement(abstained=reason), states
        return self._judge(row, missing), states

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
            model=predictor.title[:480],
            model_digest=self._digest,
            classes=predictor.classes,
            levels=self._judge.levels,
            sources=tuple(source.title for source in self._sources),
            lookalike=predictor.lookalike or any(s.lookalike for s in self._sources),
            notes=tuple(notes),
        )


def _aged(state: ModalityState, seconds: float) -> ModalityState:
    """The state when the estimate is done, by which time its samples are older."""
    return state if state.age_s is None else replace(state, age_s=state.age_s + max(0.0, seconds))


def _told(states: dict[str, ModalityState]) -> str:
    """What is wrong with the modalities that are not there."""
    return "; ".join(
        f"{name}: {', '.join(state.reasons) or 'not usable'}"
        for name, state in states.items()
        if not state.present
    )


def _without_empty(
    samples: Samples, live: LiveChain, states: dict[str, ModalityState]
) -> dict[str, ModalityState]:
    """A modality of which no stream has a single number is not there, whatever its quality."""
    given: dict[str, bool] = {}
    for stream in live.chain.streams:
        there = samples.present is None or bool(samples.present[stream.name][0])
        there &= _known(samples, stream.name, len(live.chain.streams) > 1)
        for name in live.modalities_of(stream):
            given[name] = given.get(name, False) or there
    return {
        name: state
        if given.get(name, True) or not state.present
        else replace(
            state,
            present=False,
            reasons=(*state.reasons, "samples are missing, no number can be computed"),
        )
        for name, state in states.items()
    }


def _known(samples: Samples, stream: str, several: bool) -> bool:
    x: Any = samples.x
    if not isinstance(x, np.ndarray):
        own = np.asarray(x[stream])
    elif samples.feature_names and several:
        own = x[0, [name.startswith(f"{stream}.") for name in samples.feature_names]]
    else:
        own = x
    return not own.size or own.dtype.kind != "f" or bool(np.isfinite(own).any())
