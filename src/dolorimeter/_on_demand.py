"""Lazy public names of a package (PEP 562), and notices for renamed ones."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Notice(FutureWarning):
    """A name or a meaning has changed. The old one works until the next release but one."""


def on_demand(
    package: str, homes: Mapping[str, Sequence[str]], renamed: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package that imports its names on first use.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    homes : mapping of str to sequence of str
        Public names by the submodule that defines them.
    renamed : mapping of str to str, optional
        Old names and the names that replace them. An old name still works and gives a notice.

    Returns
    -------
    callable
        Takes a name and returns the object. Raises `AttributeError` for an unknown name.

    Examples
    --------
    >>> on_demand("dolorimeter", {"errors": ("ConfigError",)})("ConfigError").__name__
    'ConfigError'
    """
    home_of = {name: module for module, names in homes.items() for name in names}
    renamed = renamed or {}

    def resolve(name: str) -> Any:
        if name in renamed:
            notice(f"{package}.{name}", f"{package}.{renamed[name]}", stacklevel=3)
            name = renamed[name]
        if name not in home_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module = import_module(package)
        value = getattr(import_module(f"{package}.{home_of[name]}"), name)
        vars(module)[name] = value
        return value

    return resolve


def notice(old: str, new: str, *, stacklevel: int = 2) -> None:
    """Warn that a public name has changed.

    Parameters
    ----------
    old, new : str
        The name in use, and the name that replaces it.
    stacklevel : int, default 2
        As in `warnings.warn`, counted from the caller.
    """
    message = f"{old} is now {new}. The old name will be removed in version 0.3."
    warnings.warn(message, Notice, stacklevel=stacklevel + 1)


def renamed_package(old: str, new: str, function: str) -> None:
    """Turn the module `old` into a stand-in for the package `new`.

    Importing a submodule binds its name in the parent package. ``dolorimeter.audit`` is a
    function now, so the stand-in for the old package can also be called as that function.

    Parameters
    ----------
    old, new : str
        Full module names.
    function : str
        Name of the function in `new` that a call of the stand-in runs.
    """

    class Renamed(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(new), function)(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") and name != "__all__":
                raise AttributeError(f"module '{old}' has no attribute '{name}'")
            return getattr(import_module(new), name)

    sys.modules[old].__class__ = Renamed
    notice(old, new, stacklevel=3)


def renamed_argument(
    old: str, new: str
) -> Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result]]:
    """Let a function take the keyword argument `new` under its old name, with a notice.

    Parameters
    ----------
    old, new : str
        Names of the argument.

    Returns
    -------
    callable
        Decorator.
    """

    def decorate(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
        @wraps(function)
        def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
            if old in kwargs:
                notice(f"the argument {old} of {function.__name__}", new, stacklevel=3)
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
