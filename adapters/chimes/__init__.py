"""Chebyshev interaction models of clusters: adapter `chimes` and files of the ChIMES calculator."""

from crossprune.adapters.chimes.adapter import Chimes
from crossprune.adapters.chimes.options import ChimesOptions
from crossprune.adapters.chimes.potential import ChimesPotential, read_parameters

__all__ = ["Chimes", "ChimesOptions", "ChimesPotential", "read_parameters"]
