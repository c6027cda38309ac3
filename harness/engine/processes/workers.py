"""One worker process and its pipe: started, given a task, watched, and ended; nothing is shared between two.

A lock or a queue that workers share is lost with the worker that holds it. Here each has a pipe of its own,
so that whatever dies, whenever, takes at most its own task along.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import psutil
from crossprune.harness.errors import WorkerDied
from threadpoolctl import threadpool_limits

CONTEXT = multiprocessing.get_context("spawn")
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"),
)
PR_SET_PDEATHSIG = 1
START_S = 300.0
"""Time in which a worker must be up: imports from a slow shared file system take minutes."""
LOOK_S = 1.0
"""Longest pause between two looks at a worker's task."""
ASLEEP_S = 3.0
"""A pause that became longer than this was no pause: the machine, or this program, was suspended."""
ORPHAN_S = 1.0
"""Pause between two looks of a worker for its parent, where the system does not tell of its death."""
READY, BEGUN = b"ready", b"begun"


class NotBegun(Exception):
    """The worker died before it began with the task, which another worker may take."""


@dataclass
class Clock:
    """Counts the seconds in which neither this program nor the worker was suspended."""

    pid: int
    used: float = 0.0
    _last: float = field(default_factory=lambda: time.monotonic())

    def tick(self) -> float:
        """Count the time since the last call; return all that was counted."""
        now = time.monotonic()
        step, self._last = now - self._last, now
        if step < ASLEEP_S and not _is_stopped(self.pid):
            self.used += step
        return self.used


class Worker:
    """A process that runs one task after another, after `wait_until_up`."""

    def __init__(self) -> None:
        ours, theirs = CONTEXT.Pipe()
        self.connection: Connection = ours
        self.process = CONTEXT.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
        self.n_tasks = 0
        self.process.start()
        theirs.close()

    def wait_until_up(self) -> None:
        """Wait until it has imported what it needs.

        Raises
        ------
        WorkerDied
            If it does not come up.
        """
        try:
            self._receive(START_S)  # READY
        except TimeoutError:
            self.kill()
            raise WorkerDied(-signal.SIGKILL, f"it was not up after {START_S:g} s") from None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None
        return self.process.pid

    def run(self, task: bytes, timeout_s: float) -> tuple[bool, Any]:
        """Run a task, a pickled call; return whether it ended well, and its result or its exception.

        Raises
        ------
        NotBegun
            If the worker was dead before, or died before it began.
        WorkerDied
            If it dies in the task.
        TimeoutError
            If the task takes longer than ``timeout_s``; the worker is killed.
        """
        self.n_tasks += 1
        try:
            self.connection.send_bytes(task)
            self._receive(START_S)  # BEGUN
        except (OSError, WorkerDied) as error:
            self.kill()
            raise NotBegun(str(error)) from None
        try:
            answer: tuple[bool, Any] = ForkingPickler.loads(self._receive(timeout_s))
        except TimeoutError:
            self.kill()
            raise
        return answer

    def _receive(self, timeout_s: float) -> bytes:
        clock = Clock(self.pid)
        while True:
            left = max(0.0, timeout_s - clock.tick())
            ready = wait([self.connection, self.process.sentinel], timeout=min(LOOK_S, left))
            if self.connection in ready:
                try:
                    return self.connection.recv_bytes()
                except (EOFError, OSError):
                    pass  # it died, maybe in the middle of an answer
            if ready:
                self.process.join()
                raise WorkerDied(self.process.exitcode or 0)
            if clock.tick() >= timeout_s:
                raise TimeoutError

    def kill(self) -> None:
        """End the process and its children at once."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        self.process.kill()
        self.process.join()
        self.connection.close()

    def close(self) -> None:
        """Let the process end by itself, between tasks."""
        self.connection.close()
        self.process.join(timeout=5.0)
        if self.process.is_alive():
            self.kill()


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def dumps(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Pickle a call."""
    return bytes(ForkingPickler.dumps((function, args, kwargs)))


def _work(connection: Connection, parent: int) -> None:
    """Run tasks until the pipe is closed."""
    _set_up(parent)
    connection.send_bytes(READY)
    while True:
        try:
            task = connection.recv_bytes()
        except (EOFError, OSError):
            return
        function, args, kwargs = ForkingPickler.loads(task)
        connection.send_bytes(BEGUN)
        try:
            answer = (True, function(*args, **kwargs))
        except Exception as error:
            answer = (False, error)
        try:
            text = ForkingPickler.dumps(answer)
        except Exception as error:
            text = ForkingPickler.dumps((False, RuntimeError(f"the result cannot be sent: {error}")))
        connection.send_bytes(bytes(text))


def _set_up(parent: int) -> None:
    """Use one BLAS thread, leave Ctrl-C to the main process, and end when it ends."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End when the parent is gone; Linux does so by itself, but for the thread that started the worker."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_S)
    os.killpg(os.getpid(), signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(1)
