"""Pre-training an encoder on many tasks at once: one network, one linear head a task.

`read_pretraining` reads the list of tasks from TOML, `pretrain` trains; what it leaves is a
weights file that `dolorimeter.embeddings.Encoder` takes, and that says whom it has met.
"""

from dolorimeter.pretraining._config import (
    EncoderConfig,
    Pretraining,
    TaskConfig,
    pretraining_from,
    read_pretraining,
)
from dolorimeter.pretraining.multitask import Pretrained, TaskReport, pretrain

__all__ = [
    "EncoderConfig",
    "Pretrained",
    "Pretraining",
    "TaskConfig",
    "TaskReport",
    "pretrain",
    "pretraining_from",
    "read_pretraining",
]
