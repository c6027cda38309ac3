"""What a potential must predict: derivatives with their sign, extensive energies, smooth curves."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from crossprune.harness.checks.subject import (
    SEED,
    NotClaimed,
    Subject,
    bare,
    close,
    random_rotation,
    rotated,
    tensor,
)
from crossprune.harness.contract import (
    Potential,
)

STEP, SINGLE_STEP = 1e-4, 1e-2
"""Å, and of strains: in single precision an energy of 50 eV is rounded to 4e-6 eV, and sums to some times
that: differences over a small step would be noise."""
SMALLEST_JUMP = 2e-4
"""eV; what is seen of a jump of energies in single precision."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def forces_are_minus_the_gradient(subject: Subject) -> None:
    """Forces = −dE/dx by central differences, with sign, in a triclinic cell."""
    check_forces(subject.potential, subject.probe, single=subject.single)


def stress_is_the_strain_derivative(subject: Subject) -> None:
    """Stress = dE/dε/V by central differences, with sign and order, in a triclinic cell."""
    if not subject.cls.capabilities.stress:
        raise NotClaimed("predicts no stress")
    check_stress(subject.potential, subject.probe, single=subject.single)


def energies_are_extensive(subject: Subject) -> None:
    """A supercell has a multiple of the energy, the same forces and the same stress."""
    atoms = subject.probe
    single = subject.potential.predict(atoms)
    double = subject.potential.predict(make_supercell(atoms, [[1, 0, 0], [1, 2, 0], [0, 0, 1]]))
    close(double.energy, 2 * single.energy, subject.within(1e-7), "energy of a supercell")
    if single.stress is not None:
        close(double.stress, single.stress, subject.within(1e-7), "stress of a supercell")


def predictions_turn_with_the_structure(subject: Subject) -> None:
    """A rotated structure has the same energy, and rotated forces and stress."""
    rotation = random_rotation(np.random.default_rng(SEED))
    before = subject.potential.predict(subject.probe)
    after = subject.potential.predict(rotated(subject.probe, rotation))
    close(after.energy, before.energy, subject.within(1e-7), "energy")
    close(after.forces, before.forces @ rotation, subject.within(1e-6), "forces")
    if before.stress is not None and after.stress is not None:
        turned = rotation.T @ tensor(before.stress) @ rotation
        close(tensor(after.stress), turned, subject.within(1e-6), "stress")


def energy_is_continuous(subject: Subject) -> None:
    """The dimer curve has no jump, at the cutoff or elsewhere."""

    def energy(distance: float) -> float:
        pair = Atoms(
            [subject.elements[0]] * 2, positions=[[0, 0, 0], [distance, 0.01, 0]], cell=[40.0] * 3, pbc=True
        )
        return subject.potential.predict(pair).energy

    low, high, count = 3.0, 12.0, 181
    for _ in range(4):  # zoom in on the step that fits its neighbours least
        distances = np.linspace(low, high, count)
        steps = np.diff([energy(distance) for distance in distances])
        irregular = np.abs(steps[1:-1] - (steps[:-2] + steps[2:]) / 2)
        worst = int(irregular.argmax()) + 1
        low, high, count = distances[worst - 1], distances[worst + 2], 31
    # Steps are 5e-5 Å at last: a smooth curve of 100 eV/Å² fits its neighbours to 1e-7 eV.
    jump = float(irregular.max())
    allowed = SMALLEST_JUMP if subject.single else 1e-6
    assert jump <= allowed, f"a jump or kink of {jump:.1e} eV at {low:.4f} Å"


def isolated_atom_has_no_force(subject: Subject) -> None:
    """An isolated atom without a periodic cell has a finite energy, zero force and no stress."""
    prediction = subject.potential.predict(Atoms(subject.elements[0], positions=[[0.3, 0.2, 0.1]]))
    assert np.isfinite(prediction.energy), f"energy {prediction.energy}"
    close(prediction.forces, np.zeros((1, 3)), 1e-10, "force on an isolated atom")
    assert prediction.stress is None, "stress without a periodic cell"


def check_forces(potential: Potential, atoms: Atoms, *, single: bool = False) -> None:
    """Compare forces with central differences of the energy; ``single``: in single precision."""
    step = SINGLE_STEP if single else STEP
    forces = potential.predict(atoms).forces
    assert forces.shape == (len(atoms), 3), f"forces have shape {forces.shape}"
    numeric = np.empty((2, 3))
    for atom in range(2):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = bare(atoms)
                moved.positions[atom, axis] += sign * step
                energies.append(potential.predict(moved).energy)
            numeric[atom, axis] = -(energies[0] - energies[1]) / (2 * step)
    # 1e-5: the differences are good to step² times the third derivative, about 1e-6 here.
    close(forces[:2], numeric, 2e-3 if single else 1e-5, "forces against −dE/dx")


def check_stress(potential: Potential, atoms: Atoms, *, single: bool = False) -> None:
    """Compare the stress with central differences of the energy by strain; ``single``: see above."""
    step = SINGLE_STEP if single else STEP
    stress = potential.predict(atoms).stress
    assert stress is not None, "no stress for a periodic cell"
    assert stress.shape == (6,), f"stress has shape {stress.shape}"
    numeric = np.empty(6)
    for index, (row, column) in enumerate(VOIGT):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step / 2
            strain[column, row] += sign * step / 2
            deformed = bare(atoms)
            deformed.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(potential.predict(deformed).energy)
        numeric[index] = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
    # Stresses are about 0.1 eV/Å³, so 1e-6 absolute is 1e-5 of them.
    close(stress, numeric, 2e-4 if single else 1e-6, "stress against dE/dε/V")
