"""`evaluate`: an estimator, samples, labels and a split in; every row of the answer out."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from dolorimeter import __version__
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._baselines import BASELINES
from dolorimeter.evaluation._degradation import Missing, missing_parts
from dolorimeter.evaluation._environment import environment
from dolorimeter.evaluation._folds import (
    FoldResult,
    Job,
    Output,
    epoch_of_best,
    fold_stem,
    run_jobs,
    store_fold,
)
from dolorimeter.evaluation._recorder import empty_access, expand_access, sample_keys
from dolorimeter.evaluation._run import ROW_COLUMNS, Question, Run
from dolorimeter.splits import Fold
from dolorimeter.storage import digest, write_json
from dolorimeter.types import Samples, Selection, TargetAccess, TargetKind

Labels = Shaped[np.ndarray, " sample"]

_STAGED = ("oracle_fold_epoch", "oracle_global_epoch")
_ACCESS_ORDER: tuple[TargetAccess, ...] = ("none", "unlabelled_target", "labelled_reference")


def evaluate(
    estimator: Any,
    samples: Samples,
    y: Labels,
    split: Any,
    *,
    target_kind: TargetKind = "classifier",
    classes: Sequence[str] | None = None,
    selection: Selection = "fixed",
    question: Question | None = None,
    model: str = "",
    seed: int | Sequence[int] = 0,
    groups: Sequence[str] = (),
    modalities: Sequence[str] = (),
    workers: int = 1,
    backend: str | None = None,
    threads_per_fold: int = 1,
    run_dir: Path | None = None,
    keep_models: bool = False,
    baselines: bool = True,
    degradation: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Fit and test an estimator fold by fold.

    Every fold gets a clone, seeded by (seed, fold) in every ``random_state``, and the subjects as
    ``groups`` if its `fit` takes them, also through pipelines and searches. The same rows come out
    whatever `workers` and `backend` are.

    Parameters
    ----------
    estimator : scikit-learn estimator
        With ``predict_proba`` (classifier, ordinal) or ``predict`` (regressor).
    samples : Samples
    y : array
        Class indices 0 … C−1, or a number each for a regressor.
    split : Split
        From `dolorimeter.splits`.
    classes : sequence of str, optional
        Names of the classes.
    selection : Selection
        ``fixed``, ``inner`` (chosen inside `fit`, on training subjects), or an oracle over epochs,
        which joins ``staged_predict_proba`` with test labels to re-run a published figure.
    question : Question, optional
        What is asked; by default as much of it as the arguments tell.
    seed : int or sequence of int
        Several seeds give every fold once a seed.
    groups : sequence of str
        Columns of ``samples.meta`` whose score gaps the summary reports.
    workers, backend
        Processes on this machine, or ``"ray"`` or ``"dask"`` for a cluster.
    threads_per_fold : int
        Threads of BLAS, OpenMP and torch in every fold.
    run_dir : Path, optional
        Finished folds are kept here, so that the same call goes on after an interruption.
    keep_models : bool
        Keep each fold's fitted estimator in ``run_dir/models``.
    baselines : bool
        Also evaluate the majority class, the nuisance facts and the level before.
    degradation : bool
        Predict the test rows again with streams missing (every subset of up to three streams, else
        each by itself), where the samples are of several streams, as one table or as an array of
        floats each, and the estimator takes NaN. The rows stand in ``Run.degradation``.

    Raises
    ------
    EvaluationError
        If arguments do not fit together, or every fold failed.
    SplitError
        If the split cannot be made.
    """
    y, n_classes = _labels(y, samples, target_kind, classes)
    names = tuple(classes or map(str, range(n_classes))) if target_kind != "regressor" else ()
    if selection in ("oracle_hyper", "oracle_seed"):
        raise EvaluationError(f"selection '{selection}' chooses among runs: use select_oracle.")
    seeds = (seed,) if isinstance(seed, int | np.integer) else tuple(seed)
    asked = question or _question(samples, split, selection, target_kind, names)
    folds = split.folds(samples.meta, y)
    access = max(samples.target_access, split.target_access, key=_ACCESS_ORDER.index)
    missing, remark = _missing(samples, selection, degradation)
    fingerprint = _fingerprint(estimator, samples, y, folds, asked, seeds, missing)
    if keep_models and run_dir is None:
        raise EvaluationError("keep_models needs run_dir: the folder to keep them in.")
    job = Job(
        estimator,
        samples,
        y,
        target_kind,
        n_classes,
        selection in _STAGED,
        threads_per_fold,
        baselines,
        run_dir / "models" if keep_models and run_dir is not None else None,
        sample_keys(samples.x),
        missing,
    )
    writer = _Rows(asked, samples, y, target_kind, selection, access, tuple(groups))
    told = {"fingerprint": fingerprint, "groups": list(groups), "baselines": baselines}
    kept = _Kept(run_dir, told, job.keep_models)
    todo = [(fold, s) for s in seeds for fold in folds if not kept.has(fold, s)]
    total, results = len(folds) * len(seeds), []
    for done, result in enumerate(run_jobs(job, todo, workers, backend), total - len(todo) + 1):
        results.append(result)
        kept.store(result, writer)
        if progress:
            progress(done, total)
    epoch = _global_epoch(results, y) if selection == "oracle_global_epoch" else None
    tables = kept.load() + [_tables(r, writer, epoch) for r in results]
    failed = [r for r in results if r.error]
    if not any(len(t[0]) for t in tables):
        raise EvaluationError(f"all {len(folds)} folds failed. The first one: {failed[0].error}")
    return _run(tables, failed, writer, names, model or type(estimator).__name__, seeds,
                tuple(modalities), threads_per_fold, fingerprint, remark)  # fmt: skip


def select_oracle(runs: Sequence[Run], kind: Selection) -> Run:
    """The run of highest pooled accuracy, marked as what it is: chosen on the test labels.

    Parameters
    ----------
    runs : sequence of Run
        That differ in hyper-parameters (``oracle_hyper``) or seed (``oracle_seed``).
    kind : {"oracle_hyper", "oracle_seed"}
    """
    if kind not in ("oracle_hyper", "oracle_seed") or not runs:
        raise EvaluationError(
            f"select_oracle of {len(runs)} runs with '{kind}': expected at least one run, and "
            "oracle_hyper or oracle_seed."
        )
    accuracies = [
        float((run.probabilities.argmax(axis=1) == run.predictions["label"]).mean())
        for run in runs
    ]
    best = runs[int(np.argmax(accuracies))]
    question = replace(best.question, selection=kind)
    rows = best.predictions.assign(selection=kind, question=question.hash)
    note = f"{kind}: the best of {len(runs)} runs on the labels that are reported."
    return replace(best, question=question, predictions=rows, notes=(*best.notes, note))


class _Rows:
    """Turns the output of folds into rows of the run."""

    def __init__(
        self,
        question: Question,
        samples: Samples,
        y: Labels,
        kind: TargetKind,
        selection: Selection,
        access: TargetAccess,
        groups: tuple[str, ...],
    ) -> None:
        unknown = [g for g in groups if g not in samples.meta.columns]
        if unknown:
            raise EvaluationError(
                f"groups {', '.join(unknown)} are not columns of the samples; they have: "
                f"{', '.join(map(str, samples.meta.columns))}."
            )
        self.question, self.samples, self.y, self.kind = question, samples, y, kind
        self.selection, self.access, self.groups = selection, access, groups

    def rows(
        self,
        fold: Fold,
        seed: int,
        output: Output,
        lower: Any = None,
        upper: Any = None,
    ) -> pd.DataFrame:
        """Prediction rows of one fold."""
        meta = self.samples.meta.iloc[fold.test].reset_index(drop=True)
        quality = self.samples.quality
        table = pd.DataFrame(
            {
                "dataset": meta["dataset"].astype(str),
                "part": meta["part"].astype(str),
                "subset": self.question.subset,
                "question": self.question.hash,
                "target_kind": self.kind,
                "subject": meta["subject"].astype(str),
                "recording": meta["recording"].astype(str),
                "stimulus": meta["stimulus"].astype(str),
                "window_start": meta["start"].astype(float),
                "duration": meta["duration"].astype(float),
                "modalities_present": self._present(fold),
                "quality": np.full(len(meta), np.nan) if quality is None else quality[fold.test],
                "fold": fold.index,
                "seed": seed,
                "target_access": self.access,
                "selection": self.selection,
                "row": fold.test,
            },
            columns=list(ROW_COLUMNS),
        )
        if self.kind == "regressor":
            table["target"] = self.y[fold.test].astype(float)
            table["prediction"] = output[:, 0]
            table["lower"] = np.nan if lower is None else lower
            table["upper"] = np.nan if upper is None else upper
        else:
            table["label"] = self.y[fold.test].astype(int)
            for k in range(output.shape[1]):
                table[f"p_{k}"] = output[:, k]
        for group in self.groups:
            table[group] = meta[group].astype(str)
        return table

    def _present(self, fold: Fold) -> list[str]:
        if self.samples.present is None:
            return [""] * len(fold.test)
        masks = [(name, mask[fold.test]) for name, mask in self.samples.present.items()]
        return ["+".join(n for n, mask in masks if mask[i]) for i in range(len(fold.test))]


_Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Counter[str], pd.DataFrame]


def _tables(result: FoldResult, writer: _Rows, epoch: int | None) -> _Tables:
    """Predictions, access, baselines, warnings and degradation of one fold."""
    output = result.output
    if result.staged is not None:
        chosen = epoch
        if chosen is None:
            chosen = epoch_of_best(result.staged, writer.y[result.fold.test].astype(int))
        output = result.staged[chosen]
    if output is None:
        return pd.DataFrame(), result.access, pd.DataFrame(), result.warned, pd.DataFrame()
    rows = writer.rows(result.fold, result.seed, output, result.lower, result.upper)
    if result.sets is not None:
        rows = rows.assign(**{f"in_set_{k}": held for k, held in enumerate(result.sets.T)})
    if result.sets is not None or result.lower is not None:
        rows["coverage"] = result.coverage
    base = [
        writer.rows(result.fold, result.seed, result.baselines[name]).assign(
            model=name, selection="fixed"
        )
        for name in BASELINES
        if name in result.baselines
    ]
    worse = [
        _without(writer.rows(result.fold, result.seed, output), name)
        for name, output in result.degraded.items()
    ]
    return rows, result.access, _joined(base), result.warned, _joined(worse)


def _without(rows: pd.DataFrame, missing: str) -> pd.DataFrame:
    """Rows that say which streams were missing, and no longer count them as present."""
    gone = set(missing.split("+"))
    present = [
        "+".join(n for n in names.split("+") if n not in gone)
        for names in rows["modalities_present"]
    ]
    return rows.assign(modalities_present=present, missing=missing)


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


class _Kept:
    """Folds that an interrupted run has finished, in ``run_dir/folds``."""

    def __init__(self, run_dir: Path | None, told: Mapping[str, Any], models: Path | None) -> None:
        self.folder = None if run_dir is None else run_dir / "folds"
        self.stems: set[str] = set()
        if self.folder is None:
            return
        mark = self.folder / "fingerprint.json"
        before = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else {}
        if any(before.get(name, value) != value for name, value in told.items()):
            raise EvaluationError(
                f"{run_dir}: holds folds of another experiment (data, labels, model, split, "
                "seeds, groups or baselines differ). Give another folder, or remove this one."
            )
        write_json(mark, told)
        self.stems = {
            path.name.removesuffix(".predictions.parquet")
            for path in sorted(self.folder.glob("*.predictions.parquet"))
        }
        if models is not None:  # a fold whose model was not kept is fitted again
            self.stems = {stem for stem in self.stems if (models / stem).is_dir()}

    def has(self, fold: Fold, seed: int) -> bool:
        return fold_stem(fold, seed) in self.stems

    def store(self, result: FoldResult, writer: _Rows) -> None:
        """Keep a finished fold; failed ones are tried again, oracles over folds need them all."""
        if self.folder is None or result.error or writer.selection == "oracle_global_epoch":
            return
        rows, _, base, _, degraded = _tables(result, writer, None)
        store_fold(self.folder, result, rows, base, degraded)

    def load(self) -> list[_Tables]:
        if self.folder is None:
            return []
        found: list[_Tables] = []
        for stem in sorted(self.stems):
            try:
                parts = [
                    pd.read_parquet(self.folder / f"{stem}.{name}.parquet")
                    for name in ("predictions", "access", "baselines", "warnings", "degradation")
                ]
            except (OSError, ValueError) as error:
                raise EvaluationError(
                    f"{self.folder / stem}: a damaged fold ({error}). Remove the files of that "
                    "name and start again: the fold is fitted anew."
                ) from error
            warned = dict(zip(parts[3]["warning"], parts[3]["count"], strict=True))
            found.append((parts[0], parts[1], parts[2], Counter(warned), parts[4]))
        return found


def _global_epoch(results: Sequence[FoldResult], y: Labels) -> int | None:
    """The epoch of highest accuracy over all folds, among those that every fold has."""
    staged = [(r.staged, y[r.fold.test]) for r in results if r.staged is not None]
    if not staged:
        return None
    epochs = min(len(values) for values, _ in staged)
    hits = sum((v[:epochs].argmax(axis=2) == labels).sum(axis=1) for v, labels in staged)
    return int(np.argmax(hits))


def _labels(
    y: Labels, samples: Samples, kind: TargetKind, classes: Sequence[str] | None
) -> tuple[Labels, int]:
    y = np.asarray(y)
    if len(y) != len(samples):
        raise EvaluationError(f"{len(samples)} samples and {len(y)} labels: give one a sample.")
    if not len(y):
        raise EvaluationError("no samples: every window was left out, or none was cut.")
    if kind == "regressor":
        lost = int((~np.isfinite(y.astype(float))).sum())
        if lost:
            raise EvaluationError(
                f"{lost} targets are not finite: leave those samples out first, and count them."
            )
        return y.astype(float), 0
    if not np.issubdtype(y.dtype, np.integer):
        raise EvaluationError(
            f"labels are of type {y.dtype} (the first is {y[0]}), expected class indices 0 … C−1 "
            "as integers. Numbers to predict need target_kind = 'regressor'."
        )
    n_classes = len(classes) if classes else int(y.max()) + 1
    found = np.unique(y)
    if not np.array_equal(found, np.arange(n_classes)) or n_classes < 2:
        raise EvaluationError(
            f"labels {found.tolist()} occur, expected every class of 0 … {max(n_classes, 2) - 1}, "
            "and at least two classes."
        )
    return y, n_classes


def _question(
    samples: Samples, split: Any, selection: Selection, kind: TargetKind, names: tuple[str, ...]
) -> Question:
    """What the arguments tell of the question."""
    durations = np.unique(samples.meta["duration"].to_numpy(dtype=float))
    return Question(
        dataset="+".join(sorted(samples.meta["dataset"].astype(str).unique())),
        part="+".join(sorted(samples.meta["part"].astype(str).unique())),
        windows={"duration": float(durations[0])} if len(durations) == 1 else {},
        task={"kind": kind, "names": list(names)},
        split={"name": split.name, "arguments": dict(getattr(split, "params", {}))},
        selection=selection,
    )


def _missing(
    samples: Samples, selection: Selection, degradation: bool
) -> tuple[dict[str, Missing], str]:
    """What to blank at test for each set of streams, and why there is nothing."""
    if not degradation:
        return {}, ""
    if selection in _STAGED:
        return {}, "missing modalities were not tried: the epoch was chosen on the test fold"
    return missing_parts(samples)


def _fingerprint(
    estimator: Any,
    samples: Samples,
    y: Labels,
    folds: Sequence[Fold],
    question: Question,
    seeds: tuple[int, ...],
    missing: Mapping[str, Missing],
) -> str:
    """Digest of everything that the rows of a run depend on."""
    x = samples.x
    arrays = [x[k] for k in sorted(x)] if isinstance(x, Mapping) else [x]
    facts = pd.DataFrame() if samples.facts is None else samples.facts
    return digest(
        __version__,
        _told(estimator),
        facts.to_json(orient="split"),
        question.hash,
        repr((seeds, sorted(missing))),
        samples.meta.to_json(orient="split"),
        *(np.ascontiguousarray(a) for a in arrays),
        y,
        *(rows for fold in folds for rows in (fold.fit_rows, fold.test)),
    )


def _told(estimator: Any) -> str:
    """Digest of an estimator; of its class and arguments where its class cannot be pickled."""
    import joblib

    try:
        return str(joblib.hash(estimator))
    except (pickle.PicklingError, AttributeError, TypeError):
        return digest(f"{type(estimator).__qualname__} {estimator.get_params()!r}")


def _run(
    tables: Sequence[_Tables],
    failed: Sequence[FoldResult],
    writer: _Rows,
    names: tuple[str, ...],
    model: str,
    seeds: tuple[int, ...],
    modalities: tuple[str, ...],
    threads: int,
    fingerprint: str,
    remark: str,
) -> Run:
    """One run of the tables of its folds, in the order of seed, fold and row."""
    samples = writer.samples
    warned: Counter[str] = sum((t[3] for t in tables), Counter())
    notes = [*samples.notes, *(f"{n} × {text}" for text, n in sorted(warned.items()))]
    if remark:
        notes.append(remark)
    if failed:
        notes.append(f"{len(failed)} of {len(tables)} folds failed: {failed[0].error}")
    failures = [
        {
            "fold": r.fold.index,
            "seed": r.seed,
            "subjects": " ".join(sorted(set(samples.subjects[r.fold.test].astype(str)))),
            "error": r.error,
            "traceback": r.trace,
        }
        for r in failed
    ]
    return Run(
        question=writer.question,
        model=model,
        predictions=_sorted([t[0] for t in tables], ["seed", "fold", "row"]),
        access=expand_access(_sorted([t[1] for t in tables], ["seed", "fold"], empty_access())),
        baselines=_sorted([t[2] for t in tables], ["model", "seed", "fold", "row"]),
        degradation=_sorted([t[4] for t in tables], ["missing", "seed", "fold", "row"]),
        failures=pd.DataFrame(
            failures, columns=["fold", "seed", "subjects", "error", "traceback"]
        ),
        exclusions=pd.DataFrame(
            [asdict(e) for e in samples.exclusions],
            columns=["subject", "recording", "what", "reason"],
        ),
        classes=names,
        target_kind=writer.kind,
        seeds=seeds,
        groups=writer.groups,
        modalities=modalities,
        label_source=samples.label_source,
        lookalike=samples.lookalike,
        notes=tuple(notes),
        environment=environment() | {"threads_per_fold": threads, "seeds": list(seeds)},
        fingerprint=fingerprint,
    )


def _sorted(
    parts: Sequence[pd.DataFrame], by: list[str], empty: pd.DataFrame | None = None
) -> pd.DataFrame:
    full = [p for p in parts if len(p)]
    if not full:
        return pd.DataFrame() if empty is None else empty
    table = pd.concat(full, ignore_index=True)
    return table.sort_values(by, kind="stable", ignore_index=True)
