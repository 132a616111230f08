"""Every pitfall of the specification, planted, and the check that must catch it.

Most faults stand in a user's own scikit-learn estimator or `Samples`, with every declaration left
innocent: nothing says ``target_access``, nothing says oracle. Clean pipelines pass without a
fault and without a warning.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from dolorimeter.audits import Finding, audit, has_fault, leak_o_meter
from dolorimeter.audits.evaluation_under_audit import MAX_COLUMNS, EvaluationUnderAudit
from dolorimeter.errors import SplitError
from dolorimeter.evaluation import Question, Run, evaluate
from dolorimeter.samples import Samples
from dolorimeter.splits import (
    Fold,
    group_k_fold,
    inner_validation,
    leave_one_subject_out,
    personalised,
)
from dolorimeter.splits import (
    from_sklearn as dl_from_sklearn,
)

SUBJECTS, WINDOWS = 6, 16


def cohort(
    subjects: int = SUBJECTS, windows: int = WINDOWS, effect: float = 0.8, seed: int = 5
) -> tuple[Samples, np.ndarray]:
    """People with an identity of their own and a modest effect of the class."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([rng.permutation(np.arange(windows) % 2) for _ in range(subjects)])
    who = np.repeat([f"p{i:02d}" for i in range(subjects)], windows)
    identity = np.repeat(rng.normal(scale=2, size=(subjects, 6)), windows, axis=0)
    x = 5 + identity + rng.normal(size=(len(y), 6))
    x[:, 0] += effect * y
    place = np.tile(np.arange(windows), subjects)
    meta = pd.DataFrame(
        {
            "dataset": "made_up",
            "part": "",
            "subject": who,
            "recording": [f"{s}-session" for s in who],
            "stimulus": [f"{s}-session#{i}" for s, i in zip(who, place, strict=True)],
            "start": place * 10.0,
            "duration": 5.5,
            "condition": np.where(y == 1, "PA4", "BL1"),
        }
    )
    names = tuple(f"f{i}" for i in range(6))
    return Samples(x=x, meta=meta, feature_names=names, label_source="stimulus"), y


def question(**changes: Any) -> Question:
    values = {
        "dataset": "made_up",
        "part": "",
        "subset": "all",
        "windows": {"duration": 5.5},
        "task": {"kind": "classifier", "classes": [["BL1"], ["PA4"]], "names": ["BL1", "PA4"]},
        "split": {"name": "leave_one_subject_out"},
        "selection": "fixed",
        "aggregation": "window",
    }
    return Question(**(values | changes))


def clean_estimator() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def run_and_audit(
    estimator: Any = None,
    samples: Samples | None = None,
    y: np.ndarray | None = None,
    split: Any = None,
    *,
    rerun: int = 0,
    declared: dict[str, Any] | None = None,
    **options: Any,
) -> list[Finding]:
    """Evaluate and audit, as a user does."""
    if samples is None:
        samples, made = cohort()
        y = made if y is None else y
    estimator = clean_estimator() if estimator is None else estimator
    split = leave_one_subject_out() if split is None else split
    options.setdefault("baselines", False)
    run = evaluate(
        estimator,
        samples,
        y,
        split,
        **{"question": question(), "classes": ["BL1", "PA4"]} | options,
    )
    findings = audit(
        run, samples=samples, y=y, estimator=estimator, split=split, rerun=rerun, declared=declared
    )
    assert [f for f in findings if BROKEN.match(f.message)] == []
    return findings


BROKEN = re.compile(r"not checked: \w*(Error|Exception|Violation)\b")
"""A check that ended with an error of its own."""


def said(findings: list[Finding], check: str) -> list[Finding]:
    """Faults of that check."""
    return [f for f in findings if f.check == check and f.severity == "fault"]


def only(findings: list[Finding], check: str, *also: str) -> Finding:
    """The fault of that check; no other check may call a fault (but the missing baseline)."""
    faults = {f.check for f in findings if f.severity == "fault"} - {"majority_baseline"}
    assert check in faults
    assert faults <= {check, *also}
    return said(findings, check)[0]


# ── clean pipelines ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "estimator",
    [
        clean_estimator(),
        make_pipeline(SimpleImputer(), RandomForestClassifier(n_estimators=8)),
        GridSearchCV(clean_estimator(), {"logisticregression__C": [0.1, 1.0]}, cv=GroupKFold(2)),
        make_pipeline(
            StandardScaler(),
            GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=LeaveOneGroupOut()),
        ),
    ],
    ids=["logistic", "forest", "search", "search in a pipeline"],
)
def test_a_clean_pipeline_passes_without_a_fault_or_a_warning(estimator: Any) -> None:
    findings = run_and_audit(estimator, baselines=True)
    loud = [f for f in findings if f.severity in ("fault", "warning")]
    assert loud == []
    assert not has_fault(findings)


def test_a_clean_grouped_split_passes_with_permutations() -> None:
    findings = run_and_audit(split=group_k_fold(3), rerun=8, baselines=True)
    assert [f for f in findings if f.severity in ("fault", "warning")] == []
    assert [f.severity for f in findings if f.check == "shuffled_labels"] == ["passed"]


def test_what_was_not_looked_at_is_never_passed() -> None:
    samples, y = cohort()
    run = evaluate(clean_estimator(), samples, y, leave_one_subject_out(), question=question())
    findings = audit(run)
    blind = {f.check for f in findings if f.severity == "declared"}
    assert {
        "near_duplicates",
        "unseeded_randomness",
        "shuffled_labels",
        "search_without_groups",
    } <= blind
    assert all(f.message.startswith("not checked: ") for f in findings if f.evidence == "declared")


# ── observed: who was trained on and tested ─────────────────────────────────────────────────────


@dataclass(frozen=True)
class Windows:
    """A user's own split: windows at random, whoever they belong to."""

    name: str = "my_split"
    params: ClassVar[dict[str, Any]] = {}
    target_access: str = "none"

    def folds(self, meta: pd.DataFrame, y: np.ndarray) -> list[Fold]:
        rows = np.arange(len(meta))
        key = (meta["start"].to_numpy() // 10).astype(int)
        return [
            Fold(
                i,
                f"part {i}",
                train=rows[key % 2 != i],
                test=rows[key % 2 == i],
                validation=rows[:0],
            )
            for i in range(2)
        ]


def test_a_subject_on_both_sides_is_refused_before_it_is_fitted() -> None:
    with pytest.raises(SplitError, match="my_split, fold 'part 0': 6 subjects are in training"):
        run_and_audit(split=Windows())


def test_a_subject_on_both_sides_of_a_run_that_hides_it_is_seen() -> None:
    samples, y = cohort()
    split = Windows(target_access="labelled_reference")
    run = evaluate(
        clean_estimator(), samples, y, split, question=question(), classes=["BL1", "PA4"],
        baselines=False,
    )  # fmt: skip
    hidden = replace(run, predictions=run.predictions.assign(target_access="none"))
    found = only(audit(hidden), "subject_in_two_sets")
    assert found.evidence == "observed"
    assert "fold 0: p00" in found.where


def test_one_person_under_two_spellings_is_seen() -> None:
    assert "P-00 = p00" in only(renamed({"p01": "P-00"}), "subject_in_two_sets").where


def test_windows_of_one_stimulus_on_both_sides_are_seen() -> None:
    samples, y = cohort()
    meta = samples.meta.copy()
    first, second = (
        np.flatnonzero(meta["subject"] == "p00"),
        np.flatnonzero(meta["subject"] == "p01"),
    )
    for column in ("recording", "stimulus"):
        meta.loc[second, column] = meta.loc[first, column].to_numpy()
    meta.loc[second, "start"] += 300.0
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y)
    found = only(findings, "stimulus_in_two_sets", "recording_of_two_subjects")
    assert "p00-session" in found.where


def test_overlapping_windows_over_a_cut_are_seen() -> None:
    samples, y = cohort()
    meta = samples.meta.copy()
    second = np.flatnonzero(meta["subject"] == "p01")
    meta.loc[second, "recording"] = "p00-session"
    meta.loc[second, "start"] += 4.0
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y)
    found = only(findings, "overlapping_windows", "recording_of_two_subjects")
    assert "p00-session" in found.where


def test_personalisation_is_declared_and_no_fault() -> None:
    findings = run_and_audit(split=personalised(2))
    assert [f.severity for f in findings if f.check == "subject_in_two_sets"] == ["declared"]


def test_an_oracle_selection_is_a_fault_and_says_how_to_be_honest() -> None:
    findings = run_and_audit(
        Staged(), selection="oracle_fold_epoch", question=question(selection="oracle_fold_epoch")
    )
    assert "inner" in only(findings, "selection_on_test").message


# ── recomputed: in the user's Samples ───────────────────────────────────────────────────────────


def altered(change: Any) -> list[Finding]:
    samples, y = cohort()
    x = np.asarray(change(np.asarray(samples.x).copy(), samples, y))
    names = tuple(f"f{i}" for i in range(x.shape[1]))
    return run_and_audit(samples=replace(samples, x=x, feature_names=names), y=y)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()], ids=["z", "min-max"])
def test_a_scaler_fitted_on_everybody_is_seen(scaler: Any) -> None:
    found = only(altered(lambda x, s, y: scaler.fit_transform(x)), "fitted_outside_fold")
    assert found.evidence == "recomputed"


def test_a_robust_scaler_is_seen_and_a_count_is_not_taken_for_its_work() -> None:
    """Responses counted in a window often have quartiles 0, 0 and 1 by nature."""
    seen = altered(lambda x, s, y: RobustScaler().fit_transform(x))
    only(seen, "fitted_outside_fold")

    def counted(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        x[:, 0] = np.random.default_rng(3).permutation(np.arange(len(x)) % 8 // 5)
        assert np.percentile(x[:, 0], [25, 50, 75]).tolist() == [0, 0, 1]
        return x

    assert said(altered(counted), "fitted_outside_fold") == []


def test_a_principal_component_analysis_of_everybody_is_seen() -> None:
    only(altered(lambda x, s, y: PCA(4).fit_transform(x)), "fitted_outside_fold")


def test_standardising_within_the_test_subject_without_saying_so_is_seen() -> None:
    def within(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        for subject in np.unique(samples.subjects):
            mine = samples.subjects == subject
            x[mine] = (x[mine] - x[mine].mean(axis=0)) / x[mine].std(axis=0)
        return x

    only(altered(within), "target_access")


def test_a_reference_of_the_subjects_own_baseline_windows_is_seen() -> None:
    def subtract(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        for subject in np.unique(samples.subjects):
            mine = samples.subjects == subject
            x[mine] -= x[mine & (y == 0)].mean(axis=0)
        return x

    only(altered(subtract), "label_informed_reference")


@pytest.mark.long
def test_pictures_are_audited_by_ten_thousand_of_their_numbers_and_it_is_said() -> None:
    """Column by column, two million pixels a window took minutes: longer than the training."""
    samples, y = cohort(subjects=3, windows=10)
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, size=(len(y), 200_000)).astype(np.float32)
    pictures = replace(samples, x={"face": clips, "eda": samples.x}, feature_names=())
    run = evaluate(
        clean_estimator(),
        samples,
        y,
        leave_one_subject_out(),
        question=question(),
        baselines=False,
    )
    case = EvaluationUnderAudit(run, pictures, y)
    assert case.width == 200_006
    assert case.columns is not None
    assert case.columns.shape == (len(y), MAX_COLUMNS)
    whole = np.concatenate([samples.x, clips], axis=1)  # streams by name
    assert np.array_equal(case.columns, whole[:, case.drawn])
    assert case.column_name(MAX_COLUMNS - 1) == f"column {case.drawn[-1]}"
    told = [f for f in audit(run, samples=pictures, y=y) if f.check == "label_informed_reference"]
    assert "10,000 of 200,006 values" in told[0].message

    for subject in np.unique(samples.subjects):
        mine = samples.subjects == subject
        clips[mine] -= clips[mine & (y == 0)].mean(axis=0)
    seen = [f for f in audit(run, samples=pictures, y=y) if f.check == "label_informed_reference"]
    assert seen[0].severity == "fault"


def test_one_neutral_frame_chosen_by_label_is_seen() -> None:
    def subtract(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        for subject in np.unique(samples.subjects):
            mine = samples.subjects == subject
            x[mine] -= x[np.flatnonzero(mine & (y == 0))[3]].copy()
        return x

    only(altered(subtract), "label_informed_reference")


def test_a_copied_recording_under_another_name_is_seen() -> None:
    def copy(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        x[samples.subjects == "p03"] = x[samples.subjects == "p01"] + 1e-7
        return x

    found = only(altered(copy), "near_duplicates", "copied_subject")
    assert "p01-session / p03-session" in found.where


def test_the_label_as_a_feature_is_seen() -> None:
    def leak(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        return np.column_stack([x, 100.0 * y + np.arange(len(y)) % 7])

    assert only(altered(leak), "label_as_feature").where == "f6"


# ── recomputed: in the user's estimator ─────────────────────────────────────────────────────────


def test_a_scaler_that_arrives_fitted_is_seen() -> None:
    samples, _ = cohort()
    scaler = StandardScaler().fit(samples.x)
    hidden = make_pipeline(FunctionTransformer(scaler.transform), LogisticRegression())
    only(run_and_audit(hidden), "fitted_outside_fold")
    frozen = make_pipeline(FrozenEstimator(scaler), LogisticRegression())
    only(run_and_audit(frozen), "fitted_outside_fold")


class BatchScaler(TransformerMixin, BaseEstimator):
    """Standardises whatever it is given: at test time, the test subject."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> BatchScaler:
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)


def test_a_model_that_looks_at_the_other_test_windows_is_seen() -> None:
    found = only(
        run_and_audit(make_pipeline(BatchScaler(), LogisticRegression())), "target_access"
    )
    assert "predicted alone" in found.message


class Peeking(LogisticRegression):
    """Stops at what is best on an evaluation set that it brings along."""

    def __init__(self, valid: Any = None) -> None:
        super().__init__()
        self.valid = valid


def test_an_evaluation_set_inside_the_estimator_is_seen() -> None:
    samples, y = cohort()
    found = only(run_and_audit(Peeking((samples.x[:40], y[:40]))), "test_data_in_estimator")
    assert "40 rows" in found.where


def answer_book(x: np.ndarray, answers: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.full(len(x), answers[: len(x)].mean())])


def test_labels_that_a_function_brings_along_are_seen() -> None:
    samples, y = cohort()
    cheat = FunctionTransformer(functools.partial(answer_book, answers=y.copy()))
    findings = run_and_audit(make_pipeline(cheat, LogisticRegression()), samples, y)
    assert "the labels" in said(findings, "test_data_in_estimator")[0].where


@pytest.mark.long
@pytest.mark.parametrize("cv", [3, 7])
def test_a_search_without_groups_is_seen(cv: Any) -> None:
    search = GridSearchCV(clean_estimator(), {"logisticregression__C": [0.1, 1.0]}, cv=cv)
    findings = run_and_audit(search)
    only(findings, "search_without_groups")
    assert any("StratifiedKFold" in f.where for f in said(findings, "search_without_groups"))


def test_a_search_without_groups_is_seen_in_the_record_alone() -> None:
    samples, y = cohort()
    search = GridSearchCV(clean_estimator(), {"logisticregression__C": [0.1, 1.0]}, cv=3)
    run = evaluate(search, samples, y, leave_one_subject_out(), question=question())
    found = said(audit(run), "search_without_groups")
    assert [f.evidence for f in found] == ["observed"]
    assert "fold 0" in found[0].where


class Remembering(LogisticRegression):
    """Keeps every row it has ever seen on the class, which all clones share."""

    seen: ClassVar[list[np.ndarray]] = []

    def fit(self, x: np.ndarray, y: np.ndarray) -> Remembering:
        type(self).seen.append(x.mean(axis=0))
        return super().fit(x - np.mean(self.seen, axis=0), y)


def test_state_that_clones_share_is_seen() -> None:
    found = only(run_and_audit(Remembering()), "state_between_folds")
    assert "it depends on the folds fitted before it" in found.message


ONCE = '''
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    CENTRE = []


    def centre_once(x):
        return CENTRE[0] if CENTRE else x.mean(axis=0)


    class Once(LogisticRegression):
        """Scales everything by the first data that any clone has seen."""

        def fit(self, x, y):
            centre = centre_once(x)
            if not CENTRE:
                CENTRE.append(centre)
            return super().fit(x / centre, y)

        def predict_proba(self, x):
            return super().predict_proba(x / centre_once(x))
'''


def test_state_that_only_a_fresh_process_shows_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_users_module.py").write_text(textwrap.dedent(ONCE), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import a_users_module

    found = only(run_and_audit(a_users_module.Once()), "state_between_folds")
    assert "fresh process" in found.message


class Dice(LogisticRegression):
    """Adds noise from a generator that nobody seeds."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Dice:
        return super().fit(x + np.random.default_rng().normal(size=x.shape), y)


def test_unseeded_randomness_is_seen() -> None:
    only(run_and_audit(Dice()), "unseeded_randomness")


@dataclass(frozen=True)
class AsListed:
    """A user's own split: subjects in the order in which files were listed."""

    name: str = "as_listed"
    params: ClassVar[dict[str, Any]] = {}
    target_access: str = "none"

    def folds(self, meta: pd.DataFrame, y: np.ndarray) -> list[Fold]:
        order = list(dict.fromkeys(meta["subject"]))
        rows = np.arange(len(meta))
        sets = [order[:4], order[4:]]
        return [
            Fold(
                i,
                f"part {i}",
                train=rows[~meta["subject"].isin(s)],
                test=rows[meta["subject"].isin(s)],
                validation=rows[:0],
            )
            for i, s in enumerate(sets)
        ]


def test_folds_that_follow_an_unsorted_listing_are_seen() -> None:
    only(run_and_audit(split=AsListed()), "order_of_listing")


class Staged(ClassifierMixin, BaseEstimator):
    """A model trained in epochs that keeps them all and predicts with the best on inner people."""

    def __init__(self, epochs: int = 12, random_state: int | None = None) -> None:
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Staged:
        learn, check = inner_validation(groups, 0.3, self.random_state or 0, y)
        self.classes_ = np.unique(y)
        self.centre_, self.scale_ = x[learn].mean(axis=0), x[learn].std(axis=0)
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=1.0, random_state=self.random_state
        )
        rng = np.random.default_rng(self.random_state)
        self.stages_: list[tuple[np.ndarray, float]] = []
        for _ in range(self.epochs):
            rows = rng.choice(learn, size=max(8, len(learn) // 4), replace=False)
            model.partial_fit((x[rows] - self.centre_) / self.scale_, y[rows], self.classes_)
            self.stages_.append((model.coef_[0].copy(), float(model.intercept_[0])))
        scores = [
            (p.argmax(axis=1) == y[check]).mean() for p in self.staged_predict_proba(x[check])
        ]
        self.best_ = int(np.argmax(scores))
        return self

    def staged_predict_proba(self, x: np.ndarray) -> Iterator[np.ndarray]:
        z = (x - self.centre_) / self.scale_
        for coef, intercept in self.stages_:
            p = 1 / (1 + np.exp(-np.clip(z @ coef + intercept, -30, 30)))
            yield np.column_stack([1 - p, p])

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return list(self.staged_predict_proba(x))[self.best_]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


@pytest.mark.long
def test_shuffled_labels_show_a_choice_on_the_test_fold() -> None:
    findings = run_and_audit(
        Staged(),
        selection="oracle_fold_epoch",
        rerun=20,
        question=question(selection="oracle_fold_epoch"),
    )
    found = only(findings, "shuffled_labels", "selection_on_test")
    assert "still scores" in found.message


USERS_MODULE = '''
    import builtins
    import os
    from pathlib import Path

    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.model_selection import (
        GridSearchCV, KFold, StratifiedKFold, cross_val_predict, cross_val_score, train_test_split,
    )
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler


    class InFile(LogisticRegression):
        """Centres by the first data of any fit, which it keeps in a file."""

        def fit(self, x, y):
            if not Path("centre.npy").exists():
                np.save("centre.npy", x.mean(axis=0))
            return super().fit(x / np.load("centre.npy"), y)


    class Accumulates(LogisticRegression):
        """Adds up the means of all fits in a file with an absolute path."""

        def __init__(self, path=""):
            super().__init__()
            self.path = path

        def fit(self, x, y):
            total = np.load(self.path) if Path(self.path).exists() else 1.0
            np.save(self.path, total + x.mean(axis=0))
            return super().fit(x / total, y)


    class OnFunction(LogisticRegression):
        """Keeps the first data as an attribute of a function."""

        def fit(self, x, y):
            if not hasattr(centre_of, "value"):
                centre_of.value = x.mean(axis=0)
            return super().fit(x / centre_of.value, y)


    def centre_of():
        return None


    class InBuiltins(LogisticRegression):
        def fit(self, x, y):
            if not hasattr(builtins, "_first_centre"):
                builtins._first_centre = x.mean(axis=0)
            return super().fit(x / builtins._first_centre, y)


    class LookUp(ClassifierMixin, BaseEstimator):
        """Knows the label of every window that a file lists; guesses the others."""

        def __init__(self, path=""):
            self.path = path

        def fit(self, x, y):
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, x):
            table = np.load(self.path)
            known = dict(zip(table[:, 0].round(6), table[:, -1]))
            p = np.array([known.get(v, 0.5) for v in x[:, 0].round(6)])
            return np.column_stack([1 - p, p])


    class StopsOnTest(ClassifierMixin, BaseEstimator):
        """Keeps the epoch that is best on rows and labels from elsewhere, as plain lists."""

        def __init__(self, path="", random_state=None):
            self.path, self.random_state = path, random_state

        def fit(self, x, y):
            table = np.load(self.path)
            known = {row.tobytes() for row in x}
            rest = np.array([row.tobytes() not in known for row in table[:, :-1].copy()])
            test, labels = table[rest, :-1], table[rest, -1]
            rng = np.random.default_rng(self.random_state)
            self.centre_, self.scale_ = x.mean(axis=0), x.std(axis=0)
            self.classes_ = np.unique(y)
            best = -1.0
            for _ in range(60):
                w = rng.normal(size=x.shape[1])
                score = ((((test - self.centre_) / self.scale_) @ w > 0) == labels).mean()
                if score > best:
                    best, self.w_ = score, w
            return self

        def predict_proba(self, x):
            p = 1 / (1 + np.exp(-((x - self.centre_) / self.scale_) @ self.w_))
            return np.column_stack([1 - p, p])


    class InnerPredict(LogisticRegression):
        def fit(self, x, y):
            model = make_pipeline(StandardScaler(), LogisticRegression())
            inner = cross_val_predict(model, x, y, cv=3, method="predict_proba")[:, 1]
            self.threshold_ = np.median(inner)
            return super().fit(x, y)


    class InnerScore(LogisticRegression):
        def fit(self, x, y):
            model = make_pipeline(StandardScaler(), LogisticRegression())
            splits = KFold(4, shuffle=True, random_state=0)
            self.scores_ = cross_val_score(model, x, y, cv=splits)
            return super().fit(x, y)


    class InnerSearch(LogisticRegression):
        def fit(self, x, y):
            model = make_pipeline(StandardScaler(), LogisticRegression())
            grid = {"logisticregression__C": [0.1, 1.0]}
            search = GridSearchCV(model, grid, cv=StratifiedKFold(3))
            self.best_ = search.fit(x, y).best_params_
            return super().fit(x, y)


    class HoldsOutRows(LogisticRegression):
        def fit(self, x, y):
            train_test_split(x, y, random_state=0)
            return super().fit(x, y)


    class Fails(LogisticRegression):
        """Fails where the run did not: on shuffled labels, or alone."""

        def __init__(self, path=""):
            super().__init__()
            self.path = path

        def fit(self, x, y):
            if os.path.exists(self.path):
                raise RuntimeError("this estimator\\nfails now")
            return super().fit(x, y)
'''


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A user's module with leaks, imported once per test, in a working directory of its own."""
    (tmp_path / "users_leaks.py").write_text(textwrap.dedent(USERS_MODULE), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield importlib.import_module("users_leaks")
    sys.modules.pop("users_leaks", None)
    if hasattr(builtins, "_first_centre"):
        del builtins._first_centre


@pytest.mark.parametrize("name", ["InFile", "OnFunction", "InBuiltins"])
def test_state_in_a_file_a_function_or_builtins_is_seen(users: Any, name: str) -> None:
    found = only(run_and_audit(getattr(users, name)()), "state_between_folds")
    assert "fresh process" in found.message


def test_a_file_that_every_fit_rewrites_is_seen(users: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "total.npy")
    findings = run_and_audit(users.Accumulates(path))
    found = [f for f in said(findings, "state_between_folds") if f.evidence == "observed"]
    assert "total.npy" in found[0].where


@pytest.mark.parametrize("name", ["LookUp", "StopsOnTest"])
def test_labels_from_elsewhere_are_seen_on_the_true_labels(
    users: Any, tmp_path: Path, name: str
) -> None:
    samples, y = cohort()
    np.save(tmp_path / "table.npy", np.column_stack([samples.x, y]))
    estimator = getattr(users, name)(path=str(tmp_path / "table.npy"))
    findings = run_and_audit(estimator, samples, y, rerun=5)
    only(findings, "known_labels")
    assert said(findings, "shuffled_labels") == []


@pytest.mark.parametrize("name", ["InnerPredict", "InnerScore", "InnerSearch"])
def test_inner_folds_without_groups_inside_fit_are_seen(users: Any, name: str) -> None:
    findings = run_and_audit(getattr(users, name)())
    found = [f for f in said(findings, "search_without_groups") if "KFold" in f.where]
    assert found[0].evidence == "observed"


def test_rows_held_out_inside_fit_give_a_warning(users: Any) -> None:
    findings = run_and_audit(users.HoldsOutRows())
    loud = [(f.check, f.severity) for f in findings if f.severity in ("fault", "warning")]
    assert loud == [("search_without_groups", "warning"), ("majority_baseline", "fault")]


def test_the_audit_leaves_no_patch_behind(users: Any) -> None:
    before = {cls: cls.__dict__.get("split") for cls in (KFold, StratifiedKFold, GroupKFold)}
    run_and_audit(users.InnerSearch())
    assert before == {cls: cls.__dict__.get("split") for cls in before}


def test_an_estimator_that_fails_in_a_refit_is_named_and_ends_nothing(
    users: Any, tmp_path: Path
) -> None:
    samples, y = cohort()
    estimator, split = users.Fails(path=str(tmp_path / "now")), leave_one_subject_out()
    run = evaluate(estimator, samples, y, split, question=question(), classes=["BL1", "PA4"])
    (tmp_path / "now").touch()
    findings = audit(run, samples=samples, y=y, estimator=estimator, split=split, rerun=3)
    for check in ("state_between_folds", "known_labels", "unseeded_randomness"):
        [found] = [f for f in findings if f.check == check]
        assert found.severity == "declared"
        assert "RuntimeError: this estimator fails now" in found.message


# ── recomputed: copies, identities, counters, encodings ─────────────────────────────────────────


def disguised(kind: str, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of a subject's windows that no window equals."""
    if kind == "noise":
        return x + rng.normal(scale=0.01, size=x.shape) * x.std(axis=0)
    if kind == "gain":
        return 1.02 * x
    if kind == "shift":
        return x + 0.5
    return np.round(x, 1)


@pytest.mark.parametrize("kind", ["noise", "gain", "shift", "rounding"])
@pytest.mark.parametrize("level", [0.0, 100.0])
def test_a_disguised_copy_of_a_subject_is_seen(kind: str, level: float) -> None:
    def copy(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        x += level
        source, target = samples.subjects == "p01", samples.subjects == "p03"
        x[target] = disguised(kind, x[source], np.random.default_rng(0))
        return x

    assert only(altered(copy), "copied_subject").where == "p01 / p03"


def test_exact_copies_under_three_names_are_seen() -> None:
    def copy(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        for name in ("p03", "p05"):
            x[samples.subjects == name] = x[samples.subjects == "p01"]
        return x

    findings = altered(copy)
    where = only(findings, "near_duplicates", "copied_subject").where
    assert "p01-session / p03-session" in where
    assert "p01 / p05" in said(findings, "copied_subject")[0].where


def raw(kind: str, seed: int = 3) -> tuple[Samples, np.ndarray]:
    """Raw signals of 6 people; windows of p03 are made from those of p01."""
    samples, y = cohort(windows=12)
    rng = np.random.default_rng(seed)
    signals = np.cumsum(rng.normal(size=(SUBJECTS, 12 * 256 + 2)), axis=1)
    signals += rng.normal(scale=0.3, size=signals.shape)
    if kind == "one sample":
        signals[3, 1:] = signals[1, :-1]
    elif kind == "resampled":
        at = np.linspace(0, signals.shape[1] - 1, signals.shape[1]) * 0.999
        signals[3] = np.interp(at, np.arange(signals.shape[1]), signals[1])
    elif kind == "half a window":
        signals[3, 128:] = signals[1, :-128]
    x = signals[:, : 12 * 256].reshape(-1, 1, 256)
    return replace(samples, x=x, feature_names=()), y


def spread(x: np.ndarray) -> np.ndarray:
    """Two features of raw signals."""
    steps = np.abs(np.diff(x[:, 0]))
    return np.log(np.column_stack([x[:, 0].std(axis=1), steps.mean(axis=1)]))


def of_raw_signals() -> Any:
    return make_pipeline(FunctionTransformer(spread), LogisticRegression())


@pytest.mark.parametrize("kind", ["one sample", "resampled"])
def test_a_shifted_or_resampled_recording_is_seen(kind: str) -> None:
    samples, y = raw(kind)
    findings = run_and_audit(of_raw_signals(), samples, y)
    assert "p01 / p03" in only(findings, "copied_subject", "shared_samples").where


def test_overlapping_raw_windows_under_another_name_are_seen() -> None:
    samples, y = raw("half a window")
    found = only(run_and_audit(of_raw_signals(), samples, y), "shared_samples", "copied_subject")
    assert "p01-session / p03-session" in found.where


def test_raw_signals_of_different_people_pass() -> None:
    samples, y = raw("independent")
    findings = run_and_audit(of_raw_signals(), samples, y, baselines=True)
    assert [f for f in findings if f.severity in ("fault", "warning")] == []
    passed = {f.check for f in findings if f.severity == "passed"}
    assert {"shared_samples", "copied_subject", "near_duplicates"} <= passed


def renamed(names: dict[str, Any]) -> list[Finding]:
    """Audit of a run of an earlier version, which did not compare spellings."""
    samples, y = cohort()
    run = evaluate(
        clean_estimator(), samples, y, leave_one_subject_out(), question=question(),
        classes=["BL1", "PA4"],
    )  # fmt: skip
    subjects = run.predictions["subject"].replace(names)
    meta = samples.meta.assign(subject=samples.meta["subject"].replace(names))
    return audit(
        replace(run, predictions=run.predictions.assign(subject=subjects)),
        samples=replace(samples, meta=meta),
        y=y,
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("01", "1"), ("036", "36"), ("1.0", "1"), ("sub-04", "04"), ("zoe\u0308", "zo\u00eb")],
)
def test_one_subject_in_two_spellings_is_seen(first: str, second: str) -> None:
    found = only(renamed({"p00": first, "p01": second}), "subject_in_two_sets")
    assert first in found.where
    assert second in found.where


def test_numbers_in_another_order_are_another_subject() -> None:
    names = {"p00": "1-11", "p01": "11-1", "p02": "111", "p03": "1-1-1"}
    assert said(renamed(names), "subject_in_two_sets") == []


def test_rows_without_a_subject_are_named() -> None:
    found = only(renamed({"p02": None}), "subject_in_two_sets")
    assert "have no subject" in found.message


def test_sessions_as_subjects_give_a_warning() -> None:
    findings = renamed({"p00": "p07_ses-1", "p01": "p07_ses-2"})
    warned = [f for f in findings if f.severity == "warning"]
    assert [f.where for f in warned] == ["p07_ses-1 and p07_ses-2"]


def test_one_recording_under_two_subjects_is_seen() -> None:
    samples, y = cohort()
    meta = samples.meta.copy()
    mine = np.flatnonzero(meta["subject"] == "p00")
    meta.loc[mine[::2], "subject"] = "p00b"
    found = only(
        run_and_audit(samples=replace(samples, meta=meta), y=y), "recording_of_two_subjects"
    )
    assert "p00-session: p00, p00b" in found.where


def test_recordings_of_the_same_name_are_not_one_recording() -> None:
    samples, y = cohort()
    meta = samples.meta.assign(recording="run 1")
    meta["stimulus"] = meta["stimulus"].str.partition("#")[2]
    rng = np.random.default_rng(0)
    meta["start"] += rng.uniform(0, 4, size=len(meta))
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y, baselines=True)
    assert [f for f in findings if f.severity in ("fault", "warning")] == []


def test_random_blocks_of_one_recording_declared_as_subjects_are_seen() -> None:
    samples, y = cohort()
    start = np.random.default_rng(1).permutation(len(y)) * 10.0
    meta = samples.meta.assign(start=start)
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y)
    warned = [f for f in findings if f.severity == "warning" and "blocks" in f.message]
    assert [f.check for f in warned] == ["recording_of_two_subjects"]
    named = replace(samples, meta=meta.assign(recording="the only one"))
    only(run_and_audit(samples=named, y=y), "recording_of_two_subjects")


def test_labelled_windows_drawn_at_random_in_time_give_a_warning() -> None:
    findings = run_and_audit(split=personalised(2))
    warned = [f for f in findings if f.severity == "warning"]
    assert [f.check for f in warned] == ["calibration_in_time"]


def test_labelled_windows_that_come_first_pass() -> None:
    samples, _ = cohort()
    place = np.tile(np.arange(WINDOWS), SUBJECTS)
    folds = [
        (np.flatnonzero((samples.subjects != s) | (place < 4)),
         np.flatnonzero((samples.subjects == s) & (place >= 4)))
        for s in np.unique(samples.subjects)
    ]  # fmt: skip
    split = dl_from_sklearn(folds, shared_subjects=True)
    findings = run_and_audit(split=split)
    assert [f.severity for f in findings if f.check == "calibration_in_time"] == ["passed"]


def within(samples: Samples, x: np.ndarray, change: Any) -> np.ndarray:
    for subject in np.unique(samples.subjects):
        mine = samples.subjects == subject
        x[mine] = change(x[mine])
    return x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x - x.mean(axis=0), "mean 0"),
        (lambda x: x - np.median(x, axis=0), "median 0"),
        (lambda x: (x - np.median(x, axis=0)) / stats.median_abs_deviation(x), "median 0"),
        (lambda x: stats.rankdata(x, axis=0), "ranks"),
        (lambda x: stats.norm.ppf(stats.rankdata(x, axis=0) / (len(x) + 1)), "mean 0"),
        (lambda x: (x - x.min(axis=0)) / np.ptp(x, axis=0), "0 to exactly 1"),
    ],
    ids=["mean", "median", "median and MAD", "ranks", "normal scores", "range"],
)
def test_statistics_of_the_test_subject_are_seen(change: Any, words: str) -> None:
    found = only(altered(lambda x, samples, y: within(samples, x, change)), "target_access")
    assert words in found.message


def test_evenly_spaced_steps_of_a_device_are_no_ranks() -> None:
    """Three steps, each several times and equal to rounding, in another order per subject."""

    def step(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(4)
        steps = np.concatenate(
            [rng.permutation(np.arange(WINDOWS) % 3) for _ in range(SUBJECTS)]
        ).astype(float)
        return np.column_stack([x, (steps + 2) * (1 + 1e-15 * rng.normal(size=len(steps)))])

    assert said(altered(step), "target_access") == []


def test_a_row_counter_is_seen_whatever_its_order() -> None:
    def count(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        by_label = np.argsort(np.argsort(y, kind="stable"), kind="stable")
        return np.column_stack([x, by_label, 5000 - np.arange(len(x))])

    findings = altered(count)
    assert only(findings, "counter_as_feature", "label_as_feature").where == "f6, f7"


def test_a_counter_per_person_and_a_clock_are_seen() -> None:
    def count(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        place = np.tile(np.arange(WINDOWS), SUBJECTS)
        clock = 1.7e9 + 86400 * np.repeat(np.arange(SUBJECTS)[::-1], WINDOWS) + 11.3 * place
        return np.column_stack([x, place[::-1], clock])

    findings = altered(count)
    assert only(findings, "counter_as_feature").where == "f6"
    warned = [
        f.where for f in findings if f.check == "counter_as_feature" and f.severity == "warning"
    ]
    assert warned == ["f7"]


def test_the_table_of_a_public_report_with_its_row_number_is_seen() -> None:
    table = pd.read_csv(
        Path(__file__).parent / "fixtures/cases/14-row-number-as-feature/noise.csv"
    )
    x = table.drop(columns=["subject", "label"])
    samples = Samples.from_arrays(x, subject=table["subject"], condition=table["label"])
    estimator = RandomForestClassifier(n_estimators=20)
    run = evaluate(estimator, samples, table["label"], group_k_fold(4), baselines=False)
    findings = audit(run, samples=samples, y=table["label"], estimator=estimator)
    assert said(findings, "counter_as_feature")[0].where == "Unnamed: 0"


@pytest.mark.parametrize("smooth", [0.0, 10.0, "auto"])
def test_an_encoder_fitted_with_all_labels_is_seen(smooth: Any) -> None:
    def encode(x: np.ndarray, samples: Samples, y: np.ndarray) -> np.ndarray:
        groups = np.random.default_rng(2).integers(0, 8, size=(len(y), 1)).astype(str)
        encoder = TargetEncoder(smooth=smooth, target_type="binary")
        return np.column_stack([x, encoder.fit(groups, y).transform(groups)])

    assert only(altered(encode), "label_encoding").where == "f6"


def test_rows_mixed_before_the_split_are_seen() -> None:
    samples, y = cohort()
    rng = np.random.default_rng(4)
    x = np.asarray(samples.x).copy()
    source = np.flatnonzero(y == 1)
    for row in rng.permutation(source)[:20]:
        others = source[samples.subjects[source] != samples.subjects[row]]
        away = np.linalg.norm(x[others] - x[row], axis=1)
        a = others[np.argsort(away)[rng.integers(0, 2)]]
        b = others[np.argsort(np.linalg.norm(x[others] - x[a], axis=1))[1]]
        x[row] = x[a] + rng.uniform(0.2, 0.8) * (x[b] - x[a])
    only(run_and_audit(samples=replace(samples, x=x), y=y), "mixed_rows")


@pytest.mark.parametrize("levels", [1, 2, 12])
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_rows_that_differ_in_one_feature_are_no_mixtures(levels: int, noise: float) -> None:
    """Every point of a line lies between two others."""
    samples, y = cohort()
    rng = np.random.default_rng(4)
    line, level = rng.normal(size=len(y)), rng.normal(size=(levels, 4))[np.arange(len(y)) % levels]
    x = level + line[:, None] * [1.0, -1.0, 2.0, 3.0] + noise * rng.normal(size=(len(y), 4))
    findings = run_and_audit(samples=replace(samples, x=x, feature_names=()), y=y)
    [found] = [f for f in findings if f.check == "mixed_rows"]
    assert found.severity == "declared"
    assert "between two others" in found.message


def test_a_rare_class_over_sampled_many_times_is_seen() -> None:
    samples, y = cohort()
    rng = np.random.default_rng(4)
    x = np.asarray(samples.x).copy()
    [rare] = np.nonzero(y == 1)
    base = x[rare[::8]].copy()
    for row in rare:
        a, b = base[rng.permutation(len(base))[:2]]
        x[row] = a + rng.uniform(0.2, 0.8) * (b - a)
    findings = run_and_audit(samples=replace(samples, x=x), y=y)
    assert [f.severity for f in findings if f.check == "mixed_rows"] == ["fault"]


def test_a_file_size_that_tells_the_label_is_a_warning_of_its_own() -> None:
    samples, y = cohort()
    rng = np.random.default_rng(0)
    facts = pd.DataFrame({"file_size": 1000 + 50 * y + rng.integers(0, 60, size=len(y))})
    findings = run_and_audit(samples=replace(samples, facts=facts), y=y)
    [found] = [f for f in findings if f.check == "file_size"]
    assert found.severity == "warning"
    assert "may be signal" in found.message


@pytest.mark.parametrize("noise", [0.0, 1e-13])
def test_a_file_size_that_tells_the_label_of_every_window_is_a_warning(noise: float) -> None:
    """The separation is then 1 in every subject: no spread is no reason not to look."""
    samples, y = cohort()
    size = 1000 + 50 * y + noise * np.random.default_rng(0).normal(size=len(y))
    samples = replace(samples, facts=pd.DataFrame({"file_size": size}))
    [found] = [f for f in run_and_audit(samples=samples, y=y) if f.check == "file_size"]
    assert found.severity == "warning"
    assert "AUROC of 1.000" in found.message


def test_failed_folds_are_seen(users: Any) -> None:
    samples, y = cohort()
    x = np.asarray(samples.x).copy()
    x[np.flatnonzero(samples.subjects == "p02")[0], 2] = np.nan
    samples = replace(samples, x=x)
    run = evaluate(LogisticRegression(), samples, y, hold_outs(), question=question())
    [found] = [f for f in audit(run, samples=samples, y=y) if f.check == "failed_folds"]
    assert found.severity == "fault"
    assert "1 of 2 folds failed" in found.message


def hold_outs() -> Any:
    """Two folds: one trains on p02, the other neither trains on it nor tests it."""
    return dl_from_sklearn(
        [(np.arange(32, 48), np.arange(0, 16)), (np.arange(0, 16), np.arange(64, 80))]
    )


def test_the_overlap_of_every_data_set_is_looked_at() -> None:
    """Subjects of joined data sets are named dataset:subject; registers name them without."""
    samples, y = cohort()
    meta = samples.meta.copy()
    meta["dataset"] = np.where(samples.subjects < "p03", "made_up", "other")
    meta["subject"] = meta["dataset"] + ":" + meta["subject"]
    meta["recording"] = meta["subject"]
    samples = replace(samples, meta=meta)
    asked = question(dataset="made_up+other")
    declared = {"trained_on": {"other": ("P04",)}}
    found = only(
        run_and_audit(samples=samples, y=y, question=asked, declared=declared),
        "pretraining_overlap",
    )
    assert "p04" in found.where
    nobody = run_and_audit(
        samples=samples, y=y, question=asked, declared={"trained_on": {"other": ("p01",)}}
    )
    assert said(nobody, "pretraining_overlap") == []


# ── declared, and what stands beside the figure ─────────────────────────────────────────────────


class Pretrained(LogisticRegression):
    """An encoder's head: the weights below it say whom they saw."""

    def __init__(self, trained_on: Any = None) -> None:
        super().__init__()
        self.trained_on = trained_on


def test_weights_that_have_met_the_test_subjects_are_a_fault() -> None:
    found = only(run_and_audit(Pretrained({"made_up": ("p02", "q9")})), "pretraining_overlap")
    assert "p02" in found.where
    assert "q9" not in found.where


def test_weights_of_the_whole_data_set_have_met_everybody() -> None:
    findings = run_and_audit(declared={"trained_on": {"made_up": ()}})
    only(findings, "pretraining_overlap")


def test_weights_of_unknown_provenance_say_so() -> None:
    findings = run_and_audit(declared={"trained_on": None})
    found = [f for f in findings if f.check == "pretraining_overlap"]
    assert [f.severity for f in found] == ["warning"]
    assert "overlap unknown" in found[0].message


def test_a_figure_of_another_class_set_window_or_aggregation_may_not_be_compared() -> None:
    figure = {
        "task": {"classes": [["BL1"], ["PA2"], ["PA4"]]},
        "windows": {"duration": 4.0},
        "aggregation": "subject",
    }
    found = only(run_and_audit(declared={"compared_with": figure}), "comparison_differs")
    assert found.where == "task.classes, windows.duration, aggregation"
    same = {"task": {"classes": [["BL1"], ["PA4"]]}, "windows": {"duration": 5.5}}
    assert not said(run_and_audit(declared={"compared_with": same}), "comparison_differs")


def test_rows_that_are_not_of_the_question_are_seen() -> None:
    samples, y = cohort()
    meta = samples.meta.assign(condition=np.where(y == 1, "PA3", "BL1"), duration=3.0)
    found = only(run_and_audit(samples=replace(samples, meta=meta), y=y), "comparison_differs")
    assert "PA3" in found.message
    assert "3 s" in found.message


def test_a_figure_without_the_majority_beside_it_is_a_fault() -> None:
    only_fault = said(run_and_audit(), "majority_baseline")
    assert len(only_fault) == 1
    assert "baselines=True" in only_fault[0].message


def test_facts_that_are_not_signal_and_tell_the_class_give_a_warning_with_their_figure() -> None:
    samples, y = cohort()
    facts = pd.DataFrame({"frame_count": 138.0 + 3 * y, "file_size": np.arange(len(y)) % 5})
    findings = run_and_audit(samples=replace(samples, facts=facts), y=y, baselines=True)
    found = [f for f in findings if f.check == "nuisance_baseline"]
    assert [f.severity for f in found] == ["warning"]
    assert "+0.500 above chance" in found[0].message


def test_an_alternating_design_that_the_previous_stimulus_tells_gives_a_warning() -> None:
    samples, _ = cohort()
    y = np.tile(np.arange(WINDOWS) % 2, SUBJECTS)
    meta = samples.meta.assign(condition=np.where(y == 1, "PA4", "BL1"))
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y, baselines=True)
    found = [f for f in findings if f.check == "level_before"]
    assert [f.severity for f in found] == ["warning"]


# ── the leak-o-meter ────────────────────────────────────────────────────────────────────────────


@pytest.mark.long
def test_on_noise_the_oracle_rises_above_chance_and_the_inner_choice_does_not() -> None:
    samples, y = cohort(subjects=16, windows=20, effect=0.0, seed=11)
    meter = leak_o_meter(Staged(epochs=24), samples, y, leave_one_subject_out())
    assert meter.inner_low <= meter.chance <= meter.inner_high
    assert meter.oracle > meter.chance + 0.05
    assert meter.oracle <= meter.bound
    assert meter.epochs == 24
    assert "inflation" in str(meter)


@pytest.mark.long
def test_inflation_grows_with_epochs_and_falls_with_windows_per_subject() -> None:
    def inflation(epochs: int, windows: int) -> float:
        samples, y = cohort(subjects=16, windows=windows, effect=0.0, seed=11)
        return leak_o_meter(clone(Staged(epochs)), samples, y, leave_one_subject_out()).inflation

    few, many, long = inflation(2, 16), inflation(30, 16), inflation(30, 80)
    assert many > few + 0.03
    assert long < many - 0.03


def test_the_run_is_of_the_class_that_audit_takes() -> None:
    samples, y = cohort()
    assert isinstance(
        evaluate(clean_estimator(), samples, y, leave_one_subject_out(), question=question()), Run
    )
