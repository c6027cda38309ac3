"""How a task ended: its exceptions, its death or its limits as a status, a full disk as an error."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossprune.harness.engine.warned import warnings_of_others_shown
from crossprune.harness.errors import CellCrash, CellOutOfMemory, CellTimeout, WorkerDied
from crossprune.harness.store import leases
from crossprune.harness.store.damage import Artefact, Damaged
from crossprune.harness.store.disk import almost_full, disk_full, is_full
from crossprune.harness.store.objects import SCRATCH, SCRATCH_LOCK
from crossprune.harness.store.records import Status
from threadpoolctl import ThreadpoolController


@dataclass(frozen=True)
class Outcome:
    """What a stage gave: its value, or the status and reason of its failure."""

    status: Status
    reason: str = ""
    value: Any = None
    computed: bool = False
    """False where the artefact was in the store already."""
    damaged: Artefact | None = None
    """What it would have rested on, and could not be read."""


def guarded(stage: Callable[..., tuple[Any, bool]]) -> Callable[..., Outcome]:
    """Turn a stage's exception into a status with its traceback; a full disk is the run's affair.

    Raises
    ------
    DiskFull
        If the stage cannot write.
    """

    @functools.wraps(stage)
    def run(root: Path, *args: Any) -> Outcome:
        try:
            # One BLAS thread everywhere: more would change the last bits from executor to executor.
            single = _libraries(len(sys.modules)).limit(limits=1)
            with scratch_folder(), single, warnings_of_others_shown():
                value, computed = stage(root, *args)
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
        return Outcome("done", value=value, computed=computed)

    return run


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


def outcome_of(future: Future[Outcome], root: Path) -> Outcome:
    """Read a task's outcome; a killed or hung worker becomes a status.

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
        return Outcome("crashed", f"{error}{hint}")
    except OSError as error:
        if is_full(error):
            raise disk_full(error, root) from None
        raise
