"""Permutation of labels within subject, for a model that knows something and one that does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dolorimeter.cli import app
from dolorimeter.errors import ConfigError
from dolorimeter.estimators import logistic_regression
from dolorimeter.evaluation import Run, evaluate, permutation_test, permuted_within, summarise
from dolorimeter.experiment import experiment_from, run, write_experiment
from dolorimeter.splits import group_k_fold


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
