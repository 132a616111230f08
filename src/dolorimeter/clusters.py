"""A Ray or Dask cluster behind joblib: the one that is connected, else a local one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dolorimeter.errors import ConfigError, DependencyError


@contextmanager
def cluster(backend: str, workers: int) -> Iterator[None]:
    """Make the joblib backend `backend` ready for the block.

    Parameters
    ----------
    backend : str
        ``ray`` or ``dask``.
    workers : int
        Processes of a local cluster; a connected one has its own.

    Raises
    ------
    ConfigError
        If there is no such cluster.
    DependencyError
        If its package is not installed.
    """
    if backend not in ("ray", "dask"):
        raise ConfigError(f"unknown cluster '{backend}'; known: ray, dask.")
    try:
        if backend == "ray":
            import ray
            from ray.util.joblib import register_ray
        else:
            from dask.distributed import Client, get_client
    except ImportError as error:
        raise DependencyError(
            f"cluster '{backend}' needs an extra: pip install 'dolorimeter[cluster]'."
        ) from error
    if backend == "ray":
        own = not ray.is_initialized()
        if own:
            handler = signal.getsignal(signal.SIGTERM)
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # ray has put its own there
        register_ray()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            if own:
                ray.shutdown()
        return
    try:
        get_client()
    except ValueError:
        local = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
        with local:
            yield
    else:
        yield
