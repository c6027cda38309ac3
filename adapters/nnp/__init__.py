"""Behler-Parrinello networks: adapter `nnp` and files of n2p2."""

from crossprune.adapters.nnp.adapter import Nnp
from crossprune.adapters.nnp.options import NnpOptions
from crossprune.adapters.nnp.potential import NnpPotential, read_potential

__all__ = ["Nnp", "NnpOptions", "NnpPotential", "read_potential"]
