"""Fixtures that several tests share."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


LEFT_OUT = pytest.StashKey[dict[str, int]]()
COMMANDS = {"fuzz": "make fuzz", "long": "make test-long"}
"""Markers that `addopts` in pyproject.toml leaves out, and the command that runs them."""


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the counts of left out tests; let Ctrl-C reach the commands that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # the shell ran pytest in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[LEFT_OUT] = dict.fromkeys(COMMANDS, 0)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the tests that are left out, per marker."""
    for item in items:
        markers = [name for name in COMMANDS if item.get_closest_marker(name)]
        if markers:
            item.config.stash[LEFT_OUT][markers[0]] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the counts of a worker to the process that prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receive the counts of a worker; every worker collects the same tests."""
    node.config.stash[LEFT_OUT].update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print which tests did not run and why: one line per reason, with the number of tests."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[-1]).removeprefix("Skipped: ") for report in skipped)
    lines = [f"{count} skipped: {reason}" for reason, count in sorted(reasons.items())]
    lines += [
        f"{count} left out, marked {name}: {COMMANDS[name]} runs them"
        for name, count in config.stash[LEFT_OUT].items()
        if count
    ]
    if lines:
        terminalreporter.section("tests that did not run")
        terminalreporter.write_line("\n".join(lines))
