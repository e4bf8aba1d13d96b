"""The same work on this machine's cores, or on a Ray or Dask cluster: through joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from lstmusic.errors import ConfigError
from lstmusic.schema import ParallelConfig

IDLE_S = 10  # after which loky's processes end


def run(function: Callable[[Any], Any], items: Sequence, parallel: ParallelConfig, jobs: int) -> Iterator[Any]:
    """The results of a function for many items, as they come, in any order.

    Only as many items as there are processes (and as many again) are under way; results are meant to be small.

    Args:
        function: picklable.
        jobs: processes; -1 for one per core of the machine or cluster.

    Raises:
        ConfigError: the backend's package is not installed, or there is no cluster at the address.
    """
    if parallel.backend == "loky":
        from joblib import effective_n_jobs

        jobs = min(effective_n_jobs(jobs), len(items))
        if jobs <= 1:
            yield from map(function, items)
            return
    from joblib import Parallel, delayed, parallel_config

    with _cluster(parallel, jobs) as settings:
        with parallel_config(**settings):
            pool = Parallel(jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
            results = pool(delayed(function)(item) for item in items)
        try:
            yield from results
        finally:
            results.close()


def _cluster(parallel: ParallelConfig, jobs: int) -> AbstractContextManager[dict[str, Any]]:
    """The settings of a joblib backend, for as long as its cluster is held."""
    if parallel.backend == "loky":
        return nullcontext({"backend": "loky", "idle_worker_timeout": IDLE_S})
    try:
        return {"ray": _ray, "dask": _dask}[parallel.backend](parallel.address, jobs)
    except ImportError as error:
        raise ConfigError(
            f"parallel.backend={parallel.backend}: not installed, expected pip install 'lstmusic[{parallel.backend}]'"
        ) from error


@contextmanager
def _ray(address: str | None, jobs: int) -> Iterator[dict[str, Any]]:
    import ray
    from ray.util.joblib import register_ray

    mine = not ray.is_initialized()
    if mine:
        cores = None if address or jobs < 0 else jobs
        try:
            ray.init(address, num_cpus=cores, include_dashboard=False, log_to_driver=False)
        except ConnectionError as error:
            raise ConfigError(f"parallel.address={address}: no Ray cluster there") from error
    register_ray()
    try:
        yield {"backend": "ray"}
    finally:
        if mine:
            ray.shutdown()


@contextmanager
def _dask(address: str | None, jobs: int) -> Iterator[dict[str, Any]]:
    from distributed import Client

    local = (
        {} if address else {"n_workers": jobs if jobs > 0 else None, "threads_per_worker": 1, "dashboard_address": None}
    )
    try:
        client = Client(address, **local)
    except (OSError, ValueError) as error:
        raise ConfigError(f"parallel.address={address}: no Dask cluster there") from error
    with client:
        yield {"backend": "dask", "wait_for_workers_timeout": 60}
