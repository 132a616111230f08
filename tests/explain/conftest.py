"""What the tests of maps share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest

from dolorimeter import explain, training
from dolorimeter.embeddings import Encoder
from dolorimeter.registry import Card
from dolorimeter.types import FaceTrack, Recording
from dolorimeter.video import VideoWriter, read_frames

RATE = 10.0
PORTRAIT = Path(explain.__file__).parent.parent / "assets" / "astronaut.png"


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Networks this small are slower with more threads, most of all on a busy machine."""
    with training.threads(1):
        yield


@pytest.fixture(autouse=True, scope="package")
def _built_once() -> Iterator[None]:
    """Twenty million weights take longer to draw than a small picture to explain.

    Checks put the weights back that they shuffle; a test that they do is in `test_sanity`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "build", cache(Encoder.build))
        yield


@dataclass(frozen=True)
class Tracked:
    """Knows where the face of the portrait is; stands for the face tracker."""

    card: ClassVar[Card] = Card("tracked", "the portrait's face")
    scope: ClassVar[str] = "causal"
    modalities: ClassVar[tuple[str, ...]] = ("face",)
    landmarks: Path = Path()
    blind: bool = False

    def __call__(self, recording: Recording) -> Recording:
        if "face" not in recording.videos:
            return recording
        path = recording.videos["face"].path
        times = np.array([frame.time for frame in read_frames(path)])
        n = len(times)
        mesh = np.load(self.landmarks)["landmarks"].astype(float)
        centre = mesh[:, :2].mean(axis=0)
        matrix = np.concatenate([1.4 * np.eye(2), (112 - 1.4 * centre)[:, None]], axis=1)
        seen = np.full(n, not self.blind)
        one = np.where(seen, 1.0, np.nan)
        track = FaceTrack(
            path=path,
            times=times,
            start=0.0,
            stop=n / RATE,
            frame_rate=RATE,
            frame_size=(512, 512),
            landmarks=np.repeat(mesh[None], n, axis=0) * one[:, None, None],
            blendshapes=np.zeros((n, 52)),
            pose=np.zeros((n, 3)),
            alignment=np.repeat(matrix[None], n, axis=0),
            found=seen,
            size=80 * one,
            blur=one,
            occlusion=one,
            exposure=one,
            remarks=("A remark of the track.",),
        )
        return replace(recording, faces={"face": track})


@pytest.fixture(scope="package")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven tenths of a second of the portrait, brightening."""
    path = tmp_path_factory.mktemp("video") / "portrait.mp4"
    image = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)
    with VideoWriter(path, RATE, (512, 512)) as writer:
        for i in range(7):
            writer.write(np.clip(image * (0.7 + 0.05 * i), 0, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="package")
def tracked(fixtures: Path) -> Callable[[bool], Tracked]:
    """Gives the step that knows the portrait's face, or one that finds none."""
    return partial(Tracked, fixtures / "faces" / "astronaut_mesh.npz")
