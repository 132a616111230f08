"""Windows of signals in memory, all at one rate; what is missing is NaN, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from dolorimeter.errors import ConfigError, DolorimeterError, RecordingError, SignalError
from dolorimeter.pretraining._masked_config import MaskedSignal, SignalConfig
from dolorimeter.pretraining._people import (
    Listing,
    check_any,
    recordings_of,
    steps_along,
    windows_of,
)
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._tasks import Person
from dolorimeter.signals.resampling import resample
from dolorimeter.signals.scaling import NOISE, window_minmax
from dolorimeter.types import Recording, Signal, Window
from dolorimeter.windows import WindowSpec

STILL = 1e-9
"""A range below that share of the largest value is a constant: nothing can be learned of it."""
MEMORY = 16 * 2**30
"""Bytes that all windows may take."""
Samples = Float32[np.ndarray, "channel time"]


class SignalRows:
    """Windows as (channel, time), in the order of the recordings.

    Attributes
    ----------
    listing : Listing
    samples : list of arrays
        NaN where a sample is missing.
    substituted : mapping of str to int
        What was put in the place of something else.
    """

    def __init__(self, config: MaskedSignal) -> None:
        self.config = config
        self.names = tuple(signal.name for signal in config.signals)
        self.substituted: Counter[str] = Counter()
        self.samples: list[Samples] = []
        spec = from_plain(WindowSpec, config.windows, "windows")
        steps = steps_along(config.preprocessing)
        left_out: Counter[str] = Counter()
        people: list[Person] = []
        for data in config.datasets:
            for namespace, recording in recordings_of(data, left_out):
                try:
                    loaded = self._prepared(recording, steps)
                except DolorimeterError as error:
                    left_out[str(error)] += 1
                    continue
                for window in self._windows(loaded, spec, left_out):
                    self._add(window, left_out)
                people += [(namespace, recording.subject)] * (len(self.samples) - len(people))
        check_any(people, config.datasets, left_out)
        self.listing = Listing(tuple(people), dict(left_out))

    def _prepared(self, recording: Recording, steps: Sequence[object]) -> Recording:
        """Its signals that are learned from, in memory, after the steps, at the common rate."""
        loaded = recording.load()
        loaded = replace(
            loaded, signals={n: s for n, s in loaded.signals.items() if n in self.names}
        )
        for step in steps:
            loaded = step(loaded)  # type: ignore[operator]  # steps are callable dataclasses
        signals = {}
        for signal in self.config.signals:
            found = loaded.signals.get(signal.name)
            if found is None:
                self.substituted[f"{signal.name} is missing in a recording: masked out"] += 1
            elif len(found.values) != signal.channels:
                raise RecordingError(
                    f"{signal.name} has {len(found.values)} channels in a recording, expected "
                    f"{signal.channels}: set channels"
                )
            else:
                signals[signal.name] = self._at_rate(found, signal)
        return replace(loaded, signals=signals)

    def _at_rate(self, found: Signal, signal: SignalConfig) -> Signal:
        rate = self.config.sampling_rate
        if found.sampling_rate == rate:
            return found
        told = f"{signal.name} of a recording, brought from {found.sampling_rate:g} to {rate:g} Hz"
        self.substituted[told] += 1
        values = resample(found.values, found.sampling_rate, rate)
        return replace(found, values=values, sampling_rate=rate)

    def _windows(
        self, recording: Recording, spec: WindowSpec, left_out: Counter[str]
    ) -> Sequence[Window]:
        if not self.config.whole:
            return windows_of(recording, spec, self.names, left_out)
        if not recording.signals:
            left_out["a recording without any of the signals"] += 1
            return ()
        start = max(signal.start for signal in recording.signals.values())
        stop = min(signal.stop for signal in recording.signals.values())
        if stop <= start:
            left_out["a recording whose signals do not overlap in time"] += 1
            return ()
        return (Window(recording, start, min(spec.duration, stop - start)),)

    def _add(self, window: Window, left_out: Counter[str]) -> None:
        """One window, scaled where each is scaled by itself."""
        time = round(window.duration * self.config.sampling_rate)
        parts = []
        for signal in self.config.signals:
            part = np.full((signal.channels, time), np.nan)
            if signal.name in window.recording.signals:
                try:
                    values = window.signal(signal.name).values[:, :time]
                    part[:, : values.shape[1]] = values
                except SignalError:
                    self.substituted[f"{signal.name} does not cover a window: masked out"] += 1
            parts.append(self._scaled(part, signal))
        found = np.concatenate(parts).astype(np.float32)
        if np.isnan(found).all():
            left_out["a window without a sample that varies"] += 1
            return
        self.samples.append(found)
        if len(self.samples) * found.nbytes > MEMORY:
            raise ConfigError(
                f"windows take more than {MEMORY / 2**30:g} GiB in memory. Take fewer people, "
                "longer steps between windows, or a lower sampling_rate."
            )

    def _scaled(self, part: np.ndarray, signal: SignalConfig) -> np.ndarray:
        """Constant channels are missing: their masked samples would teach that a line is level."""
        known = np.isfinite(part)
        part = np.where(known, part, np.nan)
        high = np.where(known, part, -np.inf).max(axis=1)
        low = np.where(known, part, np.inf).min(axis=1)
        some = known.any(axis=1)
        size = np.where(some, np.maximum(np.abs(high), np.abs(low)), 0.0)
        still = some & (np.where(some, high - low, 0.0) <= STILL * size)
        if still.any():
            self.substituted[f"{signal.name} is constant in a window: masked out"] += int(
                still.sum()
            )
            part[still] = np.nan
        if self.config.scaling == "window_minmax":
            part, floored = window_minmax(part, NOISE.get(signal.name, (0.0, ""))[0])
            moving = floored & ~still & some
            if moving.any():
                told = f"{signal.name} moves less than its noise in a window: scaled by the floor"
                self.substituted[told] += int(moving.sum())
        return part
