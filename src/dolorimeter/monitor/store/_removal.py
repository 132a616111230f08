"""Removing a subject wholly: rows first, then their remnants in the files.

Deleted content is overwritten (SQLite's ``secure_delete``), then the database is rewritten without
it and its log cut to nothing. A crash or another reader in between is made good later: until the
files are rewritten a key stands in the table of facts.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from dolorimeter.errors import StorageError
from dolorimeter.monitor.store import _tables as t
from dolorimeter.monitor.store._database import Database

UNFINISHED = "purge_unfinished"
"""Key that stands in the table of facts from a purge's deletion until the files are rewritten."""


def remove_rows(database: Database, sessions: Sequence[str]) -> int:
    """Delete all rows of some sessions; how many there were, those of `sessions` aside."""
    rows = 0
    with database.write() as connection:
        for table in t.OF_A_SESSION:
            gone = sa.delete(table).where(table.c.session.in_(sessions))
            rows += connection.execute(gone).rowcount
        connection.execute(sa.delete(t.SESSIONS).where(t.SESSIONS.c.id.in_(sessions)))
        connection.execute(sa.delete(t.META).where(t.META.c.key == UNFINISHED))
        connection.execute(sa.insert(t.META), {"key": UNFINISHED, "value": ""})
    return rows


def is_unfinished(database: Database) -> bool:
    """Whether rows were deleted whose remnants are not yet out of the files."""
    query = sa.select(t.META.c.key).where(t.META.c.key == UNFINISHED)
    with database.read() as connection:
        return connection.execute(query).first() is not None


def remove_remnants(database: Database) -> None:
    """Rewrite the files without what was deleted.

    Raises
    ------
    StorageError
        If another program has the file open, so that the log cannot be cut.
    """
    with database.alone() as connection:
        if not database.is_file:
            for table in (*t.OF_A_SESSION, t.SESSIONS):
                connection.exec_driver_sql(f"VACUUM FULL {table.name}")
        else:
            _rewrite_file(connection, database.place)
    with database.write() as connection:
        connection.execute(sa.delete(t.META).where(t.META.c.key == UNFINISHED))


def _rewrite_file(connection: sa.Connection, place: str) -> None:
    connection.exec_driver_sql("VACUUM")
    busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
    if busy:
        raise StorageError(
            f"{place}: the rows are deleted, but another program has the file open, so that "
            "remnants may stand in its log. Close it and purge again."
        )
