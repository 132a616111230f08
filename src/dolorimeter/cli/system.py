"""The verb about versions and machine."""

from __future__ import annotations

from dolorimeter.cli._app import Json, app
from dolorimeter.cli._printing import show


@app.command("sys-info")
def sys_info(as_json: Json = False) -> None:
    """Versions and machine, for a methods section or a bug report."""
    from dolorimeter.evaluation import environment

    show(environment(), as_json)
