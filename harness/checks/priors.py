"""How a fit towards an earlier potential must behave: it keeps what labels agree with, and learns more."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from crossprune.harness.checks.subject import SEED, NotClaimed, Subject, close
from crossprune.harness.contract import FloatArray, IntArray, Potential
from crossprune.harness.data.frames import energy_of, forces_of, group_of, label, stress_of

FEW = (1, 4, 7)
"""Frames that are fitted to where most of a model must come from the earlier one."""
EARLIER, OTHER = range(12), range(4, 16)
"""Frames that two different models are fitted to."""


def an_earlier_potential_is_kept(subject: Subject) -> None:
    """Labels that an earlier potential predicts exactly change nothing in it, however it is held."""
    earlier = _earlier(subject)
    subject = _relabelled(subject, earlier)
    for tuned in (False, True):
        found = _fit_from(subject, FEW, earlier, tuned=tuned)
        _same(found, earlier, subject, 1e-7, "labels of the earlier potential")


def an_earlier_potential_gives_way(subject: Subject) -> None:
    """From many labels that another potential predicts, that one is found, whatever was earlier."""
    earlier, other = _earlier(subject), subject.fit(list(OTHER))
    subject = _relabelled(subject, other)
    for tuned in (False, True):
        found = _fit_from(subject, range(len(subject.frames)), earlier, tuned=tuned)
        before, after = (
            np.abs(one.predict(subject.probe).forces - other.predict(subject.probe).forces).max()
            for one in (earlier, found)
        )
        assert after < 0.3 * before, f"forces are {after:.2e} from those to be learned, {before:.2e} before"


def a_fit_from_an_earlier_one_sees_only_the_subset(subject: Subject) -> None:
    """Other labels of the frames that are not chosen give the same fit to the last bit."""
    earlier = _earlier(subject)
    found = _fit_from(subject, FEW, earlier, tuned=True)
    other = Subject(subject.cls, subject.elements)
    for index, atoms in enumerate(other.frames):
        if index not in FEW:
            other.frames[index] = _label(atoms, energy_of(atoms) - 7.0, -2.0 * forces_of(atoms))
    again = _fit_from(other, FEW, earlier, tuned=True)
    _same(again, found, subject, 0.0, "labels outside of the subset")


def _earlier(subject: Subject) -> Potential:
    if not subject.cls.capabilities.fits:
        raise NotClaimed("has no fitter")
    if not subject.cls.capabilities.prior:
        raise NotClaimed("does not claim prior")
    return subject.fit(list(EARLIER))


def _relabelled(subject: Subject, potential: Potential) -> Subject:
    """Return the sample with the labels that a potential predicts."""
    other = Subject(subject.cls, subject.elements)
    for index, atoms in enumerate(other.frames):
        found = potential.predict(atoms)
        other.frames[index] = _label(atoms, found.energy, found.forces)
    return other


def _label(atoms: Atoms, energy: float, forces: FloatArray) -> Atoms:
    return label(atoms, energy=energy, forces=forces, stress=stress_of(atoms), group=group_of(atoms))


def _fit_from(subject: Subject, subset: Sequence[int], earlier: Potential, *, tuned: bool) -> Potential:
    chosen: IntArray = np.array(subset, dtype=np.int64)
    prepared = dataclasses.replace(subject.prepared, frames=subject.frames)
    rng = np.random.default_rng(SEED)
    return subject.fitter.fit_from(prepared, chosen, earlier, tuned=tuned, weights={}, rng=rng)


def _same(given: Potential, expected: Potential, subject: Subject, tolerance: float, what: str) -> None:
    first, second = (one.predict(subject.probe) for one in (given, expected))
    close(first.energy, second.energy, tolerance, f"{what}: energy")
    close(first.forces, second.forces, tolerance, f"{what}: forces")
