"""Completing a given set: against definitions, and as if the given ones had been picked before."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.entropy import bandwidth_of
from crossprune.harness.selection.methods import METHODS, choose

CONDITIONAL = [name for name, method in METHODS.items() if method.conditional]
GIVEN = np.array([7, 2, 19])


def sample(n_features, given=GIVEN):
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 6, 25)
    features = rng.normal(size=(lengths.sum(), n_features))
    return Candidates(
        features,
        np.concatenate([[0], np.cumsum(lengths)]),
        groups=["a"] * 25,
        mean_forces=np.ones(25),
        energies=np.arange(25.0),
        given=given,
    )


def generator():
    return np.random.default_rng(3)


def completed(scores, n_chosen):
    """Pick the best ``scores(chosen)`` among what is neither given nor chosen."""
    chosen = GIVEN.tolist()
    while len(chosen) < len(GIVEN) + n_chosen:
        found = np.array(scores(chosen), dtype=float)
        found[chosen] = -np.inf
        chosen.append(int(np.argmax(found)))
    return chosen[len(GIVEN) :]


def atoms_of(candidates):
    points = candidates.environments()
    return [points[a:b] for a, b in itertools.pairwise(candidates.offsets)]


def distances(candidates):
    points = candidates.points()
    return lambda chosen: [min(np.linalg.norm(point - points[j]) for j in chosen) for point in points]


def distances_of_atoms(candidates):
    atoms = atoms_of(candidates)

    def scores(chosen):
        picked = np.concatenate([atoms[j] for j in chosen])
        return [max(min(np.linalg.norm(x - y) for y in picked) for x in one) for one in atoms]

    return scores


def determinants(candidates):
    points = candidates.points()
    rows = np.column_stack([np.ones(len(points)), points])
    ridge = 1e-6 * np.square(rows).mean() * np.eye(rows.shape[1])
    return lambda chosen: [
        np.linalg.slogdet(rows[[*chosen, i]].T @ rows[[*chosen, i]] + ridge)[1] for i in range(len(rows))
    ]


def grades(candidates):
    """Largest xᵀA⁻¹x of the atoms of each, all atoms in one cluster."""
    points = candidates.environments()
    rows = np.column_stack([np.ones(len(points)), points])
    ridge = 1e-6 * np.square(rows).mean() * np.eye(rows.shape[1])
    parts = [rows[a:b] for a, b in itertools.pairwise(candidates.offsets)]

    def scores(chosen):
        picked = np.concatenate([parts[j] for j in chosen])
        inverse = np.linalg.inv(picked.T @ picked + ridge)
        return [max(row @ inverse @ row for row in one) for one in parts]

    return scores


def kernel(x, y, bandwidth):
    return np.exp(-np.square(x[:, None] - y[None]).sum(axis=-1) / (2 * bandwidth**2))


def own_entropies(atoms, bandwidth):
    return [-np.log(kernel(one, one, bandwidth).mean(axis=1)).mean() for one in atoms]


def newest(candidates):
    atoms, bandwidth = atoms_of(candidates), bandwidth_of(candidates.environments(), generator())
    own = own_entropies(atoms, bandwidth)

    def scores(chosen):
        picked = np.concatenate([atoms[j] for j in chosen])
        covered = [-np.log(kernel(one, picked, bandwidth).sum(axis=1)) for one in atoms]
        return [one.max() + entropy for one, entropy in zip(covered, own, strict=True)]

    return scores


def newest_with_itself(candidates):
    atoms, bandwidth = atoms_of(candidates), bandwidth_of(candidates.environments(), generator())

    def scores(chosen):
        sets = [np.concatenate([*(atoms[j] for j in chosen), one]) for one in atoms]
        return [
            -np.log(kernel(one, every, bandwidth).sum(axis=1)).mean()
            for one, every in zip(atoms, sets, strict=True)
        ]

    return scores


DEFINITIONS = {
    "fps": distances,
    "fps_atoms": distances_of_atoms,
    "d_optimal": determinants,
    "local_grade": grades,
    "set_cover": newest,
    "entropy": newest_with_itself,
}


@pytest.mark.parametrize("n_features", [4, 40])
@pytest.mark.parametrize("method", DEFINITIONS)
def test_given_ones_count_as_picked_before(method, n_features):
    candidates = sample(n_features)
    picked = METHODS[method].choose(candidates, 9, generator()).tolist()
    assert picked == completed(DEFINITIONS[method](candidates), 9)


@pytest.mark.parametrize("method", CONDITIONAL)
def test_given_ones_are_never_picked_and_all_others_can_be(method):
    candidates = sample(4)
    picked = choose(method, candidates, 1.0, generator())
    np.testing.assert_array_equal(np.sort(picked), np.setdiff1d(np.arange(25), GIVEN))


@pytest.mark.parametrize("method", DEFINITIONS)
def test_a_choice_is_completed_as_it_would_have_gone_on(method):
    plain = sample(4, given=np.empty(0, dtype=np.int64))
    picked = METHODS[method].choose(plain, 12, generator())
    rest = METHODS[method].choose(replace(plain, given=picked[:5]), 7, generator())
    np.testing.assert_array_equal(rest, picked[5:])


@pytest.mark.parametrize("method", [name for name in METHODS if name not in CONDITIONAL])
def test_other_methods_refuse_given_ones(method):
    with pytest.raises(ValueError, match=f"'{method}' cannot complete a given set; these can: random, "):
        choose(method, sample(4), 0.2, generator())


@pytest.mark.parametrize("costs", [None, np.arange(1, 26)])
def test_a_budget_is_that_of_what_is_added(costs):
    picked = choose("fps", sample(4), 0.2, generator(), costs)
    spent = len(picked) if costs is None else costs[picked].sum()
    free = 22 if costs is None else costs.sum() - costs[GIVEN].sum()
    assert spent == 4 if costs is None else 0.2 * free - 25 < spent <= 0.2 * free
