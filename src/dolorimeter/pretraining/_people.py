"""Rows of people, and who of them is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int64

from dolorimeter.chain import build
from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, DatasetError, DolorimeterError
from dolorimeter.pretraining._masked_config import DataConfig
from dolorimeter.pretraining._tasks import Person, drawn_names
from dolorimeter.registry import PREPROCESSING
from dolorimeter.types import Recording, Window
from dolorimeter.windows import WindowSpec, cut


@dataclass(frozen=True)
class Listing:
    """Who is shown in each row, and what could not become a row.

    Parameters
    ----------
    people : tuple of Person
        Namespace and subject of each row.
    """

    people: tuple[Person, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def split(
        self, share: float, seed: int
    ) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " held"]]:
        """Rows that are trained on and rows that validate; a share of people of each namespace.

        Raises
        ------
        ConfigError
            If nobody is left to train on.
        """
        names: dict[str, set[str]] = {}
        for namespace, person in self.people:
            names.setdefault(namespace, set()).add(person)
        held = {
            (namespace, person)
            for namespace, known in names.items()
            for person in drawn_names(sorted(known), share, f"{seed} {namespace}")
        }
        is_held = np.array([person in held for person in self.people], dtype=bool)
        if is_held.all():
            raise ConfigError(
                f"all {len(self.people):,} rows are of people that validate. Lower validation."
            )
        return np.flatnonzero(~is_held), np.flatnonzero(is_held)

    def met(self, rows: Int64[np.ndarray, " row"]) -> dict[str, tuple[str, ...]]:
        """Namespace to the people of those rows, sorted."""
        found: dict[str, set[str]] = {}
        for row in rows.tolist():
            namespace, person = self.people[row]
            found.setdefault(namespace, set()).add(person)
        return {namespace: tuple(sorted(people)) for namespace, people in found.items()}


def steps_along(values: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    """Preprocessing steps that act along the recording.

    Raises
    ------
    ConfigError
        If one acts inside a window, or is unknown.
    """
    steps = tuple(build(PREPROCESSING, one) for one in values)
    for step in steps:
        if step.scope == "window":
            raise ConfigError(
                f"preprocessing: {step.card.name} acts inside a window; those along the recording "
                "alone are run before windows are cut."
            )
    return steps


def recordings_of(data: DataConfig, left_out: Counter[str]) -> Iterator[tuple[str, Recording]]:
    """Namespace and recording, one after another; what the reader leaves out is counted."""
    reader = open_dataset(data.name, data.root or None, **data.options)
    excluded = len(getattr(reader, "exclusions", ()))
    if excluded:
        left_out[f"{data.name}: left out by its reader (dolorimeter check {data.name})"] += (
            excluded
        )
    namespace = str(reader.card.person_namespace or reader.card.name)
    for recording in reader.recordings(data.subjects or None):
        yield namespace, recording


def windows_of(
    recording: Recording, spec: WindowSpec, modalities: Sequence[str], left_out: Counter[str]
) -> tuple[Window, ...]:
    """Windows of a recording; those that cannot be cut are counted with the reason."""
    try:
        found = cut(recording, spec, modalities=modalities)
    except DolorimeterError as error:
        left_out[str(error)] += 1
        return ()
    left_out.update(f"a window: {e.reason}" for e in found.exclusions)
    return found.windows


def check_any(
    people: Sequence[Person], datasets: Sequence[DataConfig], left_out: Counter[str]
) -> None:
    """`DatasetError` where nothing is left."""
    if not people:
        names = ", ".join(data.name for data in datasets)
        reasons = "; ".join(f"{n:,}: {why}" for why, n in left_out.most_common(3)) or "none named"
        raise DatasetError(f"{names}: no row to learn from. Left out: {reasons}.")
