"""The fold loop: fit on some people, predict the others, note everything."""

from __future__ import annotations

import math
import os
import random
import sys
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from dolorimeter.clusters import as_they_come, cluster, end_with
from dolorimeter.errors import DependencyError, EvaluationError
from dolorimeter.estimators import fit_with_groups, notes_of, save_estimator
from dolorimeter.evaluation._baselines import baseline_outputs
from dolorimeter.evaluation._degradation import Missing, blanked
from dolorimeter.evaluation._recorder import Recorder, SampleKeys, empty_access
from dolorimeter.samples import Samples, take_rows
from dolorimeter.splits import Fold
from dolorimeter.types import TargetKind

Labels = Shaped[np.ndarray, " sample"]
Output = Float[np.ndarray, "row output"]

_ONE_AT_A_TIME = threading.RLock()
"""Seeds, threads and watched methods belong to the process, so threads of a cluster take turns."""

SUM_TOLERANCE = 1e-4
"""Probabilities of a row may miss 1 by so much: float32 networks round."""


@dataclass(frozen=True)
class Job:
    """Everything that all folds share."""

    estimator: Any
    samples: Samples
    y: Labels
    target_kind: TargetKind
    n_classes: int
    staged: bool
    threads: int
    baselines: bool
    keep_models: Path | None
    keys: SampleKeys | None = None
    missing: Mapping[str, Missing] = field(default_factory=dict)


@dataclass
class FoldResult:
    """What one fold gave. `staged` holds the output of every epoch where that was asked for.

    `sets` holds which classes are in the set of each row, `coverage` the share of rows whose set
    or interval was meant to hold the truth. `warned` counts warnings, and notes of estimators.
    """

    fold: Fold
    seed: int
    output: Output | None = None
    lower: Float[np.ndarray, " row"] | None = None
    upper: Float[np.ndarray, " row"] | None = None
    sets: Bool[np.ndarray, "row class"] | None = None
    coverage: float = math.nan
    staged: Float[np.ndarray, "epoch row output"] | None = None
    access: pd.DataFrame = field(default_factory=empty_access)
    baselines: dict[str, Output] = field(default_factory=dict)
    degraded: dict[str, Output] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    warned: Counter[str] = field(default_factory=Counter)
    error: str = ""
    trace: str = ""


def run_fold(job: Job, fold: Fold, seed: int) -> FoldResult:
    """Fit and predict one fold; a failure is kept, not raised, so that other folds count."""
    result = FoldResult(fold, seed)
    with (
        _ONE_AT_A_TIME,
        warnings.catch_warnings(record=True) as caught,
        same_threads(job.threads),
    ):
        warnings.simplefilter("always")
        try:
            _fit_and_predict(job, fold, seed, result)
        except DependencyError:  # every fold would fail for the same reason
            raise
        except Exception as error:  # noqa: BLE001  # a user's estimator may raise anything
            told = f"{type(error).__name__}: {error}"
            result = FoldResult(fold, seed, error=told, trace=traceback.format_exc())
    result.warned.update(f"{w.category.__name__}: {w.message}"[:200] for w in caught)
    result.warned += Counter(text[:300] for text in result.remarks)
    return result


def run_fold_there(job: Job, fold: Fold, seed: int) -> FoldResult:
    """`run_fold` on a cluster, where what a fit does in parallel stays in its own process.

    Else the trees of a forest would be sent round the cluster and wait for folds that wait for
    them.
    """
    from joblib import parallel_config

    with parallel_config("threading", n_jobs=1):
        return run_fold(job, fold, seed)


def _fit_and_predict(job: Job, fold: Fold, seed: int, result: FoldResult) -> None:
    estimator = seeded(job.estimator, fold_seed(seed, fold.index))
    if job.staged and "keep_epochs" in estimator.get_params(deep=False):
        estimator.set_params(keep_epochs=True)
    recorder = Recorder(job.samples.x, fold.index, seed, job.keys)
    with recorder.watching(estimator), global_seed(fold_seed(seed, fold.index)):
        recorder.outer(estimator, "fit", fold.fit_rows)
        _fit(estimator, job.samples, job.y, fold)
        recorder.outer(estimator, "predict", fold.test)
        _predict(job, estimator, fold, result)
        differ = _answers_that_differ(job, estimator, fold, result)
    result.access = recorder.table()
    result.remarks += recorder.remarks
    if differ:
        result.warned[DIFFERENT_ANSWER] += differ
    result.warned.update(note[:200] for note in notes_of(estimator))
    if job.baselines:
        failures: dict[str, str] = {}
        result.baselines = baseline_outputs(
            job.samples, job.y, fold.fit_rows, fold.test, job.target_kind, job.n_classes, failures
        )
        result.remarks += [f"baseline {name} failed: {why}" for name, why in failures.items()]
    if job.missing:
        _degrade(job, estimator, fold, fold_seed(seed, fold.index), result)
    if job.keep_models is not None:
        save_estimator(estimator, job.keep_models / fold_stem(fold, seed))


DIFFERENT_ANSWER = (
    "a window for which predict gives another class than the most probable one; scores use the "
    "probabilities. Calibrate the estimator, for example with "
    "dolorimeter.estimators.TemperatureCalibrated"
)
"""Note on estimators whose probabilities are fitted apart from their decisions."""


def _answers_that_differ(job: Job, estimator: Any, fold: Fold, result: FoldResult) -> int:
    """Number of test windows whose predicted class is not the most probable one.

    Only estimators with margins (``decision_function``) can have them: a support vector machine
    decides by its margin, and its probabilities are another fit. No score uses `predict`, so that
    one that fails is a note and not a failed fold.
    """
    if job.target_kind == "regressor" or result.output is None:
        return 0
    if not (hasattr(estimator, "decision_function") and hasattr(estimator, "predict")):
        return 0
    try:
        answer = np.asarray(estimator.predict(take_rows(job.samples.x, fold.test)))
        if answer.shape != (len(fold.test),):
            raise EvaluationError(f"shape {answer.shape}, expected {(len(fold.test),)}")
    except Exception as error:  # noqa: BLE001  # a user's estimator may raise anything
        why = f"{type(error).__name__}: {error}".replace(f", fold '{fold.name}'", "")
        result.remarks.append(f"predict was not compared with predict_proba: {why[:150]}")
        return 0
    return int((answer != np.asarray(result.output).argmax(axis=1)).sum())


def fit_fold(estimator: Any, samples: Samples, y: Labels, fold: Fold, seed: int = 0) -> Any:
    """A clone of `estimator`, seeded and fitted on the fold's training rows as `evaluate` does."""
    model = seeded(estimator, fold_seed(seed, fold.index))
    with global_seed(fold_seed(seed, fold.index)):
        _fit(model, samples, y, fold)
    return model


def fold_seed(seed: int, fold: int) -> int:
    """A seed that is a function of the run's seed and the fold's number alone."""
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] % 2**31)


def seeded(estimator: Any, seed: int) -> Any:
    """A clone with every ``random_state`` parameter, at any depth, set to `seed`."""
    from sklearn.base import clone

    model = clone(estimator)
    names = [n for n in model.get_params() if n.rpartition("__")[2] == "random_state"]
    return model.set_params(**dict.fromkeys(names, seed)) if names else model


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch; put them back afterwards."""
    state = np.random.get_state()  # noqa: NPY002  # the user's estimator may use it
    plain = random.getstate()
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    restore_torch = _seed_torch(seed)
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        random.setstate(plain)
        restore_torch()


def _seed_torch(seed: int) -> Callable[[], None]:
    """Seed torch's generators if it is loaded; return what puts them back."""
    torch = sys.modules.get("torch")
    if torch is None:
        return lambda: None
    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    torch.manual_seed(seed)

    def restore() -> None:
        torch.set_rng_state(state)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    return restore


@contextmanager
def same_threads(threads: int) -> Iterator[None]:
    """Run with `threads` threads in BLAS, OpenMP and torch, wherever this is; then as before."""
    from threadpoolctl import threadpool_limits

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, str(threads))  # for libraries that are loaded later
    torch = sys.modules.get("torch")
    torch_before = torch.get_num_threads() if torch else None
    if torch:
        torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        if torch:
            torch.set_num_threads(torch_before)


def _fit(estimator: Any, samples: Samples, y: Labels, fold: Fold) -> None:
    rows = fold.fit_rows
    x: Any = take_rows(samples.x, rows)
    fit_with_groups(estimator, x, y[rows], samples.subjects[rows])


def _predict(job: Job, estimator: Any, fold: Fold, result: FoldResult) -> None:
    x = take_rows(job.samples.x, fold.test)
    if job.target_kind == "regressor":
        result.output = _output(job, estimator, x, fold)
        if hasattr(estimator, "predict_interval"):
            lower, upper = estimator.predict_interval(x)
            result.lower, result.upper = np.asarray(lower, float), np.asarray(upper, float)
            _check_interval(result.lower, result.upper, fold, estimator)
            result.coverage = float(getattr(estimator, "coverage", math.nan))
        return
    if job.staged:
        stages = [_classes_in_order(job, estimator, p, fold) for p in _stages(estimator, x)]
        result.staged = np.stack(stages)
        return
    result.output = _output(job, estimator, x, fold)
    if hasattr(estimator, "predict_set"):
        result.sets = _sets_in_order(job, estimator, estimator.predict_set(x), fold)
        result.coverage = float(getattr(estimator, "coverage", math.nan))


def _output(job: Job, estimator: Any, x: Any, fold: Fold) -> Output:
    """Probabilities, or one column of predictions, checked."""
    if job.target_kind == "regressor":
        prediction = np.asarray(estimator.predict(x), dtype=float).reshape(-1)
        _check_rows(prediction, fold, estimator)
        return prediction[:, None]
    if not hasattr(estimator, "predict_proba"):
        raise EvaluationError(
            f"{type(estimator).__name__} has no predict_proba: evaluate needs probabilities. Wrap "
            "it in dolorimeter.estimators.TemperatureCalibrated, which learns them by subject."
        )
    return _classes_in_order(job, estimator, estimator.predict_proba(x), fold)


def _degrade(job: Job, estimator: Any, fold: Fold, seed: int, result: FoldResult) -> None:
    """Predict the test rows again with streams missing; an estimator that cannot is noted once."""
    x: Any = take_rows(job.samples.x, fold.test)
    with warnings.catch_warnings(), global_seed(seed):
        warnings.simplefilter("ignore")  # that a column has no values is what is asked for
        for missing, parts in job.missing.items():
            try:
                result.degraded[missing] = _output(job, estimator, blanked(x, parts), fold)
            except Exception as error:  # noqa: BLE001  # a user's estimator may raise anything
                why = f"{type(error).__name__}: {error}".replace(f", fold '{fold.name}'", "")
                result.degraded = {}
                result.remarks.append(f"the model cannot do without {missing} at test: {why}")
                return


def _stages(estimator: Any, x: Any) -> Iterator[Any]:
    if not hasattr(estimator, "staged_predict_proba"):
        raise EvaluationError(
            f"{type(estimator).__name__} has no staged_predict_proba(x): an oracle over epochs "
            "needs every epoch's output. Use selection = 'inner' or 'fixed'."
        )
    yield from estimator.staged_predict_proba(x)


def _classes_in_order(job: Job, estimator: Any, values: Any, fold: Fold) -> Output:
    """Probabilities with one column a class, checked."""
    given = np.asarray(values, dtype=float)
    who = f"{type(estimator).__name__}, fold '{fold.name}'"
    classes = np.asarray(getattr(estimator, "classes_", np.arange(job.n_classes))).astype(int)
    if given.shape != (len(fold.test), len(classes)):
        raise EvaluationError(
            f"{who}: probabilities of shape {given.shape}, expected "
            f"{(len(fold.test), len(classes))}: one row a window, one column a class."
        )
    _check_rows(given, fold, estimator)
    if given.min() < 0 or given.max() > 1 + SUM_TOLERANCE:
        raise EvaluationError(f"{who}: probabilities between {given.min():g} and {given.max():g}.")
    if np.abs(given.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise EvaluationError(
            f"{who}: probabilities of a window sum to {given.sum(axis=1).max():g}, expected 1."
        )
    output = np.zeros((len(given), job.n_classes))
    output[:, classes] = given
    return output


def _sets_in_order(
    job: Job, estimator: Any, values: Any, fold: Fold
) -> Bool[np.ndarray, "row class"]:
    """Sets with one column a class, checked; a class that was not trained on is in none."""
    given = np.asarray(values)
    classes = np.asarray(getattr(estimator, "classes_", np.arange(job.n_classes))).astype(int)
    if given.shape != (len(fold.test), len(classes)) or given.dtype != bool:
        raise EvaluationError(
            f"{type(estimator).__name__}, fold '{fold.name}': predict_set gave {given.dtype} of "
            f"shape {given.shape}, expected bool of {(len(fold.test), len(classes))}: one row a "
            "window, one column a class."
        )
    sets = np.zeros((len(given), job.n_classes), dtype=bool)
    sets[:, classes] = given
    return sets


def _check_rows(values: Float[np.ndarray, "row ..."], fold: Fold, estimator: Any) -> None:
    if len(values) != len(fold.test) or not np.isfinite(values).all():
        raise EvaluationError(
            f"{type(estimator).__name__}, fold '{fold.name}': {len(values)} outputs for "
            f"{len(fold.test)} windows, {int((~np.isfinite(values)).sum())} not finite."
        )


def _check_interval(
    lower: Float[np.ndarray, " ..."],
    upper: Float[np.ndarray, " ..."],
    fold: Fold,
    estimator: Any,
) -> None:
    wanted = (len(fold.test),)
    if lower.shape != wanted or upper.shape != wanted or not (lower <= upper).all():
        raise EvaluationError(
            f"{type(estimator).__name__}, fold '{fold.name}': predict_interval gave bounds of "
            f"shapes {lower.shape} and {upper.shape}, expected {wanted} each, the lower one not "
            "above the upper one."
        )


def run_jobs(
    job: Job,
    todo: Sequence[tuple[Fold, int]],
    workers: int,
    backend: str | None,
    cluster_address: str | None = None,
) -> Iterator[FoldResult]:
    """Results of folds as they finish, in this process, in `workers`, or on a cluster."""
    if backend is None and cluster_address is not None:
        raise EvaluationError(
            f"cluster_address is '{cluster_address}' without a backend: pass "
            "backend='ray' or 'dask'."
        )
    if workers == 1 and backend is None:
        yield from (run_fold(job, fold, seed) for fold, seed in todo)
        return
    from joblib import Parallel, delayed, parallel_config

    if backend is None:
        calls = (delayed(_run_fold_in_worker)(job, fold, seed, os.getpid()) for fold, seed in todo)
        yield from Parallel(n_jobs=workers, return_as="generator_unordered")(calls)
        return
    calls = (delayed(run_fold_there)(job, fold, seed) for fold, seed in todo)
    with cluster(backend, workers, cluster_address), parallel_config(backend, n_jobs=workers):
        yield from as_they_come(list(calls), workers)


def _run_fold_in_worker(job: Job, fold: Fold, seed: int, driver: int) -> FoldResult:
    end_with(driver)
    return run_fold(job, fold, seed)


def fold_stem(fold: Fold, seed: int) -> str:
    """Name of the files, and of the kept model, of one fold and seed."""
    return f"fold_{fold.index:04d}_seed_{seed}"


def epoch_of_best(
    staged: Float[np.ndarray, "epoch row output"], labels: Int[np.ndarray, " row"]
) -> int:
    """The first epoch of highest accuracy: a choice that only an oracle can make."""
    return int((staged.argmax(axis=2) == labels).mean(axis=1).argmax())
