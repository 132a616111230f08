"""Other processes: a Ray or Dask cluster behind joblib, and workers of this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dolorimeter.errors import ConfigError

TIMEOUT = 10.0
"""Seconds to wait for a cluster at an address."""


@contextmanager
def cluster(backend: str, workers: int, address: str | None = None) -> Iterator[None]:
    """Make the joblib backend `backend` ready for the block.

    Parameters
    ----------
    backend : str
        ``ray`` or ``dask``.
    workers : int
        Processes of a local cluster; a connected one has its own.
    address : str, optional
        Address of a running cluster (``tcp://HOST:PORT`` for Dask, ``HOST:PORT`` or ``auto`` for
        Ray). By default the connected one, else a local one is started.

    Raises
    ------
    ConfigError
        If the backend is unknown, or no cluster answers at the address.
    DependencyError
        If its package is not installed.
    """
    if backend not in ("ray", "dask"):
        raise ConfigError(f"unknown cluster '{backend}'; known: ray, dask.")
    if backend == "ray":
        from dolorimeter._extras import load, ray

        own = not ray.is_initialized()
        if own:
            handler = signal.getsignal(signal.SIGTERM)
            _start_ray(workers, address)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # ray has replaced it
        load("ray.util.joblib").register_ray()
        try:
            yield
        finally:
            if own:
                ray.shutdown()
        return
    from dolorimeter._extras import distributed

    if address is not None:
        try:
            client = distributed.Client(address, timeout=f"{TIMEOUT:g}s", set_as_default=True)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(_unreachable(backend, address, error)) from error
        with client:
            yield
        return
    try:
        distributed.get_client()
    except ValueError:
        local = distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
        with local:
            yield
    else:
        yield


def as_they_come(calls: Sequence[Any], workers: int) -> Iterator[Any]:
    """Yield results of joblib calls on the configured backend before all of them are done.

    Parameters
    ----------
    calls : sequence
        Of ``joblib.delayed``.
    workers : int
        Where the backend returns results only at the end of a batch (Ray), a batch holds as many
        calls as there are workers, so that no more than one batch is lost.

    Yields
    ------
    object
        Results, in the order in which they finish.
    """
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    active, jobs = get_active_backend()
    if getattr(active, "supports_return_generator", False):
        yield from Parallel(return_as="generator_unordered")(calls)
        return
    size = max(workers, active.effective_n_jobs(jobs))
    for first in range(0, len(calls), size):
        yield from Parallel()(calls[first : first + size])


POLL = 1.0
"""Seconds between two looks at the driver."""

_WATCHED: set[int] = set()


def end_with(driver: int) -> None:
    """End this worker process soon after the process `driver` has ended, however it ended.

    A driver that is killed cannot tell its workers. They would finish their work, and wait.

    Parameters
    ----------
    driver : int
        Process id of the parent of this process. Nothing happens in the driver itself.
    """
    if driver == os.getpid() or driver in _WATCHED or os.getppid() != driver:
        return
    _WATCHED.add(driver)
    threading.Thread(target=_watch, args=(driver,), daemon=True, name="end with driver").start()


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(POLL)
    os._exit(1)


def _start_ray(workers: int, address: str | None) -> None:
    from dolorimeter._extras import ray

    if address is None:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        return
    try:
        ray.init(address=address, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(_unreachable("ray", address, error)) from error


def _unreachable(backend: str, address: str, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"no {backend} cluster answers at '{address}' ({reason}). Start one there, or leave "
        "cluster_address out for a local one."
    )
