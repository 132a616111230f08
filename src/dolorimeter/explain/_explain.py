"""A trained model and a file in, an explanation with its checks out: which way, the model says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dolorimeter.chain import Progress
from dolorimeter.errors import ConfigError
from dolorimeter.explain import (
    _dual,
    _explain_pictures,
    _model,
    _painformer,
    _seen,
    _sides,
    _video,
)
from dolorimeter.explain._explanation import Explanation
from dolorimeter.explain._model import NotThisWayError
from dolorimeter.explain._question import Question
from dolorimeter.explain._window import Asked
from dolorimeter.predictor import Predictor
from dolorimeter.storage import check_writable


@dataclass(frozen=True)
class Way:
    """One way of explaining a model.

    Parameters
    ----------
    known : str
        Which models it takes, for messages.
    parts : callable
        What it needs of a model; raises `NotThisWayError` for one that it does not take.
    explain : callable
    """

    known: str
    parts: Callable[[Predictor], Any]
    explain: Callable[
        [Predictor, Any, Question],
        Explanation | _seen.PictureExplanation | _sides.SidesExplanation,
    ]


WAYS = (
    Way(_model.KNOWN, _model.parts_of, _video.explain_clip),
    Way(_painformer.KNOWN, _painformer.parts_of, _explain_pictures.explain_pictures),
    Way(_dual.KNOWN, _dual.parts_of, _sides.explain_sides),
)
"""Tried in this order; a model is explained in the first way that takes it."""


def explain_model(
    model: str | Path | Predictor,
    file: str | Path,
    out: str | Path | None = None,
    *,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    window: int = 1,
    class_name: str | None = None,
    frames: int = 8,
    checks: bool = True,
    progress: Progress | None = None,
) -> Explanation | _seen.PictureExplanation | _sides.SidesExplanation:
    """What a model's scores of one window rest on, and whether that map may be believed.

    Parameters
    ----------
    model : str, Path or Predictor
        A folder written by ``train``, or what `Predictor.load` gave.
    file : str or Path
        A video, or a recording (or a folder of them) of `dataset`.
    out : str or Path, optional
        Folder for pictures and tables; None writes nothing. The pictures show what the model
        sees, a face where it sees one.
    dataset : str, optional
        Format of the file; None: of the data set that the model was trained on.
    options : mapping, optional
        For its reader.
    window : int
        Which of the windows that the model cuts from the file, from 1.
    class_name : str, optional
        Class of the checks; None takes the most probable. Tables hold all classes.
    frames : int
        Frames of a video side by side in a picture, which also says how many are checked.
    checks : bool
        Randomise layers, compute deletion and insertion curves: most of the time it takes.
    progress : callable, optional
        Called with pictures done and pictures in all, passes through the encoder counted.

    Raises
    ------
    ConfigError
        If the model cannot be explained, has no such class, or `frames` or `window` is below 1.
    RecordingError
        If the file cannot be read, has no such window, or nothing in it that the model sees.
    DatasetError
        If no recording of the data set is there.
    StorageError
        If `out` cannot be written; where that can be known, before anything is computed.
    """
    if out is not None:
        check_writable(Path(out) / "explanation.json")
    predictor = model if isinstance(model, Predictor) else Predictor.load(Path(model))
    if frames < 1:
        raise ConfigError(f"frames is {frames}, expected at least 1.")
    if class_name is not None and class_name not in predictor.classes:
        raise ConfigError(
            f"model '{predictor.title}' has no class '{class_name}'; it has: "
            f"{', '.join(predictor.classes) or 'none, it estimates a number'}."
        )
    reasons = []
    for way in WAYS:
        try:
            parts = way.parts(predictor)
        except NotThisWayError as reason:
            reasons.append(str(reason))
            continue
        asked = Asked(Path(file), dataset, options, window)
        folder = None if out is None else Path(out)
        question = Question(asked, folder, class_name, frames, checks, progress)
        return way.explain(predictor, parts, question)
    raise ConfigError(
        f"model '{predictor.title}' cannot be explained: {'; '.join(dict.fromkeys(reasons))}. "
        f"What can be explained: {'; or '.join(way.known for way in WAYS)}."
    )
