"""Rows of a face track as they come; the landmarks of a long one wait in an unnamed file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32

FIELDS: Mapping[str, tuple[type[np.generic], tuple[int, ...]]] = MappingProxyType(
    {
        "times": (np.float64, ()),
        "landmarks": (np.float32, (478, 3)),
        "blendshapes": (np.float32, (52,)),
        "pose": (np.float32, (3,)),
        "alignment": (np.float32, (2, 3)),
        "size": (np.float32, ()),
        "blur": (np.float32, ()),
        "occlusion": (np.float32, ()),
        "exposure": (np.float32, ()),
        "found": (np.bool_, ()),
    }
)
"""Type and shape of one row of each array of a `FaceTrack`."""

CHUNK = 1024
"""Rows gathered at a time: 6 MB, 40 seconds at 25 frames a second."""


@dataclass(frozen=True)
class FaceFrame:
    """What is found in one frame: one row of a `FaceTrack`, with its units and conventions.

    Without a face `found` is False and everything but `time` is NaN.
    """

    time: float
    found: bool
    landmarks: Float32[np.ndarray, "478 3"]
    blendshapes: Float32[np.ndarray, "52"]
    pose: Float32[np.ndarray, "3"]
    alignment: Float32[np.ndarray, "2 3"]
    size: float
    blur: float
    occlusion: float
    exposure: float

    @classmethod
    def absent(cls, time: float) -> FaceFrame:
        """A frame without a face."""
        landmarks, blendshapes, pose, alignment = (
            np.full(FIELDS[name][1], np.nan, np.float32)
            for name in ("landmarks", "blendshapes", "pose", "alignment")
        )
        nan = float("nan")
        return cls(time, False, landmarks, blendshapes, pose, alignment, nan, nan, nan, nan)


class FaceRows:
    """Frames one after another, and then the arrays of a track.

    Landmarks are 95 % of a row. Those of a video of more than `CHUNK` frames go to a temporary
    file without a name, which is gone when the last array that shows it is: memory then grows by
    0.3 kB a frame instead of 6. Numbers are written, never a picture.
    """

    def __init__(self) -> None:
        self._chunk: dict[str, np.ndarray] = {
            name: np.empty((CHUNK, *shape), kind) for name, (kind, shape) in FIELDS.items()
        }
        self._done: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS}
        self._filled = self._written = 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._written + self._filled

    def append(self, frame: FaceFrame) -> None:
        """Add a frame."""
        if self._filled == CHUNK:
            self._spill()
        self._chunk["times"][self._filled] = frame.time
        for name in FIELDS:
            if name != "times":
                self._chunk[name][self._filled] = getattr(frame, name)
        self._filled += 1

    def arrays(self) -> dict[str, np.ndarray]:
        """One array a field; nothing can be added afterwards."""
        if self._file is None:
            return {name: chunk[: self._filled].copy() for name, chunk in self._chunk.items()}
        self._spill()
        arrays = {
            name: np.concatenate(done) for name, done in self._done.items() if name != "landmarks"
        }
        shape = (self._written, *FIELDS["landmarks"][1])
        with self._file as file:
            return arrays | {"landmarks": np.memmap(file, np.float32, "r", shape=shape)}

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="dolorimeter-face-")  # noqa: SIM115  # until `arrays`
        for name, chunk in self._chunk.items():
            rows = chunk[: self._filled]
            if name == "landmarks":
                self._file.write(rows.tobytes())
            else:
                self._done[name].append(rows.copy())
        self._file.flush()
        self._written += self._filled
        self._filled = 0
