"""Subjects under other names: reports are passed on, and people should not be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dolorimeter.storage import digest


def pseudonyms(subjects: Iterable[str], *, reveal: bool = False) -> dict[str, str]:
    """Subject → ``S01``, ``S02`` …, in the order of a hash of the name.

    The order tells nothing of the data set's own order, and stays the same for the same people.
    With `reveal`, names stand for themselves.

    >>> sorted(pseudonyms(["anna", "bert"]).values())
    ['S01', 'S02']
    """
    names = sorted(set(map(str, subjects)), key=lambda s: (digest("subject", s), s))
    if reveal:
        return {name: name for name in sorted(names)}
    width = max(2, len(str(len(names))))
    return {name: f"S{i:0{width}d}" for i, name in enumerate(names, start=1)}


def hide(text: str, names: Mapping[str, str], *, numbers: bool = False) -> str:
    """Text with every subject's name in it replaced by the pseudonym, longest name first.

    A name counts only where no letter or digit touches it. A name that is only digits is replaced
    after the word "subject", since a sentence has other numbers; with `numbers` (file names and
    places) it is replaced wherever it stands alone.
    """
    known = sorted((n for n in names if names[n] != n), key=len, reverse=True)
    words = [re.escape(n) for n in known if numbers or not n.isdigit()]
    digits = [re.escape(n) for n in known if n.isdigit()]
    for before, choices in (
        (r"(?<![^\W_])", words),
        (r"(?i:(?<=subject )|(?<=subject '))", digits),
    ):
        if choices:
            pattern = rf"{before}(?:{'|'.join(choices)})(?![^\W_])"
            text = re.sub(pattern, lambda m: names[m.group(0)], text)
    return text
