"""Does a split leak? How near the tested parts lie to training, in each latent space, as a table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from crossprune.harness.analysis.spaces.looks import SPACE, Look
from crossprune.harness.analysis.spaces.nearness import Nearness, nearness
from crossprune.harness.analysis.spaces.worth import ONE_AXIS
from crossprune.harness.selection.linter import effective_dimension

PARTS = ("test", "ood")
COLUMNS = [
    *(*SPACE, "part", "level", "n_tested", "n_train", "twins", "copies", "tells", "nearer", "redrawn_low"),
    *("redrawn_high", "of_group_split", "by_chance", "remark"),
]
MOST = 10_000
"""Configurations whose pairs are looked at; of more a sample, which is said."""
LEAKS = 0.5
"""Distance over that of a split by groups below which a split is called leaky: half as far as it looks."""


def rows_of(look: Look) -> Iterator[tuple[object, ...]]:
    """Yield a row, `COLUMNS`, for each tested part of one space.

    ``twins`` are tested configurations that this space cannot tell from a training one, ``copies`` those that
    are copies by symmetry (`crossprune.harness.data.twins`), whatever the space; ``tells`` is False where the
    space hardly tells configurations apart, so that twins in it mean nothing; the rest is of `nearness`.
    All configurations are scaled together, since where a training one lies must not depend on the split.
    """
    known = look.structures
    if "test" not in known.parts:
        return
    everything = np.arange(len(known.frames), dtype=np.int64)
    points = look.candidates(everything).points()
    for part in PARTS:
        here = np.flatnonzero(np.isin(known.parts, ["train", part]))
        if part not in known.parts[here]:
            continue
        seen = np.sort(np.random.default_rng(0).permutation(here)[:MOST])
        is_tested = known.parts[seen] == part
        if not is_tested.any() or (~is_tested).sum() < 2 or not points.shape[1]:
            continue
        copies = float("nan") if known.copies is None else float(known.copies[seen][is_tested].sum())
        found = nearness(points[seen], is_tested, known.groups[seen].tolist(), np.random.default_rng(0))
        blind = not found.tells or effective_dimension(points[seen]) < ONE_AXIS
        level, remark = judged(part, found, copies, blind=blind)
        if (n_all := max(known.n_all, len(here))) > len(seen):
            remark += f"; of a sample of {len(seen)} of {n_all}: twins among the others are not seen"
        yield (
            *(*look.names, part, level, found.n_tested, found.n_train, found.twins, copies, not blind),
            *(
                found.nearer,
                found.redrawn_low,
                found.redrawn_high,
                found.of_group_split,
                found.by_chance,
                remark,
            ),
        )


def judged(part: str, found: Nearness, copies: float, *, blind: bool) -> tuple[str, str]:
    """Return the level, a warning where the split leaks, and what it says.

    Parameters
    ----------
    part
        What is tested.
    found
        How near it lies.
    copies
        Copies by symmetry in the part; NaN where that is not known.
    blind
        Whether the space cannot tell configurations apart, so that twins in it mean nothing.
    """
    words = []
    if copies > 0:
        words.append(f"{copies:.0f} of {found.n_tested} have a copy by symmetry in train")
    if blind and not words:
        return "note", "this space hardly tells configurations apart, and cannot say"
    if found.twins and not blind:
        words.append(f"{found.twins} of {found.n_tested} are as good as in train for this space")
    if found.nearer > found.redrawn_high and not blind:
        words.append("nearer to train than a random draw")
    if found.of_group_split < min(LEAKS, found.by_chance) and not blind:
        times = f"{found.of_group_split:.2f} times as far from train as with their groups held out"
        words.append(f"{times}: errors are of interpolation within groups")
    if words:
        return "warning", f"{part} leaks: " + "; ".join(words)
    where = "farther from" if found.nearer < found.redrawn_low else "as far from"
    remark = f"{part} lies {where} train {'than' if where[0] == 'f' else 'as'} a random draw"
    if not np.isfinite(found.of_group_split):
        remark += "; without groups, frames of one trajectory on both sides cannot be told"
    return "note", remark
