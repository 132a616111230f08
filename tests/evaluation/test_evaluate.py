"""The fold loop: complete rows, seeds, groups, checked outputs, failures by subject, oracles."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.errors import EvaluationError
from dolorimeter.estimators import (
    NetworkClassifier,
    SubjectSearch,
    TemperatureCalibrated,
    load_estimator,
)
from dolorimeter.evaluation import ROW_COLUMNS, evaluate, fit_fold, fold_seed, select_oracle
from dolorimeter.evaluation._folds import global_seed
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold, hold_out, leave_one_subject_out, personalised
from dolorimeter.types import Exclusion

Cohort = Callable[..., tuple[Samples, np.ndarray]]


class Probe(ClassifierMixin, BaseEstimator):
    """Writes down what it is given; answers one half."""

    seen: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, random_state: int | None = None, inner: Any = None) -> None:
        self.random_state = random_state
        self.inner = inner

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> Probe:
        self.classes_ = np.unique(y)
        Probe.seen.append(
            {
                "seed": self.random_state,
                "inner": getattr(self.inner, "random_state", None),
                "groups": groups,
                "rows": len(X),
                "numpy": np.random.random(),  # noqa: NPY002
                "python": random.random(),
            }
        )
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Fails(LogisticRegression):
    """Cannot fit when the person of the threshold is not there."""

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Fails:
        if "p02" not in groups:
            raise ValueError("the electrode fell off")
        super().fit(X, y)
        return self


class Answers(ClassifierMixin, BaseEstimator):
    """Gives the probabilities it is told, whatever the question."""

    def __init__(self, kind: str = "") -> None:
        self.kind = kind

    def fit(self, X: np.ndarray, y: np.ndarray) -> Answers:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        half = np.full((len(X), 2), 0.5)
        return {
            "nan": half * np.nan,
            "sum": half * 1.2,
            "negative": half + np.array([[-0.7, 0.7]]),
            "columns": np.full((len(X), 3), 1 / 3),
            "rows": half[1:],
            "flat": half[:, 0],
        }[self.kind]


class Staged(ClassifierMixin, BaseEstimator):
    """Epochs of noise, some of them better by luck."""

    def __init__(self, random_state: int | None = None, epochs: int = 12) -> None:
        self.random_state = random_state
        self.epochs = epochs

    def fit(self, X: np.ndarray, y: np.ndarray) -> Staged:
        self.classes_ = np.unique(y)
        return self

    def staged_predict_proba(self, X: np.ndarray) -> list[np.ndarray]:
        rng = np.random.default_rng(self.random_state)
        p = rng.uniform(size=(self.epochs, len(X)))
        return [np.stack([1 - q, q], axis=1) for q in p]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return self.staged_predict_proba(X)[-1]


class Interval(Ridge):
    """A ridge with bounds, or with bounds that make no sense."""

    def __init__(self, wrong: str = "") -> None:
        super().__init__()
        self.wrong = wrong

    def predict_interval(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle = self.predict(X)
        if self.wrong == "short":
            return middle[1:], middle[1:]
        if self.wrong == "turned":
            return middle + 1, middle - 1
        return middle - 2, middle + 2


def test_every_row_is_there_once_and_in_order(cohort: Cohort) -> None:
    samples, y = cohort()
    present = {"eda": np.ones(40, dtype=bool), "ecg": np.arange(40) % 2 == 0}
    lost = Exclusion("p09", "r", "recording", "flat")
    samples = replace(
        samples, present=present, quality=np.linspace(0, 1, 40), exclusions=(lost,), notes=("n",)
    )
    told: list[tuple[int, int]] = []
    run = evaluate(
        make_pipeline(StandardScaler(), LogisticRegression()),
        samples,
        y,
        leave_one_subject_out(),
        classes=("none", "strong"),
        demographics=("sex",),
        modalities=("eda", "ecg"),
        seed=(0, 7),
        progress=lambda done, total: told.append((done, total)),
    )
    rows = run.predictions
    assert tuple(rows.columns) == (*ROW_COLUMNS, "label", "p_0", "p_1", "sex")
    assert rows["row"].tolist() == [*range(40), *range(40)]
    assert rows["seed"].tolist() == [0] * 40 + [7] * 40
    assert rows["fold"].tolist() == [*np.repeat(range(5), 8)] * 2
    np.testing.assert_array_equal(rows["label"], np.tile(y, 2))
    np.testing.assert_array_equal(rows["subject"], np.tile(samples.subjects, 2))
    np.testing.assert_array_equal(rows["window_start"], np.tile(samples.meta["start"], 2))
    assert rows["quality"].tolist() == [*np.linspace(0, 1, 40)] * 2
    assert rows["modalities_present"].tolist() == ["eda+ecg", "eda"] * 40
    assert set(rows["question"]) == {run.question.hash}
    assert set(rows["target_access"]) == {"none"}
    assert set(rows["selection"]) == {"fixed"}
    np.testing.assert_allclose(run.probabilities.sum(axis=1), 1)
    assert run.model == "StandardScaler + LogisticRegression"
    assert run.classes == ("none", "strong")
    assert (run.seeds, run.demographics, run.modalities) == ((0, 7), ("sex",), ("eda", "ecg"))
    assert (run.label_source, run.notes) == ("stimulus", ("n",))
    assert run.exclusions.to_dict("records") == [
        {"subject": "p09", "recording": "r", "what": "recording", "reason": "flat"}
    ]
    assert told == [(i, 10) for i in range(1, 11)]
    assert run.question.windows == {"duration": 5.5}
    assert run.question.split == {"name": "leave_one_subject_out", "arguments": {}}


def test_predictions_are_those_of_the_estimator_fitted_by_hand(cohort: Cohort) -> None:
    samples, y = cohort()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    run = evaluate(model, samples, y, leave_one_subject_out(), baselines=False)
    for fold in leave_one_subject_out().folds(samples.meta, y):
        mine = model.fit(samples.x[fold.train], y[fold.train])
        np.testing.assert_array_equal(
            run.probabilities[fold.test], mine.predict_proba(samples.x[fold.test])
        )
        again = fit_fold(model, samples, y, fold)
        assert again is not model
        np.testing.assert_array_equal(
            again.predict_proba(samples.x[fold.test]), run.probabilities[fold.test]
        )
    assert len(run.baselines) == 0


def test_every_random_state_is_seeded_by_seed_and_fold(cohort: Cohort) -> None:
    samples, y = cohort(subjects=3)
    Probe.seen.clear()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    model = make_pipeline(StandardScaler(), Probe(inner=RandomForestClassifier()))
    evaluate(model, samples, y, leave_one_subject_out(), seed=(4, 5), baselines=False)
    first, Probe.seen[:] = list(Probe.seen), []
    evaluate(model, samples, y, leave_one_subject_out(), seed=(4, 5), baselines=False)
    wanted = [fold_seed(s, f) for s in (4, 5) for f in range(3)]
    assert [s["seed"] for s in first] == [s["inner"] for s in first] == wanted
    assert len(set(wanted)) == 6
    for name in ("numpy", "python"):  # the global generators too, and they are put back
        assert [s[name] for s in first] == [s[name] for s in Probe.seen]
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert model.steps[1][1].random_state is None  # the one that was given stays as it was


def test_global_generators_are_seeded_for_a_fold_and_put_back() -> None:
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with global_seed(3):
        first = random.random(), np.random.random()  # noqa: NPY002
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    with global_seed(3):
        assert (random.random(), np.random.random()) == first  # noqa: NPY002


def test_random_state_is_seeded_in_a_vote_and_a_search(cohort: Cohort) -> None:
    samples, y = cohort(subjects=3)
    vote = VotingClassifier([("a", RandomForestClassifier(3)), ("b", Probe())], voting="soft")
    Probe.seen.clear()
    evaluate(vote, samples, y, leave_one_subject_out(), seed=9, baselines=False)
    assert [s["seed"] for s in Probe.seen] == [fold_seed(9, f) for f in range(3)]


def test_groups_reach_pipelines_and_searches(cohort: Cohort) -> None:
    samples, y = cohort(subjects=4)
    Probe.seen.clear()
    evaluate(
        make_pipeline(StandardScaler(), Probe()),
        samples,
        y,
        leave_one_subject_out(),
        baselines=False,
    )
    for fold, seen in enumerate(Probe.seen):
        assert set(seen["groups"]) == {f"p{i:02d}" for i in range(4)} - {f"p{fold:02d}"}
        assert len(seen["groups"]) == seen["rows"] == 24
    grid = {"C": [0.1, 1.0]}
    search = GridSearchCV(LogisticRegression(), grid, cv=GroupKFold(3))
    for model in (search, make_pipeline(StandardScaler(), search)):
        run = evaluate(model, samples, y, leave_one_subject_out(), baselines=False)
        assert len(run.predictions) == 32  # GroupKFold would have refused without groups
        assert not len(run.failures)


def test_who_takes_no_groups_gets_none(cohort: Cohort) -> None:
    samples, y = cohort()
    run = evaluate(LogisticRegression(), samples, y, hold_out(["p00"]), baselines=False)
    assert len(run.predictions) == 8


def test_a_failing_fold_is_named_by_subject_and_the_others_are_kept(cohort: Cohort) -> None:
    samples, y = cohort()
    run = evaluate(Fails(), samples, y, leave_one_subject_out())
    assert run.failures[["fold", "seed", "subjects", "error"]].to_dict("records") == [
        {"fold": 2, "seed": 0, "subjects": "p02", "error": "ValueError: the electrode fell off"}
    ]
    assert "in fit" in run.failures["traceback"][0]
    assert sorted(set(run.predictions["fold"])) == [0, 1, 3, 4]
    assert any("1 of 5 folds failed: ValueError" in note for note in run.notes)


def test_all_folds_failing_is_an_error(cohort: Cohort) -> None:
    samples, y = cohort()
    kept = samples.take(samples.subjects != "p02")
    with pytest.raises(EvaluationError, match=r"all 4 folds failed.*the electrode fell off"):
        evaluate(Fails(), kept, y[samples.subjects != "p02"], leave_one_subject_out())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", r"Answers, fold 'hold out': 8 outputs for 8 windows, 16 not finite"),
        ("sum", "probabilities of a window sum to 1.2, expected 1"),
        ("negative", "probabilities between -0.2 and 1.2"),
        ("columns", r"probabilities of shape \(8, 3\), expected \(8, 2\)"),
        ("rows", r"probabilities of shape \(7, 2\), expected \(8, 2\)"),
        ("flat", r"probabilities of shape \(8,\), expected \(8, 2\)"),
    ],
)
def test_probabilities_that_are_none_are_named(cohort: Cohort, kind: str, message: str) -> None:
    samples, y = cohort()
    with pytest.raises(EvaluationError, match=message):
        evaluate(Answers(kind), samples, y, hold_out(["p00"]), baselines=False)


def test_a_classifier_without_probabilities_is_told_what_to_do(cohort: Cohort) -> None:
    samples, y = cohort()
    with pytest.raises(EvaluationError, match="RidgeClassifier has no predict_proba"):
        evaluate(RidgeClassifier(), samples, y, hold_out(["p00"]))


def test_a_class_that_a_fold_never_saw_has_probability_zero(cohort: Cohort) -> None:
    samples, y = cohort(windows=6)
    y = y.copy()
    y[samples.subjects == "p03"] = [0, 1, 2, 0, 1, 2]  # class 2 is of one person only
    run = evaluate(LogisticRegression(), samples, y, leave_one_subject_out())
    mine = run.predictions[run.predictions["subject"] == "p03"]
    assert (mine["p_2"] == 0).all()
    np.testing.assert_allclose(run.probabilities.sum(axis=1), 1)
    others = run.predictions[run.predictions["subject"] != "p03"]
    assert (others["p_2"] > 0).all()
    assert set(run.baselines["model"]) == {"majority", "nuisance", "level_before"}


def test_warnings_of_a_fit_are_counted_in_the_notes(cohort: Cohort) -> None:
    samples, y = cohort()

    class Warns(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            warnings.warn("steep", RuntimeWarning, stacklevel=2)
            return super().fit(X, y)

    run = evaluate(Warns(), samples, y, leave_one_subject_out(), baselines=False)
    assert "5 × RuntimeWarning: steep" in run.notes


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        (lambda y: y[1:], None, "40 samples and 39 labels"),
        (
            lambda y: y + 0.5,
            None,
            r"decimal numbers \(the first is 0.5\).*='regressor'",
        ),
        (lambda y: y * 0, None, "labels are 0; expected at least two classes"),
        (lambda y: y * 2, ("a", "b"), "labels are 0, 2; classes = 'a', 'b'. Expected the labels"),
        (lambda y: y, ("a", "b", "c"), "labels are 0, 1; classes = 'a', 'b', 'c'"),
        (lambda y: np.where(y == 1, "PA4", "BL1"), ("BL1", "PA3", "PA4"), "'PA3' does not"),
        (
            lambda y: np.where(y == 1, np.nan, y),
            None,
            r"20 of 40 labels are missing .*in row",
        ),
        (lambda y: [None, *y[1:]], None, "1 of 40 labels are missing"),
        (lambda y: np.where(y == 1, "", "BL1"), None, "20 of 40 labels are missing"),
        (lambda y: pd.array([pd.NA, *y[1:]], dtype="Int64"), None, "1 of 40 labels are missing"),
        (lambda y: [*y[:-1], "b"], None, r"several types \(int64, str\)"),
        (lambda y: np.stack([y, y], axis=1), None, r"of shape \(40, 2\), expected one label per"),
        (lambda y: "BL1", None, "y is str 'BL1', expected one label per sample"),
    ],
)
def test_labels_that_cannot_be_classes_are_refused(
    cohort: Cohort, labels: Any, classes: Any, message: str
) -> None:
    samples, y = cohort()
    with pytest.raises(EvaluationError, match=message):
        evaluate(
            LogisticRegression(), samples, labels(y), leave_one_subject_out(), classes=classes
        )


def test_arguments_that_do_not_fit_are_refused(cohort: Cohort) -> None:
    samples, y = cohort()
    model, split = LogisticRegression(), leave_one_subject_out()
    with pytest.raises(
        EvaluationError, match="'oracle_seed' chooses among runs: use select_oracl"
    ):
        evaluate(model, samples, y, split, selection="oracle_seed")
    with pytest.raises(EvaluationError, match="keep_models needs run_dir"):
        evaluate(model, samples, y, split, keep_models=True)
    with pytest.raises(
        EvaluationError, match=r"the samples have no column 'age'; they have: .*participants"
    ):
        evaluate(model, samples, y, split, demographics=("age",))
    with pytest.raises(EvaluationError, match="1 of 40 labels are missing"):
        evaluate(model, samples, np.r_[np.nan, y[1:]], split, target_kind="regressor")
    with pytest.raises(EvaluationError, match="there are no samples: every window was left out"):
        evaluate(model, samples.take(np.zeros(40, dtype=bool)), y[:0], split)


def test_target_access_is_the_most_that_anybody_had(cohort: Cohort) -> None:
    samples, y = cohort()
    seen = replace(samples, target_access="unlabelled_target")
    model = LogisticRegression()
    for data, split, wanted in (
        (samples, personalised(1), "labelled_reference"),
        (seen, personalised(1), "labelled_reference"),
        (seen, leave_one_subject_out(), "unlabelled_target"),
    ):
        run = evaluate(model, data, y, split, baselines=False)
        assert set(run.predictions["target_access"]) == {wanted}


def test_regression_keeps_targets_and_bounds(cohort: Cohort) -> None:
    samples, y = cohort()
    target = y * 30.0 + samples.x[:, 1]
    run = evaluate(Interval(), samples, target, group_k_fold(2), target_kind="regressor")
    rows = run.predictions.sort_values("row")
    wanted = (*ROW_COLUMNS, "target", "prediction", "lower", "upper")
    assert tuple(rows.columns)[: len(wanted)] == wanted
    np.testing.assert_array_equal(rows["target"], target)
    np.testing.assert_allclose(rows["upper"] - rows["prediction"], 2)
    np.testing.assert_allclose(rows["prediction"] - rows["lower"], 2)
    assert set(run.baselines["model"]) == {"majority", "nuisance"}
    majority = run.baselines[run.baselines["model"] == "majority"]
    for fold in group_k_fold(2).folds(samples.meta, target):
        mine = majority[majority["fold"] == fold.index]["prediction"]
        np.testing.assert_allclose(mine, target[fold.train].mean())
    plain = evaluate(Ridge(), samples, target, group_k_fold(2), target_kind="regressor")
    assert plain.predictions["lower"].isna().all()


@pytest.mark.parametrize("wrong", ["short", "turned"])
def test_bounds_that_make_no_sense_are_named(cohort: Cohort, wrong: str) -> None:
    samples, y = cohort()
    with pytest.raises(EvaluationError, match="predict_interval gave bounds of shapes"):
        evaluate(Interval(wrong), samples, y * 1.0, hold_out(["p00"]), target_kind="regressor")


def accuracy(run: Any) -> np.ndarray:
    right = run.probabilities.argmax(axis=1) == run.predictions["label"].to_numpy()
    return np.array([right[run.predictions["fold"] == f].mean() for f in range(5)])


def test_oracles_over_epochs_are_at_least_as_good_as_any_fixed_one(cohort: Cohort) -> None:
    samples, y = cohort(effect=0.0)
    split = leave_one_subject_out()
    fixed = evaluate(Staged(), samples, y, split, baselines=False)
    fold = evaluate(Staged(), samples, y, split, selection="oracle_fold_epoch", baselines=False)
    whole = evaluate(Staged(), samples, y, split, selection="oracle_global_epoch", baselines=False)
    assert (accuracy(fold) >= accuracy(fixed)).all()
    assert (accuracy(fold) >= accuracy(whole)).all()
    assert accuracy(whole).mean() >= accuracy(fixed).mean()
    # by hand: every epoch of every fold
    hits = np.zeros((5, 12))
    for f in split.folds(samples.meta, y):
        staged = (
            Staged(fold_seed(0, f.index)).fit(samples.x, y).staged_predict_proba(samples.x[f.test])
        )
        hits[f.index] = [(p.argmax(axis=1) == y[f.test]).mean() for p in staged]
    np.testing.assert_allclose(accuracy(fold), hits.max(axis=1))
    np.testing.assert_allclose(accuracy(whole), hits[:, hits.mean(axis=0).argmax()])
    assert set(fold.predictions["selection"]) == {"oracle_fold_epoch"}
    assert fold.question.hash != fixed.question.hash


def test_an_oracle_over_epochs_needs_epochs(cohort: Cohort) -> None:
    samples, y = cohort()
    with pytest.raises(EvaluationError, match="LogisticRegression has no staged_predict_proba"):
        evaluate(
            LogisticRegression(),
            samples,
            y,
            leave_one_subject_out(),
            selection="oracle_fold_epoch",
        )


def test_select_oracle_takes_the_best_run_and_says_so(cohort: Cohort) -> None:
    samples, y = cohort(effect=0.0)
    runs = [
        evaluate(Staged(), samples, y, leave_one_subject_out(), seed=s, baselines=False)
        for s in range(4)
    ]
    best = select_oracle(runs, "oracle_seed")
    assert accuracy(best).mean() == max(accuracy(r).mean() for r in runs)
    assert best.question.selection == "oracle_seed"
    assert set(best.predictions["selection"]) == {"oracle_seed"}
    assert set(best.predictions["question"]) == {best.question.hash}
    assert "oracle_seed: the best of 4 runs on the labels that are reported." in best.notes
    assert set(runs[0].predictions["selection"]) == {"fixed"}
    for wrong in ([], runs):
        with pytest.raises(EvaluationError, match=f"select_oracle of {len(wrong)} runs with 'fix"):
            select_oracle(wrong, "fixed")


def test_models_that_are_kept_load_back(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort()
    model = make_pipeline(StandardScaler(), LogisticRegression())
    run = evaluate(
        model, samples, y, leave_one_subject_out(), run_dir=tmp_path / "run", keep_models=True
    )
    folders = sorted((tmp_path / "run" / "models").iterdir())
    assert [f.name for f in folders] == [f"fold_{i:04d}_seed_0" for i in range(5)]
    for i, folder in enumerate(folders):
        mine = samples.subjects == f"p{i:02d}"
        np.testing.assert_array_equal(
            load_estimator(folder).predict_proba(samples.x[mine]), run.probabilities[mine]
        )


def test_a_predict_that_fails_ends_no_fold_and_is_a_note(cohort: Cohort) -> None:
    """No score uses `predict`; an estimator for probabilities need not have one that works."""

    class Probabilities(LogisticRegression):
        def predict(self, X: Any) -> np.ndarray:
            raise RuntimeError("no decisions here")

    samples, y = cohort()
    run = evaluate(Probabilities(), samples, y, leave_one_subject_out())
    plain = evaluate(LogisticRegression(), samples, y, leave_one_subject_out())
    np.testing.assert_array_equal(run.probabilities, plain.probabilities)
    assert run.failures.empty
    assert run.notes == (
        "5 × predict was not compared with predict_proba: RuntimeError: no decisions here",
    )


def test_inner_selection_needs_an_estimator_that_chooses_on_subjects(cohort: Cohort) -> None:
    """Boosting and a calibrated forest choose nothing on subjects: "chosen inside" is untrue."""
    samples, y = cohort()
    idle = (
        GradientBoostingClassifier(n_estimators=2),
        make_pipeline(StandardScaler(), LogisticRegression()),
        TemperatureCalibrated(GradientBoostingClassifier(n_estimators=2)),
        NetworkClassifier("perceptron", early_stopping=False),
    )
    for model in idle:
        with pytest.raises(EvaluationError, match="chooses nothing on inner subjects"):
            evaluate(model, samples, y, leave_one_subject_out(), selection="inner")
    search = SubjectSearch(LogisticRegression(), {"C": [0.1, 1.0]}, n_splits=2)
    for model in (search, make_pipeline(StandardScaler(), search)):
        run = evaluate(model, samples, y, leave_one_subject_out(), selection="inner")
        assert run.question.selection == "inner"


def test_streams_of_a_mapping_reach_the_estimator(cohort: Cohort) -> None:
    samples, y = cohort()
    both = replace(samples, x={"eda": samples.x, "ecg": samples.x[:, :2]})

    class Streams(LogisticRegression):
        def fit(self, X: Any, y: np.ndarray) -> Any:
            return super().fit(np.concatenate([X["eda"], X["ecg"]], axis=1), y)

        def predict_proba(self, X: Any) -> np.ndarray:
            return super().predict_proba(np.concatenate([X["eda"], X["ecg"]], axis=1))

    run = evaluate(Streams(), both, y, leave_one_subject_out())
    assert len(run.predictions) == 40
    outer = run.access[run.access["stage"] == "outer"]
    assert len(outer) == 5 * 40
