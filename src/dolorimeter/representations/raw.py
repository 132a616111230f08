"""The signal itself, in the unit and at the rate that a network was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._represented import Represented, Undefined, count
from dolorimeter.representations._units import ARBITRARY, conversion
from dolorimeter.representations._windows import channel_names, read
from dolorimeter.signals.resampling import resample
from dolorimeter.signals.scaling import NOISE, window_minmax
from dolorimeter.types import Signal, Window

STANDARDISE = ("none", "zscore", "minmax", "window_minmax")
"""What `Raw` can do inside a window."""


@REPRESENTATIONS.register(
    Card(
        name="raw",
        summary="The signal of one modality: (window, channel, time), in the unit asked for.",
    )
)
@dataclass(frozen=True)
class Raw:
    """The signal of one modality as it is, cut, converted and, if asked, resampled.

    Parameters
    ----------
    modality : str
        Name of the signal (``"eda"``).
    offset : float
        Seconds added to the start of every window; skin conductance lags by seconds.
    duration : float, optional
        Seconds; None keeps the window's own.
    unit : str, optional
        What the network expects (``"uS"``); None keeps the signal's own.
    sampling_rate : float, optional
        Hertz; None keeps the signal's own.
    standardise : {"none", "zscore", "minmax", "window_minmax"}
        Inside each window and channel, from nothing but that window's samples. A flat channel
        becomes zeros. ``minmax`` is to 0…1, ``window_minmax`` to −1…1 with a floor under the
        range.
    floor : float, optional
        Of ``window_minmax``: least range, in the unit that comes out. None: what is known of the
        modality (`dolorimeter.signals.scaling.NOISE`), none in arbitrary units.
    """

    card: ClassVar[Card]
    modality: str
    offset: float = 0.0
    duration: float | None = None
    unit: str | None = None
    sampling_rate: float | None = None
    standardise: str = "none"
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.standardise not in STANDARDISE:
            raise ConfigError(
                f"standardise is '{self.standardise}', expected one of {', '.join(STANDARDISE)}."
            )
        if self.floor is not None and (self.floor < 0 or self.standardise != "window_minmax"):
            raise ConfigError(
                f"raw {self.modality}: floor is {self.floor} with standardise = "
                f"'{self.standardise}'; expected 0 or more, with 'window_minmax'."
            )
        for name in ("duration", "sampling_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"raw {self.modality}: {name} is {value}, expected above 0.")

    def __call__(self, windows: Sequence[Window]) -> Represented:
        """The windows as ``(window, channel, time)``.

        Raises
        ------
        SignalError
            If the unit does not convert, windows differ in channels, rate, unit or length, or no
            window has the signal, so that its shape is unknown.
        """
        undefined: list[Undefined] = []
        first: Signal | None = None
        x = np.empty((len(windows), 0, 0))
        present = np.zeros(len(windows), dtype=bool)
        flat = 0
        for row, found in read(windows, self.modality, self.offset, self.duration):
            if isinstance(found, str):
                undefined.append(Undefined(self.modality, found, 1))
                continue
            signal = self._prepare(found)
            if first is None:
                first = signal
                x = np.full((len(windows), *signal.values.shape), np.nan)
            self._check_alike(row, signal, first)
            x[row], constant = _standardised(
                signal.values, self.standardise, self._floor(signal.unit)
            )
            present[row] = True
            flat += constant
            undefined += _gaps(signal, self.modality)
        if first is None:
            reasons = "; ".join(dict.fromkeys(entry.reason for entry in undefined))
            raise SignalError(
                f"none of {len(windows):,} windows has {self.modality} ({reasons or 'none given'})"
                ", so the shape of the raw signal is unknown. Check the modality's name, offset "
                "and duration."
            )
        names = channel_names(first, self.modality)
        return Represented(
            x=x,
            names=names,
            units=(first.unit if self.standardise == "none" else "1",) * len(names),
            present=present,
            remarks=self._remarks(first, flat, len(windows)),
            undefined=count(undefined),
        )

    def _prepare(self, signal: Signal) -> Signal:
        """One window's signal in the unit and at the rate asked for."""
        if self.unit is not None and self.unit != signal.unit:
            factor = conversion(signal.unit, self.unit, self.modality)
            signal = replace(signal, values=signal.values * factor, unit=self.unit)
        rate = self.sampling_rate
        if rate is None or rate == signal.sampling_rate:
            return signal
        values = resample(signal.values, signal.sampling_rate, rate)
        return replace(signal, values=values, sampling_rate=rate)

    def _floor(self, unit: str) -> float:
        """Least range in a unit; 0 where nothing is known."""
        if self.floor is not None or self.standardise != "window_minmax":
            return self.floor or 0.0
        if unit == ARBITRARY or self.modality not in NOISE:
            return 0.0
        level, its_unit = NOISE[self.modality]
        return level * conversion(its_unit, unit, self.modality)

    def _check_alike(self, row: int, signal: Signal, first: Signal) -> None:
        """Raise `SignalError` unless the signal fits into one array with the first one."""
        found, wanted = _kind(signal, self.modality), _kind(first, self.modality)
        if found != wanted:
            raise SignalError(
                f"window {row} has {self.modality} of {found}, the first one of {wanted}: they do "
                "not fit into one array. Give `unit`, `sampling_rate` and `duration`, or select "
                "recordings with the same channels."
            )

    def _remarks(self, signal: Signal, flat: int, windows: int) -> tuple[str, ...]:
        remarks = []
        if not signal.unit_confirmed and self.standardise == "none":
            remarks.append(f"the unit of {self.modality} ({signal.unit}) is not confirmed.")
        if flat:
            remarks.append(
                f"{self.modality} is flat in {flat:,} of {windows:,} windows: standardising made "
                "it zero."
            )
        if self.standardise == "window_minmax" and self.floor is None:
            floor = self._floor(signal.unit)
            least = f"at least {floor:g} {signal.unit}" if floor else "as it is: no floor is known"
            remarks.append(
                f"{self.modality} was scaled to −1…1 in each window, its range taken {least}."
            )
        return tuple(remarks)


def _kind(signal: Signal, modality: str) -> str:
    channels = ", ".join(channel_names(signal, modality))
    return (
        f"{signal.values.shape[1]:,} samples at {signal.sampling_rate:g} Hz in {signal.unit} "
        f"({channels})"
    )


def _gaps(signal: Signal, modality: str) -> list[Undefined]:
    """An entry for each channel in which samples are missing."""
    missing = np.isnan(signal.values).any(axis=1)
    names = channel_names(signal, modality)
    return [
        Undefined(name, "samples are missing", 1)
        for name, gap in zip(names, missing, strict=True)
        if gap
    ]


def _standardised(
    values: Float[np.ndarray, "channel time"], how: str, floor: float = 0.0
) -> tuple[Float[np.ndarray, "channel time"], bool]:
    """Values standardised along time, and whether a channel was flat."""
    if how == "none":
        return values, False
    if how == "window_minmax":
        scaled, _ = window_minmax(values, floor)
        known = np.isfinite(scaled)
        return scaled, bool((known.any(axis=1) & ~(known & (scaled != 0)).any(axis=1)).any())
    lowest = values.min(axis=1, keepdims=True)
    spread = values.max(axis=1, keepdims=True) - lowest
    flat = spread <= 1e-12 * np.abs(values).max(axis=1, keepdims=True)
    if how == "minmax":
        scaled = (values - lowest) / np.where(flat, 1.0, spread)
    else:
        deviation = values.std(axis=1, keepdims=True)
        scaled = (values - values.mean(axis=1, keepdims=True)) / np.where(flat, 1.0, deviation)
    return np.where(flat, 0.0, scaled), bool(flat.any())
