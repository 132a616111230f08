"""TNT-S: pictures a second by each runtime, and what the embedding cache saves.

Baseline: our parity-tested module (tests/models/test_tnt.py) in eager PyTorch and float32, with
contiguous pictures, fused attention, and batches of 8. Beside it, in the same rounds and in turn,
every runtime and precision of `dolorimeter.embeddings`, on the same pictures and threads. Cosines
are the least over pictures that int8 was not calibrated on; "centred" is the same after the mean
embedding is taken from both, since a random network's embeddings are much alike.

    python benchmarks/tnt.py                      # about 5 minutes on 2 cores
    python benchmarks/tnt.py --rounds 2 --pictures 8 --no-clip
    python benchmarks/tnt.py --weights tnt_s.safetensors --without head.weight head.bias
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch

import dolorimeter
from dolorimeter.embeddings import PRECISIONS, Encoder, agreement, embed
from dolorimeter.models import create_model
from dolorimeter.storage import Cache

NAME = "tnt_s_patch16_224"
BATCH = 8
BASELINE = "eager float32 (baseline)"
CLIP = 138


def crops(count: int, seed: int) -> np.ndarray:
    """Shifted, scaled and turned crops of the portrait in the package."""
    path = Path(dolorimeter.__file__).parent / "assets" / "astronaut.png"
    portrait = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    rng = np.random.default_rng(seed)
    found = np.empty((count, 3, 224, 224), dtype=np.uint8)
    for picture in found:
        scale, angle = rng.uniform(0.8, 1.6), rng.uniform(-15, 15)
        centre = rng.uniform((180, 80), (270, 180))
        turn = cv2.getRotationMatrix2D(tuple(map(float, centre)), angle, scale)
        turn[:, 2] += 112 - centre
        picture[:] = cv2.warpAffine(portrait, turn, (224, 224)).transpose(2, 0, 1)
    return found


def by_rule(path: Path) -> None:
    """Weights of the parity vectors: large, so that attention is sharp."""
    state = create_model(NAME, num_classes=0).state_dict()
    for j, name in enumerate(sorted(state)):
        shape, count = state[name].shape, state[name].numel()
        u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
        b = 2 * (u - np.floor(u)) - 1
        if len(shape) >= 2:
            values = b * np.sqrt(6 * shape[0] / count)
        else:
            values = 0.1 * b + name.endswith("weight")
        state[name] = torch.from_numpy(values.reshape(tuple(shape))).float()
    safetensors.torch.save_file(state, path)


def eager(module: torch.nn.Module, x: torch.Tensor) -> None:
    """The baseline."""
    with torch.inference_mode():
        for batch in x.split(BATCH):
            module(batch)


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def runtimes_of(encoder: Encoder, calibration: str) -> Iterator[tuple[str, Encoder]]:
    """Every runtime and precision."""
    for runtime, precisions in PRECISIONS.items():
        for precision in precisions:
            kept = calibration if precision == "int8" else ""
            yield (
                f"{runtime} {precision}",
                replace(encoder, runtime=runtime, precision=precision, calibration=kept),
            )
    yield "onnx int8, dynamic", replace(encoder, runtime="onnx", precision="int8")


def cosines(encoder: Encoder, calibration: str, pictures: np.ndarray) -> None:
    """How far every runtime is from PyTorch in float32."""
    print("| runtime | cosine | centred | largest difference |\n|---|---|---|---|")
    for name, each in runtimes_of(encoder, calibration):
        told = agreement(each, pictures)
        print(
            f"| {name} | {told.cosine:.6f} | {told.centred_cosine:.6f} | {told.largest:.2g} |",
            flush=True,
        )


def rounds_of_all(encoder: Encoder, calibration: str, pictures: np.ndarray, rounds: int) -> None:
    """Each variant once a round, in turn, so that a busy machine slows all of them alike."""
    count = len(pictures)
    mean, std = (
        np.array(v, np.float32).reshape(3, 1, 1) for v in (encoder.input.mean, encoder.input.std)
    )
    x = torch.from_numpy(((pictures / 255 - mean) / std).astype(np.float32))
    encoders = dict(runtimes_of(encoder, calibration))
    module = encoder.build()
    variants: dict[str, Callable[[], object]] = {BASELINE: partial(eager, module, x)}
    variants |= {name: partial(embed, each, [pictures]) for name, each in encoders.items()}
    for run in variants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            times[name].append(seconds(run))
    base = times[BASELINE]
    print("| runtime | pictures/s (range) | times baseline (range) |\n|---|---|---|")
    for name, found in times.items():
        rates = [count / t for t in found]
        ratios = [b / t for b, t in zip(base, found, strict=True)]
        print(f"| {name} | {spread(rates)} | {spread(ratios)} |")


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def clip(encoder: Encoder, rounds: int) -> None:
    """A clip of 138 frames, embedded and then read from the cache."""
    frames = crops(CLIP, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        batches = [frames[i : i + 16] for i in range(0, CLIP, 16)]
        embed(encoder, [frames[:1]])  # loaded before, as in the middle of an evaluation
        first = seconds(lambda: embed(encoder, batches, cache=cache))
        again = [seconds(lambda: embed(encoder, batches, cache=cache)) for _ in range(rounds)]
    print(
        f"{CLIP} frames, {encoder.runtime} {encoder.precision}: first {first:.2f} s, from the "
        f"cache {statistics.median(again):.4f} s ({min(again):.4f}–{max(again):.4f}), "
        f"{first / max(again):.0f}–{first / min(again):.0f} times faster"
    )


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--weights", help="a weights file; else random and rule-made weights")
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--no-clip", action="store_true", help="leave out the cached clip")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "onnxruntime", "openvino"))
    print(f"{packages}; {platform.machine()}; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DOLORIMETER_CACHE"] = folder
        calibration = Path(folder) / "calibration.npy"
        np.save(calibration, crops(16, seed=3))
        rule = Path(folder) / "rule.safetensors"
        by_rule(rule)
        common = {"batch_size": arguments.pictures, "threads": arguments.threads}
        encoders = {
            "random weights": Encoder(NAME, **common),
            "rule-made weights": Encoder(NAME, str(rule), **common),
        }
        if arguments.weights:
            given = Encoder(NAME, arguments.weights, without=arguments.without, **common)
            encoders = {arguments.weights: given}
        pictures = crops(arguments.pictures, seed=1)
        for title, encoder in encoders.items():
            print(f"\n{title}, {arguments.pictures} pictures\n")
            cosines(encoder, str(calibration), pictures)
        print(f"\n{arguments.pictures} pictures, {arguments.threads} threads\n")
        rounds_of_all(encoder, str(calibration), pictures, arguments.rounds)
        if not arguments.no_clip:
            print()
            for runtime, precision in (("torch", "f32"), ("openvino", "bf16")):
                clip(replace(encoder, runtime=runtime, precision=precision), arguments.rounds)


if __name__ == "__main__":
    main()
