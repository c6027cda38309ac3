"""Run an external program with limits on wall time and memory, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from crossprune.adapters.programs.launchers import without_launcher
from crossprune.harness.errors import CellCrash, CellOutOfMemory, CellTimeout

OUTPUT, ERRORS = "program.out", "program.err"
"""Files in the program's folder that receive its standard output and its standard error."""
TAIL_BYTES = 1500
"""How much of the end of each an error message shows."""
POLL_S = (0.002, 0.05)
"""Shortest and longest pause between looks at the program: short runs end promptly, long ones cost little."""

LAUNCHER = """
import ctypes, os, resource, sys
parent, program = int(sys.argv[1]), sys.argv[2]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != parent:
        os._exit(1)
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
try:
    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
except (ValueError, OSError):
    pass
os.execv(program, sys.argv[2:])
"""
"""Runs in the child before the program: it dies with its parent (PR_SET_PDEATHSIG, SIGKILL), writes no core
dump, and has the largest stack allowed, because Fortran programs keep large arrays on the stack."""


@dataclass(frozen=True)
class Finished:
    """What a program that ended well used, and the end of what it printed."""

    tail: str
    """Last lines of its output."""
    wall_s: float
    """Wall time, s."""
    cpu_s: float
    """Processor time, s."""
    peak_memory_mb: float
    """Largest resident memory of the program, MB (10⁶ bytes)."""


def run(
    command: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    memory_gb: float,
    variables: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program in ``folder`` until it ends or uses up its time or memory.

    The program has a process group of its own, which is killed with all its children on any way out, and it
    dies with the thread that started it. It runs by itself, whatever launched this process.

    Parameters
    ----------
    command
        Absolute path of the program, and its arguments.
    folder
        Working directory; the output is kept there in `OUTPUT` and `ERRORS`.
    timeout_s
        Wall time allowed, s.
    memory_gb
        Resident memory allowed to the program itself, GB (10⁹ bytes); its children are not counted.
    variables
        Of the environment, beside those of this process.

    Raises
    ------
    CellTimeout
        If it runs longer than ``timeout_s``.
    CellOutOfMemory
        If it takes more than ``memory_gb``, or says that an allocation failed.
    CellCrash
        If a signal kills it.
    RuntimeError
        If it ends with an exit code other than 0. All four carry the end of the output.
    """
    name = Path(command[0]).name
    start = time.monotonic()
    with (folder / OUTPUT).open("wb") as output, (folder / ERRORS).open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command],
            cwd=folder,
            env={**without_launcher(os.environ), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    try:
        usage, peak = _watch(process, name, folder, timeout_s, memory_gb)
    finally:
        _kill_group(process)
    _raise_for_exit(process.returncode, name, folder)
    return Finished(
        tail=_tail(folder),
        wall_s=time.monotonic() - start,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_memory_mb=max(peak, _own_peak_bytes(usage)) / 1e6,
    )


def _watch(
    process: subprocess.Popen[bytes], name: str, folder: Path, timeout_s: float, memory_gb: float
) -> tuple[resource.struct_rusage, float]:
    """Wait for the end; return what the kernel counted and the largest resident memory seen (bytes)."""
    end, peak, pause = time.monotonic() + timeout_s, 0.0, POLL_S[0]
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage, peak
        memory = _resident_bytes(process.pid)
        peak = max(peak, memory)
        if memory > memory_gb * 1e9:
            raise CellOutOfMemory(f"{name} used more than its {memory_gb:g} GB of memory; {_tail(folder)}")
        if time.monotonic() > end:
            raise CellTimeout(f"{name} ran longer than its {timeout_s:g} s; {_tail(folder)}")
        time.sleep(pause)
        pause = min(1.3 * pause, POLL_S[1])


def _resident_bytes(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0.0


def _own_peak_bytes(usage: resource.struct_rusage) -> float:
    """Return the kernel's peak, or 0 where it is hidden: a child inherits its parent's peak on Linux."""
    unit = 1 if sys.platform == "darwin" else 1024
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(usage.ru_maxrss * unit) if usage.ru_maxrss > inherited else 0.0


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM if only a zombie is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _raise_for_exit(code: int, name: str, folder: Path) -> None:
    tail = _tail(folder)
    if code < 0:
        raise CellCrash(f"{name} was killed by {signal.Signals(-code).name}; {tail}")
    lowered = tail.lower()
    if code > 0 and ("exceed memory limit" in lowered or "allocate memory" in lowered):
        raise CellOutOfMemory(f"{name} could not allocate memory; {tail}")
    if code > 0:
        raise RuntimeError(f"{name} ended with exit code {code}; {tail}")


def _tail(folder: Path) -> str:
    texts = []
    for name in (OUTPUT, ERRORS):
        with (folder / name).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            texts.append(stream.read().decode(errors="replace").strip())
    text = "\n".join(text for text in texts if text)
    return f"the end of its output:\n{text}" if text else "it printed nothing"
