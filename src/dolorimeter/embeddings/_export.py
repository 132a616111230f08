"""An encoder as files for other programs: ONNX and OpenVINO IR, each with what it must be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from dolorimeter import storage
from dolorimeter._extras import load
from dolorimeter.embeddings import runtimes
from dolorimeter.embeddings._encoder import Encoder
from dolorimeter.embeddings._engine import check_pictures
from dolorimeter.embeddings._onnx import INPUT, OUTPUT, write_onnx
from dolorimeter.embeddings.runtimes import Agreement
from dolorimeter.errors import ConfigError
from dolorimeter.registry import MODELS
from dolorimeter.types import Array


@dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Parameters
    ----------
    files : tuple of Path
        The network's files, then the Card.
    agreement : mapping of str to Agreement
        Runtime to how well its file agrees with PyTorch in float32.
    remarks : tuple of str
        What a user of the files must know: random weights, eight bits.
    """

    files: tuple[Path, ...]
    agreement: Mapping[str, Agreement]
    remarks: tuple[str, ...] = ()


def export(
    encoder: Encoder,
    out: str | Path,
    *,
    pictures: UInt8[np.ndarray, "picture channel height width"] | None = None,
) -> Exported:
    """Write `encoder` as ``NAME.onnx`` into a folder, its Card as ``NAME.json`` beside it.

    The file takes uint8 pictures (mean and std are inside) of a fixed size, in any number. For
    ``runtime = "openvino"`` OpenVINO's ``NAME.xml`` and ``NAME.bin`` are written too. For int8 the
    files hold int8 weights; bf16 is a setting of the runtime, and the files hold float32.

    Parameters
    ----------
    encoder : Encoder
    out : str or Path
        A folder; made if it is not there. Files of the same names are replaced.
    pictures : UInt8[np.ndarray, "picture channel height width"], optional
        At least two, which the files are checked on; smooth random pictures if none are given.

    Raises
    ------
    ConfigError
        If a file disagrees with PyTorch in float32, or the network cannot be written: nothing is
        written then.
    DependencyError
        If `onnx` and the runtime it is checked with are not installed.
    SignalError
        If the pictures are not as the encoder takes them.
    StorageError
        If the folder cannot be written.
    """
    out = Path(out)
    pictures = runtimes.probes(encoder) if pictures is None else pictures
    if len(pictures) < 2:
        raise ConfigError(
            f"{len(pictures)} pictures to check the files on, expected at least 2: batches of two "
            "sizes are compared."
        )
    plain = replace(
        encoder,
        runtime="onnx",
        precision="int8" if encoder.precision == "int8" else "f32",
        device="cpu",
    )
    check_pictures(encoder, pictures, "the pictures to check the files on,")
    if encoder.runtime != "openvino":
        encoder = plain  # nothing else is written, whatever PyTorch was asked to compute in
    checks = [plain] if encoder.runtime != "openvino" else [plain, encoder]
    for each in checks:
        load("onnxruntime" if each.runtime == "onnx" else each.runtime)
    with TemporaryDirectory() as folder:
        made = Path(folder) / f"{encoder.name}.onnx"
        write_onnx(plain, made)
        found = {"onnx": _check(plain, made, pictures)}
        made_all = [made]
        if encoder.runtime == "openvino":
            made_all += _write_ir(made)
            found["openvino"] = _check(encoder, made_all[1], pictures)
        files = [out / each.name for each in made_all]
        for source, target in zip(made_all, files, strict=True):
            storage.write_bytes(target, source.read_bytes())
    card = out / f"{encoder.name}.json"
    storage.write_json(card, _card(encoder, found, files))
    return Exported((*files, card), found, encoder.remarks)


def _check(encoder: Encoder, path: Path, pictures: Array) -> Agreement:
    threads = encoder.threads or torch.get_num_threads()
    runtime = runtimes.open_runtime(encoder, path, threads)
    return runtimes.checked(encoder, runtime, pictures, path.name)


def _write_ir(path: Path) -> list[Path]:
    ov = load("openvino")
    target = path.with_suffix(".xml")
    ov.save_model(ov.Core().read_model(path), target, compress_to_fp16=False)
    return [target, target.with_suffix(".bin")]


def _card(
    encoder: Encoder, found: Mapping[str, Agreement], files: list[Path]
) -> Mapping[str, Any]:
    spec = encoder.input
    return {
        "card": asdict(MODELS.card(encoder.name)),
        "encoder": asdict(encoder),
        "digest": encoder.digest,
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": ["picture", *spec.shape],
            "values": "0…255, channel first; mean and std are applied inside",
            "mean": spec.mean,
            "std": spec.std,
        },
        "output": {"name": OUTPUT, "type": "float32", "shape": ["picture", encoder.width]},
        "provenance": asdict(encoder.provenance),
        "remarks": encoder.remarks,
        "agreement_with_torch_f32": {k: asdict(v) for k, v in found.items()},
        "versions": {p: version(p) for p in ("torch", "onnx")},
        "files": {file.name: storage.sha256(file) for file in files},
    }
