"""What a masked pre-training is: whose clips or signals, which network, how long. Plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dolorimeter.augmentation import check_names
from dolorimeter.errors import ConfigError
from dolorimeter.pretraining._config import EncoderConfig, Precision, check_numbers


@dataclass(frozen=True)
class DataConfig:
    """A data set: its name, folder, options, and people (empty: all)."""

    name: str
    root: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True)
class SignalConfig:
    """A signal that is learned from.

    Parameters
    ----------
    name : str
        As the data sets call it (``eda``).
    mask_seconds : float
        Mean length of what is hidden of it.
    channels : int
        How many it has.
    """

    name: str
    mask_seconds: float
    channels: int = 1

    def __post_init__(self) -> None:
        if not self.mask_seconds > 0 or self.channels < 1:
            raise ConfigError(
                f"{self.name}: mask_seconds is {self.mask_seconds} and channels {self.channels}, "
                "expected above 0, and 1 or more."
            )


@dataclass(frozen=True, kw_only=True)
class Masked:
    """What both kinds have in common.

    Parameters
    ----------
    datasets : tuple of DataConfig
        Any registered ones; ``video_files`` is any folder of videos.
    windows : mapping
        Fields of `WindowSpec`.
    steps : int
        Batches to learn from.
    batch_size : int
        Clips or windows in a batch, over all processes.
    ratio : float
        Share that is hidden.
    learning_rate : float
        At its highest; of clips, for a batch of 256.
    warm_up : int
        Steps through which it rises.
    gradient_clip : float
        Highest norm of the gradient; 0: no limit.
    precision : str
        ``bfloat16`` computes the forward pass in autocast; ``float64`` is for tests.
    validation : float
        Share of people that are not trained on.
    validate_every, checkpoint_every, log_every : int
        Steps; 0: at the end alone.
    validation_rows : int
        Clips or windows that are validated with, at most; 0: all.
    seed : int
    workers : int
        Threads that read; 0: none beside the main one.
    device : str
        ``cpu``, or ``auto``.
    """

    datasets: tuple[DataConfig, ...]
    windows: Mapping[str, Any]
    steps: int
    batch_size: int = 64
    ratio: float = 0.9
    learning_rate: float = 1.5e-4
    warm_up: int = 0
    gradient_clip: float = 0.0
    precision: Precision = "float32"
    validation: float = 0.1
    validate_every: int = 0
    checkpoint_every: int = 500
    log_every: int = 1
    validation_rows: int = 200
    seed: int = 0
    workers: int = 2
    device: Literal["cpu", "auto"] = "cpu"

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ConfigError("there is no data set: give one [[datasets]] or more.")
        check_numbers(self, _LEAST, ("ratio", "validation"))
        if not self.ratio:
            raise ConfigError("ratio is 0: nothing would be hidden, and nothing learned.")

    def plain(self) -> dict[str, Any]:
        """Plain values that `pretraining_from` reads back."""
        return asdict(self)


_LEAST: Mapping[str, int | float] = {
    **dict.fromkeys(("steps", "batch_size"), 1),
    **dict.fromkeys(("learning_rate", "warm_up", "gradient_clip", "validate_every"), 0),
    **dict.fromkeys(("checkpoint_every", "log_every", "validation_rows", "seed", "workers"), 0),
}


_SMALL = EncoderConfig("video_mae_small")


@dataclass(frozen=True, kw_only=True)
class MaskedVideo(Masked):
    """Pre-training of a video encoder by masked clips; see `Masked` for the rest.

    Parameters
    ----------
    encoder : EncoderConfig
        A ``video_mae_…`` of the registry, and the weights it starts from.
    video : str
        Which of a recording's videos.
    crop : str
        ``face``: it is found, tracked and aligned. ``frame``: whole frames, letterboxed, for
        videos that are cut to the face already.
    sampling : str
        ``strided``: pictures at a stride, from a moment drawn anew each time. ``keyframes``: those
        in which the face has changed.
    stride : int
        From picture to picture, in frames; 0: the widest that fits.
    min_valid : float
        A clip with less than this share of frames with a face is replaced by another.
    augment : tuple of str
        Of `dolorimeter.augmentation`, the same for all pictures of a clip.
    decoder_depth, decoder_width, decoder_heads : int
    painted : float
        Share of the hidden patches that the decoder paints in a step, drawn anew each time: what
        it does not paint costs nothing (Wang et al., VideoMAE V2, CVPR 2023). 1: all of them.
    adversarial : float
        Weight of the critic in the loss; 0: no critic.
    gradient_penalty : float
        λ of the critic: 10 is the authors' class default, 0 their released configuration.
    critic_patches : int
        Patches of a clip that the critic sees, drawn anew each time; 0: all that are hidden.
    standardised : bool
        Whether each patch is standardised before it is painted, as VideoMAE does.
    weight_decay : float
        Of AdamW, on matrices and larger.
    memory : float
        GiB that aligned windows may take so that they need not be decoded again.
    """

    kind: Literal["masked_video"] = "masked_video"
    encoder: EncoderConfig = _SMALL
    video: str = "face"
    crop: Literal["face", "frame"] = "face"
    sampling: Literal["strided", "keyframes"] = "strided"
    stride: int = 0
    min_valid: float = 0.5
    augment: tuple[str, ...] = ()
    decoder_depth: int = 8
    decoder_width: int = 192
    decoder_heads: int = 3
    painted: float = 1.0
    adversarial: float = 0.01
    gradient_penalty: float = 10.0
    critic_patches: int = 0
    standardised: bool = False
    weight_decay: float = 0.05
    memory: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self.augment)
        for name in ("stride", "adversarial", "gradient_penalty", "critic_patches", "memory"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or more.")
        if not 0 < self.painted <= 1:
            raise ConfigError(f"painted is {self.painted}, expected a share above 0, at most 1.")
        if self.crop == "frame" and self.sampling == "keyframes":
            raise ConfigError(
                "keyframes are found by landmarks, and crop = 'frame' looks for no face. Take "
                "crop = 'face', or sampling = 'strided'."
            )


@dataclass(frozen=True, kw_only=True)
class MaskedSignal(Masked):
    """Pre-training of a signal encoder by masked stretches; see `Masked` for the rest.

    Parameters
    ----------
    signals : tuple of SignalConfig
    sampling_rate : float
        Hertz that all of them are brought to.
    scaling : str
        ``train_robust``: median and interquartile range of the windows trained on, kept among the
        weights. ``window_minmax``: each window and channel to −1…1, with a floor under its range.
    preprocessing : tuple of mappings
        Steps along the recording before it is cut, each with its ``name``.
    whole : bool
        Recordings as they are, cut to the windows' duration where they are longer; shorter ones
        are padded.
    weights : str
        Path of a weights file to start from; empty: fresh ones.
    width, heads, hidden, layers, dropout
        Of the encoder; the decoder has the same.
    """

    kind: Literal["masked_signal"] = "masked_signal"
    signals: tuple[SignalConfig, ...]
    sampling_rate: float
    ratio: float = 0.3
    learning_rate: float = 1e-4
    scaling: Literal["train_robust", "window_minmax"] = "train_robust"
    preprocessing: tuple[Mapping[str, Any], ...] = ()
    whole: bool = False
    weights: str = ""
    width: int = 64
    heads: int = 4
    hidden: int = 256
    layers: int = 3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [signal.name for signal in self.signals]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"signals are {names}: name each once, and at least one.")
        if not (math.isfinite(self.sampling_rate) and self.sampling_rate > 0):
            raise ConfigError(f"sampling_rate is {self.sampling_rate}, expected above 0 Hz.")
        for signal in self.signals:
            length = signal.mask_seconds * self.sampling_rate
            if length < max(1, self.ratio / (1 - self.ratio)):
                raise ConfigError(
                    f"{signal.name}: {signal.mask_seconds:g} s at {self.sampling_rate:g} Hz are "
                    f"{length:.2g} samples, too few to hide {self.ratio:g} of it. Take longer "
                    "stretches or a higher sampling_rate."
                )

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One a channel: ``eda``, or ``fnirs 3`` where a signal has several."""
        return tuple(
            signal.name if signal.channels == 1 else f"{signal.name} {i + 1}"
            for signal in self.signals
            for i in range(signal.channels)
        )

    @property
    def mask_lengths(self) -> tuple[float, ...]:
        """Mean length of what is hidden of each channel, in samples."""
        return tuple(
            signal.mask_seconds * self.sampling_rate
            for signal in self.signals
            for _ in range(signal.channels)
        )
