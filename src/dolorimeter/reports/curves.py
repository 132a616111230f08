"""Points of the curves in a report, from labels and probabilities of windows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from dolorimeter import metrics

MAX_POINTS = 200
"""Points kept of a curve: more would only make the page heavier."""


def thinned(count: int, limit: int = MAX_POINTS) -> Int[np.ndarray, " kept"]:
    """Evenly spaced places in ``0 … count − 1``, at most `limit`, with both ends."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, limit)).round().astype(int))


def roc_points(
    positive: Bool[np.ndarray, " window"], score: Float[np.ndarray, " window"]
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """False- and true-positive rates at every threshold, from (0, 0) to (1, 1); ties together.

    Empty when one of the classes has no window.
    """
    if positive.all() or not positive.any():
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-score, kind="stable")
    hit = positive[order]
    last = np.append(np.diff(score[order]) != 0, True)
    true = np.concatenate([[0.0], np.cumsum(hit)[last] / hit.sum()])
    false = np.concatenate([[0.0], np.cumsum(~hit)[last] / (~hit).sum()])
    keep = thinned(len(true))
    return false[keep], true[keep]


def reliability_points(
    happened: Bool[np.ndarray, " window"],
    probability: Float[np.ndarray, " window"],
    bins: int = 10,
) -> tuple[Float[np.ndarray, " bin"], Float[np.ndarray, " bin"], Int[np.ndarray, " bin"]]:
    """Mean probability, share that happened and number of windows of bins of equal mass.

    Windows of equal probability are in one bin.
    """
    parts = metrics.equal_mass_bins(probability, bins) if len(probability) else []
    predicted = np.array([probability[p].mean() for p in parts], dtype=float)
    observed = np.array([happened[p].mean() for p in parts], dtype=float)
    return predicted, observed, np.array([len(p) for p in parts], dtype=int)


def risk_coverage_points(
    label: Int[np.ndarray, " window"], probability: Float[np.ndarray, "window class"]
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """Share of windows answered, surest first, and the share wrong among them."""
    if not len(label):
        return np.zeros(0), np.zeros(0)
    coverage, risk = metrics.risk_coverage(label, probability)
    keep = thinned(len(coverage))
    return coverage[keep], risk[keep]


def decision_points(
    label: Int[np.ndarray, " window"], probability: Float[np.ndarray, "window class"]
) -> tuple[
    Float[np.ndarray, " threshold"],
    Float[np.ndarray, " threshold"],
    Float[np.ndarray, " threshold"],
]:
    """Thresholds, net benefit of acting on the model, and that of acting on every window."""
    thresholds = np.arange(1, 100) / 100
    always = np.tile([0.0, 1.0], (len(label), 1))
    return (
        thresholds,
        metrics.net_benefit(label, probability, thresholds),
        metrics.net_benefit(label, always, thresholds),
    )
