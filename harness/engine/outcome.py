"""How a task ended: its exceptions, its death or its limits as a status, a full disk as an error."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossprune.harness.engine.stored import stage_store
from crossprune.harness.errors import CellCrash, CellOutOfMemory, CellTimeout, WorkerDied
from crossprune.harness.store import leases
from crossprune.harness.store.damage import Artefact, Damaged
from crossprune.harness.store.disk import almost_full, disk_full, is_full
from crossprune.harness.store.objects import SCRATCH, SCRATCH_LOCK
from crossprune.harness.store.records import Status
from threadpoolctl import ThreadpoolController

OTHERS = r"(?!crossprune(\.|$))"
"""Modules whose warnings are not ours."""
FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit codes of a worker that did not end by its own fault."""
Stage = Callable[..., tuple[Any, bool]]
"""``(root of the store, ...) -> (value, computed)``; ``computed`` is False where the store held it."""


@dataclass(frozen=True)
class Outcome:
    """What a stage gave: its value, or the status and reason of its failure."""

    status: Status
    reason: str = ""
    value: Any = None
    computed: bool = False
    """False where the artefact was in the store already."""
    wall_s: float = 0.0
    """How long it took, seconds."""
    damaged: Artefact | None = None
    """What it would have rested on, and could not be read."""
    killed: bool = False
    """Whether someone else ended its worker: that says nothing about the stage."""


def run_all(root: Path, spec: object, calls: Sequence[tuple[Stage, tuple[Any, ...]]]) -> list[Outcome]:
    """Run stages one after another; an exception is the status of its own stage, with its traceback.

    Parameters
    ----------
    root
        The store.
    spec
        The adapter whose stages they are, by which a cluster may tell tasks apart.
    calls
        Stages and their arguments after ``root``.

    Raises
    ------
    DiskFull
        If a stage cannot write: that is the run's affair.
    """
    with scratch_folder(), stage_store(root).working(), warnings_of_others_shown():
        return [_attempt(root, stage, arguments) for stage, arguments in calls]


def _attempt(root: Path, stage: Stage, arguments: tuple[Any, ...]) -> Outcome:
    start = time.perf_counter()
    try:
        # One BLAS thread everywhere: more would change the last bits from executor to executor.
        with _libraries(len(sys.modules)).limit(limits=1):
            value, computed = stage(root, *arguments)
    except Damaged as error:
        return Outcome("failed", str(error), damaged=error.artefact)
    except CellTimeout as error:
        return Outcome("timeout", str(error))
    except (MemoryError, CellOutOfMemory) as error:
        return Outcome("out_of_memory", str(error) or "MemoryError")
    except CellCrash as error:
        return Outcome("crashed", str(error))
    except Exception as error:
        if is_full(error):
            raise disk_full(error, root) from None
        return Outcome("failed", traceback.format_exc())
    return Outcome("done", value=value, computed=computed, wall_s=time.perf_counter() - start)


@contextlib.contextmanager
def warnings_of_others_shown() -> Iterator[None]:
    """Show warnings of other packages where filters (``python -W error``) would raise them.

    What NumPy or ASE announce for a later version says nothing about a model, so it must not end a cell.
    What no filter raises stays as it is: phonopy's filter for one kind must not make all others visible.
    """
    before: list[tuple[Any, ...]] = list(warnings.filters)
    if not any(action == "error" for action, *_ in before):
        yield
        return
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for action, message, category, module, line in reversed(before):  # the last one added comes first
            place = _pattern(module)
            warnings.filterwarnings(action, _pattern(message), category, place, line)
            if action == "error" and not place:
                warnings.filterwarnings("default", _pattern(message), category, OTHERS, line)
        yield


def _pattern(part: str | re.Pattern[str] | None) -> str:
    """Return the text of a filter's pattern; the interpreter's own filters hold plain words."""
    if isinstance(part, re.Pattern):
        return part.pattern
    return re.escape(part) + r"\Z" if part else ""


@functools.lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:
    """Find the BLAS libraries of this process, which takes milliseconds; again when modules were imported."""
    return ThreadpoolController()


@contextlib.contextmanager
def scratch_folder() -> Iterator[None]:
    """Make temporary files of a stage lie in one folder, so that nothing stays behind if it is killed."""
    before, environment = tempfile.tempdir, os.environ.get("TMPDIR")
    prefix = f"{SCRATCH}{os.getpid()}-"
    with (
        tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder,
        leases.lock(Path(folder) / SCRATCH_LOCK, "task"),
    ):
        try:
            tempfile.tempdir = os.environ["TMPDIR"] = folder
            yield
        finally:
            tempfile.tempdir = before
            if environment is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = environment


def outcomes_of(future: Future[list[Outcome]], root: Path) -> list[Outcome] | Outcome:
    """Read the outcomes of a task's stages; of a worker that was killed or hung, the one that it was.

    Raises
    ------
    DiskFull
        If the task, or the pool for it, could not write.
    NoWorkers
        If no worker comes up.
    """
    try:
        return future.result()
    except TimeoutError:
        return Outcome("timeout", "the wall-time limit was reached and the worker killed")
    except CellOutOfMemory as error:
        return Outcome("out_of_memory", str(error))
    except WorkerDied as error:
        if error.exit_code == -signal.SIGBUS and almost_full(root):
            raise disk_full(error, root) from None
        hint = "; often the system's out-of-memory killer" if error.exit_code == -signal.SIGKILL else ""
        return Outcome("crashed", f"{error}{hint}", killed=error.exit_code in FROM_OUTSIDE)
    except OSError as error:
        if is_full(error):
            raise disk_full(error, root) from None
        raise
