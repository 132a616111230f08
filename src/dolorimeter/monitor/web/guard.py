"""What stands before every request: who may ask, from where, and how much.

Loopback needs no token, but its Host is checked, so that a page from elsewhere cannot reach it
under a name of its own (DNS rebinding). Requests that change something, and live connections, must
come from the page itself (Origin). Bodies are bounded. Every answer forbids foreign content.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from dolorimeter.errors import ConfigError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "dolorimeter"
MAX_BODY = 16_384
"""Longest body of a request in bytes: the largest message is a name of 500 characters."""

MIN_TOKEN = 16

OPEN_PATHS = frozenset(
    {"/", "/page.js", "/draw.js", "/page.css", "/icon.svg", "/api/login", "/api/about"}
)
"""Paths that hold nothing of anybody and are needed to give the token."""

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that a proxy adds: whoever comes through one is not on this machine."""

TLS_HINT = (
    "Traffic is not encrypted by itself: also give --tls-cert and --tls-key, or stay on loopback "
    "and let a proxy on this machine do it (caddy reverse-proxy --from NAME --to 127.0.0.1:PORT)."
)


def check_address(host: str, token: str | None) -> None:
    """Refuse an address from which strangers could look without a token.

    Raises
    ------
    ConfigError
        If the address is not loopback and there is no token, or the token is short.
    """
    good = secrets.token_urlsafe(18)
    if token is not None and len(token) < MIN_TOKEN:
        raise ConfigError(
            f"the token has {len(token)} characters, expected at least {MIN_TOKEN}. "
            f"A good one: {good}"
        )
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"on {host} others could open the page and see a person's data. "
            f"Give a token: --token {good} . {TLS_HINT}"
        )


def is_loopback(host: str) -> bool:
    """Whether an address or a name is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Keys:
    """The token, and the cookie that a browser gets for it; the cookie ends with the process."""

    def __init__(self, token: str | None) -> None:
        self.token, self.cookie = token, secrets.token_urlsafe(24)

    def fits(self, token: str) -> bool:
        """Whether this is the token."""
        return self.token is None or _same(token, self.token)


class Guard:
    """The outermost layer of the app.

    Parameters
    ----------
    app : ASGI app
    keys : Keys
        Without a token (on loopback) none is asked for.
    """

    def __init__(self, app: App, *, keys: Keys) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        answer = _Answer(send)
        try:
            if scope["type"] == "websocket":
                await self.app(scope, receive, answer)
            else:
                await self.app(scope, _Bounded(receive), _with_headers(answer))
        except asyncio.CancelledError:  # the monitor ends, and waits no longer for it
            if not answer.begun:
                await _refuse(scope, receive, send, 503, "the monitor has ended.")

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        host = headers.get("host", "")
        # under a token any name will do: a page from elsewhere has no cookie of this one
        if self.keys.token is None and not is_loopback(_name(host)):
            return 421, f"the monitor is not reached under the name '{host[:80]}'."
        if self.keys.token is None and any(name in headers for name in FORWARDED):
            return 421, "the monitor is behind a proxy: start it with --token."
        changes = scope["type"] == "websocket" or scope["method"] not in {"GET", "HEAD"}
        origin = headers.get("origin")
        if changes and origin is not None and origin.partition("://")[2] != host:
            return 403, "a page from elsewhere may not ask this."
        if scope["type"] == "http" and changes and not _is_json(headers):
            return 415, "content-type is not application/json."
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return 400, "content-length is no number."
        if length > MAX_BODY:
            return 413, f"the body has {length} bytes, at most {MAX_BODY} are read."
        if scope["path"] not in OPEN_PATHS and not self._known(headers):
            return 401, "a token is needed: open the address that the monitor printed."
        return None

    def _known(self, headers: dict[str, str]) -> bool:
        if self.keys.token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and _same(given, self.keys.token):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.keys.cookie)


def _is_json(headers: dict[str, str]) -> bool:
    """Other kinds can be sent by a form of any page, without the browser asking first."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


class _Answer:
    """What is sent, and whether anything was."""

    def __init__(self, send: Send) -> None:
        self.send, self.begun = send, False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self.send(message)


class _Bounded:
    """A body that is cut off beyond `MAX_BODY`, whatever its header says."""

    def __init__(self, receive: Receive) -> None:
        self.receive, self.seen = receive, 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.seen += len(message.get("body", b""))
        if self.seen > MAX_BODY:
            return {"type": "http.disconnect"}
        return message


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {k for k, _ in message["headers"]}
            extra = [(k, v) for k, v in HEADERS if k not in given]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4000 + status, "reason": why[:100]})
        return
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await _with_headers(send)(
        {"type": "http.response.start", "status": status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": body})
