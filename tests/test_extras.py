"""A missing extra is one error with its install command; the core needs none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

from dolorimeter import _extras
from dolorimeter.errors import ConfigError, DependencyError
from dolorimeter.registry import MODELS, Card

ROOT = Path(__file__).parent.parent
BLOCK = """
import importlib, json, pkgutil, sys, warnings
import dolorimeter
from dolorimeter._extras import PACKAGES
from dolorimeter.errors import DependencyError
warnings.simplefilter("ignore")  # old names give a notice
absent = {name for name, (_, need) in PACKAGES.items() if need != "tzdata"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Absent())
"""
IMPORT_ALL = """
imported, blocked, faults = [], {}, {}
walk = pkgutil.walk_packages(dolorimeter.__path__, "dolorimeter.", onerror=lambda name: None)
for name in sorted({m.name for m in walk} - {"dolorimeter.__main__"}):
    try:
        importlib.import_module(name)
        imported.append(name)
    except DependencyError as error:
        blocked[name] = str(error).rpartition("pip install ")[2]
    except BaseException as error:
        faults[name] = repr(error)
print(json.dumps([imported, blocked, faults]))
"""
NEEDS = {
    '"dolorimeter[deep]"': {"embeddings", "explain", "models", "pretraining", "training"},
    '"dolorimeter[face]"': {
        *(
            f"synthesis.face_{name}"
            for name in ("actions", "model", "openings", "render", "video")
        ),
        "synthesis.portrait",
    },
    '"dolorimeter[monitor]"': {
        *(f"monitor.{name}" for name in ("export", "hub", "live", "store", "web")),
    },
}
"""Modules and packages that cannot be imported without an extra."""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.long
def test_every_module_imports_without_extras_or_names_its_extra() -> None:
    out = python(IMPORT_ALL).stdout
    imported, blocked, faults = json.loads(out)
    assert faults == {}
    expected = {f"dolorimeter.{name}": need for need, names in NEEDS.items() for name in names}
    assert blocked == expected
    assert {"dolorimeter.evaluation._evaluate", "dolorimeter.experiment._run"} <= set(imported)


def test_networks_are_listed_without_pytorch() -> None:
    code = "from dolorimeter.registry import MODELS; print(json.dumps(MODELS.names()))"
    assert json.loads(python(code).stdout) == list(MODELS.names())


@pytest.mark.extra("deep")
def test_every_listed_card_has_its_class_and_a_network_may_not_take_its_name() -> None:
    from dolorimeter import model_cards, models  # noqa: F401  # its classes register themselves

    names = [card.name for card in model_cards.CARDS]
    assert names == sorted(names)
    for card in model_cards.CARDS:
        assert MODELS.get(card.name).card is card
    with pytest.raises(ConfigError, match="'painformer' is taken by dolorimeter"):
        MODELS.register(Card("painformer", "another"))(type("Another", (), {}))


@pytest.mark.long
def test_a_network_in_the_core_ends_in_one_line_that_names_the_extra(tmp_path: Path) -> None:
    rows = [f"s{s},{'ab'[t % 2]},{t}" for s in range(4) for t in range(4)]
    table, experiment, out = (str(tmp_path / name) for name in ("t.csv", "t.toml", "o"))
    Path(table).write_text("\n".join(["subject,label,level", *rows]) + "\n")
    Path(experiment).write_text(
        'title = "t"\n[dataset]\nname = "feature_table"\n[task]\nclasses = [["a"], ["b"]]\n'
        '[classifier]\nname = "network"\n[split]\nname = "leave_one_subject_out"\n'
    )
    done = python(
        "from dolorimeter.cli import main; main()",
        *("evaluate", experiment, "--root", table, "--out", out),
    )
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    assert done.returncode == 2
    assert line == (
        "error: networks need PyTorch, which is not installed. Install it with: pip install "
        '"dolorimeter[deep]"'
    )
    assert "Traceback" not in done.stderr


def test_a_package_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> types.ModuleType:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(_extras, "import_module", broken)
    with pytest.raises(DependencyError, match=r"OpenCV, which cannot be loaded \(libGL\.so\.1"):
        _extras.load("cv2.dnn")
    with pytest.raises(AttributeError, match="has no attribute 'numpy'"):
        _extras.numpy  # noqa: B018


def test_extras_and_stubs_agree_with_the_table() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = extras["optional-dependencies"]
    needs = {need for _, need in _extras.PACKAGES.values() if need.startswith("dolorimeter[")}
    assert needs == {f"dolorimeter[{name}]" for name in optional} - {
        "dolorimeter[all]",
        "dolorimeter[test]",
    }
    assert optional["all"] == [f"dolorimeter[{','.join(sorted(set(optional) - {'all', 'test'}))}]"]
    stub = (ROOT / "src" / "dolorimeter" / "_extras.pyi").read_text().splitlines()
    typed = {line.split()[1] for line in stub if line.startswith("import ")}
    assert typed == set(_extras.PACKAGES) - {"pg8000", "tzdata"}  # only `missing` names these two
    core = {re.split("[^a-z0-9-]", need, maxsplit=1)[0] for need in extras["dependencies"]}
    moved = {"accelerate", "ai-edge-litert", "av", "opencv-python-headless", "openpyxl"}
    assert core & (moved | {"safetensors", "torch"}) == set()
