"""Variables by which MPI launchers make a process one of several; each program here runs by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

JOINS = re.compile(
    r"(PMI|PMI2|PMIX|HYDI|HYDRA|MPIEXEC|MPIRUN|OMPI|PRTE|ORTE|PALS|ALPS|FLUX|SLURM|MV2|I_MPI)_\w*"
    r"|MPI_LOCAL\w*|(MPIR_CVAR|MPIR_PARAM|MPICH)_PMI_\w*"
)
"""PMI and PMIx (MPICH's and Slurm's clients read PMI_FD, PMI_RANK, PMIX_NAMESPACE, …); the launchers Hydra,
Open MPI, PRRTE, PALS, ALPS, Flux, Slurm, those of MVAPICH and Intel; settings of MPICH that ask for one."""

SHARED_MEMORY = "/dev/shm/mpich_shm_"
"""Beginning of the names of MPICH's files of shared memory."""


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that leave a program alone, as if nobody had launched it.

    Examples
    --------
    >>> without_launcher({"PMI_RANK": "1", "OMP_NUM_THREADS": "2"})
    {'OMP_NUM_THREADS': '2'}
    """
    return {name: value for name, value in environment.items() if not JOINS.fullmatch(name)}


@contextmanager
def alone() -> Iterator[None]:
    """Hide a launcher's variables from libraries of this process, and put them back for its children."""
    hidden = {name: value for name, value in os.environ.items() if JOINS.fullmatch(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@cache
def unlink_shared_memory() -> None:
    """Take away the names of MPICH's shared memory in this process, once MPI has started (Linux).

    It makes a file of 1 MB in memory by which processes of one node find each other, and leaves it behind
    unless MPI is finalised: every process that ran LAMMPS would. No other process looks for this one's.
    """
    try:
        mapped = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    paths = {line.split(maxsplit=5)[-1] for line in mapped if SHARED_MEMORY in line}
    for path in paths:
        with suppress(OSError):
            Path(path).unlink()
