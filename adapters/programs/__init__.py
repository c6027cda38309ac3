"""What families share: LAMMPS, conventions of QUIP and pacemaker, running programs, compiling."""

from crossprune.adapters.programs.lammps import (
    Box,
    LammpsPotential,
    Session,
    require_lammps,
)
from crossprune.adapters.programs.lammps_files import read_potential
from crossprune.adapters.programs.pacemaker_frames import write_frames
from crossprune.adapters.programs.process import Finished, run
from crossprune.adapters.programs.quip import boxed, stress_from, virial_of

__all__ = [
    "Box",
    "Finished",
    "LammpsPotential",
    "Session",
    "boxed",
    "read_potential",
    "require_lammps",
    "run",
    "stress_from",
    "virial_of",
    "write_frames",
]
