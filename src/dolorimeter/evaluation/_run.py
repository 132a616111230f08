"""What an evaluation leaves behind: the question it answered and every row that answers it."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter import metrics
from dolorimeter._on_demand import notice
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._notebook import run_html
from dolorimeter.evaluation._recorder import expand_access, shrink_access
from dolorimeter.evaluation._rows import (
    SCORE_COLUMNS,
    probabilities_of,
    score_table,
    untested_subjects,
)
from dolorimeter.evaluation._summary import Permutations, Summary, summarise
from dolorimeter.storage import (
    MANIFEST,
    damaged_files,
    digest,
    seal_folder,
    write_json,
    write_parquet,
    write_secret,
)
from dolorimeter.types import LabelSource, Selection, TargetKind

TABLES = ("predictions", "access", "baselines", "degradation", "failures", "exclusions")
FILES = ("run.json", "environment.json", *(f"{table}.parquet" for table in TABLES))
"""Files of a finished run, besides the manifest with their digests."""

SALT = "pseudonyms.salt"
"""File with the secret behind the pseudonyms. Do not pass it on with a report."""


@dataclass(frozen=True)
class Question:
    """What is asked: people, windows, task, split, selection, aggregation.

    Figures may stand in one table only when their questions have one hash.

    Parameters
    ----------
    dataset, part, subset : str
        Registry name, part, and which people (``all``, a named list, or names).
    windows : mapping
        Length, offsets, source: whatever decides which signal a decision sees.
    task : mapping
        ``kind``, ``classes`` (conditions of each), ``names``, ``target``, ``conditions``.
    split : mapping
        ``name`` and ``arguments``.
    selection : Selection
    aggregation : str
    """

    dataset: str = ""
    part: str = ""
    subset: str = "all"
    windows: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    selection: Selection = "fixed"
    aggregation: str = "window"

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the whole question."""
        return digest(json.dumps(asdict(self), sort_keys=True, default=str))[:12]

    def differences(self, other: Question) -> dict[str, tuple[Any, Any]]:
        """Fields in which the two differ, each with both values."""
        mine, theirs = asdict(self), asdict(other)
        return {k: (mine[k], theirs[k]) for k in mine if mine[k] != theirs[k]}


@dataclass(frozen=True)
class Run:
    """The rows of one evaluation, and what a reader must know of them.

    Parameters
    ----------
    question : Question
    model : str
        Name or title of the estimator.
    predictions : pandas.DataFrame
        One row a sample, fold and seed; `ROW_COLUMNS`, then ``label``, ``p_0`` … or ``target``,
        ``prediction``, ``lower``, ``upper``; then the columns of `demographics`. Of an
        estimator with sets or intervals also ``in_set_0`` …, whether each class is in the set, and
        ``coverage``, the share of sets or intervals that were meant to hold the truth.
    access : pandas.DataFrame
        Which rows each call touched: fold, seed, stage (``outer``: the estimator that was given;
        ``inner``: a part of it), estimator, method, call, row. On disk, ``first`` and ``last``
        of stretches of rows.
    baselines : pandas.DataFrame
        As predictions, with a column ``model``: ``majority``, ``nuisance``, ``level_before``.
    failures : pandas.DataFrame
        fold, seed, subjects, error, traceback.
    exclusions : pandas.DataFrame
        subject, recording, what, reason.
    classes : tuple of str
        Names of classes 0, 1 …; empty for a regressor.
    degradation : pandas.DataFrame
        As predictions, with a column ``missing``: streams that were taken away at test, joined by
        ``+``. Empty where that was not asked for, or the model cannot do without.
    permutation : Permutations or None
        Scores on labels shuffled within each subject, where they were asked for.
    scoring : tuple of str
        Selected metrics, the main one first; empty for all, led by the default.
    cohort : tuple of str
        Subjects of all samples, tested or not.
    salt : str
        Secret that orders the pseudonyms of a report. It is stored in a file of its own that only
        its owner can read.
    fingerprint : str
        Of the data, labels, estimator, split and seeds; the same call has the same one.
    """

    question: Question
    model: str
    predictions: pd.DataFrame
    access: pd.DataFrame
    baselines: pd.DataFrame
    failures: pd.DataFrame
    exclusions: pd.DataFrame
    classes: tuple[str, ...] = ()
    target_kind: TargetKind = "classifier"
    seeds: tuple[int, ...] = (0,)
    demographics: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    label_source: LabelSource | None = None
    lookalike: bool = False
    notes: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    degradation: pd.DataFrame = field(default_factory=pd.DataFrame)
    permutation: Permutations | None = None
    scoring: tuple[str, ...] = ()
    cohort: tuple[str, ...] = ()
    salt: str = field(default_factory=lambda: secrets.token_hex(16), repr=False, compare=False)

    @property
    def groups(self) -> tuple[str, ...]:
        """Old name of `demographics`."""
        notice("Run.groups", "Run.demographics")
        return self.demographics

    @property
    def aggregation(self) -> str:
        """Decision that is scored: window, stimulus or recording."""
        return self.question.aggregation

    @property
    def probabilities(self) -> Float[np.ndarray, "row class"]:
        """Columns ``p_0``, ``p_1`` … of the predictions."""
        return probabilities_of(self.predictions)

    @property
    def subjects(self) -> tuple[str, ...]:
        """People tested, sorted."""
        return tuple(sorted(self.predictions["subject"].astype(str).unique()))

    @property
    def people(self) -> tuple[str, ...]:
        """Subjects that the run names anywhere: of the samples, tested, failed or left out."""
        named = {*self.cohort, *self.subjects, *self.exclusions["subject"].astype(str)}
        for subjects in self.failures["subjects"].astype(str):
            named.update(subjects.split("; "))
        return tuple(sorted(named - {""}))

    def scores(self, *, baselines: bool = False) -> pd.DataFrame:
        """Return every metric of every subject and seed as a tidy table.

        Parameters
        ----------
        baselines : bool, default False
            Also return the rows of the baselines, under their names in column ``model``.

        Returns
        -------
        pandas.DataFrame
            Columns ``model``, ``seed``, ``subject``, ``metric``, ``value``, ``n_windows``,
            ``n_classes`` (classes that occur among the subject's labels; 0 for a regressor) and
            ``reason``. An undefined value is NaN, and ``reason`` says why. A subject without any
            prediction, because a fold failed or every window was left out, has a row per seed and
            metric too.
        """
        names = self.scoring or tuple(metrics.by_kind(self.target_kind))
        protocol = (self.target_kind, self.classes, names, self.aggregation)
        parts = [score_table(self.predictions, self.model, *protocol)]
        missing = untested_subjects(self.failures, self.exclusions, self.subjects)
        parts.append(
            pd.DataFrame(
                [
                    (self.model, seed, subject, name, float("nan"), 0, 0, reason)
                    for seed in self.seeds
                    for subject, reason in missing.items()
                    for name in names
                ],
                columns=list(SCORE_COLUMNS),
            )
        )
        if baselines and "model" in self.baselines:
            parts += [
                score_table(rows, str(name), *protocol)
                for name, rows in self.baselines.groupby("model", sort=False)
            ]
        full = [part for part in parts if len(part)]
        return pd.concat(full, ignore_index=True) if full else parts[0]

    def summary(self) -> Summary:
        """Return every number of the run: per subject, pooled, chance and baselines."""
        return summarise(self)

    def _repr_html_(self) -> str:
        """Return the main numbers as a table for a notebook."""
        return run_html(self, self.summary())

    def save(self, folder: str | Path) -> None:
        """Write the run folder: tables, ``run.json``, and last a manifest with their digests."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in TABLES:
            table = shrink_access(self.access) if name == "access" else getattr(self, name)
            write_parquet(folder / f"{name}.parquet", table)
        write_json(folder / "environment.json", dict(self.environment))
        write_json(
            folder / "run.json",
            {
                "format": 2,
                "question": asdict(self.question),
                "question_hash": self.question.hash,
                "model": self.model,
                "classes": list(self.classes),
                "target_kind": self.target_kind,
                "seeds": list(self.seeds),
                "demographics": list(self.demographics),
                "scoring": list(self.scoring),
                "modalities": list(self.modalities),
                "label_source": self.label_source,
                "lookalike": self.lookalike,
                "notes": list(self.notes),
                "fingerprint": self.fingerprint,
                "cohort": list(self.cohort),
                "permutation": _plain_permutations(self.permutation),
            },
        )
        write_secret(folder / SALT, self.salt)
        seal_folder(folder, FILES)

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """The run that `save` wrote.

        Raises
        ------
        EvaluationError
            If the folder is not a finished run, or a bit of it has changed.
        """
        folder = Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise EvaluationError(
                f"{folder}: not a finished run, {missing[0]} is missing. Expected a folder "
                "written by `dolorimeter evaluate … --out RUN`; an interrupted run goes on with "
                "the same command."
            )
        faults = damaged_files(folder, FILES)
        if faults:
            raise EvaluationError(
                f"{folder}: a damaged run, or one of another version ({'; '.join(faults)}). "
                "Evaluate again."
            )
        try:
            told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if told.get("format") != 1 and not (folder / MANIFEST).is_file():
                raise EvaluationError(
                    f"{folder}: not a finished run, {MANIFEST} is missing: the run was being "
                    "written. The same command goes on."
                )
            tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
            return cls(
                question=Question(**told["question"]),
                model=told["model"],
                predictions=tables["predictions"],
                access=expand_access(tables["access"]),
                baselines=tables["baselines"],
                failures=tables["failures"],
                exclusions=tables["exclusions"],
                degradation=tables["degradation"],
                permutation=_permutations(told["permutation"]),
                classes=tuple(told["classes"]),
                target_kind=told["target_kind"],
                seeds=tuple(told["seeds"]),
                demographics=tuple(told.get("demographics", told.get("groups", ()))),
                scoring=tuple(told.get("scoring", ())),
                modalities=tuple(told["modalities"]),
                label_source=told["label_source"],
                lookalike=told["lookalike"],
                notes=tuple(told["notes"]),
                fingerprint=told["fingerprint"],
                cohort=tuple(told.get("cohort", ())),
                **_salt(folder),
                environment=json.loads((folder / "environment.json").read_text(encoding="utf-8")),
            )
        except (json.JSONDecodeError, KeyError, TypeError, OSError, ValueError) as error:
            raise EvaluationError(
                f"{folder}: a damaged run, or one of another version ({error}). Evaluate again."
            ) from error


def _salt(folder: Path) -> dict[str, str]:
    """The run's own salt; a run without the file gets a new one."""
    path = folder / SALT
    return {"salt": path.read_text(encoding="utf-8").strip()} if path.is_file() else {}


def _plain_permutations(found: Permutations | None) -> dict[str, Any] | None:
    """Values for JSON, which has no NaN."""
    if found is None:
        return None
    plain = asdict(found)
    return plain | {
        k: v if math.isfinite(v) else None for k in ("observed", "p") for v in [plain[k]]
    }


def _permutations(told: Mapping[str, Any] | None) -> Permutations | None:
    if told is None:
        return None
    observed, p = (math.nan if told[k] is None else told[k] for k in ("observed", "p"))
    unit, reason = told.get("unit", ""), told.get("reason", "")
    return Permutations(observed, tuple(told["permuted"]), p, told["coarse"], unit, reason)
