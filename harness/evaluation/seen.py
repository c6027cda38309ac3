"""Which frames a fitted model has seen, and what the study that fitted it called the others."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms
from crossprune.harness.contract import IntArray
from crossprune.harness.data.frames import DataSet
from crossprune.harness.data.validation import structure_key

CHOSEN, REMAINDER, NEW = "chosen", "remainder", "new"
"""Frames that the model was fitted to; the rest of the training part; frames that its study did not have."""
PARTS = ("test", "ood", REMAINDER, NEW, CHOSEN)
"""All parts that `parts_of_study` and `parts_elsewhere` know, in the order of reports."""


def parts_of_study(dataset: DataSet, subset: IntArray) -> list[str]:
    """Return the part of each frame of the data set that a model was fitted on: test, ood, remainder, chosen.

    Parameters
    ----------
    dataset
        The study's data set.
    subset
        Indices of the frames that the model was fitted to.
    """
    parts = [REMAINDER if part == "train" else part for part in dataset.split]
    for index in subset:
        parts[index] = CHOSEN
    return parts


def parts_elsewhere(frames: Sequence[Atoms], dataset: DataSet, subset: IntArray) -> list[str]:
    """Return the parts of frames of another source: as in the study if it has the structure, otherwise new.

    Frames are told apart by elements, cell, positions and periodicity, not by labels. Of copies, what the
    model was fitted to counts first.
    """
    parts = parts_of_study(dataset, subset)
    keys = [structure_key(atoms) for atoms in dataset.frames]
    given = [structure_key(atoms) for atoms in frames]
    if given == keys:
        return parts
    part_of: dict[bytes, str] = {}
    for key, part in zip(keys, parts, strict=True):
        if part_of.get(key) != CHOSEN:
            part_of[key] = part
    return [part_of.get(key, NEW) for key in given]
