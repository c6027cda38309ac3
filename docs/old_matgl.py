"""Energies by matgl 1 of weights that were trained with it: an oracle for docs/universal_costs.py.

Needs no crossprune, but an environment with matgl 1.1.3 to 1.3.0, DGL 2.1.0 and the PyTorch and ASE that
these want: python docs/old_matgl.py FOLDER..., folders of weights such as M3GNet-MatPES-PBE-v2025.1-PES.
"""

from __future__ import annotations

import sys

import matgl
from ase.build import bulk
from matgl.ext.ase import PESCalculator

CRYSTALS = {
    "MgO": ("rocksalt", 4.25),
    "TiN": ("rocksalt", 4.24),
    "NaCl": ("rocksalt", 5.69),
    "Si": ("diamond", 5.47),
    "C": ("diamond", 3.57),
}
"""As in docs/universal_costs.py, which needs another matgl."""

for folder in sys.argv[1:]:
    calculator = PESCalculator(matgl.load_model(folder))
    for formula, (kind, length) in CRYSTALS.items():
        atoms = bulk(formula, kind, a=length)
        atoms.calc = calculator
        energy = float(atoms.get_potential_energy()) / len(atoms)
        print(f"matgl {matgl.__version__}, {folder}, {formula}: {energy:.4f} eV/atom")
