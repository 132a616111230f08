"""What the tests of maps share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dolorimeter import training


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Networks this small are slower with more threads, most of all on a busy machine."""
    with training.threads(1):
        yield
