"""Draw cells of Mo-Nb-Ta-W, label them by both modals of SevenNet-MF-0, and write frames.extxyz.gz and split.json.

python3 cells.py, with the package sevenn installed; a few minutes. The labels are a model's, of which the weights come
with its package (Kim 2024, doi:10.1021/jacs.4c14455), and no DFT.
"""

import gzip
import io
import itertools
import json
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from sevenn.calculator import SevenNetCalculator

SEED = 20261201
LATTICE = {"Mo": 3.16, "Nb": 3.31, "Ta": 3.32, "W": 3.18}
"""Å, near the minima by PBE."""
COUNTS = {"unary": 80, "binary": 180, "ternary": 160, "quaternary": 120, "hot": 60}
TEST_FRACTION, OOD = 0.2, "hot"
HERE = Path(__file__).parent


def draw(rng):
    """Return structures with their groups: random occupation, every composition, strained and rattled."""
    found = []
    for group, count in COUNTS.items():
        n = {"unary": 1, "binary": 2, "ternary": 3}.get(group, 4)
        mixtures = itertools.cycle(itertools.combinations(LATTICE, n))
        for index, elements in zip(range(count), mixtures):
            cubic = bool((index // len(LATTICE)) % 2)
            atoms = bulk("W", "bcc", 3.2, cubic=cubic).repeat(2)
            shares = rng.dirichlet(np.ones(n)) if n > 1 else np.ones(1)
            symbols = rng.choice(elements, len(atoms), p=shares)
            symbols[:n] = elements
            atoms.symbols = rng.permutation(symbols)
            edge = np.mean([LATTICE[one] for one in atoms.get_chemical_symbols()]) / 3.2
            strain = rng.uniform(-0.03, 0.03, (3, 3))
            strain = (strain + strain.T) / 2 + np.eye(3) * rng.uniform(-0.03, 0.03)
            atoms.set_cell(edge * atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            low, high = (0.20, 0.35) if group == "hot" else (0.01, 0.15)
            atoms.positions += rng.normal(0, rng.uniform(low, high), atoms.positions.shape)
            atoms.info = {"config_type": group}
            found.append(atoms)
    return [found[place] for place in rng.permutation(len(found))]


def split(groups, rng):
    """Return part -> frame indices: hot held out, a fifth of every other group tested."""
    parts = {"train": [], "test": [], "ood": []}
    for group in COUNTS:
        places = rng.permutation([place for place, one in enumerate(groups) if one == group]).tolist()
        n_test = 0 if group == OOD else round(TEST_FRACTION * len(places))
        parts["test"] += places[:n_test]
        parts["ood" if group == OOD else "train"] += places[n_test:]
    return {part: sorted(places) for part, places in parts.items()}


def main():
    """Draw, label, write."""
    rng = np.random.default_rng(SEED)
    frames = draw(rng)
    lists = split([atoms.info["config_type"] for atoms in frames], rng)
    for modal, prefix in (("PBE", "pbe_"), ("R2SCAN", "")):
        calculator = SevenNetCalculator("7net-mf-0", modal=modal, device="cpu")
        for atoms in frames:
            one = atoms.copy()
            one.calc = calculator
            energy = round(float(one.get_potential_energy()), 6)
            forces = one.get_forces().round(6)
            stress = one.get_stress(voigt=False).round(8)
            if prefix:
                atoms.info |= {"pbe_energy": energy, "pbe_stress": stress.ravel()}
                atoms.arrays["pbe_forces"] = forces
            else:
                atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    text = io.StringIO()
    write(text, frames, format="extxyz")
    (HERE / "frames.extxyz.gz").write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    known = {"seed": SEED, "test_fraction": TEST_FRACTION, "ood_groups": [OOD]}
    (HERE / "split.json").write_text(json.dumps({**known, **lists}) + "\n")


if __name__ == "__main__":
    main()
