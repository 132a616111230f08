"""A trained model and a video in, relevance with its checks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from dolorimeter.chain import Progress
from dolorimeter.errors import ConfigError
from dolorimeter.explain import _checks
from dolorimeter.explain._explanation import Explanation
from dolorimeter.explain._model import Clip, Parts, clip_of, parts_of
from dolorimeter.explain.pictures import spaced
from dolorimeter.explain.regions import region_table, regions_by_frame
from dolorimeter.explain.relevance import (
    CHUNK,
    Relevance,
    embed_frames,
    frame_attention,
    relevance_maps,
)
from dolorimeter.explain.sanity import Curves
from dolorimeter.predictor import Predictor
from dolorimeter.synthesis.making import MARK

LOOKALIKE = "Look-alike data: made faces, no finding about people."
UNTRAINED = "Randomly initialised encoder: nothing was learnt about places in a face."


def explain_video(
    model: Path | Predictor,
    video: Path,
    out: Path | None = None,
    *,
    class_name: str | None = None,
    frames: int = 8,
    checks: bool = True,
    progress: Progress | None = None,
) -> Explanation:
    """What a model's scores of a video rest on: frames, places in them, regions of the face.

    Parameters
    ----------
    model : Path or Predictor
        A folder written by ``train``, or what `Predictor.load` gave.
    video : Path
        The first window that the model reads of it is explained.
    out : Path, optional
        Folder for `FILES`; None writes nothing. The two pictures show the face.
    class_name : str, optional
        Class of the pictures and the checks; None takes the most probable. Frames, patches and
        regions are there for all classes.
    frames : int
        Frames side by side in the picture, and frames whose patches are looked at while layers
        are randomised; the curves take out patches of half as many.
    checks : bool
        Randomise the layers, and compute deletion and insertion curves: several times the work of
        the maps.
    progress : callable, optional
        Called with pictures done and pictures in all, passes through the encoder counted.

    Returns
    -------
    Explanation
        Computed by PyTorch in float32, whatever runs the model elsewhere.

    Raises
    ------
    ConfigError
        If the model cannot be explained, has no such class, or `frames` is below 1.
    RecordingError
        If the video cannot be read, is shorter than what the model reads, or shows too few faces.
    """
    predictor = model if isinstance(model, Predictor) else Predictor.load(model)
    if frames < 1:
        raise ConfigError(f"frames is {frames}, expected at least 1.")
    if class_name is not None and class_name not in predictor.classes:
        raise ConfigError(
            f"model '{predictor.title}' has no class '{class_name}'; it has: "
            f"{', '.join(predictor.classes)}."
        )
    parts = parts_of(predictor)
    clip = clip_of(predictor, parts, video)
    pictures = parts.normalised(clip.faces)
    counter = _Counter(progress, 2 * len(pictures))
    embeddings = embed_frames(parts.frame_encoder, pictures)
    counter.add(len(pictures))
    found = relevance_maps(
        parts.frame_encoder,
        parts.temporal,
        pictures,
        embeddings=embeddings,
        progress=lambda _, __: counter.add(CHUNK),
    )
    probabilities = _probabilities(predictor, parts, clip, embeddings)
    chosen = class_name or predictor.classes[int(probabilities.argmax())]
    explanation = _explained(
        predictor, parts, clip, video, embeddings, found, probabilities, chosen
    )
    if checks:
        explanation = _checked(explanation, parts, pictures, embeddings, found, frames, counter)
    counter.finish()
    if out is not None:
        explanation.write(out, clip.faces, frames=frames)
    return explanation


def _probabilities(
    predictor: Predictor, parts: Parts, clip: Clip, embeddings: Float[Tensor, "frame feature"]
) -> Float[np.ndarray, " class"]:
    """Of the whole estimator, with its calibration."""
    x = clip.faces.transpose(0, 3, 1, 2) if parts.joint else embeddings.numpy()
    return np.asarray(predictor.estimator.predict_proba(np.ascontiguousarray(x)[None]))[0]


def _explained(
    predictor: Predictor,
    parts: Parts,
    clip: Clip,
    video: Path,
    embeddings: Float[Tensor, "frame feature"],
    found: Relevance,
    probabilities: Float[np.ndarray, " class"],
    class_name: str,
) -> Explanation:
    tables = [regions_by_frame(patches, clip.landmarks) for patches in found.patches]
    encoder = parts.stream.encoder
    untrained = encoder is not None and not encoder.weights
    synthesised = predictor.lookalike or any((p / MARK).is_file() for p in video.resolve().parents)
    return Explanation(
        model=predictor.title,
        video=video.name,
        classes=predictor.classes,
        probabilities=probabilities,
        class_name=class_name,
        times=clip.times,
        frames=found.frames,
        attention=frame_attention(parts.temporal, embeddings),
        effects=np.full(len(clip.times), np.nan),
        patches=found.patches,
        regions=_by_class(predictor.classes, [region_table(t) for t in tables]),
        regions_by_frame=_by_class(
            predictor.classes, [t.assign(time=clip.times[t["frame"]]) for t in tables]
        ),
        cautions=(LOOKALIKE,) * synthesised + (UNTRAINED,) * untrained,
        remarks=(
            *clip.remarks,
            *(() if encoder is None else encoder.remarks),
            *_precision(parts),
            *_empty(predictor.classes, found),
        ),
    )


def _by_class(classes: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    named = []
    for name, table in zip(classes, tables, strict=True):
        named.append(table.copy())
        named[-1].insert(0, "class", name)
    return pd.concat(named, ignore_index=True)


def _precision(parts: Parts) -> tuple[str, ...]:
    encoder = parts.stream.encoder
    if encoder is None or (encoder.runtime, encoder.precision) == ("torch", "f32"):
        return ()
    return (
        f"The model runs its encoder in {encoder.precision} by {encoder.runtime}; probabilities "
        "and relevance here are of PyTorch in float32 and may differ in the last digits.",
    )


def _empty(classes: Sequence[str], found: Relevance) -> tuple[str, ...]:
    """Classes whose score no attention raises: the published rule gives them nothing."""
    none = [name for name, maps in zip(classes, found.patches, strict=True) if not maps.any()]
    return tuple(
        f"{name} has no positive relevance anywhere: no attention raises its score, so its map is "
        "empty. Look at the other classes."
        for name in none
    )


def _checked(
    explanation: Explanation,
    parts: Parts,
    pictures: Float[Tensor, "frame 3 height width"],
    embeddings: Float[Tensor, "frame feature"],
    found: Relevance,
    frames: int,
    counter: _Counter,
) -> Explanation:
    """The explanation with its checks: of evenly spaced frames, and of the most relevant ones."""
    target = explanation.classes.index(explanation.class_name)
    case = _checks.Case(
        parts.frame_encoder,
        parts.temporal,
        pictures,
        embeddings,
        found,
        target,
        spaced(len(pictures), frames),
    )
    # a point of a curve is a pass of each frame: half as many, and those that weigh most
    foremost = np.argsort(-found.frames[target], kind="stable")[: (frames + 1) // 2]
    of_foremost = replace(case, watched=tuple(sorted(int(i) for i in foremost)))
    counter.total += _checks.work(case, len(foremost))
    sanity = _checks.randomised(case, counted=counter.add)
    soft = _checks.without(case, counted=counter.add)
    curves = (
        _checks.patch_curves(of_foremost, counted=counter.add),
        _checks.frame_curves(case, soft),
    )
    return replace(
        explanation,
        effects=_checks.frame_effects(case, soft),
        sanity=sanity,
        curves=curves,
        remarks=(*explanation.remarks, sanity.verdict, *_worthless(curves)),
    )


def _worthless(curves: Sequence[Curves]) -> tuple[str, ...]:
    """What must not be read of a map whose order is no better than a random one."""
    return tuple(
        f"The order of {c.items} by relevance is no better than random orders, neither in "
        f"deletion nor in insertion: do not read the map as the {c.items} that the model uses."
        for c in curves
        if not c.table()["better"].any()
    )


class _Counter:
    """Pictures done, told to whoever wants to know."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress = progress
        self.total = total
        self.done = 0

    def add(self, count: int) -> None:
        """So many pictures more."""
        self.done = min(self.done + count, self.total - 1)
        if self.progress is not None:
            self.progress(self.done, self.total)

    def finish(self) -> None:
        """All of them."""
        if self.progress is not None:
            self.progress(self.total, self.total)
