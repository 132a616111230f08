"""What a pre-training is: an encoder, a list of tasks, and how long. Plain values, as in TOML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dolorimeter.augmentation import check_names
from dolorimeter.errors import ConfigError

LabelKind = Literal["class", "multi_label", "continuous"]
Loss = Literal["", "squared", "concordance"]
Split = Literal["person", "picture"]
Weighting = Literal["uncertainty", "equal"]
Statistics = Literal["global", "frozen"]
Precision = Literal["float32", "float64", "bfloat16"]


@dataclass(frozen=True)
class TaskConfig:
    """One task: where its pictures are, and what is asked of them.

    Parameters
    ----------
    name : str
        Of the task, in logs and reports.
    reader : str
        ``image_folders``, ``table``, ``npz_shards``, ``tar_shards`` or ``drawn_signals``.
    label : str
        ``class`` (cross-entropy), ``multi_label`` (binary cross-entropy of each column) or
        ``continuous`` (see `loss`).
    options : mapping
        Of the reader.
    columns : tuple of str
        What of the reader's labels is asked: one for classes, one or more otherwise. Empty: the
        column ``class``.
    classes : tuple of tuple of str
        Labels of each class, in order; others are left out and counted. Empty: every label that
        occurs is a class.
    modality : str
        What the pictures show (``face``, ``ecg``), for reports.
    weight : float
        Factor of the task in the loss.
    loss : str
        Of continuous labels: ``squared`` error of standardised targets (the default), or
        ``concordance``, one minus the concordance correlation.
    split : str
        Who validates: ``person`` (people are trained on or validated with, never both), or
        ``picture``, for sets that do not say who is shown and for recognising people.
    person_namespace : str
        Sets with the same namespace show the same people. Empty: the data set's own, or the
        task's name.
    augment : tuple of str, optional
        Instead of those of the whole pre-training.
    """

    name: str
    reader: str
    label: LabelKind
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ("class",)
    classes: tuple[tuple[str, ...], ...] = ()
    modality: str = ""
    weight: float = 1.0
    loss: Loss = ""
    split: Split = "person"
    person_namespace: str = ""
    augment: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("("):
            raise ConfigError(f"a task is called '{self.name}': give it a plain name.")
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise ConfigError(f"columns are {list(self.columns)}: name each once, and at least 1.")
        if self.label == "class" and len(self.columns) != 1:
            raise ConfigError(
                f"{len(self.columns)} columns for classes, expected 1: take label = 'multi_label' "
                "for several yes-or-no labels, or make one task of each column."
            )
        if self.classes and self.label != "class":
            raise ConfigError(f"classes are for label = 'class', and label is '{self.label}'.")
        flat = [value for group in self.classes for value in group]
        if len(set(flat)) != len(flat) or len(self.classes) == 1:
            raise ConfigError("classes need two groups or more, and each label in one of them.")
        if self.loss and self.label != "continuous":
            raise ConfigError(
                f"loss = '{self.loss}' is for continuous labels, and label is '{self.label}': "
                "leave it out."
            )
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ConfigError(f"weight is {self.weight}, expected above 0.")
        check_names(self.augment or ())


@dataclass(frozen=True)
class EncoderConfig:
    """Which network is trained, from which weights on; see `dolorimeter.embeddings.Encoder`."""

    name: str = "painformer"
    weights: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pretraining:
    """One pre-training: the tree that a TOML file spells out.

    Parameters
    ----------
    kind : str
        ``multitask``; see `MaskedVideo` and `MaskedSignal` for the others.
    tasks : tuple of TaskConfig
    steps : int
        Batches to learn from.
    encoder : EncoderConfig
    size : int
        Side of the pictures in pixels.
    batch_size : int
        Pictures in a batch, over all processes.
    learning_rate : float
        At its highest; it falls along half a cosine.
    warm_up : int
        Steps through which it rises.
    weight_decay : float
        Of AdamW, on matrices and larger; never on the tasks' weights.
    weighting : str
        ``uncertainty`` (learned, see `pretraining._losses`) or ``equal``.
    weighting_rate : float
        The learning rate of the tasks' weights, over that of the network.
    temperature : float
        τ: batches mix tasks in proportion to size^τ. 1: to their size; 0: equally.
    augment : tuple of str
        Of `dolorimeter.augmentation`, in order.
    label_smoothing : float
        Of classes, in training.
    gradient_clip : float
        Highest norm of the gradient; 0: no limit.
    batch_statistics : str
        ``global``: BatchNorm takes mean and variance of the whole batch over all processes;
        ``frozen``: those that the starting weights carry.
    precision : str
        ``bfloat16`` computes the forward pass in autocast; ``float64`` is for tests.
    validation : float
        Share of people (or pictures) that are not trained on.
    validate_every, checkpoint_every, log_every : int
        Steps; 0: at the end alone.
    validation_rows : int
        Pictures of each task that are validated with, at most; 0: all.
    seed : int
    workers : int
        Threads that read and change pictures; 0: none beside the main one.
    device : str
        ``cpu``, or ``auto``.
    """

    tasks: tuple[TaskConfig, ...]
    steps: int
    kind: Literal["multitask"] = "multitask"
    encoder: EncoderConfig = EncoderConfig()
    size: int = 224
    batch_size: int = 256
    learning_rate: float = 5e-4
    warm_up: int = 0
    weight_decay: float = 0.05
    weighting: Weighting = "uncertainty"
    weighting_rate: float = 1.0
    temperature: float = 0.5
    augment: tuple[str, ...] = ("augmix", "trivial_augment")
    label_smoothing: float = 0.1
    gradient_clip: float = 1.0
    batch_statistics: Statistics = "global"
    precision: Precision = "float32"
    validation: float = 0.1
    validate_every: int = 0
    checkpoint_every: int = 500
    log_every: int = 1
    validation_rows: int = 1000
    seed: int = 0
    workers: int = 2
    device: Literal["cpu", "auto"] = "cpu"

    def __post_init__(self) -> None:
        names = [task.name for task in self.tasks]
        if not names:
            raise ConfigError("there is no task: give one [[tasks]] or more.")
        if len(set(names)) != len(names):
            raise ConfigError(f"tasks are called {', '.join(names)}: give each its own name.")
        check_names(self.augment)
        check_numbers(self, _LEAST, ("label_smoothing", "validation"))
        if self.temperature > 1:
            raise ConfigError(f"temperature is {self.temperature}, expected 0…1.")

    def augmentations(self, task: TaskConfig) -> tuple[str, ...]:
        """Names of the augmentations that a task's pictures go through."""
        return self.augment if task.augment is None else task.augment

    def plain(self) -> dict[str, Any]:
        """Plain values that `pretraining_from` reads back."""
        values = asdict(self)
        for task in values["tasks"]:
            if task["augment"] is None:
                del task["augment"]
        return values


_LEAST: Mapping[str, int | float] = {
    **dict.fromkeys(("steps", "size"), 1),
    "batch_size": 2,
    **dict.fromkeys(("learning_rate", "warm_up", "weight_decay", "weighting_rate"), 0),
    **dict.fromkeys(("temperature", "gradient_clip", "validation_rows", "seed", "workers"), 0),
    **dict.fromkeys(("validate_every", "checkpoint_every", "log_every"), 0),
}


def check_numbers(config: Any, least: Mapping[str, int | float], shares: Sequence[str]) -> None:
    """`ConfigError` for a setting below its least value, a share outside 0…1, a long warm-up."""
    for name, smallest in least.items():
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= smallest):
            raise ConfigError(f"{name} is {value}, expected {smallest} or more.")
    if config.warm_up >= config.steps:
        raise ConfigError(f"warm_up is {config.warm_up} of {config.steps} steps: take fewer.")
    for name in shares:
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"{name} is {getattr(config, name)}, expected 0…1, below 1.")
