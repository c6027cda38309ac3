"""Group weights by cross-validation: bad labels lose weight, and nothing outside the subset counts."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.linear.fitter import LinearFitter, LinearOptions, Rows, RowsPotential
from crossprune.adapters.linear.reweighting import folds_by_group, multiplied
from crossprune.harness.contract import Capabilities, GroupWeight
from crossprune.harness.data.frames import group_of, label

N_COLUMNS = 6


class Waves(LinearFitter[LinearOptions]):
    """Sums of cosines of pair distances: a linear model whose rows need nothing."""

    name = "waves"
    capabilities = Capabilities()
    options_type = LinearOptions
    potential_type = RowsPotential

    @property
    def n_columns(self):
        return N_COLUMNS

    def rows(self, atoms: Atoms) -> Rows:
        k = 0.4 * np.arange(1, N_COLUMNS + 1)
        vectors = atoms.positions[:, None] - atoms.positions[None]
        lengths = np.linalg.norm(vectors, axis=2) + np.eye(len(atoms))
        energy = np.triu(np.cos(k[:, None, None] * lengths), 1).sum(axis=(1, 2))
        slopes = k[:, None, None] * np.sin(k[:, None, None] * lengths) * (1 - np.eye(len(atoms)))
        forces = np.einsum("kij,ijx->ixk", slopes / lengths, vectors).reshape(-1, N_COLUMNS)
        return Rows(energy, forces, None)

    def potential(self, solution):
        return RowsPotential(self, solution)


def frames_of(noise, n=40, seed=0):
    """Make clusters with labels of one model; those of the group ``bad`` have noise on their forces."""
    rng, truth = np.random.default_rng(seed), np.array([1.0, -2.0, 0.5, 0.3, -0.7, 0.2])
    model, found = Waves(["Cu"]), []
    for number in range(n):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.pbc = False
        atoms.rattle(0.2, seed=number)
        rows = model.rows(atoms)
        group = "bad" if number % 2 else "good"
        error = noise if group == "bad" else 0.01
        forces = rows.forces @ truth + error * rng.normal(size=len(rows.forces))
        energy = float(rows.energy @ truth) - 3.0 * len(atoms) + 0.001 * rng.normal()
        found.append(label(atoms, energy=energy, forces=forces.reshape(-1, 3), stress=None, group=group))
    return found


def errors_on_clean(model, frames, subset):
    prepared = model.prepare(frames)
    potential = model.fit(prepared, subset, weights={}, rng=np.random.default_rng(0))
    clean = frames_of(0.0, n=10, seed=5)
    found = model.predict(potential, model.prepare(clean), np.arange(10))
    return np.abs(found.forces - np.concatenate([one.get_forces() for one in clean])).mean()


def test_noisy_forces_lose_weight_and_the_model_gains_by_it():
    frames, subset = frames_of(2.0), np.arange(40)
    model = Waves(["Cu"], LinearOptions(energy_weight=0.0))
    found = model.group_weights(model.prepare(frames), subset, folds_by_group([group_of(a) for a in frames]))
    assert found["bad"].forces < 0.3 * found["good"].forces
    heavy = Waves(["Cu"], LinearOptions(energy_weight=0.0, reweight=True))
    assert errors_on_clean(heavy, frames, subset) < 0.5 * errors_on_clean(model, frames, subset)


def test_a_reweighted_fit_sees_nothing_outside_its_subset():
    frames, subset = frames_of(2.0), np.arange(0, 30)
    model = Waves(["Cu"], LinearOptions(energy_weight=30.0, reweight=True))
    whole = model.fit(model.prepare(frames), subset, weights={}, rng=np.random.default_rng(0))
    alone = model.fit(
        model.prepare([frames[index] for index in subset]), subset, weights={}, rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(whole.coefficients, alone.coefficients)


def test_few_frames_keep_their_weights():
    frames = frames_of(2.0, n=8)
    model = Waves(["Cu"])
    assert model.group_weights(model.prepare(frames), np.arange(8), np.arange(8) % 5) == {}


@pytest.mark.parametrize("regularisation", ["evidence", "ard"])
def test_the_evidence_holds_down_more_where_labels_are_worse(regularisation):
    errors = {}
    for noise in (0.01, 5.0):
        frames = frames_of(noise)
        for kind in ("ridge", regularisation):
            model = Waves(["Cu"], LinearOptions(energy_weight=0.0, regularisation=kind))
            prepared = model.prepare(frames)
            fitted = model.fit(prepared, np.arange(1, 8, 2), weights={}, rng=np.random.default_rng(0))
            errors[noise, kind] = np.linalg.norm(fitted.coefficients)
    assert errors[5.0, regularisation] < errors[5.0, "ridge"]
    assert errors[0.01, regularisation] == pytest.approx(errors[0.01, "ridge"], rel=0.05)


def test_weights_given_and_found_multiply():
    found = multiplied({"a": GroupWeight(2.0, 3.0, 1.0)}, {"a": GroupWeight(0.5, 2.0), "b": GroupWeight(4.0)})
    assert found == {"a": GroupWeight(1.0, 6.0, 1.0), "b": GroupWeight(4.0, 1.0, 1.0)}


def test_folds_by_group_are_stretches_of_large_groups():
    found = folds_by_group(["md"] * 20 + ["few"] * 5)
    assert np.count_nonzero(np.diff(found[:20])) == 4
    assert sorted(found[20:].tolist()) == [0, 1, 2, 3, 4]
