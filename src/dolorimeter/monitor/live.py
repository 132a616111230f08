"""`monitor`: a model, some sources, a store, and a page or plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from dolorimeter.errors import ConfigError
from dolorimeter.monitor.demo_model import demo_model
from dolorimeter.monitor.feed import Attach, Feed, Sink, StartSession
from dolorimeter.monitor.hub import Hub
from dolorimeter.monitor.judgement import Alert
from dolorimeter.monitor.nouns import Estimate, SessionInfo
from dolorimeter.monitor.outlet import LslOutlet
from dolorimeter.monitor.session import STEP, Session, Settings
from dolorimeter.monitor.sources import open_sources
from dolorimeter.monitor.store import Store, default_store
from dolorimeter.monitor.web.server import check_serving, serve
from dolorimeter.predictor import Predictor
from dolorimeter.storage import digest

SYNTHETIC = ("synthetic",)


def monitor(
    model: str | Path | None = None,
    sources: Sequence[str] | None = None,
    *,
    subject: str = "subject",
    headless: bool = False,
    seconds: float | None = None,
    step: float = STEP,
    levels: tuple[float, float] | None = None,
    alert: float | None = None,
    keep_signals: bool = False,
    outlet: bool = False,
    store: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    begun: Callable[[SessionInfo], None] | None = None,
    said: Callable[[Estimate], None] | None = None,
    ready: Callable[[str], None] | None = None,
) -> str:
    """Follow one person live: estimates are stored, and shown on a page or handed to `said`.

    Parameters
    ----------
    model : path, optional
        Model folder written by ``train``; without one the demo's, fitted on look-alikes.
    sources : sequence of str, optional
        See `dolorimeter.monitor.sources.open_sources`; without any the synthetic one.
    subject : str
        The name under which ``purge`` finds everything of this person.
    headless : bool
        No page: return when the sources are over, after `seconds`, or on Ctrl-C.
    seconds : float, optional
        End after so long.
    step : float
        Seconds from one estimate to the next.
    levels : (float, float), optional
        Lowest and highest value of a regressor's target.
    alert : float, optional
        Expected level from which the alert is on, after 5 s, until it is 0.1 lower for as long.
    keep_signals : bool
        Also store raw signals.
    outlet : bool
        Also send estimates as the LSL stream ``PainEstimate``.
    store : str or Path, optional
        SQLite file or URL of PostgreSQL; by default the user's own.
    host, port, token, tls_cert, tls_key
        Of the page, see `dolorimeter.monitor.web.server.serve`.
    begun, said, ready : callable, optional
        Called when the session has begun, with every estimate, and with the page's address.

    Returns
    -------
    str
        Why it ended; empty when it was asked to.

    Raises
    ------
    ConfigError
        If the model cannot run live: the message names the step and its live substitute.
    MonitorError
        If a source is busy or not there.
    StorageError
        If the store cannot be opened, or not all could be stored by the end.
    """
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"seconds is {seconds:g}, expected above 0.")
    folder = demo_model() if model is None else Path(model)
    start = sessions(folder, sources or SYNTHETIC, step=step, levels=levels, alert=alert)
    outlets: list[Callable[[SessionInfo], Sink]] = [LslOutlet] if outlet else []
    closed = threading.Event()
    if said is not None:
        told = _until_closed(said, closed)
        outlets.append(lambda _: told)
    if not headless:
        check_serving(host, port, token, tls_cert, tls_key)  # before a source is opened
    with Store(store or default_store()) as opened:
        hub = Hub(opened, start, keep_signals=keep_signals, outlets=outlets)
        try:
            feed = hub.start(subject)
            if begun is not None:
                begun(feed.info)
            if headless:
                _wait(feed, seconds, closed)
            else:
                serve(
                    hub, host=host, port=port, token=token, tls_cert=tls_cert, tls_key=tls_key,
                    ready=ready,
                )  # fmt: skip
        finally:
            hub.close()
        hub.check_stored()
    if closed.is_set():
        raise BrokenPipeError
    return feed.stopped_because


def _until_closed(said: Callable[[Estimate], None], closed: threading.Event) -> Sink:
    """`said`, until whoever listens has gone (``monitor run --headless | head``)."""

    def told(estimate: Estimate) -> None:
        if closed.is_set():
            return
        try:
            said(estimate)
        except BrokenPipeError:
            closed.set()

    return told


def _wait(feed: Feed, seconds: float | None, closed: threading.Event) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    with suppress(KeyboardInterrupt):  # how a user ends it
        while feed.running and not closed.is_set():
            if until is not None and time.monotonic() >= until:
                return
            time.sleep(0.05)


def sessions(
    model: str | Path,
    sources: Sequence[str],
    *,
    step: float = STEP,
    levels: tuple[float, float] | None = None,
    alert: float | None = None,
) -> StartSession:
    """What starts a session on these sources and this model; refused at once where it cannot.

    Raises
    ------
    ConfigError
        If the model cannot run live, or a source is not understood.
    """
    model = Path(model)
    predictor = Predictor.load(model)
    settings = Settings(step=step, levels=levels)
    name = str(predictor.dataset.get("name", ""))
    options = predictor.dataset.get("options", {})
    found = digest((model / "predictor.json").read_bytes())
    if not sources:
        raise ConfigError("a session without a source: give one, such as --source synthetic.")

    def made(subject: str) -> Session:
        opened = open_sources(sources, dataset=name, options=options)
        return Session(
            predictor,
            opened.sources,
            subject,
            settings=settings,
            speed=opened.speed,
            alert=None if alert is None else Alert(alert),
            model_digest=found,
        )

    made("checked")  # what cannot run is refused before a page is opened

    def start(subject: str, attach: Attach) -> Session:
        return made(subject).start(attach)

    return start
