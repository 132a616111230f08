"""A reader whose recordings are listed together before any of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    natural_key,
    refuse_unreadable,
    select_subjects,
)
from dolorimeter.datasets._open import check_recordings
from dolorimeter.registry import DatasetCard
from dolorimeter.types import Exclusion, Recording


class Listed(ABC):
    """What is left to a reader: how to find its files (`_list`), and what is odd about them.

    Attributes
    ----------
    root : Path
        The reader sets it.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    root: Path

    @abstractmethod
    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        """Every recording, signals unread where that is possible, and what was left out."""

    def _oddities(self) -> Iterable[Problem]:
        """What `check` should say beside what it says of every data set."""
        return ()

    @cached_property
    def _listing(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        """What `_list` found.

        Raises
        ------
        FileReadError
            If a file that was left out cannot be read now: that is no property of the data.
        """
        recordings, exclusions = self._list()
        for exclusion in exclusions:
            for name in (exclusion.what, exclusion.recording):
                path = self.root / name
                if name and path.is_file():
                    refuse_unreadable(path)
        return recordings, exclusions

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What was left out, and why."""
        return self._listing[1]

    def subjects(self) -> tuple[str, ...]:
        """Subjects with something that can be read, sorted."""
        found = {recording.subject for recording in self._listing[0]}
        return tuple(sorted(found, key=natural_key))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """All recordings, or those of some subjects.

        Raises
        ------
        DatasetError
            If a subject is not there.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        return [r for r in self._listing[0] if r.subject in chosen]

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None are published."""
        return {}

    def check(self) -> CheckReport:
        """Read everything and say what is missing, flat, clipped or unreadable."""
        return check_recordings(
            self.card.name,
            self.root,
            self._listing[0],
            subjects=len(self.subjects()),
            expected=self.card.subjects,
            exclusions=self.exclusions,
            more=self._oddities(),
        )
