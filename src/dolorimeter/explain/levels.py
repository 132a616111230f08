"""Do curves over a window's time differ between levels? Against levels that were shuffled.

A person's windows are exchanged among themselves alone: people differ from each other whatever
the level is, and a null that mixes them would be too narrow or too wide. Windows of one stimulus
move together, since neighbours resemble each other.

References
----------
Westfall and Young, *Resampling-based multiple testing* (1993), single-step maximum statistic;
Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010), p of
permutations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from dolorimeter.errors import ConfigError

PERMUTATIONS = 999
BAND = (2.5, 97.5)
"""Percentiles of a step's null that are drawn as a band."""
LEVEL = 0.05


@dataclass(frozen=True)
class LevelCurves:
    """Mean curve of each level, and what its difference from the first level is worth.

    Parameters
    ----------
    levels : tuple of str
        The first is what the others are compared with.
    curves : Float[np.ndarray, "level step"]
        Mean over people of each person's mean.
    differences, low, high : Float[np.ndarray, "other step"]
        Of the other levels from the first, mean over people who have both; and between what 95 %
        of the differences with shuffled levels lie, step by step.
    limit : Float[np.ndarray, "other step"]
        What the size of a difference exceeds anywhere, at any level, in 5 % of the shuffles.
    p : Float[np.ndarray, "other"]
        Of the largest difference of each level, corrected for all steps and all levels.
    strongest : Int[np.ndarray, "other"]
        The step of that difference.
    people, blocks : int
        Who has two levels at least, and their stimuli.
    left_out : tuple of str
        People with a single level, who say nothing of differences.
    permutations : int
    smallest_p : float
        No p can be below it, with so few stimuli or shuffles.
    """

    levels: tuple[str, ...]
    curves: Float[np.ndarray, "level step"]
    differences: Float[np.ndarray, "other step"]
    low: Float[np.ndarray, "other step"]
    high: Float[np.ndarray, "other step"]
    limit: Float[np.ndarray, "other step"]
    p: Float[np.ndarray, " other"]
    strongest: Int[np.ndarray, " other"]
    people: int
    blocks: int
    left_out: tuple[str, ...]
    permutations: int
    smallest_p: float


def compare_levels(
    curves: Float[np.ndarray, "window step"],
    level: Sequence[str],
    subject: Sequence[str],
    *,
    stimulus: Sequence[str] | None = None,
    levels: Sequence[str] = (),
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> LevelCurves:
    """Difference of each level's mean curve from the first level's, against shuffled levels.

    Parameters
    ----------
    curves : Float[np.ndarray, "window step"]
        One curve a window: attention, or anything else over a window's time.
    level, subject : sequence of str
        Of each window.
    stimulus : sequence of str, optional
        Which windows of a person belong together and are averaged first; None: each by itself.
    levels : sequence of str
        Their order, the one to compare with first; empty: sorted.
    permutations : int
        How often levels are shuffled, within each person.
    seed : int

    Raises
    ------
    ConfigError
        If lengths differ, a curve is not finite, there is one level, nobody has two, or a number
        makes no sense.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> level, subject = ["BL", "PA4"] * 20, [f"s{i // 10}" for i in range(40)]
    >>> x = rng.normal(size=(40, 8)); x[1::2, 5] += 3
    >>> found = compare_levels(x, level, subject)
    >>> found.strongest.item(), float(found.p[0])
    (5, 0.001)
    """
    x = np.asarray(curves, dtype=np.float64)
    order = tuple(levels) or tuple(sorted(set(map(str, level))))
    _check(x, level, subject, stimulus, order, permutations)
    names = np.asarray([str(s) for s in subject])
    x, codes, people = _blocks(x, [order.index(str(v)) for v in level], names, stimulus)
    own, left_out = _with_two(codes, people)
    x, codes, people = x[own], codes[own], people[own]
    if not len(x):
        raise ConfigError(
            f"none of {len(left_out)} people has windows of two levels of {', '.join(order)}: "
            "nothing can be compared within a person. Give recordings of more levels."
        )
    who = np.unique(people, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    shuffled = [codes, *(_shuffled(codes, who, rng) for _ in range(permutations))]
    means, found = _means(x, codes, who, len(order)), []
    for labels in shuffled:
        found.append(_differences(_means(x, labels, who, len(order))))
    drawn = np.stack(found)  # (1 + permutation, other, step), the observed one first
    spread = drawn.std(axis=0)
    score = np.abs(drawn) / np.where(spread > 0, spread, np.inf)  # (1 + permutation, other, step)
    largest = score.max(axis=(1, 2))
    beyond = largest[:, None] >= score[0].max(axis=1) - 1e-9
    low, high = np.percentile(drawn[1:], BAND, axis=0)
    return LevelCurves(
        levels=order,
        curves=_over_people(means),
        differences=drawn[0],
        low=low,
        high=high,
        limit=np.percentile(largest, 100 * (1 - LEVEL)) * spread,
        p=beyond.mean(axis=0),
        strongest=score[0].argmax(axis=1),
        people=len(np.unique(who)),
        blocks=len(x),
        left_out=tuple(sorted(left_out)),
        permutations=permutations,
        smallest_p=max(1 / (permutations + 1), _rarest(codes, who)),
    )


def _check(
    x: Float[np.ndarray, "window ..."],
    level: Sequence[str],
    subject: Sequence[str],
    stimulus: Sequence[str] | None,
    order: tuple[str, ...],
    permutations: int,
) -> None:
    counts = {len(level), len(subject), len(level if stimulus is None else stimulus), len(x)}
    if x.ndim != 2 or len(counts) != 1 or not x.size:
        raise ConfigError(
            f"curves of shape {x.shape} with {len(level)} levels and {len(subject)} subjects: "
            "expected (window, step), and a level and a subject for each window."
        )
    if not np.isfinite(x).all():
        raise ConfigError("a curve is not finite: leave out windows that lack the modality.")
    unknown = sorted(set(map(str, level)) - set(order))
    if len(order) < 2 or unknown:
        told = f"and there are windows of {', '.join(unknown)}" if unknown else "expected two"
        raise ConfigError(f"levels are {', '.join(order) or 'none'}, {told}.")
    if permutations < 19:
        raise ConfigError(f"permutations is {permutations}, expected at least 19: p is 1/20 then.")


def _blocks(
    x: Float[np.ndarray, "window step"],
    codes: Sequence[int],
    names: np.ndarray,
    stimulus: Sequence[str] | None,
) -> tuple[Float[np.ndarray, "block step"], Int[np.ndarray, " block"], np.ndarray]:
    """Mean curve, level and person of each stimulus."""
    keys = np.arange(len(x)) if stimulus is None else np.asarray([str(s) for s in stimulus])
    table = pd.DataFrame({"who": names, "level": codes, "stimulus": keys})
    group = table.groupby(["who", "level", "stimulus"], sort=True).ngroup().to_numpy()
    count = np.bincount(group)
    mean = _summing(group, len(count)) @ x / count[:, None]
    first = np.unique(group, return_index=True)[1]
    return mean, table["level"].to_numpy(dtype=int)[first], names[first]


def _with_two(codes: Int[np.ndarray, " block"], people: np.ndarray) -> tuple[np.ndarray, set[str]]:
    """Which blocks are of people with two levels, and who has one only."""
    counts = pd.Series(codes).groupby(people).nunique()
    single = set(counts.index[counts < 2])
    return ~np.isin(people, sorted(single)), {str(name) for name in single}


def _shuffled(
    codes: Int[np.ndarray, " block"], who: Int[np.ndarray, " block"], rng: np.random.Generator
) -> Int[np.ndarray, " block"]:
    """Levels of each person's stimuli in another order; `who` ascends."""
    out = codes.copy()
    out[np.lexsort((rng.random(len(who)), who))] = codes
    return out


def _means(
    x: Float[np.ndarray, "block step"],
    codes: Int[np.ndarray, " block"],
    who: Int[np.ndarray, " block"],
    levels: int,
) -> Float[np.ndarray, "person level step"]:
    """Mean curve of each person and level; NaN of a level that a person has not."""
    people = int(who.max()) + 1
    group = who * levels + codes
    count = np.bincount(group, minlength=people * levels)[:, None].astype(float)
    total = _summing(group, people * levels) @ x
    return (total / np.where(count > 0, count, np.nan)).reshape(people, levels, -1)


def _summing(group: Int[np.ndarray, " row"], groups: int) -> sparse.csr_array:
    return sparse.csr_array(
        (np.ones(len(group)), (group, np.arange(len(group)))), shape=(groups, len(group))
    )


def _differences(
    means: Float[np.ndarray, "person level step"],
) -> Float[np.ndarray, "other step"]:
    """Of each other level from the first, mean over people who have both; 0 where nobody has."""
    gap = means[:, 1:] - means[:, :1]
    known = np.isfinite(gap).sum(axis=0)
    return np.nansum(gap, axis=0) / np.maximum(known, 1)


def _over_people(
    means: Float[np.ndarray, "person level step"],
) -> Float[np.ndarray, "level step"]:
    """Mean over the people who have a level; NaN where nobody has."""
    known = np.isfinite(means).sum(axis=0).astype(float)
    return np.nansum(means, axis=0) / np.where(known > 0, known, np.nan)


def _rarest(codes: Int[np.ndarray, " block"], who: Int[np.ndarray, " block"]) -> float:
    """One over the number of orders that can be told apart."""
    log = 0.0
    for person in range(int(who.max()) + 1):
        counts = np.bincount(codes[who == person])
        log += math.lgamma(counts.sum() + 1) - sum(math.lgamma(c + 1) for c in counts)
    return math.exp(-log)
