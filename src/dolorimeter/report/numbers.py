"""The numbers of a run that a report prints, taken from `summarise`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from dolorimeter.evaluation import Run


@dataclass(frozen=True)
class Estimate:
    """A score: mean over people, 95 % interval over people, sd of people (NaN where unknown)."""

    metric: str
    mean: float
    low: float = math.nan
    high: float = math.nan
    sd: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether the interval could be computed."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Numbers:
    """What a report prints of one run.

    Parameters
    ----------
    kind : str
        ``classifier``, ``ordinal`` or ``regressor``.
    main : Estimate
        Balanced accuracy, or concordance.
    measures : tuple of Estimate
        Every metric as mean over people.
    pooled : mapping of metric to value
        Over all windows.
    scores : mapping of subject to main metric
    baselines : mapping of name to Estimate
        In the main metric.
    chance, majority : float or None
        What guessing gives in the main metric; share of the most frequent class.
    p_value : float or None
        Of a permutation test, where one was made.
    groups : tuple of rows
        Column, group, people, score, interval, note: printed as they are.
    """

    kind: str
    classes: tuple[str, ...]
    subjects: int
    windows: int
    main: Estimate
    measures: tuple[Estimate, ...]
    pooled: Mapping[str, float]
    scores: Mapping[str, float]
    baselines: Mapping[str, Estimate]
    chance: float | None
    majority: float | None
    p_value: float | None = None
    target_access: str = "none"
    modalities: tuple[str, ...] = ()
    class_counts: str = ""
    lowest: str = ""
    higher_is_better: bool = True
    groups: tuple[tuple[str, ...], ...] = ()
    group_estimates: tuple[tuple[str, Estimate], ...] = ()
    seed_scores: Mapping[int, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether there are classes."""
        return self.kind != "regressor"
