"""What is asked of an explanation, whichever way it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dolorimeter.chain import Progress
from dolorimeter.explain._window import Asked

LOOKALIKE = "Look-alike data: made faces, no finding about people."


@dataclass(frozen=True)
class Question:
    """The arguments of `explain_model`, checked."""

    asked: Asked
    out: Path | None
    class_name: str | None
    frames: int
    checks: bool
    progress: Progress | None


class Counter:
    """Pictures done, told to whoever wants to know."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress = progress
        self.total = total
        self.done = 0

    def add(self, count: int) -> None:
        """So many pictures more."""
        self.done = min(self.done + count, self.total - 1)
        if self.progress is not None:
            self.progress(self.done, self.total)

    def finish(self) -> None:
        """All of them."""
        if self.progress is not None:
            self.progress(self.total, self.total)
