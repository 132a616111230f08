"""BIDS: the estimate as a physiological recording on a regular grid, entries as events.

Brain Imaging Data Structure 1.10. The estimate is ``recording-estimate``; raw signals, where they
were kept, are one recording each. `dolorimeter.datasets.bids_physio` reads all of it back.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dolorimeter import __version__
from dolorimeter.monitor.export.record import SessionRecord
from dolorimeter.monitor.nouns import RawChunk

STEP_S = 0.5
"""The monitor's step, where fewer than two estimates tell it."""

LONGEST_GAP_S = 86_400.0
"""Seconds without an estimate from which it is the machine's clock that was set, not a gap."""


def bids_files(record: SessionRecord) -> dict[str, bytes]:
    """A BIDS tree of one subject and one session."""
    subject, session = label(record.info.subject), label(record.info.id)
    stem = f"sub-{subject}/ses-{session}/beh/sub-{subject}_ses-{session}_task-monitor"
    files = {
        "dataset_description.json": _json(_description(record)),
        "README": ("\n".join(record.remarks) + "\n").encode(),
        "participants.tsv": f"participant_id\nsub-{subject}\n".encode(),
        f"{stem}_events.tsv": _events(record),
        f"{stem}_events.json": _json(EVENT_COLUMNS),
    }
    if record.estimates:
        files |= _estimate(record, f"{stem}_recording-estimate_physio")
    by_name = groupby(record.signals, key=lambda chunk: chunk.name)
    for name, chunks in by_name:
        files |= _raw(list(chunks), f"{stem}_recording-{label(name)}_physio")
    return files


def label(text: str) -> str:
    """A BIDS label: letters and digits of `text`; a digest is added where others were left out.

    Examples
    --------
    >>> label("071309w21"), label("Anna K.") == label("Anna-K")
    ('071309w21', False)
    """
    plain = re.sub(r"[^A-Za-z0-9]", "", text)
    return plain if plain == text else plain + hashlib.sha256(text.encode()).hexdigest()[:8]


def _description(record: SessionRecord) -> dict[str, Any]:
    return {
        "Name": f"dolorimeter monitor, session {record.info.id}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "dolorimeter", "Version": __version__}],
        "Acknowledgements": " ".join(record.remarks),
    }


def _estimate(record: SessionRecord, stem: str) -> dict[str, bytes]:
    """Estimates on a grid of their usual step; a step without one, or without a level, is n/a."""
    seconds = np.array([record.seconds(e.time) for e in record.estimates])
    step, places, jumps = _on_grid(seconds)
    names = ("expected_level", "lower", "upper", "quality", "age_s")
    columns = [*names, *(f"p_{name}" for name in record.info.classes)]
    grid = np.full((places[-1] + 1, len(columns)), np.nan)
    for place, estimate in zip(places, record.estimates, strict=True):
        row = [getattr(estimate, name) for name in names]
        row += [estimate.probabilities.get(name) for name in record.info.classes]
        grid[place] = [np.nan if value is None else value for value in row]
    low, high = record.info.levels
    about: dict[str, Any] = {
        "SamplingFrequency": 1 / step,
        "StartTime": float(seconds[0]),
        "Columns": columns,
        "Manufacturer": "dolorimeter",
        "ManufacturersModelName": record.info.model,
        "ModelDigest": record.info.model_digest,
        "Notice": " ".join(record.remarks),
        "expected_level": {
            "Description": f"Estimated level, from {low:g} to {high:g}; n/a where abstained.",
        },
        "lower": {"Description": "Lower end of the interval of the level."},
        "upper": {"Description": "Upper end of the interval of the level."},
        "quality": {"Description": "Lowest quality of a modality used, 0 to 1."},
        "age_s": {"Description": "Age of the stalest modality used.", "Units": "s"},
    }
    if jumps:
        about["Clock"] = (
            f"The machine's clock was set {jumps} times on the way: from there on estimates stand "
            "one step after another."
        )
    return {f"{stem}.tsv.gz": _numbers(grid), f"{stem}.json": _json(about)}


def _on_grid(seconds: Float[np.ndarray, " row"]) -> tuple[float, Int[np.ndarray, " row"], int]:
    """Step of the grid, place of each estimate on it, and how often the clock was set meanwhile.

    Two estimates never share a place: a clock that was set is not believed.
    """
    gaps = np.diff(seconds)
    step = max(round(float(np.median(gaps)), 3), 0.001) if len(gaps) else STEP_S
    jumps = (gaps <= 0) | (gaps > LONGEST_GAP_S)
    places = np.round((seconds - seconds[0]) / step).astype(int)
    if jumps.any():
        places = np.concatenate([[0], np.where(jumps, 1, np.diff(places)).cumsum()])
    return step, places, int(jumps.sum())


def _raw(chunks: Sequence[RawChunk], stem: str) -> dict[str, bytes]:
    """One raw signal; samples between its pieces that never came are n/a."""
    first, rate = chunks[0], chunks[0].sampling_rate
    places = [round((chunk.start - first.start) * rate) for chunk in chunks]
    length = max(p + len(c.samples) for p, c in zip(places, chunks, strict=True))
    values = np.full((length, 1), np.nan)
    for place, chunk in zip(places, chunks, strict=True):
        values[place : place + len(chunk.samples), 0] = chunk.samples
    about = {
        "SamplingFrequency": rate,
        "StartTime": first.start,
        "Columns": [first.name],
        first.name: {"Units": first.unit},
    }
    return {f"{stem}.tsv.gz": _numbers(values), f"{stem}.json": _json(about)}


EVENT_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "trial_type": {
        "Description": "What happened.",
        "Levels": {
            "mark": "Somebody noted an event.",
            "self_report": "The person's own rating; not an estimate.",
            "abstained": "The monitor gave no estimate, for the reason in `label`.",
        },
    },
    "label": {"Description": "Text of the mark, or the reason of abstaining."},
    "scale": {"Description": "nrs: 0 to 10. faces: six drawn faces, 0, 2, 4, 6, 8, 10."},
    "value": {"Description": "Value of the self-report."},
    "entered_by": {"Description": "Who entered it."},
    "withdrawn": {"Description": "true where it was entered by mistake."},
}


def _events(record: SessionRecord) -> bytes:
    lines = ["\t".join(("onset", "duration", *EVENT_COLUMNS))]
    for onset, duration, cells in sorted(_event_rows(record)):
        lines.append("\t".join((f"{onset:.6f}", f"{duration:.6f}", *cells)))
    return ("\n".join(lines) + "\n").encode()


def _event_rows(record: SessionRecord) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    for mark in record.marks:
        gone, who = str(mark.withdrawn).lower(), mark.entered_by or "n/a"
        yield record.seconds(mark.time), 0.0, ("mark", mark.label, "n/a", "n/a", who, gone)
    for report in record.reports:
        gone, value = str(report.withdrawn).lower(), str(report.value)
        cells = ("self_report", "n/a", report.scale, value, report.entered_by, gone)
        yield record.seconds(report.time), 0.0, cells
    for onset, duration, reason in _spells(record):
        yield onset, duration, ("abstained", reason, "n/a", "n/a", "n/a", "false")


def _spells(record: SessionRecord) -> list[tuple[float, float, str]]:
    """Onset, duration and reason of each stretch without an estimate."""
    spells = []
    for reason, group in groupby(record.estimates, key=lambda e: e.abstained):
        times = [record.seconds(e.time) for e in group]
        if reason:
            spells.append((times[0], max(0.0, times[-1] - times[0]), reason))
    return spells


def _numbers(table: Float[np.ndarray, "row column"]) -> bytes:
    lines = ("\t".join("n/a" if v != v else repr(float(v)) for v in row) for row in table)
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
