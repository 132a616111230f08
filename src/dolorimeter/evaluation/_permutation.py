"""Permutation test: refit on labels shuffled within each subject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from dolorimeter import metrics, statistics
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._evaluate import evaluate
from dolorimeter.evaluation._rows import Metric, aggregate, scores_by_subject
from dolorimeter.evaluation._run import Run
from dolorimeter.evaluation._summary import Permutations
from dolorimeter.samples import Samples
from dolorimeter.types import TargetKind


def permutation_test(
    estimator: Any,
    samples: Samples,
    y: Shaped[np.ndarray, " sample"],
    split: Any,
    *,
    permutations: int,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Permutations:
    """Refit the whole pipeline on labels permuted within subject.

    Windows of one stimulus that share a label keep sharing one: stimuli are shuffled, not windows.
    Scores are those of the question's aggregation.

    Parameters
    ----------
    permutations : int
        At least 999 for shallow models; fewer are called coarse.
    progress : callable, optional
        Called with permutations done and permutations in all.
    options
        Handed to `evaluate`.
    """
    if permutations < 1:
        raise EvaluationError(f"permutations is {permutations}, expected at least 1.")
    options |= {"baselines": False, "workers": workers, "seed": seed}
    kind: TargetKind = options.get("target_kind") or "classifier"
    known = metrics.by_kind(kind)
    scoring = options.get("scoring")
    name = metrics.named(scoring, kind)[0] if scoring else next(iter(known))
    main: Metric = known[name]
    observed = _mean_score(evaluate(estimator, samples, y, split, **options), main)
    rng = np.random.default_rng(seed)
    permuted = []
    units = _units(samples, y)
    for done in range(1, permutations + 1):
        shuffled = permuted_within(y, samples.subjects, rng, units)
        permuted.append(
            _mean_score(evaluate(estimator, samples, shuffled, split, **options), main)
        )
        if progress:
            progress(done, permutations)
    sign = -1.0 if name in metrics.LOWER_IS_BETTER else 1.0
    p = statistics.permutation_p(sign * observed, sign * np.array(permuted))
    return Permutations(observed, tuple(permuted), p, permutations < 999)


def permuted_within(
    y: Shaped[np.ndarray, " sample"],
    subjects: Shaped[np.ndarray, " sample"],
    rng: np.random.Generator,
    units: Int[np.ndarray, " sample"] | None = None,
) -> Shaped[np.ndarray, " sample"]:
    """Labels shuffled among the samples of each subject, or among its units where given.

    All samples of a unit must have one label, and lie in one subject.
    """
    units = np.arange(len(y)) if units is None else units
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    of_unit, owner = y[first], subjects.astype(str)[first]
    shuffled = of_unit.copy()
    for subject in np.unique(owner):
        rows = np.flatnonzero(owner == subject)
        shuffled[rows] = of_unit[rng.permutation(rows)]
    return shuffled[place]


def _units(samples: Samples, y: Shaped[np.ndarray, " sample"]) -> Int[np.ndarray, " sample"]:
    """Stimulus of each sample; each sample by itself where a stimulus has several labels."""
    rows = samples.meta[["subject", "recording", "stimulus"]].astype(str)
    named = (rows["stimulus"] != "").to_numpy()
    units = rows.groupby(list(rows.columns), sort=False).ngroup().to_numpy()
    labels = pd.Series(y).groupby(units).transform("nunique").to_numpy()
    alone = np.arange(len(y)) + units.max() + 1
    return np.where(named & (labels == 1), units, alone)


def _mean_score(run: Run, metric: Metric) -> float:
    rows = aggregate(run.predictions, run.question.aggregation)
    return float(np.nanmean(scores_by_subject(rows, metric)))
