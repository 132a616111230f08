"""A real PostgreSQL server and a real Chromium; without them a test is skipped with a reason."""

from __future__ import annotations

import os
import shutil
import signal
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


class PostgresServer:
    """A server of our own, on loopback; it can die and come back."""

    def __init__(self, initdb: str, program: str, folder: Path) -> None:
        self._user = {"user": "postgres"} if os.getuid() == 0 else {}  # refuses to run as root
        if self._user:
            shutil.chown(folder, "postgres")
        self._program, self._folder, self._port = program, folder, free_port()
        options = ["-D", folder / "data", "-U", "owner", "--auth=trust", "--no-sync"]
        made = subprocess.run(
            [initdb, *options, "--encoding=UTF8"],
            capture_output=True,
            text=True,
            cwd=folder,
            **self._user,
        )
        assert made.returncode == 0, made.stderr
        self.url = f"postgresql://owner:secret@127.0.0.1:{self._port}/postgres"
        self.start()

    def start(self) -> None:
        """Until it answers."""
        options = ["-D", self._folder / "data", "-p", str(self._port), "-h", "127.0.0.1"]
        self._process = subprocess.Popen(
            [self._program, *options, "-k", self._folder, "-F"],
            cwd=self._folder,
            stderr=subprocess.DEVNULL,
            **self._user,
        )
        for _ in range(400):
            assert self._process.poll() is None, "the PostgreSQL server stopped at once"
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the PostgreSQL server does not answer")

    def die(self) -> None:
        """At once, without a word to those who are connected (SIGQUIT)."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def stop(self) -> None:
        """In order."""
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server with an empty database, which ends with the tests."""
    initdb, program = find_program("initdb"), find_program("postgres")
    if initdb is None or program is None:
        missing("postgres", "no PostgreSQL server here: apt-get install postgresql")
    assert initdb is not None
    assert program is not None
    # not pytest's own folder: its parents, more of them with several workers, are root's alone
    folder = Path(tempfile.mkdtemp(prefix="dolorimeter-postgres-"))
    server = PostgresServer(initdb, program, folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """URL of its database."""
    return postgres_server.url


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
