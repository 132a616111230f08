"""From rows to numbers: per person first, pooled beside them, chance and baselines always."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from dolorimeter import metrics, statistics
from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation._evaluate import evaluate
from dolorimeter.evaluation._run import Run, probabilities_of
from dolorimeter.types import Samples

Aggregation = Literal["window", "stimulus", "recording"]
Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Score:
    """One metric over people.

    Parameters
    ----------
    mean, low, high : float
        Mean over subjects and its 95 % interval over subjects.
    sd : float
        Of the subjects' scores.
    subjects : int
        People for whom it is defined.
    undefined : int
        People for whom it is not (one class only).
    """

    mean: float
    low: float
    high: float
    sd: float
    subjects: int
    undefined: int


@dataclass(frozen=True)
class Summary:
    """Every number of a run, ready for JSON.

    Parameters
    ----------
    main : str
        Name of the metric that is reported first: balanced accuracy, or concordance.
    by_subject : mapping of metric to Score
    pooled : mapping of metric to float
        Over all windows of all people, as most published macro figures are.
    scores : mapping of metric to mapping of subject to float
    spread : Spread or None
        Of the subjects' accuracies: observed, by counting alone, between people.
    confusion : list of lists
        True class by row.
    chance : mapping
        ``uniform`` (1/C), ``majority`` (share of the most frequent class), ``binomial_bound``.
    baselines : mapping of name to Score
        In the main metric.
    lowest : tuple
        Subject with the lowest main metric, and that score.
    groups : mapping of column to list of Group
    gaps : mapping of column to tuple
        Largest gap between two groups of a column, with its interval.
    seeds : mapping of seed to float
        Mean over subjects of the main metric.
    seed_sd : float
        NaN with one seed.
    """

    target_kind: str
    classes: tuple[str, ...]
    main: str
    subjects: int
    windows: int
    class_counts: tuple[int, ...]
    by_subject: Mapping[str, Score]
    pooled: Mapping[str, float]
    scores: Mapping[str, Mapping[str, float]]
    spread: statistics.Spread | None
    confusion: list[list[int]]
    chance: Mapping[str, float]
    baselines: Mapping[str, Score]
    lowest: tuple[str, float]
    groups: Mapping[str, list[statistics.Group]] = field(default_factory=dict)
    gaps: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    seeds: Mapping[int, float] = field(default_factory=dict)
    seed_sd: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON (NaN stays NaN)."""
        return asdict(self)


def summarise(run: Run) -> Summary:
    """Every number of `spec/evaluation.md` that the rows of a run give.

    Scores are taken per subject and seed, averaged over seeds, then over subjects.
    """
    rows = aggregate(run.predictions, run.question.aggregation)
    regression = run.target_kind == "regressor"
    table = metrics.REGRESSION if regression else metrics.CLASSIFICATION
    main = next(iter(table))
    scores = {name: scores_by_subject(rows, metric) for name, metric in table.items()}
    truth, said = _truth_and_said(rows)
    of_main = scores[main]
    worst = of_main.idxmin() if of_main.notna().any() else ""
    seeds = {
        int(str(s)): float(np.nanmean(scores_by_subject(part, table[main]))) if len(part) else 0.0
        for s, part in rows.groupby("seed")
    }
    counts = () if regression else tuple(np.bincount(truth, minlength=said.shape[1]).tolist())
    groups = {g: _groups(rows, of_main, g) for g in run.groups}
    return Summary(
        target_kind=run.target_kind,
        classes=run.classes,
        main=main,
        subjects=int(rows["subject"].nunique()),
        windows=int(len(rows) / max(len(seeds), 1)),
        class_counts=tuple(int(c / max(len(seeds), 1)) for c in counts),
        by_subject={name: score(values) for name, values in scores.items()},
        pooled={name: _mean_over_seeds(rows, metric) for name, metric in table.items()},
        scores={
            name: {str(s): float(v) for s, v in values.items()} for name, values in scores.items()
        },
        spread=None if regression else _spread(rows, scores["accuracy"]),
        confusion=[] if regression else metrics.confusion(truth, said).tolist(),
        chance={} if regression else _chance(truth, said.shape[1], len(seeds)),
        baselines=_baselines(run, table[main]),
        lowest=(str(worst), float(of_main.min())),
        groups=groups,
        gaps={g: _gap(rows, of_main, g) for g in run.groups},
        seeds=seeds,
        seed_sd=float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else math.nan,
    )


def aggregate(predictions: pd.DataFrame, to: str) -> pd.DataFrame:
    """Join windows into one decision a stimulus or recording: probabilities are averaged.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Rows of a `Run`.
    to : {"window", "stimulus", "recording"}

    Raises
    ------
    EvaluationError
        If windows that are to be joined carry different labels.
    """
    if to == "window":
        return predictions
    if to not in ("stimulus", "recording"):
        raise EvaluationError(
            f"aggregation '{to}' is unknown; known: window, stimulus, recording."
        )
    keys = ["seed", "fold", "subject", "recording"] + (["stimulus"] if to == "stimulus" else [])
    truth = "label" if "label" in predictions else "target"
    mixed = predictions.groupby(keys, sort=False)[truth].nunique()
    if (mixed > 1).any():
        raise EvaluationError(
            f"aggregation to {to}: {int((mixed > 1).sum())} of them hold windows of different "
            f"{truth}s, such as {mixed[mixed > 1].index[0]}. Aggregate to 'stimulus' or 'window'."
        )
    values = [c for c in predictions if str(c).startswith("p_") or c in ("prediction", "quality")]
    how = {c: "mean" if c in values else "first" for c in predictions if c not in keys}
    joined = predictions.groupby(keys, sort=False, as_index=False).agg(how)
    return joined[[c for c in predictions if c in joined]]


def scores_by_subject(rows: pd.DataFrame, metric: Metric) -> pd.Series:
    """The metric of each subject, averaged over seeds; NaN where it is not defined."""
    found: dict[str, list[float]] = {}
    for (subject, _), part in rows.groupby(["subject", "seed"], sort=True):
        found.setdefault(str(subject), []).append(metric(*_truth_and_said(part)))
    return pd.Series({subject: float(np.mean(values)) for subject, values in found.items()})


def score(values: pd.Series) -> Score:
    """Mean, interval over subjects and spread of per-subject scores."""
    numbers = values.to_numpy(dtype=float)
    known = numbers[np.isfinite(numbers)]
    low, high = statistics.interval_over_subjects(numbers)
    return Score(
        mean=float(known.mean()) if len(known) else math.nan,
        low=low,
        high=high,
        sd=float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        subjects=len(known),
        undefined=len(numbers) - len(known),
    )


@dataclass(frozen=True)
class Permutations:
    """Scores of a pipeline refitted on labels that were shuffled within each subject.

    `coarse` when there are so few that p cannot be small.
    """

    observed: float
    permuted: tuple[float, ...]
    p: float
    coarse: bool


def permutation_test(
    estimator: Any,
    samples: Samples,
    y: Shaped[np.ndarray, " sample"],
    split: Any,
    *,
    permutations: int,
    seed: int = 0,
    workers: int = 1,
    **options: Any,
) -> Permutations:
    """Refit the whole pipeline on labels permuted within subject.

    Parameters
    ----------
    permutations : int
        At least 999 for shallow models; fewer are called coarse.
    options
        Handed to `evaluate`.
    """
    if permutations < 1:
        raise EvaluationError(f"permutations is {permutations}, expected at least 1.")
    options |= {"baselines": False, "workers": workers, "seed": seed}
    main: Metric = metrics.balanced_accuracy
    if options.get("target_kind") == "regressor":
        main = metrics.concordance
    observed = _mean_score(evaluate(estimator, samples, y, split, **options), main)
    rng = np.random.default_rng(seed)
    permuted = []
    for _ in range(permutations):
        shuffled = permuted_within(y, samples.subjects, rng)
        permuted.append(
            _mean_score(evaluate(estimator, samples, shuffled, split, **options), main)
        )
    p = statistics.permutation_p(observed, np.array(permuted))
    return Permutations(observed, tuple(permuted), p, permutations < 999)


def permuted_within(
    y: Shaped[np.ndarray, " sample"],
    subjects: Shaped[np.ndarray, " sample"],
    rng: np.random.Generator,
) -> Shaped[np.ndarray, " sample"]:
    """Labels shuffled among the samples of each subject."""
    shuffled = y.copy()
    for subject in np.unique(subjects.astype(str)):
        rows = np.flatnonzero(subjects.astype(str) == subject)
        shuffled[rows] = y[rng.permutation(rows)]
    return shuffled


def _mean_score(run: Run, metric: Metric) -> float:
    return float(np.nanmean(scores_by_subject(run.predictions, metric)))


def _truth_and_said(rows: pd.DataFrame) -> tuple[Any, Float[np.ndarray, "..."]]:
    if "label" in rows:
        return rows["label"].to_numpy(dtype=int), probabilities_of(rows)
    return rows["target"].to_numpy(dtype=float), rows["prediction"].to_numpy(dtype=float)


def _mean_over_seeds(rows: pd.DataFrame, metric: Metric) -> float:
    return float(np.mean([metric(*_truth_and_said(part)) for _, part in rows.groupby("seed")]))


def _spread(rows: pd.DataFrame, accuracies: pd.Series) -> statistics.Spread:
    windows = rows[rows["seed"] == rows["seed"].iloc[0]].groupby("subject").size()
    counts = windows.reindex(accuracies.index).to_numpy(dtype=float)
    return statistics.spread(accuracies.to_numpy(dtype=float), counts)


def _chance(truth: Any, n_classes: int, seeds: int) -> dict[str, float]:
    counts = np.bincount(truth, minlength=n_classes)
    majority = float(counts.max() / counts.sum())
    windows = int(len(truth) / max(seeds, 1))
    bound = statistics.binomial_bound(windows, majority) if majority < 1 else math.nan
    return {"uniform": 1 / n_classes, "majority": majority, "binomial_bound": bound}


def _baselines(run: Run, metric: Metric) -> dict[str, Score]:
    if "model" not in run.baselines:
        return {}
    return {
        str(name): score(scores_by_subject(aggregate(rows, run.question.aggregation), metric))
        for name, rows in run.baselines.groupby("model", sort=False)
    }


def _group_of(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("subject")[column].first()


def _groups(rows: pd.DataFrame, scores: pd.Series, column: str) -> list[statistics.Group]:
    names = _group_of(rows, column).reindex(scores.index).astype(str).tolist()
    return statistics.by_group(scores.to_numpy(dtype=float), names)


def _gap(rows: pd.DataFrame, scores: pd.Series, column: str) -> tuple[float, float, float]:
    """Welch's gap of the two groups that lie farthest apart."""
    names = _group_of(rows, column).reindex(scores.index).astype(str)
    means = scores.groupby(names).mean().dropna()
    if len(means) < 2:
        return math.nan, math.nan, math.nan
    high, low = (
        scores[names == n].to_numpy(dtype=float) for n in (means.idxmax(), means.idxmin())
    )
    return statistics.group_gap(high, low)
