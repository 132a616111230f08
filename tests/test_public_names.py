"""The public names: each is importable, typed, and listed once."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import dolorimeter as dl

STUB = Path(dl.__file__).with_suffix(".pyi")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.extra("deep") if n == "create_model" else ())
        for n in dl.__all__
        if n != "__version__"
    ],
)
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


@pytest.mark.parametrize(("old", "new"), [("Chain", "Pipeline"), ("ChainStream", "Stream")])
@pytest.mark.parametrize("package", ["dolorimeter", "dolorimeter.chain"])
def test_an_old_name_is_the_new_object_and_gives_a_notice(
    package: str, old: str, new: str
) -> None:
    module = import_module(package)
    with pytest.warns(FutureWarning, match=f"{old} is now .*{new}"):
        assert getattr(module, old) is getattr(module, new)


@pytest.mark.long
@pytest.mark.parametrize(("old", "name"), [("audit", "Finding"), ("report", "compare")])
def test_an_old_package_still_imports_and_does_not_take_the_function_away(
    old: str, name: str
) -> None:
    code = f"""
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import dolorimeter.{old}
    from dolorimeter.{old} import {name}
import dolorimeter as dl
from dolorimeter import {old}s
assert {name} is {old}s.{name}
assert "dolorimeter.{old}s" in str(caught[0].message), caught
assert caught[0].filename == "<string>", caught[0].filename
try:
    dl.{old}(wrong=1)
except TypeError as error:
    assert "{old}()" in str(error), error
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_packages_leaves_the_functions() -> None:
    code = """
import dolorimeter as dl
import dolorimeter.audits.findings, dolorimeter.reports.page, dolorimeter.evaluation
assert callable(dl.audit) and callable(dl.report) and callable(dl.evaluate)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
