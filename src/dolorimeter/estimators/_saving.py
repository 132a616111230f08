"""Fitted estimators on disk: scikit-learn parts through skops, tensors as safetensors.

Nothing is pickled. A file may name only types from the list below, from skops' own list, and those
that the caller trusts by name; any other is refused before it is built.
"""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from dolorimeter._extras import load
from dolorimeter.errors import StorageError
from dolorimeter.estimators._deep import NetworkClassifier
from dolorimeter.storage import (
    MANIFEST,
    atomic_path,
    damaged_files,
    replaced_folder,
    seal_folder,
    write_bytes,
    write_json,
)

FORMAT = 1
TENSORS = "tensors.safetensors"
FILES = ("estimator.json", "estimator.skops", TENSORS, MANIFEST)
TRUSTED = (
    "dolorimeter.estimators._calibration.IsotonicCalibrated",
    "dolorimeter.estimators._calibration.TemperatureCalibrated",
    "dolorimeter.estimators._conformal.ConformalClassifier",
    "dolorimeter.estimators._conformal.ConformalRegressor",
    "dolorimeter.estimators._deep.NetworkClassifier",
    "dolorimeter.estimators._dual.DualStreamClassifier",
    "dolorimeter.estimators._empty.EmptyColumnsToZero",
    "dolorimeter.estimators._fusion.FusionClassifier",
    "dolorimeter.estimators._ordinal.OrdinalLogistic",
    "dolorimeter.estimators._score.FeatureScore",
    "dolorimeter.estimators._search.SubjectSearch",
    "dolorimeter.estimators._wrappers.RegisteredSearch",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Our own types, and three of fitted scikit-learn estimators that are not in the list of skops.

They run no code on load; a forged tree could still make the process read beyond its arrays.
"""


def save_estimator(estimator: Any, folder: str | Path, *, trusted: Sequence[str] = ()) -> None:
    """Write a fitted estimator as ``estimator.skops``, a note, and the digests of both.

    An estimator that is there before is replaced as a whole, or stays as it is.

    Weights of networks go into ``tensors.safetensors``; without a network there is no such file.

    Parameters
    ----------
    estimator : estimator
        Ours, scikit-learn's, and pipelines and wrappers of them. It is left as it is.
    folder : str or Path
        Made if need be.
    trusted : sequence of str
        Full names of further types that may be in it (``"mypackage.MyTransformer"``); the same
        must be given to `load_estimator`.

    Raises
    ------
    StorageError
        If it holds a type that is not trusted, or the folder cannot be written.
    """
    with replaced_folder(Path(folder), FILES) as part:
        _write_estimator(estimator, part, Path(folder), trusted=trusted)


def _write_estimator(
    estimator: Any, part: Path, folder: Path, *, trusted: Sequence[str] = ()
) -> None:
    """Write the files of `save_estimator` into `part`, which is to become `folder`."""
    import skops.io
    from skops.io.exceptions import UnsupportedTypeException

    part.mkdir(parents=True, exist_ok=True)
    bare = copy.deepcopy(estimator)
    networks = list(_networks(bare))
    tensors: dict[str, np.ndarray] = {}
    for number, network in enumerate(networks):
        tensors |= _detach(network, number)
    try:
        content = skops.io.dumps(bare)
    except (UnsupportedTypeException, TypeError, AttributeError) as error:
        raise StorageError(
            f"{folder}: {type(estimator).__name__} cannot be saved without pickle ({error}). "
            "Use scikit-learn's own types, or save what it learned in arrays."
        ) from error
    _refuse_unknown(skops.io.get_untrusted_types(data=content), trusted, folder)
    write_bytes(part / "estimator.skops", content)
    if networks:
        with atomic_path(part / TENSORS) as tensor_file:
            load("safetensors.numpy").save_file(tensors, tensor_file)
    write_json(
        part / "estimator.json",
        {
            "format": FORMAT,
            "type": type(estimator).__name__,
            "scikit-learn": sklearn.__version__,
            "skops": skops.__version__,
            "trusted": sorted(trusted),
        },
    )
    seal_folder(part, FILES[:-1])


def load_estimator(folder: str | Path, *, trusted: Sequence[str] = ()) -> Any:
    """The estimator that `save_estimator` wrote: it predicts what the saved one predicts.

    Raises
    ------
    StorageError
        If a file is missing, damaged, of a later format, or names a type that is not trusted.
    """
    import skops.io  # walks through all of scikit-learn, and so imports torch

    folder = Path(folder)
    for name in ("estimator.json", "estimator.skops"):
        _check_file(folder, name)
    try:
        about = json.loads((folder / "estimator.json").read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise StorageError(
                f"{folder}: format {about['format']}, and this version reads {FORMAT}: install a "
                "newer dolorimeter."
            )
        if faults := damaged_files(folder):
            _check_file(folder, faults[0].removesuffix(" is missing"))
            raise _damaged(folder, "; ".join(faults))
        unknown = skops.io.get_untrusted_types(file=folder / "estimator.skops")
        _refuse_unknown(unknown, trusted, folder)
        estimator = skops.io.load(folder / "estimator.skops", trusted=unknown)
    except (zipfile.BadZipFile, ValueError, KeyError, OSError) as error:
        raise _damaged(folder, error) from error
    networks = list(_networks(estimator))
    tensors = _read_tensors(folder) if networks else {}
    for number, network in enumerate(networks):
        _attach(network, number, tensors)
    return estimator


def _read_tensors(folder: Path) -> dict[str, np.ndarray]:
    _check_file(folder, TENSORS)
    try:
        return load("safetensors.numpy").load_file(folder / TENSORS)
    except (load("safetensors").SafetensorError, ValueError, OSError) as error:
        raise _damaged(folder, error) from error


def _check_file(folder: Path, name: str) -> None:
    if name in FILES and not (folder / name).is_file():
        raise StorageError(f"{folder}: no {name}, so that this is no saved estimator.")


def _damaged(folder: Path, error: Exception | str) -> StorageError:
    return StorageError(f"{folder}: the saved estimator is damaged ({error}). Save it again.")


def _refuse_unknown(found: Sequence[str], trusted: Sequence[str], folder: Path) -> None:
    unknown = sorted(set(found) - set(TRUSTED) - set(trusted))
    if unknown:
        raise StorageError(
            f"{folder}: the estimator holds {', '.join(unknown)}, which is not known to be safe. "
            "If you know where it comes from, give trusted=[those names] when saving and loading."
        )


def _networks(thing: Any, seen: set[int] | None = None) -> Iterator[NetworkClassifier]:
    """Every fitted network inside, in an order that depends on names only."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, NetworkClassifier):
        if hasattr(thing, "weights_"):
            yield thing
    elif isinstance(thing, dict):
        for key in sorted(thing, key=str):
            yield from _networks(thing[key], seen)
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from _networks(item, seen)
    elif hasattr(thing, "get_params"):
        yield from _networks(vars(thing), seen)


def _detach(network: NetworkClassifier, number: int) -> dict[str, np.ndarray]:
    """Take the weights out of a network; they are named after its number and the epoch."""
    stages = [network.weights_, *network.epoch_weights_]
    network.weights_ = {}
    network.epoch_weights_ = [{} for _ in network.epoch_weights_]
    return {
        f"{number}/{stage}/{name}": np.array(values)
        for stage, weights in enumerate(stages)
        for name, values in weights.items()
    }


def _attach(network: NetworkClassifier, number: int, tensors: dict[str, np.ndarray]) -> None:
    """Undo `_detach`."""
    stages = [network.weights_, *network.epoch_weights_]
    for name, values in tensors.items():
        own, stage, key = name.split("/", 2)
        if int(own) == number:
            stages[int(stage)][key] = values
