"""Changing the sampling rate by a rational factor, with an anti-alias filter.

The filter is a Kaiser-windowed sinc (Oppenheim and Schafer, ch. 7.5) of ten zero crossings on
either side, each polyphase branch scaled to unit sum: a constant stays exactly that constant.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy  # its parts load at first use
from jaxtyping import Float

from dolorimeter.errors import SignalError
from dolorimeter.signals.filters import backfill
from dolorimeter.signals.gaps import Hold, bridge

ZERO_CROSSINGS = 10
KAISER_BETA = 5.0
LARGEST_FACTOR = 10_000
LARGEST_DRIFT = 1e-6


def ratio(rate_in: float, rate_out: float) -> tuple[int, int]:
    """Integers (up, down) with ``up / down`` = ``rate_out / rate_in``.

    Exact where both fit below 10,000, else the nearest such pair.

    Raises
    ------
    SignalError
        If a rate is not a positive number, their quotient is beyond 10,000 either way, or no pair
        comes within a millionth of it (a drift of 4 ms an hour).

    Examples
    --------
    >>> ratio(512.0, 100.0)
    (25, 128)
    """
    if not (np.isfinite(rate_in) and np.isfinite(rate_out) and rate_in > 0 and rate_out > 0):
        raise SignalError(
            f"resampling from {rate_in} to {rate_out} Hz: both rates must be positive numbers."
        )
    quotient = rate_out / rate_in
    if not 1 / LARGEST_FACTOR <= quotient <= LARGEST_FACTOR:
        raise SignalError(
            f"resampling from {rate_in:g} to {rate_out:g} Hz changes the rate more than "
            f"{LARGEST_FACTOR:,} times: choose a nearer rate."
        )
    if quotient <= 1:
        factor = Fraction(quotient).limit_denominator(LARGEST_FACTOR)
    else:
        factor = 1 / Fraction(1 / quotient).limit_denominator(LARGEST_FACTOR)
    if abs(float(factor) / quotient - 1) > LARGEST_DRIFT:
        raise SignalError(
            f"{rate_out:g} / {rate_in:g} Hz is not a ratio of integers below {LARGEST_FACTOR:,}: "
            "choose a rate that is simpler or nearer."
        )
    return factor.numerator, factor.denominator


def resample(
    x: Float[np.ndarray, "*batch time"], rate_in: float, rate_out: float
) -> Float[np.ndarray, "*batch time2"]:
    """The signal at another rate, aligned in time: sample 0 stays sample 0.

    Parameters
    ----------
    rate_in, rate_out : float
        Hertz.

    Returns
    -------
    Float[np.ndarray, "*batch time2"]
        ``round(time · rate_out / rate_in)`` samples; NaN where the nearest sample was NaN. Edges
        are continued by odd reflection.

    Raises
    ------
    SignalError
        As `ratio`, or if nothing would be left.
    """
    up, down = ratio(rate_in, rate_out)
    count = round(x.shape[-1] * up / down)
    if count < 1:
        raise SignalError(
            f"{x.shape[-1]} samples at {rate_in:g} Hz give none at {rate_out:g} Hz: "
            "take a longer stretch or a higher rate."
        )
    if up == down:
        return x.copy()
    filled, missing = bridge(x)
    taps = _taps(up, down)
    half = len(taps) // 2
    wait = -half % down  # so that output samples fall on the filter's centre
    edge = -(-half // (up * down)) * down
    ends = [(0, 0)] * (x.ndim - 1) + [(edge, edge)]
    longer = np.pad(filled, ends, mode="reflect", reflect_type="odd")
    out = np.asarray(scipy.signal.upfirdn(np.pad(taps, (wait, 0)), longer, up, down, axis=-1))
    first = (edge * up + half + wait) // down
    out = out[..., first : first + count]
    if missing.any():
        nearest = np.minimum(np.rint(np.arange(count) * down / up).astype(int), x.shape[-1] - 1)
        out[missing[..., nearest]] = np.nan
    return out


class CausalResampler:
    """Resampling chunk by chunk: sample k uses what has arrived by the time ``k / rate_out``.

    After n samples it has given ``ceil(n · rate_out / rate_in)``. The output lags by `delay`
    seconds, as any causal filter does. Before its first value, a channel is taken to have always
    had it; a gap is held and gives NaN.

    Parameters
    ----------
    rate_in, rate_out : float
        Hertz.
    channels : int
        Rows of every chunk.
    """

    def __init__(self, rate_in: float, rate_out: float, channels: int) -> None:
        self._up, self._down = ratio(rate_in, rate_out)
        self._taps = _taps(self._up, self._down)
        self.delay = (len(self._taps) // 2) / (self._up * rate_in)
        """Seconds by which the output lags: none where the rates are equal."""
        span = -(-len(self._taps) // self._up)
        self._keep = -(-span // self._down) * self._down  # whole periods of the polyphase pattern
        self._hold = Hold(channels)
        self._history = np.full((channels, self._keep), np.nan)
        self._origin = -self._keep  # index of the first kept sample, a multiple of `down`
        self._arrived = 0
        self._given = 0

    def push(self, chunk: Float[np.ndarray, "channel time"]) -> Float[np.ndarray, "channel time2"]:
        """What can be given once the chunk has arrived; possibly nothing."""
        held = self._hold.push(chunk)
        if not chunk.shape[1]:
            return np.empty((chunk.shape[0], 0))
        stretch = backfill(np.concatenate([self._history, held], axis=1))
        first = self._given
        self._arrived += chunk.shape[1]
        self._given = -(-self._arrived * self._up // self._down)
        at = np.arange(first, self._given)
        shift = self._origin * self._up // self._down
        out = np.asarray(scipy.signal.upfirdn(self._taps, stretch, self._up, self._down, axis=-1))
        out = out[:, at - shift]
        newest = at * self._down // self._up - (self._arrived - chunk.shape[1])
        out[np.isnan(chunk)[:, newest]] = np.nan
        drop = max(0, stretch.shape[1] - self._keep - self._down) // self._down * self._down
        self._history = stretch[:, drop:]
        self._origin += drop
        return out


@lru_cache(maxsize=64)
def _taps(up: int, down: int) -> np.ndarray:
    """Anti-alias taps at ``up · rate_in``; each of the `up` branches sums to 1."""
    widest = max(up, down)
    if widest == 1:
        return np.ones(1)
    taps = scipy.signal.firwin(
        2 * ZERO_CROSSINGS * widest + 1, 1 / widest, window=("kaiser", KAISER_BETA)
    )
    taps = np.asarray(taps)
    for branch in range(up):
        taps[branch::up] /= taps[branch::up].sum()
    taps.flags.writeable = False
    return taps
