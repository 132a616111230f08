"""Running the page: on loopback unless a token is given."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dolorimeter.errors import ConfigError, MonitorError
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
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
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
    tls_cert, tls_key : str or Path, optional
        Serve TLS by itself.
    ready : callable, optional
        Called with the address once it answers.

    Raises
    ------
    ConfigError
        If strangers could look without a token, or TLS cannot be had.
    MonitorError
        If the port is taken.
    StorageError
        At the end, if not all could be stored.
    """
    from dolorimeter._extras import uvicorn
    from dolorimeter.monitor.web.app import create_app

    check_serving(host, port, token, tls_cert, tls_key)
    listener = _listen(host, port)
    _log_in_words()
    config = uvicorn.Config(
        create_app(hub, token=token),
        log_config=None,
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
        with suppress(KeyboardInterrupt):  # raised once all is closed: it is how a page ends
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        hub.close()
    hub.check_stored()


def check_serving(
    host: str,
    port: int,
    token: str | None,
    tls_cert: str | Path | None,
    tls_key: str | Path | None,
) -> None:
    """Refuse what cannot be served, before anything is begun.

    Raises
    ------
    ConfigError
        If strangers could look without a token, the port is none, or TLS cannot be had.
    """
    check_address(host, token)
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port {port}: expected 1 to 65535, or 0 for a free one.")
    if tls_cert is None and tls_key is None:
        return
    if tls_cert is None or tls_key is None:
        raise ConfigError("one of --tls-cert and --tls-key is given: TLS needs both.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls_cert, tls_key)
    except OSError as error:  # an SSLError is one
        raise ConfigError(
            f"TLS with {tls_cert} and {tls_key} cannot be had ({error}). Give the certificate and "
            "its private key as PEM files."
        ) from error


def _log_in_words() -> None:
    """What the server has to say goes to standard error as one line each, without a traceback."""
    log = logging.getLogger("uvicorn")
    log.setLevel(logging.WARNING)
    log.propagate = False
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(_worth_saying)
        handler.setFormatter(_InWords())
        log.addHandler(handler)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Not that the server gave up waiting for a browser when it was asked to end."""
    return "graceful shutdown" not in record.getMessage()


class _InWords(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line; the whole traceback where ``DOLORIMETER_TRACEBACK`` is set."""
        if os.environ.get("DOLORIMETER_TRACEBACK"):
            return super().format(record)
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return f"the page's server: {record.getMessage()}"
        return (
            f"the page's server: a fault of dolorimeter, not yours: {type(error).__name__}: "
            f"{error}. Run it again with DOLORIMETER_TRACEBACK=1 and report what it prints."
        )


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
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
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
