"""Gaussian approximation potentials: adapter `gap`, by kernel rows or by the program gap_fit."""

from crossprune.adapters.gap.adapter import Gap
from crossprune.adapters.gap.options import GapOptions
from crossprune.adapters.gap.potential import GapPotential

__all__ = ["Gap", "GapOptions", "GapPotential"]
