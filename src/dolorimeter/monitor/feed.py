"""What stands between a running session and whoever looks at it or keeps it.

A session calls each of its sinks with every estimate; the page and the API ask a feed for what is
new. Neither knows how the session works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from dolorimeter.monitor.nouns import Estimate, FaceView, SessionInfo, Tail

Sink = Callable[[Estimate], None]
"""Given every estimate, in the session's thread: it must return at once and never raise.

`dolorimeter.monitor.store.Recorder`, the LSL outlet and the metrics are sinks.
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


StartSession = Callable[[str], Feed]
"""Given a subject, start a new session on the sources and model that the monitor was given."""
