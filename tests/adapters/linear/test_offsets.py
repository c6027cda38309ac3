"""Energies per element stay near the energies of the data, whatever the compositions leave open."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from crossprune.adapters.linear.offsets import determined, element_energies, regressed
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError
from crossprune.harness.lookup import adapter_class, resolve

DEEP = {"Al": -6.1e3, "Cu": -1.2e4, "H": -450.0, "O": -2.0e4, "Si": -7.9e3, "Ti": -9.5e3, "U": -3e4}
"""Total energies as an all-electron program gives them, eV per atom."""
COMPOUNDS = {
    "TiAl": [("Ti", "Al")],
    "TiO2": [("Ti", "O", "O")],
    "water": [("H", "H", "O")],
    "three elements, two compositions": [("Al", "Si", "O"), ("Al", "O", "O", "O"), ("Si",) + ("Al", "O") * 2],
}
FITS = {
    "mean": {},
    "snap": {"twojmax": 4, "cutoff": 4.0},
    "pod": {"threebody_radial_functions": 3, "threebody_angular_degree": 2, "fourbody_radial_functions": 0},
    "ace": {"max_degrees": (5.0, 3.0), "cutoff": 4.0},
    "ace, evidence": {"max_degrees": (5.0, 3.0), "cutoff": 4.0, "regularisation": "evidence"},
    "ace, ard": {"max_degrees": (5.0, 3.0), "cutoff": 4.0, "regularisation": "ard"},
    "chimes": {"order_2b": 6, "order_3b": 0, "order_4b": 0, "cutoff": 4.0},
    "chimes, ridge 0": {"order_2b": 6, "order_3b": 0, "order_4b": 0, "cutoff": 4.0, "ridge": 0.0},
    "chimes, svd": {"order_2b": 6, "order_3b": 0, "order_4b": 0, "cutoff": 4.0, "solver": "svd"},
    "chimes, lasso": {"order_2b": 6, "order_3b": 0, "order_4b": 0, "cutoff": 4.0, "solver": "lasso"},
    "chimes, lars": {"order_2b": 6, "order_3b": 0, "order_4b": 0, "cutoff": 4.0, "solver": "lars"},
    "uf3": {"resolution_2b": 6, "resolution_3b": 0, "cutoff": 4.0},
    "mtp": {"level": 8, "cutoff": 4.0},
    "gap": {"cutoff": 3.0, "pair_cutoff": 3.0, "n_max": 2, "l_max": 1, "n_sparse": 10},
}


def frames_of(formulas, n_frames, energies=DEEP, seed=0):
    """Return loose cells of the formulas, of one to four units, with energies near the elements' sum."""
    rng, frames = np.random.default_rng(seed), []
    for index in range(n_frames):
        units = 1 + index % 4
        symbols = list(formulas[index % len(formulas)]) * units
        edge = 2.6 * np.ceil(len(symbols) ** (1 / 3))
        grid = np.stack(np.meshgrid(*[np.arange(0, edge - 1, 2.6)] * 3), -1).reshape(-1, 3)[: len(symbols)]
        atoms = Atoms(symbols, grid + rng.normal(0, 0.1, grid.shape), cell=[edge] * 3, pbc=True)
        energy = sum(energies[symbol] for symbol in symbols) + rng.normal(0, 0.1)
        forces = rng.normal(0, 0.1, grid.shape)
        frames.append(label(atoms, energy=energy, forces=forces, stress=None, group=f"{units} units"))
    return frames


def energies_of_elements(fitted):
    """Return what a potential of any family gives each element by itself, eV."""
    if fitted.adapter == "gap":
        return np.array(list(fitted.sparse.baseline.values()))
    return np.array(list(fitted.energies.values())) if fitted.adapter == "mean" else fitted.offsets


@pytest.mark.parametrize(
    ("compound", "n_frames"), [*((compound, 6) for compound in COMPOUNDS), ("TiO2", 1), ("TiO2", 2)]
)
@pytest.mark.parametrize("fit", FITS)
def test_offsets_that_compositions_leave_open_stay_near_the_data(fit, compound, n_frames, require_adapter):
    name = fit.split(",")[0]
    require_adapter(name)
    frames = frames_of(COMPOUNDS[compound], n_frames)
    elements = tuple(sorted({symbol for atoms in frames for symbol in atoms.symbols} | {"U"}))
    adapter = resolve("model", {"model": {"adapter": name, **FITS[fit]}}).make(elements, None)
    fitted = adapter.fit(
        adapter.prepare(frames), np.arange(n_frames), weights={}, rng=np.random.default_rng(0)
    )
    per_atom = [atoms.get_potential_energy() / len(atoms) for atoms in frames]
    # What a model of forces of 0.1 eV/Å adds to offsets is of the order of eV; 10¹² eV came out before.
    room = 3 * (max(DEEP.values()) - min(DEEP.values()))
    found = energies_of_elements(fitted)
    assert np.abs(found - np.mean(per_atom)).max() < room
    if len(COMPOUNDS[compound]) == 1:
        np.testing.assert_allclose(found, found[0], rtol=1e-9)
    for atoms in frames:
        assert fitted.predict(atoms).energy / len(atoms) == pytest.approx(
            atoms.get_potential_energy() / len(atoms), abs=0.5
        )


def test_networks_and_pacemaker_begin_at_the_same_energies():
    frames = frames_of(COMPOUNDS["TiO2"], 5)
    found = element_energies(frames, ("Al", "O", "Ti"))
    mean = (2 * DEEP["O"] + DEEP["Ti"]) / 3
    np.testing.assert_allclose(found, mean, rtol=1e-4)


def test_an_element_that_no_frame_holds_gets_the_mean_of_the_others():
    counts = np.array([[1.0, 0, 0], [0, 2, 0], [3, 1, 0]])
    np.testing.assert_allclose(regressed(counts, counts @ [-3.0, -5.0, 0]), [-3, -5, -4])


def test_the_zero_of_energy_does_not_matter():
    counts = np.array([[1.0, 2, 0, 0], [2, 3, 1, 0]])
    energies = np.array([-7.0, -13.0])
    moved = regressed(counts, energies + 1e4 * counts.sum(axis=1))
    np.testing.assert_allclose(moved - 1e4, regressed(counts, energies), atol=1e-9)


def test_no_solution_has_elements_that_differ_less():
    rng = np.random.default_rng(0)
    counts = np.array([[1.0, 2, 3, 0], [2, 2, 1, 1]])
    energies = rng.normal(size=2)
    found = regressed(counts, energies)
    np.testing.assert_allclose(counts @ found, energies)
    for step in np.linalg.svd(counts)[2][2:]:
        for size in (-0.1, 0.1):
            assert np.var(found + size * step) > np.var(found)


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6])
def test_rank_does_not_depend_on_sizes_weights_or_how_many_frames_there_are(factor):
    same = np.outer(np.arange(1.0, 400.0), [1, 2, 7]) * factor
    assert determined(same).shape == (3, 1)
    one_atom = np.array([[10000.0, 20000, 70000], [10001, 19999, 70000], [1, 0, 0]])
    assert determined(np.vstack([same, factor * one_atom])).shape == (3, 3)


def test_everything_determined_is_left_as_it_is():
    np.testing.assert_array_equal(determined(np.array([[1.0, 1], [1, 2]])), np.eye(2))
    assert determined(np.zeros((2, 3))).shape == (3, 0)
    assert determined(np.zeros((2, 0))).shape == (0, 0)


def test_groups_of_weight_zero_determine_nothing():
    chimes = adapter_class("chimes")
    frames = frames_of([("Ti", "Al"), ("Ti", "O", "O")], 8)
    frames = [
        label(
            atoms,
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(),
            stress=None,
            group="oxide" if "O" in atoms.symbols else "metal",
        )
        for atoms in frames
    ]
    options = chimes.options_type(order_2b=6, order_3b=0, order_4b=0, cutoff=4.0)
    adapter = chimes(("Al", "O", "Ti"), options)
    weights = {"oxide": GroupWeight(energy=0.0)}
    fitted = adapter.fit(adapter.prepare(frames), np.arange(8), weights=weights, rng=np.random.default_rng(0))
    np.testing.assert_allclose(fitted.offsets, fitted.offsets[0], rtol=1e-9)


def test_given_energies_are_used_and_must_be_complete():
    given = {"Cu": -0.1, "Ni": -0.2}
    np.testing.assert_array_equal(element_energies([], ("Ni", "Cu"), given), [-0.2, -0.1])
    with pytest.raises(DataError, match="no isolated-atom energy of Ni"):
        element_energies([], ("Cu", "Ni"), {"Cu": -0.1})
