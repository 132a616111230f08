"""Subject identity: which identifiers name one subject, and which subject a file belongs to.

`identity` serves readers, splits, the audit and the register of training subjects, so that
``001``, ``1``, ``1.0`` and ``sub-01`` are one subject everywhere or nowhere. `FileSubjects` gives
the subject of each file from a pattern of file names or from a participants table.
"""

from __future__ import annotations

import fnmatch
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dolorimeter.datasets._files import Problem, find_optional, natural_key, relative
from dolorimeter.datasets.text_tables import (
    MISSING,
    Table,
    file_key,
    listed,
    nearest_file,
    open_table,
    table_suffix,
)
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.types import Exclusion, Recording

TOKEN = re.compile(r"\d+|[^\W\d_]+")
WHOLE_FLOAT = re.compile(r"\d+\.0+")
PREFIXES = frozenset({"sub", "subject"})  # BIDS writes sub-01 for participant 01


def identity(subject: object) -> str:
    """Return the canonical form of a subject identifier.

    Identifiers with the same canonical form are treated as one subject. The form ignores Unicode
    composition and width, case, outer blanks, the kind of separator, leading zeros, a trailing
    ``.0`` and the prefix ``sub-``. It keeps the order of the parts: ``1-11`` is not ``11-1``,
    and neither is ``111``.

    Parameters
    ----------
    subject : object
        Identifier as read from a file: text, an integer or a float without a fraction.

    Returns
    -------
    str
        Canonical form. An identifier without letters and digits is its own form.

    Examples
    --------
    >>> [identity(s) for s in ("001", 1, 1.0, "sub-01", "S1 ", "s_01")]
    ['1', '1', '1', '1', 's-1', 's-1']
    >>> identity("1-11") == identity("11-1")
    False
    """
    text = unicodedata.normalize("NFKC", str(subject)).strip().casefold()
    if WHOLE_FLOAT.fullmatch(text):
        text = text.partition(".")[0]
    tokens = [str(int(t)) if t.isdecimal() else t for t in TOKEN.findall(text)]
    if len(tokens) > 1 and tokens[0] in PREFIXES:
        tokens = tokens[1:]
    return "-".join(tokens) or text


def spellings(subjects: Iterable[object]) -> list[tuple[str, ...]]:
    """Return the groups of different identifiers that name one subject.

    Parameters
    ----------
    subjects : iterable of object
        Identifiers; repeated ones count once.

    Returns
    -------
    list of tuple of str
        One tuple per subject with two or more spellings, sorted.

    Examples
    --------
    >>> spellings(["001", "1", "2", "Anna", "anna"])
    [('001', '1'), ('Anna', 'anna')]
    """
    groups: dict[str, set[str]] = {}
    for subject in subjects:
        groups.setdefault(identity(subject), set()).add(str(subject))
    return sorted(tuple(sorted(names)) for names in groups.values() if len(names) > 1)


# ── the subject of a file ───────────────────────────────────────────────────────────────────────

TABLE_NAMES = ("participants.tsv", "participants.csv")
SUBJECT_COLUMNS = ("participant_id", "subject")
FILE_COLUMNS = ("file", "pattern")
OWN_COLUMNS = (*SUBJECT_COLUMNS, *FILE_COLUMNS)

FIELDS = re.compile(r"\{(\w*)\}|(\*)")
ENDING = re.compile(r"(\.[A-Za-z]\w{1,7})?(\.gz)?$")
SESSION = re.compile(
    r"(?P<subject>.+?)[_\-. ](?P<word>ses|sess|session|day|visit|run|rec|recording|take|t|v|d)?"
    r"[_\-]?(?P<number>\d+|pre|post)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FileSubject:
    """The subject and the session of one file; `session` is empty where it is unknown."""

    subject: str
    session: str = ""


@dataclass(frozen=True)
class Participants:
    """A participants table: one row per subject, or one per file.

    Parameters
    ----------
    path : Path
        Where it was read.
    facts : mapping of str to mapping
        Subject → its further columns (``age``, ``sex``); numbers where they read as numbers, a
        missing cell is left out. A column that differs between the rows of a subject is left out.
    files : mapping of str to FileSubject
        File name or pattern of names (``P01_*``) → subject; empty without such a column.
    notes : tuple of str
        Sentences for a report.
    """

    path: Path
    facts: Mapping[str, Mapping[str, str | float]]
    files: Mapping[str, FileSubject]
    notes: tuple[str, ...] = ()

    @cached_property
    def _by_identity(self) -> dict[str, str]:
        return {identity(subject): subject for subject in self.facts}

    def spelling(self, subject: str) -> str:
        """Return the spelling of a subject in the table; its own if the table lacks it."""
        return self._by_identity.get(identity(subject), subject)


def read_participants(path: str | Path) -> Participants:
    """Read a participants table.

    Parameters
    ----------
    path : str or Path
        Text table, any dialect, with a column ``participant_id`` or ``subject``. Optional columns:
        ``file`` or ``pattern`` (a name of a file, or a pattern such as ``P01_*``; folders with
        ``/``) and ``session``. Every other column is a fact of the subject, such as ``age`` and
        ``sex``. The prefix ``sub-`` of a participant is left out, as in BIDS.

    Returns
    -------
    Participants

    Raises
    ------
    RecordingError
        If the file is damaged, has no column of subjects, a row without a subject, one file in two
        rows, or one subject in two spellings.
    """
    path = Path(path)
    table = open_table(path)
    names = {name.casefold(): name for name in reversed(table.columns)}
    key = next((names[c] for c in SUBJECT_COLUMNS if c in names), None)
    if key is None:
        raise RecordingError(
            f"{path}: no column 'participant_id' or 'subject'; there are {listed(table.columns)}. "
            "Rename the column that names the subject."
        )
    cells = table.text(table.columns)
    blank = [row for row, cell in enumerate(cells[key], start=1) if cell in MISSING]
    if blank:
        raise RecordingError(
            f"{path}, row {blank[0]}: no {key} (in {len(blank)} rows). Write the subject, or "
            "remove the row."
        )
    subjects = [cell.removeprefix("sub-") for cell in cells[key]]
    twice = spellings(subjects)
    if twice:
        raise RecordingError(
            f"{path}: {' and '.join(map(repr, twice[0]))} look like one subject. Use one spelling "
            "per subject."
        )
    file_column = next((names[c] for c in FILE_COLUMNS if c in names), None)
    files: dict[str, FileSubject] = {}
    sessions = cells.get(names.get("session", ""), [""] * len(subjects))
    for row, subject in enumerate(subjects):
        cell = file_key(cells[file_column][row]) if file_column else ""
        if not cell:
            continue
        if files.get(cell, FileSubject(subject)).subject != subject:
            raise RecordingError(
                f"{path}, row {row + 1}: {cell!r} of subject {subject!r}, which an earlier row "
                f"gives to {files[cell].subject!r}. A file has one subject."
            )
        files[cell] = FileSubject(subject, sessions[row])
    facts, differing = _facts(table, subjects, cells, {key, file_column or ""})
    notes = [table.note] if table.note else []
    notes += [
        f"{path.name}: {column} differs between the rows of {subject} and is not used."
        for column, subject in differing.items()
    ]
    return Participants(path, facts, files, tuple(notes))


def _facts(
    table: Table, subjects: Sequence[str], cells: Mapping[str, list[str]], without: set[str]
) -> tuple[dict[str, dict[str, str | float]], dict[str, str]]:
    """Facts of each subject, and per column left out the first subject with two values."""
    columns = [c for c in table.columns if c not in without and c.casefold() != "session"]
    numbers, _ = table.sorted_by_kind(columns)
    facts: dict[str, dict[str, str | float]] = {subject: {} for subject in subjects}
    differing: dict[str, str] = {}
    for column in columns:
        for row, subject in enumerate(subjects):
            cell = cells[column][row]
            if not cell:
                continue
            value = float(numbers[column][row]) if column in numbers else cell
            if isinstance(value, float) and math.isnan(value):
                continue
            if facts[subject].setdefault(column, value) != value:
                differing.setdefault(column, subject)
    for column in differing:
        for one in facts.values():
            one.pop(column, None)
    return facts, differing


class FileSubjects:
    """Subjects of the files of one folder.

    Parameters
    ----------
    root : Path
        The folder. A ``participants.tsv`` or ``participants.csv`` in it is read.
    rule : str, optional
        A pattern of file names with ``{subject}`` and optionally ``{session}``, such as
        ``"{subject}_day{session}"``: compared with the name without its ending, and with the path
        from the root if the pattern has a ``/``; ``*`` stands for anything. Or the path of a
        participants table, in the folder or anywhere. By default each reader's own rule, unless
        the table in the folder names files.

    Raises
    ------
    ConfigError
        If the rule is neither such a pattern nor a table.
    RecordingError
        If the table is damaged.

    Examples
    --------
    >>> subjects = FileSubjects(Path("recordings"), "{subject}_day{session}")
    >>> subjects.of("P01_day2.edf", default="P01_day2")
    FileSubject(subject='P01', session='2')
    """

    def __init__(self, root: Path, rule: str | None = None) -> None:
        self.root = root
        self.rule = rule
        self._pattern = None
        table = next((t for t in (find_optional(root, n) for n in TABLE_NAMES) if t), None)
        if rule is not None and table_suffix(Path(rule)):
            table = next((p for p in (root / rule, Path(rule)) if p.is_file()), None)
            if table is None:
                raise ConfigError(
                    f"subject: no participants table {rule!r}, neither in {root} nor in the "
                    "current folder."
                )
        elif rule is not None:
            self._pattern = _compiled(rule)
        self.participants = None if table is None else read_participants(table)
        self._raw: dict[str, set[str]] = defaultdict(set)

    def of(self, *names: str, default: str) -> FileSubject:
        """Return the subject of a file.

        Parameters
        ----------
        names : str
            Path of the file (or folder) from the root, with forward slashes; several if it goes by
            several.
        default : str
            Subject by the rule of the format, used if there is neither a pattern nor a table of
            files.

        Raises
        ------
        RecordingError
            If the name does not match the pattern, or the table of files does not list it. The
            reader leaves the file out and counts it.
        """
        found = self._found([file_key(name) for name in names], default)
        if found.subject in MISSING:
            raise RecordingError(
                f"{names[0]}: the subject is {found.subject!r}, expected an identifier."
            )
        return replace(found, subject=self.join(found.subject))

    def join(self, subject: str) -> str:
        """Return the spelling of the participants table; without one the subject as it is."""
        joined = subject if self.participants is None else self.participants.spelling(subject)
        self._raw[joined].add(subject)
        return joined

    def _found(self, names: Sequence[str], default: str) -> FileSubject:
        if self._pattern is not None:
            for name in names:
                match = self._pattern.fullmatch(ENDING.sub("", name)) or self._pattern.fullmatch(
                    ENDING.sub("", name).rsplit("/", 1)[-1]
                )
                if match:
                    return FileSubject(match["subject"], match.groupdict().get("session") or "")
            raise RecordingError(
                f"{names[0]}: does not match subject={self.rule!r}. Change the pattern, or rename "
                "or remove the file."
            )
        if self.participants is None or not self.participants.files:
            return FileSubject(default)
        files = self.participants.files
        for name in names:
            bare = name.rsplit("/", 1)[-1]
            for candidate in (name, ENDING.sub("", name), bare, ENDING.sub("", bare)):
                if candidate in files:
                    return files[candidate]
        for pattern, found in files.items():
            if any(
                fnmatch.fnmatchcase(candidate, pattern)
                for name in names
                for candidate in (name, name.rsplit("/", 1)[-1])
            ):
                return found
        near = nearest_file(names[0], files)
        raise RecordingError(
            f"{names[0]}: not in {self.participants.path.name}, so that its subject is unknown."
            + (f" The nearest name there is {near!r}." if near else "")
            + " Add a row for it."
        )

    @property
    def declared(self) -> bool:
        """Whether a pattern or a table of files says whose file is whose."""
        return self._pattern is not None or bool(self.participants and self.participants.files)

    @staticmethod
    def is_rule(text: str) -> bool:
        """Whether `text` is a pattern or the path of a table, rather than the name of a column."""
        return "{" in text or bool(table_suffix(Path(text)))

    def facts(self, subject: str) -> dict[str, str | float]:
        """Return the facts of a subject in the participants table; empty without one."""
        if self.participants is None:
            return {}
        return dict(self.participants.facts.get(self.participants.spelling(subject), {}))

    def apply(
        self, recordings: Iterable[Recording], exclusions: Iterable[Exclusion] = ()
    ) -> tuple[list[Recording], tuple[Exclusion, ...]]:
        """Give recordings the subjects and facts that are declared for them.

        Parameters
        ----------
        recordings : iterable of Recording
            With the subjects that the format gives them. Their names are paths from the root
            without the ending.
        exclusions : iterable of Exclusion
            What the reader has left out; its subjects are renamed too.

        Returns
        -------
        recordings : list of Recording
            Facts of the participants table and the session are in `Recording.subject_info`.
        exclusions : tuple of Exclusion
            Those passed, and the files without a declared subject.
        """
        kept: list[Recording] = []
        left_out: list[Exclusion] = []
        for exclusion in exclusions:
            try:
                found = self.of(exclusion.what, exclusion.recording, default=exclusion.subject)
                left_out.append(replace(exclusion, subject=found.subject))
            except RecordingError:
                left_out.append(exclusion)
        for recording in recordings:
            names = [recording.name]
            names += [relative(path, self.root) for path in recording.sources[:1]]
            try:
                found = self.of(*names, default=recording.subject)
            except RecordingError as error:
                left_out.append(
                    Exclusion(recording.subject, recording.name, names[-1], str(error))
                )
                continue
            info = {**recording.subject_info, **self.facts(found.subject)}
            if found.session:
                info["session"] = found.session
            kept.append(replace(recording, subject=found.subject, subject_info=info))
        return kept, tuple(left_out)

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say on the subjects of the files asked for so far."""
        notes = list(self.participants.notes) if self.participants is not None else []
        for subject, raw in sorted(self._raw.items()):
            if len(raw) > 1:
                names = ", ".join(sorted(raw))
                notes.append(
                    f"subjects {names} are read as subject {subject} (participants table)."
                )
        notes += spelling_notes(self._raw)
        return (*notes, *self._session_notes())

    def problems(self) -> list[Problem]:
        """Return what `check` must say on the subjects of the files asked for so far."""
        problems = [Problem(".", note, "label", "warning") for note in spelling_notes(self._raw)]
        problems += [Problem(".", note, "label", "warning") for note in self._session_notes()]
        if self.participants is None:
            return problems
        where = relative(self.participants.path, self.root)
        have = {identity(subject) for subject in self._raw}
        declared = {identity(subject) for subject in self.participants.facts}
        problems += [
            Problem(where, f"{subject}: no file of this subject", "missing", "warning")
            for subject in self.participants.facts
            if identity(subject) not in have
        ]
        problems += [
            Problem(where, f"{subject}: not in the table", "label", "warning")
            for subject in sorted(self._raw, key=natural_key)
            if identity(subject) not in declared
        ]
        return problems

    def _session_notes(self) -> list[str]:
        """Names that look like several recordings of one subject, unless somebody has declared."""
        return [] if self.declared else session_notes(self._raw)


def spelling_notes(subjects: Iterable[str]) -> list[str]:
    """Return a sentence per group of subjects that look like one subject.

    Examples
    --------
    >>> spelling_notes(["001", "1", "2"])[0].split(".")[0]
    'subjects 001 and 1 look like one'
    """
    return [
        f"subjects {', '.join(names[:-1])} and {names[-1]} look like one. Use one spelling, or "
        "list the subject in a participants table."
        for names in spellings(subjects)
    ]


def session_notes(subjects: Iterable[str]) -> list[str]:
    """Return a sentence if names of subjects look like several recordings of one subject.

    Examples
    --------
    >>> session_notes(["P01_day1", "P01_day2", "P02_day1"])[0].split(".")[0]
    'P01_day1 and P01_day2 look like recordings of one subject'
    >>> session_notes(["sub_01", "sub_02"])
    []
    """
    groups: dict[str, list[str]] = defaultdict(list)
    words: dict[str, str] = {}
    for name in sorted(set(subjects), key=natural_key):
        match = SESSION.fullmatch(name)
        base = match["subject"] if match else name
        groups[base].append(name)
        if match:
            start, end = match.span("number")
            words[base] = f"{{subject}}{name[match.end('subject') : start]}{{session}}{name[end:]}"
    several = [base for base, names in groups.items() if len(names) > 1]
    word = next((b for b in several if SESSION.fullmatch(groups[b][0])["word"]), None)  # type: ignore[index]  # several names match
    if not several or (len(groups) == 1 and word is None):
        return []
    base = word or several[0]
    first, second = groups[base][:2]
    return [
        f"{first} and {second} look like recordings of one subject. If they are, pass "
        f"subject={words[base]!r} or a participants table; else a split by subject trains on the "
        "subject it tests."
    ]


def _compiled(rule: str) -> re.Pattern[str]:
    """The regular expression of a pattern of file names."""
    fields = [name for name, star in FIELDS.findall(rule) if not star]
    if (
        "subject" not in fields
        or set(fields) - {"subject", "session"}
        or len(set(fields)) < len(fields)
    ):
        raise ConfigError(
            f"subject is {rule!r}; expected a pattern with {{subject}} and optionally "
            "{session}, such as '{subject}_day{session}', or the path of a participants table "
            "(.tsv, .csv)."
        )
    parts = []
    last = 0
    for match in FIELDS.finditer(rule):
        parts.append(re.escape(unicodedata.normalize("NFC", rule[last : match.start()])))
        parts.append("[^/]*" if match[2] else f"(?P<{match[1]}>[^/]+)")
        last = match.end()
    parts.append(re.escape(unicodedata.normalize("NFC", rule[last:])))
    return re.compile("".join(parts))
