"""Which frames a fitted model has seen, and what the study that fitted it called the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ase import Atoms
from crossprune.harness.contract import IntArray
from crossprune.harness.data.frames import DataSet
from crossprune.harness.data.structures import first_copies, identical
from crossprune.harness.data.twins import twins

CHOSEN, REMAINDER, NEW = "chosen", "remainder", "new"
"""Frames that the model was fitted to; the rest of the training part; frames that its study did not have."""
PARTS = ("test", "ood", REMAINDER, NEW, CHOSEN)
"""All parts that `parts_of_study` and `parts_elsewhere` know, in the order of reports."""

SAME = 1e-4
"""Å, root mean square: more than digits make, less than a step of a trajectory (6e-4) or a strain of 1e-4."""

ReferenceSeen = Literal["chosen", "pool", "held out", "not in the data", ""]
"""What a model can know of a reference; empty if there is none, or nothing is known of its structures."""
UNKNOWN: tuple[ReferenceSeen, float, float] = ("", float("nan"), float("nan"))
"""As `Acquaintance.with_reference` says it."""


@dataclass(frozen=True)
class Acquaintance:
    """What a model was fitted to, and could have been: number of frames of each group of the data set."""

    chosen: Mapping[str, int]
    pool: Mapping[str, int]

    @classmethod
    def of(cls, dataset: DataSet, subset: IntArray) -> Acquaintance:
        """Count the frames of a fit; ``subset`` holds their indices in the study's data set."""
        groups = dataset.groups
        return cls(
            Counter(groups[index] for index in subset.tolist()),
            Counter(groups[index] for index in dataset.indices("train").tolist()),
        )

    def with_reference(self, groups: Sequence[str] | None) -> tuple[ReferenceSeen, float, float]:
        """Say whether the structures of a reference were seen, and how many frames are of them.

        Parameters
        ----------
        groups
            Those of the card that stand behind the reference; None if the card does not say.

        Returns
        -------
        tuple
            The word, and the number of chosen frames and of those in the training pool; NaN where the word
            is empty.
        """
        if groups is None:
            return UNKNOWN
        if not groups:
            return "not in the data", 0.0, 0.0
        chosen, pool = _count(self.chosen, groups), _count(self.pool, groups)
        return "chosen" if chosen else "pool" if pool else "held out", float(chosen), float(pool)


def _count(frames_of: Mapping[str, int], groups: Sequence[str]) -> int:
    """Add up the frames of groups; a group is whole, or cut in trajectories: ``Elastic: mode 1``."""
    return sum(
        count
        for one, count in frames_of.items()
        if any(one == group or one.startswith(f"{group}: ") for group in groups)
    )


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

    Frames are told apart by elements, cell, positions and periodicity, not by labels; where no frame of
    the study is a copy in that sense, one by symmetry counts (`twins`, for which energies must agree). Of
    copies, what the model was fitted to goes first.
    """
    parts = parts_of_study(dataset, subset)
    if len(frames) == len(parts) and all(map(identical, frames, dataset.frames)):
        return parts
    order = sorted(range(len(parts)), key=lambda index: parts[index] != CHOSEN)
    study = [dataset.frames[index] for index in order]
    copy_of = first_copies(frames, study)
    alone = [index for index, known in enumerate(copy_of) if known is None]
    both = [*study, *(frames[index] for index in alone)]
    sides = [True] * len(study) + [False] * len(alone)
    by_symmetry = twins(both, sides, tolerance=SAME)[len(study) :]
    for index, root in zip(alone, by_symmetry, strict=True):
        copy_of[index] = root if root < len(study) else None
    return [NEW if known is None else parts[order[known]] for known in copy_of]
