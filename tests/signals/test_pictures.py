"""Drawn signals against matplotlib: arrays before colouring, colours, and the ink of lines."""

from __future__ import annotations

import io

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import mlab
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dolorimeter.errors import ConfigError, SignalError
from dolorimeter.signals import pictures

RATE = 512.0


def signals(count: int = 3) -> np.ndarray:
    """Wandering lines, as skin conductance has."""
    return np.random.default_rng(0).normal(size=(count, 2816)).cumsum(axis=1)


@pytest.mark.parametrize("quantity", ["psd", "angle", "phase"])
def test_spectrograms_are_those_of_matplotlib(quantity: str) -> None:
    x = signals()
    found = pictures.spectrograms(x, RATE, quantity)
    for row, values in zip(found, x, strict=True):
        want, _, _ = mlab.specgram(values, NFFT=256, Fs=512, noverlap=192, mode=quantity)
        want = 10 * np.log10(want) if quantity == "psd" else want
        np.testing.assert_allclose(row, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", [64.0, 100.0, 1000.0, 999.0, 4.0, 10.5])
def test_segments_scale_with_the_rate_down_to_16_samples(rate: float) -> None:
    x = signals(1)[:, : max(int(4 * rate), 22)]
    length = max(round(0.5 * rate), 16)
    want, _, _ = mlab.specgram(x[0], NFFT=length, Fs=rate, noverlap=int(0.75 * length), mode="psd")
    np.testing.assert_allclose(pictures.spectrograms(x, rate)[0], 10 * np.log10(want), rtol=1e-9)


def test_colours_are_viridis_and_frequency_points_upwards() -> None:
    time = np.arange(2816) / RATE
    tone = np.sin(2 * np.pi * 200 * time)[None]
    picture = pictures.spectrogram_pictures(tone, RATE)[0]
    assert picture.shape == (3, 224, 224)
    assert picture.dtype == np.uint8
    brightest = int(picture[1].mean(axis=1).argmax())  # green rises along viridis
    assert abs(brightest - 223 * (1 - 200 / 256)) < 3
    wanted = np.array(mpl.colormaps["viridis"](np.arange(256), bytes=True))[:, :3]
    seen = {tuple(int(v) for v in colour) for colour in picture.reshape(3, -1).T}
    for colour in seen:
        assert np.abs(wanted - np.array(colour)).max(axis=1).min() <= 1


def line_by_matplotlib(values: np.ndarray, size: int = 224) -> np.ndarray:
    """Ink of the same line by matplotlib: no axes, the same margins and width."""
    figure = Figure(figsize=(size / 100, size / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.plot(np.linspace(0, 1, len(values)), values, "k", lw=pictures.LINE_WIDTH * 0.72)
    margin = np.ptp(values) * pictures.MARGIN / (1 - 2 * pictures.MARGIN)
    axes.set_xlim(0, 1)
    axes.set_ylim(values.min() - margin, values.max() + margin)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    picture = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return 255.0 - picture


@pytest.mark.parametrize(
    "values",
    [
        signals()[0],
        np.sin(np.linspace(0, 40, 2816)),
        np.random.default_rng(1).normal(size=2816),
        np.sin(np.linspace(0, 6, 60)),
        np.linspace(0, 1, 3),
    ],
    ids=["walk", "wave", "noise", "few samples", "ramp"],
)
def test_the_ink_of_a_line_is_matplotlibs(values: np.ndarray) -> None:
    """Cosine of the two pictures' ink at least 0.93; the amount within 35 %.

    Not more, because matplotlib drops points of a path (`path.simplify`) and blends joins, and
    ours covers a column from the line's lowest to its highest point: most too much at 45°.
    """
    wanted = line_by_matplotlib(values)
    found = 255.0 - pictures.waveforms(values[None])[0, 0]
    cosine = (wanted * found).sum() / np.sqrt((wanted**2).sum() * (found**2).sum())
    assert cosine > 0.93
    assert 0.65 < found.sum() / wanted.sum() < 1.35
    mirrored = found[::-1]
    against = (wanted * mirrored).sum() / np.sqrt((wanted**2).sum() * (mirrored**2).sum())
    assert against < cosine  # the measure can tell a wrong line


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 400), st.floats(-5, 5), st.floats(0.1, 1e6), st.integers(0, 2**32 - 1))
def test_a_line_depends_on_shape_alone(length: int, shift: float, scale: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(1, length))
    one, other = pictures.waveforms(x), pictures.waveforms(scale * (x + shift))
    assert np.abs(one.astype(int) - other).max() <= 8  # one 64th of a pixel in rounding
    assert (one[0, 0] < 255).any(axis=0).all()  # every column has ink


def test_rows_of_a_batch_are_drawn_alone() -> None:
    x = signals(9)
    for draw in (pictures.waveforms, lambda v: pictures.spectrogram_pictures(v, RATE)):
        together = draw(x)
        for i in (0, 8):
            assert np.array_equal(together[i : i + 1], draw(x[i : i + 1]))


def test_a_constant_signal_is_a_line_in_the_middle() -> None:
    picture = pictures.waveforms(np.full((1, 100), 3.0))[0, 0]
    rows = np.flatnonzero((picture < 255).any(axis=1))
    assert rows.tolist() == [111, 112]
    flat = pictures.spectrogram_pictures(np.zeros((1, 1024)), RATE)
    assert len(np.unique(flat[0].reshape(3, -1), axis=1).T) == 1


def test_stacked_channels_stay_in_their_own_band() -> None:
    x = np.random.default_rng(2).normal(size=(2, 4, 200))
    picture = pictures.stacked_waveforms(x)
    assert picture.shape == (2, 3, 224, 224)
    moved = x.copy()
    moved[:, 2] = moved[:, 2, ::-1]
    changed = np.flatnonzero((pictures.stacked_waveforms(moved) != picture).any(axis=(0, 1, 3)))
    assert changed.min() >= 2 * 56 - 1
    assert changed.max() <= 3 * 56


def test_faults_are_named() -> None:
    x = signals(1)
    x[0, 5] = np.nan
    with pytest.raises(SignalError, match="holds NaN or infinite values"):
        pictures.waveforms(x)
    with pytest.raises(SignalError, match="1 samples: nothing can be drawn"):
        pictures.waveforms(np.ones((1, 1)))
    with pytest.raises(SignalError, match="needs one whole segment of"):
        pictures.spectrograms(signals(1)[:, :100], RATE)
    with pytest.raises(SignalError, match=r"one whole segment of 16 samples \(4 s\)"):
        pictures.spectrograms(signals(1)[:, :15], 4.0)
    with pytest.raises(ConfigError, match="quantity is 'power', expected one of psd"):
        pictures.spectrograms(signals(1), RATE, "power")
