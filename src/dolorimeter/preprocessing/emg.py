"""Muscle activity: rectification, envelope, and denoising by empirical modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dolorimeter.preprocessing._step import EMG, Mode, SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.emd import SIFTINGS, denoise
from dolorimeter.signals.emg import CausalEnvelope, envelope, rectify
from dolorimeter.types import RECTIFIED, Signal


class _Rectifier:
    """`rectify` as a stream; it has no memory."""

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        return rectify(chunk)


@dataclass(frozen=True, kw_only=True)
class _Rectifying(Step):
    """A step after which the level of the signal is the activity of the muscle."""

    def _apply(self, signal: Signal, name: str, memory: dict[str, SignalStream] | None) -> Signal:
        return replace(super()._apply(signal, name, memory), quantity=RECTIFIED)


@PREPROCESSING.register(Card("rectify", "Absolute value, sample by sample"))
@dataclass(frozen=True, kw_only=True)
class Rectify(_Rectifying):
    """Full-wave rectification; take away the offset first, with a high-pass."""

    MODES = ("causal",)

    modalities: Sequence[str] = EMG

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:  # noqa: ARG002 - no memory
        return _Rectifier()


@PREPROCESSING.register(
    Card(
        "envelope",
        "Moving root mean square",
        paper="Merletti and Farina, Surface Electromyography (2016), ch. 4",
    )
)
@dataclass(frozen=True, kw_only=True)
class Envelope(_Rectifying):
    """Root mean square over a moving stretch, in the signal's unit.

    Parameters
    ----------
    duration : float
        Seconds: the last ones in the causal mode, centred otherwise.
    """

    SUBSTITUTE = "mode = 'causal', which looks at the last seconds instead of around each sample"

    modalities: Sequence[str] = EMG
    duration: float = 0.1

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return CausalEnvelope(sampling_rate, channels, self.duration)

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        return envelope(values, sampling_rate, self.duration)


@PREPROCESSING.register(
    Card(
        "emd_denoise",
        "Soft thresholds on empirical modes, from the quietest second",
        paper="Andrade et al., Biomed. Signal Process. Control 1:44 (2006)",
        differences=(
            "The noise level is that of the quietest stretch of the signal itself; the paper "
            "takes a stretch that somebody marked.",
        ),
    )
)
@dataclass(frozen=True, kw_only=True)
class EmdDenoise(Step):
    """Denoising of muscle activity: `dolorimeter.signals.emd.denoise`.

    Take away the offset and drifts first, with a band-pass or high-pass.

    Parameters
    ----------
    factor : float
        Threshold of each mode, in its noise levels.
    quiet : float
        Seconds of the quietest stretch, which tells them.
    siftings : int
        Of each mode.
    """

    MODES = ("window", "recording")
    SUBSTITUTE = "mode = 'window', which knows the quietest second of the window alone"

    mode: Mode = "window"
    modalities: Sequence[str] = EMG
    factor: float = 1.0
    quiet: float = 1.0
    siftings: int = SIFTINGS

    def _whole(
        self, values: Float[np.ndarray, "channel time"], sampling_rate: float
    ) -> Float[np.ndarray, "channel time"]:
        return denoise(
            values,
            sampling_rate,
            factor=self.factor,
            quiet=self.quiet,
            siftings=self.siftings,
        )
