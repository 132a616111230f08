import warnings
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.preprocessing import Haemoglobin, OpticalDensity
from dolorimeter.types import Recording, Signal

CHANNELS = ("S1_D1 760", "S1_D1 850", "S2_D1 760", "S2_D1 850")


def light(
    quantity: str = "raw_intensity", channels: tuple[str, ...] = CHANNELS, name: str = "fnirs"
) -> Recording:
    values = 1.0 + 0.1 * np.random.default_rng(0).random((len(channels), 100))
    signal = Signal(values, 10.0, "a.u.", False, quantity, channels=channels)
    facts = {"distance S1_D1": 0.03, "distance S2_D1": 0.02}
    return Recording("made", "s1", "r1", signals={name: signal}, facts=facts)


@pytest.mark.extra("formats")
def test_light_becomes_haemoglobin() -> None:
    done = Haemoglobin()(OpticalDensity(mode="recording")(light()))
    assert sorted(done.signals) == ["fnirs_hbo", "fnirs_hbr"]
    for quantity in ("hbo", "hbr"):
        signal = done.signals[f"fnirs_{quantity}"]
        assert (signal.quantity, signal.unit, signal.unit_confirmed) == (quantity, "mol/L", True)
        assert signal.channels == ("S1_D1", "S2_D1")
        assert signal.values.shape == (2, 100)


@pytest.mark.extra("formats")
def test_order_of_channels_does_not_matter() -> None:
    density = OpticalDensity(mode="recording")(light()).signals["fnirs"]
    order = [3, 0, 2, 1]
    mixed = Signal(
        density.values[order],
        10.0,
        "1",
        True,
        "optical_density",
        channels=tuple(CHANNELS[i] for i in order),
    )
    facts = light().facts
    runs = [
        Haemoglobin()(Recording("made", "s", "r", signals={"fnirs": s}, facts=facts)).signals
        for s in (density, mixed)
    ]
    a, b = (run["fnirs_hbo"] for run in runs)
    np.testing.assert_array_equal(a.values[0], b.values[b.channels.index("S1_D1")])


def test_causal_density_settles_on_the_mean_of_the_first_seconds() -> None:
    made = light()
    out = OpticalDensity(duration=2.0)(made).signals["fnirs"].values
    x = made.signals["fnirs"].values
    reference = x[:, :20].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(out[:, 19:], -np.log(x / reference)[:, 19:], atol=1e-12)
    np.testing.assert_allclose(out[:, 0], 0.0, atol=1e-15)


@pytest.mark.parametrize("quantity", ["hbo", "hbr"])
@pytest.mark.parametrize("step", [OpticalDensity(), Haemoglobin()])
def test_haemoglobin_is_refused(step, quantity: str) -> None:
    with pytest.raises(SignalError, match=f"is haemoglobin already .{quantity}.: leave the step"):
        step(light(quantity))


def test_a_recording_of_haemoglobin_is_refused() -> None:
    with pytest.raises(SignalError, match="holds fnirs_hbo, which is haemoglobin already"):
        Haemoglobin()(light("hbo", name="fnirs_hbo"))


@pytest.mark.parametrize(
    ("step", "quantity", "message"),
    [
        (Haemoglobin(), "raw_intensity", "expected 'optical_density': run optical_density before"),
        (OpticalDensity(), "unknown", "quantity is 'unknown', expected 'raw_intensity'"),
    ],
)
def test_the_wrong_stage_is_refused(step, quantity: str, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        step(light(quantity))


@pytest.mark.parametrize("mode", ["causal", "window", "recording"])
def test_no_light(mode: str) -> None:
    made = light()
    made.signals["fnirs"].values[2, 5] = 0.0
    with pytest.raises(SignalError, match="1 of 4 channels have a light intensity of 0 or below"):
        OpticalDensity(mode=mode)(made)


@pytest.mark.extra("formats")
def test_distances_come_from_the_recording_or_the_step() -> None:
    density = OpticalDensity(mode="recording")(light())
    bare = Recording("made", "s1", "r1", signals=density.signals)
    with pytest.raises(SignalError, match=r"does not state the distance of pair S1_D1"):
        Haemoglobin()(bare)
    given, stated = (Haemoglobin(distance=0.03)(r).signals["fnirs_hbo"] for r in (bare, density))
    np.testing.assert_array_equal(given.values[0], stated.values[0])
    np.testing.assert_allclose(1.5 * given.values[1], stated.values[1])


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (("left", "right"), "channel 'left' does not name source, detector and wavelength"),
        (CHANNELS[:3], "3 channels of 2 pairs at wavelengths 760, 850 nm"),
        (("S1_D1 760", "S2_D1 850"), "expected every pair once"),
    ],
)
def test_channels_must_be_named(channels: tuple[str, ...], message: str) -> None:
    with pytest.raises(SignalError, match=message):
        Haemoglobin()(light("optical_density", channels))


def test_stream_needs_to_know_its_optics() -> None:
    with pytest.raises(ConfigError, match="needs wavelengths, distance and an even number"):
        Haemoglobin(distance=0.03).stream(10.0, 4)


@pytest.mark.extra("formats")
@pytest.mark.shared
def test_real_light_is_what_mne_makes_of_it(data_root: Path) -> None:
    import mne

    from dolorimeter.datasets.snirf import FnirsSnirfSamples

    reader = FnirsSnirfSamples(data_root / "fnirs_snirf_samples")
    (made,) = [r for r in reader.recordings() if "neuro_run01" in r.name]
    done = Haemoglobin()(OpticalDensity(mode="recording")(made)).load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = data_root / "fnirs_snirf_samples/neuro_run01.snirf"
        raw = mne.io.read_raw_snirf(path, verbose="error")
        density = mne.preprocessing.nirs.optical_density(raw, verbose="error")
        theirs = mne.preprocessing.nirs.beer_lambert_law(density, ppf=6.0)
    for quantity in ("hbo", "hbr"):
        signal = done.signals[f"fnirs_{quantity}"]
        expected = theirs.get_data([f"{pair} {quantity}" for pair in signal.channels])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(signal.values, expected, rtol=1e-9, atol=1e-9 * scale)
