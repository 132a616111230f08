"""Lab Streaming Layer: signals of any recorder that speaks it, found by type, name or label.

Units and channel names come from the stream's metadata, times from the recorder's clock, put on
this machine's by LSL's own clock offsets and freed of jitter. A thread a stream pulls samples; a
session takes what is new. A stream that goes is looked for again until it is back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._open import NAMES, field_name
from dolorimeter.datasets.units import is_arbitrary, quantity_of, to_si
from dolorimeter.errors import MonitorError
from dolorimeter.monitor.sources._items import Begins, Chunk, Item, Lost
from dolorimeter.types import Signal

RESOLVE = 2.0
"""Seconds that streams are looked for at the start."""
AGAIN = 1.0
"""Seconds between two looks for a stream that went."""
ANSWER = 5.0
"""Seconds that a stream has to describe itself."""
FASTEST = 100_000.0
"""Hertz; no sensor of a body is faster, and a wrong figure would cost all memory."""
PULL = 0.1
"""Seconds that one pull waits at most."""
MOST_CHUNKS = 600
"""Chunks that wait for the session; beyond it the oldest go."""


@dataclass(frozen=True)
class LslQuery:
    """Which streams, and what their channels are.

    Parameters
    ----------
    name, type : str
        Of the stream; empty for any.
    channels : mapping
        Modality → channel label, for labels that nobody could guess (``{"eda": "CH1"}``).
    units : mapping
        Modality → unit as LSL would write it (``"microsiemens"``), for streams that do not say.
    """

    name: str = ""
    type: str = ""
    channels: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Channel:
    modality: str
    row: int
    factor: float
    like: Signal


class LslSource:
    """Streams of the Lab Streaming Layer.

    Parameters
    ----------
    query : LslQuery
    resolve : float
        Seconds that streams are looked for at the start.

    Raises
    ------
    DependencyError
        If pylsl is not installed.
    """

    follows_clock = False
    lookalike = False
    start = 0.0

    def __init__(self, query: LslQuery | None = None, *, resolve: float = RESOLVE) -> None:
        from dolorimeter._extras import pylsl

        self._pylsl: Any = pylsl
        self._query, self._resolve = query or LslQuery(), resolve
        self._waiting: deque[Item] = deque(maxlen=MOST_CHUNKS)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._names: list[str] = []
        self._offset = 0.0

    @property
    def title(self) -> str:
        """In words, for page and exports."""
        return f"LSL: {', '.join(self._names) or 'no stream yet'}"

    def open(self, wanted: Sequence[str], now: float) -> None:
        """Look for streams with these modalities and begin to pull.

        Raises
        ------
        MonitorError
            If there is none, naming the streams that are there, or one does not state a unit that
            can be used.
        """
        self._offset = now - self._pylsl.local_clock()
        found = self._pylsl.resolve_streams(self._resolve)
        taken: set[str] = set()
        faults: list[str] = []
        for info in sorted(found, key=lambda info: (info.name(), info.uid())):
            if not self._matches(info):
                continue
            inlet, channels, fault = self._look(info, [w for w in wanted if w not in taken])
            faults += fault
            if channels:
                taken |= {channel.modality for channel in channels}
                self._names.append(f"'{info.name()}' ({', '.join(c.modality for c in channels)})")
                self._begin(info, inlet, channels)
        if not taken:
            there = ", ".join(f"'{i.name()}' of type {i.type()}" for i in found) or "none"
            why = "".join(f"{fault}. " for fault in faults)
            raise MonitorError(
                f"no LSL stream with {' or '.join(wanted)} was found within {self._resolve:g} s "
                f"(there: {there}). {why}Start the recorder, or name the stream: "
                "--source lsl:name=…,eda=CHANNEL,unit.eda=microsiemens."
            )
        for fault_text in faults:
            self._waiting.append(Lost("", fault_text))

    def read(self, now: float) -> Sequence[Item]:  # noqa: ARG002 - recorders have their own clock
        """What has been pulled since the last call."""
        items = []
        while self._waiting:
            items.append(self._waiting.popleft())
        return items

    def close(self) -> None:
        """Stop pulling."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _matches(self, info: Any) -> bool:
        query = self._query
        return query.name in ("", info.name()) and query.type in ("", info.type())

    def _look(self, info: Any, wanted: Sequence[str]) -> tuple[Any, list[_Channel], list[str]]:
        """An inlet, the channels of it that are wanted, and what is wrong with others."""
        lsl = self._pylsl
        flags = lsl.proc_clocksync | lsl.proc_dejitter | lsl.proc_monotonize | lsl.proc_threadsafe
        inlet = lsl.StreamInlet(info, max_buflen=10, recover=bool(info.source_id()),
                                processing_flags=flags)  # fmt: skip
        channels: list[_Channel] = []
        faults: list[str] = []
        try:
            described = _described(inlet.info(timeout=ANSWER))
        except (self._pylsl.util.TimeoutError, self._pylsl.util.LostError):
            fault = f"stream '{info.name()}' does not describe itself within {ANSWER:g} s"
            return inlet, [], [fault]
        for row, (label, unit) in enumerate(described):
            modality = self._modality(info, label)
            if modality not in wanted or any(c.modality == modality for c in channels):
                continue
            stated = self._query.units.get(modality, unit)
            quantity = quantity_of(modality)
            known = to_si(stated, quantity)
            confirmed = known is not None
            if known is None and quantity in {"pulse", "respiration"} and is_arbitrary(stated):
                known = (1.0, "a.u.")  # their size means nothing in any unit
            if known is None or not self._fits(modality, known[1]):
                faults.append(
                    f"channel '{label}' of stream '{info.name()}' is in "
                    f"{stated or 'an unstated unit'!r}, which is none of {modality}: give it as "
                    f"unit.{modality}=…"
                )
                continue
            if not 0 < info.nominal_srate() <= FASTEST:
                faults.append(
                    f"stream '{info.name()}' announces {info.nominal_srate():g} Hz: {modality} "
                    f"needs a regular rate of at most {FASTEST:g} Hz"
                )
                continue
            like = Signal(np.empty((1, 0)), info.nominal_srate(), known[1], confirmed, quantity)
            channels.append(_Channel(modality, row, known[0], like))
        return inlet, channels, faults

    def _modality(self, info: Any, label: str) -> str:
        for modality, named in self._query.channels.items():
            if named == label:
                return modality
        if self._query.channels and label in self._query.channels.values():
            return ""
        found = field_name(label, {})
        if found in NAMES.values():
            return found
        if info.channel_count() == 1:  # a single channel may be named by its stream
            for text in (info.type(), info.name()):
                if (found := field_name(text, {})) in NAMES.values():
                    return found
        return ""

    @staticmethod
    def _fits(modality: str, unit: str) -> bool:
        wanted = {"conductance": "S", "voltage": "V", "temperature": "degC", "rate": "1/min"}
        return wanted.get(quantity_of(modality), unit) == unit

    def _begin(self, info: Any, inlet: Any, channels: Sequence[_Channel]) -> None:
        thread = threading.Thread(
            target=self._pull, args=(info, inlet, channels), name="dolorimeter-lsl", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _pull(self, info: Any, inlet: Any, channels: Sequence[_Channel]) -> None:
        """The thread of one stream: pull, and look for it again when it goes."""
        announced = False
        while not self._stop.is_set():
            try:
                rows, stamps = inlet.pull_chunk(timeout=PULL, max_samples=4096)
                times = np.asarray(stamps, dtype=float) + self._offset
                values = np.asarray(rows, dtype=float).T  # (channel, time)
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream gives nothing
                gone = isinstance(error, self._pylsl.util.LostError)
                reason = "is gone" if gone else f"cannot be read: {error or type(error).__name__}"
                for channel in channels:
                    self._waiting.append(
                        Lost(channel.modality, f"stream '{info.name()}' {reason}")
                    )
                again = self._found_again(info, channels)
                if again is None:
                    return
                (inlet, channels), announced = again, False
                continue
            if not len(times):
                continue
            if not announced:
                self._announce(channels, float(times[0]))
                announced = True
            self._give(channels, times, values)

    def _announce(self, channels: Sequence[_Channel], start: float) -> None:
        for channel in channels:
            like = replace(channel.like, start=start if np.isfinite(start) else 0.0)
            self._waiting.append(Begins(channel.modality, like))

    def _give(
        self,
        channels: Sequence[_Channel],
        times: Float[np.ndarray, " time"],
        values: Float[np.ndarray, "channel time"],
    ) -> None:
        for channel in channels:
            stop = float(times[-1]) + 1 / channel.like.sampling_rate
            own = values[channel.row : channel.row + 1] * channel.factor
            self._waiting.append(Chunk(channel.modality, float(times[0]), own, stop))

    def _found_again(
        self, info: Any, channels: Sequence[_Channel]
    ) -> tuple[Any, list[_Channel]] | None:
        """A stream of that name and type, looked at anew; None when all is over.

        It may have come back with other units or channels: what does not fit stays lost, by name.
        """
        wanted = [channel.modality for channel in channels]
        told: set[str] = set()
        while not self._stop.wait(AGAIN):
            for found in self._pylsl.resolve_byprop("name", info.name(), 1, AGAIN):
                if found.type() != info.type():
                    continue
                inlet, known, faults = self._look(found, wanted)
                for fault in [f for f in faults if f not in told]:
                    told.add(fault)
                    self._waiting.append(Lost("", fault))
                if known:
                    return inlet, known
        return None


def _described(info: Any) -> list[tuple[str, str]]:
    """Label and unit of each channel as the metadata say; empty where they do not."""
    found = []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        found.append((channel.child_value("label"), channel.child_value("unit")))
        channel = channel.next_sibling("channel")
    return found
