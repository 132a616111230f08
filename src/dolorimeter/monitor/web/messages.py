"""What may be said to the interface, checked, and how nouns are said to a browser."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt

from dolorimeter.monitor.nouns import MAX_TEXT, CoverageKind, Scale, SessionKind


def _in_time(value: datetime) -> datetime:
    """A moment that knows its offset, in a year that a monitor can meet."""
    if value.utcoffset() is None or not 1970 < value.year < 2200:
        raise ValueError("expected a moment with its offset, such as 2026-11-27T12:00:00Z")
    return value


Moment = Annotated[datetime, AfterValidator(_in_time)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Strict(BaseModel):
    """A message in which every key is known."""

    model_config = ConfigDict(extra="forbid")


class Login(Strict):
    """The token that the monitor printed."""

    token: Annotated[str, Field(max_length=MAX_TEXT)]


class NewSession(Strict):
    """Start a stream on the monitor's model and sources, or a diary."""

    subject: Name
    kind: SessionKind = "stream"
    reminders: Annotated[list[str], Field(max_length=24)] = Field(default_factory=list)
    timezone: Annotated[str, Field(max_length=64)] = "UTC"


class Timed(Strict):
    """When it was: at `time`, or else `seconds_ago` by the monitor's clock."""

    time: Moment | None = None
    seconds_ago: Annotated[float, Field(ge=0, le=86_400)] = 0.0


class NewMark(Timed):
    """An event, now unless it says when."""

    label: Name
    entered_by: Annotated[str, Field(max_length=MAX_TEXT)] = ""


class NewReport(Timed):
    """A self-report, of now unless it says when."""

    scale: Scale
    value: StrictInt
    entered_by: Name


class Show(Strict):
    """What a live connection wants to see."""

    kind: Literal["show"]
    signals: StrictBool = True
    frames: StrictBool = False
    seconds: Annotated[float, Field(ge=2, le=60)] = 20.0
    points: Annotated[StrictInt, Field(ge=50, le=2000)] = 400


class About(BaseModel):
    """The monitor itself."""

    name: str
    version: str
    notice: str
    token_needed: bool
    can_start: bool
    formats: list[str]


class SessionOut(BaseModel):
    """A session as it is stored."""

    id: str
    subject: str
    kind: SessionKind
    model: str
    model_digest: str
    classes: list[str]
    levels: Annotated[list[float], Field(min_length=2, max_length=2)]
    sources: list[str]
    lookalike: bool
    notes: list[str]
    reminders: list[str]
    timezone: str
    started: datetime
    ended: datetime | None
    state: Literal["running", "ended", "interrupted"]
    ended_because: str
    estimates: int
    here: bool = Field(description="Whether it runs in this process and can be stopped here.")
    trouble: str = Field(description="Why it cannot be stored or sent now; empty where it can.")
    due_since: datetime | None = Field(description="Reminder of a diary that has no answer yet.")


class ModalityOut(BaseModel):
    """How one modality stood."""

    name: str
    quality: float
    age_s: float | None
    present: bool
    reasons: list[str]


class EstimateOut(BaseModel):
    """One estimate, or why there is none."""

    time: datetime
    session: str
    probabilities: dict[str, float]
    expected_level: float | None
    lower: float | None
    upper: float | None
    coverage: float | None
    coverage_kind: CoverageKind
    abstained: str
    modalities: list[ModalityOut]
    remarks: list[str]
    start: float | None
    duration: float | None
    latency_s: float | None
    alert: bool


class MarkOut(BaseModel):
    """A mark."""

    time: datetime
    session: str
    label: str
    entered_by: str
    withdrawn: bool
    id: str


class ReportOut(BaseModel):
    """A self-report."""

    time: datetime
    session: str
    scale: Scale
    value: int
    entered_by: str
    withdrawn: bool
    id: str


class Refusal(BaseModel):
    """Why something was not done."""

    detail: str


def plain(value: Any) -> Any:
    """What JSON can hold of a noun: dataclasses as objects, moments as text, NaN as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: plain(getattr(value, f.name)) for f in fields}
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value
