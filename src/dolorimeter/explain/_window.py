"""The one window of a file that is explained, as each stream of the model reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dolorimeter.chain import Pipeline
from dolorimeter.datasets import recordings_of
from dolorimeter.datasets.video_files import SUFFIXES
from dolorimeter.errors import ConfigError, DatasetError, DolorimeterError, RecordingError
from dolorimeter.predictor import Predictor
from dolorimeter.synthesis.making import MARK
from dolorimeter.types import Recording, Stimulus, Video, Window


@dataclass(frozen=True)
class Asked:
    """What somebody asks to have explained.

    Parameters
    ----------
    file : Path
        A video, a recording of a data set, or a folder of recordings.
    dataset : str or None
        Its format; None: that of the model's training.
    options : mapping
        For the reader.
    window : int
        Which of the windows that the model cuts, from 1.
    """

    file: Path
    dataset: str | None = None
    options: Mapping[str, Any] | None = None
    window: int = 1

    @property
    def lookalike(self) -> bool:
        """Whether it lies in a folder that `synthesise` wrote."""
        resolved = self.file.resolve()
        return any((p / MARK).is_file() for p in (resolved, *resolved.parents))


def window_of(predictor: Predictor, asked: Asked) -> tuple[dict[str, Window], tuple[str, ...]]:
    """The window as each stream reads it, and what must be said of the choice.

    Raises
    ------
    ConfigError
        If `asked.window` is below 1 or the model has no data set and none is named.
    RecordingError
        If the file cannot be read, or has fewer windows.
    """
    chain = predictor.chain
    assert chain is not None  # whoever explains a model has looked
    if asked.window < 1:
        raise ConfigError(f"window is {asked.window}, expected 1 or more.")
    if not asked.file.exists():
        raise RecordingError(f"{asked.file}: no such file or folder.")
    anywhere = replace(chain, windows=replace(chain.windows, conditions=()))
    reasons: list[str] = []
    seen = 0
    for recording in _recordings(predictor, chain, asked):
        try:
            found, exclusions = anywhere.stream_windows(recording)
        except DolorimeterError as error:
            reasons.append(str(error))
            continue
        reasons += [e.reason for e in exclusions]
        if seen + len(found) >= asked.window:
            streams = found[asked.window - seen - 1]
            return streams, _choice(streams, asked, seen + len(found))
        seen += len(found)
    if seen:
        raise RecordingError(f"{asked.file}: window {asked.window} asked for, and it has {seen}.")
    told = "; ".join(dict.fromkeys(reasons)) or "no window fits into it"
    raise RecordingError(
        f"{asked.file}: {told}. The model reads windows of {chain.windows.duration:g} s."
    )


def _choice(streams: Mapping[str, Window], asked: Asked, known: int) -> tuple[str, ...]:
    """Of several windows, which one it is."""
    if known == 1 and asked.window == 1:
        return ()
    window = next(iter(streams.values()))
    named = f" of {window.recording.name}" if asked.file.is_dir() else ""
    return (
        f"Window {asked.window}{named} is explained: {window.duration:g} s from "
        f"{window.start:g} s on.",
    )


def _recordings(predictor: Predictor, chain: Pipeline, asked: Asked) -> Iterator[Recording]:
    """A video by itself where the model reads videos alone, else recordings of a data set."""
    is_video = asked.file.suffix.lower() in SUFFIXES or not asked.file.suffix
    names = _videos(chain)
    alone = asked.dataset is None and set(names) == set(chain.sources) and asked.file.is_file()
    if alone:
        yield _video(asked.file, names)
        return
    name = asked.dataset or predictor.dataset.get("name")
    if name is None:
        raise ConfigError(f"{asked.file}: give the format of the file: --dataset NAME.")
    own = predictor.dataset.get("options", {}) if name == predictor.dataset.get("name") else {}
    try:
        found, _ = recordings_of(name, asked.file, dict(own) | dict(asked.options or {}))
    except DatasetError:
        if asked.dataset is not None or not (names and is_video and asked.file.is_file()):
            raise
        found = [_video(asked.file, names)]
    yield from found


def _videos(chain: Pipeline) -> tuple[str, ...]:
    """Names of the videos that the streams read."""
    found = set()
    for stream in chain.streams:
        if getattr(stream.representation, "pictures_of_people", False):
            by_steps = {m for step in stream.steps for m in step.modalities}
            found |= by_steps or {stream.representation.modality}
    return tuple(sorted(found))


def _video(file: Path, names: tuple[str, ...]) -> Recording:
    return Recording(
        "",
        "",
        file.stem,
        videos={name: Video(file) for name in names},
        stimuli=(Stimulus(None, None, ""),),
        sources=(file,),
    )
