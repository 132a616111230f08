"""When a diary asks for a self-report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dolorimeter.monitor.nouns import SelfReport, SessionInfo

EARLY = timedelta(minutes=30)
"""A self-report this long before a reminder counts as its answer."""


def reminder_times(info: SessionInfo, until: datetime) -> list[datetime]:
    """Every reminder from the start of a diary to `until`, in UTC, oldest first.

    A time of the day that a change of clocks leaves out falls where the clock would have stood;
    one that comes twice is asked for once.
    """
    zone = ZoneInfo(info.timezone)
    end = min(until, info.ended) if info.ended is not None else until
    day, last = info.started.astimezone(zone).date(), end.astimezone(zone).date()
    moments = []
    while day <= last:
        for text in info.reminders:
            local = datetime.combine(day, time.fromisoformat(text), tzinfo=zone)
            moments.append(local.astimezone(UTC))
        day += timedelta(days=1)
    return sorted(m for m in moments if info.started <= m <= end)


def due_since(
    info: SessionInfo, reports: Iterable[SelfReport], moment: datetime
) -> datetime | None:
    """The newest reminder that no self-report has answered; None where none is due.

    Reminders that were missed before it stay missed: nobody should fill in from memory.
    """
    asked = reminder_times(info, moment)
    if not asked or info.ended is not None:
        return None
    answered = any(r.time >= asked[-1] - EARLY for r in reports if not r.withdrawn)
    return None if answered else asked[-1]
