"""What comes into a session: samples, frames and losses on their way to the chain.

Whatever a source does wrong costs its own modality and is said in words; the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from dolorimeter.chain import LiveChain
from dolorimeter.monitor.face_lane import FaceLane
from dolorimeter.monitor.feed import Keeper
from dolorimeter.monitor.gate import Silence
from dolorimeter.monitor.nouns import RawChunk, one_line
from dolorimeter.monitor.sources import Begins, Chunk, Item, Lost, Picture, Source, VideoBegins
from dolorimeter.monitor.timeline import Timeline

MOST_REMARKS = 12
"""Remarks of one estimate; what a source says beyond it is counted."""


class Intake:
    """Everything that comes from sources, taken to a chain.

    Parameters
    ----------
    live : LiveChain
    beside : bool
        Faces are looked for in threads of their own, which take only the newest frames.
    """

    def __init__(self, live: LiveChain, *, beside: bool) -> None:
        self._live, self._beside = live, beside
        self.begun: float | None = None
        """When the first signal or video began, on the session's clock."""
        self.keeper: Keeper | None = None
        """Who stores raw signals."""
        self.frames: dict[str, UInt8[np.ndarray, "height width 3"]] = {}
        """The newest frame of each video; nobody keeps it longer."""
        self._timelines: dict[str, Timeline] = {}
        self._lanes: dict[str, FaceLane] = {}
        self._givers: dict[str, Source] = {}
        self._lost: dict[str, str] = {}
        self._over: set[str] = set()
        self._remarks: list[str] = []
        self._unsaid = 0

    def take(self, sources: Sequence[Source], at: float) -> None:
        """Take in what has come until `at`."""
        for source in sources:
            try:
                items = source.read(at)
            except Exception as error:  # noqa: BLE001 - a driver's fault: the others go on
                self._say(f"{source.title}: {error or type(error).__name__}")
                continue
            for item in items:
                self._take(source, item, at)
        for name, lane in self._lanes.items():
            try:
                lane.collect()
            except Exception as error:  # noqa: BLE001 - as above
                self._say(
                    f"{name}: a frame could not be looked at: {error or type(error).__name__}"
                )

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more."""
        return bool(self._over) and self._over >= self._timelines.keys() | self._lanes.keys()

    @property
    def passed(self) -> int:
        """Frames that no tracker looked at, because newer ones came."""
        return sum(lane.passed for lane in self._lanes.values())

    def stop(self) -> float:
        """Time until which anything is known; of use when all is over."""
        ends = [self._live.stop_of(name) for name in (*self._timelines, *self._lanes)]
        return max((end for end in ends if end is not None), default=-np.inf)

    def silence(self, name: str) -> Silence:
        """What is known of a modality besides its samples."""
        line = self._timelines.get(name)
        return Silence(self._lost.get(name, ""), "" if line is None else line.wrong_rate)

    def told(self) -> tuple[str, ...]:
        """What had to be said since the last call."""
        remarks, unsaid = tuple(self._remarks), self._unsaid
        self._remarks, self._unsaid = [], 0
        return (*remarks, f"{unsaid} further remarks of sources") if unsaid else remarks

    def close(self) -> None:
        """End the trackers' threads, and forget the frames."""
        for lane in self._lanes.values():
            lane.close()
        self.frames.clear()

    # ── one item ────────────────────────────────────────────────────────────────────────────────

    def _take(self, source: Source, item: Item, at: float) -> None:
        name = item.modality
        giver = self._givers.setdefault(name, source) if name else source
        if giver is not source:
            self._say(
                f"{name} comes from {giver.title} already: that of {source.title} is left out"
            )
            return
        try:
            if isinstance(item, Begins):
                self._begin_signal(item)
            elif isinstance(item, Chunk):
                self._take_chunk(item, at)
            elif isinstance(item, VideoBegins):
                self._begin_video(item)
            elif isinstance(item, Picture):
                self._take_picture(item)
            elif isinstance(item, Lost):
                self._lose(item)
        except Exception as error:  # noqa: BLE001 - what one source gives must not end the session
            self._lost[name] = one_line(str(error) or type(error).__name__)
            self._timelines.pop(name, None)
            self._say(f"{name} cannot be used: {error}")

    def _begin_signal(self, item: Begins) -> None:
        if item.modality in self._lost:
            self._say(f"{item.modality} is back")
        self._live.open(item.modality, item.like)
        self._timelines[item.modality] = Timeline(item.modality, item.like)
        self._begins(item.modality, item.like.start)

    def _begin_video(self, item: VideoBegins) -> None:
        name = item.modality
        if name in self._lost:
            self._say(f"{name} is back")
        if name in self._lanes:
            self._lanes.pop(name).close()
        self._live.open_video(name, start=item.start, frame_rate=item.frame_rate)
        self._lanes[name] = FaceLane(self._live, name, beside=self._beside)
        self._begins(name, item.start)

    def _begins(self, name: str, start: float) -> None:
        self._lost.pop(name, None)
        self._over.discard(name)
        if self.begun is None:
            self.begun = start

    def _take_picture(self, item: Picture) -> None:
        if item.modality in self._lanes and item.modality not in self._lost:
            self.frames[item.modality] = item.image
            self._lanes[item.modality].push(item)

    def _take_chunk(self, chunk: Chunk, at: float) -> None:
        name = chunk.modality
        if name not in self._timelines:
            return
        place = self._timelines[name].place(chunk, at)
        if place.remark:
            self._say(place.remark)
        if place.anew is not None:
            signal = self._live.signal(name)
            assert signal is not None
            self._live.open(name, replace(signal, start=place.anew))
        if place.shift:
            self._live.shift(name, place.shift)
        if place.missing:
            self._live.push(name, np.full((chunk.values.shape[0], place.missing), np.nan))
        start = self._live.stop_of(name)
        self._live.push(name, np.where(np.isinf(chunk.values), np.nan, chunk.values))
        if start is not None:
            self._keep(chunk, start)

    def _keep(self, chunk: Chunk, start: float) -> None:
        """Hand raw samples on where they are asked for, at the time at which they were placed."""
        if self.keeper is None or not self.keeper.keep_signals:
            return
        signal = self._live.signal(chunk.modality)
        assert signal is not None
        several = len(chunk.values) > 1
        for number, row in enumerate(chunk.values, 1):
            name = f"{chunk.modality}.{number}" if several else chunk.modality
            self.keeper.add_signal(RawChunk(name, start, signal.sampling_rate, signal.unit, row))

    def _lose(self, item: Lost) -> None:
        if not item.modality:  # a channel that nobody can use: not one of the model's
            self._say(item.reason)
            return
        if item.modality in self._lanes and item.modality not in self._lost:
            self._lanes[item.modality].finish()
        self.frames.pop(item.modality, None)
        if not item.for_good or item.modality not in self._lost:  # else why it was refused stays
            self._lost[item.modality] = one_line(item.reason)
        self._live.end(item.modality)
        if item.for_good:
            self._over.add(item.modality)
        else:
            self._say(f"{item.modality}: {item.reason}")

    def _say(self, text: str) -> None:
        text = one_line(text)
        if text in self._remarks:
            return
        if len(self._remarks) < MOST_REMARKS:
            self._remarks.append(text)
        else:
            self._unsaid += 1
