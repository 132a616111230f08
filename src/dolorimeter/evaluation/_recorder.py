"""Which rows each call touched, seen and not asked: the evidence behind the audit.

Rows are recognised by their content, so that the record also shows what happens inside an
estimator: inner splits of a search, scalers of a pipeline, parts that a user's class keeps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, UInt64

from dolorimeter.types import Array

WATCHED = ("fit", "fit_transform", "partial_fit", "transform", "predict", "predict_proba")
"""Methods of parts of an estimator whose rows are noted."""

CALLS = 40
"""Calls of one method of one class that are noted in one fold: enough for every inner split."""

COLUMNS = ("fold", "seed", "stage", "estimator", "method", "call", "row")


class Recorder:
    """Notes rows of `x` as they pass through the methods of an estimator and its parts.

    Parameters
    ----------
    x : array or mapping of stream to array
        All samples; the first axis is the sample.
    fold, seed : int
        Written into every row of the record.

    Notes
    -----
    Only this process is seen: parts that fit in processes of their own leave no inner record. Rows
    that a scaler has changed are not recognised and not noted.
    """

    def __init__(self, x: Array | Mapping[str, Array], fold: int, seed: int) -> None:
        self._fold, self._seed = fold, seed
        self._shape = _first(x).shape[1:]
        keys = row_keys(_first(x))
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._expected = np.zeros(len(keys), dtype=bool)
        self._notes: list[tuple[str, str, str, int, Int[np.ndarray, " row"]]] = []
        self._calls: dict[tuple[str, str], int] = {}
        self._inside: Any = None

    def outer(self, estimator: Any, method: str, rows: Int[np.ndarray, " row"]) -> None:
        """Note that the estimator that was handed in is given `rows` in `method`."""
        self._expected[:] = False
        self._expected[rows] = True
        self._note("outer", type(estimator).__name__, method, rows)

    @contextmanager
    def watching(self, estimator: Any) -> Iterator[None]:
        """While inside, note the rows that parts of `estimator` touch."""
        patched: list[tuple[type, str]] = []
        for part in sorted(_classes(estimator), key=lambda c: (c.__module__, c.__qualname__)):
            for method in WATCHED:
                if callable(part.__dict__.get(method)):
                    setattr(part, method, self._watched(method, part.__dict__[method]))
                    patched.append((part, method))
        try:
            yield
        finally:
            for part, method in patched:
                setattr(part, method, part.__dict__[method].__wrapped__)

    def table(self) -> pd.DataFrame:
        """The record, one line a row of a call."""
        parts = [
            pd.DataFrame({"stage": s, "estimator": e, "method": m, "call": c, "row": rows})
            for s, e, m, c, rows in self._notes
        ]
        if not parts:
            return empty_access()
        table = pd.concat(parts, ignore_index=True)
        table.insert(0, "fold", self._fold)
        table.insert(1, "seed", self._seed)
        return table.astype(
            {"stage": "category", "estimator": "category", "method": "category", "row": "int32"}
        )

    def _watched(self, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(estimator: Any, *args: Any, **kwargs: Any) -> Any:
            if self._inside is estimator:  # fit_transform calls fit: one note is enough
                return original(estimator, *args, **kwargs)
            x = args[0] if args else kwargs.get("X", kwargs.get("x"))
            rows = self._recognise(x)
            if rows is not None:
                self._note("inner", type(estimator).__name__, method, rows)
            before, self._inside = self._inside, estimator
            try:
                return original(estimator, *args, **kwargs)
            finally:
                self._inside = before

        return call

    def _note(self, stage: str, name: str, method: str, rows: Int[np.ndarray, " row"]) -> None:
        count = self._calls.get((name, method), 0)
        self._calls[name, method] = count + 1
        if stage == "outer" or count < CALLS:
            self._notes.append((stage, name, method, count, rows))

    def _recognise(self, x: Any) -> Int[np.ndarray, " row"] | None:
        """Row numbers of what looks like rows of the samples; None for anything else."""
        x = _first(x) if isinstance(x, Mapping) else x
        if not isinstance(x, np.ndarray) or x.shape[1:] != self._shape or not len(x):
            return None
        keys = row_keys(x)
        left = np.searchsorted(self._keys, keys, side="left")
        count = np.searchsorted(self._keys, keys, side="right") - left
        if not count.any():
            return None
        rows: Int[np.ndarray, " row"] = self._order[left[count > 0]]
        for i in np.flatnonzero(count[count > 0] > 1):  # identical rows: the one that was given
            first = left[count > 0][i]
            same = self._order[first : first + count[count > 0][i]]
            rows[i] = next((r for r in same if self._expected[r]), same[0])
        return rows


def row_keys(x: Array) -> UInt64[np.ndarray, " row"]:
    """A 64-bit key of the bytes of each row; equal rows have equal keys.

    Multiplicative hashing of 8-byte words with fixed odd weights, modulo 2⁶⁴.
    """
    flat = np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8).reshape(len(x), -1)
    pad = -flat.shape[1] % 8
    if pad:
        flat = np.concatenate([flat, np.zeros((len(x), pad), dtype=np.uint8)], axis=1)
    words = flat.view(np.uint64)
    weights = np.random.default_rng(20230).integers(
        1, 2**63, size=words.shape[1], dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    mixed = words ^ (words >> np.uint64(29))
    keys: UInt64[np.ndarray, " row"] = (mixed * weights).sum(axis=1, dtype=np.uint64)
    return keys


def empty_access() -> pd.DataFrame:
    """An access record without rows."""
    return pd.DataFrame({name: [] for name in COLUMNS})


def _first(x: Any) -> Array:
    return next(iter(x.values())) if isinstance(x, Mapping) else x


def _classes(estimator: Any) -> set[type]:
    """Classes, with their bases, of an estimator's parts: parameters and attributes that fit."""
    found: set[type] = set()
    seen: set[int] = set()
    stack = [estimator]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, list | tuple):
            stack += part
        elif isinstance(part, dict):
            stack += part.values()
        elif hasattr(part, "fit") and not isinstance(part, type):
            found |= {c for c in type(part).__mro__ if c is not object}
            stack += getattr(part, "__dict__", {}).values()
    return found
