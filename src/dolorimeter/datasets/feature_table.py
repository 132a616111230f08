"""A plain table of features, CSV or Parquet: anybody's, OpenFace's, py-feat's or LibreFace's.

The layouts of the programs that measure faces are in `_face_tables`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dolorimeter.datasets._counters import not_a_feature
from dolorimeter.datasets._face_tables import (
    EMOTIONS,
    OPENFACE3_UNITS,
    face_format,
    failed_rows,
    openface3_values,
    rows_of_face,
    seconds_of,
)
from dolorimeter.datasets._files import (
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    duplicate_problems,
    list_files,
    natural_key,
    one_of,
    relative,
    select_subjects,
    shortened,
)
from dolorimeter.datasets.labels import LABELS, FileLabels, Labels, read_labels
from dolorimeter.datasets.participants import TABLE_NAMES, FileSubjects
from dolorimeter.datasets.text_tables import (
    MISSING,
    TABLE_SUFFIXES,
    Table,
    listed,
    open_table,
    table_suffix,
)
from dolorimeter.errors import ConfigError, DatasetError, RecordingError, did_you_mean
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import Exclusion

LAYOUTS = ("auto", "plain", "openface", "openface3", "py-feat", "libreface")
FORMAT_OF = {"openface": "openface2"}

PLACES = ("recording", "stimulus", "start", "duration")
"""Columns of a plain table that say where a row lies; they describe it and are no features."""

FEWEST_ALIKE = 4
"""Subjects of one scale from which another scale stands out."""

AU_COLUMNS: Mapping[str, str] = {
    "openface2": r"AU\d\d_[rc]",
    "py-feat": r"AU\d\d?",
    "libreface": r"au_\d\d?(?:_intensity)?",
}


@DATASETS.register(
    DatasetCard(
        name="feature_table",
        summary="A table of features with subjects and labels (CSV, Parquet; OpenFace, py-feat).",
        licence="the owner's",
        obtain="Your own table: a CSV or Parquet file, or a folder of them.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="Whatever the label column says: state its source in the report.",
        units_confirmed=False,
    )
)
class FeatureTable:
    """Rows of a table, or of a folder of tables, as `Samples`.

    Parameters
    ----------
    root : path
        A file (``.csv``, ``.tsv``, ``.parquet``; text also gzipped) or a folder of them. The
        dialect of a text table (semicolons, tabs, decimal commas) is detected and noted.
    subject : str, default "subject"
        Column of the subject; or a pattern of file names with ``{subject}`` (and ``{session}``),
        or the path of a participants table (see `participants.FileSubjects`). In tables of
        OpenFace, py-feat and LibreFace without that column the file name is the subject.
    label : str or None, default "label"
        Column of the condition. It may be absent when `target` is given, and in tables of faces,
        where ``labels.csv`` beside them may say it. None: unlabelled rows, to estimate them.
    target : str, optional
        Column of a number to predict; stored as ``meta["target"]``.
    features : sequence of str, or str
        Feature columns; a text separates them by commas. Empty: in a plain table every column of
        numbers that has no other role and does not just count rows, sessions, time or subjects;
        of faces the action units and of py-feat the emotions too. What is left out is noted.
    layout : {"auto", "plain", "openface", "openface3", "py-feat", "libreface"}
        Auto goes by the columns.
    face : int or str, optional
        Number of the face, where a table of faces has several.

    Notes
    -----
    A row is left out, as an exclusion, when its subject, label or target is missing, or when the
    face tracker failed on it. A missing feature is NaN. True and False are words, not numbers:
    name such a column in `features` to use it.

    Columns ``recording``, ``stimulus``, ``start`` and ``duration`` describe a row. The other
    columns of a plain table that are no features, the columns of a ``participants.tsv`` (or
    ``.csv``) beside it and those of ``labels.csv`` are in ``samples.meta``, so that `demographics`
    may name them.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(
        self,
        root: str | Path,
        *,
        subject: str = "subject",
        label: str | None = "label",
        target: str | None = None,
        features: Sequence[str] | str = (),
        layout: str = "auto",
        face: int | str | None = None,
    ) -> None:
        root = Path(root)
        if not root.exists():
            raise DatasetError(
                f"{root}: is not there; expected a CSV or Parquet file or a folder."
            )
        single = root.is_file()
        self.root = root.parent if single else root
        aside = {LABELS, *TABLE_NAMES, *((Path(subject).name,) if _is_table(subject) else ())}
        self._paths = (
            [root]
            if single
            else [p for p in list_files(root) if table_suffix(p) and p.name not in aside]
        )
        if not self._paths or (single and not table_suffix(root)):
            raise DatasetError(
                f"{root}: no table in it; expected {', '.join(TABLE_SUFFIXES)} (text also .gz)."
            )
        stems = [bare_name(path) for path in self._paths]
        twice = [
            p.name for p, stem in zip(self._paths, stems, strict=True) if stems.count(stem) > 1
        ]
        if twice:
            raise DatasetError(
                f"{root}: {' and '.join(twice[:4])} have one name. Are they one table, exported "
                "twice? Keep one of them, or rename them."
            )
        self.subject, self.label, self.target = subject, label, target
        names = features.split(",") if isinstance(features, str) else features
        self.features = tuple(name.strip() for name in names)
        self.layout = one_of("layout", layout, LAYOUTS, dataset=self.card.name)
        self.face = face

    # ── what a reader offers ────────────────────────────────────────────────────────────────────

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Rows left out, and why."""
        return self._samples.exclusions

    def subjects(self) -> tuple[str, ...]:
        """Subjects with at least one usable row, in natural order."""
        return tuple(sorted(set(self._samples.meta["subject"]), key=natural_key))

    def samples(self, subjects: Sequence[str] | None = None) -> Samples:
        """Usable rows, subjects in natural order, rows of a subject in the order of the file.

        Raises
        ------
        DatasetError
            If a subject asked for is not there.
        ConfigError
            If a column that was named is not there.
        RecordingError
            If a file is damaged or a feature is no number.
        """
        if subjects is None:
            return self._samples
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        return self._samples.take(self._samples.meta["subject"].isin(chosen).to_numpy())

    def samples_with(self, features: Sequence[str]) -> Samples:
        """Return the usable rows with these features, matched by name, in this order.

        Parameters
        ----------
        features : sequence of str
            Those of a model. Features that no table has are left out, and those that only some
            lack are NaN there; further columns of numbers are ignored, and noted.

        Returns
        -------
        Samples

        Raises
        ------
        DatasetError
            If the tables have none of the features.
        """
        found = [name for name in features if any(name in t.columns for t in self._opened)]
        if not found:
            raise DatasetError(
                f"{self._paths[0]}: none of the model's features ({listed(features, 8)}); there "
                f"are {listed(self._opened[0].columns)}."
            )
        samples = self._joined(tuple(found), strict=False)
        table = self._opened[0]
        if self._layout(table) != "plain":
            return samples
        roles = {*found, *PLACES, self.subject, self.label, self.target}
        unknown, _ = table.sorted_by_kind([c for c in table.columns if c not in roles])
        if not unknown:
            return samples
        note = f"Columns that the model does not know are ignored: {', '.join(unknown)}."
        return replace(samples, notes=(*samples.notes, note))

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None: it is a format."""
        return {}

    def check(self) -> CheckReport:
        """Read everything; name damaged files, constant features and missing numbers."""
        problems: list[Problem] = []
        subjects: set[str] = set()
        rows = 0
        parts: list[_Part] = []
        for path in self._paths:
            where = relative(path, self.root)
            try:
                part = self._read(open_table(path), self.features, strict=True)
            except RecordingError as error:
                problems.append(Problem(where, str(error), "unreadable"))
                continue
            parts.append(part)
            rows += len(part.keep)
            subjects |= set(part.meta["subject"][part.keep])
            problems += [Problem(where, f"{e.what}: {e.reason}", "nan") for e in part.exclusions]
        if parts:
            try:
                samples = _join(parts, self.features)
            except RecordingError as error:
                problems.append(Problem(".", str(error), "unreadable"))
            else:
                problems += _column_problems(parts, samples, self.root)
                problems += [
                    Problem(".", n, "stray", "warning") for n in samples.notes if "left out" in n
                ]
        problems += self._file_subjects.problems()
        problems += duplicate_problems(self._paths, self.root)
        problems += [Problem(file, reason, "missing") for file, reason in self._absent.items()]
        return CheckReport(self.card.name, self.root, len(subjects), None, rows, tuple(problems))

    # ── reading ─────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _tables(self) -> tuple[list[Table], dict[Path, str]]:
        """Tables that can be read, and why the other files of the folder cannot."""
        tables: list[Table] = []
        damaged: dict[Path, str] = {}
        for path in self._paths:
            try:
                tables.append(open_table(path))
            except RecordingError as error:
                if len(damaged) == len(self._paths) - 1:
                    raise
                damaged[path] = str(error)
        return tables, damaged

    @property
    def _opened(self) -> list[Table]:
        return self._tables[0]

    @cached_property
    def _samples(self) -> Samples:
        return self._joined(self.features, strict=True)

    def _joined(self, features: tuple[str, ...], *, strict: bool) -> Samples:
        parts = [self._read(table, features, strict=strict) for table in self._opened]
        samples = _join(parts, features)
        notes = [note for table in self._opened if (note := table.note)]
        notes += () if self._labels is None else self._labels.notes
        notes += [f"subject {s}: {what}" for s, what in _other_scales(samples).items()]
        notes += [f"{file}: {reason}." for file, reason in self._absent.items()]
        notes += self._file_subjects.notes()
        notes += [f"{p.path}: {p.what}." for p in duplicate_problems(self._paths, self.root)]
        absent = tuple(
            Exclusion("", bare_name(Path(file)), file, reason)
            for file, reason in self._absent.items()
        ) + tuple(
            Exclusion(_subject_of(path, parts), bare_name(path), relative(path, self.root), reason)
            for path, reason in self._tables[1].items()
        )
        order = {s: i for i, s in enumerate(sorted(set(samples.subjects), key=natural_key))}
        rank = np.array([order[s] for s in samples.subjects], dtype=int)
        samples = samples.take(np.argsort(rank, kind="stable"))
        return replace(
            samples,
            exclusions=(*samples.exclusions, *absent),
            label_source=self.card.label_source,
            notes=tuple(dict.fromkeys((*samples.notes, *notes))),
        )

    @cached_property
    def _file_subjects(self) -> FileSubjects:
        rule = self.subject if FileSubjects.is_rule(self.subject) else None
        return FileSubjects(self.root, rule)

    @cached_property
    def _labels(self) -> Labels | None:
        path = self.root / LABELS
        if not path.is_file() or path in self._paths:
            return None
        return read_labels(path)

    @cached_property
    def _absent(self) -> dict[str, str]:
        """Rows of ``labels.csv`` without their file, and why they are left out."""
        if self._labels is None:
            return {}
        there = [relative(path, self.root) for path in self._paths]
        return {file: reason for file, (reason, _) in self._labels.absent(there).items()}

    def _read(self, table: Table, features: tuple[str, ...], *, strict: bool) -> _Part:
        layout = self._layout(table)
        columns = table.columns
        labels = None if self._labels is None else self._labels.of(table.path.name)
        self._check_columns(table, layout, labels, features if strict else ())
        words = table.text([c for c in (self.subject, self.label) if c in columns])
        subjects, facts = self._subjects(table, words, labels)
        chosen = np.ones(table.rows, dtype=bool)
        failed, why = ~chosen, ""
        start = np.full(table.rows, np.nan)
        aside: dict[str, list[Any]] = {}
        others: dict[str, str] = {}
        if layout == "plain":
            if self.face is not None:
                raise ConfigError(
                    f"{table.path}: face={self.face!r}, but the table is no table of faces. Leave "
                    "face= out."
                )
            numbers, aside, others = self._plain(table, features, strict=strict)
        else:
            chosen = rows_of_face(table, self.face)
            numbers, others = self._of_faces(table, layout, features)
            start = seconds_of(table)
            if layout != "openface3":
                pattern = AU_COLUMNS[layout]
                units = [c for c in columns if re.fullmatch(pattern, c)]
                failed, why = failed_rows(table, units)
        if self.target is not None:
            aside["target"] = table.numbers([self.target])[self.target].tolist()
        meta = self._meta(table, subjects, words, start, aside, facts)
        stated = labels is not None and self.label is not None and self.label not in words
        if stated and labels is not None:
            _label_rows(meta, labels, f"{LABELS}, {table.path.name}")
        reasons = self._reasons(meta, self.label in words or stated, failed, why)
        keep = np.array([not reason for reason in reasons]) & chosen
        exclusions = tuple(
            Exclusion(str(meta["subject"][row]), bare_name(table.path), f"row {row + 1}", reason)
            for row, reason in enumerate(reasons)
            if reason and chosen[row]
        )
        return _Part(table.path, layout, numbers, meta, keep, exclusions, others)

    def _layout(self, table: Table) -> str:
        if self.layout != "auto":
            return FORMAT_OF.get(self.layout, self.layout)
        return face_format(table.columns) or "plain"

    def _check_columns(
        self, table: Table, layout: str, labels: FileLabels | None, features: Sequence[str]
    ) -> None:
        expected = list(features)
        if layout == "plain":
            if not self._file_subjects.declared and not (labels and labels.subject):
                expected.append(self.subject)
            if self.target is None and self.label is not None and labels is None:
                expected.append(self.label)
        if self.target is not None:
            expected.append(self.target)
        missing = [c for c in expected if c not in table.columns]
        if missing:
            by_name = " If the file name is the subject, pass subject='{subject}'."
            near = did_you_mean(missing[0], table.columns, "")
            hint = f" For {missing[0]!r} {near}" if near.startswith("did") else ""
            raise ConfigError(
                f"{table.path}: no column {', '.join(map(repr, missing))}; there are "
                f"{listed(table.columns)}. Name them with subject=, label=, target= or features=."
                + hint
                + (by_name if self.subject in missing else "")
            )

    def _subjects(
        self, table: Table, words: Mapping[str, list[str]], labels: FileLabels | None
    ) -> tuple[list[str], dict[str, dict[str, str | float]]]:
        """Subject of each row (empty where unknown), and the declared facts of each subject."""
        files = self._file_subjects
        session = ""
        if self.subject in words and not files.declared:
            raw = [_whole(cell) for cell in words[self.subject]]
        elif labels is not None and labels.subject:
            raw = [labels.subject] * table.rows
        else:
            found = files.of(table.path.name, default=bare_name(table.path))
            raw, session = [found.subject] * table.rows, found.session
        joined = {s: "" if s in MISSING else files.join(s) for s in dict.fromkeys(raw)}
        facts = {s: files.facts(s) for s in joined.values() if s}
        for subject, known in facts.items():
            if self._labels is not None:
                known.update(self._labels.facts(subject))
            if session:
                known["session"] = session
        return [joined[s] for s in raw], facts

    def _plain(
        self, table: Table, features: tuple[str, ...], *, strict: bool
    ) -> tuple[dict[str, np.ndarray], dict[str, list[Any]], dict[str, str]]:
        """Columns of numbers, columns that describe a row, and columns of words with a cell."""
        roles = {self.subject, self.label, self.target}
        free = [c for c in table.columns if c not in roles]
        if features:
            named = [c for c in features if c in table.columns]
            numbers = table.numbers(named)
            free = [c for c in free if c not in features]
            more, words = table.sorted_by_kind(free) if strict else ({}, {})
        else:
            more, words = table.sorted_by_kind(free)
            for name, cell in words.items():
                table.refuse_spoilt(name, cell)
            numbers = {c: v for c, v in more.items() if c not in PLACES}
            more = {c: v for c, v in more.items() if c in PLACES}
        text = table.text(list(words))
        aside: dict[str, list[Any]] = {c: v.tolist() for c, v in more.items()}
        aside |= {c: cells for c, cells in text.items() if any(cells)}
        others = {} if features else {c: w for c, w in words.items() if c not in PLACES}
        return numbers, aside, others

    def _of_faces(
        self, table: Table, layout: str, features: tuple[str, ...]
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        if layout == "openface3":
            values = openface3_values(table, np.ones(table.rows, dtype=bool))
            units = dict(zip(OPENFACE3_UNITS, values.T, strict=True))
            return {u: v for u, v in units.items() if not features or u in features}, {}
        if features:
            return table.numbers([c for c in features if c in table.columns]), {}
        pattern = re.compile(AU_COLUMNS[layout])
        names = [
            c
            for c in table.columns
            if c not in (self.subject, self.label, self.target)
            and (pattern.fullmatch(c) or (layout == "py-feat" and c.casefold() in EMOTIONS))
        ]
        return table.numbers(names), {}

    def _meta(
        self,
        table: Table,
        subjects: Sequence[str],
        words: Mapping[str, list[str]],
        start: Float[np.ndarray, " row"],
        aside: Mapping[str, list[Any]],
        facts: Mapping[str, Mapping[str, str | float]],
    ) -> pd.DataFrame:
        stem = bare_name(table.path)
        meta = pd.DataFrame(
            {
                "dataset": self.card.name,
                "part": "",
                "subject": pd.Series(subjects, dtype=object),
                "recording": stem,
                "stimulus": "",
                "start": start,
                "duration": np.nan,
                "condition": pd.Series(
                    words.get(self.label or "", [""] * len(subjects)), dtype=object
                ),
            }
        )[list(META_COLUMNS)]
        for name, values in aside.items():
            if name in ("start", "duration"):
                numeric = pd.to_numeric(pd.Series(values), errors="coerce")
                meta[name] = numeric.to_numpy(float)
            elif name in ("recording", "stimulus"):
                meta[name] = [_whole(str(v)) if v == v else "" for v in values]
            elif name not in ("dataset", "part", "subject", "condition"):
                meta[name] = values
        for name in dict.fromkeys(n for known in facts.values() for n in known):
            if name not in meta.columns:
                meta[name] = [facts.get(s, {}).get(name) for s in subjects]
        return meta

    def _reasons(
        self, meta: pd.DataFrame, labelled: bool, failed: Bool[np.ndarray, " row"], why: str
    ) -> list[str]:
        """Why each row is left out; empty where it is not."""
        reasons = []
        targets = meta["target"].tolist() if self.target is not None else [0.0] * len(meta)
        for subject, label, target, bad in zip(
            meta["subject"], meta["condition"], targets, failed, strict=True
        ):
            if subject in MISSING:
                name = "subject" if FileSubjects.is_rule(self.subject) else self.subject
                reasons.append(f"no {name}")
            elif labelled and not label:
                reasons.append(f"no {self.label}")
            elif target != target:
                reasons.append(f"no {self.target}")
            else:
                reasons.append(why if bad else "")
        return reasons


@dataclass(frozen=True)
class _Part:
    """The rows of one file; `words` are columns that are no numbers, with a cell of each."""

    path: Path
    layout: str
    numbers: Mapping[str, Float[np.ndarray, " row"]]
    meta: pd.DataFrame
    keep: Bool[np.ndarray, " row"]
    exclusions: tuple[Exclusion, ...]
    words: Mapping[str, str]


def _join(parts: Sequence[_Part], features: tuple[str, ...]) -> Samples:
    """Rows of all files with one set of features.

    Raises
    ------
    RecordingError
        If the files have other features, or a column is numbers in one and words in another.
    """
    meta = pd.concat([part.meta for part in parts], ignore_index=True)
    keep = np.concatenate([part.keep for part in parts])
    rows = np.flatnonzero(keep)
    names = features or _agreed(parts)
    values = np.empty((len(meta), len(names)))
    for place, name in enumerate(names):
        values[:, place] = _column(parts, name)
    notes = []
    left_out: dict[str, str] = {}
    if not features and parts[0].layout == "plain":
        for place, name in enumerate(names):
            reason = not_a_feature(name, values[rows, place], meta["subject"].to_numpy()[rows])
            if reason:
                left_out[name] = reason
                meta[name] = values[:, place]
        words = {c: cell for part in parts for c, cell in part.words.items() if cell}
        empty = {c for part in parts for c, cell in part.words.items() if not cell}
        left_out |= {c: f"words, such as {cell!r}" for c, cell in words.items()}
        left_out |= dict.fromkeys(sorted(empty - set(words) - set(names)), "no value")
    places = [i for i, name in enumerate(names) if name not in left_out]
    if not places:
        raise RecordingError(
            f"{parts[0].path}: no feature column. Name them with features=."
            + (f" Left out: {_reasons_of(left_out)}." if left_out else "")
        )
    if left_out:
        notes.append(f"Columns left out of the features: {_reasons_of(left_out)}.")
    names = tuple(names[i] for i in places)
    x = values[rows][:, places]
    gaps = np.isnan(x).sum(axis=0)
    notes += [
        f"{name}: missing in {int(n)} of {len(x)} rows."
        for name, n in zip(names, gaps, strict=True)
        if n
    ]
    return Samples(
        x=x,
        meta=meta.iloc[rows].reset_index(drop=True),
        feature_names=names,
        feature_units=tuple(_unit(name, parts[0].layout) for name in names),
        exclusions=tuple(e for part in parts for e in part.exclusions),
        notes=tuple(notes),
    )


def _agreed(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Feature columns of all files, in the order of the first; a column may be empty in some."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.numbers))
    for part in parts:
        clash = [n for n in names if part.words.get(n)]
        if clash:
            raise RecordingError(
                f"{part.path}: column {clash[0]!r} holds {part.words[clash[0]]!r}, and numbers in "
                "other tables of the folder. Name the features with features=."
            )
    for part in parts[1:]:
        missing = sorted(
            n for n in set(names) ^ set(part.numbers) if n not in part.words
        ) or sorted(n for n in names if n not in parts[0].numbers and n not in parts[0].words)
        if missing:
            raise RecordingError(
                f"{part.path}: feature columns differ from those of {parts[0].path.name}: "
                f"{', '.join(missing[:8])}. Name them with features=."
            )
    return names


def _column(parts: Sequence[_Part], name: str) -> Float[np.ndarray, " row"]:
    return np.concatenate(
        [part.numbers.get(name, np.full(len(part.meta), np.nan)) for part in parts]
    )


def _reasons_of(left_out: Mapping[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in left_out.items())


def _label_rows(meta: pd.DataFrame, labels: FileLabels, where: str) -> None:
    """Give each row the condition of the stimulus of ``labels.csv`` that its time lies in.

    A stimulus without an onset holds for the whole file; one without a duration ends at the next
    onset. Ratings belong to the stimulus of their onset.

    Raises
    ------
    RecordingError
        If a row lies in two stimuli.
    """
    times = meta["start"].to_numpy(dtype=float)
    onsets = sorted({s.onset for s in labels.stimuli if s.onset is not None})

    def inside(onset: float | None, duration: float | None) -> Bool[np.ndarray, " row"]:
        if onset is None:
            return np.ones(len(times), dtype=bool)
        later = next((o for o in onsets if o > onset), np.inf)
        end = later if duration is None else onset + duration
        return (times >= onset) & (times < end)

    def put(rows: Bool[np.ndarray, " row"], name: str, value: str | int | float) -> None:
        if name not in meta.columns:
            meta[name] = pd.Series([None] * len(meta), dtype=object)
        meta.loc[rows, name] = value

    taken = np.zeros(len(meta), dtype=bool)
    for number, stimulus in enumerate(labels.stimuli):
        rows = inside(stimulus.onset, stimulus.duration)
        if (rows & taken).any():
            raise RecordingError(
                f"{where}: two stimuli hold for one time ({stimulus.condition!r} is the second). "
                "Give each an onset and a duration."
            )
        taken |= rows
        meta.loc[rows, "condition"] = stimulus.condition
        meta.loc[rows, "stimulus"] = f"{meta['recording'].iloc[0]}#{number}"
        if stimulus.level is not None:
            put(rows, "level", stimulus.level)
        for name, value in stimulus.attributes.items():
            if name not in META_COLUMNS:
                put(rows, name, value)
    lengths = {s.onset: s.duration for s in labels.stimuli}
    for rating in labels.ratings:
        name = f"rating_{rating.scale}"
        if name not in meta.columns:
            meta[name] = np.nan
        meta.loc[inside(rating.onset, lengths.get(rating.onset)), name] = rating.value


def _is_table(text: str) -> bool:
    return bool(table_suffix(Path(text)))


def _whole(cell: str) -> str:
    """A number that a missing neighbour turned into a float, as a whole number."""
    return cell.partition(".")[0] if re.fullmatch(r"\d+\.0", cell) else cell


def _unit(name: str, layout: str) -> str:
    if layout == "openface2" and name.endswith("_r"):
        return "FACS intensity 0-5"
    if layout == "libreface" and name.endswith("_intensity"):
        return "FACS intensity 0-5"
    return "" if layout == "plain" else "1"


def _subject_of(path: Path, parts: Sequence[_Part]) -> str:
    """Subject of a file that cannot be read, if the others name theirs after one prefix."""
    prefixes = set()
    for part in parts:
        subjects = part.meta["subject"].unique()
        stem = bare_name(part.path)
        if len(subjects) != 1 or not stem.endswith(str(subjects[0])):
            return ""
        prefixes.add(stem.removesuffix(str(subjects[0])))
    stem, prefix = bare_name(path), next(iter(prefixes))
    return stem.removeprefix(prefix) if prefixes == {prefix} and stem.startswith(prefix) else ""


def _column_problems(parts: Sequence[_Part], samples: Samples, root: Path) -> list[Problem]:
    """Features of one value, and subjects with missing values or with another scale."""
    files = {
        subject: relative(part.path, root)
        for part in reversed(parts)
        for subject in part.meta["subject"][part.keep].unique()
    }
    everywhere = relative(parts[0].path, root) if len(parts) == 1 else "."
    assert isinstance(samples.x, np.ndarray)
    problems = []
    for name, column in zip(samples.feature_names, samples.x.T, strict=True):
        present = column[~np.isnan(column)]
        if present.size > 1 and present.min() == present.max():
            problems.append(Problem(everywhere, f"{name}: one value only", "flat", "warning"))
    for subject in dict.fromkeys(samples.subjects):
        missing = np.isnan(samples.x[samples.subjects == subject])
        names = [n for n, gap in zip(samples.feature_names, missing.T, strict=True) if gap.any()]
        if names:
            what = (
                f"{shortened(names)} missing in {missing.any(axis=1).sum()} of {len(missing)} rows"
            )
            problems.append(
                Problem(files[subject], f"subject {subject}: {what}", "nan", "warning")
            )
    for subject, what in _other_scales(samples).items():
        problems.append(Problem(files[subject], f"subject {subject}: {what}", "unit", "warning"))
    return problems


def _other_scales(samples: Samples) -> dict[str, str]:
    """Subjects whose features are a hundred times larger or smaller than those of the others.

    The size of a feature is the median of its absolute values per subject. The sizes of the other
    subjects, of whom there must be four, may differ by a factor of ten only.
    """
    assert isinstance(samples.x, np.ndarray)
    names = list(dict.fromkeys(samples.subjects))
    size_of = pd.DataFrame(np.abs(samples.x)).groupby(samples.subjects, sort=False).median()
    sizes = size_of.where(size_of > 0).loc[names].to_numpy(dtype=float)
    found: dict[str, list[tuple[str, float]]] = {}
    for name, size in zip(samples.feature_names, sizes.T, strict=True):
        if np.isfinite(size).sum() <= FEWEST_ALIKE:
            continue
        distance = np.log10(size / np.nanmedian(size))
        far = np.abs(distance) >= 2
        others = distance[np.isfinite(distance) & ~far]
        if len(others) < FEWEST_ALIKE or np.ptp(others) > 1 or far.sum() > len(others) / 2:
            continue
        for row in np.flatnonzero(far):
            found.setdefault(names[row], []).append((name, float(10 ** distance[row])))
    return {
        subject: (
            f"{shortened([name for name, _ in rows])} about {max(ratio, 1 / ratio):,.0f} times "
            f"{'larger' if ratio > 1 else 'smaller'} than in the other subjects: is the unit the "
            "same?"
        )
        for subject, rows in found.items()
        for ratio in [float(np.median([ratio for _, ratio in rows]))]
    }
