"""Look-alike video in BioVid's published size: seconds a clip to write, and to read and track.

    python benchmarks/faces_published.py [--subjects 2] [--clips 2]

`synthesise` writes clips of 138 frames, 1388 × 1038, 25 Hz, H.264; then each is read and
tracked (`track_face`: decoding, tracking, landmarks, blendshapes, pose, quality, the aligned
picture of every frame). One process, one thread of the networks, decoding beside. Writing
includes the signals of the same windows, the truth, and what a person costs once; a clip's
time is the whole divided by the clips. No other program writes such files, so there is no
peer.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from dolorimeter.preprocessing import track_face
from dolorimeter.synthesis import synthesise

SIZE, FRAMES = (1388, 1038), 138
CONDITIONS = ["BL1", "PA4"]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", type=int, default=2)
    parser.add_argument("--clips", type=int, default=2, help="of each person and condition")
    arguments = parser.parse_args()
    heading()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "biovid"
        wrote, busy = written(root, arguments.subjects, arguments.clips)
        paths = sorted(root.rglob("*.mp4"))
        count = len(paths)
        size = sum(path.stat().st_size for path in paths) / count / 2**20
        read(paths[0])  # imports and the loading of networks are not counted
        seen = [read(path) for path in paths]
    print(f"{arguments.subjects} people, {count} clips, {size:.1f} MiB a clip\n")
    print("| | seconds a clip | frames/s | faces found |\n|---|---|---|---|")
    print(f"| write | {wrote / count:.2f} ({busy / count:.2f} of processor) "
          f"| {FRAMES * count / wrote:.1f} | |")  # fmt: skip
    seconds, busy_seconds = [one.seconds for one in seen], [one.busy for one in seen]
    rates = [one.frames / one.seconds for one in seen]
    found = sum(one.found for one in seen) / sum(one.frames for one in seen)
    print(f"| read and track | {spread(seconds, 2)} ({statistics.median(busy_seconds):.2f} of "
          f"processor) | {spread(rates, 1)} | {found:.2%} |")  # fmt: skip
    print("\nWriting: mean over clips. Reading: median (range) over clips.")
    print(f"Peak memory of this process: {peak():.0f} MiB · load at the end: {load()}")


def written(root: Path, subjects: int, clips: int) -> tuple[float, float]:
    """Wall and processor seconds that the cohort took."""
    start, busy = time.perf_counter(), time.process_time()
    synthesise(
        "biovid",
        root,
        seed=1,
        subjects=subjects,
        per_condition=clips,
        conditions=CONDITIONS,
        modalities=["signals", "video"],
        size=list(SIZE),
    )
    return time.perf_counter() - start, time.process_time() - busy


class Read(NamedTuple):
    """Wall and processor seconds that a clip took, its frames, and those with a face."""

    seconds: float
    busy: float
    frames: int
    found: int


def read(path: Path) -> Read:
    """Read and track a clip.

    Raises
    ------
    SystemExit
        If the file is not of the published size.
    """
    start, busy = time.perf_counter(), time.process_time()
    track = track_face(path)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    if (track.frame_size, len(track)) != (SIZE[::-1], FRAMES):
        raise SystemExit(f"{path.name}: {len(track)} frames of {track.frame_size}")
    return Read(seconds, busy, len(track), int(track.found.sum()))


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def heading() -> None:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [ln for ln in info.read_text().splitlines() if ln.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    packages = ("ai-edge-litert", "av", "opencv-python-headless", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu} · {os.cpu_count()} cores")
    print(f"Python {platform.python_version()}, {versions} · load: {load()}")


def load() -> str:
    """Load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def peak() -> float:
    """Peak resident size of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
