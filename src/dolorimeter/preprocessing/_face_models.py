"""MediaPipe's Face Landmarker, run by LiteRT: the graph around its three networks.

The networks come from the bundle in ``assets``; what surrounds them (letterbox, anchors,
suppression, regions, back-projection) is written here from the settings of MediaPipe's own graphs.

References
----------
Bazarevsky et al., BlazeFace, arXiv 1907.05047 (2019), the detector; Kartynnik et al., arXiv
1907.06724 (2019), and Grishchenko et al., arXiv 2006.10962 (2020), the mesh; Grishchenko et al.,
arXiv 2309.05782 (2023), the blendshapes. Settings: ``mediapipe/tasks/cc/vision/face_detector``
and ``…/face_landmarker`` of google-ai-edge/mediapipe at d9a4e88.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from dolorimeter._extras import load
from dolorimeter.signals.face_mesh import bundle

DETECTOR, MESH, SHAPES = (
    "face_detector.tflite",
    "face_landmarks_detector.tflite",
    "face_blendshapes.tflite",
)
"""The networks in the bundle."""

GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate"
"""What LiteRT says of itself whenever it is used for the first time."""
_LOCK, _greeted = threading.Lock(), list[bool]()

DETECTOR_SIDE = 128
MESH_SIDE = 256
"""Sides in pixels of what the networks look at."""

OVERLAP = 0.3
"""Boxes that share more than this (intersection over union) are one face."""

SCORE_LIMIT = 100.0
"""Scores are clipped to ± this before the sigmoid."""

MARGIN = 1.5
"""A region is the box around a face times this."""

EYES = (33, 263)
"""Outer corners of the person's right and left eye: they give a face its rotation."""

BLENDSHAPE_POINTS = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477,
)  # fmt: skip
"""The landmarks that the blendshape network reads, in its order (face_blendshapes_graph.cc)."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture, in pixels, turned by `angle` (radians, clockwise)."""

    x: float
    y: float
    width: float
    height: float
    angle: float

    def to_picture(self, side: int) -> Float[np.ndarray, "2 3"]:
        """The affine map from pixels of its square copy of `side` pixels to the picture."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        across, down = self.width / side, self.height / side
        linear = np.array([[cosine * across, -sine * down], [sine * across, cosine * down]])
        shift = np.array([self.x, self.y]) - linear @ np.full(2, side / 2)
        return np.column_stack([linear, shift])


@dataclass(frozen=True)
class Detection:
    """A face that the detector has found, in pixels of the picture.

    `keypoints` are the eyes (the person's right one first), nose, mouth and ears.
    """

    centre: Float[np.ndarray, "2"]
    width: float
    height: float
    keypoints: Float[np.ndarray, "6 2"]
    score: float

    @property
    def region(self) -> Region:
        """Where the mesh network should look."""
        x, y = self.centre
        return Region(
            float(x),
            float(y),
            MARGIN * self.width,
            MARGIN * self.height,
            _angle(*self.keypoints[:2]),
        )


@dataclass(frozen=True)
class Mesh:
    """478 landmarks in pixels of the picture, z scaled as x, and how sure the network is."""

    landmarks: Float32[np.ndarray, "478 3"]
    presence: float

    @property
    def region(self) -> Region:
        """Where to look for the same face in the next frame."""
        flat = self.landmarks[:, :2]
        low, high = flat.min(axis=0), flat.max(axis=0)
        side = MARGIN * float((high - low).max())
        x, y = (low + high) / 2
        return Region(float(x), float(y), side, side, _angle(*flat[list(EYES)]))


class FaceModels:
    """The three networks; one instance for each thread.

    Parameters
    ----------
    threads : int
        Threads of each network.
    """

    def __init__(self, threads: int = 1) -> None:
        files = bundle()
        self._detector = _Network(files[DETECTOR], threads)
        self._mesh = _Network(files[MESH], threads)
        self._shapes = _Network(files[SHAPES], threads)
        self._anchors = anchors()

    def detect(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        min_score: float = 0.5,
        turn: int = 0,
        square: Region | None = None,
    ) -> list[Detection]:
        """Faces of an RGB picture, or of a square part of it, the surest first.

        The network knows upright faces, give or take 45 degrees. With `turn` it sees the picture
        turned counter-clockwise by so many quarters; what it finds is turned back.
        """
        from dolorimeter._extras import cv2

        square = square or whole(image)
        seen = cv2.warpAffine(
            image,
            square.to_picture(DETECTOR_SIDE),
            (DETECTOR_SIDE, DETECTOR_SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )
        turned = np.ascontiguousarray(np.rot90(seen, turn))
        values, scores = self._detector(turned.astype(np.float32) / 127.5 - 1)
        found = decode(values[0], scores[0, :, 0], self._anchors, min_score)
        middle, scale = np.array([square.x, square.y]), square.width / DETECTOR_SIDE
        return [_placed(face, turn, scale, middle) for face in found]

    def mesh(self, image: UInt8[np.ndarray, "height width 3"], region: Region) -> Mesh:
        """The mesh of the face in a region of an RGB picture."""
        from dolorimeter._extras import cv2

        to_picture = region.to_picture(MESH_SIDE)
        seen = cv2.warpAffine(
            image,
            to_picture,
            (MESH_SIDE, MESH_SIDE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        values, presence, _ = self._mesh(np.multiply(seen, 1 / 255, dtype=np.float32))
        points = values.reshape(478, 3)
        flat = points[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        depth = points[:, 2:] * (region.width / MESH_SIDE)
        landmarks = np.hstack([flat, depth]).astype(np.float32)
        return Mesh(landmarks, float(_sigmoid(presence.item())))

    def blendshapes(self, landmarks: Float[np.ndarray, "478 3"]) -> Float32[np.ndarray, "52"]:
        """Blendshapes of a face, 0…1, in the order of `signals.face.BLENDSHAPES`."""
        points = landmarks[list(BLENDSHAPE_POINTS), :2].astype(np.float32)
        return self._shapes(points)[0]


class _Network:
    """A LiteRT network of one input, called like a function."""

    def __init__(self, content: bytes, threads: int) -> None:
        interpreter = load("ai_edge_litert.interpreter").Interpreter
        with _greeting():
            self._network: Any = interpreter(model_content=content, num_threads=threads)
            self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        self._outputs = [out["index"] for out in self._network.get_output_details()]

    def __call__(self, values: Float32[np.ndarray, "..."]) -> list[Any]:
        self._network.set_tensor(self._input, values[None])
        self._network.invoke()
        return [self._network.get_tensor(index) for index in self._outputs]


@contextmanager
def _greeting() -> Iterator[None]:
    """Leave out the line in which LiteRT's first network of a process greets on stderr.

    It is written by C++ to the file descriptor, and nothing in Python's interface turns it off.
    Whatever else is written meanwhile, by this thread or another, is passed on afterwards.
    """
    with _LOCK, tempfile.TemporaryFile() as kept:
        try:
            own = None if _greeted else os.dup(2)
        except OSError:  # a service may have no stderr
            own = None
        if own is None:
            yield
            return
        sys.stderr.flush()
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            _greeted.append(True)
            kept.seek(0)
            rest = b"".join(line for line in kept if not line.startswith(GREETING))
            if rest:
                os.write(2, rest)


def whole(image: UInt8[np.ndarray, "height width 3"]) -> Region:
    """The square that holds a picture."""
    height, width = image.shape[:2]
    side = float(max(height, width))
    return Region(width / 2, height / 2, side, side, 0.0)


def parts(image: UInt8[np.ndarray, "height width 3"]) -> list[Region]:
    """Squares of half the longer side, each half over its neighbours, that cover a picture.

    None where the picture has not twice the pixels that the detector looks at.
    """
    height, width = image.shape[:2]
    side = max(height, width) / 2
    if side < 2 * DETECTOR_SIDE:
        return []
    columns, rows = (
        np.linspace(side / 2, length - side / 2, 3) if length > side else (length / 2,)
        for length in (width, height)
    )
    return [Region(float(x), float(y), side, side, 0.0) for y in rows for x in columns]


def anchors() -> Float[np.ndarray, "896 2"]:
    """Centres of the detector's anchors, 0…1: two a cell at stride 8, six a cell at stride 16."""
    found = []
    for stride, count in ((8, 2), (16, 6)):
        cells = DETECTOR_SIDE // stride
        y, x = np.mgrid[:cells, :cells]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        found.append(np.repeat(centres, count, axis=0))
    return np.concatenate(found)


def decode(
    values: Float[np.ndarray, "anchor 16"],
    scores: Float[np.ndarray, " anchor"],
    centres: Float[np.ndarray, "anchor 2"],
    min_score: float,
) -> list[Detection]:
    """What the detector says, as faces in pixels of its square; overlapping ones joined.

    Of the boxes that overlap the surest one, the mean weighted by score is taken, then so on with
    the rest (weighted non-maximum suppression, BlazeFace, section 3.3).
    """
    sure = _sigmoid(np.clip(scores.astype(float), -SCORE_LIMIT, SCORE_LIMIT))
    kept = np.flatnonzero(sure >= min_score)
    kept = kept[np.argsort(-sure[kept], kind="stable")]
    points = values[kept].astype(float).reshape(-1, 8, 2)  # centre, size, six keypoints
    points[:, [0, 2, 3, 4, 5, 6, 7]] += DETECTOR_SIDE * centres[kept, None]
    weights = sure[kept]
    faces = []
    while len(points):
        alike = _overlap(points[0, :2], points[:, :2]) > OVERLAP
        alike[0] = True
        mean = np.average(points[alike], axis=0, weights=weights[alike])
        faces.append(
            Detection(mean[0], float(mean[1, 0]), float(mean[1, 1]), mean[2:], float(weights[0]))
        )
        points, weights = points[~alike], weights[~alike]
    return faces


def _overlap(
    box: Float[np.ndarray, "2 2"], boxes: Float[np.ndarray, "box 2 2"]
) -> Float[np.ndarray, " box"]:
    """Intersection over union of a box (centre, size) with each of others."""
    low = np.maximum(box[0] - box[1] / 2, boxes[:, 0] - boxes[:, 1] / 2)
    high = np.minimum(box[0] + box[1] / 2, boxes[:, 0] + boxes[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / np.maximum(box[1].prod() + boxes[:, 1].prod(axis=1) - shared, 1e-9)


def _placed(face: Detection, turn: int, scale: float, shift: Float[np.ndarray, "2"]) -> Detection:
    """A face of the turned square, in pixels of the picture, whose middle is at `shift`."""
    middle = DETECTOR_SIDE / 2
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[turn % 4]
    back = scale * np.array([[cosine, -sine], [sine, cosine]])
    return Detection(
        back @ (face.centre - middle) + shift,
        scale * face.width,
        scale * face.height,
        (face.keypoints - middle) @ back.T + shift,
        face.score,
    )


def _angle(right: Float[np.ndarray, "2"], left: Float[np.ndarray, "2"]) -> float:
    """Radians by which the line from the right to the left eye is turned, clockwise."""
    across, down = (left - right).tolist()
    return float(np.arctan2(down, across))


def _sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))
