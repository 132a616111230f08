"""What the files of an adversarial cohort hold, from the formulas alone.

Nothing is imported from the package: the formulas of the module docstring of
`dolorimeter.synthesis.adversarial` are written down a second time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONDITIONS = ("rest", "low", "high")
SUBJECTS = range(1, 13)
REVERSED = (4, 8, 12)
"""Subjects whose conductance falls with the level: a model of the others is always wrong."""


@dataclass(frozen=True)
class Subject:
    """Windows of the task per condition, and the balanced accuracy of a right evaluation.

    The score is None where the formulas do not give it (three classes).
    """

    windows: Mapping[str, int]
    score: float | None


def levels(number: int, seed: int = 0) -> list[int]:
    """Level of each of the nine stimuli."""
    order = np.random.default_rng([seed, number]).permutation([0, 0, 0, 1, 1, 1, 2, 2, 2])
    return [int(level) for level in order]


def conductance(number: int, trial: int, level: int) -> float:
    """Mean skin conductance of a stimulus in microsiemens."""
    fraction = math.fmod(0.6180339887 * (17 * number + trial + 1), 1.0)
    slope = -1.0 if number in REVERSED else 1.0
    return 5.0 + 0.05 * number + slope * (level - 1) + 0.4 * (fraction - 0.5)


def heart_rate(number: int) -> float:
    """Beats per minute."""
    return 60.0 + (7 * number) % 31


def rating(trial: int, level: int) -> float:
    """First rating of a stimulus."""
    return 2.0 * level + 0.1 * trial


def identifier(layout: str, number: int) -> str:
    """Identifier of a subject in a layout."""
    if layout == "biovid":
        return f"0101{number:02d}_{'m' if number % 2 else 'w'}_{20 + number}"
    return f"{number:02d}"


def expected(layout: str, properties: Sequence[str]) -> dict[str, Subject]:
    """Subject → windows and score of an evaluation that assumes nothing.

    Subjects without a window of the task are left out.
    """
    has = set(properties)
    conditions = CONDITIONS if "missing_class" in has else ("rest", "high")
    each = 9 if "many_windows" in has else 3
    subjects: dict[str, Subject] = {}
    for number in SUBJECTS:
        if layout == "ai4pain_2025" and number > 10:
            continue  # the test set is unlabelled
        if (number == 7 and "damaged_file" in has) or (number == 5 and "missing_events" in has):
            continue
        # a BioVid clip without a column or of another length is no clip of the data set
        refused = {9: "missing_modality", 11: "unequal_rates"}.get(number)
        if layout == "biovid" and refused in has:
            continue
        windows = dict.fromkeys(conditions, each)
        right = number not in REVERSED or (number == 12 and "copied_subject" in has)
        score = None if len(conditions) == 3 else float(right)
        if number == 3 and "one_class" in has:
            windows, score = {"rest": each}, math.nan
        if number == 6 and "misspelt_condition" in has:
            windows, score = {"rest": each}, math.nan
        if number == 9 and "missing_class" in has:
            windows = {"rest": each, "high": each}
        subjects[identifier(layout, number)] = Subject(windows, score)
    return subjects


def expected_ratings(properties: Sequence[str]) -> dict[str, list[float]]:
    """Subject → sorted ratings, one per window."""
    found = {}
    for number in SUBJECTS:
        if number == 9 and "missing_rating" in properties:
            continue
        found[identifier("", number)] = sorted(
            rating(trial, level) for trial, level in enumerate(levels(number))
        )
    return found
