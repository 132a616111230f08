"""Levels taken away: baseline correction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.filters import CausalFilter


class _AboveRunningMean:
    """Each sample minus the exponential running mean that ends with it."""

    def __init__(self, sampling_rate: float, channels: int, duration: float) -> None:
        share = -np.expm1(-1.0 / (duration * sampling_rate))
        sos = np.array([[share, 0.0, 0.0, 1.0, share - 1.0, 0.0]])
        self._mean = CausalFilter(sos, channels)

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        return chunk - self._mean.push(chunk)


@PREPROCESSING.register(Card("baseline_correct", "The signal minus a mean that came before"))
@dataclass(frozen=True, kw_only=True)
class BaselineCorrect(Step):
    """The signal minus its baseline, channel by channel.

    Parameters
    ----------
    duration : float
        Seconds. In mode ``window`` the baseline is the mean of the first `duration` seconds of
        what was cut out (with a margin before the window: of that margin); in ``recording``, of
        the first `duration` seconds of the recording; in ``causal``, an exponential running mean
        with this time constant.
    """

    MODES = ("causal", "window", "recording")
    SUBSTITUTE = "mode = 'window', or 'causal', which takes away a running mean"

    duration: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.duration) and self.duration > 0):
            raise ConfigError(
                f"baseline_correct: duration is {self.duration}, expected a positive number of "
                "seconds."
            )

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return _AboveRunningMean(sampling_rate, channels, self.duration)

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        count = round(self.duration * sampling_rate)
        if not 1 <= count <= values.shape[1]:
            raise SignalError(
                f"a baseline of {self.duration:g} s asked of "
                f"{values.shape[1] / sampling_rate:g} s at {sampling_rate:g} Hz: "
                "choose one that is at least a sample and fits."
            )
        first = values[:, :count]
        known = np.isfinite(first)
        if not known.any(axis=1).all():
            raise SignalError(
                f"the baseline of {self.duration:g} s holds no sample in "
                f"{int((~known.any(axis=1)).sum())} of {len(values)} channels: choose a longer "
                "one."
            )
        total = np.where(known, first, 0.0).sum(axis=1, keepdims=True)
        return values - total / known.sum(axis=1, keepdims=True)
