"""Moment tensor potentials: adapter `mtp` and the ``.mtp`` files of the program MLIP."""

from crossprune.adapters.mtp.adapter import Mtp
from crossprune.adapters.mtp.options import MtpOptions
from crossprune.adapters.mtp.potential import MtpPotential, read_potential

__all__ = ["Mtp", "MtpOptions", "MtpPotential", "read_potential"]
