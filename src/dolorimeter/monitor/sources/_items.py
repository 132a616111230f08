"""What a source gives: signals and videos that begin, samples, frames, and losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.types import Signal


@dataclass(frozen=True)
class Begins:
    """A signal begins, or begins anew after its sensor came back.

    Parameters
    ----------
    modality : str
    like : Signal
        What it is; no samples. `start` is the time of the first one on the session's clock.
    """

    modality: str
    like: Signal


@dataclass(frozen=True)
class Chunk:
    """Samples of a signal.

    Parameters
    ----------
    modality : str
    start : float
        Time of the first sample, seconds on the session's clock.
    values : Float[np.ndarray, "channel time"]
        In the unit announced; NaN where a sample is missing.
    stop : float, optional
        Time of the last sample plus one period, where the recorder stamps it; else it follows from
        the rate.
    """

    modality: str
    start: float
    values: Float[np.ndarray, "channel time"]
    stop: float | None = None


@dataclass(frozen=True)
class VideoBegins:
    """A camera begins, or begins anew; `frame_rate` in hertz where it tells."""

    modality: str
    start: float
    frame_rate: float | None = None


@dataclass(frozen=True)
class Picture:
    """A frame: RGB, upright; `time` in seconds on the session's clock."""

    modality: str
    time: float
    image: UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Lost:
    """A modality gives nothing any more.

    Parameters
    ----------
    modality : str
    reason : str
        In words a page can show.
    for_good : bool
        Nothing will come again: a recording that is over.
    """

    modality: str
    reason: str
    for_good: bool = False


Item: TypeAlias = Begins | Chunk | VideoBegins | Picture | Lost


@runtime_checkable
class Source(Protocol):
    """Something that gives signals or video to a session. Called from one thread."""

    @property
    def title(self) -> str:
        """In words, for page and exports."""
        ...

    @property
    def lookalike(self) -> bool:
        """Whether it is made up: marked loudly wherever it is shown."""
        ...

    @property
    def follows_clock(self) -> bool:
        """Whether it gives whatever the session's clock asks for, at any speed."""
        ...

    @property
    def start(self) -> float:
        """Where its own time begins, in seconds; 0 for all but recordings."""
        ...

    def open(self, wanted: Sequence[str], now: float) -> None:
        """Begin, with these modalities if it has them; `now` is the session's time.

        Raises
        ------
        MonitorError
            If it is not there or busy.
        """
        ...

    def read(self, now: float) -> Sequence[Item]:
        """What has come since the last call, up to `now`; returns at once."""
        ...

    def close(self) -> None:
        """End it; a second call does nothing."""
        ...
