"""Who is trained on and who is held out: whole subjects, in an order that files cannot change.

A split is a frozen dataclass with a `name`, the `target_access` it needs, and ``folds(meta, y)``.
Validation sets are cut from training subjects only.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Shaped

from dolorimeter.errors import ConfigError, SplitError
from dolorimeter.storage import digest
from dolorimeter.types import TargetAccess

if TYPE_CHECKING:
    import pandas as pd

Rows = Int[np.ndarray, "..."]


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold.

    `validation` are rows of training subjects that the caller wants kept apart; the loop of
    `evaluate` adds them to the training rows, because estimators cut their own inner validation.
    """

    index: int
    name: str
    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    validation: Int[np.ndarray, " validation"]

    @property
    def fit_rows(self) -> Rows:
        """Rows that an estimator may learn from: training and validation, sorted."""
        return np.sort(np.concatenate([self.train, self.validation]))


@runtime_checkable
class Split(Protocol):
    """What `evaluate` asks of a split."""

    @property
    def name(self) -> str:
        """Name of the protocol."""

    @property
    def target_access(self) -> TargetAccess:
        """What the protocol hands out of the test subject."""

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """Folds over the rows of `meta`, which has a column ``subject``."""


class _Named:
    """Name and arguments of a split, from its class and fields."""

    @property
    def name(self) -> str:
        """Name of the protocol, as in experiment files."""
        return _NAMES[type(self)]

    @property
    def params(self) -> dict[str, Any]:
        """Arguments, for a record."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # a dataclass
        return values

    @property
    def target_access(self) -> TargetAccess:
        """Nothing of a test subject is handed out."""
        return "none"


@dataclass(frozen=True)
class LeaveOneSubjectOut(_Named):
    """Every subject is tested once, with a model of all the others."""

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """One fold a subject, in the order of their sorted names."""
        subjects = _subjects(meta, y)
        names = np.unique(subjects)
        if len(names) < 2:
            raise SplitError(
                f"leave_one_subject_out of {len(names)} subject ({', '.join(names)}): at least 2 "
                "are needed."
            )
        return [_fold(i, name, subjects, [name]) for i, name in enumerate(names)]


@dataclass(frozen=True)
class GroupKFold(_Named):
    """Subjects dealt into `n_splits` groups at random, each group tested once."""

    n_splits: int
    seed: int = 0

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """One fold a group; group sizes differ by at most one subject."""
        subjects = _subjects(meta, y)
        groups = _deal(np.unique(subjects), self.n_splits, self.seed)
        return [_fold(i, f"fold {i}", subjects, group) for i, group in enumerate(groups)]


@dataclass(frozen=True)
class HoldOut(_Named):
    """Named subjects are tested, named subjects validate, all others train."""

    test_subjects: tuple[str, ...]
    validation_subjects: tuple[str, ...] = ()
    train_subjects: tuple[str, ...] = ()

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """A single fold. Without `train_subjects`, whoever is in no other set trains."""
        subjects = _subjects(meta, y)
        known = set(np.unique(subjects))
        test, validation = set(self.test_subjects), set(self.validation_subjects)
        train = set(self.train_subjects) or known - test - validation
        for one, other, words in (
            (test, validation, "test and validation"),
            (test, train, "test and training"),
            (validation, train, "validation and training"),
        ):
            if one & other:
                raise SplitError(
                    f"hold_out: {', '.join(sorted(one & other)[:5])} stand in both {words}: "
                    "a person belongs to one set."
                )
        unknown = sorted((test | validation | set(self.train_subjects)) - known)
        if unknown:
            raise SplitError(
                f"hold_out: {', '.join(unknown[:5])} ({len(unknown)} in all) are not among the "
                f"{len(known)} subjects. Name subjects that the samples have."
            )
        return [_fold(0, "hold out", subjects, sorted(test), sorted(validation), sorted(train))]


@dataclass(frozen=True)
class DrawnHoldOut(_Named):
    """So many subjects, drawn by `seed`, are tested once; all others train."""

    test: int
    seed: int = 0

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """A single fold, named by its draw."""
        subjects = _subjects(meta, y)
        names = np.unique(subjects)
        if not self.test < len(names):
            raise SplitError(
                f"drawn_hold_out: {self.test} of {len(names)} subjects are to be tested, which "
                "leaves nobody to train on. Draw fewer."
            )
        drawn = np.random.default_rng(self.seed).permutation(names)[: self.test]
        return [_fold(0, f"drawn by seed {self.seed}", subjects, sorted(drawn))]


@dataclass(frozen=True)
class CrossDataset(_Named):
    """Train on one data set, test on another (names in the column ``dataset``)."""

    train: str
    test: str

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """A single fold; a person known under one name in both is refused."""
        subjects, datasets = _subjects(meta, y), meta["dataset"].to_numpy().astype(str)
        for name in (self.train, self.test):
            if name not in datasets:
                raise SplitError(
                    f"cross_dataset: no samples of '{name}'; they are of "
                    f"{', '.join(np.unique(datasets))}."
                )
        names = _identities(subjects)
        shared = set(names[datasets == self.train]) & set(names[datasets == self.test])
        both = sorted(set(subjects[np.isin(names, list(shared))]))
        if both:
            raise SplitError(
                f"cross_dataset: {', '.join(both[:5])} ({len(both)} in all) are in both "
                f"{self.train} and {self.test}: the data sets share people."
            )
        rows = np.arange(len(subjects))
        none = np.empty(0, dtype=int)
        name = f"{self.train} → {self.test}"
        return [Fold(0, name, rows[datasets == self.train], rows[datasets == self.test], none)]


@dataclass(frozen=True)
class Personalised(_Named):
    """Leave one subject out, with `k` labelled stimuli per class of the new subject in training.

    Half of a subject's stimuli of each class (rounded down), drawn by `seed`, are never scored;
    the first `k` of them train. Which windows are scored therefore does not depend on `k`, and
    k = 0 is leave_one_subject_out on the same windows. All windows of a stimulus go together.

    Parameters
    ----------
    k : int
        Labelled stimuli per class. Where it is more than half, `k` stimuli are not scored.
    seed : int, default 0
        Seed of the draw.
    reserve : int, optional
        Stimuli per class that are never scored, at least `k`. By default half of them, or `k`.
    """

    k: int
    seed: int = 0
    reserve: int | None = None

    @property
    def target_access(self) -> TargetAccess:
        """Labels of the test subject are used unless k is 0."""
        return "labelled_reference" if self.k else "none"

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """One fold per subject.

        Raises
        ------
        SplitError
            If a subject has too few stimuli of a class, so that none would be left to score, or
            the labels are no classes.
        """
        if self.k < 0:
            raise SplitError(f"personalised: k is {self.k}, expected 0 or more.")
        if self.reserve is not None and self.reserve < self.k:
            raise SplitError(
                f"personalised: reserve is {self.reserve}, expected at least k = {self.k}."
            )
        if y.dtype.kind == "f" and (y % 1 != 0).any():
            raise SplitError(
                "personalised draws labelled stimuli per class, and these targets are numbers. "
                "Use leave_one_subject_out, or make classes of them."
            )
        folds = []
        for fold in LeaveOneSubjectOut().folds(meta, y):
            rng = np.random.default_rng([self.seed, fold.index])
            train, unscored = [], []
            stimuli = _stimuli(meta, y, fold.test)
            for label in np.unique(y):
                of_class = [rows for rows in stimuli if y[rows[0]] == label]
                drawn = [of_class[i] for i in rng.permutation(len(of_class))]
                reserve = self._reserve(len(drawn), fold.name, label)
                unscored += drawn[:reserve]
                train += drawn[: self.k]
            personal = np.concatenate([*train, np.empty(0, dtype=int)]).astype(int)
            apart = np.concatenate([*unscored, np.empty(0, dtype=int)]).astype(int)
            folds.append(
                Fold(
                    fold.index,
                    fold.name,
                    np.sort(np.concatenate([fold.train, personal])),
                    np.setdiff1d(fold.test, apart),
                    fold.validation,
                )
            )
        return folds

    def _reserve(self, stimuli: int, subject: str, label: Any) -> int:
        """How many stimuli of a class are not scored."""
        reserve = max(self.k, stimuli // 2) if self.reserve is None else self.reserve
        if 0 < stimuli <= reserve:
            raise SplitError(
                f"personalised: subject {subject} has {stimuli} stimuli of class {label}, and "
                f"{reserve} of them are not scored (k = {self.k}), which would leave none. Take "
                "a smaller k or reserve."
            )
        return reserve


@dataclass(frozen=True)
class SklearnSplit:
    """Folds of a scikit-learn splitter, or of pairs of training and test rows.

    Parameters
    ----------
    splitter : scikit-learn splitter, or sequence of (train, test)
        Its ``split`` gets the samples' subjects as ``groups``.
    shared_subjects : bool, default False
        Declare that a subject may be in training and test of one fold.
    """

    splitter: Any
    shared_subjects: bool = False

    @property
    def name(self) -> str:
        """Class name of the splitter, or ``rows`` for pairs of rows."""
        return type(self.splitter).__name__ if hasattr(self.splitter, "split") else "rows"

    @property
    def params(self) -> dict[str, Any]:
        """Arguments of the splitter, for a record."""
        if self.name == "rows":
            flat = [np.asarray(rows) for pair in self.splitter for rows in pair]
            return {"folds": len(self.splitter), "digest": digest(*flat)[:12]}
        arguments = {
            name: value if isinstance(value, str | int | float | bool | None) else repr(value)
            for name, value in vars(self.splitter).items()
            if not name.startswith("_")
        }
        return arguments | {"shared_subjects": self.shared_subjects}

    @property
    def target_access(self) -> TargetAccess:
        """Labels of a test subject are used where subjects are shared."""
        return "labelled_reference" if self.shared_subjects else "none"

    def folds(self, meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]) -> list[Fold]:
        """Folds of the splitter, in its order.

        Raises
        ------
        SplitError
            If the splitter fails, or a fold is empty, repeats rows, or names rows that do not
            exist.
        """
        subjects = _subjects(meta, y)
        if self.name == "rows":
            pairs = list(self.splitter)
        else:
            try:
                with warnings.catch_warnings():  # a splitter of windows says that it ignores them
                    warnings.filterwarnings("ignore", message="The groups parameter is ignored")
                    pairs = list(self.splitter.split(np.zeros((len(y), 1)), y, groups=subjects))
            except (TypeError, ValueError) as error:
                raise SplitError(
                    f"{self.name} cannot split {len(y)} samples of "
                    f"{len(np.unique(subjects))} subjects: {error}"
                ) from error
        if not pairs:
            raise SplitError(f"{self.name}: there is no fold.")
        return [self._fold(i, pair, subjects) for i, pair in enumerate(pairs)]

    def _fold(self, index: int, pair: Any, subjects: Shaped[np.ndarray, " sample"]) -> Fold:
        try:
            train, test = (_rows(rows, len(subjects)) for rows in pair)
        except (TypeError, ValueError) as error:
            raise SplitError(
                f"{self.name}, fold {index}: {error}. Expected a pair of training and test rows."
            ) from error
        both = np.intersect1d(train, test)
        if len(both):
            raise SplitError(
                f"{self.name}, fold {index}: {len(both)} rows are in training and in test, the "
                f"first is row {both[0]}. A row belongs to one side."
            )
        tested = np.unique(subjects[test])
        name = str(tested[0]) if len(tested) == 1 else f"fold {index}"
        return Fold(index, name, train, test, np.empty(0, dtype=int))


def _rows(rows: Any, n: int) -> Rows:
    """Row numbers of one side of a fold, sorted."""
    array = np.asarray(rows)
    if array.dtype == bool and array.shape == (n,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"rows are {array.dtype} of shape {array.shape}")
    if array.min() < 0 or array.max() >= n:
        raise ValueError(f"rows {array.min()} … {array.max()} of {n} samples")
    unique = np.unique(array)
    if len(unique) < len(array):
        raise ValueError(f"{len(array) - len(unique)} rows are repeated")
    return unique


def from_sklearn(splitter: Any, *, shared_subjects: bool = False) -> SklearnSplit:
    """Use a scikit-learn splitter, or pairs of training and test rows, as a split.

    `evaluate` does this by itself. Call it to declare that subjects may be shared.

    Parameters
    ----------
    splitter : scikit-learn splitter, or sequence of (train, test)
        For example ``GroupKFold(5)`` or ``LeaveOneGroupOut()``. Its groups are the subjects.
    shared_subjects : bool, default False
        Declare that one subject may be in training and test of a fold, as within-subject
        evaluation has it. Without it `evaluate` refuses such a split. Declared, every prediction
        is marked ``labelled_reference`` and the report says so.

    Returns
    -------
    SklearnSplit

    Raises
    ------
    ConfigError
        If `splitter` is neither.

    Examples
    --------
    >>> from sklearn.model_selection import GroupKFold
    >>> from_sklearn(GroupKFold(5)).name
    'GroupKFold'
    """
    if isinstance(splitter, type):
        raise ConfigError(
            f"split is the class {splitter.__name__}, expected an instance: {splitter.__name__}()."
        )
    if isinstance(splitter, str) or not callable(getattr(splitter, "split", None)):
        if isinstance(splitter, str | Mapping) or not hasattr(splitter, "__iter__"):
            raise ConfigError(
                f"split is {splitter!r}, expected the name of a split ({', '.join(SPLITS)}), a "
                "split of dolorimeter.splits, a scikit-learn splitter, or pairs of training and "
                "test rows."
            )
        splitter = list(splitter)
    return SklearnSplit(splitter, shared_subjects)


def as_split(split: Any, seed: int = 0) -> Any:
    """Return the split that a name, a splitter or pairs of rows stand for.

    Parameters
    ----------
    split : str, Split, scikit-learn splitter or sequence of (train, test)
    seed : int, default 0
        ``random_state`` of a splitter that shuffles and has none, so that a run can be repeated.

    Raises
    ------
    ConfigError
        If the name is unknown or the split needs arguments.
    """
    if isinstance(split, str):
        if split not in SPLITS:
            near = difflib.get_close_matches(split, SPLITS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(SPLITS)}."
            raise ConfigError(f"unknown split '{split}'; {hint}")
        needs = [
            name
            for name, parameter in signature(SPLITS[split]).parameters.items()
            if parameter.default is Parameter.empty
        ]
        if needs:
            raise ConfigError(
                f"split '{split}' needs {', '.join(needs)}: pass "
                f"dl.splits.{split}({', '.join(f'{name}=…' for name in needs)})."
            )
        return SPLITS[split]()
    if callable(getattr(split, "folds", None)) and not isinstance(split, type):
        return split
    random = getattr(split, "random_state", 0) is None and getattr(split, "shuffle", True)
    if random:
        split = copy(split)
        split.random_state = seed
    return from_sklearn(split)


def refuse_shared_subjects(
    folds: Sequence[Fold], subjects: Shaped[np.ndarray, " sample"], split: Any
) -> None:
    """Raise if a subject is in training and test of one fold and the split does not declare it.

    Raises
    ------
    SplitError
        Names the fold and the subjects.
    """
    if split.target_access == "labelled_reference":
        return
    spelt = subjects.astype(str)
    names = _identities(spelt)
    for fold in folds:
        shared = np.intersect1d(names[fold.fit_rows], names[fold.test])
        both = [np.unique(spelt[rows[np.isin(names[rows], shared)]]).tolist()
                for rows in (fold.fit_rows, fold.test)]  # fmt: skip
        if len(shared) and not set(both[0]) & set(both[1]):
            raise SplitError(
                f"{split.name}, fold '{fold.name}': {', '.join(both[1][:5])} in test and "
                f"{', '.join(both[0][:5])} in training are one subject in different spellings. "
                "Write every subject in one spelling; if they are two subjects, give them names "
                "that differ in more than zeros, case and separators."
            )
        if len(shared):
            shared = np.intersect1d(spelt[fold.fit_rows], spelt[fold.test])
            raise SplitError(
                f"{split.name}, fold '{fold.name}': {len(shared)} subjects are in training and in "
                f"test ({', '.join(shared[:5])}). Split by subject, for example "
                "leave_one_subject_out or GroupKFold. If this is intended, declare it with "
                "dl.splits.from_sklearn(splitter, shared_subjects=True)."
            )


_NAMES: Mapping[type, str] = {
    LeaveOneSubjectOut: "leave_one_subject_out",
    GroupKFold: "group_k_fold",
    HoldOut: "hold_out",
    DrawnHoldOut: "drawn_hold_out",
    CrossDataset: "cross_dataset",
    Personalised: "personalised",
}


def leave_one_subject_out() -> LeaveOneSubjectOut:
    """Every subject is tested once, with a model of all the others."""
    return LeaveOneSubjectOut()


def group_k_fold(n_splits: int, seed: int = 0) -> GroupKFold:
    """Subjects dealt into `n_splits` groups by `seed`, each group tested once."""
    if n_splits < 2:
        raise ConfigError(f"group_k_fold: n_splits is {n_splits}, expected at least 2.")
    return GroupKFold(n_splits, seed)


def hold_out(
    test_subjects: Sequence[str],
    validation_subjects: Sequence[str] = (),
    train_subjects: Sequence[str] = (),
) -> HoldOut:
    """Named subjects are tested; without `train_subjects` all that are left train."""
    if not test_subjects:
        raise ConfigError("hold_out: test_subjects is empty, expected at least one subject.")
    return HoldOut(tuple(test_subjects), tuple(validation_subjects), tuple(train_subjects))


def drawn_hold_out(test: int, seed: int = 0) -> DrawnHoldOut:
    """`test` subjects drawn by `seed` are tested: where a published list is not known."""
    if test < 1:
        raise ConfigError(f"drawn_hold_out: test is {test}, expected at least one subject.")
    return DrawnHoldOut(test, seed)


def cross_dataset(train: str, test: str) -> CrossDataset:
    """Train on the data set `train`, test on the data set `test`."""
    return CrossDataset(train, test)


def personalised(k: int, seed: int = 0, reserve: int | None = None) -> Personalised:
    """Leave one subject out, with `k` labelled stimuli per class of the new subject in training.

    Parameters
    ----------
    k : int
        Labelled stimuli per class; 0 compares with no personalisation on the same windows.
    seed : int, default 0
        Seed of the draw.
    reserve : int, optional
        Stimuli per class that are never scored. By default half of a subject's, or `k` if more.

    Returns
    -------
    Personalised
    """
    return Personalised(k, seed, reserve)


SPLITS: Mapping[str, Callable[..., Split]] = {
    "leave_one_subject_out": leave_one_subject_out,
    "group_k_fold": group_k_fold,
    "hold_out": hold_out,
    "drawn_hold_out": drawn_hold_out,
    "cross_dataset": cross_dataset,
    "personalised": personalised,
}
"""Makers by name, as experiment files call them."""


def inner_validation(
    groups: Shaped[np.ndarray, " sample"],
    share: float,
    seed: int,
    y: Shaped[np.ndarray, " sample"] | None = None,
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " held"]]:
    """Cut validation subjects from the training subjects.

    Parameters
    ----------
    groups : Shaped[np.ndarray, "sample"]
        Subject of each sample.
    share : float
        Share of the subjects that validate; at least one does and at least one trains.
    seed : int
    y : Shaped[np.ndarray, "sample"], optional
        Class of each sample; then every class must be on both sides, and the draw is repeated
        until it is (at most 100 times). Where no draw of that many subjects has every class, as
        with subjects of one class each, more subjects validate, up to half of them.

    Returns
    -------
    tuple
        Rows that train, rows that validate; sorted.

    Raises
    ------
    SplitError
        If there are fewer than two subjects, or classes cannot be on both sides.
    """
    if not 0 < share < 1:
        raise SplitError(f"validation share is {share}, expected between 0 and 1.")
    names = np.unique(groups)
    if len(names) < 2:
        raise SplitError(
            f"inner validation needs at least 2 training subjects, found {len(names)}: use more "
            "subjects, or an estimator without early stopping or calibration."
        )
    count = min(max(1, round(share * len(names))), len(names) - 1)
    rng = np.random.default_rng(seed)
    for more in range(count, max(count, len(names) // 2) + 1):
        for _ in range(100):
            chosen = np.isin(groups, rng.permutation(names)[:more])
            if y is None or set(y[chosen]) == set(y[~chosen]):
                return np.flatnonzero(~chosen), np.flatnonzero(chosen)
    raise SplitError(
        f"inner validation: no draw of {count} of {len(names)} subjects has every class on both "
        "sides, nor of more. Some classes belong to single subjects: use a larger share."
    )


def inner_folds(
    groups: Shaped[np.ndarray, " sample"], n: int, seed: int
) -> list[tuple[Rows, Rows]]:
    """Training and held-out rows of `n` folds by subject, for calibration and search inside `fit`.

    Raises
    ------
    SplitError
        If there are fewer subjects than folds.
    """
    folds = []
    for group in _deal(np.unique(groups), n, seed):
        held = np.isin(groups, group)
        folds.append((np.flatnonzero(~held), np.flatnonzero(held)))
    return folds


def _subjects(
    meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"]
) -> Shaped[np.ndarray, " sample"]:
    subjects = meta["subject"].to_numpy().astype(str)
    if len(subjects) != len(y):
        raise SplitError(f"{len(subjects)} samples and {len(y)} labels: they must be one to one.")
    return subjects


def _stimuli(meta: pd.DataFrame, y: Shaped[np.ndarray, " sample"], rows: Rows) -> list[Rows]:
    """Rows of each stimulus of one subject, in the order of time.

    Windows without the name of a stimulus are one stimulus where they follow each other without a
    gap in one recording and have one class, else each is its own.
    """
    rows = _in_time(meta, rows)
    mine = meta.iloc[rows]
    blank = np.full(len(rows), "", dtype=object)
    names, recordings = (
        mine[c].astype(str).to_numpy() if c in mine else blank for c in ("stimulus", "recording")
    )
    starts, durations = (
        mine[c].to_numpy(dtype=float) if c in mine else np.full(len(rows), np.nan)
        for c in ("start", "duration")
    )
    stimuli: dict[tuple[str, str | int], list[int]] = {}
    run = 0
    for i, row in enumerate(rows.tolist()):
        follows = (
            i > 0
            and recordings[i] == recordings[i - 1]
            and y[row] == y[rows[i - 1]]
            and starts[i] <= starts[i - 1] + durations[i - 1] + 1e-9
        )
        run += not follows
        stimuli.setdefault((recordings[i], names[i] or run), []).append(row)
    return [np.array(found, dtype=int) for found in stimuli.values()]


def _identities(subjects: Shaped[np.ndarray, " sample"]) -> Shaped[np.ndarray, " sample"]:
    """Canonical form of each subject's name: two spellings are one subject."""
    from dolorimeter.datasets.participants import identity  # imports every reader

    names, places = np.unique(subjects, return_inverse=True)
    return np.array([identity(name) for name in names], dtype=object)[places].astype(str)


def _in_time(meta: pd.DataFrame, rows: Rows) -> Rows:
    """`rows` in the order of recording and start, so that the order of files draws nothing."""
    keys = [c for c in ("recording", "start") if c in meta.columns]
    if not keys:
        return rows
    mine = meta[keys].iloc[rows].reset_index(drop=True)
    return rows[mine.sort_values(keys, kind="stable").index.to_numpy()]


def _deal(
    names: Shaped[np.ndarray, " subject"], n: int, seed: int
) -> list[Shaped[np.ndarray, "..."]]:
    """Names in `n` groups, at random by `seed`, each group sorted."""
    if not 2 <= n <= len(names):
        raise SplitError(
            f"{n} folds of {len(names)} subjects: the number of folds must lie between 2 and the "
            "number of subjects."
        )
    order = np.random.default_rng(seed).permutation(names)
    return [np.sort(group) for group in np.array_split(order, n)]


def _fold(
    index: int,
    name: str,
    subjects: Shaped[np.ndarray, " sample"],
    test: Sequence[str] | Shaped[np.ndarray, " subject"],
    validation: Sequence[str] = (),
    train: Sequence[str] | None = None,
) -> Fold:
    is_test, is_validation = np.isin(subjects, test), np.isin(subjects, validation)
    is_train = ~is_test & ~is_validation if train is None else np.isin(subjects, train)
    for rows, words in ((is_train, "training"), (is_test, "test")):
        if not rows.any():
            raise SplitError(f"fold '{name}' has no {words} windows: check the subjects named.")
    return Fold(
        index,
        str(name),
        np.flatnonzero(is_train),
        np.flatnonzero(is_test),
        np.flatnonzero(is_validation),
    )
