"""Counts of small trees that were counted by hand, and the messages of `scripts/house`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "scripts" / "house"

SAMPLE = '''"""Docstring of the module,

on three lines."""

import os  # a comment after code

LIMIT = 3
"""Docstring of a constant."""
TEXT = """no docstring

two rows of code, the blank one is none"""


# a comment


class Thing:
    "Docstring" " in two parts."

    @property
    def found(self):
        """Docstring."""
        given = [self.found for _ in range(3)]

        # asked, in a comment
        return given


@decorated
async def wait(told):
    def inner():
        """Only a docstring."""

    await told
    return "told"
'''


def house(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HOUSE, *map(str, words)], capture_output=True, text=True, check=False
    )


def counts(output: str) -> dict[str, list[float]]:
    rows = {}
    for line in output.splitlines():
        name, values = line[:24].strip(), line[24:].replace(",", "").split()
        if name:
            rows[name] = [float(value) for value in values]
    return rows


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "src" / "small"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "sample.py").write_text(SAMPLE)
    (folder.parent.parent / "not_counted.py").write_text("x = 1\n")
    hidden = folder / ".hidden"
    hidden.mkdir()
    (hidden / "not_counted.py").write_text("x = 1\n")
    return folder.parent.parent


def test_a_small_tree_has_the_counts_of_a_hand_count(tree: Path) -> None:
    result = house(tree)
    assert result.returncode == 0, result.stderr
    assert counts(result.stdout) == {
        "files": [2],
        "lines": [35],
        # import, LIMIT, TEXT (2), class, property, def, given, return, decorator, async def, def,
        # await, return
        "lines of code": [14],
        "functions": [3],
        "body, median": [4],  # found: 4 (with blank and comment), inner: 0, wait: 5
        "body, 95th percentile": [5],
        "import circles": [0],
        "NAME found": [2],
        "NAME told": [2],
        "NAME given": [2],
        "NAME asked": [0],
        "NAME kept": [0],
        "NAME own": [0],
        "NAME made": [0],
        "NAME wanted": [0],
    }


def test_form_feeds_and_wide_letters_do_not_move_lines(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("x = 1\n\x0c\nÄ = 2; 'a text'\n", encoding="utf-8")
    rows = counts(house(tmp_path).stdout)
    assert rows["lines"] == [3]
    assert rows["lines of code"] == [2]


def test_an_earlier_commit_is_a_column_before_todays(tree: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(["git", "-C", tree, *name, *words], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    (tree / "src" / "small" / "more.py").write_text("made = 1\n")
    result = house(tree, "--against", "HEAD")
    assert result.stdout.splitlines()[0].split() == ["HEAD", "now"]
    rows = counts(result.stdout)
    assert (rows["files"], rows["NAME made"]) == ([2, 3], [0, 1])
    assert house(tree, "--against", "nowhere").stderr.startswith("error: no commit 'nowhere' in")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"bad.py": "x = 1\ndef (:\n"}, "bad.py:2: not valid Python (invalid syntax)"),
        ({"bad.py": "x = 1\n\0\n"}, "bad.py: not valid Python (source code string cannot"),
        ({"notes.txt": "x"}, "no Python files"),
    ],
)
def test_what_cannot_be_counted_is_one_message(
    tmp_path: Path, content: dict[str, str], message: str
) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    result = house(tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout


def test_a_path_that_is_no_folder_is_one_message(tmp_path: Path) -> None:
    result = house(tmp_path / "nowhere")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "nowhere: not a folder" in result.stderr
