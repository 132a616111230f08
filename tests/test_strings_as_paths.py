"""Every public function that takes a path takes a string."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.datasets import open_dataset
from dolorimeter.experiment import (
    audit_run,
    experiment_from,
    of_epochs,
    predict,
    prepare,
    read_experiment,
    read_findings,
    read_values,
    run,
    sweep,
    train,
    write_experiment,
)
from dolorimeter.predictor import Predictor

PACKAGES = (
    "audits", "datasets", "embeddings", "experiment", "explain", "monitor.export",
    "monitor.live", "monitor.store", "monitor.web.server", "predictor", "pretraining",
    "reports", "synthesis", "toml_files",
)  # fmt: skip
TABLE: dict[str, Any] = {
    "title": "table",
    "dataset": {"name": "feature_table"},
    "task": {"classes": [["low"], ["high"]]},
    "classifier": {"name": "logistic_regression", "arguments": {}},
    "split": {"name": "leave_one_subject_out"},
}


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions and methods of the packages that users call."""
    for package in PACKAGES:
        module = import_module(f"dolorimeter.{package}")
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if name.startswith("_") or not getattr(value, "__module__", "").startswith(
                module.__name__
            ):
                continue
            if inspect.isfunction(value):
                yield f"{package}.{name}", value
            for method in ("load", "save"):
                if inspect.isclass(value) and hasattr(value, method):
                    yield f"{package}.{name}.{method}", getattr(value, method)


@pytest.mark.extra("deep")
def test_no_public_function_takes_a_path_and_not_a_string() -> None:
    taken, refused = 0, []
    for name, function in functions():
        for parameter in inspect.signature(function).parameters.values():
            if "Path" in str(parameter.annotation):
                taken += 1
                if "str" not in str(parameter.annotation):
                    refused.append(f"{name}({parameter})")
    assert refused == []
    assert taken > 30


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a feature table, an experiment on it, a run and a model of it."""
    folder = tmp_path_factory.mktemp("strings")
    rng = np.random.default_rng(0)
    rows = [
        {"subject": f"s{s}", "label": ("low", "high")[i % 2], "a": rng.normal(i % 2, 0.5)}
        for s in range(4)
        for i in range(8)
    ]
    (folder / "data").mkdir()
    pd.DataFrame(rows).to_csv(folder / "data" / "table.csv", index=False)
    experiment = experiment_from(TABLE)
    write_experiment(f"{folder}/e.toml", experiment)
    run(experiment, f"{folder}/data", f"{folder}/run")
    train(experiment, f"{folder}/data", f"{folder}/model")
    return str(folder)


CALLS: dict[str, Callable[[str], Any]] = {
    "open_dataset": lambda at: open_dataset("feature_table", f"{at}/data").subjects(),
    "read_experiment": lambda at: read_experiment(f"{at}/e.toml").title,
    "read_values": lambda at: read_values(f"{at}/e.toml")["title"],
    "of_epochs": lambda at: of_epochs(f"{at}/e.toml", 1),
    "prepare": lambda at: len(prepare(experiment_from(TABLE), f"{at}/data").samples),
    "run": lambda at: run(experiment_from(TABLE), f"{at}/data", f"{at}/run").model,
    "audit_run": lambda at: audit_run(f"{at}/run", f"{at}/data")[0],
    "read_findings": lambda at: read_findings(f"{at}/run"),
    "predict": lambda at: len(predict(f"{at}/model", [f"{at}/data"], out=f"{at}/rows.csv")),
    "Predictor": lambda at: Predictor.load(f"{at}/model").save(f"{at}/copy") or f"{at}/copy",
    "sweep": lambda at: len(
        sweep(f"{at}/e.toml", "classifier.arguments.C", [1.0], f"{at}/data", f"{at}/sweep")
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_string_does_what_a_path_does(name: str, place: str) -> None:
    assert CALLS[name](place)


def test_strings_reach_the_files(place: str) -> None:
    CALLS["predict"](place)
    CALLS["Predictor"](place)
    assert len(pd.read_csv(f"{place}/rows.csv")) == 32
    assert (Path(place) / "copy" / "predictor.json").is_file()
    assert (Path(place) / "run" / "audit.json").is_file()
