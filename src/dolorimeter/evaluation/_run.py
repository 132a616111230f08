"""What an evaluation leaves behind: the question it answered and every row that answers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._recorder import expand_access, shrink_access
from dolorimeter.storage import digest, write_json, write_parquet
from dolorimeter.types import LabelSource, Selection, TargetKind

ROW_COLUMNS = (
    "dataset",
    "part",
    "subset",
    "question",
    "target_kind",
    "subject",
    "recording",
    "stimulus",
    "window_start",
    "duration",
    "modalities_present",
    "quality",
    "fold",
    "seed",
    "target_access",
    "selection",
    "row",
)
"""Columns of every prediction, besides ``label`` and ``p_0`` … (or ``target``, ``prediction``,
``lower``, ``upper``). `row` is the row of the samples that were given to `evaluate`."""

TABLES = ("predictions", "access", "baselines", "degradation", "failures", "exclusions")


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
class Permutations:
    """Scores of a pipeline refitted on labels that were shuffled within each subject.

    `coarse` when there are so few that p cannot be small.
    """

    observed: float
    permuted: tuple[float, ...]
    p: float
    coarse: bool


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
        ``prediction``, ``lower``, ``upper``; then the columns of `groups`. Of an estimator with
        sets or intervals also ``in_set_0`` …, whether each class is in the set, and ``coverage``,
        the share of sets or intervals that were meant to hold the truth.
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
    groups: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    label_source: LabelSource | None = None
    lookalike: bool = False
    notes: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    degradation: pd.DataFrame = field(default_factory=pd.DataFrame)
    permutation: Permutations | None = None

    @property
    def probabilities(self) -> Float[np.ndarray, "row class"]:
        """Columns ``p_0``, ``p_1`` … of the predictions."""
        return probabilities_of(self.predictions)

    @property
    def subjects(self) -> tuple[str, ...]:
        """People tested, sorted."""
        return tuple(sorted(self.predictions["subject"].astype(str).unique()))

    def save(self, folder: Path) -> None:
        """Write the run folder; each file is whole or absent."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            table = shrink_access(self.access) if name == "access" else getattr(self, name)
            write_parquet(folder / f"{name}.parquet", table)
        write_json(folder / "environment.json", dict(self.environment))
        write_json(
            folder / "run.json",
            {
                "format": 1,
                "question": asdict(self.question),
                "question_hash": self.question.hash,
                "model": self.model,
                "classes": list(self.classes),
                "target_kind": self.target_kind,
                "seeds": list(self.seeds),
                "groups": list(self.groups),
                "modalities": list(self.modalities),
                "label_source": self.label_source,
                "lookalike": self.lookalike,
                "notes": list(self.notes),
                "fingerprint": self.fingerprint,
                "permutation": None if self.permutation is None else asdict(self.permutation),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Run:
        """The run that `save` wrote.

        Raises
        ------
        EvaluationError
            If the folder is not a finished run.
        """
        folder = Path(folder)
        missing = [
            name
            for name in ("run.json", "environment.json", *(f"{t}.parquet" for t in TABLES))
            if not (folder / name).is_file()
        ]
        if missing:
            raise EvaluationError(
                f"{folder}: not a finished run, {missing[0]} is missing. Expected a folder "
                "written by `dolorimeter evaluate … --out RUN`; an interrupted run goes on with "
                "the same command."
            )
        try:
            told = json.loads((folder / "run.json").read_text(encoding="utf-8"))
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
                groups=tuple(told["groups"]),
                modalities=tuple(told["modalities"]),
                label_source=told["label_source"],
                lookalike=told["lookalike"],
                notes=tuple(told["notes"]),
                fingerprint=told["fingerprint"],
                environment=json.loads((folder / "environment.json").read_text(encoding="utf-8")),
            )
        except (json.JSONDecodeError, KeyError, TypeError, OSError, ValueError) as error:
            raise EvaluationError(
                f"{folder}: a damaged run, or one of another version ({error}). Evaluate again."
            ) from error


def _permutations(told: Mapping[str, Any] | None) -> Permutations | None:
    if told is None:
        return None
    return Permutations(told["observed"], tuple(told["permuted"]), told["p"], told["coarse"])


def probabilities_of(table: pd.DataFrame) -> Float[np.ndarray, "row class"]:
    """Columns ``p_0``, ``p_1`` … of prediction rows, in the order of the classes."""
    names = [c for c in map(str, table.columns) if c.startswith("p_") and c[2:].isdigit()]
    names.sort(key=lambda name: int(name[2:]))
    return table.loc[:, names].to_numpy(dtype=float)
