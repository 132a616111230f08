"""The application, and the options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
FirstSubjects = Annotated[int | None, typer.Option(min=2, help="Only the first so many subjects.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="DOTTED.KEY=VALUE instead of the file's.")
]
ReaderOptions = Annotated[
    list[str] | None, typer.Option("--option", help="KEY=VALUE for the reader, such as part=B.")
]


app = typer.Typer(
    name="dolorimeter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
