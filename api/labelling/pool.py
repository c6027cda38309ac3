"""A pool of any size on disk: read once in blocks, described block by block, resumable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from crossprune.harness.contract import FloatArray, IntArray
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
    block: IntArray
    """Block of each frame, shape (n,)."""

    @property
    def roles(self) -> NDArray[np.str_]:
        """What each frame is for, shape (n,)."""
        return np.array([one.role for one in self.sources])[self.source]

    def cost(self, budget: str) -> IntArray | None:
        """Return what a calculation of each frame costs in atoms or labels; None where each costs the same.

        Labels are an energy, three components of force per atom, and six of the stress of a crystal.
        """
        if budget == "configurations":
            return None
        if budget == "atoms":
            return self.sizes
        crystals = np.concatenate([np.load(file)["pbc"].all(axis=1) for file in self.files])
        costs: IntArray = 1 + 3 * self.sizes + 6 * crystals.astype(np.int64)
        return costs

    def spacing(self) -> float | None:
        """Return the typical spacing of atoms, Å, as a data set of these frames has it; not of excluded.

        See `crossprune.harness.data.frames.spacing`.
        """
        mine = np.flatnonzero(self.roles != EXCLUDED)
        looked = mine[np.unique(np.linspace(0, len(mine) - 1, LOOKED_AT).astype(int))]
        first = np.searchsorted(self.block, np.arange(len(self.files)))
        found = []
        for number in np.unique(self.block[looked]).tolist():
            structures = structures_in(self.files[number])
            found += [structures[index - first[number]] for index in looked[self.block[looked] == number]]
        return spacing(found)


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

    def begin() -> Iterator[tuple[Future[Any] | None, int]]:
        for block in blocks(sources):
            file = folder / f"structures-{canonical_hash([block.key(), str(keys)])[:32]}.npz"
            found.append((file, block.source, block.first))
            future = None
            if not is_whole(file):
                future = executor.submit(read_block, block.frames, block.places(), keys, file)
            yield future, len(block.frames)

    for n_frames in in_turn(begin(), n_ahead):
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
        block=np.repeat(np.arange(len(found)), lengths).astype(np.int64),
    )


def copied(pool: Pool, executor: Executor, n_ahead: int, on_progress: OnProgress) -> NDArray[np.bool_]:
    """Mark frames of the pool that are copies of frames that are given or excluded, shape (n,)."""
    role_of = [pool.sources[pool.source[np.argmax(pool.block == b)]].role for b in range(len(pool.files))]
    known = [file for file, role in zip(pool.files, role_of, strict=True) if role in (GIVEN, EXCLUDED)]
    marks = np.zeros(len(pool.sizes), dtype=np.bool_)
    if not known:
        return marks
    mine = [number for number, role in enumerate(role_of) if role == POOL]
    futures = ((executor.submit(copies_in, pool.files[number], known), 0) for number in mine)
    n_done, numbers = 0, iter(mine)
    for result in _results(futures, n_ahead):
        members = np.flatnonzero(pool.block == next(numbers))
        marks[members] = result
        n_done += len(members)
        on_progress("compared with given ones", n_done, int(np.isin(pool.block, mine).sum()))
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
    roles, n_frames = pool.roles, np.bincount(pool.block, minlength=len(pool.files))
    wanted = np.unique(pool.block[roles != EXCLUDED])
    base = (spec.fingerprint, pool.elements, space, whole)
    files: list[Path | None] = [None] * len(pool.files)
    for number in wanted.tolist():
        key = canonical_hash([*map(str, base), pool.files[number].name])[:32]
        files[number] = folder / f"described-{key}.npz"

    def begin() -> Iterator[tuple[Future[Any] | None, int]]:
        for number in wanted.tolist():
            file, future = files[number], None
            assert file is not None
            if not is_whole(file):
                given = (pool.files[number], spec, pool.elements, space, whole, file)
                future = executor.submit(describe_block, *given)
            yield future, int(n_frames[number])

    n_done, total = 0, int(n_frames[wanted].sum())
    for n in in_turn(begin(), n_ahead):
        n_done += n
        on_progress(f"described by {spec.label}", n_done, total)
    return files


def described(pool: Pool, files: Sequence[Path | None], kept: NDArray[np.bool_]) -> Iterator[Described]:
    """Yield what is described of each block, of the ``kept`` frames only; kept has shape (n,)."""
    for number, file in enumerate(files):
        if file is None:
            continue
        found, mine = described_in(file), kept[pool.block == number]
        lengths = np.diff(found.offsets)
        if mine.all():
            yield found
        elif mine.any():
            offsets = np.concatenate([[0], np.cumsum(lengths[mine])]).astype(np.int64)
            yield Described(found.values[np.repeat(mine, lengths)], offsets, found.largest)


def in_turn(begun: Iterable[tuple[Future[Any] | None, int]], n_ahead: int) -> Iterator[int]:
    """Yield the sizes of tasks as they end, in their order, with at most ``n_ahead`` begun."""
    waiting: deque[tuple[Future[Any] | None, int]] = deque()
    for one in begun:
        waiting.append(one)
        while len(waiting) > n_ahead:
            yield _ended(*waiting.popleft())
    while waiting:
        yield _ended(*waiting.popleft())


def _ended(future: Future[Any] | None, size: int) -> int:
    if future is not None:
        future.result()
    return size


def _results(begun: Iterable[tuple[Future[Any], int]], n_ahead: int) -> Iterator[Any]:
    """Yield what tasks return, in their order."""
    waiting: deque[Future[Any]] = deque()
    for future, _ in begun:
        waiting.append(future)
        while len(waiting) > n_ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _joined(parts: Sequence[IntArray] | Sequence[FloatArray]) -> IntArray:
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)
