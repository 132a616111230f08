"""Signals that look like a body's: arrays in, arrays out, nothing of levels or of files.

Every function takes one generator a window, so that a window is the same whichever others are made
with it. `noise` scales what instruments and the rest of the body add; at 0 only the body's answer
and its rhythms remain. Shapes and constants are published facts, named where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Rngs = Sequence[np.random.Generator]

SCR_RISE, SCR_DECAY = 0.75, 2.0
"""Seconds. Time constants of the bi-exponential response: Alexander et al. 2005, J Neurosci
Methods 146:116–123 (a second-order process driven by the sudomotor nerve)."""
SCR_LATENCY = (1.0, 3.0)
"""Seconds from stimulus to response: Boucsein et al. 2012, Psychophysiology 49:1017–1034."""
SPONTANEOUS_PER_MINUTE = 2.0
"""Non-specific responses at rest: one to three (Boucsein 2012, Electrodermal Activity)."""
SPONTANEOUS_MEDIAN, SPONTANEOUS_SPREAD = 0.05, 0.8
"""Microsiemens and log units. Amplitudes are right-skewed, near to lognormal (Boucsein 2012)."""

ECG_WAVES = (
    ("P", -0.170, 0.12, 0.024),
    ("Q", -0.032, -0.11, 0.010),
    ("R", 0.0, 1.00, 0.011),
    ("S", 0.034, -0.20, 0.012),
    ("T", 0.290, 0.27, 0.050),
)
"""Centre (s, from R), height (of R), width (s) of each wave, as a sum of Gaussians: the form is of
McSharry et al. 2003, IEEE TBME 50:289–294. The T wave moves with √RR (Bazett 1920)."""

EMG_BAND = (20.0, 90.0, 230.0)
"""Hertz: lower edge, peak and upper edge of surface EMG (De Luca 1997, J Appl Biomech 13:135)."""

HRF_PEAK, HRF_SHAPE = 5.0, 6.0
"""Seconds to the peak and shape of the gamma response (Glover 1999, NeuroImage 9:416–429)."""
MAYER_HZ = 0.1
"""Arterial pressure waves (Julien 2006, Cardiovasc Res 70:12–21)."""


@dataclass(frozen=True)
class Heart:
    """Heart beats of windows.

    `phase` counts beats (integer at an R peak) on `times`, which begin a second before the window
    and end a second after it; `breath` is the phase of breathing in radians on the same times.
    """

    times: Float[np.ndarray, " time"]
    phase: Float[np.ndarray, "window time"]
    breath: Float[np.ndarray, "window time"]


def normal(rngs: Rngs, *shape: int) -> np.ndarray:
    """Standard normal numbers, ``(window, *shape)``."""
    return np.stack([rng.standard_normal(shape) for rng in rngs])


def uniform(rngs: Rngs, low: float, high: float) -> Float[np.ndarray, " window"]:
    """One uniform number a window."""
    return np.array([rng.uniform(low, high) for rng in rngs])


def ramp(
    times: Float[np.ndarray, " time"], start: float, length: float
) -> Float[np.ndarray, " time"]:
    """Smooth step from 0 to 1 between `start` and ``start + length`` seconds."""
    x = np.clip((times - start) / length, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def scr(
    times: Float[np.ndarray, "*any"], rise: float = SCR_RISE, decay: float = SCR_DECAY
) -> Float[np.ndarray, "*any"]:
    """Skin-conductance response of amplitude 1 from time 0 on: a difference of exponentials.

    Parameters
    ----------
    times : Float[np.ndarray, "*any"]
        Seconds since its onset; zero before it.
    rise, decay : float
        Time constants in seconds.
    """
    top = np.log(decay / rise) * rise * decay / (decay - rise)
    height = np.exp(-top / decay) - np.exp(-top / rise)
    after = np.maximum(times, 0.0)
    return (np.exp(-after / decay) - np.exp(-after / rise)) / height


def skin_conductance(
    times: Float[np.ndarray, " time"],
    level: Float[np.ndarray, " window"],
    amplitude: Float[np.ndarray, " window"],
    stimulus: float,
    rngs: Rngs,
    noise: float,
) -> Float[np.ndarray, "window time"]:
    """Skin conductance in microsiemens: tonic level, drift, one response, spontaneous ones.

    Parameters
    ----------
    times : Float[np.ndarray, "time"]
        Seconds from the window's start.
    level, amplitude : Float[np.ndarray, "window"]
        Tonic level and amplitude of the response, microsiemens.
    stimulus : float
        When the stimulus began, in seconds from the window's start (negative: before it).
    """
    onset = stimulus + uniform(rngs, *SCR_LATENCY)
    signal = level[:, None] + amplitude[:, None] * scr(times - onset[:, None])
    slope = 0.002 * normal(
        rngs
    )  # tonic level falls or rises by a few tenths of a percent a second
    signal += (level * slope)[:, None] * times
    reach = 8.0  # responses that began before the window still decay in it
    span = reach + times[-1]
    for row, rng in zip(signal, rngs, strict=True):
        for _ in range(rng.poisson(SPONTANEOUS_PER_MINUTE / 60 * span)):
            size = SPONTANEOUS_MEDIAN * np.exp(SPONTANEOUS_SPREAD * rng.standard_normal())
            row += noise * size * scr(times - rng.uniform(-reach, times[-1]))
    signal += noise * 0.002 * normal(rngs, len(times))
    return np.maximum(signal, 0.01)


def heart(
    times: Float[np.ndarray, " time"],
    rate: Float[np.ndarray, " window"],
    rise: Float[np.ndarray, " window"],
    breathing: Float[np.ndarray, " window"],
    rsa: float,
    rngs: Rngs,
) -> Heart:
    """Beats at a rate that a response raises and breathing modulates.

    Parameters
    ----------
    times : Float[np.ndarray, "time"]
        Seconds from the window's start, evenly spaced.
    rate, rise : Float[np.ndarray, "window"]
        Heart rate and its rise over the window, per minute. The rise comes between 0.5 and 4 s, as
        the acceleration to a painful stimulus does (Loggia et al. 2011, Pain 152:592–598).
    breathing : Float[np.ndarray, "window"]
        Hertz.
    rsa : float
        Respiratory sinus arrhythmia: amplitude of the rate's swing with breath, per minute
        (Berntson et al. 1997, Psychophysiology 34:623–648).
    """
    step = times[1] - times[0]
    pad = round(1.0 / step)
    wide = times[0] + step * np.arange(-pad, len(times) + pad)
    breath = 2 * np.pi * breathing[:, None] * wide + uniform(rngs, 0.0, 2 * np.pi)[:, None]
    swing = rsa * np.sin(breath) + rise[:, None] * ramp(wide, 0.5, 3.5)
    beats = np.clip(rate[:, None] + swing, 40.0, 160.0) / 60.0
    phase = np.cumsum(beats, axis=1) * step + uniform(rngs, 0.0, 1.0)[:, None]
    return Heart(wide, phase, breath)


def _inside(heart: Heart, count: int) -> slice:
    pad = (len(heart.times) - count) // 2
    return slice(pad, pad + count)


def electrocardiogram(
    times: Float[np.ndarray, " time"], heart: Heart, amplitude: float, rngs: Rngs, noise: float
) -> Float[np.ndarray, "window time"]:
    """ECG in microvolts: P, Q, R, S and T at each beat, breathing in baseline and height, noise.

    Parameters
    ----------
    amplitude : float
        Height of R in microvolts.
    """
    breath = np.sin(heart.breath[:, _inside(heart, len(times))])
    signal = np.zeros((len(heart.phase), len(times)))
    for row, phase in zip(signal, heart.phase, strict=True):
        first, last = int(np.ceil(phase[0])), int(np.floor(phase[-1]))
        at = np.interp(np.arange(first, last + 1), phase, heart.times)
        length = np.gradient(at) if len(at) > 1 else np.ones(1)
        for beat, rr in zip(at, length, strict=True):
            low, high = np.searchsorted(times, (beat - 0.26, beat + 0.55))
            since = times[low:high] - beat
            for name, centre, height, width in ECG_WAVES:
                stretch = np.sqrt(rr) if name == "T" else 1.0
                row[low:high] += height * np.exp(-0.5 * ((since - centre * stretch) / width) ** 2)
    signal *= amplitude * (1 + 0.04 * breath)
    signal += noise * (0.05 * amplitude * breath + 6.0 * normal(rngs, len(times)))
    hum = uniform(rngs, 0.0, 2 * np.pi)
    return signal + noise * 4.0 * np.sin(2 * np.pi * 50.0 * times + hum[:, None])


def muscle(count: int, sampling_rate: float, rngs: Rngs) -> Float[np.ndarray, "window time"]:
    """Gaussian noise with the spectrum of surface EMG and variance 1."""
    from scipy import fft

    low, peak, high = EMG_BAND
    f = fft.rfftfreq(count, 1 / sampling_rate)
    gain = ramp(f, low * 0.5, low) * (f / peak) / (1 + (f / peak) ** 2)
    gain *= 1 - ramp(f, high - 20.0, 20.0)
    gain /= np.sqrt(np.mean(gain**2))
    return fft.irfft(fft.rfft(normal(rngs, count), axis=1) * gain, count, axis=1)


def electromyogram(
    times: Float[np.ndarray, " time"],
    tone: Float[np.ndarray, " window"],
    burst: Float[np.ndarray, " window"],
    rngs: Rngs,
    noise: float,
) -> Float[np.ndarray, "window time"]:
    """Surface EMG in microvolts: tone, and a burst of `burst` times the tone within the window."""
    onset, length = uniform(rngs, 0.2, 1.5), uniform(rngs, 1.0, 2.5)
    x = (times - onset[:, None]) / length[:, None]
    envelope = np.where((x > 0) & (x < 1), np.sin(np.pi * np.clip(x, 0, 1)) ** 2, 0.0)
    rate = 1 / (times[1] - times[0])
    signal = muscle(len(times), rate, rngs) * tone[:, None] * (1 + burst[:, None] * envelope)
    return signal + noise * 0.5 * normal(rngs, len(times))


def pulse_wave(
    times: Float[np.ndarray, " time"],
    heart: Heart,
    amplitude: Float[np.ndarray, " window"],
    drop: Float[np.ndarray, " window"],
    rngs: Rngs,
    noise: float,
) -> Float[np.ndarray, "window time"]:
    """Blood volume pulse, arbitrary units: systolic and dicrotic wave at each beat.

    Parameters
    ----------
    amplitude : Float[np.ndarray, "window"]
    drop : Float[np.ndarray, "window"]
        Logarithm of the fall of amplitude after the stimulus: vasoconstriction (Allen 2007,
        Physiol Meas 28:R1–R39).
    """
    inside = _inside(heart, len(times))
    x = np.mod(heart.phase[:, inside] - 0.25, 1.0)  # the pulse arrives a quarter beat later
    shape = np.exp(-0.5 * ((x - 0.25) / 0.10) ** 2) + 0.35 * np.exp(
        -0.5 * ((x - 0.58) / 0.11) ** 2
    )
    fall = np.exp(-drop[:, None] * ramp(times, 1.0, 4.0))
    signal = amplitude[:, None] * (shape - 0.35) * fall
    signal += amplitude[:, None] * 0.12 * noise * np.sin(heart.breath[:, inside])
    return signal + noise * 0.02 * amplitude[:, None] * normal(rngs, len(times))


def breathing_wave(
    times: Float[np.ndarray, " time"],
    heart: Heart,
    depth: Float[np.ndarray, " window"],
    rngs: Rngs,
    noise: float,
) -> Float[np.ndarray, "window time"]:
    """Respiration belt, arbitrary units: a swing of `depth` (log) with a slower expiration."""
    breath = heart.breath[:, _inside(heart, len(times))]
    shape = np.sin(breath) + 0.2 * np.sin(2 * breath + 0.6)
    return np.exp(depth)[:, None] * shape + noise * 0.02 * normal(rngs, len(times))


def saturation(
    count: int, sampling_rate: float, flat: Bool[np.ndarray, " window"], rngs: Rngs
) -> Float[np.ndarray, "window time"]:
    """Oxygen saturation in percent: near 97, wandering by some tenths, or nothing moves at all."""
    level = 97.0 + uniform(rngs, -1.2, 1.2)
    steps = normal(rngs, count) / np.sqrt(sampling_rate)
    walk = np.where(flat[:, None], 0.0, 0.15 * np.cumsum(steps, axis=1))
    return np.minimum(level[:, None] + walk, 99.9)


def haemodynamic_response(times: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """Gamma response with peak 1 at 5 s, gently back at 0 where `times` end.

    It is brought back to 0 so that no tail crosses into the next segment: what a segment tells
    about its level is then in its own latents only.
    """
    x = np.maximum(times, 0.0) / HRF_PEAK
    curve = x ** (HRF_SHAPE - 1) * np.exp((HRF_SHAPE - 1) * (1 - x))
    return curve * (1 - ramp(times, times[-1] - 2.5, 2.5))
