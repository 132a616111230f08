"""A test person whose classes are far from even: what standardisation within subject leans on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Shaped

from dolorimeter.errors import EvaluationError

THINNED = "thinned_90_10"
"""Name of the thinned rows among ``Run.baselines``: the model itself, on a thinned test person."""


def thin_classes(
    y: Shaped[np.ndarray, " sample"],
    subjects: Shaped[np.ndarray, " sample"],
    rng: np.random.Generator,
    share: float = 0.9,
) -> Bool[np.ndarray, " sample"]:
    """Rows to keep so that one class makes up `share` of each subject's rows.

    All rows of that class stay, and of the others together a random ``(1 − share) / share`` as
    many, at least one. Which class it is goes round over subjects in the order of their names, so
    that over people every class is the rare one about equally often.

    Parameters
    ----------
    y : int array
        Class of each row; negative where a row has no class, which is kept.
    subjects : array of str
    share : float
        At least ½ and below 1.

    Raises
    ------
    EvaluationError
        If `share` is out of range.
    """
    if not 0.5 <= share < 1:
        raise EvaluationError(f"a share of {share} to thin to, expected at least 0.5, below 1.")
    keep = np.ones(len(y), dtype=bool)
    names = subjects.astype(str)
    for place, subject in enumerate(np.unique(names)):
        own = np.flatnonzero((names == subject) & (y >= 0))
        classes = np.unique(y[own])
        if len(classes) < 2:
            continue
        common = classes[place % len(classes)]
        rest = own[y[own] != common]
        left = round((len(own) - len(rest)) * (1 - share) / share)
        keep[rest] = False
        keep[rng.permutation(rest)[: max(left, 1)]] = True
    return keep
