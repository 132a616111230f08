"""An encoder as an ONNX file: uint8 pictures in, features out, mean and std inside.

The file is written by PyTorch's TorchScript exporter, which needs no package beyond `onnx` (its
successor needs onnxscript). OpenVINO reads the same file, so that there is one thing to check; its
own converter from PyTorch measured no faster (docs/benchmarks.md).

A model whose operators runtimes lack (a Fourier transform) has a method `exportable()`: an
equivalent module without them. A model must take its batch size from ``x.shape[0]``: what `len`
gives is written into the file as a constant.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dolorimeter import storage
from dolorimeter._extras import load
from dolorimeter.embeddings._encoder import Encoder
from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.registry import MODELS
from dolorimeter.types import Array

INPUT, OUTPUT = "pictures", "features"
"""Names in the file."""
OPSET = 17
QUANTISED = ("Conv", "Gemm", "MatMul")
LEAST_INPUTS = 64
"""What int8 replaces: linear layers of at least so many inputs, 1×1 convolutions among them.
Narrower layers, other convolutions, attention and transforms lose most by eight bits and are a
small part of the work (docs/benchmarks.md). A model may name more that stays: `float_in_int8`."""


class Pictures(nn.Module):
    """An encoder that takes uint8 pictures: mean and std of the Card are applied inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        for name in ("mean", "std"):
            values = torch.tensor(getattr(encoder.input, name), dtype=torch.float32)
            after = [1] * (len(encoder.input.shape) - 1)  # of a picture two, of a clip three
            self.register_buffer(name, (255 * values).reshape(-1, *after))

    def forward(
        self, pictures: UInt8[Tensor, "picture channel *rest"]
    ) -> Float[Tensor, "picture *row"]:
        """Features of pictures or clips in 0…255."""
        return self.module((pictures.float() - self.mean) / self.std)


def write_onnx(encoder: Encoder, path: Path) -> None:
    """Write the network of `encoder` to `path`, quantised if its precision is int8.

    The pictures' size is fixed, their number is not.

    Raises
    ------
    DependencyError
        If `onnx` (or, for int8, `onnxruntime`) is not installed.
    ConfigError
        If the network cannot be written, or the calibration pictures do not fit it.
    """
    load("onnx")
    if encoder.precision != "int8":
        with storage.atomic_path(path) as part:
            _trace(encoder, part)
        return
    load("onnxruntime.quantization")
    pictures = calibration_pictures(encoder) if encoder.calibration else None
    with TemporaryDirectory() as folder, storage.atomic_path(path) as part:
        whole = Path(folder) / "whole.onnx"
        _trace(encoder, whole)
        parts = getattr(MODELS.get(encoder.name), "float_in_int8", ())
        _quantise(pictures, parts, whole, part)


def _trace(encoder: Encoder, path: Path) -> None:
    module = encoder.build()
    twin = getattr(module, "exportable", None)
    if twin is not None:
        module = twin() if encoder.size is None else twin(encoder.size)
    wrapped = Pictures(encoder, module).eval()
    example = torch.zeros((2, *encoder.input.shape), dtype=torch.uint8)
    onnx: Any = torch.onnx  # these names are public, and not marked so for type checkers
    jit: Any = torch.jit
    onnx.register_custom_op_symbolic("aten::mT", _transposed, OPSET)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter announces its successor, and the tracer warns of checks of the input's
            # shape. A batch size that became a constant is found when the file is checked.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", jit.TracerWarning)
            onnx.export(
                wrapped,
                (example,),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: {0: "picture"}, OUTPUT: {0: "picture"}},
            )
    except torch.onnx.errors.UnsupportedOperatorError as error:
        raise ConfigError(
            f"{encoder.name} cannot be written as ONNX: {str(error).splitlines()[0]} Take "
            "runtime = 'torch', or give the model a method exportable() without that operator."
        ) from error
    finally:
        onnx.unregister_custom_op_symbolic("aten::mT", OPSET)


def _transposed(g: Any, x: Any) -> Any:
    """``x.mT``, which the exporter does not know."""
    order = list(range(x.type().dim()))
    return g.op("Transpose", x, perm_i=[*order[:-2], order[-1], order[-2]])


def _quantise(pictures: Array | None, parts: Sequence[str], source: Path, target: Path) -> None:
    quantization = load("onnxruntime.quantization")
    prepared = source.with_name("prepared.onnx")
    load("onnxruntime.quantization.shape_inference").quant_pre_process(
        source, prepared, skip_symbolic_shape=True
    )
    settings = {
        "op_types_to_quantize": list(QUANTISED),
        "nodes_to_exclude": _left_out(prepared, parts),
        "per_channel": True,
        "weight_type": quantization.QuantType.QInt8,
    }
    if pictures is None:
        quantization.quantize_dynamic(prepared, target, **settings)
        return

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]  # no stubs
        def __init__(self, pictures: Array) -> None:
            self.pictures: Iterator[Array] = iter(pictures)

        def get_next(self) -> dict[str, Array] | None:
            picture = next(self.pictures, None)
            return None if picture is None else {INPUT: picture[None]}

    quantization.quantize_static(
        prepared,
        target,
        Reader(pictures),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        extra_options={
            "CalibMovingAverage": True,  # one odd picture widens no range
            "ActivationSymmetric": True,  # a zero that is no 0 costs OpenVINO an operator a layer
        },
        **settings,
    )


def _left_out(path: Path, parts: Sequence[str]) -> list[str]:
    """Names of products that are no linear layer, or a narrow one, or within one of `parts`."""
    graph = load("onnx").load(path).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    kept = re.compile("|".join(rf"/{re.escape(part)}[./]" for part in parts) or r"(?!)")
    return [
        node.name
        for node in graph.node
        if node.op_type in QUANTISED
        and (
            kept.search(node.name)
            or _inputs(node.op_type, shapes.get(node.input[1], ())) < LEAST_INPUTS
        )
    ]


def _inputs(kind: str, weights: tuple[int, ...]) -> int:
    """Inputs of a linear layer by the shape of its weights; 0 of what is none."""
    if kind == "Conv":  # (out, in / groups, height, width)
        return weights[1] if weights[2:] == (1, 1) else 0
    return weights[0] if weights else 0


def calibration_pictures(encoder: Encoder) -> UInt8[np.ndarray, "picture channel height width"]:
    """The calibration pictures of `encoder`.

    Raises
    ------
    StorageError
        If the file cannot be read.
    ConfigError
        If it does not hold uint8 pictures of the encoder's size.
    """
    try:
        found = np.load(encoder.calibration, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(
            f"{encoder.calibration}: cannot be read as pictures ({error}). Expected a .npy of "
            "uint8 (picture, channel, height, width)."
        ) from error
    wanted = encoder.input.shape
    told = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "several arrays"
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape[1:] != wanted:
        raise ConfigError(
            f"{encoder.calibration}: holds {told}, and {encoder.name} is calibrated on uint8 "
            f"(picture, {', '.join(map(str, wanted))}). Save such pictures with numpy.save."
        )
    if not len(found):
        raise ConfigError(f"{encoder.calibration}: holds no picture. Give some dozens.")
    if found.max() <= 1:
        raise ConfigError(
            f"{encoder.calibration}: holds pictures of nothing but 0 and 1, expected 0…255: "
            "multiply by 255 before they are made whole numbers."
        )
    return found
