"""Descriptors of whole structures: one vector each, intensive, and what choosing makes of it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from crossprune.adapters.mean import Mean
from crossprune.harness.checks import Subject, features, fits, run_check
from crossprune.harness.contract import Capabilities
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.gathering import gather
from crossprune.harness.selection.methods import METHODS, budget, choose


class Whole(Mean):
    """The mean's features, averaged over the structure."""

    capabilities = Capabilities(fits=False)
    level: ClassVar = "structure"

    def features(self, atoms):
        return super().features(atoms).mean(axis=0, keepdims=True)


class Extensive(Whole):
    def features(self, atoms):
        return len(atoms) * super().features(atoms)


class Blind(Whole):
    def features(self, atoms):
        return np.full((1, 2), len(atoms) / atoms.get_volume())


class PerAtom(Mean):
    """Gives a vector per atom, and says it is one per structure."""

    level: ClassVar = "structure"


class Ordered(Whole):
    """Depends on which atom comes first."""

    def features(self, atoms):
        distances = atoms.get_distances(0, range(len(atoms)), mic=True)
        return np.column_stack([super().features(atoms), [np.cos(distances) @ np.arange(len(atoms))]])


@pytest.fixture(scope="module")
def silicon():
    return load_dataset("si-pbe", options=DataOptions(smoke=True))


CHECKS = (
    fits.alloys_work,
    features.features_have_constant_length,
    features.features_are_invariant,
    features.features_ignore_the_choice_of_cell,
    features.features_of_a_batch_equal_single_ones,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_one_intensive_vector_per_structure_passes(check):
    result = run_check(check, Subject(Whole))
    assert result.outcome == "passed", result.detail


@pytest.mark.parametrize(
    ("check", "cls", "message"),
    [
        (
            features.features_have_constant_length,
            PerAtom,
            "4 rows for 4 atoms, expected 1 at level 'structure'",
        ),
        (features.features_are_invariant, Ordered, "permutation"),
        (fits.alloys_work, Blind, "ignore the elements"),
        (features.features_ignore_the_choice_of_cell, Extensive, "supercell: off by"),
        (features.features_ignore_the_choice_of_cell, PerAtom, "supercell: shape"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_planted_violations_are_found(check, cls, message):
    result = run_check(check, Subject(cls))
    assert result.outcome == "failed"
    assert message in result.detail


def test_each_configuration_has_its_own_vector(silicon):
    vectors = np.random.default_rng(0).normal(size=(len(silicon.frames), 3))
    train = silicon.indices("train")
    for pooling in ("mean", "sum", "max"):
        found = gather(silicon, train, vectors, scaling="none", pooling=pooling)
        assert found.sizes.tolist() == [1] * len(train)
        np.testing.assert_array_equal(found.features, vectors[train])
        expected = vectors[train] - vectors[train].mean(axis=0)
        np.testing.assert_allclose(found.points(), expected, atol=1e-15)
        np.testing.assert_allclose(found.environments(), expected, atol=1e-15)


def test_means_and_deviations_of_one_vector_are_the_vector(silicon):
    vectors = np.random.default_rng(0).normal(size=(len(silicon.frames), 3))
    train = silicon.indices("train")
    both, mean = (gather(silicon, train, vectors, pooling=one).points() for one in ("mean_std", "mean"))
    np.testing.assert_allclose(both, mean, atol=1e-12)


def test_deviations_of_one_vector_are_refused(silicon):
    vectors = np.ones((len(silicon.frames), 3))
    with pytest.raises(StudyError, match=r"pooling 'std'.*one vector.*mean, sum or max"):
        gather(silicon, silicon.indices("train"), vectors, pooling="std")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_chooses_among_structures(silicon, method):
    vectors = np.random.default_rng(0).normal(size=(len(silicon.frames), 3))
    train = silicon.indices("train")
    picked = choose(method, gather(silicon, train, vectors), 0.5, np.random.default_rng(1))
    assert len(set(picked.tolist())) == len(picked) == budget(0.5, len(train))
