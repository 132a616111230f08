"""Models of face clips and signals: what is read where, in the face, in the signals, in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dolorimeter.chain import Stream, interval_of
from dolorimeter.errors import SignalError
from dolorimeter.estimators import DualStreamClassifier
from dolorimeter.explain._model import NotThisWayError, classifier_of, network_of
from dolorimeter.models.dual_stream import DualStream
from dolorimeter.predictor import Predictor
from dolorimeter.types import Window

KNOWN = (
    "attention of both sides: the classifier 'dual_stream' with its own network, on raw signals, "
    "or tokens of a video encoder (video_mae_…), or both"
)
"""What `parts_of` takes, for messages."""
ENCODER, PLACES = "video encoder", "video encoder, each place by itself"
"""Names of the video encoder's attention: joint over all tokens; along time at each place."""
SCALE = "1 is an even share"
Curve = Float[np.ndarray, " step"]
VideoRead = tuple[Float[np.ndarray, "moment row column"], dict[str, np.ndarray]]
"""Of the video encoder: each token, and each moment."""


@dataclass(frozen=True)
class Parts:
    """The networks of a model, and how windows enter them.

    Parameters
    ----------
    streams : tuple of Stream
    video : Stream or None
    encoder : nn.Module or None
        Of the video: with ``tokens``, ``attention``, ``temporal_attention`` and ``grid``.
    reduced : nn.Module or None
        The same as the classifier reads it: tokens, or means of neighbours.
    classifier : DualStreamClassifier
    network : DualStream
    """

    streams: tuple[Stream, ...]
    video: Stream | None
    encoder: nn.Module | None
    reduced: nn.Module | None
    classifier: DualStreamClassifier
    network: DualStream

    @property
    def signals(self) -> tuple[Stream, ...]:
        """Streams that are signals."""
        return tuple(s for s in self.streams if s is not self.video)

    def names(self) -> dict[str, str]:
        """The classifier's name of each stream: a single one comes to it without its own."""
        own = [s.name for s in self.streams]
        return dict(zip(own, self.classifier.shapes_ if len(own) == 1 else own, strict=True))

    @property
    def moments(self) -> int:
        """Tokens of a clip along time."""
        return 0 if self.encoder is None else int(cast(Any, self.encoder).grid[0])


def parts_of(predictor: Predictor) -> Parts:
    """The networks of a fitted model.

    Raises
    ------
    NotThisWayError
        If it is another model than `KNOWN` says; the message says which it is.
    """
    chain = predictor.chain
    if chain is None:
        raise NotThisWayError("it reads a feature table")
    classifier = classifier_of(predictor)
    if not isinstance(classifier, DualStreamClassifier):
        raise NotThisWayError(f"its classifier is {type(classifier).__name__}")
    if chain.standardise != "none":
        raise NotThisWayError(
            f"it standardises within each person ({chain.standardise}), and one window is not "
            "enough for that"
        )
    network = network_of(classifier.network_)
    if not isinstance(network, DualStream):
        raise NotThisWayError(f"its network is {type(network).__name__}")
    video = next((s for s in chain.streams if s.name == classifier.video), None)
    reduced = encoder = None
    if video is not None:
        reduced = video.encoder.build()
        encoder = getattr(reduced, "module", None)
        if not hasattr(encoder, "temporal_attention"):
            raise NotThisWayError(f"its encoder {video.encoder.name} does not show its attention")
    return Parts(chain.streams, video, encoder, reduced, classifier, network)


@dataclass(frozen=True)
class Seen:
    """What a model reads of one window.

    Parameters
    ----------
    clip : UInt8[np.ndarray, "frame 3 height width"] or None
    clip_times : Float[np.ndarray, "frame"]
        Seconds from the start of the window; empty without a clip.
    signals : mapping of str to Float[np.ndarray, "channel time"]
        As the classifier reads them; those that are there.
    spans : mapping of str to (float, float)
        First and last second of each signal, from the start of the window.
    row : Float[Tensor, "1 number"]
        Both sides, packed.
    missing : mapping of str to str
        Streams that the window lacks, and why.
    """

    clip: UInt8[np.ndarray, "frame 3 height width"] | None
    clip_times: Float[np.ndarray, " frame"]
    signals: Mapping[str, Float[np.ndarray, "channel time"]]
    spans: Mapping[str, tuple[float, float]]
    row: Float[Tensor, "1 number"]
    missing: Mapping[str, str]

    @property
    def sides(self) -> tuple[str, ...]:
        """Which sides there are."""
        return ("video",) * (self.clip is not None) + ("signals",) * bool(self.signals)

    @property
    def span(self) -> tuple[float, float]:
        """Seconds that the signals cover; (0, 0) without any."""
        return next(iter(self.spans.values()), (0.0, 0.0))


def seen_of(parts: Parts, windows: Mapping[str, Window]) -> Seen:
    """What the model reads of a window; the video's tokens in float32.

    Raises
    ------
    RecordingError
        If a video cannot be read.
    """
    names, given = parts.names(), dict[str, Any]()
    missing: dict[str, str] = {}
    signals, spans = {}, {}
    for stream in parts.signals:
        try:
            found = stream.representation([windows[stream.name]])
        except SignalError as error:  # of one window that lacks it no shape is known
            missing[stream.name] = str(error)
            continue
        given[names[stream.name]] = found.x
        start, duration = interval_of(stream, windows[stream.name].duration)
        signals[stream.name] = np.asarray(found.x[0])
        spans[stream.name] = (start, start + duration)
    clip, times = None, np.zeros(0)
    if parts.video is not None and parts.reduced is not None:
        window = windows[parts.video.name]
        reason = parts.video.representation.missing(window)
        if reason:
            missing[parts.video.name] = str(reason)
        else:
            clip = np.concatenate(list(parts.video.representation.pictures(window)))
            times = _times(parts.video, window, len(clip))
            with torch.no_grad():
                tokens = parts.reduced(normalised(parts, clip))
            given[names[parts.video.name]] = tokens.numpy()
    row = torch.from_numpy(parts.classifier.packed(given))
    return Seen(clip, times, signals, spans, row, missing)


def normalised(
    parts: Parts, clip: UInt8[np.ndarray, "frame 3 height width"]
) -> Float[Tensor, "1 3 frame height width"]:
    """A clip as its encoder wants it."""
    assert parts.video is not None
    spec = parts.video.encoder.input
    values = torch.from_numpy(np.ascontiguousarray(clip.swapaxes(0, 1)))[None]
    mean, std = (
        torch.tensor(numbers, dtype=torch.float32).reshape(1, -1, 1, 1, 1)
        for numbers in (spec.mean, spec.std)
    )
    return (values.float() / 255 - mean) / std


def _times(stream: Stream, window: Window, count: int) -> Float[np.ndarray, " frame"]:
    """Seconds of a clip's frames from the start of the window."""
    representation = stream.representation
    start, duration = interval_of(stream, window.duration)
    if hasattr(representation, "rows"):
        track = window.recording.faces[representation.modality]
        shown: np.ndarray = track.times[representation.rows(window)] - window.start
        return shown
    return start + (np.arange(count) + 0.5) * duration / count


@dataclass(frozen=True)
class Read:
    """How much of a window is read where: attention that is received, 1 an even share.

    Parameters
    ----------
    curves : mapping of str to Float[np.ndarray, "step"]
        By part of the model, over the window's time.
    times : mapping of str to Float[np.ndarray, "step"]
        Middle of each step, in seconds from the start of the window.
    face : Float[np.ndarray, "moment row column"] or None
        Of the video encoder's last block.
    """

    curves: Mapping[str, Curve]
    times: Mapping[str, Curve]
    face: Float[np.ndarray, "moment row column"] | None


def read_of(parts: Parts, seen: Seen, of_video: VideoRead | None = None) -> Read:
    """Attention of every part of the model that has some, for a window that has been seen.

    `of_video` is what `encoder_read` gave, where it is known already.
    """
    curves: dict[str, np.ndarray] = {}
    times: dict[str, np.ndarray] = {}
    face = None
    with torch.no_grad():
        if seen.clip is not None:
            face, known = of_video or encoder_read(parts, seen.clip)
            curves |= known
        for name, read in parts.network.attention_received(seen.row).items():
            if _sides_of(name) <= set(seen.sides):
                curves[name] = _numbers(read[0])
    moments = _middles(seen.clip_times, parts.moments)
    for name, curve in curves.items():
        if name.endswith("video") or name.startswith("video"):
            if len(curve) != parts.moments:  # tokens in time, then place by place
                curves[name] = curve.reshape(parts.moments, -1).mean(axis=1)
            times[name] = moments
        else:
            start, stop = seen.span
            times[name] = start + (np.arange(len(curve)) + 0.5) * (stop - start) / len(curve)
    return Read(curves, times, face)


def means_of(parts: Parts, seen: Seen) -> dict[str, Float[np.ndarray, " feature"]]:
    """Mean token of each part of the model that the window has all of."""
    with torch.no_grad():
        found = parts.network.mean_tokens(seen.row)
    both = len(seen.sides) == len(parts.network.sizes)
    return {
        name: _numbers(mean[0])
        for name, mean in found.items()
        if (both if name == "joint" else _sides_of(_SIDE_OF[name]) <= set(seen.sides))
    }


def encoder_read(parts: Parts, clip: UInt8[np.ndarray, "frame 3 height width"]) -> VideoRead:
    """What the last block of the video encoder reads: each token, and each moment."""
    encoder: Any = parts.encoder
    x = normalised(parts, clip)
    with torch.no_grad():
        joint = encoder.attention(x)[0].mean(dim=(0, 1))  # (token,)
        along = encoder.temporal_attention(x)[0]  # (head, row, column, time, time)
    face = _numbers(joint.reshape(encoder.grid) * joint.numel())
    places = _numbers(along.mean(dim=(0, 1, 2, 3)) * along.shape[-1])
    return face, {ENCODER: face.mean(axis=(1, 2)), PLACES: places}


_SIDE_OF = {
    "video encoder": "video", "video side": "video",
    "signal encoder": "signals", "signals side": "signals",
}  # fmt: skip


def _sides_of(name: str) -> set[str]:
    """Which sides a part of the network reads."""
    if name.startswith("co-attention"):
        return {"video", "signals"}
    return {"video"} if name.endswith("video") else {"signals"}


def _middles(times: Float[np.ndarray, " frame"], moments: int) -> Float[np.ndarray, " moment"]:
    """Middle of the frames that share a token."""
    if not len(times):
        return times
    middles: np.ndarray = times.reshape(moments, -1).mean(axis=1)
    return middles


def _numbers(x: Tensor) -> np.ndarray:
    found: np.ndarray = x.double().numpy()
    return found


def coarse(curve: Curve, bins: int) -> Float[np.ndarray, " bin"]:
    """At most `bins` means of neighbours; the last ones may hold one sample less."""
    if len(curve) <= bins:
        return curve
    edges = np.linspace(0, len(curve), bins + 1).round().astype(int)
    return np.add.reduceat(curve, edges[:-1]) / np.diff(edges)


def untrained(parts: Parts) -> bool:
    """Whether the video encoder is randomly initialised."""
    return parts.video is not None and not parts.video.encoder.weights


def encoder_remarks(parts: Parts) -> tuple[str, ...]:
    """What must be said of the video encoder; here PyTorch runs it in float32."""
    if parts.video is None:
        return ()
    encoder = parts.video.encoder
    if (encoder.runtime, encoder.precision) == ("torch", "f32"):
        return tuple(encoder.remarks)
    return (
        *replace(encoder, runtime="torch", precision="f32", calibration="").remarks,
        f"The model runs its video encoder in {encoder.precision} by {encoder.runtime}; here "
        "PyTorch runs it in float32, and numbers may differ in the last digits.",
    )
