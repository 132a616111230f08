"""Stress-Predict: 35 people, an Empatica E4 each, stress tasks and rest in turn. Not pain.

Iqbal et al. 2022, "Stress Monitoring Using Wearable Sensors: A Pilot Study and Stress-Predict
Dataset", Sensors 22(21):8135, doi:10.3390/s22218135. Code and data:
https://github.com/italha-d/Stress-Predict-Dataset
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dolorimeter._extras import missing
from dolorimeter.datasets._e4 import SENSORS, Session, is_session, open_session
from dolorimeter.datasets._files import (
    list_dirs,
    natural_key,
    read_bytes,
    reading,
    relative,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, Recording, Stimulus

PHASES: Mapping[str, tuple[str, str]] = {
    "baseline": ("Baseline/Questionniare", "other"),
    "stroop": ("Stroop Test", "stress"),
    "relax1": ("Relax", "relax"),
    "interview": ("Interview", "stress"),
    "relax2": ("Relax", "relax"),
    "hyperventilation": ("Hyperventilation", "stress"),
    "relax3": ("Relax", "relax"),
    "relax_baseline": ("Relax/Baseline", "other"),
}
"""Condition → (heading in Time_logs.xlsx, group). Headings come in this order, and consent and
the second questionnaire are left out: they are no task. "Questionniare" is upstream's spelling."""

FIRST_HOUR = 8
"""The log has a 12-hour clock without am or pm; sessions ran from 9 to 16 h, so that an hour below
8 is in the afternoon."""


@DATASETS.register(
    DatasetCard(
        name="stress_predict",
        summary="Empatica E4 of 35 people through Stroop, interview, hyperventilation and rest.",
        paper="Iqbal et al. 2022, Sensors 22(21):8135",
        doi="10.3390/s22218135",
        code="https://github.com/italha-d/Stress-Predict-Dataset",
        licence="MIT",
        obtain="dolorimeter fetch stress_predict",
        sharing="Free with attribution (MIT).",
        label_source="procedure",
        labels="The task a person was given, by the clock; neither pain nor felt stress.",
        protocols=("leave one subject out, stress against relax",),
        units={name: sensor.unit for name, sensor in SENSORS.items()},
        units_confirmed=True,
        person_namespace="stress_predict",
        subjects=35,
        openly_available=True,
    )
)
class StressPredict(Listed):
    """Recordings of about 55 minutes with their phases as stimuli.

    Parameters
    ----------
    root : path
        Upstream's tree (``Raw_data/S01/EDA.csv``, ``Processed_data/Time_logs.xlsx``) or the
        flattened one (``S01/EDA.csv``, ``Time_logs.xlsx``); files may be gzipped, subjects may be
        missing.

    Notes
    -----
    Conditions are `PHASES`; ``attributes["group"]`` is ``stress`` (Stroop, interview,
    hyperventilation), ``relax`` (the three relax phases) or ``other``. Times in the log are
    Europe/Dublin clock times to the minute, files are in UTC: both are put on the recording's
    clock, whose zero is the earliest sensor's start. A phase that does not lie wholly inside the
    recording is an exclusion.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(
            root, "Time_logs.xlsx", "Processed_data/Time_logs.xlsx", dataset="Stress-Predict"
        )
        flat = self.root / "Time_logs.xlsx"
        self._log = flat if flat.is_file() else self.root / "Processed_data" / "Time_logs.xlsx"
        raw = self.root / "Raw_data"
        self._raw = raw if raw.is_dir() else self.root
        if not self._folders:
            raise DatasetError(
                f"{self._raw}: no folder of a subject (S01 with EDA.csv …) in it. Is the copy "
                "complete?"
            )

    @cached_property
    def _folders(self) -> dict[str, Path]:
        folders = [f for f in list_dirs(self._raw) if is_session(f)]
        return {f.name: f for f in sorted(folders, key=lambda f: natural_key(f.name))}

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        log = _read_log(self._log)
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for subject, folder in self._folders.items():
            session = open_session(subject, folder, self.root)
            exclusions += session.exclusions
            if not session.files:
                continue
            stimuli: tuple[Stimulus, ...] = ()
            if subject in log:
                stimuli, left_out = _phases(subject, log[subject], session)
                exclusions += left_out
            else:
                reason = f"no row {subject} in {self._log.name}: its phases are unknown"
                where = relative(self._log, self.root)
                exclusions.append(Exclusion(subject, subject, where, reason))
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=subject,
                    signals=session.signals,
                    stimuli=stimuli,
                    sources=(*session.sources, self._log),
                )
            )
        return recordings, tuple(exclusions)


@dataclass(frozen=True)
class _Phase:
    condition: str
    start: datetime | None
    stop: datetime | None


def _read_log(path: Path) -> dict[str, list[_Phase]]:
    """Phases of each subject with local times, from the sheet with two heading rows."""
    from dolorimeter._extras import openpyxl

    content = read_bytes(path)
    with reading(path, "not an Excel workbook", "Fetch it again."):
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    if len(rows) < 3:
        raise RecordingError(f"{path}: {len(rows)} rows; expected two heading rows and subjects.")
    columns = _columns(path, rows[0])
    day = len(rows[0]) - 1
    log = {}
    for row in rows[2:]:
        if row and isinstance(row[0], str) and row[0].strip():
            row += [None] * (day + 1 - len(row))
            log[row[0].strip()] = _row_phases(row, columns, day)
    return log


def _columns(path: Path, headings: Sequence[Any]) -> dict[str, int]:
    texts = [str(h).strip() if h is not None else "" for h in headings]
    columns, after = {}, 0
    for condition, (heading, _) in PHASES.items():
        try:
            columns[condition] = texts.index(heading, after)
        except ValueError:
            raise RecordingError(
                f"{path}: no heading '{heading}' for {condition} after column {after + 1}; found "
                f"{', '.join(t for t in texts if t) or 'none'}. Is it another version?"
            ) from None
        after = columns[condition] + 1
    if texts[-1] != "Date":
        raise RecordingError(f"{path}: the last heading is '{texts[-1]}', expected 'Date'.")
    return columns


def _row_phases(row: Sequence[Any], columns: Mapping[str, int], day: int) -> list[_Phase]:
    on = row[day].date() if isinstance(row[day], datetime) else None
    return [
        _Phase(condition, _local(on, row[column]), _local(on, row[column + 1]))
        for condition, column in columns.items()
    ]


def _local(day: date | None, clock: object) -> datetime | None:
    if day is None or not isinstance(clock, time):
        return None
    at = datetime.combine(day, clock, tzinfo=_dublin())
    return at + timedelta(hours=12) if clock.hour < FIRST_HOUR else at


def _dublin() -> ZoneInfo:
    try:
        return ZoneInfo("Europe/Dublin")
    except ZoneInfoNotFoundError as error:
        raise missing("tzdata") from error


def _phases(
    subject: str, phases: Sequence[_Phase], session: Session
) -> tuple[tuple[Stimulus, ...], list[Exclusion]]:
    stop = session.stop
    stimuli, left_out = [], []
    for phase in phases:
        if phase.start is None or phase.stop is None:
            left_out.append(
                Exclusion(subject, subject, phase.condition, "no start or end in Time_logs.xlsx")
            )
            continue
        onset = phase.start.timestamp() - session.origin
        end = phase.stop.timestamp() - session.origin
        if onset < 0 or end > stop or end <= onset:
            reason = (
                f"{onset:.0f} to {end:.0f} s by the log, not inside the recording's 0 to "
                f"{stop:.0f} s"
            )
            left_out.append(Exclusion(subject, subject, phase.condition, reason))
            continue
        group = PHASES[phase.condition][1]
        stimuli.append(Stimulus(onset, end - onset, phase.condition, attributes={"group": group}))
    return tuple(sorted(stimuli, key=lambda s: s.onset or 0.0)), left_out
