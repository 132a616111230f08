"""Weights from outside, and the subjects they were trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from dolorimeter.datasets.participants import identity
from dolorimeter.errors import OverlapError
from dolorimeter.registry import DATASETS, Weights
from dolorimeter.types import TargetAccess


def subjects_by_namespace(meta: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return the subjects of samples per person namespace, as their own data set names them.

    Parameters
    ----------
    meta : DataFrame
        With the columns ``dataset`` and ``subject``. Samples of several data sets may have
        ``dataset:subject`` there.

    Returns
    -------
    dict of str to tuple of str
        Namespace (of the data set's Card; the data set's name if it has no Card) → subjects.

    Examples
    --------
    >>> meta = pd.DataFrame({"dataset": ["biovid"], "subject": ["biovid:071309_w_21"]})
    >>> subjects_by_namespace(meta)
    {'biovid': ('071309_w_21',)}
    """
    known = set(DATASETS.names())
    found: dict[str, set[str]] = {}
    pairs = meta[["dataset", "subject"]].astype(str).drop_duplicates()
    for dataset, subject in pairs.itertuples(index=False):
        card = DATASETS.card(dataset) if dataset in known else None
        namespace = str(getattr(card, "person_namespace", "") or dataset)
        found.setdefault(namespace, set()).add(subject.removeprefix(f"{dataset}:"))
    return {namespace: tuple(sorted(names)) for namespace, names in found.items()}


def seen_subjects(
    register: Mapping[str, Sequence[str]], subjects: Mapping[str, Iterable[str]]
) -> list[str]:
    """Return the subjects that a register of training subjects names, in any spelling.

    Parameters
    ----------
    register : mapping of str to sequence of str
        Person namespace, or the name of a data set of it, → subjects; an empty sequence means all
        of them.
    subjects : mapping of str to iterable of str
        Person namespace → subjects under test.

    Returns
    -------
    list of str
        ``subject of namespace``, sorted.

    Examples
    --------
    >>> seen_subjects({"painmonit": ["S_01"]}, {"painmonit": ["S_1", "S_2"]})
    ['S_1 of painmonit']
    """
    known: dict[str, list[Sequence[str]]] = {}
    for namespace, listed in register.items():
        known.setdefault(_namespace(namespace), []).append(listed)
    found = []
    for namespace, names in subjects.items():
        lists = known.get(_namespace(namespace), [])
        seen = {identity(name) for listed in lists for name in listed}
        found += [
            f"{name} of {namespace}"
            for name in sorted(map(str, set(names)))
            if identity(name) in seen or not all(len(listed) for listed in lists)
        ]
    return found


def _namespace(name: str) -> str:
    """Person namespace that a name means, in one spelling: its own name or that of a data set."""
    wanted = identity(name)
    for dataset in DATASETS.names():
        if identity(dataset) == wanted:
            card = DATASETS.card(dataset)
            return identity(getattr(card, "person_namespace", "") or dataset)
    return wanted


def refuse_overlap(
    weights: Weights, subjects: Mapping[str, Iterable[str]], target_access: TargetAccess
) -> str:
    """Raise if weights were trained on subjects that they would be tested on.

    Parameters
    ----------
    weights : Weights
        With `trained_on`: person namespace → subjects (none named: the whole data set).
    subjects : mapping of str to iterable of str
        Subjects under test, see `subjects_by_namespace`.
    target_access : TargetAccess
        Self-supervised weights may have seen them if ``unlabelled_target`` is declared.

    Returns
    -------
    str
        A note for the report; empty if the weights are known to have seen none of the subjects.

    Raises
    ------
    OverlapError
        Naming the subjects.
    """
    if weights.trained_on is None:
        return f"pre-training overlap unknown: {weights.url} does not list its training subjects"
    seen = seen_subjects(weights.trained_on, subjects)
    if not seen:
        return ""
    if weights.self_supervised and target_access != "none":
        return f"the weights have seen {len(seen)} of the subjects tested, without their labels"
    raise OverlapError(
        f"{weights.url} was trained on {len(seen)} of the subjects under test "
        f"({', '.join(seen[:5])}). Test on others, or take weights that have not seen them."
    )
