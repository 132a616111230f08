"""What classifiers make of the signals: never more than the bound, and more with a leak."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    BaseCrossValidator,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dolorimeter.synthesis import Truth, biovid
from dolorimeter.synthesis.cohort import Request, draw_subject

SUBJECTS = 14
REQUEST = Request(
    kind="biovid",
    part="A",
    subjects=SUBJECTS,
    per_condition=20,
    conditions=("BL1", "PA4"),
    effect=1.0,
    noise=1.0,
    movement=0.05,
    artefacts=0.0,
    missing=0.0,
    identity_strength=1.0,
    seed=0,
)


def features(clips: dict[str, np.ndarray]) -> np.ndarray:
    """A few numbers a window that need no library: skin, beats, muscle."""
    eda, ecg, emg = clips["gsr"], clips["ecg"], clips["emg_trapezius"]
    rise = np.diff(eda[:, ::64], axis=1).max(axis=1)
    blocks = emg.reshape(len(emg), 11, 256).std(axis=2)
    beats = []
    for row in ecg:
        high = row > 0.6 * row.max()
        at = np.flatnonzero(high[1:] & ~high[:-1])
        at = at[np.insert(np.diff(at) > 150, 0, True)]
        rates = 60 * 512 / np.diff(at)
        beats.append([np.median(rates), rates[-1] - rates[0]])
    columns = [
        np.log(eda.min(axis=1)),
        np.log(np.maximum(eda.max(axis=1) - eda[:, 0], 0.01)),
        np.log(np.maximum(rise, 1e-3)),
        np.log(np.median(blocks, axis=1)),
        np.log(blocks.max(axis=1) / np.median(blocks, axis=1)),
    ]
    return np.column_stack([*columns, np.array(beats)])


@lru_cache
def cohort(strength: float, effect: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and subjects of a cohort that is not written to disk."""
    request = replace(REQUEST, identity_strength=strength, effect=effect, seed=seed)
    design = biovid.design(request)
    x, y = [], []
    for number in range(SUBJECTS):
        person = draw_subject(request, design, number, biovid.subject_name)
        trials = np.flatnonzero(np.isin(person.session.condition, (0, 4)))
        x.append(features(biovid.clips(request, design, person, trials.tolist())))
        y.append(person.session.condition[trials] == 4)
    return np.vstack(x), np.concatenate(y), np.repeat(np.arange(SUBJECTS), 40)


def by_subject(
    model: object, data: tuple[np.ndarray, ...], split: BaseCrossValidator
) -> pd.Series:
    """Accuracy of each subject under a split."""
    x, y, groups = data
    of_split = groups if isinstance(split, StratifiedGroupKFold) else None
    predicted = cross_val_predict(model, x, y, groups=of_split, cv=split)
    return pd.Series(predicted == y).groupby(groups).mean()


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(40, random_state=0)


BY_SUBJECT = StratifiedGroupKFold(7)
BY_WINDOW = StratifiedKFold(7, shuffle=True, random_state=0)
NEIGHBOURS = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
LINEAR = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.fixture(scope="module")
def bound() -> float:
    truth = Truth(biovid.design(REQUEST), {}, pd.DataFrame(), pd.DataFrame())
    return truth.bayes_accuracy("BL1", "PA4")


@pytest.mark.parametrize("seed", [0, 1])
def test_features_come_near_the_bound_and_never_lie_above_it(seed: int, bound: float) -> None:
    for model in (LINEAR, forest()):
        found = by_subject(model, cohort(1.0, 1.0, seed), BY_SUBJECT)
        low, _ = stats.t.interval(
            0.95, SUBJECTS - 1, found.mean(), found.std() / np.sqrt(SUBJECTS)
        )
        assert low < bound
        assert found.mean() > 0.68


def over_cohorts(model: object, split: BaseCrossValidator) -> pd.Series:
    """Accuracy of each subject of three cohorts."""
    parts = [by_subject(model, cohort(1.0, 1.0, seed), split) for seed in (0, 1, 2)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.long
def test_leaving_windows_out_inflates_by_ten_points_and_rises_above_the_bound(
    bound: float,
) -> None:
    for model in (NEIGHBOURS, forest()):
        honest, leaking = over_cohorts(model, BY_SUBJECT), over_cohorts(model, BY_WINDOW)
        assert (leaking - honest).mean() >= 0.10
        error = leaking.std() / np.sqrt(len(leaking))
        assert leaking.mean() - 2 * error > bound


def test_at_identity_strength_0_nothing_is_inflated() -> None:
    data = cohort(0.0, 1.0, 0)
    gain = by_subject(forest(), data, BY_WINDOW) - by_subject(forest(), data, BY_SUBJECT)
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(SUBJECTS) + 0.02


def test_at_effect_0_nothing_is_told_by_any_split() -> None:
    data = cohort(1.0, 0.0, 0)
    for split in (BY_SUBJECT, BY_WINDOW):
        found = by_subject(NEIGHBOURS, data, split)
        assert abs(found.mean() - 0.5) < 3 * 0.5 / np.sqrt(40 * SUBJECTS) + 0.01
