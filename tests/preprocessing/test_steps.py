"""What every registered preprocessing step promises."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorimeter.errors import ConfigError, SignalError, UnknownNameError
from dolorimeter.preprocessing import (
    Bandpass,
    EmdDenoise,
    Envelope,
    Haemoglobin,
    Highpass,
    Lowpass,
    Notch,
    Phasic,
    Rectify,
    Resample,
    Tonic,
)
from dolorimeter.registry import DATASETS, PREPROCESSING
from dolorimeter.signals.emd import denoise
from dolorimeter.types import LazySignals, Recording, Signal

RATE = 50.0
EMG = ("emg_trapezius", "emg_corrugator", "emg_zygomaticus")

ARGUMENTS: dict[str, dict[str, object]] = {
    "lowpass": {"cut": 5.0},
    "highpass": {"cut": 0.5},
    "bandpass": {"low": 0.5, "high": 10.0},
    "notch": {"frequency": 20.0},
    "resample": {"sampling_rate": 20.0},
    "baseline_correct": {"duration": 5.0},
    "optical_density": {"duration": 2.0},
    "standardise_within_recording": {"warm_up": 0.5},
    "haemoglobin": {"distance": 0.03, "wavelengths": (760.0, 850.0)},
}

QUANTITIES = {"fnirs": "raw_intensity", "eda": "conductance", "emg_trapezius": "voltage"}


def step(name: str, mode: str):
    return PREPROCESSING.get(name)(**ARGUMENTS.get(name, {}), mode=mode)


def of_mode(*modes: str) -> list[tuple[str, str]]:
    return [
        (name, mode)
        for name in PREPROCESSING.names()
        for mode in getattr(PREPROCESSING.get(name), "MODES", ())  # face_track: test_faces.py
        if mode in modes
    ]


EVERY = of_mode("causal", "window", "zero_phase", "recording")
CAUSAL = of_mode("causal")
NOT_CAUSAL = of_mode("window", "zero_phase", "recording")


def noisy(seed: int, gaps: bool = False, time: int = 300) -> np.ndarray:
    """Positive, so that it may be light."""
    rng = np.random.default_rng(seed)
    x = 50.0 + rng.normal(size=(2, time)).cumsum(axis=1)
    if gaps:
        x[rng.random(x.shape) < 0.1] = np.nan
        x[0, : rng.integers(1, 200)] = np.nan
    return x


def recording(values: np.ndarray, name: str = "eda") -> Recording:
    quantity = QUANTITIES[name]
    channels = ("S1_D1 760", "S1_D1 850") if name == "fnirs" else ()
    signal = Signal(values, RATE, "a.u.", False, quantity, channels=channels)
    return Recording("made", "s1", "r1", signals={name: signal})


def signal_for(name: str, seed: int = 0, gaps: bool = False) -> Recording:
    """A recording that the step `name` can act on."""
    modalities = PREPROCESSING.get(name)(**ARGUMENTS.get(name, {})).modalities
    made = recording(noisy(seed, gaps), (modalities or ("eda",))[0])
    if name == "haemoglobin":
        made = step("optical_density", "causal")(made)
    return made


def applied(cases: list[tuple[str, str]]) -> list[Any]:
    """Cases that run the step: haemoglobin takes extinction coefficients from MNE."""
    needs = pytest.mark.extra("formats")
    return [pytest.param(*c, marks=needs) if c[0] == "haemoglobin" else c for c in cases]


def stacked(done: Recording) -> np.ndarray:
    return np.concatenate([signal.values for signal in done.signals.values()])


def test_the_steps_of_the_contract_are_there() -> None:
    assert PREPROCESSING.names() == (
        "bandpass",
        "baseline_correct",
        "bridge",
        "emd_denoise",
        "envelope",
        "face_track",
        "haemoglobin",
        "highpass",
        "lowpass",
        "notch",
        "optical_density",
        "phasic",
        "rectify",
        "resample",
        "standardise_within_recording",
        "tonic",
    )


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown preprocessing step 'lowpas'.*lowpass"):
        PREPROCESSING.get("lowpas")


@pytest.mark.parametrize(("name", "mode"), applied(CAUSAL))
@given(seed=st.integers(0, 99), gaps=st.booleans(), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_chunked_equals_whole(
    name: str, mode: str, seed: int, gaps: bool, cuts: list[int]
) -> None:
    made, one = signal_for(name, seed, gaps), step(name, mode)
    values = stacked(made)
    stream = one.stream(RATE, values.shape[0])
    parts = [stream.push(values[:, a:b]) for a, b in pairwise([0, *sorted(cuts), 300])]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), stacked(one(made)))


@pytest.mark.parametrize(("name", "mode"), applied(CAUSAL))
def test_causal_never_looks_ahead(name: str, mode: str) -> None:
    one, made = step(name, mode), signal_for(name)
    values = stacked(made)
    changed = values.copy()
    changed[:, 150:] *= 1.5
    rate = one.output_rate(RATE)
    until = int(149 / RATE * rate) + 1
    runs = [one.stream(RATE, len(v)).push(v)[:, :until] for v in (values, changed)]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize(("name", "mode"), NOT_CAUSAL)
def test_what_needs_the_future_has_no_stream(name: str, mode: str) -> None:
    with pytest.raises(SignalError, match=f"{name} in mode '{mode}' needs the future"):
        step(name, mode).stream(RATE, 1)


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_scope_and_substitute(name: str, mode: str) -> None:
    one = step(name, mode)
    scopes = {"causal": "causal", "window": "window"}
    assert one.scope == scopes.get(mode, "recording")
    assert bool(one.live_substitute) == (one.scope == "recording")


@pytest.mark.parametrize(("name", "mode"), applied(EVERY))
def test_lazy_signals_stay_lazy_and_give_the_same(name: str, mode: str) -> None:
    made, one = signal_for(name), step(name, mode)
    eager = one(made)
    reads: list[int] = []
    lazy_signals = LazySignals(tuple(made.signals), partial(_read, made, reads))
    lazy = one(Recording("made", "s1", "r1", signals=lazy_signals))
    assert not reads
    assert tuple(lazy.signals) == tuple(eager.signals)
    for key, signal in lazy.load().signals.items():
        np.testing.assert_array_equal(signal.values, eager.signals[key].values)
    assert len(reads) == 1


def _read(made: Recording, reads: list[int]) -> dict[str, Signal]:
    reads.append(1)
    return dict(made.signals)


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_a_recording_without_the_modality_passes(name: str, mode: str) -> None:
    bare = Recording("made", "s1", "r1")
    assert step(name, mode)(bare) == bare
    one = step(name, mode)
    if one.modalities:
        other = Recording(
            "made", "s1", "r1", signals={"hr": Signal(np.ones((1, 5)), 1.0, "1/min", True, "rate")}
        )
        assert one(other).signals["hr"] is other.signals["hr"]


@pytest.mark.parametrize(("name", "mode"), EVERY)
def test_frozen_picklable_and_carded(name: str, mode: str) -> None:
    one = step(name, mode)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(FrozenInstanceError):
        one.mode = "causal"
    assert one.card.name == name
    assert one.card.summary


@pytest.mark.parametrize(("name", "mode"), applied(EVERY))
def test_gaps_stay_gaps(name: str, mode: str) -> None:
    made, one = signal_for(name, 3, gaps=True), step(name, mode)
    if one.output_rate(RATE) != RATE or name == "bridge":
        return  # tests/signals/test_resampling.py, test_bridge.py
    done = stacked(one(made))
    before = stacked(made)
    lost = np.isnan(before).any(axis=0)
    if mode == "causal" and "warm_up" in {f.name for f in fields(one)}:
        lost[:] = True  # also NaN until it has seen enough
    assert np.isnan(done[np.isnan(before)] if name != "haemoglobin" else done[:, lost]).all()
    assert np.isfinite(done[:, ~lost]).all()


def test_unknown_mode_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="rectify has no mode 'window'; it has: causal"):
        Rectify(mode="window")


def test_modalities_must_be_a_list() -> None:
    with pytest.raises(ConfigError, match=r"modalities is the text 'eda', expected a list"):
        Lowpass(cut=5.0, modalities="eda")


def test_only_narrows() -> None:
    assert Lowpass(cut=5.0).only("eda").modalities == ("eda",)
    with pytest.raises(ConfigError, match="tonic acts on eda, not on 'ecg'"):
        Tonic().only("ecg")


def test_only_named_modalities_change() -> None:
    eda, emg = recording(noisy(0)), recording(noisy(1), "emg_trapezius")
    both = Recording("made", "s1", "r1", signals={**eda.signals, **emg.signals})
    done = Lowpass(cut=5.0, modalities=("emg_trapezius",))(both)
    assert done.signals["eda"] is both.signals["eda"]
    assert not np.array_equal(
        done.signals["emg_trapezius"].values, both.signals["emg_trapezius"].values
    )


@pytest.mark.parametrize("mode", ["causal", "window", "zero_phase"])
@pytest.mark.parametrize(
    ("impossible", "message"),
    [
        (Bandpass(low=20.0, high=450.0), "bandpass on eda of recording r1: bandpass at 450 Hz"),
        (Notch(frequency=50.0), "notch on eda of recording r1: notch at 50 Hz .* below 25 Hz"),
        (Lowpass(cut=25.0), "lowpass on eda of recording r1: .* or leave the step out"),
    ],
)
def test_filters_above_nyquist_are_refused(impossible, message: str, mode: str) -> None:
    one = type(impossible)(
        **{f.name: getattr(impossible, f.name) for f in fields(impossible)} | {"mode": mode}
    )
    with pytest.raises(SignalError, match=message):
        one(recording(noisy(0)))


def test_a_window_shorter_than_the_filter_is_refused() -> None:
    with pytest.raises(
        SignalError, match="highpass on eda of recording r1: 9 samples are too few"
    ):
        step("highpass", "window")(recording(noisy(0, time=9)))


def test_resample_says_its_rate_and_keeps_its_start() -> None:
    made = recording(noisy(0))
    for mode, count in (("causal", 120), ("window", 120), ("zero_phase", 120)):
        signal = Resample(sampling_rate=20.0, mode=mode)(made).signals["eda"]
        assert signal.sampling_rate == 20.0
        assert signal.values.shape == (2, count)
        assert signal.start == 0.0
    with pytest.raises(ConfigError, match="resample: sampling_rate is 0"):
        Resample(sampling_rate=0.0)


@pytest.mark.parametrize("mode", ["causal", "window", "zero_phase"])
def test_tonic_and_phasic_add_up(mode: str) -> None:
    made = recording(noisy(0))
    parts = [one(mode=mode)(made).signals["eda"].values for one in (Tonic, Phasic)]
    np.testing.assert_allclose(parts[0] + parts[1], made.signals["eda"].values, rtol=1e-12)


@pytest.mark.parametrize("name", PREPROCESSING.names())
def test_the_documentation_tells_the_same(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs/preprocessing.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    _, _, _, modalities, causal, window, whole, substitute, _ = (c.strip() for c in row.split("|"))
    modes = getattr(PREPROCESSING.get(name), "MODES", ("causal",))
    assert (causal != "–") == ("causal" in modes)
    assert (window != "–") == ("window" in modes)
    (late,) = [m for m in modes if m in ("zero_phase", "recording")] or [None]
    assert whole.startswith(f"`{late}`" if late else "–")
    assert (substitute != "–") == (late is not None)
    acts_on = PREPROCESSING.get(name)(**ARGUMENTS.get(name, {})).modalities
    known = {(): "all", EMG: "EMG", ("eda",): "EDA", ("fnirs",): "fNIRS"}
    known[("face",)] = "face video"
    assert modalities == known[acts_on]


def test_a_band_that_became_a_high_pass_is_told() -> None:
    made = recording(noisy(0))
    one = Bandpass(low=0.5, high=0.97 * RATE / 2, mode="zero_phase")
    assert one.remarks(made) == (
        f"bandpass 0.5–{0.97 * RATE / 2:g} Hz of eda was a high-pass at 0.5 Hz: "
        f"{0.97 * RATE / 2:g} Hz is 0.97 of half the sampling rate",
    )
    high = Highpass(cut=0.5, mode="zero_phase")(made).signals["eda"].values
    np.testing.assert_array_equal(one(made).signals["eda"].values, high)
    assert one.only("eda").remarks(recording(noisy(0), "emg_trapezius")) == ()
    assert Bandpass(low=0.5, high=10.0).remarks(made) == ()


def test_what_the_publishers_have_filtered_is_not_filtered_again() -> None:
    made = recording(noisy(0))
    signal = replace(made.signals["eda"], filtered="band-pass 20–250 Hz")
    made = replace(made, signals={"eda": signal})
    for name in ("lowpass", "highpass", "bandpass"):
        with pytest.raises(
            SignalError, match=rf"{name} on eda of recording r1: .*\(band-pass 20–250 Hz\)"
        ):
            step(name, "zero_phase")(made)
    assert step("notch", "zero_phase")(made).signals["eda"].filtered == signal.filtered
    assert step("resample", "zero_phase")(made).signals["eda"].filtered == signal.filtered


def test_modes_of_muscle_activity_are_those_of_the_function() -> None:
    made = recording(noisy(3), "emg_trapezius")
    done = EmdDenoise(factor=2.0)(made).signals["emg_trapezius"].values
    np.testing.assert_array_equal(done, denoise(noisy(3), RATE, factor=2.0))
    assert EmdDenoise().scope == "window"


@pytest.mark.extra("formats")
@pytest.mark.shared
def test_real_wearable_signals(data_root: Path) -> None:
    reader = DATASETS.get("stress_predict")(data_root / "stress_predict")
    made = reader.recordings(reader.subjects()[:1])[0].load()
    assert made.signals["eda"].sampling_rate == 4.0
    done = made
    for one in (Lowpass(cut=1.0, modalities=["eda"]), Phasic(), Envelope(), Haemoglobin()):
        done = one(done)
    phasic = done.signals["eda"].values
    assert np.isfinite(phasic).all()
    assert abs(phasic.mean()) < 0.1 * made.signals["eda"].values.std()
    with pytest.raises(SignalError, match=r"lowpass at 3 Hz .* 4 Hz.* below 2 Hz"):
        Lowpass(cut=3.0, modalities=["eda"])(made)
