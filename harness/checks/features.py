"""What the features of a descriptor must be: invariant, constant in length, finite."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from crossprune.harness.checks.subject import (
    SEED,
    NotClaimed,
    Subject,
    bare,
    close,
    random_rotation,
    rotated,
)


def features_have_constant_length(subject: Subject) -> None:
    """Features: one row per atom, or per structure, float64, finite, as long for every structure."""
    lengths = set()
    for atoms in subject.frames[:4]:
        features = subject.descriptor.features(bare(atoms))
        assert features.dtype == np.float64, f"dtype {features.dtype}, expected float64"
        assert features.ndim == 2, f"{features.ndim} dimensions, expected 2"
        expected, level = subject.descriptor.n_vectors(atoms), subject.descriptor.level
        assert len(features) == expected, (
            f"{len(features)} rows for {len(atoms)} atoms, expected {expected} at level {level!r}"
        )
        assert np.isfinite(features).all(), "features are not finite"
        lengths.add(features.shape[1])
    assert len(lengths) == 1, f"lengths differ: {sorted(lengths)}"


def features_are_invariant(subject: Subject) -> None:
    """Features: unchanged by translation, rotation, wrapping; permuted with the atoms."""
    rng = np.random.default_rng(SEED)
    atoms = subject.probe
    expected = subject.descriptor.features(atoms)
    moved = bare(atoms)
    moved.positions += rng.uniform(-5, 5, 3)
    close(subject.descriptor.features(moved), expected, subject.within(1e-6), "translation")
    moved.wrap()
    close(subject.descriptor.features(moved), expected, subject.within(1e-6), "wrapping")
    turned = rotated(atoms, random_rotation(rng))
    close(subject.descriptor.features(turned), expected, subject.within(1e-6), "rotation")
    order = rng.permutation(len(atoms))
    permuted = expected[order] if subject.descriptor.level == "atoms" else expected
    close(subject.descriptor.features(atoms[order]), permuted, subject.within(1e-6), "permutation")


def features_ignore_the_choice_of_cell(subject: Subject) -> None:
    """Features: a supercell repeats those of atoms and keeps those of a structure, small cells included."""
    atoms = subject.probe
    expected = subject.descriptor.features(atoms)
    bigger = atoms.repeat((2, 1, 2))
    copies = 4 if subject.descriptor.level == "atoms" else 1
    close(
        subject.descriptor.features(bigger), np.tile(expected, (copies, 1)), subject.within(1e-6), "supercell"
    )


def features_of_a_batch_equal_single_ones(subject: Subject) -> None:
    """Features: a batch gives what the structures give one by one."""
    frames = [bare(atoms) for atoms in subject.frames[:3]]
    single = np.concatenate([subject.descriptor.features(atoms) for atoms in frames])
    close(subject.descriptor.features_many(frames), single, 1e-12, "batch")


def features_tell_apart_what_the_model_does(subject: Subject) -> None:
    """Features: where the fitted energy of two clusters differs, so do their features.

    Dimers over the range of distances, and trimers over the range of angles at the same two distances.
    """
    if not subject.cls.capabilities.fits:
        raise NotClaimed("has no fitter")
    for what, clusters in (("distance", _dimers(subject)), ("angle", _trimers(subject))):
        energies = np.array([subject.potential.predict(atoms).energy for atoms in clusters])
        features = [subject.descriptor.features(atoms) for atoms in clusters]
        changes = np.abs(np.diff(energies))
        for place in np.flatnonzero(changes > 0.002 * max(float(np.ptp(energies)), 1e-3)).tolist():
            apart = float(np.abs(features[place + 1] - features[place]).max())
            assert apart > 1e-9, (
                f"the model's energy of a cluster changes by {1e3 * changes[place]:.3g} meV with the {what}, "
                "and no feature does: whoever chooses by them cannot see what the model sees"
            )


def _dimers(subject: Subject) -> list[Atoms]:
    return [
        Atoms(subject.elements[:1] * 2, positions=[[0, 0, 0], [0, 0, r]]) for r in np.linspace(2.2, 5.0, 15)
    ]


def _trimers(subject: Subject) -> list[Atoms]:
    return [
        Atoms(
            subject.elements[:1] * 3,
            positions=[[2.6, 0, 0], [0, 0, 0], [2.6 * np.cos(angle), 2.6 * np.sin(angle), 0]],
        )
        for angle in np.radians(np.linspace(60, 180, 13))
    ]
