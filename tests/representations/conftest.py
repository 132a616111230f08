"""Videos whose frames carry their number, and face tracks that lie where the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dolorimeter.chain._join import merged
from dolorimeter.chain._parts import Part
from dolorimeter.representations import Represented, count
from dolorimeter.samples import Samples
from dolorimeter.types import FaceTrack
from dolorimeter.video import VideoWriter

HEIGHT, WIDTH = 96, 128
STEP, BASE = 20, 12
ZOOM, SHIFT = 2.0, (-16.0, 16.0)
"""The alignment of `track`: frame pixel (x, y) goes to (2 x − 16, 2 y + 16)."""


def numbered(index: int) -> np.ndarray:
    """A frame whose left and right half tell its number."""
    image = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:, : WIDTH // 2] = STEP * (index // BASE % BASE)
    image[:, WIDTH // 2 :] = STEP * (index % BASE)
    return image


def number_of(picture: np.ndarray) -> int:
    """The number of a frame seen through the alignment of `track`, channel first or last."""
    grey = picture.mean(axis=0 if picture.shape[0] == 3 else 2)
    middle = grey[grey.shape[0] // 2]
    quarter = len(middle) // 4
    return round(middle[quarter] / STEP) * BASE + round(middle[3 * quarter] / STEP)


def track(
    path: Path, times: np.ndarray, *, rate: float = 25.0, found: np.ndarray | None = None
) -> FaceTrack:
    """The astronaut's face, still, in the middle of every frame."""
    mesh = np.load(Path(__file__).parents[1] / "fixtures" / "faces" / "astronaut_mesh.npz")
    points = mesh["landmarks"].astype(float)
    points -= points[:, :].mean(axis=0)
    points *= 50 / np.ptp(points[:, 1])
    points[:, :2] += (WIDTH / 2, HEIGHT / 2)
    there = np.ones(len(times), dtype=bool) if found is None else found
    one = np.where(there, 1.0, np.nan)
    alignment = np.array([[ZOOM, 0, SHIFT[0]], [0, ZOOM, SHIFT[1]]])
    return FaceTrack(
        path=path, times=times, start=0.0, stop=float(times[-1]) + 1 / rate, frame_rate=rate,
        frame_size=(HEIGHT, WIDTH), landmarks=points[None] * one[:, None, None],
        blendshapes=np.full((len(times), 52), 0.1) * one[:, None],
        pose=np.zeros((len(times), 3)) * one[:, None], alignment=alignment * one[:, None, None],
        found=there, size=30 * one, blur=one, occlusion=0.5 * one, exposure=one,
    )  # fmt: skip


def written(path: Path, frames: int, rate: float = 25.0) -> Path:
    with VideoWriter(path, rate, (HEIGHT, WIDTH), crf=5) as writer:
        for index in range(frames):
            writer.write(numbered(index))
    return path


def written_at(path: Path, times: np.ndarray) -> Path:
    """A video with a variable frame rate: each frame at its own time, in milliseconds."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "5"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BioVid's length: 138 numbered frames at 25 Hz."""
    return written(tmp_path_factory.mktemp("clip") / "clip.mp4", 138)


@pytest.fixture(scope="session")
def number() -> Callable[[np.ndarray], int]:
    return number_of


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return written


@pytest.fixture(scope="session")
def write_at() -> Callable[..., Path]:
    return written_at


@pytest.fixture(scope="session")
def still() -> Callable[..., FaceTrack]:
    """Makes a track; see `track`."""
    return track


@pytest.fixture(scope="session")
def without() -> Callable[[FaceTrack, np.ndarray], FaceTrack]:
    """Takes the face away from some frames of a track."""

    def lose(whole: FaceTrack, rows: np.ndarray) -> FaceTrack:
        arrays = {
            name: getattr(whole, name).copy()
            for name in ("landmarks", "blendshapes", "pose", "alignment", "size", "blur",
                         "occlusion", "exposure")
        }  # fmt: skip
        found = whole.found.copy()
        found[rows] = False
        for values in arrays.values():
            values[rows] = np.nan
        return replace(whole, found=found, **arrays)

    return lose


@pytest.fixture
def joined() -> Callable[..., Represented]:
    """Join representations of consecutive batches of windows, as the pipeline does."""

    def join(*parts: Represented) -> Represented:
        def part(stream: Represented) -> Part:
            n = len(stream.x)
            meta = Samples.from_arrays(np.zeros((n, 1)), subject=["s"] * n).meta
            facts = pd.DataFrame(index=range(n))
            return Part({"stream": stream}, meta, facts, np.ones(n), {}, ())

        whole = merged([part(stream) for stream in parts]).streams["stream"]
        return replace(whole, undefined=count(whole.undefined))

    return join
