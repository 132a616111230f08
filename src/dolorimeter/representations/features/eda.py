"""Features of skin conductance: level, trend, and the responses in it.

References
----------
Boucsein, Electrodermal Activity, 2nd ed., Springer 2012.
Boucsein et al. (Society for Psychophysiological Research), Publication recommendations for
electrodermal measurements, Psychophysiology 49:1017, 2012 (thresholds, latency, amplitude).
Walter et al., Automatic pain quantification using autonomic parameters, Psychology &
Neuroscience 7:363, 2014 (level, range and slope in pain windows).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dolorimeter.representations.features import _rows
from dolorimeter.representations.features._table import Feature, Table, any_within, in_order
from dolorimeter.signals.eda import clean, noise_level, scr_events, tonic_phasic
from dolorimeter.types import Array

THRESHOLD = 0.01
"""Microsiemens. The least amplitude of a response (Boucsein et al. 2012: 0.01 to 0.05)."""

EARLIEST, LATEST = 1.0, 5.0
"""Seconds after the stimulus within which a response to it begins (Boucsein et al. 2012)."""

_SPR = "Boucsein et al. 2012"
_NOISY = (
    "its noise (above a fifth) or its resolution (coarser than half) is too close to the "
    "threshold of 0.01 uS"
)
_NONE = f"no response was detected, or {_NOISY}"

FEATURES = (
    Feature("mean", "{unit}", "mean of the window", "Walter 2014"),
    Feature("sd", "{unit}", "standard deviation (n) of the window", "Walter 2014"),
    Feature(
        "range",
        "{unit}",
        "largest minus smallest sample below 3 Hz",
        "Walter 2014",
        min_duration=3.0,
    ),
    Feature("slope", "{unit}/s", "least-squares slope", "Walter 2014", min_duration=1.0),
    Feature(
        "scr_count",
        "1",
        "rises from trough to peak of at least 0.01 uS, below 3 Hz, that also begin to fall",
        _SPR,
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        undefined=_NOISY,
    ),
    Feature(
        "scr_amplitude_sum",
        "{unit}",
        "summed amplitude of these responses, 0 without any",
        _SPR,
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        undefined=_NOISY,
    ),
    Feature(
        "scr_amplitude_max",
        "{unit}",
        "largest amplitude of these responses, 0 without any",
        _SPR,
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        undefined=_NOISY,
    ),
    Feature(
        "scr_rise_time",
        "s",
        "time from trough to peak of the largest response",
        _SPR,
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        undefined=_NONE,
    ),
    Feature(
        "scr_area",
        "{unit}·s",
        "area above the trough of each response, up to the next trough or the window's end",
        "Boucsein 2012, ch. 2.2",
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        undefined=_NOISY,
    ),
    Feature(
        "scr_latency",
        "s",
        "time from the stimulus to the first response that begins 1 to 5 s after it",
        _SPR,
        min_duration=3.0,
        min_sampling_rate=4.0,
        absolute_threshold=True,
        needs_onset=True,
        undefined=f"no response begins 1 to 5 s after the stimulus inside the window, or {_NOISY}",
    ),
    Feature(
        "tonic_mean",
        "{unit}",
        "mean of the part below 0.05 Hz",
        "Boucsein 2012, ch. 2.2",
        min_duration=20.0,
        min_sampling_rate=1.0,
    ),
    Feature(
        "phasic_area",
        "{unit}·s",
        "area of the part above 0.05 Hz where it is positive",
        "Boucsein 2012, ch. 2.2",
        min_duration=20.0,
        min_sampling_rate=1.0,
    ),
)
"""Tonic and phasic part are asked for 20 s: one period of the 0.05 Hz that parts them."""


def features(
    values: Float[np.ndarray, "window time"],
    sampling_rate: float,
    onset: Float[np.ndarray, " window"],
) -> Float[np.ndarray, "window feature"]:
    """The table `FEATURES` for each window; NaN where its limits are not met.

    Parameters
    ----------
    values : Float[np.ndarray, "window time"]
        Skin conductance in microsiemens, without missing samples.
    sampling_rate : float
        Hertz.
    onset : Float[np.ndarray, "window"]
        Seconds from the window's start to the stimulus; NaN where unknown.
    """
    duration = values.shape[1] / sampling_rate
    columns = dict.fromkeys((f.name for f in FEATURES), np.full(len(values), np.nan))
    columns |= {
        "mean": values.mean(axis=1),
        "sd": np.sqrt(np.square(_rows.centred(values)).mean(axis=1)),
        "slope": _rows.slope(values, sampling_rate),
    }
    if any_within(_named("range", "scr_"), duration, sampling_rate):
        smooth = _smooth(values, sampling_rate)
        columns["range"] = smooth.max(axis=1) - smooth.min(axis=1)
        found = scr_events(smooth, sampling_rate, THRESHOLD)
        columns |= responses(smooth, found, sampling_rate, onset)
        # white noise of a fifth of the threshold gives one false response in five minutes
        unknown = noise_level(smooth, sampling_rate) > THRESHOLD / 5
        unknown |= _resolution(values) > THRESHOLD / 2
        for name in (feature.name for feature in _named("scr_")):
            columns[name] = np.where(unknown, np.nan, columns[name])
    if any_within(_named("tonic_", "phasic_"), duration, sampling_rate):
        tonic, phasic = tonic_phasic(values, sampling_rate)
        columns["tonic_mean"] = tonic.mean(axis=1)
        columns["phasic_area"] = np.clip(phasic, 0.0, None).sum(axis=1) / sampling_rate
    return in_order(FEATURES, columns, duration, sampling_rate)


def responses(
    smooth: Float[np.ndarray, "window time"],
    events: list[Array],
    sampling_rate: float,
    onset: Float[np.ndarray, " window"],
) -> dict[str, Float[np.ndarray, " window"]]:
    """Count, size, speed and latency of the skin-conductance responses of each window."""
    windows = len(smooth)
    zero = ("scr_count", "scr_amplitude_sum", "scr_amplitude_max", "scr_area")
    columns = {name: np.zeros(windows) for name in zero}
    columns |= {name: np.full(windows, np.nan) for name in ("scr_rise_time", "scr_latency")}
    for i, found in enumerate(events):
        if not len(found):
            continue
        largest = int(found["amplitude"].argmax())
        columns["scr_count"][i] = len(found)
        columns["scr_amplitude_sum"][i] = found["amplitude"].sum()
        columns["scr_amplitude_max"][i] = found["amplitude"][largest]
        columns["scr_rise_time"][i] = found["rise_time"][largest]
        columns["scr_area"][i] = _area(smooth[i], found) / sampling_rate
        delay = found["onset"] / sampling_rate - onset[i]
        evoked = delay[(delay >= EARLIEST) & (delay <= LATEST)]
        columns["scr_latency"][i] = evoked[0] if evoked.size else np.nan
    return columns


def _area(row: Float[np.ndarray, " time"], found: Array) -> float:
    """Summed height above each response's trough until the next trough."""
    starts = found["onset"]
    lengths = np.diff(np.append(starts, len(row)))
    height = row[starts[0] :] - np.repeat(row[starts], lengths)
    return float(np.clip(height, 0.0, None).sum())


def _resolution(values: Float[np.ndarray, "window time"]) -> Float[np.ndarray, " window"]:
    """Smallest difference between neighbouring samples that differ; 0 for a constant window."""
    moves = np.abs(np.diff(values, axis=1))
    smallest = np.where(moves > 0, moves, np.inf).min(axis=1)
    return np.where(np.isfinite(smallest), smallest, 0.0)


def _named(*prefixes: str) -> tuple[Feature, ...]:
    return tuple(feature for feature in FEATURES if feature.name.startswith(prefixes))


def _smooth(
    values: Float[np.ndarray, "window time"], sampling_rate: float
) -> Float[np.ndarray, "window time"]:
    """The signal below 3 Hz, and exactly flat where it is flat."""
    smooth = clean(values, sampling_rate)
    return np.where(_rows.is_flat(values)[:, None], values[:, :1], smooth)


TABLE = Table("Skin conductance", "eda", "uS", FEATURES, features, takes_onset=True)
