"""What an adapter claims, and how much each group of labels counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crossprune.harness.errors import TooFewFrames

LIGHTEST, HEAVIEST = 1e-15, 1e15
"""Bounds of weights other than 0: FitSNAP's files have 1e-12 to 6e6; fits fail at 1e-300 and 1e160 (ours)."""


@dataclass(frozen=True)
class Capabilities:
    """What an adapter claims; every claim is tested by the contract's checks."""

    describes: bool = True
    """Gives features, so it can choose data."""
    fits: bool = True
    """Fits a potential, so it can be retrained."""
    stress: bool = True
    """Predicts stress and can fit to it."""
    multi_element: bool = True
    """Handles more than one element in a data set."""
    exact_subset_refit: bool = False
    """A refit on a subset is linear algebra on prepared blocks and equals a fit from scratch."""
    rows: bool = False
    """Gives the rows of a linear model's least squares, so that data can be chosen by them."""
    masks: bool = False
    """Fits to the forces of some atoms of a configuration and its energy, exactly: `Fitter.fit_masked`."""
    prior: bool = False
    """Fits towards an earlier potential, as which it is where labels say nothing: `Fitter.fit_from`."""
    metric: bool = False
    """Knows the metric in which its fit sees data, so that data can be chosen in it."""
    single: bool = False
    """Computes in single precision; checks then allow its rounding: 3e-5 of values, 2e-3 of forces against
    differences of energies."""
    seeded: bool = False
    """The random generator given to ``fit`` changes the parameters."""


@dataclass(frozen=True)
class GroupWeight:
    """Weights of one group's residuals, relative to the adapter's own (dimensionless)."""

    energy: float = 1.0
    """Factor on the weight of energies per atom."""
    forces: float = 1.0
    """Factor on the weight of force components."""
    stress: float = 1.0
    """Factor on the weight of stress components."""


Weights = Mapping[str, GroupWeight]
"""Group name to its relative weights; a group that is not named has weight 1."""


def check_weight(name: str, value: float) -> None:
    """Raise `ValueError` for a weight that is neither 0 nor between `LIGHTEST` and `HEAVIEST`."""
    if value != 0 and not LIGHTEST <= value <= HEAVIEST:
        raise ValueError(f"{name} is {value:g}; give 0, or a number from {LIGHTEST:g} to {HEAVIEST:g}")


def have_weight(
    groups: Iterable[str], weights: Weights, *, energy_weight: float = 1.0, force_weight: float = 1.0
) -> bool:
    """Tell whether energies or forces of one of these groups count; a fit to stresses alone is none.

    ``energy_weight`` and ``force_weight`` are the adapter's own, on which those of groups are factors.
    """
    every = (weights.get(name, GroupWeight()) for name in groups)
    return any(one.energy * energy_weight or one.forces * force_weight for one in every)


def require_weight(
    groups: Iterable[str], weights: Weights, *, energy_weight: float = 1.0, force_weight: float = 1.0
) -> None:
    """Raise `TooFewFrames` if nothing counts, see `have_weight`: the fit would be a model of zeros."""
    if not have_weight(groups, weights, energy_weight=energy_weight, force_weight=force_weight):
        raise TooFewFrames("the weights of energies and forces are 0 in the groups of all chosen frames")
