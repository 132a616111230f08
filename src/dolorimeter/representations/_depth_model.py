"""A monocular depth network from a local ONNX file, run by ONNX Runtime or by OpenCV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from dolorimeter.errors import ConfigError
from dolorimeter.storage import sha256

Run = Callable[[np.ndarray], np.ndarray]

COARSEST = 32
"""A map that is coarser than its input by more than this is none: a score, or a feature vector."""

NEARER = ("high", "low")


class ModelFile(NamedTuple):
    """An ONNX file, and what is in it."""

    path: str
    sha256: str


def model_file(path: str) -> ModelFile:
    """A file as it is now.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if not Path(path).is_file():
        raise ConfigError(
            f"depth_model {path}: the file is missing. Give the path of an ONNX file."
        )
    return ModelFile(path, sha256(Path(path)))


@dataclass(frozen=True)
class DepthModel:
    """What a depth network expects and gives.

    Parameters
    ----------
    file : ModelFile
        With one input (1, 3, side, side) and one depth map as its first output.
    size : int
        Side of its input in pixels.
    mean, std : (float, float, float)
        Of its input's channels, for values of 0…1.
    nearer : {"high", "low"}
        Whether nearer points have higher values (inverse depth) or lower ones (metres).
    """

    file: ModelFile
    size: int
    mean: Sequence[float]
    std: Sequence[float]
    nearer: str

    def __call__(
        self, picture: UInt8[np.ndarray, "side side 3"]
    ) -> UInt8[np.ndarray, "side side"]:
        """Depth of an aligned face: its nearest point 255, its farthest 0. Flat gives 0.

        Raises
        ------
        ConfigError
            If the file is no network that gives a depth map of the picture.
        """
        from dolorimeter._extras import cv2  # takes a tenth of a second to import

        small = cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA)
        scaled = (small / 255 - np.array(self.mean)) / np.array(self.std)
        x = np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], dtype=np.float32)
        depth = self._checked(network(self.file)(x))
        if self.nearer == "low":
            depth = -depth
        side = len(picture)
        depth = np.asarray(cv2.resize(depth, (side, side), interpolation=cv2.INTER_LINEAR))
        spread = float(np.ptp(depth))
        if not spread:
            return np.zeros((side, side), dtype=np.uint8)
        return np.round(255 * (depth - depth.min()) / spread).astype(np.uint8)

    def _checked(self, found: np.ndarray) -> Float32[np.ndarray, "height width"]:
        maps = found.reshape(-1, *found.shape[-2:]) if found.ndim >= 2 else found
        coarsest = max(2, self.size // COARSEST)
        small = maps.ndim != 3 or len(maps) != 1 or min(maps.shape[1:]) < coarsest
        if small or not np.isfinite(maps).all():
            kind = "not finite" if np.isnan(found).any() else "of another kind"
            raise ConfigError(
                f"{self.file.path}: gives {found.shape} {kind} for a picture of {self.size} × "
                f"{self.size}, expected one depth map (1, height, width). Check depth_model, "
                "depth_size, depth_mean and depth_std."
            )
        return maps[0].astype(np.float32)


@lru_cache(maxsize=2)
def network(file: ModelFile) -> Run:
    """The network of a file as a function from its input to its first output.

    Raises
    ------
    ConfigError
        If the file is no network that can be run.
    """
    return _with_onnxruntime(file.path) if find_spec("onnxruntime") else _with_opencv(file.path)


def _with_onnxruntime(path: str) -> Run:
    from dolorimeter._extras import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no base class of their own
        raise _unusable(path, error) from error
    (name, *others) = [entry.name for entry in session.get_inputs()]
    if others:
        raise _unusable(path, ValueError(f"it has {1 + len(others)} inputs"))

    def run(x: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(session.run(None, {name: x})[0])
        except Exception as error:  # its errors have no base class of their own
            raise _unusable(path, error) from error

    return run


def _with_opencv(path: str) -> Run:
    from dolorimeter._extras import cv2

    try:
        net = cv2.dnn.readNetFromONNX(path)
    except cv2.error as error:
        raise _unusable(path, error) from error

    def run(x: Float32[np.ndarray, "1 3 side side"]) -> np.ndarray:
        try:
            net.setInput(x)
            return np.asarray(net.forward())
        except cv2.error as error:
            raise _unusable(path, error) from error

    return run


def _unusable(path: str, error: Exception) -> ConfigError:
    told = " ".join(str(error).split())[:200]
    return ConfigError(
        f"depth_model {path}: not an ONNX network that takes pictures (1, 3, side, side) and can "
        f"be run here ({told}). Give the file of a monocular depth model, and its depth_size."
    )
