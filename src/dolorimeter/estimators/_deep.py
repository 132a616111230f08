"""Networks behind scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
from jaxtyping import Float, Int, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from dolorimeter.augmentation import check_names
from dolorimeter.errors import ConfigError, TrainingError
from dolorimeter.estimators._inner import check_parameters, class_weights, require_groups
from dolorimeter.estimators._input import ClipCut, change_of, scaling_of
from dolorimeter.registry import MODELS, Card
from dolorimeter.splits import inner_validation

if TYPE_CHECKING:
    from torch import nn

    from dolorimeter.training import Schedule

PLAUSIBLE = {"uS": (1e-3, 1e3, "skin conductance lies between 0.05 and 100 microsiemens")}
"""By unit of a Card's input: what the largest absolute values of windows must lie between."""


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network of the registry `MODELS`, trained by the one loop of `dolorimeter.training`.

    Parameters
    ----------
    module : str
        Name in `MODELS`. A network that takes ``input_shape`` is given that of the windows.
    module_args : mapping, optional
        Further arguments of the network (not ``num_classes``, which comes from y).
    epochs : int
        Passes over the training windows, at most.
    batch_size : int
        Windows a batch.
    learning_rate : float
        Of the optimiser, at first (after the warm-up).
    learning_rate_drops : sequence of (int, float)
        ``(n, rate)``: the learning rate after epoch n. Of ``schedule="drops"`` only.
    early_stopping : bool
        Cut `validation_share` of the subjects off the training windows and keep the epoch with the
        lowest loss on them. Needs ``groups=subject`` in `fit`. Without it the last epoch is kept.
    validation_share : float
        Share of the subjects, not of the windows.
    patience : int, optional
        Stop after so many epochs without a lower validation loss; None runs all epochs.
    class_weight : str or mapping, optional
        None: every window counts the same, whatever its class. ``"balanced"``: every class counts
        the same. A mapping of class to weight: as it says, 1 for classes not in it.
    random_state : int, RandomState or None
        Of weights, order, dropout and the inner split.
    threads : int, optional
        Threads of PyTorch during fit and predict; None leaves them as they are.
    precision : str
        ``"float32"``, or ``"bfloat16"`` (autocast in training; prediction stays float32).
    device : str
        ``"cpu"``, or ``"auto"`` for what `accelerate` finds; prediction is on the CPU.
    keep_epochs : bool
        Keep the weights of every epoch for `staged_predict_proba`.
    optimiser : str
        ``"adam"``, ``"adamw"`` or ``"radam"``.
    weight_decay : float
        Of the optimiser, on matrices and larger only.
    schedule : str
        ``"drops"``, or ``"cosine"``: half a cosine from `learning_rate` towards 0 at the end.
    warmup_epochs : int
        Epochs through which the learning rate rises in equal steps.
    label_smoothing : float
        Share of each label that is spread over all classes, in training.
    augment : sequence of str
        Names of `dolorimeter.augmentation.AUGMENTATIONS`, applied to each clip in each epoch, the
        same for all its frames. For clips of uint8 only.
    embedding_noise : float
        Gaussian noise added to each training window in each epoch, as a share of the standard
        deviation of that value over the training windows. For windows of floats.
    mask_out : float
        Share of the last axis (features of embeddings, time of signals), one stretch drawn for
        each training window in each epoch, that is set to its training mean. For windows of
        floats.

    clip_frames : int
        Of a clip with more frames so many are trained on, from a moment that is drawn anew for
        each window in each epoch; validation and prediction take the middle. 0: all frames.
    clip_stride : int
        From one of these frames to the next.

    Attributes
    ----------
    classes_ : array
    history_ : list of dict
        One an epoch: number, training_loss, validation_loss, learning_rate.
    selected_epoch_ : int
        The epoch whose weights are kept, counted from 1.
    weights_ : dict of str to array
        State dict of the network.
    validation_groups_ : array
        Subjects of the inner validation set.
    notes_ : tuple of str
        What a report must say of the network.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "module": [str],
        "module_args": [dict, None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_drops": ["array-like"],
        "early_stopping": ["boolean"],
        "validation_share": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "random_state": ["random_state"],
        "threads": [Interval(Integral, 1, None, closed="left"), None],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "device": [StrOptions({"cpu", "auto"})],
        "keep_epochs": ["boolean"],
        "optimiser": [StrOptions({"adam", "adamw", "radam"})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "schedule": [StrOptions({"drops", "cosine"})],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "augment": ["array-like"],
        "embedding_noise": [Interval(Real, 0, None, closed="left")],
        "mask_out": [Interval(Real, 0, 1, closed="left")],
        "clip_frames": [Interval(Integral, 0, None, closed="left")],
        "clip_stride": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        module: str = "painattnnet",
        *,
        module_args: Mapping[str, Any] | None = None,
        epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        learning_rate_drops: Sequence[Sequence[int | float]] = ((10, 1e-4),),
        early_stopping: bool = True,
        validation_share: float = 0.2,
        patience: int | None = 20,
        class_weight: Literal["balanced"] | Mapping[Any, Any] | None = None,
        random_state: Any = 0,
        threads: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
        keep_epochs: bool = False,
        optimiser: str = "adam",
        weight_decay: float = 0.0,
        schedule: str = "drops",
        warmup_epochs: int = 0,
        label_smoothing: float = 0.0,
        augment: Sequence[str] = (),
        embedding_noise: float = 0.0,
        mask_out: float = 0.0,
        clip_frames: int = 0,
        clip_stride: int = 1,
    ) -> None:
        self.module = module
        self.module_args = module_args
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_drops = learning_rate_drops
        self.early_stopping = early_stopping
        self.validation_share = validation_share
        self.patience = patience
        self.class_weight = class_weight
        self.random_state = random_state
        self.threads = threads
        self.precision = precision
        self.device = device
        self.keep_epochs = keep_epochs
        self.optimiser = optimiser
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.embedding_noise = embedding_noise
        self.mask_out = mask_out
        self.clip_frames = clip_frames
        self.clip_stride = clip_stride

    def fit(self, X: Any, y: Any, groups: Any = None) -> NetworkClassifier:
        """Train on windows, first axis first: ``(window, channel, time)``, ``(window, feature)``.

        Parameters
        ----------
        X, y : arrays
            In the unit that the network's Card states. Frame vectors are ``(window, frame,
            feature)``, clips ``(window, frame, 3, height, width)``. Where the Card says how
            pictures are scaled, X may be uint8: it stays so in memory, and each batch is scaled.
            Floats are taken as scaled already. NaN is refused unless the network takes it
            (``takes_missing``).
        groups : array, optional
            Subject of each window; needed for early stopping.

        Raises
        ------
        TrainingError
            If groups are needed and missing, the input's size belies its unit, there is one class
            only, or the loss is not finite.
        ConfigError
            If an argument makes no sense.
        SplitError
            If there are too few subjects for the inner split.
        """
        from dolorimeter import training

        check_parameters(self, "NetworkClassifier")
        X, y = validate_data(
            self, X, y, allow_nd=True, dtype=self._kinds(), ensure_all_finite=self._finite()
        )
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._check(X)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        train, held = self._inner_split(codes, groups, seed)
        cut = ClipCut(self.clip_frames, self.clip_stride) if self.clip_frames else None
        self.window_shape_ = tuple(int(n) for n in X.shape[1:])
        self.input_shape_ = self.window_shape_
        if cut is not None:
            cut.check(X)
            self.input_shape_ = (self.clip_frames, *self.window_shape_[1:])
        self.input_type_ = str(X.dtype)
        self.epoch_weights_: list[dict[str, np.ndarray]] = []
        own = X if held is None else X[train]
        change = change_of(own, self.augment, self.embedding_noise, self.mask_out)
        change = change if cut is None else replace(cut, then=change)
        schedule = self._schedule()
        network = self._network(seed, start=True)
        self.notes_ = tuple(cast("Sequence[str]", getattr(network, "notes", ())))
        if hasattr(network, "learn_scale"):  # kept among its weights
            cast(Any, network).learn_scale(own)
        validation = None if held is None else (self._centred(X[held]), codes[held])
        weights = None
        if self.class_weight == "balanced":
            weights = training.balanced_weights(codes[train], len(self.classes_))
        elif self.class_weight is not None:
            weights = class_weights(self.class_weight, self.classes_)
        with training.threads(self.threads):
            history = training.fit(
                network,
                own,
                codes[train],
                validation=validation,
                epochs=self.epochs,
                optimiser=training.optimiser_of(self.optimiser, self.weight_decay),
                schedule=schedule,
                batch_size=self.batch_size,
                class_weight=weights,
                label_smoothing=self.label_smoothing,
                augment=change,
                prepare=scaling_of(self._card(network)),
                patience=self.patience if self.early_stopping else None,
                seed=seed,
                precision=self.precision,
                device=self.device,
                on_epoch=self._keep if self.keep_epochs else None,
            )
        self.weights_ = _arrays(network)
        self.history_ = [dict(vars(epoch)) for epoch in history.epochs]
        self.selected_epoch_ = history.selected
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "window class"]:
        """Probability of each class, in the order of `classes_`.

        Raises
        ------
        ConfigError
            If the windows have another shape than those of `fit`.
        """
        check_is_fitted(self)
        return self._probabilities(self.weights_, X)

    def predict(self, X: Any) -> Shaped[np.ndarray, " window"]:
        """The most probable class."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def staged_predict_proba(self, X: Any) -> Iterator[Float[np.ndarray, "window class"]]:
        """Probabilities with the weights after each epoch, in order.

        `evaluate` alone joins them with test labels (``selection = oracle_…``); to choose an epoch
        by hand on test subjects is the mistake that this project is about.

        Raises
        ------
        TrainingError
            If fitted without ``keep_epochs=True``.
        """
        check_is_fitted(self)
        if not self.epoch_weights_:
            raise TrainingError(
                "the weights of the epochs were not kept: fit with keep_epochs=True."
            )
        for weights in self.epoch_weights_:
            yield self._probabilities(weights, X)

    def _probabilities(
        self, weights: Mapping[str, np.ndarray], X: Any
    ) -> Float[np.ndarray, "window class"]:
        from dolorimeter import training
        from dolorimeter._extras import torch

        if isinstance(X, np.ndarray) and X.ndim >= 3:
            self._as_in_fit(X)
        X = validate_data(
            self,
            X,
            allow_nd=True,
            dtype=self._kinds(),
            ensure_all_finite=self._finite(),
            reset=False,
        )
        self._as_in_fit(X)
        if str(X.dtype) != self.input_type_:
            raise ConfigError(
                f"windows of {X.dtype}, expected {self.input_type_} as in fit: pictures of uint8 "
                "are scaled by the network's Card, floats are taken as they are."
            )
        X = self._centred(X)
        network = self._with(weights)
        scale = scaling_of(self._card(network))
        with training.threads(self.threads), torch.inference_mode():
            size = 2 * self.batch_size
            parts = (torch.tensor(X[i : i + size]) for i in range(0, len(X), size))
            scaled = (part if scale is None else scale(part) for part in parts)
            logits = torch.cat([network(part) for part in scaled])
            return torch.softmax(logits.double(), dim=1).numpy()

    def network(self) -> nn.Module:
        """The fitted network in evaluation mode, a copy: for explaining it."""
        check_is_fitted(self)
        return self._with(self.weights_)

    def _with(self, weights: Mapping[str, np.ndarray]) -> nn.Module:
        from dolorimeter._extras import torch

        network = self._network(0)
        network.load_state_dict({name: torch.tensor(v) for name, v in weights.items()})
        return network.eval()

    def _as_in_fit(self, X: np.ndarray) -> None:
        wanted = getattr(self, "window_shape_", self.input_shape_)  # older folders lack it
        if X.shape[1:] != wanted:
            raise ConfigError(f"windows of shape {X.shape[1:]}, expected {wanted} as in fit.")

    def _centred(self, X: np.ndarray) -> np.ndarray:
        """What is predicted of windows: their middle, where clips are cut."""
        if not self.clip_frames:
            return X
        return ClipCut(self.clip_frames, self.clip_stride).centred(X)

    def _kinds(self) -> Any:
        """Types that X may have; the first is what another is turned into."""
        pictures = scaling_of(MODELS.card(self.module)) is not None
        return [np.float32, np.uint8] if pictures else np.float32

    def _finite(self) -> Any:
        """Whether NaN is refused: some networks know what to do with it."""
        return "allow-nan" if getattr(MODELS.get(self.module), "takes_missing", False) else True

    def _card(self, network: nn.Module) -> Card:
        """Its own: that of a network built of parts depends on the parts."""
        return cast(Card, getattr(network, "card", MODELS.card(self.module)))

    def _validate_params(self) -> None:
        """Each argument by itself, then those that must fit together: before data are read."""
        super()._validate_params()
        if self.warmup_epochs >= self.epochs:
            raise ConfigError(
                f"warmup_epochs is {self.warmup_epochs} of {self.epochs} epochs, expected fewer: "
                "shorten the warm-up, or train longer."
            )
        if self.clip_frames and (self.embedding_noise or self.mask_out):
            raise ConfigError(
                "clip_frames cuts clips of pictures, and embedding_noise and mask_out are for "
                "windows of numbers: take one or the other."
            )
        check_names(self.augment)
        _drops(self.learning_rate_drops)

    def _schedule(self) -> Schedule:
        from dolorimeter import training

        rate, warm = self.learning_rate, self.warmup_epochs
        if self.schedule == "cosine":
            schedule = training.cosine(rate, self.epochs, start=warm)
        else:
            schedule = training.drop_after(rate, _drops(self.learning_rate_drops))
        return training.warm_up(schedule, warm) if warm else schedule

    def _network(self, seed: int, *, start: bool = False) -> nn.Module:
        from dolorimeter._extras import torch
        from dolorimeter.models import create_model, model_arguments

        arguments = dict(self.module_args or {})
        if not start:  # a file to start from is not needed again, nor need it still be there
            arguments = {n: v for n, v in arguments.items() if not n.endswith("_weights")}
        if "num_classes" in arguments:
            raise ConfigError("num_classes comes from the labels: take it out of module_args.")
        arguments["num_classes"] = len(self.classes_)
        if "input_shape" in model_arguments(self.module):
            arguments.setdefault("input_shape", self.input_shape_)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return create_model(self.module, **arguments)

    def _keep(self, number: int, network: nn.Module) -> None:
        assert number == len(self.epoch_weights_) + 1
        self.epoch_weights_.append(_arrays(network))

    def _inner_split(
        self, codes: Int[np.ndarray, " window"], groups: Any, seed: int
    ) -> tuple[Int[np.ndarray, " row"], Int[np.ndarray, " held"] | None]:
        if not self.early_stopping:
            self.validation_groups_ = np.array([])
            return np.arange(len(codes)), None
        subjects = require_groups(
            groups, "NetworkClassifier(early_stopping=True)", "cuts a validation set", len(codes)
        )
        train, held = inner_validation(subjects, self.validation_share, seed, codes)
        self.validation_groups_ = np.unique(subjects[held])
        return train, held

    def _check(self, X: np.ndarray) -> None:
        if len(self.classes_) < 2:
            raise TrainingError(
                f"all {len(X)} training windows are of class {self.classes_[0]}: a classifier "
                "needs two classes."
            )
        expected = MODELS.card(self.module).input
        if expected is not None and expected.unit is not None:
            check_unit(X, expected.unit, self.module)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _drops(pairs: Sequence[Sequence[int | float]]) -> dict[int, float]:
    if any(len(pair) != 2 or pair[0] < 0 or not pair[1] > 0 for pair in pairs):
        raise ConfigError(
            f"learning_rate_drops is {pairs!r}, expected pairs (epoch, learning rate after it), "
            "such as ((10, 1e-4),)."
        )
    return {int(epoch): float(rate) for epoch, rate in pairs}


def check_unit(x: Float[np.ndarray, "window ..."], unit: str, who: str) -> None:
    """Refuse windows whose size belies the unit: siemens given for microsiemens are zeros to it.

    Raises
    ------
    TrainingError
        If the median over windows of the largest absolute value is out of bounds for that unit.
    """
    if unit not in PLAUSIBLE:
        return
    low, high, known = PLAUSIBLE[unit]
    peak = float(np.median(np.abs(x).reshape(len(x), -1).max(axis=1)))
    if not low <= peak <= high:
        raise TrainingError(
            f"the network '{who}' expects {unit}, and the largest value of a window is "
            f"{peak:.3g} in the median: {known}. Convert the input (siemens × 1e6 are "
            f"microsiemens; the raw representation takes unit='{unit}')."
        )


def _arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: v.detach().cpu().numpy().copy() for name, v in network.state_dict().items()}
