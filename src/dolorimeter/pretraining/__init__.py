"""Pre-training an encoder: on many tasks at once, or on masked clips and signals without labels.

`read_pretraining` reads what is wanted from TOML (``kind``), `pretrain` trains. What it leaves is
a weights file that `dolorimeter.embeddings.Encoder` or a network takes, and that says whom it has
met.
"""

from dolorimeter._extras import torch  # noqa: F401  # raises if it is missing
from dolorimeter.pretraining._config import EncoderConfig, Pretraining, TaskConfig
from dolorimeter.pretraining._filling import read_autoencoder
from dolorimeter.pretraining._kinds import pretrain, pretraining_from, read_pretraining
from dolorimeter.pretraining._masked_config import (
    DataConfig,
    MaskedSignal,
    MaskedVideo,
    SignalConfig,
)
from dolorimeter.pretraining._masks import markov_mask, tube_mask
from dolorimeter.pretraining._result import Pretrained, TaskReport

__all__ = [
    "DataConfig",
    "EncoderConfig",
    "MaskedSignal",
    "MaskedVideo",
    "Pretrained",
    "Pretraining",
    "SignalConfig",
    "TaskConfig",
    "TaskReport",
    "markov_mask",
    "pretrain",
    "pretraining_from",
    "read_autoencoder",
    "read_pretraining",
    "tube_mask",
]
