"""What every loop of a pre-training needs: processes, seeds of a step, when something is due."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64

from dolorimeter.errors import ConfigError

DROPOUT = 5
"""First number of the seed of a step's dropout; see `pretraining._sampling` for the others."""
AHEAD = 2
"""Batches that are read while one is learned from."""
Progress = Callable[[int, int], None]
"""Called with the steps done and the steps wanted."""
P = TypeVar("P")
T = TypeVar("T")


def accelerator(device: str) -> Any:
    """The runtime of this process."""
    from dolorimeter._extras import accelerate

    return accelerate.Accelerator(cpu=device == "cpu")


def check_share(batch_size: int, world: int) -> None:
    """`ConfigError` where a process would have nothing of a batch."""
    if batch_size < world:
        raise ConfigError(
            f"batch_size is {batch_size} for {world} processes: each needs a picture."
        )


def due(step: int, every: int, last: int) -> bool:
    """Whether something that is done every so many steps, and at the end, is done now."""
    return step == last or bool(every and step % every == 0)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Of dropout in one step of one process, so that a checkpoint need not keep generators."""
    found = np.random.SeedSequence([seed, DROPOUT, step, rank]).generate_state(1, np.uint64)
    return int(found[0])


def spread(rows: Int64[np.ndarray, " row"], most: int) -> Int64[np.ndarray, " kept"]:
    """At most so many rows, evenly over all of them; 0: all."""
    if not most or len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def gathered(runtime: Any, own: list[Any]) -> list[Any]:
    """Lists of all processes, one after another."""
    if runtime.num_processes == 1:
        return own
    from accelerate.utils import gather_object

    return list(gather_object(own))


def read_ahead(
    plans: Iterable[tuple[P, Sequence[Callable[[], T]]]], workers: int
) -> Iterator[tuple[P, list[T]]]:
    """Each plan with what its jobs give, in order; threads work on the next `AHEAD` plans.

    Parameters
    ----------
    plans : iterable of pairs
        Anything, and the jobs of one batch.
    workers : int
        Threads; 0: none beside the one that asks.
    """
    if not workers:
        for plan, jobs in plans:
            yield plan, [job() for job in jobs]
        return
    waiting: deque[tuple[P, list[Future[T]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for plan, jobs in plans:
                waiting.append((plan, [pool.submit(job) for job in jobs]))
                if len(waiting) > AHEAD:
                    first, futures = waiting.popleft()
                    yield first, [future.result() for future in futures]
            while waiting:
                first, futures = waiting.popleft()
                yield first, [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
