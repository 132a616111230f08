"""Opening a database, and saying in words why it will not do what it was asked.

SQLite: write-ahead log, every commit synced to disk, deleted content overwritten, file readable
by its owner alone. PostgreSQL through ``pg8000`` (BSD); its driver is asked for by URL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dolorimeter.errors import DependencyError, StorageError

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
except ImportError as error:  # pragma: no cover - the extra is installed wherever tests run
    raise DependencyError(
        "storing a session needs SQLAlchemy, which is not installed. "
        "Install it with: pip install 'dolorimeter[monitor]'"
    ) from error

BUSY_S = 2.0
"""Seconds that a writer waits for another one before it gives up for now."""

FILE_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON")


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
        raise DependencyError(
            "PostgreSQL needs pg8000, which is not installed. "
            "Install it with: pip install 'dolorimeter[monitor]'"
        ) from error
    except (SQLAlchemyError, sqlite3.Error) as error:  # a pragma's fault comes from the driver
        raise StorageError(f"{shown}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What happened and what to do, without the statement and its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    first = cause.args[0] if cause is not None and cause.args else ""
    told = str(first["M"] if isinstance(first, dict) else first)  # pg8000 gives a mapping
    for words, meaning in _MEANINGS:
        if words in told:
            return meaning
    return f"the database says: {told[:300]}. What was stored before is kept."


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
        "No space left",
        "the server's disk is full. Make room; what was stored before is kept.",
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
        "not a database",
        "not a database of SQLite. Choose another place with --store; nothing was changed.",
    ),
    (
        "database disk image is malformed",
        "damaged. Keep a copy and try: sqlite3 FILE .recover. Nothing was changed.",
    ),
    (
        "UNIQUE constraint",
        "another process has written the same rows. End one of the two; nothing was lost.",
    ),
    (
        "duplicate key",
        "another process has written the same rows. End one of the two; nothing was lost.",
    ),
    (
        "Can't create a connection",
        "no server answers there. Start it, or check host and port in the URL.",
    ),
    (
        "password authentication failed",
        "the server refuses user or password.",
    ),
    (
        "does not exist",
        "no such database or role on the server. Make it first: createdb NAME.",
    ),
)
