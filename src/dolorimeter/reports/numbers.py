"""The numbers of a run that a report prints: mean over people with intervals, and pooled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dolorimeter.evaluation import Permutations, Run, Score, Summary, summarise
from dolorimeter.reports import words
from dolorimeter.statistics import Paired


@dataclass(frozen=True)
class Estimate:
    """A score: mean over subjects, 95 % interval over subjects, sd of subjects (NaN if unknown).

    `unreliable` says why the interval may not cover, `pooled` why `mean` is the figure over all
    windows, `undefined` for how many subjects there is no score.
    """

    metric: str
    mean: float
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan
    unreliable: str = ""
    pooled: str = ""
    undefined: int = 0

    @property
    def has_interval(self) -> bool:
        """Whether the interval could be computed."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Degraded:
    """Main metric with streams missing at test (joined by ``+``), and the loss of each person."""

    missing: str
    score: Estimate
    loss: Estimate


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
    gains : mapping of baseline to Paired
        Model minus baseline in the main metric, subject by subject.
    baseline_gains : mapping of baseline to Paired
        The same of the other baselines against the majority class.
    failed_folds, excluded, undefined : int
        Failed folds; excluded windows, recordings and subjects; subjects without main score.
    p_value : float or None
        Of a permutation test, where one was made.
    p_missing : str
        Why a permutation test has no p.
    permutations : int
        Refits of that test; `coarse` when they are too few for a small p.
    thinned : Estimate or None
        With the test person's classes thinned 90/10 before standardisation.
    degradation : tuple of Degraded
        With streams missing at test, fewest first.
    degradation_curve : mapping of number of missing streams to Estimate
    abstention : mapping of share of windows answered to share wrong among them
    net_benefit : mapping of threshold to that of the model and of acting on every window
    groups : tuple of rows
        Column, group, people, score, interval, note: printed as they are.
    coverage : str
        Of sets or intervals, mean over people, where the model gives any.
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
    groups: tuple[tuple[str, ...], ...] = ()
    group_estimates: tuple[tuple[str, Estimate], ...] = ()
    seed_scores: Mapping[int, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    coverage: str = ""
    permutations: int = 0
    coarse: bool = False
    thinned: Estimate | None = None
    degradation: tuple[Degraded, ...] = ()
    degradation_curve: Mapping[int, Estimate] = field(default_factory=dict)
    abstention: Mapping[float, float] = field(default_factory=dict)
    net_benefit: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    gains: Mapping[str, Paired] = field(default_factory=dict)
    baseline_gains: Mapping[str, Paired] = field(default_factory=dict)
    failed_folds: int = 0
    excluded: int = 0
    undefined: int = 0
    p_missing: str = ""

    @property
    def is_classifier(self) -> bool:
        """Whether there are classes."""
        return self.kind != "regressor"


def numbers(run: Run) -> Numbers:
    """Everything that a page prints of one run, from its `Summary`."""
    s = summarise(run)
    return Numbers(
        kind=s.target_kind,
        classes=s.classes,
        subjects=s.subjects,
        windows=s.windows,
        main=_estimate(s.main, s.by_subject[s.main]),
        measures=tuple(_estimate(name, found) for name, found in s.by_subject.items()),
        pooled=s.pooled,
        scores={who: v for who, v in s.scores[s.main].items() if math.isfinite(v)},
        baselines={name: _estimate(s.main, found) for name, found in s.baselines.items()},
        chance=_finite(s.chance.get("main", math.nan)),
        majority=s.chance.get("majority"),
        p_value=None if s.permutation is None else _finite(s.permutation.p),
        p_missing="" if s.permutation is None else s.permutation.reason,
        gains=s.gains,
        baseline_gains=s.baseline_gains,
        failed_folds=len(run.failures),
        excluded=len(run.exclusions),
        undefined=s.by_subject[s.main].undefined,
        permutations=0 if s.permutation is None else len(s.permutation.permuted),
        coarse=s.permutation is not None and s.permutation.coarse,
        thinned=None if s.thinned is None else _estimate(s.main, s.thinned),
        degradation=tuple(
            Degraded(name, _estimate(s.main, found), _estimate(s.main, s.degradation_loss[name]))
            for name, found in s.degradation.items()
        ),
        degradation_curve={k: _estimate(s.main, e) for k, e in s.degradation_curve.items()},
        abstention=s.abstention,
        net_benefit=s.net_benefit,
        target_access=_most_access(run),
        modalities=run.modalities or _modalities(run),
        class_counts=_counts_words(run, s),
        lowest=_lowest(s),
        groups=tuple(_group_rows(s)),
        group_estimates=tuple(_group_estimates(s)),
        seed_scores=s.seeds,
        remarks=tuple(_remarks(s)),
        coverage=f"{100 * s.coverage.mean:.1f} %{_aim(s)}" if s.coverage else "",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _permutation_words(s: Summary, made: Permutations) -> str:
    """The permutation test in a sentence."""
    count = len(made.permuted)
    if not count:
        return f"Permutation test: no p; {made.reason}"
    coarse = f" Coarse: with {count} shuffles p cannot be below {1 / (count + 1):.3g}."
    coarse = coarse if made.coarse else ""
    return (
        f"Refitted {count:,} times on labels shuffled {made.unit or 'within each person'}, "
        "the model reaches "
        f"{words.value(math.fsum(made.permuted) / count, s.main)} in the mean and "
        f"{words.value(max(made.permuted), s.main)} at most; with the true labels "
        f"{words.value(made.observed, s.main)}, p = {words.p_value(made.p)}.{coarse}"
    )


def _estimate(metric: str, found: Score) -> Estimate:
    return Estimate(
        metric,
        found.mean,
        found.low,
        found.high,
        found.sd,
        found.unreliable,
        found.pooled,
        found.undefined,
    )


def _counts_words(run: Run, s: Summary) -> str:
    """Classes with their shares, or the range of the target."""
    if not s.class_counts:
        target = run.predictions["target"]
        return f"target from {target.min():.4g} to {target.max():.4g}, mean {target.mean():.4g}"
    total = sum(s.class_counts)
    shares = zip(s.classes, s.class_counts, strict=True)
    return "classes: " + ", ".join(
        f"{n} {count:,} ({100 * count / total:.1f} %)" for n, count in shares
    )


def _most_access(run: Run) -> str:
    found = set(run.predictions["target_access"].astype(str))
    order = ("labelled_reference", "unlabelled_target", "none")
    return next((kind for kind in order if kind in found), "none")


def _modalities(run: Run) -> tuple[str, ...]:
    present = run.predictions["modalities_present"].astype(str).unique()
    return tuple(sorted({name for joined in present for name in joined.split("+") if name}))


def _lowest(s: Summary) -> str:
    who, found = s.lowest
    if not who:
        return ""
    value = words.value(found, s.main)
    alike = sum(words.value(score, s.main) == value for score in s.scores[s.main].values())
    if alike > 1:
        return f"Lowest score: {value}, of {words.people(alike)}."
    return f"Lowest person: subject {who}, {value}."


def _coverage_words(s: Summary) -> str:
    """Coverage of sets or intervals over people, in a sentence."""
    c = s.coverage
    assert c is not None
    what = "Intervals" if s.target_kind == "regressor" else "Sets"
    size = f"{c.size:.3g} wide" if s.target_kind == "regressor" else f"of {c.size:.2f} classes"
    below = ""
    if math.isfinite(c.target):
        below = f"; {100 * c.share_below:.1f} % of people are below the aim"
    return (
        f"{what}, {size} in the mean, held the truth in {100 * c.mean:.1f} % of a person's "
        f"windows in the mean over people{_aim(s)}{below}; worst: subject {c.worst_subject}, "
        f"{100 * c.worst:.1f} %."
    )


def _aim(s: Summary) -> str:
    if s.coverage is None or not math.isfinite(s.coverage.target):
        return ""
    return f" (aim {100 * s.coverage.target:g} %)"


def _group_rows(s: Summary) -> Iterator[tuple[str, ...]]:
    for column, found in s.demographics.items():
        for g in found:
            bounds = words.interval(g.low, g.high, s.main, g.unreliable)
            shown = (words.value(g.mean, s.main), bounds)
            yield (column, g.name, str(g.subjects), *shown, "small group" if g.small else "")


def _group_estimates(s: Summary) -> Iterator[tuple[str, Estimate]]:
    for column, found in s.demographics.items():
        for g in found:
            yield (
                f"{column}: {g.name} ({g.subjects})",
                Estimate(s.main, g.mean, g.low, g.high, unreliable=g.unreliable),
            )


def _remarks(s: Summary) -> Iterator[str]:
    """Sentences below the numbers: spread, gaps, seeds, lowest person, undefined scores."""
    main = s.by_subject[s.main]
    if main.unreliable:
        yield f"The interval of {words.metric_name(s.main)} is unreliable: {main.unreliable}."
    if main.pooled:
        yield f"{words.capital(words.metric_name(s.main))} is pooled over windows: {main.pooled}."
    if s.by_blocks is not None:
        b = s.by_blocks
        yield (
            f"The target changes within recordings: {words.metric_name(s.main)} pooled over "
            f"windows {words.value(b.mean, s.main)} "
            f"({words.interval(b.low, b.high, s.main, b.unreliable)}, from blocks of "
            f"{s.block_windows} neighbouring windows within recordings of drawn people)."
        )
    if s.permutation is not None:
        yield _permutation_words(s, s.permutation)
    if s.spread is not None:
        yield (
            f"Accuracy varies between people with sd {s.spread.observed:.3f}. So few windows "
            f"alone would give {s.spread.sampling:.3f}; {s.spread.between:.3f} is between people."
        )
    if s.lowest[0]:
        yield _lowest(s)
    for column, (gap, low, high) in s.gaps.items():
        if math.isfinite(gap):
            unreliable = next((g.unreliable for g in s.demographics[column] if g.unreliable), "")
            yield (
                f"Largest gap between groups of {column}: {words.value(gap, s.main)} "
                f"({words.interval(low, high, s.main, unreliable)})."
            )
    if s.coverage is not None:
        yield _coverage_words(s)
    if math.isfinite(s.seed_sd):
        yield f"sd over {len(s.seeds)} seeds: {words.value(s.seed_sd, s.main)}."
    for name, found in s.by_subject.items():
        if found.undefined:
            why = "; ".join(f"{count} × {reason}" for reason, count in found.reasons.items())
            yield (
                f"{words.capital(words.metric_name(name))} is not defined for "
                f"{words.people(found.undefined)}, who are not in its mean: {why}."
            )
    bound = s.chance.get("binomial_bound", math.nan)
    if math.isfinite(bound):
        yield (
            f"Footnote: over {s.windows:,} pooled windows, guessing exceeds an accuracy of "
            f"{100 * bound:.1f} % in 5 % of cases (Combrisson and Jerbi 2015)."
        )
