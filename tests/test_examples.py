"""The examples, which the tutorials show, run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


MARKS = {"fill_gaps": [pytest.mark.long, pytest.mark.extra("deep")]}


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=MARKS.get(path.stem, [])) for path in EXAMPLES],
)
def test_example_runs(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.long
def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    root = EXAMPLES[0].parent.parent
    block = (root / "README.md").read_text(encoding="utf-8").split("```python\n")[1]
    (tmp_path / "examples").symlink_to(root / "examples")
    result = subprocess.run(
        [sys.executable, "-c", block.split("```")[0]],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "223 of 1560 trials have no amplitude" in result.stdout
    assert (tmp_path / "report.html").is_file()
