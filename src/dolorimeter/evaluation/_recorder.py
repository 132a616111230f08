"""Which rows each call touched, seen and not asked: the evidence behind the audit.

Rows are recognised by their content, so that the record also shows what happens inside an
estimator: inner splits of a search, scalers of a pipeline, parts that a user's class keeps.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, UInt64

from dolorimeter.types import Array

WATCHED = ("fit", "fit_transform", "partial_fit", "transform", "predict", "predict_proba")
"""Methods of parts of an estimator whose rows are noted."""

CALLS = 40
"""Calls of one method of one class that are noted in one fold: enough for every inner split."""

COLUMNS = ("fold", "seed", "stage", "estimator", "method", "call")

BLOCK = 2**24
"""Bytes that are keyed at a time, so that keys of large arrays need no second copy of them."""


@dataclass(frozen=True)
class SampleKeys:
    """Keys of all samples, sorted, with the row of each: made once, looked up in every fold."""

    keys: UInt64[np.ndarray, " sample"]
    rows: Int[np.ndarray, " sample"]
    shape: tuple[int, ...]


def sample_keys(x: Array | Mapping[str, Array]) -> SampleKeys:
    """Keys of the rows of `x`, or of its first stream."""
    first = _first(x)
    keys = row_keys(first)
    order = np.argsort(keys, kind="stable")
    return SampleKeys(keys[order], order, first.shape[1:])


class Recorder:
    """Notes rows of `x` as they pass through the methods of an estimator and its parts.

    Parameters
    ----------
    x : array or mapping of stream to array
        All samples; the first axis is the sample.
    fold, seed : int
        Written into every row of the record.
    keys : SampleKeys, optional
        Of `x`, where they are known already.

    Notes
    -----
    Only this process is seen: parts that fit in processes of their own leave no inner record. Rows
    that a scaler has changed are not recognised and not noted. Of samples that are equal in every
    value, those are noted of which it is certain which one was given: the one that the estimator
    was handed, or those that the order of the rows around them leaves.
    """

    def __init__(
        self, x: Array | Mapping[str, Array], fold: int, seed: int, keys: SampleKeys | None = None
    ) -> None:
        self._fold, self._seed = fold, seed
        self._known = sample_keys(x) if keys is None else keys
        self._expected = np.zeros(len(self._known.keys), dtype=bool)
        self._notes: list[tuple[str, str, str, int, Int[np.ndarray, " row"]]] = []
        self._calls: dict[tuple[str, str], int] = {}
        self._inside: Any = None
        self.remarks: list[str] = []

    def outer(self, estimator: Any, method: str, rows: Int[np.ndarray, " row"]) -> None:
        """Note that the estimator that was handed in is given `rows` in `method`."""
        self._expected[:] = False
        self._expected[rows] = True
        self._note("outer", type(estimator).__name__, method, rows)

    @contextmanager
    def watching(self, estimator: Any) -> Iterator[None]:
        """While inside, note the rows that parts of `estimator` touch.

        A class that is loaded again meanwhile (a Dask worker that receives the next job with a
        class of ``__main__``) is no longer watched. `remarks` says so.
        """
        patched: list[tuple[type, str, Any, Any]] = []
        for part in sorted(_classes(estimator), key=lambda c: (c.__module__, c.__qualname__)):
            for method in WATCHED:
                if inspect.isfunction(part.__dict__.get(method)):
                    original = part.__dict__[method]
                    watched = self._watched(method, original)
                    setattr(part, method, watched)
                    patched.append((part, method, original, watched))
        try:
            yield
        finally:
            for part, method, original, watched in patched:
                if part.__dict__.get(method) is watched:
                    setattr(part, method, original)
                else:
                    self.remarks.append(
                        f"the access record lacks calls of {part.__name__}.{method}: the class "
                        "was loaded again during the fit. Define it in a module."
                    )

    def table(self) -> pd.DataFrame:
        """The record: one line for each stretch ``first`` … ``last`` of rows of a call."""
        parts = []
        for stage, name, method, call, rows in self._notes:
            first, last = _stretches(rows)
            told = {"stage": stage, "estimator": name, "method": method, "call": call}
            parts.append(pd.DataFrame(told | {"first": first, "last": last}))
        if not parts:
            return empty_access()
        table = pd.concat(parts, ignore_index=True)
        table.insert(0, "fold", self._fold)
        table.insert(1, "seed", self._seed)
        return table

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
        if not isinstance(x, np.ndarray) or x.shape[1:] != self._known.shape or not len(x):
            return None
        if x.dtype.hasobject:
            return None
        keys = row_keys(x)
        left = np.searchsorted(self._known.keys, keys, side="left")
        right = np.searchsorted(self._known.keys, keys, side="right")
        known = right > left
        if not known.any():
            return None
        rows = np.full(len(keys), -1)
        rows[known] = self._known.rows[left[known]]
        for i in np.flatnonzero(right - left > 1):
            same = self._known.rows[left[i] : right[i]]
            given = same[self._expected[same]]
            rows[i] = given[0] if len(given) == 1 else UNSURE
        rows = _settled(rows, keys, self._expected, self._known)
        rows = rows[rows >= 0]
        return rows if len(rows) else None


UNSURE = -2


def _settled(
    rows: Int[np.ndarray, " row"],
    keys: UInt64[np.ndarray, " row"],
    expected: Bool[np.ndarray, " sample"],
    known: SampleKeys,
) -> Int[np.ndarray, " row"]:
    """Rows with equal samples told apart by the rows around them, where that leaves one answer.

    Parts are mostly given samples in their order. Between two rows that are certain, as many equal
    samples as were handed out there can only be those.
    """
    certain = np.flatnonzero(rows >= 0)
    unsure = np.flatnonzero(rows == UNSURE)
    if not len(unsure) or (np.diff(rows[certain]) <= 0).any():
        return rows
    gap = np.searchsorted(certain, unsure)
    low = np.concatenate([[-1], rows[certain]])[gap]
    high = np.concatenate([rows[certain], [len(expected)]])[gap]
    asked = np.array([*zip(low, keys[unsure].astype(np.int64), strict=True)])
    alike, first, which = np.unique(asked, axis=0, return_index=True, return_inverse=True)
    for k in range(len(alike)):
        mine, key = unsure[which.reshape(-1) == k], keys[unsure[first[k]]]
        left = np.searchsorted(known.keys, key, side="left")
        right = np.searchsorted(known.keys, key, side="right")
        same = np.sort(known.rows[left:right])
        same = same[expected[same] & (same > low[first[k]]) & (same < high[first[k]])]
        if len(same) == len(mine):
            rows[mine] = same
    return rows


def row_keys(x: Array) -> UInt64[np.ndarray, " row"]:
    """A 64-bit key of the bytes of each row; equal rows have equal keys.

    Multiplicative hashing of 8-byte words with fixed odd weights, modulo 2⁶⁴.
    """
    flat = np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8).reshape(len(x), -1)
    width = -(-flat.shape[1] // 8)
    weights = np.random.default_rng(20230).integers(
        1, 2**63, size=width, dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    keys = np.empty(len(x), dtype=np.uint64)
    step = max(1, BLOCK // max(8 * width, 1))
    for start in range(0, len(x), step):
        block = np.zeros((len(flat[start : start + step]), 8 * width), dtype=np.uint8)
        block[:, : flat.shape[1]] = flat[start : start + step]
        words = block.view(np.uint64)
        mixed = words ^ (words >> np.uint64(29))
        keys[start : start + step] = (mixed * weights).sum(axis=1, dtype=np.uint64)
    return keys


def empty_access() -> pd.DataFrame:
    """A record without lines, in stretches."""
    return pd.DataFrame({name: [] for name in (*COLUMNS, "first", "last")})


def expand_access(table: pd.DataFrame) -> pd.DataFrame:
    """The record with one line a row: ``row`` in the place of ``first`` and ``last``."""
    count = (table["last"] - table["first"] + 1).to_numpy(dtype=int)
    line = np.repeat(np.arange(len(table)), count)
    into = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    rows = table["first"].to_numpy(dtype=int)[line] + into
    types = {"fold": "int32", "seed": "int64", "call": "int32"}
    types |= dict.fromkeys(("stage", "estimator", "method"), "category")
    wide = table[list(COLUMNS)].astype(types).iloc[line].reset_index(drop=True)
    return wide.assign(row=rows.astype(np.int32))


def shrink_access(table: pd.DataFrame) -> pd.DataFrame:
    """The record in stretches: ``first`` and ``last`` of rows that follow one another."""
    if not len(table):
        return empty_access()
    codes = [pd.factorize(table[name])[0] for name in COLUMNS]
    rows = table["row"].to_numpy(dtype=int)
    new = np.concatenate([[True], np.diff(rows) != 1])
    for code in codes:
        new[1:] |= np.diff(code) != 0
    starts = np.flatnonzero(new)
    ends = np.concatenate([starts[1:], [len(rows)]]) - 1
    short = table[list(COLUMNS)].iloc[starts].reset_index(drop=True)
    return short.assign(first=rows[starts], last=rows[ends])


def _stretches(
    rows: Int[np.ndarray, " row"],
) -> tuple[Int[np.ndarray, " stretch"], Int[np.ndarray, " stretch"]]:
    """First and last of each stretch of consecutive numbers, in the order given."""
    cut = np.flatnonzero(np.diff(rows) != 1)
    return rows[np.concatenate([[0], cut + 1])], rows[np.concatenate([cut, [len(rows) - 1]])]


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
