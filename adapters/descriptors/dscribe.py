"""SOAP and symmetry functions of atoms as computed by DScribe."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from crossprune.adapters.programs.quip import boxed
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, require_elements
from crossprune.harness.errors import MissingPackage


@dataclass(frozen=True)
class DScribeOptions:
    """Which of DScribe's descriptors of atoms, and its parameters."""

    kind: Literal["soap", "acsf"] = "soap"
    """Smooth overlap of atomic positions, or atom-centred symmetry functions."""
    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    n_max: int = 8
    """``soap``: number of radial functions (Gaussian-type orbitals)."""
    l_max: int = 6
    """``soap``: highest angular momentum."""
    atom_sigma: float = 0.5
    """``soap``: width of the Gaussian that stands for a neighbour, Å."""
    radial_widths: tuple[float, ...] = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0)
    """``acsf``: η of the radial functions G2, 1/Å², each without a shift."""
    angular_width: float = 0.01
    """``acsf``: η of the angular functions G4, 1/Å²."""
    angular_sharpness: tuple[float, ...] = (1.0, 4.0, 16.0)
    """``acsf``: ζ of the angular functions G4, each with λ = 1 and λ = −1."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("cutoff", "n_max", "atom_sigma"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.kind == "soap" and self.cutoff <= 1:  # where DScribe's radial functions begin
            raise ValueError(f"cutoff of soap must exceed 1 Å, got {self.cutoff}")
        for name in ("l_max", "angular_width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("radial_widths", "angular_sharpness"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} must be positive numbers, got {list(getattr(self, name))}")


class DScribe(Descriptor[DScribeOptions]):
    """SOAP or symmetry functions of DScribe; it has no model."""

    name = "dscribe"
    capabilities = Capabilities(fits=False, stress=False)
    options_type = DScribeOptions
    distributions: ClassVar[tuple[str, ...]] = ("dscribe", "numpy")
    smoke: ClassVar[Mapping[str, Any]] = {"cutoff": 4.0, "n_max": 4, "l_max": 3}

    def features(self, atoms: Atoms) -> FloatArray:
        """Return what DScribe (Himanen 2020, doi:10.1016/j.cpc.2019.106949) gives for each atom.

        SOAP: power spectra without normalisation (Bartók 2013, doi:10.1103/PhysRevB.87.184115, eq. 36),
        resolved by pairs of elements, the centre's own density included. ACSF: G1, G2 and G4 (Behler 2011,
        doi:10.1063/1.3553717, eqs. 5, 6 and 8), resolved by the neighbours' elements, not by the centre's.

        Returns
        -------
        FloatArray
            No unit. With m = n_max · n_elements, ``soap`` has (l_max + 1) · m (m + 1) / 2 columns.
        """
        require_elements(atoms, self.elements, "adapter 'dscribe'")
        box = boxed(atoms, self.options.cutoff)
        box.pbc = True  # what is not periodic is farther from its images than the cutoff
        values: FloatArray = np.asarray(self._descriptor.create(box), dtype=np.float64)
        return values

    @functools.cached_property
    def _descriptor(self) -> Any:
        """The descriptor of DScribe."""
        try:
            from dscribe.descriptors import ACSF, SOAP
        except ModuleNotFoundError as error:
            if error.name != "dscribe":
                raise
            raise MissingPackage("adapter 'dscribe'", "dscribe", "crossprune[dscribe]") from None
        options = self.options
        shared = {"species": self.elements, "periodic": True, "r_cut": options.cutoff}
        if options.kind == "soap":
            return SOAP(n_max=options.n_max, l_max=options.l_max, sigma=options.atom_sigma, **shared)
        return ACSF(
            g2_params=[[width, 0.0] for width in options.radial_widths],
            g4_params=[
                [options.angular_width, sharpness, sign]
                for sharpness, sign in itertools.product(options.angular_sharpness, (1, -1))
            ],
            **shared,
        )
