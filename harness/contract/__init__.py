"""What a model family must offer: descriptor, fitter and potential, in ASE's units and signs.

Units: energies eV, lengths Å, forces eV/Å, stress eV/Å³ in Voigt order xx yy zz yz xz xy, positive = tension.
"""

from crossprune.harness.contract.adapter import (
    ENERGY_ROW,
    FORCE_ROW,
    Adapter,
    Descriptor,
    Fitter,
    Options,
    Prepared,
)
from crossprune.harness.contract.arrays import (
    FloatArray,
    IntArray,
    allocate,
    components_of,
    save_arrays,
)
from crossprune.harness.contract.claims import (
    Capabilities,
    GroupWeight,
    Weights,
    check_weight,
    have_weight,
    require_weight,
)
from crossprune.harness.contract.family import Family, FileFormat
from crossprune.harness.contract.motion import Dynamics, MotionState, Thermostat
from crossprune.harness.contract.potential import Potential, PotentialCalculator, require_elements
from crossprune.harness.contract.prediction import Prediction, Predictions
from crossprune.harness.contract.recipe import Recipe
from crossprune.harness.contract.saved import HEADER, read_header
from crossprune.harness.contract.vanishing import SMALLEST_SLOPE, SMALLEST_VALUE, vanishing

__all__ = [
    "ENERGY_ROW",
    "FORCE_ROW",
    "HEADER",
    "SMALLEST_SLOPE",
    "SMALLEST_VALUE",
    "Adapter",
    "Capabilities",
    "Descriptor",
    "Dynamics",
    "Family",
    "FileFormat",
    "Fitter",
    "FloatArray",
    "GroupWeight",
    "IntArray",
    "MotionState",
    "Options",
    "Potential",
    "PotentialCalculator",
    "Prediction",
    "Predictions",
    "Prepared",
    "Recipe",
    "Thermostat",
    "Weights",
    "allocate",
    "check_weight",
    "components_of",
    "have_weight",
    "read_header",
    "require_elements",
    "require_weight",
    "save_arrays",
    "vanishing",
]
