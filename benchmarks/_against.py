"""Old against new: the same work by an earlier commit and by today's tree, in alternating rounds.

    python benchmarks/_against.py --ref 6fa98b8 [--rounds 5] [--names import evaluate]

The commit is unpacked with ``git archive`` into ``.against/COMMIT``, so that ``git worktree list``
and the index stay as they are. It gets a virtual environment there, with today's versions of the
libraries where its requirements allow them. Both are reused by the next call; ``rm -r .against``
frees the disk (about 1.2 GB per commit). Today's tree runs in the interpreter that runs this
program.

A measurement is a fresh process with wall-clock time, processor time and peak memory. Both
sides import from ``src`` of their tree. Before any time is taken, each side runs once and the two
answers are compared. A workload that one side does not have is reported as such.

Today's environment may hold more packages than the old one, and some libraries import what is
there. ``--ref HEAD`` compares equal code in both environments: its ratios are the control.

Add a workload as one entry of `WORKLOADS`, or in another file::

    from _against import Workload, main

    WORKLOADS = (Workload("list", "one call", spellings=(("-m", "dolorimeter", "list"),)),)

    if __name__ == "__main__":
        raise SystemExit(main(WORKLOADS))

Only the standard library is needed here. What needs more is imported inside functions.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib
import importlib.metadata
import inspect
import io
import json
import math
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
TIMEOUT = 600.0
"""Seconds after which a process is ended and its workload counts as failed."""
UNAVAILABLE = 69
"""Exit status of a function workload that needs a name which its side does not have."""
LACKING = (
    "No such command",
    "No such option",
    "Got unexpected extra argument",
    "No module named",
    "pip install",
)
"""Messages of a side that does not have a verb, an option, a module or an optional dependency."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Answer = Mapping[str, Any]
"""Plain values by name: a number, a text, or a list of them."""
Spelling = tuple[str, ...]
"""Arguments of the interpreter. ``{tree}``, ``{shared}``, ``{side}`` and ``{out}`` are folders: of
the side's code, of inputs for both sides, of what `Workload.before` wrote, of this process."""


class AgainstError(Exception):
    """A user or environment error: the message is all that is printed."""


class LackingError(Exception):
    """One side does not have the workload."""


class FailedError(Exception):
    """A workload failed on one side."""


@dataclass(frozen=True)
class Side:
    """One of the two versions.

    Parameters
    ----------
    name : str
        ``old`` or ``new``.
    python : Path
        Interpreter whose environment has the libraries.
    tree : Path
        Folder that holds ``src``.
    commit : str
        Commit, and for the working tree the number of changed files.
    """

    name: str
    python: Path
    tree: Path
    commit: str


@dataclass(frozen=True)
class Workload:
    """One piece of work that both versions can do.

    Parameters
    ----------
    name : str
    batch : str
        What one process works through, in words.
    spellings : tuple of Spelling
        Commands with the same meaning, the newest first. Each side runs the first one that it has.
    function : callable, optional
        ``(shared) -> Answer``, in place of `spellings`. It runs in a fresh process of either
        side, so it imports what it needs inside. Its file ends with a call of `main`.
    answer : callable, optional
        ``(out, stdout) -> Answer`` of a command. None compares nothing.
    needs : tuple of callable
        ``(shared, new)``: write inputs for both sides. Each runs once, also for several workloads.
    before : tuple of tuple of Spelling
        Commands that each side runs once before, without being measured.
    tolerance : float, default 1e-6
        Relative and absolute tolerance of numbers in the answers.
    """

    name: str
    batch: str
    spellings: tuple[Spelling, ...] = ()
    function: Callable[[Path], Answer] | None = None
    answer: Callable[[Path, str], Answer] | None = None
    needs: tuple[Callable[[Path, Side], None], ...] = ()
    before: tuple[tuple[Spelling, ...], ...] = ()
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Process:
    """Result of one process.

    Parameters
    ----------
    seconds : float
        Wall-clock time from start to exit.
    processor : float
        Seconds of processor time, with those of its children.
    peak : float
        Largest resident memory of the process in MB.
    """

    seconds: float
    processor: float
    peak: float
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Ratio:
    """Median and range of new/old over rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Comparison:
    """Processes of one workload, by round, and how the answers differ (empty: they are equal)."""

    workload: Workload
    old: tuple[Process, ...]
    new: tuple[Process, ...]
    differences: tuple[str, ...]

    def ratio(self, quantity: str = "seconds") -> Ratio:
        """Ratio of ``seconds``, ``processor`` or ``peak``."""
        return ratio_of(
            [getattr(process, quantity) for process in self.old],
            [getattr(process, quantity) for process in self.new],
        )


# ── the program ─────────────────────────────────────────────────────────────────────────────────


def main(
    workloads: Sequence[Workload],
    argv: Sequence[str] | None = None,
    *,
    root: Path = ROOT,
    install: Callable[[Path, Path, str], Path] | None = None,
) -> int:
    """Compare `workloads` between a commit and the working tree, and print the result.

    Parameters
    ----------
    workloads : sequence of Workload
    argv : sequence of str, optional
        Command line without the program; None takes that of this process.
    root : Path
        Working tree of a git repository.
    install : callable, optional
        See `unpacked`.

    Returns
    -------
    int
        0; 1 if answers differ or a workload failed; 2 for an error of the call or the environment;
        130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--work"]:
        return work(workloads, *arguments[1:])
    options = parse(arguments)
    try:
        chosen = select(workloads, options.names)
        commit = commit_of(options.ref, root)
        folder = Path(options.folder) if options.folder else root / ".against"
        old = unpacked(commit, root, folder, options.extras, install or install_environment)
        new = Side("new", Path(sys.executable), root, describe_tree(root))
        for line in heading(old, new, options.rounds, options.threads):
            print(line, flush=True)
        return compare_all(chosen, old, new, options.rounds, options.threads)
    except AgainstError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ref", required=True, help="commit, tag or branch: the old version")
    parser.add_argument("--rounds", type=positive, default=ROUNDS, help="default: 5")
    parser.add_argument("--names", nargs="+", help="workloads; default: all")
    parser.add_argument("--threads", type=positive, default=1, help="per process; default: 1")
    parser.add_argument(
        "--extras", default="monitor", help="optional dependencies of the old version"
    )
    parser.add_argument("--folder", help="of old versions; default: .against in the repository")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def select(workloads: Sequence[Workload], names: Sequence[str] | None) -> list[Workload]:
    """Workloads of these names, in the order of `workloads`."""
    known = [workload.name for workload in workloads]
    for name in names or ():
        if name not in known:
            raise AgainstError(f"no workload '{name}'. There are: {', '.join(known)}.")
    return [workload for workload in workloads if names is None or workload.name in names]


def compare_all(
    workloads: Sequence[Workload], old: Side, new: Side, rounds: int, threads: int
) -> int:
    """Compare each workload; print answers as they come, and one table of times at the end."""
    comparisons: list[Comparison] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        for workload in workloads:
            try:
                comparison = compare(workload, old, new, Path(folder), rounds, threads)
            except LackingError as error:
                print(f"{workload.name}: skipped, {error}", flush=True)
                continue
            except FailedError as error:
                print(f"{workload.name}: failed, {error}", flush=True)
                failed = True
                continue
            comparisons.append(comparison)
    for line in table(comparisons):
        print(line)
    print(f"Load at the end: {load()}")
    return int(failed or any(comparison.differences for comparison in comparisons))


def compare(
    workload: Workload, old: Side, new: Side, folder: Path, rounds: int, threads: int = 1
) -> Comparison:
    """Compare one workload: answers first, then times in alternating rounds.

    Parameters
    ----------
    workload : Workload
    old, new : Side
    folder : Path
        For inputs and outputs. Inputs in it are reused.
    rounds : int
    threads : int, default 1

    Raises
    ------
    LackingError
        If one side does not have the workload.
    FailedError
        If one side fails.
    """
    shared = folder / "shared"
    shared.mkdir(exist_ok=True)
    for need in workload.needs:
        mark = shared / f".{need.__name__}"
        if not mark.exists():
            need(shared, new)
            mark.touch()
    runners = [Runner(workload, side, folder, threads) for side in (old, new)]
    expected, answer = (runner.first() for runner in runners)
    differences = tuple(differences_of(expected, answer, workload.tolerance))
    count = sum(len(value) if isinstance(value, list) else 1 for value in answer.values())
    state = "; ".join(differences) or (f"equal, {count:,} values" if count else "none to compare")
    print(f"{workload.name}: answers {'differ: ' if differences else ''}{state}", flush=True)
    processes: dict[Runner, list[Process]] = {runner: [] for runner in runners}
    for pair in order(rounds):
        for place in pair:
            processes[runners[place]].append(runners[place].run())
    before, now = (tuple(processes[runner]) for runner in runners)
    return Comparison(workload, before, now, differences)


def order(rounds: int) -> list[tuple[int, int]]:
    """Places of the sides in each round: old, new; new, old; old, new; and so on."""
    return [(0, 1) if number % 2 == 0 else (1, 0) for number in range(rounds)]


class Runner:
    """One workload on one side."""

    def __init__(self, workload: Workload, side: Side, folder: Path, threads: int) -> None:
        self._workload, self._side = workload, side
        self._shared = folder / "shared"
        self._folder = folder / f"{workload.name}-{side.name}".replace(" ", "-")
        self._folder.mkdir(exist_ok=True)
        self._spelling: Spelling = ()
        self._environment = {
            **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
            **dict.fromkeys(THREADS, str(threads)),
            "PYTHONPATH": str(side.tree / "src"),
            "DOLORIMETER_CACHE": str(self._folder / "cache"),
            "MPLBACKEND": "Agg",
            "COLUMNS": "200",
        }

    def first(self) -> Answer:
        """Prepare, choose the spelling that this side has, and return its answer."""
        for spellings in self._workload.before:
            self._try(spellings, read=False)
        if self._workload.function is None:
            self._spelling, answer = self._try(self._workload.spellings, read=True)
        else:
            file = inspect.getsourcefile(self._workload.function)
            command = (str(file), "--work", self._workload.name, "{shared}", "{out}")
            self._spelling, answer = self._try((command,), read=True)
        return answer

    def run(self) -> Process:
        """Run once with the chosen spelling.

        Raises
        ------
        FailedError
            If the exit status is not 0.
        """
        process, _ = self._process(self._spelling, read=False)
        self._check(process)
        return process

    def _try(self, spellings: Sequence[Spelling], *, read: bool) -> tuple[Spelling, Answer]:
        reason = "no command"
        for spelling in spellings:
            process, answer = self._process(spelling, read=read)
            if process.status == 0:
                return spelling, answer
            reason = last_line(process)
            lacking = process.status == UNAVAILABLE or any(
                text in process.stderr for text in LACKING
            )
            if not lacking:
                self._check(process)
        raise LackingError(f"the {self._side.name} version does not have it: {reason}")

    def _check(self, process: Process) -> None:
        if process.status != 0:
            raise FailedError(
                f"{self._side.name} version, exit status {process.status}: {last_line(process)}"
            )

    def _process(self, spelling: Spelling, *, read: bool) -> tuple[Process, Answer]:
        out = Path(tempfile.mkdtemp(prefix="out-", dir=self._folder))
        places = {
            "tree": self._side.tree,
            "shared": self._shared,
            "side": self._folder,
            "out": out,
        }
        words = [fill(word, places) for word in spelling]
        try:
            process = measure([str(self._side.python), *words], self._environment, self._side.tree)
            answer: Answer = {}
            if read and process.status == 0:
                answer = self._answer(out, process.stdout)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return process, answer

    def _answer(self, out: Path, stdout: str) -> Answer:
        if (out / "answer.json").is_file():
            answer: Answer = json.loads((out / "answer.json").read_text(encoding="utf-8"))
            return answer
        if self._workload.answer is None:
            return {}
        try:
            return self._workload.answer(out, stdout)
        except (OSError, KeyError, ValueError) as error:
            raise FailedError(f"{self._side.name} version, unreadable answer: {error!r}") from None


def fill(word: str, places: Mapping[str, Path]) -> str:
    """Replace ``{name}`` by the folder of that name; other braces stay."""
    for name, path in places.items():
        word = word.replace(f"{{{name}}}", str(path))
    return word


def measure(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Process:
    """Run a command to its end, and measure it.

    The process is ended after `TIMEOUT` seconds; its exit status is then that of a signal.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=stderr, start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(TIMEOUT, end, (process.pid,))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end(process.pid)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode("utf-8", errors="replace"))
    return Process(
        seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3, process.returncode, *texts
    )


def end(pid: int) -> None:
    """End a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def last_line(process: Process) -> str:
    """Last line of the error output that is not a frame of a box, else of the output."""
    lines = [
        line.strip("│╭╮╰╯─ \t")
        for text in (process.stdout, process.stderr)
        for line in text.splitlines()
    ]
    return next((line for line in reversed(lines) if line), "no output")


# ── function workloads ──────────────────────────────────────────────────────────────────────────


def work(workloads: Sequence[Workload], name: str, shared: str, out: str) -> int:
    """Run the function of a workload in this process, and write its answer into `out`."""
    (workload,) = select(workloads, [name])
    assert workload.function is not None
    answer = workload.function(Path(shared))
    (Path(out) / "answer.json").write_text(json.dumps(dict(answer)), encoding="utf-8")
    return 0


def first_of(*places: str) -> Any:
    """Return the first object that exists; end this process if none does.

    Parameters
    ----------
    *places : str
        ``module:name``, the newest first.

    Examples
    --------
    >>> first_of("math:no_such_name", "math:inf")
    inf
    """
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    print(f"none of {', '.join(places)} exists", file=sys.stderr)
    raise SystemExit(UNAVAILABLE)


# ── versions ────────────────────────────────────────────────────────────────────────────────────


def git(root: Path, *words: str) -> bytes:
    """Output of a git command.

    Raises
    ------
    AgainstError
        If git is not installed, or `root` is not in a repository.
    subprocess.CalledProcessError
        If the command fails otherwise.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words], check=True, capture_output=True
        ).stdout
    except FileNotFoundError:
        raise AgainstError("git is not installed; it is needed to read the old version.") from None
    except subprocess.CalledProcessError as error:
        if b"not a git repository" in error.stderr:
            raise AgainstError(
                f"{root}: not a git repository, so there is no old version. Clone the repository."
            ) from None
        raise


def commit_of(ref: str, root: Path) -> str:
    """Full commit id of a ref.

    Raises
    ------
    AgainstError
        If it does not exist.
    """
    try:
        return git(root, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
    except subprocess.CalledProcessError:
        raise AgainstError(
            f"no commit '{ref}' in {root}. Give a commit, tag or branch that `git log` lists; "
            "a shallow clone needs `git fetch --unshallow`."
        ) from None


def describe_tree(root: Path) -> str:
    """Commit of the working tree, and how many files differ from it."""
    changed = git(root, "status", "--porcelain").decode().splitlines()
    short = git(root, "rev-parse", "--short=12", "HEAD").decode().strip()
    return short + (f" with {len(changed)} changed files" if changed else "")


def extract(commit: str, root: Path, folder: Path, *paths: str) -> None:
    """Unpack the files of a commit (only `paths`, if any) into `folder`."""
    archive = git(root, "archive", "--format=tar", commit, "--", *paths)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
        else:  # Python before 3.11.4; the archive is git's own
            tar.extractall(folder)


def unpacked(
    commit: str,
    root: Path,
    folder: Path,
    extras: str,
    install: Callable[[Path, Path, str], Path],
) -> Side:
    """The old version with its environment; reused if it is there and matches.

    Parameters
    ----------
    commit : str
    root : Path
        Working tree of the repository.
    folder : Path
        Old versions, one folder per commit.
    extras : str
        Names of optional dependencies, with commas.
    install : callable
        ``(tree, venv, extras) -> Path``: make an environment and return its interpreter.
    """
    place = folder / commit[:12]
    stamp = place / "built.json"
    built = {"commit": commit, "python": platform.python_version(), "extras": extras}
    previous: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged: build again
        previous = json.loads(stamp.read_text(encoding="utf-8"))
    python = Path(previous.pop("interpreter", place / "none"))
    if previous != built or not python.is_file():
        shutil.rmtree(place, ignore_errors=True)
        (place / "tree").mkdir(parents=True)
        extract(commit, root, place / "tree")
        print(f"Installing {commit[:12]} into {place} …", file=sys.stderr, flush=True)
        python = install(place / "tree", place / "venv", extras)
        stamp.write_text(json.dumps(built | {"interpreter": str(python)}), encoding="utf-8")
    return Side("old", python, place / "tree", commit[:12])


def install_environment(tree: Path, folder: Path, extras: str) -> Path:
    """Make a virtual environment with what `tree` needs.

    Libraries get the versions of this environment, so that only our code differs. Where the old
    requirements exclude them, pip chooses.

    Raises
    ------
    AgainstError
        If pip fails.
    """
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    target = f"{tree}[{extras}]" if extras else str(tree)
    constraints = folder / "constraints.txt"
    lines = [f"{name}=={version}\n" for name, version in installed(Path(sys.executable)).items()]
    constraints.write_text("".join(lines), encoding="utf-8")
    command = [str(python), "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", target]
    for words in (["--constraint", str(constraints)], []):
        result = subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False, cwd=tree.parent
        )
        if result.returncode == 0:
            return python
    message = (result.stderr.strip().splitlines() or ["no message"])[-1]
    raise AgainstError(f"pip cannot install the old version in {folder}: {message}")


def installed(python: Path) -> dict[str, str]:
    """Versions of the packages in an environment, without our own."""
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    output = subprocess.run([str(python), "-c", code], check=True, capture_output=True).stdout
    versions: dict[str, str] = json.loads(output)
    versions.pop("dolorimeter", None)
    return dict(sorted(versions.items()))


# ── numbers and words ───────────────────────────────────────────────────────────────────────────


def ratio_of(old: Sequence[float], new: Sequence[float]) -> Ratio:
    """Median and range of new/old, taken within rounds."""
    ratios = [b / a for a, b in zip(old, new, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def differences_of(old: Answer, new: Answer, tolerance: float) -> Iterator[str]:
    """One sentence per value that differs."""
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            yield f"{name}: only in the {'new' if name in new else 'old'} version"
            continue
        a, b = (v if isinstance(v, list) else [v] for v in (old[name], new[name]))
        if len(a) != len(b):
            yield f"{name}: {len(a):,} values against {len(b):,}"
            continue
        pairs = [(x, y) for x, y in zip(a, b, strict=True) if not equal(x, y, tolerance)]
        if pairs:
            gaps = [abs(x - y) for x, y in pairs if is_number(x) and is_number(y)]
            sizes = f", the largest difference is {max(gaps):.3g}" if gaps else ""
            example = f"first: {str(pairs[0][0])[:60]} against {str(pairs[0][1])[:60]}"
            yield f"{name}: {len(pairs):,} of {len(a):,} values{sizes} ({example})"


def equal(x: Any, y: Any, tolerance: float) -> bool:
    """Whether two values agree; NaN agrees with NaN."""
    if not (is_number(x) and is_number(y)):
        return bool(x == y)
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    return math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance)


def is_number(value: Any) -> bool:
    """Whether a plain value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def heading(old: Side, new: Side, rounds: int, threads: int) -> Iterator[str]:
    """Machine, versions and conditions."""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cpu()} · {os.cpu_count()} cores · "
        f"load {load()} · Python {platform.python_version()}"
    )
    yield f"old: {old.commit} · new: {new.commit} · {rounds} rounds · {threads} threads"
    before, now = installed(old.python), installed(new.python)
    other = [f"{k} {v} → {now[k]}" for k, v in before.items() if k in now and now[k] != v]
    yield (
        f"libraries of other versions: {', '.join(other) or 'none'} · "
        f"packages only in today's environment: {len(set(now) - set(before))}"
    )


def table(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Table of times: medians over rounds, ratios within rounds."""
    if not comparisons:
        return
    yield ""
    yield "| workload | batch | old, s | new, s | new/old | processor time | peak memory |"
    yield "|---|---|---|---|---|---|---|"
    for comparison in comparisons:
        old, new = (
            statistics.median(process.seconds for process in processes)
            for processes in (comparison.old, comparison.new)
        )
        mark = " (answers differ)" if comparison.differences else ""
        yield (
            f"| {comparison.workload.name}{mark} | {comparison.workload.batch} "
            f"| {old:.2f} | {new:.2f} | {comparison.ratio()} "
            f"| {comparison.ratio('processor')} | {comparison.ratio('peak')} |"
        )
    yield ""
    yield "Seconds are medians; ratios are new/old, median (range) over rounds; below 1 is less."


def cpu() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load() -> str:
    """Load average over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


# ── our workloads ───────────────────────────────────────────────────────────────────────────────

SUBJECTS, WINDOWS, IMAGES = 3, 6, 8
FOREST = "{tree}/experiments/demo/random_forest.toml"
COHORT = "{shared}/cohort"


def verb(*words: str) -> Spelling:
    """A verb of the command line."""
    return ("-m", "dolorimeter", *words)


def cohort(shared: Path, new: Side) -> None:
    """Write a look-alike of BioVid: two levels, three signals."""
    synthesise(
        new, shared / "cohort",
        "--option", f"subjects={SUBJECTS}", "--option", f"per_condition={WINDOWS}",
        "--option", 'conditions=["BL1", "PA4"]',
    )  # fmt: skip


def published(shared: Path, new: Side) -> None:
    """Write a look-alike of BioVid in the published size: 8,700 windows (1.2 GB)."""
    synthesise(new, shared / "published")


def synthesise(new: Side, out: Path, *options: str) -> None:
    """Write a look-alike of BioVid with the new side."""
    words = verb("synthesise", "biovid", "--out", str(out), "--seed", "1", *options)
    environment = os.environ | {"PYTHONPATH": str(new.tree / "src")}
    process = measure([str(new.python), *words], environment, new.tree)
    if process.status != 0:
        raise FailedError(f"the look-alike cannot be written: {last_line(process)}")


def recording(shared: Path, _new: Side) -> None:
    """Write the clips of one subject as one recording in the Brain Imaging Data Structure."""
    subject = sorted((shared / "cohort/PartA/biosignals_raw").iterdir())[0]
    columns = {"gsr": "eda", "ecg": "ecg", "emg_trapezius": "emg_trapezius"}
    rows = []
    for path in sorted(subject.glob("*_bio.csv")):
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        places = [header.split("\t").index(name) for name in columns]
        rows += ["\t".join(line.split("\t")[place] for place in places) for line in lines]
    folder = shared / "bids" / "sub-01"
    folder.mkdir(parents=True)
    stem = folder / "sub-01_task-replay_physio"
    with gzip.open(f"{stem}.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    units = {"eda": "uS", "ecg": "uV", "emg_trapezius": "uV"}
    sidecar = {"SamplingFrequency": 512, "StartTime": 0, "Columns": list(columns.values())}
    sidecar |= {name: {"Units": unit} for name, unit in units.items()}
    Path(f"{stem}.json").write_text(json.dumps(sidecar), encoding="utf-8")


def features(shared: Path) -> Answer:
    """Features of three signals of every window, through the Python interface."""
    import dolorimeter as dl

    pipeline = first_of("dolorimeter:Pipeline", "dolorimeter:Chain")
    stream = first_of("dolorimeter:Stream", "dolorimeter:ChainStream")
    recordings = dl.open_dataset("biovid", shared / "cohort", part="A").recordings()
    streams = tuple(stream(m, (), dl.Features(m)) for m in ("eda", "ecg", "emg_trapezius"))
    samples = pipeline(dl.WindowSpec(duration=5.5), streams).samples(recordings)
    return {"features": samples.x.ravel().tolist(), "names": list(samples.feature_names)}


def pipeline(shared: Path) -> Answer:
    """Features of three signals of 8,700 windows: read, cut and computed without a cache."""
    import dolorimeter as dl

    pipeline_of = first_of("dolorimeter:Pipeline", "dolorimeter:Chain")
    stream = first_of("dolorimeter:Stream", "dolorimeter:ChainStream")
    recordings = dl.open_dataset("biovid", shared / "published", part="A").recordings()
    streams = tuple(stream(m, (), dl.Features(m)) for m in ("eda", "ecg", "emg_trapezius"))
    samples = pipeline_of(dl.WindowSpec(duration=5.5), streams).samples(recordings)
    return {"windows": len(samples), "subjects": int(samples.meta["subject"].nunique())}


def painformer(_shared: Path) -> Answer:
    """Embeddings of random images by a randomly initialised PainFormer."""
    import numpy as np

    encoder = first_of("dolorimeter.embeddings:Encoder")("painformer")
    embed = first_of("dolorimeter.embeddings:embed")
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, 224, 224), dtype=np.uint8)
    embeddings = embed(encoder, [images])
    return {"embeddings": np.asarray(embeddings, dtype=float).ravel().tolist()}


def predictions(out: Path, _stdout: str) -> Answer:
    """Labels and probabilities of a run, by subject and window."""
    import pandas as pd

    table = pd.read_parquet(out / "run" / "predictions.parquet")
    table = table.sort_values(["seed", "subject", "recording", "window_start"])
    names = ["label", *sorted(str(n) for n in table.columns if str(n).startswith("p_"))]
    return {"subject": table["subject"].tolist()} | {n: table[n].tolist() for n in names}


def cells(out: Path, _stdout: str) -> Answer:
    """Decimal numbers in the tables of a report, in order; versions and dates are left out."""
    text = (out / "report.html").read_text(encoding="utf-8")
    body = " ".join(re.findall(r"<td[^>]*>(.*?)</td>", text, flags=re.DOTALL))
    numbers = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", re.sub(r"<[^>]*>", " ", body))
    return {"decimals in tables": [float(number) for number in numbers]}


def estimates(_out: Path, stdout: str) -> Answer:
    """Time and level of each estimate."""
    pairs = re.findall(r"^ *([\d.]+) s  (?:level ([\d.]+)|no estimate)", stdout, re.MULTILINE)
    return {"time": [float(t) for t, _ in pairs], "level": [float(v or "nan") for _, v in pairs]}


def evaluate_by(*words: str) -> tuple[Spelling, ...]:
    """Evaluate the random forest on the cohort."""
    return (verb("evaluate", FOREST, "--root", COHORT, *words),)


LIVE = (
    "--model", "{side}/model", "--headless", "--store", "{out}/store.sqlite",
    "--source", "replay:{shared}/bids,dataset=bids_physio,speed=free",
)  # fmt: skip
COHORT_IN_WORDS = f"{SUBJECTS} subjects × {2 * WINDOWS} windows, three signals"

WORKLOADS = (
    Workload("import", "one process", spellings=(("-c", "import dolorimeter"),)),
    Workload(
        "version",
        "one call",
        spellings=(verb("--version"),),
        answer=lambda _out, stdout: {"stdout": stdout.strip()},
    ),
    Workload("features", COHORT_IN_WORDS, function=features, needs=(cohort,)),
    Workload(
        "evaluate",
        f"random forest, {COHORT_IN_WORDS}, no cache",
        spellings=evaluate_by("--out", "{out}/run", "--no-cache"),
        answer=predictions,
        needs=(cohort,),
    ),
    Workload(
        "evaluate-cached",
        f"random forest, {COHORT_IN_WORDS}",
        spellings=evaluate_by("--out", "{out}/run"),
        answer=predictions,
        needs=(cohort,),
    ),
    Workload(
        "report",
        "one run",
        spellings=(verb("report", "{side}/run", "--out", "{out}/report.html"),),
        answer=cells,
        needs=(cohort,),
        before=(evaluate_by("--out", "{side}/run"),),
    ),
    Workload(
        "check",
        "8,700 windows",
        spellings=(verb("check", "biovid", "{shared}/published"),),
        needs=(published,),
    ),
    Workload("pipeline", "8,700 windows, three signals", function=pipeline, needs=(published,)),
    Workload("painformer", f"{IMAGES} images of 224 × 224", function=painformer, tolerance=1e-4),
    Workload(
        "live",
        f"replay of {2 * WINDOWS * 5.5:g} s, three signals, as fast as possible",
        spellings=(verb("monitor", "run", *LIVE), verb("monitor", *LIVE)),
        answer=estimates,
        needs=(cohort, recording),
        before=((verb("train", FOREST, "--root", COHORT, "--out", "{side}/model"),),),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(WORKLOADS))
