"""What stands beside every model: majority class, facts that are not signal, level before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from dolorimeter.samples import Samples
from dolorimeter.types import TargetKind

if TYPE_CHECKING:
    import pandas as pd

BASELINES = ("majority", "nuisance", "level_before")

Rows = Int[np.ndarray, "..."]
Labels = Shaped[np.ndarray, " sample"]


def baseline_outputs(
    samples: Samples,
    y: Labels,
    train: Rows,
    test: Rows,
    kind: TargetKind,
    n_classes: int,
    failures: dict[str, str] | None = None,
) -> dict[str, Float[np.ndarray, "row output"]]:
    """Outputs of each baseline on the test rows of one fold, learnt on its training rows.

    ``majority`` is the most frequent class (for a regressor the mean), ``nuisance`` a
    gradient-boosted model of ``Samples.facts``, ``level_before`` the frequency of each class after
    the class of the stimulus before. Outputs are probabilities, or one column of predictions.

    A baseline that fails is named in `failures`, with its error, where that is given: it must not
    cost the model its fold.
    """
    outputs = {}
    for name in BASELINES:
        try:
            found = _baseline(name, samples, y, train, test, kind, n_classes)
        except Exception as error:  # a fault of a side show, whatever it is
            if failures is None:
                raise
            failures[name] = f"{type(error).__name__}: {error}"
            continue
        if found is not None:
            outputs[name] = found
    return outputs


def _baseline(
    name: str,
    samples: Samples,
    y: Labels,
    train: Rows,
    test: Rows,
    kind: TargetKind,
    n_classes: int,
) -> Float[np.ndarray, "row output"] | None:
    """One baseline's outputs; None where the data do not have what it needs."""
    if name == "nuisance":
        return _nuisance(samples, y, train, test, kind, n_classes)
    if kind == "regressor":
        return np.full((len(test), 1), y[train].mean()) if name == "majority" else None
    if name == "majority":
        counts = np.bincount(y[train].astype(int), minlength=n_classes)
        return np.tile(np.eye(n_classes)[counts.argmax()], (len(test), 1))
    before = level_before(samples, y)
    if not (before[train] >= 0).any() or not (before[test] >= 0).any():
        return None
    return _after(before, y, train, test, n_classes)


def level_before(samples: Samples, y: Labels) -> Int[np.ndarray, " sample"]:
    """Class of the stimulus before, in the same subject; −1 for the first one.

    Order is that of the clip index where the data set has one, else of the start within one
    recording. Where neither tells the order, every row is −1.
    """
    before = np.full(len(y), -1)
    if not _order_is_known(samples):
        return before
    order = stimulus_order(samples)
    subjects = samples.subjects.astype(str)
    same = subjects[order[1:]] == subjects[order[:-1]]
    before[order[1:][same]] = y[order[:-1][same]].astype(int)
    return before


def _order_is_known(samples: Samples) -> bool:
    """Whether rows say when they were recorded: a table's order is not an order in time."""
    if samples.facts is not None and "clip_index" in samples.facts:
        return True
    timed = samples.meta["start"].notna().to_numpy()
    several = samples.meta.duplicated(["subject", "recording"], keep=False).to_numpy()
    return bool((timed & several).all())


def stimulus_order(samples: Samples) -> Rows:
    """Rows by subject, then in the order in which the windows were recorded."""
    meta = samples.meta
    keys: list[Any] = [meta["start"].to_numpy(dtype=float), meta["recording"].astype(str)]
    if samples.facts is not None and "clip_index" in samples.facts:
        keys.append(samples.facts["clip_index"].to_numpy(dtype=float))
    return np.lexsort((*keys, samples.subjects.astype(str)))


def _after(
    before: Int[np.ndarray, " sample"], y: Labels, train: Rows, test: Rows, n_classes: int
) -> Float[np.ndarray, "row class"]:
    """Frequency of each class after each class (one added to every count), from training rows."""
    counts = np.ones((n_classes + 1, n_classes))
    np.add.at(counts, (before[train], y[train].astype(int)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return shares[before[test]]


def _nuisance(
    samples: Samples, y: Labels, train: Rows, test: Rows, kind: TargetKind, n_classes: int
) -> Float[np.ndarray, "row output"] | None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    facts = _varying(samples.facts, train)
    if facts is None:
        return None
    options: dict[str, Any] = {
        "max_iter": 30,
        "max_leaf_nodes": 8,
        "early_stopping": False,
        "random_state": 0,
    }
    if kind == "regressor":
        model = HistGradientBoostingRegressor(**options).fit(facts[train], y[train])
        return np.asarray(model.predict(facts[test]), dtype=float)[:, None]
    if len(np.unique(y[train])) < 2:
        return None
    model = HistGradientBoostingClassifier(**options).fit(facts[train], y[train])
    outputs = np.zeros((len(test), n_classes))
    outputs[:, model.classes_.astype(int)] = model.predict_proba(facts[test])
    return outputs


def _varying(facts: pd.DataFrame | None, train: Rows) -> Float[np.ndarray, "sample fact"] | None:
    """Facts that differ between training rows; None where there is none."""
    if facts is None or not facts.shape[1]:
        return None
    values = facts.to_numpy(dtype=float)
    known = [c[~np.isnan(c)] for c in values[train].T]
    keep = [len(c) > 0 and (np.ptp(c) > 0 or len(c) < len(train)) for c in known]
    return values[:, keep] if any(keep) else None
