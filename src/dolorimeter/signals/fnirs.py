"""Near-infrared light to haemoglobin: intensity → optical density → oxy and deoxy.

References
----------
Delpy et al., Phys. Med. Biol. 33:1433 (1988), the modified Beer–Lambert law. Extinction
coefficients and their inversion are MNE-Python's (Gramfort et al., Front. Neurosci. 7:267, 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import SignalError


def optical_density(
    intensity: Float[np.ndarray, "channel time"],
) -> Float[np.ndarray, "channel time"]:
    """Minus the natural logarithm of intensity over its mean in time, as in MNE.

    Parameters
    ----------
    intensity : Float[np.ndarray, "channel time"]
        Any unit; a missing sample is NaN.

    Raises
    ------
    SignalError
        If an intensity is not above zero: there is no logarithm of it.
    """
    check_light(intensity)
    known = ~np.isnan(intensity)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    level = np.where(known, intensity, 0.0).sum(axis=1, keepdims=True) / count
    level[~known.any(axis=1)] = np.nan
    return -np.log(intensity / level)


def check_light(intensity: Float[np.ndarray, "channel time"]) -> None:
    """Raise `SignalError` unless every sample is above zero, or NaN."""
    dark = np.asarray((intensity <= 0).any(axis=1))
    if dark.any():
        raise SignalError(
            f"{int(dark.sum())} of {len(dark)} channels have a light intensity of 0 or below "
            f"(first: channel {int(np.argmax(dark))}), which has no logarithm. Is it optical "
            "density or haemoglobin already? Otherwise set those samples to NaN or leave the "
            "channels out."
        )


def haemoglobin(
    density: Float[np.ndarray, "pair wavelength time"],
    matrix: Float[np.ndarray, "pair 2 2"],
) -> tuple[Float[np.ndarray, "pair time"], Float[np.ndarray, "pair time"]]:
    """Changes of oxy- and deoxyhaemoglobin by the modified Beer–Lambert law, sample by sample.

    Parameters
    ----------
    density : Float[np.ndarray, "pair wavelength time"]
        Optical density of each source–detector pair at two wavelengths.
    matrix : Float[np.ndarray, "pair 2 2"]
        From `beer_lambert_matrix`, for the same pairs and wavelengths.

    Returns
    -------
    (hbo, hbr)
        mol/L.

    Raises
    ------
    SignalError
        If there are not two wavelengths.
    """
    if density.shape[1] != 2:
        raise SignalError(f"optical density at {density.shape[1]} wavelengths, expected two.")
    first, second = density[:, 0], density[:, 1]
    weights = matrix[..., None]
    return (
        weights[:, 0, 0] * first + weights[:, 0, 1] * second,
        weights[:, 1, 0] * first + weights[:, 1, 1] * second,
    )


def beer_lambert_matrix(
    wavelengths: Sequence[float],
    distances: Float[np.ndarray, " pair"],
    partial_path_factor: float = 6.0,
) -> Float[np.ndarray, "pair 2 2"]:
    """What MNE multiplies the optical densities of each pair with to get haemoglobin.

    Parameters
    ----------
    wavelengths : sequence of float
        Two, in nanometres.
    distances : Float[np.ndarray, "pair"]
        From source to detector, in metres.
    partial_path_factor : float
        Differential path length times partial volume, as MNE's ``ppf``.

    Returns
    -------
    Float[np.ndarray, "pair 2 2"]
        (pair, oxy and deoxy, wavelength), mol/L per unit of optical density.

    Raises
    ------
    SignalError
        If there are not two different wavelengths, or a distance is not between 0 and 1 m.
    DependencyError
        If MNE is not installed.
    """
    if len(wavelengths) != 2 or wavelengths[0] == wavelengths[1]:
        raise SignalError(
            f"light at {', '.join(f'{w:g}' for w in wavelengths)} nm, expected two different "
            "wavelengths."
        )
    if not ((distances > 0) & (distances < 1)).all():
        raise SignalError(
            f"source–detector distances run from {np.min(distances):g} to "
            f"{np.max(distances):g} m, expected above 0 and below 1 m (usually 0.03): give metres."
        )
    from dolorimeter._extras import load, mne

    nirs = load("mne.preprocessing.nirs")
    pairs = range(1, len(distances) + 1)
    names = [f"S{i}_D{i} {wavelength:g}" for i in pairs for wavelength in wavelengths]
    info = mne.create_info(names, sfreq=1.0, ch_types="fnirs_od", verbose="error")
    for i, channel in enumerate(info["chs"]):
        x, y = float(distances[i // 2]), 0.1 * (i // 2)  # side by side: only distance counts
        channel["loc"][:10] = (x / 2, y, 0, 0, y, 0, x, y, 0, wavelengths[i % 2])
    unit = np.tile(np.eye(2), (len(distances), 1))  # each wavelength alone, in its own sample
    raw = mne.io.RawArray(unit, info, verbose="error")
    done = nirs.beer_lambert_law(raw, ppf=partial_path_factor)
    oxy = done.get_data([f"S{i}_D{i} hbo" for i in pairs])
    deoxy = done.get_data([f"S{i}_D{i} hbr" for i in pairs])
    return np.stack([oxy, deoxy], axis=1)
