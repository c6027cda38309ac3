"""Symmetry functions, their Jacobian, their virial and their neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.errors import DataError

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[nnp]'")

from crossprune.adapters.nnp import kernels
from crossprune.adapters.nnp.functions import Angular, Radial, SymmetryFunctions, default_functions
from crossprune.adapters.nnp.weak import displace


@pytest.fixture
def alloy():
    """A strained and rattled triclinic cell of 16 atoms, smaller than twice the cutoff."""
    rng = np.random.default_rng(4)
    atoms = bulk("Cu", "fcc", 3.7, cubic=True).repeat((2, 2, 1))
    atoms.symbols[rng.integers(0, 16, 6)] = "Au"
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.04, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
    return atoms


def mixed_functions(kind):
    """Return G2, G4 and G5 with shifts and with an exponent that is not whole."""
    listed = [
        Radial(0.3, 0.0, "Cu"),
        Radial(2.0, 2.5, "Au"),
        Angular(0.05, 0.0, 1.0, 1, ("Cu", "Cu"), narrow=True),
        Angular(0.05, 0.0, 16.0, -1, ("Au", "Cu"), narrow=True),
        Angular(0.1, 1.0, 2.5, 1, ("Au", "Cu"), narrow=True),
        Angular(0.05, 0.0, 4.0, -1, ("Au", "Au"), narrow=False),
        Angular(0.2, 1.5, 2.0, 1, ("Au", "Cu"), narrow=False),
    ]
    return SymmetryFunctions(4.6, kind, {"Au": tuple(listed), "Cu": tuple(listed[::-1])})


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
def test_values_are_those_of_dscribe(alloy, elements, narrow):
    acsf = pytest.importorskip("dscribe.descriptors", reason="needs dscribe: pip install dscribe").ACSF
    if len(elements) == 1:
        alloy.symbols[:] = "Cu"
    functions = default_functions(
        elements,
        cutoff=4.7,
        cutoff_function=kernels.COSINE,
        n_radial=4,
        angular_sharpness=(1.0, 3.0),
        zetas=(1, 2, 4, 16),
        narrow=narrow,
    )
    listed = functions.of_element[elements[0]]
    radial = [one for one in listed if isinstance(one, Radial) and one.element == elements[0]]
    angular = [
        one for one in listed if isinstance(one, Angular) and one.elements == (elements[0], elements[0])
    ]
    parameters = [[one.eta, one.zeta, one.sign] for one in angular]
    oracle = acsf(
        r_cut=4.7,
        g2_params=[[one.eta, one.shift] for one in radial],
        g4_params=parameters if narrow else None,
        g5_params=None if narrow else parameters,
        species=elements,
        periodic=True,
    ).create(alloy)
    values = functions.values(functions.environment(alloy))
    assert values.shape[1] == oracle.shape[1] - len(elements)  # dscribe adds a G1 per element
    for column in values.T:
        # The orders differ: each column must be one of dscribe's.
        assert np.abs(oracle - column[:, None]).max(axis=0).min() < 1e-10


@pytest.mark.parametrize("kind", [kernels.COSINE, kernels.POLYNOMIAL])
def test_jacobian_is_the_derivative(alloy, kind):
    functions, step = mixed_functions(kind), 1e-5
    environment = functions.environment(alloy)
    description = functions.description(environment)
    for atom, axis in ((0, 0), (5, 2), (11, 1)):
        numeric = np.zeros_like(description.values)
        for sign in (1, -1):
            moved = alloy.copy()
            moved.positions[atom, axis] += sign * step
            numeric += sign * functions.values(functions.environment(moved)) / (2 * step)
        analytic = np.zeros_like(numeric)
        centres = np.repeat(np.arange(len(alloy)), np.diff(environment.slot_start))
        hits = environment.slot_atom == atom
        analytic[centres[hits]] = description.jacobian[hits, axis]
        # Central differences are good to step² and to rounding over step: 1e-9 at values of order 1.
        np.testing.assert_allclose(analytic, numeric, atol=1e-6)


def test_virial_is_the_strain_derivative(alloy):
    functions, step = mixed_functions(kernels.COSINE), 1e-5
    description = functions.description(functions.environment(alloy))
    for voigt, (row, column) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        numeric = np.zeros_like(description.values)
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step / 2
            strain[column, row] += sign * step / 2
            strained = alloy.copy()
            strained.set_cell(alloy.cell.array @ strain, scale_atoms=True)
            numeric += sign * functions.values(functions.environment(strained)) / (2 * step)
        # Of the two halves of a shear only the sum over atoms is symmetric; each atom's differs by nothing,
        # since its functions are rotation invariant.
        np.testing.assert_allclose(description.virial[:, voigt], numeric, atol=1e-6)


def test_adjoint_equals_the_jacobian(alloy):
    functions = mixed_functions(kernels.POLYNOMIAL)
    environment = functions.environment(alloy)
    description = functions.description(environment)
    slopes = np.random.default_rng(0).normal(size=description.values.shape)
    gradient, virial = functions.pull_back(environment, slopes)
    expected = np.zeros((len(alloy), 3))
    rows = np.arange(len(alloy))
    kernels.contract(
        description.jacobian, environment.slot_start, environment.slot_atom, slopes, rows, expected
    )
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    np.testing.assert_allclose(virial, np.einsum("ivk,ik->v", description.virial, slopes), atol=1e-11)


def test_straight_and_folded_angles_are_finite():
    functions = default_functions(
        ["Cu"],
        cutoff=5.0,
        cutoff_function=1,
        n_radial=3,
        angular_sharpness=(1.0,),
        zetas=(1, 1.5),
        narrow=False,
    )
    for angle in (0.0, np.pi):
        chain = Atoms("Cu3", positions=[[0, 0, 0], [2, 0, 0], [2.5 * np.cos(angle), 2.5 * np.sin(angle), 0]])
        description = functions.description(functions.environment(chain))
        assert np.isfinite(description.values).all()
        assert np.isfinite(description.jacobian).all()


def test_atoms_on_top_of_each_other_are_refused():
    functions = default_functions(
        ["Cu"], cutoff=5.0, cutoff_function=1, n_radial=3, angular_sharpness=(1.0,), zetas=(1,), narrow=True
    )
    with pytest.raises(DataError, match="Cu2 has two atoms at the same place"):
        functions.environment(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1e-9]]))


def test_displaced_copies_predict_the_energy_to_second_order(alloy):
    functions = mixed_functions(kernels.POLYNOMIAL)
    slopes = np.random.default_rng(3).normal(size=(len(alloy), functions.n_functions))
    errors = []
    for size in (1e-3, 5e-4):
        pool = displace(functions, [alloy], displacement=size, n_draws=2, rng=np.random.default_rng(0))
        here = functions.values(functions.environment(alloy))
        # A model that is linear in G: the Taylor residual is that of G alone, quadratic in the displacement.
        errors.append(np.abs(((pool.first - here - pool.toward) * slopes).sum(axis=(1, 2))).max())
        apart = np.abs(((pool.first - pool.second - pool.between) * slopes).sum(axis=(1, 2))).max()
        assert apart < 10 * errors[-1]
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.05)
