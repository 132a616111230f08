"""A folder of video files of any lab, with an optional table of what was done to whom when.

``<subject>/<name>.mp4`` (or ``.mov``, ``.avi``, ``.mkv``, ``.webm``), at any depth, or flat files.
``labels.csv`` beside them has a row a stimulus: ``file`` (from the root, forward slashes), and
optionally ``subject``, ``condition``, ``level``, ``onset`` and ``duration`` (seconds).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import ClassVar

from dolorimeter.datasets._files import (
    EMPTY_CELLS,
    CheckReport,
    OfficialSplit,
    Problem,
    duplicate_problems,
    find_optional,
    is_lookalike,
    natural_key,
    read_table,
    relative,
    require_dir,
    select_subjects,
    stray_problems,
    walk_files,
    without_path,
)
from dolorimeter.errors import DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.types import Exclusion, LabelSource, Rating, Recording, Stimulus, Video
from dolorimeter.video import probe

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
LABELS = "labels.csv"

ROLES = ("file", "subject", "condition", "level", "onset", "duration")
"""Columns of ``labels.csv`` with a meaning of their own."""

_ABSENT = f"in {LABELS}, no such video"

RATINGS: Mapping[str, LabelSource] = {
    "vas": "self_report",
    "nrs": "self_report",
    "opr": "observer",
    "pspi": "facs",
}
"""Columns that are ratings, and who gives them; any other column is an attribute."""


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
    """One recording a video file, as ``videos["face"]``.

    Parameters
    ----------
    root : path
        The folder; ``labels.csv`` (or ``.csv.gz``) may lie in it.

    Raises
    ------
    DatasetError
        If there is no folder, or no video file in it.

    Notes
    -----
    The subject of a file is what ``labels.csv`` says; else its top folder; else, of a flat file,
    its name without suffix. Where ``labels.csv`` has a column ``subject`` and the cell of a flat
    file is empty, it is the name up to the first ``-``.

    A row without ``condition`` is no stimulus, but its ratings count. Columns ``vas`` and ``nrs``
    (self-report), ``opr`` (observer) and ``pspi`` (FACS) are ratings; any other column is an
    attribute of the stimulus, a number where it reads as one.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, root: str | Path) -> None:
        self.root = require_dir(root, dataset="video files")
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
        found = []
        paths = [path for path in self._paths if self._subject_of[path] in rank]
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
            Problem(e.what, e.reason, "missing" if e.reason == _ABSENT else "unreadable")
            for e in self.exclusions
        ]
        problems += [
            Problem(relative(path, self.root), f"not in {LABELS}", "label", "warning")
            for path in self._paths
            if self._labels and relative(path, self.root) not in self._labels
        ]
        problems += duplicate_problems(self._paths, self.root)
        known = [*self._paths, *([self._table] if self._table else [])]
        problems += stray_problems(self.root, known)
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

    @cached_property
    def _table(self) -> Path | None:
        return find_optional(self.root, LABELS)

    @cached_property
    def _labels(self) -> dict[str, _Labels]:
        return read_labels(self._table) if self._table else {}

    @cached_property
    def _subject_of(self) -> dict[Path, str]:
        found = {}
        for path in self._paths:
            parts = path.relative_to(self.root).parts
            labels = self._labels.get(relative(path, self.root))
            if labels is not None and labels.subject:
                found[path] = labels.subject
            elif len(parts) > 1:
                found[path] = parts[0]
            elif labels is not None and labels.subject is not None:
                found[path] = path.stem.split("-")[0] or path.stem
            else:
                found[path] = path.stem
        return found

    @cached_property
    def _stems(self) -> Counter[str]:
        return Counter(_stem(relative(path, self.root)) for path in self._paths)

    def _name(self, where: str) -> str:
        """The file's path without its suffix; with it where two files differ in nothing else."""
        return where if self._stems[_stem(where)] > 1 else _stem(where)

    def _absent(self, chosen: set[str] | None) -> list[Exclusion]:
        """Files that ``labels.csv`` names and nobody finds."""
        there = {relative(path, self.root) for path in self._paths}
        return [
            Exclusion(labels.subject or "", self._name(file), file, _ABSENT)
            for file, labels in self._labels.items()
            if file not in there and (chosen is None or labels.subject in chosen)
        ]

    def _recording(self, path: Path) -> Recording:
        info = probe(path)
        where = relative(path, self.root)
        labels = self._labels.get(where, _Labels(None))
        facts = {"duration": info.duration}
        if info.frames is not None:
            facts["frame_count"] = float(info.frames)
        return Recording(
            dataset=self.card.name,
            subject=self._subject_of[path],
            name=self._name(where),
            videos={"face": Video(path)},
            stimuli=tuple(labels.stimuli),
            ratings=tuple(labels.ratings),
            sources=(path,),
            facts=facts,
        )


@dataclass
class _Labels:
    """What ``labels.csv`` says of one file; `subject` is None without such a column."""

    subject: str | None
    stimuli: list[Stimulus] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)


def read_labels(path: Path) -> dict[str, _Labels]:
    """The rows of ``labels.csv`` by file.

    Raises
    ------
    RecordingError
        Naming the row, for a file that lies outside the folder, a cell that is no number, a
        negative duration, or a file with two subjects.
    """
    table = read_table(path, delimiter=",", columns=("file",))
    found: dict[str, _Labels] = {}
    for number, row in enumerate(table.to_dict("records"), start=1):
        where = f"{path}, row {number}"
        cells = {str(key): str(value) for key, value in row.items()}
        cells = {key: "" if cell in EMPTY_CELLS else cell for key, cell in cells.items()}
        file = _inside(where, cells["file"])
        labels = found.setdefault(file, _Labels(cells.get("subject")))
        if labels.subject != cells.get("subject"):
            raise RecordingError(
                f"{where}: subject {cells.get('subject')!r} of {file}, which an earlier row gives "
                f"to {labels.subject!r}. A file has one subject."
            )
        onset, duration, level = (_number(where, cells, k) for k in ("onset", "duration", "level"))
        if duration is not None and duration < 0:
            raise RecordingError(f"{where}: duration {duration:g} s, expected 0 or more.")
        if level is not None and level != int(level):
            raise RecordingError(f"{where}: level {level:g}, expected a whole number.")
        for scale in (name for name in RATINGS if cells.get(name)):
            value = _number(where, cells, scale)
            assert value is not None
            labels.ratings.append(Rating(scale, value, RATINGS[scale], onset))
        if cells.get("condition"):
            labels.stimuli.append(
                Stimulus(
                    onset,
                    duration,
                    cells["condition"],
                    None if level is None else int(level),
                    _attributes(cells.items()),
                )
            )
    return found


def _stem(where: str) -> str:
    return PurePosixPath(where).with_suffix("").as_posix()


def _inside(where: str, file: str) -> str:
    """A path from the root with forward slashes, unless it leads elsewhere."""
    path = PurePosixPath(file)
    outside = PureWindowsPath(file).anchor or ".." in path.parts or "\\" in file
    if outside or path == PurePosixPath():
        raise RecordingError(
            f"{where}: file is {file!r}; expected a path inside the folder, from the folder, with "
            "forward slashes."
        )
    return path.as_posix()


def _number(where: str, cells: Mapping[str, str], column: str) -> float | None:
    text = cells.get(column)
    if not text:
        return None
    value = _float(text)
    if value is None:
        raise RecordingError(f"{where}: {column} is {text!r}, expected a number.")
    return value


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _attributes(cells: Iterable[tuple[str, str]]) -> dict[str, str | int | float]:
    """Columns without a meaning of their own; numbers where they read as such."""
    attributes: dict[str, str | int | float] = {}
    for name, text in cells:
        if text and name and name not in ROLES and name not in RATINGS:
            value = _float(text)
            attributes[name] = text if value is None else value
    return attributes
