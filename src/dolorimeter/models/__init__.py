"""Networks: one paper, one file. They know nothing of data; `create_model` builds them by name.

>>> model = create_model("painattnnet", num_classes=2)
>>> sum(p.numel() for p in model.parameters())
558308
"""

from __future__ import annotations

import difflib
import inspect
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.models.painattnnet import PainAttnNet
from dolorimeter.models.perceptron import Perceptron
from dolorimeter.registry import MODELS

__all__ = ["PainAttnNet", "Perceptron", "create_model", "load_weights", "model_arguments"]


def model_arguments(name: str) -> tuple[str, ...]:
    """Names of the arguments that the model of that name takes.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    """
    return tuple(inspect.signature(MODELS.get(name)).parameters)


def create_model(name: str, **arguments: object) -> nn.Module:
    """A network with fresh weights.

    Parameters
    ----------
    name : str
        A name of the registry `MODELS`.
    **arguments
        What its class takes; weights are drawn from PyTorch's global generator.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    ConfigError
        If it takes no such argument, or needs one that is not given.
    """
    known = inspect.signature(MODELS.get(name)).parameters
    for argument in arguments:
        if argument not in known:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}."
            raise ConfigError(f"the model '{name}' takes no argument '{argument}'; {hint}")
    needed = [
        n for n, p in known.items() if p.default is inspect.Parameter.empty and n not in arguments
    ]
    if needed:
        raise ConfigError(f"the model '{name}' needs {', '.join(needed)}, which was not given.")
    classes = arguments.get("num_classes", 2)
    if not isinstance(classes, int) or classes < 1:
        raise ConfigError(f"num_classes is {classes!r}, expected a whole number of at least 1.")
    model: nn.Module = MODELS.get(name)(**arguments)
    return model


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a weights file into `model`: every name and shape must match.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    path : str or Path
        ``.safetensors``, or a file of `torch.save` that holds a state dict, bare or under the key
        ``state_dict``. The latter is read with ``weights_only=True``, which runs no code.

    Raises
    ------
    StorageError
        If the file is missing or is not such a file.
    ConfigError
        If names are missing, unexpected, or of another shape; all are listed.
    """
    path = Path(path)
    _check_names(model.state_dict(), (weights := _read(path)), path)
    model.load_state_dict(weights)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise StorageError(f"{path}: no such weights file. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise StorageError(
            f"{path}: not a weights file that can be read without running code "
            f"({str(error).splitlines()[0]}). Give .safetensors, or a state dict from torch.save."
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(v, Tensor) for v in content.values()
    ):
        raise StorageError(
            f"{path}: holds {type(content).__name__}, expected a state dict (names to tensors), "
            "bare or under the key 'state_dict'."
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
            "loaded: build the model with the arguments that the weights were trained with."
        )


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
