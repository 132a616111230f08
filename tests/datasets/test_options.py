"""Options that a reader does not have, or not with that value, are named errors."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pytest

from dolorimeter.datasets import open_dataset, recordings_of
from dolorimeter.errors import ConfigError, DatasetError, did_you_mean
from dolorimeter.experiment import experiment_from
from dolorimeter.registry import DATASETS
from dolorimeter.synthesis import synthesise


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_option_has_a_type_that_can_be_looked_up(name: str) -> None:
    hints = get_type_hints(DATASETS.get(name).__init__)
    options = [p for p in signature(DATASETS.get(name)).parameters if p != "root"]
    assert set(options) <= set(hints)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("feature_table", {"feature": ["x"]}, "no option 'feature'; did you mean 'features'"),
        ("feature_table", {"q": 1}, "no option 'q'; its options are: subject, label, target"),
        ("feature_table", {"target": 3}, "feature_table: target is 3, expected a text"),
        ("edf", {"names": 3}, "edf: names is 3, expected a table of names and values"),
        ("biovid", {"prt": "A"}, "no option 'prt'; did you mean 'part'"),
        ("video_files", {"subject": "P01"}, "expected a pattern with {subject}"),
    ],
)
def test_wrong_options_are_named(
    tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        open_dataset(name, tmp_path, **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"classifier": {"name": "random_forest", "arguments": {"n_estimator": 3}}},
            "argument 'n_estimator'; did you mean",
        ),
        (
            {"classifier": {"name": "temperature_calibrated", "arguments": {"estimatr": 3}}},
            "temperature_calibrated",
        ),
        (
            {"split": {"name": "group_k_fold", "arguments": {"n_split": 3}}},
            "[split] group_k_fold takes no argument 'n_split'; did you mean 'n_splits'?",
        ),
        ({"split": {"name": "group_kfold"}}, "did you mean 'group_k_fold'?"),
        ({"windows": {"duraton": 3, "duration": 3}}, "did you mean 'duration'?"),
        ({"task": {"classes": ["none", "pain"]}}, 'expected a list such as [["none"], ["pain"]]'),
        (
            {"streams": [{"modality": "eda", "representation": "features"}]},
            "'streams.0.representation' is 'features', expected a table such as "
            '{ name = "features" }',
        ),
        ({"streams": [], "windows": {"duration": -3.0}}, "expected a positive number of seconds"),
        ({"streams": [], "windows": {"duration": "ten"}}, "duration is 'ten'"),
        ({"demographic": ["sex"]}, "unknown key 'demographic'; did you mean 'demographics'?"),
    ],
)
def test_wrong_keys_of_an_experiment_are_named(more: dict[str, object], message: str) -> None:
    values = {
        "title": "t",
        "dataset": {"name": "biovid"},
        "task": {"classes": [["BL1"], ["PA4"]]},
        "windows": {"duration": 5.5},
        "streams": [{"modality": "eda"}],
        "classifier": {"name": "majority"},
        "split": {"name": "leave_one_subject_out"},
    }
    with pytest.raises(ConfigError) as error:
        experiment_from(values | more)
    assert message in str(error.value)


def test_nothing_near_lists_what_is_known() -> None:
    assert did_you_mean("zzz", ["effect", "noise"]) == "known: effect, noise."
    assert did_you_mean("effect_size", ["noise", "effect"]) == "did you mean 'effect'?"


def test_a_mistyped_file_does_not_walk_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(
        "dolorimeter.datasets._listed.walk_files",
        lambda root, *_: (seen.append(Path(root)), [])[1],
    )
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "clip.txt").write_text("a")
    with pytest.raises(DatasetError, match="no recording of edf here"):
        recordings_of("edf", folder / "clip.txt", {})
    assert seen == [folder, folder.parent]


def test_a_file_that_the_reader_leaves_out_is_named_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path / "data"
    synthesise("biovid", root, subjects=1, per_condition=1, conditions=("BL1",), seed=0)
    (file,) = (p for p in root.rglob("*_bio.csv"))
    (found,), left_out = recordings_of("biovid", file, {})
    assert file in found.sources
    assert left_out == ()
    stranger = file.with_name("notes.txt")
    stranger.write_text("x")
    with pytest.raises(DatasetError, match="the file is not one of its recordings"):
        recordings_of("biovid", stranger, {})


def test_a_linked_file_is_looked_for_where_the_link_lies(tmp_path: Path) -> None:
    root, store = tmp_path / "data", tmp_path / "store"
    synthesise("biovid", root, subjects=1, per_condition=1, conditions=("BL1",), seed=0)
    (file,) = (p for p in root.rglob("*_bio.csv"))
    store.mkdir()
    file.rename(store / "object")
    file.symlink_to(store / "object")
    (found,), _ = recordings_of("biovid", file, {})
    assert found.sources == (file,)
