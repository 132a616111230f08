"""Empatica E4 sessions of any lab, as the device writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from dolorimeter.datasets._e4 import SENSORS, is_session, open_session
from dolorimeter.datasets._files import (
    is_zip,
    list_dirs,
    list_files,
    reading,
    relative,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.datasets.participants import FileSubjects
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, Recording, Remark

DEVICE_NAME = re.compile(r"\d{9,10}_[A-Za-z0-9]{5,8}")
"""Name that the device gives a session: Unix time and serial number."""
DEVICE_IS_SUBJECT = (
    "a session directly in the folder has the device's name, which is no person: it counts as a "
    "subject of its own unless subject= says who it is"
)


@DATASETS.register(
    DatasetCard(
        name="empatica_e4",
        summary="Empatica E4 wristband sessions as the device writes them (any lab's own).",
        licence="the owner's",
        obtain="Your own recordings: a session folder, or a folder of session folders.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="Button presses only; they have no label.",
        units={name: sensor.unit for name, sensor in SENSORS.items()},
        units_confirmed=True,
    )
)
class EmpaticaE4(Listed):
    """Sessions: a folder (``EDA.csv`` …) or zip archive each, at any depth below the root.

    Parameters
    ----------
    root : path
        A session, or a folder that holds sessions at any depth. Files may be gzipped.
    subject : str, optional
        Pattern of session paths (``"{subject}_day{session}"``, ``"{subject}/{session}"``) or a
        participants table. By default a session belongs to the subject whose folder it lies in
        (``P01/1544027337_A01525``); a session directly in the root is a subject of its own.

    Notes
    -----
    The recording's clock starts with the earliest sensor; the others begin later
    (`Signal.start`), as heart rate does by ten seconds. A button press is a stimulus of condition
    ``tag`` without level or duration.
    """

    def __init__(self, root: str | Path, *, subject: str | None = None) -> None:
        root = Path(root)
        self.root = (
            root.parent if is_zip(root) else require_dir(root, dataset="Empatica E4 sessions")
        )
        self._single = root if is_zip(root) or is_session(self.root) else None
        if not self._sessions:
            raise DatasetError(
                f"{root}: is not an Empatica E4 session: no "
                f"{', '.join(s.file for s in SENSORS.values())} in it or in its folders. Give the "
                "folder that holds EDA.csv, or one that holds such folders or zip archives."
            )
        self.file_subjects = FileSubjects(self.root, subject)

    @cached_property
    def _sessions(self) -> dict[str, Path]:
        """Name of each session (path from the root) → its folder or zip archive."""
        if self._single is not None:
            return {_session_name(self._single.resolve().name): self._single}
        sessions: dict[str, Path] = {}
        for path in _places(self.root):
            name = _session_name(relative(path, self.root))
            if name in sessions:
                continue  # a zip archive beside its unpacked folder
            sessions[name] = path
        return sessions

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for name, folder in self._sessions.items():
            above = name.rpartition("/")[0]
            subject = above or name
            where = relative(folder, self.root)
            try:
                with reading(folder, "not a sound E4 session", "Export or copy it again."):
                    session = open_session(subject, folder, self.root, name=name)
            except RecordingError as error:
                exclusions.append(Exclusion(subject, name, where, str(error)))
                continue
            exclusions += session.exclusions
            if not session.files:
                if not session.exclusions:
                    reason = f"{folder}: no file of a sensor in it. Is the archive complete?"
                    exclusions.append(Exclusion(subject, name, where, reason))
                continue
            unnamed = not above and DEVICE_NAME.fullmatch(name) and self._single is None
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=name,
                    signals=session.signals,
                    stimuli=session.tags,
                    sources=session.sources,
                    remarks=(Remark(DEVICE_IS_SUBJECT),) if unnamed else (),
                )
            )
        return recordings, tuple(exclusions)


def _session_name(path: str) -> str:
    return path[:-4] if path.lower().endswith(".zip") else path


def _places(folder: Path) -> Iterator[Path]:
    """Return session folders below a folder, and zip archives (good or not), sorted."""
    for path in sorted((*list_dirs(folder), *list_files(folder, ".zip")), key=lambda p: p.name):
        if path.is_dir() and not is_session(path):
            yield from _places(path)
        elif path.is_dir() or DEVICE_NAME.fullmatch(path.stem) or _holds_session(path):
            yield path


def _holds_session(archive: Path) -> bool:
    try:
        return is_session(archive)
    except RecordingError:
        return True  # listed, and named as damaged
