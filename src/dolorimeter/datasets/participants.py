"""Subject identity: decide whether two identifiers name one subject.

One function serves readers, splits, the audit and the register of training subjects, so that
``001``, ``1``, ``1.0`` and ``sub-01`` are one subject everywhere or nowhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

TOKEN = re.compile(r"\d+|[^\W\d_]+")
WHOLE_FLOAT = re.compile(r"\d+\.0+")
PREFIXES = frozenset({"sub", "subject"})  # BIDS writes sub-01 for participant 01


def identity(subject: object) -> str:
    """Return the canonical form of a subject identifier.

    Identifiers with the same canonical form are treated as one subject. The form ignores Unicode
    composition and width, case, outer blanks, the kind of separator, leading zeros, a trailing
    ``.0`` and the prefix ``sub-``. It keeps the order of the parts: ``1-11`` is not ``11-1``,
    and neither is ``111``.

    Parameters
    ----------
    subject : object
        Identifier as read from a file: text, an integer or a float without a fraction.

    Returns
    -------
    str
        Canonical form. An identifier without letters and digits is its own form.

    Examples
    --------
    >>> [identity(s) for s in ("001", 1, 1.0, "sub-01", "S1 ", "s_01")]
    ['1', '1', '1', '1', 's-1', 's-1']
    >>> identity("1-11") == identity("11-1")
    False
    """
    text = unicodedata.normalize("NFKC", str(subject)).strip().casefold()
    if WHOLE_FLOAT.fullmatch(text):
        text = text.partition(".")[0]
    tokens = [str(int(t)) if t.isdecimal() else t for t in TOKEN.findall(text)]
    if len(tokens) > 1 and tokens[0] in PREFIXES:
        tokens = tokens[1:]
    return "-".join(tokens) or text


def spellings(subjects: Iterable[object]) -> list[tuple[str, ...]]:
    """Return the groups of different identifiers that name one subject.

    Parameters
    ----------
    subjects : iterable of object
        Identifiers; repeated ones count once.

    Returns
    -------
    list of tuple of str
        One tuple per subject with two or more spellings, sorted.

    Examples
    --------
    >>> spellings(["001", "1", "2", "Anna", "anna"])
    [('001', '1'), ('Anna', 'anna')]
    """
    groups: dict[str, set[str]] = {}
    for subject in subjects:
        groups.setdefault(identity(subject), set()).add(str(subject))
    return sorted(tuple(sorted(names)) for names in groups.values() if len(names) > 1)
