"""What is hidden from an autoencoder: tubes of a clip, stretches of a channel."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from dolorimeter.errors import ConfigError


def tube_mask(
    grid: tuple[int, int, int], ratio: float, rng: np.random.Generator
) -> Bool[np.ndarray, " token"]:
    """Places of the picture, drawn once and hidden through all of time.

    Parameters
    ----------
    grid : (int, int, int)
        Tokens in time, rows and columns.
    ratio : float
        Share of the places, rounded down; at least one is hidden and one is seen.

    Raises
    ------
    ConfigError
        If the ratio is not between 0 and 1, or the grid has one place alone.

    Examples
    --------
    >>> tube_mask((8, 14, 14), 0.9, np.random.default_rng(0)).sum()
    np.int64(1408)
    """
    time, places = grid[0], grid[1] * grid[2]
    if not 0 < ratio < 1 or places < 2:
        raise ConfigError(
            f"a mask of {ratio:g} of {places} places; expected a ratio between 0 and 1 (0.9), and "
            "two places or more."
        )
    count = min(max(int(ratio * places), 1), places - 1)
    hidden = np.zeros(places, dtype=bool)
    hidden[rng.permutation(places)[:count]] = True
    return np.tile(hidden, time)


def markov_mask(
    length: int, ratio: float, mean_length: float, rng: np.random.Generator
) -> Bool[np.ndarray, " time"]:
    """A two-state Markov chain along one channel: True where a sample is hidden.

    A hidden sample is followed by a seen one with probability 1/l, a seen one by a hidden one with
    probability (1/l)·r/(1 − r), and the first is hidden with probability r: hidden stretches last
    l samples on average, and a share r of all samples is hidden.

    Parameters
    ----------
    length : int
        Samples.
    ratio : float
        r.
    mean_length : float
        l, in samples.

    Raises
    ------
    ConfigError
        If no such chain exists: r not between 0 and 1, l below 1, or l below r/(1 − r).
    """
    if not 0 < ratio < 1 or mean_length < 1 or ratio > mean_length * (1 - ratio):
        raise ConfigError(
            f"hidden stretches of {mean_length:g} samples that make up {ratio:g} of a signal; "
            "expected a share between 0 and 1, and a mean length of at least one sample and of "
            "share / (1 − share). Take longer stretches or a higher sampling rate."
        )
    chance = {True: 1 / mean_length, False: ratio / (1 - ratio) / mean_length}
    mask = np.empty(length, dtype=bool)
    hidden, at = bool(rng.random() < ratio), 0
    while at < length:
        run = int(rng.geometric(chance[hidden]))  # how long a state with that way out lasts
        mask[at : at + run] = hidden
        hidden, at = not hidden, at + run
    return mask
