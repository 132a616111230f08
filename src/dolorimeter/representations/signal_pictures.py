"""Signals as pictures: a line, or a spectrogram in colour, one picture a channel."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._pictures import BATCH, Pictures
from dolorimeter.representations._windows import channel_names, read
from dolorimeter.signals import pictures as drawing
from dolorimeter.types import Signal, Window

GAPS = "the signal holds NaN inside the window: a line cannot be drawn through nothing"
_PAPER = "Gkikas, Fernandez Rojas, Tsiknakis: PainFormer. IEEE Trans. Affective Computing, 2025"
_DOI = "10.1109/TAFFC.2025.3605475"


@dataclass(frozen=True)
class SignalPictures(Pictures):
    """One modality of a window as pictures, in the order of its channels.

    Parameters
    ----------
    modality : str
        Name of the signal.
    offset : float
        Seconds added to the start of every window.
    duration : float, optional
        Seconds; None keeps the window's own.
    size : int
        Side of a picture in pixels.
    """

    pictures_of_people: ClassVar[bool] = False

    modality: str
    offset: float = 0.0
    duration: float | None = None
    size: int = drawing.SIZE

    def __post_init__(self) -> None:
        if self.duration is not None and not self.duration > 0:
            raise ConfigError(
                f"{self.card.name} {self.modality}: duration is {self.duration}, expected above 0."
            )
        if self.size < 1:
            raise ConfigError(f"{self.card.name}: size is {self.size}, expected 1 or more pixels.")

    @abstractmethod
    def drawn(self, signal: Signal) -> UInt8[np.ndarray, "picture 3 size size"]:
        """The pictures of one window's signal, without NaN."""

    def missing(self, window: Window) -> str | None:
        """Why the window has no pictures, in words that can be counted; None if it has."""
        found = self._signal(window)
        if isinstance(found, str):
            return found
        if not np.isfinite(found.values).all():
            return GAPS
        fault = self.fault(found)
        return None if fault is None else fault.rstrip(".")

    def fault(self, signal: Signal) -> str | None:
        """Why so short or so slow a signal cannot be drawn; None if it can."""
        return drawing.waveform_fault(signal.values.shape[1])

    def picture_count(self, window: Window) -> int:
        """One a channel.

        Raises
        ------
        SignalError
            If the window has no such signal.
        """
        found = self._signal(window)
        if isinstance(found, str):
            raise SignalError(f"{self.modality} of {window.recording.name}: {found}.")
        return len(found.values)

    def remarks(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Nothing needs to be said of a drawing."""
        del windows
        return ()

    def extent(self, window: Window) -> tuple[float, float, float, float]:
        """Seconds of the stretch at the left and right edge of a picture, and hertz (or NaN).

        Raises
        ------
        SignalError
            If the window has no such signal.
        """
        found = self._signal(window)
        if isinstance(found, str):
            raise SignalError(f"{self.modality} of {window.recording.name}: {found}.")
        return self.extent_of(found)

    def extent_of(self, signal: Signal) -> tuple[float, float, float, float]:
        """Of a signal's own picture: the whole signal from edge to edge, and no frequencies."""
        return 0.0, signal.duration, math.nan, math.nan

    def channels(self, window: Window) -> tuple[str, ...]:
        """A name for every channel; empty where the window has no such signal."""
        found = self._signal(window)
        return () if isinstance(found, str) else channel_names(found, self.modality)

    def sequence(self, window: Window) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The window's pictures in the order of channels, height × width × RGB.

        Raises
        ------
        SignalError
            If the window has none.
        """
        for batch in self.pictures(window):
            yield from batch.transpose(0, 2, 3, 1)

    def pictures(self, window: Window) -> Iterator[UInt8[np.ndarray, "batch 3 side side"]]:
        """The window's pictures in the order of channels, at most `BATCH` at once.

        Raises
        ------
        SignalError
            If the window has none, or its signal cannot be drawn so.
        """
        found = self._signal(window)
        reason = found if isinstance(found, str) else self.missing(window)
        if isinstance(found, str) or reason is not None:
            raise SignalError(f"{self.modality} of {window.recording.name}: {reason}.")
        drawn = self.drawn(found)
        for first in range(0, len(drawn), BATCH):
            yield drawn[first : first + BATCH]

    def _signal(self, window: Window) -> Signal | str:
        ((_, found),) = read([window], self.modality, self.offset, self.duration)
        return found


@REPRESENTATIONS.register(
    Card(
        name="waveform",
        summary="A signal as a black line on white, 224 × 224: one picture a channel.",
        paper=_PAPER,
        doi=_DOI,
        differences=("Line width, margins and the absence of axes are ours: nobody states them.",),
    )
)
@dataclass(frozen=True)
class Waveform(SignalPictures):
    """The signal as a black line on white, in its own range of values, without axes.

    Parameters
    ----------
    stacked : bool
        All channels in one picture, one below the other, for signals of many channels (fNIRS).
    """

    stacked: bool = False

    def drawn(self, signal: Signal) -> UInt8[np.ndarray, "picture 3 size size"]:
        """One picture a channel, or one of all."""
        if self.stacked:
            return drawing.stacked_waveforms(signal.values[None], size=self.size)
        return drawing.waveforms(signal.values, size=self.size)

    def picture_count(self, window: Window) -> int:
        """One a channel, or one; `SignalError` if the window has no such signal."""
        count = super().picture_count(window)
        return 1 if self.stacked else count


class _Spectrogram(SignalPictures):
    quantity: ClassVar[drawing.Quantity]

    def drawn(self, signal: Signal) -> UInt8[np.ndarray, "picture 3 size size"]:
        return drawing.spectrogram_pictures(
            signal.values, signal.sampling_rate, self.quantity, size=self.size
        )

    def fault(self, signal: Signal) -> str | None:
        return drawing.spectrogram_fault(signal.values.shape[1], signal.sampling_rate)

    def extent_of(self, signal: Signal) -> tuple[float, float, float, float]:
        return drawing.spectrogram_extent(signal.values.shape[1], signal.sampling_rate)


def _card(quantity: str, what: str) -> Card:
    return Card(
        name=f"spectrogram_{quantity}",
        summary=f"Spectrogram in viridis, 224 × 224: {what}; one picture a channel.",
        paper=_PAPER,
        doi=_DOI,
        differences=(
            "The figure names no transform: Hann segments of 0.5 s, 75 % shared, are ours; below "
            "32 Hz they are 16 samples long.",
        ),
    )


@REPRESENTATIONS.register(_card("psd", "power spectral density in decibels"))
@dataclass(frozen=True)
class SpectrogramPSD(_Spectrogram):
    """Power spectral density over time."""

    quantity = "psd"


@REPRESENTATIONS.register(_card("angle", "phase, wrapped"))
@dataclass(frozen=True)
class SpectrogramAngle(_Spectrogram):
    """Phase of each frequency over time, −π…π."""

    quantity = "angle"


@REPRESENTATIONS.register(_card("phase", "phase, unwrapped along frequency"))
@dataclass(frozen=True)
class SpectrogramPhase(_Spectrogram):
    """Phase over time, unwrapped along frequency."""

    quantity = "phase"
