"""Uncertainty against SciPy, statsmodels, closed forms and simulation."""

from __future__ import annotations

import math
from unittest import mock

import jaxtyping
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from dolorimeter import statistics
from dolorimeter.errors import EvaluationError

EXACT = 1e-12


def scores(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(6, 3, n)


def test_interval_of_few_subjects_is_that_of_student() -> None:
    values = scores(9)
    mean, half = values.mean(), 2.306004135204166 * values.std(ddof=1) / math.sqrt(9)
    # 2.306… is the 97.5 % quantile of t with 8 degrees of freedom, from tables
    np.testing.assert_allclose(
        statistics.interval_over_subjects(values), [mean - half, mean + half], rtol=EXACT
    )
    assert "9 subjects are too few" in statistics.mean_interval(values).unreliable


def hall_by_inversion(values: np.ndarray, quantile: float) -> float:
    """Bound of the mean at which Hall's transform of Student's statistic is `quantile`."""
    n, sd = len(values), values.std(ddof=1)
    skewness = ((values - values.mean()) ** 3).mean() / sd**3

    def transformed(mean: float) -> float:
        t = math.sqrt(n) * (values.mean() - mean) / sd
        a = skewness / math.sqrt(n)
        return t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 - quantile

    return float(optimize.brentq(transformed, values.mean() - 5 * sd, values.mean() + 5 * sd))


@pytest.mark.parametrize("n", [12, 40])
def test_interval_of_skewed_scores_is_the_wider_of_student_and_hall(n: int) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    quantile = float(stats.t.ppf(0.975, n - 1))
    student = [values.mean() - q * stats.sem(values) for q in (quantile, -quantile)]
    hall = [hall_by_inversion(values, q) for q in (quantile, -quantile)]
    wanted = [min(student[0], hall[0]), max(student[1], hall[1])]
    assert hall[1] > student[1]  # the long tail is above
    np.testing.assert_allclose(statistics.interval_over_subjects(values), wanted, rtol=1e-9)


@pytest.mark.parametrize("name", ["normal", "t3", "skewed"])
def test_intervals_cover_the_truth_as_often_as_they_say(name: str) -> None:
    """Every cell and all five distributions: scripts/statistics_check."""
    rng = np.random.default_rng(1)
    draw = {
        "normal": lambda: rng.normal(0.6, 0.1, 30) - 0.6,
        "t3": lambda: rng.standard_t(3, 30),
        "skewed": lambda: rng.exponential(size=30) - 1,
    }[name]
    repeats = 600
    hits = 0
    for _ in range(repeats):
        low, high = statistics.interval_over_subjects(draw())
        hits += low <= 0 <= high
    slack = 3 * math.sqrt(0.05 * 0.95 / repeats)
    assert 0.93 - slack <= hits / repeats <= 0.97 + slack


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.r_[np.ones(10), 0.9, 0.8], "10 of 12 subjects share the highest score"),
        (np.r_[np.zeros(20), np.linspace(0.2, 0.9, 20)], "20 of 40 subjects share the lowest"),
        (np.r_[np.linspace(0.5, 0.6, 29), 9.0], "scores of 30 subjects are skewed"),
        (np.full(30, 0.7), "all 30 scores are equal"),
        (np.linspace(0.5, 0.9, 30), ""),
    ],
)
def test_intervals_that_no_method_reaches_say_so(values: np.ndarray, reason: str) -> None:
    found = statistics.mean_interval(values).unreliable
    assert reason in found
    assert bool(reason) == bool(found)


def test_people_without_a_score_are_left_out_of_the_interval() -> None:
    values = scores(12)
    gaps = np.concatenate([values, [np.nan, np.inf]])
    assert statistics.interval_over_subjects(gaps) == statistics.interval_over_subjects(values)


@pytest.mark.parametrize("n", [0, 1])
def test_one_person_has_no_interval(n: int) -> None:
    assert all(map(math.isnan, statistics.interval_over_subjects(scores(n))))


@pytest.mark.parametrize("n", [3, 40])
def test_equal_scores_have_no_interval_of_no_width(n: int) -> None:
    assert all(map(math.isnan, statistics.interval_over_subjects(np.full(n, 0.7))))
    low, high = statistics.interval_over_subjects(np.full(n, 0.7), limits=(0.0, 1.0))
    # a share q of subjects is missed by n draws with probability (1 − q)ⁿ = 2.5 %
    unseen = 1 - 0.025 ** (1 / n)
    np.testing.assert_allclose([low, high], [0.7 * (1 - unseen), 0.7 + 0.3 * unseen], rtol=EXACT)
    rounding = np.full(n, 0.1 + 0.2) - 1e-16 * np.arange(n)
    assert all(map(math.isnan, statistics.interval_over_subjects(rounding)))


@pytest.mark.parametrize("spread", [1e-15, 1e-11, 1e-9, 1e-7])
def test_scores_that_differ_by_rounding_have_no_narrow_interval(spread: float) -> None:
    """Rounding of float32 and float64 arithmetic says nothing of how subjects differ."""
    nearly = 0.7 + spread * np.linspace(-0.5, 0.5, 30)
    found = statistics.mean_interval(nearly, limits=(0.0, 1.0))
    assert found.high - found.low > 0.1
    assert (
        found.unreliable
        == "all 30 scores are equal, so that they do not show how much scores vary"
    )


def test_bootstrap_of_a_mean_is_near_the_t_interval() -> None:
    values = scores(60)
    found, p = statistics.bootstrap_interval(
        lambda rows: float(values[rows].mean() - 0.5), np.arange(60), np.zeros(60)
    )
    low, high = (bound - 0.5 for bound in statistics.interval_over_subjects(values))
    # 200 resamples know a standard error to 5 %, four of which are 20 % of a half width
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.2 * (high - low) / 2)
    assert p < 0.001
    assert found.unreliable == ""
    alone = statistics.bootstrap_interval(
        lambda rows: float(values[rows].mean()), np.arange(60), np.r_[1, np.zeros(59)]
    )[0]
    assert math.isnan(alone.low)
    assert "one subject only" in alone.unreliable


def test_spread_tells_people_from_counting() -> None:
    rng = np.random.default_rng(2)
    people, windows, between = 4000, 40, 0.08
    truth = np.clip(rng.normal(0.65, between, people), 0, 1)
    shares = rng.binomial(windows, truth) / windows
    found = statistics.spread(shares, np.full(people, float(windows)))
    # var(share) = between²·(1 − 1/n) + p(1−p)/n; the sd of 4,000 people has an error of 1.1 %,
    # so between², a difference of 0.0119 and 0.0057, has one of about 5 %
    assert found.observed == pytest.approx(shares.std(ddof=1), rel=EXACT)
    assert found.sampling == pytest.approx(math.sqrt(0.65 * 0.35 / windows), rel=0.01)
    assert found.between == pytest.approx(between * math.sqrt(1 - 1 / windows), rel=0.08)
    assert found.observed**2 == pytest.approx(found.sampling**2 + found.between**2, rel=EXACT)


def test_spread_of_people_who_are_alike_is_counting_alone() -> None:
    rng = np.random.default_rng(3)
    shares = rng.binomial(40, 0.65, 2000) / 40
    found = statistics.spread(shares, np.full(2000, 40.0))
    assert found.observed == pytest.approx(found.sampling, rel=4 / math.sqrt(2 * 2000))
    assert found.between < 0.3 * found.sampling
    assert math.isnan(statistics.spread(np.array([0.5]), np.array([4.0])).observed)


def test_permutation_p_counts_the_observed_one() -> None:
    permuted = np.array([0.4, 0.5, 0.6, 0.7])
    assert statistics.permutation_p(0.6, permuted) == pytest.approx(3 / 5, rel=EXACT)
    assert statistics.permutation_p(0.9, permuted) == pytest.approx(1 / 5, rel=EXACT)
    assert statistics.permutation_p(0.1 + 0.2, np.array([0.3])) == 1.0  # rounding is no win
    with pytest.raises(EvaluationError, match="no permutations: make at least one"):
        statistics.permutation_p(0.5, np.empty(0))


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.sampled_from([0.05, 0.01]))
def test_binomial_bound_is_the_smallest_that_guessing_seldom_exceeds(
    windows: int, chance: float, alpha: float
) -> None:
    bound = round(statistics.binomial_bound(windows, chance, alpha) * windows)
    hits = np.arange(windows + 1)
    chances = np.array([math.comb(windows, int(k)) for k in hits], dtype=float)
    chances *= chance**hits * (1 - chance) ** (windows - hits)
    assert chances[bound + 1 :].sum() <= alpha + 1e-9
    assert bound == 0 or chances[bound:].sum() > alpha - 1e-9


def test_binomial_bound_of_the_paper() -> None:
    # Combrisson & Jerbi 2015, table 1: 40 trials, 2 classes, p < 0.05 → 62.5 %
    assert statistics.binomial_bound(40, 0.5) == 0.625


@pytest.mark.parametrize(("windows", "chance"), [(0, 0.5), (10, 0.0), (10, 1.0)])
def test_binomial_bound_refuses_what_is_no_guess(windows: int, chance: float) -> None:
    with pytest.raises(EvaluationError, match="strictly between 0 and 1"):
        statistics.binomial_bound(windows, chance)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    with mock.patch("gc.collect"):  # statsmodels collects garbage in every call
        wanted = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(statistics.holm(p_values), wanted, rtol=EXACT, atol=1e-300)


def test_holm_leaves_out_what_is_not_defined() -> None:
    found = statistics.holm([0.01, math.nan, 0.02])
    assert [found[0], found[2]] == [0.02, 0.02]
    assert math.isnan(found[1])


def test_holm_of_nothing_is_nothing() -> None:
    assert statistics.holm([]) == []


def test_corrected_t_by_hand() -> None:
    gaps = np.array([0.02, 0.05, -0.01, 0.04])
    # mean 0.025; variance 0.0021/3 = 0.0007; times (1/4 + 20/80) = 0.00035
    wanted = 0.025 / math.sqrt(0.00035)
    found, p = statistics.corrected_t(gaps, train_size=80, test_size=20)
    assert found == pytest.approx(wanted, rel=EXACT)
    # closed form of the t distribution with 3 degrees of freedom
    x = wanted / math.sqrt(3)
    assert p == pytest.approx(1 - 2 / math.pi * (x / (1 + x**2) + math.atan(x)), rel=1e-10)


def test_corrected_t_of_equal_differences() -> None:
    assert statistics.corrected_t(np.zeros(3), 8, 2) == (0.0, 1.0)
    assert statistics.corrected_t(np.full(3, 0.5), 8, 2) == (math.inf, 0.0)
    assert statistics.corrected_t(np.full(3, -0.5), 8, 2) == (-math.inf, 0.0)
    with pytest.raises(EvaluationError, match="at least 2 folds"):
        statistics.corrected_t(np.zeros(1), 8, 2)


@given(st.integers(0, 2**32 - 1), st.integers(2, 11))
def test_sign_flips_of_few_people_are_exact(seed: int, n: int) -> None:
    gap = np.round(np.random.default_rng(seed).normal(0.3, 1, n), 2)
    wanted = stats.permutation_test(
        (gap,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert statistics.sign_flip_p(gap) == pytest.approx(wanted, rel=EXACT)


def test_sign_flips_of_many_people_are_drawn() -> None:
    gap = np.random.default_rng(7).normal(0.4, 1, 25)
    wanted = stats.permutation_test(
        (gap,), np.mean, permutation_type="samples", n_resamples=50_000, rng=1
    ).pvalue
    found = statistics.sign_flip_p(gap, seed=5)
    assert found == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / 9_999))
    assert statistics.sign_flip_p(gap, seed=5) == found
    assert statistics.sign_flip_p(gap + 100) == pytest.approx(1 / 10_000, rel=EXACT)


@pytest.mark.parametrize("people", [20, 67, 87])
def test_smallest_detectable_difference_is_that_of_the_t_test(people: int) -> None:
    wanted = TTestPower().solve_power(nobs=people, alpha=0.05, power=0.8) * 0.1
    found = statistics.smallest_detectable_difference(0.1, people)
    # the sum of t quantiles stands for the non-central t: its error is of order 1/n of the
    # result (Julious 2004), below 1/(2·df)
    assert found == pytest.approx(wanted, rel=1 / (2 * (people - 1)))
    assert math.isnan(statistics.smallest_detectable_difference(0.1, 1))


def test_paired_puts_the_numbers_of_one_comparison_together() -> None:
    first, second = scores(20, 1), scores(20, 2)
    first[3] = np.nan
    gap = np.delete(first - second, 3)
    found = statistics.paired(first, second, seed=4)
    assert found.subjects == 19
    assert found.difference == pytest.approx(gap.mean(), rel=EXACT)
    assert found.p == max(found.permutation_p, statistics.hall_p(gap))
    assert found.permutation_p == statistics.sign_flip_p(gap, seed=4)
    assert found.effect_size == pytest.approx(gap.mean() / gap.std(ddof=1), rel=EXACT)
    assert (found.low, found.high) == statistics.interval_over_subjects(gap)
    back = statistics.paired(second, first, seed=4)
    assert back.difference == -found.difference
    assert back.p == pytest.approx(found.p, rel=EXACT)


def test_a_model_compared_with_itself_shows_no_difference() -> None:
    one = scores(10)
    found = statistics.paired(one, one)
    assert (found.difference, found.p, found.permutation_p) == (0.0, 1.0, 1.0)
    assert found.effect_size == 0.0


def test_rounding_errors_are_no_difference() -> None:
    one = np.full(12, 0.7)
    found = statistics.paired(one + 1e-15 * np.arange(1, 13), one)
    assert (found.difference, found.p) == (0.0, 1.0)


def test_hall_p_agrees_with_the_interval_that_it_belongs_to() -> None:
    gap = np.random.default_rng(4).exponential(size=25) - 0.6
    p = statistics.hall_p(gap)
    quantile = float(stats.t.ppf(1 - p / 2, 24))
    bounds = [hall_by_inversion(gap, q) for q in (quantile, -quantile)]
    assert min(abs(bound) for bound in bounds) < 1e-9  # 0 is a bound at confidence 1 − p


@pytest.mark.parametrize("name", ["skewed", "failures"])
def test_the_reported_p_keeps_its_level_where_wilcoxon_does_not(name: str) -> None:
    """Differences of mean zero whose median is not: Wilcoxon finds them in a fifth of the sets."""
    rng = np.random.default_rng(5)
    sets, n = 300, 40
    own = wilcoxon = 0
    for _ in range(sets):
        gap = rng.exponential(size=n) - 1
        if name == "failures":
            gap = np.where(rng.random(n) < 0.2, -0.4, 0.1) + rng.normal(0, 0.05, n)
        found = statistics.paired(gap, np.zeros(n))
        own += found.p <= 0.05
        wilcoxon += stats.wilcoxon(gap).pvalue <= 0.05
    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / sets)
    assert own / sets <= limit < wilcoxon / sets


def test_a_model_that_is_better_by_one_number_has_an_endless_effect() -> None:
    one = np.full(5, 0.5)
    assert statistics.paired(one + 0.25, one).effect_size == math.inf
    assert statistics.paired(one - 0.25, one).effect_size == -math.inf


def test_paired_needs_the_same_people() -> None:
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(EvaluationError, match="3 and 4 subjects: compare the same people"):
            statistics.paired(scores(3), scores(4))
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
    with pytest.raises(EvaluationError, match="1 subjects have both scores, at least 2"):
        statistics.paired(np.array([0.1, np.nan]), np.array([0.2, 0.3]))


def test_groups_are_sorted_counted_and_warned_of() -> None:
    values = np.concatenate([scores(12, 5), scores(3, 6), [np.nan]])
    found = statistics.by_group(values, ["m"] * 12 + ["f"] * 4)
    assert [(g.name, g.subjects, g.small) for g in found] == [("f", 3, True), ("m", 12, False)]
    assert found[1].mean == pytest.approx(values[:12].mean(), rel=EXACT)
    assert (found[0].low, found[0].high) == statistics.interval_over_subjects(values[12:15])


def test_gap_of_two_groups_is_that_of_welch() -> None:
    first, second = scores(14, 8), scores(9, 9)
    wanted = CompareMeans(DescrStatsW(first), DescrStatsW(second)).tconfint_diff(usevar="unequal")
    gap, low, high = statistics.group_gap(first, np.append(second, np.nan))
    assert gap == pytest.approx(first.mean() - second.mean(), rel=EXACT)
    np.testing.assert_allclose([low, high], wanted, rtol=1e-10)


def test_gap_of_single_people_is_not_defined() -> None:
    assert all(map(math.isnan, statistics.group_gap(scores(1), scores(9))))
    assert all(map(math.isnan, statistics.group_gap(np.full(3, 0.5), np.full(3, 0.6))))
    # 0.1 + 0.2 and 0.3 differ by rounding only: no spread to take an interval from
    assert all(map(math.isnan, statistics.group_gap(np.array([0.3, 0.1 + 0.2]), scores(9))))
