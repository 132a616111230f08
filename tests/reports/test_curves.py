"""Curves of a report against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score

from dolorimeter.reports import curves


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_roc_has_the_area_of_scikit_learn_with_ties(rows: list[tuple[bool, int]]) -> None:
    positive = np.array([p for p, _ in rows])
    score = np.array([float(s) for _, s in rows])
    false, true = curves.roc_points(positive, score)
    if positive.all() or not positive.any():
        assert len(false) == 0
        return
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert auc(false, true) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_reliability_bins_have_equal_mass() -> None:
    probability = np.linspace(0, 1, 40)
    predicted, observed, count = curves.reliability_points(probability > 0.5, probability, 4)
    assert count.tolist() == [10, 10, 10, 10]
    assert observed.tolist() == [0, 0, 1, 1]
    assert predicted == pytest.approx([0.115, 0.372, 0.628, 0.885], abs=1e-3)


def test_risk_falls_when_the_unsure_are_left_out() -> None:
    label = np.array([0, 0, 1, 1])
    first = np.array([0.9, 0.8, 0.6, 0.6])
    probability = np.stack([first, 1 - first], axis=1)
    coverage, risk = curves.risk_coverage_points(label, probability)
    assert coverage.tolist() == [0.25, 0.5, 1.0]
    assert risk.tolist() == [0.0, 0.0, 0.5]
    assert len(curves.risk_coverage_points(label[:0], probability[:0])[0]) == 0


def test_acting_on_everything_gains_the_positives_and_pays_for_the_others() -> None:
    label = np.array([0, 0, 0, 1])
    sure = np.eye(2)[label]
    thresholds, model, always = curves.decision_points(label, sure)
    assert model == pytest.approx(np.full(99, 0.25))
    assert always == pytest.approx(0.25 - 0.75 * thresholds / (1 - thresholds))
    assert thresholds[[0, -1]].tolist() == [0.01, 0.99]


def test_thinning_keeps_both_ends() -> None:
    kept = curves.thinned(10_000)
    assert (kept[0], kept[-1], len(kept)) == (0, 9_999, curves.MAX_POINTS)
    assert curves.thinned(3).tolist() == [0, 1, 2]
