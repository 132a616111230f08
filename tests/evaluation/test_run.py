"""The question's hash, and the run folder: written, read back, and refused when damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from dolorimeter.errors import EvaluationError
from dolorimeter.evaluation import Question, Run, environment, evaluate
from dolorimeter.samples import Samples
from dolorimeter.splits import leave_one_subject_out

Cohort = Callable[..., tuple[Samples, np.ndarray]]

ASKED = Question(
    dataset="biovid",
    part="A",
    subset="all",
    windows={"duration": 5.5, "offset": {"eda": 1.0}},
    task={"kind": "classifier", "classes": [["BL1"], ["PA4"]]},
    split={"name": "leave_one_subject_out", "arguments": {}},
)


@pytest.mark.long
def test_a_question_has_one_hash_in_every_process() -> None:
    code = f"from dolorimeter.evaluation import Question; print({ASKED!r}.hash)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == ASKED.hash
    assert len(ASKED.hash) == 12
    turned = replace(ASKED, windows={"offset": {"eda": 1.0}, "duration": 5.5})
    assert turned.hash == ASKED.hash  # the order of keys asks nothing


CHANGES: dict[str, Any] = {
    "dataset": "ai4pain_2024",
    "part": "B",
    "subset": "low_reactive",
    "windows": {"duration": 5.5, "offset": {"eda": 2.0}},
    "task": {"kind": "classifier", "classes": [["BL1"], ["PA3"]]},
    "split": {"name": "group_k_fold", "arguments": {"n_splits": 5}},
    "selection": "inner",
    "aggregation": "stimulus",
}


@pytest.mark.parametrize("name", [f.name for f in fields(Question)])
def test_every_field_changes_the_hash(name: str) -> None:
    other = replace(ASKED, **{name: CHANGES[name]})
    assert other.hash != ASKED.hash
    assert ASKED.differences(other) == {name: (getattr(ASKED, name), CHANGES[name])}


@pytest.fixture
def run(cohort: Cohort) -> Run:
    samples, y = cohort(subjects=3)
    samples = replace(samples, lookalike=True, notes=("unit unconfirmed",))
    return evaluate(
        LogisticRegression(),
        samples,
        y,
        leave_one_subject_out(),
        question=ASKED,
        demographics=("sex",),
    )


def test_a_run_comes_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path / "run")
    back = Run.load(tmp_path / "run")
    for field in fields(Run):
        mine, theirs = getattr(run, field.name), getattr(back, field.name)
        if isinstance(mine, pd.DataFrame):
            full = bool(len(mine))
            pd.testing.assert_frame_equal(theirs, mine, check_dtype=full, check_column_type=full)
        else:
            assert theirs == mine, field.name
    assert back.question.hash == ASKED.hash
    assert back.subjects == ("p00", "p01", "p02")
    back.save(tmp_path / "again")
    for path in sorted((tmp_path / "run").iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_access_record_is_kept_in_stretches(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    stored = pd.read_parquet(tmp_path / "access.parquet")
    assert {"first", "last"} <= set(stored.columns)
    assert len(stored) < len(run.access) / 4


def test_probabilities_stand_in_the_order_of_classes() -> None:
    from dolorimeter.evaluation import probabilities_of

    table = pd.DataFrame({f"p_{k}": [float(k)] for k in (10, 2, 0)} | {"p_value": [9.0]})
    assert probabilities_of(table).tolist() == [[0.0, 2.0, 10.0]]


@pytest.mark.parametrize(
    "name", ["run.json", "environment.json", "predictions.parquet", "access.parquet"]
)
def test_a_missing_file_is_named(run: Run, tmp_path: Path, name: str) -> None:
    run.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(EvaluationError, match=f"not a finished run, {name} is missing"):
        Run.load(tmp_path)


def drop_question(path: Path) -> None:
    told = json.loads(path.read_text())
    del told["question"]
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("run.json", lambda p: p.write_text("{")),
        ("run.json", lambda p: p.write_text("[]")),
        ("run.json", lambda p: p.write_bytes(b"\xff\xfe")),
        ("run.json", drop_question),
        ("environment.json", lambda p: p.write_text("")),
        ("predictions.parquet", lambda p: p.write_bytes(p.read_bytes()[:100])),
        ("access.parquet", lambda p: p.write_bytes(b"")),
        ("access.parquet", lambda p: pd.DataFrame({"a": [1]}).to_parquet(p)),
    ],
)
def test_a_damaged_run_is_named(run: Run, tmp_path: Path, name: str, damage: Any) -> None:
    run.save(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(EvaluationError, match="a damaged run, or one of another version"):
        Run.load(tmp_path)


def test_the_environment_names_versions_and_no_people() -> None:
    found = environment()
    assert {"dolorimeter", "python", "numpy", "scikit-learn", "cores", "processor"} <= set(found)
    assert str(Path.home()) not in json.dumps(found)
