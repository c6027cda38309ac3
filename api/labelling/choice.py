"""What can be chosen of a pool, and how much of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import IntArray
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.methods import METHODS, affordable, method_of
from crossprune.labelling.points import Points
from crossprune.labelling.pool import Pool
from crossprune.labelling.request import ALL, Request
from crossprune.labelling.sources import GIVEN, POOL
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Choice:
    """What can be chosen and how much of it; positions count frames that are free or given."""

    pool: Pool
    request: Request
    kept: NDArray[np.bool_]
    """Frames of all sources that are free or given, shape (n_all,)."""
    given: IntArray
    """Positions of the given."""
    free: IntArray
    n: int
    """Frames to choose, or to begin with."""
    costs: IntArray | None
    """Of each, in atoms or labels; None where they are counted."""
    limit: float | None
    """What they may cost; None where they are counted, or all are taken."""

    @classmethod
    def of(cls, pool: Pool, out: NDArray[np.bool_], request: Request) -> Choice:
        """Find what can be chosen.

        Raises
        ------
        StudyError
            If there is nothing, or less than is asked for.
        """
        roles = pool.roles
        kept = (roles == GIVEN) | ((roles == POOL) & ~out)
        role = roles[kept]
        free, given = np.flatnonzero(role == POOL), np.flatnonzero(role == GIVEN)
        if len(free) == 0:
            raise StudyError("the pool has no frame that can be chosen: all are given or excluded")
        if len(given) and not method_of(request.method).conditional:
            able = ", ".join(name for name, one in METHODS.items() if one.conditional)
            raise StudyError(f"method {request.method!r} cannot complete given frames; these can: {able}")
        costs = pool.cost(request.budget, kept)
        total = len(free) if costs is None else int(costs[free].sum())
        wanted = total if request.n == ALL else request.n
        if request.fraction is not None:
            wanted = max(1, int(request.fraction * total + 0.5))
        assert isinstance(wanted, int | np.integer)
        if wanted > total:
            unit = "frames" if costs is None else request.budget
            raise StudyError(f"{wanted} {unit} are asked for, and the pool has {total}; give at most that")
        n = len(free) if wanted == total else int(wanted)
        if costs is None or wanted == total:
            return cls(pool, request, kept, given, free, n, costs, None)
        first = max(1, int(wanted / total * len(free)))
        return cls(pool, request, kept, given, free, first, costs, float(wanted))

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each, shape (n,)."""
        return self.pool.groups[self.kept]

    def picks(self, points: Points) -> IntArray:
        """Choose; the same seed chooses the same."""
        seed, method = self.request.seed, self.request.method

        def pick(n: int) -> IntArray:
            return points.choose(method, n, np.random.default_rng(seed))

        if self.limit is None or self.costs is None:
            return pick(self.n)
        return affordable(pick, self.costs, self.limit, self.n, len(self.free))

    def check_paid(self, picked: IntArray) -> None:
        """Refuse a first pick that takes more than all that may be spent; of a part of the pool one is taken.

        Raises
        ------
        StudyError
            With what it takes.
        """
        if self.limit is None or self.costs is None or self.request.fraction is not None:
            return
        spent = int(self.costs[picked].sum())
        if spent > self.limit:
            unit = self.request.budget
            raise StudyError(
                f"the first frame to pick has {spent} {unit}, and {self.limit:g} may be spent; give more"
            )


def kept_out(
    pool: Pool, patterns: Sequence[str], copies: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Mark frames that may not be chosen, and say how many.

    Raises
    ------
    StudyError
        If a pattern fits no group.
    """
    mine, notes = pool.roles == POOL, []
    out = copies.copy()
    if copies.any():
        notes.append(
            f"{int(copies.sum())} frames of the pool are copies of given or excluded ones, and are left out"
        )
    for pattern in patterns:
        known = set(pool.groups[mine].tolist())
        fits = [group for group in known if fnmatch.fnmatchcase(group, pattern)]
        if not fits:
            shown = ", ".join(sorted(known)[:20])
            raise StudyError(f"exclude {pattern!r} is no file and fits no group of the pool; groups: {shown}")
        marks = mine & np.isin(pool.groups, fits)
        notes.append(f"{int(marks.sum())} frames of {', '.join(sorted(fits))} are left out, as asked for")
        out |= marks
    return out, notes
