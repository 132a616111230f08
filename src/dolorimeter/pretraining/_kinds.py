"""The kinds of pre-training behind one TOML reader and one call."""

from __future__ import annotations

import tomllib
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

AnyPretraining = Pretraining | MaskedVideo | MaskedSignal
KINDS: Mapping[str, type[AnyPretraining]] = {
    "multitask": Pretraining,
    "masked_video": MaskedVideo,
    "masked_signal": MaskedSignal,
}


def read_pretraining(path: Path, overrides: Mapping[str, Any] | None = None) -> AnyPretraining:
    """Read a pre-training from TOML.

    Parameters
    ----------
    path : Path
    overrides : mapping, optional
        Keys of the first level and values that replace what stands in the file
        (``{"steps": 100}``).

    Raises
    ------
    ConfigError
        Naming file, key, what was found and what was wanted.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file; those of the project are in experiments/pretrain_*.toml."
        ) from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error
    return pretraining_from(values | dict(overrides or {}), str(path))


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
