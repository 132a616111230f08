"""What every preprocessing step is: a frozen description that turns a Recording into a Recording.

The scope says where a step may stand. `window`: it acts inside one cut window (`windows.isolate`),
the same offline and live. `causal`: it runs along the recording with a memory of the past, and
`stream` is that very code fed chunk by chunk. `recording`: it sees the whole recording, future
included; a live session refuses it and names `live_substitute`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import Card
from dolorimeter.types import LazySignals, Recording, Scope, Signal

Mode = Literal["causal", "window", "zero_phase", "recording"]

SCOPES: Mapping[Mode, Scope] = {
    "causal": "causal",
    "window": "window",
    "zero_phase": "recording",
    "recording": "recording",
}
"""What a mode means for where a step may stand."""

EMG = ("emg_trapezius", "emg_corrugator", "emg_zygomaticus")


@runtime_checkable
class SignalStream(Protocol):
    """A step in real time: chunks in, chunks out, the concatenation the same for any chunking."""

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time2"]:
        """What can be given once the chunk has arrived."""
        ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """A preprocessing step.

    Parameters
    ----------
    mode : str
        ``causal`` (default: past only, with state), ``window`` (inside one cut window) or
        ``zero_phase`` / ``recording`` (over the whole recording); a step lists its own in `MODES`.
    modalities : sequence of str
        Signals it acts on; empty means all. Signals a recording lacks are passed over.
    """

    card: ClassVar[Card]
    MODES: ClassVar[tuple[Mode, ...]] = ("causal", "window", "zero_phase")
    SUBSTITUTE: ClassVar[str] = "mode = 'causal', which lags behind"

    mode: Mode = "causal"
    modalities: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.mode not in self.MODES:
            raise ConfigError(
                f"{self.card.name} has no mode '{self.mode}'; it has: {', '.join(self.MODES)}."
            )
        if isinstance(self.modalities, str):
            raise ConfigError(
                f"{self.card.name}: modalities is the text '{self.modalities}', expected a list, "
                f"such as ['{self.modalities}']."
            )
        object.__setattr__(self, "modalities", tuple(self.modalities))

    @property
    def scope(self) -> Scope:
        """Where the step may stand: ``window``, ``causal`` or ``recording``."""
        return SCOPES[self.mode]

    @property
    def live_substitute(self) -> str:
        """What to take instead in a live session; empty where the step itself runs live."""
        return self.SUBSTITUTE if self.scope == "recording" else ""

    def only(self, modality: str) -> Step:
        """The same step, acting on one modality of those it acts on."""
        if self.modalities and modality not in self.modalities:
            raise ConfigError(
                f"{self.card.name} acts on {', '.join(self.modalities)}, not on '{modality}'."
            )
        return replace(self, modalities=(modality,))

    def acts_on(self, modality: str) -> bool:
        """Whether the step changes that signal."""
        return not self.modalities or modality in self.modalities

    def remarks(self, recording: Recording) -> tuple[str, ...]:  # noqa: ARG002 - most have none
        """What a report must say of the step on this recording, in words that can be counted."""
        return ()

    def output_rate(self, sampling_rate: float) -> float:
        """Sampling rate of what comes out, in hertz."""
        return sampling_rate

    def stream(self, sampling_rate: float, channels: int) -> SignalStream:
        """The step in real time.

        Raises
        ------
        SignalError
            If the step is not causal.
        """
        self._check_causal()
        return self._stream(sampling_rate, channels)

    def _check_causal(self) -> None:
        if self.scope != "causal":
            raise SignalError(
                f"{self.card.name} in mode '{self.mode}' needs the future and cannot run as a "
                f"stream: take {self.SUBSTITUTE}."
            )

    def advance(self, chunk: Recording, memory: dict[str, SignalStream]) -> Recording:
        """The next chunk of a recording that is still going on, with the step applied.

        Parameters
        ----------
        chunk : Recording
            In memory; its signals hold only what is new.
        memory : dict
            Empty at first; the step keeps its state of each signal in it.

        Raises
        ------
        SignalError
            If the step is not causal, or a signal cannot carry it.
        """
        self._check_causal()
        return replace(chunk, signals=self._signals(chunk, memory))

    def __call__(self, recording: Recording) -> Recording:
        """The recording with the step applied; signals that are read lazily stay lazy.

        Raises
        ------
        SignalError
            If a signal cannot carry the step; with lazy signals, when they are read.
        """
        if isinstance(recording.signals, LazySignals):
            names = self._names(tuple(recording.signals))
            return replace(
                recording, signals=LazySignals(names, partial(_processed, self, recording))
            )
        return replace(recording, signals=self._signals(recording))

    def _names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names

    def _signals(
        self, recording: Recording, memory: dict[str, SignalStream] | None = None
    ) -> dict[str, Signal]:
        done = {}
        for name, signal in recording.signals.items():
            try:
                done[name] = self._apply(signal, name, memory) if self.acts_on(name) else signal
            except SignalError as error:
                raise SignalError(
                    f"{self.card.name} on {name} of recording {recording.name}: {error}"
                ) from error
        return done

    def _apply(self, signal: Signal, name: str, memory: dict[str, SignalStream] | None) -> Signal:
        """The signal after the step; `memory` keeps the state of a signal that goes on."""
        rate = signal.sampling_rate
        if self.scope == "causal":
            stream = None if memory is None else memory.get(name)
            if stream is None:
                stream = self._stream(rate, signal.values.shape[0])
            if memory is not None:
                memory[name] = stream
            values = stream.push(signal.values)
        else:
            values = self._whole(signal.values, rate)
        return replace(signal, values=values, sampling_rate=self.output_rate(rate))

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        raise NotImplementedError

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time2"]:
        raise NotImplementedError


def _processed(step: Step, recording: Recording) -> dict[str, Signal]:
    return step._signals(recording.load())
