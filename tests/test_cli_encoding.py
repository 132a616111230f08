"""Names that the console cannot write: the output is escaped, the exit status is the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SESSIONS = Path(__file__).parent / "fixtures" / "cases" / "20-console-code-page" / "sessions"


def call(encoding: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dolorimeter", *map(str, words)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=120,
        check=False,
    )


@pytest.mark.long
def test_a_check_ends_as_it_does_elsewhere() -> None:
    expected = call("utf-8", "check", "empatica_e4", SESSIONS)
    assert "李雷".encode() in expected.stdout
    found = call("cp1252", "check", "empatica_e4", SESSIONS)
    assert found.returncode == expected.returncode
    assert b"\\u674e\\u96f7" in found.stdout
    assert b"Traceback" not in found.stderr
    assert b"fault of dolorimeter" not in found.stderr


@pytest.mark.long
def test_json_stays_json(tmp_path: Path) -> None:
    folder = tmp_path / "zo\u00eb \U0001f600"
    shutil.copytree(SESSIONS, folder)
    expected = call("utf-8", "check", "empatica_e4", folder, "--json")
    found = call("ascii", "check", "empatica_e4", folder, "--json")
    assert found.returncode == expected.returncode
    assert json.loads(found.stdout.decode("ascii")) == json.loads(expected.stdout.decode())


@pytest.mark.long
def test_an_error_names_the_file_all_the_same(tmp_path: Path) -> None:
    found = call("ascii", "check", "feature_table", tmp_path / "李雷.csv")
    assert found.returncode == 2
    assert b"\\u674e\\u96f7.csv: is not there" in found.stderr
    as_json = call("ascii", "check", "feature_table", tmp_path / "李雷.csv", "--json")
    assert "李雷.csv" in json.loads(as_json.stdout)["error"]
