"""Short gaps bridged by a straight line, with limits that a modality can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing._step import Mode, SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.gaps import bridge, missing_samples
from dolorimeter.types import Recording, Signal

LONGEST_GAP: Mapping[str, float] = {
    "ecg": 0.05,
    "ppg": 0.1,
    "resp": 0.5,
    "eda": 1.0,
    "emg_trapezius_rectified": 0.05,
    "emg_corrugator_rectified": 0.05,
    "emg_zygomaticus_rectified": 0.05,
    "fnirs": 1.0,
    "fnirs_hbo": 1.0,
    "fnirs_hbr": 1.0,
    "hr": 3.0,
    "spo2": 3.0,
    "temperature": 10.0,
}
"""Longest gap in seconds that a straight line may replace, per modality.

Half of what the fastest event of the modality takes, so that none can lie wholly inside a gap:
a QRS complex takes 0.08 to 0.12 s (Task Force 1996), the upstroke of a pulse about 0.2 s (Allen
2007), an inspiration of a fast breath 1 s, a response of the skin 1 to 3 s to its peak (Boucsein
2012) after 1 s without any, a burst of muscle activity 0.1 s, a haemodynamic response several
seconds. Oximeters and heart rate monitors average over 3 s and more. Raw muscle activity has no
limit because nothing of it survives a straight line: it needs `longest`.
"""


@PREPROCESSING.register(
    Card(
        "bridge", "Short gaps as a straight line between the samples beside them; longer stay NaN"
    )
)
@dataclass(frozen=True, kw_only=True)
class Bridge(Step):
    """Missing samples replaced by a straight line where the gap is short.

    Gaps at the very start or end of the window stay NaN: on one side nothing is known. The number
    of windows with a bridged gap, and with one that is too long, is in the notes.

    Parameters
    ----------
    longest : float, optional
        Seconds. Default: `LONGEST_GAP` of the modality.
    most : float
        Largest share of samples that may be bridged; above it the gaps stay NaN. Default 0.2.

    Examples
    --------
    >>> values = np.array([[1.0, np.nan, 3.0, np.nan, np.nan, np.nan, 7.0]])
    >>> signal = Signal(values, 4.0, "S", True, "conductance")
    >>> step = Bridge(longest=0.5, modalities=["eda"])
    >>> step(Recording("study", "s1", "r1", signals={"eda": signal})).signals["eda"].values
    array([[ 1.,  2.,  3., nan, nan, nan,  7.]])
    """

    MODES = ("window", "recording")
    SUBSTITUTE = "mode = 'window', which bridges inside each window"

    mode: Mode = "window"
    longest: float | None = None
    most: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.longest is not None and not (np.isfinite(self.longest) and self.longest > 0):
            raise ConfigError(
                f"bridge: longest is {self.longest}, expected a positive number of seconds."
            )
        if not 0 < self.most <= 1:
            raise ConfigError(f"bridge: most is {self.most}, expected a share above 0, up to 1.")
        if self.longest is None:
            self._check_known()

    def _check_known(self) -> None:
        unknown = [name for name in self.modalities if name not in LONGEST_GAP]
        if unknown:
            raise ConfigError(
                f"bridge has no limit for {', '.join(unknown)}: state one, as in longest = 0.05 "
                f"(seconds). It has one for {', '.join(LONGEST_GAP)}."
            )

    def acts_on(self, modality: str) -> bool:
        """Whether the step changes that signal: never one without a limit."""
        known = self.longest is not None or modality in LONGEST_GAP
        return known and super().acts_on(modality)

    def remarks(self, recording: Recording) -> tuple[str, ...]:
        """One text for a signal with bridged gaps, one for a signal with gaps that stay."""
        texts = []
        for name, signal in recording.signals.items():
            missing = missing_samples(signal.values)
            if not self.acts_on(name) or not missing.any():
                continue
            limit = self._limit(name)
            short = self._short(signal.values, limit * signal.sampling_rate)
            if short.any():
                texts.append(f"bridge: gaps of {name} of up to {limit:g} s were bridged")
            if (missing & ~short).any():
                texts.append(
                    f"bridge: gaps of {name} stay missing (longer than {limit:g} s, at the edge, "
                    f"or more than {self.most:.0%} of the samples)"
                )
        return tuple(texts)

    def _limit(self, name: str) -> float:
        return LONGEST_GAP[name] if self.longest is None else self.longest

    def _apply(self, signal: Signal, name: str, memory: dict[str, SignalStream] | None) -> Signal:  # noqa: ARG002 - no memory
        filled, missing = bridge(signal.values)
        if not missing.any():
            return signal
        short = self._short(signal.values, self._limit(name) * signal.sampling_rate)
        return replace(signal, values=np.where(short, filled, signal.values))

    def _short(
        self, values: Float[np.ndarray, "channel time"], longest: float
    ) -> Bool[np.ndarray, "channel time"]:
        """Samples inside gaps of at most `longest` samples with a neighbour on either side."""
        short = missing_samples(values)
        for row in short:
            edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(np.int8), [0]])))
            for start, stop in edges.reshape(-1, 2).tolist():
                inside = start > 0 and stop < row.size
                row[start:stop] = inside and stop - start <= longest * (1 + 1e-9)
            if row.mean() > self.most:
                row[:] = False
        return short
