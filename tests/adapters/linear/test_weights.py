"""Weights of labels, of options and of groups: bounds, and that something must count."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.checks.subject import bare, sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.errors import StudyError, TooFewFrames
from crossprune.harness.lookup import adapter_class, resolve

WEIGHED = ("ace", "chimes", "mtp", "nnp", "pod", "snap", "uf3")
"""Families with weights of energies, forces and stress as options."""
FITTED = {
    **{name: {} for name in WEIGHED},
    "gap": {},
    "gap, gap_fit": {"fitter": "gap_fit"},
    "mtp, fitted": {"radial": "fitted"},
}
LINEAR = [name for name in WEIGHED if name != "nnp"]
NOTHING = GroupWeight(energy=0.0, forces=0.0)


def prepared(name, **options):
    cls = adapter_class(name.partition(",")[0])
    adapter = cls(["Cu"], cls.options_type(**{**cls.smoke, **options}))
    return adapter, adapter.prepare(sample_frames(["Cu"], 4))


def fit(adapter, data, weights):
    return adapter.fit(data, np.arange(4), weights=weights, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", WEIGHED)
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("energy_weight", 1e200, r"is 1e\+200; give 0, or a number from 1e-15 to 1e\+15"),
        ("force_weight", 1e-300, "is 1e-300; give 0"),
        ("stress_weight", -1.0, "is -1; give 0"),
    ],
)
def test_weights_out_of_bounds_are_refused(name, option, value, says, require_adapter):
    require_adapter(name)
    with pytest.raises(StudyError, match=rf"\[options\.{name}\]: {option} {says}"):
        resolve(name, {name: {option: value}})


@pytest.mark.parametrize("name", WEIGHED)
def test_no_weight_at_all_is_refused(name, require_adapter):
    require_adapter(name)
    with pytest.raises(StudyError, match="energy_weight and force_weight are both 0: nothing to fit"):
        resolve(name, {name: {"energy_weight": 0.0, "force_weight": 0.0, "stress_weight": 1.0}})


@pytest.mark.parametrize("name", FITTED)
def test_groups_without_weight_are_no_silent_model_of_zeros(name, require_adapter):
    require_adapter(name.partition(",")[0])
    adapter, data = prepared(name, **FITTED[name])
    with pytest.raises(TooFewFrames, match="weights of energies and forces are 0 in the groups of all"):
        fit(adapter, data, {"even": NOTHING, "odd": NOTHING})


@pytest.mark.parametrize("name", WEIGHED)
def test_a_group_that_counts_by_what_the_options_leave_out_does_not(name, require_adapter):
    require_adapter(name)
    adapter, data = prepared(name, energy_weight=0.0)
    no_forces = GroupWeight(forces=0.0)
    with pytest.raises(TooFewFrames, match="weights of energies and forces are 0"):
        fit(adapter, data, {"even": no_forces, "odd": no_forces})


@pytest.mark.parametrize("name", LINEAR)
def test_weights_are_relative_up_to_their_bounds(name, require_adapter):
    """Both options at one bound say what both at 1 say, and so do groups: the ridge is relative."""
    require_adapter(name)
    probe = bare(sample_frames(["Cu"], 5)[-1])
    adapter, data = prepared(name, energy_weight=1.0, force_weight=1.0)
    expected = fit(adapter, data, {}).predict(probe)
    for bound in (1e-15, 1e15):
        again, rows = prepared(name, energy_weight=bound, force_weight=bound)
        for found in (
            fit(again, rows, {}).predict(probe),
            fit(again, rows, dict.fromkeys(("even", "odd"), GroupWeight(bound, bound))).predict(probe),
        ):
            # 1e-4: fits of four frames are ill-conditioned, and rounding differs.
            np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-4, atol=1e-4)
