"""A pool of any size on disk: read once in blocks, described block by block, resumable."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from ase.data import chemical_symbols
from crossprune.harness.contract import IntArray
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import LOOKED_AT, spacing
from crossprune.harness.fingerprint import canonical_hash
from crossprune.harness.lookup import AdapterSpec
from crossprune.labelling.blocks import (
    Described,
    Space,
    copies_in,
    describe_block,
    described_in,
    is_whole,
    read_block,
    structures_in,
)
from crossprune.labelling.sources import EXCLUDED, GIVEN, POOL, Frames, blocks
from numpy.typing import NDArray

AHEAD = 6
"""Blocks per worker that are read before they are needed."""
T = TypeVar("T")
Begun: TypeAlias = tuple[int, Future[Any] | None]
"""Frames of a block, and the task that works on it; None if that was done before."""
OnProgress = Callable[[str, int, int | None], object]
"""``(what is done, frames so far, frames in all or None)``."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Frames to choose from, those that are labelled, and those to keep out, in the order of the sources."""

    sources: tuple[Frames, ...]
    files: tuple[Path, ...]
    """Structures of each block."""
    source: IntArray
    """Of each frame, shape (n,)."""
    place: IntArray
    """Number of each frame in its source, from 0; shape (n,)."""
    sizes: IntArray
    """Atoms of each, shape (n,)."""
    groups: NDArray[np.str_]
    elements: tuple[str, ...]
    starts: IntArray
    """Block b holds the frames starts[b] to starts[b + 1], shape (n_blocks + 1,)."""

    @functools.cached_property
    def roles(self) -> NDArray[np.str_]:
        """What each frame is for, shape (n,)."""
        return np.array([one.role for one in self.sources])[self.source]

    def cost(self, budget: str, kept: NDArray[np.bool_]) -> IntArray | None:
        """Return what calculations of the ``kept`` frames cost in atoms or labels; None if all cost the same.

        Labels are an energy, three components of force per atom, and six of the stress of a crystal.
        """
        if budget == "configurations":
            return None
        if budget == "atoms":
            return self.sizes[kept]
        crystals = np.concatenate([np.load(file)["pbc"].all(axis=1) for file in self.files])
        costs: IntArray = (1 + 3 * self.sizes + 6 * crystals.astype(np.int64))[kept]
        return costs

    def spacing(self) -> float | None:
        """Return the typical spacing of atoms, Å, as a data set of these frames has it; not of excluded.

        See `crossprune.harness.data.frames.spacing`.
        """
        mine = np.flatnonzero(self.roles != EXCLUDED)
        looked = mine[np.unique(np.linspace(0, len(mine) - 1, LOOKED_AT).astype(int))]
        found = []
        for file, members in zip(self.files, self.members(), strict=True):
            if len(here := looked[(looked >= members.start) & (looked < members.stop)]):
                structures = structures_in(file)
                found += [structures[index - members.start] for index in here.tolist()]
        return spacing(found)

    def members(self) -> list[slice]:
        """Return which frames each block holds."""
        return [
            slice(*ends) for ends in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)
        ]

    def role_of(self, members: slice) -> str:
        """Return what the frames of a block are for: they are of one source."""
        return self.sources[int(self.source[members.start])].role


def read_pool(
    sources: Sequence[Frames],
    keys: Keys,
    folder: Path,
    executor: Executor,
    n_ahead: int,
    on_progress: OnProgress,
) -> Pool:
    """Read all sources in blocks; what an earlier call wrote into ``folder`` is taken from there.

    Raises
    ------
    DataError
        For the first frame that cannot be read or is broken.
    """
    found: list[tuple[Path, int, int]] = []
    n_read = 0

    def begin() -> Iterator[Begun]:
        for block in blocks(sources):
            file = folder / f"structures-{canonical_hash([block.key(), str(keys)])[:32]}.npz"
            found.append((file, block.source, block.first))
            future = None
            if not is_whole(file):
                future = executor.submit(read_block, block.frames, block.places(), keys, file)
            yield len(block.frames), future

    for n_frames, _ in in_turn(begin(), n_ahead):
        n_read += n_frames
        on_progress("read", n_read, None)
    sizes, groups, numbers = [], [], set[int]()
    for file, _, _ in found:
        with np.load(file) as held:
            sizes.append(held["sizes"])
            groups.append(held["groups"])
            if sources[found[len(sizes) - 1][1]].role != EXCLUDED:
                numbers |= set(np.unique(held["numbers"]).tolist())
    lengths = [len(one) for one in sizes]
    return Pool(
        sources=tuple(sources),
        files=tuple(file for file, _, _ in found),
        source=np.repeat([source for _, source, _ in found], lengths).astype(np.int64),
        place=_joined([first + np.arange(n) for (_, _, first), n in zip(found, lengths, strict=True)]),
        sizes=_joined(sizes),
        groups=np.concatenate(groups) if groups else np.empty(0, dtype=np.str_),
        elements=tuple(sorted(chemical_symbols[number] for number in numbers)),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def copied(pool: Pool, executor: Executor, n_ahead: int, on_progress: OnProgress) -> NDArray[np.bool_]:
    """Mark frames of the pool that are copies of frames that are given or excluded, shape (n,)."""
    every = list(zip(pool.files, pool.members(), strict=True))
    known = [file for file, members in every if pool.role_of(members) in (GIVEN, EXCLUDED)]
    mine = [(file, members) for file, members in every if pool.role_of(members) == POOL]
    marks = np.zeros(len(pool.sizes), dtype=np.bool_)
    if not known:
        return marks
    n_done, total = 0, sum(members.stop - members.start for _, members in mine)
    begun = ((members, executor.submit(copies_in, file, known)) for file, members in mine)
    for members, found in in_turn(begun, n_ahead):
        marks[members] = found
        n_done += members.stop - members.start
        on_progress("compared with given ones", n_done, total)
    return marks


def describe_pool(
    pool: Pool,
    spec: AdapterSpec,
    space: Space,
    folder: Path,
    executor: Executor,
    n_ahead: int,
    on_progress: OnProgress,
    *,
    whole: bool = False,
) -> list[Path | None]:
    """Describe every block that is not only kept out; return the file of each, None for those.

    Raises
    ------
    StudyError
        If the family cannot describe structures so.
    """
    files: list[Path | None] = []
    for structures, members in zip(pool.files, pool.members(), strict=True):
        key = canonical_hash([spec.fingerprint, *map(str, (pool.elements, space, whole)), structures.name])
        is_wanted = pool.role_of(members) != EXCLUDED
        files.append(folder / f"described-{key[:32]}.npz" if is_wanted else None)

    def begin() -> Iterator[Begun]:
        for structures, members, file in zip(pool.files, pool.members(), files, strict=True):
            if file is None:
                continue
            future = None
            if not is_whole(file):
                given = (structures, spec, pool.elements, space, whole, file)
                future = executor.submit(describe_block, *given)
            yield members.stop - members.start, future

    n_done, total = 0, int((pool.roles != EXCLUDED).sum())
    for n_frames, _ in in_turn(begin(), n_ahead):
        n_done += n_frames
        on_progress(f"described by {spec.label}", n_done, total)
    return files


def described(pool: Pool, files: Sequence[Path | None], kept: NDArray[np.bool_]) -> Iterator[Described]:
    """Yield what is described of each block, of the ``kept`` frames only; kept has shape (n,)."""
    for file, members in zip(files, pool.members(), strict=True):
        mine = kept[members]
        if file is None or not mine.any():
            continue
        found = described_in(file)
        lengths = np.diff(found.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths[mine])]).astype(np.int64)
        values = found.values if mine.all() else found.values[np.repeat(mine, lengths)]
        yield Described(values, offsets, found.largest)


def in_turn(begun: Iterable[tuple[T, Future[Any] | None]], n_ahead: int) -> Iterator[tuple[T, Any]]:
    """Yield what tasks return, in their order and with what they are of; at most ``n_ahead`` are begun."""
    waiting: deque[tuple[T, Future[Any] | None]] = deque()
    for one in begun:
        waiting.append(one)
        if len(waiting) > n_ahead:
            yield _ended(*waiting.popleft())
    while waiting:
        yield _ended(*waiting.popleft())


def _ended(what: T, future: Future[Any] | None) -> tuple[T, Any]:
    return what, None if future is None else future.result()


def _joined(parts: Sequence[IntArray]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)
