"""Permutation test: refit on labels shuffled within each subject."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from dolorimeter import metrics, statistics
from dolorimeter.clusters import cluster
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._evaluate import planned
from dolorimeter.evaluation._fold_store import PermutationStore
from dolorimeter.evaluation._rows import Metric, aggregate, scores_by_subject
from dolorimeter.evaluation._summary import Permutations
from dolorimeter.samples import Samples
from dolorimeter.storage import digest, locked
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
    backend: str | None = None,
    cluster_address: str | None = None,
    run_dir: str | Path | None = None,
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
    seed : int, default 0
        Seed of the fits and of the permutations.
    workers, backend, cluster_address
        As in `evaluate`.
    run_dir : str or Path, optional
        Each score is stored here as it comes. The same call resumes an interrupted test.
    progress : callable, optional
        Called with permutations done and permutations in all.
    options
        Handed to `evaluate`.
    """
    if permutations < 1:
        raise EvaluationError(f"permutations is {permutations}, expected at least 1.")
    options |= {"baselines": False, "workers": workers, "seed": seed}
    options |= {"backend": backend, "cluster_address": cluster_address}
    kind: TargetKind = options.get("target_kind") or "classifier"
    known = metrics.by_kind(kind)
    scoring = options.get("scoring")
    name = metrics.named(scoring, kind)[0] if scoring else next(iter(known))
    main: Metric = known[name]
    plan = planned(estimator, samples, y, split, **options)
    store = PermutationStore(
        None if run_dir is None else Path(run_dir), digest(plan.fingerprint, name)
    )

    def score(labels: Shaped[np.ndarray, " sample"]) -> float:
        """Return the score on labels that were not scored before, or the stored one."""
        key = digest(labels)
        known = store.get(key)
        if known is None:
            rows = aggregate(plan.with_labels(labels).predictions(), aggregation)
            known = float(np.nanmean(scores_by_subject(rows, main)))
            store.add(key, known)
        return known

    aggregation = plan.writer.question.aggregation
    rng = np.random.default_rng(seed)
    permuted = []
    units = _units(samples, y)
    with ExitStack() as stack:
        if run_dir is not None:
            stack.enter_context(locked(Path(run_dir), "this run"))
        if backend is not None:  # one cluster for all permutations
            stack.enter_context(cluster(backend, workers, cluster_address))
        observed = score(plan.job.y)
        for done in range(1, permutations + 1):
            permuted.append(score(permuted_within(plan.job.y, samples.subjects, rng, units)))
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
