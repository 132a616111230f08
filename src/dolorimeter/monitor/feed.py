"""What stands between a running session and whoever looks at it or keeps it.

A session calls each of its sinks with every estimate; the page and the API ask a feed for what is
new. Neither knows how the session works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dolorimeter.monitor.nouns import Estimate, FaceView, RawChunk, SessionInfo, Tail

Sink = Callable[[Estimate], None]
"""Given every estimate, in the session's thread: it must return at once and never raise.

`dolorimeter.monitor.outlet` has two: the LSL outlet and the metrics.
"""


@runtime_checkable
class Feed(Protocol):
    """A session as it is seen from outside; its methods may be called from any thread."""

    @property
    def info(self) -> SessionInfo:
        """Who, with which model, from which sources."""

    @property
    def running(self) -> bool:
        """Whether estimates are still coming."""

    @property
    def stopped_because(self) -> str:
        """Why it no longer runs; empty while it does, and after a stop that was asked for."""

    def stop(self) -> None:
        """End it; a second call does nothing."""

    def since(self, number: int) -> tuple[int, tuple[Estimate, ...]]:
        """How many estimates there have been, and those after the first `number`, oldest first.

        Only the last minutes are kept: who asks too late gets fewer.
        """

    def tails(self, seconds: float, points: int) -> tuple[Tail, ...]:
        """The last `seconds` of each signal, thinned to about `points` samples."""

    def face(self) -> FaceView | None:
        """The newest face; None where no source is a camera."""

    def frame(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The newest frame of a camera (RGB), for who asks to see it; None without one."""


class Keeper(Protocol):
    """The sink that a new session is given: what it is called with is stored and sent on."""

    @property
    def keep_signals(self) -> bool:
        """Whether raw signals are wanted; False unless the user asked for it."""

    def __call__(self, estimate: Estimate) -> None:
        """Take an estimate; returns at once."""

    def add_signal(self, chunk: RawChunk) -> None:
        """Take a piece of a raw signal; it is forgotten unless `keep_signals`."""


Attach = Callable[[SessionInfo], Keeper]
"""A new session calls this once, before its first estimate, with who and what it is."""

StartSession = Callable[[str, Attach], Feed]
"""Start a session of a subject on the sources and model that the monitor was given.

Raises a `DolorimeterError` in words where it cannot: a source that is busy or not there.
"""
