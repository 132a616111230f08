"""Empatica E4 sessions of any lab, as the device writes them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from dolorimeter.datasets._e4 import SENSORS, is_session, open_session
from dolorimeter.datasets._files import (
    list_dirs,
    require_dir,
)
from dolorimeter.datasets._listed import Listed
from dolorimeter.errors import DatasetError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, Recording


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
    """A session folder (``EDA.csv`` …), or a folder of them; a folder's name is the subject.

    Parameters
    ----------
    root : path
        Files may be gzipped.

    Notes
    -----
    The recording's clock starts with the earliest sensor; the others begin later
    (`Signal.start`), as heart rate does by ten seconds. A button press is a stimulus of condition
    ``tag`` without level or duration.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(root, dataset="Empatica E4 sessions")
        if not self._folders:
            raise DatasetError(
                f"{self.root}: is not an Empatica E4 session: no "
                f"{', '.join(s.file for s in SENSORS.values())} in it or in its folders. Give the "
                "folder that holds EDA.csv, or the one that holds such folders."
            )

    @cached_property
    def _folders(self) -> dict[str, Path]:
        if is_session(self.root):
            return {self.root.resolve().name: self.root}
        return {f.name: f for f in list_dirs(self.root) if is_session(f)}

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        for subject, folder in self._folders.items():
            session = open_session(subject, folder, self.root)
            exclusions += session.exclusions
            if session.files:
                recordings.append(
                    Recording(
                        dataset=self.card.name,
                        subject=subject,
                        name=subject,
                        signals=session.signals,
                        stimuli=session.tags,
                        sources=session.sources,
                    )
                )
        return recordings, tuple(exclusions)
