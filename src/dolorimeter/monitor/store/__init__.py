"""Where sessions are kept: SQLite by default, PostgreSQL by URL (extra ``monitor``)."""

from dolorimeter._extras import sqlalchemy  # noqa: F401  # raises if it is missing
from dolorimeter.monitor.store._records import Purged, StoredSession, default_store
from dolorimeter.monitor.store.recorder import Recorder
from dolorimeter.monitor.store.store import Store, list_sessions, purge

__all__ = [
    "Purged",
    "Recorder",
    "Store",
    "StoredSession",
    "default_store",
    "list_sessions",
    "purge",
]
