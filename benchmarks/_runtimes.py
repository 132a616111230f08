"""An encoder in every runtime: pictures a second and cosines; what `tnt.py`, `painformer.py` call.

Baseline: our parity-tested module (tests/models) in eager PyTorch and float32, with contiguous
pictures, fused attention, and batches of 8. Beside it every runtime and precision of
`dolorimeter.embeddings`, on the same pictures and with as many threads.

Each variant is a process of its own that stays up, so that imports, conversion and loading are
not counted and no runtime's waiting threads stand in another's way. One works at a time, in
alternating rounds; ratios are taken within a round. The processor time that a worker took while
the others were at work is printed: it must be next to nothing.

Cosines are the least over pictures that int8 was not calibrated on; "centred" is the same after
the mean embedding is taken from both, since a random network's embeddings are much alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch

import dolorimeter
from dolorimeter.embeddings import PRECISIONS, Encoder, agreement, embed
from dolorimeter.models import create_model
from dolorimeter.storage import Cache

BATCH = 8
BASELINE = "eager float32 (baseline)"
CLIP = 138
ALONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Not handed on to workers, which set their threads themselves."""

Draw = Callable[[int, int], np.ndarray]
"""Number and seed to uint8 pictures (picture, 3, 224, 224)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be asked of `run`."""
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--batch", type=int, default=BATCH, help="of the runtimes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="runtimes by name; else all of them")
    parser.add_argument("--weights", help="a weights file; else random and rule-made weights")
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--no-clip", action="store_true", help="leave out the cached clip")
    parser.add_argument("--no-cosines", action="store_true", help="time alone")


def run(name: str, draw: Draw, arguments: argparse.Namespace) -> None:
    """Print the tables of one encoder."""
    heading()
    print(
        f"{arguments.pictures} pictures, {arguments.threads} threads; batches of {BATCH} in the "
        f"baseline and of {arguments.batch} in the runtimes"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DOLORIMETER_CACHE"] = folder
        benchmark(name, draw, Path(folder), arguments)
    print(f"\nload at the end: {load()}")


def benchmark(name: str, draw: Draw, folder: Path, arguments: argparse.Namespace) -> None:
    """Start the workers, and ask them in turn."""
    made = {"calibration": (32, 3), "pictures": (arguments.pictures, 1), "clip": (CLIP, 2)}
    for file, (count, seed) in made.items():
        np.save(folder / f"{file}.npy", draw(count, seed))
    encoders = dict(encoders_of(name, folder, arguments))
    variants = dict(variants_of(encoders, str(folder / "calibration.npy")))
    if arguments.only:
        variants = {k: v for k, v in variants.items() if k == BASELINE or k in arguments.only}
    workers = {
        title: Worker(folder / f"{i}.json", title == BASELINE, variant, arguments.threads)
        for i, (title, variant) in enumerate(variants.items())
    }
    table_of_times(workers, arguments.pictures, arguments.rounds)
    del variants[BASELINE]
    for title in encoders if not arguments.no_cosines else ():
        table_of_cosines({variant: workers[variant] for variant in variants}, title)
    print()
    for variant in ("torch f32", "openvino bf16") if not arguments.no_clip else ():
        if variant in workers:
            print(workers[variant]("clip", str(arguments.rounds))["told"])
    for worker in workers.values():
        worker.close()


# --- what is measured ---------------------------------------------------------------------------


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


def by_rule(name: str, path: Path) -> None:
    """Weights of the parity vectors (tests/models): large, so that attention is sharp."""
    state = create_model(name, num_classes=0).state_dict()
    floats = sorted(key for key, value in state.items() if value.is_floating_point())
    for j, key in enumerate(floats):
        shape, count = tuple(state[key].shape), state[key].numel()
        u = np.sin(12.9898 * np.arange(1, count + 1) + 78.233 * j) * 43758.5453
        b = 2 * (u - np.floor(u)) - 1
        if key.endswith("running_var"):
            values = 1 + 0.5 * b**2
        elif key.endswith("complex_weight"):
            values = b
        elif len(shape) >= 2:
            values = b * np.sqrt(6 * shape[0] / count)
        else:
            values = 0.1 * b + (key.endswith("weight") and 1)
        state[key] = torch.from_numpy(values.reshape(shape)).float()
    safetensors.torch.save_file(state, path)


def encoders_of(
    name: str, folder: Path, arguments: argparse.Namespace
) -> Iterator[tuple[str, Encoder]]:
    """The network with each set of weights; times are taken with the last."""
    common = {"batch_size": arguments.batch, "threads": arguments.threads}
    if arguments.weights:
        given = Encoder(name, arguments.weights, without=arguments.without, **common)
        yield arguments.weights, given
        return
    rule = folder / "rule.safetensors"
    by_rule(name, rule)
    yield "random weights", Encoder(name, **common)
    yield "rule-made weights", Encoder(name, str(rule), **common)


def variants_of(
    encoders: Mapping[str, Encoder], calibration: str
) -> Iterator[tuple[str, dict[str, Encoder]]]:
    """Every runtime and precision."""

    def each(**changes: str) -> dict[str, Encoder]:
        return {title: replace(encoder, **changes) for title, encoder in encoders.items()}

    yield BASELINE, each()
    for runtime, precisions in PRECISIONS.items():
        for precision in precisions:
            kept = calibration if precision == "int8" else ""
            named = each(runtime=runtime, precision=precision, calibration=kept)
            yield f"{runtime} {precision}", named
    yield "onnx int8, dynamic", each(runtime="onnx", precision="int8")


# --- workers ------------------------------------------------------------------------------------


class Worker:
    """A process that holds one variant, and works when it is asked."""

    def __init__(
        self, order: Path, baseline: bool, encoders: Mapping[str, Encoder], threads: int
    ) -> None:
        told = {title: asdict(encoder) for title, encoder in encoders.items()}
        order.write_text(
            json.dumps({"baseline": baseline, "threads": threads, "encoders": told}),
            encoding="utf-8",
        )
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(order)],
            env={k: v for k, v in os.environ.items() if k not in ALONE},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, *words: str) -> dict[str, Any]:
        """Have one thing done."""
        print(json.dumps(words), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit(f"a worker has failed ({self._process.args}).")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def work(order: dict[str, Any]) -> None:
    """Do what each line says, and answer with a line."""
    torch.set_num_threads(order["threads"])
    encoders = {title: Encoder(**told) for title, told in order["encoders"].items()}
    timed = list(encoders.values())[-1]
    folder = Path(os.environ["DOLORIMETER_CACHE"])
    pictures = np.load(folder / "pictures.npy")
    run = baseline_of(timed, pictures) if order["baseline"] else partial(embed, timed, [pictures])
    left = time.process_time()
    for line in sys.stdin:
        what, *words = json.loads(line)
        idle = time.process_time() - left
        if what == "time":
            answer: dict[str, Any] = {"seconds": seconds(run), "idle": idle}
        elif what == "cosine":
            answer = asdict(agreement(encoders[words[0]], pictures[:8]))
        else:
            answer = {"told": clip(timed, int(words[0]))}
        left = time.process_time()
        print(json.dumps(answer), flush=True)


def baseline_of(encoder: Encoder, pictures: np.ndarray) -> Callable[[], object]:
    """The module itself, in eager PyTorch, on contiguous float32 pictures in batches of 8."""
    module = encoder.build()
    mean, std = (
        np.array(v, np.float32).reshape(3, 1, 1) for v in (encoder.input.mean, encoder.input.std)
    )
    x = torch.from_numpy(((pictures / 255 - mean) / std).astype(np.float32)).contiguous()

    def run() -> None:
        with torch.inference_mode():
            for batch in x.split(BATCH):
                module(batch)

    return run


def seconds(run: Callable[[], object], times: int = 1) -> float:
    """Wall-clock seconds of one call, the mean of so many."""
    start = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - start) / times


def clip(encoder: Encoder, rounds: int) -> str:
    """A clip of 138 frames, embedded and then read from the cache."""
    frames = np.load(Path(os.environ["DOLORIMETER_CACHE"]) / "clip.npy")
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        batches = [frames[i : i + 16] for i in range(0, CLIP, 16)]
        embed(encoder, [frames[:1]])  # loaded before, as in the middle of an evaluation
        first = seconds(lambda: embed(encoder, batches, cache=cache))
        again = [seconds(lambda: embed(encoder, batches, cache=cache)) for _ in range(rounds)]
    return (
        f"{CLIP} pictures, {encoder.runtime} {encoder.precision}: first {first:.2f} s, from the "
        f"cache {statistics.median(again):.4f} s ({min(again):.4f}–{max(again):.4f}), "
        f"{first / max(again):.0f}–{first / min(again):.0f} times faster"
    )


# --- tables -------------------------------------------------------------------------------------


def table_of_times(workers: Mapping[str, Worker], count: int, rounds: int) -> None:
    """Each variant once a round, after one that is not counted; every second round backwards."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    loads = []
    for i in range(rounds + 1):
        for name in list(workers) if i % 2 else list(workers)[::-1]:
            answer = workers[name]("time")
            answers[name] += [answer] if i else []
        loads.append(os.getloadavg()[0])
    base = [a["seconds"] for a in answers[BASELINE]]
    print("\n| runtime | pictures/s (range) | times baseline (range) |\n|---|---|---|")
    for name, found in answers.items():
        rates = [count / a["seconds"] for a in found]
        ratios = [b / a["seconds"] for a, b in zip(found, base, strict=True)]
        print(f"| {name} | {spread(rates)} | {spread(ratios)} |")
    idle = max(a["idle"] for found in answers.values() for a in found)
    print(
        f"\nMedian (range) of {rounds} alternating rounds; load {min(loads):.1f}–{max(loads):.1f}"
    )
    print(f"Processor time of a waiting worker in a round, at the most: {1e3 * idle:.0f} ms")


def table_of_cosines(workers: Mapping[str, Worker], title: str) -> None:
    """How far every runtime is from PyTorch in float32."""
    print(f"\n{title}, 8 pictures\n")
    print("| runtime | cosine | centred | largest difference |\n|---|---|---|---|")
    for name, worker in workers.items():
        told = worker("cosine", title)
        print(
            f"| {name} | {told['cosine']:.6f} | {told['centred_cosine']:.6f} "
            f"| {told['largest']:.2g} |",
            flush=True,
        )


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def heading() -> None:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [ln for ln in info.read_text().splitlines() if ln.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "onnxruntime", "openvino"))
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu} · {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, {packages} · load: {load()}")


def load() -> str:
    """Load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


if __name__ == "__main__":  # as a worker
    work(json.loads(Path(sys.argv[1]).read_text()))
