import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from dolorimeter.errors import DependencyError, SignalError
from dolorimeter.signals.fnirs import beer_lambert_matrix, haemoglobin, optical_density


def test_optical_density_in_closed_form() -> None:
    x = np.array([[1.0, 3.0, np.nan], [5.0, 5.0, 5.0]])
    expected = [[np.log(2.0), -np.log(1.5), np.nan], [0, 0, 0]]
    np.testing.assert_allclose(optical_density(x), expected, atol=1e-15)


def test_no_light_has_no_logarithm() -> None:
    with pytest.raises(SignalError, match=r"1 of 2 channels .* 0 or below \(first: channel 1\)"):
        optical_density(np.array([[1.0, 2.0], [1.0, -2.0]]))


@pytest.mark.extra("formats")
def test_matrix_inverts_the_law_with_published_extinction() -> None:
    """Gratzer's table (omlc.org), 1/cm per mol/L to base 10, at 760 and 850 nm: HbO 586 and 1058,
    Hb 1548.52 and 691.32; the path is 6 × 0.03 m."""
    extinction = np.log(10) * 100 * np.array([[586.0, 1548.52], [1058.0, 691.32]])
    expected = np.linalg.inv(extinction * 6.0 * 0.03)
    matrix = beer_lambert_matrix((760.0, 850.0), np.array([0.03]))
    np.testing.assert_allclose(matrix[0], expected, rtol=2e-3)  # log 10 is 2.303 in MNE's table


@pytest.mark.extra("formats")
def test_distance_scales_and_law_is_linear() -> None:
    near, far = beer_lambert_matrix((760.0, 850.0), np.array([0.02, 0.04]))
    np.testing.assert_allclose(near, 2 * far)
    density = np.random.default_rng(0).normal(size=(1, 2, 30))
    oxy, deoxy = haemoglobin(density, near[None])
    np.testing.assert_allclose(np.stack([oxy, deoxy], 1)[0], near @ density[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("wavelengths", "distance", "message"),
    [
        ((760.0,), 0.03, "light at 760 nm, expected two different"),
        ((760.0, 760.0), 0.03, "expected two different"),
        ((760.0, 850.0), 30.0, "expected above 0 and below 1 m"),
        ((760.0, 850.0), 0.0, "expected above 0 and below 1 m"),
    ],
)
def test_impossible_optics(wavelengths: tuple[float, ...], distance: float, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        beer_lambert_matrix(wavelengths, np.array([distance]))


def test_one_wavelength_is_too_few() -> None:
    with pytest.raises(SignalError, match="at 1 wavelengths, expected two"):
        haemoglobin(np.zeros((1, 1, 5)), np.zeros((1, 2, 2)))


def test_without_mne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(DependencyError, match=r'pip install "dolorimeter\[formats\]"'):
        beer_lambert_matrix((760.0, 850.0), np.array([0.03]))


@pytest.mark.extra("formats")
@pytest.mark.shared
def test_real_light_is_what_mne_makes_of_it(data_root: Path) -> None:
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = data_root / "fnirs_snirf_samples/neuro_run01.snirf"
        raw = mne.io.read_raw_snirf(path, verbose="error").load_data(verbose="error")
        raw.crop(0, min(60.0, raw.times[-1]))
        density = mne.preprocessing.nirs.optical_density(raw, verbose="error")
        theirs = mne.preprocessing.nirs.beer_lambert_law(density, ppf=6.0)
    optics = mne.pick_types(raw.info, meg=False, fnirs="fnirs_cw_amplitude")
    ours = optical_density(raw.get_data(optics))
    np.testing.assert_allclose(ours, density.get_data(optics), atol=1e-12)
    names = [raw.ch_names[i] for i in optics]
    wavelengths = sorted({float(n.split()[1]) for n in names})
    pairs = list(dict.fromkeys(n.split()[0] for n in names))
    rows = [names.index(f"{p} {w:g}") for p in pairs for w in wavelengths]
    distances = mne.preprocessing.nirs.source_detector_distances(raw.info, optics)
    distances = np.array([distances[names.index(f"{p} {wavelengths[0]:g}")] for p in pairs])
    matrix = beer_lambert_matrix(wavelengths, distances)
    oxy, deoxy = haemoglobin(ours[rows].reshape(len(pairs), 2, -1), matrix)
    for kind, values in (("hbo", oxy), ("hbr", deoxy)):
        expected = theirs.get_data([f"{p} {kind}" for p in pairs])
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
