"""The same work on this machine's cores, or on a Dask or Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from importlib.util import find_spec
from typing import Any

from lstmusic.errors import ConfigError, LstmusicError
from lstmusic.schema import ParallelConfig

PACKAGES = {"loky": "joblib", "dask": "distributed", "ray": "ray"}
IDLE_S = 10  # after which processes that wait for more work end


def run(function: Callable[[Any], Any], items: Sequence, parallel: ParallelConfig, jobs: int) -> Iterator[Any]:
    """The results of a function for many items, as they come, in any order.

    A few items more than there are processes are under way at a time; results are meant to be small.

    Args:
        function: picklable.
        parallel: where.
        jobs: processes; -1 for one per core of the machine or cluster.

    Raises:
        ConfigError: the backend's package is not installed, or there is no cluster at the address.
        LstmusicError: one of the processes was killed.
    """
    if not items:
        return
    package = PACKAGES[parallel.backend]
    if find_spec(package) is None:
        wanted = f"expected it after pip install 'lstmusic[{parallel.backend}]'"
        raise ConfigError(f"parallel.backend={parallel.backend}: no package {package}, {wanted}")
    if parallel.backend == "loky":
        yield from _on_this_machine(function, items, jobs)
    elif parallel.backend == "dask":
        yield from _on_dask(function, items, jobs, parallel.address)
    else:
        yield from _on_ray(function, items, jobs, parallel.address)


def _on_this_machine(function: Callable[[Any], Any], items: Sequence, jobs: int) -> Iterator[Any]:
    from joblib import effective_n_jobs

    jobs = min(effective_n_jobs(jobs), len(items))
    if jobs <= 1:
        yield from map(function, items)
    else:
        yield from _through_joblib(function, items, jobs, backend="loky", idle_worker_timeout=IDLE_S)


def _on_dask(function: Callable[[Any], Any], items: Sequence, jobs: int, address: str | None) -> Iterator[Any]:
    from distributed import Client

    local = {"n_workers": jobs if jobs > 0 else None, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client = Client(address) if address else Client(**local)
    except (OSError, ValueError) as error:
        raise ConfigError(f"parallel.address={address}: no Dask cluster answers there") from error
    with client:
        yield from _through_joblib(function, items, jobs, backend="dask")


def _through_joblib(function: Callable[[Any], Any], items: Sequence, jobs: int, **settings: Any) -> Iterator[Any]:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(**settings):
        pool = Parallel(jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        results = pool(delayed(function)(item) for item in items)
    try:
        yield from results
    except BrokenExecutor as error:
        raise LstmusicError(
            "a process was killed while it worked; the same command again goes on from there"
        ) from error
    finally:
        results.close()


def _on_ray(function: Callable[[Any], Any], items: Sequence, jobs: int, address: str | None) -> Iterator[Any]:
    import ray
    from ray.util.multiprocessing import Pool  # Ray's joblib backend gives no result before the last

    mine = not ray.is_initialized()
    try:
        if mine and address:
            ray.init(address, log_to_driver=False)
        elif mine:
            ray.init(num_cpus=jobs if jobs > 0 else None, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"parallel.address={address}: no Ray cluster answers there") from error
    try:
        with Pool(jobs if jobs > 0 else None) as pool:
            yield from pool.imap_unordered(function, items, chunksize=1)
    finally:
        if mine:
            ray.shutdown()
