"""Erase one subject from what this package has written: caches, embeddings, runs, models."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.datasets.participants import identity
from dolorimeter.errors import ConfigError
from dolorimeter.reports.pseudonyms import hide
from dolorimeter.storage import (
    LOCK,
    MANIFEST,
    atomic_path,
    digest,
    locked,
    seal_folder,
    write_json,
    write_parquet,
    write_sealed,
    write_secret,
    write_text,
)

ERASED = "(erased)"
"""What stands in a list or a text in the place of the subject."""

TEXTS = (".txt", ".log", ".md", ".html", ".toml", ".svg", ".yaml", ".yml")
STORES = (".sqlite", ".db")
SALT = "pseudonyms.salt"
REPORTS = ("report.html", "report.md", "report.json")
OF_SUBJECTS = re.compile(r"subjects?$|people$|cohort$|trained_on$|participants?$", re.IGNORECASE)
"""Keys of JSON under which a text of digits is a subject."""


@dataclass
class Erased:
    """What was erased of one subject, and what remains to be done.

    Parameters
    ----------
    subject : str
    spellings : tuple of str
        Identifiers of the subject that were found.
    rows : int
        Rows of tables, of arrays and of CSV files.
    texts : int
        Mentions in JSON, TOML, notes and reports.
    cached : int
        Cache entries of the subject that were removed.
    unattributed : int
        Cache entries that name no subject, such as embeddings of single images, removed because
        they may be of the subject.
    removed : tuple of str
        Files and folders that were removed: stored folds, and reports to be made again.
    retrain : tuple of str
        Models that were trained on the subject. Erasing the name does not change their weights:
        train them again without the subject, or delete them.
    stores : tuple of str
        Databases of the monitor, which have an erasure of their own.
    remaining : tuple of str
        Files that still name the subject, in their name or content. Recordings are never changed.
    """

    subject: str
    spellings: tuple[str, ...] = ()
    rows: int = 0
    texts: int = 0
    cached: int = 0
    unattributed: int = 0
    removed: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


def erase_subject(subject: str, folders: Iterable[str | Path]) -> Erased:
    """Erase one subject from folders that this package has written.

    Tables and arrays lose the subject's rows, JSON and text the identifier, in every spelling that
    means the same subject (``001`` and ``1``). Stored folds of a run are removed, as are reports
    in its folder, which are to be made again. Recordings are not touched. Call it again after an
    interruption.

    Parameters
    ----------
    subject : str
        Identifier of the subject.
    folders : iterable of str or Path
        Run folders, model folders, folders of embeddings, caches, or folders of these.

    Returns
    -------
    Erased
        Counts, models to train again, and files that still name the subject.

    Raises
    ------
    ConfigError
        If a folder does not exist, or the identifier is empty.
    StorageError
        If a file cannot be written, or another process writes in a folder.
    """
    places = [Path(folder) for folder in folders]
    missing = [str(place) for place in places if not place.is_dir()]
    if missing or not places:
        raise ConfigError(f"{', '.join(missing) or 'no folder'}: expected existing folders.")
    if not str(subject).strip():
        raise ConfigError("the identifier of the subject is empty.")
    work = _Erasure(str(subject))
    for place in places:
        work.learn_spellings(place)
    for place in places:
        work.erase(place)
    for place in places:
        work.look_again(place)
    return work.result()


@dataclass
class _Erasure:
    """Work on one subject, folder by folder."""

    subject: str
    spellings: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    removed: list[str] = field(default_factory=list)
    retrain: list[str] = field(default_factory=list)
    stores: list[str] = field(default_factory=list)
    remaining: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spellings.add(self.subject)
        self._canonical = identity(self.subject)

    def result(self) -> Erased:
        return Erased(
            self.subject,
            tuple(sorted(self.spellings)),
            self.counts["rows"],
            self.counts["texts"],
            self.counts["cached"],
            self.counts["unattributed"],
            tuple(sorted(set(self.removed))),
            tuple(sorted(set(self.retrain))),
            tuple(sorted(set(self.stores))),
            tuple(sorted(set(self.remaining))),
        )

    def is_subject(self, value: object) -> bool:
        """Whether a value names the subject, also as ``dataset:subject`` of two data sets."""
        plain = str(value).partition(":")[2]
        return self._canonical in (identity(value), identity(plain) if plain else None)

    # What the subject is called in these files

    def learn_spellings(self, place: Path) -> None:
        """Note every spelling in a column ``subject``; texts are searched for all of them."""
        for path in _files(place):
            if path.suffix == ".parquet":
                table = _read_parquet(path)
                if table is not None and "subject" in table:
                    self._learn(table["subject"].astype(str).unique())
            elif path.name in ("predictor.json", "run.json"):
                told = _read_json(path)
                self._learn(_texts(told))

    def _learn(self, values: Iterable[str]) -> None:
        self.spellings |= {value for value in values if value and self.is_subject(value)}

    # Erasing

    def erase(self, place: Path) -> None:
        for folder, files in _folders(place):
            names = {path.name for path in files}
            ours = names & {"run.json", "predictor.json", "embeddings.json", MANIFEST}
            if ours or folder.name == "folds":
                with locked(folder, "the erasure"):
                    self._erase_in(folder, files)
            else:
                self._erase_in(folder, files)

    def _erase_in(self, folder: Path, files: Sequence[Path]) -> None:
        if (folder / "embeddings.json").is_file():
            self._embeddings(folder)
        if folder.name == "folds" and (folder / "fingerprint.json").is_file():
            self._folds(folder, files)
            return
        before = self.counts.copy()
        changed = [path for path in files if path.is_file() and self._erase_file(path)]
        if (folder / "run.json").is_file() and self.counts != before:
            self._run(folder, changed)
        if (folder / MANIFEST).is_file() and changed:
            seal_folder(folder, [path.name for path in changed if path.name != MANIFEST])

    def _folds(self, folder: Path, files: Sequence[Path]) -> None:
        """Stored folds are for resuming only, and all of them were fitted on the subject."""
        met = False
        for path in files:
            table = _read_parquet(path) if path.suffix == ".parquet" else None
            if table is not None and "subject" in table:
                rows = int(table["subject"].map(self.is_subject).sum())
                self.counts["rows"] += rows
                met = met or rows > 0
            elif path.suffix in (".json", ".jsonl"):
                met = met or self._mentions(path.read_text(encoding="utf-8", errors="replace"))
        if met:
            for path in files:
                if path.name != LOCK:
                    path.unlink(missing_ok=True)
            self.removed.append(str(folder))

    def _run(self, folder: Path, changed: list[Path]) -> None:
        """Say in a run that it has changed, and remove what shows it as it was."""
        for name in REPORTS:
            if (folder / name).is_file():
                (folder / name).unlink()
                self.removed.append(str(folder / name))
        if (folder / SALT).is_file():  # with it, an old report could still be undone
            (folder / SALT).unlink()
            write_secret(folder / SALT, secrets.token_hex(16))
        told = _read_json(folder / "run.json")
        if isinstance(told, dict):
            told["fingerprint"] = ""
            told.setdefault("notes", []).append(
                "One subject was erased from this run after it was evaluated. The other rows are "
                "those of models that were trained on the subject too."
            )
            write_json(folder / "run.json", told)
            changed.append(folder / "run.json")
        if (folder / "models").is_dir():
            self.retrain += [str(p) for p in sorted((folder / "models").iterdir()) if p.is_dir()]

    def _embeddings(self, folder: Path) -> None:
        """Remove rows from the arrays and tables of a folder of embeddings."""
        told = _read_json(folder / "embeddings.json")
        meta = _read_parquet(folder / "meta.parquet")
        if not isinstance(told, dict) or meta is None:
            return
        keep = ~meta["subject"].map(self.is_subject).to_numpy(dtype=bool)
        if not keep.all():
            self.counts["rows"] += int((~keep).sum())
            write_parquet(folder / "meta.parquet", meta[keep])
            facts = _read_parquet(folder / "facts.parquet")
            if facts is not None:
                write_parquet(folder / "facts.parquet", facts[keep])
            for stream in told["streams"]:
                if stream["file"]:
                    array = np.load(folder / stream["file"], mmap_mode="r", allow_pickle=False)
                    with atomic_path(folder / stream["file"]) as part, part.open("wb") as file:
                        np.save(file, array[keep])
                    stream["shape"] = [int(keep.sum()), *stream["shape"][1:]]
                stream["present"] = int(meta.loc[keep, f"present_{stream['name']}"].sum())
            told |= {"windows": int(keep.sum()), "identity": ""}
            told["subjects"] = int(meta.loc[keep, "subject"].nunique())
        self._table(folder / "exclusions.parquet")
        told = self._scrubbed(told)
        for name in told.get("files", {}):
            if (folder / name).is_file():
                told["files"][name] = digest(folder / name)
        write_sealed(folder / "embeddings.json", told)

    def _erase_file(self, path: Path) -> bool:
        """Erase the subject from one file; return whether it has changed."""
        if path.name in (LOCK, MANIFEST, SALT):
            return False
        if path.suffix == ".parquet":
            return self._table(path)
        if path.suffix == ".npz":
            return self._cached(path)
        if path.suffix == ".json":
            return self._json(path)
        if path.suffix == ".jsonl":
            return self._text(path)
        if path.suffix in (".csv", ".tsv"):
            return self._csv(path)
        if path.suffix in STORES:
            self.stores.append(str(path))
            return False
        return path.suffix in TEXTS and self._text(path)

    def _table(self, path: Path) -> bool:
        table = _read_parquet(path)
        if table is None:
            return False
        kept = table
        if "subject" in table:
            kept = table[~table["subject"].map(self.is_subject)]
        self.counts["rows"] += len(table) - len(kept)
        changed = len(kept) < len(table)
        for column in kept.columns:
            if kept[column].dtype == object or isinstance(kept[column].dtype, pd.StringDtype):
                clean = self._without if column == "subjects" else self._hidden
                hidden = kept[column].map(clean)
                if not hidden.equals(kept[column]):
                    kept = kept.assign(**{str(column): hidden})
                    changed = True
        if changed:
            write_parquet(path, kept)
        return changed

    def _cached(self, path: Path) -> bool:
        """Remove a cache entry of the subject, or one that does not say of whom it is."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                names = set(stored.files)
                told = stored["array.told"].tobytes() if "array.told" in names else b""
        except (OSError, ValueError, KeyError):
            return False
        if "seal" not in names:
            return False  # not an entry of our cache
        if not told:
            path.unlink()
            self.counts["unattributed"] += 1
        elif self._is_of_subject(json.loads(told)):
            path.unlink()
            self.counts["cached"] += 1
        return False

    def _is_of_subject(self, told: Any) -> bool:
        """Whether a cached part has a window of the subject, or left one out."""
        meta = told["meta"]
        column = meta["columns"].index("subject") if "subject" in meta["columns"] else None
        windows = [] if column is None else [row[column] for row in meta["data"]]
        left_out = [each["subject"] for each in told["exclusions"]]
        return any(self.is_subject(name) for name in (*windows, *left_out))

    def _json(self, path: Path) -> bool:
        told = _read_json(path)
        if told is None:
            return self._text(path)
        sealed = isinstance(told, dict) and "seal" in told
        scrubbed = self._scrubbed(told)
        if scrubbed == told:
            return False
        if _trained_on(told) != _trained_on(scrubbed):
            self.retrain.append(str(path.parent if path.name == "predictor.json" else path))
        if path.name == "predictor.json":
            scrubbed.setdefault("notes", []).append(
                "One subject that this model was trained on was erased. Train it again."
            )
        if sealed:
            write_sealed(path, scrubbed)
        else:
            write_json(path, scrubbed)
        return True

    def _scrubbed(self, value: Any, key: str = "", *, trained: bool = False) -> Any:
        """Plain values without the subject."""
        trained = trained or key == "trained_on"
        if isinstance(value, Mapping):
            kept = {}
            for name, item in value.items():
                of_subject = self._names_subject(str(name), key, trained=key == "scores")
                if of_subject and not isinstance(item, Mapping | list):
                    self.counts["rows"] += 1
                    continue
                kept[self._hidden(str(name))] = self._scrubbed(item, str(name), trained=trained)
            return kept
        if isinstance(value, list):
            kept_items = []
            for item in value:
                of_subject = isinstance(item, Mapping) and self.is_subject(item.get("subject", ""))
                listed = isinstance(item, str) and self._names_subject(item, key, trained=trained)
                if of_subject or (listed and not trained):
                    self.counts["rows" if of_subject else "texts"] += 1
                    continue
                kept_items.append(self._scrubbed(item, key, trained=trained))
            return kept_items
        if isinstance(value, str):
            if self._names_subject(value, key, trained=trained):
                self.counts["texts"] += 1
                return ERASED
            return self._hidden(value)
        return value

    def _names_subject(self, text: str, key: str, *, trained: bool) -> bool:
        """Whether a text is the subject; one of digits only where subjects are listed."""
        if not text or not self.is_subject(text):
            return False
        return not text.isdigit() or trained or OF_SUBJECTS.search(key) is not None

    def _csv(self, path: Path) -> bool:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        try:
            dialect = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
        except csv.Error:
            return self._text(path)
        rows = list(csv.reader(io.StringIO(text), dialect))
        places = [i for i, name in enumerate(rows[0]) if name.strip().lower() == "subject"]
        if not places:
            return self._text(path)
        kept = [rows[0]] + [
            row
            for row in rows[1:]
            if not any(self.is_subject(row[i]) for i in places if i < len(row))
        ]
        if len(kept) == len(rows):
            return False
        self.counts["rows"] += len(rows) - len(kept)
        out = io.StringIO()
        csv.writer(out, dialect).writerows(kept)
        write_text(path, out.getvalue())
        return True

    def _text(self, path: Path) -> bool:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False
        hidden = self._hidden(text)
        listed = re.sub(
            rf"([\"'])(?:{'|'.join(map(re.escape, sorted(self.spellings)))})\1",
            rf'"{ERASED}"',
            hidden,
        )
        if listed == text:
            return False
        if listed != hidden:
            self.counts["texts"] += 1
        write_text(path, listed)
        return True

    def _hidden(self, value: Any) -> Any:
        """A text without the subject; any other value as it is."""
        if not isinstance(value, str):
            return value
        hidden = hide(value, dict.fromkeys(self.spellings, ERASED))
        if hidden != value:
            self.counts["texts"] += 1
        return hidden

    def _without(self, subjects: Any) -> Any:
        """A list of subjects as one text, without the subject."""
        if not isinstance(subjects, str) or not any(map(self.is_subject, subjects.split("; "))):
            return subjects
        self.counts["texts"] += 1
        return "; ".join(s for s in subjects.split("; ") if not self.is_subject(s)) or ERASED

    def _mentions(self, text: str) -> bool:
        return hide(text, dict.fromkeys(self.spellings, ERASED)) != text

    # What is left

    def look_again(self, place: Path) -> None:
        """Note every file that still names the subject, in its name or its bytes."""
        words = [s for s in self.spellings if not s.isdigit() and len(s) >= 3]
        for path in _files(place):
            inside = str(path.relative_to(place))
            named = hide(inside, dict.fromkeys(self.spellings, ERASED), numbers=True) != inside
            if named or any(_holds(path, word.encode()) for word in words):
                self.remaining.append(str(path))


def _files(place: Path) -> Iterator[Path]:
    for _, files in _folders(place):
        yield from files


def _folders(place: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Folders below `place`, the deepest first, each with its files; links are not followed."""
    for folder, _, names in os.walk(place, topdown=False):
        files = sorted(Path(folder, name) for name in names)
        yield Path(folder), [path for path in files if not path.is_symlink()]


def _read_parquet(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):
        return None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _texts(value: Any) -> Iterator[str]:
    """Every text in plain values, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _trained_on(value: Any) -> Any:
    return value.get("trained_on") if isinstance(value, Mapping) else None


def _holds(path: Path, word: bytes) -> bool:
    """Whether the bytes of a file hold a word."""
    before = b""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                if word in before + block:
                    return True
                before = block[-len(word) :]
    except OSError:
        return False
    return False
