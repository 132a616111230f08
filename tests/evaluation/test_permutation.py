"""Permutation of labels within subject, for a model that knows something and one that does not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier
from typer.testing import CliRunner

from dolorimeter.cli import app
from dolorimeter.errors import ConfigError
from dolorimeter.estimators import logistic_regression
from dolorimeter.evaluation import (
    Permutations,
    Run,
    evaluate,
    label_units,
    permutation_test,
    permuted_labels,
    permuted_within,
    summarise,
)
from dolorimeter.evaluation._label_units import RunsTest
from dolorimeter.experiment import experiment_from, run, write_experiment
from dolorimeter.reports import report
from dolorimeter.samples import Samples
from dolorimeter.splits import group_k_fold


@pytest.mark.long
def test_a_model_that_knows_beats_every_shuffle_and_one_that_does_not_does_not(
    cohort: Any,
) -> None:
    split = group_k_fold(2)
    seen = []
    for effect in (3.0, 0.0):
        samples, y = cohort(subjects=6, windows=12, effect=effect, seed=3)
        found = permutation_test(
            logistic_regression(), samples, y, split, permutations=19,
            progress=lambda done, total: seen.append((done, total)),
        )  # fmt: skip
        assert len(found.permuted) == 19
        assert found.coarse
        assert np.mean(found.permuted) == pytest.approx(0.5, abs=0.1)
        if effect:
            assert found.p == 1 / 20
            assert found.observed > max(found.permuted)
        else:
            assert found.p > 0.1
    assert seen[18] == (19, 19)


def test_windows_of_one_stimulus_stay_together_when_shuffled() -> None:
    y = np.repeat([0, 0, 1, 1, 0, 1], 3)
    who = np.repeat(["a", "b"], 9)
    units = np.repeat(np.arange(6), 3)
    for seed in range(10):
        shuffled = permuted_within(y, who, np.random.default_rng(seed), units)
        blocks = shuffled.reshape(6, 3)
        assert (blocks == blocks[:, :1]).all()
        assert sorted(blocks[:3, 0].tolist()) == [0, 0, 1]
        assert sorted(blocks[3:, 0].tolist()) == [0, 1, 1]


def test_the_test_follows_the_questions_aggregation(cohort: Any) -> None:
    samples, y = cohort(subjects=4, windows=12, effect=2.0)
    stimulus = samples.meta["recording"] + "#" + (samples.meta.index // 3 % 4).astype(str)
    y = y.reshape(-1, 3)[:, :1].repeat(3, axis=1).ravel()
    y[3::12], y[4::12], y[5::12] = 1 - y[0::12], 1 - y[0::12], 1 - y[0::12]
    samples = replace(samples, meta=samples.meta.assign(stimulus=stimulus))
    plain = evaluate(logistic_regression(), samples, y, group_k_fold(2))
    question = replace(plain.question, aggregation="stimulus")
    found = permutation_test(
        logistic_regression(), samples, y, group_k_fold(2), permutations=3, question=question
    )
    whole = summarise(replace(plain, question=question))
    assert found.observed == pytest.approx(whole.by_subject[whole.main].mean)


def samples_of(
    y: np.ndarray, subjects: np.ndarray, seed: int = 0, **more: Any
) -> tuple[Samples, np.ndarray]:
    x = np.random.default_rng(seed).normal(size=(len(y), 2))
    return Samples.from_arrays(x, subject=subjects, **more), y


def shuffles(samples: Samples, y: np.ndarray, count: int = 30) -> np.ndarray:
    units = label_units(samples, y, "classifier")
    assert units.reason == ""
    rng = np.random.default_rng(0)
    return np.stack([permuted_labels(units, samples, y, rng) for _ in range(count)])


def test_windows_of_stimuli_without_names_stay_together() -> None:
    """Four windows per stimulus and no names, as in a feature table: 15.8 % false positives."""
    rng = np.random.default_rng(2)
    stimuli = np.concatenate([rng.permutation(np.arange(6) % 2) for _ in range(5)])
    samples, y = samples_of(np.repeat(stimuli, 4), np.repeat([f"s{i}" for i in range(5)], 24))
    blocks = shuffles(samples, y).reshape(30, -1, 4)
    assert (blocks == blocks[:, :, :1]).all()
    assert (blocks.reshape(30, 5, 24).sum(axis=2) == 12).all()  # within subjects
    assert label_units(samples, y, "classifier").name == "by block of windows within each person"


def test_windows_whose_stimulus_cannot_be_known_have_no_p() -> None:
    rng = np.random.default_rng(3)
    parts, subjects = [], []
    for s in range(6):
        part = np.repeat(rng.permutation(np.arange(8) % 2), rng.integers(3, 6, 8))
        parts.append(part)
        subjects += [f"s{s}"] * len(part)
    samples, y = samples_of(np.concatenate(parts), np.array(subjects))
    found = permutation_test(logistic_regression(), samples, y, group_k_fold(2), permutations=5)
    assert np.isnan(found.p)
    assert found.permuted == ()
    assert "samples have no stimulus" in found.reason
    run = replace(evaluate(logistic_regression(), samples, y, group_k_fold(2)), permutation=found)
    assert "no p; labels cannot be permuted" in report(run).markdown


def test_a_p_that_is_not_defined_is_stored_as_such(tmp_path: Path, cohort: Any) -> None:
    samples, y = cohort(subjects=4)
    found = Permutations(0.6, (), float("nan"), False, reason="why")
    run = replace(evaluate(logistic_regression(), samples, y, group_k_fold(2)), permutation=found)
    run.save(tmp_path)
    again = Run.load(tmp_path).permutation
    assert again is not None
    assert np.isnan(again.p)
    assert again.reason == "why"


def test_windows_in_random_order_without_names_are_their_own_units() -> None:
    rng = np.random.default_rng(4)
    samples, y = samples_of(rng.integers(0, 2, 200), np.repeat([f"s{i}" for i in range(5)], 40))
    assert label_units(samples, y, "classifier").name == "by window within each person"


@pytest.mark.long
def test_one_label_per_subject_is_permuted_between_subjects() -> None:
    subjects = np.repeat([f"s{i:02d}" for i in range(12)], 4)
    samples, y = samples_of(np.repeat(np.arange(12) % 2, 4), subjects)
    made = shuffles(samples, y)
    assert (made.reshape(30, 12, 4) == made.reshape(30, 12, 4)[:, :, :1]).all()
    assert (made.sum(axis=1) == y.sum()).all()
    assert len(np.unique(made, axis=0)) > 25
    x = np.asarray(samples.x) + 4 * y[:, None]
    told = permutation_test(
        logistic_regression(), replace(samples, x=x), y, group_k_fold(4), permutations=19
    )
    assert told.p <= 2 / 20  # it was 1.0, without a word


def test_one_label_in_all_has_no_p() -> None:
    samples, y = samples_of(np.ones(20, dtype=int), np.repeat(["a", "b"], 10))
    assert "all samples have one label" in label_units(samples, y, "classifier").reason


def test_labels_that_vary_within_a_stimulus_are_rotated() -> None:
    rng = np.random.default_rng(5)
    y = (np.cumsum(rng.normal(size=(3, 50)), axis=1) > 0).astype(int)
    y[:, 0], y[:, 1] = 0, 1
    samples, flat = samples_of(
        y.ravel(), np.repeat(["a", "b", "c"], 50), stimulus=["long"] * 150,
        start=np.tile(np.arange(50.0), 3),
    )  # fmt: skip
    units = label_units(samples, flat, "classifier")
    assert units.rotated
    turned = permuted_labels(units, samples, flat, np.random.default_rng(1)).reshape(3, 50)
    for old, new in zip(y, turned, strict=True):
        assert any(np.array_equal(np.roll(old, k), new) for k in range(50))


def test_runs_are_counted_as_random_orders_have_them() -> None:
    y = np.repeat([0, 1, 2], [7, 5, 3])
    rng = np.random.default_rng(0)
    changes = [(np.diff(rng.permutation(y)) != 0).sum() for _ in range(4000)]
    test = RunsTest()
    test.add(y)
    expected = (np.diff(y) != 0).sum() - test.difference
    # standard errors of a mean and of a variance over 4,000 draws, four of each
    assert expected == pytest.approx(np.mean(changes), abs=4 * np.std(changes) / 4000**0.5)
    assert test.variance == pytest.approx(np.var(changes), rel=4 * (2 / 4000) ** 0.5)
    assert test.p < 1e-4


def test_with_several_seeds_the_observed_score_is_the_reported_one(cohort: Any) -> None:
    samples, y = cohort(subjects=4, windows=8, effect=0.5)
    model = MLPClassifier(hidden_layer_sizes=(3,), max_iter=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = evaluate(model, samples, y, group_k_fold(2), seed=[0, 1])
        found = permutation_test(model, samples, y, group_k_fold(2), permutations=1, seed=[0, 1])
    s = run.summary()
    assert len(set(s.seeds.values())) == 2
    assert found.observed == pytest.approx(s.by_subject[s.main].mean, rel=1e-12)


def table(folder: Path) -> Path:
    lines = ["subject,label,a"]
    rng = np.random.default_rng(0)
    for s in range(4):
        lines += [f"s{s},{('low', 'high')[i % 2]},{i % 2 + rng.normal():.4f}" for i in range(8)]
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "table.csv"


EXPERIMENT = {
    "title": "table",
    "dataset": {"name": "feature_table"},
    "task": {"classes": [["low"], ["high"]]},
    "classifier": {"name": "logistic_regression"},
    "split": {"name": "leave_one_subject_out"},
}


@pytest.mark.long
def test_an_experiment_stores_what_it_permuted(tmp_path: Path) -> None:
    experiment = experiment_from(EXPERIMENT)
    out = tmp_path / "run"
    found = run(experiment, table(tmp_path), out, cache=False, permutations=4)
    again = Run.load(out)
    assert again.permutation == found.permutation
    assert again.permutation is not None
    assert len(again.permutation.permuted) == 4
    assert summarise(again).permutation == again.permutation
    assert run(experiment, table(tmp_path), cache=False).permutation is None
    with pytest.raises(ConfigError, match="permutations is -1, expected 0 or more"):
        run(experiment, table(tmp_path), cache=False, permutations=-1)


def test_the_command_line_hands_the_permutations_on(tmp_path: Path) -> None:
    write_experiment(tmp_path / "experiment.toml", experiment_from(EXPERIMENT))
    said = CliRunner().invoke(
        app,
        [
            "evaluate", str(tmp_path / "experiment.toml"), "--root", str(table(tmp_path)),
            "--out", str(tmp_path / "run"), "--permutations", "2", "--no-cache",
        ],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    told = Run.load(tmp_path / "run").permutation
    assert told is not None
    assert len(told.permuted) == 2
