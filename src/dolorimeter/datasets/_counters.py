"""Columns of numbers that count rows, sessions, time or subjects, and so are no features."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float

from dolorimeter.types import Array

ROW_NAMES = re.compile(
    r"__index_level_\d+__|unnamed(:_| |: ?)?\d+(_level_\d+)?|index|level_\d+|idx|id|"
    r"row(_?(id|nr|no|number|index))?|"
    r"(sample|window|segment|epoch|obs(ervation)?|record|case)(_?(id|nr|no|number|index|idx))?|"
    r"nr|no|number|#|order|counter|frame(_?(id|nr|no|number|index))?|face_id",
    re.IGNORECASE,
)
"""Names that number rows, whatever the values are."""

TIME_NAMES = re.compile(
    r"(unix_?)?time(_?stamp)?(_?(s|ms|sec|seconds))?|approx_time|t|sec|seconds?|minutes?|date|"
    r"datetime|onset|clock|(trial|session|ses|run|block|day|visit|measurement|stimulus|repetition)"
    r"(_?(id|nr|no|number|index|idx))?",
    re.IGNORECASE,
)
"""Names of sessions, trials and times: left out whatever the values are."""

FACT_NAMES = re.compile(
    r"age(_?(years|yrs))?|sex|gender|height(_?(cm|m))?|weight(_?kg)?|bmi|site|cent(er|re)|group|"
    r"handedness|education|ethnicity",
    re.IGNORECASE,
)
"""Names of facts of a subject; left out where they do not change within a subject."""

FEWEST = 8
"""Differences within subjects that a monotone column must have to be taken for a counter."""


def not_a_feature(name: str, values: Float[np.ndarray, " row"], subjects: Array) -> str:
    """Return why a column of numbers is no feature; empty text if it may be one.

    Parameters
    ----------
    name : str
        Of the column.
    values : Float[np.ndarray, "row"]
        In the order of the file.
    subjects : array of str
        Subject of each row.

    Returns
    -------
    str
        For example ``"counts rows"``.

    Examples
    --------
    >>> subjects = np.repeat(["a", "b"], 5)
    >>> not_a_feature("n", np.arange(10.0)[::-1], subjects)
    'counts rows down'
    >>> not_a_feature("scr", np.array([0.1, 0.3, 0.2] * 3 + [0.4]), subjects)
    ''
    """
    if ROW_NAMES.fullmatch(name):
        return "numbers the rows, by its name"
    if TIME_NAMES.fullmatch(name):
        return "counts sessions or time, by its name"
    whole = bool((values % 1 == 0).all())  # False with a missing value
    if not whole and (np.isnan(values).any() or not FACT_NAMES.fullmatch(name)):
        return ""
    codes = np.unique(subjects.astype(str), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    groups = np.split(values[order], np.flatnonzero(np.diff(codes[order])) + 1)
    steady = all((group == group[0]).all() for group in groups)
    if steady and len(groups) > 1 and max(map(len, groups)) > 1:
        firsts = [group[0] for group in groups]
        if FACT_NAMES.fullmatch(name):
            return "a fact of the subject"
        if len(groups) > 2 and sorted(firsts) == list(
            np.arange(min(firsts), min(firsts) + len(firsts))
        ):
            return "numbers the subjects"
    if not whole:
        return ""
    for steps, what in (
        ([np.diff(values)], "counts rows"),
        ([np.diff(g) for g in groups], "counts the rows of each subject"),
        ([_without_restarts(g) for g in groups], "counts the rows of each subject and session"),
    ):
        joined = np.concatenate(steps)
        if len(joined) < FEWEST:
            continue
        if (joined > 0).all():
            return what
        if (joined < 0).all():
            return f"{what} down"
    if len(values) >= 2 * FEWEST and (np.diff(np.sort(values)) == 1).all():
        return "numbers the rows"
    return ""


def _without_restarts(values: Float[np.ndarray, " row"]) -> Float[np.ndarray, " step"]:
    """Steps without the restarts of a counter, if those are few: else the steps as they are."""
    steps = np.diff(values)
    restart = (values[1:] == values.min()) & (steps < 0) | (values[1:] == values.max()) & (
        steps > 0
    )
    if 0 < restart.sum() <= len(steps) / 5 and len(set(steps[~restart].tolist())) == 1:
        return steps[~restart]
    return steps
