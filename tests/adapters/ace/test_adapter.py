"""Linear ACE: invariance, independence, rows against predictions, core repulsion, neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions, AcePotential
from crossprune.adapters.ace.basis import DegreeRule, build_functions
from crossprune.adapters.ace.coupling import clebsch_gordan, couple, independent_momenta
from crossprune.adapters.ace.harmonics import harmonics, norms
from crossprune.adapters.linear.fitter import Solution
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import forces_of, label
from crossprune.harness.errors import DataError
from scipy.special import lpmv

OPTIONS = AceOptions(cutoff=4.5, max_degrees=(6.0, 5.0, 4.0, 4.0))


def environments(symbols: str, count: int, seed: int = 1) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    size = len(Atoms(symbols))
    return [Atoms(symbols, positions=rng.uniform(0, 5.0, (size, 3))) for _ in range(count)]


def random_potential(ace: Ace, seed: int = 3) -> AcePotential:
    rng = np.random.default_rng(seed)
    return ace.potential(Solution(rng.normal(size=ace.n_columns), np.zeros(len(ace.elements)), 1.0))


def test_harmonics_are_scipys():
    rng = np.random.default_rng(0)
    l_max = 7
    size = (l_max + 1) * (l_max + 2) // 2
    for _ in range(5):
        u = rng.normal(size=3)
        u /= np.linalg.norm(u)
        y, dy, work = np.zeros((2, size)), np.zeros((2, 3, size)), np.zeros((2, size))
        harmonics(u, l_max, norms(l_max), y, dy, work)
        theta, phi = np.arccos(u[2]), np.arctan2(u[1], u[0])
        expected = [
            lpmv(m, l, np.cos(theta)) * np.exp(1j * m * phi) * norms(l_max)[l * (l + 1) // 2 + m]
            for l in range(l_max + 1)  # noqa: E741
            for m in range(l + 1)
        ]
        np.testing.assert_allclose(y[0] + 1j * y[1], expected, atol=1e-12)
        assert np.abs(np.einsum("pxk,x->pk", dy, u)).max() < 1e-12, "gradients are tangential"


def test_clebsch_gordan_coefficients_are_orthogonal():
    for l1, l2 in ((1, 2), (3, 3), (5, 4)):
        pairs = [(m1, m2) for m1 in range(-l1, l1 + 1) for m2 in range(-l2, l2 + 1)]
        tops = [(top, m) for top in range(abs(l1 - l2), l1 + l2 + 1) for m in range(-top, top + 1)]
        table = np.array([[clebsch_gordan(l1, m1, l2, m2, *top) for top in tops] for m1, m2 in pairs])
        np.testing.assert_allclose(table.T @ table, np.eye(len(tops)), atol=1e-12)


def test_equal_factors_leave_fewer_invariants():
    assert len(independent_momenta((2, 2, 2, 2), (1, 2, 3, 4))) == 5
    assert len(independent_momenta((2, 2, 2, 2), (1, 1, 1, 1))) == 1
    assert independent_momenta((1, 1, 1), (1, 2, 3)) == [], "odd under inversion"
    with pytest.raises(DataError, match="is no invariant"):
        couple((1, 1, 1), (1,))


@pytest.mark.parametrize("symbols", ["Cu9", "Cu5Au5"])
def test_functions_are_invariant(symbols):
    rng = np.random.default_rng(4)
    (atoms,) = environments(symbols, 1)
    ace = Ace(sorted(set(atoms.get_chemical_symbols())), OPTIONS)
    expected = ace.features(atoms)
    scale = np.abs(expected).max(axis=0)
    for inversion in (1, -1):
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0] * inversion
        turned = Atoms(symbols, positions=atoms.positions @ rotation)
        assert (np.abs(ace.features(turned) - expected) / np.maximum(scale, 1e-30)).max() < 1e-10


@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
def test_functions_are_independent(elements):
    """The rank on random environments is the number of functions."""
    ace = Ace(elements, AceOptions(cutoff=6.0, max_degrees=(4.0, 4.0, 3.0, 2.0)))
    half = ace.n_columns // len(elements)
    symbols = "Cu10" if len(elements) == 1 else "Cu6Au6"
    frames = environments(symbols, -(-3 * half // 6), seed=7)
    table = np.concatenate([ace.features(atoms) for atoms in frames])
    for index in range(len(elements)):
        block = table[:, index * half : (index + 1) * half]
        block = block[np.abs(block).max(axis=1) > 0]
        block = block / np.linalg.norm(block, axis=0)
        assert len(block) > half
        assert np.linalg.matrix_rank(block, tol=1e-10) == half


def test_degree_rule():
    functions = build_functions(1, DegreeRule((6.0, 4.0)))
    assert sum(one.rank == 1 for one in functions) == 7
    assert all(sum(one.ns) - 2 + sum(one.ls) <= 4 for one in functions if one.rank == 2)
    few = build_functions(1, DegreeRule((6.0, 4.0), n_functions=9))
    # 4 of 6 and 2 of 4 admit 4 + 5 functions; 3 of 6 and 2 of 4 admit 3 + 5.
    assert len(few) == 9
    assert max(sum(one.ns) - 1 for one in few if one.rank == 1) == 3
    assert max(sum(one.ns) - 2 + sum(one.ls) for one in few if one.rank == 2) == 2
    assert {one.order for one in few} <= {one.order for one in functions}


def near_and_far() -> list[Atoms]:
    """A bulk cell, and one with two atoms inside the core's range."""
    bulk_cell = bulk("Cu", cubic=True).repeat((2, 1, 1))
    bulk_cell.rattle(0.1, seed=3)
    close = bulk_cell.copy()
    direction = close.get_distance(0, 1, mic=True, vector=True)
    close.positions[1] = close.positions[0] + direction * 1.45 / np.linalg.norm(direction)
    return [bulk_cell, close]


@pytest.mark.parametrize("index", [0, 1])
def test_rows_and_core_give_the_prediction(index):
    atoms = near_and_far()[index]
    ace = Ace(["Cu"], OPTIONS)
    potential = random_potential(ace)
    atoms = label(atoms, energy=0.0, forces=np.zeros((len(atoms), 3)), stress=np.zeros(6), group="a")
    prepared = ace.prepare([atoms])
    assert (prepared.arrays["core_energy"][0] != 0) == (index == 1)
    by_rows = ace.predict(potential, prepared, np.array([0]))
    found = potential.predict(atoms)
    scale = np.abs(found.forces).max()
    assert by_rows.energies[0] == pytest.approx(found.energy, rel=1e-12)
    np.testing.assert_allclose(by_rows.forces, found.forces, atol=1e-11 * scale)
    np.testing.assert_allclose(by_rows.stresses[0], found.stress, atol=1e-11 * scale)


def test_a_fit_recovers_a_potential_with_its_core():
    ace = Ace(["Cu"], AceOptions(cutoff=4.5, max_degrees=(4.0, 3.0), regularisation="ridge", ridge=0.0))
    truth = random_potential(ace)
    frames = []
    for seed in range(12):
        for atoms in near_and_far():
            atoms.rattle(0.15, seed=seed)
            found = truth.predict(atoms)
            frames.append(
                label(atoms, energy=found.energy, forces=found.forces, stress=found.stress, group="a")
            )
    fitted = ace.fit(ace.prepare(frames), np.arange(len(frames)), weights={}, rng=np.random.default_rng(0))
    np.testing.assert_allclose(fitted.coefficients, truth.coefficients, rtol=1e-5)


def test_close_atoms_repel():
    """Below the core's range the energy is ZBL's, whatever the fit."""
    ace = Ace(["Cu"], OPTIONS)
    energies = [
        random_potential(ace, seed).predict(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1.2]])).energy
        for seed in range(2)
    ]
    assert energies[0] == energies[1] > 10
    longer = random_potential(ace, 0).predict(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1.0]])).energy
    assert longer > energies[0]


@pytest.mark.slow
def test_four_elements_fit_and_predict(data_folder):
    """MoNbTaW: fitted to 60 frames, forces on 10 others are far better than none."""
    data_folder("monbtaw")
    dataset = load_dataset("monbtaw")
    rng = np.random.default_rng(0)
    frames = [dataset.frames[index] for index in rng.choice(dataset.indices("train"), 70, replace=False)]
    ace = Ace(dataset.elements, AceOptions(max_degrees=(7.0, 5.0, 3.0), max_functions=400))
    assert ace.n_columns == 400
    prepared = ace.prepare(frames)
    potential = ace.fit(prepared, np.arange(60), weights={}, rng=rng)
    found = ace.predict(potential, prepared, np.arange(60, 70))
    labels = np.concatenate([forces_of(atoms) for atoms in frames[60:]])
    assert np.abs(found.forces - labels).mean() < 0.5 * np.abs(labels).mean()
    assert potential.predict(frames[-1]).energy == pytest.approx(found.energies[-1], rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_degrees": ()}, "one to five degrees"),
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"smoothness": -1.0}, "smoothness must not be negative"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AceOptions(**options)
