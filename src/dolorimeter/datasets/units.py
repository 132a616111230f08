"""Units as files write them, their conversion to SI, and the plausibility of the values.

A unit is confirmed only if the file, or the user (option ``unit`` of a reader), states one that
the quantity can have. Values that are implausible for a unit are reported with the factor by which
they are off.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dolorimeter.errors import ConfigError
from dolorimeter.types import Signal

QUANTITIES: Mapping[str, str] = {
    "eda": "conductance",
    "ecg": "voltage",
    "emg": "voltage",
    "ppg": "pulse",
    "resp": "respiration",
    "spo2": "saturation",
    "temperature": "temperature",
    "hr": "rate",
    "ibi": "interval",
}
"""First word of a signal's name → what it measures (``emg_corrugator``, ``eda_2``)."""

SI_UNITS: Mapping[str, str] = {
    "conductance": "S",
    "voltage": "V",
    "temperature": "degC",
    "rate": "1/min",
    "saturation": "1",
    "interval": "s",
}
"""The SI unit of a quantity; quantities that are not listed may have any unit."""

ARBITRARY = frozenset(
    {
        "", "-", "1", "a.u", "a.u.", "au", "adc", "arbitrary", "arbitrary unit", "arbitrary units",
        "count", "counts", "dimensionless", "lsb", "n/a", "none", "raw",
    }
)  # fmt: skip
"""Spellings of an arbitrary or missing unit, in lower case."""

WORD_PREFIXES: Mapping[str, float] = {
    "": 1.0, "nano": 1e-9, "micro": 1e-6, "milli": 1e-3, "kilo": 1e3, "mega": 1e6,
}  # fmt: skip
LETTER_PREFIXES: Mapping[str, float] = {
    "": 1.0, "n": 1e-9, "N": 1e-9, "u": 1e-6, "U": 1e-6, "m": 1e-3, "k": 1e3, "K": 1e3, "M": 1e6,
}  # fmt: skip
"""Prefixes in any case where that is unambiguous; ``m`` and ``M`` differ."""

SYMBOLS: Mapping[str, str] = {
    "siemens": "S", "s": "S", "mho": "S", "volt": "V", "v": "V", "ohm": "ohm",
}  # fmt: skip

OTHER: Mapping[str, tuple[float, str]] = {
    "c": (1.0, "degC"),
    "degc": (1.0, "degC"),
    "deg c": (1.0, "degC"),
    "celsius": (1.0, "degC"),
    "degrees celsius": (1.0, "degC"),
    "bpm": (1.0, "1/min"),
    "1/min": (1.0, "1/min"),
    "/min": (1.0, "1/min"),
    "min-1": (1.0, "1/min"),
    "beats/min": (1.0, "1/min"),
    "beats per minute": (1.0, "1/min"),
    "%": (0.01, "1"),
    "percent": (0.01, "1"),
}
"""Units without a prefix, in lower case."""

OF_QUANTITY: Mapping[str, Mapping[str, tuple[float, str]]] = {
    "conductance": {"us": (1e-6, "S"), "ns": (1e-9, "S"), "ms": (1e-3, "S")},
    "rate": {"hz": (60.0, "1/min")},
    "interval": {"s": (1.0, "s"), "sec": (1.0, "s"), "ms": (1e-3, "s")},
}
"""Units, in lower case, that one quantity makes unambiguous (``us`` is microseconds elsewhere)."""


def quantity_of(name: str) -> str:
    """Return what a signal measures by the field's name of it.

    Examples
    --------
    >>> quantity_of("emg_corrugator"), quantity_of("eda_2"), quantity_of("foo")
    ('voltage', 'conductance', 'other')
    """
    return QUANTITIES.get(name.partition("_")[0], "other")


def to_si(written: str, quantity: str = "") -> tuple[float, str] | None:
    """Return the factor to SI and the SI symbol of a unit as a file writes it.

    Parameters
    ----------
    written : str
        Unit, with a prefix from nano to mega or none (``"µS"``, ``"microvolts"``, ``"kOhm"``).
    quantity : str, optional
        What is measured, as in `Signal.quantity`. It decides units that are ambiguous without
        it: ``"us"`` is microsiemens for a conductance only.

    Returns
    -------
    (float, str) or None
        None where the unit is not understood or is ambiguous (``"MV"``: mega or milli?).

    Examples
    --------
    >>> to_si("µS"), to_si("microvolts"), to_si("kOhm")
    ((1e-06, 'S'), (1e-06, 'V'), (1000.0, 'ohm'))
    """
    plain = " ".join(written.replace("µ", "u").replace("μ", "u").split())
    plain = plain.replace("°", "deg").replace("Ω", "ohm").replace("Ω", "ohm")
    lower = plain.lower()
    if lower in OF_QUANTITY.get(quantity, {}) and plain != "MS":
        return OF_QUANTITY[quantity][lower]
    if lower in OTHER:
        return OTHER[lower]
    words = re.fullmatch(r"(nano|micro|milli|kilo|mega)? ?(siemens|s|mho|volt|v|ohm)s?", lower)
    if words and (words[1] or len(words[2]) > 1):
        return WORD_PREFIXES[words[1] or ""], SYMBOLS[words[2]]
    letters = re.fullmatch(r"([nNuUmkKM]?)(S|[vV]|[oO][hH][mM]s?|[mM]hos?)", plain)
    if letters is None or _is_ambiguous(letters[1], letters[2]):
        return None
    return LETTER_PREFIXES[letters[1]], SYMBOLS[letters[2].lower().removesuffix("s") or "s"]


def _is_ambiguous(prefix: str, unit: str) -> bool:
    """Return whether capitals or small letters throughout leave milli or mega open."""
    if prefix == "M":
        return unit in {"V", "S", "OHM"}
    return prefix == "m" and unit in {"ohm", "ohms"}


def is_arbitrary(written: str) -> bool:
    """Return whether a file states no unit, or an arbitrary one."""
    return written.strip().lower() in ARBITRARY


def signal_in_si(
    name: str,
    values: Float[np.ndarray, " time"],
    sampling_rate: float,
    written: str,
    *,
    start: float = 0.0,
    stated: str | None = None,
) -> Signal:
    """Return a single-channel signal, converted to SI where its unit is understood.

    Parameters
    ----------
    name : str
        The field's name (``"eda"``), which decides the quantity.
    values : Float[np.ndarray, "time"]
        Samples in the unit of the file.
    sampling_rate : float
        Hertz.
    written : str
        Unit as the file writes it; empty where it states none.
    start : float, default=0.0
        Time of the first sample in seconds on the recording's clock.
    stated : str, optional
        Unit that the user states; it replaces `written`.

    Returns
    -------
    Signal
        `Signal.unit_confirmed` is True where the unit is understood and one that the quantity can
        have. Skin resistance becomes conductance, one over resistance; a resistance that is not
        positive is NaN. Skin conductance written in volts stays in volts, as quantity ``other``.

    Raises
    ------
    ConfigError
        If `stated` is not a unit of the quantity.
    """
    quantity = quantity_of(name)
    known = to_si(written if stated is None else stated, quantity)
    expected = SI_UNITS.get(quantity)
    resistance = known is not None and known[1] == "ohm" and quantity == "conductance"
    if stated is not None and not (
        (known and (resistance or expected in {None, known[1]})) or is_arbitrary(stated)
    ):
        raise ConfigError(
            f"unit.{name}: {stated!r} is not a unit of {quantity}; expected {_examples(quantity)}."
        )
    if known is None:
        unit = "a.u." if is_arbitrary(written) or stated is not None else written
        return Signal(values[None], sampling_rate, unit, False, quantity, start=start)
    factor, unit = known
    scaled = values[None] * factor
    if resistance:
        with np.errstate(divide="ignore"):
            scaled = np.where(scaled > 0, 1.0 / scaled, np.nan)
        return Signal(scaled, sampling_rate, "S", True, quantity, start=start)
    if expected not in {None, unit}:
        return Signal(scaled, sampling_rate, unit, False, "other", start=start)
    if quantity == "other" and unit == "V":
        quantity = "voltage"
    return Signal(scaled, sampling_rate, unit, True, quantity, start=start)


def _examples(quantity: str) -> str:
    return {
        "conductance": "S, mS, uS, nS or kOhm",
        "voltage": "V, mV, uV or nV",
        "temperature": "degC",
        "rate": "1/min or Hz",
        "saturation": "%",
        "interval": "s or ms",
    }.get(quantity, "an SI unit such as V or S")


def check_stated(unit: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise if the user states the unit of a signal that no file has, or an impossible unit.

    Parameters
    ----------
    unit : mapping of str to str
        The field's name → unit.
    names : iterable of str
        Signals of all recordings, by the field's names.

    Raises
    ------
    ConfigError
        Naming the signal and what there is.
    """
    have = sorted(set(names))
    for name, stated in unit.items():
        if name not in have:
            near = difflib.get_close_matches(name, have, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"unit.{name}: no file has the signal {name!r}; there are "
                f"{', '.join(have) or 'none'}.{hint}"
            )
        signal_in_si(name, np.zeros(0), 1.0, "", stated=stated)


# ── plausibility ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Plausible:
    """Range in which a quantity lies, whoever is measured.

    Parameters
    ----------
    low, high : float
        In `shown` units.
    scale : float
        One `shown` unit in SI.
    shown : str
        Unit for messages.
    spread : bool
        Whether the range is that of the spread (0.5th to 99.5th percentile) instead of the
        median of absolute values: a voltage has an arbitrary offset.
    hints : mapping of str to (float, float)
        Unit → range in `shown` numbers that a value in that unit would have.
    """

    low: float
    high: float
    scale: float
    shown: str
    spread: bool = False
    hints: Mapping[str, tuple[float, float]] | None = None


PLAUSIBLE: Mapping[str, Plausible] = {
    # resting skin conductance is 1–40 µS at the hand and can be below 0.1 µS at the wrist
    "conductance": Plausible(0.01, 100.0, 1e-6, "µS"),
    "ecg": Plausible(0.05, 50.0, 1e-3, "mV", spread=True),
    "emg": Plausible(0.5, 50_000.0, 1e-6, "µV", spread=True),
    "temperature": Plausible(
        -10.0,
        60.0,
        1.0,
        "°C",
        hints={"degrees Fahrenheit": (60.0, 140.0), "kelvin": (260.0, 335.0)},
    ),
    "saturation": Plausible(0.3, 1.05, 1.0, "(1 = 100 %)", hints={"%": (30.0, 105.0)}),
    "rate": Plausible(20.0, 300.0, 1.0, "1/min", hints={"hertz": (0.3, 5.0)}),
    "interval": Plausible(0.2, 3.0, 1.0, "s", hints={"ms": (200.0, 3000.0)}),
    "hbo": Plausible(0.01, 1000.0, 1e-6, "µmol/L", spread=True),
    "hbr": Plausible(0.01, 1000.0, 1e-6, "µmol/L", spread=True),
}
"""By quantity; voltages by the first word of the signal's name."""

LOWEST_RATE: Mapping[str, float] = {"voltage": 20.0, "pulse": 5.0}
"""Hertz; a lower sampling rate holds nothing of the quantity. Others: `SLOWEST`."""
SLOWEST, FASTEST = 0.01, 200_000.0

MOST_SAMPLES = 100_000
"""Samples that the size of a signal is estimated from, evenly spaced."""


def plausible_range(name: str, signal: Signal) -> Plausible | None:
    """Return the range that a signal is compared with, or None where there is none."""
    key = name.partition("_")[0] if signal.quantity == "voltage" else signal.quantity
    expected = {"hbo": "mol/L", "hbr": "mol/L"}.get(signal.quantity)
    if signal.unit != (expected or SI_UNITS.get(signal.quantity)):
        return None
    return None if "rectified" in name else PLAUSIBLE.get(key)


def size_of(name: str, signal: Signal) -> float:
    """Return the typical size of a signal: median of absolute values, or spread for voltages.

    Parameters
    ----------
    name : str
        The field's name.
    signal : Signal
        Its samples; missing ones are ignored.

    Returns
    -------
    float
        In the unit of the signal. NaN for a flat or empty signal.
    """
    values = signal.values.ravel()
    values = values[:: max(1, values.size // MOST_SAMPLES)]
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() == finite.max():
        return float("nan")
    known = plausible_range(name, signal)
    if known.spread if known else signal.quantity in {"voltage", "raw_intensity"}:
        edge = int(0.005 * finite.size)
        ordered = np.partition(finite, (edge, finite.size - 1 - edge))
        return float(ordered[finite.size - 1 - edge] - ordered[edge])
    return float(np.median(np.abs(finite)))


def unit_warnings(name: str, signal: Signal, *, arbitrary: bool = False) -> list[str]:
    """Return what is wrong with the unit, the size and the sampling rate of a signal.

    Parameters
    ----------
    name : str
        The field's name.
    signal : Signal
        Signal of one recording.
    arbitrary : bool, default=False
        Whether the Card of the data set says that the unit is arbitrary.

    Returns
    -------
    list of str
        One sentence each, without the name of the recording. Flat and empty signals are not
        judged by size.

    Examples
    --------
    >>> eda = Signal(np.array([[4e-3, 5e-3, 6e-3]]), 4.0, "S", True, "conductance")
    >>> unit_warnings("eda", eda)
    ['eda: median 5,000 µS, plausible are 0.01 to 100 µS. It is about 1,000 times too large: is \
the unit right?']
    """
    warnings = []
    expected = SI_UNITS.get(signal.quantity)
    unstated = expected is not None and not signal.unit_confirmed and signal.unit != expected
    if unstated and not arbitrary:
        stated = "states no unit" if signal.unit == "a.u." else f"states the unit {signal.unit!r}"
        warnings.append(
            f"{name}: the file {stated}, so that its size means nothing. If you know the unit, "
            f"say so: --option unit.{name}=… ({_examples(signal.quantity)})"
        )
    if signal.quantity == "other" and quantity_of(name) != "other":
        warnings.append(
            f"{name}: the file states {signal.unit}, which is not a unit of "
            f"{quantity_of(name)}. It is not used as {quantity_of(name)}"
        )
    lowest = LOWEST_RATE.get(signal.quantity, SLOWEST)
    if not lowest <= signal.sampling_rate <= FASTEST:
        warnings.append(
            f"{name}: sampled at {signal.sampling_rate:g} Hz, plausible are {lowest:g} to "
            f"{FASTEST:,.0f} Hz. Is the time in milliseconds?"
        )
    if size := size_warning(name, signal):
        warnings.append(f"{name}: {size}")
    return warnings


def size_warning(name: str, signal: Signal) -> str:
    """Return why no body gives a signal of this size in its unit.

    Parameters
    ----------
    name : str
        The field's name.
    signal : Signal
        Signal of one recording; a unit that is not confirmed is taken as it is.

    Returns
    -------
    str
        One sentence without the name; empty if the size is plausible, or cannot be judged.

    Examples
    --------
    >>> size_warning("eda", Signal(np.array([[4.0, 5.0, 6.0]]), 4.0, "S", False, "conductance"))
    'median 5e+06 µS, plausible are 0.01 to 100 µS. It is about 1,000,000 times too large: is \
the unit right?'
    """
    size, known = size_of(name, signal), plausible_range(name, signal)
    if known is None or not np.isfinite(size):
        return ""
    value = size / known.scale
    if known.hints and not known.spread:  # a level that may be negative
        value = float(np.nanmedian(signal.values)) / known.scale
    if known.low <= value <= known.high:
        return ""
    what = "spread" if known.spread else "median"
    return (
        f"{what} {value:,.4g} {known.shown}, plausible are {known.low:,g} to "
        f"{known.high:,g} {known.shown}. {_how_far(value, known)}"
    )


def _how_far(value: float, known: Plausible) -> str:
    for unit, (low, high) in (known.hints or {}).items():
        if low <= value <= high:
            return f"Is the unit {unit}?"
    if value <= 0 or known.low <= 0:
        return "Is the unit right?"
    middle = float(np.sqrt(known.low * known.high))
    thousands = round(float(np.log10(value / middle)) / 3) or (1 if value > middle else -1)
    direction = "large" if thousands > 0 else "small"
    factor = 1000.0 ** abs(thousands)
    return f"It is about {factor:,.0f} times too {direction}: is the unit right?"
