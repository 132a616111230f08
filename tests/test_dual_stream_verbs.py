"""The dual-stream system from the command line: two stages, whom weights met, honest choices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner

from dolorimeter import cli
from dolorimeter.errors import OverlapError
from dolorimeter.synthesis import synthesise

ENCODER = {"width": 8, "heads": 2, "hidden": 16, "layers": 1, "scaling": "train_robust"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts A and B of a look-alike, which show the same five people."""
    root = tmp_path_factory.mktemp("cohort")
    for part in ("A", "B"):
        synthesise(
            "biovid", root / part, seed=1, subjects=5, per_condition=2,
            conditions=("BL1", "PA4"), part=part,
        )  # fmt: skip
    return root


def call(*told: str | Path) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in told])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def written(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def experiment(part: str, **network: Any) -> dict[str, Any]:
    settings = {
        "epochs": 3, "batch_size": 8, "patience": 2, "learning_rate": 1e-2,
        "module_args": {"signal_encoder": "signal_mae", "signal_args": ENCODER, "hybrid": False},
    }  # fmt: skip
    return {
        "title": "Dual-stream, signals alone",
        "selection": "inner",
        "dataset": {"name": "biovid", "options": {"part": part}},
        "task": {"classes": [["BL1"], ["PA4"]], "names": ["BL", "PA4"]},
        "windows": {"duration": 5.5},
        "streams": [
            {"modality": m, "representation": {"name": "raw", "sampling_rate": 32.0}}
            for m in ("eda", "ecg")
        ],
        "classifier": {
            "name": "dual_stream", "arguments": {"video": "", "network": settings | network},
        },
        "split": {"name": "group_k_fold", "arguments": {"n_splits": 2}},
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.extra("deep")
def test_pre_trained_on_part_a_it_is_refused_on_part_b_until_declared(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_one = {
        "kind": "masked_signal",
        "datasets": [{"name": "biovid", "root": str(cohort / "A"), "options": {"part": "A"}}],
        "signals": [
            {"name": "eda", "mask_seconds": 0.5}, {"name": "ecg", "mask_seconds": 0.15},
        ],
        "sampling_rate": 32.0, "windows": {"duration": 5.5}, "steps": 3, "batch_size": 6,
        "workers": 0, "width": 8, "heads": 2, "hidden": 16, "layers": 1,
    }  # fmt: skip
    config = written(tmp_path / "one.toml", stage_one)
    call("pretrain", config, "--out", tmp_path / "encoder")
    values = experiment("B")
    module = values["classifier"]["arguments"]["network"]["module_args"]
    module["signal_weights"] = "encoder/encoder.safetensors"  # relative to the file
    two = written(tmp_path / "two.toml", values)
    told = ["evaluate", two, "--root", cohort / "B", "--epochs", "2"]
    with pytest.raises(OverlapError, match=r"was trained on \d of the subjects under test"):
        call(*told, "--out", tmp_path / "refused")
    shown = call(*told, "--out", tmp_path / "run", "--set", 'target_access="unlabelled_target"')
    assert "without their labels" in shown
    assert "Look-alike data: no statement about people." in shown
    call("report", tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "without their labels" in page
    moved = (tmp_path / "run").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(cohort)
    assert json.loads(call("audit", moved, "--root", cohort / "B", "--json"))["findings"]
    call(*told, "--out", moved, "--set", 'target_access="unlabelled_target"')


@pytest.mark.extra("deep")
@pytest.mark.long
def test_inner_stands_beside_the_oracle_in_one_report(cohort: Path, tmp_path: Path) -> None:
    config = written(tmp_path / "dual.toml", experiment("A"))
    runs = [tmp_path / "inner", tmp_path / "oracle"]
    root = ["--root", cohort / "A"]
    call("evaluate", config, *root, "--out", runs[0])
    arguments = "classifier.arguments.network."
    call(
        "evaluate", config, *root, "--out", runs[1], "--set", 'selection="oracle_fold_epoch"',
        "--set", f"{arguments}keep_epochs=true", "--set", f"{arguments}early_stopping=false",
    )  # fmt: skip
    told = json.loads(call("report", *runs, "--out", tmp_path / "both.html", "--json"))
    assert [row["selection"] for row in told] == ["inner", "oracle_fold_epoch"]
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "ORACLE: best epoch on each test fold" in page
    found = json.loads(call("compare", *runs, "--across-protocols", "--json"))
    assert found["difference"] == pytest.approx(found["first_mean"] - found["second_mean"])
    assert "selection" in found["notes"]
