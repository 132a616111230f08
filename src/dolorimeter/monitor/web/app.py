"""The app: a page, a small HTTP interface described by OpenAPI, and a live connection.

No answer is read from a path that a request names: the page's four files are read once, at the
start, and everything else comes from the store.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from dolorimeter import __version__
from dolorimeter.errors import (
    ConfigError,
    DolorimeterError,
    MonitorError,
    UnknownSessionError,
)
from dolorimeter.monitor.diary import due_since
from dolorimeter.monitor.export import FORMATS, read_session, session_files
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.nouns import (
    MAX_TEXT,
    NOT_A_DEVICE,
    Mark,
    SelfReport,
    SessionInfo,
    now,
)
from dolorimeter.monitor.store import Store, StoredSession
from dolorimeter.monitor.web import messages as m
from dolorimeter.monitor.web.guard import COOKIE, Guard, Keys
from dolorimeter.monitor.web.live import LiveConnection
from dolorimeter.monitor.web.messages import plain

Form = Literal["csv", "parquet", "bids", "fhir-r5", "fhir-r4b"]

GUESS_S = 0.5
"""Seconds that a wrong token costs."""

AHEAD_S = 60.0
"""Seconds by which the clock of whoever enters something may be ahead."""

MAX_LIVE = 64
"""Live connections at a time."""

PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/draw.js": ("draw.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": m.Refusal, "description": text}
    for code, text in (
        (400, "The request cannot be read."),
        (401, "A token is needed."),
        (403, "A page from elsewhere asked."),
        (404, "No such session or entry."),
        (409, "It cannot be done now, and why."),
        (413, "The body is too long."),
        (415, "The body is said to be no JSON."),
        (421, "It is not reached under this name, or through a proxy without a token."),
        (422, "A message that makes no sense, and why."),
        (503, "The store refuses, and why; nothing stored is lost."),
    )
}


def create_app(hub: Hub, *, token: str | None = None) -> FastAPI:
    """The app over a hub; whoever runs it has checked the address (`guard.check_address`).

    Parameters
    ----------
    hub : Hub
        Closed when the app ends.
    token : str, optional
        Asked for with every request but the page itself.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(hub.close)

    app = FastAPI(
        title="dolorimeter monitor",
        version=__version__,
        description=f"Sessions, estimates, marks and self-reports. {NOT_A_DEVICE}",
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        responses=REFUSALS,
    )
    keys = Keys(token)
    app.add_middleware(Guard, keys=keys)
    _add_page(app)
    _add_refusals(app)
    _add_access(app, hub, keys)
    _add_sessions(app, hub)
    _add_entries(app, hub)
    _add_live(app, hub)
    return app


def _add_page(app: FastAPI) -> None:
    folder = resources.files("dolorimeter.monitor.web") / "page"
    for path, (name, kind) in PAGE_FILES.items():
        content = (folder / name).read_bytes()
        app.add_api_route(
            path, partial(_page_file, content, kind), methods=["GET"], include_in_schema=False
        )


def _page_file(content: bytes, kind: str) -> Response:
    return Response(content, headers={"content-type": kind})


def _add_refusals(app: FastAPI) -> None:
    """An error that says what to do is an answer, not a fault of the server."""

    @app.exception_handler(DolorimeterError)
    def refuse(_: Request, error: DolorimeterError) -> JSONResponse:
        kinds = ((UnknownSessionError, 404), (ConfigError, 422), (MonitorError, 409))
        code = next((code for kind, code in kinds if isinstance(error, kind)), 503)
        return JSONResponse({"detail": str(error)}, status_code=code)

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        told = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()[:5]]
        return JSONResponse({"detail": "; ".join(told)[:1000]}, status_code=422)


def _add_access(app: FastAPI, hub: Hub, keys: Keys) -> None:
    @app.get("/api/about", tags=["access"])
    def about() -> m.About:
        """The monitor itself; needs no token."""
        return m.About(
            name="dolorimeter monitor",
            version=__version__,
            notice=NOT_A_DEVICE,
            token_needed=keys.token is not None,
            can_start=hub.can_start,
            formats=list(FORMATS),
        )

    @app.post("/api/login", status_code=204, tags=["access"])
    async def login(given: m.Login, request: Request) -> Response:
        """Give the token, get a cookie that ends with the monitor."""
        if not keys.fits(given.token):
            await asyncio.sleep(GUESS_S)
            raise HTTPException(401, "this is not the token that the monitor printed.")
        answer = Response(status_code=204)
        secure = request.headers.get("origin", "").startswith("https:")
        answer.set_cookie(COOKIE, keys.cookie, httponly=True, samesite="strict", secure=secure)
        return answer

    @app.get("/metrics", tags=["access"], response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Numbers for Prometheus; no subject is named in them."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return PlainTextResponse(hub.metrics_text(), headers={"content-type": kind})


Session = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its identifier.")]


def _add_sessions(app: FastAPI, hub: Hub) -> None:
    exporting = asyncio.Semaphore(1)

    def told(stored: StoredSession) -> m.SessionOut:
        feed, info = hub.feed(stored.info.id), stored.info
        due = None
        if info.kind == "diary" and info.reminders:
            due = due_since(info, hub.store.reports(info.id), now())
        return m.SessionOut(
            **_own_fields(info),
            state=stored.state,
            ended_because=stored.ended_because,
            estimates=stored.estimates,
            here=(feed is not None and feed.running)
            or (info.kind == "diary" and info.ended is None),
            trouble=hub.trouble(info.id),
            due_since=due,
        )

    @app.get("/api/sessions", tags=["sessions"])
    def sessions(
        subject: Annotated[str | None, Query(max_length=MAX_TEXT)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[m.SessionOut]:
        """Sessions, newest first."""
        return [told(stored) for stored in hub.store.sessions(subject)[:limit]]

    @app.post("/api/sessions", status_code=201, tags=["sessions"])
    def start(given: m.NewSession) -> m.SessionOut:
        """Start a stream, or a diary."""
        if given.kind == "diary":
            info = hub.start_diary(given.subject, given.reminders, given.timezone)
        else:
            info = hub.start(given.subject).info
        return told(hub.store.session(info.id))

    @app.get("/api/sessions/{session}", tags=["sessions"])
    def one(session: Session) -> m.SessionOut:
        """One session."""
        return told(hub.store.session(session))

    @app.post("/api/sessions/{session}/stop", tags=["sessions"])
    def stop(session: Session) -> m.SessionOut:
        """End a session that runs in this process, or a diary."""
        hub.store.session(session)
        hub.stop(session)
        return told(hub.store.session(session))

    @app.get("/api/sessions/{session}/estimates", tags=["sessions"])
    def estimates(
        session: Session,
        since: m.Moment | None = None,
        limit: Annotated[int, Query(ge=1, le=20_000)] = 1200,
    ) -> list[m.EstimateOut]:
        """The newest estimates, oldest of them first."""
        hub.store.session(session)
        found = hub.store.estimates(session, since=since, limit=limit)
        return [m.EstimateOut.model_validate(plain(e)) for e in found]

    @app.get(
        "/api/sessions/{session}/export",
        tags=["sessions"],
        responses={200: {"content": {"application/zip": {}}}},
        response_class=Response,
    )
    async def export(
        session: Session,
        form: Annotated[Form, Query(alias="format")],
        every_s: Annotated[float, Query(ge=0, le=86_400)] = 0.0,
    ) -> Response:
        """The session as a ZIP file; one export at a time."""
        async with exporting:
            content = await asyncio.to_thread(_zipped, hub.store, session, form, every_s)
        name = f"session-{session}-{form}.zip"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="application/zip", headers=headers)


def _own_fields(info: SessionInfo) -> dict[str, Any]:
    """A session's own fields, by name."""
    own = {field.name: getattr(info, field.name) for field in fields(info)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}


def _zipped(store: Store, session: str, form: str, every_s: float) -> bytes:
    files = session_files(read_session(store, session), form, every_s=every_s)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return sink.getvalue()


def _add_entries(app: FastAPI, hub: Hub) -> None:
    @app.get("/api/sessions/{session}/marks", tags=["entries"])
    def marks(session: Session) -> list[m.MarkOut]:
        """Marks by time."""
        hub.store.session(session)
        return [m.MarkOut.model_validate(plain(mark)) for mark in hub.store.marks(session)]

    @app.post("/api/sessions/{session}/marks", status_code=201, tags=["entries"])
    def add_mark(session: Session, given: m.NewMark) -> m.MarkOut:
        """Note an event; it is on disk when this answers."""
        mark = Mark(_moment(given), session, given.label, given.entered_by)
        hub.store.add_mark(mark)
        return m.MarkOut.model_validate(plain(mark))

    @app.get("/api/sessions/{session}/reports", tags=["entries"])
    def reports(session: Session) -> list[m.ReportOut]:
        """Self-reports by time."""
        hub.store.session(session)
        return [m.ReportOut.model_validate(plain(r)) for r in hub.store.reports(session)]

    @app.post("/api/sessions/{session}/reports", status_code=201, tags=["entries"])
    def add_report(session: Session, given: m.NewReport) -> m.ReportOut:
        """Store a self-report beside the estimates; it is on disk when this answers."""
        moment = _moment(given)
        report = SelfReport(moment, session, given.scale, given.value, given.entered_by)
        hub.store.add_report(report)
        return m.ReportOut.model_validate(plain(report))

    @app.post(
        "/api/sessions/{session}/entries/{entry}/withdraw", status_code=204, tags=["entries"]
    )
    def withdraw(session: Session, entry: Session) -> Response:
        """Say that a mark or a self-report was entered by mistake; it is kept, and marked so."""
        hub.store.withdraw(session, entry)
        return Response(status_code=204)


def _moment(given: m.NewMark | m.NewReport) -> datetime:
    if given.time is None:
        return now() - timedelta(seconds=given.seconds_ago)
    if given.time > now() + timedelta(seconds=AHEAD_S):
        raise ConfigError(
            f"the entry is of {given.time.isoformat()}, which has not come yet: give the "
            "moment it is about, or check the clocks of both machines."
        )
    return given.time.astimezone(UTC)


def _add_live(app: FastAPI, hub: Hub) -> None:
    open_now: set[LiveConnection] = set()

    @app.websocket("/api/sessions/{session}/live")
    async def live(socket: WebSocket, session: Session) -> None:
        if len(open_now) >= MAX_LIVE:
            await socket.close(1013, f"{MAX_LIVE} connections are open already")
            return
        try:
            await asyncio.to_thread(hub.store.session, session)
        except DolorimeterError as error:
            await socket.close(4404, str(error)[:100])
            return
        await socket.accept()
        connection = LiveConnection(hub, session, socket)
        open_now.add(connection)
        try:
            await connection.run()
        finally:
            open_now.discard(connection)
