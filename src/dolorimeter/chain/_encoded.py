"""Windows as arrays: by their representation alone, or by its pictures through an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from dolorimeter.chain._stream import Stream
from dolorimeter.errors import SignalError
from dolorimeter.representations import FacePictures, Represented, Undefined
from dolorimeter.types import Array, Window


def represented(
    stream: Stream, windows: Sequence[Window], remembered: Remembered | None = None
) -> Represented:
    """The windows of one stream as an array, with what a reader of it must know."""
    if stream.encoder is None:
        found: Represented = stream.representation(windows)
        return found
    return _encoded(stream, windows, remembered)


class Remembered:
    """Embeddings of a face's pictures in a live session: windows overlap, each is made once.

    Parameters
    ----------
    stream : Stream
        See `serves`.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._known: dict[float, Array] = {}

    @staticmethod
    def serves(stream: Stream) -> bool:
        """Whether a picture of this stream is the same in every window that shows it."""
        representation = stream.representation
        return (
            stream.encoder is not None
            and len(stream.encoder.input.shape) == 3
            and isinstance(representation, FacePictures)
            and not getattr(representation, "occluded_share", 0.0)
        )

    def __call__(self, window: Window) -> Array:
        """The embedding of each of a window's pictures, in time; older ones are forgotten."""
        representation = self._stream.representation
        rows = representation.rows(window)
        times = window.recording.faces[representation.modality].times[rows].tolist()
        new = [i for i, time in enumerate(times) if time not in self._known]
        new = [i for i in new if times.index(times[i]) == i]  # a repeated picture once
        if new:
            self._embed(representation.pictures_of(window, rows[new]), [times[i] for i in new])
        self._known = {t: row for t, row in self._known.items() if t >= times[0]}
        return np.stack([self._known[time] for time in times])

    def look_ahead(self, window: Window) -> bool:
        """Embed the first new picture of a window that is still coming; whether there was one."""
        found = self._stream.representation.ahead(window, self._known)
        if found is None:
            return False
        time, picture = found
        self._embed([picture], [time])
        return True

    def _embed(
        self, pictures: Iterable[UInt8[np.ndarray, "batch 3 side side"]], times: Sequence[float]
    ) -> None:
        from dolorimeter.embeddings import embed  # brings torch along

        made = embed(self._stream.encoder, pictures)
        self._known |= dict(zip(times, made, strict=True))


def _encoded(
    stream: Stream, windows: Sequence[Window], remembered: Remembered | None
) -> Represented:
    from dolorimeter.embeddings import embed  # brings torch along

    representation = stream.representation
    reasons = [representation.missing(window) for window in windows]
    present = np.array([not reason for reason in reasons], dtype=bool)
    pictures = _common_count(stream, windows)
    clips = len(stream.encoder.input.shape) == 4

    def batches() -> Iterator[UInt8[np.ndarray, "batch 3 *rest"]]:
        for window, there in zip(windows, present, strict=True):
            if there and clips:
                yield _clip(stream, window)
            elif there:
                yield from representation.pictures(window)

    if remembered is not None and present.any():
        seen = [remembered(w) for w, there in zip(windows, present, strict=True) if there]
        found = np.concatenate(seen)
    else:
        found = embed(stream.encoder, batches())
    *tokens, width = stream.encoder.row
    each = 1 if clips else pictures
    if len(found) != each * int(present.sum()):
        raise SignalError(
            f"{representation.card.name} gave {len(found):,} pictures of {int(present.sum()):,} "
            f"windows, expected {each} each: the video changed while it was read. Run it again."
        )
    count = tokens[0] if tokens else each
    # tokens have passed a LayerNorm: half precision rounds them by a two-thousandth
    kind = np.float16 if tokens else np.float32
    x = np.full((len(windows), count, width), np.nan, dtype=kind)
    x[present] = found.reshape(int(present.sum()), count, width)
    names = tuple(f"{stream.encoder.name}_{i + 1}" for i in range(width))
    return Represented(
        x=pooled(x, stream.pooling),
        names=names if stream.pooling != "concat" else _numbered(names, count),
        units=("1",) * (width * count if stream.pooling == "concat" else width),
        present=present,
        remarks=(*stream.encoder.remarks, *representation.remarks(windows)),
        # one a window, in order: `store` gives each its own exclusion
        undefined=tuple(Undefined(stream.name, reason, 1) for reason in reasons if reason),
    )


def _clip(stream: Stream, window: Window) -> UInt8[np.ndarray, "1 3 frame height width"]:
    """All pictures of a window as one clip.

    Raises
    ------
    SignalError
        If there are not as many as the encoder takes.
    """
    frames = np.concatenate(list(stream.representation.pictures(window)))  # (frame, 3, h, w)
    wanted = stream.encoder.input.shape[1]
    if len(frames) != wanted:
        raise SignalError(
            f"stream '{stream.name}': {len(frames)} pictures a window, and {stream.encoder.name} "
            f"takes clips of {wanted}. Take the representation face_clip with frames = {wanted}."
        )
    return np.ascontiguousarray(frames.swapaxes(0, 1)[None])


def _common_count(stream: Stream, windows: Sequence[Window]) -> int:
    """Pictures of a window; 0 where no window has a video that tells."""
    counts = set()
    for window in windows:
        try:
            counts.add(stream.representation.picture_count(window))
        except SignalError:
            continue  # a window without video is NaN in the shape of the others
    if len(counts) > 1:
        raise SignalError(
            f"windows have {' and '.join(map(str, sorted(counts)))} pictures of {stream.name}: "
            "they do not fit into one array. Give the representation duration and frame_rate."
        )
    return counts.pop() if counts else 0


def pooled(x: Float[np.ndarray, "window picture feature"], pooling: str) -> Array:
    """Embeddings of each window's pictures, joined as `POOLINGS` says; NaN without a picture."""
    if pooling in ("mean", "add") and not x.shape[1]:  # NumPy's sum of nothing would be 0
        return np.full((len(x), x.shape[2]), np.nan, dtype=x.dtype)
    if pooling == "mean":
        return x.mean(axis=1, dtype=np.float32)
    if pooling == "add":
        return x.sum(axis=1, dtype=np.float32)
    return x.reshape(len(x), -1) if pooling == "concat" else x


def _numbered(names: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(f"{name}_picture_{i + 1}" for i in range(count) for name in names)
