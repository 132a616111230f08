import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import SignalError
from dolorimeter.signals.emg import CausalEnvelope, burst_mask, envelope, rectify
from dolorimeter.signals.filters import design, zero_phase


def test_rectify_is_the_absolute_value() -> None:
    np.testing.assert_array_equal(rectify(np.array([-1.0, np.nan, 2.0])), [1.0, np.nan, 2.0])


def test_envelope_of_a_sine_is_its_root_mean_square() -> None:
    x = 3e-6 * np.sin(2 * np.pi * 50 * np.arange(2000) / 1000.0)
    # 0.1 s are five periods exactly
    np.testing.assert_allclose(envelope(x, 1000.0, 0.1)[100:-100], 3e-6 / np.sqrt(2), rtol=1e-6)


def test_envelope_against_a_loop() -> None:
    x = np.random.default_rng(0).normal(size=60)
    expected = [np.sqrt(np.mean(x[i - 2 : i + 3] ** 2)) for i in range(2, 58)]
    np.testing.assert_allclose(envelope(x, 10.0, 0.5)[2:-2], expected)


def test_causal_envelope_is_the_centred_one_later() -> None:
    x = np.random.default_rng(0).normal(size=60)
    late = CausalEnvelope(10.0, 1, 0.5).push(x[None])[0]
    np.testing.assert_allclose(late[4:], envelope(x, 10.0, 0.5)[2:-2])


@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_chunked_equals_whole(seed: int, cuts: list[int]) -> None:
    x = np.random.default_rng(seed).normal(size=(2, 80))
    x[0, 3:9] = np.nan
    stream = CausalEnvelope(100.0, 2, 0.1)
    edges = [0, *sorted(cuts), 80]
    parts = [stream.push(x[:, a:b]) for a, b in pairwise(edges)]
    whole = CausalEnvelope(100.0, 2, 0.1).push(x)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_gap_stays_gap() -> None:
    x = np.ones(50)
    x[20:25] = np.nan
    out = envelope(x, 10.0, 0.5)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(x))
    np.testing.assert_allclose(out[~np.isnan(out)], 1.0)


@pytest.mark.parametrize(
    ("duration", "message"),
    [(0.001, "shorter than one sample"), (9.0, "an envelope over 9 s asked of a signal of 5 s")],
)
def test_impossible_durations(duration: float, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        envelope(np.ones(50), 10.0, duration)


def test_bursts() -> None:
    rng = np.random.default_rng(0)
    level = 1.0 + 0.05 * rng.normal(size=(3, 1000))
    level[0, 300:400] = 5.0
    level[0, 600:603] = 5.0  # 3 ms
    level[1] = 2.0
    level[2, 100:200] = np.nan
    level[2, 500:600] = 5.0
    mask = burst_mask(level, 1000.0, threshold=5.0)
    np.testing.assert_array_equal(np.flatnonzero(mask[0]), np.arange(300, 400))
    assert not mask[1].any()
    np.testing.assert_array_equal(np.flatnonzero(mask[2]), np.arange(500, 600))


@pytest.mark.shared
def test_real_emg_against_neurokit(data_root: Path) -> None:
    import neurokit2 as nk

    emg = np.loadtxt(data_root / "biosppy_examples/emg_1.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, _ = nk.emg_process(emg, sampling_rate=1000)
    clean = zero_phase(emg, design("highpass", 100.0, 1000.0, 4))  # their band
    level = envelope(clean, 1000.0, 0.1)
    # theirs is a low-pass of the rectified signal, ours a root mean square: alike, not equal
    assert np.corrcoef(level, theirs["EMG_Amplitude"])[0, 1] > 0.9
    # nobody has marked this record; two different thresholds agree on nine samples of ten
    active = theirs["EMG_Activity"].to_numpy() > 0
    assert (burst_mask(level, 1000.0) == active).mean() > 0.9
