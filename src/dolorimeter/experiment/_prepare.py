"""From an experiment and a data root to what an estimator is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from dolorimeter import splits
from dolorimeter.chain import (
    Pipeline,
    Progress,
    QualityGate,
    check_live,
    in_time,
    reference_of,
)
from dolorimeter.conditions import (
    UNLABELLED,
    condition_counts,
    lacking,
    misspelt,
    unused_note,
)
from dolorimeter.datasets import OfficialSplit, open_dataset
from dolorimeter.datasets._files import EMPTY_CELLS
from dolorimeter.errors import ConfigError, DatasetError, did_you_mean
from dolorimeter.experiment._config import DatasetConfig, Experiment, Task, split_of
from dolorimeter.preprocessing.standardise import TARGET_ACCESS, within_subject
from dolorimeter.samples import Samples
from dolorimeter.storage import Cache, user_cache
from dolorimeter.types import Array, Exclusion, Recording

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
        experiment,
        root,
        test_root=test_root,
        cache=cache,
        workers=workers,
        progress=progress,
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
    split, split_notes = _split(experiment, reader, samples)
    samples = replace(samples, notes=(*samples.notes, *split_notes))
    return Prepared(
        samples,
        y,
        split,
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
    standardise: bool = True,
) -> tuple[Samples, Any]:
    """All samples of the data set or the two, and the first one's reader.

    Parameters
    ----------
    experiment : Experiment
    root, test_root, cache, workers, progress
        As in `prepare`.
    standardise : bool, default True
        False leaves out the standardisation within subject, of the same windows.

    Raises
    ------
    ConfigError
        If ``experiment.as_live`` is true and the experiment cannot run live.
    """
    chain = experiment.chain()
    if experiment.as_live and chain is None:
        raise ConfigError(
            "as_live = true needs an experiment with [[streams]]: a feature table has no signals "
            "whose quality could be judged."
        )
    if experiment.as_live and chain is not None:
        check_live(chain)
    if chain is not None and not standardise:
        chain = replace(chain, standardise="none", baseline=())
    options: dict[str, Any] = {
        "chain": chain,
        "cache": cache,
        "workers": workers,
        "progress": progress,
        "gate": QualityGate() if experiment.as_live else None,
    }
    samples, reader = _samples(experiment, experiment.dataset, root, **options)
    if experiment.test_dataset is not None:
        other, other_reader = _samples(experiment, experiment.test_dataset, test_root, **options)
        samples = _across(samples, other, _namespace(reader) == _namespace(other_reader))
    return samples, reader


def _count_people(samples: Samples, reader: Any, experiment: Experiment) -> Samples:
    """Note how many of the subjects asked for take part, and who lacks a class."""
    notes = []
    config = experiment.dataset
    asked = {*chosen_subjects(reader, config.subjects)[: config.first or None]}
    asked |= named_subjects(samples.exclusions)
    found = len(set(samples.subjects.astype(str)))
    if experiment.test_dataset is None and found != len(asked):
        notes.append(
            f"{found} of the {len(asked)} subjects asked for have a sample that takes part"
        )
    classes = dict(zip(experiment.task.class_names, experiment.task.classes, strict=False))
    for name, subjects in lacking(condition_counts(samples), classes).items():
        shown = ", ".join(subjects[:8]) + (" …" if len(subjects) > 8 else "")
        who = "subject" if len(subjects) == 1 else "subjects"
        notes.append(
            f"{len(subjects)} of {found} subjects have no window of {name}: {who} {shown}"
        )
    return replace(samples, notes=(*notes, *samples.notes))


def _spoken(samples: Samples, abstained: Sequence[str]) -> Samples:
    """Samples of the windows on which a live session gives an estimate; the others are listed."""
    silent = np.array([bool(reason) for reason in abstained])
    exclusions = [
        Exclusion(
            str(row.subject),
            str(row.recording),
            f"window at {row.start:g} s",
            f"as live: {reason}",
        )
        for row, reason in zip(samples.meta.itertuples(), abstained, strict=True)
        if reason
    ]
    note = (
        "as live: the gate of a live session was applied to the windows of training and test; a "
        f"session abstains on {int(silent.sum())} of {len(samples)}, which are exclusions"
    )
    if silent.all():
        raise DatasetError(
            f"as live, a session abstains on all {len(samples)} windows; the first: "
            f"{abstained[0]}. Look at the signals' quality (dolorimeter check), or evaluate "
            "without --as-live."
        )
    spoken = samples.take(~silent)
    return replace(
        spoken,
        exclusions=(*samples.exclusions, *exclusions),
        notes=(note, *samples.notes),
    )


def _samples(
    experiment: Experiment,
    config: DatasetConfig,
    root: str | Path | None,
    *,
    chain: Pipeline | None,
    cache: Cache | None,
    workers: int,
    progress: Progress | None,
    gate: QualityGate | None,
) -> tuple[Samples, Any]:
    """Samples of one data set, and its reader."""
    reader = open_dataset(config.name, root, **config.options)
    chosen = chosen_subjects(reader, config.subjects)[: config.first or None]
    lookalike = bool(getattr(reader, "lookalike", False))
    if chain is not None:
        if not hasattr(reader, "recordings"):
            raise ConfigError(
                f"data set '{config.name}' is a feature table: an experiment on it has no "
                "[[streams]] and names its features in dataset.columns."
            )
        recordings = reader.recordings(chosen)
        exclusions = exclusions_of(reader, config, chosen)
        counts = condition_counts(recordings)
        options: dict[str, Any] = {
            "label_source": reader.card.label_source,
            "lookalike": lookalike,
            "exclusions": [*exclusions, *_misspelt_events(recordings, counts, experiment.task)],
            "cache": cache,
            "workers": workers,
            "progress": progress,
        }
        if gate is None:
            samples = chain.samples(recordings, **options)
        else:
            samples = _spoken(*chain.gated_samples(recordings, gate, **options))
    else:
        if not hasattr(reader, "samples"):
            raise ConfigError(
                f"data set '{config.name}' holds recordings: the experiment needs [windows] and "
                "at least one [[streams]]."
            )
        samples = columns_of(reader.samples(), config.columns)
        samples = samples.take(samples.meta["subject"].isin(chosen).to_numpy())
        exclusions = exclusions_of(reader, config, chosen)
        counts = condition_counts(samples)
        wrong = _misspelt_rows(samples, counts, experiment.task)
        samples = replace(samples, exclusions=(*exclusions, *wrong))
    lost = _without_condition(samples, counts, experiment.task)
    notes = (
        *dataset_notes(reader, chosen, samples.exclusions),
        *unused_note(counts, experiment.task.wanted),
        *samples.notes,
    )
    samples = replace(
        samples, exclusions=samples.exclusions + lost, notes=notes, lookalike=lookalike
    )
    return samples, reader


def exclusions_of(
    reader: Any, config: DatasetConfig, chosen: Sequence[str]
) -> tuple[Exclusion, ...]:
    """Return what a reader left out of the subjects that are asked for.

    A subject of whom nothing could be read is in no listing, so that only its exclusion says that
    there is such a subject.

    Parameters
    ----------
    reader : reader
        After ``recordings(chosen)``.
    config : DatasetConfig
        States which subjects are asked for.
    chosen : sequence of str
        Subjects among those that could be read.
    """
    known, selected = set(reader.subjects()), set(chosen)

    def is_asked(subject: str) -> bool:
        return subject in selected or not subject or (
            subject not in known and _is_wanted(subject, config.subjects, reader)
        )  # fmt: skip

    return tuple(e for e in reader.exclusions if is_asked(str(e.subject)))


def named_subjects(exclusions: Iterable[Exclusion]) -> set[str]:
    """Return the subjects that exclusions name; an empty cell of a table names nobody."""
    return {str(e.subject) for e in exclusions if e.subject not in EMPTY_CELLS}


def _is_wanted(subject: str, wanted: str | tuple[str, ...], reader: Any) -> bool:
    """Whether `DatasetConfig.subjects` includes a subject, wherever it is."""
    if not isinstance(wanted, str):
        return subject in wanted
    name = wanted.removeprefix("without ")
    inside = getattr(reader, "SUBJECT_LISTS", {}).get(name, ())
    return wanted == "all" or (subject in inside) == (name == wanted)


def _misspelt_events(
    recordings: Sequence[Recording], counts: pd.DataFrame, task: Task
) -> list[Exclusion]:
    """Stimuli whose condition is one of the task but for its spelling, per recording."""
    wrong = misspelt(counts, task.wanted) if task.wanted else {}
    if not wrong:
        return []
    return [
        _misspelling(recording.subject, recording.name, name, number, wrong[name])
        for recording in recordings
        for name, number in Counter(s.condition for s in recording.stimuli).items()
        if name in wrong
    ]


def _misspelt_rows(samples: Samples, counts: pd.DataFrame, task: Task) -> list[Exclusion]:
    wrong = misspelt(counts, task.wanted) if task.wanted else {}
    rows = samples.meta[samples.meta["condition"].isin(list(wrong))]
    keys = zip(*(rows[c].astype(str) for c in ("subject", "recording", "condition")), strict=True)
    return [
        _misspelling(subject, recording, name, number, wrong[name])
        for (subject, recording, name), number in sorted(Counter(keys).items())
    ]


def _misspelling(subject: str, recording: str, name: str, number: int, meant: str) -> Exclusion:
    reason = (
        f"'{name}' is no condition of the task; did you mean '{meant}'? Correct the file, or add "
        f"'{name}' to the classes of [task]"
    )
    return Exclusion(subject, recording, f"{number} of condition {name}", reason)


def _without_condition(
    samples: Samples, counts: pd.DataFrame, task: Task
) -> tuple[Exclusion, ...]:
    """Subjects of whom no window takes part, where no other exclusion says why."""
    wanted = task.wanted
    rows = samples.meta["condition"].isin(wanted) if wanted else slice(None)
    named = {
        *samples.meta.loc[rows, "subject"].astype(str),
        *(e.subject for e in samples.exclusions),
    }
    asked = ", ".join(wanted)
    found = []
    for place, subject in enumerate(map(str, counts.index)):
        row = counts.iloc[place]
        have = [str(name) for name in row.index[row > 0]]
        if subject in named or have == [UNLABELLED]:  # withheld labels are no fault of the data
            continue
        reason = f"has none of the conditions {asked}; it has: {', '.join(have) or 'none'}"
        found.append(Exclusion(subject, "", "subject", reason))
    return tuple(found)


def dataset_notes(
    reader: Any, chosen: Sequence[str], exclusions: Iterable[Exclusion] = ()
) -> tuple[str, ...]:
    """Return how many of how many people, what the labels are, and whether units are confirmed.

    Parameters
    ----------
    reader : reader
    chosen : sequence of str
        Subjects that are asked for and could be read.
    exclusions : iterable of Exclusion, default ()
        Subjects that are in no listing but here were found too.
    """
    card = reader.card
    found = len({*reader.subjects(), *named_subjects(exclusions)})
    whole = getattr(reader, "expected_subjects", card.subjects)
    notes = [
        f"subjects asked for: {len(chosen)} of the {found} in the folder"
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
            lost = {e.subject for e in reader.exclusions}  # they are counted as exclusions
            unknown = [subject for subject in unknown if subject not in lost]
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


def _split(experiment: Experiment, reader: Any, samples: Samples) -> tuple[Any, tuple[str, ...]]:
    """The split that is named, and what must be said of it; ``official`` is one of the reader's.

    Raises
    ------
    ConfigError
        If the name or an argument is unknown.
    """
    if experiment.split.name != "official":
        return split_of(experiment.split), ()
    official = reader.official_splits()
    which = experiment.split.arguments.get("which", "")
    if which not in official:
        raise ConfigError(
            f"[split] official: which = '{which}', expected one of "
            f"{', '.join(map(repr, official)) or 'none: this data set has no official split'}."
        )
    return official_hold_out(official[which], samples.subjects)


def official_hold_out(
    official: OfficialSplit, subjects: Shaped[np.ndarray, " sample"]
) -> tuple[Any, tuple[str, ...]]:
    """Return an official split of the subjects that have labelled samples.

    The test subjects of a challenge are unlabelled in every copy; then its validation subjects are
    tested. Subjects that are not in the samples are left out and counted.

    Parameters
    ----------
    official : OfficialSplit
    subjects : array of str
        Subject of each labelled sample.

    Returns
    -------
    HoldOut, tuple of str
        The split, and notes on who is left out.

    Raises
    ------
    ConfigError
        If nobody is left to train on or to test.
    """
    present = set(subjects.astype(str))
    sides = {"training": official.train, "validation": official.validation, "test": official.test}
    here = {name: tuple(s for s in side if s in present) for name, side in sides.items()}
    notes = [
        f"official split: {len(side) - len(here[name])} of {len(side)} {name} subjects have no "
        "labelled sample here and are in no fold"
        for name, side in sides.items()
        if len(here[name]) < len(side)
    ]
    tested, validation = here["test"], here["validation"]
    if not tested:
        tested, validation = validation, ()
        if official.test:
            notes.append("official split: its test subjects are unlabelled; validation is tested")
    if not here["training"] or not tested:
        counts = ", ".join(
            f"{len(here[name])} of {len(side)} {name}" for name, side in sides.items()
        )
        raise ConfigError(
            f"[split] official: of its subjects these have labelled samples: {counts}. Both "
            "training subjects and subjects to test are needed: complete the copy, or use another "
            "split."
        )
    return splits.hold_out(tested, validation, here["training"]), tuple(notes)


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
