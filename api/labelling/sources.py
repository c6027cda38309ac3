"""Where pools come from: files, data sets by name, structures in memory; read a block of frames at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from ase import Atoms
from crossprune.harness.data.cards import list_cards, load_dataset
from crossprune.harness.data.files.extxyz import FrameText, read_texts
from crossprune.harness.data.files.formats import check_file, frames_of, is_xyz
from crossprune.harness.data.names import is_file
from crossprune.harness.errors import DataError, StudyError

MOST_FRAMES, MOST_ATOMS = 1000, 20_000
"""Of a block: its features are some ten MB, and a second or so of work."""
POOL, GIVEN, EXCLUDED = "pool", "given", "excluded"
"""What the frames of a source are for."""
IN_MEMORY = "frames"
"""Name of a source that is no file, followed by its number if there are several."""
Source: TypeAlias = str | Path | Sequence[Atoms]


@dataclass(frozen=True)
class Frames:
    """A source with a name and a role."""

    name: str
    role: str
    """`POOL`, `GIVEN` or `EXCLUDED`."""
    path: Path | None = None
    """Of a file."""
    frames: Sequence[Atoms] = ()
    """Of structures in memory, or of a data set."""
    numbers: Sequence[int] | None = None
    """Of the frames, where they are a part of a data set; None counts them from 0."""
    stamp: tuple[int, int] | None = None
    """Size and time of the file when it was named."""

    @property
    def is_text(self) -> bool:
        """Whether its frames can be copied as they are written."""
        return self.path is not None and is_xyz(self.path)

    def one_by_one(self) -> Iterator[FrameText | Atoms]:
        """Yield all frames as they come.

        Raises
        ------
        DataError
            If the file cannot be read to its end, or has changed since it was named.
        """
        if self.path is not None and self.stamp not in (None, stamp_of(self.path)):
            raise DataError(f"{self.name}: the file has changed since it was read; select again")
        if self.path is None:
            yield from self.frames
        elif self.is_text:
            yield from read_texts(self.path)
        else:
            yield from (atoms for atoms, _ in frames_of(self.path))


@dataclass(frozen=True)
class Block:
    """Some frames of one source, in its order."""

    source: int
    first: int
    """Number of its first frame in the source, from 0."""
    name: str
    frames: list[FrameText | Atoms]

    def places(self) -> list[str]:
        """Return file and number of each frame, for messages."""
        return [f"{self.name}, frame {self.first + number}" for number in range(len(self.frames))]

    def key(self) -> str:
        """Hash what was read, so that work on it is found again."""
        digest = hashlib.sha256()
        for one in self.frames:
            if isinstance(one, FrameText):
                digest.update("".join(one.lines).encode())
            else:
                for values in (one.numbers, one.positions, one.cell.array, one.pbc):
                    digest.update(np.ascontiguousarray(values).tobytes())
                digest.update(repr(sorted((str(k), str(v)) for k, v in one.info.items())).encode())
        return digest.hexdigest()[:32]


def sources_of(given: Source | Iterable[Source] | None, role: str) -> list[Frames]:
    """Name one source or several: paths, names of data sets, lists of structures.

    A data set by its name stands for its training part: nobody labels a test set.

    Raises
    ------
    DataError
        If a file is missing, empty or of an unknown kind.
    StudyError
        If something is no source, or is named twice as a pool.
    """
    several, found = listed(given), []
    named = [str(Path(one).resolve()) for one in several if isinstance(one, str | Path)]
    if role == POOL and len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise StudyError(
            f"{Path(twice).name} is named twice, so that its frames could be chosen twice; name it once"
        )
    for number, one in enumerate(several):
        if not isinstance(one, str | Path):
            if not isinstance(one, Iterable) or not all(isinstance(atoms, Atoms) for atoms in one):
                raise StudyError(
                    f"{one!r:.60} is no source: give a path, the name of a data set, or a list of ase.Atoms"
                )
            name = IN_MEMORY if len(several) == 1 else f"{IN_MEMORY} {number}"
            found.append(Frames(name, role, frames=list(one)))
        elif str(one) in list_cards():
            dataset = load_dataset(one)
            numbers = dataset.indices("train").tolist()
            train = [dataset.frames[index] for index in numbers]
            found.append(Frames(str(one), role, frames=train, numbers=numbers))
        else:
            check_file(Path(one))
            found.append(Frames(str(one), role, path=Path(one), stamp=stamp_of(Path(one))))
    return found


def listed(given: Source | Iterable[Source] | None) -> list[Source]:
    """Return a list of sources: one path, name or list of structures is one source; None is no source."""
    if given is None:
        return []
    if isinstance(given, str | Path):
        return [given]
    if isinstance(given, Atoms):
        raise TypeError("a pool is a list of structures, got one structure; put it into a list")
    if not isinstance(given, Iterable):
        raise StudyError(f"{given!r} is no path, name of a data set or list of ase.Atoms")
    several = list(given)
    is_one = bool(several) and isinstance(several[0], Atoms)
    return cast(list[Source], [several] if is_one else several)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, which change when it does; None without one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def is_source(name: str) -> bool:
    """Say whether a text is a file or the name of a data set."""
    return is_file(Path(name)) or name in list_cards()


def blocks(sources: Sequence[Frames]) -> Iterator[Block]:
    """Cut sources into blocks of at most `MOST_FRAMES` frames and about `MOST_ATOMS` atoms."""
    for number, source in enumerate(sources):
        held: list[FrameText | Atoms] = []
        first = n_atoms = 0
        for one in source.one_by_one():
            held.append(one)
            n_atoms += len(one.lines) if isinstance(one, FrameText) else len(one)
            if len(held) == MOST_FRAMES or n_atoms >= MOST_ATOMS:
                yield Block(number, first, source.name, held)
                first, n_atoms, held = first + len(held), 0, []
        if held:
            yield Block(number, first, source.name, held)
