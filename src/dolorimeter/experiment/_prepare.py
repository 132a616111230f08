"""From an experiment and a data root to what an estimator is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dolorimeter import splits
from dolorimeter.chain import Progress, in_time, reference_of
from dolorimeter.datasets import open_dataset
from dolorimeter.errors import ConfigError, did_you_mean
from dolorimeter.experiment._config import DatasetConfig, Experiment, split_of
from dolorimeter.preprocessing.standardise import TARGET_ACCESS, within_subject
from dolorimeter.samples import Samples
from dolorimeter.storage import Cache, user_cache
from dolorimeter.types import Array

EVEN = frozenset({"all_recording", "task_windows"})
"""References whose mean and deviation take in how many windows of each class there are."""


@dataclass(frozen=True)
class Prepared:
    """What stands ready for the estimator: samples that take part, and their labels."""

    samples: Samples
    y: Array
    split: Any
    part: str
    lists: Mapping[str, tuple[str, ...]]
    subjects_found: int
    person_namespace: str


def prepare(
    experiment: Experiment,
    root: str | Path | None = None,
    *,
    test_root: str | Path | None = None,
    cache: Cache | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Prepared:
    """Read the data set and make its samples and labels.

    Parameters
    ----------
    root : str or Path, optional
        Of the data set; None looks in ``$DOLORIMETER_DATA`` and the user cache.
    test_root : str or Path, optional
        Of the second data set, for a cross-data-set experiment.
    """
    samples, reader = gathered(
        experiment, root, test_root=test_root, cache=cache, workers=workers, progress=progress
    )
    samples = standardised_table(experiment, samples)
    if leans_on_balance(experiment):
        note = (
            f"Features are standardised within each person ({experiment.standardise}): this uses "
            "the class balance of the test design."
        )
        samples = replace(samples, notes=(*samples.notes, note))
    samples, y = experiment.task.label(samples)
    samples = _count_people(samples, reader, experiment)
    return Prepared(
        samples,
        y,
        _split(experiment, reader),
        str(getattr(reader, "part", "")),
        dict(getattr(reader, "SUBJECT_LISTS", {})),
        len(set(samples.subjects)),
        _namespace(reader),
    )


def leans_on_balance(experiment: Experiment) -> bool:
    """Whether the samples are standardised over windows whose classes the design balances."""
    return experiment.standardise in EVEN and experiment.task.kind != "regressor"


def gathered(
    experiment: Experiment,
    root: str | Path | None,
    *,
    test_root: str | Path | None = None,
    cache: Cache | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[Samples, Any]:
    """All samples of the data set or the two, and the first one's reader."""
    options: dict[str, Any] = {
        "cache": cache,
        "workers": workers,
        "progress": progress,
    }
    samples, reader = _samples(experiment, experiment.dataset, root, **options)
    if experiment.test_dataset is not None:
        other, other_reader = _samples(experiment, experiment.test_dataset, test_root, **options)
        samples = _across(samples, other, _namespace(reader) == _namespace(other_reader))
    return samples, reader


def _count_people(samples: Samples, reader: Any, experiment: Experiment) -> Samples:
    """Say how many of the people asked for have a sample that takes part."""
    asked = len(chosen_subjects(reader, experiment.dataset.subjects))
    asked = min(asked, experiment.dataset.first or asked)
    found = len(set(samples.subjects.astype(str)))
    if experiment.test_dataset is not None or found == asked:
        return samples
    note = f"{found} of the {asked} subjects asked for have a sample that takes part"
    return replace(samples, notes=(note, *samples.notes))


def _samples(
    experiment: Experiment,
    config: DatasetConfig,
    root: str | Path | None,
    *,
    cache: Cache | None,
    workers: int,
    progress: Progress | None,
) -> tuple[Samples, Any]:
    """Samples of one data set, and its reader."""
    reader = open_dataset(config.name, root, **config.options)
    chosen = chosen_subjects(reader, config.subjects)[: config.first or None]
    chain = experiment.chain()
    lookalike = bool(getattr(reader, "lookalike", False))
    if chain is not None:
        if not hasattr(reader, "recordings"):
            raise ConfigError(
                f"data set '{config.name}' is a feature table: an experiment on it has no "
                "[[streams]] and names its features in dataset.columns."
            )
        recordings = reader.recordings(chosen)
        samples = chain.samples(
            recordings,
            label_source=reader.card.label_source,
            lookalike=lookalike,
            exclusions=[e for e in reader.exclusions if e.subject in chosen or not e.subject],
            cache=cache,
            workers=workers,
            progress=progress,
        )
    else:
        if not hasattr(reader, "samples"):
            raise ConfigError(
                f"data set '{config.name}' holds recordings: the experiment needs [windows] and "
                "at least one [[streams]]."
            )
        samples = columns_of(reader.samples(), config.columns)
        samples = samples.take(samples.meta["subject"].isin(chosen).to_numpy())
    notes = (*dataset_notes(reader, chosen), *samples.notes)
    return replace(samples, notes=notes, lookalike=lookalike), reader


def dataset_notes(reader: Any, chosen: Sequence[str]) -> tuple[str, ...]:
    """How many of how many people, what the labels are, and whether units are confirmed."""
    card = reader.card
    found = len(reader.subjects())
    whole = getattr(reader, "expected_subjects", card.subjects)
    notes = [
        f"{len(chosen)} of {found} subjects found"
        + (f" ({whole} in the full data set)" if whole and whole != found else "")
    ]
    if card.labels:
        notes.append(f"Labels: {card.labels}")
    if not card.units_confirmed:
        notes.append(f"The units of {card.name} have not been confirmed on its real files.")
    return (*notes, *getattr(reader, "notes", ()))


def chosen_subjects(reader: Any, wanted: str | tuple[str, ...]) -> tuple[str, ...]:
    """Subjects that a `DatasetConfig.subjects` means, in the reader's order.

    Raises
    ------
    ConfigError
        If a list or a subject is unknown.
    """
    found: tuple[str, ...] = reader.subjects()
    lists: Mapping[str, tuple[str, ...]] = getattr(reader, "SUBJECT_LISTS", {})
    if not isinstance(wanted, str):
        unknown = sorted(set(wanted) - set(found))
        if unknown:
            raise ConfigError(
                f"subjects {', '.join(unknown[:5])} are not in {reader.card.name} here; it has "
                f"{len(found)}, from {found[0]} to {found[-1]}."
            )
        return tuple(s for s in found if s in set(wanted))
    if wanted == "all":
        return found
    name = wanted.removeprefix("without ")
    if name not in lists:
        raise ConfigError(
            f"dataset.subjects is '{wanted}', expected 'all', a list of subjects, or "
            f"{' or '.join(repr(n) for n in sorted(lists)) or 'nothing else'} of "
            f"{reader.card.name}, also after 'without '."
        )
    inside = set(lists[name])
    return tuple(s for s in found if (s in inside) == (name == wanted))


def columns_of(samples: Samples, columns: Sequence[str]) -> Samples:
    if not columns:
        return samples
    unknown = [c for c in columns if c not in samples.feature_names]
    if unknown:
        raise ConfigError(
            f"dataset.columns: no feature {', '.join(unknown)}; "
            f"{did_you_mean(unknown[0], samples.feature_names, 'the table has:')}"
        )
    assert isinstance(samples.x, np.ndarray)
    places = [samples.feature_names.index(c) for c in columns]
    return replace(
        samples,
        x=samples.x[:, places],
        feature_names=tuple(columns),
        feature_units=tuple(samples.feature_units[i] for i in places),
    )


def standardised_table(experiment: Experiment, samples: Samples) -> Samples:
    """Standardise a feature table within subject; recordings went through their chain."""
    if experiment.standardise == "none" or experiment.streams:
        return samples
    return within_reference(samples, experiment.standardise, baseline_of(experiment))


def baseline_of(experiment: Experiment) -> tuple[str, ...]:
    """Conditions that a table is standardised by; none named: every row of the subject."""
    of_task = experiment.task.wanted if experiment.standardise == "task_windows" else ()
    return tuple(experiment.baseline or of_task)


def within_reference(samples: Samples, standardise: str, named: Sequence[str]) -> Samples:
    """Standardise a feature table within subject, by the rows of the conditions that are named."""
    assert isinstance(samples.x, np.ndarray)
    reference = reference_of(standardise)
    order = in_time(samples) if reference == "running" else None
    rows = samples.meta["condition"].isin(named).to_numpy() if named else None
    return replace(
        samples,
        x=within_subject(samples.x, samples.subjects, reference, rows=rows, order=order),
        target_access=TARGET_ACCESS[reference],
    )


def _namespace(reader: Any) -> str:
    return str(reader.card.person_namespace or reader.card.name)


def _across(first: Samples, second: Samples, same_subjects: bool) -> Samples:
    """Samples of two data sets as one table or array, without facts.

    Facts of two data sets have no common meaning, so that the nuisance baseline cannot use them.

    Raises
    ------
    ConfigError
        If the samples hold several streams, or their features, units or shapes differ.
    """
    if isinstance(first.x, Mapping) or isinstance(second.x, Mapping):
        raise ConfigError(
            "across data sets the samples must be one table, or one array of equal windows: use "
            "the representation 'features', or a single stream resampled to one rate."
        )
    joined = Samples.concatenate([first, second], same_subjects=same_subjects)
    return replace(joined, facts=None, label_source=first.label_source)


def _split(experiment: Experiment, reader: Any) -> Any:
    """The split that is named; ``official`` is one of the reader's own.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown.
    """
    name, arguments = experiment.split.name, dict(experiment.split.arguments)
    if name == "official":
        official = reader.official_splits()
        which = arguments.get("which", "")
        if which not in official:
            raise ConfigError(
                f"[split] official: which = '{which}', expected one of "
                f"{', '.join(map(repr, official)) or 'none: this data set has no official split'}."
            )
        chosen = official[which]
        if chosen.test:
            return splits.hold_out(chosen.test, chosen.validation, chosen.train)
        return splits.hold_out(chosen.validation, (), chosen.train)
    return split_of(experiment.split)


def sample_cache() -> Cache:
    """The cache of represented windows, in the user's cache folder."""
    return Cache(user_cache() / "samples")


def outside(out: str | Path | None, *roots: str | Path | None) -> None:
    """Refuse to write into a data root.

    Raises
    ------
    ConfigError
        If `out` lies in one of `roots`.
    """
    for root in roots:
        if out is not None and root is not None and _inside(Path(out), Path(root)):
            raise ConfigError(
                f"{out}: lies in the data root {root}, where nothing is ever written. Give "
                "another --out."
            )


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
