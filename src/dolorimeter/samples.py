"""Samples: what estimators and evaluation read, one row per window or table row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from dolorimeter.errors import ConfigError
from dolorimeter.types import TARGET_ACCESS_ORDER, Array, Exclusion, LabelSource, TargetAccess

META_COLUMNS = (
    "dataset",
    "part",
    "subject",
    "recording",
    "stimulus",
    "start",
    "duration",
    "condition",
)
"""Columns that `Samples.meta` always has, in this order; others may follow."""

TEXT_COLUMNS = ("dataset", "part", "subject", "recording", "stimulus", "condition")
"""Columns of `META_COLUMNS` that hold names. A missing name is the empty text."""


@dataclass(frozen=True)
class Samples:
    """Features or signals with one row per window, and a table that describes each row.

    Parameters
    ----------
    x : array, or mapping of stream name to array
        First axis: sample. A feature table is ``(sample, feature)``, raw signals
        ``(sample, channel, time)``.
    meta : pandas.DataFrame
        One row per sample, index 0…n−1, the columns of `META_COLUMNS` first; ``level`` and subject
        columns (``sex``, ``treatment`` …) may follow. Missing names become the empty text.
    feature_names, feature_units : tuple of str
        Of the last axis of a feature table; empty otherwise.
    present : mapping of stream name to bool array, optional
        Which samples have that modality; None means all.
    facts : pandas.DataFrame, optional
        Numbers that are not signal, same index as `meta`, for the nuisance baseline.
    quality : Float[np.ndarray, "sample"], optional
        Between 0 (unusable) and 1.
    exclusions : tuple of Exclusion
        Windows and recordings that were left out, with reasons.
    target_access : TargetAccess
        Whether making `x` has looked at the subject as a whole (standardisation within subject).
    label_source : LabelSource or None
        Source of the labels.
    notes : tuple of str
        Sentences the report must print (unconfirmed units, features that are NaN and why).
    lookalike : bool
        True when made by `synthesise`: every report carries a watermark.
    """

    x: Array | Mapping[str, Array]
    meta: pd.DataFrame
    feature_names: tuple[str, ...] = ()
    feature_units: tuple[str, ...] = ()
    present: Mapping[str, Bool[np.ndarray, " sample"]] | None = None
    facts: pd.DataFrame | None = None
    quality: Float[np.ndarray, " sample"] | None = None
    exclusions: tuple[Exclusion, ...] = ()
    target_access: TargetAccess = "none"
    label_source: LabelSource | None = None
    notes: tuple[str, ...] = ()
    lookalike: bool = False

    def __post_init__(self) -> None:
        missing = [c for c in META_COLUMNS if c not in self.meta.columns]
        if missing:
            raise ConfigError(
                f"Samples.meta lacks {', '.join(missing)}; it has "
                f"{', '.join(map(str, self.meta.columns))}. Give every column of META_COLUMNS."
            )
        # "nan" would be one more subject, and pandas 3 leaves NaN as it is where text is expected
        unnamed = [c for c in TEXT_COLUMNS if self.meta[c].isna().any()]
        if unnamed:
            texts = {c: _text(self.meta[c].to_numpy(), len(self.meta), c) for c in unnamed}
            object.__setattr__(self, "meta", self.meta.assign(**texts))
        n = len(self.meta)
        for name, values in self._arrays():
            if not isinstance(values, np.ndarray):
                raise ConfigError(
                    f"Samples.{name} is a {type(values).__name__}, expected a NumPy array. Use "
                    "Samples.from_arrays, which takes tables and lists."
                )
            if len(values) != n:
                raise ConfigError(f"Samples.{name} has {len(values)} rows, meta has {n}.")

    def _arrays(self) -> Iterator[tuple[str, Array]]:
        if isinstance(self.x, Mapping):
            yield from ((f"x[{k!r}]", v) for k, v in self.x.items())
        else:
            yield "x", self.x
        if self.present is not None:
            yield from ((f"present[{k!r}]", v) for k, v in self.present.items())
        if self.quality is not None:
            yield "quality", self.quality
        if self.facts is not None:
            yield "facts", self.facts.index.to_numpy()

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        *,
        subject: Any,
        stimulus: Any = None,
        recording: Any = None,
        start: Any = None,
        duration: Any = None,
        condition: Any = None,
        feature_names: Sequence[str] | None = None,
        meta: Any = None,
    ) -> Samples:
        """Make samples from arrays or a DataFrame.

        Parameters
        ----------
        X : DataFrame, array-like, or mapping of str to array-like
            First axis: sample. A feature table is ``(sample, feature)``, raw signals are
            ``(sample, channel, time)``. A mapping holds one array per stream. Values are numbers;
            NaN is a missing value.
        subject : array-like of shape (n_samples,)
            Subject identifier of each sample.
        stimulus : array-like of shape (n_samples,), optional
            Identifier of the stimulus or trial, unique within the recording. By default unknown.
        recording : array-like of shape (n_samples,), optional
            Identifier of the recording or session. By default one recording per subject.
        start, duration : array-like of shape (n_samples,), optional
            Seconds on the clock of the recording. By default unknown (NaN).
        condition : array-like of shape (n_samples,), optional
            Condition in the words of the study. By default unknown (empty text).
        feature_names : sequence of str, optional
            Names of the columns of a feature table. By default the columns of a DataFrame, else
            ``x0``, ``x1`` and so on.
        meta : DataFrame or mapping of str to array-like, optional
            Further columns, such as ``sex`` and ``age``, for `demographics` of `evaluate`. It may
            also set ``dataset`` and ``part``.

        Returns
        -------
        Samples

        Raises
        ------
        ConfigError
            If lengths differ, a column is not numeric, values are infinite, or a subject is
            missing.

        Examples
        --------
        >>> samples = Samples.from_arrays([[0.1], [0.4]], subject=["S1", "S2"])
        >>> samples.feature_names, samples.subjects.tolist()
        (('x0',), ['S1', 'S2'])
        """
        x, names = _numeric(X)
        n = _rows_of(x)
        refuse_other_rows(
            {"X": X, "subject": subject, "stimulus": stimulus, "recording": recording,
             "start": start, "duration": duration, "condition": condition, "meta": meta}
        )  # fmt: skip
        unknown = np.full(n, np.nan)
        subjects = _column("subject", subject, n)
        columns: dict[str, Any] = {
            "dataset": np.full(n, "arrays", dtype=object),
            "part": _text(None, n),
            "subject": subjects,
            "recording": subjects if recording is None else _column("recording", recording, n),
            "stimulus": _text(stimulus, n, "stimulus"),
            "start": unknown if start is None else _seconds("start", start, n),
            "duration": unknown if duration is None else _seconds("duration", duration, n),
            "condition": _text(condition, n, "condition"),
        }
        for name, values in _further_columns(meta, n):
            if name in columns and name not in ("dataset", "part"):
                raise ConfigError(
                    f"meta has a column '{name}': pass it as the argument of that name instead."
                )
            columns[name] = values
        if feature_names is not None:
            feature_names = tuple(feature_names)
            width = x.shape[-1] if isinstance(x, np.ndarray) and x.ndim == 2 else None
            if width != len(feature_names):
                raise ConfigError(
                    f"{len(feature_names)} feature names for "
                    f"{'streams or signals' if width is None else f'{width} columns'}: expected "
                    "one name per column of a feature table."
                )
            names = tuple(map(str, feature_names))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"feature names occur twice: {', '.join(twice[:5])}. Rename them.")
        return cls(x, pd.DataFrame(columns), feature_names=names)

    @classmethod
    def concatenate(
        cls, parts: Sequence[Samples], *, same_subjects: bool | None = None
    ) -> Samples:
        """Join samples, for example of several recordings or data sets.

        Parameters
        ----------
        parts : sequence of Samples
            At least one. All have the same streams, features and units. A stream that no sample of
            a part has takes the shape of the other parts.
        same_subjects : bool, optional
            Whether one subject name in two data sets means one person. True keeps the names. False
            writes ``dataset:subject``. None (the default) raises if a name occurs in two data
            sets, because a guess would merge two people or split one.

        Returns
        -------
        Samples
            Rows in the order of `parts`. ``target_access`` is the most that any part declares.

        Raises
        ------
        ConfigError
            If there is no part, or features, units, streams or shapes differ.

        Examples
        --------
        >>> first = Samples.from_arrays([[0.1], [0.4]], subject=["S1", "S2"])
        >>> second = Samples.from_arrays([[0.3]], subject=["S3"])
        >>> len(Samples.concatenate([first, second]))
        3
        """
        parts = [parts] if isinstance(parts, Samples) else list(parts)
        if not parts:
            raise ConfigError("no samples to concatenate: pass at least one part.")
        for place, part in enumerate(parts, 1):
            if not isinstance(part, Samples):
                raise ConfigError(
                    f"part {place} is a {type(part).__name__}, expected Samples. Make them with "
                    "Samples.from_arrays."
                )
        if len(parts) == 1:
            return parts[0]
        _check_alike(parts)
        subjects = _subjects_of(parts, same_subjects)
        sources = {part.label_source for part in parts}
        mixed = (
            ()
            if len(sources) == 1
            else (f"labels come from several sources: {', '.join(sorted(map(str, sources)))}",)
        )
        return cls(
            x=_joined_x([part.x for part in parts], _absent_streams(parts)),
            meta=pd.concat(
                [p.meta.assign(subject=s) for p, s in zip(parts, subjects, strict=True)],
                ignore_index=True,
            ),
            feature_names=parts[0].feature_names,
            feature_units=parts[0].feature_units,
            present=_joined_present(parts),
            facts=_joined_facts(parts),
            quality=_joined_quality(parts),
            exclusions=tuple(e for part in parts for e in part.exclusions),
            target_access=max(
                (part.target_access for part in parts), key=TARGET_ACCESS_ORDER.index
            ),
            label_source=sources.pop() if len(sources) == 1 else None,
            notes=tuple(dict.fromkeys((*mixed, *(n for part in parts for n in part.notes)))),
            lookalike=any(part.lookalike for part in parts),
        )

    def __len__(self) -> int:
        return len(self.meta)

    @property
    def subjects(self) -> Array:
        """Subject of each sample."""
        return self.meta["subject"].to_numpy()

    def take(self, rows: Int[np.ndarray, " row"] | Bool[np.ndarray, " sample"]) -> Samples:
        """The samples of `rows` (positions or a mask), renumbered from 0."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            x=take_rows(self.x, rows),
            meta=self.meta.iloc[rows].reset_index(drop=True),
            present=None
            if self.present is None
            else {k: v[rows] for k, v in self.present.items()},
            facts=None if self.facts is None else self.facts.iloc[rows].reset_index(drop=True),
            quality=None if self.quality is None else self.quality[rows],
        )


def take_rows(
    x: Array | Mapping[str, Array], rows: Int[np.ndarray, " row"]
) -> Array | dict[str, Array]:
    """Rows of an array, or of every array of a mapping of streams."""
    if isinstance(x, Mapping):
        return {name: values[rows] for name, values in x.items()}
    return x[rows]


def refuse_other_rows(columns: Mapping[str, Any]) -> None:
    """Raise if pandas objects that belong together have different row labels.

    Rows are matched by position, so that other labels mean other rows.

    Parameters
    ----------
    columns : mapping of str to object
        Arguments by name; those that are not pandas objects are ignored.

    Raises
    ------
    ConfigError
        Names two arguments and the first row that differs.
    """
    known = {k: v for k, v in columns.items() if isinstance(v, pd.DataFrame | pd.Series)}
    names = list(known)
    for name in names[1:]:
        first, other = known[names[0]].index, known[name].index
        if len(first) != len(other) or first.equals(other):
            continue  # other lengths are an error of their own
        row = int(np.argmax(np.asarray(first != other)))
        raise ConfigError(
            f"{names[0]} and {name} have different row labels (row {row}: {first[row]!r} and "
            f"{other[row]!r}), and rows are matched by position. Pass "
            f"{name}.loc[{names[0]}.index] to match them by label, or {name}.to_numpy() "
            "if they are in the same order."
        )


def _numeric(x: Any) -> tuple[Array | dict[str, Array], tuple[str, ...]]:
    """Numbers of any array-like, and feature names where it is a table."""
    if isinstance(x, Mapping):
        if not x:
            raise ConfigError("X is an empty mapping: pass one array per stream.")
        return {str(k): _array(v, f"X[{k!r}]") for k, v in x.items()}, ()
    if isinstance(x, pd.DataFrame):
        return _table(x), tuple(map(str, x.columns))
    values = _array(x, "X")
    names = tuple(f"x{i}" for i in range(values.shape[1])) if values.ndim == 2 else ()
    return values, names


def _table(x: pd.DataFrame) -> Array:
    """The numbers of a DataFrame; a column of anything else is an error that names it."""
    wrong = []
    columns = []
    for position, name in enumerate(x.columns):
        column = x.iloc[:, position]
        kind = getattr(column.dtype, "kind", "O")
        if isinstance(column.dtype, pd.CategoricalDtype):
            wrong.append(f"'{name}' (categorical)")
        elif kind == "O":
            numbers = pd.to_numeric(column, errors="coerce")
            text = column.notna() & (numbers.isna() | column.map(lambda v: isinstance(v, str)))
            if not text.any():
                columns.append(numbers.to_numpy(dtype=float))
                continue
            wrong.append(f"'{name}' (such as {column[text].iloc[0]!r})")
        elif kind in "biuf":
            columns.append(column.to_numpy(dtype=float, na_value=np.nan))
        else:
            wrong.append(f"'{name}' ({column.dtype})")
    if wrong:
        raise ConfigError(
            f"X has {len(wrong)} columns that are not numbers: {', '.join(wrong[:5])}. Leave them "
            "out, or encode them as numbers. Subjects go into groups, labels into y."
        )
    if not columns:
        raise ConfigError(f"X has {len(x)} rows and no columns: pass at least one feature.")
    return _finite(np.stack(columns, axis=1), "X", list(map(str, x.columns)))


def _array(x: Any, what: str) -> Array:
    if isinstance(x, pd.DataFrame):
        return _table(x)
    if hasattr(x, "tocsr"):
        raise ConfigError(f"{what} is a sparse matrix: pass {what}.toarray().")
    if isinstance(x, np.ma.MaskedArray):
        x = np.ma.filled(x.astype(float), np.nan)
    try:
        values = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ConfigError(f"{what} is not a regular array: {error}.") from error
    if values.dtype == object and values.ndim == 2:
        return _table(pd.DataFrame(values))
    if values.dtype.kind == "b":
        values = values.astype(float)
    if values.dtype.kind not in "iuf":
        first = values.flat[0] if values.size else None
        raise ConfigError(
            f"{what} holds {values.dtype} (the first value is {first!r}), expected numbers."
        )
    if values.ndim < 2:
        raise ConfigError(
            f"{what} has the shape {values.shape}, expected the sample as first axis and at "
            f"least one more: (sample, feature) or (sample, channel, time). For a single feature "
            "pass a column, such as X[:, None]."
        )
    return _finite(values, what, [f"x{i}" for i in range(values.shape[1])])


def _finite(values: Array, what: str, names: Sequence[str]) -> Array:
    infinite = np.isinf(values) if values.dtype.kind == "f" else np.zeros(1, dtype=bool)
    if infinite.any():
        row, column, *_ = np.argwhere(infinite)[0]
        raise ConfigError(
            f"{what} holds {int(infinite.sum())} infinite values, the first in row {row}, "
            f"'{names[column]}'. Replace them, for example by NaN for a missing value."
        )
    return values


def _rows_of(x: Array | Mapping[str, Array]) -> int:
    if not isinstance(x, Mapping):
        return len(x)
    lengths = {name: len(values) for name, values in x.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"streams have different numbers of samples: {lengths}.")
    return next(iter(lengths.values()))


def _flat(name: str, values: Any, n: int) -> pd.Series:
    """A column of `n` values, whatever it is made of."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise ConfigError(
            f"{name} is {values!r}, expected one value per sample: a sequence of length {n}."
        )
    try:
        shape = np.shape(values)
    except ValueError:  # rows of different lengths
        shape = (len(values), 0)
    if len(shape) != 1:
        raise ConfigError(f"{name} has the shape {shape}, expected ({n},).")
    if len(values) != n:
        raise ConfigError(f"{name} has {len(values)} values for {n} samples: expected one each.")
    return pd.Series(values).reset_index(drop=True)


def _column(name: str, values: Any, n: int) -> Array:
    """Identifiers as text; none may be missing."""
    series = _flat(name, values, n)
    known = series.dropna()
    if series.dtype.kind == "f" and (known % 1 == 0).all() and (known.abs() < 2**53).all():
        series = series.astype("Int64")  # whole numbers that a missing value turned into floats
    missing = (series.isna() | series.astype(object).isin(("", "nan", "NaN", "None"))).to_numpy()
    if missing.any():
        raise ConfigError(
            f"{name} is missing in {int(missing.sum())} of {n} samples, the first in row "
            f"{int(missing.argmax())}. Leave these samples out first, and count them."
        )
    return series.astype(str).to_numpy(dtype=object)


def _text(values: Any, n: int, name: str = "") -> Array:
    """Text per sample; empty where it is unknown."""
    if values is None:
        return np.full(n, "", dtype=object)
    series = _flat(name, values, n)
    return series.astype(object).where(series.notna(), "").map(str).to_numpy(dtype=object)


def _seconds(name: str, values: Any, n: int) -> Float[np.ndarray, " sample"]:
    """Seconds as numbers; a time difference is converted, a date has no clock to count from."""
    series = _flat(name, values, n)
    if series.dtype.kind == "m":
        series = series.dt.total_seconds()
    if series.dtype.kind == "M":
        raise ConfigError(
            f"{name} holds dates ({series.iloc[0]}), expected seconds on the clock of the "
            f"recording. Pass the difference to its begin, such as {name} - {name}.min()."
        )
    try:
        seconds = series.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} is not numbers: {error}. Pass seconds.") from error
    wrong = np.isinf(seconds) | ((seconds <= 0) if name == "duration" else False)
    if wrong.any():
        row = int(wrong.argmax())
        expected = "a positive number" if name == "duration" else "a finite number"
        raise ConfigError(f"{name} is {seconds[row]:g} s in row {row}, expected {expected}.")
    return seconds


def _further_columns(meta: Any, n: int) -> Iterator[tuple[str, pd.Series]]:
    if meta is None:
        return
    if not isinstance(meta, Mapping | pd.DataFrame):
        raise ConfigError(
            f"meta is a {type(meta).__name__}, expected a DataFrame or a mapping of columns."
        )
    for name in meta:
        yield str(name), _flat(f"meta['{name}']", meta[name], n)


def _check_alike(parts: Sequence[Samples]) -> None:
    """Raise if parts cannot be rows of one array."""
    first = parts[0]
    for place, part in enumerate(parts[1:], 2):
        if part.feature_names != first.feature_names:
            differ = sorted(set(part.feature_names) ^ set(first.feature_names))
            named = f"{', '.join(differ[:5])} in one of them only" if differ else "another order"
            raise ConfigError(
                f"part {place} has different features than part 1 ({named}). Use the same "
                "streams and features for both."
            )
        if part.feature_units != first.feature_units:
            units = [" ".join(dict.fromkeys(p.feature_units)) for p in (first, part)]
            raise ConfigError(
                f"part {place} has different units ({units[1]}) than part 1 ({units[0]}). "
                "Convert one of them."
            )
        expected, streams = _streams(first), _streams(part)
        if streams != expected:
            raise ConfigError(
                f"part {place} has {_listed_streams(streams)}, part 1 has "
                f"{_listed_streams(expected)}. Use the same streams in the same order."
            )


def _streams(part: Samples) -> tuple[str, ...] | None:
    return tuple(part.x) if isinstance(part.x, Mapping) else None


def _listed_streams(names: tuple[str, ...] | None) -> str:
    return "one array" if names is None else f"the streams {', '.join(names)}"


def _subjects_of(parts: Sequence[Samples], same_subjects: bool | None) -> list[pd.Series]:
    """Subject column of each part, with the data set in front where names are not shared."""
    if same_subjects is False:
        return [p.meta["dataset"].astype(str) + ":" + p.meta["subject"].astype(str) for p in parts]
    if same_subjects is None:
        owners = pd.concat([p.meta[["dataset", "subject"]] for p in parts]).drop_duplicates()
        twice = sorted(owners["subject"][owners["subject"].duplicated()].astype(str).unique())
        if twice:
            raise ConfigError(
                f"subjects {', '.join(twice[:5])} ({len(twice)} in all) occur in several data "
                f"sets ({', '.join(sorted(owners['dataset'].astype(str).unique()))}). Pass "
                "same_subjects=True if a name means one person, else same_subjects=False."
            )
    return [part.meta["subject"] for part in parts]


def _absent_streams(parts: Sequence[Samples]) -> list[set[str]]:
    """Streams that no sample of a part has, per part."""
    return [
        {name for name, mask in (part.present or {}).items() if not mask.any()} for part in parts
    ]


def _joined_x(
    xs: Sequence[Array | Mapping[str, Array]], absent: Sequence[set[str]]
) -> Array | dict[str, Array]:
    if isinstance(xs[0], Mapping):
        return {
            name: _stacked(
                [x[name] for x in xs if isinstance(x, Mapping)],
                [name in streams for streams in absent],
                f"stream '{name}'",
            )
            for name in xs[0]
        }
    return _stacked([np.asarray(x) for x in xs], [False] * len(xs), "x")


def _stacked(arrays: Sequence[Array], absent: Sequence[bool], what: str) -> Array:
    """Arrays along the first axis; one of an absent stream becomes NaN in the others' shape."""
    like = next((a for a, missing in zip(arrays, absent, strict=True) if not missing), arrays[0])
    filled = [
        empty_rows(len(a), like) if missing and a.shape[1:] != like.shape[1:] else a
        for a, missing in zip(arrays, absent, strict=True)
    ]
    shapes = list(dict.fromkeys(a.shape[1:] for a in filled))
    if len(shapes) > 1:
        raise ConfigError(
            f"{what} has different shapes per sample: {', '.join(map(str, shapes))}. Use one "
            "sampling rate, window length and set of channels."
        )
    return np.concatenate(filled)


def empty_rows(rows: int, like: Array) -> Array:
    """Return rows without content in the shape of `like`: NaN, or 0 for images."""
    empty = np.nan if np.issubdtype(like.dtype, np.floating) else 0
    return np.full((rows, *like.shape[1:]), empty, dtype=like.dtype)


def _joined_present(parts: Sequence[Samples]) -> dict[str, Array] | None:
    names = dict.fromkeys(name for part in parts for name in part.present or {})
    if not names:
        return None
    masks = {
        name: [
            np.ones(len(part), dtype=bool) if part.present is None else part.present.get(name)
            for part in parts
        ]
        for name in names
    }
    for name, of_parts in masks.items():
        if any(mask is None for mask in of_parts):
            raise ConfigError(f"stream '{name}' is in some of the parts only.")
    return {name: np.concatenate([m for m in ms if m is not None]) for name, ms in masks.items()}


def _joined_facts(parts: Sequence[Samples]) -> pd.DataFrame | None:
    if all(part.facts is None for part in parts):
        return None
    tables = [
        pd.DataFrame(index=range(len(part))) if part.facts is None else part.facts
        for part in parts
    ]
    return pd.concat(tables, ignore_index=True)


def _joined_quality(parts: Sequence[Samples]) -> Float[np.ndarray, " sample"] | None:
    if all(part.quality is None for part in parts):
        return None
    return np.concatenate(
        [np.full(len(p), np.nan) if p.quality is None else p.quality for p in parts]
    )
