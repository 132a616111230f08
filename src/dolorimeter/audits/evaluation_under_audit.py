"""The evaluation under audit: the run, and the data and objects that the caller passed with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.datasets.participants import identity
from dolorimeter.evaluation import Run
from dolorimeter.samples import Samples
from dolorimeter.types import Array

MAX_COLUMNS = 10_000
"""Columns that the checks read, of samples that have more. A fault of preprocessing shows in
thousands of pixels or in none. Three raw signals of 2,816 samples are read whole."""

META = ("dataset", "subject", "recording", "stimulus", "start", "duration")
"""Columns of `EvaluationUnderAudit.meta`."""

UNNAMED = frozenset({"", "none", "nan", "<na>", "nat", "null"})
"""Texts of a subject that is missing."""


@dataclass(frozen=True)
class Sets:
    """Row numbers on both sides of one fold, sorted."""

    fold: int
    train: Array
    test: Array


@dataclass
class EvaluationUnderAudit:
    """One run under audit; what is None was not passed.

    Parameters
    ----------
    run : Run
    samples, y, estimator, split
        Arguments of `evaluate`.
    rerun : int, default 0
        Number of refits on shuffled labels.
    declared : mapping
        Statements of the user: ``trained_on`` (person namespace → subject ids, or None for
        unknown), ``compared_with`` (fields of the question of a published figure).
    seed : int, default 0
        Seed of the audit's own sampling.
    memo : dict
        Results that several checks share.
    """

    run: Run
    samples: Samples | None = None
    y: Array | None = None
    estimator: Any = None
    split: Any = None
    rerun: int = 0
    declared: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def is_classifier(self) -> bool:
        """Whether labels are classes."""
        return self.run.target_kind != "regressor"

    @property
    def can_refit(self) -> bool:
        """Whether samples, labels, estimator and split were all passed."""
        parts = (self.estimator, self.samples, self.y, self.split)
        return all(part is not None for part in parts)

    @property
    def target_access(self) -> str:
        """The widest access to the test subject that any row declares."""
        declared = set(self.run.predictions["target_access"].astype(str))
        for kind in ("labelled_reference", "unlabelled_target"):
            if kind in declared:
                return kind
        return "none"

    @cached_property
    def _flat(self) -> tuple[Array, ...]:
        """``(row, column)`` of each stream."""
        if self.samples is None:
            return ()
        x = self.samples.x
        arrays = [x[name] for name in sorted(x)] if isinstance(x, Mapping) else [np.asarray(x)]
        return tuple(np.asarray(a).reshape(len(a), -1) for a in arrays)

    @property
    def width(self) -> int:
        """Number of values per row, all streams."""
        return sum(a.shape[1] for a in self._flat)

    @cached_property
    def drawn(self) -> Array:
        """Columns that the checks read: all, or `MAX_COLUMNS` drawn by the seed."""
        if self.width <= MAX_COLUMNS:
            return np.arange(self.width)
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.choice(self.width, MAX_COLUMNS, replace=False))

    @property
    def coverage(self) -> str:
        """Sentence about the columns that were read; empty if all were."""
        if self.width <= MAX_COLUMNS:
            return ""
        return f" Read: {MAX_COLUMNS:,} of {self.width:,} values per window, drawn at random."

    @cached_property
    def columns(self) -> Array | None:
        """``(row, drawn)`` features of all streams; None without samples."""
        if self.samples is None:
            return None
        parts, start = [], 0
        for array in self._flat:
            mine = self.drawn[(self.drawn >= start) & (self.drawn < start + array.shape[1])]
            parts.append(array[:, mine - start].astype(float))
            start += array.shape[1]
        return np.concatenate(parts, axis=1)

    @property
    def is_table(self) -> bool:
        """Whether the samples are a feature table, not raw signals or images."""
        return (
            self.samples is not None
            and not isinstance(self.samples.x, Mapping)
            and np.ndim(self.samples.x) == 2
        )

    def column_name(self, column: Any) -> str:
        """Return the name of a feature, or its position."""
        names = self.samples.feature_names if self.samples is not None else ()
        column = self.drawn[column]
        return names[column] if column < len(names) else f"column {column}"

    @cached_property
    def sets(self) -> tuple[Sets, ...]:
        """Both sides of every fold, as observed: rows passed to ``fit``, rows predicted."""
        access = self.run.access
        if not len(access):
            return ()
        outer = access[(access["stage"] == "outer").to_numpy()]
        methods = outer["method"].astype(str)
        fitted = outer[(methods == "fit").to_numpy()].groupby("fold")["row"]
        asked = outer[methods.str.contains("predict").to_numpy()].groupby("fold")["row"]
        train = {int(str(fold)): rows.to_numpy() for fold, rows in fitted}
        test = {int(str(fold)): rows.to_numpy() for fold, rows in asked}
        none = np.empty(0, dtype=int)
        return tuple(
            Sets(fold, np.unique(train.get(fold, none)), np.unique(test.get(fold, none)))
            for fold in sorted(train.keys() | test.keys())
        )

    @cached_property
    def meta(self) -> pd.DataFrame:
        """Columns `META` of every row of the run; index: row number."""
        if self.samples is not None:
            table = self.samples.meta[list(META)].copy()
        else:
            known = self.run.predictions.rename(columns={"window_start": "start"})
            table = known.drop_duplicates("row").set_index("row")[list(META)].sort_index()
        for name in ("dataset", "subject", "recording", "stimulus"):
            table[name] = table[name].astype(object).map(str)
        return table

    @cached_property
    def subjects(self) -> Array:
        """Subject of each sample, as text; empty without samples."""
        return self.meta["subject"].to_numpy().astype(str) if self.samples is not None else _NONE

    @cached_property
    def identities(self) -> pd.Series:
        """Canonical identity of the subject of each row; rows without a subject are ``""``."""
        subjects = self.meta["subject"]
        forms = {
            name: "" if name.strip().casefold() in UNNAMED else identity(name)
            for name in subjects.unique()
        }
        return subjects.map(forms)

    def pairs(self) -> Iterator[tuple[int, pd.DataFrame, pd.DataFrame]]:
        """Yield the number of each fold, and `meta` of its training and of its test rows."""
        meta = self.meta.assign(identity=self.identities)
        for sets in self.sets:
            yield (
                sets.fold,
                meta.loc[meta.index.intersection(pd.Index(sets.train))],
                meta.loc[meta.index.intersection(pd.Index(sets.test))],
            )

    @cached_property
    def tested_in(self) -> Mapping[int, Array]:
        """For each fold, a mask over samples of the rows that it tests."""
        return self._masks("test")

    @cached_property
    def trained_in(self) -> Mapping[int, Array]:
        """For each fold, a mask over samples of the rows that it trains on."""
        return self._masks("train")

    def _masks(self, side: str) -> dict[int, Array]:
        size = 1 + max(
            (int(s.max(initial=-1)) for f in self.sets for s in (f.train, f.test)), default=0
        )
        size = max(size, len(self.meta))
        masks = {}
        for sets in self.sets:
            masks[sets.fold] = np.zeros(size, dtype=bool)
            masks[sets.fold][getattr(sets, side)] = True
        return masks

    def crossing(self, first: Array, second: Array) -> Array:
        """Return which pairs of rows have one row trained on and one tested in some fold."""
        crossing = np.zeros(len(first), dtype=bool)
        if not len(first):
            return crossing
        for fold, test in self.tested_in.items():
            train = self.trained_in[fold]
            crossing |= (test[first] & train[second]) | (test[second] & train[first])
        return crossing


_NONE: Array = np.empty(0, dtype=str)
