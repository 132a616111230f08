"""From rows to numbers: per person first, pooled beside them, chance and baselines always."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter import metrics, statistics
from dolorimeter._on_demand import notice
from dolorimeter.estimators import coverage_by_subject
from dolorimeter.evaluation._rows import (
    Metric,
    aggregate,
    headline,
    pooled_instead,
    pooled_score,
    subject_parts,
    subject_scores,
    truth_and_output,
    undefined_reasons,
)
from dolorimeter.evaluation._thinning import THINNED
from dolorimeter.types import TargetKind

BLOCKS_FROM = 12
"""Windows of a recording from which its target counts as a time series."""

ANSWERED = (0.25, 0.5, 0.75, 1.0)
"""Shares of windows answered at which a summary tells the share wrong."""


@dataclass(frozen=True)
class Permutations:
    """Scores of a pipeline refitted on permuted labels.

    Parameters
    ----------
    observed : float
        Score with the true labels, as it is reported.
    permuted : tuple of float
        Scores with permuted labels; empty where they cannot be permuted.
    p : float
        NaN where labels cannot be permuted; `reason` says why.
    coarse : bool
        Whether there are so few permutations that p cannot be small.
    unit : str
        How labels were shuffled, such as "by stimulus within each person"; empty if unknown.
    reason : str
        Why there is no p; empty if there is one.
    """

    observed: float
    permuted: tuple[float, ...]
    p: float
    coarse: bool
    unit: str = ""
    reason: str = ""


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
    """One metric over subjects.

    Parameters
    ----------
    mean, low, high : float
        Mean over subjects and its 95 % interval over subjects.
    sd : float
        Standard deviation of the subjects' scores.
    subjects : int
        Subjects for whom it is defined.
    undefined : int
        Subjects for whom it is not.
    unreliable : str
        Why the interval may not cover as often as it claims; empty if reliable.
    pooled : str
        Why `mean` is the figure over all windows, with an interval by a bootstrap over subjects;
        empty if it is the mean of subjects.
    reasons : mapping of str to int
        Number of subjects by the reason why their score is undefined.
    """

    mean: float
    low: float
    high: float
    sd: float
    subjects: int
    undefined: int
    unreliable: str = ""
    pooled: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)


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
        Loss per subject: the main metric with everything, minus without.
    degradation_curve : mapping of number of missing streams to Score
        Each person's mean over the sets of so many streams.
    thinned : Score or None
        Main metric with the test person's classes thinned 90/10 before standardisation.
    abstention : mapping of share answered to share wrong
        Of all windows, the surest first: at a quarter, a half, three quarters and all.
    net_benefit : mapping of threshold to (model, every window)
        Decision curve of two classes: acting on the model, and on every window.
    permutation : Permutations or None
        Scores on permuted labels, where requested.
    gains : mapping of baseline to Paired
        Model minus baseline in the main metric, subject by subject (pooled where the main metric
        is). Positive where the model is better. Without a majority baseline, ``guessing`` is
        the difference from the fixed score of guessing.
    baseline_gains : mapping of baseline to Paired
        The same of each other baseline against the majority class.
    by_blocks : Score or None
        Pooled main metric of targets that change within recordings, with an interval by blocks of
        neighbouring windows within recordings of drawn subjects. None for other targets.
    block_windows : int
        Windows per block; 0 without `by_blocks`.
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
    gains: Mapping[str, statistics.Paired] = field(default_factory=dict)
    baseline_gains: Mapping[str, statistics.Paired] = field(default_factory=dict)
    by_blocks: Score | None = None
    block_windows: int = 0

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
    kind = run.target_kind
    regression = kind == "regressor"
    known = metrics.by_kind(kind)
    table = {name: known[name] for name in (*run.scoring, *known)}
    main = next(iter(table))
    parts = subject_parts(rows)
    scores = {name: subject_scores(parts, name, kind) for name in table}
    truth, output = truth_and_output(rows)
    of_main = scores[main]
    worst = _worst(of_main, main)
    seeds = {int(str(s)): headline(part, main, kind) for s, part in rows.groupby("seed")}
    counts = () if regression else tuple(np.bincount(truth, minlength=output.shape[1]).tolist())
    limits = metrics.RANGES[main]
    baselines = _baseline_rows(run)
    beside = {
        name: _of_metric(part, main, subject_scores(subject_parts(part), main, kind), run)
        for name, part in baselines.items()
    }
    majority = baselines.get("majority")
    others = {name: part for name, part in baselines.items() if name not in ("majority", THINNED)}
    return Summary(
        target_kind=kind,
        classes=run.classes,
        main=main,
        subjects=int(rows["subject"].nunique()),
        windows=int(len(rows) / max(len(seeds), 1)),
        class_counts=tuple(int(c / max(len(seeds), 1)) for c in counts),
        by_subject={
            name: _of_metric(rows, name, values, run, interval=name == main)
            for name, values in scores.items()
        },
        pooled={name: pooled_score(rows, metric) for name, metric in table.items()},
        scores={
            name: {str(s): float(v) for s, v in values.items()} for name, values in scores.items()
        },
        spread=None if regression else _spread(rows, scores["accuracy"]),
        confusion=[] if regression else metrics.confusion(truth, output).tolist(),
        chance={} if regression else _chance(main, truth, output.shape[1], len(seeds)),
        baselines={name: found for name, found in beside.items() if name != THINNED},
        thinned=beside.get(THINNED),
        permutation=run.permutation,
        abstention={} if regression else _abstention(truth, output),
        net_benefit=_net_benefit(truth, output) if len(run.classes) == 2 else {},
        **_degradation(run, main, of_main, limits),
        lowest=(worst, float(of_main.get(worst, math.nan))),
        demographics={g: _groups(rows, of_main, g, limits) for g in run.demographics},
        gaps={g: _gap(rows, of_main, g, limits[1] - limits[0]) for g in run.demographics},
        seeds=seeds,
        seed_sd=float(np.std(list(seeds.values()), ddof=1)) if len(seeds) > 1 else math.nan,
        coverage=coverage_of(run.predictions),
        gains=_gains(rows, {k: v for k, v in baselines.items() if k != THINNED}, main, kind)
        | ({} if majority is not None else _over_guessing(of_main, main, run)),
        **(_by_blocks(rows, main) if regression else {}),
        baseline_gains={}
        if majority is None
        else {
            name: gain
            for name, part in others.items()
            for gain in _gains(part, {name: majority}, main, kind).values()
        },
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


def score(values: pd.Series, limits: tuple[float, float] = (-math.inf, math.inf)) -> Score:
    """Return mean, interval over subjects and sd of per-subject scores.

    Parameters
    ----------
    values : pandas.Series
        Score of each subject; NaN where it is undefined.
    limits : tuple of float, default (-inf, inf)
        Lowest and highest possible score; the interval is clipped to them.

    Returns
    -------
    Score
    """
    numbers = values.to_numpy(dtype=float)
    known = numbers[np.isfinite(numbers)]
    found = statistics.mean_interval(numbers, limits=limits)
    return Score(
        mean=float(known.mean()) if len(known) else math.nan,
        low=found.low,
        high=found.high,
        sd=float(known.std(ddof=1)) if len(known) > 1 else math.nan,
        subjects=len(known),
        undefined=len(numbers) - len(known),
        unreliable=found.unreliable,
    )


def _of_metric(
    rows: pd.DataFrame, name: str, values: pd.Series, run: Evaluated, *, interval: bool = True
) -> Score:
    """One metric over subjects, or over all windows where most subjects have none.

    Metrics that are pooled only get an interval where `interval` is true.
    """
    limits = metrics.RANGES[name]
    found = score(values, limits)
    if found.undefined:
        reasons = undefined_reasons(subject_parts(rows), name, values, run.classes)
        found = replace(found, reasons=reasons)
    if not pooled_instead(values) or (name in metrics.POOLED_ONLY and not interval):
        return found
    metric = metrics.by_kind(run.target_kind)[name]
    bounds, _ = _bootstrap([rows], metric, limits)
    listed = "; ".join(f"{count} × {reason}" for reason, count in found.reasons.items())
    why = (
        f"{found.undefined} of {len(values)} subjects have no {name.replace('_', ' ')} ({listed})"
    )
    return replace(
        found,
        mean=pooled_score(rows, metric),
        low=bounds.low,
        high=bounds.high,
        sd=math.nan,
        unreliable=bounds.unreliable,
        pooled=why,
    )


def _bootstrap(
    tables: Sequence[pd.DataFrame], metric: Metric, limits: tuple[float, float]
) -> tuple[statistics.Interval, float]:
    """Interval of a pooled metric, or of the difference of two tables of the same rows.

    Strata are subjects with the same classes.
    """
    parts = [
        [truth_and_output(part) for _, part in table.groupby("seed", sort=True)]
        for table in tables
    ]
    first = next(part for _, part in tables[0].groupby("seed", sort=True))
    subjects = first["subject"].to_numpy(dtype=str)
    strata = np.zeros(len(first), dtype=int)
    if "label" in first:
        pattern = first.groupby("subject")["label"].agg(lambda y: repr(sorted(set(y))))
        strata = pd.factorize(first["subject"].map(pattern))[0]

    def statistic(rows: Any) -> float:
        figures = [
            float(np.mean([metric(truth[rows], output[rows]) for truth, output in part]))
            for part in parts
        ]
        return figures[0] - figures[1] if len(figures) == 2 else figures[0]

    return statistics.bootstrap_interval(statistic, subjects, strata, limits=limits)


def _by_blocks(rows: pd.DataFrame, main: str) -> dict[str, Any]:
    """Pooled score of a target that changes within recordings, with an interval by blocks."""
    first = rows[rows["seed"] == rows["seed"].iloc[0]].reset_index(drop=True)
    first = first.sort_values(["subject", "recording", "window_start", "row"], ignore_index=True)
    groups = first.groupby(["subject", "recording"], sort=False)
    changing = groups["target"].transform(lambda target: target.ne(target.iloc[0]).any())
    if not changing.any() or groups.size().max() < BLOCKS_FROM:
        return {}
    target, prediction = truth_and_output(first)
    metric = metrics.by_kind("regressor")[main]
    recordings = [part.index.to_numpy() for _, part in groups]
    subjects = [str(first["subject"].iloc[r[0]]) for r in recordings]
    length = statistics.block_length([(target - prediction)[r] for r in recordings])
    limits = metrics.RANGES[main]
    found = statistics.block_interval(
        lambda r: metric(target[r], prediction[r]), recordings, subjects, length, limits=limits
    )
    value = float(metric(target, prediction))
    count = len(set(subjects))
    score = Score(value, found.low, found.high, math.nan, count, 0, found.unreliable)
    return {"by_blocks": score, "block_windows": length}


def _baseline_rows(run: Evaluated) -> dict[str, pd.DataFrame]:
    """Rows of each baseline, in the decision that is scored."""
    if "model" not in run.baselines:
        return {}
    groups = run.baselines.groupby("model", sort=False)
    return {str(name): aggregate(rows, run.aggregation) for name, rows in groups}


def _gains(
    rows: pd.DataFrame, others: Mapping[str, pd.DataFrame], main: str, kind: TargetKind
) -> dict[str, statistics.Paired]:
    """Gain over each baseline, subject by subject; without those that share too few subjects."""
    return {
        name: gain
        for name, other in others.items()
        if (gain := paired_gain(rows, other, main, kind)) is not None
    }


def _over_guessing(scores: pd.Series, main: str, run: Evaluated) -> dict[str, statistics.Paired]:
    """Gain over the fixed score of guessing, for a run without a majority baseline."""
    level = metrics.chance_level(main, max(len(run.classes), 1))
    values = scores.to_numpy(dtype=float)
    if not math.isfinite(level) or np.isfinite(values).sum() < 2 or pooled_instead(scores):
        return {}
    low, high = metrics.RANGES[main]
    limits = (low - level, high - level)
    return {"guessing": statistics.paired(values, np.full(len(values), level), limits=limits)}


def paired_gain(
    rows: pd.DataFrame, other: pd.DataFrame, metric: str, kind: TargetKind
) -> statistics.Paired | None:
    """Compare prediction rows with those of a baseline, subject by subject.

    Where the metric is undefined for most subjects, the pooled figures are compared, with a
    bootstrap over subjects.

    Parameters
    ----------
    rows, other : pandas.DataFrame
        Prediction rows of a model and of a baseline (``Run.predictions``, ``Run.baselines``).
    metric : str
        Name of a metric.
    kind : {"classifier", "ordinal", "regressor"}

    Returns
    -------
    Paired or None
        Difference, positive where `rows` are better. None for fewer than two shared subjects.
    """
    sign = -1.0 if metric in metrics.LOWER_IS_BETTER else 1.0
    low, high = metrics.RANGES[metric]
    limits = (low - high, high - low)
    scores = [subject_scores(subject_parts(table), metric, kind) for table in (rows, other)]
    shared = scores[0].index.intersection(scores[1].index)
    if pooled_instead(scores[0]):
        return _pooled_gain(rows, other, metric, kind, sign, limits)
    first, second = (sign * s.loc[shared].to_numpy(dtype=float) for s in scores)
    if int((np.isfinite(first) & np.isfinite(second)).sum()) < 2:
        return None
    return statistics.paired(first, second, limits=limits)


def _pooled_gain(
    rows: pd.DataFrame,
    other: pd.DataFrame,
    name: str,
    kind: TargetKind,
    sign: float,
    limits: tuple[float, float],
) -> statistics.Paired | None:
    """Gain of a pooled figure, by a bootstrap over the subjects of the same rows."""
    keys = ["seed", "subject", "recording", "stimulus", "row"]
    tables = [table.sort_values(keys, ignore_index=True) for table in (rows, other)]
    if not tables[0][keys].equals(tables[1][keys]):
        return None
    metric = metrics.by_kind(kind)[name]

    def signed(truth: Any, output: Any) -> float:
        return sign * metric(truth, output)

    interval, p = _bootstrap(tables, signed, limits)
    figures = [pooled_score(table, signed) for table in tables]
    return statistics.Paired(
        subjects=int(rows["subject"].nunique()),
        difference=figures[0] - figures[1],
        low=interval.low,
        high=interval.high,
        p=p,
        permutation_p=math.nan,
        effect_size=math.nan,
        smallest_detectable=math.nan,
        unreliable=interval.unreliable,
    )


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


def _degradation(
    run: Evaluated, main: str, whole: pd.Series, limits: tuple[float, float]
) -> dict[str, Any]:
    """Scores with streams missing at test, by set and by number of streams, and what is lost."""
    if "missing" not in run.degradation:
        return {}
    tables = {
        str(name): aggregate(rows, run.aggregation)
        for name, rows in run.degradation.groupby("missing")
    }
    tables = dict(sorted(tables.items(), key=lambda item: (item[0].count("+"), item[0])))
    by_set = {
        name: subject_scores(subject_parts(rows), main, run.target_kind)
        for name, rows in tables.items()
    }
    counts = sorted({name.count("+") + 1 for name in by_set})
    by_count = {
        k: pd.concat([v for name, v in by_set.items() if name.count("+") + 1 == k], axis=1)
        for k in counts
    }
    width = limits[1] - limits[0]
    sign = -1.0 if main in metrics.LOWER_IS_BETTER else 1.0
    return {
        "degradation": {n: _of_metric(tables[n], main, v, run) for n, v in by_set.items()},
        "degradation_loss": {
            n: score(sign * (whole - v), (-width, width)) for n, v in by_set.items()
        },
        "degradation_curve": {k: score(t.mean(axis=1), limits) for k, t in by_count.items()},
    }


def _group_of(rows: pd.DataFrame, column: str) -> pd.Series:
    return rows.groupby("subject")[column].first()


def _groups(
    rows: pd.DataFrame, scores: pd.Series, column: str, limits: tuple[float, float]
) -> list[statistics.Group]:
    names = _group_of(rows, column).reindex(scores.index).astype(str).tolist()
    return statistics.by_group(scores.to_numpy(dtype=float), names, limits)


def _gap(
    rows: pd.DataFrame, scores: pd.Series, column: str, width: float
) -> tuple[float, float, float]:
    """Welch's gap of the two groups that lie farthest apart, at most `width` either way.

    The level is that of all pairs together (Bonferroni), since the largest gap is chosen.
    """
    names = _group_of(rows, column).reindex(scores.index).astype(str)
    means = scores.groupby(names).mean().dropna()
    if len(means) < 2:
        return math.nan, math.nan, math.nan
    high, low = (
        scores[names == n].to_numpy(dtype=float) for n in (means.idxmax(), means.idxmin())
    )
    pairs = len(means) * (len(means) - 1) / 2
    gap, least, most = statistics.group_gap(high, low, confidence=1 - 0.05 / pairs)
    return gap, float(np.clip(least, -width, width)), float(np.clip(most, -width, width))
