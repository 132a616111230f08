"""What turns pictures into numbers, in plain values: which network, which weights, run by what."""

from __future__ import annotations

import inspect
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dolorimeter import storage
from dolorimeter.embeddings._tokens import Tokens, check_tokens
from dolorimeter.errors import ConfigError, StorageError
from dolorimeter.models import create_model, load_weights, model_arguments
from dolorimeter.registry import MODELS, PUBLISHED, InputSpec, Weights

PRECISIONS: Mapping[str, tuple[str, ...]] = {
    "torch": ("f32", "bf16"),
    "onnx": ("f32", "int8"),
    "openvino": ("f32", "bf16", "int8"),
}
"""What each runtime can compute in. bf16 keeps sums in float32; int8 is for linear layers."""


@dataclass(frozen=True)
class Encoder:
    """A frozen network and how it is run. Plain values: it can be written as TOML or JSON.

    Parameters
    ----------
    name : str
        A name of the registry `MODELS` whose Card says what pictures it takes.
    weights : str
        Path of a weights file, or ``"published"`` for the one on the Card. Empty: randomly
        initialised from `seed`, which every report then says.
    seed : int
        Of the random weights; without meaning where weights are given.
    without : sequence of str
        Names in the weights file that are left out (``head.weight``, ``head.bias``). All others
        must match.
    runtime : str
        ``torch``, or ``onnx`` (ONNX Runtime) or ``openvino`` from the extra ``fast``.
    precision : str
        ``f32``, ``bf16`` or ``int8``, as `PRECISIONS` says.
    calibration : str
        For int8: a ``.npy`` of uint8 pictures (picture, channel, height, width) from which the
        ranges of activations are taken. They must not show the people under test. Without it,
        ``onnx`` takes the ranges from each batch, and ``openvino`` refuses.
    batch_size : int
        Pictures at once.
    threads : int, optional
        Of the processor; None is as many as PyTorch has at that moment.
    device : str
        ``cpu``, or ``auto`` for a GPU when PyTorch sees one (runtime ``torch`` only).
    tokens : str
        Of an encoder of clips: empty for its features, ``all`` for each token, ``2x2`` for the
        means of squares of two by two places, ``time`` for the mean of each moment.
    size : int, optional
        Side of the pictures; None is the Card's. PainFormer interpolates its spectral weights;
        TNT's weights are for one size, and those of another are refused.

    Raises
    ------
    UnknownNameError
        If no model has that name.
    ConfigError
        If the model takes no pictures or gives no features, or a value is refused.

    Examples
    --------
    >>> Encoder("tnt_s_patch16_224").width
    384
    """

    name: str
    weights: str = ""
    seed: int = 0
    without: Sequence[str] = ()
    runtime: str = "torch"
    precision: str = "f32"
    calibration: str = ""
    batch_size: int = 32
    threads: int | None = None
    device: str = "cpu"
    tokens: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", tuple(self.without))  # a list has no hash
        _check_model(self.name)
        check_tokens(
            self.name, MODELS.get(self.name), self.tokens, self.runtime, len(self.input.shape) == 4
        )
        _check_values(self)

    @property
    def input(self) -> InputSpec:
        """Size, mean and std of the pictures: from the Card, but for a size that was given."""
        spec = MODELS.card(self.name).input
        assert spec is not None  # checked when it was made
        if self.size is None:
            return spec
        return replace(spec, shape=(*spec.shape[:-2], self.size, self.size))

    @property
    def width(self) -> int:
        """Numbers in one embedding."""
        return _width(self.name, _source(self.name), self.input.shape, self.size)

    @property
    def row(self) -> tuple[int, ...]:
        """Shape of one picture's or clip's numbers: ``(feature,)`` or ``(token, feature)``."""
        if not self.tokens:
            return (self.width,)
        return _row(self.name, _source(self.name), self.input.shape, self.size, self.tokens)

    @property
    def digest(self) -> str:
        """Identity of the numbers it gives: code, weights, runtime and precision.

        Batch size, threads and device change them by rounding alone, and are not part of it.

        Raises
        ------
        StorageError
            If the weights or the calibration pictures cannot be read.
        """
        calibration = _content(self.calibration) if self.calibration else ""
        return storage.digest(
            "encoder",
            self._network_digest,
            self.runtime,
            self.precision,
            calibration,
            *((f"tokens {self.tokens}",) if self.tokens else ()),
        )

    @property
    def _network_digest(self) -> str:
        """Identity of the network alone: the same for every runtime."""
        told = (self.name, _source(self.name), f"shape {self.input.shape}")
        if not self.weights:
            return storage.digest(*told, f"seed {self.seed}")
        known = self._published.sha256 if self._is_published else None
        content = known or _content(str(self.weights_path))
        return storage.digest(*told, content, *self.without)

    @property
    def weights_path(self) -> Path | None:
        """The weights file; published weights are fetched first. None where there are none.

        Raises
        ------
        ConfigError
            If the Card has no published weights.
        StorageError
            If they cannot be fetched, or are not what the Card says.
        """
        if not self._is_published:
            return Path(self.weights) if self.weights else None
        card = self._published
        name = Path(urllib.parse.urlsplit(card.url).path).name
        kept = storage.digest(card.url)[:16]
        path = storage.user_cache() / "weights" / f"{kept}-{name}"
        storage.download(card.url, path, sha256=card.sha256)
        return path

    @property
    def provenance(self) -> Weights:
        """Where the weights are from and whom they have met.

        Of a file, as ``FILE.json`` beside it says (`trained_on`: person namespace to subjects;
        `self_supervised`). Random weights have met nobody.

        Raises
        ------
        StorageError
            If the file beside the weights is not such JSON.
        """
        if not self.weights:
            return Weights("", None, trained_on={})
        if self._is_published:
            return self._published
        return provenance_of(Path(self.weights))

    @property
    def trained_on(self) -> Mapping[str, tuple[str, ...]] | None:
        """Person namespace to subjects that the weights have met; None: nobody has said."""
        return self.provenance.trained_on

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the results must know of it."""
        found = []
        if not self.weights:
            found.append(
                f"{self.name} is randomly initialised (seed {self.seed}): no weights were given"
            )
        elif self.trained_on is None:
            found.append(f"{self.name}: nobody has said whom the weights {self.weights} have met")
        trained, used = self.provenance.size, self.input.shape[-1]
        if trained is not None and trained != used:
            found.append(
                f"{self.name}: the weights were trained on pictures of {trained} pixels, and are "
                f"given pictures of {used}"
            )
        elif self.size is not None and trained is None and self.weights:
            found.append(f"{self.name} is given pictures of {used} pixels, not the Card's size")
        if self._is_published and self._published.sha256 is None:
            found.append(f"{self.name}: its Card has no SHA-256, so the weights are unverified")
        if self.precision == "bf16":
            found.append(f"{self.name} was run in bfloat16 by {self.runtime}")
        if self.precision == "int8":
            ranges = f"calibrated on {self.calibration}" if self.calibration else "dynamic ranges"
            found.append(f"{self.name} was run in int8 by {self.runtime} ({ranges})")
        return tuple(found)

    def build(self) -> nn.Module:
        """The network in float32, in evaluation, without gradients; it takes normalised pictures.

        Raises
        ------
        StorageError
            If the weights cannot be read or fetched.
        ConfigError
            If they are of another network.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = _created(self.name, self.size)
        path = self.weights_path
        if path is not None:
            try:
                load_weights(module, path, without=self.without)
            except ConfigError as error:
                if self.size is None:
                    raise
                told = f" They were asked for with size = {self.size}: are they for that size?"
                raise ConfigError(str(error) + told) from error
        if self.tokens:
            module = Tokens(module, self.tokens)
        return module.eval().requires_grad_(False)

    @property
    def _is_published(self) -> bool:
        return self.weights == PUBLISHED

    @property
    def _published(self) -> Weights:
        card = MODELS.card(self.name)
        if card.weights is None:
            raise ConfigError(
                f"weights is 'published', and the Card of {self.name} names none. Give the path "
                "of a weights file, or leave weights empty for a randomly initialised network."
            )
        return card.weights


def _check_model(name: str) -> None:
    card = MODELS.card(name)
    spec = card.input
    if spec is None or len(spec.shape) not in (3, 4) or spec.mean is None or spec.std is None:
        raise ConfigError(
            f"{name} is no encoder of pictures: its Card does not say their size, mean and std. "
            "Take another model (dolorimeter list models)."
        )
    if not getattr(MODELS.get(name), "gives_features", False):
        raise ConfigError(
            f"{name} gives logits alone, and an embedding needs features. Take another model "
            "(dolorimeter list models)."
        )


def _check_values(encoder: Encoder) -> None:
    if encoder.runtime not in PRECISIONS:
        raise ConfigError(
            f"runtime is '{encoder.runtime}', expected one of {', '.join(PRECISIONS)}."
        )
    known = PRECISIONS[encoder.runtime]
    if encoder.precision not in known:
        raise ConfigError(
            f"precision is '{encoder.precision}', and {encoder.runtime} runs {', '.join(known)}. "
            "Choose one of these, or another runtime."
        )
    if encoder.calibration and encoder.precision != "int8":
        raise ConfigError(
            f"calibration pictures are for int8, and precision is '{encoder.precision}'. Leave "
            "them out, or set precision = 'int8'."
        )
    if (encoder.runtime, encoder.precision, encoder.calibration) == ("openvino", "int8", ""):
        raise ConfigError(
            "openvino needs calibration pictures for int8: give calibration = a .npy of uint8 "
            "pictures that do not show the people under test, or take runtime = 'onnx'."
        )
    if encoder.without and not encoder.weights:
        raise ConfigError("without names entries of a weights file, and no weights are given.")
    for name, value in (("batch_size", encoder.batch_size), ("threads", encoder.threads)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}, expected at least 1.")
    if encoder.seed < 0:
        raise ConfigError(f"seed is {encoder.seed}, expected at least 0.")
    if encoder.device not in ("cpu", "auto"):
        raise ConfigError(f"device is '{encoder.device}', expected 'cpu' or 'auto'.")
    if encoder.device == "auto" and encoder.runtime != "torch":
        raise ConfigError(
            f"device = 'auto' is for runtime = 'torch'; {encoder.runtime} runs on the processor."
        )
    if encoder.size is not None:
        _check_size(encoder)


def _check_size(encoder: Encoder) -> None:
    """Ask the network itself whether it takes pictures of that size."""
    size = encoder.size
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"size is {size!r}, expected a whole number of pixels, at least 1.")
    try:
        _ = encoder.width
    except (ConfigError, RuntimeError) as error:
        card = MODELS.card(encoder.name).input
        usual = "×".join(map(str, card.shape[-2:])) if card is not None else "?"
        raise ConfigError(
            f"size is {size}, and {encoder.name} takes no such pictures "
            f"({str(error).splitlines()[0]}). Its Card says {usual}."
        ) from error


def provenance_of(weights: str | Path) -> Weights:
    """Whom a weights file has met, as ``FILE.json`` beside it says.

    Raises
    ------
    StorageError
        If the file beside the weights is not such JSON.
    """
    path = Path(f"{weights}.json")
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        met = told.get("trained_on")
        trained_on = None if met is None else {k: tuple(map(str, v)) for k, v in met.items()}
        size = told.get("size")
        return Weights(
            str(weights),
            None,
            trained_on,
            bool(told.get("self_supervised", False)),
            None if size is None else int(size),
        )
    except FileNotFoundError:
        return Weights(str(weights), None)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise StorageError(
            f"{path}: cannot be read as what the weights have met ({error}). Expected JSON like "
            '{"trained_on": {"biovid": ["071309_w_21"]}, "self_supervised": false}.'
        ) from error


def _source(name: str) -> str:
    """Digest of the file that defines the model, and of the layers it shares."""
    file = inspect.getsourcefile(MODELS.get(name))
    if file is None:
        return "no source"
    shared = Path(file).with_name("_layers.py")
    return "".join(_content(str(p)) for p in (Path(file), shared) if p.is_file())


def _content(path: str) -> str:
    """Digest of a file's bytes, computed once as long as the file stays as it is."""
    try:
        told = Path(path).stat()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error}). Check the path.") from error
    return _content_of(path, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=64)
def _content_of(path: str, _changed: int, _size: int) -> str:
    return storage.digest(Path(path))


def _created(name: str, size: int | None) -> nn.Module:
    """The network; of pictures of `size`, if it is one that is built for a size."""
    given = size is not None and "image_size" in model_arguments(name)
    return create_model(name, num_classes=0, **({"image_size": size} if given else {}))


@lru_cache(maxsize=16)
def _row(
    name: str, _source: str, shape: tuple[int, ...], size: int | None, tokens: str
) -> tuple[int, ...]:
    """Asked of the network itself, on a device that computes shapes alone."""
    with torch.device("meta"):
        module = Tokens(_created(name, size).eval(), tokens)
        return tuple(int(n) for n in module(torch.empty(1, *shape)).shape[1:])


@lru_cache(maxsize=16)
def _width(name: str, _source: str, shape: tuple[int, ...], size: int | None) -> int:
    """Asked of the network itself, on a device that computes shapes alone."""
    with torch.device("meta"):
        out = _created(name, size).eval()(torch.empty(1, *shape))
    if out.ndim != 2:
        raise ConfigError(
            f"{name} gives {tuple(out.shape)} for one picture, expected (1, feature): it is no "
            "encoder of pictures."
        )
    return int(out.shape[1])
