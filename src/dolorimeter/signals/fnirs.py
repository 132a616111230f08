"""Near-infrared light to haemoglobin: intensity → optical density → oxy and deoxy.

References
----------
Delpy et al., Phys. Med. Biol. 33:1433 (1988), the modified Beer–Lambert law. Extinction
coefficients and their inversion are MNE-Python's (Gramfort et al., Front. Neurosci. 7:267, 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import DependencyError, SignalError


def optical_density(
    intensity: Float[np.ndarray, "channel time"],
    reference: Float[np.ndarray, " channel"] | None = None,
) -> Float[np.ndarray, "channel time"]:
    """Minus the natural logarithm of intensity over its reference.

    Parameters
    ----------
    intensity : Float[np.ndarray, "channel time"]
        Any unit; a missing sample is NaN.
    reference : Float[np.ndarray, "channel"], optional
        Intensity that counts as no change; the mean over time by default, as in MNE.

    Raises
    ------
    SignalError
        If an intensity or reference is not above zero: there is no logarithm of it.
    """
    level = np.nanmean(intensity, axis=1) if reference is None else reference
    dark = (intensity <= 0).any(axis=1) | ~(level > 0)
    if dark.any():
        raise SignalError(
            f"{int(dark.sum())} of {len(dark)} channels have a light intensity of 0 or below "
            f"(first: channel {int(np.argmax(dark))}), which has no logarithm. Is it optical "
            "density or haemoglobin already? Otherwise set those samples to NaN or leave the "
            "channels out."
        )
    return -np.log(intensity / level[:, None])


def haemoglobin(
    density: Float[np.ndarray, "pair wavelength time"],
    wavelengths: Sequence[float],
    distances: Float[np.ndarray, " pair"],
    partial_path_factor: float = 6.0,
) -> tuple[Float[np.ndarray, "pair time"], Float[np.ndarray, "pair time"]]:
    """Changes of oxy- and deoxyhaemoglobin by the modified Beer–Lambert law, through MNE.

    Parameters
    ----------
    density : Float[np.ndarray, "pair wavelength time"]
        Optical density of each source–detector pair at two wavelengths.
    wavelengths : sequence of float
        The two, in nanometres, in the order of `density`.
    distances : Float[np.ndarray, "pair"]
        From source to detector, in metres.
    partial_path_factor : float
        Differential path length times partial volume, as MNE's ``ppf``.

    Returns
    -------
    (hbo, hbr)
        mol/L.

    Raises
    ------
    SignalError
        If there are not two different wavelengths, or a distance is not between 0 and 1 m.
    DependencyError
        If MNE is not installed.
    """
    if density.shape[1] != 2 or len(wavelengths) != 2 or wavelengths[0] == wavelengths[1]:
        raise SignalError(
            f"optical density at {density.shape[1]} wavelengths ({list(wavelengths)} nm), "
            "expected two different ones."
        )
    if not ((distances > 0) & (distances < 1)).all():
        raise SignalError(
            f"source–detector distances run from {np.min(distances):g} to "
            f"{np.max(distances):g} m, expected above 0 and below 1 m (usually 0.03): give metres."
        )
    mne = _mne()
    pairs = len(density)
    names = [
        f"S{i + 1}_D{i + 1} {wavelength:g}" for i in range(pairs) for wavelength in wavelengths
    ]
    info = mne.create_info(names, sfreq=1.0, ch_types="fnirs_od", verbose="error")
    for i, channel in enumerate(info["chs"]):
        x = float(distances[i // 2])
        row = 0.1 * (i // 2)  # pairs side by side; only the distance counts
        channel["loc"][:3] = (x / 2, row, 0.0)
        channel["loc"][3:6] = (0.0, row, 0.0)
        channel["loc"][6:9] = (x, row, 0.0)
        channel["loc"][9] = wavelengths[i % 2]
    raw = mne.io.RawArray(density.reshape(2 * pairs, -1), info, verbose="error")
    done = mne.preprocessing.nirs.beer_lambert_law(raw, ppf=partial_path_factor)
    return (
        done.get_data([f"S{i + 1}_D{i + 1} hbo" for i in range(pairs)]),
        done.get_data([f"S{i + 1}_D{i + 1} hbr" for i in range(pairs)]),
    )


def _mne() -> ModuleType:
    try:
        import mne
        import mne.preprocessing.nirs
    except ImportError as error:
        raise DependencyError(
            "haemoglobin from optical density needs MNE, which is not installed: "
            "pip install 'dolorimeter[formats]'."
        ) from error
    return mne  # type: ignore[no-any-return]
