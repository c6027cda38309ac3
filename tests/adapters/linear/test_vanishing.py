"""Columns that vanish by symmetry get no coefficients, whatever noise they hold."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from crossprune.harness.contract import SMALLEST_SLOPE, GroupWeight, vanishing
from crossprune.harness.data.frames import forces_of, label
from crossprune.harness.lookup import resolve

ACE = {"cutoff": 4.2, "max_degrees": (6.0, 5.0, 4.0, 4.0)}


def labelled(atoms, group, noise=0.0, seed=0):
    """Label with EMT; ``noise`` in eV/Å is what a self-consistent calculation leaves in forces."""
    atoms.calc = EMT()
    forces = atoms.get_forces() + noise * np.random.default_rng(seed).normal(size=(len(atoms), 3))
    energy = atoms.get_potential_energy()
    return label(atoms, energy=energy, forces=forces, stress=atoms.get_stress(), group=group)


def crystals(structure, *, digits=None, noise=0.0, n=5):
    """Return perfect crystals of several lattice constants, positions rounded to ``digits``."""
    frames = []
    lowest, highest = {"fcc": (3.4, 3.9), "bcc": (2.7, 3.1), "diamond": (5.1, 5.7)}[structure]
    for constant in np.linspace(lowest, highest, n):
        atoms = bulk("Cu", structure, constant, cubic=True)
        if digits:
            atoms.positions = np.round(atoms.positions, digits)
        frames.append(labelled(atoms, "perfect", noise, len(frames)))
    return frames


def rattled(frames, displacement=0.05):
    rng, found = np.random.default_rng(1), []
    for atoms in frames:
        moved = atoms.copy()
        moved.positions += rng.normal(0, displacement, moved.positions.shape)
        found.append(labelled(moved, "rattled"))
    return found


def fit(frames, name="ace", weights=None, **options):
    adapter = resolve("model", {"model": {"adapter": name, **options}}).make(("Cu",), None)
    prepared = adapter.prepare(frames)
    return adapter.fit(prepared, np.arange(len(frames)), weights=weights or {}, rng=np.random.default_rng(0))


def force_error(potential, frames):
    errors = [potential.predict(atoms).forces - forces_of(atoms) for atoms in frames]
    return float(np.sqrt(np.mean(np.square(np.concatenate(errors)))))


@pytest.mark.parametrize(
    ("structure", "digits", "noise"),
    [
        ("fcc", None, 0.0),
        ("bcc", None, 1e-4),
        ("diamond", None, 1e-4),
        ("diamond", 8, 0.0),
        ("diamond", 8, 1e-4),
    ],
)
def test_perfect_crystals_say_nothing_about_what_vanishes_on_them(structure, digits, noise):
    frames = crystals(structure, digits=digits, noise=noise)
    test = rattled(frames)
    zero = np.sqrt(np.mean(np.square(np.concatenate([forces_of(atoms) for atoms in test]))))
    potential = fit(frames, **ACE)
    assert force_error(potential, test) < 3 * zero  # 10²⁰ to 10⁵⁴ before
    assert np.abs(potential.coefficients).max() < 100


@pytest.mark.parametrize(
    "options",
    [
        {"regularisation": "ridge"},
        {"regularisation": "ard"},
        {"regularisation": "ridge", "stress_weight": 100.0},
        {"regularisation": "ridge", "energy_weight": 0.0},
    ],
)
def test_neither_regularisation_nor_the_kind_of_rows_matters(options):
    frames = crystals("diamond", digits=8, noise=1e-4)
    test = rattled(frames)
    zero = np.sqrt(np.mean(np.square(np.concatenate([forces_of(atoms) for atoms in test]))))
    assert force_error(fit(frames, **ACE, **options), test) < 3 * zero


def test_frames_that_do_not_count_hold_nothing_up():
    frames = crystals("fcc") + rattled(crystals("fcc"))
    weights = {"rattled": GroupWeight(energy=0.0, forces=0.0, stress=0.0)}
    some, alone = fit(frames, weights=weights, **ACE), fit(frames[:5], **ACE)
    np.testing.assert_array_equal(some.coefficients == 0, alone.coefficients == 0)
    assert np.count_nonzero(alone.coefficients) < len(alone.coefficients)


def test_one_displaced_frame_brings_the_columns_back():
    frames = [*crystals("fcc"), *rattled(crystals("fcc", n=1), 0.05)]
    assert np.all(fit(frames, **ACE).coefficients != 0)


@pytest.mark.parametrize(("name", "size"), [("chimes", {"order_3b": 4}), ("ace", ACE), ("uf3", {})])
def test_kinds_fit_the_columns(name, size):
    adapter = resolve("model", {"model": {"adapter": name, **size}}).make(("Cu", "Zr"), None)
    assert adapter.column_kinds().shape == (adapter.n_columns,)
    assert len(np.unique(adapter.column_kinds()[: adapter.n_columns - adapter.n_known])) > 1


def test_small_kinds_are_kept_and_small_members_of_a_kind_are_not():
    sizes = np.array([1.0, 1e-4, 1e-9, 1e-12, 1e-15, 1e-30])
    kinds = np.array([0, 0, 0, 1, 1, 1])
    found = vanishing(sizes, sizes, kinds, SMALLEST_SLOPE)
    assert found.tolist() == [False, False, True, False, False, True]
    noise = vanishing(np.full(2, 1e-16), np.array([1.0, 1e-16]), np.zeros(2, dtype=int), SMALLEST_SLOPE)
    assert noise.all()  # all used rows are noise, what is not used says so


def test_what_is_not_finite_does_not_hide():
    sizes = np.array([1.0, np.nan, np.inf])
    assert not vanishing(sizes, sizes, np.zeros(3, dtype=int), SMALLEST_SLOPE).any()


def isolated(energy, length, n_atoms=1):
    """Return atoms farther apart than any cutoff, labelled."""
    atoms = Atoms("Cu" * n_atoms, np.arange(n_atoms)[:, None] * [7.0, 0, 0], cell=[length] * 3, pbc=True)
    return label(atoms, energy=energy, forces=np.zeros((n_atoms, 3)), stress=None, group="isolated")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bnormflag": True},
        {"regularisation": "evidence"},
        {"regularisation": "ard"},
        {"quadratic": True, "twojmax": 4},
        {"quadratic": True, "twojmax": 4, "regularisation": "ard"},
        {"bzeroflag": False},
        {"bzeroflag": False, "quadratic": True, "twojmax": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("frames", "known", "energy"),
    [
        ([isolated(-0.4, 12)], None, -0.4),
        ([isolated(-0.4, 12), isolated(-0.401, 13)], None, -0.4005),
        ([isolated(-0.401, 12)], {"Cu": -0.4}, -0.4),
        ([isolated(-0.8, 20, 2)], None, -0.4),
    ],
    ids=["one", "two", "known", "beyond the cutoff"],
)
def test_atoms_without_neighbours_say_nothing_but_their_energy(
    frames, known, energy, options, require_adapter
):
    """SNAP's components of an atom alone are subtracted up to rounding, which is all that is left of them."""
    require_adapter("snap")
    adapter = resolve("model", {"model": {"adapter": "snap", **options}}).make(("Cu",), known)
    prepared = adapter.prepare(frames)
    potential = adapter.fit(prepared, np.arange(len(frames)), weights={}, rng=np.random.default_rng(0))
    assert potential.predict(bulk("Cu", cubic=True)).energy == pytest.approx(4 * energy, abs=1e-6)
