"""Every score against an independent reference, and what it says where it is not defined.

Tolerance: both sides sum at most a few hundred float64 terms, so they agree to 1e-12 relative.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jaxtyping
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dolorimeter import metrics
from dolorimeter.errors import EvaluationError

EXACT = 1e-12


def example(n: int = 211, n_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that know something of them, all classes present."""
    rng = np.random.default_rng(seed)
    label = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    logits = rng.normal(size=(n, n_classes)) + 1.2 * np.eye(n_classes)[label]
    odds = np.exp(logits)
    return label, odds / odds.sum(axis=1, keepdims=True)


@contextmanager
def unchecked_shapes() -> Iterator[None]:
    """As users run it: without the shape checks of the test plugin."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


CLASSES = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, p.argmax(axis=1)),
    "macro_f1": lambda y, p: sk.f1_score(
        y, p.argmax(axis=1), average="macro", labels=range(p.shape[1]), zero_division=0
    ),
    "macro_precision": lambda y, p: sk.precision_score(
        y, p.argmax(axis=1), average="macro", labels=range(p.shape[1]), zero_division=0
    ),
    "macro_recall": lambda y, p: sk.recall_score(y, p.argmax(axis=1), average="macro"),
    "mcc": lambda y, p: sk.matthews_corrcoef(y, p.argmax(axis=1)),
    "quadratic_kappa": lambda y, p: sk.cohen_kappa_score(
        y, p.argmax(axis=1), labels=range(p.shape[1]), weights="quadratic"
    ),
    "auroc": lambda y, p: (
        sk.roc_auc_score(y, p[:, 1])
        if p.shape[1] == 2
        else sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
    ),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=range(p.shape[1])),
    "brier": lambda y, p: (
        sk.brier_score_loss(y, p[:, 1])
        if p.shape[1] == 2
        else float(np.mean(np.sum((p - np.eye(p.shape[1])[y]) ** 2, axis=1))) / 2
    ),
}


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_class_score_is_that_of_scikit_learn(name: str, n_classes: int) -> None:
    label, probability = example(n_classes=n_classes)
    found = metrics.CLASSIFICATION[name](label, probability)
    assert found == pytest.approx(CLASSES[name](label, probability), rel=EXACT, abs=1e-14)


def test_every_class_score_has_a_reference_or_a_test_of_its_own() -> None:
    own = {"expected_calibration_error", "sensitivity_at_90_specificity"}
    assert set(metrics.CLASSIFICATION) == set(CLASSES) | own


def test_auroc_with_ties_is_that_of_scikit_learn() -> None:
    label, probability = example(n_classes=2)
    coarse = np.round(probability[:, 1], 1)
    tied = np.stack([1 - coarse, coarse], axis=1)
    assert metrics.auroc(label, tied) == pytest.approx(sk.roc_auc_score(label, coarse), rel=EXACT)
    constant = np.full((len(label), 2), 0.5)
    assert metrics.auroc(label, constant) == 0.5


def test_a_class_that_is_absent_does_not_count_in_balanced_accuracy() -> None:
    label = np.array([0, 0, 0, 2])
    said = np.eye(3)[[0, 0, 1, 2]]
    assert metrics.balanced_accuracy(label, said) == pytest.approx((2 / 3 + 1) / 2, rel=EXACT)
    assert math.isnan(metrics.auroc(label, said))


def test_a_class_that_is_never_predicted_has_precision_and_f1_of_zero() -> None:
    label = np.array([0, 0, 1, 1])
    said = np.eye(2)[[0, 0, 0, 0]]
    assert metrics.macro_precision(label, said) == pytest.approx(0.25, rel=EXACT)
    assert metrics.macro_f1(label, said) == pytest.approx((2 * 0.5 / 1.5) / 2, rel=EXACT)
    assert metrics.mcc(label, said) == 0.0
    assert metrics.quadratic_kappa(label, said) == 0.0
    assert metrics.accuracy(label, said) == metrics.auroc(label, said) == 0.5


@pytest.mark.parametrize("rows", [1, 6])
def test_one_class_only_leaves_what_needs_two_undefined(rows: int) -> None:
    label, said = np.zeros(rows, dtype=int), np.tile([0.8, 0.2], (rows, 1))
    for name in (
        "balanced_accuracy", "macro_recall", "macro_f1", "macro_precision", "mcc", "auroc",
        "quadratic_kappa", "sensitivity_at_90_specificity",
    ):  # fmt: skip
        assert math.isnan(metrics.CLASSIFICATION[name](label, said)), name
    assert metrics.accuracy(label, said) == 1.0
    assert metrics.log_loss(label, said) == pytest.approx(-math.log(0.8), rel=EXACT)
    assert metrics.brier(label, said) == pytest.approx(0.04, rel=EXACT)
    assert metrics.expected_calibration_error(label, said) == pytest.approx(0.2, rel=EXACT)


def test_macro_f1_of_a_perfect_answer_is_1_or_undefined() -> None:
    label = np.array([0, 0, 1, 1])
    assert math.isnan(metrics.macro_f1(label, np.eye(3)[label]))  # of three classes
    assert math.isnan(metrics.macro_precision(label, np.eye(3)[label]))
    assert metrics.macro_f1(label, np.eye(2)[label]) == 1.0


@pytest.mark.parametrize("name", sorted(metrics.CLASSIFICATION))
def test_no_score_depends_on_the_order_of_rows(name: str) -> None:
    """Confidences of a forest of ten trees, rows sorted by label as they mostly are."""
    rng = np.random.default_rng(3)
    score = np.round(rng.random(400), 1)
    label = (rng.random(400) < score).astype(int)
    probability = np.stack([1 - score, score], axis=1)
    metric = metrics.CLASSIFICATION[name]
    wanted = metric(label, probability)
    for order in (np.argsort(label, kind="stable"), rng.permutation(400), np.arange(400)[::-1]):
        assert metric(label[order], probability[order]) == pytest.approx(wanted, rel=EXACT)


def test_calibration_error_of_a_constant_that_is_right_is_zero() -> None:
    label = np.repeat([0, 1], 50)
    assert metrics.expected_calibration_error(label, np.full((100, 2), 0.5)) == 0.0


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 12))
def test_equal_mass_bins_hold_every_row_once_and_never_part_equal_values(
    values: list[int], bins: int
) -> None:
    array = np.array(values, dtype=float) / 10
    parts = metrics.equal_mass_bins(array, bins)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(array)))
    assert len(parts) <= bins
    assert all(len(part) for part in parts)
    for low, high in itertools.pairwise(parts):
        assert array[low].max() < array[high].min()


def test_log_loss_of_a_certain_error_is_clipped_at_1e_15() -> None:
    label, said = np.array([1, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert metrics.log_loss(label, said) == pytest.approx(-math.log(1e-15) / 2, rel=EXACT)


def test_confusion_counts_true_class_by_row() -> None:
    label, probability = example(n_classes=4)
    wanted = sk.confusion_matrix(label, probability.argmax(axis=1), labels=range(4))
    np.testing.assert_array_equal(metrics.confusion(label, probability), wanted)


def test_calibration_error_by_hand_in_bins_of_equal_mass() -> None:
    first = np.array([0.9, 0.6, 0.55, 0.8])
    label = np.array([0, 1, 0, 0])
    probability = np.stack([first, 1 - first], axis=1)
    # sorted by confidence: {0.55 right, 0.6 wrong}, {0.8 right, 0.9 right}
    wanted = (abs(0.575 - 0.5) * 2 + abs(0.85 - 1.0) * 2) / 4
    found = metrics.expected_calibration_error(label, probability, bins=2)
    assert found == pytest.approx(wanted, rel=EXACT)
    # as many bins as samples: each its own
    each = np.mean([abs(0.9 - 1), abs(0.6 - 0), abs(0.55 - 1), abs(0.8 - 1)])
    found = metrics.expected_calibration_error(label, probability, bins=10)
    assert found == pytest.approx(each, rel=EXACT)


@pytest.mark.parametrize("digits", [1, 16])
@pytest.mark.parametrize("specificity", [0.5, 0.9, 1.0])
def test_sensitivity_at_a_specificity_is_a_point_of_the_roc_curve(
    digits: int, specificity: float
) -> None:
    label, probability = example(n_classes=2)
    score = np.round(probability[:, 1], digits)
    alarm, hit, _ = sk.roc_curve(label, score, drop_intermediate=False)
    wanted = hit[1 - alarm >= specificity - 1e-12].max()
    found = metrics.sensitivity_at_specificity(
        label, np.stack([1 - score, score], axis=1), specificity
    )
    assert found == pytest.approx(wanted, rel=EXACT, abs=1e-15)


def test_sensitivity_is_not_defined_for_three_classes() -> None:
    assert math.isnan(metrics.sensitivity_at_specificity(*example(n_classes=3)))


def test_net_benefit_by_hand() -> None:
    label = np.array([1, 1, 0, 0, 0])
    score = np.array([0.9, 0.3, 0.6, 0.2, 0.25])
    found = metrics.net_benefit(label, np.stack([1 - score, score], axis=1), np.array([0.25, 0.5]))
    # at 0.25 alarms on 0.9, 0.3, 0.6, 0.25: 2 hits, 2 false; at 0.5 on 0.9 and 0.6
    wanted = [2 / 5 - 2 / 5 / 3, 1 / 5 - 1 / 5]
    np.testing.assert_allclose(found, wanted, rtol=EXACT, atol=1e-16)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_net_benefit_refuses_thresholds_that_are_no_odds(threshold: float) -> None:
    with pytest.raises(EvaluationError, match="strictly between 0 and 1"):
        metrics.net_benefit(*example(n_classes=2), np.array([threshold]))


def test_net_benefit_is_defined_for_two_classes() -> None:
    with pytest.raises(EvaluationError, match="net benefit of 3 classes"):
        metrics.net_benefit(*example(n_classes=3), np.array([0.5]))


def test_risk_coverage_keeps_the_most_confident_first() -> None:
    first = np.array([0.9, 0.6, 0.8])
    coverage, risk = metrics.risk_coverage(
        np.array([0, 0, 1]), np.stack([first, 1 - first], axis=1)
    )
    np.testing.assert_allclose(coverage, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3])


def test_expected_level_weighs_classes_by_their_probability() -> None:
    found = metrics.expected_level_of(np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]))
    np.testing.assert_allclose(found, [0.75, 2.0], rtol=EXACT)


def numbers(n: int = 53, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(40, 15, n)
    return target, 0.6 * target + rng.normal(5, 9, n)


def test_errors_are_those_of_scikit_learn() -> None:
    target, said = numbers()
    assert metrics.mae(target, said) == pytest.approx(
        sk.mean_absolute_error(target, said), rel=EXACT
    )
    assert metrics.rmse(target, said) == pytest.approx(
        sk.root_mean_squared_error(target, said), rel=EXACT
    )


def test_pearson_is_that_of_scipy() -> None:
    target, said = numbers()
    assert metrics.pearson(target, said) == pytest.approx(
        stats.pearsonr(target, said).statistic, rel=EXACT
    )


def test_concordance_divides_its_moments_by_n() -> None:
    target, said = numbers(n=7)
    covariance = np.cov(target, said, ddof=0)
    shift = (target.mean() - said.mean()) ** 2
    wanted = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + shift)
    assert metrics.concordance(target, said) == pytest.approx(wanted, rel=EXACT)
    other = np.cov(target, said, ddof=1)
    biased = 2 * other[0, 1] / (other[0, 0] + other[1, 1] + shift)
    assert abs(metrics.concordance(target, said) - biased) > 1e-4  # the other definition


def test_icc_is_that_of_a_two_way_analysis_of_variance() -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    target, said = numbers(n=12)
    table = pd.DataFrame(
        {
            "value": np.concatenate([target, said]),
            "row": np.tile(np.arange(12), 2),
            "rater": np.repeat(["target", "said"], 12),
        }
    )
    squares = anova_lm(ols("value ~ C(row) + C(rater)", table).fit())["mean_sq"]
    between, error = squares["C(row)"], squares["Residual"]
    wanted = (between - error) / (between + error)
    # the reference solves a least-squares problem of 13 columns: about 1e-11 relative
    assert metrics.icc_3_1(target, said) == pytest.approx(wanted, rel=1e-10)


def test_icc_of_shrout_and_fleiss_example() -> None:
    judges = np.array([[9, 2], [6, 1], [8, 4], [7, 1], [10, 5], [6, 2]], dtype=float)
    found = metrics.icc_3_1(judges[:, 0], judges[:, 1])  # two of their four judges
    covariance = np.cov(judges.T)
    wanted = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1])  # closed form, k = 2
    assert found == pytest.approx(wanted, rel=EXACT)


def test_constant_numbers_leave_correlations_undefined_not_one() -> None:
    flat, varied = np.full(3, 0.1), np.array([0.1, 0.2, 0.4])
    for score in (metrics.pearson, metrics.concordance, metrics.icc_3_1):
        assert math.isnan(score(flat, flat)), score.__name__
    assert math.isnan(metrics.pearson(varied, flat))
    assert metrics.concordance(varied, flat) == pytest.approx(0.0, abs=1e-15)
    assert metrics.concordance(flat, flat + 0.2) == 0.0
    assert metrics.icc_3_1(varied, flat) == pytest.approx(0.0, abs=1e-15)


def test_one_number_alone_has_an_error_and_no_correlation() -> None:
    one, other = np.array([2.0]), np.array([5.0])
    assert metrics.mae(one, other) == metrics.rmse(one, other) == 3.0
    assert math.isnan(metrics.pearson(one, other))
    assert math.isnan(metrics.icc_3_1(one, other))


CLASS_SCORES = [
    *metrics.CLASSIFICATION.values(),
    metrics.confusion,
    metrics.risk_coverage,
    lambda y, p: metrics.net_benefit(y, p, np.array([0.5])),
]


@pytest.mark.parametrize("score", CLASS_SCORES)
def test_labels_and_probabilities_must_be_one_to_one(score: Callable[..., object]) -> None:
    label, probability = example(n_classes=2)
    with (
        unchecked_shapes(),
        pytest.raises(EvaluationError, match="210 labels and 211 predictions: give one each"),
    ):
        score(label[1:], probability)
    with unchecked_shapes(), pytest.raises(EvaluationError, match="0 labels and 0 predictions"):
        score(label[:0], probability[:0])


@pytest.mark.parametrize("score", CLASS_SCORES)
@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_label_without_a_column_is_named(score: Callable[..., object], wrong: int) -> None:
    label, probability = example(n_classes=2)
    label[0] = wrong
    with pytest.raises(EvaluationError, match="for 2 columns of probabilities"):
        score(label, probability)


@pytest.mark.parametrize("name", sorted(metrics.REGRESSION))
def test_targets_and_predictions_must_be_one_to_one(name: str) -> None:
    target, said = numbers()
    with unchecked_shapes(), pytest.raises(EvaluationError, match="52 labels and 53 predictions"):
        metrics.REGRESSION[name](target[1:], said)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 4]), st.integers(5, 40))
def test_the_order_of_rows_changes_no_score(seed: int, n_classes: int, n: int) -> None:
    label, probability = example(n, n_classes, seed)
    order = np.random.default_rng(seed).permutation(n)
    for name, score in metrics.CLASSIFICATION.items():
        before, after = score(label, probability), score(label[order], probability[order])
        assert after == pytest.approx(before, rel=1e-11, abs=1e-13, nan_ok=True), name


@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_the_order_of_rows_changes_no_score_of_numbers(seed: int, n: int) -> None:
    target, said = numbers(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    for name, score in metrics.REGRESSION.items():
        assert score(target[order], said[order]) == pytest.approx(
            score(target, said), rel=1e-9, abs=1e-11
        ), name


@given(st.integers(0, 2**32 - 1), st.permutations(range(3)))
def test_renaming_classes_changes_no_score_that_knows_no_order(
    seed: int, names: list[int]
) -> None:
    label, probability = example(40, 3, seed)
    renamed = np.asarray(names)[label]
    columns = np.argsort(names)
    for name, score in metrics.CLASSIFICATION.items():
        if name == "quadratic_kappa":
            continue  # it weighs by distance between classes
        before, after = score(label, probability), score(renamed, probability[:, columns])
        assert after == pytest.approx(before, rel=1e-11, abs=1e-13, nan_ok=True), name


@given(st.integers(0, 2**32 - 1))
def test_reversing_the_levels_keeps_quadratic_kappa(seed: int) -> None:
    label, probability = example(40, 4, seed)
    assert metrics.quadratic_kappa(3 - label, probability[:, ::-1]) == pytest.approx(
        metrics.quadratic_kappa(label, probability), rel=1e-11
    )


def test_ordinal_models_are_scored_by_their_expected_level_too() -> None:
    label = np.array([0, 1, 2, 2])
    said = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    level = np.array([0.5, 1.0, 1.5, 2.0])
    for name, metric in metrics.REGRESSION.items():
        assert metrics.ORDINAL[name](label, said) == metric(label.astype(float), level)
    assert metrics.ORDINAL["mae"](label, said) == 0.25
    assert set(metrics.CLASSIFICATION) <= set(metrics.ORDINAL) <= set(metrics.RANGES)
