"""SOAP power spectra of atoms as computed by featomic."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from crossprune.adapters.programs.quip import boxed
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, require_elements
from crossprune.harness.errors import MissingPackage

PAIR = ["neighbor_1_type", "neighbor_2_type"]


@dataclass(frozen=True)
class FeatomicOptions:
    """Density and basis of the power spectrum; the defaults are those of `gap`."""

    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    transition_width: float = 0.5
    """Width over which neighbours fade out below the cutoff, Å."""
    n_max: int = 8
    """Number of radial functions (Gaussian-type orbitals)."""
    l_max: int = 6
    """Highest angular momentum."""
    atom_sigma: float = 0.5
    """Width of the Gaussian that stands for a neighbour, Å."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("cutoff", "transition_width", "n_max", "atom_sigma"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.l_max < 0:
            raise ValueError(f"l_max must not be negative, got {self.l_max}")
        if self.transition_width > self.cutoff:
            raise ValueError(f"transition_width {self.transition_width} exceeds cutoff {self.cutoff}")


class Featomic(Descriptor[FeatomicOptions]):
    """SOAP power spectra of featomic; it has no model."""

    name = "featomic"
    capabilities = Capabilities(fits=False, stress=False)
    options_type = FeatomicOptions
    distributions: ClassVar[tuple[str, ...]] = ("featomic", "metatensor-core", "numpy")
    smoke: ClassVar[Mapping[str, Any]] = {"cutoff": 4.0, "n_max": 4, "l_max": 3}

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the power spectrum of each atom, resolved by pairs of elements, without normalisation.

        Bartók 2013, doi:10.1103/PhysRevB.87.184115, eq. 36, the centre's own density included. What is there
        twice, n n′ and n′ n of one element, is kept once, times √2: dot products stay as they are.

        Returns
        -------
        FloatArray
            Shape (n_atoms, (l_max + 1) · m (m + 1) / 2) where m is n_max times the number of elements.
        """
        require_elements(atoms, self.elements, "adapter 'featomic'")
        box = boxed(atoms, self.options.cutoff)
        box.pbc = True  # what is not periodic is farther from its images than the cutoff
        calculator, keys = self._calculator
        spectrum = calculator.compute(box, selected_keys=keys)
        block = spectrum.keys_to_samples("center_type").keys_to_properties(PAIR).block()
        one, other, _, n, n_other = np.asarray(block.properties.values).T
        is_kept = (one != other) | (n <= n_other)
        is_twice = (one == other) & (n < n_other)
        values = np.asarray(block.values)[:, is_kept] * np.where(is_twice[is_kept], math.sqrt(2.0), 1.0)
        found = np.empty_like(values)
        found[np.asarray(block.samples["atom"])] = values
        return found

    @functools.cached_property
    def _calculator(self) -> tuple[Any, Any]:
        """The calculator of featomic, and the centres and pairs of elements of which it gives spectra."""
        try:
            import featomic
            from metatensor import Labels
        except ModuleNotFoundError as error:
            if error.name not in ("featomic", "metatensor"):
                raise
            raise MissingPackage("adapter 'featomic'", "featomic", "crossprune[featomic]") from None
        options = self.options
        numbers = sorted(atomic_numbers[one] for one in self.elements)
        pairs = itertools.combinations_with_replacement(numbers, 2)
        keys = [(centre, *pair) for centre, pair in itertools.product(numbers, pairs)]
        calculator = featomic.SoapPowerSpectrum(
            cutoff={
                "radius": options.cutoff,
                "smoothing": {"type": "ShiftedCosine", "width": options.transition_width},
            },
            density={"type": "Gaussian", "width": options.atom_sigma},
            basis={
                "type": "TensorProduct",
                "max_angular": options.l_max,
                "radial": {"type": "Gto", "max_radial": options.n_max - 1},
            },
        )
        return calculator, Labels(["center_type", *PAIR], np.array(keys, dtype=np.int32))
