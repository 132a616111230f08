"""A session as the exports see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from dolorimeter.errors import ConfigError
from dolorimeter.monitor.nouns import (
    NOT_A_DEVICE,
    Estimate,
    Mark,
    RawChunk,
    SelfReport,
    SessionInfo,
)


@dataclass(frozen=True)
class SessionRecord:
    """Everything that is stored of one session.

    Parameters
    ----------
    info : SessionInfo
    state : str
        ``running``, ``ended`` or ``interrupted``.
    last : datetime
        The last word of its writer.
    estimates, marks, reports, signals : tuple
        By time.
    left_out : int
        Estimates that `thinned` has left out.
    """

    info: SessionInfo
    state: str
    last: datetime
    estimates: tuple[Estimate, ...] = ()
    marks: tuple[Mark, ...] = ()
    reports: tuple[SelfReport, ...] = ()
    signals: tuple[RawChunk, ...] = ()
    left_out: int = 0

    def thinned(self, every_s: float) -> SessionRecord:
        """With the newest estimate of each span of `every_s` seconds from the start on.

        Raises
        ------
        ConfigError
            If the span is negative or no number.
        """
        if not (math.isfinite(every_s) and every_s >= 0):
            raise ConfigError(f"every_s is {every_s}, expected seconds; 0 keeps every estimate.")
        if every_s == 0:
            return self
        newest = {int(self.seconds(e.time) // every_s): e for e in self.estimates}
        kept = tuple(newest.values())
        return replace(self, estimates=kept, left_out=len(self.estimates) - len(kept))

    def seconds(self, time: datetime) -> float:
        """A moment in seconds since the session began."""
        return (time - self.info.started).total_seconds()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences that every export must carry."""
        told = [NOT_A_DEVICE]
        if self.info.lookalike:
            told.append(
                "LOOK-ALIKE: the model was fitted on synthesised signals, or the source gives "
                "them; the estimates say nothing about a person."
            )
        told.append(
            "An estimate is no measurement and no self-report; a low one does not say that there "
            "is no pain."
        )
        if self.state != "ended":
            told.append(f"The session was {self.state} when it was exported.")
        if self.left_out:
            told.append(f"{self.left_out} estimates were left out, as was asked.")
        return (*told, *self.info.notes)
