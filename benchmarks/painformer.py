"""PainFormer: its encoder, drawn signals, embeddings at size, its mixer, a live face.

Parts, each with its own table (all of them, or those named with ``--part``):

runtimes    pictures a second and cosines of every runtime beside our parity-tested module in eager
            float32 (`_runtimes.py`); half of the pictures are drawn signals, half are faces
drawing     waveforms and spectrograms in batches of 64 beside matplotlib's ``savefig``
waveforms   8,700 windows of EDA through ``dolorimeter embed``: time, peak memory, again from cache
mixer       the full-size Embedding-Mixer on 12 people × 40 windows, 3-fold by subject, 20 epochs
stream      a face video of 25 frames a second: decoded, tracked, aligned and embedded, by stride

Run: python benchmarks/painformer.py [--part NAME …] [--rounds N] [--threads N]
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _runtimes import CLIP, add_arguments, crops, heading, load, run, seconds, spread

ENCODER = "painformer"
RATE, SAMPLES = 512.0, 2816  # BioVid's windows
BATCH = 64
WINDOWS = 8700
FASTEST = ("openvino", "bf16")
"""What a live face is embedded with: int8 is faster and has to be calibrated on faces."""


def main() -> None:
    """Print what was asked for."""
    parts = {
        "runtimes": lambda given: run(ENCODER, pictures, given),
        "drawing": drawing,
        "waveforms": waveforms,
        "mixer": mixer,
        "stream": stream,
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", action="append", choices=list(parts), help="repeatable")
    add_arguments(parser)
    given = parser.parse_args()
    for name in given.part or parts:
        print(f"\n-- {name}")
        if name != "runtimes":
            heading()
        parts[name](given)
        print(f"load at the end: {load()}", flush=True)


def walks(count: int, seed: int) -> np.ndarray:
    """Random walks of one BioVid window each (count, 2816): as rough as EDA, never the same."""
    steps = np.random.default_rng(seed).normal(size=(count, SAMPLES))
    return np.cumsum(steps, axis=1).astype(np.float32)


def pictures(count: int, seed: int) -> np.ndarray:
    """A quarter waveforms, a quarter spectrograms, half face crops."""
    from dolorimeter.signals.pictures import spectrogram_pictures
    from dolorimeter.signals.pictures import waveforms as lines

    quarter = count // 4
    drawn = [
        lines(walks(quarter, seed)),
        spectrogram_pictures(walks(quarter, seed + 100), RATE),
        crops(count - 2 * quarter, seed),
    ]
    mixed = np.random.default_rng(seed).permutation(count)
    return np.concatenate(drawn)[mixed]


# --- drawing ------------------------------------------------------------------------------------


def drawing(given: argparse.Namespace) -> None:
    """Ours in a batch, and matplotlib's picture by picture, in alternating rounds."""
    from dolorimeter.signals.pictures import spectrogram_pictures
    from dolorimeter.signals.pictures import waveforms as lines

    values = walks(BATCH, 0)
    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "waveform": (lambda: lines(values), lambda: plotted_line(values[0])),
    }
    for quantity in ("psd", "angle", "phase"):
        ways[f"spectrogram_{quantity}"] = (
            lambda q=quantity: spectrogram_pictures(values, RATE, q),
            lambda q=quantity: plotted_spectrogram(values[0], q),
        )
    print(
        f"batches of {BATCH}, 224 × 224, {SAMPLES} samples a picture, STFT included, one thread\n"
    )
    print("| picture | ours ms | savefig ms | times faster |\n|---|---|---|---|")
    for name, (ours, theirs) in ways.items():
        ours(), theirs()
        mine, peer = [], []
        for _ in range(given.rounds):
            mine.append(1e3 * seconds(ours, 20) / BATCH)
            peer.append(1e3 * seconds(theirs, 20))
        ratios = [b / a for a, b in zip(mine, peer, strict=True)]
        print(
            f"| {name} | {statistics.median(mine):.3f} ({min(mine):.3f}–{max(mine):.3f}) "
            f"| {spread(peer)} | {statistics.median(ratios):.0f} "
            f"({min(ratios):.0f}–{max(ratios):.0f}) |"
        )


def plotted_line(values: np.ndarray) -> bytes:
    """The waveform as matplotlib draws it into a PNG of the same size."""
    figure, axes = _blank()
    axes.plot(values, color="black")
    return _saved(figure)


def plotted_spectrogram(values: np.ndarray, quantity: str) -> bytes:
    """The same spectrogram by ``specgram``."""
    figure, axes = _blank()
    axes.specgram(values, NFFT=256, Fs=RATE, noverlap=192, mode=quantity, cmap="viridis")
    return _saved(figure)


def _blank():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.24, 2.24), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _saved(figure) -> bytes:
    kept = io.BytesIO()
    figure.savefig(kept, format="png", dpi=100)
    return kept.getvalue()


# --- embeddings at size -------------------------------------------------------------------------


def waveforms(given: argparse.Namespace) -> None:
    """A look-alike of BioVid in full size through the command line, twice."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "biovid", Path(folder) / "cache"
        told = [
            "synthesise", "biovid", "--out", str(root), "--seed", "1", "--option", "subjects=87",
            "--option", 'modalities=["signals"]',
        ]  # fmt: skip
        measured(told, cache, given.threads)
        times = []
        for turn in ("first", "second"):
            wall, peak, said = measured(
                [
                    "embed", "biovid", "--root", str(root), "--out", str(Path(folder) / turn),
                    "--modality", "eda", "--representation", "waveform", "--duration", "5.5",
                    "--encoder", ENCODER, "--runtime", "openvino", "--precision", "bf16",
                ],
                cache,
                given.threads,
            )  # fmt: skip
            times.append(wall)
            print(f"{turn} run: {wall:.1f} s, peak resident memory {peak:.2f} GB")
            print("\n".join(line for line in said.splitlines() if "windows" in line))
        print(f"from the cache {times[0] / times[1]:.0f} times as fast")


def measured(words: list[str], cache: Path, threads: int) -> tuple[float, float, str]:
    """Seconds, peak resident memory in GB of the command line, and what it printed."""
    env = os.environ | {"DOLORIMETER_CACHE": str(cache), "OMP_NUM_THREADS": str(threads)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation is compiled once, not at each call
    code = (
        "import resource, sys; from dolorimeter.cli import main\n"
        "try: main()\n"
        "finally: print('peak', max(resource.getrusage(w).ru_maxrss for w in "
        "(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)), file=sys.stderr)"
    )
    begun = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - begun
    if found.returncode:
        sys.exit(f"dolorimeter {' '.join(words)}: {found.stderr[-500:]}")
    peak = next(ln for ln in found.stderr.splitlines() if ln.startswith("peak "))
    return wall, int(peak.split()[1]) * 1024 / 1e9, found.stdout


# --- mixer --------------------------------------------------------------------------------------


def mixer(given: argparse.Namespace) -> None:
    """Three folds in as many processes as there are threads, one thread each."""
    import dolorimeter as dl
    from dolorimeter.estimators import NetworkClassifier

    people, each, epochs = 12, 40, 20
    rng = np.random.default_rng(0)
    subject = np.repeat([f"s{i:02d}" for i in range(people)], each)
    y = np.tile([0, 1], people * each // 2)
    print(f"{people} people × {each} windows, 3-fold by subject, batches of 32\n")
    print("| input | precision | seconds | ms a window and step | |\n|---|---|---|---|---|")
    asked = (((160,), "bfloat16", epochs), ((160,), "float32", 2))
    asked += (((CLIP, 160), "bfloat16", 2), ((CLIP, 160), "float32", 2))
    for shape, precision, turns in asked:
        x = rng.normal(size=(len(y), *shape)).astype(np.float32)
        samples = samples_of(x, subject)
        model = NetworkClassifier(
            module="embedding_mixer", epochs=turns, batch_size=32, optimiser="adamw",
            learning_rate=1e-4, early_stopping=False, precision=precision, random_state=0,
        )  # fmt: skip
        wall = seconds(
            lambda m=model, s=samples: dl.evaluate(
                m, s, y, dl.group_k_fold(3), workers=given.threads, baselines=False
            )
        )
        steps = 2 * len(y) * turns  # each fold trains on two thirds
        print(
            f"| {' × '.join(map(str, shape))} | {precision} | {wall:.0f} "
            f"| {1e3 * wall * given.threads / steps:.1f} of a core | {turns} epochs |",
            flush=True,
        )


def samples_of(x: np.ndarray, subject: np.ndarray):
    """Embeddings as `evaluate` takes them."""
    import pandas as pd

    import dolorimeter as dl
    from dolorimeter.samples import META_COLUMNS

    rows = np.arange(len(x))
    known = {"subject": subject, "recording": subject, "start": 6.0 * rows, "duration": 5.5}
    meta = pd.DataFrame({name: known.get(name, "") for name in META_COLUMNS}, index=rows)
    return dl.Samples(x=x, meta=meta)


# --- a live face --------------------------------------------------------------------------------


def stream(given: argparse.Namespace) -> None:
    """Seconds of work a second of video; below 1 it is kept up with."""
    from dolorimeter.embeddings import Encoder, embed
    from dolorimeter.preprocessing import FaceTracker
    from dolorimeter.preprocessing.faces import align
    from dolorimeter.synthesis import synthesise
    from dolorimeter.video import probe, read_frames

    encoder = Encoder(
        ENCODER, runtime=FASTEST[0], precision=FASTEST[1], threads=given.threads, batch_size=8
    )
    embed(encoder, [crops(8, 0)])
    with tempfile.TemporaryDirectory() as folder:
        synthesise(
            "biovid", Path(folder) / "v", subjects=1, per_condition=1, conditions=["BL1", "PA4"],
            modalities=["signals", "video"], seed=3,
        )  # fmt: skip
        videos = sorted((Path(folder) / "v").rglob("*.mp4"))
        info = probe(videos[0])
        print(
            f"look-alike clips of {info.width} × {info.height}, {CLIP} frames, 25 a second; "
            f"{FASTEST[0]} {FASTEST[1]}, {given.threads} threads; "
            "every frame decoded and tracked, every n-th embedded\n"
        )
        print("| stride | seconds of work a second of video (range) |\n|---|---|")
        for stride in (1, 2, 3, 4):
            found = []
            for _ in range(given.rounds):
                for video in videos:
                    begun = time.perf_counter()
                    tracker, waiting, frames = FaceTracker(threads=given.threads), [], 0
                    for frame in read_frames(video):
                        face = tracker.push(frame.image, frame.time)
                        frames += 1
                        if face.found and frame.index % stride == 0:
                            waiting.append(align(frame.image, face.alignment, 224))
                        if len(waiting) == encoder.batch_size:
                            embed(encoder, [np.stack(waiting).transpose(0, 3, 1, 2)])
                            waiting.clear()
                    found.append((time.perf_counter() - begun) / (frames / 25))
            print(f"| {stride} | {spread(found)} |", flush=True)


if __name__ == "__main__":
    main()
