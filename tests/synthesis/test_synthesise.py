"""`synthesise`: whole or not at all, the same for a seed, and refusing what makes no sense."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dolorimeter.synthesis
from dolorimeter.errors import ConfigError, DatasetError, StorageError, UnknownNameError
from dolorimeter.synthesis import KINDS, Truth, biovid, making, synthesise

SMALL: dict[str, dict[str, Any]] = {
    "biovid": {"subjects": 2, "per_condition": 1},
    "ai4pain_2024": {"subjects": 2, "per_condition": 1},
    "ai4pain_2025": {"subjects": 2, "per_condition": 1},
    "unbc_mcmaster": {"subjects": 2, "per_condition": 1},
}


def contents(root: Path) -> dict[str, str]:
    """Relative path → digest of every file."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_every_kind_is_tested_here() -> None:
    assert set(SMALL) == set(KINDS)


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(SMALL))
def test_same_seed_same_bytes_and_truth_comes_back(kind: str, tmp_path: Path) -> None:
    options = {**SMALL[kind], "artefacts": 0.2, "missing": 0.1}
    truth = synthesise(kind, tmp_path / "a", seed=5, **options)
    synthesise(kind, tmp_path / "b", seed=5, **options)
    synthesise(kind, tmp_path / "c", seed=6, **options)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert first["truth/windows.parquet"] != other["truth/windows.parquet"]
    back = Truth.load(tmp_path / "a")
    pd.testing.assert_frame_equal(back.windows, truth.windows)
    pd.testing.assert_frame_equal(back.subjects, truth.subjects)
    assert back.parameters == truth.parameters
    assert back.summary() == truth.summary()
    assert len(truth.subjects) == truth.summary()["subjects"] == 2


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_mark_says_what_it_is(kind: str, tmp_path: Path) -> None:
    synthesise(kind, tmp_path / "out", seed=4, **SMALL[kind])
    mark = json.loads((tmp_path / "out" / "LOOKALIKE.json").read_text())
    assert "no person behind these data" in mark["what"]
    assert mark["parameters"]["seed"] == 4
    assert mark["parameters"]["kind"] == kind
    assert mark["parameters"]["version"] == dolorimeter.__version__
    assert mark["layout"]


def test_workers_change_nothing(tmp_path: Path) -> None:
    for workers in (1, 2):
        synthesise("biovid", tmp_path / str(workers), seed=1, workers=workers, **SMALL["biovid"])
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_fewer_people_and_conditions_are_a_subset(tmp_path: Path) -> None:
    synthesise("biovid", tmp_path / "all", subjects=3, per_condition=2)
    synthesise("biovid", tmp_path / "some", subjects=2, per_condition=2, conditions=["PA4"])
    everything, some = contents(tmp_path / "all"), contents(tmp_path / "some")
    clips = {name: digest for name, digest in some.items() if name.endswith("_bio.csv")}
    assert len(clips) == 4
    assert clips.items() <= everything.items()


def test_an_empty_folder_is_filled_and_any_other_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    synthesise("biovid", tmp_path / "empty", **SMALL["biovid"])
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"full: is not empty, expected a folder that is empty"):
        synthesise("biovid", full, **SMALL["biovid"])
    assert contents(full).keys() == {"thesis.txt"}
    with pytest.raises(ConfigError, match=r"thesis.txt: is a file, expected a folder"):
        synthesise("biovid", full / "thesis.txt", **SMALL["biovid"])


def test_nothing_is_left_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(biovid, "write_columns", full)
    with pytest.raises(StorageError, match="No space left"):
        synthesise("biovid", tmp_path / "out", **SMALL["biovid"])
    assert not [path for path in tmp_path.iterdir() if path.name != "cache"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 0}, r"subjects is 0, expected ≥ 1"),
        ({"per_condition": -1}, r"per_condition is -1"),
        ({"effect": -0.5}, r"effect is -0.5, expected a number in 0…10"),
        ({"noise": float("nan")}, r"noise is nan"),
        ({"identity_strength": 99.0}, r"identity_strength is 99"),
        ({"missing": 1.5}, r"missing is 1.5, expected a rate in 0…1"),
        ({"seed": -1}, r"seed is -1"),
        ({"workers": 0}, r"workers is 0"),
        ({"part": "C"}, r"part is 'C'; expected one of \('A', 'B'\)"),
        ({"conditions": ["PA5"]}, r"expected a list of some of BL1, PA1"),
        ({"conditions": "PA4"}, r"conditions are 'PA4'; expected a list"),
        ({"conditions": []}, r"conditions are \[\]"),
        ({"modalities": ["fnirs"]}, r"expected a list of some of signals, video"),
        ({"modalities": "video"}, r"modalities are 'video'; expected a list"),
        ({"size": (641, 480)}, r"size is \(641, 480\), expected width and height"),
        ({"size": (640,)}, r"size is \(640,\)"),
        ({"confounders": -1.0}, r"confounders is -1.0, expected a number in 0…10"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        synthesise("biovid", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [640, None, "640x480"])
def test_a_size_that_is_no_pair_is_refused(size: object) -> None:
    with pytest.raises(ConfigError, match=rf"size is {size}, expected width and height"):
        making._size(size)


def test_other_kinds_refuse_what_they_cannot_write(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"ai4pain_2025: takes no modalities"):
        synthesise("ai4pain_2025", out, modalities=["eda"])
    with pytest.raises(ConfigError, match=r"files are continuous and hold all of no_pain"):
        synthesise("ai4pain_2024", out, conditions=["no_pain", "high_pain"])
    with pytest.raises(ConfigError, match=r"part is 'A'; it has no parts"):
        synthesise("unbc_mcmaster", out, part="A")
    with pytest.raises(UnknownNameError, match=r"no kind 'biovd'; there are biovid, ai4pain_2024"):
        synthesise("biovd", out)
    assert not out.exists()


def test_truth_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Real data have no known truth"):
        Truth.load(tmp_path)
    synthesise("biovid", tmp_path / "out", **SMALL["biovid"])
    (tmp_path / "out" / "truth" / "windows.parquet").write_bytes(b"half")
    with pytest.raises(DatasetError, match="the truth cannot be read"):
        Truth.load(tmp_path / "out")


def test_no_code_is_shared_with_the_readers() -> None:
    folder = Path(str(dolorimeter.synthesis.__file__)).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(str(getattr(node, "module", "")))
            assert not any("dolorimeter.datasets" in name for name in names), path.name
