"""What is particular to NNP: symmetry functions, their Jacobian, training, weak supervision, ensembles."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from crossprune.harness.contract import GroupWeight
from crossprune.harness.errors import DataError, TooFewFrames
from crossprune.harness.frames import energy_of, forces_of, label, stress_of
from crossprune.harness.subject import bare, sample_frames

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[nnp]'")
pytest.importorskip("torch", reason="needs torch: pip install 'crossprune[nnp]'")

from crossprune.adapters import _nnp_kernels as kernels
from crossprune.adapters._nnp_functions import Angular, Radial, SymmetryFunctions, default_functions
from crossprune.adapters._nnp_model import Whitening
from crossprune.adapters._nnp_neighbours import neighbours
from crossprune.adapters._nnp_weak import displace
from crossprune.adapters.nnp import Nnp, NnpOptions

SMALL = NnpOptions(
    cutoff=4.5,
    n_radial=5,
    angular_sharpness=(1.0,),
    zetas=(1.0, 4.0),
    hidden=(8, 8),
    steps=200,
    whitening=1e-3,
)


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
    pull = np.random.default_rng(1).normal(size=(len(alloy), 3))
    spread = np.zeros_like(slopes)
    kernels.spread(description.jacobian, environment.slot_start, environment.slot_atom, pull, rows, spread)
    assert (spread * slopes).sum() == pytest.approx((expected * pull).sum(), rel=1e-12)


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


@pytest.mark.parametrize("pbc", [(True,) * 3, (True, False, True), (False,) * 3])
def test_neighbours_are_those_of_ase(alloy, pbc):
    alloy.pbc = pbc
    alloy.positions += np.random.default_rng(0).normal(0, 5, 3)
    alloy.positions[3] += 4 * alloy.cell.array[0] if pbc[0] else 0.0
    for cutoff in (2.0, 6.5):
        i, j, vectors = neighbours(alloy, cutoff)
        expected = neighbor_list("ijD", alloy, cutoff)
        assert (np.diff(i) >= 0).all()
        order = np.lexsort((*vectors.round(6).T, j, i))
        other = np.lexsort((*expected[2].round(6).T, expected[1], expected[0]))
        np.testing.assert_array_equal(i[order], expected[0][other])
        np.testing.assert_array_equal(j[order], expected[1][other])
        np.testing.assert_allclose(vectors[order], expected[2][other], atol=1e-10)


def test_atoms_on_top_of_each_other_are_refused():
    functions = default_functions(
        ["Cu"], cutoff=5.0, cutoff_function=1, n_radial=3, angular_sharpness=(1.0,), zetas=(1,), narrow=True
    )
    with pytest.raises(DataError, match="Cu2 has two atoms at the same place"):
        functions.environment(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 1e-9]]))


def test_whitened_inputs_are_uncorrelated():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 3
    values = np.column_stack([values, np.full(200, 7.0)])
    map_ = Whitening.of(values, 1e-8)
    white = (values - map_.centre) @ map_.matrix
    variance = np.sort((white.T @ white / 200).diagonal())
    np.testing.assert_allclose(variance, [0, 1, 1, 1, 1], atol=1e-10)  # the constant column is left out


def test_cur_lets_only_the_chosen_functions_in(alloy):
    """Columns 3 and 7 carry all variance but for noise: CUR must pick them, or their copies."""
    rng = np.random.default_rng(0)
    values = 1e-3 * rng.normal(size=(300, 10))
    values[:, 3] += rng.normal(size=300)
    values[:, 7] += rng.normal(size=300)
    values -= values.mean(axis=0)
    values /= values.std(axis=0)
    values[:, [0, 1, 2, 4, 5, 6, 8, 9]] = values[:, [3]] + 0.05 * values[:, [0, 1, 2, 4, 5, 6, 8, 9]]
    whitening = Whitening.of(values, 1e-6, 2)
    chosen = np.flatnonzero(np.abs(whitening.matrix).sum(axis=1))
    assert len(chosen) == 2
    assert 7 in chosen
    white = (values - whitening.centre) @ whitening.matrix
    np.testing.assert_allclose(np.cov(white.T)[-2:, -2:], np.eye(2), atol=0.02)


def test_a_fit_with_few_functions_ignores_the_others():
    frames = sample_frames(["Cu"], 12)
    potential = fit(frames, dataclasses.replace(SMALL, n_functions=3))
    weights = potential.members[0][0].weights[0]
    assert np.count_nonzero(np.abs(weights).sum(axis=1)) == 3
    assert np.isfinite(potential.predict(bare(frames[-1])).energy)


def fit(frames, options=SMALL, seed=0, weights=None, subset=None):
    elements = sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})
    adapter = Nnp(elements, options)
    subset = np.arange(len(frames)) if subset is None else np.asarray(subset)
    return adapter.fit(
        adapter.prepare(frames), subset, weights=weights or {}, rng=np.random.default_rng(seed)
    )


def force_error(potential, frames):
    return np.mean([np.abs(potential.predict(atoms).forces - forces_of(atoms)).mean() for atoms in frames])


@pytest.mark.slow
def test_training_learns_energies_and_forces():
    frames = sample_frames(["Cu"], 40)
    potential = fit(frames[:32], dataclasses.replace(SMALL, steps=400))
    size = np.mean([np.abs(forces_of(atoms)).mean() for atoms in frames[32:]])
    assert force_error(potential, frames[32:]) < 0.3 * size
    assert potential.info["training_loss"] < 0.05


@pytest.mark.slow
def test_stress_is_fitted_if_asked_for():
    frames = sample_frames(["Cu"], 16)

    def error(potential):
        return np.mean([np.abs(potential.predict(a).stress - stress_of(a)).mean() for a in frames])

    base = dataclasses.replace(SMALL, force_weight=0.01, energy_weight=1.0, steps=400)
    without = fit(frames, base)
    with_stress = fit(frames, dataclasses.replace(base, stress_weight=100.0))
    assert error(with_stress) < 0.7 * error(without)


def test_weights_of_groups_count():
    frames = sample_frames(["Cu"], 16)
    wrong = [
        label(a, energy=energy_of(a) + 5.0, forces=forces_of(a), stress=None, group="wrong") for a in frames
    ]
    weights = {"wrong": GroupWeight(energy=0.0, forces=0.0, stress=0.0)}
    adapter = Nnp(["Cu"], SMALL, {"Cu": 0.0})
    prepared = adapter.prepare([*frames, *wrong])
    fitted = adapter.fit(prepared, np.arange(32), weights=weights, rng=np.random.default_rng(0))
    found = np.mean([fitted.predict(a).energy - energy_of(a) for a in frames])
    assert abs(found) < 1.0  # half of 5 eV if the wrong labels counted


def test_isolated_atom_energies_of_the_card_are_the_offsets():
    adapter = Nnp(["Cu"], SMALL, {"Cu": -0.3})
    potential = adapter.fit(
        adapter.prepare(sample_frames(["Cu"], 8)), np.arange(8), weights={}, rng=np.random.default_rng(0)
    )
    assert potential.offsets == {"Cu": -0.3}
    with pytest.raises(DataError, match="no isolated-atom energy of Au"):
        Nnp(["Au", "Cu"], SMALL, {"Cu": -0.3})._offsets([])


def test_an_element_without_data_keeps_its_offset():
    frames = sample_frames(["Cu"], 6)
    adapter = Nnp(["Au", "Cu"], SMALL)
    potential = adapter.fit(adapter.prepare(frames), np.arange(6), weights={}, rng=np.random.default_rng(0))
    assert potential.predict(Atoms("Au")).energy == pytest.approx(potential.offsets["Au"], abs=1e-12)


def test_ensembles_average_and_tell_their_spread():
    frames = sample_frames(["Cu"], 10)
    potential = fit(frames[:8], dataclasses.replace(SMALL, n_networks=3, steps=200))
    energies, forces, stresses = potential.predict_members(bare(frames[9]))
    prediction = potential.predict(bare(frames[9]))
    assert prediction.energy == pytest.approx(energies.mean())
    np.testing.assert_allclose(prediction.forces, forces.mean(axis=0))
    np.testing.assert_allclose(prediction.stress, stresses.mean(axis=0))
    energy, spread = potential.uncertainty(bare(frames[9]))
    assert energy == pytest.approx(energies.std(ddof=1))
    assert spread.shape == (len(frames[9]), 3)
    single = fit(frames[:8], dataclasses.replace(SMALL, steps=200))
    with pytest.raises(DataError, match="one network has no spread; fit with n_networks of at least 2"):
        single.uncertainty(bare(frames[9]))


def test_single_precision_training_is_close_to_double():
    frames = sample_frames(["Cu"], 12)
    double = fit(frames, dataclasses.replace(SMALL, steps=200))
    single = fit(frames, dataclasses.replace(SMALL, steps=200, precision="float32"))
    expected = double.predict(bare(frames[0])).forces
    np.testing.assert_allclose(single.predict(bare(frames[0])).forces, expected, atol=0.02)


def test_torch_is_left_as_it_was():
    import torch

    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(sample_frames(["Cu"], 4), dataclasses.replace(SMALL, steps=200))
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads()


def test_one_frame_is_too_few():
    with pytest.raises(TooFewFrames, match="needs at least 2 frames, got 1"):
        fit(sample_frames(["Cu"], 1))


def test_divergence_is_an_error_not_a_bad_model():
    with pytest.raises(RuntimeError, match=r"training of adapter 'nnp' failed: .*lower learning_rate"):
        fit(sample_frames(["Cu"], 8), dataclasses.replace(SMALL, learning_rate=1e6, steps=200))


def test_labels_that_are_not_finite_are_refused():
    frames = sample_frames(["Cu"], 4)
    frames[1] = label(
        frames[1], energy=float("nan"), forces=forces_of(frames[1]), stress=None, group="broken"
    )
    with pytest.raises(DataError, match="a label among the energies of the chosen frames is not finite"):
        fit(frames)


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


@pytest.mark.parametrize("term", ["taylor_weight", "spatial_weight"])
def test_weakly_supervised_terms_change_the_fit_and_keep_it_deterministic(term):
    frames = sample_frames(["Cu"], 8)
    options = dataclasses.replace(SMALL, steps=200, n_displacements=2, **{term: 1.0})
    plain = fit(frames, dataclasses.replace(SMALL, steps=200)).predict(bare(frames[0])).energy
    one, two = (fit(frames, options).predict(bare(frames[0])).energy for _ in range(2))
    assert one == two
    assert one != plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"hidden": ()}, "hidden needs at least one layer"),
        ({"zetas": (0.5,)}, "zetas must be at least 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie between 0 and 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"energy_weight": -1.0}, "energy_weight must not be negative"),
    ],
)
def test_options_outside_their_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        NnpOptions(**change)


def test_networks_of_one_seed_start_alike_whatever_was_chosen():
    class Watched(np.random.Generator):
        """Keeps the streams that it gives away."""

        def spawn(self, n_children):
            self.children = super().spawn(n_children)
            return self.children

    adapter = Nnp(("Cu",), SMALL)
    prepared = adapter.prepare(sample_frames(("Cu",), 16))
    ends = []
    for subset in (range(12), range(4, 16), range(9)):
        rng = Watched(np.random.PCG64(np.random.SeedSequence(3)))
        adapter.fit(prepared, np.asarray(subset), weights={}, rng=rng)
        ends.append(rng.children[0].bit_generator.state)
    drawn = np.random.default_rng(3).spawn(2)[0]
    sizes = (adapter.functions.n_functions, *SMALL.hidden, 1)
    drawn.normal(size=sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes)))
    assert ends == [drawn.bit_generator.state] * 3, "the starts use up a stream of their own, and that one only"
