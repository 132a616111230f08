"""A plain table of features, CSV or Parquet: anybody's, OpenFace's or py-feat's.

OpenFace 2 writes one CSV a video: ``frame, timestamp, confidence, success, …, AU01_r, …, AU45_c``
(names after the first with a leading space). py-feat writes ``FaceScore``, ``AU01`` … and
emotions, with ``frame`` and ``input``. Baltrušaitis et al. 2018, doi:10.1109/FG.2018.00019;
Cheong et al. 2023, doi:10.1007/s42761-023-00191-4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.datasets._files import (
    EMPTY_CELLS,
    CheckReport,
    OfficialSplit,
    Problem,
    bare_name,
    list_files,
    natural_key,
    one_of,
    read_bytes,
    read_numbers,
    read_table,
    read_text,
    relative,
    select_subjects,
)
from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.registry import DATASETS, DatasetCard
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.types import Exclusion

Layout = Literal["plain", "openface", "py-feat"]
LAYOUTS = ("auto", "plain", "openface", "py-feat")
SUFFIXES = (".csv", ".tsv", ".parquet")

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""py-feat's emotion columns: probabilities."""

META = ("frame", "timestamp", "approx_time", "face_id", "input", "sample", "trial", "window")
"""Columns of a plain table that are never a feature unless asked for."""


@DATASETS.register(
    DatasetCard(
        name="feature_table",
        summary="A table of features with subjects and labels (CSV, Parquet; OpenFace, py-feat).",
        licence="the owner's",
        obtain="Your own table: a CSV or Parquet file, or a folder of them.",
        sharing="As the owner says.",
        label_source="procedure",
        labels="Whatever the label column says: state its source in the report.",
        units_confirmed=False,
    )
)
class FeatureTable:
    """Rows of a table, or of a folder of tables, as `Samples`.

    Parameters
    ----------
    root : path
        A file (``.csv``, ``.tsv``, ``.parquet``; text also gzipped) or a folder of them.
    subject : str
        Column of the subject. Where OpenFace or py-feat files have no such column, the file's
        name is the subject.
    label : str
        Column of the condition; may be absent when `target` is given or in OpenFace and py-feat
        files, whose condition is then empty.
    target : str, optional
        Column of a number to predict; kept as ``meta["target"]``.
    features : sequence of str
        Feature columns. Empty: in a plain table every column of numbers that has no other role;
        of OpenFace the action units (``AU…_r`` intensity 0–5, ``AU…_c`` presence); of py-feat
        ``AU…`` and emotions.
    layout : {"auto", "plain", "openface", "py-feat"}
        Auto goes by the columns.

    Notes
    -----
    A row is left out, as an exclusion, when its subject, label or target is missing, or when the
    face tracker failed on it (OpenFace ``success`` 0; py-feat without a ``FaceScore``). A missing
    feature is NaN.
    """

    card: ClassVar[DatasetCard]
    SUBJECT_LISTS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(
        self,
        root: str | Path,
        *,
        subject: str = "subject",
        label: str = "label",
        target: str | None = None,
        features: Sequence[str] = (),
        layout: str = "auto",
    ) -> None:
        root = Path(root)
        if not root.exists():
            raise DatasetError(
                f"{root}: is not there; expected a CSV or Parquet file or a folder."
            )
        single = root.is_file()
        self.root = root.parent if single else root
        self._paths = [root] if single else list_files(root, *SUFFIXES)
        if not self._paths or (single and not _suffix(root)):
            raise DatasetError(
                f"{root}: no table in it; expected {', '.join(SUFFIXES)} (text also .gz)."
            )
        self.subject, self.label, self.target = subject, label, target
        self.features = tuple(features)
        self.layout = one_of("layout", layout, LAYOUTS, dataset=self.card.name)

    @cached_property
    def _tables(self) -> list[_Table]:
        tables = [self._read(path) for path in self._paths]
        first = tables[0]
        for path, table in zip(self._paths[1:], tables[1:], strict=True):
            if table.names != first.names:
                missing = sorted(set(first.names) ^ set(table.names))
                raise RecordingError(
                    f"{path}: feature columns differ from those of {self._paths[0].name}: "
                    f"{', '.join(missing[:8]) or 'another order'}. Name them with features=."
                )
        return tables

    @cached_property
    def _samples(self) -> Samples:
        tables = self._tables
        meta = pd.concat([table.meta for table in tables], ignore_index=True)
        x = np.concatenate([table.x for table in tables])
        keep = np.concatenate([table.keep for table in tables])
        order = sorted(meta["subject"][keep].unique(), key=natural_key)
        rank = meta["subject"].map({s: i for i, s in enumerate(order)}).to_numpy()
        rows = np.flatnonzero(keep)
        rows = rows[np.argsort(rank[rows], kind="stable")]
        return Samples(
            x=x[rows],
            meta=meta.iloc[rows].reset_index(drop=True),
            feature_names=tables[0].names,
            feature_units=tables[0].units,
            exclusions=tuple(e for table in tables for e in table.exclusions),
            label_source=self.card.label_source,
            notes=_notes(tables[0].names, x[rows]),
        )

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Rows left out, and why."""
        return self._samples.exclusions

    def subjects(self) -> tuple[str, ...]:
        """Subjects with at least one usable row, in natural order."""
        return tuple(sorted(set(self._samples.meta["subject"]), key=natural_key))

    def samples(self, subjects: Sequence[str] | None = None) -> Samples:
        """Usable rows, subjects in natural order, rows of a subject in the order of the file.

        Raises
        ------
        DatasetError
            If a subject asked for is not there.
        ConfigError
            If a column that was named is not there.
        RecordingError
            If a file is damaged or a feature is no number.
        """
        if subjects is None:
            return self._samples
        chosen = select_subjects(subjects, self.subjects(), dataset=self.card.name)
        return self._samples.take(self._samples.meta["subject"].isin(chosen).to_numpy())

    def official_splits(self) -> Mapping[str, OfficialSplit]:
        """None: it is a format."""
        return {}

    def check(self) -> CheckReport:
        """Read everything; name damaged files, constant features and missing numbers."""
        problems: list[Problem] = []
        subjects: set[str] = set()
        rows = 0
        for path in self._paths:
            where = relative(path, self.root)
            try:
                table = self._read(path)
            except RecordingError as error:
                problems.append(Problem(where, str(error), "unreadable"))
                continue
            rows += len(table.keep)
            subjects |= set(table.meta["subject"][table.keep])
            problems += _column_problems(where, table)
            problems += [Problem(where, f"{e.what}: {e.reason}", "nan") for e in table.exclusions]
        return CheckReport(self.card.name, self.root, len(subjects), None, rows, tuple(problems))

    def _read(self, path: Path) -> _Table:
        columns = _columns(path)
        layout = self._layout(columns)
        roles = [c for c in (self.subject, self.label, self.target) if c in columns]
        self._check_columns(path, columns, layout)
        names = self.features or _default_features(path, columns, layout, roles)
        texts = [c for c in (self.subject, self.label) if c in columns]
        extra = [c for c in _STATUS[layout] if c in columns]
        if self.target is not None:
            extra.append(self.target)
        x = _numbers(path, names)
        about = _numbers(path, extra) if extra else np.empty((len(x), 0))
        words = _words(path, texts, len(x))
        facts = {name: about[:, i] for i, name in enumerate(extra)}
        return self._table(path, layout, x, names, words, facts)

    def _layout(self, columns: Sequence[str]) -> Layout:
        if self.layout != "auto":
            return self.layout  # type: ignore[return-value]  # one_of has checked it
        if "success" in columns and any(re.fullmatch(r"AU\d\d_[rc]", c) for c in columns):
            return "openface"
        if "FaceScore" in columns:
            return "py-feat"
        return "plain"

    def _check_columns(self, path: Path, columns: Sequence[str], layout: Layout) -> None:
        wanted = list(self.features)
        if layout == "plain":
            wanted.append(self.subject)
            if self.target is None:
                wanted.append(self.label)
        if self.target is not None:
            wanted.append(self.target)
        missing = [c for c in wanted if c not in columns]
        if missing:
            raise ConfigError(
                f"{path}: no column {', '.join(map(repr, missing))}; there are "
                f"{', '.join(map(repr, columns[:20]))}{' …' if len(columns) > 20 else ''}. Name "
                "them with subject=, label=, target= or features=."
            )

    def _table(
        self,
        path: Path,
        layout: Layout,
        x: Float[np.ndarray, "row feature"],
        names: Sequence[str],
        words: Mapping[str, list[str]],
        facts: Mapping[str, Float[np.ndarray, " row"]],
    ) -> _Table:
        stem = bare_name(path)
        count = len(x)
        people = words.get(self.subject, [stem] * count)
        labels = words.get(self.label, [""] * count)
        times = facts.get("timestamp", facts.get("approx_time", np.full(count, np.nan)))
        meta = pd.DataFrame(
            {
                "dataset": self.card.name,
                "part": "",
                "subject": people,
                "recording": stem,
                "stimulus": "",
                "start": times,
                "duration": np.nan,
                "condition": labels,
            }
        )[list(META_COLUMNS)]
        if self.target is not None:
            meta["target"] = facts[self.target]
        reasons = [""] * count
        for row in range(count):
            if people[row] in EMPTY_CELLS:
                reasons[row] = f"no {self.subject}"
            elif self.label in words and labels[row] in EMPTY_CELLS:
                reasons[row] = f"no {self.label}"
            elif self.target is not None and np.isnan(facts[self.target][row]):
                reasons[row] = f"no {self.target}"
            elif layout == "openface" and facts["success"][row] != 1:
                reasons[row] = "OpenFace found no face (success is not 1)"
            elif layout == "py-feat" and np.isnan(facts["FaceScore"][row]):
                reasons[row] = "py-feat found no face (no FaceScore)"
        exclusions = tuple(
            Exclusion(people[row], stem, f"row {row + 1}", reason)
            for row, reason in enumerate(reasons)
            if reason
        )
        keep = np.array([not reason for reason in reasons], dtype=bool)
        units = tuple(_unit(name, layout) for name in names)
        return _Table(x, meta, keep, tuple(names), units, exclusions)


_STATUS: Mapping[Layout, tuple[str, ...]] = {
    "plain": (),
    "openface": ("success", "timestamp"),
    "py-feat": ("FaceScore", "approx_time"),
}


@dataclass(frozen=True)
class _Table:
    x: Float[np.ndarray, "row feature"]
    meta: pd.DataFrame
    keep: np.ndarray
    names: tuple[str, ...]
    units: tuple[str, ...]
    exclusions: tuple[Exclusion, ...]


def _suffix(path: Path) -> str:
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    return ending if ending in SUFFIXES else ""


def _delimiter(path: Path) -> str:
    return "\t" if _suffix(path) == ".tsv" else ","


def _columns(path: Path) -> list[str]:
    if _suffix(path) == ".parquet":
        return [str(c) for c in _parquet(path, None).columns]
    first = read_text(path).split("\n", 1)[0].rstrip("\r")
    columns = [c.strip().strip('"').strip() for c in first.split(_delimiter(path))]
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise RecordingError(f"{path}: column {', '.join(map(repr, twice))} stands there twice.")
    return columns


def _parquet(path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(
            pa.BufferReader(read_bytes(path)), columns=None if columns is None else list(columns)
        )
        return table.to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RecordingError(
            f"{path}: not a readable Parquet file ({str(error).splitlines()[0][:200]}). Write it "
            "again."
        ) from error


def _numbers(path: Path, names: Sequence[str]) -> Float[np.ndarray, "row column"]:
    if _suffix(path) != ".parquet":
        return read_numbers(path, delimiter=_delimiter(path), columns=names)[1]
    table = _parquet(path, names)
    values = np.empty((len(table), len(names)))
    for i, name in enumerate(names):
        column = table[name]
        text = column.where(~column.isin(EMPTY_CELLS)) if column.dtype == object else column
        try:
            values[:, i] = pd.to_numeric(text).to_numpy(float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise RecordingError(f"{path}: column {name!r} is not numbers ({error}).") from error
    if np.isinf(values).any():
        raise RecordingError(f"{path}: an infinite number among the features.")
    return values


def _words(path: Path, names: Sequence[str], count: int) -> dict[str, list[str]]:
    if not names:
        return {}
    if _suffix(path) == ".parquet":
        table = _parquet(path, names)
        table = table.astype(object).where(table.notna(), "")
        return {name: [str(value) for value in table[name]] for name in names}
    rows = read_table(path, delimiter=_delimiter(path), columns=names)
    if len(rows) != count:
        raise RecordingError(f"{path}: {len(rows)} rows of text and {count} rows of numbers.")
    return {name: rows[name].tolist() for name in names}


def _default_features(
    path: Path, columns: Sequence[str], layout: Layout, roles: Sequence[str]
) -> tuple[str, ...]:
    if layout == "openface":
        names = [c for c in columns if re.fullmatch(r"AU\d\d_[rc]", c)]
    elif layout == "py-feat":
        names = [c for c in columns if re.fullmatch(r"AU\d\d", c) or c in EMOTIONS]
    else:
        names = [c for c in columns if c not in roles and c not in META and c]
    names = [c for c in names if c not in roles]
    if not names:
        raise RecordingError(
            f"{path}: no feature column among {', '.join(map(repr, columns[:20]))}. Name them "
            "with features=."
        )
    return tuple(names)


def _unit(name: str, layout: Layout) -> str:
    if layout == "openface" and name.endswith("_r"):
        return "FACS intensity 0-5"
    if layout == "openface" or name in EMOTIONS or layout == "py-feat":
        return "1"
    return ""


def _notes(names: Sequence[str], x: Float[np.ndarray, "row feature"]) -> tuple[str, ...]:
    missing = np.isnan(x).sum(axis=0)
    return tuple(
        f"{name}: missing in {int(n)} of {len(x)} rows."
        for name, n in zip(names, missing, strict=True)
        if n
    )


def _column_problems(where: str, table: _Table) -> list[Problem]:
    problems = []
    for name, column in zip(table.names, table.x[table.keep].T, strict=True):
        present = column[~np.isnan(column)]
        if present.size < column.size:
            what = f"{name}: missing in {column.size - present.size} of {column.size} rows"
            problems.append(Problem(where, what, "nan", "warning"))
        if present.size > 1 and present.min() == present.max():
            problems.append(Problem(where, f"{name}: one value only", "flat", "warning"))
    return problems
