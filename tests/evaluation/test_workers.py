"""The same bytes come out of one process, of two, and of a cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dolorimeter.errors import ConfigError
from dolorimeter.evaluation import Run, evaluate
from dolorimeter.samples import Samples
from dolorimeter.splits import leave_one_subject_out

Cohort = Callable[..., tuple[Samples, np.ndarray]]


def saved(run: Run, folder: Path) -> dict[str, bytes]:
    """The bytes of every table of a run."""
    run.save(folder)
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.parquet"))}


def local_probe() -> Any:
    """A classifier that a worker can only get by value; its answer tells its threads."""

    class Threads(ClassifierMixin, BaseEstimator):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            from threadpoolctl import threadpool_info

            most = max((pool["num_threads"] for pool in threadpool_info()), default=1)
            share = most / 64
            os.environ["OMP_NUM_THREADS"]  # set for libraries that are loaded later
            return np.tile([1 - share, share], (len(X), 1))

    return Threads()


MODELS = {
    "logistic": lambda: make_pipeline(SimpleImputer(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(5),
}


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_give_the_bytes_of_one(cohort: Cohort, tmp_path: Path, name: str) -> None:
    samples, y = cohort()
    model, split = MODELS[name](), leave_one_subject_out()
    one = saved(evaluate(model, samples, y, split, seed=(0, 1)), tmp_path / "one")
    two = saved(evaluate(model, samples, y, split, seed=(0, 1), workers=2), tmp_path / "two")
    assert list(one) == list(two)
    assert one == two


@pytest.mark.parametrize("threads", [1, 2])
def test_every_fold_has_the_threads_that_were_asked_wherever_it_runs(
    cohort: Cohort, threads: int
) -> None:
    samples, y = cohort(subjects=3)
    before = os.environ.get("OMP_NUM_THREADS")
    for workers in (1, 2):
        run = evaluate(
            local_probe(),
            samples,
            y,
            leave_one_subject_out(),
            workers=workers,
            threads_per_fold=threads,
            baselines=False,
        )
        assert set(run.predictions["p_1"] * 64) == {threads}
        assert run.environment["threads_per_fold"] == threads
    assert os.environ.get("OMP_NUM_THREADS") == before


@pytest.fixture
def quiet_cluster(monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> Iterator[None]:
    """Workers of a cluster import this environment; their own warnings are not ours."""
    import warnings

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.long
@pytest.mark.usefixtures("quiet_cluster")
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_local_cluster_gives_the_bytes_of_one_process(
    cohort: Cohort, tmp_path: Path, backend: str
) -> None:
    module = {"dask": "distributed", "ray": "ray"}[backend]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: it comes with the extra 'cluster'")
    samples, y = cohort()
    model, split = RandomForestClassifier(5), leave_one_subject_out()
    one = saved(evaluate(model, samples, y, split), tmp_path / "one")
    told: list[int] = []
    there = evaluate(
        model, samples, y, split, workers=2, backend=backend, progress=lambda d, n: told.append(d)
    )
    assert saved(there, tmp_path / backend) == one
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("quiet_cluster")
@pytest.mark.extra("cluster")
@pytest.mark.long
def test_folds_run_on_the_cluster_at_the_address(cohort: Cohort, tmp_path: Path) -> None:
    """A scheduler and a worker as processes of their own, as on another machine."""

    class Where(LogisticRegression):
        def fit(self, X: np.ndarray, y: np.ndarray) -> Any:
            with (tmp_path / f"{os.getpid()}").open("a") as file:
                file.write("fold\n")
            return super().fit(X, y)

    where = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([*dask, *arguments]))
            for arguments in (
                ["scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)],
                ["worker", "--scheduler-file", str(where), "--no-dashboard", "--nworkers", "1"],
            )
        ]
        for process in processes:
            stack.callback(process.terminate)
        for _ in range(600):
            if where.is_file():
                break
            time.sleep(0.1)
        address = json.loads(where.read_text(encoding="utf-8"))["address"]
        samples, y = cohort()
        run = evaluate(
            Where(),
            samples,
            y,
            leave_one_subject_out(),
            backend="dask",
            cluster_address=address,
            baselines=False,
        )
    assert len(run.predictions) == len(y)
    pids = [p.name for p in tmp_path.iterdir() if p.name.isdigit()]
    assert len(pids) == 1
    assert pids != [str(os.getpid())]


def test_an_unknown_cluster_is_refused(cohort: Cohort) -> None:
    samples, y = cohort()
    with pytest.raises(ConfigError, match="unknown cluster 'slurm'; known: ray, dask"):
        evaluate(
            LogisticRegression(), samples, y, leave_one_subject_out(), workers=2, backend="slurm"
        )
