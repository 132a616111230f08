"""The chain and the experiments on the real open recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dolorimeter.chain import Pipeline, Stream
from dolorimeter.datasets import open_dataset
from dolorimeter.evaluation import summarise
from dolorimeter.experiment import prepare, read_experiment, run
from dolorimeter.preprocessing import Bandpass, Haemoglobin, OpticalDensity
from dolorimeter.representations import Features
from dolorimeter.windows import WindowSpec

pytestmark = pytest.mark.shared
EXPERIMENTS = Path(__file__).parent.parent / "experiments"
SLIDING = WindowSpec(duration=20.0, anchor="sliding", inside_stimulus=False)


def value(samples: object, name: str) -> np.ndarray:
    return samples.x[:, samples.feature_names.index(name)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "modality", "feature", "low", "high"),
    [
        ("neurokit_data", "ecg", "ecg_rate_mean", 40, 120),
        ("neurokit_data", "ppg", "ppg_rate_mean", 40, 120),
        ("neurokit_data", "resp", "resp_rate", 4, 40),
        ("biosppy_examples", "resp", "resp_rate", 4, 40),
    ],
)
def test_real_traces_give_rates_that_people_have(
    data_root: Path, name: str, modality: str, feature: str, low: float, high: float
) -> None:
    reader = open_dataset(name, data_root / name)
    recordings = [r for r in reader.recordings() if modality in r.signals]
    samples = Pipeline(SLIDING, (Stream(modality, (), Features(modality)),)).samples(recordings)
    rates = value(samples, feature)
    known = np.isfinite(rates)
    assert known.mean() > 0.8
    assert low < np.median(rates[known]) < high


@pytest.mark.extra("formats")
def test_light_becomes_haemoglobin_through_the_chain(data_root: Path) -> None:
    reader = open_dataset("fnirs_snirf_samples", data_root / "fnirs_snirf_samples")
    recordings = [r for r in reader.recordings() if "neuro_run01" in r.name]
    steps = (
        OpticalDensity(mode="recording"),
        Haemoglobin(),
        Bandpass(modalities=("fnirs_hbo",), low=0.01, high=0.2),
    )
    chain = Pipeline(WindowSpec(duration=15.0), (Stream("hbo", steps, Features("fnirs_hbo")),))
    samples = chain.samples(recordings)
    assert set(samples.meta["condition"]) == {"1", "2"}
    assert np.isfinite(samples.x).any()  # type: ignore[arg-type]
    assert samples.feature_units[0] == "umol/L"
    assert len(chain.live_obstacles) == 1


@pytest.mark.long
def test_shock_amplitudes_give_the_three_figures_of_the_specification(
    data_root: Path, tmp_path: Path
) -> None:
    root = data_root / "oxazepam_ep"
    plain = run(read_experiment(EXPERIMENTS / "oxazepam_ep_scr_amplitude.toml"), root)
    numbers = summarise(plain)
    assert (numbers.windows, numbers.subjects) == (1337, 67)
    assert numbers.by_subject["auroc"].mean == pytest.approx(0.886, abs=0.001)
    assert numbers.pooled["auroc"] == pytest.approx(0.813, abs=0.001)
    within = run(read_experiment(EXPERIMENTS / "oxazepam_ep_scr_standardised.toml"), root)
    assert summarise(within).pooled["auroc"] == pytest.approx(0.895, abs=0.001)
    assert set(within.predictions["target_access"]) == {"unlabelled_target"}
    assert set(plain.predictions["target_access"]) == {"none"}
    assert len(plain.exclusions) == 78 * 20 - 1337


@pytest.mark.extra("formats")
@pytest.mark.long
def test_emotion_and_stress_are_prepared_as_documented(data_root: Path) -> None:
    emotion = prepare(
        read_experiment(EXPERIMENTS / "oxazepam_fmov_emotion.toml"), data_root / "oxazepam_fmov"
    )
    assert len(emotion.samples) + len(emotion.samples.exclusions) == 300
    assert any("eda of subject 25" in note for note in emotion.samples.notes)
    spectral = "emg_corrugator_rectified.emg_corrugator_rectified_spectral_centroid"
    assert np.isnan(value(emotion.samples, spectral)).all()
    stress = prepare(
        read_experiment(EXPERIMENTS / "stress_predict.toml"), data_root / "stress_predict"
    )
    assert len(stress.samples) == 815
    assert set(stress.samples.meta["duration"]) == {60.0}
