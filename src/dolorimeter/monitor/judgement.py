"""From a predictor's row to what a session says: expected level, interval, or silence."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.errors import ConfigError
from dolorimeter.estimators import IsotonicCalibrated, TemperatureCalibrated
from dolorimeter.monitor.nouns import CoverageKind
from dolorimeter.predictor import Predictor

COVERAGE = 0.9
"""Of intervals that are read off a model's own probabilities."""
UNLIKE = "the signals are unlike any that the model was trained on: no level is plausible"


@dataclass(frozen=True)
class Judgement:
    """What a window says of the level; `abstained` says why it says nothing."""

    probabilities: dict[str, float] = field(default_factory=dict)
    expected_level: float | None = None
    lower: float | None = None
    upper: float | None = None
    coverage: float | None = None
    coverage_kind: CoverageKind = "none"
    abstained: str = ""
    remarks: tuple[str, ...] = ()


class Judge:
    """Reads a predictor's rows.

    Parameters
    ----------
    predictor : Predictor
    levels : (float, float), optional
        Lowest and highest value of a regressor's target, which the model does not tell.

    Raises
    ------
    ConfigError
        If a regressor's `levels` are not given.
    """

    def __init__(self, predictor: Predictor, levels: tuple[float, float] | None = None) -> None:
        self._predictor = predictor
        self._classes = predictor.classes
        if predictor.target_kind != "regressor":
            levels = (0.0, float(len(self._classes) - 1))
        elif levels is None:
            raise ConfigError(
                f"model '{predictor.title}' predicts a number: give its lowest and highest value, "
                "such as --levels 0,10."
            )
        self.levels = levels
        estimator = predictor.estimator
        self.conformal = hasattr(estimator, "predict_set") or hasattr(
            estimator, "predict_interval"
        )
        self._calibrated = isinstance(estimator, TemperatureCalibrated | IsotonicCalibrated)
        self._coverage: float = float(getattr(estimator, "coverage", COVERAGE))

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands behind the interval, for page and exports."""
        if self.conformal:
            return (
                f"The interval is conformal: it holds the true level of at least "
                f"{1 - 2 * (1 - self._coverage):.0%}, usually {self._coverage:.0%}, of windows of "
                "people like those the model was trained on, and promises nothing for others.",
            )
        kind = "calibrated" if self._calibrated else "own, uncalibrated"
        return (f"The interval is read off the model's {kind} probabilities: no promise.",)

    def __call__(self, row: pd.Series[Any], missing: float) -> Judgement:
        """The judgement of one row.

        Parameters
        ----------
        row : pandas.Series
            Of `Predictor.predict_samples`.
        missing : float
            Share of the model's modalities that are not there: the interval widens with it.
        """
        if self._predictor.target_kind == "regressor":
            return self._number(row, missing)
        found = np.array([float(row[f"p_{name}"]) for name in self._classes])
        if not np.isfinite(found).all():
            return Judgement(abstained="the model gives no probabilities for such a window")
        found = np.clip(found, 0.0, None) / np.clip(found, 0.0, None).sum()
        level = float(found @ np.arange(len(found)))
        low, high = _central(found, missing)
        kind: CoverageKind = "calibrated" if self._calibrated else "none"
        if f"in_set_{self._classes[0]}" in row.index:
            inside = [i for i, name in enumerate(self._classes) if bool(row[f"in_set_{name}"])]
            if not inside:
                return Judgement(abstained=UNLIKE)
            kind = "conformal"
            low = min(low, inside[0]) if missing else inside[0]
            high = max(high, inside[-1]) if missing else inside[-1]
        promised = kind != "none" and not missing
        return Judgement(
            dict(zip(self._classes, found.tolist(), strict=True)),
            level,
            min(float(low), level),
            max(float(high), level),
            self._coverage if promised else None,
            kind if promised else "none",
            remarks=_widened(missing),
        )

    def _number(self, row: pd.Series[Any], missing: float) -> Judgement:
        level = float(row["prediction"])
        if not np.isfinite(level):
            return Judgement(abstained="the model gives no number for such a window")
        if "lower" not in row.index:
            return Judgement(expected_level=level, remarks=_widened(missing))
        lower, upper = float(row["lower"]), float(row["upper"])
        if not (np.isfinite(lower) and np.isfinite(upper)):
            return Judgement(expected_level=level, remarks=_widened(missing))
        lower = level - (level - lower) * (1 + missing)
        upper = level + (upper - level) * (1 + missing)
        kind: CoverageKind = "none" if missing else "conformal"
        coverage = None if missing else self._coverage
        lower, upper = min(lower, level), max(upper, level)
        return Judgement({}, level, lower, upper, coverage, kind, remarks=_widened(missing))


def _widened(missing: float) -> tuple[str, ...]:
    if not missing:
        return ()
    return ("a modality is missing: the interval is wider, and what it promises does not hold",)


def _central(probabilities: Float[np.ndarray, " level"], missing: float) -> tuple[int, int]:
    """Lowest and highest level between which `COVERAGE` of the probability lies.

    What is missing is taken for knowing nothing: that share is spread over all levels.
    """
    mixed = (1 - missing) * probabilities + missing / len(probabilities)
    below = np.cumsum(mixed)
    tail = (1 - COVERAGE) / 2
    lower = int(np.searchsorted(below, tail, side="right"))
    upper = int(np.searchsorted(below, 1 - tail - 1e-12))
    return min(lower, len(mixed) - 1), min(upper, len(mixed) - 1)


@dataclass
class Alert:
    """On when the level has been high for long enough, off when it has been lower for as long.

    Parameters
    ----------
    threshold : float
        Expected level from which it is high.
    hysteresis : float
        How far below `threshold` it must fall to count as lower.
    delay : float
        Seconds that either must last. An abstention neither raises nor clears it.
    """

    threshold: float
    hysteresis: float = 0.1
    delay: float = 5.0
    on: bool = False
    _since: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ConfigError(f"alert from level {self.threshold}: expected a number.")
        if self.hysteresis < 0 or self.delay < 0:
            raise ConfigError(
                f"alert with hysteresis {self.hysteresis:g} and delay {self.delay:g} s: expected "
                "both at least 0."
            )

    def update(self, level: float | None, time: float) -> bool:
        """Whether it is on after an estimate at a time of the session's clock."""
        if level is None:
            self._since = None
            return self.on
        turns = level < self.threshold - self.hysteresis if self.on else level >= self.threshold
        if not turns:
            self._since = None
        elif self._since is None:
            self._since = time
        if self._since is not None and time - self._since >= self.delay:
            self.on, self._since = not self.on, None
        return self.on
