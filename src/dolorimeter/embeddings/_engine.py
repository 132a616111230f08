"""Streams of pictures through an encoder: full batches, bounded memory, kept by content."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt8

from dolorimeter import storage
from dolorimeter.embeddings._encoder import Encoder
from dolorimeter.embeddings.runtimes import runtime_of
from dolorimeter.errors import SignalError
from dolorimeter.registry import MODELS
from dolorimeter.source_digest import NETWORKS, NOT_IN_SAMPLES, code_digest, package_digest
from dolorimeter.types import Array

Progress = Callable[[int], None]
"""Called with the number of pictures done."""


def embed(
    encoder: Encoder,
    batches: Iterable[UInt8[np.ndarray, "batch channel *rest"]],
    *,
    cache: storage.Cache | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "picture *row"]:
    """Embeddings of all pictures, in order.

    Parameters
    ----------
    encoder : Encoder
    batches : iterable of UInt8[np.ndarray, "batch channel *rest"]
        Pictures (channel, height, width) in 0…255 or clips (channel, frame, height, width), of the
        size on the encoder's Card, in batches of any size. A generator
        is read as it goes: no more than one batch and ``encoder.batch_size`` pictures are held.
    cache : Cache, optional
        Keeps the embeddings of each incoming batch under a digest of its pictures and of the
        encoder; pictures are not kept. Where all are known, the network is not loaded.
    progress : callable, optional
        Called with the pictures done so far.

    Raises
    ------
    SignalError
        If a batch has another shape, is not uint8, holds NaN, or values of 0 and 1 alone.
    DependencyError, StorageError, ConfigError
        If the encoder cannot be loaded.
    """
    found: list[Array] = []
    done = 0
    for rows in embed_stream(encoder, batches, cache=cache):
        found.append(rows)
        done += len(rows)
        if progress is not None:
            progress(done)
    if not found:
        return np.empty((0, *encoder.row), dtype=np.float32)
    return np.concatenate(found)


def embed_stream(
    encoder: Encoder,
    batches: Iterable[UInt8[np.ndarray, "batch channel *rest"]],
    *,
    cache: storage.Cache | None = None,
) -> Iterator[Float32[np.ndarray, "batch *row"]]:
    """Embeddings of each incoming batch, in order: for videos that do not fit into memory.

    A batch comes out once it is embedded, which may be some batches later: the network sees full
    batches of ``encoder.batch_size``. Parameters and errors are those of `embed`.
    """
    queue = _Queue(encoder, cache)
    for number, batch in enumerate(batches):
        check_pictures(encoder, batch, f"batch {number}")
        queue.push(batch)
        yield from queue.ready()
    queue.flush()
    yield from queue.ready()


@dataclass
class _Waiting:
    """The rows of one incoming batch, some of them still to come."""

    rows: Array
    key: str | None
    missing: int


@dataclass
class _Queue:
    """Pictures that wait for a full batch, and incoming batches that wait for their rows."""

    encoder: Encoder
    cache: storage.Cache | None
    waiting: deque[_Waiting] = field(default_factory=deque)
    places: list[tuple[_Waiting, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.row = self.encoder.row
        self.identity = "" if self.cache is None else _identity(self.encoder)
        # Filled in place: a caller may reuse its own array for the next batch.
        self.buffer = np.empty((self.encoder.batch_size, *self.encoder.input.shape), np.uint8)

    def push(self, batch: Array) -> None:
        """Take the pictures in; whenever a batch is full, it is embedded."""
        item = self._known(batch)
        self.waiting.append(item)
        if not item.missing:
            return
        for row, picture in enumerate(batch):
            self.buffer[len(self.places)] = picture
            self.places.append((item, row))
            if len(self.places) == len(self.buffer):
                self.flush()

    def flush(self) -> None:
        """Embed what waits, full or not."""
        if not self.places:
            return
        features = runtime_of(self.encoder)(self.buffer[: len(self.places)])
        if not np.isfinite(features).all():
            weights, precision = self.encoder.weights or "random", self.encoder.precision
            told = f"{self.encoder.name} gave NaN or infinite features for sound pictures: its "
            if precision == "f32":
                raise SignalError(f"{told}weights ({weights}) are at fault. Give other weights.")
            raise SignalError(
                f"{told}weights ({weights}) or its precision ({precision}) are at fault. Try "
                "precision = 'f32'."
            )
        for (item, row), feature in zip(self.places, features, strict=True):
            item.rows[row] = feature
            item.missing -= 1
            if not item.missing and self.cache is not None and item.key is not None:
                self.cache.put(item.key, {"features": item.rows})
        self.places.clear()

    def ready(self) -> Iterator[Array]:
        """Finished batches from the front."""
        while self.waiting and not self.waiting[0].missing:
            yield self.waiting.popleft().rows

    def _known(self, batch: Array) -> _Waiting:
        empty = np.empty((len(batch), *self.row), dtype=np.float32)
        if self.cache is None or not len(batch):
            return _Waiting(empty, None, len(batch))
        key = storage.digest("embeddings", self.identity, batch)
        features = (self.cache.get(key) or {}).get("features")
        if features is None or features.shape != empty.shape or features.dtype != empty.dtype:
            return _Waiting(empty, key, len(batch))
        return _Waiting(features, key, 0)


def _identity(encoder: Encoder) -> str:
    """Digest of the encoder, of all code of its network, and of the versions in use."""
    code = code_digest(MODELS.get(encoder.name), versions=NETWORKS)
    return storage.digest(encoder.digest, code, package_digest(NOT_IN_SAMPLES))


def check_pictures(encoder: Encoder, batch: object, what: str) -> None:
    """Refuse what is not pictures as the encoder takes them; values are not guessed.

    Raises
    ------
    SignalError
        Saying of `what` what was found.
    """
    wanted = encoder.input.shape
    where = f"{what} for {encoder.name}"
    if not isinstance(batch, np.ndarray):
        raise SignalError(
            f"{where}: {type(batch).__name__}, expected an array of NumPy: uint8 (picture, "
            f"{', '.join(map(str, wanted))})."
        )
    if batch.ndim != 1 + len(wanted) or batch.shape[1:] != wanted:
        raise SignalError(
            f"{where}: an array of shape {batch.shape}, expected (picture, "
            f"{', '.join(map(str, wanted))}): channel first, of that size. Resize them, or "
            "take a representation that draws them so."
        )
    if batch.dtype != np.uint8:
        raise SignalError(f"{where}: {_told(batch)}, expected uint8 in 0…255. {_remedy(batch)}")
    if batch.size and batch.max() == 1:
        raise SignalError(
            f"{where}: uint8 pictures of nothing but 0 and 1, expected 0…255. They look like "
            "pictures in 0…1 that were cut to whole numbers: multiply by 255 first."
        )


def _told(batch: Array) -> str:
    if not np.issubdtype(batch.dtype, np.floating) or not batch.size:
        return f"values of type {batch.dtype}"
    missing = int(np.isnan(batch).any(axis=tuple(range(1, batch.ndim))).sum())
    if missing:
        return f"NaN in {missing} of {len(batch)} pictures of {batch.dtype}"
    return f"values of type {batch.dtype} in {batch.min():.3g}…{batch.max():.3g}"


def _remedy(batch: Array) -> str:
    if not np.issubdtype(batch.dtype, np.floating) or not batch.size:
        return "Convert them with care for their range."
    if np.isnan(batch).any():
        return "Leave out the frames that are missing."
    if batch.min() < 0:
        return "Undo their normalisation: mean and std of the Card are applied here."
    scaled = "255 * pictures" if batch.max() <= 1 else "pictures"
    return f"Give numpy.rint({scaled}).astype(numpy.uint8)."
