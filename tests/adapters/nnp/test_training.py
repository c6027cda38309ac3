"""Training: what is learnt, weak supervision, ensembles, starts."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.checks.subject import bare, sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, label, stress_of
from crossprune.harness.errors import DataError, StudyError, TooFewFrames

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[nnp]'")

from crossprune.adapters.nnp import Nnp, NnpOptions
from crossprune.adapters.nnp.whitening import Whitening

SMALL = NnpOptions(
    cutoff=4.5,
    n_radial=5,
    angular_sharpness=(1.0,),
    zetas=(1.0, 4.0),
    hidden=(8, 8),
    steps=100,
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


def test_whitened_inputs_are_uncorrelated():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) + 3
    values = np.column_stack([values, np.full(200, 7.0)])
    map_ = Whitening.of(values, 1e-8)
    white = (values - map_.centre) @ map_.matrix
    variance = np.sort((white.T @ white / 200).diagonal())
    np.testing.assert_allclose(variance, [0, 1, 1, 1, 1], atol=1e-10)  # the constant column is left out


def test_whitening_rests_on_no_sign_of_an_eigenvector(monkeypatch):
    """Builds of LAPACK choose signs, and bases of equal eigenvalues: random starts must not see it."""
    values = np.random.default_rng(3).normal(size=(200, 6)) @ np.diag([3, 2, 2, 1, 0.1, 0])
    before = Whitening.of(values, 1e-4)
    eigh = np.linalg.eigh

    def turned(matrix):
        variance, vectors = eigh(matrix)
        return variance, vectors * np.array([1, -1, 1, -1, -1, 1])

    monkeypatch.setattr(np.linalg, "eigh", turned)
    np.testing.assert_allclose(Whitening.of(values, 1e-4).matrix, before.matrix, atol=1e-12)
    monkeypatch.undo()
    nearly = Whitening.of(values[1:], 1e-4).matrix
    assert np.abs(nearly - before.matrix).max() < 0.1 * np.abs(before.matrix).max()


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
    np.testing.assert_allclose(np.cov(white.T)[np.ix_(chosen, chosen)], np.eye(2), atol=0.02)


def test_a_fit_with_few_functions_ignores_the_others():
    frames = sample_frames(["Cu"], 12)
    potential = fit(frames, dataclasses.replace(SMALL, n_functions=3))
    weights = potential.members[0][0].weights[0]
    assert np.count_nonzero(np.abs(weights).sum(axis=1)) == 3
    assert potential.info["n_parameters"] == sum(
        n_in * n_out + n_out for n_in, n_out in itertools.pairwise((len(weights), *SMALL.hidden, 1))
    )
    assert np.isfinite(potential.predict(bare(frames[-1])).energy)


def test_more_functions_than_there_are_cannot_be_asked_for():
    there = Nnp(["Cu"], SMALL).functions.n_functions
    with pytest.raises(StudyError, match=f"n_functions {there + 1}: there are {there} functions"):
        Nnp(["Cu"], dataclasses.replace(SMALL, n_functions=there + 1))


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
    potential = fit(frames[:32], dataclasses.replace(SMALL, steps=200))
    size = np.mean([np.abs(forces_of(atoms)).mean() for atoms in frames[32:]])
    assert force_error(potential, frames[32:]) < 0.3 * size
    assert potential.info["training_loss"] < 0.05


@pytest.mark.slow
def test_stress_is_fitted_if_asked_for():
    frames = sample_frames(["Cu"], 16)

    def error(potential):
        return np.mean([np.abs(potential.predict(a).stress - stress_of(a)).mean() for a in frames])

    base = dataclasses.replace(SMALL, force_weight=0.01, energy_weight=1.0, steps=200)
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
        Nnp(["Au", "Cu"], SMALL, {"Cu": -0.3}).fit(
            adapter.prepare(sample_frames(["Cu"], 2)), np.arange(2), weights={}, rng=np.random.default_rng(0)
        )


def test_an_element_without_data_keeps_its_offset():
    frames = sample_frames(["Cu"], 6)
    adapter = Nnp(["Au", "Cu"], SMALL)
    potential = adapter.fit(adapter.prepare(frames), np.arange(6), weights={}, rng=np.random.default_rng(0))
    assert potential.predict(Atoms("Au")).energy == pytest.approx(potential.offsets["Au"], abs=1e-12)


def test_ensembles_average_and_tell_their_spread():
    frames = sample_frames(["Cu"], 10)
    potential = fit(frames[:8], dataclasses.replace(SMALL, n_networks=3))
    energies, forces, stresses = potential.predict_members(bare(frames[9]))
    prediction = potential.predict(bare(frames[9]))
    assert prediction.energy == pytest.approx(energies.mean())
    np.testing.assert_allclose(prediction.forces, forces.mean(axis=0))
    np.testing.assert_allclose(prediction.stress, stresses.mean(axis=0))
    energy, spread = potential.uncertainty(bare(frames[9]))
    assert energy == pytest.approx(energies.std(ddof=1))
    assert spread.shape == (len(frames[9]), 3)
    single = fit(frames[:8], SMALL)
    with pytest.raises(DataError, match="one network has no spread; fit with n_networks of at least 2"):
        single.uncertainty(bare(frames[9]))


def test_single_precision_training_is_close_to_double():
    frames = sample_frames(["Cu"], 12)
    double = fit(frames, dataclasses.replace(SMALL, precision="float64"))
    single = fit(frames)
    expected = double.predict(bare(frames[0])).forces
    np.testing.assert_allclose(single.predict(bare(frames[0])).forces, expected, atol=0.02)


def test_one_frame_is_too_few():
    with pytest.raises(TooFewFrames, match="needs at least 2 frames, got 1"):
        fit(sample_frames(["Cu"], 1))


@pytest.mark.parametrize(("n_frames", "fraction"), [(2, 0.75), (3, 0.9), (12, 0.96)])
def test_a_frame_is_left_to_train_on_however_many_validate(n_frames, fraction):
    frames = sample_frames(["Cu"], n_frames)
    potential = fit(frames, dataclasses.replace(SMALL, validation_fraction=fraction))
    assert potential.info["training_loss"] < 1
    assert np.isfinite(potential.predict(bare(frames[0])).energy)


def test_parameters_are_counted():
    """Inputs, two hidden layers of 8, one output; each with its biases."""
    frames = sample_frames(["Cu"], 4)
    n_inputs = Nnp(["Cu"], SMALL).functions.n_functions
    alone = (n_inputs + 1) * 8 + 9 * 8 + 9
    assert fit(frames).info["n_parameters"] == alone
    assert fit(frames, dataclasses.replace(SMALL, n_networks=2)).info["n_parameters"] == 2 * alone


def test_divergence_is_an_error_not_a_bad_model():
    with pytest.raises(RuntimeError, match=r"training of adapter 'nnp' failed: .*lower step"):
        fit(sample_frames(["Cu"], 8), dataclasses.replace(SMALL, step=1e6))


def test_labels_that_are_not_finite_are_refused():
    frames = sample_frames(["Cu"], 4)
    frames[1] = label(
        frames[1], energy=float("nan"), forces=forces_of(frames[1]), stress=None, group="broken"
    )
    with pytest.raises(DataError, match="a label among the energies of the chosen frames is not finite"):
        fit(frames)


@pytest.mark.parametrize("term", ["taylor_weight", "spatial_weight"])
def test_weakly_supervised_terms_change_the_fit_and_keep_it_deterministic(term):
    frames = sample_frames(["Cu"], 8)
    options = dataclasses.replace(SMALL, n_displacements=2, **{term: 1.0})
    plain = fit(frames, SMALL).predict(bare(frames[0])).energy
    one, two = (fit(frames, options).predict(bare(frames[0])).energy for _ in range(2))
    assert one == two
    assert one != plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"hidden": ()}, "hidden needs at least one layer"),
        ({"zetas": (0.5,)}, "zetas must be at least 1"),
        ({"zetas": (1.0, 1e6)}, "zetas must be at least 1 and at most 500"),
        ({"cutoff": 1000.0}, "cutoff must be from 0.1 to 30.0 Å, got 1000"),
        ({"angular_sharpness": (1e9,)}, "angular_sharpness must be at most 10000"),
        ({"n_radial": 100_000}, "n_radial must be at most 100"),
        ({"energy_weight": 0.0, "force_weight": 0.0}, "both 0: nothing to fit"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie between 0 and 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"weight_decay": -1.0}, "weight_decay must not be negative"),
        ({"energy_weight": -1.0}, "energy_weight is -1; give 0, or a number"),
    ],
)
def test_options_outside_their_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        NnpOptions(**change)


def test_the_largest_sets_are_finite():
    frames = sample_frames(["Cu"], 6)
    functions = Nnp(["Cu"], dataclasses.replace(SMALL, n_radial=100, zetas=(1.0, 500.0))).functions
    for atoms in frames:
        description = functions.description(functions.environment(atoms))
        assert np.isfinite(description.values).all()
        assert np.isfinite(description.jacobian).all()


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
    assert ends == [drawn.bit_generator.state] * 3, (
        "the starts use up a stream of their own, and that one only"
    )
