"""PainAttnNet: seconds an epoch, and what makes it faster.

Baseline: our parity-tested module (tests/models/test_painattnnet.py) in a plain eager PyTorch loop
in float32, since the authors' code is not vendored. Beside it, in the same rounds and in turn: the
loop of `dolorimeter.training`, the fused Adam, and bfloat16 autocast. The full epoch (8,700
windows, a full-size BioVid part A) is run whole, once for each number of threads.

    python benchmarks/painattnnet.py            # all, about 4 minutes on 2 cores
    python benchmarks/painattnnet.py --rounds 5 --no-full
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from dolorimeter import training
from dolorimeter.models import create_model

FULL = 8700
DEMO = 320
SUBSET = 384
BATCH = 128


def windows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Skin conductance in microsiemens, and labels; the values do not change the time."""
    rng = np.random.default_rng(0)
    level = rng.uniform(1, 12, (count, 1, 1))
    x = level + rng.normal(0, 0.05, (count, 1, 2816)).cumsum(axis=2) / 50
    return x.astype(np.float32), np.arange(count) % 2


def eager(x: np.ndarray, y: np.ndarray) -> None:
    """The baseline: one epoch of the plain loop."""
    network = create_model("painattnnet").train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for rows in torch.split(torch.randperm(len(x)), BATCH):
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(inputs[rows]), labels[rows]).backward()
        optimiser.step()


def ours(x: np.ndarray, y: np.ndarray, precision: str = "float32", fused: bool = False) -> None:
    """One epoch of the loop of `dolorimeter.training`."""
    training.fit(
        create_model("painattnnet"),
        x,
        y,
        epochs=1,
        batch_size=BATCH,
        precision=precision,
        optimiser=partial(torch.optim.Adam, lr=1e-3, fused=True) if fused else torch.optim.Adam,
    )


def seconds(run: Callable[[], None]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def rounds_of_all(count: int, rounds: int) -> None:
    """Each variant once a round, in turn, so that a busy machine slows all of them alike."""
    x, y = windows(count)
    variants: dict[str, Callable[[], None]] = {
        "plain eager loop (baseline)": partial(eager, x, y),
        "dolorimeter.training": partial(ours, x, y),
        "  with fused Adam": partial(ours, x, y, fused=True),
        "  in bfloat16 autocast": partial(ours, x, y, precision="bfloat16"),
    }
    eager(*windows(BATCH))  # warm up
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            times[name].append(seconds(run))
    base = times["plain eager loop (baseline)"]
    for name, found in times.items():
        ratio = statistics.median(b / f for b, f in zip(base, found, strict=True))
        print(
            f"| {name} | {statistics.median(found):.2f} | {min(found):.2f} | {max(found):.2f} "
            f"| {ratio:.2f} |"
        )


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-full", action="store_true", help="leave out the full epochs")
    arguments = parser.parse_args()
    print(f"PyTorch {torch.__version__}, {platform.processor() or platform.machine()}")
    for count in (1, 2):
        with training.threads(count):
            print(f"\n{SUBSET} windows, one epoch, batch {BATCH}, threads: {count}\n")
            print("| loop | median s | min | max | times baseline |\n|---|---|---|---|---|")
            rounds_of_all(SUBSET, arguments.rounds)
            x, y = windows(DEMO)
            print(f"\n{DEMO} windows (a fold of the demo): {seconds(partial(ours, x, y)):.2f} s")
            if not arguments.no_full:
                x, y = windows(FULL)
                for precision in ("float32", "bfloat16"):
                    took = seconds(partial(ours, x, y, precision=precision))
                    print(f"{FULL:,} windows, whole epoch, {precision}: {took:.1f} s")


if __name__ == "__main__":
    main()
