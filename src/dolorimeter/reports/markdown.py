"""A page as Markdown: the same words and tables; figures are only in the HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dolorimeter.reports.blocks import Block, Figures, Items, Page, Paragraph, Table

_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def markdown(page: Page) -> str:
    """The page as Markdown (GitHub's tables), every text escaped."""
    return "\n\n".join(part for part in _parts(page) if part) + "\n"


def escaped(text: str) -> str:
    r"""Text that Markdown prints as it is, on one line.

    >>> escaped("a|b <b>")
    'a\\|b &lt;b&gt;'
    """
    plain = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return "".join(_MARKUP.get(letter, letter) for letter in plain)


def table_markdown(table: Table) -> str:
    """One table, right-aligned where numeric."""
    rule = ["---:" if i in table.numeric else "---" for i in range(len(table.columns))]
    lines = [_line([escaped(c) for c in table.columns]), _line(rule)]
    lines += [_line([escaped(c) for c in row.cells]) for row in table.rows]
    return "\n".join(lines)


def _parts(page: Page) -> Iterator[str]:
    yield f"# {escaped(page.title)}"
    if page.watermark:
        yield f"> **{escaped(page.watermark)}**"
    yield escaped(page.subtitle)
    for verdict in page.verdicts:
        yield f"**{escaped(verdict.headline)}**"
        yield f"**{escaped(verdict.figure)}**"
        yield from (escaped(sentence) for sentence in verdict.sentences)
    yield escaped(page.note)
    for section in page.sections:
        yield f"## {escaped(section.title)}"
        for block in section.blocks:
            yield from _block(block)
    yield "---"
    yield from (escaped(line) for line in page.footer)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        label = f"**{escaped(block.label)}** " if block.label else ""
        yield label + escaped(block.text)
    elif isinstance(block, Items):
        yield "\n".join(f"- {escaped(text)}" for text in block.texts)
    elif isinstance(block, Table):
        yield f"**{escaped(block.caption)}**"
        yield table_markdown(block)
        yield escaped(block.note)
    elif isinstance(block, Figures):
        yield "\n".join(f"- Figure in the HTML: {escaped(f.caption)}" for f in block.figures)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
