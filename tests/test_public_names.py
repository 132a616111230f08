"""The public names: each is importable, typed, and listed once."""

from __future__ import annotations

import re
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
