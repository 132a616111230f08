"""Splits: people on one side only, each window tested once, whatever the order of files."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SplitError
from dolorimeter.splits import (
    SPLITS,
    Fold,
    HoldOut,
    Split,
    cross_dataset,
    drawn_hold_out,
    from_sklearn,
    group_k_fold,
    hold_out,
    inner_folds,
    inner_validation,
    leave_one_subject_out,
    personalised,
    refuse_shared_subjects,
)


def cohort(counts: list[int], seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """`counts` windows of each person, classes in turn, rows shuffled."""
    who = np.repeat([f"p{i:02d}" for i in range(len(counts))], counts)
    place = np.concatenate([np.arange(c) for c in counts])
    y = place % 2
    meta = pd.DataFrame({"subject": who, "recording": who, "start": place * 6.0, "dataset": "a"})
    order = np.random.default_rng(seed).permutation(len(who))
    return meta.iloc[order].reset_index(drop=True), y[order]


cohorts = st.builds(
    cohort, st.lists(st.integers(4, 9), min_size=3, max_size=8), st.integers(0, 1000)
)


def names(meta: pd.DataFrame, rows: np.ndarray) -> set[str]:
    return set(meta["subject"].to_numpy()[rows])


def described(meta: pd.DataFrame, folds: list[Fold]) -> list[tuple[str, list[str], list[str]]]:
    """Folds by what their rows are, not by where they stand."""
    told = (meta["subject"] + "@" + meta["start"].astype(str)).to_numpy()
    return [(f.name, sorted(told[f.fit_rows]), sorted(told[f.test])) for f in folds]


@given(cohorts, st.integers(0, 5))
def test_no_person_is_on_both_sides_and_each_window_is_tested_once(
    data: tuple[pd.DataFrame, np.ndarray], seed: int
) -> None:
    meta, y = data
    for split in (leave_one_subject_out(), group_k_fold(3, seed), personalised(0, reserve=0)):
        folds = split.folds(meta, y)
        for fold in folds:
            assert not names(meta, fold.fit_rows) & names(meta, fold.test)
            assert len(fold.fit_rows) + len(fold.test) == len(y)
        tested = np.concatenate([f.test for f in folds])
        assert sorted(tested) == list(range(len(y)))
        assert [f.index for f in folds] == list(range(len(folds)))
        assert split.target_access == "none"


@given(cohorts, st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_no_fold(
    data: tuple[pd.DataFrame, np.ndarray], seed: int
) -> None:
    meta, y = data
    order = np.random.default_rng(seed).permutation(len(y))
    moved, labels = meta.iloc[order].reset_index(drop=True), y[order]
    for split in (
        leave_one_subject_out(),
        group_k_fold(3, 1),
        hold_out(["p00"], ["p01"]),
        drawn_hold_out(1, seed=3),
        personalised(1, seed=3),
    ):
        assert described(meta, split.folds(meta, y)) == described(
            moved, split.folds(moved, labels)
        )


def test_leave_one_subject_out_goes_by_sorted_name() -> None:
    meta, y = cohort([4, 5, 6])
    folds = leave_one_subject_out().folds(meta, y)
    assert [f.name for f in folds] == ["p00", "p01", "p02"]
    assert [len(f.test) for f in folds] == [4, 5, 6]


def test_leave_one_subject_out_needs_two_people() -> None:
    meta, y = cohort([4])
    with pytest.raises(SplitError, match=r"leave_one_subject_out of 1 subject \(p00\)"):
        leave_one_subject_out().folds(meta, y)


def test_labels_must_be_one_a_sample() -> None:
    meta, y = cohort([4, 4])
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(SplitError, match="8 samples and 7 labels"):
            leave_one_subject_out().folds(meta, y[1:])
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@given(cohorts)
def test_groups_of_k_folds_differ_by_one_person_at_most(
    data: tuple[pd.DataFrame, np.ndarray],
) -> None:
    meta, y = data
    sizes = [len(names(meta, f.test)) for f in group_k_fold(3).folds(meta, y)]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_deals_people_otherwise() -> None:
    meta, y = cohort([4] * 8)
    dealt = {
        tuple(tuple(sorted(names(meta, f.test))) for f in group_k_fold(2, s).folds(meta, y))
        for s in range(5)
    }
    assert len(dealt) > 1


def test_k_fold_refuses_more_folds_than_people_and_fewer_than_two() -> None:
    meta, y = cohort([4, 4, 4])
    with pytest.raises(SplitError, match="4 folds of 3 subjects"):
        group_k_fold(4).folds(meta, y)
    with pytest.raises(ConfigError, match="n_splits is 1, expected at least 2"):
        group_k_fold(1)


def test_hold_out_keeps_its_three_sets_apart() -> None:
    meta, y = cohort([4, 5, 6, 7])
    (fold,) = hold_out(["p03"], ["p01"]).folds(meta, y)
    assert names(meta, fold.train) == {"p00", "p02"}
    assert names(meta, fold.validation) == {"p01"}
    assert names(meta, fold.test) == {"p03"}
    assert names(meta, fold.fit_rows) == {"p00", "p01", "p02"}
    assert (np.diff(fold.fit_rows) > 0).all()
    (fold,) = hold_out(["p03"], train_subjects=["p02"]).folds(meta, y)
    assert names(meta, fold.fit_rows) == {"p02"}


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ((("p00",), ("p00",), ()), "p00 stand in both test and validation"),
        ((("p00",), (), ("p00", "p01")), "p00 stand in both test and training"),
        ((("p00",), ("p01",), ("p01",)), "p01 stand in both validation and training"),
        ((("p00", "x"), (), ()), r"x \(1 in all\) are not among the 3 subjects"),
        ((("p00",), (), ("z",)), r"z \(1 in all\) are not among the 3 subjects"),
        ((("p00", "p01", "p02"), (), ()), "fold 'hold out' has no training windows"),
    ],
)
def test_hold_out_refuses_sets_that_do_not_fit(
    sets: tuple[tuple[str, ...], ...], message: str
) -> None:
    meta, y = cohort([4, 4, 4])
    with pytest.raises(SplitError, match=message):
        HoldOut(*sets).folds(meta, y)


def test_a_drawn_hold_out_depends_on_its_seed_alone() -> None:
    meta, y = cohort([2] * 9)
    drawn = set()
    for seed in range(20):
        (fold,) = drawn_hold_out(3, seed).folds(meta, y)
        tested = names(meta, fold.test)
        assert len(tested) == 3
        assert not tested & names(meta, fold.fit_rows)
        assert fold.name == f"drawn by seed {seed}"
        drawn.add(tuple(sorted(tested)))
    assert len(drawn) > 10
    with pytest.raises(SplitError, match="9 of 9 subjects are to be tested, which leaves nobody"):
        drawn_hold_out(9).folds(meta, y)
    with pytest.raises(ConfigError, match="test is 0, expected at least one subject"):
        drawn_hold_out(0)


def test_hold_out_needs_somebody_to_test() -> None:
    with pytest.raises(ConfigError, match="test_subjects is empty"):
        hold_out([])


def test_cross_dataset_trains_on_one_and_tests_on_the_other() -> None:
    meta, y = cohort([4, 4, 4])
    meta["dataset"] = np.where(meta["subject"] == "p02", "b", "a")
    (fold,) = cross_dataset("a", "b").folds(meta, y)
    assert names(meta, fold.train) == {"p00", "p01"}
    assert names(meta, fold.test) == {"p02"}
    assert fold.name == "a → b"


def test_cross_dataset_refuses_shared_people_and_unknown_names() -> None:
    meta, y = cohort([4, 4])
    meta["dataset"] = np.where(np.arange(8) % 3 == 0, "b", "a")
    with pytest.raises(SplitError, match=r"p00, p01 \(2 in all\) are in both a and b"):
        cross_dataset("a", "b").folds(meta, y)
    with pytest.raises(SplitError, match="no samples of 'c'; they are of a, b"):
        cross_dataset("a", "c").folds(meta, y)


@given(st.lists(st.integers(6, 9), min_size=2, max_size=5), st.integers(1, 2), st.integers(0, 50))
def test_personalised_takes_k_stimuli_per_class_and_scores_the_other_half(
    counts: list[int], k: int, seed: int
) -> None:
    meta, y = cohort(counts)
    split = personalised(k, seed)
    assert split.target_access == "labelled_reference"
    for fold in split.folds(meta, y):
        own = meta["subject"].to_numpy() == fold.name
        given_rows = fold.train[own[fold.train]]
        assert np.bincount(y[given_rows]).tolist() == [k, k]
        assert not set(given_rows) & set(fold.test)
        assert set(fold.test) <= set(np.flatnonzero(own))
        for label in (0, 1):
            of_class = int((y[own] == label).sum())
            scored = int((y[fold.test] == label).sum())
            assert scored == of_class - max(k, of_class // 2)
        assert set(np.flatnonzero(~own)) <= set(fold.train)


def test_personalised_refuses_to_leave_nothing_to_score() -> None:
    meta, y = cohort([6, 4])
    with pytest.raises(
        SplitError, match="subject p01 has 2 stimuli of class 0, and 2 of them are"
    ):
        personalised(2).folds(meta, y)
    with pytest.raises(SplitError, match="k is -1, expected 0 or more"):
        personalised(-1).folds(meta, y)


def stimuli(subjects: int = 3, each: int = 8, windows: int = 5) -> tuple[pd.DataFrame, np.ndarray]:
    """Sliding windows of 2 s every second, five per stimulus, alternating classes."""
    rows, y = [], []
    for s in range(subjects):
        for i in range(each):
            for w in range(windows):
                at = 20.0 * i + w
                rows.append((f"p{s}", f"r{s}", f"r{s}#{i}", at, 2.0))
                y.append(i % 2)
    columns = ["subject", "recording", "stimulus", "start", "duration"]
    return pd.DataFrame(rows, columns=columns), np.array(y)


@pytest.mark.parametrize("named", [True, False])
def test_personalised_never_splits_the_windows_of_a_stimulus(named: bool) -> None:
    meta, y = stimuli()
    truth = meta["stimulus"].to_numpy()
    if not named:  # windows that overlap in time are one stimulus
        meta["stimulus"] = ""
    for fold in personalised(2).folds(meta, y):
        own = (meta["subject"] == fold.name).to_numpy()
        given_rows = fold.train[own[fold.train]]
        assert not set(truth[given_rows]) & set(truth[fold.test])
        assert [len(set(truth[given_rows[y[given_rows] == c]])) for c in (0, 1)] == [2, 2]
        assert len(given_rows) == 2 * 2 * 5


def test_personalised_scores_the_same_windows_whatever_k_is() -> None:
    meta, y = stimuli(each=24)
    tested = [
        [fold.test.tolist() for fold in personalised(k, seed=3).folds(meta, y)]
        for k in (0, 1, 5, 6)
    ]
    assert all(rows == tested[0] for rows in tested[1:])
    few, more = (personalised(k, seed=3).folds(meta, y)[0].train for k in (1, 5))
    assert set(few) < set(more)
    kept = [personalised(k, reserve=7).folds(meta, y)[0].test.tolist() for k in (0, 7)]
    assert kept[0] == kept[1]


def test_personalised_refuses_what_makes_no_sense() -> None:
    meta, y = stimuli()
    with pytest.raises(SplitError, match="reserve is 1, expected at least k = 2"):
        personalised(2, reserve=1).folds(meta, y)
    with pytest.raises(SplitError, match="these targets are numbers"):
        personalised(1).folds(meta, y + 0.5)


@pytest.mark.parametrize(
    ("one", "other"), [("001", "1"), ("sub-01", "1"), ("Anna", "anna"), ("1", "1.0")]
)
def test_two_spellings_of_one_subject_are_refused_on_both_sides(one: str, other: str) -> None:
    meta = pd.DataFrame({"subject": [one, other, "x", "y"] * 2})
    split = leave_one_subject_out()
    folds = split.folds(meta, np.zeros(8))
    with pytest.raises(SplitError, match="one subject in different spellings"):
        refuse_shared_subjects(folds, meta["subject"].to_numpy(), split)
    pairs = [(np.array([0, 2, 4, 6]), np.array([1, 3, 5, 7]))]
    declared = from_sklearn(pairs, shared_subjects=True)
    refuse_shared_subjects(declared.folds(meta, np.zeros(8)), meta["subject"].to_numpy(), declared)


def test_names_of_other_subjects_are_not_one_spelling() -> None:
    names = ["1-11", "11-1", "111", "s1", "s2", "082315_w_60"]
    meta = pd.DataFrame({"subject": names})
    split = leave_one_subject_out()
    refuse_shared_subjects(split.folds(meta, np.zeros(6)), meta["subject"].to_numpy(), split)


def test_cross_dataset_knows_a_subject_in_another_spelling() -> None:
    meta = pd.DataFrame({"subject": ["01", "02", "1", "3"], "dataset": ["a", "a", "b", "b"]})
    with pytest.raises(SplitError, match=r"01, 1 \(2 in all\) are in both"):
        cross_dataset("a", "b").folds(meta, np.zeros(4))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_inner_validation_of_subjects_with_one_class_each(share: float) -> None:
    groups = np.repeat([f"p{i:02d}" for i in range(20)], 4)
    y = np.repeat([0, 1] * 10, 4)
    train, held = inner_validation(groups, share, 0, y)
    assert set(y[train]) == set(y[held]) == {0, 1}
    assert 2 <= len(set(groups[held])) <= 6


def test_personalised_lets_a_person_lack_a_class() -> None:
    meta, y = cohort([6, 6])
    y[meta["subject"] == "p01"] = 1
    fold = personalised(1).folds(meta, y)[1]
    own = meta["subject"].to_numpy() == "p01"
    assert own[fold.train].sum() == 1


@given(cohorts, st.floats(0.05, 0.95), st.integers(0, 20))
def test_inner_validation_cuts_whole_people(
    data: tuple[pd.DataFrame, np.ndarray], share: float, seed: int
) -> None:
    meta, y = data
    groups = meta["subject"].to_numpy().astype(str)
    train, held = inner_validation(groups, share, seed, y)
    assert not set(groups[train]) & set(groups[held])
    assert sorted([*train, *held]) == list(range(len(y)))
    wanted = min(max(1, round(share * len(set(groups)))), len(set(groups)) - 1)
    assert len(set(groups[held])) == wanted
    again = inner_validation(groups, share, seed, y)
    assert np.array_equal(again[1], held)


def test_inner_validation_has_every_class_on_both_sides() -> None:
    groups = np.repeat(["a", "b", "c", "d"], 2)
    y = np.array([0, 0, 0, 0, 1, 1, 0, 1])
    for seed in range(20):
        train, held = inner_validation(groups, 0.5, seed, y)
        assert set(y[train]) == set(y[held]) == {0, 1}


@pytest.mark.parametrize(
    ("groups", "share", "y", "message"),
    [
        (["a", "b"], 0.0, None, "share is 0.0, expected between 0 and 1"),
        (["a", "b"], 1.0, None, "share is 1.0, expected between 0 and 1"),
        (["a", "a"], 0.5, None, "at least 2 training subjects, found 1"),
        (["a", "b"], 0.5, [0, 1], "no draw of 1 of 2 subjects has every class on both sides"),
    ],
)
def test_inner_validation_refuses(
    groups: list[str], share: float, y: list[int] | None, message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        inner_validation(np.array(groups), share, 0, None if y is None else np.array(y))


@given(cohorts, st.integers(0, 20))
def test_inner_folds_hold_each_person_out_once(
    data: tuple[pd.DataFrame, np.ndarray], seed: int
) -> None:
    groups = data[0]["subject"].to_numpy().astype(str)
    folds = inner_folds(groups, 3, seed)
    for train, held in folds:
        assert not set(groups[train]) & set(groups[held])
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(groups)))
    with pytest.raises(SplitError, match="the number of folds must lie between 2 and"):
        inner_folds(groups, len(set(groups)) + 1, seed)


def test_every_split_has_its_name_and_arguments() -> None:
    made = {
        "leave_one_subject_out": leave_one_subject_out(),
        "group_k_fold": group_k_fold(3, 1),
        "hold_out": hold_out(["a"]),
        "drawn_hold_out": drawn_hold_out(2, 1),
        "cross_dataset": cross_dataset("a", "b"),
        "personalised": personalised(2),
    }
    assert set(made) == set(SPLITS)
    for name, split in made.items():
        assert isinstance(split, Split)
        assert split.name == name
        assert SPLITS[name](**split.params) == split
