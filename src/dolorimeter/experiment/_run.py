"""Run an experiment and audit what it leaves behind."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter._extras import load
from dolorimeter.audits import Finding, audit
from dolorimeter.audits import leak_o_meter as measure_leak
from dolorimeter.chain import Progress
from dolorimeter.errors import (
    ConfigError,
    DatasetError,
    DolorimeterError,
    EvaluationError,
    StorageError,
    StorageWarning,
)
from dolorimeter.evaluation import (
    Run,
    evaluate,
    permutation_test,
    refuse_overlap,
    subjects_by_namespace,
)
from dolorimeter.experiment._config import (
    PATH_KEYS,
    Experiment,
    plain,
    read_experiment,
    write_experiment,
)
from dolorimeter.experiment._prepare import (
    Prepared,
    leans_on_balance,
    outside,
    prepare,
    sample_cache,
)
from dolorimeter.experiment._thinned import thinned_rows
from dolorimeter.registry import MODELS, Weights
from dolorimeter.samples import Samples
from dolorimeter.storage import LOCK, damaged_files, find_root, locked, seal_folder, write_json
from dolorimeter.toml_files import absolute_paths


def run(
    experiment: Experiment,
    root: str | Path | None = None,
    out: str | Path | None = None,
    *,
    test_root: str | Path | None = None,
    workers: int = 1,
    backend: str | None = None,
    cluster_address: str | None = None,
    threads_per_fold: int = 1,
    keep_models: bool = False,
    cache: bool = True,
    permutations: int = 0,
    progress: Callable[[str], Progress] | None = None,
) -> Run:
    """Run an experiment: samples, folds, baselines, audit; written to `out` if it is given.

    Where features come from several streams, the test rows are also predicted with streams
    missing. Where they are standardised over a person's task windows or whole recording, the model
    is also tested on people whose classes were thinned to 90/10 before that.

    A run that was interrupted goes on when the same call is made again.

    Parameters
    ----------
    experiment : Experiment
    root, test_root : str or Path, optional
        As in `prepare`.
    out : str or Path, optional
        Run folder: ``experiment.toml``, the tables of the `Run`, ``audit.json``.
    workers, backend, cluster_address, threads_per_fold, keep_models
        As in `evaluate`.
    cache : bool
        Keep represented windows in the user cache.
    permutations : int
        Refit on labels shuffled within subject so many times; 0 leaves it.
    progress : callable, optional
        Given a title, returns what is called with counts done and in all.

    Raises
    ------
    ConfigError
        If `out` holds another experiment, or an experiment with ``as_live`` cannot run live.
    """
    out = None if out is None else Path(out)
    outside(out, root or find_root(experiment.dataset.name), test_root)
    tuple(_weights_of(experiment))  # an unknown network is refused before any video is read
    if permutations < 0:
        raise ConfigError(f"permutations is {permutations}, expected 0 or more.")
    with ExitStack() as stack:
        if out is not None:
            stack.enter_context(locked(out, "this run"))
            same_experiment(out, experiment)
        return _run(
            experiment,
            root,
            out,
            test_root=test_root,
            workers=workers,
            backend=backend,
            cluster_address=cluster_address,
            threads_per_fold=threads_per_fold,
            keep_models=keep_models,
            cache=cache,
            permutations=permutations,
            progress=progress,
        )


def _run(
    experiment: Experiment,
    root: str | Path | None,
    out: Path | None,
    *,
    test_root: str | Path | None,
    workers: int,
    backend: str | None,
    cluster_address: str | None,
    threads_per_fold: int,
    keep_models: bool,
    cache: bool,
    permutations: int,
    progress: Callable[[str], Progress] | None,
) -> Run:
    """Run an experiment in a folder that no other process writes."""
    data: dict[str, Any] = {
        "test_root": test_root,
        "cache": sample_cache() if cache else None,
        "workers": workers,
    }
    prepared = prepare(experiment, root, **data, progress=progress and progress("windows"))
    prepared = _weights_met_nobody(experiment, prepared)
    estimator = experiment.estimator()
    asked: dict[str, Any] = {
        "target_kind": experiment.task.kind,
        "classes": experiment.task.class_names if experiment.task.kind != "regressor" else None,
        "selection": experiment.selection,
        "question": experiment.question(prepared.part),
        "threads_per_fold": threads_per_fold,
    }
    found = evaluate(
        estimator,
        prepared.samples,
        prepared.y,
        prepared.split,
        **asked,
        model=experiment.title,
        seed=experiment.seeds,
        demographics=experiment.demographics,
        modalities=sorted({s.modality for s in experiment.streams}),
        workers=workers,
        backend=backend,
        cluster_address=cluster_address,
        run_dir=out,
        keep_models=keep_models,
        degradation=len(experiment.streams) > 1,
        progress=progress and progress("folds"),
    )
    finished = None if out is None else _finished(out, found, permutations)
    if finished is not None:
        return finished
    if leans_on_balance(experiment) and prepared.split.target_access == "none":
        thinned = thinned_rows(
            experiment,
            prepared,
            asked["question"],
            root,
            threads_per_fold=threads_per_fold,
            **data,
        )
        baselines = pd.concat([found.baselines, thinned], ignore_index=True)
        found = replace(found, baselines=baselines)
    if permutations:
        permuted = permutation_test(
            estimator,
            prepared.samples,
            prepared.y,
            prepared.split,
            permutations=permutations,
            seed=experiment.seeds,
            workers=workers,
            backend=backend,
            cluster_address=cluster_address,
            run_dir=out,
            progress=progress and progress("permutations"),
            **asked,
        )
        found = replace(found, permutation=permuted)
    if out is not None:
        findings = audit(
            found,
            samples=prepared.samples,
            y=prepared.y,
            estimator=estimator,
            split=prepared.split,
        )
        found.save(out)
        _write_findings(out, findings)
    return found


def _weights_met_nobody(experiment: Experiment, prepared: Prepared) -> Prepared:
    """Refuse weights trained on subjects under test, or say what is not known of them."""
    samples = prepared.samples
    if samples.target_access == "none":
        samples = replace(samples, target_access=experiment.target_access)
    weights = list(_weights_of(experiment))
    tested = _tested(prepared) if weights else {}
    notes = [refuse_overlap(one, tested, samples.target_access) for one in weights]
    told = (*samples.notes, *(note for note in notes if note))
    return replace(prepared, samples=replace(samples, notes=tuple(dict.fromkeys(told))))


def _tested(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """Subjects of the test rows of any fold, per person namespace and without its prefix."""
    meta = prepared.samples.meta
    folds = prepared.split.folds(meta, prepared.y)
    rows = np.unique(np.concatenate([fold.test for fold in folds]))
    return subjects_by_namespace(meta.iloc[rows])


def _weights_of(experiment: Experiment) -> Iterator[Weights]:
    """Weights from outside: the estimator's and its parts', and those of the streams' encoders."""
    name = getattr(experiment.estimator(), "module", None)
    if name is not None:
        load("torch")  # one error before any window is cut
    weights = None if name is None else MODELS.card(name).weights
    if weights is not None:
        yield weights
    for path in _files_of(experiment.classifier.arguments):
        from dolorimeter.embeddings import provenance_of  # brings torch along

        yield provenance_of(path)
    chain = experiment.chain()
    for stream in () if chain is None else chain.streams:
        if stream.encoder is not None:
            yield stream.encoder.provenance


def _files_of(arguments: Mapping[str, Any]) -> Iterator[Path]:
    """Weights files that an estimator's networks start from (``signal_weights`` …)."""
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            yield from _files_of(value)
        elif name.endswith("_weights") and isinstance(value, str) and value:
            yield Path(value)


def same_experiment(out: Path, experiment: Experiment) -> None:
    """Refuse a folder that holds another experiment; note this one in a new folder."""
    path = out / "experiment.toml"
    begun = path.is_file() and any(p.name not in (path.name, LOCK) for p in out.iterdir())
    if begun and not _holds(path, experiment):
        raise ConfigError(
            f"{out}: holds another experiment (its experiment.toml differs from the one asked "
            "for). Give another --out, or remove that folder."
        )
    write_experiment(path, experiment)


def _holds(path: Path, experiment: Experiment) -> bool:
    """Whether a run folder's file is this experiment; one that cannot be read is another."""
    try:
        return plain(read_experiment(path)) == absolute_paths(plain(experiment), PATH_KEYS)
    except DolorimeterError:
        return False


def _finished(out: Path, found: Run, permutations: int) -> Run | None:
    """The run that stands in `out` if it is this very one, audited.

    Permutations that it has stay where none are asked for: they took long.
    """
    audited = (out / "audit.json").is_file() and not damaged_files(out, ["audit.json"])
    if not ((out / "run.json").is_file() and audited):
        return None
    try:
        stored = Run.load(out)
    except EvaluationError as error:
        message = f"{error} It is written again from its folds."
        warnings.warn(message, StorageWarning, stacklevel=2)
        return None
    have = 0 if stored.permutation is None else len(stored.permutation.permuted)
    same = stored.fingerprint == found.fingerprint and permutations in (0, have)
    return stored if same and stored.failures.empty else None


def audit_run(
    folder: str | Path,
    root: str | Path | None = None,
    *,
    test_root: str | Path | None = None,
    rerun: int = 0,
    leak_o_meter: bool = False,
) -> tuple[list[Finding], dict[str, Any] | None]:
    """Audit a run folder, with its data where they are at hand.

    Parameters
    ----------
    folder : str or Path
        Written by `run`.
    root : str or Path, optional
        Of the data set; without the data only what was observed can be checked.
    test_root : str or Path, optional
        Of the second data set of a run across data sets.
    rerun : int
        Refits on labels shuffled within subject.
    leak_o_meter : bool
        Also measure what choosing the epoch on the test fold would add.

    Returns
    -------
    tuple
        Findings, and the leak-o-meter's figures or None.

    Raises
    ------
    DatasetError
        If data are needed and those at hand are not those of the run.
    """
    folder = Path(folder)
    found = Run.load(folder)
    experiment = _experiment_of(folder)
    try:
        prepared = prepare(experiment, root, test_root=test_root, cache=sample_cache())
        _same_rows(found, prepared.samples, folder)
    except DatasetError:
        if root is not None or test_root is not None or rerun or leak_o_meter:
            raise
        findings = audit(found)
        _write_findings(folder, findings)
        return findings, None
    given = {
        "samples": prepared.samples,
        "y": prepared.y,
        "estimator": experiment.estimator(),
        "split": prepared.split,
    }
    findings = audit(found, **given, rerun=rerun)
    _write_findings(folder, findings)
    meter = measure_leak(**given, seed=experiment.seeds[0]).to_dict() if leak_o_meter else None
    return findings, meter


def _same_rows(found: Run, samples: Samples, folder: Path) -> None:
    """Refuse to audit a run with data that are not its own: row numbers would mean others."""
    rows = found.predictions[["row", "subject", "recording"]].drop_duplicates("row")
    place = rows["row"].to_numpy(dtype=int)
    same = len(place) > 0 and place.max() < len(samples)
    for name in ("subject", "recording"):
        if same:
            now = samples.meta[name].astype(str).to_numpy()[place]
            same = bool((now == rows[name].astype(str).to_numpy()).all())
    if not same:
        raise DatasetError(
            f"{folder}: the data at hand are not those of the run (its windows are of other "
            "recordings). Give --root of the data it was evaluated on, or evaluate again."
        )


def _experiment_of(folder: Path) -> Experiment:
    path = folder / "experiment.toml"
    if not path.is_file():
        raise ConfigError(
            f"{folder}: no experiment.toml here, expected a run folder written by "
            "`dolorimeter evaluate … --out RUN`."
        )
    if damaged_files(folder, [path.name]):
        raise ConfigError(
            f"{path}: has changed since the run was written, so that it may not describe it. "
            "Evaluate again into another folder, or restore the file."
        )
    return read_experiment(path)


def _write_findings(out: Path, findings: Sequence[Finding]) -> None:
    write_json(out / "audit.json", [f.to_dict() for f in findings])
    seal_folder(out, ["audit.json", "experiment.toml"])


def read_findings(folder: str | Path) -> list[Finding]:
    """Return the findings stored in a run folder; empty if it was not audited."""
    path = Path(folder) / "audit.json"
    if not path.is_file():
        return []
    if damaged_files(path.parent, [path.name]):
        raise StorageError(f"{path}: is damaged. Run the audit again.")
    try:
        return [Finding.from_dict(v) for v in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"{path}: not the findings of an audit ({error!r}). Run the audit again."
        ) from error
