"""What verbs print and read: tables or JSON, progress, KEY=VALUE."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dolorimeter.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd


def show(rows: Any, as_json: bool, title: str = "") -> None:
    """Print a table (a list of mappings, or a mapping), or the same as JSON.

    Characters that the output cannot encode are escaped: by `main` in text, here in JSON, where
    only JSON's own escapes are valid.
    """
    if as_json:
        written = json.dumps(plain(rows), indent=2, ensure_ascii=False, allow_nan=False)
        if not _can_print(written):
            written = json.dumps(plain(rows), indent=2, ensure_ascii=True, allow_nan=False)
        typer.echo(written)
        return
    from rich.console import Console
    from rich.table import Table

    if isinstance(rows, Mapping):
        rows = [{"": key, " ": value} for key, value in rows.items()]
    table = Table(title=title or None, title_justify="left", show_lines=False)
    for place, column in enumerate(rows[0] if rows else ()):
        table.add_column(str(column), overflow="fold", min_width=None if place else 24)
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    with console.capture() as text:  # rich would end with 1 where nobody reads on
        console.print(table)
    typer.echo(text.get(), nl=False)


def _can_print(text: str) -> bool:
    """Whether the encoding of standard output has every character of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def plain(value: Any) -> Any:
    """Values that strict JSON can hold: NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict(orient="records")]


class Progress:
    """A bar on a terminal, a plain line every tenth in a log."""

    def __init__(self, what: str) -> None:
        self.what, self.shown = what, -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        end = "\n" if done >= total else ""
        if sys.stderr.isatty():
            bar = "█" * (2 * tenth) + "░" * (20 - 2 * tenth)
            sys.stderr.write(f"\r{self.what} {bar} {done}/{total}{end}")
        elif tenth != self.shown:
            sys.stderr.write(f"{self.what} {done}/{total}\n")
        self.shown = tenth
        sys.stderr.flush()


def options_of(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; values are read as TOML where that works, else as text."""
    import tomllib

    options: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{pair}' is not KEY=VALUE.")
        try:
            options[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            options[key] = value
    return options


def leaving_out(rows: Sequence[Mapping[str, Any]], column: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != column} for row in rows]


def close(table: pd.DataFrame, as_json: bool) -> None:
    """What must be said under the table of a study."""
    if as_json:
        return
    if table["look-alike"].any():
        typer.echo("Look-alike data: no statement about people.")
    typer.echo("Research software, not a medical device.")
