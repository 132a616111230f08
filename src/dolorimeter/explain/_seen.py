"""What an explanation of pictures holds, and the files it is kept in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt8

from dolorimeter import __version__
from dolorimeter.explain._explanation import NOT_A_DEVICE, OF_CHECKS, plain, without
from dolorimeter.explain._stream_figure import write_stream_figure
from dolorimeter.explain.maps import FREE, StreamMaps
from dolorimeter.explain.sanity import Curves, Sanity
from dolorimeter.storage import write_json, write_text

TABLES = ("seconds", "frequencies", "regions", "pictures", "checks")
"""Tables of a `PictureExplanation`, each written as CSV where it has rows."""


@dataclass(frozen=True)
class PictureExplanation:
    """What a model's scores of one window of pictures rest on.

    Parameters
    ----------
    model, source : str
        The model's title and the file's name.
    start, duration : float
        Of the window, in seconds.
    classes : tuple of str
    probabilities : Float[np.ndarray, "class"]
        As the model says them, with its calibration; encoders in float32.
    class_name : str
        The class of the checks.
    streams : tuple of StreamMaps
    missing : mapping of str to str
        Streams that the window lacks, and why.
    seconds, frequencies, regions, pictures, checks : pandas.DataFrame
        Shares of the maps in time, by frequency and by region of the face; what a whole picture
        does to each class's log odds; a row a map with the outcome of its checks. Empty where
        there is none.
    sanity : mapping of str to Sanity
        By stream.
    curves : mapping of str to dict of str to Curves
        By stream and map.
    cautions, remarks : tuple of str
    """

    model: str
    source: str
    start: float
    duration: float
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, " class"]
    class_name: str
    streams: tuple[StreamMaps, ...]
    missing: Mapping[str, str]
    seconds: pd.DataFrame = field(default_factory=pd.DataFrame)
    frequencies: pd.DataFrame = field(default_factory=pd.DataFrame)
    regions: pd.DataFrame = field(default_factory=pd.DataFrame)
    pictures: pd.DataFrame = field(default_factory=pd.DataFrame)
    checks: pd.DataFrame = field(default_factory=pd.DataFrame)
    sanity: Mapping[str, Sanity] = field(default_factory=dict)
    curves: Mapping[str, dict[str, Curves]] = field(default_factory=dict)
    cautions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def summary(self) -> pd.DataFrame:
        """What to print: the checks, else where each map lies."""
        return self.checks if len(self.checks) else pd.concat([self.seconds, self.regions])

    @property
    def summary_title(self) -> str:
        """Over `summary`."""
        chosen = self.probabilities[self.classes.index(self.class_name)]
        return f"maps of {self.source} for {self.class_name} (probability {chosen:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; a missing number is None."""
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
            "cautions": list(self.cautions),
            "remarks": list(self.remarks),
            "missing": dict(self.missing),
            "streams": [self._stream(s) for s in self.streams],
        }
        tables = {name: getattr(self, name).to_dict(orient="records") for name in TABLES}
        sanity = {n: s.table.to_dict(orient="records") for n, s in self.sanity.items()}
        found: dict[str, Any] = plain(told | tables | {"sanity": sanity})
        return found

    def _stream(self, stream: StreamMaps) -> dict[str, Any]:
        maps = {
            name: values[0].tolist()
            if name in FREE
            else {c: v.tolist() for c, v in zip(self.classes, values, strict=True)}
            for name, values in stream.maps.items()
        }
        return {
            "name": stream.name,
            "drawing": stream.drawing,
            "pictures": list(stream.labels),
            "checked": [stream.labels[i] for i in stream.watched],
            "maps": maps,
        }

    def write(
        self,
        out: Path,
        pictures: Mapping[str, UInt8[np.ndarray, "picture height width 3"]],
        *,
        frames: int = 8,
    ) -> None:
        """Write pictures and tables into a folder.

        ``STREAM-CLASS.png`` for each stream and class, the tables of `TABLES` as CSV,
        ``sanity.csv`` and ``curves.csv`` where there were checks, and ``explanation.json``.

        Parameters
        ----------
        out : Path
            Made where it is missing. Files of the same names are replaced, and tables that this
            explanation has not are taken away: they would be of another one.
        pictures : mapping of str to UInt8[np.ndarray, "picture height width 3"]
            What the model saw, by stream. A face reaches the disk in the pictures alone.
        frames : int
            Pictures of a stream that are drawn at most.

        Raises
        ------
        StorageError
            If a file cannot be written.
        """
        for stream in self.streams:
            for target, name in enumerate(self.classes):
                write_stream_figure(
                    out / f"{_file_name(stream.name)}-{_file_name(name)}.png",
                    stream,
                    pictures[stream.name],
                    target,
                    title=f"{stream.name} ({stream.drawing}): maps for {name} "
                    f"(probability {self.probabilities[target]:.2f})",
                    caption=" ".join((*self.cautions, NOT_A_DEVICE)),
                    checks=self._checks_of(stream.name),
                    checked_class=self.class_name,
                    pictures_shown=frames,
                )
        for name in TABLES:
            table = getattr(self, name)
            if len(table):
                write_text(out / f"{name}.csv", table.to_csv(index=False))
        if self.sanity:
            tables = [s.table.assign(stream=n) for n, s in self.sanity.items()]
            write_text(out / "sanity.csv", pd.concat(tables).to_csv(index=False))
        if self.curves:
            points = [
                c.points().assign(stream=n)
                for n, maps in self.curves.items()
                for c in maps.values()
            ]
            write_text(out / "curves.csv", pd.concat(points).to_csv(index=False))
        absent = [f"{name}.csv" for name in TABLES if not len(getattr(self, name))]
        absent += [
            n for n, of in zip(OF_CHECKS, (self.sanity, self.curves), strict=True) if not of
        ]
        without(out, absent)
        write_json(out / "explanation.json", self.to_dict())

    def _checks_of(self, stream: str) -> pd.DataFrame:
        return self.checks[self.checks["stream"] == stream] if len(self.checks) else self.checks


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
