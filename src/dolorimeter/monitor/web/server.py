"""Running the page: on loopback unless a token is given."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from dolorimeter.errors import ConfigError, DependencyError, MonitorError
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.store import Store
from dolorimeter.monitor.web.guard import check_address

MAX_MESSAGE = 16_384
"""Longest message of a live connection in bytes."""


def serve(
    hub: Hub,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until Ctrl-C; then end the sessions and store what they said.

    Parameters
    ----------
    hub : Hub
    host, port : str, int
        Any address but loopback needs a token. Port 0 takes a free one.
    token : str, optional
        At least 16 characters.
    tls_cert, tls_key : Path, optional
        Serve TLS by itself.
    ready : callable, optional
        Called with the address once it answers.

    Raises
    ------
    ConfigError
        If strangers could look without a token, or only one of the TLS files is given.
    MonitorError
        If the port is taken.
    """
    try:
        import uvicorn

        from dolorimeter.monitor.web.app import create_app
    except ImportError as error:
        raise DependencyError(
            f"the page needs {error.name}, which is not installed. "
            "Install it with: pip install 'dolorimeter[monitor]'"
        ) from error
    check_address(host, token)
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("one of --tls-cert and --tls-key is given: TLS needs both.")
    listener = _listen(host, port)
    config = uvicorn.Config(
        create_app(hub, token=token),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    if ready is not None:
        ready(_address(host, listener.getsockname()[1], token, tls=tls_cert is not None))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        hub.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        raise MonitorError(
            f"{host}:{port}: cannot be listened on ({error}). Another monitor may run there: "
            "choose another --port, or 0 for a free one."
        ) from error


def _address(host: str, port: int, token: str | None, *, tls: bool) -> str:
    """What to open; the token stands behind #, which browsers send to nobody."""
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    name = "127.0.0.1" if host in {"0.0.0.0", "::"} else shown  # noqa: S104
    told = f"http{'s' if tls else ''}://{name}:{port}/"
    return told if token is None else f"{told}#token={token}"


def serve_store(
    where: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page over a store, without a model: stored sessions, and diaries.

    See `serve` for the parameters and what is refused.
    """
    with Store(where) as store:
        serve(
            Hub(store),
            host=host,
            port=port,
            token=token,
            tls_cert=tls_cert,
            tls_key=tls_key,
            ready=ready,
        )
