"""Embeddings as a folder: one array a stream, a table of the windows, and what they are.

``NAME.npy`` is ``(window, picture, feature)``, or ``(window, feature)`` where pictures are pooled,
in float32 (tokens of clips: ``(window, token, feature)`` in float16), and can be mapped into
memory by anything that knows NumPy's format. ``meta.parquet`` has a row a window, in the same
order; ``exclusions.parquet`` says what was kept out and why;
``embeddings.json`` says by which encoder, of whose weights, from what, and holds the digest of
every other file.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dolorimeter import __version__
from dolorimeter.chain._arrays import GrowingArray
from dolorimeter.chain._chain import Pipeline, Progress
from dolorimeter.chain._join import flattened, nothing_left
from dolorimeter.chain._parts import Part
from dolorimeter.errors import ConfigError, DatasetError, SignalError, StorageError
from dolorimeter.representations import Represented, Undefined, count
from dolorimeter.samples import Samples
from dolorimeter.storage import Cache, digest, locked, read_sealed, write_parquet, write_sealed
from dolorimeter.types import Array, Exclusion, LabelSource, Recording

DESCRIPTION = "embeddings.json"
META, FACTS, EXCLUSIONS = "meta.parquet", "facts.parquet", "exclusions.parquet"
PARTS = "parts"
PRESENT = "present_"
QUALITY = "window_quality"
FORMAT = 2
UNSEALED = 1
"""Format of descriptions without a digest of their own content, which can still be read."""


@dataclass(frozen=True)
class Stored:
    """What `store` wrote.

    Parameters
    ----------
    folder : str or Path
    description : mapping
        As in ``embeddings.json``.
    exclusions : tuple of Exclusion
    recordings_made, recordings_kept : int
        Recordings that were embedded now, and those whose embeddings were in the cache.
    damaged : tuple of str
        Cache entries and files that were damaged, and were made again.
    """

    folder: Path
    description: Mapping[str, Any]
    exclusions: tuple[Exclusion, ...]
    recordings_made: int
    recordings_kept: int
    damaged: tuple[str, ...] = ()


def store(
    chain: Pipeline,
    recordings: Sequence[Recording],
    out: str | Path,
    *,
    told: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    label_source: LabelSource | None = None,
    lookalike: bool = False,
    exclusions: Iterable[Exclusion] = (),
    notes: Sequence[str] = (),
    cache: Cache | None = None,
    workers: int = 1,
    backend: str | None = None,
    progress: Progress | None = None,
) -> Stored:
    """Embed every window of `recordings` into a folder that `load_embeddings` reads.

    Numbers are written as they come, so that memory does not grow with the recordings. What is
    finished lies in the cache: the same call after an interruption goes on from there. A window
    without any of the streams is kept out, and counted with its reason.

    Parameters
    ----------
    chain : Pipeline
        Every stream of it has an encoder.
    recordings : sequence of Recording
    out : str or Path
        A folder; one that holds other embeddings is refused.
    told : mapping
        Plain values that say what was asked for (data set, options), kept in the description. A
        folder in which something else was told is another one.
    versions : mapping
        Of software and machine, for the description.
    label_source, lookalike, exclusions, notes
        What the data set says of itself, handed on.
    cache : Cache, optional
        Addressed by the files' bytes and this chain. Without one, the folder has its own until it
        is finished.
    workers : int
        Processes.
    backend : str, optional
        ``ray`` or ``dask``.
    progress : callable, optional
        Called with recordings done and recordings in all.

    Raises
    ------
    ConfigError
        If a stream has no encoder, or `out` holds other embeddings.
    DatasetError
        If no window at all is left.
    SignalError
        If windows differ in their number of pictures, and are not pooled.
    """
    _check_encoders(chain)
    out = Path(out)
    with locked(out, "these embeddings"):
        asked = {"told": dict(told or {}), "chain": chain.identity(), "encoders": _digests(chain)}
        damaged = _same_or_none(out, asked)
        own = Cache(out / PARTS) if cache is None else cache
        batches = chain.batches(recordings)
        keys = chain.keys(batches, own)
        identity = digest(json.dumps(asked, sort_keys=True), *(key or "" for key in keys))
        given = tuple(exclusions)
        if None not in keys and not damaged:
            finished, damaged = _finished(out, identity)
            if finished is not None:
                if progress:
                    progress(len(recordings), len(recordings))
                return Stored(out, finished, _exclusions(out), 0, len(recordings))
        write_sealed(out / DESCRIPTION, {"format": FORMAT, "finished": False, "asked": asked})
        there = [key is not None and key in own for key in keys]
        total = _Total(tuple(stream.name for stream in chain.streams), exclusions=list(given))
        with ExitStack() as stack:
            files = {
                s.name: stack.enter_context(GrowingArray(out / name))
                for s, name in zip(chain.streams, _file_names(chain), strict=True)
            }
            done = 0
            parts = chain.parts(batches, keys, cache=own, workers=workers, backend=backend)
            for batch, part in zip(batches, parts, strict=True):
                total.add(part, files)
                done += len(batch)
                if progress:
                    progress(done, len(recordings))
            if not any(file.row_shape for file in files.values()):
                raise DatasetError(nothing_left(recordings, total.exclusions))
            for file in files.values():
                file.finish()
        kept = sum(len(b) for b, known in zip(batches, there, strict=True) if known)
        damaged += tuple(f"cache entry {key[:12]}…" for key in own.damaged)
        description = total.write(chain, out, files) | {
            "format": FORMAT,
            "finished": True,
            "asked": asked,
            "identity": identity,
            "dolorimeter": __version__,
            "versions": dict(versions or {}),
            "label_source": label_source,
            "lookalike": lookalike,
            "recordings": len(recordings),
        }
        description["notes"] = [*notes, *description["notes"]]
        write_sealed(out / DESCRIPTION, description)
        if cache is None:
            _remove(out / PARTS)
        return Stored(
            out, description, tuple(total.exclusions), len(recordings) - kept, kept, damaged
        )


@dataclass
class _Total:
    """What is known of all parts so far besides the arrays, which are on disk."""

    streams: tuple[str, ...]
    exclusions: list[Exclusion]
    metas: list[pd.DataFrame] = field(default_factory=list)
    facts: list[pd.DataFrame] = field(default_factory=list)
    quality: list[Array] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    present: dict[str, list[Array]] = field(default_factory=dict)
    labels: dict[str, Represented] = field(default_factory=dict)
    remarks: dict[str, dict[str, None]] = field(default_factory=dict)
    undefined: dict[str, list[Undefined]] = field(default_factory=dict)

    def add(self, part: Part, files: Mapping[str, GrowingArray]) -> None:
        """Append the part's arrays to `files`, without windows that have no stream at all."""
        self.exclusions += part.exclusions
        self.notes.update(part.notes)
        if not len(part.meta):
            return
        kept = np.zeros(len(part.meta), dtype=bool)
        for name in self.streams:
            kept |= part.streams[name].present
        reasons = {name: _reasons(part.streams[name]) for name in self.streams}
        self.exclusions += _kept_out(part, kept, reasons)
        if not kept.any():
            return
        self.metas.append(part.meta.loc[kept])
        self.facts.append(part.facts.loc[kept])
        self.quality.append(part.quality[kept])
        for name in self.streams:
            stream = part.streams[name]
            self.present.setdefault(name, []).append(stream.present[kept])
            self.remarks.setdefault(name, {}).update(dict.fromkeys(stream.remarks))
            self.undefined.setdefault(name, []).extend(
                entry for row, entry in reasons[name].items() if kept[row]
            )
            self._append(name, stream, kept, files[name])

    def _append(
        self, name: str, stream: Represented, kept: Bool[np.ndarray, " window"], file: GrowingArray
    ) -> None:
        if not stream.present.any():
            file.blank(int(kept.sum()))
            return
        first = self.labels.setdefault(name, replace(stream, x=stream.x[:1]))
        if first.x.shape[1:] != stream.x.shape[1:]:
            raise SignalError(
                f"stream '{name}': windows have {_told(first)} and {_told(stream)}: they do not "
                "fit into one array. Give the representation frame_rate and duration, or pooling."
            )
        file.append(stream.x[kept])

    def write(
        self, chain: Pipeline, out: Path, files: Mapping[str, GrowingArray]
    ) -> dict[str, Any]:
        """Write the tables, and say what the folder holds."""
        present = {name: np.concatenate(found) for name, found in self.present.items()}
        meta = pd.concat(self.metas, ignore_index=True)
        told = {f"{PRESENT}{name}": values for name, values in present.items()}
        quality = np.concatenate(self.quality)
        write_parquet(out / META, meta.assign(**told, **{QUALITY: quality}))
        write_parquet(out / FACTS, pd.concat(self.facts, ignore_index=True))
        rows = [asdict(exclusion) for exclusion in self.exclusions]
        columns = ["subject", "recording", "what", "reason"]
        write_parquet(out / EXCLUSIONS, pd.DataFrame(rows, columns=columns, dtype=str))
        streams, notes = [], []  # a list: JSON's objects have no order, and streams have one
        for stream in chain.streams:
            name, file = stream.name, files[stream.name]
            streams.append(self._stream(stream, file, present[name]))
            if file.row_shape is None:
                notes.append(self._absent(name))
        counted = (f"{note} (windows: {n})" for note, n in sorted(self.notes.items()))
        of_streams = (n for name in self.streams for n in self._noted(name, present[name]).notes)
        names = [META, FACTS, EXCLUSIONS, *(s["file"] for s in streams if s["file"])]
        return {
            "windows": len(meta),
            "subjects": int(meta["subject"].nunique()),
            "streams": streams,
            "exclusions": dict(Counter(e.reason for e in self.exclusions)),
            "notes": [*notes, *counted, *of_streams],
            "files": {name: digest(out / name) for name in names},
        }

    def _stream(self, stream: Any, file: GrowingArray, present: Array) -> dict[str, Any]:
        encoder, labels = stream.encoder, self.labels.get(stream.name)
        each = "token" if encoder.tokens else "picture"
        axes = ["window", each, "feature"] if stream.pooling == "none" else None
        return {
            "name": stream.name,
            "file": None if file.row_shape is None else file.path.name,
            "shape": None if file.row_shape is None else [file.rows, *file.row_shape],
            "axes": axes or ["window", "feature"],
            "dtype": file.dtype.name,
            "present": int(present.sum()),
            "names": [] if labels is None else list(labels.names),
            "units": [] if labels is None else list(labels.units),
            "encoder": asdict(encoder),
            "encoder_digest": encoder.digest,
            "input": asdict(encoder.input),
            "provenance": asdict(encoder.provenance),
            "remarks": list(encoder.remarks),
        }

    def _noted(self, name: str, present: Array) -> Represented:
        """The stream without its numbers: what must be said of it."""
        labels = self.labels.get(name)
        return Represented(
            np.empty((0,)),
            () if labels is None else labels.names,
            () if labels is None else labels.units,
            present,
            tuple(self.remarks.get(name, ())),
            count(self.undefined.get(name, ())),
        )

    def _absent(self, name: str) -> str:
        reasons = "; ".join(dict.fromkeys(u.reason for u in self.undefined[name])) or "missing"
        windows = sum(map(len, self.present[name]))
        return f"stream '{name}' is in none of {windows:,} windows: {reasons}"


def load_embeddings(folder: str | Path, *, verify: bool = True) -> Samples:
    """Samples from a folder that ``dolorimeter embed`` has written; `evaluate` takes them.

    Parameters
    ----------
    folder : str or Path
    verify : bool
        Read every file once and compare its digest. Without it damaged numbers are not noticed.

    Returns
    -------
    Samples
        As the chain itself would give them. An array of pictures stays on disk and is mapped into
        memory; several streams that are all tables become one table.

    Raises
    ------
    StorageError
        If the folder is not such a one, is not finished, or a file of it is damaged.
    """
    folder = Path(folder)
    told = _described(folder)
    if not told.get("finished"):
        raise StorageError(
            f"{folder}: its embeddings are not finished. Run the same `dolorimeter embed` again: "
            "it goes on from where it stopped."
        )
    if verify and (faults := _faults(folder, told)):
        raise StorageError(
            f"{folder}: {'; '.join(faults)}. Run the same `dolorimeter embed` again: it makes "
            "again what is damaged."
        )
    meta = pd.read_parquet(folder / META)
    present = {
        stream["name"]: meta.pop(f"{PRESENT}{stream['name']}").to_numpy(dtype=bool)
        for stream in told["streams"]
    }
    streams = {
        stream["name"]: Represented(
            np.load(folder / stream["file"], mmap_mode="r", allow_pickle=False),
            tuple(stream["names"]),
            tuple(stream["units"]),
            present[stream["name"]],
        )
        for stream in told["streams"]
        if stream["file"]
    }
    samples = Samples(
        x={name: stream.x for name, stream in streams.items()},
        quality=meta.pop(QUALITY).to_numpy(dtype=float),
        meta=meta,
        present={name: present[name] for name in streams},
        facts=pd.read_parquet(folder / FACTS),
        exclusions=_exclusions(folder),
        label_source=told["label_source"],
        notes=tuple(told["notes"]),
        lookalike=told["lookalike"],
    )
    return flattened(samples, streams)


def _check_encoders(chain: Pipeline) -> None:
    without = [stream.name for stream in chain.streams if stream.encoder is None]
    if without or not chain.streams:
        raise ConfigError(
            f"stream '{', '.join(without)}' has no encoder, so there is nothing to embed. Give "
            "encoder = { name = … } (dolorimeter list models)."
        )


def _digests(chain: Pipeline) -> dict[str, str]:
    return {stream.name: stream.encoder.digest for stream in chain.streams}


def _file_names(chain: Pipeline) -> list[str]:
    """A file for each stream, by its name as far as a file can have it."""
    names: list[str] = []
    for place, stream in enumerate(chain.streams):
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", stream.name)
        clash = f"{name}.npy".lower() in (other.lower() for other in names)
        names.append(f"{name}-{place}.npy" if clash else f"{name}.npy")
    return names


def _reasons(stream: Represented) -> dict[int, Undefined]:
    """Why each window is not there, by its row: an encoder's stream gives one reason a window."""
    rows = np.flatnonzero(~stream.present)
    return dict(zip(rows.tolist(), stream.undefined, strict=True))


def _kept_out(
    part: Part, kept: Bool[np.ndarray, " window"], reasons: Mapping[str, Mapping[int, Undefined]]
) -> list[Exclusion]:
    found = []
    for row in np.flatnonzero(~kept).tolist():
        window = part.meta.iloc[row]
        why = "; ".join(f"no {name}: {each[row].reason}" for name, each in reasons.items())
        what = f"window at {window['start']:g} s"
        found.append(Exclusion(str(window["subject"]), str(window["recording"]), what, why))
    return found


def _told(stream: Represented) -> str:
    pictures = stream.x.shape[1] if stream.x.ndim == 3 else None
    return f"{pictures} pictures" if pictures is not None else f"{stream.x.shape[1:]} numbers"


def _same_or_none(out: Path, asked: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse a folder that holds finished embeddings of something else.

    An unfinished one holds nothing: what was made lies in the cache. Returns what is damaged.
    """
    for left in out.glob("*.npy.part"):  # of a process that was killed
        left.unlink(missing_ok=True)
    path = out / DESCRIPTION
    if not path.is_file():
        return ()
    if _is_damaged(path):
        return (f"{DESCRIPTION} is damaged",)
    told = _described(out)
    before, now = told.get("asked", {}), json.loads(json.dumps(asked))
    if told.get("finished") and before != now:
        differ = ", ".join(sorted(k for k in now if before.get(k) != now[k]))
        raise ConfigError(
            f"{out}: holds other embeddings (they differ in: {differ}). Give another --out, or "
            "remove that folder."
        )
    return ()


def _is_damaged(path: Path) -> bool:
    """Whether a description cannot be read, or is one of ours and has changed."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return True
    if not isinstance(told, dict) or "seal" not in told:
        return False
    try:
        read_sealed(path)
    except StorageError:
        return True
    return False


def _described(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path}: cannot be read ({error}). Expected a folder written by `dolorimeter embed "
            "… --out FOLDER`."
        ) from error
    if not isinstance(told, dict) or told.get("format") not in (UNSEALED, FORMAT):
        raise StorageError(f"{path}: is not the description of embeddings of format {FORMAT}.")
    if told["format"] == UNSEALED and "seal" not in told:
        return told
    return read_sealed(path)


def _finished(out: Path, identity: str) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The description of `out` if the very same stands in it, whole; else which files are not."""
    if not (out / DESCRIPTION).is_file():
        return None, ()
    told = _described(out)
    if not told.get("finished") or told.get("identity") != identity:
        return None, ()
    faults = _faults(out, told)
    return (None if faults else told), tuple(faults)


def _faults(folder: Path, told: Mapping[str, Any]) -> list[str]:
    found = []
    for name, known in told["files"].items():
        try:
            if digest(folder / name) != known:
                found.append(f"{name} is damaged")
        except StorageError:
            found.append(f"{name} is missing")
    return found


def _exclusions(folder: Path) -> tuple[Exclusion, ...]:
    rows = pd.read_parquet(folder / EXCLUSIONS).to_dict("records")
    return tuple(Exclusion(**{str(k): str(v) for k, v in row.items()}) for row in rows)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
