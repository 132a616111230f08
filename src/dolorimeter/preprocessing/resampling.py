"""Another sampling rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.resampling import CausalResampler, resample


@PREPROCESSING.register(
    Card(
        "resample",
        "Rational resampling with an anti-alias filter",
        paper="Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 4.6",
    )
)
@dataclass(frozen=True, kw_only=True)
class Resample(Step):
    """The signal at another sampling rate.

    The causal mode lags by ten samples of the slower rate
    (`dolorimeter.signals.resampling.CausalResampler.delay`); the others are aligned in time.

    Parameters
    ----------
    sampling_rate : float
        Hertz.
    """

    SUBSTITUTE = "mode = 'causal', which lags by ten samples of the slower rate"

    sampling_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise ConfigError(
                f"resample: sampling_rate is {self.sampling_rate}, expected a positive number of "
                "hertz."
            )

    def output_rate(self, sampling_rate: float) -> float:  # noqa: ARG002 - whatever comes in
        """The rate asked for."""
        return self.sampling_rate

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return CausalResampler(sampling_rate, self.sampling_rate, channels)

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time2"]:
        return resample(values, sampling_rate, self.sampling_rate)
