"""Watch the memory of worker processes, and stop a task that takes too much."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psutil

INTERVAL_S = 0.1
"""Shortest pause between two looks; it grows so that looking costs at most 2 % of a core."""
SPARE = 0.03
"""Where less than this share of the machine's memory is free, the largest task is stopped."""


class Watched(Protocol):
    """A place for a worker: which process is in a task, and how it is killed."""

    busy: bool

    @property
    def pid(self) -> int | None:
        """The worker's process, or None."""

    def kill(self, reason: str, pid: int | None) -> None:
        """Kill the worker if it still is the process ``pid`` and in its task."""


class MemoryGuard:
    """Watches the tasks of a pool from its parent, where no library can hold it up.

    What counts is the resident memory of a worker and its children without file-backed pages: prepared
    blocks are memory-mapped and shared by all workers, and the system takes their pages back at need.

    Parameters
    ----------
    limit_gb
        Memory allowed to a task, GB (10⁹ bytes); None for what the machine has.
    watched
        The places of the pool's workers.
    """

    def __init__(self, limit_gb: float | None, watched: Sequence[Watched]) -> None:
        self._limit_gb = limit_gb
        self._watched = watched
        self._kills = _system_kills()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def reason(self, exit_code: int) -> str:
        """Say that the system ended a worker for lack of memory, or return an empty string if it did not."""
        before, self._kills = self._kills, _system_kills()
        if exit_code == -signal.SIGKILL and self._kills > before:
            return "the system's out-of-memory killer ended the worker; fewer workers leave more to each"
        return ""

    def close(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = INTERVAL_S
        while not self._ended.wait(pause):
            start = time.perf_counter()
            self._look()
            pause = max(INTERVAL_S, 50 * (time.perf_counter() - start))

    def _look(self) -> None:
        places = {place.pid: place for place in self._watched if place.busy and place.pid is not None}
        used = {pid: memory for pid in places if (memory := private_gb(pid)) > 0}
        if not used:
            return
        largest = max(used, key=used.__getitem__)
        machine = psutil.virtual_memory()
        for pid, memory in used.items():
            if self._limit_gb is not None and memory > self._limit_gb:
                allowed = f"{self._limit_gb:g} GB are allowed"
                places[pid].kill(f"the task used {memory:.2f} GB of memory, {allowed}", pid)
                return
        if machine.available < SPARE * machine.total < 1e9 * used[largest]:
            free, total = machine.available / 1e9, machine.total / 1e9
            places[largest].kill(
                f"the task used {used[largest]:.2f} GB of memory, the most of all, when the machine had "
                f"{free:.2f} of {total:.1f} GB left; fewer workers leave more to each",
                largest,
            )


def private_gb(pid: int) -> float:
    """Return the resident memory of a process and its children without file-backed pages, in GB.

    Where the system does not tell them apart (not Linux), all of it; 0 for a process that ended.
    """
    total = 0.0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                memory = one.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
    return total / 1e9


def _system_kills() -> int:
    """Count the processes that Linux's out-of-memory killer has ended; 0 where it does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def reset_peak_memory() -> None:
    """Forget this process's peak memory, where the system allows it (Linux)."""
    path = Path("/proc/self/clear_refs")
    try:
        path.write_text("5")
    except OSError:
        return


def peak_memory_mb() -> float:
    """Return this process's peak resident memory in MB since the last reset, NaN where unknown."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float("nan")
