"""Executors of this machine: in this process, or in worker processes that may crash, hang or be killed."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from crossprune.harness.engine.processes.memory import MemoryGuard
from crossprune.harness.engine.processes.workers import NotBegun, Worker, dumps
from crossprune.harness.errors import CellOutOfMemory, NoWorkers, WorkerDied

T = TypeVar("T")
TASKS_PER_WORKER = 200
"""Tasks after which a worker is replaced, so that memory which a library loses does not pile up: a new one
costs 2 s of processor time (imports, data set), a task of a linear family 10 ms."""
STARTS = 5
"""How often in a row a worker may fail to come up before the pool gives up."""
BEGINNINGS = 3
"""How often in a row a worker may die before it begins with a task before the task is blamed."""
PAUSE_S = 0.2
"""Pause before a worker is started again that did not come up; it doubles each time."""


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


@dataclass(frozen=True)
class _Task:
    call: bytes
    future: Future[Any]


class LocalPool(Executor):
    """Worker processes with one BLAS thread each; a crash, a timeout or lack of memory costs one task.

    Each worker has a thread here that feeds it by a pipe of its own: no lock and no queue is shared between
    processes, so that a worker that dies, at its start, between tasks or in one, holds up nobody.

    Parameters
    ----------
    workers
        Number of processes.
    timeout_s
        Wall time after which a task's process is killed; its future raises ``TimeoutError``. Time in
        which this program or the worker is suspended does not count.
    memory_gb
        Memory, GB, above which a task's process is killed; its future raises ``CellOutOfMemory``, and so
        does that of a task which the system killed for lack of memory. None for what the machine has.
        The future of a task whose process dies otherwise raises ``WorkerDied``; if no process comes up,
        all futures raise ``NoWorkers``.
    """

    def __init__(self, workers: int, timeout_s: float, memory_gb: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._slots = [_Slot(self._tasks, timeout_s) for _ in range(workers)]
        self._guard = MemoryGuard(memory_gb, self._slots)
        for slot in self._slots:
            slot.guard = self._guard
        self._closed = False

    def warm_up(self) -> None:
        """Start the workers now, so that they are up when the first task is known."""
        for slot in self._slots:
            slot.start()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a task; one that cannot be pickled fails at once."""
        if self._closed:
            raise RuntimeError("the pool is shut down")
        future: Future[T] = Future()
        try:
            self._tasks.put(_Task(dumps(function, args, kwargs), future))
        except Exception as error:
            future.set_exception(error)
            return future
        self.warm_up()
        return future

    def capacity_of(self, queue: str) -> int:
        """Return how many tasks are of use: a worker that ends one finds the next one waiting."""
        return 2 * len(self._slots)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Finish the queued tasks, or with ``cancel_futures`` stop the workers at once."""
        self._closed = True
        if cancel_futures:
            for slot in self._slots:
                slot.stopping = True
            with contextlib.suppress(queue.Empty):
                while True:
                    if (task := self._tasks.get_nowait()) is not None:
                        task.future.set_exception(CancelledError())
            for slot in self._slots:
                slot.stop()
        for _ in self._slots:
            self._tasks.put(None)
        if wait:
            for slot in self._slots:
                slot.join()
            self._guard.close()


class _Slot:
    """A place for one worker at a time, and the thread that feeds it."""

    def __init__(self, tasks: queue.SimpleQueue[_Task | None], timeout_s: float) -> None:
        self._tasks, self._timeout_s = tasks, timeout_s
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._begun = False
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._reason = ""
        self.busy = False
        self.stopping = False
        self.guard: MemoryGuard | None = None

    def start(self) -> None:
        """Begin to serve, once."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self._thread.start()

    def join(self) -> None:
        """Wait until the last task has ended."""
        if self._begun:
            self._thread.join()

    def stop(self) -> None:
        """Kill the worker, whatever it does."""
        self.stopping = True
        self.kill("", self.pid)

    @property
    def pid(self) -> int | None:
        """The process that runs a task now, or None."""
        worker = self._worker
        return worker.pid if worker is not None else None

    def kill(self, reason: str, pid: int | None) -> None:
        """Kill the worker if it still is the process ``pid`` and, for a ``reason``, still in a task."""
        with self._lock:
            worker = self._worker
            if worker is not None and worker.pid == pid and (self.busy or not reason):
                self._reason = reason
                with contextlib.suppress(OSError):
                    worker.process.kill()

    def _serve(self) -> None:
        with contextlib.suppress(NoWorkers, CancelledError):  # the first task says so again
            self._ready()
        while (task := self._tasks.get()) is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    good, value = self._run(task.call)
                except BaseException as error:
                    good, value = False, error
                (task.future.set_result if good else task.future.set_exception)(value)
        if self._worker is not None:
            self._worker.close()

    def _run(self, call: bytes) -> tuple[bool, Any]:
        for _ in range(BEGINNINGS):
            worker = self._ready()
            self.busy = True
            try:
                return worker.run(call, self._timeout_s)
            except NotBegun:
                self._drop()
            except TimeoutError:
                self._drop()
                raise
            except WorkerDied as error:
                reason, pid = self._reason, worker.pid
                self._drop()
                raise self._named(error, reason, pid) from None
            finally:
                with self._lock:
                    self.busy, self._reason = False, ""
            if self.stopping:
                raise CancelledError
        raise WorkerDied(0, f"{BEGINNINGS} workers died when they read the task")

    def _named(self, error: WorkerDied, reason: str, pid: int) -> Exception:
        """Give a death its cause."""
        if self.stopping:
            return CancelledError()
        assert self.guard is not None
        reason = reason or self.guard.reason(error.exit_code)
        return CellOutOfMemory(reason) if reason else error

    def _ready(self) -> Worker:
        """Return a worker that is up, a new one if there is none or the old one has done enough."""
        if self._worker is not None and self._worker.n_tasks >= TASKS_PER_WORKER:
            self._worker.close()
            self._worker = None
        pause, problem = PAUSE_S, ""
        for _ in range(STARTS):
            if self.stopping:
                raise CancelledError
            if self._worker is not None:
                return self._worker
            try:
                worker = Worker()
                self._take(worker)
                worker.wait_until_up()
            except (WorkerDied, OSError) as error:
                self._drop()
                problem = str(error)
                time.sleep(pause)
                pause *= 2
            else:
                return worker
        raise NoWorkers(f"no worker process comes up ({STARTS} tries): {problem}")

    def _take(self, worker: Worker) -> None:
        """Have a new worker, which ends at once if none is wanted any more."""
        with self._lock:
            self._worker = worker
        if self.stopping:
            self.stop()

    def _drop(self) -> None:
        """Forget a worker that is dead, or make it so."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
