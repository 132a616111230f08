"""The audit's own parts: what a finding may say, what an estimator carries, bounds."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dolorimeter.audits import (
    CHECKS,
    FALSE_ALARM_RATES,
    NOT_DETECTABLE,
    Finding,
    audit,
    has_fault,
    independent_epochs_bound,
    leak_o_meter,
)
from dolorimeter.audits.checks.estimator import is_fitted, parameters
from dolorimeter.audits.checks.refit import independent_shuffle
from dolorimeter.audits.fresh_process import FreshProcessError, run_fresh
from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import NetworkClassifier, SubjectSearch, chooses_on_subjects
from dolorimeter.evaluation import evaluate
from dolorimeter.samples import META_COLUMNS, Samples
from dolorimeter.splits import group_k_fold, leave_one_subject_out


def test_a_finding_survives_json() -> None:
    found = Finding("near_duplicates", "fault", "recomputed", "p01 / p02", "the same")
    assert Finding.from_dict(found.to_dict()) == found
    assert has_fault([found])
    assert not has_fault([])


def test_what_is_only_declared_can_never_be_passed() -> None:
    for check in CHECKS:
        with pytest.raises(AssertionError):
            Finding(check, "passed", "declared", "", "")


def test_findings_of_an_earlier_version_are_read_and_every_check_has_a_false_alarm_rate() -> None:
    old = {"check": "near_duplicates", "severity": "fault", "evidence": "recomputed",
           "where": "p01", "message": "the same"}  # fmt: skip
    assert Finding.from_dict(old).false_alarm_rate == FALSE_ALARM_RATES["near_duplicates"]
    assert set(FALSE_ALARM_RATES) == set(CHECKS)
    assert 0 < min(FALSE_ALARM_RATES.values()) <= max(FALSE_ALARM_RATES.values()) <= 0.02


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


class Names:
    """An object whose method uses attributes that are called like variables of this module."""

    def __init__(self) -> None:
        self.FITTED, self.ROWS = None, None

    def columns(self, x: np.ndarray) -> np.ndarray:
        return x if self.FITTED is None and self.ROWS is None else x[:, :1]


def by_attribute(x: np.ndarray, names: Any = Names()) -> np.ndarray:  # noqa: B008
    return x if names.FITTED is None else x[:, :1]


def by_variable(x: np.ndarray) -> np.ndarray:
    return FITTED.transform(x)


FITTED = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
ROWS = np.arange(12.0)


def test_attributes_are_not_taken_for_global_variables() -> None:
    found = [path for path, _ in parameters(FunctionTransformer(by_attribute))]
    assert not any("global" in path for path in found)
    found = [path for path, part in parameters(FunctionTransformer(by_variable)) if part is FITTED]
    assert found == ["FunctionTransformer.func→global FITTED"]


def simple(x: np.ndarray, y: np.ndarray, subjects: np.ndarray, **columns: Any) -> Samples:
    meta = pd.DataFrame({name: [""] * len(y) for name in META_COLUMNS})
    defaults = {"subject": subjects, "recording": subjects, "start": np.nan, "duration": np.nan}
    meta = meta.assign(**(defaults | columns))
    meta["condition"] = y.astype(str)
    return Samples(x=x, meta=meta, feature_names=tuple(f"f{i}" for i in range(x.shape[1])))


def drawn(subjects: int, windows: int, seed: int = 0) -> tuple[Samples, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat([f"s{i:02d}" for i in range(subjects)], windows)
    y = np.concatenate([rng.permutation(np.arange(windows) % 2) for _ in range(subjects)])
    return simple(rng.normal(size=(len(y), 4)) + y[:, None], y, who), y


def loud(estimator: Any, samples: Samples, y: Any, split: Any, **options: Any) -> list[Finding]:
    """Faults and warnings of a run of these samples; no check may end with an error."""
    options = {"rerun": 3} | options
    run = evaluate(estimator, samples, y, split, **options.pop("evaluate", {}))
    findings = audit(run, samples=samples, y=y, estimator=estimator, split=split, **options)
    assert not any(f.severity == "declared" and "Error" in f.message for f in findings)
    assert {f.check for f in findings} == set(CHECKS)
    return [f for f in findings if f.severity in ("fault", "warning")]


class Odd(LogisticRegression):
    """A clean user's estimator with parts of every shape, and names that a notebook uses too."""

    def __init__(self, limit: Any = None, ragged: Any = None, table: Any = None) -> None:
        super().__init__()
        self.limit, self.ragged, self.table = limit, ragged, table

    def fit(self, X: np.ndarray, y: np.ndarray) -> Odd:
        self.X, self.y = X, y
        self.curve_ = IsotonicRegression().fit(X[:, 0], y)
        return super().fit(X, y)


@pytest.mark.long
def test_arrays_of_any_shape_in_an_estimator_are_no_fault() -> None:
    samples, y = drawn(6, 8)
    odd = Odd(np.array(0.5), [[1, 2], [3]], [np.zeros(0), np.array([["a"]]), pd.Series([None])])
    odd.curve_ = IsotonicRegression().fit(np.arange(5.0), np.arange(5.0))
    assert loud(odd, samples, y, group_k_fold(3)) == []


@pytest.mark.long
def test_an_isotonic_regression_of_a_rating_is_no_fault() -> None:
    samples, y = drawn(6, 8)
    x = np.asarray(samples.x)[:, :1]
    rating = np.clip(3 * x[:, 0] + np.random.default_rng(1).normal(size=len(y)), 0, 10).round(1)
    line = replace(samples, x=x, feature_names=("f0",))
    options: dict[str, Any] = {"evaluate": {"target_kind": "regressor"}}
    isotonic = IsotonicRegression(out_of_bounds="clip")
    assert loud(isotonic, line, rating, group_k_fold(3), **options) == []


@pytest.mark.parametrize("windows", [1, 6], ids=["one row", "one label"])
def test_one_label_per_subject_is_no_leak(windows: int) -> None:
    samples, _ = drawn(24, windows)
    label = np.repeat(np.arange(24) % 2, windows)
    x = np.random.default_rng(3).normal(size=samples.x.shape) + label[:, None]
    samples = replace(samples, x=x)
    assert loud(LogisticRegression(), samples, label, group_k_fold(4), rerun=5) == []


def test_shares_that_saturate_are_not_the_work_of_a_scaler() -> None:
    samples, y = drawn(8, 12)
    shares = np.clip(0.5 + 0.4 * np.asarray(samples.x), 0, 1)
    assert loud(LogisticRegression(), replace(samples, x=shares), y, group_k_fold(4)) == []


@pytest.mark.long
def test_a_randomised_balanced_design_gives_no_warning_of_the_previous_stimulus() -> None:
    """15 of 40 such designs were warned of: the other class is the more frequent one after one."""
    warned = 0
    for seed in range(12):
        samples, y = drawn(14, 24, seed)
        place = np.tile(np.arange(24), 14)
        timed = replace(samples, meta=samples.meta.assign(start=10.0 * place, duration=5.0))
        run = evaluate(LogisticRegression(), timed, y, group_k_fold(2))
        warned += any(
            f.check == "level_before" and f.severity == "warning"
            for f in audit(run, samples=timed, y=y)
        )
    assert warned == 0


def test_shuffled_labels_are_independent_of_the_true_ones() -> None:
    rng = np.random.default_rng(0)
    y, subjects = np.tile([0, 1], 40), np.repeat(np.arange(10), 8)
    shuffled = independent_shuffle(y, subjects, rng, True)
    for subject in range(10):
        mine = subjects == subject
        assert sorted(shuffled[mine]) == sorted(y[mine])
        assert np.corrcoef(shuffled[mine], y[mine])[0, 1] == 0.0


def test_a_label_per_subject_is_exchanged_between_subjects() -> None:
    y, subjects = np.repeat([0, 0, 1, 1], 3), np.repeat(np.arange(4), 3)
    shuffled = independent_shuffle(y, subjects, np.random.default_rng(0), True)
    assert sorted(shuffled) == sorted(y)
    assert all(len(set(shuffled[subjects == s])) == 1 for s in range(4))


def test_an_estimator_that_cannot_be_sent_is_named() -> None:
    samples, y = drawn(6, 8)
    estimator = FunctionTransformer(kw_args={"lock": threading.Lock()})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    run = evaluate(pipeline, samples, y, group_k_fold(3))
    holds = make_pipeline(estimator, LogisticRegression())
    findings = audit(run, samples=samples, y=y, estimator=holds, split=group_k_fold(3), rerun=3)
    [found] = [f for f in findings if f.check == "state_between_folds"]
    assert "could not be sent to a fresh process" in found.message


def test_what_a_fit_does_in_a_fresh_process_stays_there(tmp_path: Path) -> None:
    folder = run_fresh(os.getcwd, {}).value
    assert Path(folder) != Path.cwd()
    assert not Path(folder).exists()
    with pytest.raises(FreshProcessError, match="TypeError"):
        run_fresh(os.getcwd, {"no_such": 1})


@pytest.mark.long
def test_the_search_for_copies_is_nearly_linear() -> None:
    """A hundred thousand rows with copies, against which every pair was compared before."""
    rng = np.random.default_rng(0)
    who = np.repeat([f"s{i:03d}" for i in range(200)], 500)
    x = rng.normal(size=(len(who), 20))
    x[500:1000] = x[:500] * 1.02 + rng.normal(scale=0.01, size=(500, 20))
    x[1000] = x[7000]
    y = np.arange(len(who)) % 2
    samples = simple(x, y, who)
    run = evaluate(GaussianNB(), samples, y, group_k_fold(5), baselines=False)
    findings = {f.check: f for f in audit(run, samples=samples, y=y) if f.severity == "fault"}
    assert findings["copied_subject"].where == "s000 / s001"
    assert findings["near_duplicates"].where == "s002 / s014"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_reduced_measurement_of_false_alarms_is_within_its_targets() -> None:
    script = Path(__file__).parent.parent / "scripts" / "audit_false_alarms"
    if not script.is_file():
        pytest.skip("scripts are not part of the installed package")
    done = subprocess.run(
        [sys.executable, str(script), "--runs", "3", "--seed", "500"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_leak_o_meter_calls_no_epoch_chosen_that_is_not() -> None:
    """Boosting keeps its last stage: there is no choice on inner subjects to compare with."""
    rng = np.random.default_rng(0)
    who = np.repeat([f"s{i}" for i in range(6)], 10)
    y = np.tile([0, 1], 30)
    samples = Samples.from_arrays(rng.normal(size=(60, 3)) + y[:, None], subject=who)
    boosting = GradientBoostingClassifier(n_estimators=5, random_state=0)
    meter = leak_o_meter(boosting, samples, y, leave_one_subject_out())
    assert meter.selection == "fixed"
    assert str(meter).startswith("last epoch: ")
    search = SubjectSearch(boosting, {"max_depth": [1, 2]}, n_splits=2)
    assert chooses_on_subjects(make_pipeline(StandardScaler(), search))
    assert not chooses_on_subjects(make_pipeline(StandardScaler(), "passthrough"))


def test_the_leak_o_meter_needs_epochs() -> None:
    meta = pd.DataFrame({name: [""] for name in META_COLUMNS})
    samples = Samples(x=np.zeros((1, 1)), meta=meta)
    with pytest.raises(EvaluationError, match="LogisticRegression has no staged_predict_proba"):
        leak_o_meter(LogisticRegression(), samples, np.zeros(1, int), leave_one_subject_out())


def test_the_page_lists_every_check_and_every_limit() -> None:
    page = Path(__file__).parent.parent / "docs" / "audit.md"
    if not page.is_file():
        pytest.skip("docs are not part of the installed package")
    text = page.read_text(encoding="utf-8")
    assert [name for name in CHECKS if f"`{name}`" not in text] == []
    assert [limit for limit in NOT_DETECTABLE if f"- {limit}" not in text] == []
