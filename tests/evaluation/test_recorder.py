"""The access record: what is handed out, what parts inside touch, and no false alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.evaluation import Run, evaluate
from dolorimeter.evaluation._recorder import (
    Recorder,
    empty_access,
    expand_access,
    row_keys,
    sample_keys,
    shrink_access,
)
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold, leave_one_subject_out

Cohort = Callable[..., tuple[Samples, np.ndarray]]

GRID = {"C": [0.1, 1.0]}


def calls(run: Run, fold: int, stage: str) -> list[tuple[str, str, list[int]]]:
    """Estimator, method and rows of each call."""
    mine = run.access[(run.access["fold"] == fold) & (run.access["stage"] == stage)]
    return [
        (str(key[0]), str(key[1]), rows.tolist())
        for key, rows in mine.groupby(["estimator", "method", "call"], observed=True)["row"]
    ]


def test_outer_calls_are_exact(cohort: Cohort) -> None:
    samples, y = cohort(subjects=4)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    run = evaluate(model, samples, y, leave_one_subject_out(), seed=(0, 1))
    for fold in leave_one_subject_out().folds(samples.meta, y):
        wanted = [
            ("Pipeline", "fit", fold.fit_rows.tolist()),
            ("Pipeline", "predict", fold.test.tolist()),
        ]
        for seed in (0, 1):
            one = replace(run, access=run.access[run.access["seed"] == seed])
            assert calls(one, fold.index, "outer") == wanted
    assert run.access.columns.tolist() == [
        *("fold", "seed", "stage", "estimator", "method", "call", "row")
    ]


def test_parts_of_a_pipeline_are_seen_with_their_rows(cohort: Cohort) -> None:
    samples, y = cohort(subjects=4)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    run = evaluate(model, samples, y, leave_one_subject_out())
    inner = {(name, method): rows for name, method, rows in calls(run, 1, "inner")}
    train, test = [*range(8), *range(16, 32)], [*range(8, 16)]
    assert inner["StandardScaler", "fit_transform"] == train
    assert inner["StandardScaler", "transform"] == test
    assert ("StandardScaler", "fit") not in inner  # one note is enough


def both_sides(run: Run, samples: Samples) -> int:
    """Inner fits whose complement within the training set, predicted later, shares a person."""
    found = 0
    for fold in run.access["fold"].unique():
        train = set(next(r for _, m, r in calls(run, fold, "outer") if m == "fit"))
        inner = calls(run, fold, "inner")
        held = [set(rows) for _, method, rows in inner if method.startswith("predict")]
        for _, method, rows in inner:
            left = train - set(rows)
            if method == "fit" and left in held:
                people = samples.subjects.astype(str)
                found += bool({*people[[*left]]} & {*people[rows]})
    return found


@pytest.mark.parametrize(("splitter", "alarm"), [(KFold(4), True), (GroupKFold(3), False)])
def test_a_search_that_splits_people_is_seen(cohort: Cohort, splitter: Any, alarm: bool) -> None:
    samples, y = cohort(subjects=4)
    search = GridSearchCV(LogisticRegression(), GRID, cv=splitter, scoring="accuracy")
    run = evaluate(search, samples, y, leave_one_subject_out(), baselines=False)
    assert (both_sides(run, samples) > 0) == alarm


@pytest.mark.parametrize("copies", ["one row each", "a flat person", "everybody's first"])
def test_equal_samples_give_no_false_alarm(cohort: Cohort, copies: str) -> None:
    samples, y = cohort(subjects=4)
    x = samples.x.copy()
    if copies == "one row each":
        x[8] = x[16] = x[24] = x[0]
    elif copies == "a flat person":
        x[8:16] = 0.0
    else:
        x[::8] = x[0]
    samples = replace(samples, x=x)
    search = GridSearchCV(LogisticRegression(), GRID, cv=GroupKFold(3), scoring="accuracy")
    run = evaluate(search, samples, y, leave_one_subject_out(), baselines=False)
    assert both_sides(run, samples) == 0
    for fold in range(4):
        test = set(range(8 * fold, 8 * fold + 8))
        for _, method, rows in calls(run, fold, "inner"):
            if method == "fit":
                assert not set(rows) & test


def test_equal_rows_are_told_apart_by_their_place() -> None:
    x = np.arange(12.0).reshape(6, 2)
    x[1] = x[4] = x[2]
    recorder = Recorder(x, fold=0, seed=0)
    recorder.outer(object(), "fit", np.arange(6))
    for given_rows, wanted in (
        ([0, 1, 2, 3], [0, 1, 2, 3]),  # as many as there can be between 0 and 3
        ([3, 4, 5], [3, 4, 5]),
        ([0, 2, 3], [0, 3]),  # 1 or 2: not certain, not noted
        ([5, 4, 3], [5, 3]),  # out of order: not certain
    ):
        np.testing.assert_array_equal(recorder._recognise(x[given_rows]), wanted)
    assert recorder._recognise(x[1:2]) is None
    assert recorder._recognise(x + 1) is None
    assert recorder._recognise(x[:, :1]) is None
    assert recorder._recognise("words") is None


class Remembers(ClassifierMixin, BaseEstimator):
    """Scales with all samples, which it carries along; everything it declares is innocent."""

    def __init__(self, everything: np.ndarray | None = None) -> None:
        self.everything = everything

    def fit(self, X: np.ndarray, y: np.ndarray) -> Remembers:
        self.classes_ = np.unique(y)
        self.scaler_ = StandardScaler()
        self.scaler_.fit(self.everything)
        self.model_ = LogisticRegression().fit(self.scaler_.transform(X), y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(self.scaler_.transform(X))


def test_a_part_named_in_a_parameter_is_seen_with_foreign_rows(cohort: Cohort) -> None:
    samples, y = cohort(subjects=4)

    class Carries(Remembers):
        def __init__(self, everything: Any = None, scaler: Any = None) -> None:
            super().__init__(everything)
            self.scaler = scaler

    run = evaluate(
        Carries(samples.x, StandardScaler()), samples, y, leave_one_subject_out(), baselines=False
    )
    touched = {rows for n, m, rows in ((n, m, tuple(r)) for n, m, r in calls(run, 0, "inner"))
               if (n, m) == ("StandardScaler", "fit")}  # fmt: skip
    assert tuple(range(32)) in touched


def test_methods_are_as_before_after_a_run_and_after_a_failure(cohort: Cohort) -> None:
    samples, y = cohort(subjects=3)
    watched = ("fit", "transform", "fit_transform", "partial_fit")
    before = {m: StandardScaler.__dict__.get(m) for m in watched}
    model = make_pipeline(StandardScaler(), LogisticRegression())
    evaluate(model, samples, y, leave_one_subject_out(), baselines=False)
    assert {m: StandardScaler.__dict__.get(m) for m in watched} == before
    recorder = Recorder(samples.x, 0, 0)

    def fail_while_watched() -> None:
        with recorder.watching(model):
            assert StandardScaler.__dict__["fit"] is not before["fit"]
            raise ZeroDivisionError("as planted")

    with pytest.raises(ZeroDivisionError, match="as planted"):
        fail_while_watched()
    assert {m: StandardScaler.__dict__.get(m) for m in watched} == before


def test_a_static_method_keeps_its_kind(cohort: Cohort) -> None:
    samples, y = cohort(subjects=3)

    class Static(LogisticRegression):
        @staticmethod
        def transform(X: np.ndarray) -> np.ndarray:
            return X

        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            return super().fit(self.transform(X), y)

    run = evaluate(Static(), samples, y, leave_one_subject_out(), baselines=False)
    assert not len(run.failures)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 4))
def test_stretches_expand_to_the_rows_they_came_from(rows: list[int], calls_made: int) -> None:
    wide = pd.DataFrame(
        {
            "fold": np.zeros(len(rows), dtype=np.int32),
            "seed": 0,
            "stage": pd.Categorical(["inner"] * len(rows)),
            "estimator": pd.Categorical(["A"] * len(rows)),
            "method": pd.Categorical(["fit"] * len(rows)),
            "call": np.sort(np.arange(len(rows)) % calls_made).astype(np.int32),
            "row": np.array(rows, dtype=np.int32),
        }
    )
    short = shrink_access(wide)
    assert len(short) <= len(wide)
    pd.testing.assert_frame_equal(expand_access(short), wide)


def test_an_empty_record_stays_empty() -> None:
    wide = expand_access(empty_access())
    assert not len(wide)
    assert "row" in wide
    assert not len(shrink_access(wide))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.bool_])
def test_rows_have_equal_keys_when_they_are_equal(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(400, 3, 5)).astype(dtype)
    keys = row_keys(x)
    flat = x.reshape(400, -1)
    _, wanted = np.unique(flat, axis=0, return_inverse=True)
    _, found = np.unique(keys, return_inverse=True)
    pairs = set(zip(wanted.reshape(-1).tolist(), found.reshape(-1).tolist(), strict=True))
    assert len(pairs) == len(set(wanted.reshape(-1).tolist())) == len(set(found.tolist()))


def test_keys_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(100, 7))
    whole = row_keys(x)
    monkeypatch.setattr("dolorimeter.evaluation._recorder.BLOCK", 160)
    np.testing.assert_array_equal(row_keys(x), whole)


def test_keys_of_streams_are_those_of_the_first(cohort: Cohort) -> None:
    samples, _ = cohort()
    both = sample_keys({"a": samples.x, "b": samples.x[:, :1]})
    np.testing.assert_array_equal(both.keys, sample_keys(samples.x).keys)


def test_grouped_folds_touch_all_training_rows(cohort: Cohort) -> None:
    samples, y = cohort(subjects=6)
    run = evaluate(LogisticRegression(), samples, y, group_k_fold(3), baselines=False)
    outer = run.access[run.access["stage"] == "outer"]
    assert outer.groupby(["fold", "method"], observed=True).size().tolist() == [32, 16] * 3


class Reloaded(LogisticRegression):
    """Its class is set anew during the fit, as a Dask worker does that receives the next job."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Reloaded:
        Reloaded.fit = ORIGINAL_FIT  # type: ignore[method-assign]
        super().fit(X, y)
        return self


ORIGINAL_FIT = Reloaded.fit


def test_a_class_that_is_loaded_again_costs_no_fold_and_is_said(cohort: Cohort) -> None:
    samples, y = cohort(subjects=3)
    run = evaluate(Reloaded(), samples, y, leave_one_subject_out(), baselines=False)
    assert run.failures.empty
    assert len(run.predictions) == len(y)
    assert any("3 × the access record lacks calls of Reloaded.fit" in n for n in run.notes)
    assert Reloaded.fit is ORIGINAL_FIT
