"""Run tasks on clusters through Parsl; each in a process of its own, so that a crash costs one task."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from crossprune.harness.errors import MissingPackage, StudyError
from crossprune.harness.pool import LocalPool
from crossprune.harness.tables import from_table, read_toml

T = TypeVar("T")


@dataclass(frozen=True)
class ClusterOptions:
    """A cluster in a few lines of TOML; whoever needs more writes a Parsl configuration in Python."""

    provider: Literal["local", "slurm", "pbs", "kubernetes"] = "local"
    """Who starts the workers."""
    workers_per_node: int = 2
    """Processes per node, one core each."""
    nodes: int = 1
    """Nodes per job."""
    max_jobs: int = 1
    """Jobs at a time."""
    walltime: str = "01:00:00"
    """Longest time of a job."""
    partition: str | None = None
    """SLURM partition or PBS queue."""
    account: str | None = None
    """Account that is charged."""
    worker_init: str = ""
    """Shell commands before the workers start, such as ``source env/bin/activate``."""
    image: str = ""
    """Container image (Kubernetes only)."""
    address: str | None = None
    """Name or address of this machine as the workers see it; ``127.0.0.1`` for ``local``."""
    retries: int = 1
    """How often a task whose worker was lost is run again."""


class ParslExecutor(Executor):
    """A Parsl configuration as an executor; tasks that crash or hang become errors of their futures.

    Parameters
    ----------
    config
        A ``parsl.Config``.
    timeout_s
        Wall time of a task.
    memory_gb
        Memory of a task, GB; None for what its machine has.

    Raises
    ------
    MissingPackage
        If Parsl is not installed.
    """

    def __init__(self, config: Any, timeout_s: float, memory_gb: float | None = None) -> None:
        _require_parsl()
        from parsl.concurrent import ParslPoolExecutor

        # Parsl starts its programs by name; in an environment that is not activated they are not on the path.
        here = str(Path(sys.executable).parent)
        if here not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
        self._pool = ParslPoolExecutor(config=config)
        self._limits = (timeout_s, memory_gb)

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a task."""
        future: Future[T] = self._pool.submit(isolated, self._limits, function, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers; queued tasks are dropped, results are in the store."""
        self._pool.shutdown(wait=wait)


def isolated(limits: tuple[float, float | None], function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a task in this worker's own child process: a crash or a hang kills the child only."""
    return _child(*limits).submit(function, *args, **kwargs).result()


@cache
def _child(timeout_s: float, memory_gb: float | None) -> LocalPool:
    """Return this process's pool of one, made when first needed."""
    return LocalPool(1, timeout_s, memory_gb)


def executor_from(path: Path, timeout_s: float, memory_gb: float | None = None) -> ParslExecutor:
    """Make the executor that a configuration file describes.

    Parameters
    ----------
    path
        Python file that defines ``config`` (a ``parsl.Config``), or a TOML file of `ClusterOptions`.
    timeout_s
        Wall time of a task.
    memory_gb
        Memory of a task, GB; None for what its machine has.

    Raises
    ------
    StudyError
        If the file is missing or defines no configuration.
    MissingPackage
        If Parsl is not installed.
    """
    _require_parsl()
    if path.suffix == ".toml":
        options = from_table(ClusterOptions, read_toml(path), str(path))
        return ParslExecutor(configuration(options, path.parent), timeout_s, memory_gb)
    if not path.is_file():
        raise StudyError(
            f"no such file: {path}; give a Python file with a parsl.Config named config, or a TOML file"
        )
    config = runpy.run_path(str(path)).get("config")
    if config is None:
        raise StudyError(f"{path} does not define config, a parsl.Config")
    return ParslExecutor(config, timeout_s, memory_gb)


def configuration(options: ClusterOptions, folder: Path) -> Any:
    """Turn options into a ``parsl.Config``; ``folder`` is where Parsl keeps its run information."""
    import parsl
    from parsl.executors import HighThroughputExecutor

    workers = HighThroughputExecutor(
        label="crossprune",
        address=options.address or ("127.0.0.1" if options.provider == "local" else None),
        max_workers_per_node=options.workers_per_node,
        cores_per_worker=1,
        provider=_provider(options),
    )
    return parsl.Config(
        executors=[workers],
        retries=options.retries,
        retry_handler=retry_cost,
        run_dir=str(folder / "runinfo"),
    )


def retry_cost(error: Exception, task: Any) -> float:
    """Count only lost workers and managers as one retry; anything else is final."""
    from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

    return 1.0 if isinstance(error, (ManagerLost, WorkerLost)) else float("inf")


def _provider(options: ClusterOptions) -> Any:
    from parsl import providers

    shared: dict[str, Any] = {"init_blocks": 1, "max_blocks": options.max_jobs}
    if options.provider == "local":
        return providers.LocalProvider(worker_init=options.worker_init, **shared)
    if options.provider == "kubernetes":
        return providers.KubernetesProvider(image=options.image, worker_init=options.worker_init, **shared)
    batch: dict[str, Any] = {
        **shared,
        "nodes_per_block": options.nodes,
        "walltime": options.walltime,
        "account": options.account,
        "worker_init": options.worker_init,
    }
    if options.provider == "slurm":
        return providers.SlurmProvider(partition=options.partition, **batch)
    return providers.PBSProProvider(queue=options.partition, **batch)


def _require_parsl() -> None:
    try:
        import parsl  # noqa: F401
    except ImportError:
        raise MissingPackage("a cluster", "parsl", "cluster") from None
