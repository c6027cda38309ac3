"""Universal models (CHGNet, SevenNet, M3GNet, TensorNet, DIEP, MACE) as choosers and as models."""

from __future__ import annotations

from crossprune.adapters.universal.adapter import Universal
from crossprune.adapters.universal.options import UniversalOptions
from crossprune.adapters.universal.potential import UniversalPotential, read_potential

__all__ = ["Universal", "UniversalOptions", "UniversalPotential", "read_potential"]
