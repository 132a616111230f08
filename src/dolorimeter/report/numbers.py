"""The numbers of a run that a report prints: mean over people with intervals, and pooled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.evaluation import Run, probabilities_of
from dolorimeter.metrics import CLASSIFICATION, REGRESSION
from dolorimeter.report import words
from dolorimeter.statistics import Group, binomial_bound, by_group, interval_over_subjects, spread


@dataclass(frozen=True)
class Estimate:
    """A score: mean over people, 95 % interval over people, sd of people (NaN where unknown)."""

    metric: str
    mean: float
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether the interval could be computed."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Numbers:
    """What a report prints of one run.

    Parameters
    ----------
    kind : str
        ``classifier``, ``ordinal`` or ``regressor``.
    main : Estimate
        Balanced accuracy, or concordance.
    measures : tuple of Estimate
        Every metric as mean over people.
    pooled : mapping of metric to value
        Over all windows.
    scores : mapping of subject to main metric
    baselines : mapping of name to Estimate
        In the main metric.
    chance, majority : float or None
        What guessing gives in the main metric; share of the most frequent class.
    p_value : float or None
        Of a permutation test, where one was made.
    groups : tuple of rows
        Column, group, people, score, interval, note: printed as they are.
    """

    kind: str
    classes: tuple[str, ...]
    subjects: int
    windows: int
    main: Estimate
    measures: tuple[Estimate, ...]
    pooled: Mapping[str, float]
    scores: Mapping[str, float]
    baselines: Mapping[str, Estimate]
    chance: float | None
    majority: float | None
    p_value: float | None = None
    target_access: str = "none"
    modalities: tuple[str, ...] = ()
    class_counts: str = ""
    lowest: str = ""
    higher_is_better: bool = True
    groups: tuple[tuple[str, ...], ...] = ()
    group_estimates: tuple[tuple[str, Estimate], ...] = ()
    seed_scores: Mapping[int, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether there are classes."""
        return self.kind != "regressor"


def numbers(run: Run) -> Numbers:
    """Everything that a page prints of one run.

    A subject's score is the mean over seeds; intervals are over subjects.
    """
    metrics = CLASSIFICATION if run.target_kind != "regressor" else REGRESSION
    table = subject_scores(run.predictions, metrics)
    main = next(iter(metrics))
    scores = table[main]
    shares = _class_shares(run)
    majority = max(shares.values()) if shares else None
    chance = 1.0 / len(run.classes) if run.target_kind != "regressor" else None
    lowest = scores.idxmin() if scores.notna().any() else None
    return Numbers(
        kind=run.target_kind,
        classes=run.classes,
        subjects=len(table),
        windows=int(run.predictions.groupby("seed").size().max()),
        main=_estimate(main, scores),
        measures=tuple(_estimate(name, table[name]) for name in metrics),
        pooled=_pooled(run.predictions, metrics),
        scores={str(s): float(v) for s, v in scores.dropna().items()},
        baselines=_baseline_estimates(run, metrics, main),
        chance=chance,
        majority=majority,
        target_access=_most_access(run),
        modalities=run.modalities or _modalities(run),
        class_counts=_counts_words(run, shares),
        lowest="" if lowest is None else f"Lowest: subject {lowest}, {scores[lowest]:.3f}",
        groups=tuple(_group_rows(run, scores, main)),
        group_estimates=tuple(_group_estimates(run, scores, main)),
        seed_scores=_by_seed(run, metrics, main),
        remarks=tuple(_remarks(run, table, main)),
    )


def subject_scores(predictions: pd.DataFrame, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row a subject, one column a metric: the mean over seeds, NaN where not defined."""
    rows = {}
    for subject, mine in predictions.groupby("subject", sort=True):
        per_seed = [_scores(part, metrics) for _, part in mine.groupby("seed", sort=True)]
        rows[str(subject)] = {
            name: float(np.mean([one[name] for one in per_seed])) for name in metrics
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(metrics), dtype=float)


def _scores(rows: pd.DataFrame, metrics: Mapping[str, Any]) -> dict[str, float]:
    if "label" in rows:
        label, p = rows["label"].to_numpy(dtype=int), probabilities_of(rows)
        return {name: float(metric(label, p)) for name, metric in metrics.items()}
    target = rows["target"].to_numpy(dtype=float)
    prediction = rows["prediction"].to_numpy(dtype=float)
    return {name: float(metric(target, prediction)) for name, metric in metrics.items()}


def _pooled(predictions: pd.DataFrame, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Every metric over all windows, the mean over seeds."""
    per_seed = [_scores(part, metrics) for _, part in predictions.groupby("seed", sort=True)]
    return {name: float(np.mean([one[name] for one in per_seed])) for name in metrics}


def _estimate(metric: str, scores: pd.Series) -> Estimate:
    known = scores.dropna().to_numpy(dtype=float)
    if not len(known):
        return Estimate(metric, math.nan)
    low, high = interval_over_subjects(known)
    sd = float(known.std(ddof=1)) if len(known) > 1 else math.nan
    return Estimate(metric, float(known.mean()), low, high, sd)


def _baseline_estimates(run: Run, metrics: Mapping[str, Any], main: str) -> dict[str, Estimate]:
    if "model" not in run.baselines.columns:
        return {}
    main = main if run.target_kind != "regressor" else "mae"  # a constant has no concordance
    return {
        str(name): _estimate(main, subject_scores(rows, {main: metrics[main]})[main])
        for name, rows in run.baselines.groupby("model", sort=False, observed=True)
    }


def _class_shares(run: Run) -> dict[str, float]:
    if run.target_kind == "regressor":
        return {}
    counts = np.bincount(run.predictions["label"].to_numpy(dtype=int), minlength=len(run.classes))
    return dict(zip(run.classes, (counts / counts.sum()).tolist(), strict=True))


def _counts_words(run: Run, shares: Mapping[str, float]) -> str:
    if not shares:
        target = run.predictions["target"]
        return f"target from {target.min():.4g} to {target.max():.4g}, mean {target.mean():.4g}"
    return "classes " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())


def _most_access(run: Run) -> str:
    found = set(run.predictions["target_access"].astype(str))
    order = ("labelled_reference", "unlabelled_target", "none")
    return next((kind for kind in order if kind in found), "none")


def _modalities(run: Run) -> tuple[str, ...]:
    present = run.predictions["modalities_present"].astype(str).unique()
    return tuple(sorted({name for joined in present for name in joined.split("+") if name}))


def _by_seed(run: Run, metrics: Mapping[str, Any], main: str) -> dict[int, float]:
    only = {main: metrics[main]}
    return {
        int(str(seed)): float(subject_scores(rows, only)[main].mean())
        for seed, rows in run.predictions.groupby("seed", sort=True)
    }


def _groups(run: Run, scores: pd.Series) -> Iterator[tuple[str, Group]]:
    for column in run.groups:
        if column not in run.predictions:
            continue
        member = run.predictions.drop_duplicates("subject").set_index("subject")[column]
        names = [str(member[subject]) for subject in scores.index]
        for group in by_group(scores.to_numpy(dtype=float), names):
            yield column, group


def _group_rows(run: Run, scores: pd.Series, main: str) -> Iterator[tuple[str, ...]]:
    for column, g in _groups(run, scores):
        yield (
            column,
            g.name,
            str(g.subjects),
            words.value(g.mean, main),
            words.interval(g.low, g.high, main),
            "small group" if g.small else "",
        )


def _group_estimates(run: Run, scores: pd.Series, main: str) -> Iterator[tuple[str, Estimate]]:
    for column, g in _groups(run, scores):
        yield f"{column}: {g.name} ({g.subjects})", Estimate(main, g.mean, g.low, g.high)


def _remarks(run: Run, table: pd.DataFrame, main: str) -> Iterator[str]:
    """Sentences below the numbers: spread, seeds, lowest person, chance of single windows."""
    scores = table[main].dropna()
    if len(scores) and run.target_kind != "regressor":
        count = run.predictions[run.predictions["seed"] == run.predictions["seed"].min()]
        windows = count.groupby("subject").size().reindex(table.index).to_numpy(dtype=float)
        s = spread(table["accuracy"].to_numpy(dtype=float), windows)
        yield (
            f"Accuracy varies between people with sd {s.observed:.3f}; so few windows alone would "
            f"give {s.sampling:.3f}; between people {s.between:.3f} remain."
        )
        share = max(_class_shares(run).values())
        bound = binomial_bound(int(windows.sum()), share)
        yield (
            f"Footnote: pooled over {int(windows.sum()):,} windows, accuracy above "
            f"{100 * bound:.1f} % has a chance of 5 % by guessing (Combrisson and Jerbi 2015)."
        )
    if len(scores):
        yield f"Lowest person: subject {scores.idxmin()}, {words.value(scores.min(), main)}."
    undefined = [m for m in table if table[m].isna().any()]
    if undefined:
        few = int(table[undefined[0]].isna().sum())
        names = ", ".join(words.metric_name(m) for m in undefined)
        yield f"Not defined for some people (one class only, or no variance): {names} ({few})."
    seeds = list(_by_seed(run, {main: _METRICS[main]}, main).values())
    if len(seeds) > 1:
        yield f"sd over {len(seeds)} seeds: {words.value(float(np.std(seeds, ddof=1)), main)}."


_METRICS: Mapping[str, Any] = {**CLASSIFICATION, **REGRESSION}
