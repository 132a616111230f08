"""Opening a database, and saying in words why it will not do what it was asked.

SQLite: write-ahead log, every commit synced to disk, deleted content overwritten, file readable
by its owner alone. PostgreSQL through ``pg8000`` (BSD); its driver is asked for by URL.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from dolorimeter._extras import missing
from dolorimeter.errors import StorageError

BUSY_S = 2.0
"""Seconds that a writer waits for another one before it gives up for now."""

FILE_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON")


class Database:
    """A database, its turns of writing, and its faults in words; may be used by several threads.

    Parameters
    ----------
    where : path or str
        A file of SQLite, or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    make : bool
        Make the file where there is none yet.

    Raises
    ------
    StorageError
        See `connect`.
    """

    def __init__(self, where: str | Path, *, make: bool) -> None:
        self.engine, self.place = connect(where, make=make)
        self._writing = self.engine.execution_options(writes=True)
        self._turn = threading.RLock()

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite's, and not a server."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that is on disk when this is left."""
        # one writer of this process at a time: SQLite's own waiting is not fair
        with self._turn, explained(self.place), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that is only read from."""
        with explained(self.place), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[sa.Connection]:
        """A connection outside any transaction, as ``VACUUM`` needs it."""
        if self.is_file:
            with explained(self.place), self.engine.connect() as connection:
                yield connection.execution_options(alone=True)
            return
        # an engine of its own: a pooled connection has begun by asking if the server answers
        own = sa.create_engine(self.engine.url, isolation_level="AUTOCOMMIT")
        try:
            with explained(self.place), own.connect() as connection:
                yield connection
        finally:
            own.dispose()

    def close(self) -> None:
        """Give the connections back; SQLite then folds its log into the file."""
        self.engine.dispose()


def connect(where: str | Path, *, make: bool) -> tuple[sa.Engine, str]:
    """An engine for a path or a URL, and the place as it may be shown (no password).

    Raises
    ------
    StorageError
        If the URL is of no database that is supported, or there is no file and none is to be made.
    """
    url = _url(where)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not make and not path.is_file():
            raise StorageError(f"{path}: no such file. Give the place of the store with --store.")
        _prepare_file(path)
        engine = sa.create_engine(url, connect_args={"timeout": BUSY_S})
        sa.event.listen(engine, "connect", _set_pragmas)
        sa.event.listen(engine, "begin", _begin_immediate)
        return engine, str(path)
    return sa.create_engine(url, pool_pre_ping=True, connect_args={"timeout": 10}), shown


def _url(where: str | Path) -> sa.URL:
    text = str(where)
    if isinstance(where, Path) or "://" not in text:
        return sa.URL.create("sqlite", database=str(Path(text).expanduser()))
    try:
        url = sa.make_url(text)
    except ArgumentError as error:
        raise StorageError(
            "the store's address is no URL of a database; expected a path, sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        ) from error
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url.set(drivername="postgresql+pg8000")
    if kind == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise StorageError(
        f"{url.render_as_string(hide_password=True)}: expected a path, sqlite:///PATH or "
        "postgresql://USER:PASSWORD@HOST/DATABASE. A database in memory would be lost at a crash."
    )


def _prepare_file(path: Path) -> None:
    """Make the file with mode 600; SQLite gives its log files the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be made ({error}). Check that its folder is writable and the disk "
            "not full, or choose another place with --store."
        ) from error


def _set_pragmas(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin too late, see _begin_immediate
    cursor = connection.cursor()
    try:
        for pragma in FILE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at once: a read that turns into a write cannot wait for another."""
    options = connection.get_execution_options()
    if not options.get("alone", False):  # VACUUM works outside a transaction only
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


@contextmanager
def explained(shown: str) -> Iterator[None]:
    """Turn a database's fault into a `StorageError` that says what to do."""
    try:
        yield
    except NoSuchModuleError as error:
        raise missing("pg8000") from error
    except (SQLAlchemyError, *DRIVERS) as error:
        raise StorageError(f"{shown}: {_reason(error)}") from error


DRIVERS = (sqlite3.Error, OSError, struct.error)
"""What comes past SQLAlchemy: a pragma's fault, and a server that goes in the middle of a word."""


def _reason(error: Exception) -> str:
    """What happened and what to do, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    first = cause.args[0] if cause is not None and cause.args else ""
    if isinstance(first, dict):  # pg8000 gives what the server says, in the server's language
        code, told = str(first.get("C", "")), str(first.get("M", ""))
        for start, meaning in _CODES:
            if code.startswith(start):
                return meaning
    elif isinstance(cause, OSError | struct.error) or "network error" in str(first):
        return GONE
    else:
        told = str(first)
    for words, meaning in _MEANINGS:
        if words in told:
            return meaning
    return f"the database says: {told[:300]}. What was stored before is kept."


GONE = "the server has gone away. Start it again; what was stored before is kept."
FULL = "the server's disk is full. Make room; what was stored before is kept."
TWICE = "another process has written the same rows. End one of the two; nothing was lost."
NOWHERE = "no such database or role on the server. Make it first: createdb NAME."
REFUSED = "the server refuses user or password."

_CODES = (
    ("53100", FULL),
    ("53", "the server has no room for another connection or its work. It is tried again."),
    ("57P", GONE),
    ("58", "the server's disk reports an error, or is full. What was stored before is kept."),
    ("23505", TWICE),
    ("25006", "the server only lets itself be read. Give the URL of the one that is written to."),
    ("42501", "the server does not let this user write there. Give the right to, or another URL."),
    ("3D000", NOWHERE),
    ("28", REFUSED),
)
"""PostgreSQL's codes (appendix A of its manual), longest first, and what to do."""

_MEANINGS = (
    (
        "database or disk is full",
        "the disk is full. Make room; what was stored before is kept.",
    ),
    (
        "disk I/O error",
        "the disk reports an error, or is full. What was stored before is kept.",
    ),
    (
        "database is locked",
        f"locked by another program for more than {BUSY_S:g} s. Close it (a database browser, a "
        "backup); what was stored before is kept.",
    ),
    (
        "attempt to write a readonly",
        "not writable. Give yourself the right to write, or choose another place with --store.",
    ),
    (
        "unable to open database file",
        "is a folder, or may not be opened. Choose another place with --store.",
    ),
    (
        "not a database",
        "not a database of SQLite. Choose another place with --store; nothing was changed.",
    ),
    (
        "database disk image is malformed",
        "damaged. Keep a copy and try: sqlite3 FILE .recover. Nothing was changed.",
    ),
    (
        "UNIQUE constraint",
        TWICE,
    ),
    (
        "Can't create a connection",
        "no server answers there. Start it, or check host and port in the URL.",
    ),
)
