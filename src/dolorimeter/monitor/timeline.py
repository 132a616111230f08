"""Where the samples of a recorder belong on the session's clock.

Samples are counted, and their count is the clock; the recorder's time stamps correct it. A gap is
filled with missing samples, a clock that runs a little slow or fast is followed, one that jumps is
not believed, and a recorder that sends at another rate than it announced is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dolorimeter.monitor.sources import Chunk
from dolorimeter.types import Signal

TOLERANCE = 0.1
"""Seconds by which time stamps may be off without anything being wrong: jitter of networks."""
BRIDGED = 8.0
"""Seconds of a gap that are filled with missing samples; after a longer one all begins anew."""
OUTAGE = 1.0
"""Seconds of a gap from which it is a sensor that was away, not a rate that is wrong."""
WATCHED = 3.0
"""Seconds over which the rate is counted."""
WRONG_RATE = 0.1
"""Share by which the counted rate may differ from the announced one."""
SMOOTHING = 0.05
"""Weight of the newest time stamp in the mean offset that is followed."""


@dataclass(frozen=True)
class Placement:
    """What to do before a chunk is taken in.

    Parameters
    ----------
    missing : int
        Samples that did not come, to be counted as missing.
    shift : float
        Seconds by which the clock of all samples moves.
    anew : float or None
        Begin the signal anew at this time; None to go on.
    remark : str
        What must be said; empty where all is as it should be.
    """

    missing: int = 0
    shift: float = 0.0
    anew: float | None = None
    remark: str = ""


class Timeline:
    """The clock of one signal.

    Parameters
    ----------
    modality : str
    like : Signal
        Its rate, and in `start` the time of its first sample.
    """

    def __init__(self, modality: str, like: Signal) -> None:
        self._modality, self._rate = modality, like.sampling_rate
        self._next = like.start
        self._correction = self._offset = 0.0
        self._arrived: float | None = None
        self._watch: tuple[float, int] | None = None
        self.wrong_rate = ""
        """In words; empty while samples come as announced."""

    def place(self, chunk: Chunk, now: float) -> Placement:
        """Where a chunk belongs that arrived at `now`; the clock then counts it."""
        count = chunk.values.shape[1]
        if not math.isfinite(chunk.start):
            self._next += count / self._rate
            return Placement(
                remark=f"{self._modality} comes with a time that is no number: its samples are "
                "placed by their number"
            )
        start = chunk.start + self._correction
        offset = start - self._next
        waited = 0.0 if self._arrived is None else now - self._arrived
        self._arrived = now
        self._count(chunk, count)
        tolerance = max(TOLERANCE, 2 / self._rate)
        if abs(offset) <= tolerance:
            return self._follow(offset, count)
        self._offset = 0.0
        if offset < 0 or offset > OUTAGE:
            self._watch = None
        if offset < 0 or offset > waited + tolerance + 0.5:
            self._correction -= offset
            self._next += count / self._rate
            return Placement(
                remark=f"clock of {self._modality} jumped by {offset:+.1f} s: its samples are "
                "placed by their number"
            )
        if offset > BRIDGED:
            self._next = start + count / self._rate
            return Placement(anew=start, remark=f"{self._modality} is back after {offset:.0f} s")
        missing = round(offset * self._rate)
        self._next += (missing + count) / self._rate
        remark = f"{offset:.1f} s of {self._modality} are missing" if offset > OUTAGE else ""
        return Placement(missing=missing, remark=remark)

    def _follow(self, offset: float, count: int) -> Placement:
        self._next += count / self._rate
        self._offset += SMOOTHING * (offset - self._offset)
        if abs(self._offset) <= 1 / self._rate:
            return Placement()
        shift, self._offset = self._offset, 0.0
        self._next += shift
        return Placement(shift=shift)

    def _count(self, chunk: Chunk, count: int) -> None:
        """Compare how many samples came with how many the time between them should hold."""
        if self._watch is None:
            self._watch = (chunk.start, 0)
        begin, before = self._watch
        elapsed = chunk.start - begin
        if elapsed < WATCHED:
            self._watch = (begin, before + count)
            return
        found = before / elapsed
        off = abs(found / self._rate - 1) > WRONG_RATE
        self.wrong_rate = f"arrives at {found:.0f} Hz, announced {self._rate:g} Hz" if off else ""
        self._watch = (chunk.start, count)
