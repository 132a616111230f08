"""Shards: many pictures in one file, more of them than memory holds."""

from __future__ import annotations

import json
import tarfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dolorimeter.errors import ConfigError, DatasetError, RecordingError
from dolorimeter.pretraining._pictures import SUFFIXES, decode, fit
from dolorimeter.pretraining._sources import Block, Source, check_columns
from dolorimeter.storage import Cache, digest

LONGEST_LABEL = 2**20
"""Bytes of a label file in a shard; a longer one is no label."""
_DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError)
_Rows = list[tuple[int, int, dict[str, Any]]]
"""Where the picture of each sample begins, its bytes, and its labels."""


@dataclass(eq=False)
class TarShards(Source):
    """WebDataset shards: in a tar, files of one sample share their name up to the first dot.

    ``00017.jpg`` is the picture; ``00017.json`` a table of labels, ``00017.cls`` the column
    ``class``. A shard is read from end to end once, for its index, which is kept in the user
    cache; pictures are then read where they lie, so that no shard is ever in memory.

    Parameters
    ----------
    shards : tuple of str
        Paths or patterns (``"faces-*.tar"``); not compressed.
    identity : str
        Label that says who is shown; empty: nobody says.
    at_once : int
        Shards whose samples are shuffled together.
    """

    shards: tuple[str, ...]
    identity: str = ""
    at_once: int = 8
    _listed: list[tuple[Path, np.ndarray]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        check_at_once(self.at_once)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """One block a shard; a sample that lacks a label has None there.

        Raises
        ------
        DatasetError
            If there is no shard, or no sample in any.
        ConfigError
            If no sample has such a label.
        """
        seen: set[str] = set()
        wrong: list[str] = []
        for path in expand(self.shards):
            rows, faults = _index(path)
            wrong += faults
            labels = [row[2] for row in rows]
            seen.update(*labels)
            places = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
            self._listed.append((path, places))
            people = None
            if self.identity:
                people = [found.get(self.identity) for found in labels]
            values = {c: [found.get(c) for found in labels] for c in columns}
            yield Block(values, people, faults=faults)
        if not any(len(places) for _, places in self._listed):
            found = f" ({'; '.join(dict.fromkeys(wrong))})" if wrong else ""
            raise DatasetError(
                f"{', '.join(self.shards)}: no sample in {len(self._listed)} shards{found}; "
                "expected files like 0001.jpg and 0001.json in each."
            )
        wanted = [c for c in (*columns, self.identity) if c]
        check_columns(wanted, sorted(seen), ", ".join(self.shards))

    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """That sample's picture, read where it lies."""
        path, places = self._listed[block]
        start, length = map(int, places[row])
        try:
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(length)
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read ({error}).") from error
        return fit(decode(content, f"{path}, byte {start}"), size)


@dataclass(eq=False)
class NpzShards(Source):
    """NumPy archives with pictures and labels, all arrays with one entry a picture.

    Parameters
    ----------
    shards : tuple of str
        Paths or patterns (``"faces-*.npz"``). One that is read is in memory as a whole.
    pictures : str
        Array of uint8 pictures: (picture, height, width, 3), (picture, 3, height, width) or, in
        grey, (picture, height, width).
    identity : str
        Array of who is shown; empty: nobody says.
    at_once : int
        Shards in memory, whose pictures are shuffled together.
    """

    shards: tuple[str, ...]
    pictures: str = "pictures"
    identity: str = ""
    at_once: int = 2
    _paths: list[Path] = field(init=False, repr=False, default_factory=list)
    _kept: OrderedDict[int, Any] = field(init=False, repr=False, default_factory=OrderedDict)
    _lock: Any = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        check_at_once(self.at_once)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """One block a shard; one that cannot be read is empty, and counted.

        Raises
        ------
        DatasetError
            If there is no shard, or none can be read.
        ConfigError
            If a shard lacks an array.
        """
        faults = 0
        for path in expand(self.shards):
            self._paths.append(path)
            wanted = [*columns, *([self.identity] if self.identity else [])]
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                    check_columns([self.pictures, *wanted], stored.files, path)
                    found = {name: stored[name] for name in wanted}
            except _DAMAGE as error:
                faults += 1
                reason = f"{path.name}: the shard cannot be read ({_short(error)})"
                yield Block(dict.fromkeys(columns, ()), faults={reason: 1})
                continue
            lengths = {name: len(values) for name, values in found.items()}
            if len(set(lengths.values())) != 1:
                raise DatasetError(f"{path}: arrays of lengths {lengths}, expected one a picture.")
            people = found[self.identity].tolist() if self.identity else None
            yield Block({c: found[c].tolist() for c in columns}, people)
        if faults == len(self._paths):
            raise DatasetError(f"{', '.join(self.shards)}: none of {faults} shards can be read.")

    def picture(self, block: int, row: int, size: int) -> UInt8[np.ndarray, "3 side side"]:
        """That picture, of a shard that is kept until others are asked for."""
        with self._lock:
            if block not in self._kept:
                self._kept[block] = self._read(block)
            self._kept.move_to_end(block)
            while len(self._kept) > self.at_once:
                self._kept.popitem(last=False)
            pictures = self._kept[block]
        if isinstance(pictures, str):
            raise RecordingError(pictures)
        if row >= len(pictures):
            raise RecordingError(
                f"{self._paths[block]}: {len(pictures)} pictures, and a label for number {row + 1}"
            )
        return fit(np.ascontiguousarray(pictures[row]), size)

    def _read(self, block: int) -> Any:
        """Pictures (picture, height, width, 3), or why there are none."""
        path = self._paths[block]
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                found = stored[self.pictures]
        except _DAMAGE as error:
            return f"{path}: the shard's pictures cannot be read ({_short(error)})"
        if found.ndim == 3:
            found = np.repeat(found[..., None], 3, axis=3)
        elif found.ndim == 4 and found.shape[3] != 3:
            found = found.transpose(0, 2, 3, 1)
        if found.dtype != np.uint8 or found.ndim != 4 or found.shape[3] != 3:
            return (
                f"{path}: pictures are {found.dtype} {found.shape}, expected uint8 "
                "(picture, height, width, 3)"
            )
        return found


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files of all patterns, sorted within each.

    Raises
    ------
    DatasetError
        If a pattern matches nothing.
    """
    found: list[Path] = []
    for pattern in patterns:
        paths = sorted(glob(pattern))  # noqa: PTH207  # a pattern may begin with another root
        if not paths:
            raise DatasetError(f"{pattern}: no such shard. Check shards.")
        found += map(Path, paths)
    if not found:
        raise DatasetError("shards is empty: name the files.")
    return found


def check_at_once(value: int) -> None:
    """`ConfigError` below 1."""
    if value < 1:
        raise ConfigError(f"at_once is {value}, expected at least 1.")


def _index(path: Path) -> tuple[_Rows, dict[str, int]]:
    """Index of a shard, from the cache if the file is as it was."""
    told = path.stat()
    cache = Cache()
    code = Path(__file__)
    key = digest(
        "tar index 1", code, str(path.resolve()), str(told.st_size), str(told.st_mtime_ns)
    )
    kept = cache.get(key)
    if kept is None:
        rows, faults = _scan(path)
        content = json.dumps({"rows": rows, "faults": faults}).encode()
        cache.put(key, {"index": np.frombuffer(content, dtype=np.uint8)})
    else:
        read = json.loads(kept["index"].tobytes())
        rows, faults = [tuple(row) for row in read["rows"]], read["faults"]
    return rows, faults


def _scan(path: Path) -> tuple[_Rows, dict[str, int]]:
    """Read a shard from end to end; what comes before damage is kept."""
    pictures: dict[str, tuple[int, int]] = {}
    labels: dict[str, dict[str, Any]] = {}
    faults: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, _, base = member.name.rpartition("/")
                name, _, ending = base.partition(".")
                key = f"{folder}/{name}"
                if not member.isreg():
                    continue
                if ending.lower() in SUFFIXES:
                    pictures[key] = (member.offset_data, member.size)
                elif ending in ("json", "cls"):
                    file = tar.extractfile(member)
                    assert file is not None  # it is a regular file
                    found = _labels(file.read(LONGEST_LABEL), ending)
                    labels.setdefault(key, {}).update(found)
                    if not found:
                        _count(faults, f"a .{ending} that holds no label")
    except (tarfile.TarError, OSError, EOFError) as error:
        _count(faults, f"{path.name}: damaged after {len(pictures)} pictures ({_short(error)})")
    for key in pictures.keys() ^ labels.keys():
        _count(faults, "a picture without labels" if key in pictures else "labels, no picture")
    rows = [(*place, labels[key]) for key, place in pictures.items() if key in labels]
    return rows, faults


def _labels(content: bytes, ending: str) -> dict[str, Any]:
    try:
        text = content.decode()
        if ending == "cls":
            return {"class": text.strip()} if text.strip() else {}
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _count(faults: dict[str, int], fault: str) -> None:
    faults[fault] = faults.get(fault, 0) + 1


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
