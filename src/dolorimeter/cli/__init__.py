"""The command line: verbs that open files and print. The rest is the function each verb names.

A module holds the verbs of one kind. Heavy modules are imported inside the verbs, so that
``--help`` stays quick.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from dolorimeter import __version__
from dolorimeter._on_demand import Notice
from dolorimeter.cli import data, encoders, live, models, runs, system  # noqa: F401  # their verbs
from dolorimeter.cli._app import app
from dolorimeter.cli._printing import show
from dolorimeter.errors import DolorimeterError, StorageWarning

__all__ = ["INTERRUPTED", "TERMINATED", "VERBS", "app", "main"]

VERBS: dict[str, str] = {
    "list": "dolorimeter.registry:Registry.cards",
    "fetch": "dolorimeter.datasets:fetch",
    "check": "dolorimeter.datasets:open_dataset",
    "synthesise": "dolorimeter.synthesis:synthesise",
    "faces": "dolorimeter.reports:write_faces",
    "embed": "dolorimeter.experiment:embed",
    "export": "dolorimeter.experiment:export",
    "evaluate": "dolorimeter.experiment:run",
    "study sweep": "dolorimeter.experiment:sweep",
    "study occlusion": "dolorimeter.experiment:occlusion",
    "study relevance": "dolorimeter.experiment:relevance",
    "pretrain": "dolorimeter.pretraining:pretrain",
    "train": "dolorimeter.experiment:train",
    "predict": "dolorimeter.experiment:predict",
    "report": "dolorimeter.reports:report",
    "compare": "dolorimeter.reports:compare",
    "purge subject": "dolorimeter.experiment:erase_subject",
    "explain": "dolorimeter.explain:explain_model",
    "attention": "dolorimeter.explain:attention_over_time",
    "embedding-map": "dolorimeter.explain:embedding_map",
    "audit": "dolorimeter.experiment:audit_run",
    "monitor run": "dolorimeter.monitor.live:monitor",
    "monitor export": "dolorimeter.monitor.export:export_session",
    "monitor page": "dolorimeter.monitor.web.server:serve_store",
    "monitor sessions": "dolorimeter.monitor.store:list_sessions",
    "monitor purge": "dolorimeter.monitor.store:purge",
    "sys-info": "dolorimeter.evaluation:environment",
}
"""The library function that each verb calls; ``study sweep`` is the verb of a group."""

FINDINGS, REFUSED, FAULT = 1, 2, 70
INTERRUPTED, TERMINATED = 130, 143
"""Exit codes besides 0, as ``dolorimeter --help`` lists them."""

RESUMES = "what was finished is kept, the same command goes on from there."


class Terminated(SystemExit):
    """SIGTERM. It unwinds like Ctrl-C, so that workers end and finished work is kept."""


def main() -> None:
    """Run the command line. Every fault is one message on standard error, never a traceback.

    With ``--json`` the same message is also printed as JSON: ``error``, ``kind``, ``exit_code``.
    """
    # loky restarts a worker whose memory has grown, as a network's does; no fold is lost
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    warnings.showwarning = _showing_notices(warnings.showwarning)
    signal.signal(signal.SIGTERM, _terminate)
    # a stream that the caller closed (>&-) is None
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a code page may lack the letters of a file's name
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(prog_name="dolorimeter", standalone_mode=False)
        if code == INTERRUPTED:  # typer returns it for Ctrl-C
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt, Terminated) as error:  # the last boundary before a user
        message, code = explained(error)
        if code == FAULT and os.environ.get("DOLORIMETER_TRACEBACK"):
            raise
        print(message, file=sys.stderr)  # noqa: T201
        if "--json" in sys.argv[1:]:
            text = message.removeprefix("error: ")
            with suppress(OSError):  # standard output may be what failed
                show({"error": text, "kind": type(error).__name__, "exit_code": code}, True)
    sys.exit(code)


def explained(error: BaseException) -> tuple[str, int]:
    """Return the message and the exit code for an error that ended a verb.

    Parameters
    ----------
    error : BaseException
        What the verb raised.

    Returns
    -------
    tuple of str and int
        Text for standard error, and one of the codes of ``dolorimeter --help``.
    """
    if isinstance(error, KeyboardInterrupt):
        return f"stopped; {RESUMES}", INTERRUPTED
    if isinstance(error, Terminated):
        return f"stopped by SIGTERM; {RESUMES}", TERMINATED
    if isinstance(error, typer.Abort):
        return "stopped.", INTERRUPTED
    if isinstance(error, DolorimeterError):
        return f"error: {error}", REFUSED
    if hasattr(error, "format_message"):  # a wrong command line
        return _usage(error), REFUSED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return (
            f"error: {where}{error.strerror or error}. Check the path, its permissions and the "
            "free space."
        ), REFUSED
    if isinstance(error, UnicodeDecodeError):
        return f"error: a file is not UTF-8 text ({error}). Save it as UTF-8.", REFUSED
    if isinstance(error, ModuleNotFoundError) and not f"{error.name}".startswith("dolorimeter"):
        return f"error: the package '{error.name}' is not installed. Install it.", REFUSED
    if isinstance(error, MemoryError):
        return "error: out of memory. Use fewer workers or subjects.", REFUSED
    if isinstance(error, BrokenExecutor):
        return (
            f"error: a worker process was ended from outside, often for lack of memory ({error}). "
            "Use fewer workers and run the same command again."
        ), REFUSED
    return (
        f"error: this is a fault of dolorimeter {__version__}, not yours: "
        f"{type(error).__name__}: {error}\n"
        "Run it again with DOLORIMETER_TRACEBACK=1 and report what it prints."
    ), FAULT


def _usage(error: Any) -> str:
    """Return what is wrong with a command line and where its help is, or that help itself."""
    message: str = error.format_message()
    if message.startswith("Usage:"):  # a group without a verb
        return message
    path = error.ctx.command_path if getattr(error, "ctx", None) else "dolorimeter"
    return f"error: {message}\nTry: {path} --help"


def _showing_notices(show_other: Callable[..., None]) -> Callable[..., None]:
    """Return a ``warnings.showwarning`` that prints a notice as one line."""

    def shown(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, Notice):
            print(f"notice: {message}", file=sys.stderr)  # noqa: T201
        elif issubclass(category, StorageWarning):
            print(f"warning: {message}", file=sys.stderr)  # noqa: T201
        else:
            show_other(message, category, *rest, **more)

    return shown


def _terminate(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` sends it twice
    raise Terminated(TERMINATED)
