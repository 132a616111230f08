"""Digest of the code behind an object: its classes and functions, what they import, and versions.

A cached array or a stored fold is valid only as long as the code that made it is the same. The
digest covers four kinds of code:

- classes and functions of the user (scripts, modules, notebooks): the loaded code, the values it
  refers to, its source file, and the source files that this file imports;
- this package: its source files;
- installed packages: their version;
- the standard library: the version of Python.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import importlib.util
import inspect
import json
import platform
import sys
import sysconfig
import threading
import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np

from dolorimeter.storage import digest

PACKAGE = Path(__file__).parent
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
NUMERIC = ("numpy", "scipy", "pandas", "scikit-learn")
"""Distributions whose version enters every digest: all numbers pass through them."""

NOT_IN_SAMPLES = frozenset(
    {"audit", "audits", "cli", "estimators", "evaluation", "experiment", "explain", "monitor",
     "predictor", "pretraining", "report", "reports", "splits", "synthesis", "training"}
)  # fmt: skip
"""Parts of this package above the pipeline, or beside it: they cannot change its samples."""

NOT_IN_FOLDS = frozenset(
    {
        "audit",
        "audits",
        "cli",
        "experiment",
        "explain",
        "monitor",
        "predictor",
        "report",
        "reports",
    }
)
"""Parts of this package above the evaluation, or beside it."""

NETWORKS = ("torch", "onnxruntime", "openvino")
"""Distributions whose version can change what a network gives."""

NOT_STATE = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__",
     "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__",
     "__firstlineno__", "__static_attributes__", "__parameters__", "_abc_impl", "card"}
)  # fmt: skip
"""Attributes of a class that do not change what it computes."""


class OpaqueError(Exception):
    """An object whose content cannot be digested."""


def code_digest(*things: Any, versions: tuple[str, ...] = ()) -> str:
    """Return the digest of objects, of the code behind them, and of the versions in use.

    Parameters
    ----------
    *things : object
        Classes, functions, partials, instances (their class and their state), or plain values.
        Folders of paths are ignored; only the name of the file counts.
    versions : tuple of str, default ()
        Further distributions whose installed version enters.

    Returns
    -------
    str
        64 hexadecimal digits. Equal in every process with the same code, values and versions.

    Raises
    ------
    OpaqueError
        If an object has no content that can be compared, such as an open file or a lock.

    Examples
    --------
    >>> code_digest(functools.partial(int, base=2)) == code_digest(functools.partial(int, base=8))
    False
    """
    walk = _Walk()
    for thing in things:
        walk.visit(thing)
    walk.visit_files()
    known = [f"{name} {_version(name)}" for name in (*NUMERIC, *versions)]
    known += [f"{name} {_top_version(name)}" for name in sorted(walk.libraries)]
    return digest(json.dumps([platform.python_version(), walk.parts, known]))


@lru_cache(maxsize=8)
def package_digest(without: frozenset[str] = frozenset()) -> str:
    """Return the digest of this package's source files.

    Parameters
    ----------
    without : frozenset of str
        Names of top-level modules and subpackages that cannot change the result in question.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    files = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0].removesuffix(".py") not in without:
            files.append((inside.as_posix(), path))
    return digest(*(part for name, path in files for part in (name, path)))


class _Walk:
    """One pass over the objects behind a digest."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.libraries: set[str] = set()
        self._seen: dict[int, tuple[int, Any]] = {}  # the object is held, so that ids stay unique
        self._files: dict[Path, str] = {}

    def visit(self, value: Any) -> None:
        """Add `value`, and all that it refers to."""
        if isinstance(value, PLAIN):
            self.parts.append(f"{type(value).__name__} {value!r}")
            return
        if isinstance(value, np.generic) and not value.dtype.hasobject:
            self.parts.append(digest(np.asarray(value)))
            return
        if isinstance(value, Path):
            self.parts.append(f"path {value.name}")
            return
        if id(value) in self._seen:
            self.parts.append(f"again {self._seen[id(value)][0]}")
            return
        self._seen[id(value)] = (len(self._seen), value)
        self._visit_new(value)

    def _visit_new(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            self._array(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._items("method", [value.__func__, value.__self__])
        elif isinstance(value, types.ModuleType):
            self._module(value.__name__)
        elif isinstance(value, functools.partial):
            self._items("partial", [value.func, value.args, value.keywords])
        elif isinstance(value, list | tuple):
            self._items(type(value).__name__, value)
        elif isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
            items = sorted(value.items(), key=lambda item: repr(item[0]))
            self._items("dict", [part for item in items for part in item])
        elif isinstance(value, set | frozenset):
            self._items("set", sorted(value, key=repr))
        elif isinstance(value, staticmethod | classmethod):
            self._items(type(value).__name__, [value.__func__])
        elif isinstance(value, property):
            self._items("property", [value.fget, value.fset, value.fdel])
        elif isinstance(value, functools.cached_property):
            self._items("cached property", [value.func])
        elif callable(value) and hasattr(value, "__wrapped__"):
            self._items("wrapped", [value.__wrapped__])
        elif isinstance(value, types.BuiltinFunctionType | types.MethodDescriptorType):
            self.parts.append(f"builtin {value.__qualname__}")
        else:
            self._instance(value)

    def visit_files(self) -> None:
        """Add the source files of the user's modules and of what they import."""
        waiting = dict(self._files)
        done: dict[Path, str] = {}
        while waiting:
            path, package = waiting.popitem()
            content = path.read_bytes()
            done[path] = hashlib.blake2b(content, digest_size=32).hexdigest()
            for found, inside in self._imports(path, package, content):
                if found not in done and found not in waiting:
                    waiting[found] = inside
        self.parts += sorted(f"file {path.name} {told}" for path, told in done.items())

    def _items(self, kind: str, values: Any) -> None:
        values = list(values)
        self.parts.append(f"{kind} of {len(values)}")
        for value in values:
            self.visit(value)

    def _array(self, value: np.ndarray) -> None:
        if value.dtype.hasobject:
            self._items(f"array {value.shape}", value.ravel().tolist())
        else:
            self.parts.append(digest(np.asarray(value)))

    def _class(self, value: type) -> None:
        self.parts.append(f"class {value.__module__}.{value.__qualname__}")
        if not self._is_users(value.__module__):
            return
        self.visit(value.__bases__)
        own = {k: v for k, v in vars(value).items() if k not in NOT_STATE}
        stored = {name for v in own.values() for name in _stored(v)}
        has_file = _file_of(value.__module__) is not None
        for name, attribute in sorted(own.items()):
            if (
                _is_code(attribute)
                or (isinstance(attribute, PLAIN) and name not in stored)
                or (not has_file and not inspect.isdatadescriptor(attribute))
            ):
                self._items(name, [attribute])

    def _function(self, value: types.FunctionType) -> None:
        self.parts.append(f"function {value.__module__}.{value.__qualname__}")
        cells = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
        if not self._is_users(value.__module__):
            if cells and value.__qualname__.count("<locals>"):
                self.visit(cells)  # a function that a library made of the user's objects
            return
        self.parts.append(_code(value.__code__))
        self._items("defaults", [value.__defaults__, value.__kwdefaults__, cells])
        has_file = _file_of(value.__module__) is not None
        stored = set(_stored(value))
        for name in sorted(_names(value.__code__)):
            if name not in value.__globals__ or name in stored:
                continue
            used = value.__globals__[name]
            # A list or an object of a module with a file may be a record that grows: the file says
            # how it begins. Of a notebook there is no file, so its value counts.
            if _is_code(used) or isinstance(used, (*PLAIN, tuple)) or not has_file:
                self._items(name, [used])

    def _module(self, name: str) -> None:
        self.parts.append(f"module {name}")
        self._is_users(name)

    def _is_users(self, name: str) -> bool:
        """Whether a module is the user's; notes its file, or the library it belongs to."""
        top = name.partition(".")[0]
        if top == PACKAGE.name or (top in sys.stdlib_module_names and top != "__main__"):
            return False
        path = _file_of(name)
        if path is not None and _is_installed(path):
            self.libraries.add(top)
            return False
        if path is not None:
            self._files[path] = _package_of(name)
        elif getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None) == (
            "built-in"
        ):
            return False
        return True

    def _instance(self, value: Any) -> None:
        kind: Any = type(value)
        default: Any = object
        self.visit(kind)
        plain = (kind.__reduce_ex__, kind.__reduce__) == (
            default.__reduce_ex__,
            default.__reduce__,
        )
        state = dict(getattr(value, "__dict__", {}))
        for base in kind.__mro__:
            slots = base.__dict__.get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            state |= {n: getattr(value, n) for n in names if hasattr(value, n)}
        state.pop("__weakref__", None)
        if plain and (state or hasattr(value, "__dict__")):
            self.visit({k: _content_of_weights(k, v) for k, v in state.items()})
            return
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            raise OpaqueError(f"{kind.__module__}.{kind.__qualname__}: {error}") from error
        if isinstance(reduced, str):
            self.parts.append(f"global {kind.__module__}.{reduced}")
            return
        made, arguments, *rest = reduced
        if arguments and arguments[0] is kind and len(rest) and rest[0] is None and not state:
            rest = rest[1:]
        self._items("reduced", [made, arguments, *(_listed(part) for part in rest)])

    def _imports(self, path: Path, package: str, content: bytes) -> Iterator[tuple[Path, str]]:
        """Files of the user that a file imports, each with its package; libraries are noted."""
        for level, module, names in _imported(content):
            if level:
                base = path.parent
                for _ in range(level - 1):
                    base = base.parent
                inside = package.rsplit(".", level - 1)[0] if level > 1 else package
                yield from _submodules([base], module, names, inside)
                continue
            top = module.partition(".")[0]
            if top == PACKAGE.name or top in sys.stdlib_module_names:
                continue
            places = _places(top)
            if places is None:
                continue
            if isinstance(places, str) or any(_is_installed(place) for place in places):
                self.libraries.add(top)
                continue
            if len(places) == 1 and places[0].is_file():
                yield places[0], ""
                continue
            yield from _submodules([p.parent for p in places], module, names, "")


def _submodules(
    bases: list[Path], module: str, names: tuple[str, ...], package: str
) -> Iterator[tuple[Path, str]]:
    """Files of ``module``, of its parent packages, and of those of `names` that are modules."""
    steps = module.split(".") if module else []
    for base in bases:
        place, inside = base, package
        for step in steps:
            inside = f"{inside}.{step}" if inside else step
            if (file := place / f"{step}.py").is_file():
                yield file, inside.rpartition(".")[0]
            place = place / step
            if (file := place / "__init__.py").is_file():
                yield file, inside
        if not steps and (file := place / "__init__.py").is_file():
            yield file, inside
        for name in names:
            if (file := place / f"{name}.py").is_file():
                yield file, inside
            if (file := place / name / "__init__.py").is_file():
                yield file, f"{inside}.{name}"


_PARSING = threading.Lock()
"""Python 3.11 may raise `SystemError` where two threads parse at once (CPython issue 106905)."""


@lru_cache(maxsize=256)
def _imported(content: bytes) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """Import statements anywhere in a source file: level, module, names."""
    try:
        with _PARSING:
            tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return ()  # a compiled module: its bytes are all there is
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append((node.level, node.module or "", names))
    return tuple(found)


def _places(top: str) -> list[Path] | str | None:
    """File or folders of a top-level module; text if it has none; None if it is not there."""
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None)
    if spec is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    if spec.origin in (None, "built-in", "frozen"):
        return str(spec.origin)
    return [Path(spec.origin)]


def _file_of(name: str) -> Path | None:
    """Source or binary file of a loaded module; None in a notebook or for code made by `exec`."""
    file = getattr(sys.modules.get(name), "__file__", None)
    path = None if file is None else Path(file)
    return path if path is not None and path.is_file() else None


def _package_of(name: str) -> str:
    module = sys.modules.get(name)
    return getattr(module, "__package__", None) or ""


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(p).resolve() for n in names if (p := sysconfig.get_path(n)))


@lru_cache(maxsize=1024)
def _is_installed(path: Path) -> bool:
    """Whether a file belongs to Python or to an installed package, not to the user."""
    parts = path.parts
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    resolved = path.resolve()
    return any(resolved.is_relative_to(folder) for folder in _installed_folders())


@lru_cache(maxsize=256)
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=256)
def _top_version(top: str) -> str:
    """Version of the distributions that a top-level module belongs to."""
    module = sys.modules.get(top)
    told = getattr(module, "__version__", None)
    if isinstance(told, str):
        return told
    found = _version(top)
    if found != "not installed":
        return found
    return " ".join(_version(name) for name in sorted(packages_distributions().get(top, ())))


def _is_code(value: Any) -> bool:
    return isinstance(
        value,
        type
        | types.FunctionType
        | types.MethodType
        | types.ModuleType
        | staticmethod
        | classmethod
        | property
        | functools.partial
        | functools.cached_property,
    )


def _filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> set[str]:
    return {name for each in _codes(code) for name in each.co_names}


def _code(code: types.CodeType) -> str:
    """Digest of a code object: instructions, names and constants, but no file and no lines."""
    constants = [
        _code(c)
        if isinstance(c, types.CodeType)
        else repr(sorted(c, key=repr) if isinstance(c, frozenset) else c)
        for c in code.co_consts
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return digest(code.co_code, repr(names), repr((code.co_argcount, code.co_flags)), *constants)


def _stored(value: Any) -> Iterator[str]:
    """Global names and attributes that code assigns: they are a state, not a constant."""
    function = getattr(value, "__func__", value)
    if isinstance(function, property):
        function = function.fget
    if not isinstance(function, types.FunctionType):
        return
    for code in _codes(function.__code__):
        for step in dis.get_instructions(code):
            if step.opname in ("STORE_GLOBAL", "STORE_ATTR", "DELETE_GLOBAL", "DELETE_ATTR"):
                yield str(step.argval)


def _content_of_weights(name: str, value: Any) -> Any:
    """A weights file stands for its content: another file may come to lie at the same path."""
    if isinstance(value, str | Path) and str(name).endswith("weights") and Path(value).is_file():
        return digest(Path(value))
    return value


def _listed(part: Any) -> Any:
    return list(part) if isinstance(part, Iterator) else part
