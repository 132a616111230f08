"""A chain fed chunk by chunk: the windows of a recording that is still going on.

The same steps, the same window code and the same representations as offline, on rings instead of
files. For any chunking, a `LiveChain` returns for a window what `Pipeline.samples` returns for it
once the recording is over (`offline` is the pipeline to compare with).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.chain._chain import Pipeline
from dolorimeter.chain._encoded import Remembered, represented
from dolorimeter.chain._gate import QualityGate
from dolorimeter.chain._join import join
from dolorimeter.chain._parts import Gathered
from dolorimeter.chain._rings import ROUNDING, FaceRing, SignalRing
from dolorimeter.chain._stream import Stream
from dolorimeter.errors import ConfigError, DolorimeterError, SignalError
from dolorimeter.preprocessing import (
    FaceFrame,
    FaceTracker,
    FaceTracking,
    RunningBaseline,
    SignalStream,
)
from dolorimeter.representations import Represented, VideoFrames
from dolorimeter.samples import Samples, empty_rows
from dolorimeter.types import FaceTrack, Recording, Signal, Video, Window

SPARE = 10.0
"""Seconds held beyond the longest window: how far one stream may run ahead of another."""


@dataclass
class _Lane:
    """One signal on its way through the steps of one or more streams."""

    steps: tuple[Any, ...]
    memory: list[dict[str, SignalStream]]
    rings: dict[str, SignalRing] = field(default_factory=dict)


@dataclass
class _Face:
    """One video on its way: the tracker, its stride, and the rows it has given."""

    tracking: FaceTracking
    tracker: FaceTracker
    ring: FaceRing
    start: float
    frames: int = 0


class LiveChain:
    """A chain whose recording comes in chunks; one instance a session.

    Not for several threads at once.

    Parameters
    ----------
    chain : Pipeline
    subject : str
    feature_names : sequence of str
        Of the table that the estimator was fitted on, so that a stream which has not come yet has
        its place in it.
    facts : mapping
        As `Recording.facts`; the distances of fNIRS optodes.
    spare : float
        Seconds held beyond the longest window.
    gate : QualityGate, optional
        Of the model: a modality of low quality does not enter a running baseline.

    Raises
    ------
    ConfigError
        If a step needs the whole recording; the message names its live substitute.
    """

    def __init__(
        self,
        chain: Pipeline,
        *,
        subject: str = "live",
        feature_names: Sequence[str] = (),
        facts: Mapping[str, float] | None = None,
        spare: float = SPARE,
        gate: QualityGate | None = None,
    ) -> None:
        check_live(chain)
        self.chain = replace(
            chain, windows=replace(chain.windows, anchor="sliding", conditions=(), offset=0.0)
        )
        self._feature_names = tuple(feature_names)
        self._recording = Recording("live", subject, "live", facts=dict(facts or {}))
        before, after = chain.margins
        self._hold = chain.windows.duration + before + after + spare
        if chain.standardise == "running":
            self._hold += chain.windows.duration
        self._gate = gate or QualityGate()
        self._begin: float | None = None
        self._place = self._learned = 0
        self._raw: dict[str, SignalRing] = {}
        self._lanes: dict[tuple[str, tuple[Any, ...]], _Lane] = {}
        self._faces: dict[str, _Face] = {}
        self._videos: dict[str, Video] = {}
        self._ended: set[str] = set()
        self._like: dict[str, Represented] = {}
        self._baseline: RunningBaseline | None = None
        self._looked: tuple[Any, ...] = ()
        self._remembered = {
            stream.name: Remembered(stream)
            for stream in chain.streams
            if Remembered.serves(stream)
        }

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the signals and videos that the chain reads."""
        return self.chain.sources

    @property
    def duration(self) -> float:
        """Length of a window in seconds."""
        return self.chain.windows.duration

    def offline(self, step: float) -> Pipeline:
        """The chain whose windows, over the whole recording, are those of a live session."""
        windows = replace(self.chain.windows, step=step, inside_stimulus=False)
        return replace(self.chain, windows=windows)

    # ── what comes in ───────────────────────────────────────────────────────────────────────────

    def open(self, modality: str, like: Signal) -> None:
        """Begin a signal, or begin it anew after a gap too long to be bridged.

        Parameters
        ----------
        modality : str
            One of `sources`.
        like : Signal
            What it is: rate, unit, channels, and in `start` the time of its first sample; its
            values are not looked at.

        Raises
        ------
        ConfigError
            If the chain does not read it.
        SignalError
            If a step cannot be applied to such a signal.
        """
        self._check_known(modality)
        like = replace(like, values=np.empty((like.values.shape[0], 0)))
        self._ended.discard(modality)
        self._begins(like.start)
        self._raw[modality] = SignalRing(like, self._hold)
        for steps in self._steps_of(modality):
            lane = _Lane(steps, [{} for _ in steps])
            self._lanes[modality, steps] = lane
            for name, signal in self._through(lane, modality, like).items():
                lane.rings[name] = SignalRing(signal, self._hold)

    def push(self, modality: str, values: Float[np.ndarray, "channel time"]) -> None:
        """The next samples of a signal; NaN where one is missing.

        Raises
        ------
        SignalError
            If the signal was not opened, or has another number of channels.
        """
        if modality not in self._raw:
            raise SignalError(f"samples of {modality} came before it was opened.")
        like = self._raw[modality].like
        chunk = replace(like, values=np.asarray(values, dtype=np.float64))
        if chunk.values.shape[0] != like.values.shape[0]:
            raise SignalError(
                f"{chunk.values.shape[0]} channels of {modality} came, after "
                f"{like.values.shape[0]} were announced: open it anew."
            )
        self._raw[modality].append(chunk.values)
        for (name, _), lane in self._lanes.items():
            if name == modality:
                for given, signal in self._through(lane, modality, chunk).items():
                    lane.rings[given].append(signal.values)

    def shift(self, modality: str, seconds: float) -> None:
        """Move the clock of a signal whose recorder runs a little slow or fast."""
        self._raw[modality].shift(seconds)
        for (name, _), lane in self._lanes.items():
            if name == modality:
                for ring in lane.rings.values():
                    ring.shift(seconds)

    def open_video(
        self, modality: str, *, start: float = 0.0, frame_rate: float | None = None
    ) -> None:
        """Begin a video, or begin it anew: the person is looked for again.

        Parameters
        ----------
        start : float
            Time of its first frame on the session's clock.
        frame_rate : float, optional
            Frames a second, where the camera tells; else those that come are counted.

        Raises
        ------
        ConfigError
            If the chain does not read it, or asks different things of the face tracker.
        """
        self._check_known(modality)
        found = {
            step
            for stream in self.chain.streams
            for step in stream.steps
            if isinstance(step, FaceTracking) and step.modality == modality
        }
        if len(found) != 1:
            raise ConfigError(
                f"the streams of {modality} ask for {len(found)} face trackers, expected one: "
                "give them the same preprocessing step 'face_track'."
            )
        (tracking,) = found
        tracker = FaceTracker(
            min_detection=tracking.min_detection, min_presence=tracking.min_presence
        )
        looked = None if frame_rate is None else frame_rate / tracking.stride
        ring = FaceRing(self._hold, looked, self._needs_pictures(modality), start)
        self._faces[modality] = _Face(tracking, tracker, ring, start)
        self._videos[modality] = Video(Path(f"live-{modality}"), frame_rate)
        self._begins(start)
        self._ended.discard(modality)

    def is_due(self, modality: str) -> bool:
        """Whether the next frame is one that the tracker's stride looks at; it counts them.

        Asked once for every frame that comes, also for those that nobody has time for: the stride
        is one of the camera's frames.
        """
        face = self._faces[modality]
        number, face.frames = face.frames, face.frames + 1
        return number % face.tracking.stride == 0

    def track(
        self, modality: str, image: UInt8[np.ndarray, "height width 3"], time: float
    ) -> FaceFrame:
        """Look for the face in a frame that `is_due`.

        It may be called in another thread than the rest, one frame after the other.
        """
        face = self._faces[modality]
        row = face.tracker.push(image, time - face.start)  # its clock begins with the video
        return replace(row, time=time)

    def push_face(
        self,
        modality: str,
        row: FaceFrame,
        image: UInt8[np.ndarray, "height width 3"] | None = None,
    ) -> None:
        """The next row of a face, from `track`; with its frame, for models of pictures."""
        self._faces[modality].ring.append(row, image)

    def push_frame(
        self, modality: str, image: UInt8[np.ndarray, "height width 3"], time: float
    ) -> None:
        """The next frame, through `is_due`, `track` and `push_face`."""
        if self.is_due(modality):
            self.push_face(modality, self.track(modality, image, time), image)

    def end(self, modality: str) -> None:
        """Nothing more will come of this one: windows no longer wait for it."""
        self._ended.add(modality)

    # ── what is there ───────────────────────────────────────────────────────────────────────────

    def stop_of(self, modality: str) -> float | None:
        """Time until which a modality is known, None before it was opened.

        Of a face: the time of the newest frame, since only the next one tells how long it stood.
        """
        if modality in self._faces:
            newest = self._faces[modality].ring.newest
            if newest is None:
                return self._faces[modality].start
            over = 1 / self._faces[modality].ring.frame_rate if modality in self._ended else 0.0
            return newest.time + over
        return self._raw[modality].stop if modality in self._raw else None

    def covers(self, modality: str, start: float) -> bool:
        """Whether all samples of the window that begins at `start` have come."""
        stop = self.stop_of(modality)
        reach = start + self.duration + self.chain.margins[1]
        return stop is not None and stop >= reach - ROUNDING

    def waits_for(self, start: float) -> tuple[str, ...]:
        """Open modalities whose samples of that window have not come yet."""
        return tuple(
            name
            for name in (*self._raw, *self._faces)
            if name not in self._ended and not self.covers(name, start)
        )

    def signal(self, modality: str) -> Signal | None:
        """What is held of a signal, before any step; None before it was opened."""
        return self._raw[modality].signal() if modality in self._raw else None

    def face(self, modality: str) -> FaceRing | None:
        """What is held of a face; None before its video was opened."""
        return self._faces[modality].ring if modality in self._faces else None

    def modalities_of(self, stream: Stream) -> tuple[str, ...]:
        """Names of the signals and videos that a stream is made of."""
        return tuple(name for name in self.sources if _reads(stream, name))

    def window(self, start: float, leave_out: Sequence[str] = ()) -> Window:
        """The window that begins at `start`, as far as its samples have come, before any step."""
        return Window(self._whole(leave_out), start, self.duration)

    def samples(self, start: float, leave_out: Sequence[str] = ()) -> Samples:
        """The one row of the window that begins at `start`.

        Parameters
        ----------
        start : float
            Seconds on the session's clock; windows must be asked for in the order of time where
            the chain standardises by what has come.
        leave_out : sequence of str
            Modalities that count as missing, because they cannot be believed.

        Raises
        ------
        SignalError
            If no modality covers the window with its margins, or what is missing has never been
            seen, so that its shape is unknown.
        DatasetError
            If no stream has anything of the window.
        """
        samples = self._plain(start, leave_out)
        if self.chain.standardise == "none":
            return samples
        if not isinstance(samples.x, np.ndarray) or samples.x.ndim != 2:
            raise ConfigError(
                "standardise works on feature tables; these streams are none. Use representation "
                "'features', or leave standardise out."
            )
        if self._baseline is None:
            self._baseline = RunningBaseline(samples.x.shape[1])
        self._learn(self._baseline, start)
        row = self._baseline.score(samples.x[0].astype(float))
        return replace(samples, x=row[None], target_access=self.chain.target_access)

    @property
    def learned(self) -> float:
        """Seconds of windows that have entered the running baseline so far."""
        return self._learned * self.duration

    def _begins(self, start: float) -> None:
        """Note the time of the first sample of all: windows of the baseline count from it."""
        if not self._place:
            self._begin = start if self._begin is None else min(self._begin, start)

    def _plain(self, start: float, leave_out: Sequence[str]) -> Samples:
        """The row of a window before standardisation."""
        window = self.window(start, leave_out)
        self._check_covered(window)
        gathered = Gathered(self.chain.streams)
        gathered.add(window, self._processed(window.recording, leave_out))
        return join([gathered.part(self._represented)], None, False, ())

    def _learn(self, baseline: RunningBaseline, until: float) -> None:
        """Add the windows that follow each other from the first sample and ended by `until`.

        They are those of `Pipeline.baseline_samples`, gated in the same way.
        """
        assert self._begin is not None
        while True:
            start = self._begin + self._place * self.duration
            if start + self.duration > until + ROUNDING:
                return
            self._place += 1
            try:
                samples = self._plain(start, ())
            except DolorimeterError:  # not covered, or nothing in it: offline it is no window
                continue
            trusted = self._gate.trusted(samples, self.chain.streams)
            samples = self._gate.apply(samples, self.chain.streams, trusted)
            baseline.add(np.asarray(samples.x)[0].astype(float))
            self._learned += 1

    @property
    def looks_ahead(self) -> bool:
        """Whether `look_ahead` can have anything to do."""
        return bool(self._remembered)

    def look_ahead(self, starts: Sequence[float]) -> bool:
        """Embed one picture that windows from `starts` will show, if there is a new one.

        Called while windows are still coming, it spares `samples` from embedding all of their
        pictures at once. What `samples` gives does not depend on it.

        Returns
        -------
        bool
            Whether there was one.
        """
        newest = tuple(self.stop_of(name) for name in self._faces)
        if not self._remembered or not starts or self._looked == (newest, tuple(starts)):
            return False
        whole = self._whole(())
        for start in starts:
            window = Window(whole, start, self.duration)
            if any(remembered.look_ahead(window) for remembered in self._remembered.values()):
                return True
        self._looked = (newest, tuple(starts))  # nothing is new until the next frame
        return False

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _check_known(self, modality: str) -> None:
        if modality not in self.sources:
            raise ConfigError(
                f"the model does not read '{modality}'; it reads {', '.join(self.sources)}."
            )

    def _check_covered(self, window: Window) -> None:
        """Raise `SignalError` unless one modality covers the window, as `windows.cut` asks."""
        before, after = self.chain.margins
        start, span = window.start - before, window.duration + before + after
        recording = window.recording
        kept: list[Signal | FaceTrack] = [*recording.signals.values(), *recording.faces.values()]
        for held in kept:
            try:
                held.crop(start, span)
            except SignalError:
                continue
            return
        raise SignalError(
            f"no modality covers {start:g}–{start + span:g} s: "
            f"{', '.join(self.sources)} are short of it."
        )

    def _steps_of(self, modality: str) -> set[tuple[Any, ...]]:
        """The different rows of steps along the recording that act on a signal."""
        return {_along(stream) for stream in self.chain.streams if _reads(stream, modality)}

    def _needs_pictures(self, modality: str) -> bool:
        return any(
            stream.representation.modality == modality
            and getattr(stream.representation, "pictures_of_people", False)
            for stream in self.chain.streams
        )

    def _through(self, lane: _Lane, modality: str, chunk: Signal) -> Mapping[str, Signal]:
        """The chunk after all steps of a lane; a step may give signals of other names."""
        recording = replace(self._recording, signals={modality: chunk})
        for step, memory in zip(lane.steps, lane.memory, strict=True):
            recording = step.advance(recording, memory)
        return recording.signals

    def _whole(self, leave_out: Sequence[str]) -> Recording:
        """The recording so far, before any step."""
        return replace(
            self._recording,
            signals={k: v.signal() for k, v in self._raw.items() if k not in leave_out},
            videos={k: v for k, v in self._videos.items() if k not in leave_out},
            faces=self._tracks(leave_out),
        )

    def _tracks(self, leave_out: Sequence[str]) -> dict[str, FaceTrack]:
        found = {
            name: face.ring.track(self._videos[name].path)
            for name, face in self._faces.items()
            if name not in leave_out
        }
        return {name: track for name, track in found.items() if track is not None}

    def _processed(self, whole: Recording, leave_out: Sequence[str]) -> dict[str, Recording]:
        """The recording so far after each stream's steps along it."""
        found = {}
        for stream in self.chain.streams:
            signals: dict[str, Signal] = {}
            for (name, steps), lane in self._lanes.items():
                if name not in leave_out and steps == _along(stream):
                    signals |= {given: ring.signal() for given, ring in lane.rings.items()}
            found[stream.name] = replace(whole, signals=signals)
        return found

    def _represented(self, stream: Stream, windows: Sequence[Window]) -> Represented:
        """As offline; a window without the modality is NaN in the shape it has had before."""
        try:
            found = represented(stream, windows, self._remembered.get(stream.name))
        except SignalError:
            if _there(stream, windows[0]):
                raise
            found = None
        if found is not None and found.present.all():
            self._like[stream.name] = found
            return found
        like = self._like.get(stream.name)
        if like is not None:
            undefined = () if found is None else found.undefined
            missing = np.zeros(1, dtype=bool)
            return replace(like, x=empty_rows(1, like.x), present=missing, undefined=undefined)
        return self._never_seen(stream, found)

    def _never_seen(self, stream: Stream, found: Represented | None) -> Represented:
        """A stream that has never come: NaN where its features stand in the model's table."""
        several = len(self.chain.streams) > 1
        head = f"{stream.name}." if several else ""
        names = tuple(
            name.removeprefix(head) for name in self._feature_names if name.startswith(head)
        )
        if names:
            missing = np.zeros(1, dtype=bool)
            empty = np.full((1, len(names)), np.nan)
            undefined = () if found is None else found.undefined
            return Represented(empty, names, ("",) * len(names), missing, undefined=undefined)
        if found is not None:
            return found
        raise SignalError(
            f"{stream.representation.modality} has not come yet, so the shape of stream "
            f"'{stream.name}' is unknown."
        )


def check_live(chain: Pipeline) -> None:
    """Refuse a chain that cannot run live.

    Raises
    ------
    ConfigError
        If a step needs the whole recording, naming it and its live substitute, or a representation
        reads its video file again.
    """
    obstacles = list(chain.live_obstacles)
    obstacles += [
        f"stream '{s.name}': {s.representation.card.name} reads whole frames of a video file "
        "(use 'face_frames', which takes them from the camera)"
        for s in chain.streams
        if isinstance(s.representation, VideoFrames)
    ]
    if obstacles:
        raise ConfigError(
            "this model cannot run live, since it looks at the whole recording: "
            f"{'; '.join(obstacles)}. Train it again with the substitute."
        )


def _along(stream: Stream) -> tuple[Any, ...]:
    """Steps along the recording that change signals: a face is tracked beside them."""
    return tuple(
        step
        for step in stream.steps
        if step.scope != "window" and not isinstance(step, FaceTracking)
    )


def _reads(stream: Stream, modality: str) -> bool:
    by_steps = {m for step in stream.steps for m in step.modalities}
    return modality in (by_steps or {stream.representation.modality})


def _there(stream: Stream, window: Window) -> bool:
    """Whether the stream's modality covers the window, so that an error is one."""
    modality = stream.representation.modality
    return modality in window.recording.signals or modality in window.recording.faces
