"""Masked environments: single atoms are chosen; of a configuration that holds one, the energy comes along."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract.arrays import IntArray

MASKS = ("none", "atoms")
"""What is chosen: whole configurations, or single environments, beside which all atoms are masked."""
LABELS_OF_ATOM = 3
"""Components of a force."""


def environments_of(part: IntArray, sizes: IntArray) -> IntArray:
    """List all environments of some frames: frame and atom of each, shape (Σ n_atoms, 2).

    Parameters
    ----------
    part
        Indices of the frames in the data set, shape (n_frames,).
    sizes
        Atoms of each of them.
    """
    atoms = [np.arange(size) for size in sizes.tolist()]
    return np.column_stack([np.repeat(part, sizes), np.concatenate([np.arange(0), *atoms])])


def spent(environments: IntArray) -> IntArray:
    """Count the labels after each pick: three force components, and the energy of each new configuration.

    Parameters
    ----------
    environments
        Frame and atom in the order of picking, shape (n, 2).
    """
    first = np.zeros(len(environments), dtype=np.int64)
    first[np.unique(environments[:, 0], return_index=True)[1]] = 1
    return np.cumsum(LABELS_OF_ATOM + first)


def within(picked: IntArray, limit: float) -> IntArray:
    """Take the environments that ``limit`` labels pay for, in their order of picking, at least one."""
    return picked[: max(1, int(np.searchsorted(spent(picked), limit, side="right")))]


def frames_of(chosen: IntArray) -> IntArray:
    """Return the frames of a chosen set, ascending: of frames, shape (n,), or environments, shape (n, 2)."""
    return np.unique(chosen if chosen.ndim == 1 else chosen[:, 0])


def by_frame(environments: IntArray) -> tuple[IntArray, list[IntArray]]:
    """Return the frames, ascending, and the atoms of each, ascending, of distinct environments."""
    ordered = np.unique(environments, axis=0)
    frames, starts = np.unique(ordered[:, 0], return_index=True)
    return frames, np.split(ordered[:, 1], starts[1:])


def sizes_of(chosen: IntArray, sizes: IntArray, n_labels: IntArray) -> dict[str, int]:
    """Count configurations, atoms and labels of a chosen set; of environments what is not masked.

    Parameters
    ----------
    chosen
        Frames, shape (n,), or environments, shape (n, 2), of which frames hold atoms and labels that are
        fitted: an energy and the chosen forces.
    sizes, n_labels
        Atoms and labels of every frame of the data set, shape (n_frames,).
    """
    n_configurations = len(frames_of(chosen))
    if chosen.ndim == 1:
        n_atoms, labels = int(sizes[chosen].sum()), int(n_labels[chosen].sum())
    else:
        n_atoms, labels = len(chosen), n_configurations + LABELS_OF_ATOM * len(chosen)
    return {"n_configurations": n_configurations, "n_atoms": n_atoms, "n_labels": labels}
