"""What an estimator carries: its parts, data hidden in them, parts that arrive fitted.

A user's estimator is any object with ``fit``. This walk follows parameters, attributes, lists,
closures, defaults, bound methods and the globals that its functions name, so that a scaler hidden
in a lambda is found as well as one in a pipeline.
"""

from __future__ import annotations

import functools
import inspect
import pickle
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

MAX_DEPTH = 8
"""Deep enough for a search around a pipeline around a union around a function's closure."""

MAX_PARTS = 5000
"""A bound on the walk; a forest of fitted trees is cut short, not followed for ever."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None), np.generic, np.random.Generator)
_LIBRARIES = ("sklearn.", "numpy.", "scipy.", "pandas.", "torch.", "dolorimeter.", "builtins")


def parts(estimator: Any) -> Iterator[tuple[str, Any]]:
    """Every object that the estimator holds or its functions name, with the way to it.

    Yields
    ------
    (path, object)
        The estimator first; arrays and tables are yielded and not entered.
    """
    seen: set[int] = set()
    queue: list[tuple[str, Any, int]] = [(type(estimator).__name__, estimator, 0)]
    while queue and len(seen) < MAX_PARTS:
        path, part, depth = queue.pop(0)
        if id(part) in seen or isinstance(part, _PLAIN):
            continue
        seen.add(id(part))
        yield path, part
        if depth < MAX_DEPTH and not isinstance(part, np.ndarray | pd.DataFrame | pd.Series):
            queue.extend((p, value, depth + 1) for p, value in _children(path, part))


def _children(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping):
        yield from ((f"{path}[{key!r}]", value) for key, value in part.items())
    elif isinstance(part, list | tuple | set | frozenset):
        yield from ((f"{path}[{i}]", value) for i, value in enumerate(part))
    elif isinstance(part, types.MethodType):
        yield f"{path}.__self__", part.__self__
        yield f"{path}.__func__", part.__func__
    elif isinstance(part, types.FunctionType):
        yield from _of_function(path, part)
    elif isinstance(part, type) or inspect.ismodule(part):
        return
    else:
        yield from _of_object(path, part)


def _of_object(path: str, part: Any) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(getattr(part, "__dict__", {}).items()):
        yield f"{path}.{name}", value
    if isinstance(part, functools.partial):
        yield f"{path}.func", part.func
        yield f"{path}.args", part.args
        yield f"{path}.keywords", part.keywords
    for name, value in class_state(part).items():
        yield f"{path}.{name} (of the class)", value
    for name, function in _own_functions(part).items():
        yield f"{path}.{name}", function


def _of_function(path: str, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    if _is_library(function.__module__):
        return
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield f"{path}→{name}", cell.cell_contents
        except ValueError:  # the cell of a name that was never bound
            continue
    yield f"{path} defaults", function.__defaults__ or ()
    yield f"{path} keyword defaults", function.__kwdefaults__ or {}
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if value is not None and not inspect.ismodule(value) and not isinstance(value, type):
            yield f"{path}→global {name}", value


def _is_library(module: str | None) -> bool:
    return f"{module}.".startswith(_LIBRARIES)


def _own_classes(part: Any) -> list[type]:
    """Classes of the object that are not a library's."""
    return [c for c in type(part).__mro__ if not _is_library(c.__module__)]


def class_state(part: Any) -> dict[str, Any]:
    """Values that stand on the object's own classes, shared by every clone of it."""
    state: dict[str, Any] = {}
    for cls in reversed(_own_classes(part)):
        for name, value in vars(cls).items():
            if name.startswith(("__", "_abc", "_sklearn")):
                continue
            if callable(value) or isinstance(value, property | classmethod | staticmethod):
                continue
            if type(value).__module__.startswith("sklearn.utils"):
                continue  # set_fit_request and its like
            if not inspect.isdatadescriptor(value):
                state[name] = value
    return state


def _own_functions(part: Any) -> dict[str, types.FunctionType]:
    functions: dict[str, types.FunctionType] = {}
    for cls in reversed(_own_classes(part)):
        for name, value in vars(cls).items():
            inner = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if isinstance(inner, types.FunctionType):
                functions[name] = inner
    return functions


def shared_state(estimator: Any, *, plain: bool = True) -> dict[str, str]:
    """What clones of the estimator share and a fit could change, each with a hash of its value.

    Class attributes, and globals, closures and defaults of the estimator's own functions. Plain
    numbers and texts are kept too (a class attribute can be set anew), unless `plain` is false.
    Values that cannot be hashed (a lock, an open file) are left out: nothing could be compared.
    """
    import joblib

    shared: dict[str, Any] = {}
    for path, part in parts(estimator):
        if "→" in path or " defaults" in path or "(of the class)" in path:
            shared[path] = part
        if not isinstance(part, type | types.FunctionType | types.MethodType):
            for name, value in class_state(part).items():
                shared[f"{path}.{name} (of the class)"] = value
    found = {}
    for path, value in shared.items():
        if callable(value) or (not plain and _is_plain(value)):
            continue
        try:
            found[path] = joblib.hash(value)
        except (TypeError, AttributeError, ValueError, pickle.PicklingError):
            continue
    return found


def _is_plain(value: Any) -> bool:
    """Whether the value is a number or a text, or an unchangeable collection of such."""
    if isinstance(value, tuple | frozenset):
        return all(_is_plain(v) for v in value)
    return isinstance(value, _PLAIN) or (isinstance(value, Mapping) and not value)


def is_fitted(part: Any) -> bool:
    """Whether the object is an estimator that has already learnt something from data.

    An estimator whose tags say that it learns nothing (``requires_fit`` is false, such as a
    `FunctionTransformer`) is never fitted in this sense.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils import get_tags
    from sklearn.utils.validation import check_is_fitted

    if isinstance(part, type) or not hasattr(part, "fit") or not hasattr(part, "get_params"):
        return False
    learnt = [n for n in vars(part) if n.endswith("_") and not n.startswith("_")]
    if not learnt:
        return False
    try:
        if not get_tags(part).requires_fit:
            return False
        check_is_fitted(part)
    except (NotFittedError, TypeError, AttributeError):
        return False
    return True
