"""A real PostgreSQL server and a real Chromium; without them a test is skipped with a reason."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from monitor_server import Monitor, memory_folder, running

REQUIRED = tuple(filter(None, os.environ.get("DOLORIMETER_REQUIRE", "").split(",")))
"""Programs without which a test fails instead of being skipped: ``browser``, ``postgres``."""


def missing(what: str, reason: str) -> None:
    """Skip with the reason, or fail where `what` is required."""
    if what in REQUIRED:
        pytest.fail(f"DOLORIMETER_REQUIRE names {what}: {reason}")
    pytest.skip(reason)


def find_program(name: str) -> str | None:
    """A program of PostgreSQL: on the path, or where Debian puts it."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty database on a server of our own, which ends with the tests."""
    initdb, server = find_program("initdb"), find_program("postgres")
    if initdb is None or server is None:
        missing("postgres", "no PostgreSQL server here: apt-get install postgresql")
    assert initdb is not None
    assert server is not None
    # not pytest's own folder: its parents, more of them with several workers, are root's alone
    folder = Path(tempfile.mkdtemp(prefix="dolorimeter-postgres-"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    as_user = {"user": user} if os.getuid() == 0 else {}
    made = subprocess.run(
        [initdb, "-D", data, "-U", "owner", "--auth=trust", "--no-sync", "--encoding=UTF8"],
        capture_output=True,
        text=True,
        cwd=folder,
        **as_user,
    )
    assert made.returncode == 0, made.stderr
    options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
    process = subprocess.Popen(
        [server, *options], cwd=folder, stderr=subprocess.DEVNULL, **as_user
    )
    try:
        url = f"postgresql://owner:secret@127.0.0.1:{port}/postgres"
        _wait_for(port, process)
        yield url
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:

    for _ in range(200):
        assert process.poll() is None, "the PostgreSQL server stopped at once"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the PostgreSQL server does not answer")


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture
def monitor(memory: Path) -> Iterator[Monitor]:
    """A monitor on loopback, no token."""
    with running(memory / "monitor.sqlite") as made:
        yield made


@pytest.fixture
def guarded(memory: Path) -> Iterator[Monitor]:
    """A monitor that asks for a token."""
    with running(memory / "monitor.sqlite", "sesame-sesame-sesame") as made:
        yield made


@pytest.fixture
def chromium(one_chromium: Browser) -> Iterator[Browser]:
    """The system's Chromium, whose pages are closed after the test."""
    yield one_chromium
    one_chromium.close_pages()


@pytest.fixture(scope="session")
def one_chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The system's Chromium, headless."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("browser", "no Chromium here: apt-get install chromium")
    assert program is not None
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()
