"""Permutation test: refit on permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from dolorimeter import metrics, statistics
from dolorimeter.clusters import cluster
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._evaluate import planned
from dolorimeter.evaluation._fold_store import PermutationStore
from dolorimeter.evaluation._inputs import seeds_of
from dolorimeter.evaluation._label_units import label_units, permuted_labels
from dolorimeter.evaluation._rows import aggregate, headline
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
    seed: int | Sequence[int] = 0,
    workers: int = 1,
    backend: str | None = None,
    cluster_address: str | None = None,
    run_dir: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Permutations:
    """Refit the whole pipeline on permuted labels.

    Labels are permuted within subjects, and between subjects who have one label only. What is
    permuted are stimuli, not windows (see `label_units`); where the windows of one stimulus are
    unknown there is no p. Scores are those of the question's aggregation, and of every seed.

    Parameters
    ----------
    permutations : int
        At least 999 for shallow models; fewer are called coarse.
    seed : int or sequence of int, default 0
        Seeds of the fits. The first one also is the seed of the permutations.
    workers, backend, cluster_address
        As in `evaluate`.
    run_dir : str or Path, optional
        Each score is stored here as it comes. The same call resumes an interrupted test.
    progress : callable, optional
        Called with the number of finished permutations and of all permutations.
    options
        Passed to `evaluate`.

    Returns
    -------
    Permutations
        With NaN as p and a reason if labels cannot be permuted.
    """
    if permutations < 1:
        raise EvaluationError(f"permutations is {permutations}, expected at least 1.")
    seeds = seeds_of(seed)
    options |= {"baselines": False, "workers": workers, "seed": seeds}
    options |= {"backend": backend, "cluster_address": cluster_address}
    kind: TargetKind = options.get("target_kind") or "classifier"
    scoring = options.get("scoring")
    name = metrics.named(scoring, kind)[0] if scoring else next(iter(metrics.by_kind(kind)))
    plan = planned(estimator, samples, y, split, **options)
    store = PermutationStore(
        None if run_dir is None else Path(run_dir), digest(plan.fingerprint, name)
    )

    def score(labels: Shaped[np.ndarray, " sample"]) -> float:
        key = digest(labels)
        known = store.get(key)
        if known is None:
            rows = plan.with_labels(labels).predictions()
            known = headline(aggregate(rows, plan.writer.question.aggregation), name, kind)
            store.add(key, known)
        return known

    labels = plan.job.y
    units = label_units(samples, labels, kind)
    rng = np.random.default_rng(seeds[0])
    permuted = []
    with ExitStack() as stack:
        if run_dir is not None:
            stack.enter_context(locked(Path(run_dir), "this run"))
        if backend is not None:  # one cluster for all permutations
            stack.enter_context(cluster(backend, workers, cluster_address))
        observed = score(labels)
        if units.reason:
            return Permutations(observed, (), float("nan"), False, reason=units.reason)
        for done in range(1, permutations + 1):
            permuted.append(score(permuted_labels(units, samples, labels, rng)))
            if progress:
                progress(done, permutations)
    sign = -1.0 if name in metrics.LOWER_IS_BETTER else 1.0
    p = statistics.permutation_p(sign * observed, sign * np.array(permuted))
    return Permutations(observed, tuple(permuted), p, permutations < 999, units.name)
