"""Executors of this machine: in this process, or in worker processes that may crash or hang."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from pebble import ProcessPool
from threadpoolctl import threadpool_limits

T = TypeVar("T")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PR_SET_PDEATHSIG = 1


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
    """Worker processes with one BLAS thread each; a crash or a timeout costs one task, not the pool.

    Parameters
    ----------
    workers
        Number of processes.
    timeout_s
        Wall time after which a task's process is killed; its future raises ``TimeoutError``. A
        process that dies makes its future raise ``pebble.ProcessExpired``.
    """

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pool = ProcessPool(
            max_workers=workers,
            initializer=_start_worker,
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a task."""
        future: Future[T] = self._pool.schedule(function, args=args, kwargs=kwargs, timeout=self._timeout_s)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the queued tasks, or with ``cancel_futures`` stop the workers at once."""
        if cancel_futures:
            self._pool.stop()
        else:
            self._pool.close()
        if wait:
            self._pool.join()


def _start_worker() -> None:
    """Use one BLAS thread, leave Ctrl-C to the main process, and end when it ends."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
