"""What goes wrong at any level alike: movement, clipping, gaps, dead leads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

ARTEFACTS = ("clipped", "flat", "nan", "movement")
MOVEMENT_MICROVOLTS = {"ecg": 400.0, "emg": 25.0}
SPO2_DROP = 2.0
"""Percent: an oximeter reads low when the finger moves."""
MOVEMENT_SHARE = 0.15
"""Of its own standard deviation or level, for other signals."""


def disturb(
    signals: Mapping[str, Float[np.ndarray, " time"]],
    *,
    movement: float,
    artefacts: float,
    rng: np.random.Generator,
) -> tuple[bool, str]:
    """Spoil the signals of one window, in place.

    Parameters
    ----------
    signals : mapping of name to Float[np.ndarray, "time"]
    movement : float
        Probability that the person moves: all signals of the window show it.
    artefacts : float
        Probability, for each signal, that it is clipped, flat, has a gap of NaN, or moves alone.

    Returns
    -------
    moved : bool
    found : str
        ``"ecg:clipped eda:nan"``, empty when all is well.
    """
    moved = bool(rng.random() < movement)
    start, length = rng.uniform(0.0, 0.7), rng.uniform(0.1, 0.3)
    found = []
    for name, values in signals.items():
        if moved:
            _move(name, values, start, length, rng)
        hit, kind = rng.random() < artefacts, ARTEFACTS[rng.integers(len(ARTEFACTS))]
        if hit:
            _spoil(kind, name, values, rng)
            found.append(f"{name}:{kind}")
    return moved, " ".join(found)


def _spoil(
    kind: str, name: str, values: Float[np.ndarray, " time"], rng: np.random.Generator
) -> None:
    count = len(values)
    if kind == "clipped":
        low, high = np.quantile(values, (0.1, 0.9))
        np.clip(values, low, high, out=values)
    elif kind == "flat":
        values[:] = values[0]
    elif kind == "nan":
        first = int(rng.integers(count // 2))
        values[first : first + int(rng.integers(count // 20, count // 3))] = np.nan
    else:
        _move(name, values, rng.uniform(0.0, 0.7), rng.uniform(0.1, 0.3), rng)


def _move(
    name: str,
    values: Float[np.ndarray, " time"],
    start: float,
    length: float,
    rng: np.random.Generator,
) -> None:
    """A bump of the baseline; of muscle, a burst."""
    x = (np.linspace(0.0, 1.0, len(values)) - start) / length
    bump = np.where((x > 0) & (x < 1), np.sin(np.pi * np.clip(x, 0, 1)) ** 2, 0.0)
    kind = name.partition("_")[0]
    if kind == "emg":
        values += MOVEMENT_MICROVOLTS["emg"] * bump * rng.standard_normal(len(values))
    elif kind == "spo2":
        values -= SPO2_DROP * abs(rng.normal()) * bump
    else:
        size = MOVEMENT_MICROVOLTS.get(kind, MOVEMENT_SHARE * float(np.nanmax(np.abs(values))))
        values += size * rng.normal() * bump
