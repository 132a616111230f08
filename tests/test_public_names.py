"""The public names: each is importable, typed, and listed once."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import dolorimeter as dl

STUB = Path(dl.__file__).with_suffix(".pyi")


@pytest.mark.parametrize("name", [n for n in dl.__all__ if n != "__version__"])
def test_name_is_importable(name: str) -> None:
    assert getattr(dl, name) is not None
    assert name in dir(dl)


def test_type_checkers_see_the_same_names() -> None:
    typed = re.findall(r"\bas (\w+)", STUB.read_text(encoding="utf-8"))
    assert sorted(set(typed) | {"__version__"}) == list(dl.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dl.nothing


@pytest.mark.parametrize("name", ["evaluation", "experiment"])
def test_packages_that_import_on_demand_say_the_same_twice(name: str) -> None:
    package = import_module(f"dolorimeter.{name}")
    stub = Path(str(package.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    listed = [
        n for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom) for n in node.names
    ]
    assert sorted(alias.name for alias in listed) == package.__all__
    assert all(getattr(package, each) is not None for each in package.__all__)
