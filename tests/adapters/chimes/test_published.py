"""Published ChIMES force fields against the output of the reference calculator, to its printed digits."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units

chimes = pytest.importorskip("crossprune.adapters.chimes", exc_type=ImportError)

KCAL = units.kcal / units.mol
GPA_PER_KCAL = 6.9479
"""The calculator's conversion of kcal/mol/Å³; the exact one is 6.947695."""
CALCULATOR_ORDER = [0, 1, 2, 5, 4, 3]
"""Its stress is xx yy zz xy xz yz, positive = compression; ASE's is xx yy zz yz xz xy, positive = tension."""

EXAMPLES = [
    ("published_params.liqC.2b.cubic", "liqC.2.5gcc_6000K.OUTCAR_#000"),
    ("published_params.liqC.2b.cubic", "liqC.2.5gcc_6000K.OUTCAR_#001"),
    ("published_params.liqC.2+3b.cubic", "liqC.2.5gcc_6000K.OUTCAR_#000"),
    ("published_params.liqC.2+3b.cubic", "liqC.2.5gcc_6000K.OUTCAR_#001"),
    ("published_params.CO2400K.2+3+4b.Tersoff.special.offsets", "CO.9GPa_2400K.OUTCAR_#000"),
    ("validated_params.TiO2.2+3b.Tersoff", "TiO2.unitcell_arbrot_#000"),
    ("validated_params.TiO2.2+3b.Tersoff", "TiO2.unitcell_arbrot_#001"),
]


def read_configuration(path) -> Atoms:
    lines = path.read_text().splitlines()
    rows = [line.split() for line in lines[2 : 2 + int(lines[0])]]
    positions = [[float(word) for word in row[1:4]] for row in rows]
    cell = np.array(lines[1].split(), dtype=float).reshape(3, 3)
    return Atoms([row[0] for row in rows], positions=positions, cell=cell, pbc=True)


def resolution(word: str) -> float:
    """A unit of the last digit that is not 0: some numbers were cut off or padded with zeros."""
    mantissa, _, exponent = word.lower().partition("e")
    decimals = len(mantissa.rstrip("0").partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals)


@pytest.mark.parametrize(("force_field", "configuration"), EXAMPLES)
def test_examples_agree_with_the_calculator(force_field, configuration, data_folder):
    folder = data_folder("chimes")
    atoms = read_configuration(folder / "configurations" / f"{configuration}.xyz")
    if ".2b." in force_field:
        # These two outputs come from a run that read the first box length in single precision.
        atoms.cell[0, 0] = np.float32(atoms.cell[0, 0])
    potential = chimes.read_parameters(folder / "force_fields" / f"{force_field}.txt")
    prediction = potential.predict(atoms)
    stress = -prediction.stress[CALCULATOR_ORDER] / KCAL * GPA_PER_KCAL
    found = np.concatenate([[prediction.energy / KCAL], stress, prediction.forces.ravel() / KCAL])
    words = (folder / "expected" / f"{force_field}.txt.{configuration}.xyz.dat").read_text().split()
    expected = np.array(words, dtype=float)
    allowed = np.array([resolution(word) for word in words])
    assert np.all(np.abs(found - expected) <= allowed), np.abs(found - expected).max()


def test_the_calculator_counts_images_of_one_atom_again(data_folder):
    folder = data_folder("chimes")
    atoms = read_configuration(folder / "configurations" / "TiO2.unitcell_arbrot_#000.xyz")
    path = folder / "force_fields" / "validated_params.TiO2.2+3b.Tersoff.txt"
    once, again = chimes.read_parameters(path, self_images="once"), chimes.read_parameters(path)
    supercell = atoms.repeat((3, 3, 3))
    expected = once.predict(supercell).energy / 27
    assert once.predict(atoms).energy == pytest.approx(expected, rel=1e-12)
    assert again.predict(supercell).energy / 27 == pytest.approx(expected, rel=1e-12)
    assert again.predict(atoms).energy - expected == pytest.approx(12.521876 * KCAL, abs=1e-6)


def test_rotated_cells_of_one_crystal_agree(data_folder):
    folder = data_folder("chimes")
    path = folder / "force_fields" / "validated_params.TiO2.2+3b.Tersoff.txt"
    potential = chimes.read_parameters(path)
    energies = [
        potential.predict(
            read_configuration(folder / "configurations" / f"TiO2.unitcell_arbrot_#00{k}.xyz")
        ).energy
        for k in (0, 1)
    ]
    # The two files differ by rounding of their coordinates, 1e-5 Å.
    assert energies[0] == pytest.approx(energies[1], abs=1e-5)


def test_carbon_2_0_is_read(data_folder):
    path = data_folder("chimes") / "force_fields" / "published_params.Carbon-2.0.Small.2+3+4b.Tersoff.txt"
    potential = chimes.read_parameters(path)
    assert potential.elements == ("C",)
    assert [len(potential.parameters.clusters[body]) for body in (2, 3, 4)] == [1, 1, 1]
    assert len(potential.coefficients) == 20 + 30 + 56 + 1
    assert potential.predict(Atoms("C")).energy == pytest.approx(-87.31391223196 * KCAL)


@pytest.mark.parametrize(
    "name", ["CO2400K.2+3+4b.Tersoff.special.offsets", "Carbon-2.0.Small.2+3+4b.Tersoff"]
)
def test_forces_of_published_fields_are_minus_the_gradient(name, data_folder):
    path = data_folder("chimes") / "force_fields" / f"published_params.{name}.txt"
    potential = chimes.read_parameters(path)
    rng = np.random.default_rng(1)
    symbols = [potential.elements[k % len(potential.elements)] for k in range(8)]
    atoms = Atoms(symbols, cell=[[4.4, 0, 0], [0.4, 4.2, 0], [0.1, 0.5, 4.6]], pbc=True)
    grid = np.array([[i, j, k] for i in (0.1, 0.6) for j in (0.1, 0.6) for k in (0.1, 0.6)])
    atoms.set_scaled_positions(grid + rng.uniform(-0.03, 0.03, grid.shape))
    forces, step = potential.predict(atoms).forces, 1e-5
    for atom, axis in [(0, 0), (3, 1), (7, 2)]:
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(potential.predict(moved).energy)
        numeric = -(energies[0] - energies[1]) / (2 * step)
        assert forces[atom, axis] == pytest.approx(numeric, rel=1e-6, abs=1e-6)
