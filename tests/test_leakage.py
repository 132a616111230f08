"""Every pitfall of the specification, planted, and the check that must catch it.

Most faults stand in a user's own scikit-learn estimator or `Samples`, with every declaration left
innocent: nothing says ``target_access``, nothing says oracle. Clean pipelines pass without a
fault and without a warning.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

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
    return audit(
        run, samples=samples, y=y, estimator=estimator, split=split, rerun=rerun, declared=declared
    )


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
    assert all(
        f.message.startswith("not checked: ")
        for f in findings
        if f.evidence == "declared"
    )


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
    samples, y = cohort()
    meta = samples.meta.copy()
    meta.loc[meta["subject"] == "p01", "subject"] = "P-00"
    only(run_and_audit(samples=replace(samples, meta=meta), y=y), "subject_in_two_sets")


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
    found = only(run_and_audit(samples=replace(samples, meta=meta), y=y), "stimulus_in_two_sets")
    assert "p00-session" in found.where


def test_overlapping_windows_over_a_cut_are_seen() -> None:
    samples, y = cohort()
    meta = samples.meta.copy()
    second = np.flatnonzero(meta["subject"] == "p01")
    meta.loc[second, "recording"] = "p00-session"
    meta.loc[second, "start"] += 4.0
    found = only(run_and_audit(samples=replace(samples, meta=meta), y=y), "overlapping_windows")
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

    found = only(altered(copy), "near_duplicates")
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
    found = only(run_and_audit(Remembering()), "state_between_folds", "unseeded_randomness")
    assert "seen" in found.where


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


def test_shuffled_labels_show_a_choice_on_the_test_fold() -> None:
    findings = run_and_audit(
        Staged(),
        selection="oracle_fold_epoch",
        rerun=6,
        question=question(selection="oracle_fold_epoch"),
    )
    found = only(findings, "shuffled_labels", "selection_on_test")
    assert "still scores" in found.message


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
    assert "1.000" in found[0].message


def test_an_alternating_design_that_the_previous_stimulus_tells_gives_a_warning() -> None:
    samples, _ = cohort()
    y = np.tile(np.arange(WINDOWS) % 2, SUBJECTS)
    meta = samples.meta.assign(condition=np.where(y == 1, "PA4", "BL1"))
    findings = run_and_audit(samples=replace(samples, meta=meta), y=y, baselines=True)
    found = [f for f in findings if f.check == "level_before"]
    assert [f.severity for f in found] == ["warning"]


# ── the leak-o-meter ────────────────────────────────────────────────────────────────────────────


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
