"""What `crossprune.select` chooses: exactly as many as asked for, of any pool, as definitions say."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.errors import DataError, MissingPackage, StudyError
from crossprune.harness.lookup import resolve
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import METHODS, choose
from crossprune.labelling import select as module
from scipy.spatial.distance import cdist

OF_LABELS = {"gradient_fps", "energy_spread", "force_spread", "force_highest", "force_lowest"}
UNLABELLED = sorted(set(METHODS) - OF_LABELS)


def points(pool, options, label="small"):
    """Return what a study would choose in: means over atoms, standardised."""
    adapter = resolve(label, options).make(sorted({s for one in pool for s in one.get_chemical_symbols()}))
    features = [adapter.features(one) for one in pool]
    offsets = np.cumsum([0, *map(len, features)])
    return Candidates(features=np.concatenate(features), offsets=offsets)


@pytest.mark.parametrize("n", [1, 7, "all"])
@pytest.mark.parametrize("method", [*UNLABELLED, "fps@groups", "d_optimal@clusters", "fps@shares"])
def test_exactly_n_are_chosen_and_none_twice(pool, method, n, chosen):
    found = chosen(pool, n, method=method)
    n = len(pool) if n == "all" else n
    assert len(found.indices) == len(set(found.indices)) == n == len(found.frames)
    assert found.table["order"].tolist() == list(range(n))
    for index, atoms in zip(found.indices, found.frames, strict=True):
        np.testing.assert_array_equal(atoms.positions, pool[index].positions)


def test_a_pool_is_chosen_from_as_a_study_would(pool, chosen, small):
    expected = choose("fps", points(pool, small), 0.3, np.random.default_rng(4))
    np.testing.assert_array_equal(chosen(pool, 9, seed=4).indices, expected)


@pytest.mark.parametrize("scaling", ["none", "standard", "standard_all"])
@pytest.mark.parametrize("several", [False, True])
def test_points_on_disk_choose_what_points_in_memory_do(pool, scaling, several, monkeypatch, chosen, rattled):
    options = {"scaling": scaling, "given": [rattled(99)], "seed": 3}
    options |= {"chooser": ["small", "larger"]} if several else {}
    in_memory = chosen(pool, 12, **options)
    monkeypatch.setattr(module, "LARGE_POOL", 0)
    on_disk = chosen(pool, 12, **options)
    np.testing.assert_array_equal(on_disk.indices, in_memory.indices)
    np.testing.assert_allclose(on_disk.table["score"], in_memory.table["score"], rtol=1e-9)
    np.testing.assert_allclose(on_disk.coverage, in_memory.coverage, rtol=1e-6, atol=1e-6)


def test_blocks_do_not_matter(pool, monkeypatch, chosen):
    from crossprune.labelling import sources

    whole = chosen(pool, 9)
    monkeypatch.setattr(sources, "MOST_FRAMES", 4)
    np.testing.assert_array_equal(chosen(pool, 9).indices, whole.indices)


def test_given_frames_are_completed_and_not_chosen_again(pool, chosen, small):
    given = [pool[3], pool[8]]
    found = chosen(pool, 5, given=given)
    assert not {3, 8} & set(found.indices)
    assert any("2 frames of the pool are copies" in note for note in found.notes)
    kept = [index for index in range(len(pool)) if index not in (3, 8)]
    known = points([*(pool[index] for index in kept), *given], small).points()
    farthest = cdist(known[:-2], known[-2:]).min(axis=1)
    assert kept[int(farthest.argmax())] == found.indices[0]
    assert found.table["score"][0] == pytest.approx(farthest.max())


def test_copies_are_told_however_they_are_written(pool, chosen):
    turned = pool[3].copy()
    turned.rotate(40, "y", rotate_cell=True)
    turned.positions += 1.7
    turned = turned[[2, 0, 3, 1]]
    assert 3 not in chosen(pool, "all", given=[turned]).indices


def test_scores_are_distances_to_those_before(pool, chosen, small):
    found, known = chosen(pool, 8, method="d_optimal"), points(pool, small).points()
    before = cdist(known[found.indices], known[found.indices])
    expected = [np.inf, *(before[row, :row].min() for row in range(1, 8))]
    np.testing.assert_allclose(found.table["score"], expected)


@pytest.mark.parametrize("budget", ["atoms", "labels"])
def test_as_many_as_fit_into_a_budget(mixed, budget, chosen):
    found = chosen(mixed, 40, budget=budget)
    costs = [len(one) if budget == "atoms" else 1 + 3 * len(one) + 6 * one.pbc.all() for one in mixed]
    order = chosen(mixed, "all").indices
    spent = np.cumsum([costs[index] for index in order])
    assert found.indices.tolist() == order[: np.searchsorted(spent, 40, side="right")].tolist()
    assert sum(costs[index] for index in found.indices) <= 40


@pytest.mark.parametrize("method", ["fps", "direct", "d_optimal", "fps_atoms"])
def test_molecules_slabs_and_elements_that_nobody_has_labelled(mixed, method, chosen, rattled):
    given = () if method == "direct" else [rattled(77)]
    found = chosen(mixed, 6, given=given, method=method)
    assert len(found.frames) == 6
    if method == "fps":
        assert 9 in found.indices  # the one molecule with carbon and oxygen is far from all others


def test_a_choice_covers_more_than_a_random_one_and_a_random_one_does_not(pool, chosen):
    best, drawn = chosen(pool, 6).coverage.iloc[-1], chosen(pool, 6, method="random").coverage.iloc[-1]
    assert best["largest"] < best["random_largest_low"]
    assert drawn["random_mean_low"] <= drawn["mean"] <= drawn["random_mean_high"]


def test_coverage_is_the_distance_to_the_nearest_chosen(pool, chosen, small):
    found, known = chosen(pool, 6), points(pool, small).points()
    for row in found.coverage.to_dict("records"):
        nearest = cdist(known, known[found.indices[: int(row["n"])]]).min(axis=1)
        assert row["mean"] == pytest.approx(nearest.mean(), abs=1e-6)
        assert row["largest"] == pytest.approx(nearest.max(), abs=1e-6)
    assert chosen(pool, "all").coverage.iloc[-1]["largest"] == pytest.approx(0.0, abs=1e-6)


def test_several_choosers_agree_on_what_is_far_for_all(pool, chosen, small):
    found = chosen(pool, 8, chooser=["small", "larger"])
    alone = {label: set(chosen(pool, 8, chooser=label).indices) for label in small}
    table = found.agreement.set_index(["first", "second"])
    assert table.loc[("small", "larger"), "shared"] == len(alone["small"] & alone["larger"]) / 8
    assert table.loc[("small", "consensus"), "shared"] == len(alone["small"] & set(found.indices)) / 8
    assert (table["by_chance"] == 8 / 30).all()
    joint = np.hstack([one / np.sqrt(np.square(one).sum(axis=1).mean()) for one in _spaces(pool, small)])
    distances = cdist(joint, joint[found.indices[:1]]).min(axis=1)
    assert found.indices[1] == distances.argmax()


def _spaces(pool, options):
    return [points(pool, options, label).points() for label in options]


def test_the_same_seed_chooses_the_same_and_another_one_another(pool, chosen):
    first = chosen(pool, 6, seed=0)
    assert first.indices.tolist() == chosen(pool, 6, seed=0).indices.tolist()
    assert first.indices.tolist() != chosen(pool, 6, seed=1).indices.tolist()


def test_groups_can_be_kept_out(pool, chosen):
    found = chosen(pool, "all", exclude="ho*")
    assert set(found.table["group"]) == {"cold"}
    assert found.n_pool == 15


def test_no_label_is_looked_at(pool, chosen):
    from ase.calculators.singlepoint import SinglePointCalculator

    labelled = [one.copy() for one in pool]
    for one in labelled:
        one.calc = SinglePointCalculator(one, energy=np.nan, forces=np.full((len(one), 3), np.nan))
    np.testing.assert_array_equal(chosen(labelled, 5).indices, chosen(pool, 5).indices)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 31}, "31 frames are asked for, and the pool has 30"),
        ({"n": 0}, "give a whole number above 0"),
        ({"n": 2.5}, "give a whole number above 0"),
        ({"n": True}, "give a whole number above 0"),
        ({"n": None}, "either a number of frames"),
        ({"n": 3, "fraction": 0.5}, "either a number of frames"),
        ({"n": None, "fraction": 1.5}, "not in"),
        ({"method": "gradient_fps"}, "looks at labels"),
        ({"method": "direct", "given": "a frame"}, "these can: "),
        ({"method": "fps_atoms", "chooser": ["small", "larger"]}, "looks at atoms"),
        ({"chooser": "snpa"}, "did you mean 'snap'"),
        ({"chooser": "chimes", "scaling": "model", "method": "fsp"}, "did you mean"),
        ({"scaling": "pca:x"}, "whole number of principal axes"),
        ({"pooling": "median"}, "pooling"),
        ({"space": "sites"}, "space"),
        ({"budget": "frames"}, "known: atoms, configurations, labels"),
        ({"exclude": "liquid*"}, "fits no group of the pool"),
        ({"exclude": "*"}, "no frame that can be chosen"),
    ],
)
def test_what_cannot_be_chosen_is_said(pool, options, says, chosen, rattled):
    given = {"given": [rattled(50)]} if "given" in options else {}
    with pytest.raises((StudyError, MissingPackage), match=says):
        chosen(pool, **{"n": 3, **options, **given})


def test_a_broken_frame_is_named(pool, chosen):
    pool[5].positions[1] = pool[5].positions[0]
    with pytest.raises(DataError, match="frames, frame 5: two atoms are closer"):
        chosen(pool, 3)


def test_one_structure_is_no_pool(pool, chosen):
    with pytest.raises(TypeError, match="put it into a list"):
        chosen(pool[0], 1)


def test_cutoffs_follow_the_pool_as_they_do_in_a_study(pool, chosen):
    from crossprune.harness.data.frames import spacing
    from crossprune.harness.lookup import resolve

    options = {"small": {"adapter": "snap", "twojmax": 2}}
    followed = resolve("small", options).following(spacing(pool)).options.cutoff
    found = chosen(pool, 5, options=options)
    assert any(f"small: cutoff {followed:g} Å" in note for note in found.notes)
    written = {"small": {**options["small"], "cutoff": followed}}
    assert found.indices.tolist() == chosen(pool, 5, options=written).indices.tolist()


def test_sources_may_be_generators(pool, chosen):
    alone = chosen(pool, "all", exclude=[pool[:3]], given=pool[3:5])
    for kept in (pool[:3], [pool[:3]]):
        found = chosen(iter(pool), "all", exclude=iter(kept), given=iter(pool[3:5]))
        assert found.indices.tolist() == alone.indices.tolist()
    assert len(chosen(pool, "all", exclude=None, given=None).table) == len(pool)


@pytest.mark.parametrize("wrong", [3, [None], [3], [["x.xyz"]], []])
def test_what_is_no_source_is_said(wrong, chosen):
    with pytest.raises(StudyError, match=r"ase\.Atoms|no frames"):
        chosen(wrong, 1)


@pytest.mark.parametrize(
    "options", [{"seed": -1}, {"seed": None}, {"seed": "1"}, {"n": None, "fraction": "0.1"}, {"n": [1, 2]}]
)
def test_numbers_are_numbers(pool, chosen, options):
    given = {"n": 2} | options
    with pytest.raises(StudyError, match=r"seed is|fraction|n is"):
        chosen(pool, given.pop("n"), **given)


def test_a_budget_below_the_first_pick_is_refused(pool, chosen):
    with pytest.raises(StudyError, match="4 atoms, and 3 may be spent"):
        chosen(pool, 3, budget="atoms")
    assert len(chosen(pool, None, fraction=1e-9, budget="atoms").table) == 1
