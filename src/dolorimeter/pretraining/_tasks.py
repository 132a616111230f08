"""A task: its rows with labels as numbers, and who of them is trained on."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64, UInt8

from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.pretraining._config import TaskConfig
from dolorimeter.pretraining._drawn import DrawnSignals
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._shards import NpzShards, TarShards
from dolorimeter.pretraining._sources import Block, ImageFolders, Source, Table
from dolorimeter.storage import digest

Person = tuple[str, str]
"""Namespace and identity."""

READERS: Mapping[str, type[Source]] = {
    "image_folders": ImageFolders,
    "table": Table,
    "npz_shards": NpzShards,
    "tar_shards": TarShards,
    "drawn_signals": DrawnSignals,
}
UNLABELLED = "a row without a label"
UNWANTED = "a row of no class that is asked for"
FALSE_TRUE = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
_MISSING = ("", "nan", "na", "n/a", "null")


@dataclass(frozen=True)
class Rows:
    """The rows of one task that have a label.

    Parameters
    ----------
    names : tuple of str
        Of the classes, or of the labels' columns.
    block, place : arrays
        Where each row's picture is in the source.
    classes : array, or None
        Class of each row.
    values : array, or None
        Of multi-label and continuous tasks; NaN where a label is not known.
    person : array
        Index into `people`; −1 where nobody says.
    namespaces : tuple of str
        Of all people, known or not.
    faults : mapping of str to int
        What was left out, and how often.
    """

    config: TaskConfig
    source: Source
    names: tuple[str, ...]
    block: Int32[np.ndarray, " row"]
    place: Int32[np.ndarray, " row"]
    classes: Int64[np.ndarray, " row"] | None
    values: Float64[np.ndarray, "row column"] | None
    person: Int32[np.ndarray, " row"]
    people: tuple[Person, ...]
    namespaces: tuple[str, ...]
    faults: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.block)

    @property
    def digest(self) -> str:
        """Identity of rows and labels, in their order; not of the pictures' bytes."""
        labels = self.classes if self.values is None else self.values
        assert labels is not None  # a task has one or the other
        people = "\n".join("\t".join(p) for p in self.people)
        arrays = (self.block, self.place, self.person, labels)
        return digest(self.config.name, "\n".join(self.names), people, *arrays)


@dataclass(frozen=True)
class Task:
    """Rows, who is trained on, and the scale of continuous targets.

    Parameters
    ----------
    train, held : arrays
        Rows that are trained on, and rows that validate.
    mean, deviation : arrays
        Of each column of a continuous task, over the rows trained on.
    """

    rows: Rows
    train: Int64[np.ndarray, " train"]
    held: Int64[np.ndarray, " held"]
    mean: Float64[np.ndarray, " column"]
    deviation: Float64[np.ndarray, " column"]

    @property
    def config(self) -> TaskConfig:
        """As it was asked for."""
        return self.rows.config

    @property
    def width(self) -> int:
        """Outputs of its head."""
        return len(self.rows.names)

    def targets(
        self, rows: Int[np.ndarray, " row"]
    ) -> Int64[np.ndarray, " row"] | Float64[np.ndarray, "row column"]:
        """Labels of those rows as the loss takes them; continuous ones standardised."""
        if self.rows.classes is not None:
            return self.rows.classes[rows]
        assert self.rows.values is not None
        return (self.rows.values[rows] - self.mean) / self.deviation

    def picture(self, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """The picture of a row; `RecordingError` if it is damaged."""
        return self.rows.source.picture(int(self.rows.block[row]), int(self.rows.place[row]), size)

    def people(self, rows: Int[np.ndarray, " row"]) -> dict[str, tuple[str, ...]]:
        """Namespace to the people in those rows, sorted; an empty tuple: anybody of it.

        The latter is what stands where nobody says who is shown.
        """
        found: dict[str, set[str]] = {}
        for code in np.unique(self.rows.person[rows]):
            if code >= 0:
                namespace, identity = self.rows.people[code]
                found.setdefault(namespace, set()).add(identity)
        known = {namespace: tuple(sorted(people)) for namespace, people in found.items()}
        if (self.rows.person[rows] < 0).any():
            known[_namespace(self.config)] = ()
        return known


def list_rows(config: TaskConfig) -> Rows:
    """Open a task's reader and list its rows.

    Raises
    ------
    ConfigError
        If the reader is unknown, refuses its options, or a label is of another kind.
    DatasetError
        If the files are not what the reader reads, or no row has a label.
    """
    where = f"task '{config.name}'"
    if config.reader not in READERS:
        raise ConfigError(
            f"{where}: reader is '{config.reader}', expected one of {', '.join(READERS)}."
        )
    source = from_plain(READERS[config.reader], config.options, f"{where}, options")
    listing = _Listing(config)
    for number, block in enumerate(source.blocks(config.columns)):
        listing.add(number, block)
    return listing.rows(source)


class _Listing:
    """Labels as numbers, block by block, so that no text is kept twice."""

    def __init__(self, config: TaskConfig) -> None:
        self.config = config
        self.parts: list[tuple[np.ndarray, ...]] = []
        self.faults: Counter[str] = Counter()
        self.people: dict[Person, int] = {}
        self.namespaces: dict[str, None] = {}
        self.groups = {v: i for i, group in enumerate(config.classes) for v in group}
        self.codes: dict[str, int] = {}

    def add(self, number: int, block: Block) -> None:
        """Take the rows of a block that have a label."""
        self.faults.update(block.faults)
        values = [block.labels[c] for c in self.config.columns]
        labels: np.ndarray
        if self.config.label == "class":
            labels = np.array([self._class(v) for v in values[0]], dtype=np.int64)
            places = np.flatnonzero(labels >= 0).astype(np.int32)
        else:
            labels = np.empty((len(block), len(values)))
            for column, name in enumerate(self.config.columns):
                labels[:, column] = [self._number(v, name) for v in values[column]]
            places = np.flatnonzero((~np.isnan(labels)).any(axis=1)).astype(np.int32)
            self.faults[UNLABELLED] += len(block) - len(places)
        namespace = block.namespace or _namespace(self.config)
        if self.config.person_namespace:
            namespace = self.config.person_namespace
        self.namespaces[namespace] = None
        person = np.full(len(block), -1, dtype=np.int32)
        if block.people is not None:
            person[:] = [self._person(namespace, who) for who in block.people]
        self.parts.append((np.full_like(places, number), places, labels[places], person[places]))

    def rows(self, source: Source) -> Rows:
        """Everything that was added, with classes in the order of their names."""
        joined = [np.concatenate(part) for part in zip(*self.parts, strict=True)]
        block, place, labels, person = joined
        self.faults += Counter()  # drops what was counted 0 times
        where = f"task '{self.config.name}'"
        if not len(block):
            raise DatasetError(f"{where}: no row has a label; left out: {dict(self.faults)}.")
        names = self.config.columns
        classes = None
        if self.config.label == "class":
            names, classes = self._classes(labels)
            if len(names) < 2:
                raise ConfigError(f"{where}: one class alone ({names[0]}), expected 2 or more.")
        return Rows(
            config=self.config,
            source=source,
            names=names,
            block=block,
            place=place,
            classes=classes,
            values=None if self.config.label == "class" else labels,
            person=person,
            people=tuple(self.people),
            namespaces=tuple(self.namespaces),
            faults=dict(self.faults),
        )

    def _classes(self, codes: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        if self.config.classes:
            absent = set(range(len(self.config.classes))) - set(codes.tolist())
            for number in sorted(absent):
                group = "/".join(self.config.classes[number])
                raise ConfigError(f"task '{self.config.name}': no row is of class {group}.")
            return tuple("/".join(group) for group in self.config.classes), codes
        names = sorted(self.codes)
        rank = {name: i for i, name in enumerate(names)}
        order = np.array([rank[name] for name in self.codes], dtype=np.int64)
        return tuple(names), order[codes]

    def _class(self, value: Any) -> int:
        text = str(value)
        if _is_missing(value):
            self.faults[UNLABELLED] += 1
            return -1
        if not self.groups:
            return self.codes.setdefault(text, len(self.codes))
        if text not in self.groups:
            self.faults[UNWANTED] += 1
        return self.groups.get(text, -1)

    def _number(self, value: Any, column: str) -> float:
        if _is_missing(value):
            return math.nan
        try:
            number = FALSE_TRUE.get(str(value).lower(), math.nan)
            number = float(value) if math.isnan(number) else number
        except (TypeError, ValueError):
            number = math.nan
        fits = number in (0, 1) if self.config.label == "multi_label" else math.isfinite(number)
        if not fits:
            wanted = "0 or 1" if self.config.label == "multi_label" else "a number"
            raise ConfigError(
                f"task '{self.config.name}': label '{column}' is {value!r:.60}, expected {wanted}."
                " Take another column or another kind of label."
            )
        return number

    def _person(self, namespace: str, identity: Any) -> int:
        text = str(identity).strip()  # somebody may be called NA
        if identity is None or identity != identity or not text:
            return -1
        return self.people.setdefault((namespace, text), len(self.people))


def split(listed: Sequence[Rows], share: float, seed: int) -> tuple[Task, ...]:
    """Who is trained on: people on one side in every task, pictures where nobody says who.

    Parameters
    ----------
    share : float
        Of people, or of pictures, that validate; at least one of each namespace above 0.

    Raises
    ------
    ConfigError
        If a task splits by person and does not say who is shown, or tasks of the same people
        split differently, or nobody is left to train on.
    """
    _check_splits(listed)
    people: dict[str, dict[str, None]] = {}
    for rows in listed:
        for namespace, identity in rows.people:
            people.setdefault(namespace, {})[identity] = None
    held = {
        (namespace, identity)
        for namespace, identities in people.items()
        for identity in drawn_names(sorted(identities), share, f"{seed} {namespace}")
    }
    return tuple(_task(rows, held, share, seed) for rows in listed)


def drawn_names(names: Sequence[str], share: float, salt: str) -> list[str]:
    """That share of names, by their digest, so that others stay where they are."""
    count = min(len(names) - 1, max(1, round(share * len(names)))) if share else 0
    ordered = sorted(names, key=lambda n: hashlib.blake2b(f"{salt}\0{n}".encode()).digest())
    return ordered[:count]


def _check_splits(listed: Sequence[Rows]) -> None:
    ways: dict[str, str] = {}
    for rows in listed:
        task = rows.config
        if task.split == "person":
            unknown = int((rows.person < 0).sum())
            if unknown:
                raise ConfigError(
                    f"task '{task.name}': nobody says who is shown in {unknown:,} of {len(rows):,}"
                    " rows, so that people cannot be split. Name the reader's identity, or set "
                    "split = 'picture' and compare on other people only."
                )
            if "identity" in task.columns:
                raise ConfigError(
                    f"task '{task.name}' recognises people, and those that are held out have no "
                    "class. Set split = 'picture'."
                )
        for namespace in rows.namespaces:
            if ways.setdefault(namespace, task.split) != task.split:
                raise ConfigError(
                    f"people of '{namespace}' are split by person in one task and by picture in "
                    "another: choose one split for all tasks that show them."
                )


def _task(rows: Rows, held: set[Person], share: float, seed: int) -> Task:
    if rows.config.split == "picture":
        rng = np.random.default_rng([seed, len(rows)])
        order = rng.permutation(len(rows))
        is_held = np.zeros(len(rows), dtype=bool)
        is_held[order[: math.ceil(share * len(rows))]] = True
    else:
        of_person = np.array([person in held for person in rows.people], dtype=bool)
        is_held = of_person[rows.person]
    train, kept = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    name = rows.config.name
    if not len(train):
        raise ConfigError(
            f"task '{name}': all {len(rows):,} rows are of people that validate. Lower validation."
        )
    mean, deviation = np.zeros(len(rows.names)), np.ones(len(rows.names))
    if rows.config.label == "continuous":
        assert rows.values is not None
        mean, deviation = _scale(rows.values[train], rows.names, name)
    return Task(rows, train.astype(np.int64), kept.astype(np.int64), mean, deviation)


def _scale(
    values: Float64[np.ndarray, "row column"], columns: Sequence[str], task: str
) -> tuple[Float64[np.ndarray, " column"], Float64[np.ndarray, " column"]]:
    for number, column in enumerate(columns):
        if len(np.unique(values[~np.isnan(values[:, number]), number])) < 2:
            raise ConfigError(f"task '{task}': '{column}' does not vary in the rows trained on.")
    return np.nanmean(values, axis=0), np.nanstd(values, axis=0)


def _namespace(config: TaskConfig) -> str:
    return config.person_namespace or config.name


def _is_missing(value: Any) -> bool:
    return value is None or str(value).strip().lower() in _MISSING
