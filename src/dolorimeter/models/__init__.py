"""Networks: one paper, one file. They know nothing of data; `create_model` builds them by name.

>>> model = create_model("painattnnet", num_classes=2)
>>> sum(p.numel() for p in model.parameters())
558308
"""

from __future__ import annotations

import difflib
import inspect

from dolorimeter._extras import torch
from dolorimeter.errors import ConfigError
from dolorimeter.models._weights import load_weights
from dolorimeter.models.convtran import ConvTran
from dolorimeter.models.dual_stream import DualStream
from dolorimeter.models.e2e_mer import E2EMER
from dolorimeter.models.embedding_mixer import EmbeddingFusion, EmbeddingMixer, VideoEncoder
from dolorimeter.models.full_transformer import FullTransformer, FullTransformerEndToEnd
from dolorimeter.models.lstm import LongShortTermMemory
from dolorimeter.models.mte_mer import MTEMER
from dolorimeter.models.painattnnet import PainAttnNet
from dolorimeter.models.painformer import PainFormer
from dolorimeter.models.perceptron import Perceptron
from dolorimeter.models.resnet3d import ResNet3D18
from dolorimeter.models.signal_mae import SignalAutoencoder, SignalMAEEncoder
from dolorimeter.models.tnt import TNT
from dolorimeter.models.transformer import Transformer
from dolorimeter.models.vggface_rnn import VGGFaceRNN
from dolorimeter.models.video_mae import VideoAutoencoder, VideoMAEEncoder, ViT3D
from dolorimeter.registry import MODELS

__all__ = [
    "E2EMER",
    "MTEMER",
    "TNT",
    "ConvTran",
    "DualStream",
    "EmbeddingFusion",
    "EmbeddingMixer",
    "FullTransformer",
    "FullTransformerEndToEnd",
    "LongShortTermMemory",
    "PainAttnNet",
    "PainFormer",
    "Perceptron",
    "ResNet3D18",
    "SignalAutoencoder",
    "SignalMAEEncoder",
    "Transformer",
    "VGGFaceRNN",
    "ViT3D",
    "VideoAutoencoder",
    "VideoEncoder",
    "VideoMAEEncoder",
    "create_model",
    "load_weights",
    "model_arguments",
]


def model_arguments(name: str) -> tuple[str, ...]:
    """Names of the arguments that the model of that name takes.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    """
    return tuple(inspect.signature(MODELS.get(name)).parameters)


def create_model(name: str, **arguments: object) -> torch.nn.Module:
    """A network with fresh weights.

    Parameters
    ----------
    name : str
        A name of the registry `MODELS`.
    **arguments
        What its class takes; weights are drawn from PyTorch's global generator. ``num_classes=0``
        gives features in place of logits where the class says ``gives_features = True``.

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
    entry = MODELS.get(name)
    least = 0 if getattr(entry, "gives_features", False) else 1
    classes = arguments.get("num_classes", 2)
    if not isinstance(classes, int) or classes < least:
        raise ConfigError(
            f"num_classes is {classes!r}, expected a whole number of at least {least}."
        )
    model: torch.nn.Module = entry(**arguments)
    return model
