"""Making the tables, and refusing those of another version or another program."""

from __future__ import annotations

import sqlalchemy as sa

from dolorimeter.errors import StorageError
from dolorimeter.monitor.store import _tables as t
from dolorimeter.monitor.store._database import Database, explained

MAKING_TABLES = 0x646F6C6F72
"""Key of PostgreSQL's advisory lock under which tables are made: "dolor" in ASCII."""


def open_tables(database: Database, *, make: bool) -> None:
    """Make the tables where there are none, or check that they are ours and of this version.

    Raises
    ------
    StorageError
        If they are not, or nothing was ever stored and none are to be made.
    """
    with explained(database.place):
        with database.engine.connect() as connection:
            names = set(sa.inspect(connection).get_table_names())
        if t.META.name not in names:
            _make(database, names, make=make)
        _check_version(database)


def _make(database: Database, names: set[str], *, make: bool) -> None:
    foreign = sorted(names - set(t.TABLES.tables))
    if foreign and database.is_file:
        raise StorageError(
            f"{database.place}: a database of something else (it has the tables "
            f"{', '.join(foreign[:5])}). Choose another place with --store; nothing was changed."
        )
    if not make:
        raise StorageError(f"{database.place}: no session was ever stored here.")
    with database.write() as connection:
        if not database.is_file:  # one process at a time makes tables
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MAKING_TABLES})")
        t.TABLES.create_all(connection)
        row = {"key": "schema_version", "value": str(t.SCHEMA_VERSION)}
        known = sa.select(t.META.c.value).where(t.META.c.key == "schema_version")
        if connection.execute(known).first() is None:  # another process was quicker
            connection.execute(sa.insert(t.META), row)


def _check_version(database: Database) -> None:
    query = sa.select(t.META.c.value).where(t.META.c.key == "schema_version")
    with database.read() as connection:
        found = connection.execute(query).scalar()
    if found == str(t.SCHEMA_VERSION):
        return
    what = "newer" if found and found.isdigit() and int(found) > t.SCHEMA_VERSION else "older"
    raise StorageError(
        f"{database.place}: schema {found}, this version of dolorimeter reads schema "
        f"{t.SCHEMA_VERSION}. It was written by a {what} version: export it with that one, or "
        "choose another place with --store. Nothing was changed."
    )
