"""Paths in TOML files: relative to the file, declared by key, absolute in what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from typer.testing import CliRunner

from dolorimeter import cli
from dolorimeter._on_demand import Notice
from dolorimeter.errors import ConfigError
from dolorimeter.experiment import (
    experiment_from,
    plan_embedding,
    read_experiment,
    read_values,
    write_experiment,
)
from dolorimeter.experiment._config import PATH_KEYS, plain
from dolorimeter.toml_files import absolute_paths

EXPERIMENT: dict[str, Any] = {
    "title": "paths",
    "dataset": {"name": "biovid"},
    "task": {"classes": [["BL1"], ["PA4"]]},
    "windows": {"duration": 5.5},
    "streams": [
        {
            "modality": "eda",
            "representation": {"name": "waveform"},
            "encoder": {
                "name": "painformer", "weights": "w/a.safetensors", "runtime": "onnx",
                "precision": "int8", "calibration": "../other.npy",
            },
        },
        {
            "modality": "ecg",
            "representation": {"name": "waveform"},
            "encoder": {"name": "painformer", "weights": "published"},
        },
    ],
    "classifier": {
        "name": "dual_stream",
        "arguments": {"network": {"module_args": {"signal_weights": "s.safetensors"}}},
    },
    "split": {"name": "leave_one_subject_out"},
}  # fmt: skip
TABLE = {"reader": "table", "label": "class"}
MULTITASK: dict[str, Any] = {
    "steps": 1,
    "encoder": {"weights": "start.safetensors"},
    "tasks": [
        TABLE | {"name": "a", "options": {"table": "a.csv", "path": "file", "root": "pictures"}},
        TABLE | {"name": "b", "reader": "tar_shards", "options": {"shards": ["x-*.tar", "y.tar"]}},
        TABLE | {
            "name": "c", "reader": "drawn_signals",
            "options": {
                "datasets": [{"name": "biovid", "root": "drawn", "modalities": ["eda"]}],
                "windows": {"duration": 1.0},
            },
        },
    ],
}  # fmt: skip
MASKED: dict[str, Any] = {
    "kind": "masked_signal",
    "steps": 1,
    "sampling_rate": 32.0,
    "signals": [{"name": "eda", "mask_seconds": 1.0}],
    "windows": {"duration": 4.0},
    "datasets": [{"name": "biovid", "root": "cohort"}],
    "weights": "start.safetensors",
}


def read_pretraining(path: Path) -> Any:
    from dolorimeter import pretraining

    return pretraining.read_pretraining(path)


def written(path: Path, values: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not that of the file."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.extra("deep")
def test_paths_of_an_experiment_are_relative_to_its_file(tmp_path: Path, here: Path) -> None:
    found = read_experiment(written(tmp_path / "e" / "e.toml", EXPERIMENT))
    assert found.streams[0].encoder == EXPERIMENT["streams"][0]["encoder"] | {
        "weights": str(tmp_path / "e" / "w" / "a.safetensors"),
        "calibration": str(tmp_path / "other.npy"),
    }
    assert found.streams[1].encoder == EXPERIMENT["streams"][1]["encoder"]
    assert found.classifier.arguments["network"]["module_args"] == {
        "signal_weights": str(tmp_path / "e" / "s.safetensors")
    }
    told = plain(found)
    assert told["title"] == "paths"
    assert told["dataset"]["name"] == "biovid"


def test_a_depth_model_is_a_path(tmp_path: Path, here: Path) -> None:
    streams = [{"representation": {"name": "depth", "depth_model": "depth.onnx"}}]
    (stream,) = read_values(written(tmp_path / "e" / "e.toml", {"streams": streams}))["streams"]
    assert stream["representation"]["depth_model"] == str(tmp_path / "e" / "depth.onnx")


@pytest.mark.extra("deep")
def test_paths_of_a_pretraining_are_relative_to_its_file(tmp_path: Path, here: Path) -> None:
    folder = tmp_path / "p"
    multi: Any = read_pretraining(written(folder / "m.toml", MULTITASK))
    assert multi.encoder.weights == str(folder / "start.safetensors")
    table, shards, drawn = (task.options for task in multi.tasks)
    assert table == {
        "table": str(folder / "a.csv"), "path": "file", "root": str(folder / "pictures"),
    }  # fmt: skip
    assert shards == {"shards": [str(folder / "x-*.tar"), str(folder / "y.tar")]}
    assert drawn["datasets"][0]["root"] == str(folder / "drawn")
    masked: Any = read_pretraining(written(folder / "s.toml", MASKED))
    assert masked.datasets[0].root == str(folder / "cohort")
    assert masked.weights == str(folder / "start.safetensors")
    from dolorimeter.pretraining import pretraining_from

    assert pretraining_from(masked.plain()) == masked


@pytest.mark.extra("deep")
@pytest.mark.parametrize("text", ["", "published", "https://host/w.pth", "/data/w.pth"])
def test_what_is_no_relative_path_stays(text: str) -> None:
    from dolorimeter.pretraining._kinds import PATH_KEYS as PRETRAINING_KEYS

    values = {"encoder": {"weights": text}}
    assert absolute_paths(values, PRETRAINING_KEYS) == values


@pytest.mark.extra("deep")
def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from dolorimeter.pretraining._kinds import PATH_KEYS as PRETRAINING_KEYS

    monkeypatch.setenv("HOME", "/home/anna")
    assert (
        absolute_paths({"weights": "~/w.pth"}, PRETRAINING_KEYS)["weights"] == "/home/anna/w.pth"
    )


@pytest.mark.extra("deep")
def test_a_link_to_weights_keeps_its_name(tmp_path: Path) -> None:
    """What the weights were trained on stands beside the link, not beside its target."""
    (tmp_path / "blob").touch()
    (tmp_path / "w.safetensors").symlink_to(tmp_path / "blob")
    path = written(tmp_path / "s.toml", MASKED | {"weights": "w.safetensors"})
    found: Any = read_pretraining(path)
    assert found.weights == str(tmp_path / "w.safetensors")


@pytest.mark.extra("deep")
def test_the_old_meaning_works_with_a_notice_of_both_paths(tmp_path: Path, here: Path) -> None:
    path = written(tmp_path / "p" / "s.toml", MASKED)
    (here / "start.safetensors").touch()
    with pytest.warns(Notice) as notices:
        found: Any = read_pretraining(path)
    assert found.weights == str(here / "start.safetensors")
    (text,) = (str(notice.message) for notice in notices)
    assert text.startswith(f"{path}: weights = 'start.safetensors' is taken as {found.weights}")
    assert str(path.parent / "start.safetensors") in text
    (path.parent / "start.safetensors").touch()
    found = read_pretraining(path)
    assert found.weights == str(path.parent / "start.safetensors")


@pytest.mark.extra("deep")
def test_a_pattern_of_shards_is_also_found_by_the_old_meaning(tmp_path: Path, here: Path) -> None:
    path = written(tmp_path / "p" / "m.toml", MULTITASK)
    (here / "x-01.tar").touch()
    with pytest.warns(Notice, match=r"tasks\.1\.options\.shards\.0"):
        found: Any = read_pretraining(path)
    assert found.tasks[1].options["shards"][0] == str(here / "x-*.tar")


def test_a_path_that_leads_nowhere_is_named_with_file_and_key(tmp_path: Path, here: Path) -> None:
    path = written(tmp_path / "e" / "e.toml", EXPERIMENT)
    with pytest.raises(ConfigError) as error:
        read_experiment(path, paths_exist=True)
    text = str(error.value)
    assert text.startswith(f"{path}: no such file or folder: streams.0.encoder.weights is ")
    assert str(tmp_path / "e" / "w" / "a.safetensors") in text
    assert "classifier.arguments.network.module_args.signal_weights" in text
    assert "published" not in text
    assert "give --set streams.0.encoder.weights=PATH" in text
    words = ["evaluate", str(path), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.app, words)
    assert str(result.exception) == text
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"e\.toml: no such file or folder"):
        plan_embedding([str(path)])


@pytest.mark.extra("deep")
def test_paths_that_are_set_are_relative_to_the_current_folder(tmp_path: Path, here: Path) -> None:
    path = written(tmp_path / "e" / "e.toml", EXPERIMENT)
    (here / "w").mkdir()
    (here / "w" / "a.safetensors").touch()  # no notice for a key that is replaced
    encoder = {"name": "painformer", "weights": "own.pth"}
    key = "classifier.arguments.network.module_args.signal_weights"
    found = read_experiment(path, {"streams.0.encoder": encoder, key: "s.pth"})
    assert found.streams[0].encoder == encoder | {"weights": str(here / "own.pth")}
    module = found.classifier.arguments["network"]["module_args"]
    assert module["signal_weights"] == str(here / "s.pth")


@pytest.mark.extra("deep")
def test_an_experiment_is_stored_with_absolute_paths(tmp_path: Path, here: Path) -> None:
    found = read_experiment(written(tmp_path / "e" / "e.toml", EXPERIMENT))
    (tmp_path / "run").mkdir()
    write_experiment(tmp_path / "run" / "experiment.toml", found)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert read_experiment(tmp_path / "moved" / "experiment.toml") == found
    stream = experiment_from(EXPERIMENT).streams[0]
    assert stream.encoder is not None
    assert stream.encoder["weights"] == str(here / "w" / "a.safetensors")
    relative = EXPERIMENT["streams"][0]["encoder"]
    direct = replace(found, streams=(replace(stream, encoder=relative),))
    write_experiment(tmp_path / "direct.toml", direct)
    assert read_experiment(tmp_path / "direct.toml").streams == (stream,)


@pytest.mark.extra("deep")
def test_weights_of_words_are_relative_to_the_current_folder(here: Path) -> None:
    plan, _ = plan_embedding(
        ["biovid"], modality="eda", duration=5.5,
        encoder={"name": "painformer", "weights": "w.pth"},
    )  # fmt: skip
    assert plan.streams[0].encoder == {"name": "painformer", "weights": str(here / "w.pth")}


@pytest.mark.extra("deep")
def test_every_weights_argument_of_a_network_is_declared() -> None:
    """A new network with an argument for a weights file must follow the naming."""
    import inspect

    from dolorimeter.registry import MODELS

    names = {
        name
        for model in MODELS.names()
        for name in inspect.signature(MODELS.get(model)).parameters
        if "weights" in name
    }
    assert names >= {"signal_weights", "frames_weights", "backbone_weights", "encoder_weights"}
    for name in names:
        assert PATH_KEYS.fullmatch(f"classifier.arguments.module_args.{name}")
