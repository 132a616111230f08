"""Finished folds and permutations of an interrupted run, each with its digest."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dolorimeter.errors import EvaluationError, StorageError
from dolorimeter.evaluation._folds import FoldResult, fold_stem
from dolorimeter.splits import Fold
from dolorimeter.storage import (
    damaged_files,
    digest,
    read_sealed,
    write_json,
    write_parquet,
    write_sealed,
)

TABLES = ("predictions", "access", "baselines", "warnings", "degradation")

FoldTables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Counter[str], pd.DataFrame]
"""Predictions, access, baselines, warnings and degradation of one fold."""

FITTED_AGAIN = "failed in an earlier call and was fitted again"
"""Part of the note on a fold that failed and succeeded later, which the audit looks for."""


class FoldStore:
    """Folds that an interrupted run has finished, in ``run_dir/folds``.

    A fold is five tables and a JSON file with their digests, which is written last. A fold with a
    file that is missing or has changed counts as not finished, and `notes` says so.

    Parameters
    ----------
    run_dir : Path or None
        Run folder; None stores nothing.
    settings : mapping of str to str
        Digests of everything that the folds depend on, by what they cover.
    models : Path, optional
        Folder of fitted models. A fold without its model is fitted again.

    Raises
    ------
    EvaluationError
        If the folder holds folds of other settings.
    """

    def __init__(
        self, run_dir: Path | None, settings: Mapping[str, str], models: Path | None
    ) -> None:
        self.folder = None if run_dir is None else run_dir / "folds"
        self.notes: list[str] = []
        self.finished: set[str] = set()
        self._identity = digest(json.dumps(settings, sort_keys=True))
        if self.folder is None:
            return
        self._check_settings(self.folder / "fingerprint.json", settings)
        for path in sorted(self.folder.glob("fold_*_seed_*.json")):
            stem = path.name.removesuffix(".json")
            if stem.endswith(".failed"):
                continue
            if self._is_sound(path, stem):
                self.finished.add(stem)
            else:
                self.notes.append(f"the stored {stem} was damaged and has been fitted again")
        if models is not None:
            self.finished = {
                stem
                for stem in self.finished
                if (models / stem).is_dir() and not damaged_files(models / stem)
            }

    def _check_settings(self, path: Path, settings: Mapping[str, str]) -> None:
        stored = any(path.parent.glob("fold_*_seed_*.json"))
        try:
            before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise EvaluationError(
                f"{path}: is damaged ({error}). Remove the folder {path.parent}: its folds are "
                "fitted again."
            ) from error
        if (before or stored) and before != dict(settings):
            differ = sorted({*before, *settings}, key=str)
            differ = [name for name in differ if before.get(name) != settings.get(name)]
            raise EvaluationError(
                f"{path.parent.parent}: holds folds of another experiment (they differ in: "
                f"{', '.join(differ)}). Pass another folder, or remove this one."
            )
        write_json(path, dict(settings))

    def _is_sound(self, path: Path, stem: str) -> bool:
        assert self.folder is not None
        try:
            told = read_sealed(path)
            return told["settings"] == self._identity and all(
                digest(self.folder / f"{stem}.{name}.parquet") == told["files"][name]
                for name in TABLES
            )
        except (StorageError, KeyError, TypeError):
            return False

    def has(self, fold: Fold, seed: int) -> bool:
        """Return whether a fold is finished and sound."""
        return fold_stem(fold, seed) in self.finished

    def store(self, result: FoldResult, tables: FoldTables) -> None:
        """Store a finished fold."""
        if self.folder is None:
            return
        stem = fold_stem(result.fold, result.seed)
        warned = pd.DataFrame(sorted(tables[3].items()), columns=["warning", "count"])
        content: dict[str, Any] = {**dict(zip(TABLES, tables, strict=True)), "warnings": warned}
        files = {}
        for name, table in content.items():
            path = self.folder / f"{stem}.{name}.parquet"
            write_parquet(path, table, durable=False)  # its digest tells if it is whole
            files[name] = digest(path)
        write_sealed(self.folder / f"{stem}.json", {"settings": self._identity, "files": files})

    def store_failure(self, result: FoldResult, subjects: str) -> None:
        """Store that a fold failed; the record stays if a later call succeeds."""
        if self.folder is not None:
            stem = fold_stem(result.fold, result.seed)
            told = {"subjects": subjects, "error": result.error, "traceback": result.trace}
            write_sealed(self.folder / f"{stem}.failed.json", told)

    def load(self) -> list[FoldTables]:
        """Return the finished folds, and note those that had failed in an earlier call."""
        if self.folder is None:
            return []
        found: list[FoldTables] = []
        for stem in sorted(self.finished):
            parts = [pd.read_parquet(self.folder / f"{stem}.{name}.parquet") for name in TABLES]
            warned = dict(zip(parts[3]["warning"], parts[3]["count"], strict=True))
            found.append((parts[0], parts[1], parts[2], Counter(warned), parts[4]))
        return found

    def earlier_failures(self, failed: set[str]) -> Iterator[str]:
        """Yield a note for each fold that failed in an earlier call and has succeeded since.

        Parameters
        ----------
        failed : set of str
            Stems of the folds that failed now.
        """
        for path in sorted(self.folder.glob("*.failed.json")) if self.folder is not None else ():
            stem = path.name.removesuffix(".failed.json")
            if stem in failed:
                continue
            try:
                told = read_sealed(path)
                who, why = told["subjects"], " ".join(str(told["error"]).split())
            except (StorageError, KeyError):
                who, why = "unknown subjects", "its record is damaged"
            yield f"{stem} ({who}) {FITTED_AGAIN}: {why}"


class PermutationStore:
    """Scores of permutations as they come, one line each in ``run_dir/folds``.

    Parameters
    ----------
    run_dir : Path or None
        Run folder; None stores nothing.
    identity : str
        Digest of everything that the scores depend on besides the permuted labels.
    """

    def __init__(self, run_dir: Path | None, identity: str) -> None:
        self.path = None if run_dir is None else run_dir / "folds" / "permutations.jsonl"
        self._identity = identity
        self._known: dict[str, float] = {}
        if self.path is None or not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines()
        for line in lines:
            entry = self._entry(line)
            if entry is not None:
                self._known[entry[0]] = entry[1]

    def _entry(self, line: bytes) -> tuple[str, float] | None:
        """Key and score of a line; None if it is damaged, cut short or of other settings."""
        try:
            told = json.loads(line)
            key, score = told["key"], told["score"]
            value = float("nan") if score is None else float(score)
        except (ValueError, KeyError, TypeError):
            return None
        sound = told.get("seal") == digest(self._identity, str(key), repr(value))
        return (str(key), value) if sound else None

    def get(self, key: str) -> float | None:
        """Return the score stored under the digest of the labels; None if there is none."""
        return self._known.get(key)

    def add(self, key: str, score: float) -> None:
        """Store a score, so that it survives the end of this process.

        Raises
        ------
        EvaluationError
            If it cannot be written.
        """
        self._known[key] = score
        if self.path is None:
            return
        told = {
            "key": key,
            "score": score if score == score else None,
            "seal": digest(self._identity, key, repr(float(score))),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"\n" + json.dumps(told).encode())  # after a line that was cut short
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EvaluationError(
                f"{self.path}: a permutation cannot be stored ({error}). Check the disk; the "
                "same call goes on."
            ) from error
