"""The audit's own parts: what a finding may say, what an estimator carries, bounds."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dolorimeter.audits import CHECKS, Finding, has_fault, independent_epochs_bound, leak_o_meter
from dolorimeter.audits.checks.estimator import is_fitted, parameters
from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import NetworkClassifier
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.splits import leave_one_subject_out


def test_a_finding_survives_json() -> None:
    found = Finding("near_duplicates", "fault", "recomputed", "p01 / p02", "the same")
    assert Finding.from_dict(found.to_dict()) == found
    assert has_fault([found])
    assert not has_fault([])


def test_what_is_only_declared_can_never_be_passed() -> None:
    for check in CHECKS:
        with pytest.raises(AssertionError):
            Finding(check, "passed", "declared", "", "")


def shifted(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    return x - by


def test_parts_are_found_in_pipelines_partials_and_closures() -> None:
    array = np.arange(3.0)
    scaler = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
    pipeline = make_pipeline(
        FunctionTransformer(functools.partial(shifted, by=array)),
        FunctionTransformer(lambda x: scaler.transform(x)),
        LogisticRegression(),
    )
    found = {id(part): path for path, part in parameters(pipeline)}
    assert "keywords['by']" in found[id(array)]
    assert "scaler" in found[id(scaler)]


def test_fitted_parts_are_told_from_new_ones() -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert is_fitted(StandardScaler().fit(x))
    assert not is_fitted(StandardScaler())
    assert not is_fitted(FunctionTransformer().fit(x))
    assert not is_fitted(StandardScaler)


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.integers(1, 200))
def test_the_bound_lies_between_one_guess_and_certainty(n: int, p: float, epochs: int) -> None:
    bound = independent_epochs_bound(n, p, epochs)
    assert p - 1e-9 <= bound <= 1
    assert independent_epochs_bound(n, p, epochs + 1) >= bound - 1e-12


def test_the_bound_is_what_independent_guesses_reach() -> None:
    rng = np.random.default_rng(2)
    best = (rng.binomial(40, 0.5, size=(20_000, 30)) / 40).max(axis=1)
    error = best.std() / np.sqrt(len(best))
    assert independent_epochs_bound(40, 0.5, 30) == pytest.approx(best.mean(), abs=4 * error)


@pytest.mark.extra("deep")
def test_the_leak_o_meter_takes_a_network_that_keeps_no_epochs_by_itself() -> None:
    people, each = 4, 4
    meta = pd.DataFrame({name: [""] * people * each for name in META_COLUMNS})
    who = np.repeat([f"s{i}" for i in range(people)], each)
    meta = meta.assign(subject=who, start=0.0, duration=5.0)
    x = np.random.default_rng(0).normal(size=(people * each, 3))
    samples = Samples(x=x, meta=meta)
    y = np.tile([0, 1], people * each // 2)
    network = NetworkClassifier("perceptron", epochs=2, early_stopping=False, patience=None)
    meter = leak_o_meter(network, samples, y, leave_one_subject_out())
    assert (meter.epochs, meter.subjects) == (2, people)


def test_the_leak_o_meter_needs_epochs() -> None:
    meta = pd.DataFrame({name: [""] for name in META_COLUMNS})
    samples = Samples(x=np.zeros((1, 1)), meta=meta)
    with pytest.raises(EvaluationError, match="LogisticRegression has no staged_predict_proba"):
        leak_o_meter(LogisticRegression(), samples, np.zeros(1, int), leave_one_subject_out())
