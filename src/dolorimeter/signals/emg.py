"""Muscle activity: rectified signal, envelope, bursts.

References
----------
Hodges and Bui, Electroencephalogr. Clin. Neurophysiol. 101:511 (1996), for onsets by a threshold
in standard deviations above rest; here rest is the median, and the deviation its robust estimate.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Bool, Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import CausalFir
from dolorimeter.signals.gaps import bridge

_MAD_TO_SD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


def rectify(x: Float[np.ndarray, "*batch time"]) -> Float[np.ndarray, "*batch time"]:
    """Absolute value. Take away the offset first (`filters.design("highpass", …)`)."""
    return np.abs(x)


def envelope(
    x: Float[np.ndarray, "*batch time"],
    sampling_rate: float,
    duration: float = 0.1,
    *,
    signed: bool = False,
) -> Float[np.ndarray, "*batch time"]:
    """Centred moving root mean square over `duration` seconds, in the unit of `x`.

    Edges are continued by reflection; a gap is bridged and NaN again.

    Parameters
    ----------
    x : Float[np.ndarray, "*batch time"]
        Any unit.
    sampling_rate : float
        Hertz.
    duration : float
        Seconds.
    signed : bool
        Keep the sign of a rectified signal from which a baseline was subtracted: the signed root
        of the moving mean of x·|x|.

    Raises
    ------
    SignalError
        If `duration` is shorter than a sample or longer than the signal.
    """
    count = _samples(duration, sampling_rate)
    if count > x.shape[-1]:
        raise SignalError(
            f"an envelope over {duration:g} s asked of a signal of "
            f"{x.shape[-1] / sampling_rate:g} s: choose a shorter duration."
        )
    filled, missing = bridge(x)
    squares = filled * np.abs(filled) if signed else filled**2
    power = scipy.ndimage.uniform_filter1d(squares, count, axis=-1, mode="reflect")
    out = np.sign(power) * np.sqrt(np.abs(power)) if signed else np.sqrt(np.clip(power, 0.0, None))
    out[missing] = np.nan
    return np.asarray(out)


class CausalEnvelope:
    """Root mean square over the last `duration` seconds, chunk by chunk.

    Parameters
    ----------
    sampling_rate : float
        Hertz.
    channels : int
        Rows of every chunk.
    duration : float
        Seconds.
    """

    def __init__(self, sampling_rate: float, channels: int, duration: float = 0.1) -> None:
        count = _samples(duration, sampling_rate)
        self._mean = CausalFir(np.full(count, 1.0 / count), channels)

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        """The envelope of the chunk, as long as the chunk."""
        return np.sqrt(self._mean.push(chunk**2))


def burst_mask(
    envelope: Float[np.ndarray, "*batch time"],
    sampling_rate: float,
    threshold: float = 3.0,
    min_duration: float = 0.05,
) -> Bool[np.ndarray, "*batch time"]:
    """Where the envelope is above rest for long enough.

    Parameters
    ----------
    envelope : Float[np.ndarray, "*batch time"]
        From `envelope`. Rest is its median over time, so bursts must fill less than half of it.
    sampling_rate : float
        Hertz.
    threshold : float
        Robust standard deviations above rest.
    min_duration : float
        Seconds; shorter bursts are dropped.

    Returns
    -------
    Bool[np.ndarray, "*batch time"]
        False in gaps, and everywhere in a constant or missing row.
    """
    filled, missing = bridge(envelope)
    rest = np.median(filled, axis=-1, keepdims=True)
    spread = _MAD_TO_SD * np.median(np.abs(filled - rest), axis=-1, keepdims=True)
    above = (filled > rest + threshold * spread) & (spread > 0) & ~missing
    return _long_enough(above, min_duration * sampling_rate)


def _long_enough(mask: np.ndarray, shortest: float) -> np.ndarray:
    """Runs of True that are at least `shortest` samples long."""
    rows = mask.reshape(-1, mask.shape[-1])
    edges = np.diff(np.pad(rows, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    keep = stop - start >= shortest
    marks = np.zeros((len(rows), mask.shape[-1] + 1), dtype=np.int32)
    marks[row[keep], start[keep]] = 1
    marks[row[keep], stop[keep]] -= 1
    return (np.cumsum(marks, axis=1)[:, :-1] > 0).reshape(mask.shape)


def _samples(duration: float, sampling_rate: float) -> int:
    count = round(duration * sampling_rate)
    if count < 1:
        raise SignalError(
            f"a duration of {duration:g} s is shorter than one sample at {sampling_rate:g} Hz."
        )
    return count
