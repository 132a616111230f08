"""Sessions, estimates, qualities, marks and self-reports, kept so that a crash loses nothing.

Frames are never stored. Raw signals are stored only in a session that was begun with
``keep_signals=True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import sqlalchemy as sa

from dolorimeter.errors import StorageError, UnknownSessionError
from dolorimeter.monitor.nouns import (
    Estimate,
    Mark,
    RawChunk,
    SelfReport,
    SessionInfo,
    new_id,
    now,
)
from dolorimeter.monitor.store import _tables as t
from dolorimeter.monitor.store._database import Database
from dolorimeter.monitor.store._records import (
    SILENT_S,
    Batch,
    Purged,
    StoredSession,
    stored_session,
)
from dolorimeter.monitor.store._removal import is_unfinished, remove_remnants, remove_rows
from dolorimeter.monitor.store._schema import open_tables


class Store:
    """A database of sessions; may be used from several threads.

    Parameters
    ----------
    where : path or str
        A file of SQLite, or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    make : bool
        Make it where there is none yet.

    Raises
    ------
    StorageError
        If it cannot be opened, is no store, or is of another version.
    """

    def __init__(self, where: str | Path, *, make: bool = True) -> None:
        self._database = Database(where, make=make)
        self._finished_a_purge = False
        try:
            open_tables(self._database, make=make)
            if is_unfinished(self._database):
                with suppress(StorageError):  # another program may have it open; purge will say so
                    remove_remnants(self._database)
                    self._finished_a_purge = True
        except BaseException:
            self._database.close()
            raise

    @property
    def place(self) -> str:
        """Where it is, as it may be shown: without a password."""
        return self._database.place

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; SQLite then folds its log into the file."""
        self._database.close()

    # sessions

    def begin(self, info: SessionInfo, *, keep_signals: bool = False) -> str:
        """Store a new session; gives the token that its writer shows at every `append`.

        Raises
        ------
        StorageError
            If there is one of that name.
        """
        token = new_id()
        row = t.session_row(info) | {
            "ended_because": "",
            "keeps_signals": keep_signals,
            "writer": token,
            "seen": now(),
        }
        with self._database.write() as connection:
            connection.execute(sa.insert(t.SESSIONS), row)
        return token

    def resume(self, session: str) -> str:
        """Go on with a session that was interrupted or has ended; gives a new writer's token.

        Raises
        ------
        StorageError
            If there is none, or another process is writing it.
        """
        token = new_id()
        with self._database.write() as connection:
            row = self._session_row(connection, session)
            quiet = now() - row["seen"]
            if row["ended"] is None and quiet < timedelta(seconds=SILENT_S):
                raise StorageError(
                    f"{self.place}: session {session} was written {quiet.total_seconds():.1f} s "
                    f"ago by another process. End that one, or wait {SILENT_S:g} s."
                )
            change = {"writer": token, "seen": now(), "ended": None, "ended_because": ""}
            connection.execute(
                sa.update(t.SESSIONS).where(t.SESSIONS.c.id == session).values(**change)
            )
        return token

    def end(self, session: str, when: datetime | None = None, because: str = "") -> None:
        """Note that a session has ended, and why where nobody asked for it."""
        with self._database.write() as connection:
            self._session_row(connection, session)
            connection.execute(
                sa.update(t.SESSIONS)
                .where(t.SESSIONS.c.id == session)
                .values(ended=when or now(), ended_because=because[:500])
            )

    def sessions(self, subject: str | None = None) -> list[StoredSession]:
        """All sessions, or those of one subject, newest first."""
        query = sa.select(t.SESSIONS).order_by(t.SESSIONS.c.started.desc(), t.SESSIONS.c.id)
        if subject is not None:
            query = query.where(t.SESSIONS.c.subject == subject)
        counts = sa.select(t.ESTIMATES.c.session, sa.func.count()).group_by(t.ESTIMATES.c.session)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
            known = {str(k): int(n) for k, n in connection.execute(counts)}
        return [stored_session(dict(row), known.get(row["id"], 0)) for row in rows]

    def session(self, session: str) -> StoredSession:
        """One session.

        Raises
        ------
        UnknownSessionError
            If there is none of that name.
        """
        count = sa.select(sa.func.count()).where(t.ESTIMATES.c.session == session)
        with self._database.read() as connection:
            row = self._session_row(connection, session)
            return stored_session(row, int(connection.execute(count).scalar_one()))

    def _session_row(self, connection: sa.Connection, session: str) -> dict[str, Any]:
        query = sa.select(t.SESSIONS).where(t.SESSIONS.c.id == session)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise UnknownSessionError(
                f"{self.place}: no session {session[:80]!r}. "
                "List them with: dolorimeter monitor sessions"
            )
        return dict(row)

    # what a session brings

    def append(self, session: str, token: str, estimates: Sequence[Estimate]) -> None:
        """Store estimates in one transaction, and that their writer is alive.

        Raises
        ------
        StorageError
            If another process has taken the session over, or the database refuses.
        """
        with self._database.write() as connection:
            self._append(connection, Batch(session, token, tuple(estimates)))

    def append_signals(self, session: str, token: str, chunks: Sequence[RawChunk]) -> None:
        """Store pieces of raw signals, in a session that was begun with ``keep_signals=True``.

        Raises
        ------
        StorageError
            If the session keeps none, or as `append`.
        """
        with self._database.write() as connection:
            self._append(connection, Batch(session, token, chunks=tuple(chunks)))

    def append_all(self, batches: Sequence[Batch]) -> dict[str, str]:
        """Store what several sessions bring in one transaction: one sync to disk for all.

        Returns
        -------
        dict of str to str
            Sessions of which nothing was stored, and why; the others are stored.

        Raises
        ------
        StorageError
            If the database refuses; then nothing is stored.
        """
        refused: dict[str, str] = {}
        with self._database.write() as connection:
            for batch in batches:
                try:
                    self._append(connection, batch)
                except StorageError as error:  # raised before a row of this session is written
                    refused[batch.session] = str(error)
                except (TypeError, ValueError, AttributeError) as error:
                    refused[batch.session] = f"what the session says is no estimate: {error!r}"
        return refused

    def _append(self, connection: sa.Connection, batch: Batch) -> None:
        self._claim(connection, batch.session, batch.token)
        if batch.chunks and not self._session_row(connection, batch.session)["keeps_signals"]:
            raise StorageError(
                f"{self.place}: session {batch.session} keeps no raw signals. Begin it with "
                "keep_signals=True (monitor --keep-signals) where the person agreed."
            )
        newest = sa.select(sa.func.max(t.ESTIMATES.c.number)).where(
            t.ESTIMATES.c.session == batch.session
        )
        last = connection.execute(newest).scalar()
        first = 0 if last is None else int(last) + 1
        pairs = [t.estimate_rows(first + i, e) for i, e in enumerate(batch.estimates)]
        states = [state for _, of_one in pairs for state in of_one]
        signals = [t.signal_row(batch.session, chunk) for chunk in batch.chunks]
        for table, rows in (
            (t.ESTIMATES, [row for row, _ in pairs]),
            (t.MODALITIES, states),
            (t.SIGNALS, signals),
        ):
            if rows:
                connection.execute(sa.insert(table), rows)

    def _claim(self, connection: sa.Connection, session: str, token: str) -> None:
        claim = (
            sa.update(t.SESSIONS)
            .where(t.SESSIONS.c.id == session, t.SESSIONS.c.writer == token)
            .values(seen=now())
        )
        if connection.execute(claim).rowcount == 1:
            return
        self._session_row(connection, session)
        raise StorageError(
            f"{self.place}: another process now writes session {session}. End one of the two; "
            "what was stored is kept."
        )

    def add_mark(self, mark: Mark) -> None:
        """Store a mark; it is on disk when this returns."""
        with self._database.write() as connection:
            self._session_row(connection, mark.session)
            connection.execute(sa.insert(t.MARKS), t.mark_row(mark))

    def add_report(self, report: SelfReport) -> None:
        """Store a self-report; it is on disk when this returns."""
        with self._database.write() as connection:
            self._session_row(connection, report.session)
            connection.execute(sa.insert(t.REPORTS), t.report_row(report))

    def withdraw(self, session: str, entry: str) -> None:
        """Say that a mark or a self-report was entered by mistake; it is kept, and marked so.

        Raises
        ------
        UnknownSessionError
            If there is none of that identifier.
        """
        with self._database.write() as connection:
            changed = 0
            for table in (t.MARKS, t.REPORTS):
                change = sa.update(table).where(table.c.session == session, table.c.id == entry)
                changed += connection.execute(change.values(withdrawn=True)).rowcount
            if not changed:
                raise UnknownSessionError(
                    f"{self.place}: session {session[:80]!r} has no mark or self-report "
                    f"{entry[:80]!r}."
                )

    # reading

    def estimates(
        self, session: str, *, since: datetime | None = None, limit: int | None = None
    ) -> list[Estimate]:
        """Estimates in the order they were made; with `limit`, the newest of them."""
        chosen = sa.select(t.ESTIMATES).where(t.ESTIMATES.c.session == session)
        if since is not None:
            chosen = chosen.where(t.ESTIMATES.c.time >= since)
        chosen = chosen.order_by(t.ESTIMATES.c.number.desc())
        if limit is not None:
            chosen = chosen.limit(limit)
        with self._database.read() as connection:
            rows = list(reversed(connection.execute(chosen).mappings().all()))
            if not rows:
                return []
            states = (
                sa.select(t.MODALITIES)
                .where(
                    t.MODALITIES.c.session == session,
                    t.MODALITIES.c.number.between(rows[0]["number"], rows[-1]["number"]),
                )
                .order_by(t.MODALITIES.c.number, t.MODALITIES.c.place)
            )
            found = connection.execute(states).mappings().all()
        by_number = {k: list(v) for k, v in groupby(found, key=lambda s: s["number"])}
        return [t.estimate_of(dict(r), map(dict, by_number.get(r["number"], []))) for r in rows]

    def marks(self, session: str) -> list[Mark]:
        """Marks by time."""
        query = sa.select(t.MARKS).where(t.MARKS.c.session == session)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(t.MARKS.c.time, t.MARKS.c.id)).mappings()
            return [Mark(**dict(row)) for row in rows]

    def reports(self, session: str) -> list[SelfReport]:
        """Self-reports by time."""
        query = sa.select(t.REPORTS).where(t.REPORTS.c.session == session)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(t.REPORTS.c.time, t.REPORTS.c.id)).mappings()
            return [SelfReport(**dict(row)) for row in rows]

    def entries_stamp(self, session: str) -> tuple[int, int]:
        """Counts that change whenever a mark or a self-report is added or withdrawn."""
        counts = []
        with self._database.read() as connection:
            for table in (t.MARKS, t.REPORTS):
                gone = sa.func.coalesce(sa.func.sum(sa.case((table.c.withdrawn, 1), else_=0)), 0)
                query = sa.select(sa.func.count(), gone).where(table.c.session == session)
                counts.append(connection.execute(query).one())
        return sum(int(c[0]) for c in counts), sum(int(c[1]) for c in counts)

    def signals(self, session: str) -> list[RawChunk]:
        """Raw signals that were kept, by name and time."""
        query = sa.select(t.SIGNALS).where(t.SIGNALS.c.session == session)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(t.SIGNALS.c.name, t.SIGNALS.c.start))
            return [
                RawChunk(
                    name=row["name"],
                    start=row["start"],
                    sampling_rate=row["sampling_rate"],
                    unit=row["unit"],
                    samples=np.frombuffer(row["samples"], dtype="<f8"),
                )
                for row in rows.mappings()
            ]

    def signal_starts(self, session: str) -> dict[str, float]:
        """Start of the newest piece of each raw signal that was kept, in seconds."""
        newest = sa.func.max(t.SIGNALS.c.start)
        query = sa.select(t.SIGNALS.c.name, newest).where(t.SIGNALS.c.session == session)
        with self._database.read() as connection:
            rows = connection.execute(query.group_by(t.SIGNALS.c.name))
            return {str(name): float(start) for name, start in rows}

    # removing

    def purge(self, subject: str) -> Purged:
        """Remove everything of one subject, from the files too.

        PostgreSQL's tables are rewritten (``VACUUM FULL``); its own log and backups are the
        server's to expire.

        Raises
        ------
        StorageError
            If the subject is unknown, a session of theirs is running, or another program holds
            the file open for reading, so that the log cannot be cut.
        """
        stored = self.sessions(subject)
        if not stored and is_unfinished(self._database):
            remove_remnants(self._database)
            self._finished_a_purge = True
        if not stored and self._finished_a_purge:  # asked a second time, as the message said
            self._finished_a_purge = False
            return Purged(subject, 0, 0)
        if not stored:
            raise StorageError(
                f"{self.place}: nothing of a subject {subject[:80]!r}. "
                "List them with: dolorimeter monitor sessions"
            )
        if running := [s.info.id for s in stored if s.state == "running"]:
            raise StorageError(
                f"{self.place}: session {running[0]} of {subject} is running. End it first."
            )
        rows = remove_rows(self._database, [s.info.id for s in stored])
        remove_remnants(self._database)
        return Purged(subject, len(stored), rows)


def purge(subject: str, *, where: str | Path) -> Purged:
    """Remove everything of one subject from a store; see `Store.purge`."""
    with Store(where, make=False) as store:
        return store.purge(subject)


def list_sessions(subject: str | None = None, *, where: str | Path) -> list[StoredSession]:
    """All sessions of a store, or those of one subject, newest first."""
    with Store(where, make=False) as store:
        return store.sessions(subject)
