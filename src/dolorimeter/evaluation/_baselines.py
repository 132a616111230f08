"""Reference baselines: majority class, nuisance facts, previous stimulus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from dolorimeter.evaluation._label_units import label_units
from dolorimeter.samples import Samples
from dolorimeter.types import TargetKind

BASELINES = ("majority", "nuisance", "level_before")

SIGNAL_FACTS = frozenset(
    {"file_size", "face_missing", "face_size", "luminance", "mean_luminance", "quality"}
)
"""Facts that depend on sample values: the size of a text file counts digits, that of a compressed
video follows motion, and faces are detected in pixels. They are no control for the signal."""

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

    ``majority`` is the share of each class (for a regressor the mean), ``nuisance`` a
    gradient-boosted model of those ``Samples.facts`` that do not depend on sample values
    (`SIGNAL_FACTS` do), ``level_before`` the frequency of each class after the class of the
    stimulus before. Outputs are probabilities, or one column of predictions.

    The error of a baseline that fails goes into `failures`, if passed: the model keeps its fold.
    """
    outputs = {}
    for name in BASELINES:
        try:
            found = _baseline(name, samples, y, train, test, kind, n_classes)
        except Exception as error:  # whatever it is
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
        facts = () if samples.facts is None else samples.facts.columns
        names = [str(fact) for fact in facts if str(fact) not in SIGNAL_FACTS]
        return fact_outputs(samples, y, train, test, kind, n_classes, names)
    if kind == "regressor":
        return np.full((len(test), 1), y[train].mean()) if name == "majority" else None
    if name == "majority":
        counts = np.bincount(y[train].astype(int), minlength=n_classes)
        return np.tile(counts / counts.sum(), (len(test), 1))
    before = level_before(samples, y)
    if not (before[train] >= 0).any() or not (before[test] >= 0).any():
        return None
    return _after(before, y, train, test, n_classes)


def level_before(samples: Samples, y: Labels) -> Int[np.ndarray, " sample"]:
    """Return the class of the stimulus before, for every window of a stimulus; −1 if unknown.

    Stimuli are ordered by the clip index of a subject where the data set has one, else by start
    within one recording, if every window of it has one. Windows without stimulus names are
    grouped as `label_units` does; where that is impossible the order of stimuli is unknown.
    """
    before = np.full(len(y), -1)
    units = label_units(samples, y, "classifier")
    if units.reason:
        return before
    unit = units.unit
    if units.rotated:  # labels vary within stimuli
        names = samples.meta[["subject", "recording", "stimulus"]].astype(str)
        unit = names.groupby(list(names.columns), sort=False).ngroup().to_numpy()
    order = stimulus_order(samples)
    sequence = _sequences(samples)[order]
    known = sequence >= 0
    order, sequence = order[known], sequence[known]
    if not len(order):
        return before
    starts = np.append(True, (np.diff(sequence) != 0) | (np.diff(unit[order]) != 0))
    stimulus = np.cumsum(starts) - 1
    last = np.append(np.flatnonzero(starts)[1:], len(order)) - 1
    of_stimulus, place = y[order[last]].astype(int), sequence[last]
    previous = np.full(len(last), -1)
    same = place[1:] == place[:-1]
    previous[1:][same] = of_stimulus[:-1][same]
    before[order] = previous[stimulus]
    return before


def _sequences(samples: Samples) -> Int[np.ndarray, " sample"]:
    """Number of the sequence in which a row has a known place; −1 if it has none.

    A sequence is a subject where clips are numbered, else a recording all of whose rows have a
    start: the order of recordings is unknown.
    """
    meta = samples.meta
    subject = meta["subject"].astype(str)
    if _clip_index(samples) is not None:
        return subject.groupby(subject).ngroup().to_numpy()
    groups = meta["start"].groupby([subject, meta["recording"].astype(str)])
    timed = (
        meta["start"].notna().groupby([subject, meta["recording"].astype(str)]).transform("all")
    )
    return np.where(timed.to_numpy(dtype=bool), groups.ngroup().to_numpy(), -1)


def _clip_index(samples: Samples) -> Float[np.ndarray, " sample"] | None:
    """Place of each clip in its session, where the data set has one."""
    if samples.facts is None or "clip_index" not in samples.facts:
        return None
    values: Float[np.ndarray, " sample"] = samples.facts["clip_index"].to_numpy(dtype=float)
    return values if np.isfinite(values).all() else None


def stimulus_order(samples: Samples) -> Rows:
    """Rows by subject, then in the order in which the windows were recorded."""
    meta = samples.meta
    keys: list[Any] = [meta["start"].to_numpy(dtype=float), meta["recording"].astype(str)]
    if (index := _clip_index(samples)) is not None:
        keys.append(index)
    return np.lexsort((*keys, samples.subjects.astype(str)))


def _after(
    before: Int[np.ndarray, " sample"], y: Labels, train: Rows, test: Rows, n_classes: int
) -> Float[np.ndarray, "row class"]:
    """Frequency of each class after each class (one added to every count), from training rows."""
    counts = np.ones((n_classes + 1, n_classes))
    np.add.at(counts, (before[train], y[train].astype(int)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return shares[before[test]]


def fact_outputs(
    samples: Samples,
    y: Labels,
    train: Rows,
    test: Rows,
    kind: TargetKind,
    n_classes: int,
    names: Sequence[str],
) -> Float[np.ndarray, "row output"] | None:
    """Return outputs of gradient-boosted trees that see only some facts of the windows.

    Parameters
    ----------
    samples : Samples
    y : ndarray of shape (n_samples,)
        Class indices or targets.
    train, test : int array
        Rows to learn from, and to predict.
    kind : {"classifier", "ordinal", "regressor"}
    n_classes : int
    names : sequence of str
        Columns of ``Samples.facts``, such as ``("file_size",)``.

    Returns
    -------
    ndarray or None
        Probabilities or one column of predictions of the test rows; None if no fact varies.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    facts = None if samples.facts is None else _varying(samples.facts[list(names)], train)
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


def _varying(facts: pd.DataFrame, train: Rows) -> Float[np.ndarray, "sample fact"] | None:
    """Facts that differ between training rows; None where there is none."""
    if not facts.shape[1]:
        return None
    values = facts.to_numpy(dtype=float)
    known = [c[~np.isnan(c)] for c in values[train].T]
    keep = [len(c) > 0 and (np.ptp(c) > 0 or len(c) < len(train)) for c in known]
    return values[:, keep] if any(keep) else None
