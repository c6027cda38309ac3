"""Fits: exact refits with fixed radial functions, and radial functions by variable projection."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, label
from crossprune.harness.errors import DataError, StudyError, TooFewFrames

mtp = pytest.importorskip("crossprune.adapters.mtp", exc_type=ImportError)

OPTIONS = {"level": 8, "radial_step": 4, "cutoff": 4.5, "n_chebyshev": 4, "iterations": 8}
RNG = np.random.default_rng(0)
WEIGHTS = {"odd": GroupWeight(energy=2.0, forces=0.5, stress=3.0)}


def adapter(elements=("Cu",), **options):
    return mtp.Mtp(elements, mtp.MtpOptions(**{**OPTIONS, **options}))


def fitted(made, frames, subset, **weights):
    return made.fit(made.prepare(frames), np.array(subset), weights=weights, rng=RNG)


def same(one, other, atoms, tolerance):
    first, second = one.predict(atoms), other.predict(atoms)
    assert first.energy == pytest.approx(second.energy, abs=tolerance)
    np.testing.assert_allclose(first.forces, second.forces, atol=tolerance)
    np.testing.assert_allclose(first.stress, second.stress, atol=tolerance)


@pytest.mark.parametrize("radial", ["fixed", "fitted"])
@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
def test_a_refit_of_a_subset_is_a_fit_to_it_alone(radial, elements):
    frames, subset = sample_frames(elements, 10), [7, 1, 4, 6]
    made = adapter(elements, radial=radial)
    refit = fitted(made, frames, subset)
    alone = fitted(adapter(elements, radial=radial), [frames[k] for k in sorted(subset)], range(4))
    same(refit, alone, frames[9], 1e-8)


@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
def test_the_gradient_by_radial_coefficients(elements):
    """Against central differences of the loss, linear coefficients solved for anew each time."""
    from crossprune.adapters.mtp.fitting import _Problem

    frames = sample_frames(elements, 5)
    made = adapter(elements, radial="fitted", stress_weight=30.0)
    targets = [made._target(atoms, WEIGHTS, None) for atoms in frames[:3]]
    targets += [made._target(frames[3], WEIGHTS, np.array([0, 3]))]
    problem, start = _Problem(made._plan, made._radial, targets, 1e-6), made._radial.coefficients
    _, gradient = problem.loss(start)
    rng = np.random.default_rng(1)
    for _ in range(3):
        step = 1e-5 * rng.normal(size=start.shape) * np.abs(start).max()
        numeric = (problem.loss(start + step)[0] - problem.loss(start - step)[0]) / 2
        assert numeric == pytest.approx(np.sum(gradient * step), rel=1e-4)


@pytest.mark.parametrize(
    ("radial", "n_elements", "step"),
    [("fixed", 1, 2), ("fixed", 4, 2), ("fixed", 5, 3), ("fixed", 10, 3), ("fixed", 11, 4), ("fitted", 1, 4)],
)
def test_a_level_has_as_many_radial_functions_as_a_fit_can_hold_where_these_are_not_fitted(
    radial, n_elements, step
):
    elements = ("Ag", "Al", "Au", "Cr", "Cu", "Fe", "Mo", "Ni", "Pd", "Pt", "W")[:n_elements]
    sizes = [
        mtp.Mtp(elements, mtp.MtpOptions(radial=radial, radial_step=one)).n_columns for one in (None, step)
    ]
    assert sizes[0] == sizes[1] <= 1200


def test_fitted_functions_lower_the_loss_and_the_errors():
    frames = sample_frames(("Cu",), 14)
    errors = {}
    for radial in ("fixed", "fitted"):
        found = fitted(adapter(radial=radial, iterations=30), frames, range(12))
        errors[radial] = np.concatenate([found.predict(one).forces - forces_of(one) for one in frames[12:]])
    assert np.abs(errors["fitted"]).mean() < 0.7 * np.abs(errors["fixed"]).mean()
    assert found.info["radial_loss"] < 0.5
    assert 1 <= found.info["radial_steps"] <= 30


def test_fits_repeat_whatever_the_generator():
    frames = sample_frames(("Cu",), 6)
    made = adapter(radial="fitted")
    prepared = made.prepare(frames)
    one = made.fit(prepared, np.arange(5), weights={}, rng=np.random.default_rng(1))
    other = made.fit(prepared, np.arange(5)[::-1], weights={}, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(one.model.radial.coefficients, other.model.radial.coefficients)
    np.testing.assert_array_equal(one.coefficients, other.coefficients)


def test_masked_radial_functions_do_not_see_hidden_forces():
    frames, kept = sample_frames(("Cu",), 5), [np.array([0, 2]), np.array([1]), np.array([3, 0])]
    changed = list(frames)
    for index, atoms in zip((0, 2, 3), kept, strict=True):
        forces = forces_of(frames[index]) + 5.0
        forces[atoms] = forces_of(frames[index])[atoms]
        changed[index] = label(
            frames[index], energy=energy_of(frames[index]), forces=forces, stress=None, group="lie"
        )
    made = adapter(radial="fitted")
    subset = np.array([0, 2, 3])
    found = [
        made.fit_masked(made.prepare(some), subset, kept, weights={}, rng=RNG) for some in (frames, changed)
    ]
    np.testing.assert_array_equal(found[0].model.radial.coefficients, found[1].model.radial.coefficients)
    same(*found, frames[4], 0.0)


def test_weights_and_stress_labels_reach_the_radial_functions():
    frames = sample_frames(("Cu",), 6)
    radials = [
        fitted(
            adapter(radial="fitted", stress_weight=stress), frames, range(6), **weights
        ).model.radial.coefficients
        for stress, weights in ((0.0, {}), (100.0, {}), (0.0, WEIGHTS))
    ]
    assert not np.allclose(radials[0], radials[1])
    assert not np.allclose(radials[0], radials[2])


def test_known_energies_of_isolated_atoms_are_kept():
    frames = sample_frames(("Au", "Cu"), 6)
    known = {"Au": 0.3, "Cu": -0.2}
    made = mtp.Mtp(("Au", "Cu"), mtp.MtpOptions(**OPTIONS, radial="fitted"), known)
    found = fitted(made, frames, range(6))
    np.testing.assert_array_equal(found.offsets, [0.3, -0.2])


def test_what_cannot_be_fitted_is_said():
    frames = sample_frames(("Cu",), 3)
    made = adapter(radial="fitted", stress_weight=1.0)
    with pytest.raises(TooFewFrames, match="empty subset"):
        fitted(made, frames, np.zeros(0, dtype=int))
    bare = [
        label(one, energy=energy_of(one), forces=forces_of(one), stress=None, group="x") for one in frames
    ]
    with pytest.raises(DataError, match=r"stress_weight is 1\.0, but no chosen frame has a stress label"):
        fitted(made, bare, range(3))
    with pytest.raises(StudyError, match="a fit for each trial"):
        made.group_weights(made.prepare(frames), np.arange(3), np.arange(3))
    with pytest.raises(StudyError, match="1208 invariants with level 12 and radial_step 1 for 8"):
        mtp.Mtp(("Ag", "Au", "Cu", "Ni", "Pd", "Pt", "Rh", "Ir"), mtp.MtpOptions(level=12, radial_step=1))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"level": 9}, "level must be even, from 2 to 16, got 9"),
        ({"level": 18}, "level must be even, from 2 to 16, got 18"),
        ({"radial_step": 0}, "radial_step must be from 1 to 4, got 0"),
        ({"min_distance": 6.0}, "min_distance must be between 0 and cutoff"),
        ({"n_chebyshev": 1}, "n_chebyshev must be from 2 to 30, got 1"),
        ({"iterations": 0}, "iterations must be positive, got 0"),
        ({"radial": "fitted", "reweight": True}, "reweight would cost a fit"),
    ],
)
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        mtp.MtpOptions(**options)
