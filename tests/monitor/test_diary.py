"""Reminders over days, over a change of clocks, and what answers them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dolorimeter.errors import ConfigError
from dolorimeter.monitor.diary import due_since, reminder_times
from dolorimeter.monitor.nouns import SelfReport, SessionInfo

START = datetime(2026, 10, 24, 10, tzinfo=UTC)
DIARY = SessionInfo(
    "d1",
    "anna",
    START,
    kind="diary",
    levels=(0.0, 10.0),
    reminders=("20:00", "08:00"),
    timezone="Europe/Berlin",
)


def test_reminders_follow_the_clock_on_the_wall() -> None:
    """Berlin leaves summer time on 25 October 2026: 08:00 moves from 06:00 to 07:00 UTC."""
    asked = reminder_times(DIARY, START + timedelta(days=2))
    assert [m.strftime("%d %H:%M") for m in asked] == [
        "24 18:00",
        "25 07:00",
        "25 19:00",
        "26 07:00",
    ]


def test_what_answers_a_reminder() -> None:
    def report(time: datetime, *, withdrawn: bool = False) -> SelfReport:
        return SelfReport(time, "d1", "nrs", 3, "patient", withdrawn=withdrawn)

    evening = datetime(2026, 10, 24, 18, tzinfo=UTC)
    later = evening + timedelta(hours=1)
    assert due_since(DIARY, [], evening - timedelta(seconds=1)) is None
    assert due_since(DIARY, [], later) == evening
    assert due_since(DIARY, [report(evening - timedelta(hours=1))], later) == evening
    assert due_since(DIARY, [report(evening - timedelta(minutes=20))], later) is None
    assert due_since(DIARY, [report(evening, withdrawn=True)], later) == evening
    next_day = datetime(2026, 10, 25, 8, tzinfo=UTC)
    assert due_since(DIARY, [report(evening)], next_day) == datetime(2026, 10, 25, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reminders": ("8:00",)}, "reminder '8:00'"),
        ({"reminders": ("24:00",)}, "reminder '24:00'"),
        ({"timezone": "Mars/Olympus"}, "time zone 'Mars/Olympus' is unknown"),
        ({"timezone": "../../etc/passwd"}, "is unknown"),
        ({"timezone": "Europe"}, "is unknown"),
    ],
)
def test_diaries_that_make_no_sense(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        SessionInfo("d1", "anna", START, **changes)  # type: ignore[arg-type]
