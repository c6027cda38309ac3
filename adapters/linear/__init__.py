"""Models that are linear in their coefficients: rows, exact refits of subsets, solvers.

A family of its own, here or in a package from outside, subclasses `LinearFitter` and gives the rows.
"""

from crossprune.adapters.linear.blocks import WeightedRows
from crossprune.adapters.linear.evidence import ard_ridges, evidence_ridge
from crossprune.adapters.linear.fitter import (
    LinearFitter,
    LinearOptions,
    LinearPotential,
    Rows,
    RowsPotential,
)
from crossprune.adapters.linear.least_squares import Solution, compress, solve

__all__ = [
    "LinearFitter",
    "LinearOptions",
    "LinearPotential",
    "Rows",
    "RowsPotential",
    "Solution",
    "WeightedRows",
    "ard_ridges",
    "compress",
    "evidence_ridge",
    "solve",
]
