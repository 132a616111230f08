"""TOML files of experiments and pre-trainings: reading, overriding keys, resolving paths.

A path in a TOML file is relative to that file. A path that a caller sets for one of its keys is
relative to the current folder. Which keys hold paths is declared by whoever reads the file.
"""

from __future__ import annotations

import os
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping
from glob import has_magic, iglob
from pathlib import Path
from typing import Any

from dolorimeter._on_demand import Notice
from dolorimeter.errors import ConfigError
from dolorimeter.registry import PUBLISHED


def read_toml(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    path_keys: re.Pattern[str],
    paths_exist: bool = False,
) -> dict[str, Any]:
    """Read a TOML file, set dotted keys in it and make its paths absolute.

    Parameters
    ----------
    path : str or Path
        The file.
    overrides : mapping, optional
        Dotted keys and values that replace those of the file. Their paths are relative to the
        current folder.
    path_keys : re.Pattern
        Dotted keys that hold paths; entries of lists are counted from 0.
    paths_exist : bool, default False
        Whether to raise if a path leads nowhere.

    Returns
    -------
    dict
        Plain values. Paths are absolute texts.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key leads nowhere, or a path does and
        `paths_exist` is set.
    """
    path = Path(path)
    values = parse_toml(path)
    for key, value in (overrides or {}).items():
        override(values, key, absolute_paths(value, path_keys, key=key))
    values = _mapped(values, path_keys, lambda key, text: _of_file(path, key, text))
    if paths_exist:
        check_paths(path, values, path_keys)
    return values


def parse_toml(path: str | Path) -> dict[str, Any]:
    """Return the values of a TOML file as they are written.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file; the experiments of the project are in experiments/."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read as TOML ({error.strerror}). Give a TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML; not a TOML file: {error}") from error


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; a number in it counts the entries of a list (``streams.0.encoder``).

    Raises
    ------
    ConfigError
        If the key leads into a value that holds nothing, or to no entry of a list.
    """
    *parents, last = key.split(".")
    table: Any = values
    for parent in parents:
        table = _entry(table, parent, key)
    if isinstance(table, list):
        _entry(table, last, key)
        table[int(last)] = value
    elif isinstance(table, dict):
        table[last] = value
    else:
        raise ConfigError(f"--set {key}: '{parents[-1]}' is {table!r}, which has nothing in it.")


def _entry(table: Any, name: str, key: str) -> Any:
    if isinstance(table, dict):
        return table.setdefault(name, {})
    if not isinstance(table, list):
        raise ConfigError(f"--set {key}: '{name}' is asked of {table!r}, which has nothing in it.")
    if not (name.isdecimal() and int(name) < len(table)):
        raise ConfigError(
            f"--set {key}: '{name}' is no entry of a list of {len(table)}; count from 0."
        )
    return table[int(name)]


def absolute_paths(values: Any, path_keys: re.Pattern[str], *, key: str = "") -> Any:
    """Return values whose paths, relative to the current folder, are absolute.

    Parameters
    ----------
    values : object
        Plain values.
    path_keys : re.Pattern
        Dotted keys that hold paths.
    key : str, default ""
        Dotted key of `values` themselves.

    Examples
    --------
    >>> absolute_paths({"weights": "published", "root": "/data"}, re.compile("weights|root"))
    {'weights': 'published', 'root': '/data'}
    """
    return _mapped(values, path_keys, lambda _, text: _joined(Path.cwd(), text), key)


def _mapped(
    values: Any, path_keys: re.Pattern[str], change: Callable[[str, str], str], key: str = ""
) -> Any:
    """Return a copy in which every path has gone through `change` with its dotted key."""
    prefix = f"{key}." if key else ""
    if isinstance(values, Mapping):
        return {k: _mapped(v, path_keys, change, f"{prefix}{k}") for k, v in values.items()}
    if isinstance(values, list | tuple):
        parts = (_mapped(v, path_keys, change, f"{prefix}{i}") for i, v in enumerate(values))
        return type(values)(parts)
    if isinstance(values, str | Path) and _is_path(str(values)) and path_keys.fullmatch(key):
        return change(key, str(values))
    return values


def _is_path(text: str) -> bool:
    return bool(text) and text != PUBLISHED and "://" not in text


def _joined(folder: Path, text: str) -> str:
    """Return an absolute path. Links are kept: what lies beside a file belongs to its name."""
    return os.path.abspath(folder / Path(text).expanduser())  # noqa: PTH100


def _of_file(file: Path, key: str, text: str) -> str:
    """Return a path of a file as an absolute one, by the present meaning or by the old one."""
    path, old = _joined(file.parent, text), _joined(Path.cwd(), text)
    if path == old or _exists(path) or not _exists(old):
        return path
    warnings.warn(
        f"{file}: {key} = '{text}' is taken as {old}, relative to the current folder. Paths in a "
        f"TOML file are relative to that file, here {path}. Version 0.3 will look only there.",
        Notice,
        stacklevel=5,
    )
    return old


def _exists(path: str) -> bool:
    return Path(path).exists() or (has_magic(path) and any(True for _ in iglob(path)))  # noqa: PTH207


def check_paths(file: str | Path, values: Mapping[str, Any], path_keys: re.Pattern[str]) -> None:
    """Raise if a path among the values of a TOML file leads nowhere.

    Raises
    ------
    ConfigError
        Naming the file, each such key and its path.
    """
    absent: dict[str, str] = {}

    def check(key: str, text: str) -> str:
        if not _exists(text):
            absent[key] = text
        return text

    _mapped(values, path_keys, check)
    if absent:
        listed = "; ".join(f"{key} is {path}" for key, path in absent.items())
        raise ConfigError(
            f"{file}: no such file or folder: {listed}. Paths in the file are relative to it, "
            f"those of --set to the current folder. Correct the file, or give --set "
            f"{next(iter(absent))}=PATH."
        )
