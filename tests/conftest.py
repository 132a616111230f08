"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gate", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("gate")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real open recordings; a test that asks for it is skipped without it."""
    value = os.environ.get("DOLORIMETER_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("needs the open recordings: set DOLORIMETER_DATA to their folder")
    return Path(value)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of small fixtures kept in the repository."""
    return Path(__file__).parent / "fixtures"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("DOLORIMETER_CACHE", str(tmp_path / "cache"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests run by ``make fuzz`` alone; in the gate they are skipped with that reason."""
    if "fuzz" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("fuzz"):
            item.add_marker(pytest.mark.skip(reason="long: run by make fuzz (-m fuzz)"))
