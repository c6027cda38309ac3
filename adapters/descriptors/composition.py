"""The chooser to beat: what is known of a structure without looking at where its atoms are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, require_elements


@dataclass(frozen=True)
class CompositionOptions:
    """What of the cell is looked at beside its volume."""

    cell_shape: bool = False
    """Add the lengths of the reduced cell; a supercell has others, so the choice depends on how a structure
    is drawn."""


class Composition(Descriptor[CompositionOptions]):
    """Fractions of the elements and volume per atom of a structure; it has no model."""

    name = "composition"
    level: ClassVar[Literal["structure"]] = "structure"
    capabilities = Capabilities(fits=False, stress=False)
    options_type = CompositionOptions
    distributions: ClassVar[tuple[str, ...]] = ("ase", "numpy")

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the fractions of the elements, the volume per atom (Å³), and the cell's shape if asked for.

        The number of atoms is left out: a supercell is the same structure, and a budget of atoms or labels is
        where size counts. The volume is 0 where there are not three cell vectors.

        Returns
        -------
        FloatArray
            Shape (1, n_elements + 1), or (1, n_elements + 4) with ``cell_shape``, see `shape_of`.
        """
        require_elements(atoms, self.elements, "adapter 'composition'")
        symbols = np.array(atoms.get_chemical_symbols())
        fractions = (symbols[:, None] == np.array(self.elements)).mean(axis=0)
        volume = atoms.cell.volume / len(atoms) if atoms.cell.rank == 3 else 0.0
        shape = shape_of(atoms) if self.options.cell_shape else np.empty(0)
        return np.concatenate([fractions, [volume], shape])[None, :]


def shape_of(atoms: Atoms) -> FloatArray:
    """Return the lengths of the shortest vectors that span the lattice, over the cube root of its volume.

    Minkowski's reduction (Nguyen & Stehlé 2009, doi:10.1145/1597036.1597050) makes them independent of which
    cell of a lattice is given, and continuous in it. Zeros where there are not three cell vectors.

    Returns
    -------
    FloatArray
        Dimensionless, ascending, shape (3,); 1, 1, 1 for a cube.
    """
    if atoms.cell.rank < 3:
        return np.zeros(3)
    reduced, _ = minkowski_reduce(atoms.cell.array)
    lengths: FloatArray = np.sort(np.linalg.norm(reduced, axis=1)) / np.cbrt(atoms.cell.volume)
    return lengths
