"""What a model of clips and signals reads of one window, and what hiding a stretch does to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dolorimeter import __version__
from dolorimeter.errors import RecordingError
from dolorimeter.explain import _dual
from dolorimeter.explain._explanation import NOT_A_DEVICE, plain, without
from dolorimeter.explain._painformer import LOOKALIKE, UNTRAINED, log_odds
from dolorimeter.explain._question import Counter, Question
from dolorimeter.explain._sides_figure import write_sides_figure
from dolorimeter.explain._window import window_of
from dolorimeter.explain.sanity import Sanity, sanity_check
from dolorimeter.predictor import Predictor
from dolorimeter.storage import write_json, write_text

STRETCHES = 8
"""Of the signals that are hidden one after the other: a clip of 16 frames has as many moments."""
FILES = ("attention.png", "attention.csv", "effects.csv", "sanity.csv", "explanation.json")
REPEATS = 3
"""Cascades of random layers: chance alone makes two maps of few moments alike."""


@dataclass(frozen=True)
class SidesExplanation:
    """What a model of a face clip and signals reads of one window.

    Parameters
    ----------
    model, source : str
        The model's title and the file's name.
    start, duration : float
        Of the window, in seconds.
    classes : tuple of str
    probabilities : Float[np.ndarray, "class"]
        As the model says them, with its calibration.
    class_name : str
        The class that is drawn.
    read : Read
        Attention by part of the model: 1 is an even share. It has no class.
    effects : pandas.DataFrame
        ``what`` (video or signals, a stretch of it, or one signal), ``from`` and ``to`` in
        seconds, and for each class the fall of its log odds when that is hidden.
    missing : mapping of str to str
        Streams that the window lacks, and why.
    sanity : Sanity or None
    cautions, remarks : tuple of str
    """

    model: str
    source: str
    start: float
    duration: float
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " class"]
    class_name: str
    read: _dual.Read
    effects: pd.DataFrame
    missing: Mapping[str, str]
    sanity: Sanity | None = None
    cautions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def attention(self) -> pd.DataFrame:
        """A row a part and step; places of the face are in `read` alone."""
        rows = [
            {"part": name, "second": second, "attention": value}
            for name, curve in self.read.curves.items()
            for second, value in zip(self.read.times[name], curve, strict=True)
        ]
        return pd.DataFrame(rows)

    @property
    def summary(self) -> pd.DataFrame:
        """What to print: where each part looks most."""
        rows = [
            {
                "part": name, "peak": curve.max(), "least": curve.min(),
                "peak at second": self.read.times[name][curve.argmax()],
            }
            for name, curve in self.read.curves.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def summary_title(self) -> str:
        """Over `summary`."""
        chosen = self.probabilities[self.classes.index(self.class_name)]
        return (
            f"attention received ({_dual.SCALE}), {self.source}, {self.class_name} (probability "
            f"{chosen:.2f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        face = self.read.face
        told = {
            "format": 1,
            "dolorimeter": __version__,
            "warning": NOT_A_DEVICE,
            "model": self.model,
            "source": self.source,
            "start": self.start,
            "duration": self.duration,
            "classes": list(self.classes),
            "probabilities": dict(zip(self.classes, self.probabilities.tolist(), strict=True)),
            "class_name": self.class_name,
            "attention": {
                name: {"seconds": self.read.times[name].tolist(), "received": curve.tolist()}
                for name, curve in self.read.curves.items()
            },
            "face": None if face is None else face.round(4).tolist(),
            "effects": self.effects.to_dict(orient="records"),
            "missing": dict(self.missing),
            "sanity": None
            if self.sanity is None
            else {
                "passed": self.sanity.passed,
                "verdict": self.sanity.verdict,
                "table": self.sanity.table.to_dict(orient="records"),
            },
            "cautions": list(self.cautions),
            "remarks": list(self.remarks),
        }
        found: dict[str, Any] = plain(told)
        return found

    def write(self, out: Path, seen: _dual.Seen) -> None:
        """Write `FILES` into a folder; ``sanity.csv`` only where there were checks.

        Parameters
        ----------
        out : Path
            Made where it is missing. Files of the same names are replaced.
        seen : Seen
            The window: the face reaches the disk in the picture alone.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        chosen = float(self.probabilities[self.classes.index(self.class_name)])
        write_sides_figure(
            out / "attention.png",
            self.read,
            seen,
            self.effects,
            self.class_name,
            title=f"{self.source}: what is read, {self.class_name} (probability {chosen:.2f})",
            caption=" ".join((*self.cautions, NOT_A_DEVICE)),
        )
        write_text(out / "attention.csv", self.attention.to_csv(index=False))
        write_text(out / "effects.csv", self.effects.to_csv(index=False))
        if self.sanity is not None:
            write_text(out / "sanity.csv", self.sanity.table.to_csv(index=False))
        without(out, ["sanity.csv"] if self.sanity is None else [])
        write_json(out / "explanation.json", self.to_dict())


def explain_sides(
    predictor: Predictor, parts: _dual.Parts, question: Question
) -> SidesExplanation:
    """Attention of both encoders over face and signals, of what joins them, and effects.

    Raises
    ------
    RecordingError
        If the window cannot be read, or has neither side.
    """
    windows, remarks = window_of(predictor, question.asked)
    counter = Counter(question.progress, 3 + (REPEATS * len(_layers(parts)) * question.checks))
    seen = _dual.seen_of(parts, windows)
    counter.add(1)
    if not seen.sides:
        told = "; ".join(f"{name}: {why}" for name, why in seen.missing.items())
        raise RecordingError(f"{question.asked.file}: {told}. There is nothing to explain.")
    probabilities = _probabilities(predictor, parts, seen)
    window = next(iter(windows.values()))
    explanation = SidesExplanation(
        model=predictor.title,
        source=question.asked.file.name,
        start=float(window.start),
        duration=float(window.duration),
        classes=predictor.classes,
        probabilities=probabilities,
        class_name=question.class_name or predictor.classes[int(probabilities.argmax())],
        read=_dual.read_of(parts, seen),
        effects=effects_of(parts, seen, predictor.classes),
        missing=seen.missing,
        cautions=(LOOKALIKE,) * (predictor.lookalike or question.asked.lookalike)
        + (UNTRAINED,) * _dual.untrained(parts),
        remarks=(
            *remarks,
            *(f"Stream '{name}' is missing: {why}." for name, why in seen.missing.items()),
            *_dual.encoder_remarks(parts),
            "Attention has no class: it says what is read, not what it speaks for. Effects do.",
        ),
    )
    counter.add(1)
    if question.checks:
        found = checked(parts, seen, counter)
        explanation = replace(
            explanation, sanity=found, remarks=(*explanation.remarks, found.verdict)
        )
    counter.finish()
    if question.out is not None:
        explanation.write(question.out, seen)
    return explanation


def _probabilities(
    predictor: Predictor, parts: _dual.Parts, seen: _dual.Seen
) -> Float[np.ndarray, " class"]:
    """Of the whole estimator, with its calibration."""
    shapes = parts.classifier.shapes_
    given, start = {}, 0
    for name, shape in shapes.items():
        stop = start + math.prod(shape)
        given[name] = seen.row[:, start:stop].reshape(1, *shape).numpy()
        start = stop
    alone = len(parts.streams) == 1
    x = next(iter(given.values())) if alone else given
    return np.asarray(predictor.estimator.predict_proba(x))[0]


def effects_of(parts: _dual.Parts, seen: _dual.Seen, classes: Sequence[str]) -> pd.DataFrame:
    """How far each class's log odds fall when a stretch, or a whole signal, is hidden.

    What is hidden is missing to the network: video tokens become the mean of the training
    windows, samples 0 after scaling; a whole side becomes its learned token.
    """
    rows, hidden = [], []
    for told, mask in _hidings(parts, seen):
        rows.append(told)
        hidden.append(torch.where(mask, math.nan, seen.row[0]))
    with torch.no_grad():
        before = log_odds(parts.network(seen.row).double())
        after = log_odds(torch.cat([parts.network(row[None]) for row in hidden]).double())
    falls = (before - after).numpy()
    return pd.DataFrame(rows).assign(**{f"of {c}": falls[:, i] for i, c in enumerate(classes)})


def _hidings(parts: _dual.Parts, seen: _dual.Seen) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """What is hidden, and which numbers of the row that is."""
    network, shapes = parts.network, parts.classifier.shapes_
    nothing = torch.zeros(seen.row.shape[1], dtype=torch.bool)
    size = math.prod(network.video) if network.video else 0
    if seen.clip is not None:
        tokens = network.video[0] // parts.moments * network.video[1]
        edges = _edges(seen.clip_times, parts.moments)
        for i in range(parts.moments):
            mask = nothing.clone()
            mask[i * tokens : (i + 1) * tokens] = True
            yield {"what": "video", "from": edges[i], "to": edges[i + 1]}, mask
        mask = nothing.clone()
        mask[:size] = True
        yield {"what": "all of the video", "from": edges[0], "to": edges[-1]}, mask
    if not seen.signals:
        return
    channels, time = network.signals
    places = np.linspace(0, time, STRETCHES + 1).round().astype(int)
    start, stop = seen.span
    seconds = start + places / time * (stop - start)
    for i in range(STRETCHES):
        mask = nothing.clone()
        mask[size:].reshape(channels, time)[:, places[i] : places[i + 1]] = True
        yield {"what": "signals", "from": seconds[i], "to": seconds[i + 1]}, mask
    first = 0
    stream_of = {given: own for own, given in parts.names().items()}
    for name, shape in ((stream_of[given], shape) for given, shape in shapes.items()):
        if parts.video is not None and name == parts.video.name:
            continue
        if name in seen.signals:
            mask = nothing.clone()
            mask[size:].reshape(channels, time)[first : first + shape[0]] = True
            yield {"what": f"all of {name}", "from": start, "to": stop}, mask
        first += shape[0]


def _edges(times: Float[np.ndarray, " frame"], moments: int) -> Float[np.ndarray, " edge"]:
    """Where each moment of a clip begins and ends: half way to the next."""
    middles = times.reshape(moments, -1).mean(axis=1)
    if moments == 1:
        return times[[0, -1]]
    inner = (middles[1:] + middles[:-1]) / 2
    ends = 2 * middles[[0, -1]] - inner[[0, -1]]
    return np.concatenate([ends[:1], inner, ends[1:]])


def _layers(parts: _dual.Parts) -> list[tuple[str, list[nn.Parameter]]]:
    """Layers from the output to the input, those without numbers left out."""
    network = parts.network
    named: list[tuple[str, list[nn.Module]]] = [
        ("classifier", [network.heads]),
        ("co-attention", [network.layers]),
    ]
    sides = [part for name, part in network.named_children() if name.endswith("_side")]
    of_sides = [m for side in sides for n, m in side.named_children() if n != "encoder"]
    named.append(("hybrid attention and projection", of_sides))
    signal = [cast(Any, side).encoder for side in sides if cast(Any, side).encoder is not None]
    named.append(("signal encoder", signal))
    named.append(("video encoder", [] if parts.encoder is None else [parts.encoder]))
    found = [(name, [p for m in modules for p in m.parameters()]) for name, modules in named]
    return [(name, parameters) for name, parameters in found if parameters]


def checked(parts: _dual.Parts, seen: _dual.Seen, counter: Counter) -> Sanity:
    """Whether the maps depend on what was learnt: layers are randomised from the top."""
    of_video = None if seen.clip is None else _dual.encoder_read(parts, seen.clip)

    def maps(random: Sequence[str]) -> dict[str, Float[np.ndarray, "row item"]]:
        now, video = seen, of_video
        if "video encoder" in random and seen.clip is not None:
            now, video = _read_again(parts, seen, seen.clip), None
        read = _dual.read_of(parts, now, video)
        curves = {name: curve[None] for name, curve in read.curves.items()}
        if read.face is not None:
            curves["face"] = read.face.reshape(len(read.face), -1)
        counter.add(1)
        return curves

    return sanity_check(maps, _layers(parts), repeats=REPEATS)


def _read_again(
    parts: _dual.Parts, seen: _dual.Seen, clip: UInt8[np.ndarray, "frame 3 height width"]
) -> _dual.Seen:
    """The same window through the video encoder as it is now."""
    assert parts.reduced is not None
    with torch.no_grad():
        tokens = parts.reduced(_dual.normalised(parts, clip))
    row = seen.row.clone()
    row[:, : tokens[0].numel()] = tokens.reshape(1, -1)
    return replace(seen, row=row)
