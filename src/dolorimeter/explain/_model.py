"""What of a fitted model relevance passes through, and what of a video it reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dolorimeter.chain import Stream
from dolorimeter.errors import ConfigError, RecordingError
from dolorimeter.estimators import DualStreamClassifier, FusionClassifier, NetworkClassifier
from dolorimeter.explain.relevance import check_networks
from dolorimeter.models.full_transformer import FullTransformerEndToEnd
from dolorimeter.predictor import Predictor
from dolorimeter.registry import MODELS, InputSpec
from dolorimeter.types import Window

KNOWN = (
    "relevance over a face: the classifier 'full_transformer' on one stream of face pictures with "
    "the encoder 'tnt_s_patch16_224', or 'full_transformer_end_to_end' on one stream without an "
    "encoder"
)
"""What `parts_of` takes, for messages."""


class NotThisWayError(ConfigError):
    """A model is not of the kind that a way of explaining takes; the message says what it is."""


@dataclass(frozen=True)
class Parts:
    """The networks of a model, and how pictures enter them.

    Parameters
    ----------
    stream : Stream
    frame_encoder, temporal : nn.Module
        With the fitted weights, float32, in evaluation mode.
    spec : InputSpec
        Mean and standard deviation of pictures.
    joint : bool
        Whether the frame encoder is a part of the classifier (end to end).
    """

    stream: Stream
    frame_encoder: nn.Module
    temporal: nn.Module
    spec: InputSpec
    joint: bool

    def normalised(
        self, faces: UInt8[np.ndarray, "frame height width 3"]
    ) -> Float[Tensor, "frame 3 height width"]:
        """Pictures as the encoder wants them."""
        values = torch.from_numpy(np.ascontiguousarray(faces.transpose(0, 3, 1, 2)))
        mean, std = (
            torch.tensor(numbers, dtype=torch.float32).reshape(1, -1, 1, 1)
            for numbers in (self.spec.mean or (0.0,), self.spec.std or (1.0,))
        )
        return (values.float() / 255 - mean) / std


def parts_of(predictor: Predictor) -> Parts:
    """The networks of a fitted model.

    Raises
    ------
    NotThisWayError
        If it is another model than those in `KNOWN`; the message says which it is.
    """
    chain = predictor.chain
    if chain is None or len(chain.streams) != 1:
        has = "a feature table" if chain is None else f"{len(chain.streams)} streams"
        raise NotThisWayError(f"it reads {has}")
    (stream,) = chain.streams
    if not hasattr(stream.representation, "rows"):
        name = stream.representation.card.name
        raise NotThisWayError(f"it reads {name}, no pictures of a tracked face")
    classifier = classifier_of(predictor)
    if not isinstance(classifier, NetworkClassifier):
        raise NotThisWayError(f"its classifier is {type(classifier).__name__}")
    if classifier.clip_frames:
        raise NotThisWayError("it reads clips that are cut out of its windows (clip_frames)")
    network = network_of(classifier)
    encoder: nn.Module
    temporal: nn.Module
    if isinstance(network, FullTransformerEndToEnd) and stream.encoder is None:
        encoder, temporal, spec = network.frame_encoder, network.temporal, network.card.input
    elif stream.encoder is not None and stream.pooling == "none":
        encoder, temporal = stream.encoder.build(), network
        spec = MODELS.card(stream.encoder.name).input
    else:
        raise NotThisWayError(f"it is {classifier.module} with pooling '{stream.pooling}'")
    try:
        check_networks(encoder, temporal)
    except ConfigError as error:
        raise NotThisWayError(str(error)) from error
    assert spec is not None  # both kinds of encoder have one
    return Parts(stream, encoder.eval(), temporal.eval(), spec, network is not temporal)


def classifier_of(
    predictor: Predictor,
) -> NetworkClassifier | FusionClassifier | DualStreamClassifier:
    """The network's estimator inside calibration, conformal sets, a search or a pipeline of it.

    Raises
    ------
    NotThisWayError
        If there is none, or something stands before it.
    """
    estimator = predictor.estimator
    while not isinstance(estimator, NetworkClassifier | FusionClassifier | DualStreamClassifier):
        steps: Any = getattr(estimator, "steps", ())
        inside = steps[-1][1] if len(steps) == 1 else getattr(estimator, "estimator_", None)
        if inside is None:
            before = f"{len(steps) - 1} steps before its network" if len(steps) > 1 else ""
            raise NotThisWayError(before or f"its classifier is {type(estimator).__name__}")
        estimator = inside
    return estimator


def network_of(classifier: NetworkClassifier) -> nn.Module:
    """The fitted network, in float32, in evaluation and without gradients."""
    network = classifier.network()
    return network.eval().requires_grad_(False)


@dataclass(frozen=True)
class Clip:
    """What a model reads of a video.

    Parameters
    ----------
    faces : UInt8[np.ndarray, "frame 224 224 3"]
    times : Float[np.ndarray, "frame"]
        Seconds on the video's clock.
    landmarks : Float[np.ndarray, "frame 478 3"]
        In pixels of the faces; NaN where none was found.
    remarks : tuple of str
    """

    faces: UInt8[np.ndarray, "frame height width 3"]
    times: Float[np.ndarray, " frame"]
    landmarks: Float[np.ndarray, "frame 478 3"]
    remarks: tuple[str, ...]


def clip_of(parts: Parts, window: Window, file: Path) -> Clip:
    """What the model sees of a window.

    Raises
    ------
    RecordingError
        If it has too few faces.
    """
    representation = parts.stream.representation
    missing = representation.missing(window)
    if missing:
        raise RecordingError(f"{file}: {missing}. There is nothing to explain.")
    found = np.concatenate(list(representation.pictures(window)))
    track = window.recording.faces[representation.modality]
    rows = representation.rows(window)
    times = track.times[rows]
    return Clip(
        np.ascontiguousarray(found.transpose(0, 2, 3, 1)),
        times,
        track.aligned_landmarks[rows],
        (
            f"{len(times)} frames from {times[0]:.2f} to {times[-1]:.2f} s of a video of "
            f"{track.stop - track.start:.2f} s are explained.",
            *representation.remarks([window]),
            *track.remarks,
        ),
    )
