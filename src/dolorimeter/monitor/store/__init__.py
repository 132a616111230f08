"""Where sessions are kept: SQLite by default, PostgreSQL by URL (extra ``monitor``)."""

from dolorimeter.monitor.store.recorder import Recorder
from dolorimeter.monitor.store.store import (
    Purged,
    Store,
    StoredSession,
    default_store,
    list_sessions,
    purge,
)

__all__ = [
    "Purged",
    "Recorder",
    "Store",
    "StoredSession",
    "default_store",
    "list_sessions",
    "purge",
]
