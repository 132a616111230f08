"""How well a task's held-out rows are told: one number a kind of label."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int64

from dolorimeter import metrics


def score(
    label: str,
    output: Float64[np.ndarray, "row column"],
    target: Int64[np.ndarray, " row"] | Float64[np.ndarray, "row column"],
) -> float | None:
    """Balanced accuracy of classes, mean area under the curve, or mean concordance correlation.

    Over what is known; None where nothing can be said.
    """
    if label == "class":
        odds = np.exp(output - output.max(axis=1, keepdims=True))
        return metrics.balanced_accuracy(target, odds / odds.sum(axis=1, keepdims=True))
    found = []
    for column in range(output.shape[1]):
        known = ~np.isnan(target[:, column])
        truth, told = target[known, column], output[known, column]
        if len(np.unique(truth)) < 2:
            continue
        if label == "multi_label":
            found.append(metrics.auroc_of_score(truth.astype(np.int64), told))
        else:
            found.append(metrics.concordance(truth, told))
    kept = [value for value in found if math.isfinite(value)]
    return float(np.mean(kept)) if kept else None
