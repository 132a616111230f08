"""Rows that share one label by design: the units that a permutation test may exchange."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int, Shaped

from dolorimeter.samples import Samples
from dolorimeter.types import TargetKind

Labels = Shaped[np.ndarray, " sample"]

CLUSTERED_P = 0.01
"""Level of the runs test by which labels of rows without stimulus names come in runs."""


@dataclass(frozen=True)
class LabelUnits:
    """Which labels may be exchanged with which.

    Parameters
    ----------
    unit : Int[np.ndarray, "sample"]
        Number of the stimulus, block or row of each sample.
    rotated : bool
        Whether labels vary within stimuli, so that they are rotated within each recording.
    name : str
        How labels are shuffled, such as "by stimulus within each person".
    reason : str
        Why labels cannot be exchanged; empty if they can.
    """

    unit: Int[np.ndarray, " sample"]
    rotated: bool
    name: str
    reason: str = ""


def label_units(samples: Samples, y: Labels, kind: TargetKind) -> LabelUnits:
    """Return the units of which each has one label, with the rows of a stimulus in one unit.

    Windows of one named stimulus are a unit. Where a stimulus has several labels, labels depend
    on time, and the whole sequence of a recording is rotated. Rows without a stimulus are blocks
    of the largest length that divides every run of equal labels in their recording; if that is 1
    although labels come in longer runs than by chance, the rows of one stimulus are unknown.

    Parameters
    ----------
    samples : Samples
    y : ndarray of shape (n_samples,)
        Labels or targets.
    kind : {"classifier", "ordinal", "regressor"}

    Returns
    -------
    LabelUnits
    """
    order = rows_in_time(samples)
    meta = samples.meta
    codes = pd.factorize(y)[0]
    recording = meta.groupby([meta["subject"].astype(str), meta["recording"].astype(str)],
                             sort=False).ngroup().to_numpy()  # fmt: skip
    stimulus = meta["stimulus"].astype(str).to_numpy()
    named = stimulus != ""
    unit = pd.factorize(pd.Series(list(zip(recording, stimulus, strict=True))))[0]
    several = pd.Series(codes).groupby(unit).transform("nunique").to_numpy() > 1
    rows_per_recording = np.bincount(recording)
    if (named & several).any() or (kind == "regressor" and (~named).any()):
        if rows_per_recording.max() > 1:
            return LabelUnits(
                np.arange(len(y)),
                True,
                "by rotation within each recording",
                _changeless(samples, y),
            )
        return LabelUnits(np.arange(len(y)), False, _NAMES["row"], _changeless(samples, y))
    following, widths = int(unit.max()) + 1, []
    clusters = RunsTest()
    for number in np.unique(recording[~named]):
        rows = order[(recording[order] == number) & ~named[order]]
        width = math.gcd(*_run_lengths(codes[rows]).tolist())
        if width == 1:
            clusters.add(codes[rows])
        unit[rows] = following + np.arange(len(rows)) // width
        following += -(-len(rows) // width)
        widths.append(width)
    if clusters.p < CLUSTERED_P:
        return LabelUnits(
            unit,
            False,
            "",
            "labels cannot be permuted: samples have no stimulus, and equal labels come in runs "
            "of different lengths, so that the windows of one stimulus are unknown. Name the "
            "stimulus of each sample (Samples.from_arrays(…, stimulus=…), column 'stimulus').",
        )
    name = "row" if widths and max(widths) == 1 else "block" if widths else "stimulus"
    return LabelUnits(unit, False, _NAMES[name], _changeless(samples, y))


_NAMES = {
    "row": "by window within each person",
    "block": "by block of windows within each person",
    "stimulus": "by stimulus within each person",
}


def permuted_labels(
    units: LabelUnits, samples: Samples, y: Labels, rng: np.random.Generator
) -> Labels:
    """Return permuted labels: within subjects, and between subjects who have one label only.

    Parameters
    ----------
    units : LabelUnits
    samples : Samples
    y : ndarray of shape (n_samples,)
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    subjects = samples.subjects.astype(str)
    if units.rotated:
        return _rotated(samples, y, rng)
    shuffled = permuted_within(y, subjects, rng, units.unit)
    single = _single_labels(subjects, y)
    if len(set(single.values())) > 1:
        names = sorted(single)
        for name, donor in zip(names, rng.permutation(names), strict=True):
            shuffled[subjects == name] = single[donor]
    return shuffled


def permuted_within(
    y: Labels,
    subjects: Labels,
    rng: np.random.Generator,
    units: Int[np.ndarray, " sample"] | None = None,
) -> Labels:
    """Return labels shuffled among the samples of each subject, or among its units.

    All samples of a unit must have one label, and lie in one subject.
    """
    units = np.arange(len(y)) if units is None else units
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    owner = pd.factorize(subjects[first].astype(str))[0]
    shuffled = y[first]
    by_subject = np.argsort(owner, kind="stable")
    shuffled[by_subject] = y[first][np.lexsort((rng.random(len(first)), owner))]
    return shuffled[place]


def rows_in_time(samples: Samples) -> Int[np.ndarray, " sample"]:
    """Rows by subject and recording, then by start where it is known, else as they are."""
    meta = samples.meta
    start = np.nan_to_num(meta["start"].to_numpy(dtype=float), nan=np.inf)
    keys = (start, meta["recording"].astype(str).to_numpy(), samples.subjects.astype(str))
    order: Int[np.ndarray, " sample"] = np.lexsort(keys)
    return order


def _rotated(samples: Samples, y: Labels, rng: np.random.Generator) -> Labels:
    """Labels of each recording, moved by a random number of rows, the last ones to the front."""
    order = rows_in_time(samples)
    meta = samples.meta
    keys = (samples.subjects.astype(str) + "\0" + meta["recording"].astype(str).to_numpy())[order]
    out = y.copy()
    for key in np.unique(keys):
        rows = order[keys == key]
        out[rows] = np.roll(y[rows], int(rng.integers(len(rows))))
    return out


def _single_labels(subjects: Labels, y: Labels) -> dict[str, object]:
    """Label of each subject who has one label only."""
    pairs = pd.DataFrame({"subject": subjects, "label": y}).drop_duplicates()
    alone = pairs[~pairs["subject"].duplicated(keep=False)]
    return dict(zip(alone["subject"].astype(str), alone["label"], strict=True))


def _changeless(samples: Samples, y: Labels) -> str:
    """Why permuted labels would be the true ones; empty if they can differ."""
    subjects = samples.subjects.astype(str)
    single = _single_labels(subjects, y)
    if len(single) == len(np.unique(subjects)) and len(set(single.values())) < 2:
        return "labels cannot be permuted: all samples have one label."
    return ""


def _run_lengths(codes: Int[np.ndarray, " sample"]) -> Int[np.ndarray, " run"]:
    """Lengths of the runs of equal codes."""
    ends = np.flatnonzero(np.append(np.diff(codes) != 0, True)) + 1
    return np.diff(np.concatenate([[0], ends]))


class RunsTest:
    """Wald–Wolfowitz test of fewer runs than in random order, over several sequences."""

    def __init__(self) -> None:
        self.difference, self.variance = 0.0, 0.0

    def add(self, codes: Int[np.ndarray, " sample"]) -> None:
        """Count the neighbours with different codes against their expectation and variance."""
        n, counts = len(codes), np.bincount(codes)
        same = float((counts * (counts - 1)).sum())
        expected = (n * (n - 1) - same) / n
        # variance of the number of changes in a random order (Barton & David 1957)
        squares, cubes = float((counts**2.0).sum()), float((counts**3.0).sum())
        if n < 3:
            return
        variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1))
        self.difference += float((np.diff(codes) != 0).sum()) - expected
        self.variance += max(variance, 0.0)

    @property
    def p(self) -> float:
        """One-sided p of as few runs; 1 without variance."""
        if self.variance <= 0:
            return 1.0
        return 0.5 * math.erfc(-self.difference / math.sqrt(2 * self.variance))
