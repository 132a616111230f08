"""Public names of a package that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def on_demand(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The package's ``__getattr__``.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to sequence of str
        The names that each of its modules has.

    Examples
    --------
    >>> on_demand("dolorimeter", {"errors": ("ConfigError",)})("ConfigError").__name__
    'ConfigError'
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    def found(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module = import_module(package)
        value = getattr(import_module(f"{package}.{home_of[name]}"), name)
        vars(module)[name] = value
        return value

    return found
