"""Explain one window of pictures: maps, their checks, and their shares as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dolorimeter.chain import Stream
from dolorimeter.errors import RecordingError
from dolorimeter.explain._painformer import (
    LOOKALIKE,
    UNTRAINED,
    Case,
    Parts,
    case_of,
    pooled,
    stream_maps,
)
from dolorimeter.explain._picture_checks import checked
from dolorimeter.explain._question import Counter, Question
from dolorimeter.explain._seen import PictureExplanation
from dolorimeter.explain._shares import frequency_table, regions_of, time_table
from dolorimeter.explain._window import window_of
from dolorimeter.predictor import Predictor
from dolorimeter.types import Window


def explain_pictures(predictor: Predictor, parts: Parts, question: Question) -> PictureExplanation:
    """Maps of every picture that the model sees of a window, and their checks.

    Raises
    ------
    RecordingError
        If the window cannot be read, or no stream is in it.
    """
    windows, remarks = window_of(predictor, question.asked)
    counter = Counter(question.progress, 1)
    case, missing = case_of(parts, windows, counter)
    if not case.shown:
        told = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise RecordingError(f"{question.asked.file}: {told}. There is nothing to explain.")
    probabilities = _probabilities(predictor, case)
    chosen = question.class_name or predictor.classes[int(probabilities.argmax())]
    maps = {name: stream_maps(case, name, question.frames) for name in case.shown}
    encoders = [s.encoder for s in parts.streams]
    untrained = any(not encoder.weights for encoder in encoders)
    lookalike = predictor.lookalike or question.asked.lookalike
    window = next(iter(windows.values()))
    explanation = PictureExplanation(
        model=predictor.title,
        source=question.asked.file.name,
        start=float(window.start),
        duration=float(window.duration),
        classes=predictor.classes,
        probabilities=probabilities,
        class_name=chosen,
        streams=tuple(maps.values()),
        missing=missing,
        cautions=(LOOKALIKE,) * lookalike + (UNTRAINED,) * untrained,
        remarks=(
            *remarks,
            *(f"Stream '{name}' is missing: {why}." for name, why in missing.items()),
            *dict.fromkeys(r for s in parts.streams for r in _told(s, windows[s.name])),
        ),
    )
    if question.checks:
        explanation = checked(explanation, case, counter)
    explanation = _with_tables(explanation, case)
    counter.finish()
    if question.out is not None:
        pictures = {name: s.pictures.transpose(0, 2, 3, 1) for name, s in case.shown.items()}
        explanation.write(question.out, pictures, frames=question.frames)
    return explanation


def _told(stream: Stream, window: Window) -> tuple[str, ...]:
    representation = stream.representation
    pictures = () if representation.missing(window) else (window,)
    track = window.recording.faces.get(representation.modality)
    of_track = track.remarks if track is not None and pictures else ()
    return (*stream.encoder.remarks, *representation.remarks(pictures), *of_track)


def _probabilities(predictor: Predictor, case: Case) -> Float[np.ndarray, " class"]:
    """Of the whole estimator, with its calibration, from the embeddings in float32."""
    one = {n: None if e is None else e[None] for n, e in case.embeddings.items()}
    x: Any = case.parts.tokens(one).numpy()
    if set(one) <= set(case.parts.sizes):  # streams by name, of which any may be left out
        x = {
            n: pooled(e, case.parts.stream(n).pooling).numpy()
            for n, e in one.items()
            if e is not None
        }
    return np.asarray(predictor.estimator.predict_proba(x))[0]


def _with_tables(explanation: PictureExplanation, case: Case) -> PictureExplanation:
    landmarks = {name: s.landmarks for name, s in case.shown.items()}
    sides = {name: s.side for name, s in case.shown.items()}
    regions = [
        regions_of(s, explanation.classes, points, sides[s.name])
        for s in explanation.streams
        if (points := landmarks[s.name]) is not None
    ]
    return replace(
        explanation,
        seconds=time_table(explanation.streams, explanation.classes),
        frequencies=frequency_table(explanation.streams, explanation.classes),
        regions=pd.concat(regions, ignore_index=True) if regions else pd.DataFrame(),
    )
