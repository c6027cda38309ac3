"""What is fitted on top of a model: definitions, exactness, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from crossprune.adapters.universal import Universal, UniversalOptions
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, label
from crossprune.harness.errors import TooFewFrames

FRAMES = sample_frames(("Cu",), 16)
ALLOY = sample_frames(("Cu", "Au"), 12)
"""Labels are of the effective-medium theory: what they are, no model knows."""
MODEL = "chgnet:0.3.0"


@pytest.fixture(scope="module", autouse=True)
def packages(require_adapter):
    require_adapter("universal")


def fitted(head, frames=FRAMES, subset=range(12), weights=None, seed=0, **more):
    elements = sorted(set(frames[0].get_chemical_symbols()))
    adapter = Universal(elements, UniversalOptions(model=MODEL, head=head, **more))
    prepared = adapter.prepare(frames)
    subset = np.array(list(subset), dtype=np.int64)
    found = adapter.fit(prepared, subset, weights=weights or {}, rng=np.random.default_rng(seed))
    return adapter, prepared, found


def labels(frames):
    return np.array([energy_of(one) for one in frames]), np.concatenate([forces_of(one) for one in frames])


def test_shift_leaves_forces_and_fits_energies_per_element():
    adapter, prepared, found = fitted("shift", ALLOY)
    _, _, bare = fitted("shift", ALLOY, subset=[0])
    every = np.arange(len(ALLOY))
    assert np.array_equal(
        adapter.predict(found, prepared, every).forces, adapter.predict(bare, prepared, every).forces
    )
    energies = labels(ALLOY[:12])[0]
    sizes = np.array([len(one) for one in ALLOY])
    counts = np.array([[one.symbols.count(e) for e in ("Au", "Cu")] for one in ALLOY])
    model = adapter.predict(found, prepared, every).energies - counts @ found.offsets
    design = (counts / sizes[:, None])[:12]
    residual = ((energies - model[:12]) / sizes[:12])[:, None]
    best = np.linalg.lstsq(design, residual, rcond=None)[0][:, 0]
    np.testing.assert_allclose((counts / sizes[:, None])[:12] @ (found.offsets - best), 0.0, atol=1e-9)


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_scale_is_the_factor_of_least_squares_on_forces(weight):
    weights = {"odd": GroupWeight(forces=weight)}
    adapter, prepared, found = fitted("scale", weights=weights)
    _, _, shift = fitted("shift")
    predicted = adapter.predict(shift, prepared, np.arange(12)).forces
    factors = np.concatenate(
        [np.full((len(one), 3), weight if one.info["group"] == "odd" else 1.0) for one in FRAMES[:12]]
    )
    true = labels(FRAMES[:12])[1]
    expected = np.sum(factors**2 * predicted * true) / np.sum(factors**2 * predicted**2)
    assert found.coefficients == pytest.approx([expected], rel=1e-12)
    assert abs(expected - 1) > 0.01
    stresses = [adapter.predict(one, prepared, np.arange(12)).stresses for one in (found, shift)]
    np.testing.assert_allclose(stresses[0], expected * stresses[1], rtol=1e-12)


def test_scale_of_one_label_repairs_what_is_soft_by_a_factor():
    adapter, prepared, found = fitted("shift")
    everything = np.arange(len(FRAMES))
    plain = adapter.predict(found, prepared, everything)
    parts = np.split(plain.forces, np.cumsum([len(one) for one in FRAMES])[:-1])
    harder = [
        label(
            one.copy(), energy=1.25 * energy + 3.0 * len(one), forces=1.25 * forces, stress=None, group="all"
        )
        for one, energy, forces in zip(FRAMES, plain.energies, parts, strict=True)
    ]
    adapter, prepared, found = fitted("scale", harder, subset=[5])
    assert found.coefficients == pytest.approx([1.25], rel=1e-12)
    again = adapter.predict(found, prepared, everything)
    np.testing.assert_allclose(again.energies, labels(harder)[0], atol=1e-9)


def test_a_factor_that_turns_forces_around_is_said():
    adapter, prepared, found = fitted("shift")
    plain = adapter.predict(found, prepared, np.arange(1))
    turned = label(FRAMES[0].copy(), energy=0.0, forces=-0.5 * plain.forces, stress=None, group="all")
    _, _, found = fitted("scale", [turned], subset=[0])
    assert found.coefficients == pytest.approx([-0.5], rel=1e-12)
    assert "-0.5: all forces of the model are turned around" in str(found.info["warning"])


def test_scale_without_forces_is_refused():
    perfect = FRAMES[0].copy()
    perfect.set_cell(np.eye(3) * 3.6, scale_atoms=False)
    perfect.set_scaled_positions([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    crystal = label(perfect, energy=0.0, forces=np.zeros((4, 3)), stress=None, group="all")
    with pytest.raises(TooFewFrames, match="no perfect crystals"):
        fitted("scale", [crystal], subset=[0])


def test_linear_is_ridge_regression_on_summed_features():
    _, prepared, found = fitted("linear", ridge=1e-4)
    energy, forces = (np.array(prepared.arrays[name]) for name in ("energy", "forces"))
    sizes = np.array([len(one) for one in FRAMES])
    n_rows = 3 * sizes[:12].sum()
    true = labels(FRAMES[:12])
    design = np.vstack(
        [
            300 * np.column_stack([energy[:12, :-1], sizes[:12]]) / sizes[:12, None],
            np.column_stack([forces[:n_rows, :-1], np.zeros(n_rows)]),
        ]
    )
    target = np.concatenate(
        [300 * (true[0] - energy[:12, -1]) / sizes[:12], true[1].ravel() - forces[:n_rows, -1]]
    )
    penalty = np.diag(np.append(np.sqrt(1e-4) * np.linalg.norm(design[:, :-1], axis=0), 0.0))
    expected = np.linalg.lstsq(
        np.vstack([design, penalty]), np.append(target, np.zeros(len(penalty))), rcond=None
    )[0]
    np.testing.assert_allclose(
        design @ np.append(found.coefficients[:-1], found.offsets), design @ expected, atol=1e-6
    )
    assert found.coefficients[-1] == 1.0


def test_rows_of_features_are_their_derivatives():
    adapter = Universal(["Cu"], UniversalOptions(model="sevenn:7net-0", head="linear"))
    atoms, step = FRAMES[0], 0.01
    rows = adapter.rows(atoms)
    moved, strained = [], []
    for sign in (1, -1):
        moved.append(atoms.copy())
        moved[-1].positions[2, 1] += sign * step
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = sign * step / 2
        strained.append(atoms.copy())
        strained[-1].set_cell(atoms.cell.array @ strain, scale_atoms=True)
    scale = np.abs(rows.forces[:, :-1]).max()
    slopes = [adapter.rows(one).energy for one in moved]
    np.testing.assert_allclose(
        rows.forces[3 * 2 + 1, :-1], -(slopes[0] - slopes[1])[:-1] / (2 * step), atol=3e-3 * scale
    )
    slopes = [adapter.rows(one).energy for one in strained]
    numeric = (slopes[0] - slopes[1])[:-1] / (2 * step) / atoms.get_volume()
    assert rows.stress is not None
    np.testing.assert_allclose(rows.stress[5, :-1], numeric, atol=3e-3 * np.abs(rows.stress[:, :-1]).max())
    np.testing.assert_allclose(rows.energy[:-1], adapter.features(atoms).sum(axis=0), rtol=1e-6)


@pytest.mark.parametrize("layers", ["all", "last"])
def test_fine_tuning_learns_and_is_repeated_by_its_seed(layers):
    more = {"epochs": 3, "layers": layers}
    adapter, prepared, one = fitted("finetune", **more)
    _, _, again = fitted("finetune", **more)
    _, _, other = fitted("finetune", seed=1, **more)
    probe, tests = FRAMES[-1], np.arange(12, 16)
    first = one.predict(probe)
    assert first.energy == again.predict(probe).energy
    assert first.energy != other.predict(probe).energy
    _, _, before = fitted("shift")
    true = labels(FRAMES[12:])[1]
    errors = [np.abs(adapter.predict(m, prepared, tests).forces - true).mean() for m in (before, one)]
    assert errors[1] < 0.95 * errors[0]
    assert one.info["loss_after"] < one.info["loss_before"]
    assert before.predict(probe).forces == pytest.approx(
        adapter.predict(before, prepared, np.array([15])).forces, abs=1e-6
    ), "the published model is not what it was"


def test_last_layers_leave_the_features_alone():
    adapter, _, found = fitted("finetune", epochs=3, layers="last")
    link = adapter._link
    from crossprune.adapters.universal.potential import in_box

    box = in_box(FRAMES[:1], 6.0)
    plain = link.compute(box)
    tuned = link.compute(box, state=(found._state, found.parameters))
    assert np.array_equal(tuned.features, plain.features)
    assert not np.array_equal(tuned.forces, plain.forces)
    _, _, whole = fitted("finetune", epochs=3)
    deep = link.compute(box, state=(whole._state, whole.parameters))
    assert not np.array_equal(deep.features, plain.features)
    assert len(whole.parameters) > len(found.parameters) > 0


def test_what_is_trained_does_not_depend_on_which_structure_is_first():
    """Most parameters have no part in the energy of an atom alone."""
    alone = Atoms("Cu", positions=[[5.0, 5.0, 5.0]], cell=[10.0] * 3, pbc=True)
    alone = label(alone, energy=-3.0, forces=np.zeros((1, 3)), stress=None, group="alone")
    counts = []
    for frames in ([alone, *FRAMES[:5]], [*FRAMES[:5], alone]):
        _, _, found = fitted("finetune", frames, subset=range(6), epochs=3)
        counts.append(len(found.parameters))
    assert counts[0] == counts[1] > 100


def test_energies_without_weight_are_refused():
    weights = {name: GroupWeight(energy=0.0) for name in ("even", "odd")}
    for head in ("shift", "scale"):
        with pytest.raises(TooFewFrames, match="no chosen frame's energy has a weight"):
            fitted(head, weights=weights)


@pytest.mark.parametrize("head", ["shift", "scale", "linear", "finetune"])
def test_saved_and_loaded(head, tmp_path):
    _, _, found = fitted(head, epochs=1)
    found.save(tmp_path / "saved")
    loaded = type(found).load(tmp_path / "saved")
    one, two = found.predict(FRAMES[-1]), loaded.predict(FRAMES[-1])
    assert one.energy == two.energy
    assert np.array_equal(one.forces, two.forces)
