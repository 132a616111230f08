"""Models that read pictures through PainFormer: which pictures, and where in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dolorimeter.chain import Stream
from dolorimeter.errors import RecordingError
from dolorimeter.estimators import DualStreamClassifier, FusionClassifier
from dolorimeter.explain import maps as look
from dolorimeter.explain._model import NotThisWayError, classifier_of, network_of
from dolorimeter.explain._question import Counter
from dolorimeter.explain.maps import StreamMaps
from dolorimeter.explain.pictures import spaced
from dolorimeter.models.embedding_mixer import EmbeddingFusion, EmbeddingMixer
from dolorimeter.models.painformer import REDUCTION, PainFormer
from dolorimeter.predictor import Predictor
from dolorimeter.registry import InputSpec
from dolorimeter.types import Window

KNOWN = (
    "maps of pictures: the classifier 'embedding_mixer' (of the estimator 'network') or "
    "'embedding_fusion' on streams that all have the encoder 'painformer'"
)
"""What `parts_of` takes, for messages."""
ENCODER = "painformer"
LEAST_SIDE = 4 * REDUCTION
"""Pixels of a picture. A smaller one has less than 4 × 4 places in stage 4, and no map of it can
be told from chance."""
LOOKALIKE = "Look-alike data: made signals and faces, no finding about people."
UNTRAINED = "Randomly initialised encoder: it has learnt nothing of pictures."


@dataclass(frozen=True)
class Parts:
    """The networks of a model, and how its streams come together.

    Parameters
    ----------
    streams : tuple of Stream
    encoders : mapping of str to PainFormer
        By stream; the same object where streams have the same encoder.
    network : nn.Module
        Tokens to logits.
    sizes : mapping of str to int
        Tokens of a stream where the fitted classifier has them by name.
    """

    streams: tuple[Stream, ...]
    encoders: Mapping[str, PainFormer]
    network: nn.Module
    sizes: Mapping[str, int]

    def stream(self, name: str) -> Stream:
        """The stream of that name."""
        return next(s for s in self.streams if s.name == name)

    def spec(self, name: str) -> InputSpec:
        """Size, mean and standard deviation of a stream's pictures."""
        return cast(InputSpec, self.stream(name).encoder.input)

    def logits(
        self, embeddings: Mapping[str, Float[Tensor, "window picture feature"] | None]
    ) -> Float[Tensor, "window class"]:
        """Of the network alone, from each stream's embeddings; None where it is missing."""
        return self.network(self.tokens(embeddings))

    def tokens(
        self, embeddings: Mapping[str, Float[Tensor, "window picture feature"] | None]
    ) -> Float[Tensor, "window ..."]:
        """What the network reads: the streams joined as in training, NaN where one is missing.

        Raises
        ------
        RecordingError
            If several are missing and nobody knows of how many pictures they were.
        """
        counts = {n: self._tokens(n, embeddings[n]) for n in (s.name for s in self.streams)}
        shape = tuple(int(n) for n in cast(Any, self.network).input_shape)
        total = math.prod(shape)
        windows = next(len(e) for e in embeddings.values() if e is not None)
        width = next(int(e.shape[2]) for e in embeddings.values() if e is not None)
        unknown = [n for n, count in counts.items() if count is None]
        known = sum(count for count in counts.values() if count is not None)
        if len(unknown) > 1:
            raise RecordingError(
                f"streams {', '.join(unknown)} are missing, and how many pictures each had is not "
                "known. Give a recording that has one of them."
            )
        parts = []
        for name, count in counts.items():
            given = embeddings[name]
            if given is None:
                tokens = total // width - known if count is None else count
                parts.append(torch.full((windows, tokens, width), math.nan))
            else:
                parts.append(pooled(given, self.stream(name).pooling))
        return torch.cat(parts, dim=1).reshape(windows, *shape)

    def _tokens(self, name: str, given: Tensor | None) -> int | None:
        if self.stream(name).pooling in ("add", "mean"):
            return 1
        return int(given.shape[1]) if given is not None else self.sizes.get(name)


def pooled(x: Float[Tensor, "window picture feature"], pooling: str) -> Tensor:
    """As `chain` joins a window's embeddings; a vector of several is their sequence."""
    if pooling == "mean":
        return x.mean(dim=1, keepdim=True)
    return x.sum(dim=1, keepdim=True) if pooling == "add" else x


def parts_of(predictor: Predictor) -> Parts:
    """The networks of a fitted model.

    Raises
    ------
    NotThisWayError
        If it is another model than those in `KNOWN`; the message says which it is.
    """
    chain = predictor.chain
    if chain is None:
        raise NotThisWayError("it reads a feature table")
    for stream in chain.streams:
        if stream.encoder is None or stream.encoder.name != ENCODER:
            has = "no encoder" if stream.encoder is None else f"the encoder {stream.encoder.name}"
            raise NotThisWayError(f"stream '{stream.name}' has {has}")
        side = stream.encoder.input.shape[-1]
        if side < LEAST_SIDE:
            raise NotThisWayError(
                f"stream '{stream.name}' has pictures of {side} pixels, and maps need "
                f"{LEAST_SIDE} or more"
            )
    if chain.standardise != "none":
        raise NotThisWayError(
            f"it standardises within each person ({chain.standardise}), and one window is not "
            "enough for that"
        )
    classifier = classifier_of(predictor)
    if isinstance(classifier, DualStreamClassifier):
        raise NotThisWayError("its classifier is DualStreamClassifier")
    fusion = isinstance(classifier, FusionClassifier)
    network = network_of(classifier.network_ if fusion else classifier)
    if not isinstance(network, EmbeddingMixer | EmbeddingFusion):
        raise NotThisWayError(f"its network is {type(network).__name__}")
    built = {s.encoder: cast(PainFormer, s.encoder.build()) for s in chain.streams}
    return Parts(
        chain.streams,
        {s.name: built[s.encoder] for s in chain.streams},
        network,
        dict(classifier.streams_) if fusion else {},
    )


@dataclass(frozen=True)
class Shown:
    """The pictures that a stream shows of a window.

    Parameters
    ----------
    name, drawing : str
        Of the stream, and of its representation.
    pictures : UInt8[np.ndarray, "picture 3 side side"]
    labels : tuple of str
        A name for each: a channel, or a moment.
    extent : (float, float, float, float)
        Of a signal's picture: seconds of the window left and right, hertz below and above; NaN
        where an axis is none.
    times : Float[np.ndarray, "picture"]
        Seconds on the video's clock; NaN of signals.
    landmarks : Float[np.ndarray, "picture 478 3"] or None
        In pixels of the picture, where a face was tracked.
    signal : bool
        Whether it is a drawn signal.
    """

    name: str
    drawing: str
    pictures: UInt8[np.ndarray, "picture 3 side side"]
    labels: tuple[str, ...]
    extent: tuple[float, float, float, float]
    times: Float[np.ndarray, " picture"]
    landmarks: Float[np.ndarray, "picture 478 axis"] | None
    signal: bool

    @cached_property
    def side(self) -> int:
        """Of a picture, in pixels."""
        return int(self.pictures.shape[-1])


def shown(stream: Stream, window: Window) -> Shown | str:
    """What the stream shows, or why there is nothing."""
    representation = stream.representation
    missing = representation.missing(window)
    if missing:
        return str(missing)
    pictures = np.concatenate(list(representation.pictures(window)))
    count = len(pictures)
    nothing = np.full(count, np.nan)
    if not representation.pictures_of_people:
        channels = representation.channels(window)
        labels = channels if len(channels) == count else ("all channels",) * count
        left, right, low, high = representation.extent(window)
        extent = (left + representation.offset, right + representation.offset, low, high)
        return Shown(
            stream.name, representation.card.name, pictures, labels, extent, nothing, None, True
        )
    times, landmarks = nothing, None
    if hasattr(representation, "rows"):
        track, rows = (
            window.recording.faces[representation.modality],
            representation.rows(window),
        )
        times = track.times[rows]
        landmarks = track.aligned_landmarks[rows] * (representation.size / 224)
    labels = tuple(
        f"picture {i + 1}" if math.isnan(t) else f"{t:.2f} s" for i, t in enumerate(times)
    )
    none = (math.nan,) * 4
    return Shown(
        stream.name, representation.card.name, pictures, labels, none, times, landmarks, False
    )


@dataclass(frozen=True)
class Case:
    """A window of a model, embedded.

    Parameters
    ----------
    parts : Parts
    shown : mapping of str to Shown
        Streams that are there.
    third : mapping of str to Third
    embeddings : mapping of str to Float[Tensor, "picture feature"] or None
        In float32; None where a stream is missing.
    """

    parts: Parts
    shown: Mapping[str, Shown]
    third: Mapping[str, look.Third]
    embeddings: Mapping[str, Float[Tensor, "picture feature"] | None]

    def normalised(self, name: str, pictures: UInt8[np.ndarray, "*any 3 side side"]) -> Tensor:
        """Pictures of a stream as its encoder wants them."""
        spec = self.parts.spec(name)
        mean, std = (
            torch.tensor(v, dtype=torch.float32).reshape(-1, 1, 1)
            for v in (spec.mean or (0.0,), spec.std or (1.0,))
        )
        return (torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255 - mean) / std

    def logits_with(
        self, name: str, changed: Float[Tensor, "window picture feature"]
    ) -> Float[Tensor, "window class"]:
        """Of windows that differ in one stream's embeddings."""
        count = len(changed)
        others = {
            n: None if e is None else e.expand(count, -1, -1) for n, e in self.embeddings.items()
        }
        with torch.no_grad():
            return self.parts.logits(others | {name: changed}).double()

    def gradients(
        self, name: str, embeddings: Float[Tensor, "picture feature"]
    ) -> Float[Tensor, "class picture feature"]:
        """Of each class's log odds with regard to the embeddings of a stream."""
        leaf = embeddings.detach().clone().requires_grad_()
        others = {n: None if e is None else e[None] for n, e in self.embeddings.items()}
        with torch.enable_grad():
            odds = log_odds(self.parts.logits(others | {name: leaf[None]}))[0]
            found = [torch.autograd.grad(o, leaf, retain_graph=True)[0] for o in odds]
        return torch.stack(found).detach()


def log_odds(logits: Float[Tensor, "window class"]) -> Float[Tensor, "window class"]:
    """Of each class against all others together."""
    columns = range(logits.shape[1])
    others = [logits[:, [k for k in columns if k != c]].logsumexp(dim=1) for c in columns]
    return logits - torch.stack(others, dim=1)


def case_of(parts: Parts, windows: Mapping[str, Window], counter: Counter) -> tuple[Case, dict[
    str, str
]]:  # fmt: skip
    """The window embedded, and why streams are missing."""
    seen: dict[str, Shown] = {}
    missing: dict[str, str] = {}
    for stream in parts.streams:
        found = shown(stream, windows[stream.name])
        if isinstance(found, str):
            missing[stream.name] = found
        else:
            seen[stream.name] = found
    empty = Case(parts, seen, {}, {})
    counter.total += sum(len(s.pictures) for s in seen.values())
    third: dict[str, look.Third] = {}
    for name, s in seen.items():
        third[name] = look.third_stage(parts.encoders[name], empty.normalised(name, s.pictures))
        counter.add(len(s.pictures))
    embeddings: dict[str, Tensor | None] = {s.name: None for s in parts.streams}
    embeddings |= {n: look.embeddings_of(parts.encoders[n], t) for n, t in third.items()}
    return replace(empty, third=third, embeddings=embeddings), missing


def stream_maps(case: Case, name: str, frames: int) -> StreamMaps:
    """All maps of a stream's pictures that take one pass."""
    seen, third = case.shown[name], case.third[name]
    embeddings = case.embeddings[name]
    assert embeddings is not None  # it is shown
    gradients = case.gradients(name, embeddings)
    classes = len(gradients)
    found = {k: np.stack([v] * classes) for k, v in third.maps.items()}
    found |= look.fourth_stage(case.parts.encoders[name], third, gradients)
    return StreamMaps(
        name=name,
        drawing=seen.drawing,
        labels=seen.labels,
        extent=seen.extent,
        times=seen.times,
        signal=seen.signal,
        watched=spaced(len(seen.pictures), max(frames // 4, 1)),
        maps=found,
    )
