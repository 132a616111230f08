"""A pre-training step of the video masked autoencoder: visible tokens alone against all of them.

Run: python benchmarks/video_mae.py [--rounds N] [--batch N] [--size small] [--threads N]

Both steps have the same encoder, decoder, loss and optimiser. *Visible* encodes the tenth of the
tokens that is seen. *All* encodes every token, the hidden ones as an empty patch at their place,
as an encoder must that knows no mask. Rounds alternate, so that a busy machine slows both alike.
Memory is the highest resident size of a process of its own that makes one step of a kind.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from dolorimeter.models import VideoAutoencoder, create_model
from dolorimeter.models.video_mae import masked_patches, patches
from dolorimeter.pretraining import tube_mask

RATIO = 0.9
KINDS = ("visible", "all")


class EncodesAll(VideoAutoencoder):
    """The same, with an encoder that is given every token, hidden patches as zeros."""

    def painted(
        self, cut: torch.Tensor, masked: torch.Tensor, asked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The hidden patches, after an encoder that has seen all places."""
        del asked
        everything = torch.arange(cut.shape[1]).expand(len(cut), -1)
        empty = torch.where(masked[..., None], 0.0, cut)
        tokens = self.bridge(self.encoder.visible_tokens(empty, everything))
        tokens = tokens + self.pos_embedding()
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens[masked].reshape(len(cut), -1, tokens.shape[2])))


def step_of(kind: str, size: str, batch: int) -> Callable[[], float]:
    """One whole step: forward, backward, AdamW."""
    torch.manual_seed(0)
    entry = VideoAutoencoder if kind == "visible" else EncodesAll
    module = entry(create_model(f"video_mae_{size}"))  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)
    cut = patches(torch.rand(batch, 3, 16, 224, 224) * 2 - 1)
    grid = module.encoder.grid
    drawn = [tube_mask(grid, RATIO, np.random.default_rng(i)) for i in range(batch)]
    masked = torch.from_numpy(np.stack(drawn))
    real = masked_patches(cut, masked)

    def step() -> float:
        start = time.perf_counter()
        loss = (module.painted(cut, masked) - real).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return time.perf_counter() - start

    return step


def peak(kind: str, size: str, batch: int, threads: int) -> float:
    """Highest resident size in GiB of a process that makes one step."""
    command = [sys.executable, __file__, "--one", kind, "--size", size]
    command += ["--batch", str(batch), "--threads", str(threads)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--size", default="small", choices=("tiny", "small", "base", "large"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=KINDS, help="one step; prints its peak in GiB")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        step_of(given.one, given.size, given.batch)()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    print(
        f"torch {torch.__version__}; {platform.machine()}, {given.threads} threads; load "
        f"{os.getloadavg()[0]:.1f}; {given.size}, batch of {given.batch}, mask {RATIO}\n"
    )
    # first: a process that starts another hands its own highest resident size on to it
    peaks = {kind: peak(kind, given.size, given.batch, given.threads) for kind in KINDS}
    steps = {kind: step_of(kind, given.size, given.batch) for kind in KINDS}
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(given.rounds):
        for kind, step in steps.items():
            times[kind].append(step())
    ratios = [b / a for a, b in zip(times["visible"], times["all"], strict=True)]
    print("| encoder computes | s a step (range) | times faster (range) | peak GiB |")
    print("|---|---|---|---|")
    for kind, found in times.items():
        told = ""
        if kind == "visible":
            told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        print(
            f"| {kind} | {statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f}) | "
            f"{told} | {peaks[kind]:.2f} |"
        )


if __name__ == "__main__":
    main()
