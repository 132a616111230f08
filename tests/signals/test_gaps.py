import numpy as np
import pytest

from dolorimeter.errors import SignalError
from dolorimeter.signals.gaps import Hold, bridge, missing_samples

NAN = np.nan


def test_bridge_draws_a_line_and_holds_the_edges() -> None:
    x = np.array([[NAN, 2.0, NAN, NAN, 5.0, NAN], [NAN] * 6])
    filled, missing = bridge(x)
    np.testing.assert_allclose(filled, [[2, 2, 3, 4, 5, 5], [0] * 6])
    np.testing.assert_array_equal(missing, np.isnan(x))


def test_bridge_leaves_a_whole_signal_alone() -> None:
    x = np.arange(4.0)
    assert bridge(x)[0] is x


def test_infinite_samples_are_a_fault() -> None:
    with pytest.raises(SignalError, match="1 of 3 samples are infinite"):
        missing_samples(np.array([1.0, np.inf, NAN]))


def test_hold_remembers_over_chunks_and_never_looks_ahead() -> None:
    hold = Hold(2)
    first = hold.push(np.array([[NAN, 1.0, NAN], [NAN, NAN, NAN]]))
    np.testing.assert_array_equal(first, [[NAN, 1, 1], [NAN] * 3])
    second = hold.push(np.array([[NAN, 2.0], [NAN, 7.0]]))
    np.testing.assert_array_equal(second, [[1, 2], [NAN, 7]])


def test_hold_refuses_another_number_of_channels() -> None:
    with pytest.raises(SignalError, match="3 channels was pushed into a stream of 2"):
        Hold(2).push(np.zeros((3, 1)))
