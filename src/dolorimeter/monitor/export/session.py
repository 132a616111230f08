"""One stored session, read once, and written in the format that was asked for.

Every format says "Research software, not a medical device", and look-alike where it is one.
Frames are in none of them: they are never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.monitor.export.bids import bids_files
from dolorimeter.monitor.export.fhir import fhir_files
from dolorimeter.monitor.export.record import SessionRecord
from dolorimeter.monitor.export.tables import csv_files, parquet_files
from dolorimeter.monitor.store import Store
from dolorimeter.storage import write_bytes

FORMATS: Mapping[str, Callable[[SessionRecord], dict[str, bytes]]] = {
    "csv": csv_files,
    "parquet": parquet_files,
    "bids": bids_files,
    "fhir-r5": lambda record: fhir_files(record, release="R5"),
    "fhir-r4b": lambda record: fhir_files(record, release="R4B"),
}
"""Format → function from a session to its files: relative path and content."""


def read_session(store: Store, session: str) -> SessionRecord:
    """Everything the store has of a session."""
    found = store.session(session)
    return SessionRecord(
        info=found.info,
        state=found.state,
        last=found.last,
        estimates=tuple(store.estimates(session)),
        marks=tuple(store.marks(session)),
        reports=tuple(store.reports(session)),
        signals=tuple(store.signals(session)),
    )


def session_files(record: SessionRecord, form: str, *, every_s: float = 0.0) -> dict[str, bytes]:
    """The files of a session in one format.

    Parameters
    ----------
    record : SessionRecord
    form : str
        One of `FORMATS`.
    every_s : float
        Keep the newest estimate of each such span of seconds; 0 keeps all. Where estimates are
        left out the export says so. Marks and self-reports are never left out.

    Raises
    ------
    ConfigError
        If there is no such format.
    """
    if form not in FORMATS:
        raise ConfigError(f"no export format '{form}', expected one of {', '.join(FORMATS)}.")
    return FORMATS[form](record.thinned(every_s))


def export_session(
    session: str, out: str | Path, form: str, *, where: str | Path, every_s: float = 0.0
) -> list[Path]:
    """Write a stored session below a folder that is new or empty; gives the files written.

    Raises
    ------
    StorageError
        If the folder has content, or store or session are not there.
    ConfigError
        If there is no such format.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StorageError(f"{out}: is not an empty folder. Give a new one with --out.")
    with Store(where, make=False) as store:
        files = session_files(read_session(store, session), form, every_s=every_s)
    for name, content in files.items():
        write_bytes(out / name, content)
    return [out / name for name in sorted(files)]
