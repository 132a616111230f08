"""A signal autoencoder read back with its decoder: to paint what is missing of signals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dolorimeter.errors import StorageError
from dolorimeter.models import SignalAutoencoder, SignalMAEEncoder
from dolorimeter.models._weights import load_weights
from dolorimeter.pretraining._kinds import pretraining_from
from dolorimeter.pretraining._masked_config import MaskedSignal
from dolorimeter.pretraining._result import AUTOENCODER


def read_autoencoder(folder: str | Path) -> SignalAutoencoder:
    """The autoencoder of signals that `pretrain` has left, in evaluation: for its ``filled(x)``.

    Channels are those of the settings, in their order, at their sampling rate. Pre-trained with
    ``scaling = "train_robust"`` it takes and gives signals in their own units; with
    ``window_minmax`` what it takes must be scaled before, and what it gives is.

    Parameters
    ----------
    folder : str or Path
        Of the pre-training.

    Raises
    ------
    StorageError
        If the folder holds none, or it is damaged.
    ConfigError
        If the weights are of another network than beside them is told.
    """
    weights = Path(folder) / AUTOENCODER
    beside = weights.with_name(weights.name + ".json")
    try:
        told: Any = json.loads(beside.read_text(encoding="utf-8"))
        config = pretraining_from(told["settings"], str(beside))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{beside}: cannot be read ({error!r}). Give the folder that `dolorimeter pretrain` "
            "of kind masked_signal has written."
        ) from error
    if not isinstance(config, MaskedSignal):
        raise StorageError(f"{beside}: of kind {config.kind}, expected masked_signal.")
    sizes: dict[str, Any] = {
        "heads": config.heads,
        "hidden": config.hidden,
        "layers": config.layers,
        "dropout": config.dropout,
    }
    scaling = "train_robust" if config.scaling == "train_robust" else "none"
    shape = (len(config.channel_names), 1)
    encoder = SignalMAEEncoder(input_shape=shape, scaling=scaling, width=config.width, **sizes)
    module = SignalAutoencoder(encoder, **sizes)
    load_weights(module, weights)
    return module.eval()
