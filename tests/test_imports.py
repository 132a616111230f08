"""No module imports itself through others, and the check for that notices every kind of import."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def house() -> Any:
    loader = SourceFileLoader("house", str(ROOT / "scripts" / "house"))
    spec = importlib.util.spec_from_loader("house", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_no_module_of_ours_is_in_a_circle(house: Any) -> None:
    assert house.circles(ROOT / "src") == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "import planted.b", "b.py": "import planted.a"},
        {"a.py": "from . import b", "b.py": "def late():\n    from planted.a import x"},
        {
            "a.py": "from planted.b import x",
            "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from planted.a import y",
        },
        {"__init__.py": "from planted.a import x", "a.py": "from planted import x"},
        {"a.py": "import planted.b", "b.py": "import planted.c", "c.py": "import planted.a"},
    ],
    ids=["plain", "in a function", "for type checkers", "with the package", "of three"],
)
def test_a_planted_circle_is_reported(house: Any, tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "planted").mkdir()
    for name, text in {"__init__.py": "", "apart.py": "import planted.a", **files}.items():
        (tmp_path / "planted" / name).write_text(text + "\n")
    members = {f"planted.{name.removesuffix('.py')}".removesuffix(".__init__") for name in files}
    assert house.circles(tmp_path) == [tuple(sorted(members))]


def test_a_circle_through_names_imported_on_first_use_is_reported(
    house: Any, tmp_path: Path
) -> None:
    """Only the stub of a lazy package says where its names come from."""
    package = tmp_path / "planted" / "lazy"
    package.mkdir(parents=True)
    for name, text in {
        "../__init__.py": "",
        "__init__.py": "from importlib import import_module\n"
        "def __getattr__(name): return getattr(import_module('planted.lazy.a'), name)",
        "__init__.pyi": "from planted.lazy.a import x as x",
        "a.py": "from planted.lazy import x",
    }.items():
        (package / name).write_text(text + "\n")
    assert house.circles(tmp_path) == [("planted.lazy", "planted.lazy.a")]
