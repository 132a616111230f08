"""Files that are whole or absent: atomic writes, a content-addressed cache, checked downloads.

Nothing here knows what the bytes mean. Every write goes to a temporary name in the same folder
and is renamed at the end, so that a reader (or a second process) never meets half a file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dolorimeter.errors import ConfigError, StorageError, StorageWarning

if TYPE_CHECKING:
    import pandas as pd

    DataFrame = pd.DataFrame
else:
    DataFrame = Any  # importing pandas takes 1.5 s; only `write_parquet` needs it

Progress = Callable[[int, int | None], None]
"""Called with the bytes at hand and the bytes wanted (None when unknown)."""

CHUNK = 1 << 16
TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends without an error.

    Parents are made. The temporary name keeps the suffix, since some writers look at it. On an
    error nothing is left, and what was at `path` before is untouched. A folder may be made at the
    temporary path too, if nothing is at `path` yet.

    Parameters
    ----------
    path : Path
        File or folder to write.
    durable : bool, default True
        Flush the content to the disk before the rename, so that a loss of power leaves the old
        file or the new one. Without it such a loss can leave an empty file.

    Raises
    ------
    StorageError
        If the folder or the file cannot be written, or the block wrote nothing. Other errors of
        the block, such as a file that it cannot read, are raised as they are.
    """
    part = path.with_name(f".{path.stem}-{secrets.token_hex(6)}{path.suffix}")
    try:
        with _blamed_on(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _blamed_on(path, part):
            yield part
        if not part.exists():
            raise StorageError(f"{path}: nothing was written, so there is nothing to keep.")
        with _blamed_on(path):
            if durable:
                _flush(part)
            part.replace(path)
            if durable:
                _flush_folder(path.parent)
    finally:
        _discard(part)


@contextmanager
def _blamed_on(path: Path, part: Path | None = None) -> Iterator[None]:
    """Raise an `OSError` as an error about `path`; with `part`, only if it is about that file."""
    try:
        yield
    except OSError as error:
        if part is not None and not _is_about(error, part):
            raise
        raise StorageError(
            f"{path}: cannot be written ({error}). Check that its folder is writable and the disk "
            "not full, or choose another place."
        ) from error


def _is_about(error: OSError, part: Path) -> bool:
    """Whether an error concerns the file that is written; a write that fails names no file."""
    if error.filename is not None:
        return Path(os.fsdecode(error.filename)).is_relative_to(part)
    names = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO")  # not every system has all of them
    return error.errno in [getattr(errno, name, None) for name in names]


def _flush(path: Path) -> None:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush the names in a folder, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def replaced_folder(folder: Path, known: Container[str]) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends.

    What is at `folder` before is replaced as a whole, or left as it is if the block fails. Entries
    of another origin are moved into the new folder.

    Parameters
    ----------
    folder : Path
        Folder to write.
    known : container of str
        Names of entries that the new folder replaces; all others are moved.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    folder = folder.resolve()  # a link stays, what it leads to is replaced
    mark = secrets.token_hex(6)
    part = folder.with_name(f".{folder.name}-{mark}")
    before = folder.with_name(f".{folder.name}-{mark}-before")
    try:
        with _blamed_on(folder):
            part.mkdir(parents=True)
        yield part
        with _blamed_on(folder):
            _flush(part)
            if folder.is_mount():
                _move_into(part, folder)
                return
            if folder.exists():
                folder.rename(before)
            part.rename(folder)
            for entry in before.iterdir() if before.exists() else ():
                if entry.name not in known and not (folder / entry.name).exists():
                    entry.rename(folder / entry.name)
            _flush_folder(folder.parent)
    except BaseException:
        if before.exists() and not folder.exists():
            before.rename(folder)
        raise
    finally:
        _discard(part)
        if folder.exists():
            _discard(before)


def _move_into(part: Path, folder: Path) -> None:
    """Replace entries one by one, where the folder cannot be renamed; the manifest comes last.

    A process that dies in between leaves a folder without a manifest, which no loader takes.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    for entry in sorted(part.iterdir(), key=lambda e: e.name == MANIFEST):
        target = folder / entry.name
        if target.is_dir():
            shutil.rmtree(target)
        entry.replace(target)


LOCK = ".lock"
"""File in a folder that one process writes; it names the process."""


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Let only this process write in `folder` until the block ends.

    The lock is that of the operating system (``flock``) where the file system has one, so that it
    ends with its process. Elsewhere the lock is a file with the process in it; one of a process
    of this machine that has ended is taken over. The same thread may lock a folder twice.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    what : str
        What is about to be written, for the message.

    Raises
    ------
    StorageError
        If another process writes there, naming it, or the lock cannot be written.
    """
    place = folder.absolute()
    holder = (str(place), threading.get_ident())
    if holder in _HELD:
        yield
        return
    with _blamed_on(folder):
        place.mkdir(parents=True, exist_ok=True)
        file = _open_lock(place / LOCK)
    try:
        if file is None:
            raise StorageError(
                f"{folder}: {_holder_of(place / LOCK)} is writing there. Wait until it ends, or "
                f"choose another folder for {what}. If that process is gone, remove "
                f"{place / LOCK}."
            )
        _HELD.add(holder)
        yield
    finally:
        if file is not None:
            _HELD.discard(holder)
            with suppress(OSError):
                (place / LOCK).unlink()  # while it is held: who waits for it opens a new one
            file.close()


_HELD: set[tuple[str, int]] = set()


def _open_lock(path: Path) -> IO[str] | None:
    """The lock file, locked and signed; None if another process holds it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            state = _try_flock(file)
            if state == "none" and not _is_orphan(path):
                file.close()
                return None
            if state == "other":
                file.close()
                return None
            if not _is_still(file, path):
                file.close()  # the holder has removed it in the meantime
                continue
            file.seek(0)
            file.truncate()
            json.dump(_this_process(), file)
            file.flush()
            return file
        except OSError:
            file.close()
            raise


def _try_flock(file: IO[str]) -> str:
    """``own`` if the lock is ours now, ``other`` if not, ``none`` if there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return "none"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "other"
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return "other"
        return "none"
    return "own"


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": _started(os.getpid())}


def _started(pid: int) -> str:
    """When a process began, as the system counts; empty if that is unknown or it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _holder_of(path: Path) -> str:
    told = _read_holder(path)
    if not told:
        return "another process"
    return f"process {told.get('pid')} on {told.get('host')}"


def _is_orphan(path: Path) -> bool:
    """Whether a lock without ``flock`` names nobody, or a process of this machine that is gone."""
    told = _read_holder(path)
    if not told:
        return True
    if told.get("host") != socket.gethostname() or not isinstance(told.get("pid"), int):
        return False
    if since := told.get("since"):
        return bool(_started(told["pid"]) != since)
    try:
        os.kill(told["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def check_writable(path: Path) -> None:
    """Refuse a file or folder that could not be written later; nothing is made.

    To be asked before work whose result would be lost.

    Raises
    ------
    StorageError
        If the nearest folder that exists is none, or is not ours to write in.
    """
    place = next((p for p in (path, *path.absolute().parents) if p.exists()), Path())
    if place == path and path.is_file():
        place = path.absolute().parent  # it would be replaced
    if not (place.is_dir() and os.access(place, os.W_OK)):
        what = "cannot be written in" if place.is_dir() else "is a file, and a folder is needed"
        raise StorageError(f"{path}: {place} {what}. Choose another place, or make it writable.")


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, atomically."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8 with line feeds, atomically."""
    write_bytes(path, text.encode())


def write_secret(path: Path, text: str) -> None:
    """Write `text` to a new file that only its owner can read; an existing file stays.

    Parameters
    ----------
    path : Path
    text : str

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with _blamed_on(path), suppress(FileExistsError):
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON with sorted keys, atomically.

    Raises
    ------
    StorageError
        If JSON cannot express it (NaN counts as such: use None).
    """
    try:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StorageError(
            f"{path}: cannot be written as JSON ({error}). Use plain numbers, texts, lists and "
            "dictionaries, and None for a missing number."
        ) from error
    write_text(path, text + "\n")


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with the digest of its own content under ``seal``, atomically.

    Parameters
    ----------
    path : Path
    value : mapping
        Plain values; a key ``seal`` is replaced.

    Raises
    ------
    StorageError
        If JSON cannot express it, or it cannot be written.
    """
    told = {k: v for k, v in value.items() if k != "seal"}
    write_json(path, told | {"seal": digest(_canonical(told))})


def read_sealed(path: Path) -> dict[str, Any]:
    """Return what `write_sealed` wrote, with its seal.

    Raises
    ------
    StorageError
        If the file cannot be read, or a single bit of its content differs.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        sound = told["seal"] == digest(_canonical({k: v for k, v in told.items() if k != "seal"}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path}: cannot be read ({error!r}).") from error
    if not sound:
        raise StorageError(f"{path}: is damaged: its content is not what was written.")
    return dict(told)


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)


MANIFEST = "digests.json"
"""File with the digests of the other files of a folder. It is written last."""


def seal_folder(folder: Path, names: Iterable[str]) -> None:
    """Write the digests of files into the manifest of their folder, beside those it has.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        Files relative to `folder`. One that does not exist leaves the manifest.

    Raises
    ------
    StorageError
        If a file cannot be read, or the manifest cannot be written.
    """
    path = folder / MANIFEST
    known = dict(read_sealed(path)["files"]) if path.is_file() else {}
    for name in names:
        known.pop(name, None)
        if (folder / name).is_file():
            known[name] = digest(folder / name)
    write_sealed(path, {"files": known})


def damaged_files(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Return what is wrong with the files of a folder; empty if they are as they were written.

    Parameters
    ----------
    folder : Path
        Folder with a manifest; without one nothing can be said, and nothing is returned.
    names : iterable of str, optional
        Files to look at. By default all in the manifest.

    Returns
    -------
    list of str
        One text per fault, which begins with the name of the file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        known = read_sealed(path)["files"]
    except StorageError as error:
        return [str(error)]
    faults = []
    for name in known if names is None else names:
        if name not in known:
            continue
        try:
            if digest(folder / name) != known[name]:
                faults.append(f"{name} is damaged")
        except StorageError:
            faults.append(f"{name} is missing")
    return faults


def write_parquet(path: Path, table: DataFrame, *, durable: bool = True) -> None:
    """Write a table as Parquet, atomically and with the same bytes for the same content.

    The index is not kept, and neither are the notes on versions that pandas would add.

    Parameters
    ----------
    path : Path
    table : pandas.DataFrame
    durable : bool, default True
        As in `atomic_path`.

    Raises
    ------
    StorageError
        If a column holds what Parquet cannot express.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise StorageError(
            f"{path}: the table cannot be written as Parquet ({error}). Give each column one kind "
            "of value."
        ) from error
    with atomic_path(path, durable=durable) as part:
        pq.write_table(content, part, compression="zstd")


def digest(*parts: bytes | str | np.ndarray | Path) -> str:
    """BLAKE2b of the parts as 64 hexadecimal digits.

    Order counts, and so does the kind of each part: ``digest("a", "b")``, ``digest("ab")`` and
    ``digest(b"ab")`` differ. A Path stands for the bytes of that file, an array for its dtype,
    shape and bytes.

    Raises
    ------
    StorageError
        If a file cannot be read.
    ConfigError
        If an array holds Python objects.

    Examples
    --------
    >>> digest("a", "b") == digest("ab")
    False
    """
    total = hashlib.blake2b(digest_size=32)
    for part in parts:
        kind, one = _digest_one(part)
        total.update(kind.encode() + b"\0" + one)
    return total.hexdigest()


def _digest_one(part: bytes | str | np.ndarray | Path) -> tuple[str, bytes]:
    one = hashlib.blake2b(digest_size=32)
    if isinstance(part, Path):
        try:
            with part.open("rb") as file:
                while block := file.read(CHUNK):
                    one.update(block)
        except OSError as error:
            raise StorageError(f"{part}: cannot be read ({error}).") from error
        return "file", one.digest()
    if isinstance(part, np.ndarray):
        if part.dtype.hasobject:
            raise ConfigError("an array of Python objects has no digest: give numbers or texts.")
        one.update(np.ascontiguousarray(part).tobytes())
        return f"array {part.dtype.str} {part.shape}", one.digest()
    if isinstance(part, str):
        one.update(part.encode())
        return "text", one.digest()
    one.update(part)
    return "bytes", one.digest()


def user_cache() -> Path:
    """The folder for what can be made or fetched again; it need not exist yet.

    ``$DOLORIMETER_CACHE`` where set, else ``dolorimeter`` in the platform's cache folder.
    """
    if value := os.environ.get("DOLORIMETER_CACHE"):
        return Path(value)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dolorimeter"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "dolorimeter"
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "dolorimeter"


def find_root(name: str) -> Path | None:
    """The folder of an open data set: ``$DOLORIMETER_DATA/<name>``, then the user cache.

    Returns None where neither exists.
    """
    for place in root_places(name):
        if place.is_dir():
            return place
    return None


def root_places(name: str) -> tuple[Path, ...]:
    """The folders `find_root` looks at, in order; for error messages too.

    Raises
    ------
    ConfigError
        If `name` is not a plain name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ConfigError(f"'{name}' is no name of a data set: a name holds no path.")
    data = os.environ.get("DOLORIMETER_DATA")
    first = (Path(data) / name,) if data else ()
    return (*first, user_cache() / "data" / name)


class Cache:
    """Arrays by key, on disk. The key is a digest of everything that went into making them.

    Parameters
    ----------
    root : Path or None
        Folder; None is ``arrays`` in the user cache.

    Notes
    -----
    An entry carries the digest of its own arrays. One that cannot be read or does not match is
    removed, counts as absent, and its key is added to `damaged`: a damaged cache costs time, never
    a wrong number.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = user_cache() / "arrays" if root is None else root
        self.damaged: list[str] = []
        self.closed = False

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry; only `get` knows whether it is sound."""
        return self._path(key).is_file()

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays stored under `key`, or None."""
        path = self._path(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, KeyError):
            arrays = {}
        seal = arrays.pop("seal", None)
        found = {name.removeprefix("array."): values for name, values in arrays.items()}
        if seal is None or str(seal) != _seal(key, found):
            self.damaged.append(key)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        return found

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """Store arrays under `key`, replacing what was there.

        Returns
        -------
        bool
            Whether the entry is stored. If it cannot be written (a full disk, a folder without
            permission), a warning says so once, and later entries are not tried: a cache must not
            stop the work it is meant to save.

        Raises
        ------
        ConfigError
            If an array holds Python objects.
        """
        seal = np.array(_seal(key, arrays))
        named = {f"array.{name}": values for name, values in arrays.items()}
        path = self._path(key)
        if self.closed:
            return False
        try:
            with atomic_path(path, durable=False) as part, part.open("wb") as file:
                np.savez(file, seal=seal, **named)  # type: ignore[arg-type]  # NumPy's stub takes only allow_pickle by name
        except StorageError as error:
            self.closed = True
            warnings.warn(f"nothing more is cached: {error}", StorageWarning, stacklevel=2)
            return False
        return True

    def _path(self, key: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_-]{4,128}", key):
            raise ConfigError(f"cache key '{key}' is not a digest: make it with storage.digest.")
        return self.root / key[:2] / f"{key}.npz"


def _seal(key: str, arrays: Mapping[str, np.ndarray]) -> str:
    parts: list[str | np.ndarray] = [key]
    for name in sorted(arrays):
        parts += [name, arrays[name]]
    return digest(*parts)


def sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal digits: what publishers print."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            total.update(block)
    return total.hexdigest()


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    attempts: int = 3,
    pause: float = 1.0,
) -> bool:
    """Fetch `url` to `target`, resuming where an earlier attempt stopped.

    Bytes go to ``<target>.<part of the URL's digest>.part`` and become `target` only when size
    and SHA-256 are right. A target that is already there and right is kept.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    target : Path
        The file to make; its folder is made too.
    sha256, size : str, int or None
        What the file must have; None where unknown.
    progress : callable or None
        Called with bytes at hand and bytes wanted.
    attempts : int
        How often to try when the connection fails or the server errs (5xx, 429).
    pause : float
        Seconds before the second attempt; doubled before each further one.

    Returns
    -------
    bool
        Whether the SHA-256 was known and matches; False means "unverified".

    Raises
    ------
    StorageError
        Not found, cut short, of another size or hash, server out of reach, or disk in the way.
    """
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise StorageError(f"{url}: only http and https addresses can be fetched.")
    if target.exists():
        _verify(url, target, sha256, size)
        return sha256 is not None
    part = target.with_name(f"{target.name}.{digest(url)[:8]}.part")
    trouble = "no attempt was made"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            resumed = part.exists()
            trouble = _attempt(url, part, size, progress)
            if trouble:
                continue
            try:
                _verify(url, part, sha256, size)
            except StorageError:
                part.unlink()
                if not resumed:
                    raise
                trouble = "the part kept from an earlier attempt did not match"
                continue
            part.replace(target)
            return sha256 is not None
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written ({error}). Check that its folder is writable and the "
            "disk not full, or give another target."
        ) from error
    raise StorageError(
        f"{url}: {trouble}, after {attempts} attempts. What arrived is kept: run it again to "
        "resume, or check the connection."
    )


def _verify(url: str, path: Path, wanted: str | None, size: int | None) -> None:
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        raise StorageError(
            f"{path}: {found_size:,} bytes, expected {size:,} from {url}. Upstream has changed or "
            "the file is damaged: remove it and fetch again, and report it if that does not help."
        )
    if wanted is not None and (found := sha256(path)) != wanted.lower():
        raise StorageError(
            f"{path}: SHA-256 is {found}, expected {wanted} from {url}. The file is not the one "
            "that was pinned: remove it and fetch again, and report it if that does not help."
        )


def _attempt(url: str, part: Path, size: int | None, progress: Progress | None) -> str:
    """Fetch what `part` still lacks. Returns what went wrong and may be tried again, or ""."""
    at = part.stat().st_size if part.exists() else 0
    if size is not None and at == size and part.exists():
        return ""
    if size is not None and at > size:
        part.unlink()
        at = 0
    headers = {"User-Agent": "dolorimeter", "Accept-Encoding": "identity"}
    if at:
        headers["Range"] = f"bytes={at}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # scheme checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            return _receive(response, part, at, size, progress)
    except urllib.error.HTTPError as error:
        return _refused(url, error, part)
    except urllib.error.URLError as error:
        return f"the server cannot be reached ({error.reason})"
    except (TimeoutError, ConnectionError, HTTPException) as error:
        return f"the connection was lost ({error or type(error).__name__})"


def _refused(url: str, error: urllib.error.HTTPError, part: Path) -> str:
    code, reason = error.code, error.reason
    error.close()
    if code == 416:  # the part kept is longer than the file: it is of something else
        part.unlink(missing_ok=True)
        return "the server had nothing beyond the part kept from an earlier attempt"
    if code == 429 or code >= 500:
        return f"the server answered {code} {reason}"
    raise StorageError(
        f"{url}: the server answered {code} {reason}. The address is wrong or the file was taken "
        "away: check the manifest against upstream, or obtain the file by hand."
    )


def _receive(
    response: HTTPResponse, part: Path, at: int, size: int | None, progress: Progress | None
) -> str:
    if response.status != 206:
        at = 0  # the server sends the whole file again
    elif not response.headers.get("Content-Range", f"bytes {at}-").startswith(f"bytes {at}-"):
        part.unlink()
        return "the server resumed at another place than asked"
    length = response.headers.get("Content-Length")
    total = at + int(length) if length and length.isdigit() else size
    with part.open("ab" if at else "wb") as file:
        while block := response.read(CHUNK):
            file.write(block)
            at += len(block)
            if progress is not None:
                progress(at, total if size is None else size)
    if total is not None and at < total:
        return f"cut short at {at:,} of {total:,} bytes"
    return ""
