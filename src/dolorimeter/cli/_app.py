"""The application, its groups of verbs, and the options that several verbs share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dolorimeter import __version__

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder of the data set; else $DOLORIMETER_DATA/NAME, then the user cache."),
]
StorePlace = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="File, or postgresql://USER:PASSWORD@HOST/DATABASE; else $DOLORIMETER_STORE, then "
        "the user's folder.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Processes.")]
ExperimentFile = Annotated[Path, typer.Argument(help="A TOML file, see experiments/.")]
AsLive = Annotated[
    bool,
    typer.Option(help="Gate the windows of training and test as a live session does."),
]
FirstSubjects = Annotated[int | None, typer.Option(min=2, help="Only the first so many subjects.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's.")
]
ReaderOptions = Annotated[
    list[str] | None, typer.Option("--option", help="KEY=VALUE for the reader, such as part=B.")
]


RENAMED: dict[str, str] = {
    "sweep": "study sweep",
    "occlusion": "study occlusion",
    "relevance": "study relevance",
    "monitor": "monitor run",
    "monitor-export": "monitor export",
    "monitor-page": "monitor page",
    "monitor-sessions": "monitor sessions",
    "purge": "monitor purge",
}
"""Old spellings of verbs, which still work with a notice, and what replaces them."""

EPILOG = """\b
Exit codes:
  0    done
  1    findings: faults in the data (check) or in a run (audit)
  2    the command, its files, the data or the environment must change
  70   a fault of dolorimeter
  130  stopped by Ctrl-C
  143  stopped by SIGTERM
"""


class Verbs(TyperGroup):
    """The top level: verbs by their names, and for one release by their old names."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name, the command and the remaining words."""
        old = args[0]
        new = RENAMED.get(old)
        if new is not None and not self._names_verb_of_group(ctx, args):
            typer.echo(
                f"notice: `dolorimeter {old}` is now `dolorimeter {new}`; "
                "the old name will be removed in version 0.3",
                err=True,
            )
            args = [*new.split(), *args[1:]]
        return super().resolve_command(ctx, args)

    def _names_verb_of_group(self, ctx: Any, args: list[str]) -> bool:
        """Whether the first word is a group and the second its verb, or asks for its help."""
        if args[0] not in self.commands or len(args) == 1:
            return False
        if args[0] == "purge":  # once `purge SUBJECT` of the monitor
            return args[1] in ("subject", *ctx.help_option_names)
        return not args[1].startswith("-") or args[1] in ctx.help_option_names

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command line; ``--help`` prints here."""
        with _quiet_without_reader():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with _quiet_without_reader():
            return super().invoke(ctx)


@contextmanager
def _quiet_without_reader() -> Iterator[None]:
    """End quietly when the reader of a pipe has closed it (typer would exit with 1)."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None


app = typer.Typer(
    name="dolorimeter",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
study = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Run one experiment many times, with one thing changed from run to run.",
)
monitor = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Follow one person live; look at, export and remove what was stored.",
)
purge = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Erase one subject from caches, embeddings, runs, lists of models and stores.",
)
app.add_typer(study, name="study")
app.add_typer(purge, name="purge")
app.add_typer(monitor, name="monitor")


def _version(value: bool | None) -> None:
    if value:
        typer.echo(f"dolorimeter {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = None,
) -> None:
    """Automatic pain assessment with honest evidence. Research software, not a medical device."""
