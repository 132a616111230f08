"""What an audit has to look at: the run, and what else the caller could hand over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.evaluation import Run
from dolorimeter.samples import Samples
from dolorimeter.types import Array

MOST_COLUMNS = 10_000
"""Columns that are looked at, of samples that have more. A fault of pre-processing shows in
thousands of pixels or in none; column by column, two million pixels a window took the audit longer
than the training. Three raw signals of 2,816 samples are looked at whole."""


@dataclass(frozen=True)
class Sets:
    """Row numbers on both sides of one fold."""

    fold: int
    train: Array
    test: Array

    @cached_property
    def train_rows(self) -> frozenset[int]:
        """`train` as a set."""
        return frozenset(map(int, self.train))

    @cached_property
    def test_rows(self) -> frozenset[int]:
        """`test` as a set."""
        return frozenset(map(int, self.test))


@dataclass
class Case:
    """One run under audit; what is None could not be looked at.

    Parameters
    ----------
    run : Run
    samples, y, estimator, split
        What `evaluate` was given.
    rerun : int
        Permutations of the labels to refit; 0 leaves the check out.
    declared : mapping
        What only the user can say: ``trained_on`` (person namespace → subject ids, or None for
        unknown), ``compared_with`` (fields of the question of a published figure), ``notes``.
    seed : int
        Of the audit's own subsampling.
    memo : dict
        What one check has fitted, for the next one: fits are dear.
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
    def target_access(self) -> str:
        """The most that any row says it had of the target subject."""
        found = set(self.run.predictions["target_access"].astype(str))
        for kind in ("labelled_reference", "unlabelled_target"):
            if kind in found:
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
        """Numbers of a row, streams side by side."""
        return sum(a.shape[1] for a in self._flat)

    @cached_property
    def drawn(self) -> Array:
        """Which of the `width` columns are looked at: all, or `MOST_COLUMNS` drawn by the seed."""
        if self.width <= MOST_COLUMNS:
            return np.arange(self.width)
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.choice(self.width, MOST_COLUMNS, replace=False))

    @property
    def columns_told(self) -> str:
        """What is said where not all columns were looked at."""
        if self.width <= MOST_COLUMNS:
            return ""
        return (
            f" Looked at: {MOST_COLUMNS:,} of {self.width:,} numbers of a window, drawn at random."
        )

    @cached_property
    def columns(self) -> Array | None:
        """``(row, drawn)`` features, streams side by side; None without samples."""
        if self.samples is None:
            return None
        taken, start = [], 0
        for array in self._flat:
            mine = self.drawn[(self.drawn >= start) & (self.drawn < start + array.shape[1])]
            taken.append(array[:, mine - start].astype(float))
            start += array.shape[1]
        return np.concatenate(taken, axis=1)

    @property
    def is_table(self) -> bool:
        """Whether the samples are a feature table (not raw signals or pictures)."""
        return (
            self.samples is not None
            and not isinstance(self.samples.x, Mapping)
            and self.samples.x.ndim == 2
        )

    def column_name(self, column: Any) -> str:
        """The feature's name, or its place."""
        names = self.samples.feature_names if self.samples is not None else ()
        column = self.drawn[column]
        return names[column] if column < len(names) else f"column {column}"

    @cached_property
    def sets(self) -> tuple[Sets, ...]:
        """Both sides of every fold, as observed: rows that `fit` touched, rows predicted."""
        access, found = self.run.access, []
        for fold in sorted(access["fold"].unique()):
            rows = access[access["fold"] == fold]
            outer = rows[rows["stage"] == "outer"]
            train = outer.loc[outer["method"] == "fit", "row"].unique()
            asked = outer["method"].astype(str).str.contains("predict")
            test = outer.loc[asked, "row"].unique()
            found.append(Sets(int(fold), np.sort(train), np.sort(test)))
        return tuple(found)

    @cached_property
    def meta(self) -> pd.DataFrame:
        """Facts of every row that the run touched: the samples' meta, or the predictions' columns.

        Index: row number. Columns: subject, recording, stimulus, start, duration.
        """
        wanted = ["subject", "recording", "stimulus", "start", "duration"]
        if self.samples is not None:
            return self.samples.meta[wanted]
        known = self.run.predictions.rename(columns={"window_start": "start"})
        rows: pd.DataFrame = known.drop_duplicates("row").set_index("row")[wanted].sort_index()
        return rows

    def pairs(self) -> Iterator[tuple[int, pd.DataFrame, pd.DataFrame]]:
        """Fold number, facts of its training rows, facts of its test rows."""
        for sets in self.sets:
            yield (
                sets.fold,
                self.meta[self.meta.index.isin(sets.train)],
                self.meta[self.meta.index.isin(sets.test)],
            )
