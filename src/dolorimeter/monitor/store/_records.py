"""What the store says of a session, what it is brought, and where it is by default."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from dolorimeter.monitor.nouns import Estimate, RawChunk, SessionInfo, now
from dolorimeter.monitor.store import _tables as t

SILENT_S = 10.0
"""Seconds without a word from its writer after which a session that has no end was interrupted."""


def default_store() -> str | Path:
    """``$DOLORIMETER_STORE``, path or URL, else a file in the platform's folder for user data."""
    if value := os.environ.get("DOLORIMETER_STORE"):
        return value
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "dolorimeter" / "monitor.sqlite"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "dolorimeter" / "monitor.sqlite"
    xdg = os.environ.get("XDG_DATA_HOME")
    base = Path(xdg) if xdg else Path.home() / ".local" / "share"
    return base / "dolorimeter" / "monitor.sqlite"


SessionState = Literal["running", "ended", "interrupted"]


@dataclass(frozen=True)
class StoredSession:
    """A session as the store knows it.

    Parameters
    ----------
    info : SessionInfo
    estimates : int
        How many are stored.
    last : datetime
        The last word of its writer.
    state : {"running", "ended", "interrupted"}
        ``running``, ``ended``, or ``interrupted``: no end, and its writer is silent.
    ended_because : str
        Why it ended, where it was not asked to.
    keeps_signals : bool
    """

    info: SessionInfo
    estimates: int
    last: datetime
    state: SessionState
    ended_because: str
    keeps_signals: bool


@dataclass(frozen=True)
class Batch:
    """What one session brings, and the token of its writer."""

    session: str
    token: str
    estimates: tuple[Estimate, ...] = ()
    chunks: tuple[RawChunk, ...] = ()


@dataclass(frozen=True)
class Purged:
    """What `purge` has removed."""

    subject: str
    sessions: int
    rows: int


def stored_session(row: dict[str, Any], estimates: int) -> StoredSession:
    """The record of a row, and of how many estimates it has."""
    silent = now() - row["seen"] > timedelta(seconds=SILENT_S)
    state: SessionState
    state = "ended" if row["ended"] is not None else "interrupted" if silent else "running"
    if row["kind"] == "diary" and state == "interrupted":
        state = "running"  # a diary has no writer that could fall silent
    return StoredSession(
        info=t.session_info(row),
        estimates=estimates,
        last=row["seen"],
        state=state,
        ended_because=row["ended_because"],
        keeps_signals=row["keeps_signals"],
    )
