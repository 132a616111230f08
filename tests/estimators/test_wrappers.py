"""Search, calibration and conformal sets by name, alone and in an evaluation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.estimators import (
    ConformalClassifier,
    ConformalRegressor,
    IsotonicCalibrated,
    SubjectSearch,
    TemperatureCalibrated,
    load_estimator,
    notes_of,
    save_estimator,
)
from dolorimeter.evaluation import Run, coverage_of, evaluate, summarise
from dolorimeter.predictor import Predictor
from dolorimeter.registry import ESTIMATORS
from dolorimeter.reports import table_rows
from dolorimeter.reports.numbers import numbers
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold

SEARCH = """
estimator = "logistic_regression"
arguments = { max_iter = 500 }
space = { C = [1e-6, 1], class_weight = ["balanced"] }
n_splits = 3
scoring = "neg_log_loss"
"""


def made(name: str, toml: str) -> Any:
    return ESTIMATORS.get(name)(**tomllib.loads(toml))


def table(subjects: int = 12, windows: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    groups = np.repeat([f"p{i:02d}" for i in range(subjects)], windows)
    y = np.tile([0, 1], len(groups) // 2)
    return rng.normal(size=(len(y), 2)) + y[:, None], y, groups


def samples(subjects: int = 15, windows: int = 6) -> tuple[Samples, np.ndarray]:
    x, y, groups = table(subjects, windows)
    place = np.tile(np.arange(windows), subjects)
    meta = pd.DataFrame(
        {
            "dataset": "made_up",
            "part": "",
            "subject": groups,
            "recording": groups,
            "stimulus": [f"{s}#{i}" for s, i in zip(groups, place, strict=True)],
            "start": place * 10.0,
            "duration": 5.5,
            "condition": np.where(y == 1, "PA4", "BL1"),
        }
    )
    return Samples(x, meta, ("f0", "f1")), y


def test_a_search_names_the_arguments_of_the_factory() -> None:
    x, y, groups = table()
    search = made("search", SEARCH)
    assert isinstance(search, SubjectSearch)
    search = clone(search).fit(x, y, groups=groups)
    assert search.n_configurations_ == 2
    assert search.best_params_ == {"C": 1, "class_weight": "balanced"}
    plain = ESTIMATORS.get("logistic_regression")(C=1, class_weight="balanced", max_iter=500)
    np.testing.assert_array_equal(search.predict_proba(x), plain.fit(x, y).predict_proba(x))
    assert notes_of(search) == (
        "search tried 2 configurations on 3 inner folds by subject and chose C = 1, "
        "class_weight = balanced",
    )


def test_a_searched_estimator_keeps_the_seed_that_it_was_given() -> None:
    x, y, groups = table()
    search = ESTIMATORS.get("search")(
        estimator="random_forest", space={"n_estimators": [3, 4]}, n_splits=2
    )
    search.set_params(estimator__randomforestclassifier__random_state=7).fit(x, y, groups=groups)
    assert search.estimator_[-1].random_state == 7
    free = ESTIMATORS.get("search")(
        estimator="random_forest",
        arguments={"n_estimators": 3},
        space={"random_state": [5]},
        n_splits=2,
    )
    assert free.fit(x, y, groups=groups).estimator_[-1].random_state == 5


@pytest.mark.parametrize(
    ("name", "toml", "kind"),
    [
        ("calibrated", 'estimator = "ordinal_logistic"', TemperatureCalibrated),
        (
            "calibrated",
            'estimator = "random_forest"\nmethod = "isotonic"\narguments = { n_estimators = 5 }',
            IsotonicCalibrated,
        ),
        (
            "conformal_classifier",
            'estimator = "svm"\ncoverage = 0.8\nn_splits = 3',
            ConformalClassifier,
        ),
        ("conformal_regressor", 'estimator = "ridge"\narguments.alpha = 2', ConformalRegressor),
    ],
)
def test_wrappers_are_what_they_are_called(name: str, toml: str, kind: type) -> None:
    model = made(name, toml)
    assert type(model) is kind
    told = tomllib.loads(toml)
    inner = ESTIMATORS.get(told["estimator"])(**told.get("arguments", {}))
    assert repr(model.estimator) == repr(inner)
    for key in set(told) - {"estimator", "arguments", "method"}:
        assert getattr(model, key) == told[key]


def test_wrappers_nest_and_the_note_of_the_innermost_is_heard() -> None:
    x, y, groups = table()
    toml = f'estimator = "search"\nn_splits = 2\n[arguments]\n{SEARCH}'
    model = made("conformal_classifier", toml).fit(x, y, groups=groups)
    assert model.predict_set(x).dtype == bool
    assert notes_of(model)[0].startswith("search tried 2 configurations")


FAULTS: dict[str, tuple[str, str, str]] = {
    "no estimator": ("search", "space.C = [1]", r"'search' needs estimator = \"<name>\""),
    "no space": ("search", 'estimator = "ridge"', "'search' needs a space"),
    "space no table": ("search", 'estimator = "ridge"\nspace = 3', "space is 3, expected a table"),
    "one value": (
        "search",
        'estimator = "ridge"\nspace = { alpha = 1.0 }',
        r"space.alpha is 1.0, expected a list of values",
    ),
    "text for a list": (
        "search",
        'estimator = "svm"\nspace = { kernel = "rbf" }',
        "space.kernel is 'rbf', expected a list",
    ),
    "no value": ("search", 'estimator = "ridge"\nspace.alpha = []', r"space.alpha is \[\]"),
    "unknown argument": (
        "search",
        'estimator = "ridge"\nspace = { alphas = [1] }',
        "'ridge' takes no argument 'alphas'; did you mean alpha",
    ),
    "value of another kind": (
        "search",
        'estimator = "ridge"\nspace = { alpha = [1.0, "big"] }',
        "'ridge': alpha is 'big', expected int or float",
    ),
    "value out of range": (
        "search",
        'estimator = "logistic_regression"\nspace = { C = [1.0, -1.0] }',
        "'logistic_regression': The 'C' parameter",
    ),
    "given twice": (
        "search",
        'estimator = "ridge"\narguments.alpha = 1.0\nspace.alpha = [1.0]',
        "'alpha' stands in arguments and in space",
    ),
    "scorer": (
        "search",
        'estimator = "ridge"\nspace.alpha = [1.0]\nscoring = "best"',
        "scoring is 'best', expected a scorer",
    ),
    "arguments no table": (
        "calibrated",
        'estimator = "svm"\narguments = ["C"]',
        r"arguments is \['C'\], expected a table",
    ),
    "method": (
        "calibrated",
        'estimator = "svm"\nmethod = "platt"',
        "method is 'platt', expected one of 'temperature', 'isotonic'",
    ),
    "a regressor": (
        "conformal_classifier",
        'estimator = "ridge"',
        "estimator is 'ridge', which is not a classifier",
    ),
    "a classifier": (
        "conformal_regressor",
        'estimator = "svm"',
        "estimator is 'svm', which is not a regressor",
    ),
    "coverage": (
        "conformal_regressor",
        'estimator = "ridge"\ncoverage = 95',
        "'coverage' parameter of ConformalRegressor must be a float",
    ),
    "sets inside": (
        "calibrated",
        'estimator = "conformal_classifier"\narguments.estimator = "svm"',
        "whose sets or intervals would be lost",
    ),
    "argument of the inner one": (
        "calibrated",
        'estimator = "svm"\narguments = { c = 1.0 }',
        "'svm' takes no argument 'c'; it takes C, kernel",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_key_found_and_wanted(fault: str) -> None:
    name, toml, message = FAULTS[fault]
    with pytest.raises(ConfigError, match=message):
        made(name, toml)


def test_an_unknown_estimator_inside_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean ridge"):
        made("conformal_regressor", 'estimator = "rigde"')


def test_a_search_comes_back_from_disk(tmp_path: Path) -> None:
    x, y, groups = table()
    model = made("search", SEARCH).fit(x, y, groups=groups)
    save_estimator(model, tmp_path)
    back = load_estimator(tmp_path)
    np.testing.assert_array_equal(back.predict_proba(x), model.predict_proba(x))
    assert back.n_configurations_ == 2


def test_the_count_of_configurations_is_noted_once_a_choice(tmp_path: Path) -> None:
    given, y = samples()
    toml = SEARCH.replace("[1e-6, 1]", "[1.0, 1.0]")
    call = {"selection": "inner", "baselines": False, "run_dir": tmp_path}
    run = evaluate(made("search", toml), given, y, group_k_fold(3), **call)
    heard = [note for note in run.notes if "search tried" in note]
    assert heard == [
        "3 × search tried 2 configurations on 3 inner folds by subject and chose C = 1.0, "
        "class_weight = balanced"
    ]
    again = evaluate(made("search", toml), given, y, group_k_fold(3), **call)
    assert again.notes == run.notes  # also from folds that were kept


def test_intervals_stand_in_the_rows_and_are_counted_by_person(tmp_path: Path) -> None:
    given, y = samples()
    target = given.x[:, 0] + y
    model = made("conformal_regressor", 'estimator = "ridge"\ncoverage = 0.8\nn_splits = 3')
    run = evaluate(model, given, target, group_k_fold(3), target_kind="regressor", baselines=False)
    rows = run.predictions
    assert np.isfinite(rows[["lower", "upper"]].to_numpy()).all()
    assert set(rows["coverage"]) == {0.8}
    held = rows["target"].between(rows["lower"], rows["upper"])
    share = held.groupby(rows["subject"]).mean()
    found = summarise(run).coverage
    assert found is not None
    assert found.target == 0.8
    assert found.mean == pytest.approx(share.mean(), rel=1e-12)
    assert found.share_below == pytest.approx((share < 0.8).mean(), rel=1e-12)
    assert (found.worst, found.worst_subject) == (share.min(), share.idxmin())
    assert found.size == pytest.approx((rows["upper"] - rows["lower"]).mean(), rel=1e-12)
    run.save(tmp_path)
    assert summarise(Run.load(tmp_path)).coverage == found


def test_sets_stand_in_the_rows_class_by_class() -> None:
    given, y = samples()
    model = made("conformal_classifier", 'estimator = "logistic_regression"\nn_splits = 3')
    run = evaluate(model, given, y, group_k_fold(3), baselines=False)
    rows = run.predictions
    held = np.where(rows["label"] == 1, rows["in_set_1"], rows["in_set_0"]).astype(float)
    found = summarise(run).coverage
    assert found is not None
    share = pd.Series(held).groupby(rows["subject"]).mean()
    assert found.mean == pytest.approx(share.mean(), rel=1e-12)
    assert found.size == rows[["in_set_0", "in_set_1"]].sum(axis=1).mean()
    assert 0.5 < found.mean <= 1.0


def test_a_run_without_sets_has_no_coverage() -> None:
    given, y = samples(4)
    model = ESTIMATORS.get("logistic_regression")()
    run = evaluate(model, given, y, group_k_fold(2), baselines=False)
    assert coverage_of(run.predictions) is None
    assert "coverage" not in run.predictions


def test_too_few_people_for_a_conformal_model_fail_the_folds() -> None:
    from dolorimeter.errors import EvaluationError

    given, y = samples(8)
    model = made("conformal_classifier", 'estimator = "logistic_regression"')
    with pytest.raises(EvaluationError, match=r"4 calibration subjects .* at least 10"):
        evaluate(model, given, y, group_k_fold(2), baselines=False)


def test_a_predictor_gives_intervals_and_sets() -> None:
    given, y = samples()
    common: dict[str, Any] = {"chain": None, "dataset": {}, "trained_on": {}}
    interval = made("conformal_regressor", 'estimator = "ridge"\nn_splits = 2')
    interval.fit(given.x, y.astype(float), groups=given.subjects)
    rows = Predictor(interval, target_kind="regressor", classes=(), **common).predict_samples(
        given
    )
    np.testing.assert_array_equal(rows["lower"], interval.predict_interval(given.x)[0])
    np.testing.assert_array_equal(rows["upper"], interval.predict_interval(given.x)[1])
    sets = made("conformal_classifier", 'estimator = "logistic_regression"\nn_splits = 2')
    sets.fit(given.x, y, groups=given.subjects)
    names = ("none", "high")
    rows = Predictor(sets, target_kind="classifier", classes=names, **common).predict_samples(
        given
    )
    held = rows[["in_set_none", "in_set_high"]].to_numpy()
    np.testing.assert_array_equal(held, sets.predict_set(given.x))


def test_the_report_says_how_often_intervals_held() -> None:
    given, y = samples()
    model = made("conformal_regressor", 'estimator = "ridge"\nn_splits = 2')
    target = given.x[:, 0] + y
    run = evaluate(model, given, target, group_k_fold(3), target_kind="regressor", baselines=False)
    found = summarise(run).coverage
    assert found is not None
    (row,) = table_rows([run])
    assert row["covered"] == f"{100 * found.mean:.1f} % (aim 90 %)"
    told = [text for text in numbers(run).remarks if text.startswith("Intervals")]
    assert len(told) == 1
    assert f"worst: subject {found.worst_subject}, {100 * found.worst:.1f} %." in told[0]


EXAMPLE = re.compile(r"```toml\n(.*?)```", re.DOTALL)
GUIDE = (Path(__file__).parents[2] / "docs" / "estimators.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("toml", EXAMPLE.findall(GUIDE))
def test_the_examples_of_the_guide_build(toml: str) -> None:
    table = tomllib.loads(toml)["classifier"]
    assert ESTIMATORS.get(table["name"])(**table["arguments"]).get_params()


def test_the_guide_names_every_estimator() -> None:
    assert [name for name in ESTIMATORS.names() if f"`{name}`" not in GUIDE] == []


def test_ordered_levels_are_evaluated() -> None:
    given, _ = samples()
    levels = np.digitize(given.x[:, 0], [-0.2, 0.8, 1.5]).astype(int)
    model = made("calibrated", 'estimator = "ordinal_logistic"\nn_splits = 2')
    run = evaluate(model, given, levels, group_k_fold(2), target_kind="ordinal", baselines=False)
    assert run.target_kind == "ordinal"
    assert summarise(run).by_subject["accuracy"].mean > 0.8
