"""Keep the processes of a Parsl worker pool together: ``python -m`` this module, ``POOL ...``.

Parsl's pool shares a queue between its workers; one that is killed while it waits takes the queue's lock
along, and all others wait for ever. And when a pool is killed, its workers stay. Here a pool whose worker
dies is ended with all its workers and started again: Parsl then gives its tasks to the new one. So is a
pool that is killed itself, or that does not get up because a process of its own was killed. Whatever ends the
pool, nothing of its group stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

PR_SET_PDEATHSIG = 1
LOOK_S = 0.5
GRACE_S = 5.0
"""How long a pool whose worker has gone may take to end by itself: at the end of a run, it does."""
STARTS = 100
START_S = 15.0
"""A pool that ends in an error sooner than this did not get up; one that finds no interchange takes 30 s."""
FAILURES = 3
"""How often in a row a pool may not get up."""
TIED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])"
"""Program that becomes another one, and dies with its parent (Linux)."""


def tied(command: Sequence[str]) -> list[str]:
    """Return a command that dies with the process that starts it, where the system allows it (Linux)."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", TIED, *command]


def main(command: Sequence[str]) -> int:
    """Run the pool, again if it lost a worker; return its exit code."""
    os.setpgrp()
    signal.signal(signal.SIGTERM, _end_all)
    if sys.platform == "linux":  # this program may be killed, too
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    failures = 0
    for _ in range(STARTS):
        start = time.monotonic()
        pool = subprocess.Popen(tied(command))
        lost = _lost_a_worker(pool)
        failed = not lost and pool.returncode != 0 and time.monotonic() < start + START_S
        failures = failures + 1 if failed else 0
        if failures == FAILURES or not (lost or failed or pool.returncode < 0):
            break
        _kill_group_but(os.getpid())
    _kill_group_but(os.getpid())
    return pool.returncode


def _lost_a_worker(pool: subprocess.Popen[bytes]) -> bool:
    """Watch a pool until it ends; end it if one of its processes does. Tell whether that was why it ended."""
    known: set[int] = set()
    while pool.poll() is None:
        alive = _children(pool.pid)
        if known - alive:
            try:
                pool.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                _kill_group_but(os.getpid())
                pool.wait()
                return True
            return pool.returncode != 0
        known |= alive
        time.sleep(LOOK_S)
    return False


def _children(pid: int) -> set[int]:
    try:
        return {one.pid for one in psutil.Process(pid).children() if one.status() != psutil.STATUS_ZOMBIE}
    except psutil.Error:
        return set()


def _kill_group_but(me: int) -> None:
    """Kill every process of this one's group but itself."""
    group = os.getpgrp()
    for one in psutil.process_iter():
        try:
            if one.pid != me and os.getpgid(one.pid) == group:
                one.kill()
        except (psutil.Error, OSError):
            continue


def _end_all(number: int, frame: object) -> None:
    _kill_group_but(os.getpid())
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
