"""Standardisation within one person, by what it is measured against.

Every kind looks at the person it is applied to: `TARGET_ACCESS` says what a report must declare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.types import TargetAccess

Reference = Literal["all_recording", "task_windows", "declared_baseline", "running"]

TARGET_ACCESS: Mapping[Reference, TargetAccess] = {
    "all_recording": "unlabelled_target",
    "task_windows": "unlabelled_target",
    "declared_baseline": "labelled_reference",
    "running": "unlabelled_target",
}
"""What each reference has seen of the person under test. A declared baseline counts as labelled,
since somebody said that there was no pain."""


class RunningBaseline:
    """Mean and standard deviation of what has come so far, for use in real time.

    Parameters
    ----------
    features : int
        Values in each row.
    least : int
        Earlier values that a feature needs before it is standardised; NaN until then.
    """

    def __init__(self, features: int, least: int = 3) -> None:
        if least < 2:
            raise ConfigError(f"a running baseline needs at least 2 earlier rows, found {least}.")
        self._least = least
        self._count = np.zeros(features)
        self._mean = np.zeros(features)
        self._squares = np.zeros(features)

    def push(self, row: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
        """The row standardised against earlier rows only; it then joins them."""
        out = self.score(row)
        self.add(row)
        return out

    def score(self, row: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
        """The row against the rows added so far; NaN where there are fewer than `least`."""
        out = np.full(row.shape, np.nan)
        ready = self._count >= self._least
        spread = np.sqrt(self._squares[ready] / self._count[ready])
        out[ready] = (row[ready] - self._mean[ready]) / np.where(spread > 0, spread, 1.0)
        return out

    def add(self, row: Float[np.ndarray, " feature"]) -> None:
        """Let a row join mean and deviation (Welford 1962); NaN is left out."""
        known = np.isfinite(row)
        self._count[known] += 1
        step = row[known] - self._mean[known]
        self._mean[known] += step / self._count[known]
        self._squares[known] += step * (row[known] - self._mean[known])


def within_subject(
    x: Float[np.ndarray, "sample feature"],
    subjects: np.ndarray,
    reference: str,
    *,
    rows: Bool[np.ndarray, " sample"] | None = None,
    order: Float[np.ndarray, " sample"] | Int[np.ndarray, " sample"] | None = None,
    least: int = 3,
) -> Float[np.ndarray, "sample feature"]:
    """Each feature minus its mean, over its standard deviation, in each subject by itself.

    Parameters
    ----------
    x : Float[np.ndarray, "sample feature"]
        NaN where unknown; NaN stays NaN and is not counted.
    subjects : array of str
        Subject of each row.
    reference : str
        What mean and deviation are taken from: ``all_recording`` (all rows of the subject),
        ``task_windows`` (those that are the task's), ``declared_baseline`` (those that are known
        to be without pain), ``running`` (those that come earlier in `order`; a row with fewer
        than `least` of them is NaN).
    rows : Bool[np.ndarray, "sample"], optional
        The task's windows (all, unless given) or the declared baseline; else not looked at.
    order : array, optional
        For ``running``: time, or any number that grows with it within a subject; ties are earlier
        by position. Else not looked at.
    least : int
        Rows of the reference that a feature needs to be standardised; otherwise NaN.

    Returns
    -------
    Float[np.ndarray, "sample feature"]
        Without a unit. A feature that is constant over the reference is centred, not scaled. The
        deviation is the population's (n, not n − 1), as in scikit-learn's StandardScaler.

    Raises
    ------
    ConfigError
        If the reference is unknown, or lacks the `rows` or `order` that it needs.
    """
    _check(reference, rows, order, least)
    out = np.full(x.shape, np.nan)
    for subject in np.unique(subjects):
        own = np.flatnonzero(subjects == subject)
        if reference == "running" and order is not None:
            own = own[np.argsort(order[own], kind="stable")]
            baseline = RunningBaseline(x.shape[1], least)
            for row in own:
                out[row] = baseline.push(x[row])
        else:
            marked = own if rows is None or reference == "all_recording" else own[rows[own]]
            out[own] = _against(x[own], x[marked], least)
    return out


def _check(reference: str, rows: np.ndarray | None, order: np.ndarray | None, least: int) -> None:
    if reference not in get_args(Reference):
        raise ConfigError(
            f"unknown reference '{reference}' for standardisation within subject; it is one of: "
            f"{', '.join(get_args(Reference))}."
        )
    if reference == "declared_baseline" and rows is None:
        raise ConfigError(
            "reference 'declared_baseline' needs the argument rows: which windows are baseline."
        )
    if reference == "running" and order is None:
        raise ConfigError("reference 'running' needs the argument order: when each window was.")
    if least < 2:
        raise ConfigError(f"standardisation needs at least 2 rows of reference, found {least}.")


def _against(x: np.ndarray, reference: np.ndarray, least: int) -> np.ndarray:
    known = np.isfinite(reference)
    count = known.sum(axis=0)
    safe = np.maximum(count, 1)
    mean = np.where(known, reference, 0.0).sum(axis=0) / safe
    spread = np.sqrt(np.square(np.where(known, reference - mean, 0.0)).sum(axis=0) / safe)
    low = np.where(known, reference, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, reference, -np.inf).max(axis=0, initial=-np.inf)
    mean = np.where(low < high, mean, low)  # a constant is its own mean, without rounding
    spread = np.where(low < high, spread, 1.0)
    enough = count >= least
    out = np.full(x.shape, np.nan)
    out[:, enough] = (x[:, enough] - mean[enough]) / spread[enough]
    return out


class _RunningScore:
    """Each sample against mean and deviation of all samples so far, itself included."""

    def __init__(self, channels: int, warm_up: int) -> None:
        self._warm_up = warm_up
        self._first = np.full(channels, np.nan)
        self._sums = np.zeros((channels, 3))  # count, sum, sum of squares, all from the first

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        if not chunk.shape[1]:
            return chunk
        known = np.isfinite(chunk)
        new = np.isnan(self._first) & known.any(axis=1)
        self._first[new] = chunk[new, known[new].argmax(axis=1)]
        away = np.where(known, chunk - self._first[:, None], 0.0)
        parts = np.stack([known.astype(float), away, away**2], axis=1)
        # the carried sum goes in front, so that the order of additions is that of the whole run
        sums = np.cumsum(np.concatenate([self._sums[:, :, None], parts], axis=2), axis=2)[:, :, 1:]
        self._sums = sums[:, :, -1].copy()
        count = np.maximum(sums[:, 0], 1.0)
        mean = sums[:, 1] / count
        spread = np.sqrt(np.clip(sums[:, 2] / count - mean**2, 0.0, None))
        out = (away - mean) / np.where(spread > 0, spread, 1.0)
        return np.where(known & (sums[:, 0] >= self._warm_up), out, np.nan)


@PREPROCESSING.register(
    Card("standardise_within_recording", "Mean 0 and standard deviation 1, channel by channel")
)
@dataclass(frozen=True, kw_only=True)
class StandardiseWithinRecording(Step):
    """Standardisation of the signal itself, by its own mean and standard deviation.

    Mode ``recording`` takes them from the whole recording, ``window`` from what was cut out,
    ``causal`` from everything so far. A constant signal becomes zeros. In all but ``window`` the
    person under test is looked at as a whole: declare ``unlabelled_target``.

    Parameters
    ----------
    warm_up : float
        Seconds of samples that the causal mode needs before it gives values; NaN until then.
    """

    MODES = ("causal", "window", "recording")
    SUBSTITUTE = "mode = 'causal', which standardises by what has come so far, or 'window'"

    warm_up: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.warm_up) and self.warm_up >= 0):
            raise ConfigError(
                f"standardise_within_recording: warm_up is {self.warm_up}, expected seconds, 0 or "
                "more."
            )

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return _RunningScore(channels, max(2, round(self.warm_up * sampling_rate)))

    def _whole(
        self,
        values: Float[np.ndarray, "channel time"],
        sampling_rate: float,  # noqa: ARG002 - part of the signature
    ) -> Float[np.ndarray, "channel time"]:
        return np.ascontiguousarray(_against(values.T, values.T, 1).T)
