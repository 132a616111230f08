"""Encoders as files for other programs: by name, or those that a fitted model reads through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dolorimeter.chain import encoder_of
from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.predictor import Predictor
from dolorimeter.registry import MODELS
from dolorimeter.types import Array

if TYPE_CHECKING:
    from dolorimeter.embeddings import Encoder, Exported

OF_THE_NETWORK = ("name", "weights", "without", "seed", "size")
"""What a model folder says of its encoders, and nobody else."""


def export(
    source: str | Path,
    out: str | Path,
    *,
    encoder: Mapping[str, Any] | None = None,
    pictures: str | Path | None = None,
) -> dict[str, Exported]:
    """Write encoders as ONNX files with their Cards, each checked against PyTorch.

    Parameters
    ----------
    source : str or Path
        The name of a model that gives features, or a model folder that `train` has written.
    out : str or Path
        Folder. Where a model has different encoders, each stream gets a folder in it.
    encoder : mapping, optional
        Fields of `embeddings.Encoder`: weights, runtime (``openvino``: its files too), precision,
        calibration. Of a model folder only how the network is run.
    pictures : str or Path, optional
        A ``.npy`` of uint8 pictures on which the files are checked; smooth random ones if none are
        given.

    Returns
    -------
    dict
        What was written: by stream, or by name of the model.

    Raises
    ------
    ConfigError
        If a value is refused, a model has no encoder, or a file disagrees with PyTorch.
    StorageError
        If a file cannot be read or written.
    DependencyError
        If the extra ``fast`` is not installed.
    """
    from dolorimeter.embeddings import export as write  # brings torch along

    given = dict(encoder or {})
    path = Path(source)
    if (path / "predictor.json").is_file():
        found = _of_model(path, given)
    elif path.exists() and str(source) not in MODELS.names():
        raise ConfigError(
            f"{path}: no predictor.json here, expected a model folder written by "
            "`dolorimeter train … --out MODEL`, or the name of a model (dolorimeter list models)."
        )
    else:
        found = {str(source): encoder_of({"name": str(source), **given})}
    checked = None if pictures is None else _pictures(Path(pictures))
    folders = {name: Path(out, name) if len(found) > 1 else Path(out) for name in found}
    return {name: write(each, folders[name], pictures=checked) for name, each in found.items()}


def _of_model(path: Path, given: Mapping[str, Any]) -> dict[str, Encoder]:
    """The different encoders of a model folder, by the first stream that has it."""
    fixed = sorted(set(given) & set(OF_THE_NETWORK))
    if fixed:
        raise ConfigError(
            f"{', '.join(fixed)}: the model folder {path} says so itself, and was fitted on it. "
            "Leave it out, or give the name of a network instead of the folder."
        )
    chain = Predictor.load(path).chain
    found: dict[str, Encoder] = {}
    for stream in () if chain is None else chain.streams:
        each = stream.encoder and replace(stream.encoder, **given)
        if each is not None and each not in found.values():
            found[stream.name] = each
    if not found:
        raise ConfigError(f"{path}: this model has no encoder of pictures that could be exported.")
    return found


def _pictures(path: Path) -> Array:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(
            f"{path}: cannot be read as pictures ({error}). Expected a .npy of uint8 (picture, "
            "channel, height, width)."
        ) from error
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.ndim != 4:
        told = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "several"
        raise ConfigError(
            f"{path}: holds {told}, expected uint8 (picture, channel, height, width)."
        )
    return found
