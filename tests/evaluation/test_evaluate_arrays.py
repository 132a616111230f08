"""`evaluate` on arrays, labels of any type and scikit-learn splitters, as a stranger calls it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dolorimeter as dl
from dolorimeter.errors import (
    ConfigError,
    DependencyError,
    DolorimeterError,
    EvaluationError,
    SplitError,
)

Table = tuple[pd.DataFrame, np.ndarray, np.ndarray]


@pytest.fixture
def table() -> Table:
    """Features, text labels and subjects of unequal size; one subject has a single class."""
    rng = np.random.default_rng(3)
    groups = np.repeat(["anna", "bo", "cy", "dee", "eve"], [4, 9, 12, 10, 5])
    y = np.where(rng.random(40) < 0.6, "rest", "pain")
    y[groups == "anna"] = "rest"
    x = rng.normal(size=(40, 3)) + (y == "pain")[:, None]
    return pd.DataFrame(x, columns=["eda", "ecg", "emg"]), y, groups


def model() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def test_predictions_are_those_of_cross_val_predict(table: Table) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups)
    theirs = cross_val_predict(
        model(), X.to_numpy(), y, groups=groups, cv=LeaveOneGroupOut(), method="predict_proba"
    )
    rows = run.predictions.sort_values("row")
    assert run.classes == ("pain", "rest")
    np.testing.assert_allclose(rows[["p_0", "p_1"]].to_numpy(), theirs, rtol=1e-12)
    assert rows["subject"].tolist() == groups.tolist()


def test_scores_agree_with_scikit_learn_and_say_why_one_is_undefined(table: Table) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups)
    scores = run.scores()
    assert list(scores) == [
        "model", "seed", "subject", "metric", "value", "n_windows", "n_classes", "reason",
    ]  # fmt: skip
    probability = run.predictions.sort_values("row")["p_1"].to_numpy()
    said = np.array(["pain", "rest"])[(probability > 0.5).astype(int)]
    for subject in np.unique(groups):
        mine = scores[scores["subject"] == subject].set_index("metric")
        at = groups == subject
        assert mine.loc["accuracy", "value"] == pytest.approx(accuracy_score(y[at], said[at]))
        assert set(mine["n_windows"]) == {at.sum()}
        assert set(mine["n_classes"]) == {len(set(y[at]))}
        if subject != "anna":
            expected = balanced_accuracy_score(y[at], said[at])
            assert mine.loc["balanced_accuracy", "value"] == pytest.approx(expected)
            expected = roc_auc_score(y[at] == "rest", probability[at])
            assert mine.loc["auroc", "value"] == pytest.approx(expected)
            assert mine.loc["auroc", "reason"] == ""
    anna = scores[(scores["subject"] == "anna") & (scores["metric"] == "auroc")].iloc[0]
    assert np.isnan(anna["value"])
    assert anna["reason"] == "the subject has one class only (rest)"
    assert (scores["value"].isna() == (scores["reason"] != "")).all()


def test_scores_name_subjects_whose_fold_failed_or_who_were_left_out(table: Table) -> None:
    X, y, groups = table

    class Fails(LogisticRegression):
        def predict_proba(self, X: np.ndarray) -> Any:
            if len(X) == 9:
                raise ValueError("no")
            return super().predict_proba(X)

    samples = dl.Samples.from_arrays(X, subject=groups)
    lost = dl.Exclusion("fay", "fay", "recording", "the file is damaged")
    samples = dl.Samples(samples.x, samples.meta, samples.feature_names, exclusions=(lost,))
    run = dl.evaluate(Fails(), samples, y, baselines=False)
    scores = run.scores()
    assert set(scores["subject"]) == {"anna", "bo", "cy", "dee", "eve", "fay"}
    untested = scores[scores["n_windows"] == 0].groupby("subject")["reason"].first()
    assert untested["bo"] == "the fold failed: ValueError: no"
    assert untested["fay"] == "left out: the file is damaged"
    assert scores[scores["n_windows"] == 0]["value"].isna().all()


@pytest.mark.long
def test_scoring_takes_names_of_scikit_learn_and_leads_the_summary(table: Table) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, scoring=["roc_auc", "neg_log_loss"])
    assert run.scores()["metric"].unique().tolist() == ["auroc", "log_loss"]
    summary = run.summary()
    assert summary.main == "auroc"
    assert summary.chance["main"] == 0.5
    run = dl.evaluate(model(), X, y, groups=groups, scoring="log_loss")
    said = dl.report(run).markdown
    assert "chance (the majority baseline): " in said
    assert "; chance" not in said  # guessing has no fixed log loss
    loss = run.summary()
    assert loss.lowest[1] == max(loss.scores["log_loss"].values())
    assert np.isnan(loss.chance["main"])
    with pytest.raises(EvaluationError, match="'r2' is not a metric of a classifier; known: bal"):
        dl.evaluate(model(), X, y, groups=groups, scoring="r2")


@pytest.mark.parametrize(
    ("metric", "constant"),
    [("mae", "the mean target of the training subjects"), ("concordance", "a constant guess")],
)
def test_what_a_regressor_is_compared_with_follows_its_metric(
    table: Table, metric: str, constant: str
) -> None:
    """A constant agrees with nothing (0), but its error is not 0."""
    X, y, groups = table
    target = X.iloc[:, 0] + (y == "pain")
    said = dl.report(dl.evaluate(Ridge(), X, target, groups=groups, scoring=metric)).markdown
    assert f"chance ({constant}" in said


def test_scoring_survives_saving(table: Table, tmp_path: Path) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, scoring="roc_auc")
    run.save(str(tmp_path / "run"))
    again = dl.Run.load(str(tmp_path / "run"))
    assert again.scoring == ("auroc",)
    pd.testing.assert_frame_equal(again.scores(), run.scores())


def test_a_notebook_shows_scores_and_what_is_missing(table: Table) -> None:
    X, y, groups = table
    html = dl.evaluate(model(), X, y, groups=groups, model="<b>mine</b>")._repr_html_()
    assert "&lt;b&gt;mine&lt;/b&gt;" in html
    assert "majority" in html
    assert "not a medical device" in html
    assert "Chance in balanced accuracy: 0.500." in html


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (lambda y: y.tolist(), ("pain", "rest")),
        (lambda y: pd.Series(y, dtype="string"), ("pain", "rest")),
        (lambda y: y == "pain", ("False", "True")),
        (lambda y: np.where(y == "pain", 7, 3), ("3", "7")),
        (lambda y: np.where(y == "pain", 1.0, 0.0), ("0", "1")),
        (lambda y: pd.Categorical(y, ["rest", "pain"], ordered=True), ("rest", "pain")),
        (lambda y: pd.Categorical(y, ["rest", "pain"]), ("pain", "rest")),
        (lambda y: pd.DataFrame({"label": y}), ("pain", "rest")),
        (lambda y: y[:, None], ("pain", "rest")),
    ],
)
def test_labels_of_any_type_give_one_answer(table: Table, labels: Any, names: Any) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, labels(y), groups=groups, baselines=False)
    assert run.classes == names
    plain = dl.evaluate(model(), X, y, groups=groups, baselines=False)
    mine = run.predictions["label"].map(dict(enumerate(names)))
    theirs = plain.predictions["label"].map(dict(enumerate(plain.classes)))
    assert (mine == mine.iloc[0]).tolist() == (theirs == theirs.iloc[0]).tolist()
    assert run.summary().pooled["accuracy"] == pytest.approx(plain.summary().pooled["accuracy"])


def test_an_ordinal_model_needs_the_order_of_text(table: Table) -> None:
    X, y, groups = table
    with pytest.raises(EvaluationError, match=r"needs their order. Pass classes=\(lowest, …"):
        dl.evaluate(model(), X, y, groups=groups, target_kind="ordinal")
    run = dl.evaluate(
        model(), X, y, groups=groups, target_kind="ordinal", classes=("rest", "pain")
    )
    assert run.classes == ("rest", "pain")


def test_a_regressor_is_recognised(table: Table) -> None:
    X, y, groups = table
    target = (y == "pain") * 30.0 + X["eda"]
    run = dl.evaluate(Ridge(), X, target, groups=groups)
    assert run.target_kind == "regressor"
    theirs = cross_val_predict(Ridge(), X.to_numpy(), target, groups=groups, cv=LeaveOneGroupOut())
    mine = run.predictions.sort_values("row")["prediction"]
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    assert set(run.scores()["n_classes"]) == {0}


@pytest.mark.parametrize(
    "splitter",
    [
        GroupKFold(3),
        LeaveOneGroupOut(),
        StratifiedGroupKFold(2),
        GroupShuffleSplit(3, test_size=2),
    ],
)
def test_splitters_by_group_give_the_folds_they_give_elsewhere(
    table: Table, splitter: Any
) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, splitter, groups=groups, baselines=False)
    if isinstance(splitter, GroupShuffleSplit):
        splitter = GroupShuffleSplit(3, test_size=2, random_state=0)
    expected = [test for _, test in splitter.split(X, y, groups)]
    for index, rows in run.predictions.groupby("fold"):
        assert sorted(rows["row"]) == sorted(expected[int(str(index))])
    assert run.question.split["name"] == type(splitter).__name__
    again = dl.evaluate(model(), X, y, splitter, groups=groups, baselines=False)
    assert again.predictions.equals(run.predictions)


@pytest.mark.parametrize(
    "splitter",
    [
        KFold(4, shuffle=True, random_state=0),
        StratifiedKFold(4),
        ShuffleSplit(2, random_state=1),
        PredefinedSplit(np.arange(40) % 2),
        [(np.arange(0, 40, 2), np.arange(1, 40, 2))],
    ],
)
def test_a_splitter_that_shares_subjects_is_refused_unless_declared(
    table: Table, splitter: Any
) -> None:
    X, y, groups = table
    with pytest.raises(SplitError, match=r"subjects are in training and in test .*shared_subj"):
        dl.evaluate(model(), X, y, splitter, groups=groups)
    declared = dl.splits.from_sklearn(splitter, shared_subjects=True)
    run = dl.evaluate(model(), X, y, declared, groups=groups, baselines=False)
    assert set(run.predictions["target_access"]) == {"labelled_reference"}
    assert run.question.split["arguments"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("leave_one_subject", "unknown split 'leave_one_subject'; did you mean 'leave_one_subj"),
        ("group_k_fold", r"needs n_splits: pass dl.splits.group_k_fold\(n_splits=…\)"),
        (5, "split is 5, expected the name of a split"),
        (LeaveOneGroupOut, r"is the class LeaveOneGroupOut, expected an instance"),
        (GroupKFold(9), "GroupKFold cannot split 40 samples of 5 subjects: Cannot have number"),
        ([], "rows: there is no fold"),
        ([(np.arange(20), np.arange(15, 40))], "fold 0: 5 rows are in training and in test"),
        ([(np.arange(20), np.arange(40, 50))], "rows 40 … 49 of 40 samples"),
        ([(np.arange(20), np.array([-1]))], "rows -1 … -1 of 40 samples"),
        ([(np.arange(4), np.array([], dtype=int))], "rows are int64 of shape"),
        ([(np.r_[0, 0], np.arange(4, 40))], "1 rows are repeated"),
        ([np.arange(3)], "Expected a pair of training and test rows"),
    ],
)
def test_a_split_that_cannot_be_made_is_one_error(table: Table, split: Any, message: str) -> None:
    X, y, groups = table
    with pytest.raises(DolorimeterError, match=message):
        dl.evaluate(model(), X, y, split, groups=groups)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y, g: (X, y[1:], g), "40 samples and 39 labels"),
        (lambda X, y, g: (X, y, g[1:]), "groups has 39 values for 40 samples"),
        (lambda X, y, g: (X, None, g), "y is missing. X is a DataFrame"),
        (lambda X, y, g: (X, y, None), "groups is missing. X is a DataFrame"),
        (lambda X, y, g: (X, y, np.full(40, "anna")), r"name one subject only \('anna'\)"),
        (
            lambda X, y, g: (X, y, [None, *g[1:]]),
            "groups is missing in 1 of 40 samples",
        ),
        (lambda X, y, g: (X, y, "subject"), "groups is 'subject', expected the subject of"),
        (lambda X, y, g: (X.assign(site="A"), y, g), r"not numbers: 'site' \(such as 'A'\)"),
        (lambda X, y, g: (X.assign(site="1.5"), y, g), r"not numbers: 'site' \(such as '1.5'\)"),
        (lambda X, y, g: (X.assign(day=pd.Timestamp("2026-01-01")), y, g), "'day' .datetime64"),
        (lambda X, y, g: (X.assign(c=pd.Categorical(y)), y, g), "not numbers: 'c'"),
        (
            lambda X, y, g: (X.assign(a=np.inf), y, g),
            "40 infinite values, the first in row 0, 'a'",
        ),
        (lambda X, y, g: (X["eda"].to_numpy(), y, g), r"X has the shape \(40,\), expected the"),
        (lambda X, y, g: (X.astype(str).to_numpy(), y, g), "X has 3 columns that are not numbers"),
        (lambda X, y, g: ([[1.0], [1.0, 2.0]], y[:2], g[:2]), "X is not a regular array"),
        (lambda X, y, g: ({}, y, g), "X is an empty mapping"),
        (lambda X, y, g: ({"a": X, "b": X[:9]}, y, g), "streams have different numbers of samp"),
        (lambda X, y, g: (X.iloc[:0], y[:0], g[:0]), "X has no rows"),
        (lambda X, y, g: (X[[]], y, g), "X has 40 rows and no columns"),
        (lambda X, y, g: (X.set_axis(["a", "a", "b"], axis=1), y, g), "names occur twice: a"),
        (
            lambda X, y, g: (X, pd.Series(y).sample(frac=1, random_state=0), g),
            r"X and y have different row labels .*y.loc\[X.index\]",
        ),
    ],
)
def test_bad_input_is_one_named_error(table: Table, change: Any, message: str) -> None:
    X, y, groups = change(*table)
    with pytest.raises(DolorimeterError, match=message):
        dl.evaluate(model(), X, y, groups=groups)


def test_a_sparse_matrix_is_refused_by_name(table: Table) -> None:
    from scipy.sparse import csr_matrix

    X, y, groups = table
    with pytest.raises(ConfigError, match=r"X is a sparse matrix: pass X.toarray\(\)"):
        dl.evaluate(model(), csr_matrix(X), y, groups=groups)


def test_masked_and_nullable_numbers_are_missing_not_zero(table: Table) -> None:
    X, _, groups = table
    masked = np.ma.masked_greater(X.to_numpy(), 1.0)
    assert np.isnan(np.asarray(dl.Samples.from_arrays(masked, subject=groups).x)).any()
    nullable = X.astype("Float64")
    nullable.iloc[0, 0] = pd.NA
    assert np.isnan(np.asarray(dl.Samples.from_arrays(nullable, subject=groups).x)[0, 0])


def test_streams_of_a_mapping_reach_the_estimator(table: Table) -> None:
    X, y, groups = table

    class First(DummyClassifier):
        def fit(self, X: Any, y: Any) -> Any:
            assert sorted(X) == ["eda", "ecg"][::-1]
            return super().fit(X["eda"], y)

        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X["eda"])

    streams = {"eda": X[["eda"]].to_numpy(), "ecg": X[["ecg", "emg"]].to_numpy()}
    run = dl.evaluate(First(), streams, y, groups=groups, baselines=False)
    assert len(run.predictions) == 40


def test_conditions_of_samples_are_their_labels(table: Table) -> None:
    X, y, groups = table
    samples = dl.Samples.from_arrays(X, subject=groups, condition=y)
    run = dl.evaluate(model(), samples, baselines=False)
    assert run.classes == ("pain", "rest")
    with pytest.raises(EvaluationError, match="40 of 40 samples have no condition"):
        dl.evaluate(model(), dl.Samples.from_arrays(X, subject=groups))


def test_groups_beside_samples_must_be_their_subjects(table: Table) -> None:
    X, y, groups = table
    samples = dl.Samples.from_arrays(X, subject=groups)
    assert dl.evaluate(model(), samples, y, groups=groups, baselines=False).subjects
    with pytest.raises(EvaluationError, match="groups differ from the subjects of the samples"):
        dl.evaluate(model(), samples, y, groups=groups[::-1])


def test_demographics_are_columns_with_one_value_per_subject(table: Table) -> None:
    X, y, groups = table
    sex = np.where(np.isin(groups, ["anna", "bo"]), "f", "m")
    samples = dl.Samples.from_arrays(X, subject=groups, meta={"sex": sex, "hour": np.arange(40)})
    run = dl.evaluate(model(), samples, y, demographics=["sex"], baselines=False)
    assert [g.name for g in run.summary().demographics["sex"]] == ["f", "m"]
    with pytest.raises(EvaluationError, match="'hour' has several values for subject anna"):
        dl.evaluate(model(), samples, y, demographics=["hour"])
    with pytest.raises(EvaluationError, match=r"expected a sequence of columns: \['sex'\]"):
        dl.evaluate(model(), samples, y, demographics="sex")


def test_old_arguments_work_with_a_notice(table: Table) -> None:
    X, y, groups = table
    samples = dl.Samples.from_arrays(X, subject=groups, meta={"sex": np.full(40, "f")})
    with pytest.warns(FutureWarning, match="is now demographics"):
        run = dl.evaluate(model(), samples, y, groups=("sex",), baselines=False)
    assert run.demographics == ("sex",)
    with pytest.warns(FutureWarning, match="argument samples of evaluate is now X"):
        dl.evaluate(model(), samples=samples, y=y, baselines=False)


def test_a_run_folder_may_be_text_and_verbose_counts_folds(table: Table, tmp_path: Path) -> None:
    X, y, groups = table
    said = io.StringIO()
    with redirect_stderr(said):
        first = dl.evaluate(model(), X, y, groups=groups, run_dir=str(tmp_path), verbose=True)
    assert said.getvalue().splitlines() == [f"folds {i}/5" for i in range(1, 6)]
    said = io.StringIO()
    with redirect_stderr(said):
        again = dl.evaluate(model(), X, y, groups=groups, run_dir=str(tmp_path), verbose=True)
    assert said.getvalue() == ""
    assert again.predictions.equals(first.predictions)


@pytest.mark.long
def test_a_report_and_an_audit_take_a_run_of_arrays(table: Table, tmp_path: Path) -> None:
    X, y, groups = table
    forest = RandomForestClassifier(20, random_state=0)
    run = dl.evaluate(forest, X, y, groups=groups)
    samples = dl.Samples.from_arrays(X, subject=groups)
    findings = dl.audit(run, samples=samples, y=y, estimator=forest, split="leave_one_subject_out")
    codes = (y == "rest").astype(int)
    assert findings == dl.audit(
        run, samples=samples, y=codes, estimator=forest, split=LeaveOneGroupOut()
    )
    with pytest.raises(EvaluationError, match=r"label 'calm' is not a class of the run \(pain, r"):
        dl.audit(run, samples=samples, y=np.where(y == "rest", "calm", y))
    assert not [f for f in findings if f.severity == "fault"]
    made = dl.report(run, tmp_path / "report.html", findings=findings)
    assert "anna" not in made.html
    assert "nan" not in made.markdown.lower().split()


@pytest.mark.long
def test_two_saved_runs_of_arrays_without_times_are_reported_and_compared(
    table: Table, tmp_path: Path
) -> None:
    """No start and no duration is NaN in every row; JSON has no NaN."""
    X, y, groups = table
    models = (model(), RandomForestClassifier(20, random_state=0))
    for place, each in enumerate(models):
        dl.evaluate(each, X, y, groups=groups).save(tmp_path / str(place))
    first, second = (dl.Run.load(tmp_path / str(place)) for place in range(2))
    assert first.question.windows == {}
    assert first.question.hash == second.question.hash
    made = dl.report([first, second], tmp_path / "report")
    assert "Two by two, person by person" in made.html
    json.loads(made.json, parse_constant=pytest.fail)
    one, other = (run.summary().by_subject["balanced_accuracy"].mean for run in (first, second))
    found = dl.compare(first, second)
    assert found.paired.difference == pytest.approx(one - other, abs=1e-12)
    assert (found.only_first, found.only_second) == (0, 0)


@pytest.mark.long
@pytest.mark.extra("cluster")
def test_an_address_without_a_cluster_is_one_error(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolorimeter.clusters.TIMEOUT", 1.0)
    X, y, groups = table
    with pytest.raises(EvaluationError, match="without a backend"):
        dl.evaluate(model(), X, y, groups=groups, cluster_address="tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"no dask cluster answers at 'tcp://127.0.0.1:1'"):
        dl.evaluate(
            model(), X, y, groups=groups, backend="dask", cluster_address="tcp://127.0.0.1:1"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": 1.5}, "seed is 1.5, expected an integer from 0"),
        ({"seed": True}, "seed is True"),
        ({"seed": "0"}, "seed is '0'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": [1, 1]}, r"seed is \[1, 1\]"),
        ({"seed": []}, r"seed is \[\]"),
        ({"selection": "fix"}, "selection is 'fix', expected one of fixed, inner"),
        ({"target_kind": "clasifier"}, "target_kind is 'clasifier', expected one of classifier"),
        ({"workers": 0}, "workers is 0, expected at least 1"),
        ({"classes": ["rest", "pain", "pain"]}, "name a class twice"),
        ({"scoring": accuracy_score}, "is not a metric of a classifier"),
        ({"scoring": "f1_macro"}, "'f1_macro' is not a metric of a classifier"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(
    table: Table, arguments: Any, message: str
) -> None:
    X, y, groups = table
    evaluate: Any = getattr(dl.evaluate, "__wrapped__", dl.evaluate)
    evaluate = getattr(evaluate, "__wrapped__", evaluate)  # as without the tests' type checks
    with pytest.raises(DolorimeterError, match=message):
        evaluate(model(), X, y, groups=groups, **arguments)


@pytest.mark.parametrize(
    ("estimator", "more", "message"),
    [
        (None, {}, "estimator is None, expected an object with fit"),
        ("logistic_regression", {}, "estimator is 'logistic_regression'"),
        (LogisticRegression, {}, r"expected LogisticRegression\(\)|expected type"),
        (Perceptron(), {}, "Perceptron has no predict_proba"),
        (LogisticRegression(), {"target_kind": "regressor"}, "is a classifier and target_kind"),
        (Ridge(), {"target_kind": "classifier"}, "Ridge has no predict_proba"),
    ],
)
def test_an_estimator_that_cannot_answer_is_refused_before_a_fold_is_run(
    table: Table, estimator: Any, more: Any, message: str
) -> None:
    X, y, groups = table
    target = (y == "pain").astype(int)
    with pytest.raises(EvaluationError, match=message):
        dl.evaluate(estimator, X, target, groups=groups, **more)


@pytest.mark.parametrize("name", ["label", "p_0", "fold", "in_set_1", "model", "coverage"])
def test_a_demographic_column_cannot_take_the_place_of_a_prediction(
    table: Table, name: str
) -> None:
    X, y, groups = table
    meta = {name: pd.factorize(groups)[0]}
    samples = dl.Samples.from_arrays(X, subject=groups, meta=meta)
    with pytest.raises(EvaluationError, match=f"demographics {name}: the predictions have"):
        dl.evaluate(model(), samples, y, demographics=[name])


def test_missing_demographics_are_named_as_missing(table: Table) -> None:
    X, y, groups = table
    sex = np.where(np.isin(groups, ["anna", "bo"]), None, "m")
    samples = dl.Samples.from_arrays(X, subject=groups, meta={"sex": sex})
    run = dl.evaluate(model(), samples, y, demographics=["sex"], baselines=False)
    assert [g.name for g in run.summary().demographics["sex"]] == ["(missing)", "m"]


def test_failed_folds_name_their_subjects_also_with_blanks(table: Table) -> None:
    X, y, groups = table
    groups = np.where(groups == "anna", "anna lee", groups)

    class Fails(LogisticRegression):
        def predict_proba(self, X: np.ndarray) -> Any:
            if len(X) < 12:
                raise ValueError("no")
            return super().predict_proba(X)

    folds = [
        (np.flatnonzero(~held), np.flatnonzero(held))
        for held in (np.isin(groups, ["anna lee", "eve"]), groups == "cy")
    ]
    run = dl.evaluate(Fails(), X, y, folds, groups=groups, baselines=False)
    assert set(run.scores()["subject"]) == {"anna lee", "eve", "cy"}


def test_seeds_of_numpy_are_saved(table: Table, tmp_path: Path) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, seed=np.array([1, 2]), baselines=False)
    run.save(tmp_path)
    assert dl.Run.load(tmp_path).seeds == (1, 2)
    assert len(run.scores(baselines=False)) == len(run.scores().drop_duplicates())


def test_labels_and_groups_in_other_orders_are_not_matched_by_position(table: Table) -> None:
    X, y, groups = table
    labels, subjects = pd.Series(y), pd.Series(groups)
    with pytest.raises(ConfigError, match="y and groups have different row labels"):
        dl.evaluate(model(), X.to_numpy(), labels, groups=subjects[::-1])
    with pytest.raises(ConfigError, match=r"X and y have different row labels \(row 0: 0 and 1"):
        dl.evaluate(model(), X, pd.Series(y, index=range(1, 41)), groups=groups)


def test_an_audit_refuses_what_is_not_of_the_run(table: Table) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, baselines=False)
    samples = dl.Samples.from_arrays(X, subject=groups)
    with pytest.raises(EvaluationError, match="samples has 5 rows and the run has predictions of"):
        dl.audit(run, samples=samples.take(np.arange(5)), y=y)
    with pytest.raises(EvaluationError, match="y has 39 rows"):
        dl.audit(run, samples=samples, y=y[:-1])


def test_a_report_of_something_else_is_refused(table: Table, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one is 'x': pass the result of evaluate"):
        dl.report("x")
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, baselines=False)
    with pytest.raises(ConfigError, match=r"x.txt: expected a file ending in .html, or a folder"):
        dl.report(run, tmp_path / "x.txt")


def test_a_package_that_is_missing_is_not_hidden_in_failed_folds(table: Table) -> None:
    X, y, groups = table

    class NeedsMore(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            raise DependencyError("networks need PyTorch")

    with pytest.raises(DependencyError, match=r"^networks need PyTorch"):
        dl.evaluate(NeedsMore(), X, y, groups=groups)


def test_old_names_of_demographics_give_a_notice(table: Table) -> None:
    X, y, groups = table
    run = dl.evaluate(model(), X, y, groups=groups, baselines=False)
    with pytest.warns(FutureWarning, match="Run.groups is now Run.demographics"):
        assert run.groups == ()
    with pytest.warns(FutureWarning, match=r"Summary.groups is now Summary.demographics"):
        assert run.summary().groups == {}
