"""Continuous ratings: a stated lag, and intervals by blocks of neighbouring windows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from dolorimeter.errors import ConfigError, EvaluationError
from dolorimeter.evaluation import evaluate, lagged_targets
from dolorimeter.experiment import Task
from dolorimeter.reports import report
from dolorimeter.samples import Samples
from dolorimeter.statistics import block_interval, block_length


def drift(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """Return a stationary series of unit variance with this correlation at lag 1."""
    out = np.empty(n)
    out[0] = rng.normal()
    for i in range(1, n):
        out[i] = correlation * out[i - 1] + math.sqrt(1 - correlation**2) * rng.normal()
    return out


def ratings(subjects: int = 12, windows: int = 60, lag: int = 0) -> tuple[Samples, np.ndarray]:
    """A rating that follows the feature by `lag` windows of 2 s."""
    rng = np.random.default_rng(0)
    pain = np.stack([drift(rng, windows + lag, 0.9) for _ in range(subjects)])
    names = np.repeat([f"s{i:02d}" for i in range(subjects)], windows)
    samples = Samples.from_arrays(
        pain[:, lag:].reshape(-1, 1), subject=names, recording=names,
        start=np.tile(2.0 * np.arange(windows), subjects),
    )  # fmt: skip
    return samples, pain[:, :windows].ravel()


def test_a_lag_pairs_windows_with_the_rating_that_follows() -> None:
    samples, y = ratings(lag=3)
    rows, targets = lagged_targets(samples, y, 6.0)
    assert len(rows) == 12 * 57
    np.testing.assert_array_equal(targets, np.asarray(samples.x)[rows, 0])
    shuffled = np.random.default_rng(1).permutation(len(y))
    moved, later = lagged_targets(samples.take(shuffled), y[shuffled], 6.0)
    np.testing.assert_array_equal(later, np.asarray(samples.x)[shuffled[moved], 0])
    plain = evaluate(LinearRegression(), samples, y, target_kind="regressor")
    lagged = evaluate(LinearRegression(), samples.take(rows), targets, target_kind="regressor")
    means = [run.summary().by_subject["concordance"].mean for run in (plain, lagged)]
    assert means[1] == pytest.approx(1.0)
    assert means[0] < 0.9


@pytest.mark.parametrize("lag", [-1.0, math.nan, math.inf])
def test_a_lag_that_makes_no_sense_is_refused(lag: float) -> None:
    with pytest.raises(EvaluationError, match="expected seconds of at least 0"):
        lagged_targets(*ratings(2, 5), lag)


def test_a_lag_needs_the_start_of_windows() -> None:
    samples = Samples.from_arrays(np.zeros((4, 1)), subject=["a"] * 4)
    with pytest.raises(EvaluationError, match="4 windows have no start"):
        lagged_targets(samples, np.zeros(4), 1.0)


def test_blocks_are_as_long_as_neighbours_depend() -> None:
    rng = np.random.default_rng(0)
    short = block_length([rng.normal(size=200) for _ in range(5)])
    long = block_length([drift(rng, 200, 0.95) for _ in range(5)])
    # the autocorrelation 0.95ᵏ is below 1/e from k = 20
    assert short == 4
    assert long == 50  # a quarter of 200


@pytest.mark.long
def test_an_interval_by_blocks_covers_where_one_by_windows_does_not() -> None:
    """The mean of one autocorrelated recording: windows by themselves give a far too short one."""
    rng = np.random.default_rng(0)
    sets, n, held, naive = 120, 240, 0, 0
    for k in range(sets):
        values = drift(rng, n, 0.9)
        length = block_length([values])
        found = block_interval(
            lambda rows, v=values: float(v[rows].mean()), [np.arange(n)], ["a"], length, seed=k
        )
        held += found.low <= 0 <= found.high
        naive += abs(values.mean()) <= 1.97 * values.std(ddof=1) / math.sqrt(n)
    # blocks of a sixth of the recording lose about a quarter of the variance at their ends: 1.96
    # of these standard errors are 1.7 true ones, which hold 91 %, less what few blocks cost;
    # windows that are taken as independent have a standard error √19 times too small
    assert held / sets > 0.84
    assert naive / sets < 0.55


@pytest.mark.long
def test_a_report_of_ratings_names_the_blocks() -> None:
    samples, y = ratings()
    noisy = y + np.random.default_rng(2).normal(size=len(y))
    run = evaluate(LinearRegression(), samples, noisy, target_kind="regressor")
    s = run.summary()
    assert s.by_blocks is not None
    assert s.by_blocks.low < s.by_blocks.mean < s.by_blocks.high
    assert f"blocks of {s.block_windows} neighbouring windows" in report(run).markdown
    per_stimulus = np.repeat(noisy[::60], 60)  # one value per recording is no time series
    flat = evaluate(LinearRegression(), samples, per_stimulus, target_kind="regressor")
    assert flat.summary().by_blocks is None


def test_a_lag_does_not_bridge_a_pause() -> None:
    """Two stretches of 2-s windows with 60 s between: nobody knows the rating in the pause."""
    start = np.concatenate([2.0 * np.arange(5), 70.0 + 2.0 * np.arange(5)])
    samples = Samples.from_arrays(
        np.zeros((10, 1)), subject=["a"] * 10, recording=["r"] * 10, start=start
    )
    rows, targets = lagged_targets(samples, np.arange(10.0), 3.0)
    assert rows.tolist() == [0, 1, 2, 5, 6, 7]
    np.testing.assert_allclose(targets, [1.5, 2.5, 3.5, 6.5, 7.5, 8.5])
    rows, targets = lagged_targets(samples, np.arange(10.0), 70.0)  # exactly a window, over it
    assert rows.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(targets, [5.0, 6.0, 7.0, 8.0, 9.0])


def test_an_experiment_states_its_lag() -> None:
    samples, y = ratings(subjects=2, windows=6, lag=1)
    y = y.copy()
    y[3] = np.nan
    condition = np.tile(["pain", "pain", "pain", "pain", "rest", "rest"], 2)
    meta = samples.meta.assign(rating_vas=y, condition=condition)
    samples = replace(samples, meta=meta)
    task = Task(kind="regressor", target="rating_vas", conditions=("pain",), lag=2.0)
    taken, targets = task.label(samples)
    # the window at 4 s precedes the missing rating; the last of pain has the rating of a rest
    assert taken.meta["start"].tolist() == [0.0, 2.0, 6.0, 0.0, 2.0, 4.0, 6.0]
    np.testing.assert_allclose(targets, y[[1, 2, 4, 7, 8, 9, 10]])
    (lost,) = taken.exclusions
    assert (lost.subject, lost.reason) == ("s00", "no rating_vas 2 s later")
    assert taken.notes == ("the target of each window is rating_vas 2 s later",)
    assert len(replace(task, lag=0.0).label(samples)[0]) == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "regressor", "target": "r", "lag": -1.0}, "lag is -1.0, expected seconds"),
        ({"kind": "regressor", "target": "r", "lag": math.nan}, "lag is nan, expected seconds"),
        ({"classes": (("a",), ("b",)), "lag": 1.0}, "needs kind = 'regressor'"),
    ],
)
def test_a_lag_that_an_experiment_cannot_have_is_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Task(**values)
