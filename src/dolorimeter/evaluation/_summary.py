"""From rows to numbers: per person first, pooled beside them, chance and baselines always."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from dolorimeter import metrics, statistics
from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import coverage_by_subject
from dolorimeter.evaluation._evaluate import evaluate
from dolorimeter.evaluation._run import Permutations, Run, probabilities_of
from dolorimeter.evaluation._thinning import THINNED
from dolorimeter.types import Samples

Aggregation = Literal["window", "stimulus", "recording"]
ANSWERED = (0.25, 0.5, 0.75, 1.0)
"""Shares of windows answered at which a summary tells the share wrong."""

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
    groups: Mapping[str, list[statistics.Group]] = field(default_factory=dict)
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON (NaN stays NaN)."""
        return asdict(self)


def summarise(run: Run) -> Summary:
    """Every number of `spec/evaluation.md` that the rows of a run give.

    Scores are taken per subject and seed, averaged over seeds, then over subjects.
    """
    rows = aggregate(run.predictions, run.question.aggregation)
    regression = run.target_kind == "regressor"
    table = metrics.by_kind(run.target_kind)
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
    groups = {g: _groups(rows, of_main, g, metrics.RANGES[main]) for g in run.groups}
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
        chance={} if regression else _chance(truth, said.shape[1], len(seeds)),
        baselines={name: found for name, found in beside.items() if name != THINNED},
        thinned=beside.get(THINNED),
        permutation=run.permutation,
        abstention={} if regression else _abstention(truth, said),
        net_benefit=_net_benefit(truth, said) if len(run.classes) == 2 else {},
        **_degradation(run, table[main], of_main, limits),
        lowest=(str(worst), float(of_main.min())),
        groups=groups,
        gaps={g: _gap(rows, of_main, g, limits[1] - limits[0]) for g in run.groups},
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
    main: Metric = metrics.balanced_accuracy
    if options.get("target_kind") == "regressor":
        main = metrics.concordance
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
    p = statistics.permutation_p(observed, np.array(permuted))
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


def _beside(run: Run, metric: Metric, limits: tuple[float, float]) -> dict[str, Score]:
    """Scores of what stands beside the model."""
    if "model" not in run.baselines:
        return {}
    return {
        str(name): score(
            scores_by_subject(aggregate(rows, run.question.aggregation), metric)
        ).within(*limits)
        for name, rows in run.baselines.groupby("model", sort=False)
    }


def _degradation(
    run: Run, metric: Metric, whole: pd.Series, limits: tuple[float, float]
) -> dict[str, Any]:
    """Scores with streams missing at test: the set of them, what it costs, and by their number."""
    if "missing" not in run.degradation:
        return {}
    by_set = {
        str(name): scores_by_subject(aggregate(rows, run.question.aggregation), metric)
        for name, rows in run.degradation.groupby("missing")
    }
    by_set = dict(sorted(by_set.items(), key=lambda item: (item[0].count("+"), item[0])))
    counts = sorted({name.count("+") + 1 for name in by_set})
    by_count = {
        k: pd.concat([v for name, v in by_set.items() if name.count("+") + 1 == k], axis=1)
        for k in counts
    }
    width = limits[1] - limits[0]
    return {
        "degradation": {n: score(v).within(*limits) for n, v in by_set.items()},
        "degradation_loss": {n: score(whole - v).within(-width, width) for n, v in by_set.items()},
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
