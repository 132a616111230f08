"""Uncertainty of scores: the subject is the unit. Pure functions of arrays and a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from dolorimeter.errors import EvaluationError

Scores = Float[np.ndarray, " subject"]

RESAMPLES = 9999

SHAPE_FROM = 10
"""Subjects from which scores show whether they are skewed; below it no interval is reliable."""

POOLED_RESAMPLES = 200
"""Resamples of subjects for the interval of a pooled figure."""

RARE_FROM = 20
"""Subjects from which a p-value is reliable; below it a rare failure can easily go unseen."""

SKEWED = 0.35
"""Skewness over √n from which an interval is unreliable: the correction for skewness is then
larger than the terms it leaves out."""

TIED, UNTIED = 1 / 3, 25
"""An interval is unreliable if at least this share has the lowest (or highest) score, and fewer
subjects than this have another one: near a ceiling few subjects carry all of the spread."""

DOUBLE_ROUNDING, SINGLE_ROUNDING = 1e-9, 1e-6
"""Differences of scores up to these are rounding errors of float64 and of float32 arithmetic.
Shares of fewer than a million windows differ by more."""


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a mean over subjects.

    Parameters
    ----------
    low, high : float
        Bounds; NaN where there is no interval.
    unreliable : str
        Why the interval may cover the mean less or more often than it claims; empty if reliable.
    """

    low: float
    high: float
    unreliable: str = ""


def mean_interval(
    scores: Scores,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return the interval of the mean score of subjects, and whether it is reliable.

    The bounds are the wider ones of Student's t and of Hall's t, which corrects for skewness.
    Below `SHAPE_FROM` subjects it is Student's t only. If all scores are equal, or differ by
    less than a millionth of the range of `limits` (rounding), there is no spread to estimate: the
    interval then allows for subjects with any other score within `limits`, as many as the sample
    cannot exclude.

    Parameters
    ----------
    scores : Float[np.ndarray, "subject"]
        Scores; undefined ones (NaN) are left out.
    confidence : float, default 0.95
    limits : tuple of float, default (-inf, inf)
        Lowest and highest possible score; the interval is clipped to them.

    Returns
    -------
    Interval
        NaN bounds for fewer than two subjects, and for equal scores without finite `limits`.

    References
    ----------
    Hall, On the removal of skewness by transformation, J. R. Stat. Soc. B 54, 1992, eq. 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> mean_interval(np.array([0.5, 0.75, 1.0])).unreliable
    '3 subjects are too few to show how scores are distributed'
    >>> mean_interval(np.ones(4), limits=(0.0, 1.0)).high
    1.0
    """
    from scipy import stats

    known = scores[np.isfinite(scores)]
    n = len(known)
    if n < 2:
        return Interval(math.nan, math.nan)
    mean, constant = float(known.mean()), _constant(known, limits)
    if constant:
        low, high = _all_equal(mean, n, confidence, limits)
    else:
        quantile = float(stats.t.ppf((1 + confidence) / 2, n - 1))
        error = float(stats.sem(known))
        reach = [(quantile, -quantile)]
        if n >= SHAPE_FROM:
            reach.append((_hall_inverse(known, quantile), _hall_inverse(known, -quantile)))
        low = mean - error * max(upper for upper, _ in reach)
        high = mean - error * min(lower for _, lower in reach)
    low, high = (float(v) for v in np.clip([low, high], *limits))
    return Interval(low, high, _unreliable(known, constant))


def interval_over_subjects(
    scores: Scores,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float]:
    """Return the bounds of `mean_interval`.

    Parameters
    ----------
    scores : Float[np.ndarray, "subject"]
    confidence : float, default 0.95
    limits : tuple of float, default (-inf, inf)

    Returns
    -------
    tuple of float
        Lower and upper bound.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = interval_over_subjects(np.linspace(0.5, 0.9, 30))
    >>> round(low, 3), round(high, 3)
    (0.655, 0.745)
    """
    found = mean_interval(scores, confidence, limits)
    return found.low, found.high


def _constant(values: Scores, limits: tuple[float, float] = (-math.inf, math.inf)) -> bool:
    """Whether scores differ by rounding errors only, of float32 where the range is known."""
    spread = float(np.ptp(values))
    if np.isfinite(limits).all() and spread <= SINGLE_ROUNDING * (limits[1] - limits[0]):
        return True
    return spread <= DOUBLE_ROUNDING * max(1.0, float(np.abs(values).max()))


def _all_equal(
    value: float, n: int, confidence: float, limits: tuple[float, float]
) -> tuple[float, float]:
    """Bounds of a mean of which n equal scores were seen, for scores within `limits`.

    A share q of the population may score otherwise without being seen in n subjects with
    probability ``(1 − q)ⁿ``; q is the one for which that is half of 1 − `confidence`.
    """
    if not np.isfinite(limits).all():
        return math.nan, math.nan
    unseen = 1 - ((1 - confidence) / 2) ** (1 / n)
    return value - unseen * (value - limits[0]), value + unseen * (limits[1] - value)


def _skewness(values: Scores) -> float:
    """Third standardised moment, moments divided by n."""
    centred = values - values.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def _hall_inverse(values: Scores, quantile: float) -> float:
    """Value of Student's statistic whose Hall transform is `quantile`."""
    a = _hall_skewness(values)
    if abs(a) < 1e-6:
        return quantile
    return float(3 / a * (np.cbrt(1 + a * (quantile - a / 6)) - 1))


def _hall_skewness(values: Scores) -> float:
    """Skewness over √n, with the variance divided by n − 1 as in Student's statistic."""
    n = len(values)
    return _skewness(values) * ((n - 1) / n) ** 1.5 / math.sqrt(n)


def _unreliable(values: Scores, constant: bool) -> str:
    """Reason why no interval of these scores is reliable; empty if there is none."""
    n = len(values)
    if constant:
        return f"all {n} scores are equal, so that they do not show how much scores vary"
    if n < SHAPE_FROM:
        return f"{n} subjects are too few to show how scores are distributed"
    for end, name in ((values.max(), "highest"), (values.min(), "lowest")):
        ties = int(np.isclose(values, end, rtol=0, atol=1e-12).sum())
        if ties >= TIED * n and n - ties < UNTIED:
            return f"{ties} of {n} subjects share the {name} score"
    skewness = _skewness(values)
    if abs(skewness) / math.sqrt(n) > SKEWED:
        return f"the scores of {n} subjects are skewed (skewness {skewness:.1f})"
    return ""


def bootstrap_interval(
    statistic: Callable[[Int[np.ndarray, " row"]], float],
    subjects: Shaped[np.ndarray, " row"],
    strata: Shaped[np.ndarray, " row"],
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
    seed: int = 0,
) -> tuple[Interval, float]:
    """Return the interval of a pooled figure, by a bootstrap over subjects.

    Subjects are drawn within strata, so that every resample has the classes of the sample. The
    standard error over `POOLED_RESAMPLES` resamples is widened to the degrees of freedom of the
    smallest stratum that varies, and multiplied by Student's quantile.

    Parameters
    ----------
    statistic : callable
        Figure of a selection of rows, with repetitions.
    subjects : ndarray of shape (n_rows,)
    strata : ndarray of shape (n_rows,)
        Stratum of each row; one value per subject.
    confidence : float, default 0.95
    limits : tuple of float, default (-inf, inf)
        Lowest and highest possible figure; the interval is clipped to them.
    seed : int, default 0

    Returns
    -------
    interval : Interval
        NaN bounds if a stratum has one subject only or nothing varies.
    p : float
        Two-sided p of a figure of zero; NaN without an interval.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.linspace(0.2, 0.8, 24)
    >>> found, _ = bootstrap_interval(
    ...     lambda rows: float(scores[rows].mean()), np.arange(24), np.zeros(24))
    >>> found.low < 0.5 < found.high, found.unreliable
    (True, '')
    """
    from scipy.stats import t

    names, first, place = np.unique(subjects, return_index=True, return_inverse=True)
    rows_of = [np.flatnonzero(place == k) for k in range(len(names))]
    of_subject = strata[first]
    members = [np.flatnonzero(of_subject == stratum) for stratum in np.unique(of_subject)]
    fewest = min(len(m) for m in members)
    rng = np.random.default_rng(seed)
    figures = [
        statistic(
            np.concatenate(
                [rows_of[k] for m in members for k in m[rng.integers(0, len(m), len(m))]]
            )
        )
        for _ in range(POOLED_RESAMPLES if fewest > 1 else 0)
    ]
    known = np.array([f for f in figures if math.isfinite(f)])
    value = statistic(np.arange(len(subjects)))
    if fewest < 2 or len(known) < POOLED_RESAMPLES // 2 or _constant(known):
        nothing = "one subject only has its classes" if fewest < 2 else "the figure does not vary"
        return Interval(math.nan, math.nan, f"no interval over subjects: {nothing}"), math.nan
    error = float(known.std(ddof=1)) * math.sqrt(fewest / (fewest - 1))
    half = float(t.ppf((1 + confidence) / 2, fewest - 1)) * error
    low, high = (float(v) for v in np.clip([value - half, value + half], *limits))
    few = f"{fewest} subjects with the same classes are too few" if fewest < SHAPE_FROM else ""
    p = float(2 * t.sf(abs(value) / error, fewest - 1))
    return Interval(low, high, few), p


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
    """Two models on the same subjects.

    Parameters
    ----------
    subjects : int
        Subjects for whom both scores are defined.
    difference, low, high : float
        Mean of first − second and its interval.
    p : float
        Two-sided p of the mean difference that is reported: the larger one of `permutation_p` and
        of Hall's t, because signs are not exchangeable where differences are skewed.
    permutation_p : float
        Two-sided p of the sign-flip permutation test of the mean; NaN for pooled figures.
    effect_size : float
        Mean over sd of the differences (Cohen's d_z).
    smallest_detectable : float
        Difference that this many subjects would show with 80 % power.
    unreliable : str
        Why the interval or p may not keep its level; empty if reliable.
    """

    subjects: int
    difference: float
    low: float
    high: float
    p: float
    permutation_p: float
    effect_size: float
    smallest_detectable: float
    unreliable: str = ""


def paired(
    first: Scores,
    second: Scores,
    seed: int = 0,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Paired:
    """Compare two models over the subjects they share, in the same order.

    Parameters
    ----------
    first, second : Float[np.ndarray, "subject"]
        Scores of the same subjects. Differences below 1e-9 are rounding errors and count as 0.
    seed : int, default 0
        Seed of the random sign patterns.
    limits : tuple of float, default (-inf, inf)
        Lowest and highest possible difference.

    Returns
    -------
    Paired

    Raises
    ------
    EvaluationError
        If the lengths differ or fewer than two subjects have both scores.

    Examples
    --------
    >>> import numpy as np
    >>> paired(np.array([0.9, 0.8, 0.7]), np.array([0.5, 0.6, 0.5])).permutation_p
    0.25
    """
    if len(first) != len(second):
        raise EvaluationError(f"{len(first)} and {len(second)} subjects: compare the same people.")
    both = np.isfinite(first) & np.isfinite(second)
    gap = (first - second)[both]
    if len(gap) < 2:
        raise EvaluationError(
            f"{len(gap)} subjects have both scores, at least 2 are needed to compare models."
        )
    scale = max(1.0, float(np.abs(first[both]).max()), float(np.abs(second[both]).max()))
    gap = np.where(np.abs(gap) <= DOUBLE_ROUNDING * scale, 0.0, gap)
    found = mean_interval(gap, limits=limits)
    sd = 0.0 if _constant(gap) else float(gap.std(ddof=1))
    flipped = sign_flip_p(gap, seed=seed)
    unreliable = found.unreliable
    if not unreliable and len(gap) < RARE_FROM:
        unreliable = f"{len(gap)} subjects may not show a failure that is rare"
    return Paired(
        subjects=len(gap),
        difference=float(gap.mean()),
        low=found.low,
        high=found.high,
        p=max(flipped, hall_p(gap)),
        permutation_p=flipped,
        effect_size=_ratio(float(gap.mean()), sd),
        smallest_detectable=smallest_detectable_difference(sd, len(gap)),
        unreliable=unreliable,
    )


def student_p(gap: Scores) -> float:
    """Return the two-sided p of a mean of zero by Student's t.

    Parameters
    ----------
    gap : Float[np.ndarray, "subject"]
        Differences, at least two.

    Returns
    -------
    float
        Of differences that are equal, to rounding: 0 if their mean is not zero, else 1.

    Examples
    --------
    >>> import numpy as np
    >>> student_p(np.full(12, 0.5))
    0.0
    """
    from scipy.stats import ttest_1samp

    if _constant(gap):
        return 0.0 if abs(gap.mean()) > DOUBLE_ROUNDING else 1.0
    return float(ttest_1samp(gap, 0.0).pvalue)


def hall_p(gap: Scores) -> float:
    """Return the two-sided p of a mean of zero, with Student's t corrected for skewness.

    Parameters
    ----------
    gap : Float[np.ndarray, "subject"]
        Differences.

    Returns
    -------
    float
        0 if all differences are equal and not zero.

    References
    ----------
    Hall 1992, as in `mean_interval`.

    Examples
    --------
    >>> import numpy as np
    >>> hall_p(np.array([-1.0, 0.0, 1.0]))
    1.0
    """
    from scipy.stats import t

    if _constant(gap):
        return 0.0 if abs(gap.mean()) > 1e-12 else 1.0
    n, a = len(gap), _hall_skewness(gap)
    statistic = float(gap.mean() / (gap.std(ddof=1) / math.sqrt(n)))
    corrected = statistic + a * statistic**2 / 3 + a**2 * statistic**3 / 27 + a / 6
    return float(2 * t.sf(abs(corrected), n - 1))


def sign_flip_p(gap: Scores, permutations: int = RESAMPLES, seed: int = 0) -> float:
    """Return the two-sided p of a permutation test of the mean: signs are exchangeable under H0.

    Every sign pattern up to 13 subjects, `permutations` random ones from there.
    """
    scale = float(np.abs(gap).max())
    if scale == 0:
        return 1.0
    gap = gap / scale  # the tolerance for rounding errors is relative
    observed = abs(float(gap.mean()))
    n = len(gap)
    if n <= 13:
        patterns = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        means = np.abs(patterns @ gap) / n
        return float((means >= observed - 1e-12).mean())
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, size=(permutations, n)) * 2 - 1
    return permutation_p(observed, np.abs(signs @ gap) / n)


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
    """Holm's step-down adjustment (Holm 1979), in the order of `p_values`.

    An undefined p (NaN) stays NaN and does not count as a comparison.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")[: int(np.isfinite(p).sum())]  # NaN sorts last
    raised = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    adjusted = np.full(len(p), np.nan)
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
    """Scores of the subjects of one group.

    `small` warns that there are fewer than ten; `unreliable` says why the interval is.
    """

    name: str
    subjects: int
    mean: float
    low: float
    high: float
    small: bool
    unreliable: str = ""


SMALL_GROUP = 10


def by_group(
    scores: Scores,
    groups: Sequence[str],
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> list[Group]:
    """Return the mean score and interval of each group, sorted by name."""
    names = np.asarray([str(g) for g in groups])
    found = []
    for name in np.unique(names):
        members = scores[(names == name) & np.isfinite(scores)]
        interval = mean_interval(members, limits=limits)
        mean = float(members.mean()) if len(members) else math.nan
        found.append(
            Group(
                str(name),
                len(members),
                mean,
                interval.low,
                interval.high,
                len(members) < SMALL_GROUP,
                interval.unreliable,
            )
        )
    return found


def group_gap(
    first: Scores, second: Float[np.ndarray, " other"], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the difference of two groups' means with Welch's interval.

    NaN where a group has fewer than two scores or equal ones, which do not show how scores vary.
    """
    from scipy.stats import ttest_ind

    a, b = first[np.isfinite(first)], second[np.isfinite(second)]
    if min(len(a), len(b)) < 2 or _constant(a) or _constant(b):
        return math.nan, math.nan, math.nan
    found = ttest_ind(a, b, equal_var=False).confidence_interval(confidence)
    return float(a.mean() - b.mean()), float(found.low), float(found.high)


def _ratio(mean: float, sd: float) -> float:
    """`mean` over `sd`; without spread 0 for no difference, else infinite, with its sign."""
    if sd > 0:
        return mean / sd
    return math.copysign(math.inf, mean) if mean else 0.0


def block_length(series: Sequence[Float[np.ndarray, " _"]]) -> int:
    """Return the length of blocks that keep the dependence of neighbouring windows.

    It is four times the first lag at which the mean autocorrelation of the series is below 1/e,
    at most a quarter of the longest series. A block bootstrap loses the dependence across the
    ends of blocks: with an exponential decay about a quarter of the variance at this length.

    Parameters
    ----------
    series : sequence of Float[np.ndarray, "window"]
        One array per recording, such as the errors of a model, in time.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import numpy as np
    >>> block_length([np.tile([1.0, -1.0], 30)])
    4
    """
    longest = max(len(values) for values in series)
    centred = [values - values.mean() for values in series]
    power = sum(float(c @ c) for c in centred)
    limit = max(longest // 4, 1)
    if power == 0:
        return 1
    for lag in range(1, limit + 1):
        product = sum(float(c[lag:] @ c[:-lag]) for c in centred if len(c) > lag)
        if product / power < 1 / math.e:
            return min(4 * lag, limit)
    return limit


def block_interval(
    statistic: Callable[[Int[np.ndarray, " row"]], float],
    recordings: Sequence[Int[np.ndarray, " _"]],
    subjects: Sequence[str],
    length: int,
    confidence: float = 0.95,
    limits: tuple[float, float] = (-math.inf, math.inf),
    seed: int = 0,
) -> Interval:
    """Return the interval of a pooled figure of time series, by blocks within recordings.

    Subjects are drawn with replacement, and within each recording of a subject circular blocks of
    `length` windows, because neighbouring windows are no independent observations.

    Parameters
    ----------
    statistic : callable
        Figure of a selection of rows, with repetitions.
    recordings : sequence of Int[np.ndarray, "row"]
        Rows of each recording, in time.
    subjects : sequence of str
        Subject of each recording.
    length : int
        Windows per block (see `block_length`).
    confidence : float, default 0.95
    limits : tuple of float, default (-inf, inf)
    seed : int, default 0

    Returns
    -------
    Interval
        With one subject it holds for that subject only, and is marked as unreliable.

    References
    ----------
    Politis & Romano, A circular block-resampling procedure for stationary data, 1992.
    """
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    names = sorted(set(subjects))
    of_subject = {name: [r for r, s in zip(recordings, subjects, strict=True) if s == name]
                  for name in names}  # fmt: skip

    def blocks(rows: Int[np.ndarray, " row"]) -> Int[np.ndarray, " row"]:
        count = -(-len(rows) // length)
        starts = rng.integers(0, len(rows), count)
        return rows[(starts[:, None] + np.arange(length)).ravel()[: len(rows)] % len(rows)]

    figures = []
    for _ in range(POOLED_RESAMPLES):
        drawn = [names[i] for i in rng.integers(0, len(names), len(names))]
        rows = np.concatenate([blocks(r) for name in drawn for r in of_subject[name]])
        figures.append(statistic(rows))
    known = np.array([f for f in figures if math.isfinite(f)])
    value = statistic(np.concatenate(list(recordings)))
    if len(known) < POOLED_RESAMPLES // 2 or not math.isfinite(value):
        return Interval(math.nan, math.nan, "no interval by blocks: the figure is undefined")
    n = len(names)
    degrees = max(n - 1, 1) if n > 1 else max(sum(map(len, recordings)) // length - 1, 1)
    error = float(known.std(ddof=1)) * math.sqrt(n / (n - 1) if n > 1 else 1.0)
    half = float(t.ppf((1 + confidence) / 2, degrees)) * error
    low, high = (float(v) for v in np.clip([value - half, value + half], *limits))
    few = ""
    if n < SHAPE_FROM:
        few = f"{n} subjects are too few to show how subjects differ"
    return Interval(low, high, few)
