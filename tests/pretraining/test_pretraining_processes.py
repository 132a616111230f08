"""One process and two give the same; a killed run goes on to the same bits."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dolorimeter.embeddings import Encoder
from dolorimeter.pretraining import pretrain, pretraining_from
from dolorimeter.training import threads

Start = Callable[..., list[subprocess.Popen[bytes]]]
PAINFORMER = {"name": "painformer"}


def compare(settings: dict[str, Any], folder: Path, start: Start, rtol: float) -> None:
    """One process here and two there: the same log, and the same people met."""
    jobs = start(settings, folder / "two", processes=2)
    with threads(1):
        one = pretrain(pretraining_from(settings), folder / "one")
    assert [job.wait(timeout=280) for job in jobs] == [0, 0]
    here, there = one.table(), pd.read_csv(folder / "two" / "log.csv")
    for column in ("step", "part", "task", "rows"):
        assert here[column].tolist() == there[column].tolist()
    training = here["part"] == "train"
    tasks = [task["name"] for task in settings["tasks"]]
    assert here["task"][training].tolist() == ["(all)", *tasks] * settings["steps"]
    for column in ("loss", "weight", "log_variance"):
        np.testing.assert_allclose(there[column], here[column], rtol=rtol, atol=1e-12)
    assert here["weight"].nunique() > settings["steps"]  # they are learned
    name = settings["encoder"]["name"]
    weights = [folder / run / "encoder.safetensors" for run in ("one", "two")]
    assert Encoder(name, str(weights[1])).trained_on == one.trained_on


@pytest.mark.long
def test_two_processes_give_what_one_gives_on_painformer(
    four_tasks: list[dict[str, Any]], small: Callable[..., Any], tmp_path: Path, start: Start
) -> None:
    # sums in another order change the last bits of float64 (1e-16); three steps amplify that by
    # less than 1e4, where statistics of each process's own would change the first digits
    settings = small(
        encoder=PAINFORMER,
        tasks=[four_tasks[0], four_tasks[3]],
        precision="float64",
        steps=3,
        batch_size=6,
        validation_rows=1,
        learning_rate=1e-3,
    )
    compare(settings, tmp_path, start, rtol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("steps", [20, 4])
def test_two_processes_with_threads_that_read_give_what_one_gives(
    four_tasks: list[dict[str, Any]],
    small: Callable[..., Any],
    tmp_path: Path,
    start: Start,
    steps: int,
) -> None:
    compare(
        small(
            tasks=four_tasks,
            precision="float64",
            steps=steps,
            workers=2,
            validate_every=steps // 3 + 1,
        ),
        tmp_path,
        start,
        rtol=1e-9,
    )


@pytest.mark.fuzz
@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-9), ("float32", 1e-4)])
def test_twenty_steps_of_two_processes_are_those_of_one_on_painformer(
    four_tasks: list[dict[str, Any]],
    small: Callable[..., Any],
    tmp_path: Path,
    start: Start,
    precision: str,
    rtol: float,
) -> None:
    settings = small(
        encoder=PAINFORMER,
        tasks=four_tasks,
        precision=precision,
        steps=20,
        size=64,
        batch_size=8,
        learning_rate=1e-3,
        validation_rows=1,
    )
    compare(settings, tmp_path, start, rtol)


def test_an_interrupted_run_goes_on_to_the_same_bits(
    four_tasks: list[dict[str, Any]], small: Callable[..., Any], tmp_path: Path
) -> None:
    config = pretraining_from(
        small(
            encoder={"name": "tiny_dropout"},
            tasks=four_tasks,
            steps=24,
            checkpoint_every=7,
            validate_every=10,
        )
    )

    def stop(done: int, _: int) -> None:
        if done == 18:
            raise KeyboardInterrupt

    steps: list[int] = []
    with threads(1):
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, tmp_path / "stopped", progress=stop)
        resumed = pretrain(
            config, tmp_path / "stopped", progress=lambda done, _: steps.append(done)
        )
        whole = pretrain(config, tmp_path / "whole")
    assert steps[0] == 15
    same = resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert same  # pytest would compare the bytes for minutes
    assert resumed.log.read_bytes() == whole.log.read_bytes()


@pytest.mark.long
def test_a_killed_run_goes_on_to_the_same_bits(
    four_tasks: list[dict[str, Any]], small: Callable[..., Any], tmp_path: Path, start: Start
) -> None:
    settings = small(
        encoder={"name": "tiny_dropout"},
        tasks=four_tasks,
        steps=100,
        checkpoint_every=7,
        validate_every=10,
        workers=2,
    )
    out = tmp_path / "killed"
    (job,) = start(settings, out)
    until = time.monotonic() + 120
    while not (out / "checkpoint.pt").exists():
        assert job.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert not (out / "encoder.safetensors").exists()
    with (out / "log.csv").open("a") as log:
        log.write("90,train,kind,0.0")  # a line that was being written
    config = pretraining_from(settings)
    seen: list[int] = []
    with threads(1):
        resumed = pretrain(config, out, progress=lambda done, _: seen.append(done))
        whole = pretrain(config, tmp_path / "whole")
    assert seen[0] > 7
    assert (seen[0] - 1) % 7 == 0
    same = resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert same  # pytest would compare the bytes for minutes
    assert resumed.log.read_bytes() == whole.log.read_bytes()
    assert resumed.tasks == whole.tasks
