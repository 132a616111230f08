"""Skin conductance: its slow and its fast part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.eda import SPLIT_FREQUENCY, tonic_phasic
from dolorimeter.signals.filters import CausalFilter, design

_SOURCE = "Boucsein, Electrodermal Activity, 2nd ed. (2012), ch. 2.2; split as in AcqKnowledge"


class _Remainder:
    """What a filter takes away."""

    def __init__(self, stream: SignalStream) -> None:
        self._stream = stream

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        return chunk - self._stream.push(chunk)


def _fast(sampling_rate: float, channels: int) -> SignalStream:
    return CausalFilter(design("highpass", SPLIT_FREQUENCY, sampling_rate, 2), channels)


@PREPROCESSING.register(
    Card("tonic", "Skin conductance level: slower than 0.05 Hz", paper=_SOURCE)
)
@dataclass(frozen=True, kw_only=True)
class Tonic(Step):
    """The slow part; together with `Phasic` in the same mode it adds up to the signal."""

    modalities: Sequence[str] = ("eda",)

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return _Remainder(_fast(sampling_rate, channels))

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        return tonic_phasic(values, sampling_rate)[0]


@PREPROCESSING.register(
    Card("phasic", "Skin conductance responses: faster than 0.05 Hz", paper=_SOURCE)
)
@dataclass(frozen=True, kw_only=True)
class Phasic(Step):
    """The fast part, around zero."""

    modalities: Sequence[str] = ("eda",)

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return _fast(sampling_rate, channels)

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        return tonic_phasic(values, sampling_rate)[1]
