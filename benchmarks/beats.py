"""R-peaks of the real ECGs: ours beside NeuroKit2's, agreement and time in one run.

    DOLORIMETER_DATA=… python benchmarks/beats.py [--rounds 5] [--window 5.5]

The peer is `ecg_clean` + `ecg_peaks` with NeuroKit2's own defaults. A beat agrees when the other
finds one within 20 ms. Time is taken on the whole record, and on the record cut into windows: the
peer takes window by window, which is how it is used, ours takes all at once. Rounds alternate,
so that both see the same load; the ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from dolorimeter.signals.beats import r_peaks

TOLERANCE = 0.020
PEER_WINDOWS = 10
RECORDS = {
    "neurokit_data/ecg_1000hz.csv": 1000.0,
    "neurokit_data/bio_resting_8min_100hz.csv": 100.0,
    "neurokit_data/bio_resting_5min_100hz.csv": 100.0,
    "neurokit_data/bio_eventrelated_100hz.csv": 100.0,
    "biosppy_examples/ecg.txt": 1000.0,
}


def read(path: Path) -> np.ndarray:
    """The ECG of one record."""
    if path.suffix == ".txt":
        return np.loadtxt(path)
    return pd.read_csv(path)["ECG"].to_numpy(dtype=float)


def peer(ecg: np.ndarray, rate: float) -> np.ndarray:
    """NeuroKit2's R-peaks."""
    import neurokit2 as nk

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clean = nk.ecg_clean(ecg, sampling_rate=int(rate))
        return np.asarray(nk.ecg_peaks(clean, sampling_rate=int(rate))[1]["ECG_R_Peaks"])


def found(wanted: np.ndarray, among: np.ndarray, rate: float) -> int:
    """How many of the wanted beats are there within the tolerance."""
    return int((np.abs(wanted[:, None] - among).min(axis=1) <= TOLERANCE * rate).sum())


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Wall times of `rounds` rounds, after one that is not counted; who goes first alternates."""
    ours(), theirs()
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds):
        for which in (0, 1) if i % 2 == 0 else (1, 0):
            times[which].append(seconds((ours, theirs)[which]))
    return times


def spread(values: list[float], digits: int = 1) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main() -> None:
    """Print one table for agreement and one for time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=float, default=5.5, help="seconds")
    arguments = parser.parse_args()
    root = os.environ.get("DOLORIMETER_DATA")
    if root is None:
        sys.exit("benchmarks/beats.py: set DOLORIMETER_DATA to the folder of open recordings.")
    records = {name: (read(Path(root) / name), rate) for name, rate in RECORDS.items()}
    heading()
    print("\n| record | beats, theirs | found by us within 20 ms | beats, ours | of them theirs |")
    print("|---|---|---|---|---|")
    for name, (ecg, rate) in records.items():
        agreement(name, ecg, rate)
    print(
        "\n| record | whole, ours ms | theirs ms | ratio | window, ours ms | theirs ms | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (ecg, rate) in records.items():
        speed(name, ecg, rate, arguments.window, arguments.rounds)
    print(f"\nMedian (range) of {arguments.rounds} alternating rounds; load at the end: {load()}")


def heading() -> None:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [ln for ln in info.read_text().splitlines() if ln.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "scipy"))
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu}, {os.cpu_count()} CPUs")
    print(
        f"threads: OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')} · load: {load()}"
    )
    print(
        f"Python {platform.python_version()}, {versions}, "
        f"neurokit2 {importlib.metadata.version('neurokit2')}"
    )


def load() -> str:
    """Load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def agreement(name: str, ecg: np.ndarray, rate: float) -> None:
    """One row of the first table."""
    (ours,), theirs = r_peaks(ecg[None], rate), peer(ecg, rate)
    forth, back = found(theirs, ours, rate), found(ours, theirs, rate)
    print(
        f"| {name} | {len(theirs)} | {forth} ({forth / len(theirs):.2%}) "
        f"| {len(ours)} | {back} ({back / len(ours):.2%}) |"
    )


def speed(name: str, ecg: np.ndarray, rate: float, window: float, rounds: int) -> None:
    """One row of the second table."""
    count = round(window * rate)
    rows = ecg[: len(ecg) // count * count].reshape(-1, count)
    some = rows[:: max(1, len(rows) // PEER_WINDOWS)][:PEER_WINDOWS]
    whole = alternate(lambda: r_peaks(ecg[None], rate), lambda: peer(ecg, rate), rounds)
    cut = alternate(lambda: r_peaks(rows, rate), lambda: [peer(row, rate) for row in some], rounds)
    cells = []
    for (ours, theirs), (n, m) in ((whole, (1, 1)), (cut, (len(rows), len(some)))):
        a, b = [1e3 * t / n for t in ours], [1e3 * t / m for t in theirs]
        ratios = [y / x for x, y in zip(a, b, strict=True)]
        cells += [spread(a, 2), spread(b), f"{spread(ratios, 0)} ×"]
    print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
