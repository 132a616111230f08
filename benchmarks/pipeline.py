"""From disk to score at full size: 8,700 windows read, cut and featurised, then 87 folds.

    python benchmarks/pipeline.py [FOLDER]

Writes a BioVid look-alike of the published size (87 subjects × 5 levels × 20, signals) into FOLDER
(default: a temporary one, 1.2 GB) unless one is there. Each stage runs in a process of its own, so
that its peak memory is its own. There is no peer that does this whole job: times stand alone.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

EXPERIMENT = Path(__file__).parent.parent / "experiments" / "biovid_logistic_regression.toml"
ALL_LEVELS = ("BL1", "PA1", "PA2", "PA3", "PA4")
WORKERS = 2


def samples(root: Path) -> None:
    """Read, cut and featurise all five levels, and say how long it took."""
    from dolorimeter.experiment import prepare, read_experiment

    experiment = read_experiment(
        EXPERIMENT,
        {"task.classes": [[level] for level in ALL_LEVELS], "task.names": list(ALL_LEVELS)},
    )
    from dolorimeter.storage import Cache, user_cache

    start = time.perf_counter()
    prepared = prepare(experiment, root, cache=Cache(user_cache() / "samples"), workers=WORKERS)
    seconds = time.perf_counter() - start
    print(f"{len(prepared.samples):,} windows × {len(prepared.samples.feature_names)} features")
    print(f"read, cut, featurise: {seconds:.1f} s, {_peak():.2f} GB peak (all processes)")


def folds(root: Path) -> None:
    """Leave one of 87 subjects out with logistic regression, BL1 against PA4."""
    from dolorimeter.evaluation import evaluate
    from dolorimeter.experiment import prepare, read_experiment
    from dolorimeter.storage import Cache, user_cache

    experiment = read_experiment(EXPERIMENT)
    prepared = prepare(experiment, root, cache=Cache(user_cache() / "samples"), workers=WORKERS)
    start = time.perf_counter()
    evaluate(experiment.estimator(), prepared.samples, prepared.y, prepared.split, workers=WORKERS)
    print(
        f"leave one subject out, {len(set(prepared.samples.subjects))} folds × "
        f"{len(prepared.samples):,} windows, with baselines: {time.perf_counter() - start:.1f} s"
    )


def _peak() -> float:
    """Gigabytes: this process's peak, and the largest child's for each worker."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # the children's peak is known when they are gone
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + WORKERS * child) / 1e6


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "?")


def main() -> None:
    """Make the cohort if need be, then run each stage in its own process, the first one twice."""
    if len(sys.argv) > 2:
        {"samples": samples, "folds": folds}[sys.argv[2]](Path(sys.argv[1]))
        return
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "biovid"
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {_cpu()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {WORKERS} workers"
    )
    if not (folder / "LOOKALIKE.json").is_file():
        from dolorimeter.synthesis import synthesise

        start = time.perf_counter()
        synthesise("biovid", folder, seed=0, workers=WORKERS)
        print(f"synthesise 8,700 windows: {time.perf_counter() - start:.0f} s")
    environment = os.environ | {"DOLORIMETER_CACHE": str(folder.parent / "cache")}
    for stage, words in (
        ("samples", "first run"),
        ("samples", "second run, from cache"),
        ("folds", "evaluation"),
    ):
        print(f"-- {words}", flush=True)
        command = [sys.executable, __file__, str(folder), stage]
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
