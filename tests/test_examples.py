"""The examples, which the tutorials show, run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=pytest.mark.extra("deep") if p.stem == "fill_gaps" else ())
        for p in EXAMPLES
    ],
    ids=[p.stem for p in EXAMPLES],
)
def test_example_runs(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
