"""The live connection: what is new, four times a second, to one browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from dolorimeter.errors import DolorimeterError
from dolorimeter.monitor.feed import Feed
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.nouns import Estimate
from dolorimeter.monitor.web.messages import Show, plain
from dolorimeter.monitor.web.picture import picture_of

STEP_S = 0.25
"""Seconds between two messages of a kind."""

BACKLOG = 1200
"""Estimates that a new connection is given first: ten minutes."""

MAX_FAULTS = 20
"""Messages that make no sense after which a connection is closed."""


class LiveConnection:
    """One browser looking at one session.

    Parameters
    ----------
    hub : Hub
    session : str
    socket : WebSocket
        Accepted already.
    """

    def __init__(self, hub: Hub, session: str, socket: WebSocket) -> None:
        self.hub, self.session, self.socket = hub, session, socket
        self.show = Show(kind="show")
        self._seen = 0
        self._last: Estimate | None = None
        self._stamp: tuple[int, int] | None = None
        self._state: Any = None

    async def run(self) -> None:
        """Until the browser goes, or the session can no longer be read."""
        sender = asyncio.create_task(self._send())
        receiver = asyncio.create_task(self._receive())
        done, waiting = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for task in (*done, *waiting):
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await task

    async def _send(self) -> None:
        while True:
            for message in await asyncio.to_thread(self._news):
                await self.socket.send_text(json.dumps(message, allow_nan=False))
            await asyncio.sleep(STEP_S)

    async def _receive(self) -> None:
        faults = 0
        while True:
            text = await self.socket.receive_text()
            try:
                self.show = Show.model_validate_json(text)
            except ValidationError as error:
                faults += 1
                why = "; ".join(
                    f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}"
                    for e in error.errors(include_url=False, include_input=False)[:3]
                )
                await self.socket.send_text(json.dumps({"kind": "refused", "detail": why}))
                if faults >= MAX_FAULTS:
                    await self.socket.close(1008, "too many messages that make no sense")
                    return

    def _news(self) -> list[dict[str, Any]]:
        """Everything that has changed since the last look; runs in a thread of its own."""
        feed = self.hub.feed(self.session)
        news: list[dict[str, Any]] = []
        try:
            news += self._state_news(feed)
            news += self._entry_news()
            news += self._estimate_news(feed)
        except DolorimeterError as error:
            news.append({"kind": "trouble", "detail": str(error)})
        if feed is not None and self.show.signals:
            news += self._signal_news(feed)
        if feed is not None and self.show.frames:
            frame = feed.frame()
            picture = None if frame is None else picture_of(frame)
            news.append({"kind": "frame", "jpeg": picture})
        return news

    def _state_news(self, feed: Feed | None) -> list[dict[str, Any]]:
        state = {
            "running": feed is not None and feed.running,
            "here": feed is not None,
            "stopped_because": "" if feed is None else feed.stopped_because,
            "trouble": self.hub.trouble(self.session),
        }
        if state == self._state:
            return []
        self._state = state
        return [{"kind": "state", **state}]

    def _entry_news(self) -> list[dict[str, Any]]:
        stamp = self.hub.store.entries_stamp(self.session)  # another process may add some too
        if stamp == self._stamp:
            return []
        marks = self.hub.store.marks(self.session)
        reports = self.hub.store.reports(self.session)
        self._stamp = stamp
        return [{"kind": "entries", "marks": plain(marks), "reports": plain(reports)}]

    def _estimate_news(self, feed: Feed | None) -> list[dict[str, Any]]:
        first = self._last is None
        if first or feed is None:
            since = None if self._last is None else self._last.time
            found = self.hub.store.estimates(self.session, since=since, limit=BACKLOG)
            found = [e for e in found if e != self._last]
        if feed is not None:
            seen, new = feed.since(self._seen)
            self._seen = seen
            found = [*(found if first else []), *new]
            found = list({e.time: e for e in found}.values())  # some are stored and new alike
        if not found and not first:
            return []
        self._last = found[-1] if found else self._last
        return [{"kind": "estimates", "first": first, "estimates": plain(found)}]

    def _signal_news(self, feed: Feed) -> list[dict[str, Any]]:
        tails = feed.tails(self.show.seconds, self.show.points)
        return [{"kind": "signals", "signals": plain(tails), "face": plain(feed.face())}]
