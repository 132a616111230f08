"""What installing dolorimeter costs: seconds, megabytes, and the first seconds of use.

    python benchmarks/install.py [--ref COMMIT]

Installs the tree of COMMIT (default 6fa98b8, the last one whose core needed PyTorch) and today's
core into fresh virtual environments, each twice, and reports the second time, when pip has all
wheels in its cache. Then times short commands, the two environments in turn. Last, installs the
core with each extra once and reports what the extra adds. Sizes are those of site-packages.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
import tomllib
import venv
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
TABLE = """
title = "Two features"
[dataset]
name = "feature_table"
[task]
classes = [["rest"], ["pain"]]
[classifier]
name = "logistic_regression"
[split]
name = "leave_one_subject_out"
"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ref", default="6fa98b8", help="Commit to compare with.")
    ref = parser.parse_args().ref
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {processor()}, {os.cpu_count()} CPUs")
    print(f"load: {load} · Python {platform.python_version()} · OMP_NUM_THREADS=1")
    with tempfile.TemporaryDirectory(prefix="dolorimeter-install-") as name:
        folder = Path(name)
        before = folder / "tree"
        before.mkdir()
        archive = subprocess.run(
            ["git", "-C", str(ROOT), "archive", ref], stdout=subprocess.PIPE, check=True
        )
        subprocess.run(["tar", "-x", "-C", str(before)], input=archive.stdout, check=True)
        environments = {ref: folder / "before", "core": folder / "core"}
        trees = {ref: str(before), "core": str(ROOT)}
        print("\n| install | seconds | packages | MB |\n|---|---|---|---|")
        sizes = {}
        for label, environment in environments.items():
            install(environment, trees[label])
            seconds = install(environment, trees[label])
            sizes[label] = size(environment)
            print(f"| {label} | {seconds:.0f} | {packages(environment)} | {sizes[label]:.0f} |")
        use(environments, folder)
        print("\n| extra | adds packages | adds MB |\n|---|---|---|")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        core = packages(environments["core"])
        for extra in sorted(set(project["optional-dependencies"]) - {"test"}):
            environment = folder / "extra"
            install(environment, f"{ROOT}[{extra}]")
            more = packages(environment) - core
            print(f"| {extra} | {more} | {size(environment) - sizes['core']:.0f} |", flush=True)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"\nload at the end: {load}")


def install(environment: Path, what: str) -> float:
    """Install into a fresh environment; return the seconds that pip took."""
    venv.create(environment, clear=True, with_pip=True)
    begin = time.perf_counter()
    pip(environment, "install", "--quiet", "--disable-pip-version-check", what)
    return time.perf_counter() - begin


def pip(environment: Path, *arguments: str) -> str:
    """Run pip without the caller's PYTHONPATH and return what it prints."""
    command = [str(environment / "bin" / "python"), "-m", "pip", *arguments]
    return subprocess.run(
        command, env=clean(), stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def packages(environment: Path) -> int:
    """Count installed distributions."""
    return len(pip(environment, "list", "--format=freeze").splitlines())


def size(environment: Path) -> float:
    """Sum the files of site-packages in MB."""
    (folder,) = (environment / "lib").glob("python*/site-packages")
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def use(environments: dict[str, Path], folder: Path) -> None:
    """Time short commands, one environment after the other in every round."""
    rng = random.Random(0)
    rows = [
        f"s{subject},{label},{rng.gauss(level, 1):.4f},{rng.gauss(level, 1):.4f}"
        for subject in range(8)
        for _ in range(5)
        for level, label in enumerate(("rest", "pain"))
    ]
    (folder / "table.csv").write_text("\n".join(["subject,label,rate,level", *rows]) + "\n")
    (folder / "table.toml").write_text(TABLE)
    jobs = {
        "import dolorimeter": "python -c import␣dolorimeter",
        "dolorimeter --version": "dolorimeter --version",
        "dolorimeter list datasets": "dolorimeter list datasets",
        "dolorimeter evaluate, 80 rows × 2 features, 8 folds": "dolorimeter evaluate table.toml "
        "--root table.csv --out runs/{}",
    }
    names = list(environments)
    print(f"\n| command | {names[0]} s | {names[1]} s |\n|---|---|---|")
    for label, job in jobs.items():
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for number in range(-1, ROUNDS):  # the first one compiles and is not counted
            for name in names:
                first, *rest = job.format(f"{name}-{number}").split()
                command = [str(environments[name] / "bin" / first)]
                command += [part.replace("␣", " ") for part in rest]
                begin = time.perf_counter()
                subprocess.run(command, cwd=folder, env=clean(), capture_output=True, check=True)
                if number >= 0:
                    seconds[name].append(time.perf_counter() - begin)
        cells = [
            f"{statistics.median(v):.2f} ({min(v):.2f}–{max(v):.2f})" for v in seconds.values()
        ]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)
    print(f"\nMedian (range) of {ROUNDS} alternating rounds.")


def clean() -> dict[str, str]:
    """The environment of a user: no PYTHONPATH, one thread."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | threads


def processor() -> str:
    """Name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
