"""What a report is made of, before it becomes HTML or Markdown.

All text is plain: nothing here is markup, and what renders it escapes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["plain", "good", "warn", "bad", "quiet"]


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `tone` colours its border and is also said by `label`."""

    text: str
    tone: Tone = "plain"
    label: str = ""


@dataclass(frozen=True)
class Items:
    """A bulleted list."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """Cells of one row; `tone` is always also said in words in one of the cells."""

    cells: tuple[str, ...]
    tone: Tone = "plain"


@dataclass(frozen=True)
class Table:
    """A table. Columns in `numeric` are right-aligned; `folded` hides it behind its caption."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    numeric: frozenset[int] = frozenset()
    folded: bool = False
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """An SVG made by `figures`, trusted as such, and what a reader should see in it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Figures:
    """Figures side by side where there is room."""

    figures: tuple[Figure, ...]


Block = Paragraph | Items | Table | Figures


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Verdict:
    """What a busy reader takes home from one run.

    `figure` is the number with its interval; `sentences` say what was asked and what follows.
    """

    headline: str
    figure: str
    sentences: tuple[str, ...]
    tone: Tone = "plain"


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    subtitle: str
    watermark: str
    verdicts: tuple[Verdict, ...]
    sections: Sequence[Section] = field(default_factory=tuple)
    footer: tuple[str, ...] = ()
    note: str = ""


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object] | Row],
    *,
    numeric: Sequence[int] = (),
    folded: bool = False,
    note: str = "",
) -> Table:
    """A `Table` from any values; floats are printed as they stand."""
    made = [r if isinstance(r, Row) else Row(tuple(str(c) for c in r)) for r in rows]
    return Table(caption, tuple(columns), tuple(made), frozenset(numeric), folded, note)
