"""How a fit to the forces of some atoms must behave: exact, and blind to all that is masked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from crossprune.harness.checks.subject import SEED, NotClaimed, Subject, close
from crossprune.harness.contract import IntArray, Potential, components_of
from crossprune.harness.data.frames import energy_of, forces_of, group_of, label, stress_of

KEPT: Mapping[int, tuple[int, ...]] = {1: (0, 5), 3: (2,), 4: (0, 1, 2, 3), 7: (1, 6, 7), 8: (3,), 10: (0, 2)}
"""Frame to the atoms whose forces are kept: one, some, and all atoms of frames of four and eight."""


def masked_refit_is_exact(subject: Subject) -> None:
    """A masked refit from what was prepared for all frames equals one from the chosen frames alone."""
    _require_claim(subject)
    alone = Subject(subject.cls, subject.elements)
    alone.frames = [subject.frames[index] for index in KEPT]
    scratch = _fit(alone, dict(enumerate(KEPT.values())))
    _same(_fit(subject, KEPT), scratch, subject, 1e-8, "masked refit")


def a_mask_hides_forces_and_stress(subject: Subject) -> None:
    """Other labels of the masked forces, and other stresses, give the same fit to the last bit."""
    _require_claim(subject)
    other = Subject(subject.cls, subject.elements)
    for index, atoms in enumerate(other.frames):
        forces = -3.0 * forces_of(atoms)
        places = components_of(np.array(KEPT.get(index, ()), dtype=np.int64))
        forces.ravel()[places] = forces_of(atoms).ravel()[places]
        stress = stress_of(atoms)
        other.frames[index] = label(
            atoms,
            energy=energy_of(atoms),
            forces=forces,
            stress=None if stress is None else stress + 0.1,
            group=group_of(atoms),
        )
    masked = _fit(subject, KEPT)
    _same(_fit(other, KEPT), masked, subject, 0.0, "masked labels")
    more = {**KEPT, 3: (2, 5)}
    changed = np.abs(
        _fit(other, more).predict(subject.probe).forces - masked.predict(subject.probe).forces
    ).max()
    assert changed > 1e-9, "forces that are kept do not change the fit"


def a_mask_of_nothing_is_none(subject: Subject) -> None:
    """With all atoms kept, the fit is that of the whole configurations without their stresses."""
    _require_claim(subject)
    bare = Subject(subject.cls, subject.elements)
    bare.frames = [
        label(atoms, energy=energy_of(atoms), forces=forces_of(atoms), stress=None, group=group_of(atoms))
        for atoms in subject.frames
    ]
    everything = {index: tuple(range(len(subject.frames[index]))) for index in KEPT}
    _same(_fit(subject, everything), bare.fit(list(KEPT)), subject, 1e-9, "all atoms kept")


def _require_claim(subject: Subject) -> None:
    if not subject.cls.capabilities.fits:
        raise NotClaimed("has no fitter")
    if not subject.cls.capabilities.masks:
        raise NotClaimed("does not claim masks")


def _fit(subject: Subject, kept: Mapping[int, tuple[int, ...]]) -> Potential:
    subset: IntArray = np.array(list(kept), dtype=np.int64)
    atoms = [np.array(one, dtype=np.int64) for one in kept.values()]
    rng = np.random.default_rng(SEED)
    return subject.fitter.fit_masked(subject.prepared, subset, atoms, weights={}, rng=rng)


def _same(given: Potential, expected: Potential, subject: Subject, tolerance: float, what: str) -> None:
    first, second = (one.predict(subject.probe) for one in (given, expected))
    close(first.energy, second.energy, tolerance, f"{what}: energy")
    close(first.forces, second.forces, tolerance, f"{what}: forces")
