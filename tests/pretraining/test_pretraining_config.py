"""A wrong TOML is refused with file, key, what was found and what was wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dolorimeter.errors import ConfigError, UnknownNameError
from dolorimeter.pretraining import Pretraining, pretrain, pretraining_from, read_pretraining
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._tasks import READERS
from dolorimeter.windows import WindowSpec

TASK = {"name": "t", "reader": "table", "label": "class", "options": {"table": "x.csv"}}


def test_toml_is_read_and_what_is_given_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        'steps = 7\nlearning_rate = 1\n[[tasks]]\nname = "t"\nreader = "table"\nlabel = "class"\n'
        'classes = [["a"], ["b", "c"]]\naugment = []\n[tasks.options]\ntable = "x.csv"\n'
    )
    found = read_pretraining(path, {"steps": 9})
    assert (found.steps, found.learning_rate) == (9, 1.0)
    assert found.tasks[0].classes == (("a",), ("b", "c"))
    assert found.augmentations(found.tasks[0]) == ()
    assert pretraining_from(found.plain()) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'; did you mean 'steps'?"),
        ({"steps": "many"}, "'steps' is 'many', expected a whole number"),
        ({"steps": True}, "'steps' is True, expected a whole number"),
        ({"steps": 0}, "steps is 0, expected 1 or more"),
        ({"batch_size": 1}, "batch_size is 1, expected 2 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan, expected 0 or more"),
        ({"warm_up": 5}, "warm_up is 5 of 5 steps"),
        ({"weighting": "kendall"}, "'weighting' is 'kendall', expected one of uncertainty, equal"),
        ({"temperature": 2}, "temperature is 2.0, expected 0…1"),
        ({"label_smoothing": 1}, "label_smoothing is 1.0"),
        ({"augment": ["cutmix"]}, "unknown augmentation 'cutmix'"),
        ({"augment": "augmix"}, "'augment' is 'augmix', expected a list"),
        ({"encoder": {"nam": "x"}}, "'encoder': unknown key 'nam'; did you mean 'name'?"),
        ({"tasks": []}, "there is no task"),
        ({"tasks": [TASK, TASK]}, "give each its own name"),
        ({"tasks": [1]}, r"'tasks'\[0\]: is 1, expected a table"),
        ({"tasks": [{"name": "t", "reader": "table"}]}, r"'tasks'\[0\]: 'label' is missing"),
        ({"tasks": [TASK | {"label": "ordinal"}]}, "'label' is 'ordinal', expected one of class"),
        ({"tasks": [TASK | {"columns": ["a", "b"]}]}, "2 columns for classes, expected 1"),
        ({"tasks": [TASK | {"columns": []}]}, "name each once, and at least 1"),
        ({"tasks": [TASK | {"classes": [["a"], ["a"]]}]}, "each label in one of them"),
        ({"tasks": [TASK | {"loss": "squared"}]}, "loss = 'squared' is for continuous labels"),
        ({"tasks": [TASK | {"weight": 0}]}, "weight is 0.0, expected above 0"),
        ({"tasks": [TASK | {"name": "(all)"}]}, "give it a plain name"),
        (
            {"tasks": [TASK | {"label": "continuous", "classes": [["a"], ["b"]]}]},
            "classes are for",
        ),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        pretraining_from({"steps": 5, "tasks": [TASK]} | change, "some.toml")
    assert str(caught.value).startswith("some.toml: ")


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_pretraining(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("steps = ")
    with pytest.raises(ConfigError, match=r"broken.toml: cannot be read as TOML"):
        read_pretraining(tmp_path / "broken.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": "lmdb"}, "task 't': reader is 'lmdb', expected one of image_folders, table"),
        ({"options": {}}, "task 't', options: 'table' is missing"),
        ({"options": {"tabel": "x"}}, "unknown key 'tabel'; did you mean 'table'"),
    ],
)
def test_a_wrong_reader_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = pretraining_from({"steps": 5, "tasks": [TASK | change]})
    with pytest.raises(ConfigError, match=message):
        pretrain(config, tmp_path)


def test_a_wrong_encoder_is_named(tmp_path: Path) -> None:
    values = {"steps": 5, "tasks": [TASK]}
    with pytest.raises(UnknownNameError, match="did you mean painformer"):
        pretrain(pretraining_from(values | {"encoder": {"name": "painfomer"}}), tmp_path)
    with pytest.raises(ConfigError, match="perceptron is no encoder of pictures"):
        pretrain(pretraining_from(values | {"encoder": {"name": "perceptron"}}), tmp_path)


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[2] / "experiments").glob("pretrain_*.toml")),
    ids=lambda p: p.stem,
)
def test_every_pretraining_of_the_project_is_sound(path: Path) -> None:
    config = read_pretraining(path)
    if not isinstance(config, Pretraining):  # of masked clips or signals: no tasks, but windows
        assert from_plain(WindowSpec, config.windows, "windows").duration > 0
        return
    for task in config.tasks:
        from_plain(READERS[task.reader], task.options, task.name)
