"""A folder of video files of any lab, with an optional table of what was done to whom when.

``<subject>/<name>.mp4`` (or ``.mov``, ``.avi``, ``.mkv``, ``.webm``), at any depth, or flat files,
and ``labels.csv`` beside them (see `dolorimeter.datasets.labels`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import ClassVar

from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    duplicate_problems,
    find_optional,
    is_lookalike,
    natural_key,
    relative,
    require_dir,
    select_subjects,
    stray_problems,
    walk_files,
    without_path,
)
from dolorimeter.datasets._open import video_problems
from dolorimeter.datasets.labels import ABSENT, LABELS, FileLabels, Labels, read_labels
from dolorimeter.datasets.participants import TABLE_NAMES, FileSubjects
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, Recording, Video
from dolorimeter.video import probe

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


@DATASETS.register(
    DatasetCard(
        name="video_files",
        summary="Video files of any lab: a folder a subject, or flat files, with labels.csv.",
        licence="the owner's",
        obtain="Your own recordings: a folder of .mp4, .mov, .avi, .mkv or .webm files.",
        sharing="As the owner says; a face is a person.",
        label_source="procedure",
        labels="Whatever labels.csv calls condition: state its source in the report.",
        units_confirmed=False,
    )
)
class VideoFiles:
    """One recording per video file, as ``videos["face"]``.

    Parameters
    ----------
    root : path
        The folder; ``labels.csv`` (or ``.csv.gz``) and ``participants.tsv`` (or ``.csv``) may lie
        in it.
    subject : str, optional
        A pattern of file names with ``{subject}`` (and ``{session}``), or the path of a
        participants table (see `participants.FileSubjects`). By default the rule of the notes.

    Raises
    ------
    DatasetError
        If there is no folder, or no video file in it.

    Notes
    -----
    The subject of a file is what ``labels.csv`` says; else its top folder; else, of a flat file,
    its name without suffix. Where ``labels.csv`` has a column ``subject`` and the cell of a flat
    file is empty, it is the name up to the first ``-``. A row of ``labels.csv`` without its file
    is left out and counted, and so is the file that it nearly names.

    A row without ``condition`` is no stimulus, but its ratings count.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path, *, subject: str | None = None) -> None:
        self.root = require_dir(root, dataset="video files")
        self._files = FileSubjects(self.root, subject)
        self._paths = [p for p in walk_files(self.root) if p.suffix.lower() in SUFFIXES]
        if not self._paths:
            raise DatasetError(
                f"{root}: no video file in it; expected {', '.join(SUFFIXES)}. Give the folder "
                "that holds them."
            )
        self.lookalike = is_lookalike(self.root)
        self._exclusions: tuple[Exclusion, ...] | None = None

    def subjects(self) -> tuple[str, ...]:
        """Subjects that have a file, in natural order."""
        return tuple(sorted(set(self._subject_of.values()), key=natural_key))

    def recordings(self, subjects: Sequence[str] | None = None) -> list[Recording]:
        """One recording a file, subjects in natural order; only headers and first frames are read.

        Files that cannot be read as video, and rows of ``labels.csv`` without their file, are left
        out and counted in `exclusions`.

        Raises
        ------
        RecordingError
            If ``labels.csv`` has a row that makes no sense, or one that leads out of the root.
        """
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        rank = {subject: i for i, subject in enumerate(chosen)}
        excluded = self._absent(None if subjects is None else set(chosen))
        excluded += self._whose[1]
        found = []
        paths = [path for path in self._paths if self._subject_of.get(path) in rank]
        for path in sorted(paths, key=lambda p: (rank[self._subject_of[p]], natural_key(str(p)))):
            try:
                found.append(self._recording(path))
            except RecordingError as error:
                where = relative(path, self.root)
                reason = without_path(error, path)
                excluded.append(
                    Exclusion(self._subject_of[path], self._name(where), where, reason)
                )
        self._exclusions = tuple(excluded)
        return found

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """What the last listing left out and why (lists everything when nothing was yet)."""
        if self._exclusions is None:
            self.recordings()
        assert self._exclusions is not None
        return self._exclusions

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None: it is a format."""
        return {}

    def check(self) -> CheckReport:
        """Open every file, and say what cannot be read, is there twice, or is no video."""
        recordings = self.recordings()
        problems = [
            Problem(e.what, e.reason, "missing" if e.reason.startswith(ABSENT) else "unreadable")
            for e in self.exclusions
        ]
        labels = self._labels
        problems += [
            Problem(relative(path, self.root), f"not in {LABELS}", "label", "warning")
            for path in self._subject_of
            if labels is not None and labels.of(relative(path, self.root)) is None
        ]
        if labels is not None:
            problems += [
                Problem(LABELS, n, "label", "warning") for n in labels.notes if "'condition'" in n
            ]
        problems += [
            problem
            for recording in recordings
            for problem in video_problems(relative(recording.sources[0], self.root), recording)
        ]
        problems += self._files.problems()
        problems += duplicate_problems(self._paths, self.root)
        tables = [find_optional(self.root, name) for name in (LABELS, *TABLE_NAMES)]
        problems += stray_problems(self.root, [*self._paths, *(t for t in tables if t)])
        return CheckReport(
            dataset=self.card.name,
            root=self.root,
            subjects_found=len(self.subjects()),
            subjects_expected=None,
            recordings=len(recordings),
            problems=tuple(problems),
            lookalike=self.lookalike,
        )

    # ── listing ─────────────────────────────────────────────────────────────────────────────────

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report must say on the subjects and on how ``labels.csv`` was read."""
        labels = self._labels
        stated = () if labels is None else labels.notes
        assert self._whose is not None  # the subject of every file has been looked up
        return (*stated, *self._files.notes())

    @cached_property
    def _labels(self) -> Labels | None:
        table = find_optional(self.root, LABELS)
        return None if table is None else read_labels(table)

    @cached_property
    def _missing(self) -> dict[str, tuple[str, str]]:
        """Rows of ``labels.csv`` without their file: why, and the file that is nearest."""
        if self._labels is None:
            return {}
        return self._labels.absent(relative(path, self.root) for path in self._paths)

    @property
    def _subject_of(self) -> dict[Path, str]:
        return self._whose[0]

    @cached_property
    def _whose(self) -> tuple[dict[Path, str], list[Exclusion]]:
        """Subject of each file, and the files whose subject is unclear."""
        found: dict[Path, str] = {}
        unclear: list[Exclusion] = []
        near = {close: file for file, (_, close) in self._missing.items() if close}
        for path in self._paths:
            where = relative(path, self.root)
            try:
                if where in near:
                    raise RecordingError(
                        f"{where}: {LABELS} has {near[where]!r}, which is nearly this file; whose "
                        "it is, is unclear. Write the name as it is in the folder"
                    )
                found[path] = self._files.of(where, default=self._by_format(path)).subject
            except RecordingError as error:
                reason = str(error).removeprefix(f"{where}: ")
                unclear.append(Exclusion("", self._name(where), where, reason))
        return found, unclear

    def _by_format(self, path: Path) -> str:
        parts = path.relative_to(self.root).parts
        labels = None if self._labels is None else self._labels.of(relative(path, self.root))
        if labels is not None and labels.subject:
            return labels.subject
        if len(parts) > 1:
            return parts[0]
        if labels is not None and labels.subject is not None:
            return path.stem.split("-")[0] or path.stem
        return path.stem

    @cached_property
    def _stems(self) -> Counter[str]:
        return Counter(_stem(relative(path, self.root)) for path in self._paths)

    def _name(self, where: str) -> str:
        """The file's path without its suffix; with it where two files differ in nothing else."""
        return where if self._stems[_stem(where)] > 1 else _stem(where)

    def _absent(self, chosen: set[str] | None) -> list[Exclusion]:
        """Files that ``labels.csv`` names and that are not there."""
        labels = {} if self._labels is None else self._labels.files
        return [
            Exclusion(labels[file].subject or "", self._name(file), file, reason)
            for file, (reason, _) in self._missing.items()
            if chosen is None or labels[file].subject in chosen
        ]

    def _recording(self, path: Path) -> Recording:
        header = probe(path)
        where = relative(path, self.root)
        labels = (self._labels and self._labels.of(where)) or FileLabels(None)
        subject = self._subject_of[path]
        info = self._files.of(where, default=self._by_format(path))
        known = {} if self._labels is None else self._labels.facts(labels.subject or "")
        known |= self._files.facts(subject)
        if info.session:
            known["session"] = info.session
        facts = {"duration": header.duration}
        if header.frames is not None:
            facts["frame_count"] = float(header.frames)
        return Recording(
            dataset=self.card.name,
            subject=subject,
            name=self._name(where),
            subject_info=known,
            videos={"face": Video(path)},
            stimuli=tuple(labels.stimuli),
            ratings=tuple(labels.ratings),
            sources=(path,),
            facts=facts,
        )


def _stem(where: str) -> str:
    return PurePosixPath(where).with_suffix("").as_posix()
