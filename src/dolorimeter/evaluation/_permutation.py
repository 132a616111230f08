"""Permutation test: refit on permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from dolorimeter import metrics, statistics
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._evaluate import evaluate
from dolorimeter.evaluation._inputs import seeds_of
from dolorimeter.evaluation._label_units import label_units, permuted_labels
from dolorimeter.evaluation._rows import aggregate, headline
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
    seed: int | Sequence[int] = 0,
    workers: int = 1,
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
    kind: TargetKind = options.get("target_kind") or "classifier"
    scoring = options.get("scoring")
    name = metrics.named(scoring, kind)[0] if scoring else next(iter(metrics.by_kind(kind)))

    def score(labels: Shaped[np.ndarray, " sample"]) -> float:
        run = evaluate(estimator, samples, labels, split, **options)
        return headline(aggregate(run.predictions, run.question.aggregation), name, kind)

    observed = score(y)
    units = label_units(samples, y, kind)
    if units.reason:
        return Permutations(observed, (), float("nan"), False, reason=units.reason)
    rng = np.random.default_rng(seeds[0])
    permuted = []
    for done in range(1, permutations + 1):
        permuted.append(score(permuted_labels(units, samples, y, rng)))
        if progress:
            progress(done, permutations)
    sign = -1.0 if name in metrics.LOWER_IS_BETTER else 1.0
    p = statistics.permutation_p(sign * observed, sign * np.array(permuted))
    return Permutations(observed, tuple(permuted), p, permutations < 999, units.name)
