"""The tables, and how the nouns become rows and come back.

Times are ISO 8601 texts in UTC with microseconds: exact, sortable and readable in every database.
Names start with ``dolorimeter_``, so that a PostgreSQL database can be shared with others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from dolorimeter.monitor.nouns import (
    Estimate,
    Mark,
    ModalityState,
    RawChunk,
    SelfReport,
    SessionInfo,
)

SCHEMA_VERSION = 1
"""Raised by whoever changes a table; another version is refused in words, never changed."""


class UTCTime(TypeDecorator[datetime]):
    """A moment as text: ``2026-11-27T12:00:00.000000+00:00``."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """As text."""
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """As a moment."""
        return None if value is None else datetime.fromisoformat(value)


TABLES = MetaData()

META = Table(
    "dolorimeter_meta",
    TABLES,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
SESSIONS = Table(
    "dolorimeter_sessions",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("subject", Text, nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_digest", Text, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("level_low", Float, nullable=False),
    Column("level_high", Float, nullable=False),
    Column("sources", JSON, nullable=False),
    Column("lookalike", Boolean, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("reminders", JSON, nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("started", UTCTime, nullable=False),
    Column("ended", UTCTime),
    Column("ended_because", Text, nullable=False),
    Column("keeps_signals", Boolean, nullable=False),
    Column("writer", String(64), nullable=False),
    Column("seen", UTCTime, nullable=False),
)


def _of_session() -> Column[str]:
    return Column("session", String(64), ForeignKey(SESSIONS.c.id), primary_key=True)


ESTIMATES = Table(
    "dolorimeter_estimates",
    TABLES,
    _of_session(),
    Column("number", Integer, primary_key=True),
    Column("time", UTCTime, nullable=False),
    Column("probabilities", JSON, nullable=False),
    Column("expected_level", Float),
    Column("lower", Float),
    Column("upper", Float),
    Column("coverage", Float),
    Column("coverage_kind", String(16), nullable=False),
    Column("abstained", Text, nullable=False),
    Column("remarks", JSON, nullable=False),
    Column("start", Float),
    Column("duration", Float),
    Column("latency_s", Float),
    Column("alert", Boolean, nullable=False),
    Index("dolorimeter_estimates_by_time", "session", "time"),
)
MODALITIES = Table(
    "dolorimeter_modalities",
    TABLES,
    Column("session", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("quality", Float, nullable=False),
    Column("age_s", Float),
    Column("present", Boolean, nullable=False),
    Column("reasons", JSON, nullable=False),
    ForeignKeyConstraint(["session", "number"], [ESTIMATES.c.session, ESTIMATES.c.number]),
)
MARKS = Table(
    "dolorimeter_marks",
    TABLES,
    _of_session(),
    Column("id", String(64), primary_key=True),
    Column("time", UTCTime, nullable=False),
    Column("label", Text, nullable=False),
    Column("entered_by", Text, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
)
REPORTS = Table(
    "dolorimeter_self_reports",
    TABLES,
    _of_session(),
    Column("id", String(64), primary_key=True),
    Column("time", UTCTime, nullable=False),
    Column("scale", String(16), nullable=False),
    Column("value", Integer, nullable=False),
    Column("entered_by", Text, nullable=False),
    Column("withdrawn", Boolean, nullable=False),
)
SIGNALS = Table(
    "dolorimeter_signals",
    TABLES,
    _of_session(),
    Column("name", String(128), primary_key=True),
    Column("start", Float, primary_key=True),
    Column("sampling_rate", Float, nullable=False),
    Column("unit", String(32), nullable=False),
    Column("samples", LargeBinary, nullable=False),
)

OF_A_SESSION = (SIGNALS, REPORTS, MARKS, MODALITIES, ESTIMATES)
"""Tables with a column ``session``, in an order in which rows can be deleted."""


def session_row(info: SessionInfo) -> dict[str, Any]:
    """Columns that the noun fills."""
    return {
        "id": info.id,
        "subject": info.subject,
        "kind": info.kind,
        "model": info.model,
        "model_digest": info.model_digest,
        "classes": list(info.classes),
        "level_low": info.levels[0],
        "level_high": info.levels[1],
        "sources": list(info.sources),
        "lookalike": info.lookalike,
        "notes": list(info.notes),
        "reminders": list(info.reminders),
        "timezone": info.timezone,
        "started": info.started,
        "ended": info.ended,
    }


def session_info(row: Mapping[str, Any]) -> SessionInfo:
    """The noun of a row."""
    return SessionInfo(
        id=row["id"],
        subject=row["subject"],
        kind=row["kind"],
        model=row["model"],
        model_digest=row["model_digest"],
        classes=tuple(row["classes"]),
        levels=(row["level_low"], row["level_high"]),
        sources=tuple(row["sources"]),
        lookalike=row["lookalike"],
        notes=tuple(row["notes"]),
        reminders=tuple(row["reminders"]),
        timezone=row["timezone"],
        started=row["started"],
        ended=row["ended"],
    )


def _float(value: Any) -> float | None:
    """A plain number: drivers do not know NumPy's."""
    return None if value is None else float(value)


def estimate_rows(number: int, estimate: Estimate) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of an estimate, and one of each modality."""
    row = {
        "session": estimate.session,
        "number": number,
        "time": estimate.time,
        "probabilities": {k: float(v) for k, v in estimate.probabilities.items()},
        "expected_level": _float(estimate.expected_level),
        "lower": _float(estimate.lower),
        "upper": _float(estimate.upper),
        "coverage": _float(estimate.coverage),
        "coverage_kind": estimate.coverage_kind,
        "abstained": estimate.abstained,
        "remarks": list(estimate.remarks),
        "start": _float(estimate.start),
        "duration": _float(estimate.duration),
        "latency_s": _float(estimate.latency_s),
        "alert": bool(estimate.alert),
    }
    states = [
        {
            "session": estimate.session,
            "number": number,
            "place": place,
            "name": state.name,
            "quality": _float(state.quality),
            "age_s": _float(state.age_s),
            "present": bool(state.present),
            "reasons": list(state.reasons),
        }
        for place, state in enumerate(estimate.modalities)
    ]
    return row, states


def estimate_of(row: Mapping[str, Any], states: Iterable[Mapping[str, Any]]) -> Estimate:
    """The noun of a row and of its modalities, in the order of their places."""
    return Estimate(
        time=row["time"],
        session=row["session"],
        probabilities=row["probabilities"],
        expected_level=row["expected_level"],
        lower=row["lower"],
        upper=row["upper"],
        coverage=row["coverage"],
        coverage_kind=row["coverage_kind"],
        abstained=row["abstained"],
        modalities=tuple(
            ModalityState(
                name=s["name"],
                quality=s["quality"],
                age_s=s["age_s"],
                present=s["present"],
                reasons=tuple(s["reasons"]),
            )
            for s in states
        ),
        remarks=tuple(row["remarks"]),
        start=row["start"],
        duration=row["duration"],
        latency_s=row["latency_s"],
        alert=row["alert"],
    )


def mark_row(mark: Mark) -> dict[str, Any]:
    """The row of a mark."""
    return {
        "session": mark.session,
        "id": mark.id,
        "time": mark.time,
        "label": mark.label,
        "entered_by": mark.entered_by,
        "withdrawn": mark.withdrawn,
    }


def report_row(report: SelfReport) -> dict[str, Any]:
    """The row of a self-report."""
    return {
        "session": report.session,
        "id": report.id,
        "time": report.time,
        "scale": report.scale,
        "value": report.value,
        "entered_by": report.entered_by,
        "withdrawn": report.withdrawn,
    }


def signal_row(session: str, chunk: RawChunk) -> dict[str, Any]:
    """The row of a piece of a raw signal: little-endian float64."""
    return {
        "session": session,
        "name": chunk.name,
        "start": chunk.start,
        "sampling_rate": chunk.sampling_rate,
        "unit": chunk.unit,
        "samples": np.asarray(chunk.samples, dtype="<f8").tobytes(),
    }
