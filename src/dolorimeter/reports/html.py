"""A page as one self-contained HTML file: no script, no request, everything escaped."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import jinja2

from dolorimeter.reports.blocks import Page


def html(page: Page) -> str:
    """The page as HTML.

    Text is escaped by jinja2's autoescape; only the SVG made by `figures` is trusted. A content
    security policy inside the page forbids scripts and every request.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = files("dolorimeter.reports") / "templates" / "report.html.j2"
    template = environment.from_string(source.read_text(encoding="utf-8"))
    sections = [
        {"it": section, "blocks": [_named(b) for b in section.blocks]} for section in page.sections
    ]
    return template.render(page=page, sections=sections)


def _named(block: Any) -> dict[str, Any]:
    """A block and the name of its kind, by which the template chooses."""
    return {"kind": type(block).__name__, "it": block}
