"""Fit on everybody, and estimate recordings with what came out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.chain import Pipeline, Progress
from dolorimeter.datasets import open_dataset, recordings_of
from dolorimeter.errors import ConfigError, DatasetError
from dolorimeter.evaluation import fit_fold, seen_subjects
from dolorimeter.experiment._config import Experiment
from dolorimeter.experiment._prepare import (
    baseline_of,
    outside,
    prepare,
    sample_cache,
    within_reference,
)
from dolorimeter.predictor import Predictor
from dolorimeter.registry import DATASETS
from dolorimeter.samples import Samples
from dolorimeter.splits import Fold
from dolorimeter.storage import check_writable, find_root, write_parquet, write_text


def train(
    experiment: Experiment,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    workers: int = 1,
    progress: Callable[[str], Progress] | None = None,
) -> Predictor:
    """Fit on every subject and write the model folder that `predict` reads.

    Early stopping, calibration and conformal scores use inner splits by subject inside `fit`.
    A standardisation within subject is repeated by `predict` over the windows it is given.

    Raises
    ------
    ConfigError
        For an experiment across data sets, or an `out` inside the data root.
    """
    outside(out, root or find_root(experiment.dataset.name))
    if out is not None:
        check_writable(Path(out) / "predictor.json")
    if experiment.test_dataset is not None:
        raise ConfigError(
            "an experiment across data sets trains on one and tests on the other: take its "
            "[test_dataset] out to fit a model that is kept."
        )
    prepared = prepare(
        experiment,
        root,
        cache=sample_cache(),
        workers=workers,
        progress=progress and progress("windows"),
    )
    everyone = np.arange(len(prepared.samples))
    none = np.empty(0, dtype=int)
    estimator = fit_fold(
        experiment.estimator(),
        prepared.samples,
        prepared.y,
        Fold(0, "all", everyone, none, none),
        experiment.seeds[0],
    )
    names = experiment.task.class_names if experiment.task.kind != "regressor" else ()
    people = tuple(sorted(set(prepared.samples.subjects.astype(str))))
    chain = experiment.chain()
    predictor = Predictor(
        estimator=estimator,
        chain=chain,
        target_kind=experiment.task.kind,
        classes=names,
        dataset={
            "name": experiment.dataset.name,
            "options": dict(experiment.dataset.options),
            "columns": list(experiment.dataset.columns),
            "standardise": experiment.standardise if chain is None else "none",
            "baseline": list(baseline_of(experiment)),
        },
        trained_on=_met(chain, prepared.person_namespace, people),
        feature_names=prepared.samples.feature_names,
        label_source=prepared.samples.label_source,
        lookalike=prepared.samples.lookalike,
        title=experiment.title,
        notes=prepared.samples.notes,
    )
    if out is not None:
        predictor.save(Path(out))
    return predictor


def _met(
    chain: Pipeline | None, namespace: str, people: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Whom the model has met: in its fit, and in what its encoders' weights say."""
    met = {namespace: people}
    for stream in () if chain is None else chain.streams:
        known = None if stream.encoder is None else stream.encoder.trained_on
        for space, others in (known or {}).items():
            met[space] = tuple(sorted({*met.get(space, ()), *others}))
    return met


def predict(
    model: str | Path,
    files: Sequence[str | Path],
    dataset: str | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    workers: int = 1,
) -> pd.DataFrame:
    """Estimate every window of recordings on disk with a model folder.

    Parameters
    ----------
    model : str or Path
        Written by `train`.
    files : sequence of str or Path
        Recordings or tables, or folders of them, in the layout of `dataset`; only these are read
        and estimated. Tables need no labels, and their columns are matched by name. For a model
        that reads the face, also video files that lie anywhere, which are estimated from start to
        end.
    dataset : str, optional
        Format of the files; by default the one that the model was trained on, or else a video.
    options : mapping, optional
        For the reader.
    out : str or Path, optional
        Also write the rows there, as ``.csv`` or ``.parquet``.

    Raises
    ------
    DatasetError
        If a file is not there, or in no folder of that format.
    """
    predictor = Predictor.load(Path(model))
    if out is not None and Path(out).suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{out}: expected a name that ends in .csv or .parquet.")
    if out is not None:
        check_writable(Path(out))
    name = dataset or predictor.dataset["name"]
    given = dict(predictor.dataset["options"]) if name == predictor.dataset["name"] else {}
    given |= dict(options or {})
    paths = [Path(path) for path in files]
    for path in paths:
        if not path.exists():
            raise DatasetError(f"{path}: no such file or folder; expected recordings of {name}.")
    if predictor.chain is None:
        tables = [_table(predictor, name, path, given) for path in paths]
        parts = [predictor.predict_samples(table) for table in tables]
        rows = pd.concat(parts, ignore_index=True)
        notes = [n.rstrip(".") for table in tables for n in table.notes]
        notes += [note for part in parts for note in part.attrs["notes"]]
        rows.attrs["kept_out"] = [
            f"{e.recording}, {e.what}: {e.reason}" for table in tables for e in table.exclusions
        ]
    else:  # in one call: a person's recordings may be standardised together
        loose = dataset is None and "face" in predictor.chain.sources
        read = [recordings_of(name, path, given, loose=loose) for path in paths]
        rows = predictor.predict(
            [r for found, _ in read for r in found],
            exclusions=[e for _, exclusions in read for e in exclusions],
            workers=workers,
        )
        notes = list(rows.attrs["notes"])
    notes += _warnings(predictor, name, set(rows["subject"].astype(str)))
    rows.attrs["notes"] = list(dict.fromkeys(notes))
    if out is not None:
        if Path(out).suffix == ".csv":
            write_text(Path(out), rows.to_csv(index=False))
        else:
            write_parquet(Path(out), rows)
    return rows


def _table(predictor: Predictor, name: str, path: Path, options: Mapping[str, Any]) -> Samples:
    """Rows of a table to estimate: without its labels, unless it is standardised by them.

    Raises
    ------
    ConfigError
        If the data set holds recordings, or the rows to standardise by are not there.
    """
    reader = DATASETS.get(name)
    known = inspect.signature(reader).parameters
    standardise = str(predictor.dataset.get("standardise", "none"))
    named = tuple(predictor.dataset.get("baseline", ()))
    if not hasattr(reader, "samples"):
        raise ConfigError(
            f"model '{predictor.title}' was fitted on a feature table, and {name} holds "
            "recordings. Give a table."
        )
    if "label" in known and "target" in known:
        by_label = standardise != "none" and bool(named)
        options = {**options, "target": None} | ({} if by_label else {"label": None})
    if hasattr(reader, "samples_with"):
        opened = open_dataset(name, path, **{**options, "features": ()})
        samples: Samples = opened.samples_with(predictor.feature_names)
    else:
        samples = open_dataset(name, path if path.is_dir() else path.parent, **options).samples()
    if standardise == "none":
        return samples
    if named and not samples.meta["condition"].isin(named).any():
        raise ConfigError(
            f"model '{predictor.title}' standardises each subject by the rows of "
            f"{', '.join(named)}, and {path} has none. Add labelled rows of them."
        )
    return within_reference(samples, standardise, named)


def _warnings(predictor: Predictor, dataset: str, people: set[str]) -> list[str]:
    """What a reader of estimates must know: who was in the training, and what it was made on."""
    card = DATASETS.card(dataset)
    namespace = str(getattr(card, "person_namespace", "") or card.name)
    met = seen_subjects(predictor.trained_on, {namespace: people})
    said = []
    if met:
        said.append(
            f"{len(met)} of {len(people)} people were in the model's training: their estimates "
            "say nothing of how well it does on others"
        )
    if predictor.lookalike:
        said.append("the model was fitted on look-alikes: its estimates say nothing about people")
    return said
