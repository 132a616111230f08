"""The command line: verbs that open files and print. The rest is the function each verb names.

A module holds the verbs of one kind. Heavy modules are imported inside the verbs, so that
``--help`` stays quick.
"""

from __future__ import annotations

import os
import sys
import warnings

import typer

from dolorimeter import __version__
from dolorimeter.cli import data, encoders, live, models, runs, system  # noqa: F401  # their verbs
from dolorimeter.cli._app import app
from dolorimeter.errors import DolorimeterError

__all__ = ["INTERRUPTED", "VERBS", "app", "main"]

VERBS: dict[str, str] = {
    "list": "dolorimeter.registry:Registry.cards",
    "fetch": "dolorimeter.datasets:fetch",
    "check": "dolorimeter.datasets:open_dataset",
    "synthesise": "dolorimeter.synthesis:synthesise",
    "faces": "dolorimeter.reports:write_faces",
    "embed": "dolorimeter.experiment:embed",
    "export": "dolorimeter.experiment:export",
    "evaluate": "dolorimeter.experiment:run",
    "sweep": "dolorimeter.experiment:sweep",
    "occlusion": "dolorimeter.experiment:occlusion",
    "relevance": "dolorimeter.experiment:relevance",
    "pretrain": "dolorimeter.pretraining:pretrain",
    "train": "dolorimeter.experiment:train",
    "predict": "dolorimeter.experiment:predict",
    "report": "dolorimeter.reports:report",
    "compare": "dolorimeter.reports:compare",
    "explain": "dolorimeter.explain:explain_model",
    "attention": "dolorimeter.explain:attention_over_time",
    "embedding-map": "dolorimeter.explain:embedding_map",
    "audit": "dolorimeter.experiment:audit_run",
    "monitor": "dolorimeter.monitor.live:monitor",
    "monitor-export": "dolorimeter.monitor.export:export_session",
    "monitor-page": "dolorimeter.monitor.web.server:serve_store",
    "monitor-sessions": "dolorimeter.monitor.store:list_sessions",
    "purge": "dolorimeter.monitor.store:purge",
    "sys-info": "dolorimeter.evaluation:environment",
}
"""The library function that each verb calls."""


INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as shells have it."""


def main() -> None:
    """Run the command line; faults become one line on standard error, never a traceback."""
    # loky restarts a worker whose memory has grown, as a network's does; no fold is lost
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    try:
        code = app(standalone_mode=False)  # typer returns the code of an Exit, and 130 of Ctrl-C
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)
    except DolorimeterError as error:
        _stop(f"error: {error}", 2)
    except typer.Abort:
        _stop("stopped.", INTERRUPTED)
    except KeyboardInterrupt:
        _stop(
            "stopped; what was finished is kept, the same command goes on from there.", INTERRUPTED
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # the last boundary before a user
        if hasattr(error, "format_message"):
            _stop(f"error: {error.format_message()}\nTry: dolorimeter --help", 2)
        if os.environ.get("DOLORIMETER_TRACEBACK"):
            raise
        _stop(
            f"error: this is a fault of dolorimeter {__version__}, not yours: "
            f"{type(error).__name__}: {error}\n"
            "Run it again with DOLORIMETER_TRACEBACK=1 and report what it prints.",
            70,
        )


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(code)
