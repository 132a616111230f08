"""The leak-o-meter: how much a figure grows when the epoch is chosen on the test fold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import chooses_on_subjects
from dolorimeter.evaluation import evaluate, fit_fold, scores_by_subject
from dolorimeter.metrics import accuracy
from dolorimeter.samples import Samples, take_rows
from dolorimeter.statistics import interval_over_subjects
from dolorimeter.types import Array, Selection


@dataclass(frozen=True)
class LeakOMeter:
    """One estimator, its epoch chosen on the test fold, against an honest choice or none.

    All figures are accuracies (mean over subjects), between 0 and 1.

    Parameters
    ----------
    inner, inner_low, inner_high : float
        Epoch chosen on inner validation subjects, with its 95 % interval over subjects. The last
        epoch where the estimator chooses none.
    oracle : float
        Epoch chosen on each test subject's own labels.
    inflation : float
        ``oracle − inner``.
    chance : float
        Share of the largest class.
    bound : float
        What `oracle` would be if epochs were independent guesses of the inner quality:
        `independent_epochs_bound`.
    epochs : int
        How many the choice was made from.
    subjects : int
        People tested.
    windows_per_subject : float
        Mean number of windows of one person.
    selection : str
        ``inner``, or ``fixed`` where the estimator chooses no epoch on inner subjects.
    """

    inner: float
    inner_low: float
    inner_high: float
    oracle: float
    inflation: float
    chance: float
    bound: float
    epochs: int
    subjects: int
    windows_per_subject: float
    selection: Selection = "inner"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        honest = "epoch chosen on inner subjects" if self.selection == "inner" else "last epoch"
        return (
            f"{honest}: {100 * self.inner:.1f} % "
            f"({100 * self.inner_low:.1f}–{100 * self.inner_high:.1f}, {self.subjects} subjects); "
            f"chosen on the test subject: {100 * self.oracle:.1f} %; inflation "
            f"{100 * self.inflation:+.1f} points from {self.epochs} epochs and "
            f"{self.windows_per_subject:.0f} windows a subject; chance {100 * self.chance:.1f} %, "
            f"independent epochs would give {100 * self.bound:.1f} %"
        )


def leak_o_meter(
    estimator: Any,
    samples: Samples,
    y: Array,
    split: Any,
    *,
    seed: int = 0,
    workers: int = 1,
) -> LeakOMeter:
    """Run an estimator with ``oracle_fold_epoch`` and without, and measure the inflation.

    The other run is ``inner``, or ``fixed`` if the estimator chooses nothing on inner subjects.

    Parameters
    ----------
    estimator : estimator with ``staged_predict_proba``
        Both runs use this one method; only `evaluate` joins it with test labels.
    samples, y, split
        As `evaluate` takes them.
    seed : int
    workers : int
        Processes for the folds.

    Raises
    ------
    EvaluationError
        If the estimator has no epochs to choose from.
    """
    if not hasattr(estimator, "staged_predict_proba"):
        raise EvaluationError(
            f"{type(estimator).__name__} has no staged_predict_proba(x), so there is no epoch to "
            "choose: give the leak-o-meter a model that is trained in epochs or stages."
        )
    honest: Selection = "inner" if chooses_on_subjects(estimator) else "fixed"
    kinds: tuple[Selection, ...] = (honest, "oracle_fold_epoch")
    runs = {
        selection: evaluate(
            estimator,
            samples,
            y,
            split,
            selection=selection,
            seed=seed,
            workers=workers,
            baselines=False,
        )
        for selection in kinds
    }
    inner = scores_by_subject(runs[honest].predictions, accuracy)
    oracle = scores_by_subject(runs["oracle_fold_epoch"].predictions, accuracy)
    low, high = interval_over_subjects(inner.to_numpy(dtype=float))
    counts = runs[honest].predictions.groupby("subject").size().to_numpy()
    chance = float(np.bincount(y.astype(int)).max() / len(y))
    epochs = _epochs(estimator, samples, y, split, seed)
    quality = max(chance, float(inner.mean()))
    return LeakOMeter(
        inner=float(inner.mean()),
        inner_low=low,
        inner_high=high,
        oracle=float(oracle.mean()),
        inflation=float(oracle.mean() - inner.mean()),
        chance=chance,
        bound=float(np.mean([independent_epochs_bound(int(n), quality, epochs) for n in counts])),
        epochs=epochs,
        subjects=len(inner),
        windows_per_subject=float(counts.mean()),
        selection=honest,
    )


def independent_epochs_bound(windows: int, accuracy: float, epochs: int) -> float:
    """Expected best accuracy of `epochs` independent guesses of one subject's windows.

    The expectation of the maximum of E independent binomial shares,
    ``Σ_{k<n} (1 − F(k)^E) / n``. Epochs of one training run are correlated, so that choosing among
    them gains less.

    >>> round(independent_epochs_bound(40, 0.5, 1), 3)
    0.5
    >>> round(independent_epochs_bound(40, 0.5, 100), 2)
    0.7
    """
    from scipy.stats import binom

    below = binom.cdf(np.arange(windows), windows, accuracy)
    return float(np.sum(1.0 - below**epochs) / windows)


def _epochs(estimator: Any, samples: Samples, y: Array, split: Any, seed: int) -> int:
    """How many stages the estimator gives after a fit on the smallest fold."""
    from sklearn.base import clone

    fold = min(split.folds(samples.meta, y), key=lambda f: (len(f.fit_rows), f.index))
    if "keep_epochs" in estimator.get_params(deep=False):  # as `evaluate` asks for them
        estimator = clone(estimator).set_params(keep_epochs=True)
    model = fit_fold(estimator, samples, y, fold, seed)
    test = np.asarray(fold.test, dtype=int)
    return sum(1 for _ in model.staged_predict_proba(take_rows(samples.x, test)))
