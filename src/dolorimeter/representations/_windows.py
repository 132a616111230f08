"""Reading one modality of many windows, with what is missing counted and not hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dolorimeter.errors import SignalError
from dolorimeter.types import Recording, Signal, Window

ABSENT = "the recording has no such signal"
BEYOND = "the window reaches beyond the signal"


def read(
    windows: Sequence[Window], modality: str, offset: float, duration: float | None
) -> Iterator[tuple[int, Signal | str]]:
    """Each window's signal, or the reason why there is none.

    Consecutive windows of one recording read its signal once.

    Parameters
    ----------
    offset : float
        Seconds added to the start of every window.
    duration : float or None
        Seconds; None keeps the window's own.

    Yields
    ------
    (int, Signal or str)
        Position of the window, and its stretch of the signal or a reason.
    """
    recording: Recording | None = None
    signal: Signal | None = None
    for row, window in enumerate(windows):
        if window.recording is not recording:
            recording = window.recording
            signal = recording.signals.get(modality)
        yield row, _crop(window, signal, offset, duration)


def channel_names(signal: Signal, modality: str) -> tuple[str, ...]:
    """A name for every channel: the signal's own, else the modality's (numbered if several)."""
    if signal.channels:
        return signal.channels
    count = signal.values.shape[0]
    return (modality,) if count == 1 else tuple(f"{modality}_{i + 1}" for i in range(count))


def _crop(
    window: Window, signal: Signal | None, offset: float, duration: float | None
) -> Signal | str:
    if signal is None:
        return ABSENT
    span = window.duration if duration is None else duration
    try:
        return signal.crop(window.start + offset, span)
    except SignalError:
        return BEYOND
