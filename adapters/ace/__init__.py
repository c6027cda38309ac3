"""The atomic cluster expansion: adapter `ace`, PACE potentials, and the program pacemaker."""

from crossprune.adapters.ace.adapter import Ace
from crossprune.adapters.ace.options import AceOptions
from crossprune.adapters.ace.potential import AcePotential, PacePotential, read_potential

__all__ = ["Ace", "AceOptions", "AcePotential", "PacePotential", "read_potential"]
