"""What a noun of the monitor refuses, and what it derives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dolorimeter.errors import ConfigError
from dolorimeter.monitor.nouns import Estimate, Mark, ModalityState, SelfReport, SessionInfo

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
EDA = ModalityState("eda", 0.9, 0.25, present=True)
FACE = ModalityState("face", 0.0, 4.0, present=False, reasons=("no face for 4 s",))


def test_quality_and_age_are_of_what_was_used() -> None:
    slow = ModalityState("ecg", 0.7, 0.75, present=True)
    estimate = Estimate(NOON, "s1", expected_level=1.0, modalities=(EDA, slow, FACE))
    assert (estimate.quality, estimate.age_s) == (0.7, 0.75)
    nothing = Estimate(NOON, "s1", abstained="no sensor", modalities=(FACE,))
    assert (nothing.quality, nothing.age_s) == (0.0, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time": NOON.replace(tzinfo=None)}, "expected UTC"),
        ({"time": NOON.astimezone(timezone(timedelta(hours=2)))}, "expected UTC"),
        ({"session": "../etc"}, "identifier"),
        ({"expected_level": None}, "give a level, or abstain"),
        ({"abstained": "EDA flat"}, "give a level, or abstain"),
        ({"abstained": "flat", "expected_level": None, "probabilities": {"a": 1.0}}, "neither"),
        ({"expected_level": float("nan")}, "expected_level of an estimate is nan"),
        ({"lower": 1.0}, "has one end"),
        ({"lower": 2.0, "upper": 1.0}, "upside down"),
        ({"coverage": 90.0}, "coverage of an estimate is 90"),
        ({"probabilities": {"BL1": 0.5, "PA4": 0.6}}, "together 1"),
        ({"probabilities": {"BL1": -0.5, "PA4": 1.5}}, "together 1"),
        ({"remarks": ("two\nlines",)}, "on one line"),
    ],
)
def test_an_estimate_that_makes_no_sense(changes: dict[str, Any], reason: str) -> None:
    given: dict[str, Any] = {"time": NOON, "session": "s1", "expected_level": 1.0, **changes}
    with pytest.raises(ConfigError, match=reason):
        Estimate(**given)


@pytest.mark.parametrize(("scale", "value"), [("nrs", 11), ("nrs", -1), ("faces", 3)])
def test_a_self_report_off_its_scale(scale: Any, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"self-report is {value} on scale '{scale}'"):
        SelfReport(NOON, "s1", scale, value, "patient")


def test_names_that_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"subject '\\n'"):
        SessionInfo("s1", "\n", NOON)
    with pytest.raises(ConfigError, match="mark ' '"):
        Mark(NOON, "s1", " ")
    with pytest.raises(ConfigError, match=r"quality of eda is 1\.5"):
        ModalityState("eda", 1.5, None, present=True)
    with pytest.raises(ConfigError, match="expected lowest, highest"):
        SessionInfo("s1", "anna", NOON, levels=(1.0, 1.0))
    assert Mark(NOON, "s1", "turn").id != Mark(NOON, "s1", "turn").id
