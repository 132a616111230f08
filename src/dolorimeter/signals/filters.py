"""Filters as second-order sections: zero-phase, and causal with state.

References
----------
Oppenheim and Schafer, Discrete-Time Signal Processing, 3rd ed., ch. 7 (Butterworth by the
bilinear transform). Gustafsson, IEEE Trans. Signal Process. 44:988 (1996), forward–backward.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.gaps import Hold, bridge

Kind = Literal["lowpass", "highpass", "bandpass", "bandstop"]
Sections = Float[np.ndarray, "section 6"]

NEAR = 0.95
"""Share of half the sampling rate from which on the upper cut of a band is left out."""


def design(
    kind: Kind, cut: float | tuple[float, float], sampling_rate: float, order: int = 4
) -> Sections:
    """Butterworth filter as second-order sections.

    Parameters
    ----------
    kind : str
        ``lowpass``, ``highpass`` (one cut) or ``bandpass``, ``bandstop`` (two).
    cut : float or (float, float)
        Frequency of half power in hertz.
    sampling_rate : float
        Hertz.
    order : int
        Of the low-pass prototype; a band filter has twice as many poles.

    Raises
    ------
    SignalError
        If a cut is not between 0 and half the sampling rate, or the pair is not ascending.
    """
    if kind not in ("lowpass", "highpass", "bandpass", "bandstop"):
        raise SignalError(
            f"filter kind '{kind}', expected lowpass, highpass, bandpass or bandstop."
        )
    if order < 1:
        raise SignalError(f"filter order is {order}, expected 1 or more.")
    band = kind in ("bandpass", "bandstop")
    cuts = tuple(float(c) for c in np.atleast_1d(np.asarray(cut, dtype=float)))
    if len(cuts) != (2 if band else 1):
        raise SignalError(
            f"a {kind} filter takes {'two cuts' if band else 'one cut'}, found {len(cuts)}."
        )
    for one in cuts:
        check_below_nyquist(one, sampling_rate, kind)
    if band and cuts[0] >= cuts[1]:
        raise SignalError(f"{kind} cuts {cuts[0]:g} and {cuts[1]:g} Hz must be ascending.")
    return _butterworth(kind, cuts, float(sampling_rate), order).copy()  # sosfilt wants its own


def band_design(
    low: float, high: float, sampling_rate: float, order: int = 4
) -> tuple[Sections, bool]:
    """Band-pass, or a high-pass where its upper cut is at or above `NEAR` of half the rate.

    There a band-pass takes away next to nothing above the cut, and its sections are badly
    conditioned.

    Returns
    -------
    (sections, highpass)
        And whether the upper cut was left out.

    Raises
    ------
    SignalError
        As `design`: an upper cut at or above half the rate is no matter of rounding.
    """
    check_below_nyquist(high, sampling_rate, "bandpass")
    if low < high and high >= NEAR * sampling_rate / 2:
        return design("highpass", low, sampling_rate, order), True
    return design("bandpass", (low, high), sampling_rate, order), False


def notch_design(frequency: float, sampling_rate: float, q: float = 30.0) -> Sections:
    """Second-order notch at `frequency` hertz; its width at half power is ``frequency / q``.

    Raises
    ------
    SignalError
        If the frequency is not below half the sampling rate, or `q` is not positive.
    """
    check_below_nyquist(frequency, sampling_rate, "notch")
    if not q > 0:
        raise SignalError(f"notch quality factor is {q:g}, expected a positive number.")
    return np.asarray(scipy.signal.tf2sos(*scipy.signal.iirnotch(frequency, q, fs=sampling_rate)))


def check_below_nyquist(frequency: float, sampling_rate: float, what: str) -> None:
    """Raise `SignalError` unless ``0 < frequency < sampling_rate / 2``."""
    if not 0 < frequency < sampling_rate / 2:
        raise SignalError(
            f"{what} at {frequency:g} Hz asked of a signal sampled at {sampling_rate:g} Hz, which "
            f"carries frequencies above 0 and below {sampling_rate / 2:g} Hz: choose another cut, "
            "or leave the step out for this signal."
        )


def zero_phase(
    x: Float[np.ndarray, "*batch time"], sos: Sections
) -> Float[np.ndarray, "*batch time"]:
    """Filtered forwards and backwards: no delay, the squared gain, and half power becomes 1/4.

    Gaps are bridged by a straight line before and NaN again after; edges are continued by odd
    reflection.

    Raises
    ------
    SignalError
        If the signal is not longer than the edge the filter needs, or has infinite samples.
    """
    edge = edge_samples(sos)
    if x.shape[-1] <= edge:
        raise SignalError(
            f"{x.shape[-1]} samples are too few for this zero-phase filter, which needs more than "
            f"{edge}: take a longer window or a lower order."
        )
    filled, missing = bridge(x)
    head = 2 * filled[..., :1] - filled[..., edge:0:-1]
    tail = 2 * filled[..., -1:] - filled[..., -2 : -edge - 2 : -1]
    out = np.concatenate([head, filled, tail], axis=-1)
    settled = _settled(sos.tobytes()).reshape(len(sos), *[1] * (x.ndim - 1), 2)
    for _ in range(2):  # there and back again
        out, _state = scipy.signal.sosfilt(sos, out, axis=-1, zi=settled * out[..., :1])
        out = out[..., ::-1]
    filtered = np.ascontiguousarray(out[..., edge : edge + x.shape[-1]])
    if missing.any():
        filtered[missing] = np.nan
    return filtered


def edge_samples(sos: Sections) -> int:
    """Samples by which `zero_phase` continues a signal at either end: three filter lengths."""
    taps = 2 * len(sos) + 1
    taps -= min(int((sos[:, 2] == 0).sum()), int((sos[:, 5] == 0).sum()))
    return 3 * taps


class CausalFilter:
    """A filter that is fed chunk by chunk and remembers; any chunking gives the same output.

    Each channel starts settled on its first value, so that a level does not ring. A gap is
    filtered as if the last value had been held, and its output is NaN; the state is never NaN.

    Parameters
    ----------
    sos : Float[np.ndarray, "section 6"]
        From `design` or `notch_design`.
    channels : int
        Rows of every chunk.
    """

    def __init__(self, sos: Sections, channels: int) -> None:
        self._sos = sos
        self._settled = _settled(sos.tobytes())
        self._state = np.zeros((len(sos), channels, 2))
        self._started = np.zeros(channels, dtype=bool)
        self._hold = Hold(channels)

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        """The filtered chunk, as long as the chunk."""
        held = self._hold.push(chunk)
        out = np.full(chunk.shape, np.nan)
        if not chunk.shape[1]:
            return out
        known = np.isfinite(held)
        first = np.where(known.any(axis=1), known.argmax(axis=1), chunk.shape[1])
        for start in np.unique(first[first < chunk.shape[1]]):
            rows = np.flatnonzero(first == start)
            self._start(rows, held[rows, start])
            out[rows, start:], self._state[:, rows] = scipy.signal.sosfilt(
                self._sos, held[rows, start:], axis=-1, zi=self._state[:, rows]
            )
        out[np.isnan(chunk)] = np.nan
        return out

    def _start(self, rows: np.ndarray, values: np.ndarray) -> None:
        new = rows[~self._started[rows]]
        first_values = values[~self._started[rows]]
        self._state[:, new] = self._settled[:, None, :] * first_values[None, :, None]
        self._started[new] = True


class CausalFir:
    """A finite impulse response fed chunk by chunk; before the first value it has always been so.

    Gaps are treated as in `CausalFilter`.

    Parameters
    ----------
    taps : Float[np.ndarray, "tap"]
        The first one weighs the newest sample.
    channels : int
        Rows of every chunk.
    """

    def __init__(self, taps: Float[np.ndarray, " tap"], channels: int) -> None:
        self._taps = taps
        self._hold = Hold(channels)
        self._history = np.full((channels, len(taps) - 1), np.nan)

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
        """The filtered chunk, as long as the chunk."""
        held = self._hold.push(chunk)
        count = chunk.shape[1]
        if not count:
            return np.empty(chunk.shape)
        stretch = backfill(np.concatenate([self._history, held], axis=1))
        past = self._history.shape[1]
        self._history = stretch[:, stretch.shape[1] - past :].copy()
        out = np.asarray(scipy.signal.upfirdn(self._taps, stretch, axis=-1))[
            :, past : past + count
        ]
        return np.where(np.isnan(chunk), np.nan, out)


def backfill(x: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time"]:
    """Leading NaN of each row replaced by the row's first value; a row of NaN stays."""
    known = np.isfinite(x)
    first = known.argmax(axis=1)
    head = np.arange(x.shape[1])[None, :] < first[:, None]
    if not head.any():
        return x
    return np.where(head, x[np.arange(len(x)), first][:, None], x)


def causal(x: Float[np.ndarray, "*batch time"], sos: Sections) -> Float[np.ndarray, "*batch time"]:
    """`CausalFilter` over a whole signal at once."""
    rows = x.reshape(-1, x.shape[-1])
    return CausalFilter(sos, len(rows)).push(rows).reshape(x.shape)


@lru_cache(maxsize=256)
def _butterworth(
    kind: Kind, cuts: tuple[float, ...], sampling_rate: float, order: int
) -> Sections:
    band = kind in ("bandpass", "bandstop")
    sos = scipy.signal.butter(
        order, cuts if band else cuts[0], btype=kind, fs=sampling_rate, output="sos"
    )
    return _unchanging(sos)


@lru_cache(maxsize=256)
def _settled(sos: bytes) -> np.ndarray:
    """State of each section after a constant 1 has been there for ever."""
    return _unchanging(scipy.signal.sosfilt_zi(np.frombuffer(sos).reshape(-1, 6)))


def _unchanging(x: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to, fit to be shared."""
    x = np.array(x, dtype=np.float64)
    x.flags.writeable = False
    return x
