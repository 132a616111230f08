"""One call behind PyTorch, ONNX Runtime and OpenVINO: uint8 pictures in, float32 features out.

`runtime_of` keeps what is loaded, so that repeated calls load nothing. What a runtime reads (an
ONNX file) is made once, kept in the user cache under a digest of everything that went into it, and
compared with PyTorch in float32 before its first number is used.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from dolorimeter import storage
from dolorimeter._extras import load
from dolorimeter.embeddings._encoder import Encoder
from dolorimeter.embeddings._onnx import INPUT, Pictures, write_onnx
from dolorimeter.errors import ConfigError
from dolorimeter.types import Array

LEAST_COSINE = {"f32": 0.99999, "bf16": 0.999, "int8": 0.99}
"""Below this cosine to PyTorch in float32, on any picture, a runtime is refused."""
KEPT = 4
"""Loaded networks that are kept."""


class Runtime(ABC):
    """A loaded network."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(
        self, pictures: UInt8[np.ndarray, "picture channel *rest"]
    ) -> Float32[np.ndarray, "picture *row"]:
        """Features of the pictures or clips; threads wait for each other."""
        with self._lock:
            return self._run(pictures)

    @abstractmethod
    def _run(self, pictures: Array) -> Array: ...


class TorchRuntime(Runtime):
    """PyTorch, eager; bf16 is autocast, which leaves norms and transforms in float32."""

    def __init__(self, encoder: Encoder, threads: int) -> None:
        super().__init__()
        found = encoder.device == "auto" and torch.cuda.is_available()
        self.device = torch.device("cuda" if found else "cpu")
        self.module = Pictures(encoder, encoder.build()).eval().to(self.device)
        self.half = encoder.precision == "bf16"
        self.threads = threads

    def _run(self, pictures: Array) -> Array:
        x = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device)
        with (
            _torch_threads(self.threads),
            torch.inference_mode(),
            torch.backends.cudnn.flags(allow_tf32=False),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.half),
        ):
            return self.module(x).float().cpu().numpy()


class OnnxRuntime(Runtime):
    """ONNX Runtime on the processor."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        ort = load("onnxruntime")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # it warns of its own fusions; errors are raised
        # Idle threads sleep: the next batch is decoded meanwhile on the same processor.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        state = load("onnxruntime.capi.onnxruntime_pybind11_state")
        self.faults = (state.Fail, state.InvalidArgument, state.RuntimeException)

    def _run(self, pictures: Array) -> Array:
        try:
            return self.session.run(None, {INPUT: pictures})[0]
        except self.faults as error:  # they have no base of their own
            raise RuntimeError(str(error)) from error


class OpenVinoRuntime(Runtime):
    """OpenVINO on the processor: one stream a thread, each with its share of the batch.

    int8 runs the rest in bf16 where the processor has it.
    """

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        super().__init__()
        ov = load("openvino")
        core = ov.Core()
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        half = precision == "bf16" or (precision == "int8" and has_bf16)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
        }
        compiled = core.compile_model(core.read_model(path), "CPU", settings)
        self.queue = ov.AsyncInferQueue(compiled, threads)
        self.queue.set_callback(self._keep)
        self.found: dict[int, Array] = {}

    def _keep(self, request: Any, place: int) -> None:
        self.found[place] = request.get_output_tensor(0).data.copy()

    def _run(self, pictures: Array) -> Array:
        self.found.clear()
        shares = np.array_split(pictures, min(len(self.queue), len(pictures)))
        for place, share in enumerate(shares):
            self.queue.start_async({0: share}, place)
        self.queue.wait_all()
        return np.concatenate([self.found[place] for place in range(len(shares))])


@dataclass(frozen=True)
class Agreement:
    """How far features are from those of PyTorch in float32.

    Parameters
    ----------
    cosine : float
        The least over the pictures.
    centred_cosine : float
        The same after the mean over the pictures is taken from both: what is left where all
        embeddings are much alike, as those of a random network. NaN with one picture.
    largest : float
        The largest absolute difference of one feature.
    pictures : int
        How many were compared.
    """

    cosine: float
    centred_cosine: float
    largest: float
    pictures: int


def agreement(
    encoder: Encoder, pictures: UInt8[np.ndarray, "picture channel height width"]
) -> Agreement:
    """Compare `encoder` with the same network in PyTorch and float32.

    Parameters
    ----------
    encoder : Encoder
    pictures : UInt8[np.ndarray, "picture channel height width"]
        Other pictures than those it was calibrated on.

    Raises
    ------
    ConfigError
        If there are no pictures.
    """
    return compared(reference(encoder)(pictures), runtime_of(encoder)(pictures))


def compared(
    wanted: Float[np.ndarray, "picture feature"], found: Float[np.ndarray, "picture feature"]
) -> Agreement:
    """The agreement of `found` with `wanted`.

    Raises
    ------
    ConfigError
        If there are no pictures.
    """
    if not len(wanted):
        raise ConfigError("there are no pictures to compare: give at least one.")
    a, b = wanted.astype(np.float64), found.astype(np.float64)
    centred = _cosine(a - a.mean(axis=0), b - b.mean(axis=0)) if len(a) > 1 else np.nan
    return Agreement(_cosine(a, b), centred, float(np.abs(a - b).max()), len(a))


def _cosine(a: Array, b: Array) -> float:
    """The least cosine of two rows; 0 where one of them is nothing and the other is not."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = (a == b).all(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a * b).sum(axis=1) / lengths
    return float(np.where(same, 1.0, np.where(lengths > 0, found, 0.0)).min())


def reference(encoder: Encoder) -> Runtime:
    """The same network in PyTorch, in float32, on the processor."""
    plain = replace(encoder, runtime="torch", precision="f32", calibration="", device="cpu")
    return runtime_of(plain)


def runtime_of(encoder: Encoder) -> Runtime:
    """The loaded network of `encoder`; the last few are kept.

    Raises
    ------
    DependencyError
        If its runtime is not installed.
    StorageError
        If weights or calibration pictures cannot be read.
    ConfigError
        If they do not fit, or the runtime disagrees with PyTorch.
    """
    return _loaded(encoder, encoder.digest, encoder.threads or torch.get_num_threads())


@lru_cache(maxsize=KEPT)
def _loaded(encoder: Encoder, _digest: str, threads: int) -> Runtime:
    if encoder.runtime == "torch":
        return TorchRuntime(encoder, threads)
    load("onnxruntime" if encoder.runtime == "onnx" else "openvino")
    path = _kept(encoder)
    runtime = open_runtime(encoder, path, threads)
    seal = path.with_name(f"{encoder.runtime}-{encoder.precision}.json")
    if not seal.is_file():
        storage.write_json(seal, asdict(checked(encoder, runtime, probes(encoder), str(path))))
    return runtime


def open_runtime(encoder: Encoder, path: Path, threads: int) -> Runtime:
    """The runtime of `encoder` on a file that was made for it."""
    if encoder.runtime == "openvino":
        return OpenVinoRuntime(path, encoder.precision, threads)
    return OnnxRuntime(path, threads)


def checked(
    encoder: Encoder,
    runtime: Runtime,
    pictures: UInt8[np.ndarray, "picture channel height width"],
    what: str,
) -> Agreement:
    """How well `runtime` agrees with PyTorch, in batches of two sizes.

    Raises
    ------
    ConfigError
        If it does not.
    """
    wanted = reference(encoder)(pictures)
    found = []
    for part in (pictures[:1], pictures[1:]):
        try:
            found.append(runtime(part))
            fault = f"{len(found[-1])} rows came out" if len(found[-1]) != len(part) else ""
        except RuntimeError as error:
            fault = str(error).strip().splitlines()[-1]
        if fault:
            raise ConfigError(
                f"{what}: {encoder.runtime} cannot run {encoder.name} on {len(part)} pictures "
                f"({fault}). A model must take its batch size from x.shape[0], not from len(x)."
            )
    result = compared(wanted, np.concatenate(found))
    least = LEAST_COSINE[encoder.precision]
    if not result.cosine >= least:
        raise ConfigError(
            f"{what}: {encoder.runtime} in {encoder.precision} has a cosine of "
            f"{result.cosine:.6f} to PyTorch in float32 (largest difference "
            f"{result.largest:.3g}), expected at least {least}. Take another precision, or "
            "calibrate on more pictures like those to be embedded."
        )
    return result


def probes(encoder: Encoder) -> UInt8[np.ndarray, "picture channel height width"]:
    """Four smooth random pictures: what a runtime is compared on when nothing else is given."""
    channels, height, width = encoder.input.shape
    rng = np.random.default_rng(0)
    rows, columns = np.linspace(0, np.pi, height), np.linspace(0, np.pi, width)
    down = np.cos(rows[:, None] * np.arange(12))  # (height, wave)
    across = np.cos(columns[:, None] * np.arange(12))  # (width, wave)
    waves = rng.normal(size=(4, channels, 12, 12))
    smooth = np.einsum("hi,pcij,wj->pchw", down, waves, across)
    return np.clip(128 + 8 * smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def _kept(encoder: Encoder) -> Path:
    """The ONNX file of `encoder` in the user cache, made if it is not there."""
    plain = encoder.precision != "int8"  # f32 and bf16 read the same file
    same = replace(encoder, runtime="onnx", precision="f32" if plain else "int8")
    versions = [f"{name} {version(name)}" for name in ("torch", "onnx")]
    if not plain:
        versions.append(f"onnxruntime {version('onnxruntime')}")
    source = Path(__file__).with_name("_onnx.py")
    folder = storage.digest(same.digest, *versions, source)[:32]
    path = storage.user_cache() / "runtimes" / folder / "model.onnx"
    if not path.is_file():
        write_onnx(encoder, path)
    return path


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if count != before:
            torch.set_num_threads(count)
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
