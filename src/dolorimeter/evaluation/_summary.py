"""From rows to numbers: per person first, pooled beside them, chance and baselines always."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter import metrics, statistics
from dolorimeter._on_demand import notice
from dolorimeter.estimators import coverage_by_subject
from dolorimeter.evaluation._rows import Metric, aggregate, scores_by_subject, truth_and_output
from dolorimeter.evaluation._thinning import THINNED
from dolorimeter.types import TargetKind

ANSWERED = (0.25, 0.5, 0.75, 1.0)
"""Shares of windows answered at which a summary tells the share wrong."""


@dataclass(frozen=True)
class Permutations:
    """Scores of a pipeline refitted on labels that were shuffled within each subject.

    `coarse` when there are so few that p cannot be small.
    """

    observed: float
    permuted: tuple[float, ...]
    p: float
    coarse: bool


@runtime_checkable
class Evaluated(Protocol):
    """What `summarise` reads of a run."""

    @property
    def predictions(self) -> pd.DataFrame: ...
    @property
    def baselines(self) -> pd.DataFrame: ...
    @property
    def degradation(self) -> pd.DataFrame: ...
    @property
    def aggregation(self) -> str: ...
    @property
    def target_kind(self) -> TargetKind: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def demographics(self) -> tuple[str, ...]: ...
    @property
    def scoring(self) -> tuple[str, ...]: ...
    @property
    def permutation(self) -> Permutations | None: ...


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

    def within(self, low: float, high: float) -> Score:
        """The same with its interval cut to what the metric can be.

        A t-interval of few people knows nothing of that.
        """
        ends = np.clip([self.low, self.high], low, high)
        return replace(self, low=float(ends[0]), high=float(ends[1]))


@dataclass(frozen=True)
class Coverage:
    """How often sets or intervals held the truth, each person weighted 1.

    Parameters
    ----------
    target : float
        Share that was aimed at; NaN where the estimator does not say.
    mean : float
        Mean over subjects of the share of their windows that were covered.
    share_below : float
        Share of subjects whose own coverage is below the target; NaN without a target.
    worst : float
        Coverage of the subject who was covered least.
    worst_subject : str
    size : float
        Mean width of the intervals in the target's unit, or mean number of classes in a set.
    by_subject : mapping of subject to float
    """

    target: float
    mean: float
    share_below: float
    worst: float
    worst_subject: str
    size: float
    by_subject: Mapping[str, float]


@dataclass(frozen=True)
class Summary:
    """Every number of a run, ready for JSON.

    Parameters
    ----------
    main : str
        Name of the metric that is reported first: the first of ``Run.scoring``, else balanced
        accuracy, or concordance.
    by_subject : mapping of metric to Score
    pooled : mapping of metric to float
        Over all windows of all people, as most published macro figures are.
    scores : mapping of metric to mapping of subject to float
    spread : Spread or None
        Of the subjects' accuracies: observed, by counting alone, between people.
    confusion : list of lists
        True class by row.
    chance : mapping
        ``main`` (main metric of guessing; NaN if unknown), ``uniform`` (1/C),
        ``majority`` (share of the most frequent class), ``binomial_bound``.
    baselines : mapping of name to Score
        In the main metric.
    lowest : tuple
        Subject with the worst main metric, and that score.
    demographics : mapping of column to list of Group
        Scores of the subjects with each value of a demographic column.
    gaps : mapping of column to tuple
        Largest gap between two groups of a column, with its interval.
    seeds : mapping of seed to float
        Mean over subjects of the main metric.
    seed_sd : float
        NaN with one seed.
    degradation : mapping of missing streams to Score
        Main metric with those streams taken away at test; streams are joined by ``+``.
    degradation_loss : mapping of missing streams to Score
        What that costs, person by person: the main metric with everything, minus without.
    degradation_curve : mapping of number of missing streams to Score
        Each person's mean over the sets of so many streams.
    thinned : Score or None
        Main metric with the test person's classes thinned 90/10 before standardisation.
    abstention : mapping of share answered to share wrong
        Of all windows, the surest first: at a quarter, a half, three quarters and all.
    net_benefit : mapping of threshold to (model, every window)
        Decision curve of two classes: acting on the model, and on every window.
    permutation : Permutations or None
        Scores on labels shuffled within subject, where they were asked for.
    coverage : Coverage or None
        Of the windows' sets or intervals, where the estimator gave any.
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
    demographics: Mapping[str, list[statistics.Group]] = field(default_factory=dict)
    gaps: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    seeds: Mapping[int, float] = field(default_factory=dict)
    seed_sd: float = math.nan
    coverage: Coverage | None = None
    degradation: Mapping[str, Score] = field(default_factory=dict)
    degradation_loss: Mapping[str, Score] = field(default_factory=dict)
    degradation_curve: Mapping[int, Score] = field(default_factory=dict)
    thinned: Score | None = None
    permutation: Permutations | None = None
    abstention: Mapping[float, float] = field(default_factory=dict)
    net_benefit: Mapping[float, tuple[float, float]] = field(default_factory=dict)

    @property
    def groups(self) -> Mapping[str, list[statistics.Group]]:
        """Old name of `demographics`."""
        notice("Summary.groups", "Summary.demographics")
        return self.demographics

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON (NaN stays NaN)."""
        return asdict(self)


def summarise(run: Evaluated) -> Summary:
    """Every number of `spec/evaluation.md` that the rows of a run give.

    Scores are taken per subject and seed, averaged over seeds, then over subjects.
    """
    rows = aggregate(run.predictions, run.aggregation)
    regression = run.target_kind == "regressor"
    known = metrics.by_kind(run.target_kind)
    table = {name: known[name] for name in (*run.scoring, *known)}
    main = next(iter(table))
    scores = {name: scores_by_subject(rows, metric) for name, metric in table.items()}
    truth, said = truth_and_output(rows)
    of_main = scores[main]
    worst = _worst(of_main, main)
    seeds = {
        int(str(s)): float(np.nanmean(scores_by_subject(part, table[main]))) if len(part) else 0.0
        for s, part in rows.groupby("seed")
    }
    counts = () if regression else tuple(np.bincount(truth, minlength=said.shape[1]).tolist())
    demographics = {g: _groups(rows, of_main, g, metrics.RANGES[main]) for g in run.demographics}
    limits = metrics.RANGES[main]
    beside = _beside(run, table[main], limits)
    return Summary(
        target_kind=run.target_kind,
        classes=run.classes,
        main=main,
        subjects=int(rows["subject"].nunique()),
        windows=int(len(rows) / max(len(seeds), 1)),
        class_counts=tuple(int(c / max(len(seeds), 1)) for c in counts),
        by_subject={
            name: score(values).within(*metrics.RANGES[name]) for name, values in scores.items()
        },
        pooled={name: _mean_over_seeds(rows, metric) for name, metric in table.items()},
        scores={
            name: {str(s): float(v) for s, v in values.items()} for name, values in scores.items()
        },
        spread=None if regression else _spread(rows, scores["accuracy"]),
        confusion=[] if regression else metrics.confusion(truth, said).tolist(),
        chance={} if regression else _chance(main, truth, said.shape[1], len(seeds)),
        baselines={name: found for name, found in beside.items() if name != THINNED},
        thinned=beside.get(THINNED),
        permutation=run.permutation,
        abstention={} if regression else _abstention(truth, said),
        net_benefit=_net_benefit(truth, said) if len(run.classes) == 2 else {},
        **_degradation(run, main, table[main], of_main, limits),
        lowest=(worst, float(of_main.get(worst, math.nan))),
        demographics=demographics,
        gaps={g: _gap(rows, of_main, g, limits[1] - limits[0]) for g in run.demographics},
        seeds=seeds,
        seed_sd=float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else math.nan,
        coverage=coverage_of(run.predictions),
    )


def coverage_of(predictions: pd.DataFrame) -> Coverage | None:
    """Coverage of the sets or intervals in prediction rows; None where there are none.

    Each window counts as it was predicted: sets of windows are not joined.
    """
    if "coverage" not in predictions:
        return None
    if "label" in predictions:
        sets = predictions.filter(regex=r"^in_set_\d+$").to_numpy(dtype=bool)
        covered = sets[np.arange(len(sets)), predictions["label"].to_numpy(dtype=int)]
        size = float(sets.sum(axis=1).mean())
    else:
        lower, upper, target = (
            predictions[name].to_numpy(dtype=float) for name in ("lower", "upper", "target")
        )
        covered = (lower <= target) & (target <= upper)
        size = float((upper - lower).mean())
    aim = float(predictions["coverage"].iloc[0])
    subjects = predictions["subject"].to_numpy(dtype=str)
    found = coverage_by_subject(covered, subjects, aim)
    return Coverage(
        target=aim,
        mean=found.mean,
        share_below=found.share_below if math.isfinite(aim) else math.nan,
        worst=found.worst,
        worst_subject=found.worst_subject,
        size=size,
        by_subject=found.by_subject,
    )


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


def _mean_over_seeds(rows: pd.DataFrame, metric: Metric) -> float:
    return float(np.mean([metric(*truth_and_output(part)) for _, part in rows.groupby("seed")]))


def _worst(scores: pd.Series, metric: str) -> str:
    """Subject with the worst defined score; empty if there is none."""
    if not scores.notna().any():
        return ""
    lower = metric in metrics.LOWER_IS_BETTER
    return str(scores.idxmax() if lower else scores.idxmin())


def _spread(rows: pd.DataFrame, accuracies: pd.Series) -> statistics.Spread:
    windows = rows[rows["seed"] == rows["seed"].iloc[0]].groupby("subject").size()
    counts = windows.reindex(accuracies.index).to_numpy(dtype=float)
    return statistics.spread(accuracies.to_numpy(dtype=float), counts)


def _chance(main: str, truth: Any, n_classes: int, seeds: int) -> dict[str, float]:
    counts = np.bincount(truth, minlength=n_classes)
    majority = float(counts.max() / counts.sum())
    windows = int(len(truth) / max(seeds, 1))
    bound = statistics.binomial_bound(windows, majority) if majority < 1 else math.nan
    level = metrics.chance_level(main, n_classes)
    return {"main": level, "uniform": 1 / n_classes, "majority": majority, "binomial_bound": bound}


def _abstention(truth: Any, said: Float[np.ndarray, "row class"]) -> dict[float, float]:
    """Share wrong among the surest windows, at the first coverage of at least each share."""
    coverage, risk = metrics.risk_coverage(truth, said)
    at = np.searchsorted(coverage, np.array(ANSWERED) - 1e-9)
    return {share: float(risk[place]) for share, place in zip(ANSWERED, at, strict=True)}


def _net_benefit(
    truth: Any, said: Float[np.ndarray, "row class"]
) -> dict[float, tuple[float, float]]:
    thresholds = np.arange(1, 10) / 10
    model = metrics.net_benefit(truth, said, thresholds)
    always = metrics.net_benefit(truth, np.tile([0.0, 1.0], (len(truth), 1)), thresholds)
    table = zip(thresholds, model, always, strict=True)
    return {float(t): (float(m), float(a)) for t, m, a in table}


def _beside(run: Evaluated, metric: Metric, limits: tuple[float, float]) -> dict[str, Score]:
    """Scores of what stands beside the model."""
    if "model" not in run.baselines:
        return {}
    return {
        str(name): score(scores_by_subject(aggregate(rows, run.aggregation), metric)).within(
            *limits
        )
        for name, rows in run.baselines.groupby("model", sort=False)
    }


def _degradation(
    run: Evaluated, main: str, metric: Metric, whole: pd.Series, limits: tuple[float, float]
) -> dict[str, Any]:
    """Scores with streams missing at test: the set of them, what it costs, and by their number."""
    if "missing" not in run.degradation:
        return {}
    by_set = {
        str(name): scores_by_subject(aggregate(rows, run.aggregation), metric)
        for name, rows in run.degradation.groupby("missing")
    }
    by_set = dict(sorted(by_set.items(), key=lambda item: (item[0].count("+"), item[0])))
    counts = sorted({name.count("+") + 1 for name in by_set})
    by_count = {
        k: pd.concat([v for name, v in by_set.items() if name.count("+") + 1 == k], axis=1)
        for k in counts
    }
    width = limits[1] - limits[0]
    sign = -1.0 if main in metrics.LOWER_IS_BETTER else 1.0
    return {
        "degradation": {n: score(v).within(*limits) for n, v in by_set.items()},
        "degradation_loss": {
            n: score(sign * (whole - v)).within(-width, width) for n, v in by_set.items()
        },
        "degradation_curve": {
            k: score(table.mean(axis=1)).within(*limits) for k, table in by_count.items()
        },
    }


def _group_of(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("subject")[column].first()


def _groups(
    rows: pd.DataFrame, scores: pd.Series, column: str, limits: tuple[float, float]
) -> list[statistics.Group]:
    names = _group_of(rows, column).reindex(scores.index).astype(str).tolist()
    found = statistics.by_group(scores.to_numpy(dtype=float), names)
    return [
        replace(g, low=float(np.clip(g.low, *limits)), high=float(np.clip(g.high, *limits)))
        for g in found
    ]


def _gap(
    rows: pd.DataFrame, scores: pd.Series, column: str, width: float
) -> tuple[float, float, float]:
    """Welch's gap of the two groups that lie farthest apart, at most `width` either way."""
    names = _group_of(rows, column).reindex(scores.index).astype(str)
    means = scores.groupby(names).mean().dropna()
    if len(means) < 2:
        return math.nan, math.nan, math.nan
    high, low = (
        scores[names == n].to_numpy(dtype=float) for n in (means.idxmax(), means.idxmin())
    )
    gap, least, most = statistics.group_gap(high, low)
    return gap, float(np.clip(least, -width, width)), float(np.clip(most, -width, width))
