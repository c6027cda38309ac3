"""What an adapter claims, and how much each group of labels counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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
    metric: bool = False
    """Knows the metric in which its fit sees data, so that data can be chosen in it."""
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


def have_weight(groups: Iterable[str], weights: Weights) -> bool:
    """Tell whether energies or forces of one of these groups count; a fit to stresses alone is none."""
    return any(one.energy or one.forces for one in (weights.get(name, GroupWeight()) for name in groups))
