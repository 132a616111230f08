"""How near each point of the face is, as a picture: from its mesh, or by a depth network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from dolorimeter.errors import ConfigError
from dolorimeter.registry import REPRESENTATIONS, Card
from dolorimeter.representations._crops import aligned, landmarks_at
from dolorimeter.representations._depth_model import (
    NEARER,
    DepthModel,
    ModelFile,
    model_file,
    network,
)
from dolorimeter.representations._mesh import depth_map
from dolorimeter.representations._pictures import (
    FacePictures,
    Picks,
    Stretch,
    check_stride,
    tracked_frames,
)
from dolorimeter.representations._sampling import frame_count
from dolorimeter.signals.face import interocular
from dolorimeter.signals.face_mesh import face_triangles
from dolorimeter.types import CROP_SIZE, Window

DEPTH_RANGE = 1.25
"""Distances between the outer corners of the eyes from the nearest point (255) to the darkest (1).
A frontal face is about 1.1 deep from the tip of its nose to the mesh's edge at the ears."""

MESH = "mesh depth from 478 landmarks, not a depth camera"
MODEL = "depth estimated by a network from single frames, not a depth camera"


@REPRESENTATIONS.register(
    Card(
        name="depth",
        summary=f"The face's depth as grey pictures ({MESH}): (window, picture, 3, 224, 224).",
    )
)
@dataclass(frozen=True)
class Depth(FacePictures):
    """Depth pictures of the aligned face, three equal channels, nearer is brighter.

    By default the surface of the face mesh, drawn from the landmarks alone: a smooth shape that
    the landmark model has inferred from the same RGB frame, not a measurement. The nearest point
    is 255, and brightness falls with distance by the same slope in every picture (`DEPTH_RANGE`);
    the background is 0. With `depth_model`, what that network makes of the aligned frame instead,
    stretched from 0 to 255 in every picture, since such networks know no absolute scale.

    Parameters
    ----------
    stride : int
        Every so many nominal frames, as in `FaceFrames`.
    depth_model : str
        Path of an ONNX file with one input (1, 3, side, side) and a depth map as its first output;
        empty for the mesh. It is run by ONNX Runtime where that is installed, else by OpenCV.
    depth_sha256 : str
        Of that file; filled in where it is not given, and refused where it differs, so that a
        cached or saved chain never meets another file of the same name.
    depth_size : int
        Side of its input in pixels. The defaults are those of MiDaS 2.1 small; Depth Anything
        takes 518.
    depth_mean, depth_std : (float, float, float)
        Of its input's channels, for values of 0…1; default ImageNet's.
    depth_nearer : {"high", "low"}
        Whether its nearer points have higher values (inverse depth) or lower ones (metres).

    Notes
    -----
    Further parameters: `FacePictures` (modality, offset, duration, frame_rate, size, min_valid).

    Raises
    ------
    ConfigError
        If the file is missing, another than said, or no network that can be run.
    """

    card: ClassVar[Card]
    names: ClassVar[tuple[str, str, str]] = ("depth", "depth", "depth")
    stride: int = 1
    depth_model: str = ""
    depth_sha256: str = ""
    depth_size: int = 256
    depth_mean: Sequence[float] = (0.485, 0.456, 0.406)
    depth_std: Sequence[float] = (0.229, 0.224, 0.225)
    depth_nearer: str = "high"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stride("depth", self.stride)
        if self.depth_nearer not in NEARER:
            raise ConfigError(
                f"depth: depth_nearer is '{self.depth_nearer}', expected one of "
                f"{', '.join(NEARER)}."
            )
        three = len(self.depth_mean) == len(self.depth_std) == 3
        if not three or min(self.depth_std) <= 0 or self.depth_size < 1:
            raise ConfigError(
                f"depth: depth_size {self.depth_size}, depth_mean {tuple(self.depth_mean)}, "
                f"depth_std {tuple(self.depth_std)}; expected a size of 1 or more, and three "
                "means and three deviations above 0."
            )
        if self.depth_model:
            self._check_model()

    def _check_model(self) -> None:
        found = model_file(self.depth_model)
        if self.depth_sha256 not in ("", found.sha256):
            raise ConfigError(
                f"depth: {self.depth_model} has sha256 {found.sha256}, expected "
                f"{self.depth_sha256}. Give the file that was used before, or leave depth_sha256 "
                "out and run anew."
            )
        network(found)
        object.__setattr__(self, "depth_sha256", found.sha256)

    def picture_count(self, window: Window) -> int:
        """How many pictures the window has, or would have; `SignalError` where unknown."""
        return frame_count(self.span(window), self.rate(window), self.stride)

    def pick(self, stretch: Stretch) -> Picks | str:
        """Which frames are shown, or why there are none."""
        return self.strided(stretch, self.stride)

    def remarks(self, windows: Sequence[Window]) -> tuple[str, ...]:
        """Sentences a report must print of these windows, what kind of depth it is first."""
        kind = MODEL if self.depth_model else MESH
        return (f"{self.modality}: {kind}.", *super().remarks(windows))

    def drawn(
        self, stretch: Stretch, rows: Int[np.ndarray, " row"]
    ) -> Iterator[UInt8[np.ndarray, "side side 3"]]:
        """The depth picture of each row of the track; for the mesh nothing is decoded."""
        if self.depth_model:
            file = ModelFile(self.depth_model, self.depth_sha256)
            model = DepthModel(
                file, self.depth_size, self.depth_mean, self.depth_std, self.depth_nearer
            )
            alignments = stretch.track.alignment[rows]
            for alignment, image in zip(alignments, tracked_frames(stretch, rows), strict=True):
                yield _grey(model(aligned(image, alignment, self.size)))
            return
        for points in landmarks_at(stretch.track, rows, self.size):
            yield _grey(mesh_picture(points, self.size))


def mesh_picture(
    landmarks: Float[np.ndarray, "478 3"], size: int = CROP_SIZE
) -> UInt8[np.ndarray, "size size"]:
    """The face mesh as a depth picture: nearest point 255, background 0.

    Parameters
    ----------
    landmarks : Float[np.ndarray, "478 3"]
        Of one frame, in pixels of the picture (`FaceTrack.aligned_landmarks`).
    size : int
        Side of the picture in pixels.
    """
    triangles = face_triangles()
    depth = depth_map(landmarks, triangles, size)
    nearest = landmarks[: triangles.max() + 1, 2].min()
    behind = (depth - nearest) / (DEPTH_RANGE * float(interocular(landmarks)))
    bright = np.round(255 - 254 * np.minimum(behind, 1.0))
    return np.where(np.isfinite(depth), bright, 0).astype(np.uint8)


def _grey(picture: UInt8[np.ndarray, "side side"]) -> UInt8[np.ndarray, "side side 3"]:
    return np.repeat(picture[:, :, None], 3, axis=2)
