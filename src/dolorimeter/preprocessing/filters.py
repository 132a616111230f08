"""Frequency filters: low-pass, high-pass, band-pass and mains notch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.preprocessing._step import Step, Stream
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.filters import (
    CausalFilter,
    Sections,
    design,
    notch_design,
    zero_phase,
)

_BUTTERWORTH = "Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 7"


@dataclass(frozen=True, kw_only=True)
class _Filter(Step):
    """A step that is one filter; the subclasses say which."""

    def _sos(self, sampling_rate: float) -> Sections:
        raise NotImplementedError

    def _stream(self, sampling_rate: float, channels: int) -> Stream:
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
    """Band-pass filter.

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
        return design("bandpass", (self.low, self.high), sampling_rate, self.order)


@PREPROCESSING.register(Card("notch", "Narrow notch at the mains frequency", paper=_BUTTERWORTH))
@dataclass(frozen=True, kw_only=True)
class Notch(_Filter):
    """Notch filter.

    Parameters
    ----------
    frequency : float
        Hertz: 50, or 60 in the Americas. There is no default, since a wrong one does nothing.
    q : float
        Frequency over width at half power.
    """

    frequency: float
    q: float = 30.0

    def _sos(self, sampling_rate: float) -> Sections:
        return notch_design(self.frequency, sampling_rate, self.q)
