"""`evaluate`: fit and test an estimator on every fold of a split."""

from __future__ import annotations

import copy
import json
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from dolorimeter import metrics
from dolorimeter._on_demand import renamed_argument
from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import chooses_on_subjects
from dolorimeter.evaluation._baselines import BASELINES
from dolorimeter.evaluation._degradation import Missing, missing_parts
from dolorimeter.evaluation._environment import environment
from dolorimeter.evaluation._fold_store import FoldStore, FoldTables
from dolorimeter.evaluation._folds import (
    FoldResult,
    Job,
    Output,
    epoch_of_best,
    fold_stem,
    run_jobs,
)
from dolorimeter.evaluation._inputs import (
    check_estimator,
    conditions_of,
    kind_of,
    name_of,
    renamed_groups,
    samples_of,
    seeds_of,
)
from dolorimeter.evaluation._labels import Labels, encode_labels
from dolorimeter.evaluation._recorder import empty_access, expand_access, sample_keys
from dolorimeter.evaluation._rows import ROW_COLUMNS
from dolorimeter.evaluation._run import Question, Run
from dolorimeter.samples import Samples
from dolorimeter.source_digest import NOT_IN_FOLDS, OpaqueError, code_digest, package_digest
from dolorimeter.splits import Fold, as_split, refuse_shared_subjects
from dolorimeter.storage import digest, locked
from dolorimeter.types import TARGET_ACCESS_ORDER, Selection, TargetAccess, TargetKind

_STAGED = ("oracle_fold_epoch", "oracle_global_epoch")


@renamed_argument("samples", "X")
def evaluate(
    estimator: Any,
    X: Any,
    y: Any = None,
    split: Any = "leave_one_subject_out",
    *,
    groups: Any = None,
    scoring: str | Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    target_kind: TargetKind | None = None,
    demographics: Sequence[str] = (),
    seed: int | Sequence[int] | np.ndarray = 0,
    workers: int = 1,
    backend: str | None = None,
    cluster_address: str | None = None,
    run_dir: str | Path | None = None,
    verbose: bool = False,
    selection: Selection = "fixed",
    question: Question | None = None,
    model: str = "",
    modalities: Sequence[str] = (),
    threads_per_fold: int = 1,
    keep_models: bool = False,
    baselines: bool = True,
    degradation: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Fit and test an estimator fold by fold.

    Every fold gets a clone of the estimator. Every ``random_state`` in it is seeded by the seed
    and the fold. The subjects are passed as ``groups`` where ``fit`` takes them, also through
    pipelines and searches. Predictions do not depend on `workers` and `backend`.

    Parameters
    ----------
    estimator : scikit-learn estimator
        With ``predict_proba`` (classifier, ordinal) or ``predict`` (regressor). It is fitted on an
        array and class indices, not on a DataFrame and the labels themselves.
    X : Samples, DataFrame, array-like, or mapping of str to array-like
        First axis: sample. Columns of a DataFrame are numbers.
    y : array-like of shape (n_samples,), optional
        Labels of any type, or numbers for a regressor. Optional for `Samples`, whose conditions
        are the labels then.
    split : str, split or scikit-learn splitter, default "leave_one_subject_out"
        Name of a split, a split of `dolorimeter.splits`, a scikit-learn splitter, or pairs of
        training and test rows. A split that puts one subject in training and test of a fold is
        refused unless it is declared (see `dolorimeter.splits.from_sklearn`).
    groups : array-like of shape (n_samples,), optional
        Subject of each sample. Required unless `X` is `Samples`, which name their subjects.
    scoring : str or sequence of str, optional
        Metrics of ``Run.scores()`` by our name or scikit-learn's; the first is the main one. By
        default all, led by balanced accuracy or concordance.
    classes : sequence, optional
        The labels in the order of the class indices, or names for the indices 0 … C−1. By default
        the sorted labels.
    target_kind : {"classifier", "ordinal", "regressor"}, optional
        By default a regressor if scikit-learn says so of the estimator, else a classifier.
    demographics : sequence of str
        Columns of ``Samples.meta`` (such as ``sex``) whose gaps in score the summary reports.
    seed : int or sequence of int, default 0
        With several seeds every fold is fitted once per seed.
    workers : int, default 1
        Processes.
    backend : {"ray", "dask"}, optional
        Cluster that the folds run on. By default this machine.
    cluster_address : str, optional
        Address of a running cluster. By default the connected one, else a local one.
    run_dir : str or Path, optional
        Finished folds are stored here. The same call resumes an interrupted run.
    verbose : bool, default False
        Print the number of finished folds to standard error.
    selection : Selection, default "fixed"
        ``fixed``, ``inner`` (chosen inside ``fit``, on training subjects), or an oracle over
        epochs, which reads ``staged_predict_proba`` with test labels to re-run a published figure.
    question : Question, optional
        Description of the protocol. By default what the arguments say.
    model : str, default ""
        Name of the model. By default the class of the estimator, or of each step of a pipeline.
    modalities : sequence of str
        Modalities, for the record.
    threads_per_fold : int, default 1
        Threads of BLAS, OpenMP and torch per fold.
    keep_models : bool, default False
        Store the fitted estimator of each fold in ``run_dir/models``.
    baselines : bool, default True
        Also evaluate the majority class, the nuisance facts and the previous level.
    degradation : bool, default False
        Predict the test rows again with streams missing (every subset of up to three streams, else
        each stream by itself). Needs samples of several streams and an estimator that takes NaN.
    progress : callable, optional
        Called with the number of finished folds and of all folds.

    Returns
    -------
    Run
        Predictions, access record, baselines, failures and exclusions.

    Raises
    ------
    ConfigError
        If `X` or `groups` are not usable, or the split is unknown.
    EvaluationError
        If labels are missing or do not fit, arguments do not fit together, or every fold failed.
    SplitError
        If the split cannot be made, or shares subjects without a declaration.

    Examples
    --------
    >>> import numpy as np
    >>> import dolorimeter as dl
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(["rest", "pain"], 20)
    >>> X = rng.normal(size=(40, 3)) + (y == "pain")[:, None]
    >>> run = dl.evaluate(LogisticRegression(), X, y, groups=np.repeat(["A", "B", "C", "D"], 10))
    >>> run.classes
    ('pain', 'rest')
    >>> run.scores().query("metric == 'accuracy'")["subject"].tolist()
    ['A', 'B', 'C', 'D']
    """
    run_folder = None if run_dir is None else Path(run_dir)
    if keep_models and run_folder is None:
        raise EvaluationError("keep_models needs run_dir: the folder to store them in.")
    plan = planned(
        estimator,
        X,
        y,
        split,
        groups=groups,
        scoring=scoring,
        classes=classes,
        target_kind=target_kind,
        demographics=demographics,
        seed=seed,
        workers=workers,
        backend=backend,
        cluster_address=cluster_address,
        selection=selection,
        question=question,
        threads_per_fold=threads_per_fold,
        keep_models=run_folder / "models" if keep_models and run_folder is not None else None,
        baselines=baselines,
        degradation=degradation,
    )
    settings = plan.settings
    fingerprint = _fingerprint(settings)
    writer, seeds = plan.writer, plan.seeds
    stored = settings | {
        "demographics": digest(*writer.groups),
        "baselines": digest(str(baselines)),
    }
    with ExitStack() as stack:
        if run_folder is not None:
            stack.enter_context(locked(run_folder, "this run"))
        store = FoldStore(run_folder, stored, plan.job.keep_models)
        todo = [(fold, s) for fold, s in plan.todo if not store.has(fold, s)]
        total, results = len(plan.todo), []
        for done, result in enumerate(plan.results(todo), total - len(todo) + 1):
            results.append(result)
            if result.error:
                store.store_failure(result, _subjects_of(result, writer))
            elif selection != "oracle_global_epoch":  # which needs the epochs of every fold
                store.store(result, _tables(result, writer, None))
            if progress:
                progress(done, total)
            if verbose:
                print(f"folds {done}/{total}", file=sys.stderr)  # noqa: T201
        tables = store.load() + plan.tables(results)
    failed = [r for r in results if r.error]
    if not any(len(t[0]) for t in tables):
        first = " ".join(failed[0].error.split())
        raise EvaluationError(f"all {len(failed)} folds failed. The first one: {first}")
    retried = store.earlier_failures({fold_stem(r.fold, r.seed) for r in failed})
    remarks = [plan.remark, *store.notes, *retried]
    run = _run(tables, failed, writer, plan.names, model or name_of(estimator), seeds,
               tuple(modalities), threads_per_fold, fingerprint, remarks)  # fmt: skip
    return replace(run, scoring=plan.metrics_named)


@dataclass(frozen=True)
class Plan:
    """Everything that decides an evaluation, checked; nothing is fitted yet.

    Parameters
    ----------
    job : Job
        What all folds share.
    split : split
        Makes the folds.
    folds : sequence of Fold
    seeds : tuple of int
    names : tuple of str
        Class names in the order of the class indices.
    writer : _Rows
        Turns outputs into rows.
    metrics_named : tuple of str
        Selected metrics.
    remark : str
        Why missing streams were not tried; empty otherwise.
    workers, backend, cluster_address
        As in `evaluate`.
    """

    job: Job
    split: Any
    folds: Sequence[Fold]
    seeds: tuple[int, ...]
    names: tuple[str, ...]
    writer: _Rows
    metrics_named: tuple[str, ...]
    remark: str
    workers: int
    backend: str | None
    cluster_address: str | None

    @property
    def todo(self) -> list[tuple[Fold, int]]:
        """Every fold with every seed."""
        return [(fold, seed) for seed in self.seeds for fold in self.folds]

    @property
    def settings(self) -> dict[str, str]:
        """Digests of everything that the rows of a run depend on, by what they cover."""
        return _settings(self)

    @property
    def fingerprint(self) -> str:
        """One digest of `settings`."""
        return _fingerprint(self.settings)

    def with_labels(self, y: Labels) -> Plan:
        """Return the same plan with other labels of the same samples, such as permuted ones."""
        folds = self.split.folds(self.job.samples.meta, y)
        writer = copy.copy(self.writer)
        writer.y = y
        return replace(self, job=replace(self.job, y=y), folds=folds, writer=writer)

    def results(self, todo: Sequence[tuple[Fold, int]]) -> Iterator[FoldResult]:
        """Fit and predict folds; yield each result as it comes."""
        return run_jobs(self.job, todo, self.workers, self.backend, self.cluster_address)

    def tables(self, results: Sequence[FoldResult]) -> list[FoldTables]:
        """Return the tables of folds; an oracle over folds chooses its epoch here."""
        staged = self.writer.selection == "oracle_global_epoch"
        epoch = _global_epoch(results, self.writer.y) if staged else None
        return [_tables(result, self.writer, epoch) for result in results]

    def predictions(self) -> pd.DataFrame:
        """Fit and predict every fold; return the rows in the order of seed, fold and row.

        Raises
        ------
        EvaluationError
            If every fold failed.
        """
        results = list(self.results(self.todo))
        rows = _sorted([t[0] for t in self.tables(results)], ["seed", "fold", "row"])
        if not len(rows):
            first = " ".join(results[0].error.split())
            raise EvaluationError(f"all {len(results)} folds failed. The first one: {first}")
        return rows


def planned(
    estimator: Any,
    X: Any,
    y: Any,
    split: Any,
    *,
    groups: Any = None,
    scoring: Any = None,
    classes: Any = None,
    target_kind: Any = None,
    demographics: Any = (),
    seed: Any = 0,
    workers: int = 1,
    backend: str | None = None,
    cluster_address: str | None = None,
    selection: Any = "fixed",
    question: Question | None = None,
    threads_per_fold: int = 1,
    keep_models: Path | None = None,
    baselines: bool = True,
    degradation: bool = False,
) -> Plan:
    """Check the arguments of `evaluate`, of any type, and return what they decide.

    Raises
    ------
    ConfigError, EvaluationError, SplitError
        As `evaluate`.
    """
    kind = kind_of(estimator, target_kind)
    groups, demographics = renamed_groups(X, groups, demographics)
    samples = samples_of(X, y, groups)
    labels, names = encode_labels(
        conditions_of(samples) if y is None else y, len(samples), kind, classes
    )
    check_estimator(estimator, kind)
    seeds = seeds_of(seed)
    chosen = as_split(split, seeds[0])
    metrics_named = () if scoring is None else metrics.named(scoring, kind)
    if selection in ("oracle_hyper", "oracle_seed"):
        raise EvaluationError(f"selection '{selection}' chooses among runs: use select_oracle.")
    if selection not in get_args(Selection):
        raise EvaluationError(
            f"selection is {selection!r}, expected one of {', '.join(get_args(Selection))}."
        )
    if selection == "inner" and not chooses_on_subjects(estimator):
        raise EvaluationError(
            f"selection is 'inner' and {type(estimator).__name__} chooses nothing on inner "
            "subjects: its fit takes no groups, or early_stopping is off. Use selection = 'fixed'."
        )
    if workers < 1:
        raise EvaluationError(f"workers is {workers}, expected at least 1.")
    question = question or _question(samples, chosen, selection, kind, names)
    folds = chosen.folds(samples.meta, labels)
    refuse_shared_subjects(folds, samples.subjects, chosen)
    access = max(samples.target_access, chosen.target_access, key=TARGET_ACCESS_ORDER.index)
    missing, remark = _missing(samples, selection, degradation)
    job = Job(
        estimator,
        samples,
        labels,
        kind,
        len(names),
        selection in _STAGED,
        threads_per_fold,
        baselines,
        keep_models,
        sample_keys(samples.x),
        missing,
    )
    writer = _Rows(question, samples, labels, kind, selection, access, tuple(demographics))
    return Plan(job, chosen, folds, seeds, names, writer, metrics_named, remark,
                workers, backend, cluster_address)  # fmt: skip


def select_oracle(runs: Sequence[Run], kind: Selection) -> Run:
    """Return the run of highest pooled accuracy, marked as chosen on the test labels.

    Parameters
    ----------
    runs : sequence of Run
        That differ in hyper-parameters (``oracle_hyper``) or seed (``oracle_seed``).
    kind : {"oracle_hyper", "oracle_seed"}

    Returns
    -------
    Run
        With `kind` as its selection, and a note.

    Raises
    ------
    EvaluationError
        If there is no run, `kind` is another selection, or runs have no classes or other rows.
    """
    if kind not in ("oracle_hyper", "oracle_seed") or not runs:
        raise EvaluationError(
            f"select_oracle of {len(runs)} runs with '{kind}': expected at least one run, and "
            "oracle_hyper or oracle_seed."
        )
    if any(run.target_kind == "regressor" for run in runs):
        raise EvaluationError(
            "select_oracle: runs of a regressor have no accuracy to choose by; expected runs of "
            "classifiers."
        )
    rows = [run.predictions.groupby(["subject", "label"]).size().to_dict() for run in runs]
    if any(r != rows[0] for r in rows[1:]):
        raise EvaluationError(
            "select_oracle: the runs do not have the same subjects, windows and labels, so that "
            "their accuracies cannot be ranked."
        )
    accuracies = [
        float((run.probabilities.argmax(axis=1) == run.predictions["label"]).mean())
        for run in runs
    ]
    best = runs[int(np.argmax(accuracies))]
    question = replace(best.question, selection=kind)
    table = best.predictions.assign(selection=kind, question=question.hash)
    note = f"{kind}: the best of {len(runs)} runs on the labels that are reported."
    return replace(best, question=question, predictions=table, notes=(*best.notes, note))


def _is_row_column(name: str) -> bool:
    """Whether prediction rows have a column of this name."""
    reserved = {*ROW_COLUMNS, "label", "target", "prediction", "lower", "upper", "coverage",
                "model", "missing"}  # fmt: skip
    return name in reserved or re.fullmatch(r"(p|in_set)_\d+", name) is not None


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
        demographics: tuple[str, ...],
    ) -> None:
        taken = [name for name in demographics if _is_row_column(name)]
        if taken:
            raise EvaluationError(
                f"demographics {', '.join(taken)}: the predictions have a column of that name. "
                "Rename the column of Samples.meta."
            )
        unknown = [name for name in demographics if name not in samples.meta.columns]
        if unknown:
            raise EvaluationError(
                f"demographics: the samples have no column {', '.join(map(repr, unknown))}; they "
                f"have: {', '.join(map(str, samples.meta.columns))}. Add it to the participants "
                "table of the data set, or with Samples.from_arrays(…, meta=…)."
            )
        for name in demographics:
            values = samples.meta[name].astype(str).groupby(samples.meta["subject"]).nunique()
            if (values > 1).any():
                raise EvaluationError(
                    f"demographics '{name}' has several values for subject "
                    f"{values.index[(values > 1).to_numpy()][0]}: expected one value per subject."
                )
        self.question, self.samples, self.y, self.kind = question, samples, y, kind
        self.selection, self.access = selection, access
        self.groups = {name: _groups_of(samples.meta, name) for name in demographics}

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
        for name, values in self.groups.items():
            table[name] = values[fold.test]
        return table

    def _present(self, fold: Fold) -> list[str]:
        if self.samples.present is None:
            return [""] * len(fold.test)
        masks = [(name, mask[fold.test]) for name, mask in self.samples.present.items()]
        return ["+".join(n for n, mask in masks if mask[i]) for i in range(len(fold.test))]


MOST_GROUPS = 5
"""Values of a numeric demographic column that are groups of their own; more are split in two."""


def _groups_of(meta: pd.DataFrame, name: str) -> np.ndarray:
    """Group of each sample by a demographic column; many numbers are split at their median.

    The median is that of the subjects, whatever the number of their samples.
    """
    values = meta[name].replace("", None)
    missing = values.isna().to_numpy()
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers[~missing].notna().all() and numbers.nunique() > MOST_GROUPS:
        middle = float(numbers.groupby(meta["subject"]).first().median())
        texts = np.where(numbers < middle, f"below {middle:g}", f"{middle:g} and above")
    elif numbers[~missing].notna().all() and (numbers[~missing] % 1 == 0).all():
        texts = np.array([f"{v:g}" for v in numbers])
    else:
        texts = values.astype(str).to_numpy()
    return np.where(missing, "(missing)", texts).astype(object)


def _tables(result: FoldResult, writer: _Rows, epoch: int | None) -> FoldTables:
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


def _global_epoch(results: Sequence[FoldResult], y: Labels) -> int | None:
    """The epoch of highest accuracy over all folds, among those that every fold has."""
    staged = [(r.staged, y[r.fold.test]) for r in results if r.staged is not None]
    if not staged:
        return None
    epochs = min(len(values) for values, _ in staged)
    hits = sum((v[:epochs].argmax(axis=2) == labels).sum(axis=1) for v, labels in staged)
    return int(np.argmax(hits))


def _question(
    samples: Samples, split: Any, selection: Selection, kind: TargetKind, names: tuple[str, ...]
) -> Question:
    """What the arguments tell of the question."""
    durations = np.unique(samples.meta["duration"].to_numpy(dtype=float))
    known = bool(np.isfinite(durations).all())
    return Question(
        dataset="+".join(sorted(samples.meta["dataset"].astype(str).unique())),
        part="+".join(sorted(samples.meta["part"].astype(str).unique())),
        windows={"duration": float(durations[0])} if len(durations) == 1 and known else {},
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


def _settings(plan: Plan) -> dict[str, str]:
    """Digests of everything that the rows of a run depend on, by what they cover."""
    samples, job = plan.job.samples, plan.job
    x = samples.x if isinstance(samples.x, Mapping) else {"": samples.x}
    facts = pd.DataFrame() if samples.facts is None else samples.facts
    present = samples.present or {}
    quality = np.empty(0) if samples.quality is None else samples.quality
    return {
        "data": digest(
            *(part for name in sorted(x) for part in (name, np.ascontiguousarray(x[name]))),
            *(part for name in sorted(present) for part in (name, present[name])),
            quality,
            _table_digest(samples.meta),
            _table_digest(facts),
            repr((samples.feature_names, sorted(job.missing))),
        ),
        "labels": digest(job.y, job.target_kind, str(job.n_classes)),
        "estimator": _estimator_digest(job.estimator),
        "code of dolorimeter": package_digest(NOT_IN_FOLDS),
        "split": digest(
            *(rows for fold in plan.folds for rows in (fold.fit_rows, fold.test)),
        ),
        "question": plan.writer.question.hash,
        "seeds": digest(repr(plan.seeds)),
    }


def _fingerprint(settings: Mapping[str, str]) -> str:
    return digest(json.dumps(settings, sort_keys=True))


def _table_digest(table: pd.DataFrame) -> str:
    """Digest of a table's columns, types and values, to the last bit of a number."""
    columns = repr([(str(name), str(table[name].dtype)) for name in table.columns])
    values = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return digest(columns, values)


def _estimator_digest(estimator: Any) -> str:
    """Digest of an estimator's parameters and of all code behind it.

    What cannot be compared gets a digest of its own in each call, so that it never resumes.
    """
    try:
        return code_digest(estimator, versions=("torch",))
    except OpaqueError as error:
        return f"it cannot be compared with another one ({error}): {secrets.token_hex(8)}"


def _subjects_of(result: FoldResult, writer: _Rows) -> str:
    return "; ".join(sorted(set(writer.samples.subjects[result.fold.test].astype(str))))


def _run(
    tables: Sequence[FoldTables],
    failed: Sequence[FoldResult],
    writer: _Rows,
    names: tuple[str, ...],
    model: str,
    seeds: tuple[int, ...],
    modalities: tuple[str, ...],
    threads: int,
    fingerprint: str,
    remarks: Sequence[str],
) -> Run:
    """One run of the tables of its folds, in the order of seed, fold and row."""
    samples = writer.samples
    warned: Counter[str] = sum((t[3] for t in tables), Counter())
    notes = [*samples.notes, *(f"{n} × {text}" for text, n in sorted(warned.items()))]
    notes += [remark for remark in remarks if remark]
    if failed:
        notes.append(f"{len(failed)} of {len(tables)} folds failed: {failed[0].error}")
    failures = [
        {
            "fold": r.fold.index,
            "seed": r.seed,
            "subjects": _subjects_of(r, writer),
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
        demographics=tuple(writer.groups),
        modalities=modalities,
        label_source=samples.label_source,
        lookalike=samples.lookalike,
        notes=tuple(notes),
        environment=environment() | {"threads_per_fold": threads, "seeds": list(seeds)},
        fingerprint=fingerprint,
        cohort=tuple(sorted(set(samples.subjects.astype(str).tolist()))),
    )


def _sorted(
    parts: Sequence[pd.DataFrame], by: list[str], empty: pd.DataFrame | None = None
) -> pd.DataFrame:
    full = [p for p in parts if len(p)]
    if not full:
        return pd.DataFrame() if empty is None else empty
    table = pd.concat(full, ignore_index=True)
    return table.sort_values(by, kind="stable", ignore_index=True)
