"""The one training loop. It is given who trains and who validates, and decides neither.

`accelerate` brings devices and processes (``torchrun``, ``accelerate launch``): each process takes
its share of every batch and the gradients are joined, so that the result is that of one process up
to rounding (except in BatchNorm, whose statistics are each process's own).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from dolorimeter._extras import torch
from dolorimeter.errors import ConfigError, StorageError, TrainingError
from dolorimeter.storage import atomic_path, digest

# isort: split
from torch import Tensor, nn

if TYPE_CHECKING:
    from accelerate import Accelerator

Optimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
Schedule = Callable[[int], float]
"""Epoch, counted from 1, to its learning rate."""
OnEpoch = Callable[[int, nn.Module], None]
Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""One window and a generator of its own to that window, changed; its shape stays."""
Prepare = Callable[[Tensor], Tensor]
"""A batch as it lies in memory to what the module takes."""
Windows = Float[np.ndarray, "_window ..."] | UInt8[np.ndarray, "_window ..."]
State = dict[str, Any]


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave: mean losses over windows, and the learning rate it ran with."""

    number: int
    training_loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass(frozen=True)
class History:
    """What a fit did.

    Parameters
    ----------
    epochs : tuple of Epoch
        In order; fewer than asked when it stopped early.
    selected : int
        The epoch whose weights the module holds: the one with the lowest validation loss, or the
        last one without validation.
    stopped_early : bool
        Whether patience ran out.
    """

    epochs: tuple[Epoch, ...]
    selected: int
    stopped_early: bool


def drop_after(first: float, drops: Mapping[int, float]) -> Schedule:
    """A learning rate that starts at `first` and becomes ``drops[n]`` after epoch n.

    Examples
    --------
    >>> rate = drop_after(1e-3, {10: 1e-4})
    >>> rate(10), rate(11)
    (0.001, 0.0001)
    """

    def rate(epoch: int) -> float:
        passed = [n for n in drops if epoch > n]
        return drops[max(passed)] if passed else first

    return rate


def cosine(first: float, epochs: int, start: int = 0) -> Schedule:
    """A learning rate that falls from `first` along half a cosine, towards 0 after `epochs`.

    It stays at `first` through the first `start` epochs (`warm_up`).

    Examples
    --------
    >>> rate = cosine(1e-3, 10)
    >>> rate(1), rate(6)
    (0.001, 0.0005)
    """

    def rate(epoch: int) -> float:
        passed = max(epoch - start - 1, 0) / max(epochs - start, 1)
        return first * 0.5 * (1 + math.cos(math.pi * min(passed, 1)))

    return rate


def warm_up(schedule: Schedule, epochs: int) -> Schedule:
    """That schedule, rising in equal steps through the first `epochs`.

    Examples
    --------
    >>> rate = warm_up(drop_after(1e-3, {}), 3)
    >>> rate(1), rate(2), rate(4)
    (0.00025, 0.0005, 0.001)
    """

    def rate(epoch: int) -> float:
        return schedule(epoch) * min(1.0, epoch / (epochs + 1))

    return rate


def optimiser_of(name: str, weight_decay: float = 0.0) -> Optimiser:
    """Adam, AdamW or RAdam over the parameters that learn.

    Weight decay is on matrices and larger only: not on biases, nor on the scales of a norm.

    Parameters
    ----------
    name : str
        ``"adam"``, ``"radam"`` (weight decay joins the gradient) or ``"adamw"`` (it shrinks the
        weights).
    weight_decay : float
        Its factor.

    Raises
    ------
    ConfigError
        If the name is another.
    """
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "radam": torch.optim.RAdam}
    if name not in kinds:
        raise ConfigError(f"optimiser is '{name}', expected one of {', '.join(kinds)}.")

    def build(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        learning = [p for p in parameters if p.requires_grad]
        groups: list[State] = [
            {"params": [p for p in learning if p.ndim >= 2]},
            {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
        ]
        kept = [group for group in groups if group["params"]]
        return kinds[name](kept, weight_decay=weight_decay)

    return build


def balanced_weights(y: Int[np.ndarray, " window"], classes: int) -> Float[np.ndarray, " class"]:
    """Weight of each class, n / (classes · windows of it); 0 for a class without a window."""
    counts = np.bincount(y, minlength=classes).astype(float)
    present = counts > 0
    return np.where(present, len(y) / (present.sum() * np.maximum(counts, 1)), 0.0)


def fit(
    module: nn.Module,
    x: Windows,
    y: Shaped[np.ndarray, " label"],
    *,
    epochs: int,
    validation: tuple[Windows, Shaped[np.ndarray, " held"]] | None = None,
    optimiser: Optimiser = torch.optim.Adam,
    schedule: Schedule | None = None,
    batch_size: int = 128,
    class_weight: Float[np.ndarray, " class"] | None = None,
    label_smoothing: float = 0.0,
    augment: Augment | None = None,
    prepare: Prepare | None = None,
    patience: int | None = None,
    seed: int = 0,
    precision: str = "float32",
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> History:
    """Train `module` in place; it ends in evaluation mode, on the CPU, with the selected weights.

    Parameters
    ----------
    module : nn.Module
        One tensor in; logits out for a whole-number `y`, one number a window for a float `y`.
    x, y : arrays
        Training windows and labels. Whole numbers: cross-entropy. Floats: squared error. Windows
        of uint8 stay so in memory, and `prepare` makes floats of each batch.
    epochs : int
        Passes over the training windows, at most.
    validation : pair of arrays, optional
        Windows that choose the epoch. Give other people's than those of `x`.
    optimiser : callable
        Parameters to optimiser.
    schedule : callable, optional
        Epoch (from 1) to learning rate; the optimiser's own rate when None.
    batch_size : int
        Windows a batch, over all processes. A last batch of one window joins the one before it,
        since BatchNorm cannot take it.
    class_weight : array, optional
        Weight of each class in the loss (`balanced_weights`); None: all 1.
    label_smoothing : float
        Share of each label that is spread over all classes; in training only, so that validation
        losses compare.
    augment : callable, optional
        Changes each training window before each use. Its generator is made of the seed, the epoch
        and the window's row, so that neither processes nor the order of batches change the draw.
    prepare : callable, optional
        Applied to every batch, in training and validation, on the device.
    patience : int, optional
        Stop after this many epochs without a lower validation loss.
    seed : int
        Of the order of windows and of dropout. The global generator is left as it was.
    precision : str
        ``bfloat16`` computes the forward pass in autocast; weights stay float32.
    device : str
        ``auto`` takes what `accelerate` finds.
    checkpoint : Path, optional
        Written after every epoch. If it is there and of this very fit, the fit goes on from it and
        ends as if it had never stopped, bit for bit.
    on_epoch : callable, optional
        Called after each epoch that is run here (not for those a checkpoint has done) with its
        number and the module, which it must not change.

    Raises
    ------
    ConfigError
        If an argument makes no sense.
    TrainingError
        If there are too few windows, the loss is not finite, or the checkpoint is of another fit.
    StorageError
        If the checkpoint cannot be read or written.
    """
    _check(len(x), len(y), epochs, batch_size, patience, validation is not None)
    _check_loss(label_smoothing, y.dtype)
    if precision not in ("float32", "bfloat16"):
        raise ConfigError(f"precision is '{precision}', expected 'float32' or 'bfloat16'.")
    runtime = _runtime(device)
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        job = _Job(
            module=module,
            runtime=runtime,
            optimiser=optimiser(list(module.parameters())),
            x=x,
            y=_tensor(y),
            weight=_weights(class_weight, x.dtype),
            label_smoothing=label_smoothing,
            augment=augment,
            prepare=prepare,
            seed=seed,
            batch_size=batch_size,
            precision=precision,
            order=torch.Generator().manual_seed(seed),
        )
        held = None if validation is None else (validation[0], _tensor(validation[1]))
        saved = None
        if checkpoint is not None:
            settings = f"{batch_size} {seed} {precision} {job.settings()}"
            weight = () if class_weight is None else (class_weight,)
            arrays = (x, y, *(validation or ()), *weight)
            saved = _Checkpoint(checkpoint, _identity(module, settings, arrays), schedule)
        return _epochs(job, held, epochs, schedule, patience, saved, on_epoch)


@dataclass
class _Job:
    """One module and what its epochs need."""

    module: nn.Module
    runtime: Accelerator
    optimiser: torch.optim.Optimizer
    x: Windows
    y: Tensor
    weight: Tensor | None
    label_smoothing: float
    augment: Augment | None
    prepare: Prepare | None
    seed: int
    batch_size: int
    precision: str
    order: torch.Generator

    def __post_init__(self) -> None:
        self.parallel, self.prepared = self.runtime.prepare(self.module, self.optimiser)

    def train(self, number: int) -> float:
        """One pass; returns the mean loss over windows."""
        self.parallel.train()
        total, seen = 0.0, 0.0
        for rows in batches(torch.randperm(len(self.x), generator=self.order), self.batch_size):
            own = rows[self.runtime.process_index :: self.runtime.num_processes]
            size = self._size(self.y[rows])
            self.prepared.zero_grad(set_to_none=True)
            batch = self._batch(own, number)
            smoothing = self.label_smoothing
            loss = self._losses(self.parallel, batch, self.y[own], smoothing).sum() / size
            value = _number(self.runtime.reduce(loss.detach(), "sum"))
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {number}, after {int(seen):,} windows of "
                    "it. Look for missing or huge values in the input and for a wrong unit, or "
                    f"lower the learning rate (now {_rate(self.optimiser):g})."
                )
            # gradients are averaged over processes: times their number makes that a sum
            self.runtime.backward(loss * self.runtime.num_processes)
            self.prepared.step()
            total, seen = total + value * float(size), seen + float(size)
        return total / seen

    def _batch(self, rows: Tensor, epoch: int) -> Tensor:
        """Those training windows as this epoch sees them."""
        picked = self.x[rows.numpy()]
        if self.augment is not None and len(picked):
            # SeedSequence takes no negative numbers, and torch.manual_seed does
            draws = ((self.seed % 2**64, epoch, row) for row in rows.tolist())
            pairs = zip(picked, map(np.random.default_rng, draws), strict=True)
            picked = np.stack([self.augment(window, rng) for window, rng in pairs])
        return torch.from_numpy(picked)

    def validate(self, number: int, x: Windows, y: Tensor) -> float:
        """Mean loss over windows that were not trained on, in evaluation mode."""
        self.parallel.eval()
        total = 0.0
        with torch.inference_mode():
            for rows in torch.split(torch.arange(len(x)), 2 * self.batch_size):
                batch = _tensor(x[rows.numpy()])
                total += _number(self._losses(self.module, batch, y[rows]).sum())
        loss = total / float(self._size(y))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the validation loss became {loss} in epoch {number}: look for missing or huge "
                "values in the validation windows, or lower the learning rate "
                f"(now {_rate(self.optimiser):g})."
            )
        return loss

    def _losses(
        self, module: nn.Module, x: Tensor, y: Tensor, smoothing: float = 0.0
    ) -> Float[Tensor, " window"]:
        """Loss of each window, weighted."""
        x, y = x.to(self.runtime.device), y.to(self.runtime.device)
        if self.prepare is not None:
            x = self.prepare(x)
        with self._autocast():
            output = module(x)
        if y.is_floating_point():
            return (output.reshape(len(y)).to(y.dtype) - y) ** 2
        weight = None if self.weight is None else self.weight.to(self.runtime.device)
        return nn.functional.cross_entropy(
            output.to(x.dtype),
            y.long(),
            weight=weight,
            reduction="none",
            label_smoothing=smoothing,
        )

    def _size(self, y: Tensor) -> Tensor:
        """Sum of the weights of these windows: their number where none is weighted."""
        if self.weight is None or y.is_floating_point():
            return torch.tensor(float(len(y)))
        return self.weight[y.long()].sum()

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == "bfloat16":
            return torch.autocast(self.runtime.device.type, torch.bfloat16)
        return nullcontext()

    def settings(self) -> str:
        """What makes this fit another than one on the same windows; not the learning rates."""
        options = {k: v for k, v in self.optimiser.defaults.items() if k != "lr"}
        hooks = [
            getattr(hook, "__qualname__", repr(hook)) for hook in (self.augment, self.prepare)
        ]
        return f"{type(self.optimiser).__name__} {options} {self.label_smoothing} {hooks}"

    def state(self) -> State:
        """What a later process needs to go on exactly from here."""
        return {
            "module": _copy(self.module),
            "optimiser": self.optimiser.state_dict(),
            "order": self.order.get_state(),
            "dropout": _generator_state(self.runtime.device),
        }

    def restore(self, state: State) -> None:
        """Undo everything since `state` was taken."""
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.order.set_state(state["order"])
        _set_generator_state(self.runtime.device, state["dropout"])


def batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Rows of each batch; a last batch of one row joins the one before it.

    Examples
    --------
    >>> [len(rows) for rows in batches(torch.arange(9), 4)]
    [4, 5]
    """
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    yield from parts


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """PyTorch with `count` threads inside the block, and as before after it; None changes nothing.

    Raises
    ------
    ConfigError
        If the count is below 1.
    """
    if count is not None and count < 1:
        raise ConfigError(f"threads is {count}, expected at least 1 (or None: leave as it is).")
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _epochs(
    job: _Job,
    held: tuple[Windows, Tensor] | None,
    epochs: int,
    schedule: Schedule | None,
    patience: int | None,
    checkpoint: _Checkpoint | None,
    on_epoch: OnEpoch | None,
) -> History:
    done: list[Epoch] = []
    best: State = {"epoch": 0, "loss": math.inf, "weights": {}}
    if checkpoint is not None and checkpoint.path.exists():
        done, best = checkpoint.resume(job)
    while len(done) < epochs and not _patience_over(done, best, patience):
        number = len(done) + 1
        if schedule is not None:
            for group in job.optimiser.param_groups:
                group["lr"] = schedule(number)
        training_loss = job.train(number)
        held_loss = None if held is None else job.validate(number, *held)
        done.append(Epoch(number, training_loss, held_loss, _rate(job.optimiser)))
        if held_loss is None:
            best = {"epoch": number, "loss": math.inf, "weights": {}}
        elif held_loss < best["loss"]:
            best = {"epoch": number, "loss": held_loss, "weights": _copy(job.module)}
        job.module.eval()
        if on_epoch is not None:
            on_epoch(number, job.module)
        if checkpoint is not None and job.runtime.is_main_process:
            checkpoint.save(job, done, best)
    if best["weights"]:
        job.module.load_state_dict(best["weights"])
    job.module.eval().to("cpu")
    return History(tuple(done), int(best["epoch"]), len(done) < epochs)


def _patience_over(done: list[Epoch], best: State, patience: int | None) -> bool:
    return patience is not None and len(done) - int(best["epoch"]) >= patience


@dataclass(frozen=True)
class _Checkpoint:
    """A file from which one fit, and no other, goes on."""

    path: Path
    identity: str
    schedule: Schedule | None

    def save(self, job: _Job, done: list[Epoch], best: State) -> None:
        rows = [(e.number, e.training_loss, e.validation_loss, e.learning_rate) for e in done]
        content = {"identity": self.identity, "epochs": rows, "best": best, "state": job.state()}
        with atomic_path(self.path) as part:
            torch.save(content, part)

    def resume(self, job: _Job) -> tuple[list[Epoch], State]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            done = [Epoch(*row) for row in content["epochs"]]
        except Exception as error:  # of damaged bytes it may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise StorageError(
                f"{self.path}: the checkpoint cannot be read ({reason}). Remove it to start over."
            ) from error
        rates = [e.learning_rate for e in done]
        planned = rates if self.schedule is None else [self.schedule(e.number) for e in done]
        if content["identity"] != self.identity or rates != planned:
            raise TrainingError(
                f"{self.path}: this checkpoint is of another fit (other windows, labels, starting "
                "weights, seed, batch size, optimiser, augmentation or learning rates). Remove it "
                "to start over, or give another checkpoint path."
            )
        job.restore(content["state"])
        return done, content["best"]


def _identity(module: nn.Module, settings: str, arrays: tuple[np.ndarray, ...]) -> str:
    weights = (v.detach().cpu().numpy() for v in module.state_dict().values())
    return digest(settings, *arrays, *weights)


def _runtime(device: str) -> Accelerator:
    from dolorimeter._extras import accelerate

    if device not in ("cpu", "auto"):
        raise ConfigError(f"device is '{device}', expected 'cpu' or 'auto'.")
    # precision stays ours: accelerate keeps one for the whole process and refuses a second
    # a network may keep weights that it does not use (PainAttnNet's discarded LayerNorm)
    spare = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
    return accelerate.Accelerator(cpu=device == "cpu", kwargs_handlers=[spare])


def _check(
    rows: int, labels: int, epochs: int, batch_size: int, patience: int | None, validated: bool
) -> None:
    if rows != labels:
        raise ConfigError(f"{rows} windows and {labels} labels: give one label a window.")
    if rows < 2:
        raise TrainingError(f"{rows} training window(s): BatchNorm needs at least 2.")
    if epochs < 1:
        raise ConfigError(f"epochs is {epochs}, expected at least 1.")
    if batch_size < 2:
        raise ConfigError(f"batch_size is {batch_size}: BatchNorm needs at least 2.")
    if patience is not None and not validated:
        raise ConfigError("patience needs validation windows: give some, or patience=None.")
    if patience is not None and patience < 1:
        raise ConfigError(f"patience is {patience}, expected at least 1 epoch, or None.")


def _check_loss(label_smoothing: float, labels: np.dtype[Any]) -> None:
    if not 0 <= label_smoothing < 1:
        raise ConfigError(f"label_smoothing is {label_smoothing}, expected 0 or more, below 1.")
    if label_smoothing and labels.kind == "f":
        raise ConfigError(
            "label_smoothing is for classes, and the labels are floats: set it to 0."
        )


def _tensor(values: np.ndarray) -> Tensor:
    """Shares memory where it can; a read-only array (a memory map of joblib) is copied."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _weights(weight: np.ndarray | None, dtype: np.dtype[Any]) -> Tensor | None:
    floats = dtype if dtype.kind == "f" else np.dtype(np.float32)
    return None if weight is None else torch.from_numpy(weight.astype(floats))


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: v.detach().cpu().clone() for name, v in module.state_dict().items()}


def _rate(optimiser: torch.optim.Optimizer) -> float:
    return float(optimiser.param_groups[0]["lr"])


def _number(value: Tensor) -> float:
    return float(value.item())


def _generator_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_generator_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
