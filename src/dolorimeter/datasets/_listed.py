"""Base classes of readers whose recordings are listed together before any of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    has_ending,
    natural_key,
    reading,
    relative,
    require_dir,
    select_subjects,
    walk_files,
)
from dolorimeter.datasets._open import check_names, check_recordings, remark_notes
from dolorimeter.datasets.participants import FileSubjects
from dolorimeter.datasets.recording_time import distinct_events
from dolorimeter.datasets.units import check_stated
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DatasetCard
from dolorimeter.types import Exclusion, LazySignals, Recording, Remark, Signal, Stimulus

STATED = "the unit of a signal is the one that the user states (option unit)"


class Listed(ABC):
    """Reader of a folder: a subclass lists its recordings (`_list`).

    Attributes
    ----------
    root : Path
        Folder of the data set; the constructor of the subclass sets it.
    file_subjects : FileSubjects or None
        Subjects that the user declares for files; None where the format names them.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    root: Path
    file_subjects: FileSubjects | None = None

    @abstractmethod
    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        """Return every recording, signals unread where that is possible, and what was left out."""

    def _oddities(self) -> Iterable[Problem]:
        """Return what `check` says beside what it says of every data set."""
        return ()

    @cached_property
    def _listing(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings, exclusions = self._list()
        if self.file_subjects is not None:
            recordings, exclusions = self.file_subjects.apply(recordings, exclusions)
        distinct = []
        for recording in recordings:
            stimuli, repeated = distinct_events(recording)
            distinct.append(replace(recording, stimuli=stimuli) if repeated else recording)
            exclusions += tuple(repeated)
        return distinct, exclusions

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What was left out, and why."""
        return self._listing[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a report prints: on subjects of files, and on what was changed."""
        recordings, _ = self._listing
        declared = () if self.file_subjects is None else self.file_subjects.notes()
        return (*declared, *remark_notes(recordings))

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects with something that can be read, sorted."""
        found = {recording.subject for recording in self._listing[0]}
        return tuple(sorted(found, key=natural_key))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """Return all recordings, or those of some subjects.

        Raises
        ------
        DatasetError
            If a subject is not there.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        return [r for r in self._listing[0] if r.subject in chosen]

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """Return no split: none are published."""
        return {}

    def check(self) -> CheckReport:
        """Read everything and return what is missing, flat, clipped, implausible or unreadable."""
        recordings, exclusions = self._listing
        declared = [] if self.file_subjects is None else self.file_subjects.problems()
        return check_recordings(
            self.card.name,
            self.root,
            recordings,
            subjects=len(self.subjects()),
            expected=self.card.subjects,
            exclusions=exclusions,
            more=[*declared, *self._oddities()],
            units=self.card.units,
        )


@dataclass(frozen=True)
class Content:
    """What one file holds, before its signals are read.

    Parameters
    ----------
    names : tuple of str
        Signals by the field's names.
    load : callable
        Reads them; picklable.
    stimuli : tuple of Stimulus
        Events of the file.
    labels : tuple of str
        Labels of the channels as the file writes them.
    remarks : tuple of Remark
        What a user must be told.
    left_out : tuple of (str, str)
        Part of the file that is left out, and why.
    facts : mapping of str to float
        As `Recording.facts`.
    """

    names: tuple[str, ...]
    load: Callable[[], Mapping[str, Signal]]
    stimuli: tuple[Stimulus, ...] = ()
    labels: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)


class RecordingFiles(Listed):
    """Reader of a format with one recording per file, in a folder of any depth.

    A file of BIDS (``sub-01_…``) belongs to that subject. Any other file name is not a statement
    about a person: without ``subject`` each file is a subject of its own, and names that look like
    sessions of one subject are reported.
    """

    ENDINGS: ClassVar[tuple[str, ...]]
    FORMAT: ClassVar[str]

    def __init__(
        self,
        root: str | Path,
        *,
        names: Mapping[str, str] | None = None,
        subject: str | None = None,
        unit: Mapping[str, str] | None = None,
    ) -> None:
        root = Path(root)
        single = root.is_file() and has_ending(root.name, *self.ENDINGS)
        self.root = root.parent if single else require_dir(root, dataset=f"{self.FORMAT} files")
        self.names, self.unit = dict(names or {}), dict(unit or {})
        self._paths = [root] if single else walk_files(self.root, *self.ENDINGS)
        if not self._paths:
            raise DatasetError(
                f"{root}: no {' or '.join(self.ENDINGS)} file in it. Give the folder that holds "
                "them."
            )
        self.file_subjects = FileSubjects(self.root, subject)

    @abstractmethod
    def _content(self, path: Path) -> Content:
        """Return what a file holds; any exception leaves this file out."""

    def _list(self) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        recordings: list[Recording] = []
        exclusions: list[Exclusion] = []
        labels: list[str] = []
        for path in self._paths:
            where = relative(path, self.root)
            name = where.removesuffix(path.name) + bare_name(path)
            if any(r.name == name for r in recordings):
                name = where  # a.edf beside a.bdf
            subject = next(
                (
                    p.removeprefix("sub-")
                    for p in bare_name(path).split("_")
                    if p.startswith("sub-")
                ),
                name,
            )
            try:
                with reading(path, f"not a sound {self.FORMAT} file", "Export or copy it again."):
                    content = self._content(path)
            except RecordingError as error:
                exclusions.append(Exclusion(subject, name, where, str(error)))
                continue
            exclusions += [
                Exclusion(subject, name, f"{where}, {what}", why) for what, why in content.left_out
            ]
            labels += content.labels
            stated = [f"{n}: {self.unit[n]}" for n in content.names if n in self.unit]
            remarks = (Remark(STATED, ", ".join(stated)),) if stated else ()
            recordings.append(
                Recording(
                    dataset=self.card.name,
                    subject=subject,
                    name=name,
                    signals=LazySignals(content.names, content.load),
                    stimuli=content.stimuli,
                    sources=(path,),
                    facts=content.facts,
                    remarks=(*content.remarks, *remarks),
                )
            )
        if recordings:
            check_names(self.names, labels, where=self.root)
            check_stated(self.unit, (name for r in recordings for name in r.signals))
        return recordings, tuple(exclusions)
