"""The checks of what is learnt, on families with one fault each."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.checks import Subject, run_check
from crossprune.harness.checks.features import features_tell_apart_what_the_model_does
from crossprune.harness.checks.learning import alloys_are_learned, stress_labels_are_learned
from crossprune.harness.contract import Capabilities
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import energy_of, forces_of, label, stress_of

CHECKS = (alloys_are_learned, stress_labels_are_learned, features_tell_apart_what_the_model_does)


@pytest.fixture
def chimes(require_adapter):
    require_adapter("chimes")
    from crossprune.adapters.chimes import Chimes

    return Chimes


def mixed_up(base):
    """Fits one thing and predicts another: elements change places between fit and prediction."""

    class MixedUp(base):
        def fit(self, prepared, subset, *, weights, rng):
            potential = super().fit(prepared, subset, weights=weights, rng=rng)
            predict = potential.predict

            def swapped(atoms):
                other = atoms.copy()
                if set(atoms.symbols) == {"Au", "Cu"}:
                    other.symbols = [{"Au": "Cu", "Cu": "Au"}[symbol] for symbol in atoms.symbols]
                return predict(other)

            potential.predict = swapped
            return potential

    return MixedUp


def misread(base, read):
    """Reads stresses (eV/Å³, shape (6,)) as ``read`` makes them: in other units, signs or another order."""

    class Misread(base):
        def prepare(self, frames, *, workspace=None):
            wrong = [
                label(
                    atoms,
                    energy=energy_of(atoms),
                    forces=forces_of(atoms),
                    stress=None if stress_of(atoms) is None else read(stress_of(atoms)),
                    group="x",
                )
                for atoms in frames
            ]
            return super().prepare(wrong, workspace=workspace)

    return Misread


def short_sighted(base, **cutoffs):
    """Describes less than its model sees."""

    class ShortSighted(base):
        def features(self, atoms):
            return base(self.elements, base.options_type(**{**base.smoke, **cutoffs})).features(atoms)

    return ShortSighted


def outcome(check, cls):
    return run_check(check, Subject(cls))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_sound_family_passes(chimes, check):
    assert outcome(check, chimes).outcome == "passed"


def test_elements_that_change_places_are_found(chimes):
    result = outcome(alloys_are_learned, mixed_up(chimes))
    assert result.outcome == "failed"
    assert "are pairs of elements mixed up between fit and prediction?" in result.detail


@pytest.mark.parametrize("factor", [160.2, 1602.0, -1.0])
def test_stresses_in_other_units_are_found(chimes, factor):
    result = outcome(stress_labels_are_learned, misread(chimes, lambda stress: factor * stress))
    assert result.outcome == "failed"
    assert "labels are in eV/Å³, positive under tension" in result.detail


ORDERS = {
    "of VASP, read as if it were ASE's": [0, 1, 2, 5, 3, 4],
    "of ASE, turned the other way": [0, 1, 2, 4, 5, 3],
    "yz and xz": [0, 1, 2, 4, 3, 5],
    "yz and xy": [0, 1, 2, 5, 4, 3],
    "xz and xy": [0, 1, 2, 3, 5, 4],
    "xx and yy": [1, 0, 2, 3, 4, 5],
    "yy and zz": [0, 2, 1, 3, 4, 5],
    "normal ones in a circle": [1, 2, 0, 3, 4, 5],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_stresses_in_another_order_are_found(chimes, order):
    result = outcome(stress_labels_are_learned, misread(chimes, lambda stress: stress[order]))
    assert result.outcome == "failed"
    assert "in the order xx yy zz yz xz xy" in result.detail


def radial(base):
    """Describes distances alone, by what fades within its model's cutoff."""

    class Radial(base):
        def features(self, atoms):
            found = find_neighbours(atoms, 4.5)
            near = (1 - found.distances / 4.5) ** 2
            return np.bincount(found.centres, near, len(atoms))[:, None]

    return Radial


def test_features_that_see_less_far_than_the_model_are_found(chimes):
    blind = short_sighted(chimes, cutoff=3.0, cutoff_3b=2.9)
    result = outcome(features_tell_apart_what_the_model_does, blind)
    assert result.outcome == "failed"
    assert "meV with the distance, and no feature does" in result.detail


def test_features_without_angles_under_a_model_with_them_are_found(require_adapter):
    require_adapter("snap")
    from crossprune.adapters.snap import Snap

    result = outcome(features_tell_apart_what_the_model_does, radial(Snap))
    assert result.outcome == "failed"
    assert "meV with the angle, and no feature does" in result.detail


def test_what_does_not_apply_is_skipped(chimes):
    from crossprune.adapters.mean import Mean

    assert outcome(stress_labels_are_learned, Mean).outcome == "skipped"
    alone = type("Alone", (chimes,), {"capabilities": Capabilities(multi_element=False)})
    assert outcome(alloys_are_learned, alone).outcome == "skipped"
    assert np.isfinite(Subject(Mean).potential.predict(Subject(Mean).probe).energy)
