"""Methods inside strata: what they are with one stratum, the share of each, nesting, and names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import METHODS, choose, method_of
from crossprune.harness.selection.strata import STRATA, clusters, turns

DESCRIBED = [name for name, method in METHODS.items() if method.described]
STRATIFIED = [f"{name}@{strata}" for name in DESCRIBED for strata in STRATA]
NESTED = [name for name in STRATIFIED if method_of(name).nested]


def sample(names=("a", "b", "b", "c"), n=25, **changes):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, n)
    return Candidates(
        features=rng.normal(size=(lengths.sum(), 4)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        groups=[names[i % len(names)] for i in range(n)],
        mean_forces=rng.uniform(0.1, 1.0, n),
        energies=rng.normal(size=n),
        **changes,
    )


def pick(method, n, candidates, seed=1):
    return method_of(method).choose(candidates, n, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("method", DESCRIBED)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_one_stratum_is_the_plain_method(method, pooling):
    candidates = sample(["all"], pooling=pooling)
    for n in (1, 8, 25):
        assert pick(f"{method}@groups", n, candidates) == pick(method, n, candidates)


@pytest.mark.parametrize("method", ["fps", "fps_atoms", "d_optimal", "set_cover"])
def test_inside_a_stratum_the_method_chooses_in_the_space_of_all(method):
    candidates = sample()
    points = candidates.points() if METHODS[method].pooled else candidates.environments()
    sizes = np.ones(25, dtype=int) if METHODS[method].pooled else candidates.sizes
    labels = np.array(candidates.groups)
    picked = np.array(pick(f"{method}@groups", 12, candidates))
    for name in "abc":
        members = np.flatnonzero(labels == name)
        alone = Candidates(
            points[np.repeat(labels == name, sizes)],
            np.concatenate([[0], np.cumsum(sizes[members])]),
            scaling="none",
        )
        chosen = picked[labels[picked] == name]
        assert members[pick(method, len(chosen), alone)].tolist() == chosen.tolist()


@pytest.mark.parametrize("method", STRATIFIED)
def test_every_prefix_keeps_the_share_of_every_stratum(method):
    """To within one; and a prefix is what the smaller budget chooses, where the inner method is nested."""
    candidates = sample()
    labels = STRATA[method.partition("@")[2]](candidates, np.random.default_rng(1))
    for n in range(1, 26):
        picked = pick(method, n, candidates)
        assert len(set(picked)) == n
        counts = np.bincount(labels[picked], minlength=labels.max() + 1)
        assert (np.abs(counts - n * np.bincount(labels) / 25) <= 1).all()
        assert (counts > 0).sum() >= min(n, labels.max() + 1)
    for n in (1, 4, 9, 17) if method in NESTED else ():
        assert pick(method, n, candidates) == picked[:n]


def test_nesting_is_that_of_the_inner_method():
    assert set(DESCRIBED) - {"gradient_fps", "d_optimal_exchange", "kmeans", "direct"} == {
        name.partition("@")[0] for name in NESTED
    }


@pytest.mark.parametrize("sizes", [[3, 1, 100], [5, 5, 5], [7], [40, 30, 20, 10]])
def test_turns(sizes):
    """Each stratum once, then always the one with the largest n / (2 seats + 1) (Sainte-Laguë)."""
    seats, expected = [0] * len(sizes), []
    for turn in range(sum(sizes)):
        if turn < len(sizes):
            best = sorted(range(len(sizes)), key=lambda i: -sizes[i])[turn]
        else:
            left = [i for i in range(len(sizes)) if seats[i] < sizes[i]]
            best = max(left, key=lambda i: sizes[i] / (2 * seats[i] + 1))
        seats[best] += 1
        expected.append(best)
    assert turns(np.array(sizes), sum(sizes)).tolist() == expected


def test_a_stratum_that_is_used_up_or_empty_has_no_turn():
    assert turns(np.array([0, 2, 1]), 3).tolist() == [1, 2, 1]


def test_clusters_are_found_where_they_are():
    rng = np.random.default_rng(0)
    centres = 40 * rng.normal(size=(5, 3))
    points = np.repeat(centres, 10, axis=0) + rng.normal(size=(50, 3))
    labels = clusters(Candidates(points, np.arange(51)), np.random.default_rng(0))
    pairs = {(label, truth) for label, truth in zip(labels, np.repeat(np.arange(5), 10), strict=True)}
    assert len(pairs) == len(set(labels)) == 5  # √(50/2)
    assert set(clusters(Candidates(np.ones((8, 2)), np.arange(9)), np.random.default_rng(0))) == {0}


@pytest.mark.parametrize("strata", STRATA)
def test_a_rare_stratum_far_away_is_in_every_prefix_that_has_room(strata):
    rng = np.random.default_rng(2)
    points = rng.normal(size=(98, 3))
    points[-3:] += 30.0
    candidates = Candidates(points, np.arange(99), groups=["common"] * 95 + ["rare"] * 3)
    picked = pick(f"kmeans@{strata}", 10, candidates)
    assert max(picked) >= 95


@pytest.mark.parametrize(
    "method", ["fps@groups", "fps_atoms@clusters", "d_optimal@groups", "entropy@clusters"]
)
def test_given_ones_count_in_their_stratum(method):
    plain = sample()
    given = np.array([1, 6, 12, 3])
    candidates = replace(plain, given=given)
    picked = choose(method, candidates, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(picked), np.setdiff1d(np.arange(25), given))
    first = picked[: len(picked) // 2]
    assert first.tolist() == pick(method, len(first), candidates)
    untouched = replace(plain, given=given[:0])
    assert pick(method, 9, untouched) == pick(method, 9, plain)


@pytest.mark.parametrize("strata", STRATA)
def test_pooling_plays_a_part_where_clusters_are_found(strata):
    assert method_of(f"fps_atoms@{strata}").pooled == (strata == "clusters")
    assert method_of(f"fps@{strata}").pooled


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fsp", "unknown selection method 'fsp'; did you mean 'fps'"),
        ("fsp@groups", "unknown selection method 'fsp'"),
        ("fps@group", "'fps@group': unknown strata 'group'; did you mean 'groups'"),
        ("fps@", "unknown strata ''"),
        ("random@groups", "'random' looks at no features; take 'stratified'"),
    ],
)
def test_a_method_of_no_known_name_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        method_of(name)


def test_groups_are_needed():
    with pytest.raises(ValueError, match="needs the group of every configuration"):
        pick("fps@groups", 2, Candidates(np.eye(3), np.arange(4)))
