"""What a representation gives back, and how the parts of a cohort are put together again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from dolorimeter.types import Array

LISTED = 12
"""How many features a sentence names."""


@dataclass(frozen=True)
class Undefined:
    """A number that could not be computed: of which feature, why, and in how many windows."""

    feature: str
    reason: str
    windows: int


@dataclass(frozen=True)
class Represented:
    """Windows as an array, with everything a reader of the numbers must know.

    Parameters
    ----------
    x : array
        First axis: window. Features are ``(window, feature)``, raw signals
        ``(window, channel, time)``. A window without the modality is a row of NaN.
    names, units : tuple of str
        Of the features, or of the channels.
    present : Bool[np.ndarray, "window"]
        Whether the window has the modality over its whole span.
    remarks : tuple of str
        Sentences a report must print.
    undefined : tuple of Undefined
        Every NaN of `x`, counted by feature and reason.
    """

    x: Array
    names: tuple[str, ...]
    units: tuple[str, ...]
    present: Bool[np.ndarray, " window"]
    remarks: tuple[str, ...] = ()
    undefined: tuple[Undefined, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The remarks, then one sentence for each reason why numbers are NaN."""
        grouped: dict[tuple[str, int], list[str]] = {}
        for entry in self.undefined:
            grouped.setdefault((entry.reason, entry.windows), []).append(entry.feature)
        total = len(self.present)
        return self.remarks + tuple(
            f"{_listed(features)}: NaN in {windows:,} of {total:,} windows: {reason}."
            for (reason, windows), features in grouped.items()
        )


def count(entries: Iterable[Undefined]) -> tuple[Undefined, ...]:
    """Entries of the same feature and reason added up, in order of first appearance."""
    total: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        total[entry.feature, entry.reason] += entry.windows
    return tuple(Undefined(feature, reason, n) for (feature, reason), n in total.items() if n)


def _listed(features: list[str]) -> str:
    """Names in a row; of very many (channels × features) the first ones and a number."""
    if len(features) <= LISTED:
        return ", ".join(features)
    return f"{', '.join(features[:LISTED])} and {len(features) - LISTED} more"
