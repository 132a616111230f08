"""Conversion between units of signals. Nothing guesses: what is not in the table is refused."""

from __future__ import annotations

from dolorimeter.errors import SignalError

_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "k": 1e3}
_PREFIXED = ("S", "V", "mol/L", "s")
_OTHERS = {"1/min": ("Hz", 1 / 60), "Hz": ("Hz", 1.0), "1": ("1", 1.0), "%": ("1", 0.01)}

ARBITRARY = "a.u."
"""The unit of a signal whose scale nobody knows."""


def conversion(found: str, wanted: str, what: str) -> float:
    """Factor by which values in `found` are multiplied to be in `wanted`.

    Parameters
    ----------
    found, wanted : str
        ``S``, ``V``, ``mol/L``, ``s`` with a prefix of ``n u m k``; ``1``, ``%``; ``1/min``,
        ``Hz``. Any other unit converts to itself only.
    what : str
        The signal's name, for the message.

    Raises
    ------
    SignalError
        If the units measure different things, or one of them is arbitrary.

    Examples
    --------
    >>> round(conversion("S", "uS", "eda"))
    1000000
    """
    if found == wanted:
        return 1.0
    if found == ARBITRARY:
        raise SignalError(
            f"{what} is in arbitrary units, {wanted} was asked: its scale is unknown. Ask for "
            'unit="a.u." (or no unit), or state the unit where the recording is read.'
        )
    one, other = _resolve(found), _resolve(wanted)
    if one is None or other is None or one[0] != other[0]:
        raise SignalError(
            f"{what} is in {found}, which does not convert to {wanted}. Ask for a unit of the "
            "same quantity, or for none to keep the signal's own."
        )
    return one[1] / other[1]


def _resolve(unit: str) -> tuple[str, float] | None:
    """The quantity's own unit, and how much of it one `unit` is; None where unknown."""
    if unit in _OTHERS:
        return _OTHERS[unit]
    for base in _PREFIXED:
        prefix = unit.removesuffix(base)
        if prefix != unit and prefix in _PREFIXES:
            return base, _PREFIXES[prefix]
    return None
