"""What a feature is, and the table of features of one modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.types import Array


@dataclass(frozen=True)
class Feature:
    """One number a window, and when it may be trusted.

    Parameters
    ----------
    name : str
        Without the modality (``"scr_count"``).
    unit : str
        With ``{unit}`` where the signal's unit stands (``"{unit}/s"``).
    definition : str
        How it is computed, in a sentence.
    source : str
        The paper it comes from.
    min_duration : float
        Seconds; a shorter window gives NaN.
    min_sampling_rate : float
        Hertz; a slower signal gives NaN.
    absolute_threshold : bool
        Whether its definition holds a threshold in the unit of the table: NaN for a signal in
        arbitrary units, and a remark where the unit is not confirmed.
    needs_onset : bool
        Whether it needs to know when the stimulus began.
    refused : str
        Why this modality never gives it a value; empty where it does.
    undefined : str
        Why it can be NaN although all the above is met.
    """

    name: str
    unit: str
    definition: str
    source: str
    min_duration: float = 0.0
    min_sampling_rate: float = 0.0
    absolute_threshold: bool = False
    needs_onset: bool = False
    refused: str = ""
    undefined: str = ""

    def limit(self, duration: float, sampling_rate: float) -> str:
        """Why no window of this length and rate can have it; empty where it can."""
        if self.refused:
            return self.refused
        if sampling_rate < self.min_sampling_rate:
            return (
                f"needs a sampling rate of at least {self.min_sampling_rate:g} Hz, the signal "
                f"has {sampling_rate:g} Hz"
            )
        if duration < self.min_duration * (1 - 1e-9):
            return f"needs at least {self.min_duration:g} s, the window has {duration:g} s"
        return ""


@dataclass(frozen=True)
class Table:
    """The features of one modality and the function that computes them.

    Parameters
    ----------
    title : str
        For the documentation.
    modalities : str
        The names it serves, for the documentation.
    unit : str or None
        The unit `compute` is given; None: the signal's own.
    features : tuple of Feature
        In the order of the columns.
    compute : callable
        ``(values "window time", sampling_rate) -> "window feature"``; with `takes_onset` a third
        argument, seconds from the window's start to the stimulus onset (NaN: unknown).
    takes_onset : bool
        See `compute`.
    pooled : bool
        Whether several channels also give their mean.
    rectified : Table, optional
        The table with the same columns for a signal that a preprocessing step has rectified.
    """

    title: str
    modalities: str
    unit: str | None
    features: tuple[Feature, ...]
    compute: Callable[..., Array]
    takes_onset: bool = False
    pooled: bool = False
    rectified: Table | None = None


def in_order(
    features: tuple[Feature, ...],
    columns: Mapping[str, Float[np.ndarray, " window"]],
    duration: float,
    sampling_rate: float,
) -> Float[np.ndarray, "window feature"]:
    """Columns in the order of the table, NaN where the table's limits are not met.

    `columns` has every feature that is not `refused`.
    """
    windows = len(next(iter(columns.values())))
    table = np.full((windows, len(features)), np.nan)
    for i, feature in enumerate(features):
        if not feature.limit(duration, sampling_rate):
            table[:, i] = columns[feature.name]
    return table


def any_within(features: tuple[Feature, ...], duration: float, sampling_rate: float) -> bool:
    """Whether windows of this length and rate can have at least one of the features."""
    return any(not feature.limit(duration, sampling_rate) for feature in features)
