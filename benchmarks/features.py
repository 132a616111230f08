"""Features of a 5.5 s window (EDA, ECG, EMG at 512 Hz): ours beside NeuroKit2's, in one run.

    python benchmarks/features.py [--windows 8700] [--batch 256] [--peer 10] [--rounds 5]

The peer is `ecg_process` + `emg_process` + `eda_process` of NeuroKit2, window by window, which is
how it is used. Rounds alternate, so that both see the same load; the ratio is taken within a
round. Then the size of BioVid A, 8,700 windows, for time and peak memory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dolorimeter.representations import Features
from dolorimeter.types import Recording, Signal, Stimulus, Window

RATE = 512.0
SAMPLES = 2816
MODALITIES = ("eda", "ecg", "emg_trapezius")


def made_up(count: int, seed: int) -> list[Window]:
    """Windows with beats, muscle noise and bursts, and skin-conductance responses, in SI units."""
    rng = np.random.default_rng(seed)
    t = np.arange(SAMPLES) / RATE
    windows = []
    for i in range(count):
        signals = {
            "eda": Signal(_eda(rng, t)[None], RATE, "S", True, "conductance"),
            "ecg": Signal(_ecg(rng, t)[None], RATE, "V", True, "voltage"),
            "emg_trapezius": Signal(_emg(rng, t)[None], RATE, "V", True, "voltage"),
        }
        stimulus = Stimulus(None, None, "PA4", 4)
        recording = Recording("made", "s", f"r{i}", signals=signals, stimuli=(stimulus,))
        windows.append(Window(recording, 0.0, SAMPLES / RATE, stimulus))
    return windows


def _eda(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    rise = np.clip((t - rng.uniform(0, 4)) / 1.5, 0, None)
    response = rng.uniform(0, 0.5) * rise * np.exp(1 - rise)
    return 1e-6 * (rng.uniform(2, 10) + 0.02 * t + response + rng.normal(0, 0.002, t.size))


def _ecg(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    values = 0.02 * rng.normal(size=t.size) + 0.1 * np.sin(2 * np.pi * 0.3 * t)
    for beat in np.cumsum(rng.uniform(0.7, 1.0, 9)) - 0.5:
        values += np.exp(-0.5 * ((t - beat) / 0.012) ** 2)
        values += 0.25 * np.exp(-0.5 * ((t - beat - 0.25) / 0.05) ** 2)
    return 1e-3 * values


def _emg(rng: np.random.Generator, t: np.ndarray) -> np.ndarray:
    gain = 1 + 8 * (np.abs(t - rng.uniform(1, 5)) < 0.4)
    return 1e-6 * gain * rng.normal(0, 5, t.size)


def ours(windows: Sequence[Window], batch: int) -> None:
    """All three tables, `batch` windows a call."""
    for start in range(0, len(windows), batch):
        for modality in MODALITIES:
            Features(modality)(windows[start : start + batch])


def peer(windows: Sequence[Window]) -> None:
    """NeuroKit2, window by window, in the units that it expects."""
    import neurokit2 as nk

    for window in windows:
        ecg, emg, eda = (
            window.signal(name).values[0] * scale
            for name, scale in (("ecg", 1e3), ("emg_trapezius", 1e3), ("eda", 1e6))
        )
        nk.ecg_process(ecg, sampling_rate=int(RATE))
        nk.emg_process(emg, sampling_rate=int(RATE))
        nk.eda_process(eda, sampling_rate=int(RATE))


def seconds(work: Callable[[], None]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def conditions() -> str:
    """Machine, load, threads, versions and date, without which no number means anything."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            x.split(":")[1].strip() for x in info.read_text().splitlines() if "model name" in x
        ]
        cpu = models[0] if models else cpu
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "neurokit2")
    )
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu} · {os.cpu_count()} cores · load "
        f"{os.getloadavg()[0]:.2f} · OMP_NUM_THREADS {threads} · Python "
        f"{platform.python_version()}, {versions}"
    )


def main() -> None:
    """Both measurements, printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=8700)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--peer", type=int, default=10, help="windows a round for the peer")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(conditions())

    windows = made_up(arguments.batch, seed=0)
    few = windows[: arguments.peer]
    ours(windows, arguments.batch)
    peer(few[:1])
    ratios = []
    for number in range(1, arguments.rounds + 1):
        theirs = 1e3 * seconds(lambda: peer(few)) / len(few)
        mine = 1e3 * seconds(lambda: ours(windows, arguments.batch)) / len(windows)
        ratios.append(theirs / mine)
        print(
            f"round {number}: NeuroKit2 {theirs:.1f} ms, dolorimeter {mine:.2f} ms a window: "
            f"{ratios[-1]:.0f} times"
        )
    print(
        f"batch {arguments.batch}, {len(few)} windows for the peer: median "
        f"{statistics.median(ratios):.0f} times, range {min(ratios):.0f}–{max(ratios):.0f}"
    )
    single = 1e3 * seconds(lambda: ours(few, 1)) / len(few)
    print(f"batch 1 (live): {single:.2f} ms a window")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    taken = 0.0
    for start in range(0, arguments.windows, arguments.batch):
        batch = made_up(min(arguments.batch, arguments.windows - start), seed=start)
        taken += seconds(lambda part=batch: ours(part, arguments.batch))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.windows:,} windows × ({', '.join(MODALITIES)}): {taken:.1f} s, "
        f"{1e3 * taken / arguments.windows:.2f} ms a window; peak memory {peak:.0f} MB "
        f"(before: {before:.0f} MB)"
    )


if __name__ == "__main__":
    main()
