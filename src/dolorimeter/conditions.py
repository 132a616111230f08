"""Conditions of a data set: count them per subject and find those that take no part."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from dolorimeter.samples import Samples
from dolorimeter.types import Recording

UNLABELLED = "unlabelled"
"""Condition of a segment whose label the publishers withhold."""

NOT_IN_TASK = "Conditions of the data that are not part of the task"
"""How the note on them begins."""

SIMILAR = 0.8
"""Similarity from which two names of conditions may be one name misspelt (`difflib`, 0…1)."""


def condition_counts(
    source: Samples | Iterable[Recording], *, subjects: Iterable[str] = ()
) -> pd.DataFrame:
    """Count the windows or stimuli of each condition per subject.

    Parameters
    ----------
    source : Samples, or iterable of Recording
        Of samples the windows are counted, of recordings the stimuli. No signal is read.
    subjects : iterable of str, default ()
        Subjects that have a row even if nothing of them can be counted, such as those whose only
        file is damaged.

    Returns
    -------
    pandas.DataFrame
        One row per subject (index ``subject``), one integer column per condition, both sorted. A
        subject without any stimulus has a row of zeros.

    Examples
    --------
    >>> from dolorimeter.types import Stimulus
    >>> rest, pain = Stimulus(0.0, 5.0, "rest"), Stimulus(9.0, 5.0, "pain")
    >>> recordings = [
    ...     Recording("mine", "S1", "a", stimuli=(rest, pain, pain)),
    ...     Recording("mine", "S2", "b"),
    ... ]
    >>> condition_counts(recordings).to_dict("index")
    {'S1': {'pain': 2, 'rest': 1}, 'S2': {'pain': 0, 'rest': 0}}
    """
    rows: dict[str, dict[str, int]] = {str(subject): {} for subject in subjects}
    if isinstance(source, Samples):
        pairs: Iterable[tuple[str, str]] = zip(
            source.subjects.astype(str), source.meta["condition"].astype(str), strict=True
        )
    else:
        recordings = list(source)
        for recording in recordings:
            rows.setdefault(recording.subject, {})
        pairs = ((r.subject, s.condition) for r in recordings for s in r.stimuli)
    for subject, condition in pairs:
        of_subject = rows.setdefault(subject, {})
        if condition:
            of_subject[condition] = of_subject.get(condition, 0) + 1
    names = sorted({name for row in rows.values() for name in row})
    return pd.DataFrame(
        [[row.get(name, 0) for name in names] for row in rows.values()],
        index=pd.Index(list(rows), name="subject", dtype=object),
        columns=pd.Index(names, dtype=object),
        dtype=int,
    ).sort_index()


def misspelt(counts: pd.DataFrame, expected: Sequence[str] = ()) -> dict[str, str]:
    """Return conditions that look like another one misspelt.

    Two names are one if they differ in case, blanks and punctuation only. They may be one if they
    are similar and no subject has both.

    Parameters
    ----------
    counts : pandas.DataFrame
        From `condition_counts`.
    expected : sequence of str, default ()
        Conditions that are right. By default the more frequent of two is.

    Returns
    -------
    dict of str to str
        Suspected condition and the one it may stand for.

    Examples
    --------
    >>> counts = pd.DataFrame({"strong": [5, 0], "Strong": [0, 5], "none": [5, 5]}, ["S1", "S2"])
    >>> misspelt(counts, ["none", "strong"])
    {'Strong': 'strong'}
    """
    total = counts.sum()
    names = [str(name) for name in counts]
    right = list(expected) or sorted(names, key=lambda name: (-total[name], name))
    found: dict[str, str] = {}
    for name in names:
        if name in expected or name == UNLABELLED:
            continue
        for other in right if expected else right[: right.index(name)]:
            same = _plain(name) == _plain(other)
            if other not in found and (same or (other in counts and _may_be(name, other, counts))):
                found[name] = other
                break
    return found


def _may_be(name: str, other: str, counts: pd.DataFrame) -> bool:
    """Whether two similar names never occur in one subject, and differ in more than a number."""
    together = ((counts[name] > 0) & (counts[other] > 0)).any()
    letters = [c for c in _plain(name) if not c.isdecimal()]
    same_letters = letters == [c for c in _plain(other) if not c.isdecimal()]
    ratio = difflib.SequenceMatcher(None, name.casefold(), other.casefold()).ratio()
    return not together and not same_letters and ratio >= SIMILAR


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum())


def unused_note(counts: pd.DataFrame, expected: Sequence[str]) -> tuple[str, ...]:
    """Return the note on conditions that take no part, or nothing if all do.

    Parameters
    ----------
    counts : pandas.DataFrame
        From `condition_counts`.
    expected : sequence of str
        Conditions of the task; empty means all.

    Returns
    -------
    tuple of str
        At most one note.

    Examples
    --------
    >>> unused_note(pd.DataFrame({"BL1": [20], "PA4": [20], "PA1": [20]}, ["S1"]), ["BL1", "PA4"])
    ('Conditions of the data that are not part of the task: PA1 (20 in 1 subject)',)
    """
    unused = [name for name in counts if expected and name not in expected]
    if not unused:
        return ()
    named = ", ".join(
        f"{name} ({int(counts[name].sum()):,} in {_subjects(int((counts[name] > 0).sum()))})"
        for name in unused
    )
    return (f"{NOT_IN_TASK}: {named}",)


def _subjects(count: int) -> str:
    return f"{count} subject{'' if count == 1 else 's'}"


def lacking(counts: pd.DataFrame, conditions: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the subjects that have nothing of a class.

    Parameters
    ----------
    counts : pandas.DataFrame
        From `condition_counts`.
    conditions : mapping of str to sequence of str
        Class and the conditions that belong to it.

    Returns
    -------
    dict of str to list of str
        Classes that somebody lacks, with the subjects.
    """
    found = {}
    for name, members in conditions.items():
        have = counts.reindex(columns=list(members), fill_value=0).sum(axis=1)
        if (have == 0).any():
            found[name] = [str(subject) for subject in counts.index[have == 0]]
    return found


def everything_takes_part(exclusions: int, notes: Iterable[str]) -> bool:
    """Return whether every recording, stimulus and window of the data is in the result.

    Parameters
    ----------
    exclusions : int
        Number of exclusions.
    notes : iterable of str
        Notes of the samples or of the run.

    Examples
    --------
    >>> everything_takes_part(0, [f"{NOT_IN_TASK}: PA1 (20 in 1 subject)"])
    False
    """
    return not exclusions and not any(note.startswith(NOT_IN_TASK) for note in notes)
