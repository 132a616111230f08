"""Plain values (what TOML gives) into frozen dataclasses, with every fault named."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dolorimeter.errors import ConfigError

T = TypeVar("T")
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}


def from_plain(cls: type[T], values: object, where: str) -> T:
    """An instance of the dataclass `cls` whose fields have the values of a table.

    Parameters
    ----------
    where : str
        What the table is called in messages (a file, an entry of a list).

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or its value is of another kind or refused.
    """
    assert is_dataclass(cls)
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: is {_shown(values)}, expected a table of keys and values.")
    known = {f.name: f for f in fields(cls) if f.init}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}."
            raise ConfigError(f"{where}: unknown key '{key}'; {hint}")
    for name, field in known.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and name not in values:
            raise ConfigError(f"{where}: '{name}' is missing.")
    kinds = get_type_hints(cls)
    found = {key: _converted(kinds[key], v, f"{where}: '{key}'") for key, v in values.items()}
    try:
        return cls(**found)
    except ConfigError as error:
        raise type(error)(f"{where}: {error}") from error


def _converted(kind: Any, value: object, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        (other,) = (k for k in inner if k is not type(None))
        return _converted(other, value, where)
    if origin is Literal:
        if value not in inner:
            raise ConfigError(
                f"{where} is {_shown(value)}, expected one of {', '.join(map(str, inner))}."
            )
        return value
    if origin in (tuple, Sequence):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} is {_shown(value)}, expected a list.")
        return tuple(_converted(inner[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {_shown(value)}, expected a table.")
        return dict(value)
    if is_dataclass(kind) and isinstance(kind, type):
        return from_plain(kind, value, where)
    return _simple(kind, value, where)


def _simple(kind: type, value: object, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # True is an int to isinstance, and no number here
        raise ConfigError(f"{where} is {_shown(value)}, expected {_WORDS[kind]}.")
    return value


def _shown(value: object) -> str:
    return f"{value!r:.60}"
