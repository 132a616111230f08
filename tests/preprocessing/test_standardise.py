import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing import (
    TARGET_ACCESS,
    RunningBaseline,
    StandardiseWithinRecording,
    within_subject,
)
from dolorimeter.types import Recording, Signal

SUBJECTS = np.array(["b", "a"] * 10)


def table(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(5.0, 2.0, (20, 3))


@given(seed=st.integers(0, 99))
def test_all_recording_is_sklearn_per_subject(seed: int) -> None:
    x = table(seed)
    out = within_subject(x, SUBJECTS, "all_recording")
    for subject in "ab":
        own = subject == SUBJECTS
        np.testing.assert_allclose(out[own], StandardScaler().fit_transform(x[own]), atol=1e-12)


@pytest.mark.parametrize("reference", ["task_windows", "declared_baseline"])
def test_marked_rows_are_the_reference(reference: str) -> None:
    x, rows = table(0), np.arange(20) < 12
    out = within_subject(x, SUBJECTS, reference, rows=rows)
    for subject in "ab":
        own = subject == SUBJECTS
        scaler = StandardScaler().fit(x[own & rows])
        np.testing.assert_allclose(out[own], scaler.transform(x[own]), atol=1e-12)


def test_running_uses_earlier_rows_only() -> None:
    x, order = table(0), np.arange(20.0)[::-1].copy()
    out = within_subject(x, SUBJECTS, "running", order=order)
    own = np.flatnonzero(SUBJECTS == "a")[::-1]
    assert np.isnan(out[own[:3]]).all()
    for i in range(3, 10):
        earlier = x[own[:i]]
        expected = (x[own[i]] - earlier.mean(axis=0)) / earlier.std(axis=0)
        np.testing.assert_allclose(out[own[i]], expected, rtol=1e-9)
    changed = x.copy()
    changed[own[6:]] = 1e6
    np.testing.assert_array_equal(
        within_subject(changed, SUBJECTS, "running", order=order)[own[:6]], out[own[:6]]
    )


def test_running_live_is_running_offline() -> None:
    x = table(1)
    x[4, 1] = np.nan
    live = RunningBaseline(3)
    rows = np.stack([live.push(row) for row in x])
    together = within_subject(x, np.full(20, "s"), "running", order=np.arange(20))
    np.testing.assert_array_equal(rows, together)


@given(seed=st.integers(0, 99))
def test_renaming_subjects_changes_nothing(seed: int) -> None:
    x = table(seed)
    renamed = np.where(SUBJECTS == "a", "z", "b")
    np.testing.assert_array_equal(
        within_subject(x, SUBJECTS, "all_recording"), within_subject(x, renamed, "all_recording")
    )


def test_missing_values_are_not_counted_and_constants_are_centred() -> None:
    x = table(0)
    x[2, 0] = np.nan
    x[:, 1] = 0.1  # not exact in binary
    x[:, 2] = np.nan
    out = within_subject(x, SUBJECTS, "all_recording")
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    np.testing.assert_array_equal(out[:, 1], 0.0)
    own = SUBJECTS == "b"
    np.testing.assert_allclose(np.nanmean(out[own, 0]), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(out[own, 0]), 1.0)


def test_what_a_reference_does_not_need_is_not_looked_at() -> None:
    x, rows, order = table(0), np.arange(20) < 12, np.arange(20)
    np.testing.assert_array_equal(
        within_subject(x, SUBJECTS, "all_recording", rows=rows, order=order),
        within_subject(x, SUBJECTS, "task_windows"),
    )


def test_too_few_rows_of_reference() -> None:
    rows = np.zeros(20, dtype=bool)
    rows[:2] = True  # one row each
    assert np.isnan(within_subject(table(0), SUBJECTS, "declared_baseline", rows=rows)).all()


@pytest.mark.parametrize(
    ("reference", "arguments", "message"),
    [
        ("declared_baseline", {}, "'declared_baseline' needs the argument rows"),
        ("running", {}, "'running' needs the argument order"),
        ("all_recording", {"least": 1}, "at least 2 rows"),
        ("z-score", {}, "unknown reference 'z-score'.*all_recording, task_windows"),
    ],
)
def test_arguments_must_fit_the_reference(reference, arguments, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        within_subject(table(0), SUBJECTS, reference, **arguments)


def test_a_running_baseline_of_one_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="at least 2 earlier rows, found 1"):
        RunningBaseline(3, least=1)


def test_every_reference_declares_its_access() -> None:
    assert "none" not in TARGET_ACCESS.values()
    assert TARGET_ACCESS["declared_baseline"] == "labelled_reference"


def standardised(x: np.ndarray, **arguments: object) -> np.ndarray:
    signal = Signal(x, 10.0, "S", True, "conductance")
    made = Recording("made", "s1", "r1", signals={"eda": signal})
    return StandardiseWithinRecording(**arguments)(made).signals["eda"].values


def test_signal_over_the_whole_recording() -> None:
    x = np.random.default_rng(0).normal(3, 2, (2, 50))
    x[1] = 0.1
    out = standardised(x, mode="recording")
    np.testing.assert_allclose(out[0], (x[0] - x[0].mean()) / x[0].std(), rtol=1e-12)
    np.testing.assert_array_equal(out[1], 0.0)


def test_signal_by_what_has_come_so_far() -> None:
    x = np.random.default_rng(0).normal(1e3, 2, (1, 80))
    out = standardised(x, mode="causal", warm_up=1.0)[0]
    assert np.isnan(out[:9]).all()
    for i in (9, 30, 79):
        past = x[0, : i + 1]
        np.testing.assert_allclose(out[i], (x[0, i] - past.mean()) / past.std(), rtol=1e-9)


def test_warm_up_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="warm_up is -1"):
        StandardiseWithinRecording(warm_up=-1.0)
