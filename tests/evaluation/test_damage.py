"""What is stored of an evaluation is whole, or its damage is found: bits, processes, disks."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from dolorimeter.errors import DolorimeterError, EvaluationError, StorageError
from dolorimeter.evaluation import Run, evaluate, permutation_test
from dolorimeter.evaluation._fold_store import FoldStore
from dolorimeter.evaluation._folds import global_seed
from dolorimeter.samples import Samples
from dolorimeter.splits import leave_one_subject_out

Cohort = Callable[..., tuple[Samples, np.ndarray]]
FLIPS = [40, pytest.param(400, marks=pytest.mark.long)]


def flipped(path: Path, chance: random.Random) -> bytes:
    """Flip one bit of a file; return what it held."""
    before = path.read_bytes()
    data = bytearray(before)
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))
    return before


def content(run: Run) -> list[Any]:
    tables = [getattr(run, n) for n in ("predictions", "access", "baselines", "exclusions")]
    return [*(t.to_json() for t in tables), repr(run.question), run.notes, run.environment]


@pytest.mark.parametrize("flips", FLIPS)
def test_one_flipped_bit_in_a_run_is_an_error(cohort: Cohort, tmp_path: Path, flips: int) -> None:
    samples, y = cohort(subjects=3)
    evaluate(LogisticRegression(), samples, y, leave_one_subject_out()).save(tmp_path)
    whole = content(Run.load(tmp_path))
    files = [p for p in sorted(tmp_path.iterdir()) if p.suffix in (".json", ".parquet")]
    assert len(files) == 9
    chance, silent, found = random.Random(0), 0, 0
    for _ in range(flips):
        path = chance.choice(files)
        before = flipped(path, chance)
        try:
            silent += content(Run.load(tmp_path)) != whole
        except EvaluationError:
            found += 1
        path.write_bytes(before)
    assert silent == 0
    assert found > 0.9 * flips
    assert content(Run.load(tmp_path)) == whole


@pytest.mark.parametrize("flips", FLIPS)
def test_one_flipped_bit_in_a_stored_fold_is_found(
    cohort: Cohort, tmp_path: Path, flips: int
) -> None:
    samples, y = cohort(subjects=2)
    model, split = LogisticRegression(), leave_one_subject_out()
    evaluate(model, samples, y, split, run_dir=tmp_path)
    folder = tmp_path / "folds"
    settings = json.loads((folder / "fingerprint.json").read_text())

    def stored() -> dict[str, str]:
        store = FoldStore(tmp_path, settings, None)
        parts = zip(sorted(store.finished), store.load(), strict=True)
        return {
            stem: "".join(t.to_json() for t in tables if isinstance(t, pd.DataFrame))
            for stem, tables in parts
        }

    whole = stored()
    assert len(whole) == 2
    files = sorted(folder.iterdir())
    assert {p.suffix for p in files} == {".json", ".parquet"}
    chance, found = random.Random(1), 0
    for _ in range(flips):
        path = chance.choice(files)
        before = flipped(path, chance)
        try:
            again = stored()
            assert all(whole[stem] == told for stem, told in again.items())
            found += len(again) < 2
        except EvaluationError:
            found += 1
        path.write_bytes(before)
    assert found > 0.9 * flips
    assert stored() == whole


def test_a_failure_stays_on_record_after_the_fold_has_succeeded(
    cohort: Cohort, tmp_path: Path
) -> None:
    samples, y = cohort(subjects=3)
    marker = tmp_path / "marker"

    class Unlucky(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Unlucky:
            if "p01" not in groups and marker.is_file():
                marker.unlink()
                raise ValueError("once")
            super().fit(X, y)
            return self

    marker.touch()
    split = leave_one_subject_out()
    first = evaluate(Unlucky(), samples, y, split, run_dir=tmp_path / "r", baselines=False)
    assert len(first.failures) == 1
    again = evaluate(Unlucky(), samples, y, split, run_dir=tmp_path / "r", baselines=False)
    assert again.failures.empty
    (note,) = [n for n in again.notes if "earlier call" in n]
    assert "p01" in note
    assert "ValueError: once" in note


def test_permutations_are_stored_as_they_come(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort(subjects=3)
    fits = tmp_path / "fits"

    class Counting(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Counting:
            with fits.open("a") as file:
                file.write("x")
            super().fit(X, y)
            return self

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    model, split = Counting(), leave_one_subject_out()
    whole = permutation_test(model, samples, y, split, permutations=6)
    fits.unlink()
    with pytest.raises(KeyboardInterrupt):
        permutation_test(model, samples, y, split, permutations=6, run_dir=tmp_path, progress=stop)
    assert len(fits.read_text()) == 3 * 5  # the observed labels, and four permutations
    fits.unlink()
    again = permutation_test(model, samples, y, split, permutations=6, run_dir=tmp_path)
    assert len(fits.read_text()) == 3 * 2
    assert again == whole
    lines = (tmp_path / "folds" / "permutations.jsonl").read_bytes().splitlines()
    damaged = lines[2].replace(b'"score": 0.', b'"score": 1.')
    (tmp_path / "folds" / "permutations.jsonl").write_bytes(
        b"\n".join([*lines[:2], damaged, *lines[3:], b'{"key": "cut sho'])
    )
    fits.unlink()
    assert permutation_test(model, samples, y, split, permutations=6, run_dir=tmp_path) == whole
    assert len(fits.read_text()) == 3 * (damaged != lines[2])


def test_a_permutation_digests_the_samples_once(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dolorimeter.evaluation import _evaluate

    calls: list[int] = []
    real = _evaluate.sample_keys
    monkeypatch.setattr(_evaluate, "sample_keys", lambda x: (calls.append(1), real(x))[1])
    samples, y = cohort(subjects=3)
    permutation_test(LogisticRegression(), samples, y, leave_one_subject_out(), permutations=5)
    assert len(calls) == 1


def hold(folder: str, ready: Any) -> None:
    """Hold the lock of a folder until this process is ended."""
    from dolorimeter.storage import locked

    with locked(Path(folder), "a test"):
        ready.set()
        time.sleep(60)


def test_a_run_folder_is_written_by_one_process(cohort: Cohort, tmp_path: Path) -> None:
    samples, y = cohort(subjects=2)
    arguments = (LogisticRegression(), samples, y, leave_one_subject_out())
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(str(tmp_path), ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StorageError, match=rf"process {other.pid} on .* is writing there"):
            evaluate(*arguments, run_dir=tmp_path)
    finally:
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)  # it cannot clean up
        other.join()
    assert (tmp_path / ".lock").is_file()
    run = evaluate(*arguments, run_dir=tmp_path)
    assert len(run.predictions) == 16
    assert not (tmp_path / ".lock").exists()


DRIVER = """
    import os, sys, time
    import numpy as np
    import dolorimeter as dl
    from slow import Slow

    x = np.random.default_rng(0).normal(size=(40, 2))
    dl.evaluate(Slow(), x, np.tile([0, 1], 20), groups=np.repeat(list("abcd"), 10), workers=2,
                run_dir="run", baselines=False)
"""
SLOW = """
    import os, time
    from pathlib import Path
    from sklearn.linear_model import LogisticRegression

    class Slow(LogisticRegression):
        def fit(self, X, y):
            Path(f"worker-{os.getpid()}").touch()
            time.sleep(120)
"""


@pytest.mark.long
def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(textwrap.dedent(DRIVER))
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    driver = subprocess.Popen([sys.executable, "driver.py"], cwd=tmp_path, env=environment)

    def workers() -> list[int]:
        return [int(p.name.split("-")[1]) for p in tmp_path.glob("worker-*")]

    def alive(pid: int) -> bool:
        state = Path(f"/proc/{pid}/stat")
        try:
            return state.read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(0.2)
        return condition()

    try:
        assert wait_for(lambda: len(workers()) == 2, 120)
        assert all(alive(pid) for pid in workers())
    finally:
        driver.kill()
        driver.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in workers()), 30)


@pytest.mark.extra("deep")
def test_the_generator_of_torch_is_left_as_it_was(cohort: Cohort) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    with global_seed(1):
        inside = torch.rand(3)
    with global_seed(1):
        assert torch.equal(torch.rand(3), inside)
    assert torch.equal(torch.get_rng_state(), before)
    samples, y = cohort(subjects=2)
    evaluate(LogisticRegression(), samples, y, leave_one_subject_out(), baselines=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unfinished_save_is_no_run(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dolorimeter.evaluation import _run

    samples, y = cohort(subjects=2)
    run = evaluate(LogisticRegression(), samples, y, leave_one_subject_out(), baselines=False)
    run.save(tmp_path)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "seal_folder", stop)
    with pytest.raises(KeyboardInterrupt):
        run.save(tmp_path)
    with pytest.raises(DolorimeterError, match=r"digests\.json is missing"):
        Run.load(tmp_path)
