"""Whether values from a file are of the types that a stage's arguments are declared with."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

from dolorimeter.errors import ConfigError

WORDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
PLURALS = {int: "whole numbers", float: "finite numbers", str: "texts"}


def check_types(owner: str, kind: type, values: Mapping[str, object]) -> None:
    """Refuse values that are not what the fields of a dataclass say.

    Parameters
    ----------
    owner : str
        How a message begins: what the values are for.
    kind : type
        A dataclass. Annotations other than numbers, texts, booleans and lists of them are left to
        the class itself.
    values : mapping
        Names of fields to values.

    Raises
    ------
    ConfigError
        Naming the field, what was found, and what was wanted.
    """
    try:
        hints = get_type_hints(kind)
    except NameError:  # a class from outside may import its types for type checkers alone
        return
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{owner}: {name} is {value!r}, expected {_words(hints[name])}.")


def _fits(value: object, hint: Any) -> bool:
    options = _options(hint)
    return not all(_told(option) for option in options) or any(_is(value, o) for o in options)


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _told(hint: Any) -> bool:
    """Whether `_is` knows the type."""
    inner = _inner(hint)
    return hint is types.NoneType or hint in WORDS or inner in PLURALS


def _inner(hint: Any) -> Any:
    """The type of a list's entries; None of anything else."""
    found = get_origin(hint)
    is_list = isinstance(found, type) and issubclass(found, Sequence)
    return get_args(hint)[0] if is_list else None


def _is(value: object, hint: Any) -> bool:
    if hint is types.NoneType or value is None:
        return hint is types.NoneType and value is None
    inner = _inner(hint)
    if inner is not None:
        return isinstance(value, list | tuple) and all(_is(entry, inner) for entry in value)
    if hint in (bool, str):
        return isinstance(value, hint)
    if isinstance(value, bool):
        return False
    if hint is int:
        return isinstance(value, Integral)
    return isinstance(value, Real) and math.isfinite(value)


def _words(hint: Any) -> str:
    """What is expected, in words."""
    named = [WORDS[o] if o in WORDS else f"a list of {PLURALS[_inner(o)]}"
             for o in _options(hint) if o is not types.NoneType]  # fmt: skip
    return " or ".join(named)
