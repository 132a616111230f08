"""What is hidden: the share and the lengths that were asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError
from dolorimeter.pretraining._masks import markov_mask, tube_mask


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    ratio=st.floats(0.1, 0.7),
    mean_length=st.floats(3, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_share_and_mean_length_in_the_long_run(
    ratio: float, mean_length: float, seed: int
) -> None:
    """Five standard errors of the mean length of n geometric runs, and of the share they make."""
    length = 400_000
    mask = markov_mask(length, ratio, mean_length, np.random.default_rng(seed))
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    error = mean_length / np.sqrt(len(runs))
    assert abs(runs.mean() - mean_length) < 5 * error
    # a share of n hidden and n seen runs, whose lengths vary by about their means
    assert abs(mask.mean() - ratio) < 5 * np.sqrt(2 / len(runs)) * ratio * (1 - ratio)


@settings(max_examples=25, deadline=None)
@given(ratio=st.floats(0.1, 0.6), mean_length=st.floats(2, 20), seed=st.integers(0, 2**32 - 1))
def test_transitions_are_those_that_are_stated(
    ratio: float, mean_length: float, seed: int
) -> None:
    mask = markov_mask(200_000, ratio, mean_length, np.random.default_rng(seed))
    for state, wanted in (
        (True, 1 / mean_length),
        (False, ratio / (1 - ratio) / mean_length),
    ):
        before = mask[:-1] == state
        left = (mask[1:] != state)[before]
        error = np.sqrt(wanted * (1 - wanted) / before.sum())
        assert abs(left.mean() - wanted) < 5 * error


def test_the_first_sample_is_hidden_as_often_as_the_others() -> None:
    rng = np.random.default_rng(0)
    first = [markov_mask(3, 0.3, 20.0, rng)[0] for _ in range(4000)]
    assert np.mean(first) == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 4000))


def test_tubes_go_through_time_and_are_of_one_number() -> None:
    for seed in range(20):
        mask = tube_mask((8, 14, 14), 0.9, np.random.default_rng(seed)).reshape(8, 196)
        assert (mask == mask[0]).all()
        assert mask[0].sum() == 176
    counts = sum(
        tube_mask((1, 4, 4), 0.5, np.random.default_rng(s)).astype(int) for s in range(2000)
    )
    assert abs(counts / 2000 - 0.5).max() < 0.06  # every place alike


def test_refuses_masks_that_cannot_be() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"a mask of 1 of 196 places"):
        tube_mask((8, 14, 14), 1.0, rng)
    with pytest.raises(ConfigError, match=r"hidden stretches of 0\.5 samples"):
        markov_mask(100, 0.3, 0.5, rng)
    with pytest.raises(ConfigError, match=r"make up 0\.9 of a signal"):
        markov_mask(100, 0.9, 3.0, rng)
