"""Frequency filters: low-pass, high-pass, band-pass and mains notch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import SignalError
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.filters import (
    CausalFilter,
    Sections,
    band_design,
    design,
    notch_design,
    zero_phase,
)
from dolorimeter.types import Recording, Signal

_BUTTERWORTH = "Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 7"


@dataclass(frozen=True, kw_only=True)
class _Filter(Step):
    """A step that is one filter; the subclasses say which."""

    REFUSES_FILTERED: ClassVar[bool] = True

    def _apply(self, signal: Signal, name: str, memory: dict[str, SignalStream] | None) -> Signal:
        if signal.filtered and self.REFUSES_FILTERED:
            raise SignalError(
                f"the publishers have filtered the signal already ({signal.filtered}), and "
                "filtering twice is another filter. Leave the step out, or read the raw signal."
            )
        return super()._apply(signal, name, memory)

    def _sos(self, sampling_rate: float) -> Sections:
        raise NotImplementedError

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return CausalFilter(self._sos(sampling_rate), channels)

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        return zero_phase(values, self._sos(sampling_rate))


@PREPROCESSING.register(
    Card("lowpass", "Butterworth low-pass: what is slower than the cut", paper=_BUTTERWORTH)
)
@dataclass(frozen=True, kw_only=True)
class Lowpass(_Filter):
    """Low-pass filter.

    Parameters
    ----------
    cut : float
        Hertz, at half power (a quarter in the zero-phase modes, which filter twice).
    order : int
        Of the Butterworth filter.
    """

    cut: float
    order: int = 4

    def _sos(self, sampling_rate: float) -> Sections:
        return design("lowpass", self.cut, sampling_rate, self.order)


@PREPROCESSING.register(
    Card("highpass", "Butterworth high-pass: what is faster than the cut", paper=_BUTTERWORTH)
)
@dataclass(frozen=True, kw_only=True)
class Highpass(_Filter):
    """High-pass filter.

    Parameters
    ----------
    cut : float
        Hertz, at half power (a quarter in the zero-phase modes).
    order : int
        Of the Butterworth filter.
    """

    cut: float
    order: int = 4

    def _sos(self, sampling_rate: float) -> Sections:
        return design("highpass", self.cut, sampling_rate, self.order)


@PREPROCESSING.register(
    Card("bandpass", "Butterworth band-pass: what lies between two cuts", paper=_BUTTERWORTH)
)
@dataclass(frozen=True, kw_only=True)
class Bandpass(_Filter):
    """Band-pass filter; a high-pass where `high` is at or above 0.95 of half the sampling rate.

    Parameters
    ----------
    low, high : float
        Hertz, at half power (a quarter in the zero-phase modes).
    order : int
        Of the low-pass prototype.
    """

    low: float
    high: float
    order: int = 4

    def _sos(self, sampling_rate: float) -> Sections:
        return band_design(self.low, self.high, sampling_rate, self.order)[0]

    def remarks(self, recording: Recording) -> tuple[str, ...]:
        """Of which signals the upper cut was left out."""
        return tuple(
            f"bandpass {self.low:g}–{self.high:g} Hz of {name} was a high-pass at "
            f"{self.low:g} Hz: {self.high:g} Hz is {2 * self.high / signal.sampling_rate:.2f} of "
            "half the sampling rate"
            for name, signal in recording.signals.items()
            if self.acts_on(name)
            and band_design(self.low, self.high, signal.sampling_rate, self.order)[1]
        )


@PREPROCESSING.register(Card("notch", "Narrow notch at the mains frequency", paper=_BUTTERWORTH))
@dataclass(frozen=True, kw_only=True)
class Notch(_Filter):
    """Notch filter; also of signals that their publishers have filtered.

    Parameters
    ----------
    frequency : float
        Hertz: 50, or 60 in the Americas. There is no default, since a wrong one does nothing.
    q : float
        Frequency over width at half power.
    """

    REFUSES_FILTERED: ClassVar[bool] = False

    frequency: float
    q: float = 30.0

    def _sos(self, sampling_rate: float) -> Sections:
        return notch_design(self.frequency, sampling_rate, self.q)
