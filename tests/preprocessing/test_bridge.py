"""Short gaps are bridged, counted, and never beyond what the modality can carry."""

import numpy as np
import pytest

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.errors import ConfigError
from dolorimeter.preprocessing import Bridge
from dolorimeter.preprocessing.bridge import LONGEST_GAP
from dolorimeter.representations import Features
from dolorimeter.types import Recording, Signal, Stimulus
from dolorimeter.windows import WindowSpec


def recording(values: np.ndarray, rate: float, modality: str = "eda") -> Recording:
    signal = Signal(np.atleast_2d(values), rate, "S", True, "conductance")
    stimuli = (Stimulus(onset=1.0, duration=5.5, condition="pain"),)
    return Recording("study", "s1", "r1", signals={modality: signal}, stimuli=stimuli)


def bridged(step: Bridge, values: np.ndarray, rate: float, modality: str = "eda") -> np.ndarray:
    return step(recording(values, rate, modality)).signals[modality].values


@pytest.mark.parametrize("modality", LONGEST_GAP)
@pytest.mark.parametrize("rate", [4.0, 100.0, 512.0])
def test_a_gap_of_the_limit_is_a_line_and_a_longer_one_stays(modality: str, rate: float) -> None:
    limit = int(LONGEST_GAP[modality] * rate + 1e-9)
    line = np.arange(20.0 * limit + 100)
    gaps = line.copy()
    gaps[50 : 50 + limit] = np.nan
    gaps[70 + limit : 71 + 2 * limit] = np.nan
    found = bridged(Bridge(modalities=[modality]), gaps, rate, modality)[0]
    np.testing.assert_allclose(found[: 70 + limit], line[: 70 + limit], rtol=1e-12)
    assert np.isnan(found[70 + limit : 71 + 2 * limit]).all()


def test_edges_and_too_many_gaps_stay() -> None:
    x = np.ones((2, 100))
    x[0, :1] = x[0, -1:] = np.nan
    x[1, 1:60:2] = np.nan
    found = bridged(Bridge(modalities=["eda"]), x, 10.0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
    whole = bridged(Bridge(modalities=["eda"], most=0.5), x, 10.0)
    assert np.isfinite(whole[1]).all()


def test_raw_muscle_activity_needs_a_stated_limit() -> None:
    with pytest.raises(ConfigError, match="bridge has no limit for emg_corrugator: state one"):
        Bridge(modalities=["emg_corrugator"])
    x = np.array([1.0, np.nan, 1.0, 1.0, 1.0, 1.0])
    assert np.isnan(bridged(Bridge(), x, 100.0, "emg_corrugator")).any()
    stated = Bridge(modalities=["emg_corrugator"], longest=0.01)
    assert np.isfinite(bridged(stated, x, 100.0, "emg_corrugator")).all()
    with pytest.raises(ConfigError, match="longest is -1"):
        Bridge(longest=-1.0)
    with pytest.raises(ConfigError, match="most is 0"):
        Bridge(most=0.0)


def test_features_come_back_and_the_notes_count_it() -> None:
    """A wireless sensor that loses 80 ms of skin conductance per second."""
    rate = 32.0
    t = np.arange(round(8 * rate)) / rate
    eda = 1e-6 * (2.0 + 0.1 * np.sin(t))
    lossy = eda.copy()
    for second in range(8):
        lossy[round(second * rate) + 10 : round(second * rate) + 13] = np.nan
    spec = WindowSpec(duration=5.5)

    def samples(steps: tuple[Bridge, ...], values: np.ndarray):
        chain = Pipeline(spec, (Stream("eda", steps, Features("eda")),))
        return chain.samples([recording(values, rate)])

    without, with_bridge = samples((), lossy), samples((Bridge(modalities=["eda"]),), lossy)
    whole = samples((), eda)
    mean = list(whole.feature_names).index("eda_mean")
    assert np.isnan(without.x).all()
    assert with_bridge.x[0, mean] == pytest.approx(whole.x[0, mean], rel=1e-4)
    assert any("gaps of eda of up to 1 s were bridged" in note for note in with_bridge.notes)
    np.testing.assert_array_equal(with_bridge.quality, without.quality)
