"""The kinds of pre-training behind one TOML reader and one call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dolorimeter.errors import ConfigError
from dolorimeter.pretraining import masked_signal, masked_video, multitask
from dolorimeter.pretraining._config import Pretraining
from dolorimeter.pretraining._masked_config import MaskedSignal, MaskedVideo
from dolorimeter.pretraining._plain import from_plain
from dolorimeter.pretraining._result import Pretrained
from dolorimeter.pretraining._runtime import Progress
from dolorimeter.toml_files import read_toml

AnyPretraining = Pretraining | MaskedVideo | MaskedSignal
KINDS: Mapping[str, type[AnyPretraining]] = {
    "multitask": Pretraining,
    "masked_video": MaskedVideo,
    "masked_signal": MaskedSignal,
}


PATH_KEYS = re.compile(
    r"(encoder\.)?weights|datasets\.\d+\.root"
    r"|tasks\.\d+\.options\.(root|table|shards\.\d+|datasets\.\d+\.root)"
)
"""Keys of a pre-training that hold paths; shards may be patterns such as ``train-*.tar``."""


def read_pretraining(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    paths_exist: bool = False,
) -> AnyPretraining:
    """Read a pre-training from TOML.

    Paths in the file are relative to it. The settings have them as absolute paths.

    Parameters
    ----------
    path : str or Path
        The file.
    overrides : mapping, optional
        Dotted keys and values that replace those of the file (``{"steps": 100}``). Their paths
        are relative to the current folder.
    paths_exist : bool, default False
        Whether to raise if a path leads nowhere, before anything is computed.

    Raises
    ------
    ConfigError
        Naming the file, the key, its value and the expected value.
    """
    values = read_toml(path, overrides, path_keys=PATH_KEYS, paths_exist=paths_exist)
    return pretraining_from(values, str(path))


def pretraining_from(values: Mapping[str, Any], where: str = "pre-training") -> AnyPretraining:
    """Check plain values and make the pre-training they describe.

    Raises
    ------
    ConfigError
        Naming the key, what was found and what was wanted.
    """
    kind = values.get("kind", "multitask")
    if kind not in KINDS:
        raise ConfigError(f"{where}: 'kind' is {kind!r:.60}, expected one of {', '.join(KINDS)}.")
    return from_plain(KINDS[kind], values, where)


def pretrain(
    config: AnyPretraining, out: str | Path, *, progress: Progress | None = None
) -> Pretrained:
    """Train an encoder: on many labelled tasks together, or on masked clips or signals.

    Every process of ``accelerate launch`` or ``torchrun`` calls it; they share `out`. A call that
    finds the checkpoint of an interrupted one goes on from it, and ends as if it had never
    stopped: in one process bit for bit.

    Parameters
    ----------
    config : Pretraining, MaskedVideo or MaskedSignal
        See `read_pretraining`.
    out : path
        Folder for weights, log, list of tasks and checkpoint.
    progress : callable, optional
        Called with the steps done and the steps wanted, by the first process alone.

    Raises
    ------
    ConfigError
        If a reader, a label or a setting makes no sense.
    DatasetError
        If a task's files are not there, or not what its reader reads.
    TrainingError
        If the loss is not finite, pictures cannot be read any more, or the checkpoint is of
        another pre-training.
    StorageError
        If files cannot be read or written.
    """
    if isinstance(config, MaskedVideo):
        return masked_video.pretrain_masked_video(config, out, progress=progress)
    if isinstance(config, MaskedSignal):
        return masked_signal.pretrain_masked_signal(config, out, progress=progress)
    return multitask.pretrain_multitask(config, out, progress=progress)
