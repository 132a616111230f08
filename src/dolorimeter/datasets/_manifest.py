"""Fetching open data sets: what to fetch, from which commit, and how to know it is the right file.

A manifest (``manifests/<name>.json``) pins a commit and lists files with path, size and SHA-256.
Where nobody has held the file, size or SHA-256 is null and the result says "unverified".
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from dolorimeter import storage
from dolorimeter.errors import DatasetError, StorageError
from dolorimeter.registry import DATASETS, DatasetCard

Progress = Callable[[int, int], None]
"""Called with the bytes at hand and the bytes wanted, over all files whose size is known."""

Status = Literal["verified", "unverified", "absent"]


@dataclass(frozen=True)
class ManifestFile:
    """One file of a manifest.

    Parameters
    ----------
    path : str
        Upstream's, and the one under the target folder.
    size, sha256 : int, str or None
        None where nobody has held the file.
    path_from : str
        Who says that it is there: ``index`` (a listing of the repository), ``upstream README``,
        ``SOURCE.md`` (whoever fetched it before us).
    """

    path: str
    size: int | None
    sha256: str | None
    path_from: str = "index"


@dataclass(frozen=True)
class Manifest:
    """A data set at a pinned commit; ``base_url`` + path is the address of a file."""

    name: str
    commit: str
    base_url: str
    licence: str
    files: tuple[ManifestFile, ...]
    left_out: str = ""

    @property
    def size(self) -> int:
        """Bytes of the files whose size is known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class Fetched:
    """What became of one file."""

    path: str
    status: Status


@dataclass(frozen=True)
class FetchResult:
    """Where a data set was put, and which of its files are verified."""

    name: str
    root: Path
    commit: str
    licence: str
    files: tuple[Fetched, ...]
    left_out: str = ""

    def with_status(self, status: Status) -> tuple[str, ...]:
        """Paths of that status."""
        return tuple(file.path for file in self.files if file.status == status)

    def rows(self) -> list[dict[str, str]]:
        """One row a file, for a table."""
        return [{"file": file.path, "status": file.status} for file in self.files]


def fetchable() -> tuple[str, ...]:
    """Names that `fetch` knows, sorted."""
    folder = resources.files("dolorimeter.datasets") / "manifests"
    return tuple(
        sorted(e.name.removesuffix(".json") for e in folder.iterdir() if e.name.endswith(".json"))
    )


def read_manifest(name: str) -> Manifest:
    """The manifest of an open data set.

    Raises
    ------
    DatasetError
        If the data set is known but cannot be fetched: how to obtain it.
    UnknownNameError
        If no data set has that name.
    """
    if name not in fetchable():
        card = DATASETS.card(name)
        obtain = card.obtain if isinstance(card, DatasetCard) else ""
        raise DatasetError(
            f"{name} cannot be fetched. {obtain} Fetchable: {', '.join(fetchable())}."
        )
    text = (resources.files("dolorimeter.datasets") / "manifests" / f"{name}.json").read_text(
        encoding="utf-8"
    )
    return _parse(json.loads(text))


def _parse(value: dict[str, Any]) -> Manifest:
    files = tuple(ManifestFile(**file) for file in value.pop("files"))
    return Manifest(**value, files=files)


def fetch(
    name: str,
    target: str | Path | None = None,
    progress: Progress | None = None,
    *,
    manifest: Manifest | None = None,
) -> FetchResult:
    """Fetch an open data set, resuming what an earlier run left.

    Parameters
    ----------
    name : str
        Registry name (``"oxazepam_ep"``).
    target : str or Path, optional
        Folder; default ``data/<name>`` in the user cache, where `open_dataset` looks.
    progress : callable, optional
        Called with bytes at hand and bytes wanted, over all files.
    manifest : Manifest, optional
        Another one than the packaged (a mirror).

    Returns
    -------
    FetchResult
        A file is ``verified`` (size and SHA-256 as pinned), ``unverified`` (neither known), or
        ``absent`` (the server has no such file, and nobody had confirmed that it is there).

    Raises
    ------
    DatasetError
        If the data set is not an open one.
    StorageError
        Not found, cut short, wrong size or hash, server out of reach. What was fetched stays, and
        another run resumes.
    """
    manifest = manifest or read_manifest(name)
    root = storage.user_cache() / "data" / name if target is None else Path(target)
    done = 0
    files = []
    for file in manifest.files:
        files.append(_fetch_file(manifest, file, root, _step(progress, done, manifest.size)))
        path = root / file.path
        done += path.stat().st_size if path.is_file() else 0
        _step(progress, done, manifest.size)(0, None)
    return FetchResult(
        manifest.name, root, manifest.commit, manifest.licence, tuple(files), manifest.left_out
    )


def _step(progress: Progress | None, before: int, total: int) -> storage.Progress:
    """The progress of one file as progress of all."""

    def report(done: int, _: int | None) -> None:
        if progress is not None:
            progress(before + done, max(total, before + done))

    return report


def _fetch_file(
    manifest: Manifest, file: ManifestFile, root: Path, progress: storage.Progress
) -> Fetched:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path:
        raise DatasetError(
            f"manifest of {manifest.name}: the path {file.path!r} leads out of its folder."
        )
    try:
        verified = storage.download(
            manifest.base_url + urllib.parse.quote(file.path),
            root.joinpath(*path.parts),
            sha256=file.sha256,
            size=file.size,
            progress=progress,
        )
    except StorageError as error:
        unsure = file.sha256 is None and file.path_from != "index"
        if unsure and "the server answered 404" in str(error):
            return Fetched(file.path, "absent")
        raise
    return Fetched(file.path, "verified" if verified else "unverified")


__all__ = [
    "FetchResult",
    "Fetched",
    "Manifest",
    "ManifestFile",
    "fetch",
    "fetchable",
    "read_manifest",
]
