"""Signals drawn as pictures of 224 × 224 without a plotting library: waveforms and spectrograms.

Written for batches: what takes a plotting library tens of milliseconds a picture takes a fraction
of one here. Values and colours agree with matplotlib's (``specgram``, ``viridis``) to what the
tests state.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.errors import ConfigError, SignalError

SIZE = 224
SEGMENT = 0.5
"""Seconds of a segment of the spectrogram: 256 samples at 512 Hz. See `segment_length`."""
OVERLAP = 0.75
LEAST_SEGMENT = 16
"""Samples; fewer give no spectrum worth a picture, so that below 32 Hz a segment is longer."""
LINE_WIDTH = 1.5
"""Pixels of the waveform's line."""
FINE = 64
"""Parts of a pixel in which ink is counted. The columns beside a line's own get a quarter of its
ink: (1.5 − 1) / 2 pixels."""
AT_ONCE = 8
"""Spectrograms that are made together: as many as a processor's cache holds."""
MARGIN = 0.05
"""Share of the range left free above and below the line."""

Quantity = Literal["psd", "angle", "phase"]
"""What a spectrogram shows, as ``mode`` of matplotlib's ``specgram``."""


def waveforms(
    values: Float[np.ndarray, "picture time"], *, size: int = SIZE
) -> UInt8[np.ndarray, "picture 3 size size"]:
    """Black lines on white, each over the whole width and its own range of values, no axes.

    The ink of a pixel is the share of its height that the line covers, over the stretch of the
    signal that falls into its column. A constant signal is a line in the middle.

    Raises
    ------
    SignalError
        If a signal holds NaN or has fewer than 2 samples.
    """
    top, bottom = _scaled(*_bands(values, size), float(size))
    pictures = np.empty((len(values), 3, size, size), dtype=np.uint8)
    pen = _Pen(size)
    for picture, *edges in zip(pictures, top, bottom, strict=True):
        picture[:] = pen.drawn(pen.ink(*edges))
    return pictures


def stacked_waveforms(
    values: Float[np.ndarray, "picture channel time"], *, size: int = SIZE
) -> UInt8[np.ndarray, "picture 3 size size"]:
    """All channels of a window in one picture, one below the other, each in its own range.

    Raises
    ------
    SignalError
        If a signal holds NaN, or has fewer than 2 samples.
    """
    pictures, channels, _ = values.shape
    low, high = _bands(values.reshape(pictures * channels, -1), size)
    height = size / channels
    shift = np.tile(np.arange(channels) * height, pictures)[:, None]
    top, bottom = (
        (edge + shift).reshape(pictures, channels, size) for edge in _scaled(low, high, height)
    )
    drawn = np.empty((pictures, 3, size, size), dtype=np.uint8)
    pen, ink = _Pen(size), np.empty((size, size), dtype=np.uint8)
    for picture, uppers, lowers in zip(drawn, top, bottom, strict=True):
        ink[:] = 0
        for edges in zip(uppers, lowers, strict=True):
            np.maximum(ink, pen.ink(*edges), out=ink)
        picture[:] = pen.drawn(ink)
    return drawn


def spectrograms(
    values: Float[np.ndarray, "picture time"],
    sampling_rate: float,
    quantity: str = "psd",
) -> Float[np.ndarray, "picture frequency segment"]:
    """What `spectrogram_pictures` colours: Hann segments of `segment_length`, 3/4 shared.

    Parameters
    ----------
    values : Float[np.ndarray, "picture time"]
    sampling_rate : float
        Hertz.
    quantity : str
        ``psd``: power spectral density in decibels; ``angle``: phase wrapped to −π…π; ``phase``:
        unwrapped along frequency. As ``mode`` of matplotlib's ``specgram``.

    Raises
    ------
    ConfigError
        If there is no such quantity.
    SignalError
        If a signal holds NaN or is shorter than a segment.
    """
    if quantity not in get_args(Quantity):
        raise ConfigError(
            f"quantity is '{quantity}', expected one of {', '.join(get_args(Quantity))}."
        )
    _check(values)
    if fault := spectrogram_fault(values.shape[1], sampling_rate):
        raise SignalError(fault)
    from scipy.fft import rfft

    length = segment_length(sampling_rate)
    step = length - int(OVERLAP * length)
    window = np.hanning(length).astype(values.dtype)
    segments = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)[:, ::step]
    spectrum = rfft(segments * window, axis=2).transpose(0, 2, 1)
    if quantity == "psd":
        power = spectrum.real**2
        power += spectrum.imag**2
        power /= sampling_rate * np.sum(window**2)
        power[:, 1 : -1 if length % 2 == 0 else None] *= 2
        return 10 * np.log10(np.maximum(power, np.finfo(power.dtype).tiny))
    angle = np.angle(spectrum)
    return angle if quantity == "angle" else np.unwrap(angle, axis=1)


def segment_length(sampling_rate: float) -> int:
    """Samples of a segment: half a second, or 16 samples of a signal slower than 32 Hz.

    Examples
    --------
    >>> segment_length(512.0), segment_length(4.0)
    (256, 16)
    """
    return max(round(SEGMENT * sampling_rate), LEAST_SEGMENT)


def spectrogram_fault(samples: int, sampling_rate: float) -> str | None:
    """Why a signal of so many samples has no spectrogram; None if it has one."""
    length = segment_length(sampling_rate)
    if samples >= length:
        return None
    return (
        f"{samples} samples at {sampling_rate:g} Hz: a spectrogram needs one whole segment of "
        f"{length} samples ({length / sampling_rate:g} s). Take the waveform, or a longer window."
    )


def waveform_fault(samples: int) -> str | None:
    """Why a signal of so many samples cannot be drawn; None if it can."""
    if samples >= 2:
        return None
    return f"{samples} samples: nothing can be drawn, expected 2 or more."


def spectrogram_pictures(
    values: Float[np.ndarray, "picture time"],
    sampling_rate: float,
    quantity: str = "psd",
    *,
    size: int = SIZE,
) -> UInt8[np.ndarray, "picture 3 size size"]:
    """Spectrograms in viridis, time to the right, frequency upwards, each in its own range.

    Raises
    ------
    ConfigError, SignalError
        As `spectrograms`.
    """
    pictures = np.empty((len(values), 3, size, size), dtype=np.uint8)
    for first in range(0, max(len(values), 1), AT_ONCE):  # no signal at all is checked as well
        some = values[first : first + AT_ONCE].astype(np.float32)
        found = spectrograms(some, sampling_rate, quantity)
        _colour(found, pictures[first : first + AT_ONCE])
    return pictures


def _colour(
    found: Float[np.ndarray, "picture frequency segment"],
    pictures: UInt8[np.ndarray, "picture 3 size size"],
) -> None:
    """Viridis over each one's own range, the lowest frequency below."""
    from dolorimeter._extras import cv2

    if not len(found):
        return
    low = found.min(axis=(1, 2), keepdims=True)
    span = found.max(axis=(1, 2), keepdims=True) - low
    level = (found[:, ::-1] - low) / np.where(span > 0, span, 1) * 256
    level = np.minimum(level, 255).astype(np.uint8)  # 256 equal steps, as matplotlib's
    for band, colour in enumerate(_viridis()):
        for picture, plane in zip(pictures[:, band], colour[level], strict=True):
            cv2.resize(plane, picture.shape, dst=picture, interpolation=cv2.INTER_NEAREST)


def spectrogram_extent(samples: int, sampling_rate: float) -> tuple[float, float, float, float]:
    """Seconds at the left and right edge of a spectrogram's picture, hertz at the lower and upper.

    A column is the time around the middle of its segment, a row the frequencies around its own.

    Examples
    --------
    >>> spectrogram_extent(2816, 512.0)
    (0.1875, 5.3125, -1.0, 257.0)
    """
    length = segment_length(sampling_rate)
    step = length - int(OVERLAP * length)
    segments = (samples - length) // step + 1
    left = (length - step) / 2 / sampling_rate
    half = sampling_rate / length / 2  # of the distance of two frequencies
    high = (length // 2) * sampling_rate / length + half
    return left, left + segments * step / sampling_rate, -half, high


@lru_cache(maxsize=1)
def _viridis() -> UInt8[np.ndarray, "3 256"]:
    from dolorimeter._extras import cv2

    levels = np.arange(256, dtype=np.uint8)[None]
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[0, :, ::-1].T)


def _check(values: Float[np.ndarray, "picture time"]) -> None:
    if fault := waveform_fault(values.shape[1]):
        raise SignalError(fault)
    if not np.isfinite(values).all():
        raise SignalError(
            "a signal to be drawn holds NaN or infinite values: fill its gaps, or leave the "
            "window out."
        )


def _bands(
    values: Float[np.ndarray, "picture time"], size: int
) -> tuple[Float[np.ndarray, "picture size"], Float[np.ndarray, "picture size"]]:
    """Lowest and highest value of the line in each column of the picture."""
    _check(values)
    count = values.shape[1]
    place = np.linspace(0, size, count)  # of each sample, in columns
    edges = np.clip(np.searchsorted(place, np.arange(size + 1)), 1, count - 1)
    share = (np.arange(size + 1) - place[edges - 1]) / (place[edges] - place[edges - 1])
    before, after = values[:, edges - 1], values[:, edges]
    at = before + (after - before) * share  # (picture, size + 1)
    low = np.minimum(at[:, :-1], at[:, 1:])
    high = np.maximum(at[:, :-1], at[:, 1:])
    column = np.minimum(place.astype(int), size - 1)
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    filled = column[starts]  # columns that have a sample
    low[:, filled] = np.minimum(low[:, filled], np.minimum.reduceat(values, starts, axis=1))
    high[:, filled] = np.maximum(high[:, filled], np.maximum.reduceat(values, starts, axis=1))
    return low, high


def _scaled(
    low: Float[np.ndarray, "picture size"], high: Float[np.ndarray, "picture size"], height: float
) -> tuple[Float[np.ndarray, "picture size"], Float[np.ndarray, "picture size"]]:
    """Upper and lower edge of the line in pixels from the top."""
    least = low.min(axis=1, keepdims=True)
    span = high.max(axis=1, keepdims=True) - least
    scale = np.where(span > 0, (1 - 2 * MARGIN) / np.where(span > 0, span, 1), 0)
    offset = np.where(span > 0, MARGIN, 0.5)
    top = height * (1 - offset - scale * (high - least)) - LINE_WIDTH / 2
    bottom = height * (1 - offset - scale * (low - least)) + LINE_WIDTH / 2
    return top, bottom


class _Pen:
    """Draws picture after picture in the same memory: fresh memory takes as long as the drawing.

    No operand is a number: NumPy's loops over an array and a number are many times as slow.
    """

    def __init__(self, size: int) -> None:
        self.first = (np.arange(size) * FINE).astype(np.int16)[:, None]  # of each row, in `FINE`
        self.last = self.first + np.int16(FINE)
        self.upper, self.lower = (np.empty((size, size), np.int16) for _ in range(2))
        self.dark, self.side = (np.empty((size, size), np.uint8) for _ in range(2))
        self.none, self.three = np.zeros(size, np.uint8), np.full(size, 3, np.uint8)

    def ink(
        self, top: Float[np.ndarray, " size"], bottom: Float[np.ndarray, " size"]
    ) -> UInt8[np.ndarray, "size size"]:
        """How much of each pixel's height lies between the two edges, in parts of `FINE`."""
        np.maximum(np.rint(top * FINE).astype(np.int16), self.first, out=self.upper)
        np.minimum(np.rint(bottom * FINE).astype(np.int16), self.last, out=self.lower)
        np.maximum(self.lower, self.upper, out=self.lower)
        np.subtract(self.lower, self.upper, out=self.lower)
        np.copyto(self.dark, self.lower, casting="unsafe")
        return self.dark

    def drawn(self, ink: UInt8[np.ndarray, "size size"]) -> UInt8[np.ndarray, "size size"]:
        """Black ink on white; what is wider than a column reaches into its neighbours.

        Of 64 parts of ink, 4 · ink − 1 of 255 are dark, and a quarter of that, ink − 1, beside.
        """
        there = np.greater(ink, self.none, out=self.side)
        beside = np.subtract(ink, there, out=self.side)
        dark = np.multiply(ink, self.three, out=ink)
        dark += beside
        np.maximum(dark[:, 1:], beside[:, :-1], out=dark[:, 1:])
        np.maximum(dark[:, :-1], beside[:, 1:], out=dark[:, :-1])
        return np.invert(dark, out=dark)
