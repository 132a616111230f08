"""Uncertainty of scores: the subject is the unit. Pure functions of arrays and a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import EvaluationError

Scores = Float[np.ndarray, " subject"]

BOOTSTRAP_FROM = 30
"""Subjects from which the interval is a BCa bootstrap; below it is Student's t."""

RESAMPLES = 9999


def interval_over_subjects(
    scores: Scores, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean score of people.

    Subjects whose score is not defined are left out. BCa bootstrap (Efron 1987) from
    `BOOTSTRAP_FROM` subjects, else Student's t; NaN with fewer than two.

    Returns
    -------
    tuple of float
        Lower and upper bound.
    """
    from scipy import stats

    known = scores[np.isfinite(scores)]
    if len(known) < 2:
        return math.nan, math.nan
    if np.ptp(known) == 0:
        return float(known[0]), float(known[0])
    if len(known) < BOOTSTRAP_FROM:
        half = stats.t.ppf((1 + confidence) / 2, len(known) - 1) * stats.sem(known)
        return float(known.mean() - half), float(known.mean() + half)
    found = stats.bootstrap(
        (known,),
        np.mean,
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


@dataclass(frozen=True)
class Spread:
    """Where the spread of per-subject scores comes from.

    `observed` is their sd, `sampling` the sd that counting so few windows alone would give
    (√(p(1−p)/n), mean over subjects), `between` what is left: √(observed² − sampling²).
    """

    observed: float
    sampling: float
    between: float


def spread(scores: Scores, windows: Float[np.ndarray, " subject"]) -> Spread:
    """Split the spread of per-subject shares (accuracies) into counting and people.

    Parameters
    ----------
    scores : Float[np.ndarray, "subject"]
        A share of each subject's windows, between 0 and 1.
    windows : Float[np.ndarray, "subject"]
        How many windows each has.
    """
    known = np.isfinite(scores)
    p, n = scores[known], windows[known]
    if len(p) < 2:
        return Spread(math.nan, math.nan, math.nan)
    observed = float(p.std(ddof=1))
    mean = float(p.mean())
    sampling = float(np.sqrt(np.mean(mean * (1 - mean) / n)))
    return Spread(observed, sampling, math.sqrt(max(observed**2 - sampling**2, 0.0)))


def permutation_p(observed: float, permuted: Float[np.ndarray, " permutation"]) -> float:
    """``(b + 1) / (m + 1)``: b of m permutations score at least as high (Phipson & Smyth 2010)."""
    if not len(permuted):
        raise EvaluationError("permutation p of no permutations: make at least one.")
    return float((np.sum(permuted >= observed - 1e-12) + 1) / (len(permuted) + 1))


def binomial_bound(windows: int, chance: float, alpha: float = 0.05) -> float:
    """Accuracy that guessing exceeds with probability at most `alpha` (Combrisson & Jerbi 2015).

    It takes windows as independent, which windows of one person are not: a footnote.
    """
    from scipy.stats import binom

    if windows < 1 or not 0 < chance < 1:
        raise EvaluationError(
            f"binomial bound of {windows} windows at chance {chance}: expected at least one "
            "window, and a chance strictly between 0 and 1."
        )
    return float(binom.ppf(1 - alpha, windows, chance) / windows)


@dataclass(frozen=True)
class Paired:
    """Two models on the same people.

    `difference` is the mean of first − second with its interval, `wilcoxon_p` and `permutation_p`
    are two-sided, `effect_size` is the mean over the sd of the differences (Cohen's d_z),
    `smallest_detectable` the difference that this many people would show with 80 % power.
    """

    subjects: int
    difference: float
    low: float
    high: float
    wilcoxon_p: float
    permutation_p: float
    effect_size: float
    smallest_detectable: float


def paired(first: Scores, second: Scores, seed: int = 0) -> Paired:
    """Compare two models over the subjects they share, in the same order.

    Raises
    ------
    EvaluationError
        If the lengths differ or fewer than two subjects have both scores.
    """
    from scipy.stats import wilcoxon

    if len(first) != len(second):
        raise EvaluationError(f"{len(first)} and {len(second)} subjects: compare the same people.")
    both = np.isfinite(first) & np.isfinite(second)
    gap = (first - second)[both]
    if len(gap) < 2:
        raise EvaluationError(
            f"{len(gap)} subjects have both scores, at least 2 are needed to compare models."
        )
    low, high = interval_over_subjects(gap, seed=seed)
    sd = float(gap.std(ddof=1))
    same = not np.any(gap)
    return Paired(
        subjects=len(gap),
        difference=float(gap.mean()),
        low=low,
        high=high,
        wilcoxon_p=1.0 if same else float(wilcoxon(gap).pvalue),
        permutation_p=sign_flip_p(gap, seed=seed),
        effect_size=_ratio(float(gap.mean()), sd),
        smallest_detectable=smallest_detectable_difference(sd, len(gap)),
    )


def sign_flip_p(gap: Scores, permutations: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided permutation test over subjects: signs of the differences are exchangeable.

    Every sign pattern up to 13 subjects, `permutations` random ones from there.
    """
    observed = abs(float(gap.mean()))
    n = len(gap)
    if n <= 13:
        patterns = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        means = np.abs((patterns * gap).mean(axis=1))
        return float((means >= observed - 1e-12).mean())
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(permutations, n)) * 2 - 1
    return permutation_p(observed, np.abs((signs * gap).mean(axis=1)))


def smallest_detectable_difference(
    sd: float, subjects: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Mean paired difference found with probability `power` by a two-sided t-test.

    Normal approximation with t quantiles: ``(t₁₋α⁄₂ + t_power) · sd / √n``.
    """
    from scipy.stats import t

    if subjects < 2:
        return math.nan
    quantiles = t.ppf(1 - alpha / 2, subjects - 1) + t.ppf(power, subjects - 1)
    return float(quantiles * sd / math.sqrt(subjects))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the order given."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted.tolist()


def corrected_t(
    differences: Float[np.ndarray, " fold"], train_size: int, test_size: int
) -> tuple[float, float]:
    """Nadeau–Bengio corrected resampled t-test (2003) for repeated cross-validation.

    Returns
    -------
    tuple of float
        t statistic and two-sided p.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2 or train_size < 1:
        raise EvaluationError("corrected t needs at least 2 folds and a training set.")
    variance = differences.var(ddof=1) * (1 / n + test_size / train_size)
    if variance == 0:
        return _ratio(float(differences.mean()), 0.0), 0.0 if np.any(differences) else 1.0
    statistic = float(differences.mean() / np.sqrt(variance))
    return statistic, float(2 * t.sf(abs(statistic), n - 1))


@dataclass(frozen=True)
class Group:
    """Scores of the people of one group; `small` warns that there are fewer than ten."""

    name: str
    subjects: int
    mean: float
    low: float
    high: float
    small: bool


SMALL_GROUP = 10


def by_group(scores: Scores, groups: Sequence[str], seed: int = 0) -> list[Group]:
    """Mean score and interval of each group, sorted by name."""
    names = np.asarray([str(g) for g in groups])
    found = []
    for name in np.unique(names):
        own = scores[(names == name) & np.isfinite(scores)]
        low, high = interval_over_subjects(own, seed=seed)
        mean = float(own.mean()) if len(own) else math.nan
        found.append(Group(str(name), len(own), mean, low, high, len(own) < SMALL_GROUP))
    return found


def group_gap(
    first: Scores, second: Float[np.ndarray, " other"], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Difference of two groups' means with Welch's interval; NaN with fewer than two each."""
    from scipy.stats import ttest_ind

    a, b = first[np.isfinite(first)], second[np.isfinite(second)]
    if min(len(a), len(b)) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return math.nan, math.nan, math.nan
    found = ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    return float(a.mean() - b.mean()), float(found.low), float(found.high)


def _ratio(mean: float, sd: float) -> float:
    """`mean` over `sd`; without spread 0 for no difference, else infinite, with its sign."""
    if sd > 0:
        return mean / sd
    return math.copysign(math.inf, mean) if mean else 0.0
