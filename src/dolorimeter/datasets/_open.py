"""What the readers of open formats share: names and units as files write them, and the check.

A file says ``"EKG"`` in ``"mV"``; the field says ``ecg`` in volts. The tables here are the whole
of what is understood without being told; every other channel keeps its own name, and every other
unit stays as it is with ``unit_confirmed=False``.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dolorimeter.datasets._files import CheckReport, Problem, relative, signal_problems
from dolorimeter.errors import ConfigError, DolorimeterError
from dolorimeter.types import Exclusion, Recording, Signal

NAMES: Mapping[str, str] = {
    "ecg": "ecg",
    "ekg": "ecg",
    "eda": "eda",
    "gsr": "eda",
    "skinconductance": "eda",
    "ppg": "ppg",
    "bvp": "ppg",
    "resp": "resp",
    "rsp": "resp",
    "respiration": "resp",
    "respiratory": "resp",
    "spo2": "spo2",
    "temp": "temperature",
    "temperature": "temperature",
    "hr": "hr",
    "heartrate": "hr",
    "emgtrapezius": "emg_trapezius",
    "emgcorrugator": "emg_corrugator",
    "emgzygomaticus": "emg_zygomaticus",
}
"""Channel labels (lower case, letters and digits only) that have one meaning."""

QUANTITIES: Mapping[str, str] = {
    "eda": "conductance",
    "ecg": "voltage",
    "emg_trapezius": "voltage",
    "emg_corrugator": "voltage",
    "emg_zygomaticus": "voltage",
    "ppg": "pulse",
    "resp": "respiration",
    "spo2": "saturation",
    "temperature": "temperature",
    "hr": "rate",
}
"""What a named signal measures; anything else is ``other``."""

UNITS: Mapping[str, tuple[float, str]] = {
    "S": (1.0, "S"),
    "mS": (1e-3, "S"),
    "uS": (1e-6, "S"),
    "microsiemens": (1e-6, "S"),
    "microS": (1e-6, "S"),
    "umho": (1e-6, "S"),
    "microMho": (1e-6, "S"),
    "V": (1.0, "V"),
    "Volts": (1.0, "V"),
    "mV": (1e-3, "V"),
    "uV": (1e-6, "V"),
    "nV": (1e-9, "V"),
    "degC": (1.0, "degC"),
    "C": (1.0, "degC"),
    "°C": (1.0, "degC"),
    "BPM": (1.0, "1/min"),
    "bpm": (1.0, "1/min"),
    "1/min": (1.0, "1/min"),
    "%": (0.01, "1"),
}
"""Units as files write them, with the factor to SI."""

PREFIXES: Mapping[str, float] = {"": 1.0, "milli": 1e-3, "micro": 1e-6, "nano": 1e-9}
SYMBOLS: Mapping[str, str] = {"siemens": "S", "volt": "V"}
"""Units in whole words, as the Lab Streaming Layer's metadata have them (``microvolts``)."""


LIBRARY_FAULTS = (
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What MNE, h5py and bioread raise on a file that is not what its header says."""


def to_si(written: str) -> tuple[float, str] | None:
    """Factor and SI symbol of a unit as a file writes it, or None where it is not understood.

    Examples
    --------
    >>> to_si("µS"), to_si("microvolts")
    ((1e-06, 'S'), (1e-06, 'V'))
    """
    plain = written.strip().replace("µ", "u").replace("μ", "u")
    if plain.lower() in {"micros", "micromho"}:
        return UNITS["uS"]
    if plain in UNITS:
        return UNITS[plain]
    found = re.fullmatch(r"(milli|micro|nano|)(siemens|volt)s?", plain.lower())
    return None if found is None else (PREFIXES[found[1]], SYMBOLS[found[2]])


def field_name(label: str, names: Mapping[str, str]) -> str:
    """The field's name of a channel label.

    `names` (what the user said) comes first, then `NAMES`; otherwise the label itself in lower
    case with underscores.
    """
    if label in names:
        return names[label]
    plain = re.sub(r"[^a-z0-9]", "", label.lower())
    return NAMES.get(plain) or re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "unnamed"


def check_names(names: Mapping[str, str], labels: Iterable[str], *, where: object) -> None:
    """Whether every channel that the user renames is in one file at least.

    Raises
    ------
    ConfigError
        Naming those that are not, and what there is.
    """
    have = sorted(set(labels))
    unknown = sorted(set(names) - set(have))
    if unknown:
        raise ConfigError(
            f"{where}: names= asks for {', '.join(map(repr, unknown))}, which no file has; "
            f"there are {', '.join(map(repr, have)) or 'none'}."
        )


def field_names(labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The field's name of every label; a second one of the same name gets a number."""
    given: list[str] = []
    for label in labels:
        name = base = field_name(label, names)
        count = 1
        while name in given:
            count += 1
            name = f"{base}_{count}"
        given.append(name)
    return given


def signal_in_si(
    name: str,
    values: Float[np.ndarray, " time"],
    sampling_rate: float,
    written_unit: str,
    start: float = 0.0,
) -> Signal:
    """A single-channel signal, converted to SI where its unit is understood.

    The unit counts as confirmed only where it is both understood and one that the quantity can
    have: skin conductance written in volts stays in volts, as quantity ``other``.
    """
    found = to_si(written_unit)
    quantity = QUANTITIES.get(name, "other")
    if found is None:
        return Signal(
            values[None], sampling_rate, written_unit or "a.u.", False, quantity, start=start
        )
    factor, unit = found
    fits = {"conductance": "S", "voltage": "V", "temperature": "degC", "rate": "1/min"}
    if fits.get(quantity, unit) != unit:
        return Signal(values[None] * factor, sampling_rate, unit, False, "other", start=start)
    if quantity == "other" and unit == "V":
        quantity = "voltage"
    return Signal(values[None] * factor, sampling_rate, unit, True, quantity, start=start)


def check_recordings(
    dataset: str,
    root: Path,
    recordings: Iterable[Recording],
    *,
    subjects: int,
    expected: int | None = None,
    exclusions: Iterable[Exclusion] = (),
    more: Iterable[Problem] = (),
) -> CheckReport:
    """Read every signal of every recording once and say what is wrong, file by file.

    Parameters
    ----------
    exclusions : iterable of Exclusion
        What the listing left out; each becomes a problem of kind ``unreadable``.
    more : iterable of Problem
        What the reader itself found.
    """
    problems = [Problem(e.what, e.reason, "unreadable") for e in exclusions]
    problems += more
    count = 0
    for recording in recordings:
        count += 1
        where = relative(recording.sources[0], root) if recording.sources else recording.name
        for name in recording.signals:
            try:
                signal = recording.signals[name]
            except DolorimeterError as error:
                problems.append(Problem(where, f"{name}: {error}", "unreadable"))
                continue
            problems += signal_problems(where, {name: signal.values})
    return CheckReport(dataset, root, subjects, expected, count, tuple(problems))
