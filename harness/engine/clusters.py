"""Run tasks on clusters through Parsl; each in a process of its own, so that a crash costs one task."""

from __future__ import annotations

import math
import os
import runpy
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from crossprune.harness.engine.processes import herd
from crossprune.harness.engine.processes.pool import LocalPool, SerialExecutor
from crossprune.harness.errors import MissingPackage, NoWorkers, StudyError, WorkerDied
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.tables import convert, from_table, read_toml

T = TypeVar("T")
LABEL = "crossprune"
"""Label of the workers that no adapter has for itself."""
MOST_WORKERS, WORKERS_PER_CORE = 64, 4
"""Local processes that any machine may be asked for, and a large one for each core: more only wait for it."""
HEARTBEAT_S, PATIENCE_S = 10, 30
"""How often Parsl's parts tell each other that they live, and after what silence they give each other up."""


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

    def __post_init__(self) -> None:
        """Refuse numbers that start no worker."""
        for name in ("workers_per_node", "nodes", "max_jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.retries < 0:
            raise ValueError(f"retries must not be negative, got {self.retries}")


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
    labels
        Adapter to label of the Parsl executor that runs its tasks. All other tasks run on the executors
        that no adapter has for itself.

    Raises
    ------
    MissingPackage
        If Parsl is not installed.
    StudyError
        If a label is not one of the configuration, or none is left for the other tasks.
    """

    def __init__(
        self,
        config: Any,
        timeout_s: float,
        memory_gb: float | None = None,
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        _require_parsl()
        import parsl
        from parsl.concurrent import ParslPoolExecutor

        # Parsl starts its programs by name; in an environment that is not activated they are not on the path.
        here = str(Path(sys.executable).parent)
        if here not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
        known = [one.label for one in config.executors]
        others = [label for label in known if label not in labels.values()]
        if not others or not set(labels.values()) <= set(known):
            raise StudyError(
                f"labels of adapters are {sorted(set(labels.values()))}, executors of the configuration "
                f"{known}: each label must be one of them, and one must be left for all other tasks"
            )
        self._limits, self._labels = (timeout_s, memory_gb), dict(labels)
        self._sizes = {one.label: _workers_of(one) for one in config.executors}
        self._sizes[""] = sum(self._sizes[label] for label in others)
        for one in config.executors:
            _keep_together(one)
        self._kernel = parsl.load(config)
        self._others = ParslPoolExecutor(dfk=self._kernel, executors=others)
        self._pools = {
            label: ParslPoolExecutor(dfk=self._kernel, executors=[label]) for label in set(labels.values())
        }

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a task, on its adapter's own executor if it has one."""
        label = next((self.queue_of(one) for one in args if isinstance(one, AdapterSpec)), "")
        pool = self._pools.get(label, self._others)
        future: Future[T] = Future()
        try:
            inner: Future[T] = pool.submit(isolated, self._limits, function, *args, **kwargs)
        except Exception as error:  # Parsl refuses tasks when it can no longer run them
            future.set_exception(NoWorkers(f"Parsl takes no task: {error}"))
            return future
        inner.add_done_callback(lambda ended: _pass_on(ended, future))
        return future

    def queue_of(self, spec: AdapterSpec | None) -> str:
        """Return the label of an adapter's own workers; an empty one for those of all others."""
        return "" if spec is None else self._labels.get(spec.adapter, "")

    def capacity_of(self, queue: str) -> int:
        """Return how many tasks are of use at a time: two a worker, if all nodes are there."""
        return 2 * self._sizes[queue]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers; queued tasks are dropped with ``cancel_futures``, results are in the store."""
        if wait and not cancel_futures:
            self._kernel.wait_for_current_tasks()
        self._kernel.cleanup()


def _pass_on(ended: Future[T], future: Future[T]) -> None:
    """Give a task's result to the caller's future; lost machines become the engine's own errors."""
    from parsl.errors import ParslError
    from parsl.executors.errors import BadStateException
    from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

    if ended.cancelled():
        future.set_exception(CancelledError())
        return
    error = ended.exception()
    if error is None:
        future.set_result(ended.result())
    elif isinstance(error, (ManagerLost, WorkerLost)):
        future.set_exception(WorkerDied(-9, f"its machine or its worker pool was lost as well: {error}"))
    elif isinstance(error, (BadStateException, ParslError)):
        future.set_exception(NoWorkers(f"Parsl cannot run tasks any more: {error}"))
    else:
        future.set_exception(error)


def _workers_of(executor: Any) -> int:
    """Count the workers of an executor when all its nodes are there; as far as it says."""
    provider = getattr(executor, "provider", None)
    nodes = getattr(provider, "nodes_per_block", 1) * getattr(provider, "max_blocks", 1)
    per_node = getattr(executor, "max_workers_per_node", getattr(executor, "max_threads", math.inf))
    return max(1, int(nodes * (per_node if per_node < math.inf else os.cpu_count() or 1)))


def _keep_together(executor: Any) -> None:
    """Tie the processes of an executor to each other, so that nothing of a run outlives it.

    The interchange dies with this process; a worker pool that hears no more of it ends after `PATIENCE_S`,
    and its workers end with it.
    """
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD

    if getattr(executor, "launch_cmd", None) != DEFAULT_LAUNCH_CMD:
        return  # whoever sets a command of his own keeps it
    executor.launch_cmd = f"{sys.executable} -m {herd.__name__} {DEFAULT_LAUNCH_CMD}"
    executor.interchange_launch_cmd = herd.tied(executor.interchange_launch_cmd)
    executor.heartbeat_period = min(executor.heartbeat_period, HEARTBEAT_S)
    executor.heartbeat_threshold = min(executor.heartbeat_threshold, PATIENCE_S)


def isolated(limits: tuple[float, float | None], function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a task in this worker's own child process: a crash or a hang kills the child only."""
    return _child(*limits).submit(function, *args, **kwargs).result()


@cache
def _child(timeout_s: float, memory_gb: float | None) -> LocalPool:
    """Return this process's pool of one, made when first needed."""
    return LocalPool(1, timeout_s, memory_gb)


def executor_of(where: str, workers: int, timeout_s: float, memory_gb: float | None = None) -> Executor:
    """Return the executor that a user names.

    Parameters
    ----------
    where
        ``local`` or ``parsl:FILE``, where the file configures Parsl.
    workers
        Local processes; 0 runs everything in this one.
    timeout_s, memory_gb
        Limits of a task: wall time, s, and memory, GB, None for what there is.

    Raises
    ------
    StudyError
        If there is no such executor, its file is unusable, or there are too many workers for this machine.
    """
    if where == "local":
        most = max(MOST_WORKERS, WORKERS_PER_CORE * (os.cpu_count() or 1))
        if not 0 <= workers <= most:
            raise StudyError(f"--workers is {workers}; give 0, for this process, to {most} on this machine")
        return LocalPool(workers, timeout_s, memory_gb) if workers else SerialExecutor()
    kind, _, path = where.partition(":")
    if kind != "parsl" or not path:
        raise StudyError(f"unknown executor {where!r}; allowed: local, parsl:FILE.py, parsl:FILE.toml")
    return executor_from(Path(path), timeout_s, memory_gb)


def executor_from(path: Path, timeout_s: float, memory_gb: float | None = None) -> ParslExecutor:
    """Make the executor that a configuration file describes.

    Parameters
    ----------
    path
        Python file (``.py``) that defines ``config`` (a ``parsl.Config``) and is executed, or a TOML file
        (``.toml``) of `ClusterOptions`.
    timeout_s
        Wall time of a task.
    memory_gb
        Memory of a task, GB; None for what its machine has.

    Raises
    ------
    StudyError
        If the file is missing, has another ending, or defines no configuration.
    MissingPackage
        If Parsl is not installed.
    """
    _require_parsl()
    if path.suffix not in (".py", ".toml"):  # nothing is executed that does not look like code
        raise StudyError(
            f"{path}: a cluster is a TOML file (.toml), or a Python file (.py), which is executed"
        )
    if path.suffix == ".toml":
        options, labelled, labels = read_cluster(path)
        return ParslExecutor(configuration(options, path.parent, labelled), timeout_s, memory_gb, labels)
    if not path.is_file():
        raise StudyError(
            f"no such file: {path}; give a Python file with a parsl.Config named config, or a TOML file"
        )
    defined = runpy.run_path(str(path))
    if defined.get("config") is None:
        raise StudyError(f"{path} does not define config, a parsl.Config")
    return ParslExecutor(defined["config"], timeout_s, memory_gb, defined.get("labels", {}))


def read_cluster(path: Path) -> tuple[ClusterOptions, dict[str, ClusterOptions], dict[str, str]]:
    """Read a TOML file of `ClusterOptions`, with more workers under ``[labels.NAME]``.

    Returns
    -------
    tuple
        The options; those of each label, which take from the others what they do not set; adapter to label.

    Raises
    ------
    StudyError
        If a key or value is unknown, a label has no adapters, or an adapter has two labels.
    """
    table = dict(read_toml(path))
    parts = convert(Mapping[str, Mapping[str, Any]], table.pop("labels", {}), f"{path}: labels")
    options = from_table(ClusterOptions, table, str(path))
    labelled: dict[str, ClusterOptions] = {}
    labels: dict[str, str] = {}
    for name, part in parts.items():
        own = {key: value for key, value in part.items() if key != "adapters"}
        labelled[name] = from_table(ClusterOptions, {**table, **own}, f"[labels.{name}] of {path}")
        adapters = convert(tuple[str, ...], part.get("adapters", []), f"[labels.{name}] of {path}: adapters")
        if not adapters or name == LABEL or set(adapters) & set(labels):
            raise StudyError(
                f"[labels.{name}] of {path} needs a name other than {LABEL!r} and adapters that no other "
                f"label has, such as adapters = ['nnp']; got {list(adapters)}"
            )
        labels |= dict.fromkeys(adapters, name)
    return options, labelled, labels


def configuration(
    options: ClusterOptions, folder: Path, labelled: Mapping[str, ClusterOptions] = MappingProxyType({})
) -> Any:
    """Turn options into a ``parsl.Config``; ``folder`` is where Parsl keeps its run information."""
    import parsl

    return parsl.Config(
        executors=[_workers(name, one) for name, one in {LABEL: options, **labelled}.items()],
        retries=options.retries,
        retry_handler=retry_cost,
        run_dir=str(folder / "runinfo"),
    )


def _workers(label: str, options: ClusterOptions) -> Any:
    from parsl.executors import HighThroughputExecutor

    return HighThroughputExecutor(
        label=label,
        address=options.address or ("127.0.0.1" if options.provider == "local" else None),
        max_workers_per_node=options.workers_per_node,
        cores_per_worker=1,
        provider=_provider(options),
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
        raise MissingPackage("a cluster", "parsl", "crossprune[cluster]") from None
