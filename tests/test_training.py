"""The one training loop: exact, resumable, and saying what is wrong."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorimeter import training
from dolorimeter.errors import ConfigError, StorageError, TrainingError
from dolorimeter.models import create_model


def data(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 4)).astype(np.float32)
    x[:, 0] += 1.5 * y
    return x, y


def network(seed: int = 0, **arguments: object) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return create_model("perceptron", input_shape=(4,), hidden=8, **arguments)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(v, other[name]) for name, v in a.state_dict().items())


def run(module: torch.nn.Module, **arguments: object) -> training.History:
    x, y = data()
    arguments = {"epochs": 4, "batch_size": 16, "seed": 3, **arguments}
    return training.fit(module, x, y, **arguments)  # type: ignore[arg-type]


def test_it_learns_and_says_what_it_did() -> None:
    module = network()
    history = run(module, epochs=40, schedule=training.drop_after(1e-2, {30: 1e-3}))
    losses = [e.training_loss for e in history.epochs]
    assert losses[-1] < 0.75 * losses[0]
    assert [e.number for e in history.epochs] == list(range(1, 41))
    assert [history.epochs[i].learning_rate for i in (29, 30)] == [1e-2, 1e-3]
    assert history.selected == 40
    assert not history.stopped_early
    assert not module.training


def test_the_same_seed_gives_the_same_bits_and_the_global_generator_stays() -> None:
    first, second, third = network(), network(), network()
    before = torch.get_rng_state()
    run(first)
    run(second)
    run(third, seed=4)
    assert same(first, second)
    assert not same(first, third)
    assert torch.equal(before, torch.get_rng_state())


def test_loss_of_an_epoch_is_the_mean_over_windows() -> None:
    x, y = data(50)
    module = network(dropout=0.0)
    reference = copy.deepcopy(module).train()
    history = training.fit(module, x, y, epochs=1, batch_size=50)
    with torch.no_grad():
        wanted = torch.nn.functional.cross_entropy(reference(torch.tensor(x)), torch.tensor(y))
    assert history.epochs[0].training_loss == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("balanced", [False, True])
def test_one_step_equals_plain_pytorch(balanced: bool) -> None:
    x, y = data(40)
    y[:25] = 0
    weight = training.balanced_weights(y, 2) if balanced else None
    module = network(dropout=0.0)
    reference = copy.deepcopy(module).train()
    training.fit(
        module,
        x,
        y,
        epochs=1,
        batch_size=40,
        class_weight=weight,
        optimiser=lambda p: torch.optim.SGD(p, lr=0.1),
    )
    w = None if weight is None else torch.tensor(weight.astype(np.float32))
    step = torch.optim.SGD(reference.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(reference(torch.tensor(x)), torch.tensor(y), w).backward()
    step.step()
    for a, b in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("balanced", [False, True])
def test_smoothed_labels_are_those_of_pytorch_in_training_only(balanced: bool) -> None:
    x, y = data(40)
    y[:25] = 0
    weight = training.balanced_weights(y, 2) if balanced else None
    module = network(dropout=0.0)
    reference = copy.deepcopy(module).train()
    history = training.fit(
        module,
        x,
        y,
        epochs=1,
        batch_size=40,
        class_weight=weight,
        label_smoothing=0.3,
        validation=(x, y),
        optimiser=lambda p: torch.optim.SGD(p, lr=0.1),
    )
    w = None if weight is None else torch.tensor(weight.astype(np.float32))
    loss = torch.nn.CrossEntropyLoss(w, label_smoothing=0.3)
    step = torch.optim.SGD(reference.parameters(), lr=0.1)
    first = loss(reference(torch.tensor(x)), torch.tensor(y))
    first.backward()
    step.step()
    assert history.epochs[0].training_loss == pytest.approx(first.item(), rel=1e-6)
    for a, b in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        plain = torch.nn.CrossEntropyLoss(w)(module(torch.tensor(x)), torch.tensor(y))
    assert history.epochs[0].validation_loss == pytest.approx(plain.item(), rel=1e-6)


def noisy(window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return window + rng.normal(size=window.shape).astype(np.float32)


class Drawn:
    """Keeps what every window was given, by its first value, and changes nothing."""

    def __init__(self) -> None:
        self.seen: dict[float, list[float]] = {}

    def __call__(self, window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self.seen.setdefault(float(window[0]), []).append(rng.random())
        return window


def test_what_a_window_draws_depends_on_seed_epoch_and_row_alone() -> None:
    draws = []
    for arguments in ({}, {"batch_size": 7}, {"seed": 4}):
        keeper = Drawn()
        run(network(), augment=keeper, validation=data(20, 9), **arguments)
        draws.append(keeper.seen)
    x, _ = data()
    assert sorted(draws[0]) == sorted(x[:, 0].tolist())  # each training window, and no other
    assert all(len(values) == 4 for values in draws[0].values())
    assert draws[0] == draws[1]
    everything = [value for seen in (draws[0], draws[2]) for row in seen.values() for value in row]
    assert len(set(everything)) == len(everything)


def test_windows_are_changed_in_training_and_stay_as_they_are_in_memory() -> None:
    x, y = data()
    before = x.copy()
    plain, changed = network(), network()
    training.fit(plain, x, y, epochs=1)
    training.fit(changed, x, y, epochs=1, augment=noisy)
    np.testing.assert_array_equal(x, before)
    assert not same(plain, changed)


def test_bytes_are_prepared_batch_by_batch() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 4), dtype=np.uint8), np.arange(60) % 2
    kinds = []

    def prepare(batch: torch.Tensor) -> torch.Tensor:
        kinds.append((batch.dtype, len(batch)))
        return batch.float() / 255

    one, two = network(), network()
    floats = x.astype(np.float32) / 255
    shared: dict[str, Any] = {"epochs": 2, "batch_size": 30}
    weight = np.array([1.0, 2.0])
    a = training.fit(one, x, y, validation=(x, y), prepare=prepare, class_weight=weight, **shared)
    b = training.fit(two, floats, y, validation=(floats, y), class_weight=weight, **shared)
    assert a == b
    assert same(one, two)
    assert set(kinds) == {(torch.uint8, 30), (torch.uint8, 60)}


def test_cosine_and_warm_up() -> None:
    rate = training.warm_up(training.cosine(1.0, 12, start=3), 3)
    rates = [rate(epoch) for epoch in range(1, 13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == pytest.approx(0.5 * (1 + np.cos(np.pi * 8 / 9)))
    assert rate(13) == pytest.approx(0.0)


def test_optimisers_decay_matrices_only_and_adam_is_that_of_pytorch() -> None:
    plain, ours = network(), network()
    run(plain, optimiser=torch.optim.Adam)
    run(ours, optimiser=training.optimiser_of("adam"))
    assert same(plain, ours)
    module = network()
    module.fc.weight.requires_grad_(False)
    start = {name: p.detach().clone() for name, p in module.named_parameters()}
    optimiser = training.optimiser_of("adamw", 0.5)(list(module.parameters()))
    assert isinstance(optimiser, torch.optim.AdamW)
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    optimiser.step()
    for name, p in module.named_parameters():
        shrunk = 0.95 if name == "hidden.weight" else 1.0
        torch.testing.assert_close(p.detach(), shrunk * start[name], msg=name)
    with pytest.raises(
        ConfigError, match="optimiser is 'sgd', expected one of adam, adamw, radam"
    ):
        training.optimiser_of("sgd")


def test_balanced_weights() -> None:
    np.testing.assert_allclose(training.balanced_weights(np.array([0, 0, 0, 1]), 2), [4 / 6, 2.0])
    np.testing.assert_allclose(training.balanced_weights(np.array([0, 2]), 3), [1.0, 0.0, 1.0])


def test_validation_chooses_the_epoch_and_its_weights_come_back() -> None:
    x, y = data()
    held = (data(20, 5)[0], 1 - data(20, 5)[1])  # labels upside down: the first epoch is best
    kept: list[dict[str, torch.Tensor]] = []
    module = network()
    history = training.fit(
        module,
        x,
        y,
        epochs=30,
        validation=held,
        patience=3,
        on_epoch=lambda _, m: kept.append(copy.deepcopy(m.state_dict())),
    )
    losses = [e.validation_loss for e in history.epochs]
    assert history.selected == 1 + int(np.argmin(losses))
    assert history.stopped_early
    assert len(losses) == history.selected + 3 == len(kept)
    best = kept[history.selected - 1]
    assert all(torch.equal(v, best[name]) for name, v in module.state_dict().items())
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(
            module(torch.tensor(held[0])), torch.tensor(held[1])
        )
    assert losses[history.selected - 1] == pytest.approx(loss.item(), rel=1e-6)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("validated", [False, True])
def test_killed_and_resumed_equals_never_stopped(tmp_path: Path, validated: bool) -> None:
    settings_ = {
        "epochs": 6,
        "augment": noisy if validated else None,
        "schedule": training.drop_after(1e-2, {3: 1e-3}),
        "validation": data(20, 9) if validated else None,
    }
    whole = network()
    wanted = run(whole, **settings_)

    def kill(number: int, module: torch.nn.Module) -> None:
        if number == 4:
            raise KilledError

    path = tmp_path / "fit.ckpt"
    with pytest.raises(KilledError):
        run(network(), checkpoint=path, on_epoch=kill, **settings_)
    resumed = network()
    found = run(resumed, checkpoint=path, **settings_)
    assert found == wanted
    assert same(resumed, whole)
    again = network()
    assert run(again, checkpoint=path, **settings_) == wanted  # nothing left to do
    assert same(again, whole)
    longer = run(network(), checkpoint=path, **{**settings_, "epochs": 8})
    assert longer.epochs[:6] == wanted.epochs


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.ckpt"
    run(network(), checkpoint=path)
    for change in (
        {"seed": 8},
        {"batch_size": 20},
        {"schedule": training.drop_after(1.0, {})},
        {"optimiser": torch.optim.SGD},
        {"optimiser": lambda p: torch.optim.Adam(p, weight_decay=0.1)},
        {"label_smoothing": 0.1},
        {"augment": noisy},
    ):
        with pytest.raises(TrainingError, match="checkpoint is of another fit"):
            run(network(), checkpoint=path, **change)
    with pytest.raises(TrainingError, match="checkpoint is of another fit"):
        run(network(1), checkpoint=path)
    path.write_bytes(b"half a file")
    with pytest.raises(StorageError, match=r"cannot be read .*Remove it to start over"):
        run(network(), checkpoint=path)


@given(n=st.integers(2, 40), size=st.integers(2, 12))
def test_batches_hold_every_row_once_and_none_is_alone(n: int, size: int) -> None:
    parts = list(training.batches(torch.arange(n), size))
    assert torch.cat(parts).tolist() == list(range(n))
    assert all(2 <= len(part) <= size + 1 for part in parts)


def test_a_last_batch_of_one_is_no_obstacle() -> None:
    x, y = data(33)
    history = training.fit(network(), x, y, epochs=1, batch_size=16)
    assert np.isfinite(history.epochs[0].training_loss)


def test_a_loss_that_is_not_finite_names_the_epoch() -> None:
    x, y = data()
    broken = x.copy()
    broken[7, 1] = np.nan
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 1.*lower the learning"):
        training.fit(network(), broken, y, epochs=2)
    with pytest.raises(TrainingError, match=r"validation loss became nan in epoch 1"):
        training.fit(network(), x, y, epochs=2, validation=(broken, y))


def test_regression_targets_use_the_squared_error() -> None:
    x, _ = data()
    y = x[:, 1] * 2 + 1
    module = network(num_classes=1)
    history = training.fit(
        module, x, y, epochs=80, batch_size=30, schedule=training.drop_after(1e-2, {})
    )
    assert history.epochs[-1].training_loss < 0.2 * float(np.var(y))
    with pytest.raises(ConfigError, match="label_smoothing is for classes"):
        training.fit(module, x, y, epochs=1, label_smoothing=0.1)


def test_bfloat16_is_close_to_float32() -> None:
    first, second = network(), network()
    a = run(first, precision="float32").epochs[-1].training_loss
    b = run(second, precision="bfloat16").epochs[-1].training_loss
    assert b == pytest.approx(a, abs=0.03)
    assert b != a
    assert all(p.dtype == torch.float32 for p in second.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 1}, "batch_size is 1: BatchNorm"),
        ({"patience": 2}, "patience needs validation windows"),
        ({"patience": 0, "validation": data(8)}, "patience is 0"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0, expected 0 or more, below 1"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(network(), **arguments)


def test_too_few_windows() -> None:
    x, y = data()
    with pytest.raises(TrainingError, match=r"1 training window\(s\)"):
        training.fit(network(), x[:1], y[:1], epochs=1)
    with pytest.raises(ConfigError, match="60 windows and 59 labels"):
        training.fit(network(), x, y[:-1], epochs=1)


def test_a_read_only_array_is_taken() -> None:
    x, y = data()
    x.setflags(write=False)
    y.setflags(write=False)
    training.fit(network(), x, y, epochs=1, validation=(x, y))


@settings(max_examples=3)
@given(count=st.integers(1, 2))
def test_threads_are_as_before_afterwards(count: int) -> None:
    before = torch.get_num_threads()
    with training.threads(count):
        assert torch.get_num_threads() == count
    with training.threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before
    with pytest.raises(ConfigError, match="threads is 0"), training.threads(0):
        pass


PROCESS = """
    import sys
    import numpy as np, torch
    from dolorimeter import training

    def job():
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(42, 4)).astype(np.float32), np.arange(42) % 3
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
        weight = training.balanced_weights(y, 3) * np.array([1.0, 2.0, 0.5])
        history = training.fit(
            module,
            x,
            y,
            epochs=3,
            batch_size=9,
            class_weight=weight,
            label_smoothing=0.2,
            augment=lambda window, rng: window + rng.standard_normal(4, dtype=np.float32),
            seed=1,
        )
        return [e.training_loss for e in history.epochs], module.state_dict()

    if __name__ == "__main__":
        from accelerate import PartialState

        result = job()
        torch.save((PartialState().num_processes, *result), sys.argv[1])
        PartialState().wait_for_everyone()  # a process that leaves first takes the store with it
        PartialState().destroy_process_group()
"""


@pytest.mark.long
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(PROCESS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "ACCELERATE_USE_CPU": "1",
    }
    jobs = [
        subprocess.Popen(
            [sys.executable, script, tmp_path / f"{rank}.pt"],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    names: dict[str, Any] = {"__name__": "here"}
    exec(textwrap.dedent(PROCESS), names)
    losses, weights = names["job"]()
    assert [job.wait(timeout=120) for job in jobs] == [0, 0]
    for rank in (0, 1):
        world, found_losses, found = torch.load(tmp_path / f"{rank}.pt")
        assert world == 2
        np.testing.assert_allclose(found_losses, losses, rtol=1e-5)
        for name, values in weights.items():
            torch.testing.assert_close(found[name], values, rtol=1e-4, atol=1e-6)
