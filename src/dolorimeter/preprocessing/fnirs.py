"""Near-infrared light: raw intensity → optical density → haemoglobin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.preprocessing._step import SignalStream, Step
from dolorimeter.registry import PREPROCESSING, Card
from dolorimeter.signals.fnirs import (
    beer_lambert_matrix,
    check_light,
    haemoglobin,
    optical_density,
)
from dolorimeter.types import Recording, Signal

DISTANCE = "distance "
"""A recording's fact ``"distance S1_D1"`` is that pair's source–detector distance in metres."""

_DELPY = "Delpy et al., Phys. Med. Biol. 33:1433 (1988)"


class _RunningDensity:
    """Optical density against the mean of the first seconds, which grows until they are over."""

    def __init__(self, channels: int, count: int) -> None:
        self._left = count
        self._sums = np.zeros((channels, 2))  # count and sum so far

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        if not chunk.shape[1]:
            return chunk
        check_light(chunk)
        counted = np.isfinite(chunk)
        counted[:, self._left :] = False
        self._left = max(0, self._left - chunk.shape[1])
        parts = np.stack([counted.astype(float), np.where(counted, chunk, 0.0)], axis=1)
        sums = np.cumsum(np.concatenate([self._sums[:, :, None], parts], axis=2), axis=2)[:, :, 1:]
        self._sums = sums[:, :, -1].copy()
        out = np.full(chunk.shape, np.nan)
        known = (sums[:, 0] > 0) & np.isfinite(chunk)
        out[known] = -np.log(chunk[known] * sums[:, 0][known] / sums[:, 1][known])
        return out


@PREPROCESSING.register(
    Card("optical_density", "Minus the logarithm of light over its reference", paper=_DELPY)
)
@dataclass(frozen=True, kw_only=True)
class OpticalDensity(Step):
    """Raw light intensity to optical density.

    Parameters
    ----------
    duration : float
        Seconds whose mean is the reference in the causal mode; the mean over all samples is the
        reference in the others.
    """

    MODES = ("causal", "window", "recording")
    SUBSTITUTE = "mode = 'causal', which takes the first seconds as the reference"

    modalities: Sequence[str] = ("fnirs",)
    duration: float = 10.0

    def _apply(self, signal: Signal, name: str, memory: dict[str, SignalStream] | None) -> Signal:
        _require(signal, "raw_intensity", "optical density is made of raw light only")
        done = super()._apply(signal, name, memory)
        return replace(done, unit="1", unit_confirmed=True, quantity="optical_density")

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:
        return _RunningDensity(channels, max(1, round(self.duration * sampling_rate)))

    def _whole(
        self,
        values: Float[np.ndarray, "channel time"],
        sampling_rate: float,  # noqa: ARG002 - part of the signature
    ) -> Float[np.ndarray, "channel time"]:
        return optical_density(values)


class _Law:
    """The modified Beer–Lambert law, sample by sample: (pair·wavelength) → (oxy…, deoxy…)."""

    def __init__(self, matrix: Float[np.ndarray, "pair 2 2"]) -> None:
        self._matrix = matrix

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        density = chunk.reshape(len(self._matrix), 2, -1)
        return np.concatenate(haemoglobin(density, self._matrix))


@PREPROCESSING.register(
    Card(
        "haemoglobin",
        "Optical density to oxy- and deoxyhaemoglobin (modified Beer–Lambert, through MNE)",
        paper=_DELPY,
        doi="10.1088/0031-9155/33/12/008",
        code="https://mne.tools",
    )
)
@dataclass(frozen=True, kw_only=True)
class Haemoglobin(Step):
    """``fnirs`` in optical density becomes ``fnirs_hbo`` and ``fnirs_hbr`` in mol/L.

    Channels are named as MNE names them, ``"S1_D1 760"``: source, detector, wavelength in
    nanometres; each pair at two wavelengths, the same two for all.

    Parameters
    ----------
    distance : float, optional
        Source–detector distance of every pair in metres, for recordings that do not state theirs
        as facts ``"distance S1_D1"``. Those that do are not overruled.
    wavelengths : (float, float), optional
        Needed by `stream` only, which gets channels without names: pair after pair, each at these
        two wavelengths.
    partial_path_factor : float
        MNE's ``ppf``: differential path length times partial volume.
    """

    MODES = ("causal",)

    modalities: Sequence[str] = ("fnirs",)
    distance: float | None = None
    wavelengths: tuple[float, float] | None = None
    partial_path_factor: float = 6.0

    def _names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        rest = [name for name in names if name != "fnirs"]
        return (*rest, "fnirs_hbo", "fnirs_hbr") if "fnirs" in names else names

    def _signals(
        self,
        recording: Recording,
        memory: dict[str, SignalStream] | None = None,  # noqa: ARG002 - it has none
    ) -> dict[str, Signal]:
        signals = dict(recording.signals)
        already = sorted({"fnirs_hbo", "fnirs_hbr"} & set(signals))
        if already:
            raise SignalError(
                f"haemoglobin on recording {recording.name}: it holds {' and '.join(already)}, "
                "which is haemoglobin already. Leave the step out."
            )
        if "fnirs" in signals:
            try:
                signals |= self._convert(signals.pop("fnirs"), recording.facts)
            except SignalError as error:
                raise SignalError(
                    f"haemoglobin on fnirs of recording {recording.name}: {error}"
                ) from error
        return signals

    def _convert(self, signal: Signal, facts: Mapping[str, float]) -> dict[str, Signal]:
        _require(signal, "optical_density", "run optical_density before")
        pairs, wavelengths, rows = _pairs(signal.channels)
        distances = np.array([self._distance(pair, facts) for pair in pairs])
        law = _Law(beer_lambert_matrix(wavelengths, distances, self.partial_path_factor))
        both = law.push(signal.values[rows])
        parts = {"hbo": both[: len(pairs)], "hbr": both[len(pairs) :]}
        return {
            f"fnirs_{quantity}": replace(
                signal,
                values=values,
                unit="mol/L",
                unit_confirmed=True,
                quantity=quantity,
                channels=pairs,
            )
            for quantity, values in parts.items()
        }

    def _distance(self, pair: str, facts: Mapping[str, float]) -> float:
        distance = facts.get(DISTANCE + pair, self.distance)
        if distance is None:
            raise SignalError(
                f"the recording does not state the distance of pair {pair} (fact "
                f"'{DISTANCE}{pair}'): give haemoglobin(distance=…) in metres, usually 0.03."
            )
        return distance

    def _stream(self, sampling_rate: float, channels: int) -> SignalStream:  # noqa: ARG002 - no memory
        if self.wavelengths is None or self.distance is None or channels % 2:
            raise ConfigError(
                "haemoglobin as a stream needs wavelengths, distance and an even number of "
                f"channels; found {self.wavelengths}, {self.distance} and {channels}."
            )
        distances = np.full(channels // 2, self.distance)
        return _Law(beer_lambert_matrix(self.wavelengths, distances, self.partial_path_factor))


def _require(signal: Signal, quantity: str, otherwise: str) -> None:
    if signal.quantity in ("hbo", "hbr"):
        raise SignalError(
            f"the signal is haemoglobin already ({signal.quantity}): leave the step out."
        )
    if signal.quantity != quantity:
        raise SignalError(
            f"the signal's quantity is '{signal.quantity}', expected '{quantity}': {otherwise}."
        )


def _pairs(channels: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[float, float], list[int]]:
    """Pair names, the two wavelengths, and the rows in the order pair after pair."""
    rows: dict[tuple[str, float], int] = {}
    for row, channel in enumerate(channels):
        pair, _, wavelength = channel.rpartition(" ")
        try:
            rows[pair, float(wavelength)] = row
        except ValueError as error:
            raise SignalError(
                f"channel '{channel}' does not name source, detector and wavelength in "
                "nanometres, expected a name such as 'S1_D1 760'."
            ) from error
    wavelengths = sorted({wavelength for _, wavelength in rows})
    pairs = tuple(dict.fromkeys(pair for pair, _ in rows))
    if len(wavelengths) != 2 or len(rows) != 2 * len(pairs) or len(rows) != len(channels):
        raise SignalError(
            f"{len(channels)} channels of {len(pairs)} pairs at wavelengths "
            f"{', '.join(f'{w:g}' for w in wavelengths) or 'none'} nm, expected every pair once "
            "at each of two wavelengths."
        )
    order = [rows[pair, wavelength] for pair in pairs for wavelength in wavelengths]
    return pairs, (wavelengths[0], wavelengths[1]), order
