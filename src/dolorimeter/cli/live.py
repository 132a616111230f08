"""Verbs of the live monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dolorimeter.cli._app import Json, StorePlace, monitor
from dolorimeter.cli._printing import show
from dolorimeter.errors import ConfigError

Host = Annotated[str, typer.Option(help="Any but loopback needs --token.")]
Port = Annotated[int, typer.Option(help="0 takes a free one.")]
TlsCertificate = Annotated[Path | None, typer.Option(help="Serve TLS by itself.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its private key.")]
Token = Annotated[
    str | None, typer.Option(envvar="DOLORIMETER_TOKEN", help="At least 16 characters.")
]


@monitor.command("run")
def monitor_run(
    model: Annotated[
        Path | None, typer.Option(help="Model folder; else the demo's, fitted on look-alikes.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="synthetic, replay:PATH[,recording=NAME,speed=2], lsl[:name=…,eda=CHANNEL], "
            "camera[:0|PATH|URL]; repeatable. Default: synthetic.",
        ),
    ] = None,
    subject: Annotated[str, typer.Option(help="Whom it follows.")] = "subject",
    headless: Annotated[bool, typer.Option(help="One line an estimate, and no page.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Headless: end after so long.")] = None,
    step: Annotated[float, typer.Option(help="Seconds from one estimate to the next.")] = 0.5,
    levels: Annotated[
        str | None, typer.Option(help="LOWEST,HIGHEST of what a regressor predicts.")
    ] = None,
    alert: Annotated[
        float | None, typer.Option(help="Expected level from which the alert is on.")
    ] = None,
    keep_signals: Annotated[bool, typer.Option(help="Also store raw signals.")] = False,
    outlet: Annotated[bool, typer.Option(help="Also send the LSL stream PainEstimate.")] = False,
    store: StorePlace = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    token: Token = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
) -> None:
    """Follow one person live: signals or a camera in, an estimate each half second out."""
    from dolorimeter.monitor.live import monitor as follow

    sessions: list[str] = []

    def begun(info: Any) -> None:
        sessions.append(info.id)
        _show_session(info)

    because = follow(
        model,
        sources,
        subject=subject,
        headless=headless,
        seconds=seconds,
        step=step,
        levels=_pair(levels),
        alert=alert,
        keep_signals=keep_signals,
        outlet=outlet,
        store=store,
        host=host,
        port=port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        begun=begun,
        said=_show_estimate if headless else None,
        ready=lambda address: typer.echo(f"Open {address}\nCtrl-C ends it.", err=True),
    )
    if because:
        typer.echo(f"ended: {because}", err=True)
    place = "" if store is None else f" --store '{store}'"
    for session in sessions:
        typer.echo(
            f"stored: dolorimeter monitor export {session} --format csv --out FOLDER{place}",
            err=True,
        )


def _pair(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--levels {text}: expected two numbers, such as 0,10.") from None
    return low, high


def _show_session(info: Any) -> None:
    """What a session is, before its first estimate."""
    typer.echo(f"session {info.id}: {info.model}, {'; '.join(info.sources)}", err=True)
    for note in info.notes:
        typer.echo(f"note: {note}", err=True)
    if info.lookalike:
        typer.echo("LOOK-ALIKE: no statement about people.", err=True)
    typer.echo("Research software, not a medical device.", err=True)


def _show_estimate(estimate: Any) -> None:
    """One line an estimate."""
    states = ", ".join(
        f"{m.name} {m.quality:.2f}" + (f" ({'; '.join(m.reasons)})" if m.reasons else "")
        for m in estimate.modalities
    )
    if estimate.abstained:
        told = f"no estimate: {estimate.abstained}"
    else:
        interval = (
            "" if estimate.lower is None else f" [{estimate.lower:.1f}, {estimate.upper:.1f}]"
        )
        told = f"level {estimate.expected_level:.2f}{interval}"
    alert = " ALERT" if estimate.alert else ""
    age = "" if estimate.age_s is None else f" age {estimate.age_s:.2f} s"
    typer.echo(f"{estimate.start + estimate.duration:8.1f} s  {told}{alert}{age} | {states}")
    for remark in estimate.remarks:
        typer.echo(f"          {remark}")


@monitor.command("export")
def monitor_export(
    session: Annotated[str, typer.Argument(help="See: dolorimeter monitor sessions.")],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    form: Annotated[
        str, typer.Option("--format", help="csv, parquet, bids, fhir-r5 or fhir-r4b.")
    ],
    every_s: Annotated[
        float,
        typer.Option("--every", help="Keep one estimate of each so many seconds; 0 keeps all."),
    ] = 0.0,
    store: StorePlace = None,
) -> None:
    """Write a session of the live monitor as files that others read."""
    from dolorimeter.monitor.export import export_session
    from dolorimeter.monitor.store import default_store

    where = store or default_store()
    for path in export_session(session, out, form, where=where, every_s=every_s):
        typer.echo(path)
    typer.echo("Research software, not a medical device.", err=True)


@monitor.command("page")
def monitor_page(
    store: StorePlace = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    token: Token = None,
    tls_cert: TlsCertificate = None,
    tls_key: TlsKey = None,
) -> None:
    """Look at stored sessions and keep diaries of self-reports, without a model."""
    from dolorimeter.monitor.store import default_store
    from dolorimeter.monitor.web.server import serve_store

    serve_store(
        store or default_store(),
        host=host,
        port=port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        ready=lambda address: typer.echo(
            f"Open {address}\nResearch software, not a medical device. Ctrl-C ends it.", err=True
        ),
    )


@monitor.command("sessions")
def monitor_sessions(
    subject: Annotated[str | None, typer.Option(help="Only of this subject.")] = None,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Sessions that the live monitor has stored."""
    from dolorimeter.monitor.store import default_store, list_sessions

    rows = [
        {
            "session": found.info.id,
            "subject": found.info.subject,
            "kind": found.info.kind,
            "started": found.info.started.isoformat(timespec="seconds"),
            "state": found.state,
            "because": found.ended_because,
            "estimates": found.estimates,
            "look-alike": found.info.lookalike,
        }
        for found in list_sessions(subject, where=store or default_store())
    ]
    show(rows, as_json, "Research software, not a medical device.")


@monitor.command()
def purge(
    subject: Annotated[str, typer.Argument(help="Whose sessions to remove, wholly.")],
    store: StorePlace = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove everything that the live monitor has stored of one subject."""
    from dataclasses import asdict

    from dolorimeter.monitor.store import default_store
    from dolorimeter.monitor.store import purge as purge_subject

    where = store or default_store()
    if not yes:
        typer.confirm(f"Remove everything of subject '{subject}'?", abort=True, err=True)
    show(asdict(purge_subject(subject, where=where)), as_json)
