"""A real server over fake sessions, on a store in memory where the machine has a place for it."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorimeter.errors import MonitorError
from dolorimeter.monitor.feed import Attach
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.store import Store

from fake_session import FakeSession


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder whose files are synced at once: a store commits to disk twice a second."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        yield Path(folder)


@dataclass
class Monitor:
    """A real server on loopback over fake sessions."""

    url: str
    hub: Hub
    sessions: list[FakeSession]

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and content of a request; JSON where the answer is."""
        data = None if body is None else json.dumps(body).encode()
        told = {k.replace("_", "-"): v for k, v in headers.items()}
        if body is not None:
            told.setdefault("content-type", "application/json")
        request = urllib.request.Request(self.url + path, data, told)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content, found = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                status, content, found = error.code, error.read(), error.headers
        self.headers = found
        kind = found.get("content-type", "")
        return status, json.loads(content) if kind.startswith("application/json") else content


@contextmanager
def running(place: Path, token: str | None = None) -> Iterator[Monitor]:
    """Serve a store; ends every session when it ends."""
    import uvicorn

    from dolorimeter.monitor.web.app import create_app
    from dolorimeter.monitor.web.server import MAX_MESSAGE

    sessions: list[FakeSession] = []

    def start(subject: str, attach: Attach) -> FakeSession:
        if subject == "nobody":
            raise MonitorError("the sensor is not there. Plug it in.")
        sessions.append(FakeSession(subject, attach, backlog=240))
        return sessions[-1]

    with Store(place) as store:
        hub = Hub(store, start)
        app = create_app(hub, token=token)
        config = uvicorn.Config(
            app, log_level="error", ws="websockets-sansio", ws_max_size=MAX_MESSAGE
        )
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Monitor(f"http://127.0.0.1:{listener.getsockname()[1]}", hub, sessions)
        finally:
            server.should_exit = True
            thread.join(60)
            listener.close()
