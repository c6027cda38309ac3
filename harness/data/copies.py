"""What is done about copies: exact ones, and those by symmetry that lie on two sides of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ase import Atoms
from crossprune.harness.data.splits import DROPPED
from crossprune.harness.data.structures import duplicates
from crossprune.harness.errors import DataError

Choice = Literal["refuse", "drop", "keep"]
TESTED = ("test", "ood")


def settle(
    frames: Sequence[Atoms],
    places: Sequence[str],
    parts: Sequence[str],
    copy_of: Sequence[int],
    choice: Choice,
) -> tuple[list[str], list[str]]:
    """Refuse, drop or keep copies.

    Parameters
    ----------
    frames, places
        All frames, and where they come from.
    parts
        Part of each.
    copy_of
        As `twins` returns.
    choice
        ``refuse`` accepts no exact copy; ``drop`` leaves out exact copies but one, and the test and ood
        frames that have a copy by symmetry in train; ``keep`` leaves all where they are.

    Returns
    -------
    tuple
        The part of each frame, some of them dropped; and what a user must know.

    Raises
    ------
    DataError
        If a structure occurs twice and that is refused.
    """
    if choice == "refuse":
        check_duplicates(frames, places, parts)
    settled, notes = list(parts), []
    exact = [] if choice == "refuse" else duplicates(frames)
    if exact and choice == "keep":
        notes.append(f"{len(exact)} exact copies of other frames kept")
    elif exact:
        _drop_exact(settled, exact)
        notes.append(f"{len(exact)} exact copies of other frames left out")
    for part in TESTED:
        found = leaking(copy_of, settled, part)
        if not found:
            continue
        what = f"{len(found)} of {settled.count(part)} {part} frames have a copy by symmetry in train"
        remedy = "left out" if choice == "drop" else 'duplicates = "drop" leaves them out'
        notes.append(f"{what} (the same, rotated, mirrored, re-ordered or repeated): {remedy}")
        for index in found if choice == "drop" else ():
            settled[index] = DROPPED
    return settled, notes


def leaking(copy_of: Sequence[int], parts: Sequence[str], part: str) -> list[int]:
    """Return the frames of a part that have a copy by symmetry in train; ``copy_of`` is of `twins`."""
    in_train = {root for root, one in zip(copy_of, parts, strict=True) if one == "train"}
    return [index for index, own in enumerate(parts) if own == part and copy_of[index] in in_train]


def check_duplicates(frames: Sequence[Atoms], places: Sequence[str], split: Sequence[str]) -> None:
    """Raise `DataError` if a structure occurs twice; ``split`` says in which parts."""
    pairs = duplicates(frames)
    if not pairs:
        return
    one, two = next(((i, j) for i, j in pairs if split[i] != split[j]), pairs[0])
    parts = f" ({split[one]} and {split[two]})" if split[one] != split[two] else ""
    raise DataError(
        f"{places[one]} and {places[two]}{parts} are the same structure; {len(pairs)} duplicates in all; "
        'remove the copies, or, in the table [data."NAME"] of a study, set duplicates = "drop" to leave them '
        'out, or "keep" if they are meant'
    )


def _drop_exact(parts: list[str], pairs: Sequence[tuple[int, int]]) -> None:
    """Leave one of each set of exact copies: one in train if there is one, otherwise the first."""
    kept: dict[int, int] = {}
    for first, copy in pairs:
        other = kept.get(first, first)
        better = parts[copy] == "train" and parts[other] != "train"
        stays, goes = (copy, other) if better else (other, copy)
        kept[first] = stays
        parts[goes] = DROPPED
