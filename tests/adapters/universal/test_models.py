"""Every model that can be had: derivatives, invariances, and the numbers of its package's own calculator."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.build import bulk
from crossprune.adapters.universal import Universal, UniversalOptions, UniversalPotential, read_potential
from crossprune.adapters.universal.link import link_to
from crossprune.adapters.universal.places import place_of
from crossprune.harness.checks.subject import random_rotation, rotated

STEP = 0.004
"""Å, and of strains; differences are of fourth order. A longer step passes where CHGNet is not smooth, bonds
of 3 and 6 Å: in a Mo strained by 3 % its stress is off the difference by 1e-3 eV/Å³."""
OF_FORCES, OF_STRESS = 1e-2, 5e-4
"""eV/Å and eV/Å³: an energy of 180 eV is rounded to 1e-5 eV in single precision, over the step."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def zero_shot(options, symbol):
    chosen = UniversalOptions(**options)
    return UniversalPotential([symbol], chosen, place_of(chosen), np.ones(1), np.zeros(1))


@pytest.mark.parametrize("symbol", ["Mo", "Si"])
def test_forces_and_stress_are_derivatives(options, crystal, symbol):
    potential, atoms = zero_shot(options, symbol), crystal(symbol)
    found = potential.predict(atoms)
    moved, strained = [], []
    for axis in range(3):
        for times in (-2, -1, 1, 2):
            moved.append(atoms.copy())
            moved[-1].positions[1, axis] += times * STEP
    for row, column in VOIGT:
        for times in (-2, -1, 1, 2):
            strain = np.eye(3)
            strain[row, column] += times * STEP / 2
            strain[column, row] += times * STEP / 2
            strained.append(atoms.copy())
            strained[-1].set_cell(atoms.cell.array @ strain, scale_atoms=True)
    forces, stress = (
        potential.predict_many(frames).energies.reshape(-1, 4) @ [1, -8, 8, -1] / (12 * STEP)
        for frames in (moved, strained)
    )
    np.testing.assert_allclose(found.forces[1], -forces, atol=OF_FORCES)
    np.testing.assert_allclose(found.stress, stress / atoms.get_volume(), atol=OF_STRESS)
    assert np.abs(found.forces).max() > 10 * OF_FORCES
    assert np.abs(found.stress).max() > 10 * OF_STRESS


def test_features_are_invariant_and_tell_atoms_apart(options, crystal):
    adapter, atoms = Universal(["Si"], UniversalOptions(**options)), crystal("Si")
    expected = adapter.features(atoms)
    turned = rotated(atoms, random_rotation(np.random.default_rng(3)))
    turned.positions += 7.3
    order = np.random.default_rng(4).permutation(len(atoms))
    scale = np.abs(expected).max()
    assert np.abs(adapter.features(turned) - expected).max() < 3e-5 * scale
    assert np.abs(adapter.features(atoms[order]) - expected[order]).max() < 3e-5 * scale
    assert np.abs(adapter.features(atoms.repeat((1, 2, 1))) - np.tile(expected, (2, 1))).max() < 3e-5 * scale
    assert np.abs(expected - expected[0])[1:].max(axis=1).min() > 1e-3 * scale


def test_numbers_are_those_of_the_package(options, crystal):
    """But for M3GNet, whose weights matgl 4 misreads: its oracle is below."""
    if "M3GNet" in options["model"]:
        pytest.skip("matgl reads the weights of M3GNet in another way than they were trained")
    atoms = crystal("Mo")
    found = zero_shot(options, "Mo").predict(atoms)
    atoms.calc = calculator_of(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    assert found.energy == pytest.approx(energy, rel=2e-6)
    np.testing.assert_allclose(found.forces, forces, atol=5e-5 * np.abs(forces).max())
    np.testing.assert_allclose(found.stress, stress, atol=5e-5 * np.abs(stress).max() + 1e-6)


def calculator_of(model, modal):
    """Return the calculator that the package has for a model."""
    package, _, name = model.partition(":")
    weights = place_of(UniversalOptions(model=model, modal=modal)).weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if package == "chgnet":
            from chgnet.model.dynamics import CHGNetCalculator
            from chgnet.model.model import CHGNet

            return CHGNetCalculator(CHGNet.load(model_name=name, verbose=False), use_device="cpu")
        if package == "sevenn":
            from sevenn.calculator import SevenNetCalculator

            return SevenNetCalculator(str(weights), modal=modal or None, device="cpu")
        if package == "diep":
            from diep.pretrained import make_calculator

            return make_calculator(str(weights))
        import matgl
        from matgl.ext.ase import PESCalculator

        return PESCalculator(matgl.load_model(weights), stress_unit="eV/A3", use_voigt=True)


def test_structures_without_a_period_are_clusters_in_vacuum(options, crystal):
    atoms = crystal("Si")
    atoms.pbc = False
    found = zero_shot(options, "Si").predict(atoms)
    assert found.stress is None
    np.testing.assert_allclose(found.forces.sum(axis=0), 0.0, atol=1e-4)
    wide = atoms.copy()
    wide.set_cell(np.eye(3) * 60.0)
    wide.pbc = True
    assert zero_shot(options, "Si").predict(wide).energy == pytest.approx(found.energy, rel=1e-5)


def test_what_the_worker_says_of_a_model(options):
    facts = link_to(place_of(UniversalOptions(**options))).facts
    assert {"Mo", "Si", "Li", "Ta", "In", "P", "Nb", "W"} <= set(facts["elements"])
    assert 4.0 <= facts["cutoff"] <= 6.0
    assert 2e5 < facts["n_parameters"] < 2e6


LATTICES = {
    ("Mo", "bcc"): 3.16398,
    ("Si", "diamond"): 5.45671,
    ("C", "diamond"): 3.57685,
    ("GaAs", "zincblende"): 5.75044,
    ("AlP", "zincblende"): 5.51519,
    ("TiN", "rocksalt"): 4.2567,
    ("NbN", "rocksalt"): 4.44784,
    ("NaCl", "rocksalt"): 5.69132,
    ("MgO", "rocksalt"): 4.26133,
    ("CsCl", "cesiumchloride"): 4.20103,
}
"""Å; what the authors of M3GNet-MP-2021.2.8 computed with its weights: its README, column "Predicted a"."""


@pytest.mark.parametrize(("crystal", "published"), LATTICES.items(), ids=lambda one: str(one))
def test_lattice_parameters_are_those_of_the_authors(crystal, published, data_folder, require_adapter):
    require_adapter("universal")
    data_folder("universal")
    potential = read_potential("matgl:M3GNet-MP-2021.2.8-PES")
    lengths = published * np.linspace(0.98, 1.02, 9)
    energies = potential.predict_many([bulk(*crystal, a=length) for length in lengths]).energies
    found = np.roots(np.polyder(np.polyfit(lengths - published, energies, 4)))
    minimum = min(found[np.isreal(found)].real, key=abs) + published
    assert minimum == pytest.approx(published, abs=3e-3)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("M3GNet-MP-2021.2.8-PES", {"MgO": -5.95, "TiN": -9.80, "NaCl": -3.39}),
        ("M3GNet-MatPES-PBE-v2025.1-PES", {"MgO": -5.95, "TiN": -9.80, "NaCl": -3.39}),
        ("TensorNet-MatPES-PBE-v2025.1-PES", {"MgO": -5.95, "TiN": -9.80, "NaCl": -3.39}),
    ],
)
def test_compounds_have_the_energies_of_their_data(model, expected, data_folder, require_adapter):
    """PBE of the Materials Project without corrections, eV/atom; matgl's reading is off by up to 7."""
    require_adapter("universal")
    data_folder("universal")
    potential = read_potential(f"matgl:{model}")
    for (name, energy), length in zip(expected.items(), (4.25, 4.24, 5.69), strict=True):
        found = potential.predict(bulk(name, "rocksalt", a=length)).energy / 2
        assert found == pytest.approx(energy, abs=0.12), name
