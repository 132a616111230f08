"""What stands beside the model finds what is planted for it, and nothing where nothing is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from dolorimeter.evaluation import (
    SIGNAL_FACTS,
    Run,
    evaluate,
    fact_outputs,
    stimulus_order,
)
from dolorimeter.evaluation._baselines import level_before
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold, hold_out, personalised

Cohort = Callable[..., tuple[Samples, np.ndarray]]

MODEL = DummyClassifier()


def accuracy(run: Run, name: str) -> float:
    rows = run.baselines[run.baselines["model"] == name]
    said = rows[["p_0", "p_1"]].to_numpy().argmax(axis=1)
    return float((said == rows["label"]).mean())


def test_clean_data_leave_all_baselines_near_chance(cohort: Cohort) -> None:
    samples, y = cohort(subjects=20, windows=20)
    run = evaluate(MODEL, samples, y, group_k_fold(5))
    for name in ("majority", "nuisance"):
        # 400 windows: four standard errors of a share of one half are 0.1
        assert accuracy(run, name) == pytest.approx(0.5, abs=0.1), name
    # balanced orders: after one class the other is a little likelier, 10/19 against 9/19
    assert accuracy(run, "level_before") == pytest.approx(10 / 19, abs=0.1)
    np.testing.assert_allclose(run.baselines[["p_0", "p_1"]].sum(axis=1), 1)
    assert len(run.baselines) == 3 * len(run.predictions)


def test_a_fact_that_tells_the_class_is_picked_up(cohort: Cohort) -> None:
    samples, y = cohort(subjects=8, windows=10)
    assert samples.facts is not None
    told = samples.facts.assign(segment_length=1000.0 + 50 * y)
    run = evaluate(MODEL, replace(samples, facts=told), y, group_k_fold(4))
    assert accuracy(run, "nuisance") > 0.95


@pytest.mark.parametrize("name", sorted(SIGNAL_FACTS))
def test_facts_that_depend_on_sample_values_are_no_control(cohort: Cohort, name: str) -> None:
    """A file's size counts the digits of its samples: it sees the signal."""
    samples, y = cohort(subjects=8, windows=10)
    told = pd.DataFrame({name: 1000.0 + 50 * y})
    run = evaluate(MODEL, replace(samples, facts=told), y, group_k_fold(4))
    assert "nuisance" not in set(run.baselines["model"])
    train, test = np.arange(40), np.arange(40, 80)
    found = fact_outputs(replace(samples, facts=told), y, train, test, "classifier", 2, (name,))
    assert found is not None
    assert (found.argmax(axis=1) == y[test]).all()  # the question of its own still has an answer


def windows_of_stimuli(
    y: np.ndarray, windows: int, *, named: bool = True, timed: bool = True
) -> tuple[Samples, np.ndarray]:
    """Stimuli (subject by row) with several windows each, and the label of each window."""
    subjects, stimuli = y.shape
    count = subjects * stimuli * windows
    names = np.tile(np.repeat(np.arange(stimuli), windows), subjects).astype(str)
    samples = Samples.from_arrays(
        np.random.default_rng(0).normal(size=(count, 2)),
        subject=np.repeat([f"s{i:02d}" for i in range(subjects)], stimuli * windows),
        stimulus=names if named else None,
        start=np.tile(np.arange(stimuli * windows) * 2.0, subjects) if timed else None,
    )
    return samples, np.repeat(y.ravel(), windows)


@pytest.mark.parametrize("named", [True, False])
def test_the_stimulus_before_is_not_the_window_before(named: bool) -> None:
    """Random labels per stimulus, five windows each: the window before mostly has the label."""
    stimuli = np.random.default_rng(8).integers(0, 2, (20, 10))
    samples, y = windows_of_stimuli(stimuli, 5, named=named)
    before = level_before(samples, y).reshape(20, 10, 5)
    assert (before[:, 0] == -1).all()
    np.testing.assert_array_equal(before[:, 1:], np.repeat(stimuli[:, :-1, None], 5, axis=2))
    run = evaluate(MODEL, samples, y, group_k_fold(5))
    assert accuracy(run, "level_before") == pytest.approx(0.5, abs=0.15)  # √(0.25/200)·4


def test_without_known_order_there_is_no_stimulus_before() -> None:
    samples, y = windows_of_stimuli(np.tile([0, 1], (4, 4)), 3, timed=False)
    assert (level_before(samples, y) == -1).all()
    clips, labels = windows_of_stimuli(np.tile([0, 1], (4, 4)), 2)
    own = clips.meta.assign(recording=clips.meta["stimulus"])  # a clip per recording, in no order
    assert (level_before(replace(clips, meta=own), labels) == -1).all()


def test_missing_values_of_a_fact_are_a_fact(cohort: Cohort) -> None:
    samples, y = cohort(subjects=8, windows=10)
    told = pd.DataFrame({"gap": np.where(y == 1, np.nan, 1.0), "empty": np.nan})
    run = evaluate(MODEL, replace(samples, facts=told), y, group_k_fold(4))
    assert accuracy(run, "nuisance") > 0.95


@pytest.mark.parametrize("facts", [None, pd.DataFrame({"same": np.ones(80)})])
def test_without_facts_that_vary_there_is_no_nuisance_baseline(
    cohort: Cohort, facts: pd.DataFrame | None
) -> None:
    samples, y = cohort(subjects=8, windows=10)
    run = evaluate(MODEL, replace(samples, facts=facts), y, group_k_fold(4))
    assert set(run.baselines["model"]) == {"majority", "level_before"}


def test_an_alternation_is_picked_up_by_the_level_before(cohort: Cohort) -> None:
    samples, y = cohort(subjects=8, windows=10)
    y = np.tile(np.arange(10) % 2, 8)
    run = evaluate(MODEL, samples, y, group_k_fold(4))
    assert accuracy(run, "level_before") == 1.0


def test_the_level_before_follows_time_and_not_rows(cohort: Cohort) -> None:
    samples, y = cohort(subjects=2, windows=6)
    order = np.random.default_rng(1).permutation(12)
    moved = samples.take(order)
    before = level_before(moved, y[order])
    np.testing.assert_array_equal(before, level_before(samples, y)[order])
    assert (level_before(samples, y)[[0, 6]] == -1).all()
    np.testing.assert_array_equal(level_before(samples, y)[1:6], y[:5])


def test_a_clip_index_goes_before_names_of_recordings(cohort: Cohort) -> None:
    samples, _ = cohort(subjects=2, windows=4)
    facts = pd.DataFrame({"clip_index": [3.0, 2, 1, 0] * 2})
    found = stimulus_order(replace(samples, facts=facts))
    np.testing.assert_array_equal(found, [3, 2, 1, 0, 7, 6, 5, 4])
    np.testing.assert_array_equal(stimulus_order(samples), np.arange(8))


def test_majority_is_that_of_the_training_people(cohort: Cohort) -> None:
    samples, y = cohort(subjects=4)
    y = y.copy()
    y[:24] = np.where(np.arange(24) % 4, 1, 0)
    run = evaluate(MODEL, samples, y, hold_out(["p03"]))
    rows = run.baselines[run.baselines["model"] == "majority"]
    np.testing.assert_allclose(rows["p_1"], 54 / 72)  # shares of the training rows
    assert set(rows["subject"]) == {"p03"}


def test_baselines_are_scored_on_the_rows_of_the_model(cohort: Cohort) -> None:
    samples, y = cohort()
    run = evaluate(MODEL, samples, y, personalised(1))
    for _, rows in run.baselines.groupby("model"):
        assert sorted(rows["row"]) == sorted(run.predictions["row"])
        assert set(rows["selection"]) == {"fixed"}
