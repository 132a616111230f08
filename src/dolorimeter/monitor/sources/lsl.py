"""Lab Streaming Layer: signals of any recorder that speaks it, found by type, name or label.

Units and channel names come from the stream's metadata, times from the recorder's clock, put on
this machine's by LSL's own clock offsets and freed of jitter. A thread a stream pulls samples; a
session takes what is new. A stream that goes is looked for again until it is back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dolorimeter.datasets._open import NAMES, QUANTITIES, field_name, to_si
from dolorimeter.errors import DependencyError, MonitorError
from dolorimeter.monitor.sources._items import Begins, Chunk, Item, Lost
from dolorimeter.types import Signal

RESOLVE = 2.0
"""Seconds that streams are looked for at the start."""
AGAIN = 1.0
"""Seconds between two looks for a stream that went."""
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
        try:
            import pylsl
        except (ImportError, RuntimeError) as error:  # RuntimeError: no liblsl for this machine
            raise DependencyError(
                "the source lsl needs pylsl, which is not installed or finds no liblsl. "
                "Install it with: pip install 'dolorimeter[monitor]'"
            ) from error
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
            raise MonitorError(
                f"no LSL stream with {' or '.join(wanted)} was found within {self._resolve:g} s "
                f"(there: {there}). {' '.join(faults)} Start the recorder, or name the stream: "
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
        for row, (label, unit) in enumerate(_described(inlet.info(timeout=5.0))):
            modality = self._modality(info, label)
            if modality not in wanted or any(c.modality == modality for c in channels):
                continue
            stated = self._query.units.get(modality, unit)
            known = to_si(stated)
            if known is None or not self._fits(modality, known[1]):
                faults.append(
                    f"channel '{label}' of stream '{info.name()}' is in "
                    f"{stated or 'an unstated unit'!r}, which is none of {modality}: give it as "
                    f"unit.{modality}=…"
                )
                continue
            if not info.nominal_srate() > 0:
                faults.append(
                    f"stream '{info.name()}' has an irregular rate: {modality} needs a regular one"
                )
                continue
            quantity = QUANTITIES.get(modality, "other")
            like = Signal(np.empty((1, 0)), info.nominal_srate(), known[1], True, quantity)
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
        return wanted.get(QUANTITIES.get(modality, ""), unit) == unit

    def _begin(self, info: Any, inlet: Any, channels: Sequence[_Channel]) -> None:
        thread = threading.Thread(
            target=self._pull, args=(info, inlet, channels), name="dolorimeter-lsl", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _pull(self, info: Any, inlet: Any, channels: Sequence[_Channel]) -> None:
        """The thread of one stream: pull, and look for it again when it goes."""
        begun = False
        while not self._stop.is_set():
            try:
                rows, stamps = inlet.pull_chunk(timeout=PULL, max_samples=4096)
            except self._pylsl.util.LostError:
                for channel in channels:
                    self._waiting.append(Lost(channel.modality, f"stream '{info.name()}' is gone"))
                inlet, begun = self._found_again(info), False
                if inlet is None:
                    return
                continue
            if not len(stamps):
                continue
            times = np.asarray(stamps) + self._offset
            values = np.asarray(rows, dtype=float).T  # (channel, time)
            for channel in channels:
                like = channel.like
                if not begun:
                    start = float(times[0])
                    like = Signal(np.empty((1, 0)), like.sampling_rate, like.unit, True,
                                  like.quantity, start=start)  # fmt: skip
                    self._waiting.append(Begins(channel.modality, like))
                self._waiting.append(
                    Chunk(
                        channel.modality,
                        float(times[0]),
                        values[channel.row : channel.row + 1] * channel.factor,
                        float(times[-1]) + 1 / like.sampling_rate,
                    )
                )
            begun = True

    def _found_again(self, info: Any) -> Any:
        """A new inlet to a stream of that name and type, or None when all is over."""
        while not self._stop.wait(AGAIN):
            for found in self._pylsl.resolve_byprop("name", info.name(), 1, AGAIN):
                if found.type() == info.type():
                    return self._pylsl.StreamInlet(found, max_buflen=10, recover=False)
        return None


def _described(info: Any) -> list[tuple[str, str]]:
    """Label and unit of each channel as the metadata say; empty where they do not."""
    found = []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        found.append((channel.child_value("label"), channel.child_value("unit")))
        channel = channel.next_sibling("channel")
    return found
