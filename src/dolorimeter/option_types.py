"""Check options from a file or the command line against the declared types of arguments."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

from dolorimeter.errors import ConfigError

WORDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}
PLURALS = {int: "whole numbers", float: "finite numbers", str: "texts"}


def check_types(owner: str, kind: Any, values: Mapping[str, object]) -> None:
    """Raise if a value is not of the type that an argument is declared with.

    Parameters
    ----------
    owner : str
        Start of the message: what the values are for.
    kind : type or function
        A dataclass, or a function such as the ``__init__`` of a class. Annotations other than
        numbers, texts, booleans, lists of them and mappings are not checked.
    values : mapping
        Names of arguments to values.

    Raises
    ------
    ConfigError
        Naming the argument, the value and the expected type.
    """
    try:
        hints = get_type_hints(kind)
    except NameError:  # a class from outside may import its types only for type checkers
        return
    for name, value in values.items():
        if name in hints and not _fits(value, hints[name]):
            raise ConfigError(f"{owner}: {name} is {value!r}, expected {_words(hints[name])}.")


def _fits(value: object, hint: Any) -> bool:
    options = _options(hint)
    return not all(_known(option) for option in options) or any(_is(value, o) for o in options)


def _options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _known(hint: Any) -> bool:
    """Whether `_is` knows the type."""
    inner = _inner(hint)
    return hint is types.NoneType or hint in WORDS or inner in PLURALS or _is_mapping(hint)


def _is_mapping(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _inner(hint: Any) -> Any:
    """The type of a list's entries; None of anything else."""
    found = get_origin(hint)
    is_list = isinstance(found, type) and issubclass(found, Sequence)
    return get_args(hint)[0] if is_list else None


def _is(value: object, hint: Any) -> bool:
    if hint is types.NoneType or value is None:
        return hint is types.NoneType and value is None
    if _is_mapping(hint):
        return isinstance(value, Mapping)
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
    """The expected type in words."""
    return " or ".join(_word(o) for o in _options(hint) if o is not types.NoneType)


def _word(hint: Any) -> str:
    if _is_mapping(hint):
        return "a table of names and values"
    return WORDS[hint] if hint in WORDS else f"a list of {PLURALS[_inner(hint)]}"
