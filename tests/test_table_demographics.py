"""Facts of the subjects as demographics, from each of the places where users keep them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import dolorimeter as dl
from dolorimeter.cli import app
from dolorimeter.datasets import open_dataset
from dolorimeter.experiment import experiment_from, run

TRAIN = Path(__file__).parent / "fixtures" / "cases" / "18-predict-one-file" / "train.csv"
VALUES = {
    "title": "facts",
    "dataset": {"name": "feature_table"},
    "task": {"classes": [["none"], ["pain"]]},
    "classifier": {"name": "majority"},
    "split": {"name": "leave_one_subject_out"},
}
FACTS = "participant_id\tage\tsex\n" + "".join(
    f"P{n}\t{20 + 5 * n}\t{'fm'[n % 2]}\n" for n in range(7)
)  # P7 has no row


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(TRAIN, folder)
    (folder / "participants.tsv").write_text(FACTS)
    return folder


def test_a_participants_table_serves_experiments_and_python(root: Path) -> None:
    found = run(experiment_from(VALUES | {"demographics": ["sex", "age"]}), root)
    groups = found.summary().demographics
    assert {g.name: g.subjects for g in groups["sex"]} == {"f": 4, "m": 3, "(missing)": 1}
    assert {g.name: g.subjects for g in groups["age"]} == {
        "below 35": 3,
        "35 and above": 4,
        "(missing)": 1,
    }
    samples = open_dataset("feature_table", root).samples()
    again = dl.evaluate(
        experiment_from(VALUES).estimator(), samples, samples.meta["condition"],
        demographics=["sex"], baselines=False,
    )  # fmt: skip
    assert {g.name: g.subjects for g in again.summary().demographics["sex"]} == {
        "f": 4, "m": 3, "(missing)": 1,
    }  # fmt: skip


def test_a_column_of_the_table_serves_the_command_line(root: Path, tmp_path: Path) -> None:
    (root / "participants.tsv").unlink()
    table = pd.read_csv(root / "train.csv")
    table["arm"] = table["subject"].map(lambda s: "drug" if s in ("P0", "P1") else "placebo")
    table.to_csv(root / "train.csv", index=False)
    toml = tmp_path / "e.toml"
    toml.write_text(
        (TRAIN.parent / "forest.toml").read_text().replace("random_forest", "majority")
    )
    words = ["evaluate", str(toml), "--root", str(root), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, "--demographics", "arm", "--json"])
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stored["demographics"] == ["arm"]
    groups = dl.Run.load(tmp_path / "run").summary().demographics["arm"]
    assert {g.name: g.subjects for g in groups} == {"drug": 2, "placebo": 6}
