"""Leases: locks that say which process uses a store, or a temporary folder, and that it lives.

A lock of the kernel is seen from other containers, where the process has another number or none, and ends
with its holder however that dies. Where another machine's locks are not seen, its lease counts as held while
its file is touched again and again, by the clock of the file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from crossprune.harness.errors import StudyError
from crossprune.harness.store.damage import delete, set_aside
from crossprune.harness.store.disk import disk_full, is_full
from crossprune.harness.store.readonly import can_write

FOLDER = "leases"
RUN, UPKEEP = "run", "upkeep"
"""What a lease is for: runs go side by side, upkeep that removes things is alone."""
UNKNOWN = "unknown"
BEAT_S = 60.0
"""Time between two touches of a lease's file."""
STALE_S = 3600.0
"""A lease of another machine whose lock is not seen is over when it was not touched for so long."""

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R", bound="_Rooted")
T = TypeVar("T")
_held: dict[Path, int] = {}
"""Locks of this process, and their open files."""
_mutex = threading.Lock()


@dataclass(frozen=True)
class Lease:
    """Who holds a lock, as its file says."""

    path: Path
    purpose: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        """Say who holds it."""
        return f"{self.purpose} (host {self.host}, process {self.pid}, since {self.since})"


@contextlib.contextmanager
def lock(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock file, which is removed at the end; it names the holder."""
    _acquire(path, purpose)
    try:
        yield
    finally:
        release(path)


def _acquire(path: Path, purpose: str) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    facts = {"purpose": purpose, "host": socket.gethostname(), "pid": os.getpid(), "since": since}
    hidden = path.with_name(f".{path.name}")  # nobody sees a lock that is not held yet
    while True:
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks: touching the file must do
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps({**facts, "machine": machine()}).encode())
            hidden.rename(path)
            break
        except FileNotFoundError:  # another process took it for a dead one's
            os.close(descriptor)
            path.parent.stat()
        except OSError:
            os.close(descriptor)
            raise
    with _mutex:
        _held[path] = descriptor
    _start_beating()


def release(path: Path) -> None:
    """Give a lock of this process back."""
    with _mutex:
        descriptor = _held.pop(path, None)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    if descriptor is not None:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Tell whether a process that lives, here or elsewhere, holds a lock file."""
    with _free(path) as free:
        return not free


def reap(path: Path, folder: Path | None = None) -> bool:
    """Remove a lock file that nobody holds, and the folder that it guards; tell whether it was so."""
    with _free(path) as free:
        if free:
            if folder is not None:
                delete(folder)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        return free


@contextlib.contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Tell whether nobody holds a lock file; nobody else gets it meanwhile."""
    with _mutex:
        mine = path in _held
    try:
        descriptor = -1 if mine else os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield not path.is_file() or age_s(path) >= STALE_S
        return
    try:
        yield not mine and _is_over(path, descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_over(path: Path, descriptor: int) -> bool:
    """Try to lock; what another machine holds is known by its age only, for its lock may not be seen."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age_s(path) >= STALE_S
    origin = _facts(path).get("machine")
    return origin in (machine(), None) or age_s(path) >= STALE_S


def holders(root: Path, purposes: tuple[str, ...] = (RUN, UPKEEP)) -> list[Lease]:
    """List the leases of a store that other processes hold; those of the dead are removed."""
    found = []
    for path in sorted((root / FOLDER).glob("*.lock")):
        if path in _held:
            continue
        if reap(path) or path.name.startswith("."):
            continue
        facts = _facts(path)
        pid = facts.get("pid", 0)
        texts = (str(facts.get(name, UNKNOWN)) for name in ("purpose", "host", "since"))
        purpose, host, since = texts
        if purpose in (*purposes, UNKNOWN):
            found.append(Lease(path, purpose, host, pid if isinstance(pid, int) else 0, since))
    return found


@contextlib.contextmanager
def hold(root: Path, purpose: str) -> Iterator[None]:
    """Hold a lease on a store while it is run, or looked after; a store that cannot be written needs none.

    Raises
    ------
    StudyError
        If it is looked after by another process, or, for ``UPKEEP``, run by one.
    DiskFull
        If the lease cannot be written.
    """
    if not can_write(root):
        yield
        return
    path = root / FOLDER / f"{purpose}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.lock"
    with contextlib.ExitStack() as stack:
        try:
            if path.parent.is_file():
                set_aside(path.parent)
            path.parent.mkdir(exist_ok=True)
            stack.enter_context(lock(path, purpose))
        except OSError as error:
            if is_full(error):
                raise disk_full(error, root) from None
            raise StudyError(f"cannot use {root} as a store: {error}; give another folder") from None
        require_alone(root, (UPKEEP,) if purpose == RUN else (RUN, UPKEEP))  # both write first, then look
        yield


def require_alone(root: Path, purposes: tuple[str, ...] = (RUN, UPKEEP)) -> None:
    """Raise `StudyError` if another process holds a lease for one of ``purposes``."""
    if others := holders(root, purposes):
        raise StudyError(f"{root} is in use: {'; '.join(map(str, others))}; wait until that ends, or stop it")


class _Rooted(Protocol):
    root: Path


def leased(function: Callable[Concatenate[S, R, P], T]) -> Callable[Concatenate[S, R, P], T]:
    """Hold a lease of a run on the store, the second argument, while a function works on it."""

    @functools.wraps(function)
    def held(first: S, store: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with hold(store.root, RUN):
            return function(first, store, *args, **kwargs)

    return held


@functools.cache
def machine() -> str:
    """Name the running kernel: locks are seen by all its processes, in containers, too."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}-{uuid.getnode()}"


def age_s(path: Path) -> float:
    """Return the time since a file was touched, s, by the clock of its file system; 0 if it is gone."""
    try:
        return _clock(path.parent) - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _clock(folder: Path) -> float:
    """Ask the file system for its time: clocks of machines differ."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _facts(path: Path) -> dict[str, object]:
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


@functools.cache
def _start_beating() -> None:
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_beat, name="leases", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_S)
        with _mutex:
            paths = list(_held)
        for path in paths:
            with contextlib.suppress(OSError):
                os.utime(path)


def _forget() -> None:
    """Close a forked child's copies of its parent's locks, which would outlive the parent."""
    global _mutex
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()
    _mutex = threading.Lock()
    _start_beating.cache_clear()
