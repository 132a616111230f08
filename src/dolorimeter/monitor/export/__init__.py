"""A stored session as files that others read: CSV, Parquet, BIDS, FHIR."""

from dolorimeter.monitor.export.record import SessionRecord
from dolorimeter.monitor.export.session import (
    FORMATS,
    export_session,
    read_session,
    session_files,
)

__all__ = ["FORMATS", "SessionRecord", "export_session", "read_session", "session_files"]
