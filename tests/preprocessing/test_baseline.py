import numpy as np
import pytest

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.preprocessing import BaselineCorrect
from dolorimeter.types import Recording, Signal


def made(values: np.ndarray, rate: float = 10.0) -> Recording:
    return Recording(
        "made", "s1", "r1", signals={"eda": Signal(values, rate, "S", True, "conductance")}
    )


def values(step: BaselineCorrect, x: np.ndarray) -> np.ndarray:
    return step(made(x)).signals["eda"].values


@pytest.mark.parametrize("mode", ["window", "recording"])
def test_mean_of_the_first_seconds(mode: str) -> None:
    x = np.arange(60.0).reshape(2, 30)
    x[0, 3] = np.nan
    out = values(BaselineCorrect(duration=1.0, mode=mode), x)
    np.testing.assert_allclose(out, x - [[(45 - 3) / 9], [34.5]])


def test_causal_takes_away_an_exponential_mean() -> None:
    x = np.concatenate([np.zeros(50), np.ones(200)])[None]
    out = values(BaselineCorrect(duration=2.0, mode="causal"), x)[0]
    np.testing.assert_allclose(out[:50], 0.0, atol=1e-12)
    # a step decays with the time constant: 20 samples
    np.testing.assert_allclose(out[50:], np.exp(-(np.arange(200) + 1) / 20.0), atol=1e-12)


def test_impossible_baselines() -> None:
    with pytest.raises(ConfigError, match="duration is 0"):
        BaselineCorrect(duration=0.0)
    with pytest.raises(SignalError, match="a baseline of 9 s asked of 3 s at 10 Hz"):
        values(BaselineCorrect(duration=9.0, mode="window"), np.zeros((1, 30)))
    x = np.ones((2, 30))
    x[1, :12] = np.nan
    with pytest.raises(SignalError, match="holds no sample in 1 of 2 channels"):
        values(BaselineCorrect(duration=1.0, mode="window"), x)
