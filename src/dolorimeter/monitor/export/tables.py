"""CSV and Parquet: one row an estimate, one an entry, and the session in JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dolorimeter import __version__
from dolorimeter.monitor.export.record import SessionRecord
from dolorimeter.monitor.nouns import Estimate, Mark, SelfReport

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters at which a spreadsheet takes a cell for a formula."""


def csv_files(record: SessionRecord) -> dict[str, bytes]:
    """``estimates.csv``, ``entries.csv`` and ``session.json``.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; Parquet keeps
    it as it is.
    """
    files = {"session.json": _session_json(record)}
    for name, table in _tables(record).items():
        text = table.apply(lambda column: column.map(_no_formula))
        files[f"{name}.csv"] = text.to_csv(index=False, lineterminator="\n").encode()
    return files


def parquet_files(record: SessionRecord) -> dict[str, bytes]:
    """``estimates.parquet``, ``entries.parquet`` and ``session.json``."""
    files = {"session.json": _session_json(record)}
    for name, table in _tables(record).items():
        content = pa.Table.from_pandas(table, preserve_index=False)
        content = content.replace_schema_metadata({"notice": " ".join(record.remarks)})
        sink = io.BytesIO()
        pq.write_table(content, sink, compression="zstd")
        files[f"{name}.parquet"] = sink.getvalue()
    return files


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _tables(record: SessionRecord) -> dict[str, pd.DataFrame]:
    about = {
        "session": record.info.id,
        "subject": record.info.subject,
        "lookalike": record.info.lookalike,
        "notice": record.remarks[0],
    }
    return {
        "estimates": _table([_row(e, record) | about for e in record.estimates], record, about),
        "entries": pd.DataFrame(
            [row | about for row in _entries(record)], columns=[*ENTRY_COLUMNS, *about]
        ),
    }


ESTIMATE_COLUMNS = (
    "time",
    "seconds",
    "start",
    "duration",
    "expected_level",
    "lower",
    "upper",
    "coverage",
    "coverage_kind",
    "abstained",
    "quality",
    "age_s",
    "latency_s",
    "alert",
    "remarks",
)
ENTRY_COLUMNS = ("kind", "time", "seconds", "label", "scale", "value", "entered_by", "withdrawn")


def _row(estimate: Estimate, record: SessionRecord) -> dict[str, Any]:
    row: dict[str, Any] = {
        "time": estimate.time.isoformat(timespec="microseconds"),
        "seconds": record.seconds(estimate.time),
        "remarks": "; ".join(estimate.remarks),
    }
    for name in ESTIMATE_COLUMNS:
        row.setdefault(name, getattr(estimate, name, None))
    row |= {f"p_{name}": p for name, p in estimate.probabilities.items()}
    for state in estimate.modalities:
        row |= {
            f"{state.name}_quality": state.quality,
            f"{state.name}_age_s": state.age_s,
            f"{state.name}_present": state.present,
            f"{state.name}_reasons": "; ".join(state.reasons),
        }
    return row


def _table(
    rows: list[dict[str, Any]], record: SessionRecord, about: dict[str, Any]
) -> pd.DataFrame:
    first = [*ESTIMATE_COLUMNS, *(f"p_{name}" for name in record.info.classes)]
    names = dict.fromkeys((*first, *(name for row in rows for name in row)))
    order = [name for name in names if name not in about]
    return pd.DataFrame(rows, columns=[*order, *about])


def _entries(record: SessionRecord) -> list[dict[str, Any]]:
    rows = [_entry(mark, record) | {"label": mark.label} for mark in record.marks]
    rows += [
        _entry(report, record) | {"scale": report.scale, "value": report.value}
        for report in record.reports
    ]
    return sorted(rows, key=lambda row: row["seconds"])


def _entry(entry: Mark | SelfReport, record: SessionRecord) -> dict[str, Any]:
    return {
        "kind": "mark" if isinstance(entry, Mark) else "self_report",
        "time": entry.time.isoformat(timespec="microseconds"),
        "seconds": record.seconds(entry.time),
        "entered_by": entry.entered_by,
        "withdrawn": entry.withdrawn,
    }


def _session_json(record: SessionRecord) -> bytes:
    info = record.info
    told = {
        "session": info.id,
        "subject": info.subject,
        "kind": info.kind,
        "model": info.model,
        "model_digest": info.model_digest,
        "classes": list(info.classes),
        "levels": list(info.levels),
        "sources": list(info.sources),
        "lookalike": info.lookalike,
        "started": info.started.isoformat(),
        "ended": None if info.ended is None else info.ended.isoformat(),
        "state": record.state,
        "estimates": len(record.estimates),
        "dolorimeter": __version__,
        "remarks": list(record.remarks),
    }
    return (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode()
