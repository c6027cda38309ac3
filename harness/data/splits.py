"""Assign frames to train, test and ood: at random, stratified, by group, in blocks; once, or again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

import numpy as np
from crossprune.harness.contract import IntArray

DROPPED = ""
"""Part of a frame that a gap between blocks leaves out of every part."""
SHORTEST = 3
"""Frames of a test stretch that is told from a random draw: 3 of 10 lie side by side in 7 of 100 draws."""
LONG = 3
"""Frames of a trajectory per fold from which its folds are stretches: `SHORTEST` of each are tested."""
Key = TypeVar("Key", bound=Hashable)


def random_split(n_frames: int, *, test_fraction: float, seed: int) -> list[str]:
    """Draw ``round(test_fraction * n_frames)`` test frames without regard to groups."""
    return stratified_split([""] * n_frames, test_fraction=test_fraction, seed=seed)


def stratified_split(groups: Sequence[str], *, test_fraction: float, seed: int) -> list[str]:
    """Draw test frames in proportion from every group.

    Shares are rounded by largest remainder, so that the total is right although groups are small;
    a group of at least two frames keeps one in train. A group's draw depends on its own name and
    frames only.
    """
    members = _members(groups)
    shares = _largest_remainder({group: len(indices) for group, indices in members.items()}, test_fraction)
    parts = ["train"] * len(groups)
    for group, indices in members.items():
        for index in _generator(seed, group).permutation(indices)[: shares[group]]:
            parts[index] = "test"
    return parts


def group_split(groups: Sequence[str], *, test_fraction: float, seed: int) -> list[str]:
    """Put whole groups, in random order, into test until the fraction is reached or passed."""
    members = _members(groups)
    order = np.random.default_rng(seed).permutation(sorted(members))
    test: set[str] = set()
    wanted = test_fraction * len(groups)
    for group in order[: len(order) - 1]:
        if sum(len(members[name]) for name in test) >= wanted:
            break
        test.add(str(group))
    return ["test" if group in test else "train" for group in groups]


def block_split(
    sequences: Sequence[str], order: Sequence[float], *, test_fraction: float, seed: int, gap: int = 0
) -> list[str]:
    """Make one contiguous stretch of every trajectory the test part.

    Parameters
    ----------
    sequences
        Name of the trajectory (or strain path) each frame belongs to.
    order
        Where the frame stands in it, such as its time step.
    test_fraction
        Share of each trajectory that becomes the test stretch, rounded; short ones may have none.
    seed
        Draws where the stretch begins.
    gap
        Number of frames left out of both parts on either side of the stretch.
    """
    parts = ["train"] * len(sequences)
    for name, indices in _members(sequences).items():
        ordered = sorted(indices, key=lambda index: order[index])
        length = min(int(test_fraction * len(ordered) + 0.5), len(ordered) - 1)
        if length == 0:
            continue
        start = int(_generator(seed, name).integers(len(ordered) - length + 1))
        for position, index in enumerate(ordered):
            if start <= position < start + length:
                parts[index] = "test"
            elif start - gap <= position < start + length + gap:
                parts[index] = DROPPED
    return parts


def folds(
    groups: Sequence[str],
    sequences: Sequence[str],
    order: Sequence[float],
    copy_of: Sequence[int],
    n_folds: int,
) -> list[int]:
    """Number the fold of each frame, for cross-validation; nothing is random.

    A trajectory of at least `LONG` frames per fold is cut into contiguous stretches. All other frames
    are dealt in turn, group by group in their order, so that every fold has frames of every kind. Copies go
    with the first of them.

    Parameters
    ----------
    groups, sequences, order
        Group, trajectory and place in it of each frame.
    copy_of
        For each frame the first one that it is a copy of, or itself.
    n_folds
        How many folds, numbered from 0.
    """
    found = [0] * len(groups)
    short, shift = [], 0
    for indices in _members(sequences).values():
        ordered = sorted(indices, key=lambda index: order[index])
        if len(ordered) < LONG * n_folds:
            short += ordered
            continue
        for place, index in enumerate(ordered):  # beginnings of trajectories do not all meet in one fold
            found[index] = (place * n_folds // len(ordered) + shift) % n_folds
        shift += 1
    dealt = sorted((index for index in short if copy_of[index] == index), key=lambda one: groups[one])
    for place, index in enumerate(dealt):
        found[index] = place % n_folds
    return [found[root] for root in copy_of]


def redraw(
    strata: Sequence[Key],
    stretches: Collection[Key],
    order: Sequence[float],
    parts: Sequence[str],
    copy_of: Sequence[int],
    rng: np.random.Generator,
) -> list[str]:
    """Draw other test frames, as many of every stratum as ``parts`` has, copies on one side.

    A stratum of ``stretches`` gives one contiguous stretch, whose ends part no copies if there is such a one;
    else these are trained on. Of the other strata whole sets of copies are taken in random order as long as
    they fit. So strata with copies may give fewer frames. What is in ood, or has a copy there, stays where
    it is.

    Parameters
    ----------
    strata
        Stratum of each frame: a group, or a trajectory.
    stretches
        Those that are trajectories.
    order
        Where each frame stands in its trajectory.
    parts
        Part of each frame.
    copy_of
        For each frame the first one that it is a copy of, or itself.
    rng
        The only source of randomness.
    """
    inside = [index for index, part in enumerate(parts) if part in ("train", "test")]
    copies = _members([copy_of[index] for index in inside])
    sides = _settled(parts, copy_of)
    for members in _members([strata[index] for index in inside]).values():
        if strata[inside[members[0]]] in stretches:
            ordered = sorted((inside[one] for one in members), key=lambda index: order[index])
            length = sum(parts[index] == "test" for index in ordered)
            _draw_stretch([copy_of[index] for index in ordered], length, sides, rng)
    left = Counter(strata[index] for index in inside if parts[index] == "test")
    tested = {root for root, part in sides.items() if part == "test"}
    for root in tested:
        left.subtract(strata[inside[one]] for one in copies[root])
    for root in rng.permutation(sorted(copies.keys() - sides.keys())).tolist():
        wanted = Counter(strata[inside[one]] for one in copies[root])
        if all(left[stratum] >= n for stratum, n in wanted.items()):
            left.subtract(wanted)
            tested.add(root)
    found = list(parts)
    for index in inside:
        found[index] = "test" if copy_of[index] in tested else "train"
    return found


def stretches_of(sequences: Sequence[str], order: Sequence[float], parts: Sequence[str]) -> set[str]:
    """Return the trajectories whose test frames are one stretch, of `SHORTEST` frames at least."""
    found = set()
    for name, indices in _members(sequences).items():
        inside = sorted((i for i in indices if parts[i] in ("train", "test")), key=lambda one: order[one])
        places = [place for place, index in enumerate(inside) if parts[index] == "test"]
        if SHORTEST <= len(places) == places[-1] - places[0] + 1 < len(inside):
            found.add(name)
    return found


def _draw_stretch(roots: Sequence[int], length: int, sides: dict[int, str], rng: np.random.Generator) -> None:
    """Draw which ``length`` frames of a trajectory are tested; add the part of each and of its copies.

    Parameters
    ----------
    roots
        The first copy of each frame, in the order of the trajectory.
    length
        Frames to test.
    sides
        Parts that are decided already, by the first of the copies.
    rng
        The only source of randomness.
    """
    stretches = []
    for start in rng.permutation(len(roots) - length + 1).tolist():
        tested = set(roots[start : start + length])
        trained = {*roots[:start], *roots[start + length :]}
        stretches.append((tested, trained))
        against = any(sides.get(root) == "train" for root in tested)
        if not (against or tested & trained or any(sides.get(root) == "test" for root in trained)):
            break
    else:
        tested, trained = stretches[0]
    for root in trained:
        sides.setdefault(root, "train")
    for root in tested - trained:
        sides.setdefault(root, "test")


def _settled(parts: Sequence[str], copy_of: Sequence[int]) -> dict[int, str]:
    """Return the part of the train and test frames that have a copy in ood, by the first of the copies."""
    held_out = {root for root, part in zip(copy_of, parts, strict=True) if part == "ood"}
    trained = {root for root, part in zip(copy_of, parts, strict=True) if part == "train"}
    tested = {root for root, part in zip(copy_of, parts, strict=True) if part == "test"}
    return {root: "train" if root in trained else "test" for root in held_out & (trained | tested)}


def smoke_indices(groups: Sequence[str], parts: Sequence[str], n_frames: int) -> IntArray:
    """Choose a tiny subset that takes turns over all parts and groups: ascending indices."""
    queues = list(_members(list(zip(parts, groups, strict=True))).values())
    turns = [(turn, index) for queue in queues for turn, index in enumerate(queue)]
    return np.array(sorted(index for _, index in sorted(turns)[:n_frames]), dtype=np.int64)


def _members(keys: Sequence[Key]) -> dict[Key, list[int]]:
    members: dict[Key, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(key, []).append(index)
    return members


def _largest_remainder(sizes: dict[str, int], fraction: float) -> dict[str, int]:
    shares = {group: int(fraction * size) for group, size in sizes.items()}
    total = int(fraction * sum(sizes.values()) + 0.5)
    by_remainder = sorted(sizes, key=lambda group: (shares[group] - fraction * sizes[group], group))
    for group in by_remainder[: total - sum(shares.values())]:
        shares[group] += 1
    return {group: min(share, max(sizes[group] - 1, 1)) for group, share in shares.items()}


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest)])
