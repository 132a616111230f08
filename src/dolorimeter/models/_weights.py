"""Reading weights files into networks: every name and shape must match."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from dolorimeter.errors import ConfigError, StorageError

WRAPPINGS = ("state_dict", "model_state_dict")
"""Keys under which published files hold their state dict."""


def load_weights(model: nn.Module, path: str | Path, *, without: Sequence[str] = ()) -> None:
    """Load a weights file into `model`: every name and shape must match.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    path : str or Path
        ``.safetensors``, or a file of `torch.save` that holds a state dict, bare or under one of
        the keys of `WRAPPINGS`. The latter is read with ``weights_only=True``, which runs no code.
    without : sequence of str
        Names that are not taken from the file, whatever is there under them; where the model has
        them it keeps its own. ``("head.weight", "head.bias")`` leaves out a classifier.

    Raises
    ------
    StorageError
        If the file is missing or is not such a file.
    ConfigError
        If names are missing, unexpected, or of another shape; all are listed. Also if a name of
        `without` is neither in the file nor in the model.

    Examples
    --------
    >>> from dolorimeter.models import create_model
    >>> encoder = create_model("tnt_s_patch16_224", num_classes=0)
    >>> load_weights(encoder, "tnt_s.safetensors", without=("head.weight", "head.bias"))
    Traceback (most recent call last):
    dolorimeter.errors.StorageError: tnt_s.safetensors: no such weights file. Check the path.
    """
    path = Path(path)
    own, found = model.state_dict(), _read(path)
    unknown = [name for name in without if name not in own and name not in found]
    if unknown:
        raise ConfigError(
            f"{path}: {_some(unknown)} should be left out, and neither the file nor the model has "
            "that name. Check the spelling."
        )
    wanted = {name: v for name, v in own.items() if name not in without}
    found = {name: v for name, v in found.items() if name not in without}
    _check_names(wanted, found, path)
    model.load_state_dict(own | found)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise StorageError(f"{path}: no such weights file. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no pickle it may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch tells how to run that code
            reason = "no pickle of tensors alone"
        raise StorageError(
            f"{path}: not a weights file that can be read without running code ({reason}). Give "
            ".safetensors, or a state dict from torch.save."
        ) from error
    for key in WRAPPINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(v, Tensor) for v in content.values()
    ):
        raise StorageError(
            f"{path}: holds {type(content).__name__}, expected a state dict (names to tensors), "
            f"bare or under the key {' or '.join(map(repr, WRAPPINGS))}."
        )
    return content


def _check_names(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    shaped = [
        f"{name} {tuple(found[name].shape)} (expected {tuple(wanted[name].shape)})"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    faults = (("missing", missing), ("unexpected", unexpected), ("of another shape", shaped))
    said = [f"{len(names)} {what}: {_some(names)}" for what, names in faults if names]
    if said:
        raise ConfigError(
            f"{path}: these weights are of another network. {'; '.join(said)}. Nothing was "
            "loaded: build the model with the arguments that the weights were trained with, or "
            "name what is to be left out (without=…)."
        )


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
