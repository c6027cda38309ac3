"""Executors of this machine: in this process, or in worker processes that may crash or hang."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, TypeVar

from crossprune.harness.engine.memory import MemoryGuard, marked
from crossprune.harness.errors import CellOutOfMemory
from pebble import ProcessExpired, ProcessPool
from threadpoolctl import threadpool_limits

T = TypeVar("T")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PR_SET_PDEATHSIG = 1
TASKS_PER_WORKER = 1000
"""Tasks after which a worker is replaced, so that memory which a library loses does not pile up: a new one
costs 2 s of processor time (imports, data set), a task of a linear family 10 ms."""


class SerialExecutor(Executor):
    """Runs each task at once in this process; for debugging, and as the reference for other executors."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run the task before returning."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalPool(Executor):
    """Worker processes with one BLAS thread each; a crash, a timeout or lack of memory costs one task.

    Parameters
    ----------
    workers
        Number of processes.
    timeout_s
        Wall time after which a task's process is killed; its future raises ``TimeoutError``. A
        process that dies makes its future raise ``pebble.ProcessExpired``.
    memory_gb
        Memory, GB, above which a task's process is killed; its future raises ``CellOutOfMemory``, and so
        does that of a task which the system killed for lack of memory. None for what the machine has.
    """

    def __init__(self, workers: int, timeout_s: float, memory_gb: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._guard = MemoryGuard(memory_gb)
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=TASKS_PER_WORKER,
            initializer=_start_worker,
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a task."""
        future: Future[T] = Future()
        inner = self._pool.schedule(
            marked, args=(self._guard.folder, function, *args), kwargs=kwargs, timeout=self._timeout_s
        )
        inner.add_done_callback(lambda ended: self._pass_on(ended, future))
        return future

    def _pass_on(self, ended: Future[T], future: Future[T]) -> None:
        """Give a task's result to the caller's future, and lack of memory its name."""
        if ended.cancelled():
            future.set_exception(CancelledError())
            return
        error = ended.exception()
        if isinstance(error, ProcessExpired) and (reason := self._guard.reason(error.pid, error.exitcode)):
            error = CellOutOfMemory(reason)
        if error is None:
            future.set_result(ended.result())
        else:
            future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the queued tasks, or with ``cancel_futures`` stop the workers at once."""
        if cancel_futures:
            self._pool.stop()
        else:
            self._pool.close()
        if wait:
            self._pool.join()
            self._guard.close()


def _start_worker() -> None:
    """Use one BLAS thread, leave Ctrl-C to the main process, and end when it ends."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
