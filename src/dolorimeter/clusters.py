"""A Ray or Dask cluster behind joblib: the one that is connected, else a local one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dolorimeter.errors import ConfigError


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
    if backend == "ray":
        from dolorimeter._extras import load, ray

        own = not ray.is_initialized()
        if own:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        load("ray.util.joblib").register_ray()
        try:
            yield
        finally:
            if own:
                ray.shutdown()
        return
    from dolorimeter._extras import distributed

    try:
        distributed.get_client()
    except ValueError:
        local = distributed.Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
        with local:
            yield
    else:
        yield
