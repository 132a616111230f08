"""Parts in the cache: their address, and how they lie there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dolorimeter.chain._parts import Part
from dolorimeter.chain._stream import Stream, sources_of
from dolorimeter.errors import StorageError, StorageWarning
from dolorimeter.registry import MODELS
from dolorimeter.representations import Represented, Undefined
from dolorimeter.source_digest import (
    NETWORKS,
    NOT_IN_SAMPLES,
    OpaqueError,
    code_digest,
    package_digest,
)
from dolorimeter.storage import digest
from dolorimeter.types import (
    Array,
    Exclusion,
    LazySignals,
    Recording,
)

READERS = ("mne", "h5py", "bioread", "openpyxl")
PICTURES = ("av", "opencv-python-headless", "opencv-python", "ai-edge-litert")
"""Distributions whose version can change the samples: of readers, and of videos."""

_SAID = tuple(
    field.name
    for field in fields(Recording)
    if field.name not in ("signals", "videos", "faces", "sources")
)


def keys_of(
    identity: Mapping[str, Any], streams: Sequence[Stream], batches: Sequence[Sequence[Recording]]
) -> list[str | None]:
    """Return the address of each batch in the cache.

    An address is the digest of the code, the pipeline's identity, what the reader said, and the
    files' bytes. Two threads read and digest files, which is most of a run that finds all in the
    cache.

    Parameters
    ----------
    identity : mapping
        Of the pipeline, without standardisation.
    streams : sequence of Stream
    batches : sequence of sequence of Recording

    Returns
    -------
    list of str or None
        None where a file cannot be read: then the part is made, and says why. None too where
        images of people would be kept: the cache holds numbers, never frames. None, with a
        warning, where the code of a class or loader cannot be compared.

    Raises
    ------
    StorageError
        If weights cannot be read, which is no matter of one recording.
    """
    if any(
        s.encoder is None and getattr(s.representation, "pictures_of_people", False)
        for s in streams
    ):
        return [None] * len(batches)
    try:
        stages = {
            pictured: digest(
                json.dumps(identity, sort_keys=True),
                *(s.encoder.digest for s in streams if s.encoder is not None),
                _code_of_stages(streams, pictured),
            )
            for pictured in {_is_pictured(batch) for batch in batches}
        }
    except OpaqueError as error:
        _warn_opaque(error)
        return [None] * len(batches)
    sources = sources_of(streams)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda b: _key_of(stages[_is_pictured(b)], sources, b), batches))


def _is_pictured(batch: Sequence[Recording]) -> bool:
    return any(r.videos for r in batch)


def _key_of(stages: str, sources: Sequence[str], batch: Sequence[Recording]) -> str | None:
    """Address of one batch; `stages` is the digest of what all batches share."""
    loaders = [r.signals.loader if isinstance(r.signals, LazySignals) else None for r in batch]
    try:
        code = code_digest([type(r.signals) for r in batch], loaders)
    except OpaqueError as error:
        _warn_opaque(error)
        return None
    told = [_reader_told(r) + _signals_told(r) + _videos_told(r) for r in batch]
    try:
        return digest(
            stages,
            code,
            *told,
            *(path for r in batch for path in r.sources),
            *(v.path for r in batch for k, v in sorted(r.videos.items()) if k in sources),
        )
    except (OSError, StorageError):
        return None


def _reader_told(recording: Recording) -> str:
    """What a reader says beside signals, videos and files.

    Field by field, for `asdict` copies every value, which takes longer than reading the files.
    """
    return json.dumps(
        {name: getattr(recording, name) for name in _SAID},
        default=lambda value: vars(value) if is_dataclass(value) else str(value),
    )


def _signals_told(recording: Recording) -> str:
    """What decides the signals besides the bytes of the files.

    Of lazy signals the names, in order; their loader and its arguments are in `_code_of`. Of
    others the values.
    """
    signals = recording.signals
    if isinstance(signals, LazySignals):
        return json.dumps(list(signals))
    return digest(
        *(
            part
            for name, s in sorted(signals.items())
            for part in (name, s.values, repr(replace(s, values=np.empty((0, 0)))))
        )
    )


def _videos_told(recording: Recording) -> str:
    """What decides the frames besides the bytes of the files: published rates, and faces at hand.

    A rate that an option of the reader gave changes which frames are read, and no file.
    """
    rates = [(name, video.frame_rate) for name, video in sorted(recording.videos.items())]
    tracks = (
        part
        for name, track in sorted(recording.faces.items())
        for field in fields(track)
        for part in (f"{name} {field.name}", _bytes_or_text(getattr(track, field.name)))
    )
    return json.dumps(rates) + digest(*tracks)


def _bytes_or_text(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else repr(value)


def _code_of_stages(streams: Sequence[Stream], pictured: bool) -> str:
    """Digest of the code between a loader and the part, the user's too."""
    encoded = any(s.encoder is not None for s in streams)
    versions = (
        *READERS,
        *(PICTURES if pictured or encoded else ()),
        *(NETWORKS if encoded else ()),
    )
    kinds = [type(part) for s in streams for part in (s.representation, *s.steps)]
    kinds += [MODELS.get(s.encoder.name) for s in streams if s.encoder is not None]
    of_users = code_digest(kinds, versions=versions)
    return digest(package_digest(NOT_IN_SAMPLES), _landmarks(), of_users)


def _warn_opaque(error: OpaqueError) -> None:
    warnings.warn(
        f"windows are not cached: the code that makes them cannot be compared ({error}). "
        "Define classes and loaders in a file, with plain values as arguments.",
        StorageWarning,
        stacklevel=3,
    )


@lru_cache(maxsize=1)
def _landmarks() -> str:
    return digest(Path(__file__).parent.parent / "assets" / "face_landmarker.task")


def pack(part: Part) -> dict[str, Array]:
    """Arrays that the cache can hold; tables and texts as JSON bytes."""
    told = {
        "meta": part.meta.to_dict(orient="split"),
        "facts": part.facts.to_dict(orient="split"),
        "notes": part.notes,
        "exclusions": [asdict(e) for e in part.exclusions],
        "streams": [
            {
                "stream": name,
                "names": stream.names,
                "units": stream.units,
                "remarks": stream.remarks,
                "undefined": [asdict(u) for u in stream.undefined],
            }
            for name, stream in part.streams.items()
        ],
    }
    text = json.dumps(told).encode()
    arrays = {"told": np.frombuffer(text, dtype=np.uint8), "quality": part.quality}
    for i, stream in enumerate(part.streams.values()):
        arrays |= {f"x{i}": stream.x, f"present{i}": stream.present}
    return arrays


def unpack(arrays: Mapping[str, Array]) -> Part:
    told = json.loads(arrays["told"].tobytes().decode())
    return Part(
        {
            s["stream"]: Represented(
                arrays[f"x{i}"],
                tuple(s["names"]),
                tuple(s["units"]),
                arrays[f"present{i}"],
                tuple(s["remarks"]),
                tuple(Undefined(**u) for u in s["undefined"]),
            )
            for i, s in enumerate(told["streams"])
        },
        pd.DataFrame(**told["meta"]),
        pd.DataFrame(**told["facts"]),
        arrays["quality"],
        told["notes"],
        tuple(Exclusion(**e) for e in told["exclusions"]),
    )
