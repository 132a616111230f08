"""Jobs in a fresh process: fit one fold and watch it, refit on shuffled labels."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.evaluation import Run, evaluate, fit_fold, fold_seed
from dolorimeter.evaluation._folds import global_seed, same_threads
from dolorimeter.samples import Samples, take_rows
from dolorimeter.splits import Fold
from dolorimeter.types import Array

SINGLE_ROWS = 12
"""Rows predicted one at a time: enough to notice any statistic of the batch."""

MAX_KNOWN = 200
"""Training sides of inner splits that are remembered, to judge splits inside them."""


@dataclass(frozen=True)
class OnlyFolds:
    """A split reduced to some of its folds, which keep their numbers and so their seeds."""

    base: Any
    indices: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the whole split."""
        return str(self.base.name)

    @property
    def params(self) -> Any:
        """Parameters of the whole split."""
        return getattr(self.base, "params", {})

    @property
    def target_access(self) -> Any:
        """Access to the test subject that the whole split declares."""
        return self.base.target_access

    def folds(self, meta: pd.DataFrame, y: Array) -> list[Fold]:
        """Return the folds of these indices."""
        by_index = {fold.index: fold for fold in self.base.folds(meta, y)}
        return [by_index[i] for i in self.indices if i in by_index]


@dataclass(frozen=True)
class Settings:
    """Settings of the run that every refit repeats."""

    estimator: Any
    target_kind: Any
    selection: Any
    seed: int
    threads: int
    n_classes: int


@dataclass(frozen=True)
class InnerSplit:
    """One split that scikit-learn made inside ``fit``.

    `single` marks a hold-out set of `train_test_split`, as early stopping uses it.
    """

    splitter: str
    shared: int
    single: bool


@dataclass
class Watched:
    """What one fold gave in a fresh process.

    Parameters
    ----------
    output : array (row, output)
        Outputs of the test rows, as in the run.
    again : array or None
        Outputs of a second fit in the same process, after a fit of another fold.
    alone : array (row, output)
        Outputs of the first test rows, predicted one at a time; empty if that failed.
    splits : list of InnerSplit
        Splits that scikit-learn's splitters made during ``fit``.
    rewritten : list of str
        Files that ``fit`` read and wrote, and that existed before.
    batch_error : str
        Reason why the rows were not predicted one at a time.
    """

    output: Float[np.ndarray, "row output"]
    again: Float[np.ndarray, "row output"] | None
    alone: Float[np.ndarray, "row output"]
    together: Float[np.ndarray, "row output"]
    splits: list[InnerSplit] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    batch_error: str = ""


def fit_and_watch(
    settings: Settings, samples: Samples, y: Array, fold: Fold, before: Fold | None
) -> Watched:
    """Fit one fold, watch it, and predict its rows together and one at a time.

    Parameters
    ----------
    settings : Settings
    samples, y
        Samples and labels of the run.
    fold : Fold
        Fold to fit.
    before : Fold or None
        A fold to fit before the second fit of `fold`; None for no second fit.
    """
    files = FilesOpened()
    rows = np.asarray(fold.fit_rows, dtype=int)
    subjects = samples.subjects.astype(str)[rows]
    with warnings.catch_warnings(), same_threads(settings.threads):
        warnings.simplefilter("ignore")  # `evaluate` has recorded them in the run
        with watched_splitters(subjects, y[rows]) as splits, files:
            output, model = _fit_and_predict(settings, samples, y, fold)
        alone, together, batch_error = _one_at_a_time(settings, model, samples, y, fold)
        again = None
        if before is not None:
            _fit_and_predict(settings, samples, y, before)
            again = _fit_and_predict(settings, samples, y, fold)[0]
    return Watched(output, again, alone, together, splits, files.rewritten, batch_error)


def refit_shuffled(
    settings: Settings, samples: Samples, labels: Sequence[Array], split: Any
) -> list[pd.DataFrame]:
    """Return the predictions of one fold per set of shuffled labels, the folds in turn."""
    tables = []
    for i, y in enumerate(labels):
        indices = [fold.index for fold in split.folds(samples.meta, y)]
        one = OnlyFolds(split, (indices[i % len(indices)],))
        tables.append(_evaluate(settings, samples, y, one).predictions)
    return tables


def _evaluate(settings: Settings, samples: Samples, y: Array, split: Any) -> Run:
    options: dict[str, Any] = {}
    if settings.target_kind != "regressor":
        options["classes"] = list(range(settings.n_classes))
    return evaluate(
        deepcopy(settings.estimator),
        samples,
        y,
        split,
        target_kind=settings.target_kind,
        selection=settings.selection,
        seed=settings.seed,
        threads_per_fold=settings.threads,
        baselines=False,
        **options,
    )


@dataclass(frozen=True)
class _This:
    """A split that is one fold."""

    fold: Fold
    target_access: str = "labelled_reference"
    name: str = "one fold"

    def folds(self, _meta: pd.DataFrame, _y: Array) -> list[Fold]:
        return [self.fold]


def _fit_and_predict(
    settings: Settings, samples: Samples, y: Array, fold: Fold
) -> tuple[Float[np.ndarray, "row output"], Any]:
    """Outputs of the test rows, and the fitted model (None for an oracle over epochs)."""
    if settings.selection.startswith("oracle"):
        rows = _evaluate(settings, samples, y, _This(fold)).predictions
        columns = [c for c in rows.columns if c.startswith("p_") and c[2:].isdigit()]
        return rows[columns].to_numpy(dtype=float), None
    model = fit_fold(deepcopy(settings.estimator), samples, y, fold, settings.seed)
    with global_seed(fold_seed(settings.seed, fold.index)):
        x = take_rows(samples.x, np.asarray(fold.test, dtype=int))
        return outputs(settings, model, x), model


def outputs(settings: Settings, model: Any, x: Any) -> Float[np.ndarray, "row output"]:
    """Return probabilities with one column per class of the run, or predictions as one column."""
    if settings.target_kind == "regressor" or not hasattr(model, "predict_proba"):
        return np.asarray(model.predict(x), dtype=float).reshape(-1, 1)
    values = np.asarray(model.predict_proba(x), dtype=float)
    classes = np.asarray(getattr(model, "classes_", np.arange(values.shape[1]))).astype(int)
    full = np.zeros((len(values), max(settings.n_classes, int(classes.max()) + 1)))
    full[:, classes] = values
    return full


def _one_at_a_time(
    settings: Settings, model: Any, samples: Samples, y: Array, fold: Fold
) -> tuple[Array, Array, str]:
    """Outputs of the first test rows alone and together, or the reason why there are none."""
    none = np.empty((0, 1))
    test = np.asarray(fold.test, dtype=int)
    rows = test[:SINGLE_ROWS]
    try:
        if model is None:
            model = fit_fold(deepcopy(settings.estimator), samples, y, fold, settings.seed)
        with global_seed(fold_seed(settings.seed, fold.index)):
            together = outputs(settings, model, take_rows(samples.x, test))[: len(rows)]
        alone = []
        for row in rows:
            with global_seed(fold_seed(settings.seed, fold.index)):
                alone.append(outputs(settings, model, take_rows(samples.x, np.array([row]))))
        return np.concatenate(alone), together, ""
    except Exception as error:  # noqa: BLE001  # a user's estimator may raise anything
        return none, none, f"{type(error).__name__}: {error}"


@contextmanager
def watched_splitters(subjects: Array, y: Array) -> Iterator[list[InnerSplit]]:
    """Record the splits that scikit-learn's splitters make, with the subjects on both sides.

    Only for a process of its own: the splitters' classes are patched meanwhile. A split is judged
    by its groups if they are subjects, else by the labels it receives, which must be those of the
    training rows (or of one side of an outer split) in their order.

    Parameters
    ----------
    subjects, y : array (row,)
        Subject and label of the rows that ``fit`` receives, in their order.

    Yields
    ------
    list of InnerSplit
        Filled as the splitters run.
    """
    from sklearn.model_selection import _split

    bases = (_split.BaseCrossValidator, _split.BaseShuffleSplit, _split._CVIterableWrapper)
    known = [(subjects, np.asarray(y))]
    names = set(subjects)
    splits: list[InnerSplit] = []
    running: list[str] = []

    def possible(x: Any, y: Any, groups: Any) -> list[tuple[Array, Array]]:
        """Subjects and labels of the rows that a splitter receives; several if ambiguous."""
        if groups is not None:
            people = np.asarray(groups).astype(str)
            if set(people) <= names:
                return [(people, np.zeros(len(people)) if y is None else np.asarray(y))]
        if y is not None:
            return [k for k in known if np.array_equal(k[1], np.asarray(y))]
        return [known[0]] if hasattr(x, "__len__") and len(x) == len(subjects) else []

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def split(self: Any, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Any]:
            pairs = original(self, X, y, groups)
            if running:  # GroupKFold.split calls that of its base
                yield from pairs
                return
            while True:
                single = _called_from("train_test_split")
                running.append(type(self).__name__)
                try:
                    train, test = next(pairs)
                except StopIteration:
                    return
                finally:
                    running.pop()
                rows = possible(X, y, groups)
                here, there = np.asarray(train), np.asarray(test)
                if rows and len(here) and len(there):
                    shared = min(len(np.intersect1d(k[0][here], k[0][there])) for k in rows)
                    splits.append(InnerSplit(type(self).__name__, shared, single))
                    known.extend((k[0][here], k[1][here]) for k in rows[: MAX_KNOWN - len(known)])
                yield train, test

        return split

    patched: list[tuple[type, Any]] = []
    for cls in _subclasses(bases):
        if inspect.isfunction(cls.__dict__.get("split")):
            patched.append((cls, cls.__dict__["split"]))
            cls.split = watched(cls.__dict__["split"])  # type: ignore[attr-defined]
    try:
        yield splits
    finally:
        for cls, original in patched:
            cls.split = original  # type: ignore[attr-defined]


def _subclasses(bases: Sequence[type]) -> set[type]:
    classes = set(bases)
    for base in bases:
        classes |= _subclasses(base.__subclasses__())
    return classes


def _called_from(name: str) -> bool:
    """Return whether a function of this name is among the callers."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == name:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


class FilesOpened:
    """Files that are opened while the context is active.

    Python's audit hooks cannot be removed, so this is for a process of its own.
    """

    def __init__(self) -> None:
        self._active = False
        self._read: dict[str, bool] = {}
        self._written: set[str] = set()

    def __enter__(self) -> FilesOpened:
        self._active = True
        sys.addaudithook(self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        self._active = False

    @property
    def rewritten(self) -> list[str]:
        """Files that were read before they were written, and are not the cache of a library."""
        names = sorted(n for n in self._read if self._read[n] and n in self._written)
        return [n for n in names if "joblib" not in Path(n).parts]

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._active or event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path, _, flags = arguments
        name = os.path.realpath(os.fsdecode(path))
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if name.startswith(("/dev/", "/proc/", "/sys/")):
            return
        if writes:
            if flags & os.O_RDWR and name not in self._written:
                self._read.setdefault(name, Path(name).is_file())
            self._written.add(name)
        elif name not in self._written:
            self._read.setdefault(name, Path(name).is_file())
