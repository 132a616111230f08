"""A trained model and a video in, relevance with its checks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from dolorimeter.explain import _checks
from dolorimeter.explain._explanation import Explanation
from dolorimeter.explain._model import Clip, Parts, clip_of
from dolorimeter.explain._question import LOOKALIKE, Counter, Question
from dolorimeter.explain._window import Asked, window_of
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

UNTRAINED = "Randomly initialised encoder: nothing was learnt about places in a face."


def explain_clip(predictor: Predictor, parts: Parts, question: Question) -> Explanation:
    """Relevance of frames, of places in them, and of regions of the face.

    Computed by PyTorch in float32, whatever runs the model elsewhere.

    Raises
    ------
    RecordingError
        If the window cannot be read or shows too few faces.
    """
    frames, out = question.frames, question.out
    streams, chosen_window = window_of(predictor, question.asked)
    clip = clip_of(parts, streams[parts.stream.name], question.asked.file)
    clip = replace(clip, remarks=(*chosen_window, *clip.remarks))
    pictures = parts.normalised(clip.faces)
    counter = Counter(question.progress, 2 * len(pictures))
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
    chosen = question.class_name or predictor.classes[int(probabilities.argmax())]
    explanation = _explained(
        predictor, parts, clip, question.asked, embeddings, found, probabilities, chosen
    )
    if question.checks:
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
    asked: Asked,
    embeddings: Float[Tensor, "frame feature"],
    found: Relevance,
    probabilities: Float[np.ndarray, " class"],
    class_name: str,
) -> Explanation:
    tables = [regions_by_frame(patches, clip.landmarks) for patches in found.patches]
    encoder = parts.stream.encoder
    untrained = encoder is not None and not encoder.weights
    synthesised = predictor.lookalike or asked.lookalike
    return Explanation(
        model=predictor.title,
        video=asked.file.name,
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
    counter: Counter,
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
