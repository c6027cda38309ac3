"""Masked fits of linear families: equal to least squares on the kept rows, and blind to the others."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.linear.fitter import weighted_rows
from crossprune.adapters.linear.least_squares import solve
from crossprune.harness.checks.masks import KEPT
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, group_of, label
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_class

RNG = np.random.default_rng(0)
SUBSET = np.array(list(KEPT))
ATOMS = [np.array(one) for one in KEPT.values()]
WEIGHTS = {"odd": GroupWeight(energy=2.0, forces=0.5)}
FAMILIES = {
    "snap": {"twojmax": 4, "cutoff": 4.5},
    "pod": {
        "threebody_radial_functions": 3,
        "threebody_angular_degree": 2,
        "fourbody_radial_functions": 0,
        "cutoff": 4.5,
    },
    "chimes": {"order_2b": 8, "order_3b": 4, "cutoff": 5.0, "cutoff_3b": 4.0},
    "mtp": {"level": 8, "cutoff": 4.5, "regularisation": "ridge"},
    "ace": {"cutoff": 4.5, "max_degrees": (6.0, 4.0, 3.0), "regularisation": "ridge", "core_fraction": 0.0},
}


def made(name, require_adapter, elements=("Cu",), **options):
    require_adapter(name)
    cls = adapter_class(name)
    return cls(elements, cls.options_type(**{**FAMILIES[name], **options}))


def masked(adapter, frames, subset=SUBSET, kept=ATOMS, weights=WEIGHTS):
    prepared = adapter.prepare(frames)
    return adapter.fit_masked(prepared, subset, kept, weights=weights, rng=RNG)


def by_hand(adapter, frames):
    """Stack the rows of kept labels one by one, from the structures."""
    design, target = [], []
    options = adapter.options
    for index, atoms in zip(SUBSET, ATOMS, strict=True):
        frame = frames[index]
        weight = WEIGHTS.get(group_of(frame), GroupWeight())
        rows = adapter.rows(frame)
        n_free = adapter.n_columns - adapter.n_known
        counts = [frame.get_chemical_symbols().count(one) for one in adapter.elements]
        factor = options.energy_weight * weight.energy / len(frame)
        design.append(factor * np.concatenate([rows.energy[:n_free], counts]))
        target.append(factor * (energy_of(frame) - rows.energy[n_free:].sum()))
        for atom in atoms:
            for axis in range(3):
                row, factor = rows.forces[3 * atom + axis], options.force_weight * weight.forces
                design.append(factor * np.concatenate([row[:n_free], np.zeros(len(counts))]))
                target.append(factor * (forces_of(frame)[atom, axis] - row[n_free:].sum()))
    return np.array(design), np.array(target)


@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
@pytest.mark.parametrize("name", ["snap", "pod", "chimes"])
def test_a_masked_fit_is_least_squares_on_the_kept_rows(name, elements, require_adapter):
    adapter, frames = made(name, require_adapter, elements, ridge=1e-4), sample_frames(elements, 16)
    fitted = masked(adapter, frames)
    n_free = adapter.n_columns - adapter.n_known
    design, target = by_hand(adapter, frames)
    assert len(design) == len(SUBSET) + 3 * sum(map(len, ATOMS))
    scratch = solve(design, target, len(elements), np.full(n_free, 1e-4))
    predicted, scale = design[:, :n_free] @ scratch.coefficients, np.abs(target).max()
    np.testing.assert_allclose(
        design[:, :n_free] @ fitted.coefficients[:n_free], predicted, atol=1e-9 * scale
    )


def test_evidence_sees_the_kept_rows_only(require_adapter):
    adapter = made("ace", require_adapter, regularisation="evidence")
    frames = sample_frames(("Cu",), 16)
    rows = weighted_rows(adapter, adapter.prepare(frames), SUBSET, WEIGHTS, ATOMS)
    design, target = by_hand(adapter, frames)
    stacked = rows.stacked()
    assert stacked[0].shape == design.shape
    # The same rows in another order: energies first, then forces.
    order, other = (np.lexsort(np.round(np.column_stack(one), 9).T) for one in ((design, target), stacked))
    np.testing.assert_allclose(stacked[0][other], design[order], atol=1e-9)
    np.testing.assert_allclose(stacked[1][other], target[order], atol=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_masked_labels_do_not_enter_and_order_plays_no_part(name, require_adapter):
    adapter, frames = made(name, require_adapter), sample_frames(("Cu",), 16)
    fitted = masked(adapter, frames)
    hidden = list(frames)
    for index, atoms in zip(SUBSET, ATOMS, strict=True):
        forces = np.full((len(frames[index]), 3), 1e3)
        forces[atoms] = forces_of(frames[index])[atoms]
        hidden[index] = label(
            frames[index],
            energy=energy_of(frames[index]),
            forces=forces,
            stress=None,
            group=group_of(frames[index]),
        )
    backwards = masked(adapter, hidden, SUBSET[::-1], [one[::-1] for one in ATOMS[::-1]])
    np.testing.assert_array_equal(backwards.coefficients, fitted.coefficients)
    np.testing.assert_array_equal(backwards.offsets, fitted.offsets)
    assert backwards.info == fitted.info


@pytest.mark.parametrize("name", FAMILIES)
def test_columns_that_vanish_in_the_kept_rows_are_judged_by_these(name, require_adapter):
    adapter, frames = made(name, require_adapter), sample_frames(("Cu",), 16)
    prepared = adapter.prepare(frames)
    prepared.arrays["slopes"][SUBSET[0]] = np.inf  # that of all atoms: nobody may look at it
    assert len(ATOMS[0]) < len(frames[SUBSET[0]])
    found = adapter.fit_masked(prepared, SUBSET, ATOMS, weights=WEIGHTS, rng=RNG)
    np.testing.assert_array_equal(found.coefficients, masked(adapter, frames).coefficients)


def test_stress_rows_are_left_out(require_adapter):
    frames = sample_frames(("Cu",), 16)
    plain, stressed = (made("snap", require_adapter, stress_weight=one) for one in (0.0, 1.0))
    np.testing.assert_array_equal(masked(stressed, frames).coefficients, masked(plain, frames).coefficients)


def test_pacemaker_cannot():
    cls = adapter_class("ace")
    assert cls.can_mask(cls.options_type())
    assert not cls.can_mask(cls.options_type(fitter="pacemaker"))


def test_a_family_that_cannot_says_so():
    mean = adapter_class("mean")(["Cu"])
    with pytest.raises(StudyError, match="adapter 'mean' cannot be fitted to the forces of some atoms only"):
        masked(mean, sample_frames(("Cu",), 16))
