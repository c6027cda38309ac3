"""What was chosen of a pool: a table, how well it covers, and the frames themselves, to write."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from crossprune.harness.analysis.spaces.worth import Verdict
from crossprune.harness.contract import IntArray
from crossprune.harness.data.files.extxyz import FrameText
from crossprune.harness.errors import DataError
from crossprune.labelling.sources import Frames

KEYS = ("selection_order", "selection_score", "selection_file", "selection_frame")
"""What every chosen frame carries: when it was picked, from 0; how far it was from those before; and where it
came from, frames counted from 0."""


@dataclass(frozen=True, eq=False)
class Selection:
    """Frames of a pool, in the order in which they were picked."""

    table: pd.DataFrame
    """A row per pick: ``order``, ``score`` (distance to the nearest frame that was given or picked before,
    in the scaled space), ``file``, ``frame`` (its number there), ``group``, ``n_atoms``, ``index`` (in the
    whole pool); numbers count from 0."""
    coverage: pd.DataFrame
    """How far frames of the pool are from the nearest that is chosen or given, for several n, and beside
    random choices: see `crossprune.labelling.coverage.coverage`. Empty if nothing was described."""
    verdict: Verdict | None
    """Whether the pool is worth pruning, and where coverage saturates; None if nothing was described."""
    agreement: pd.DataFrame
    """Of each two choosers, and of what was taken: ``first``, ``second``, ``shared`` (part of the choice of
    one that the other has) and ``by_chance``. Empty for one chooser."""
    advice: pd.DataFrame
    """Who chose best for which model in a store of refits; empty without one."""
    n_pool: int
    """Frames that could be chosen."""
    how: str
    """Method, and whose space: ``fps, snap``."""
    notes: tuple[str, ...]
    """What a user should know."""
    sources: tuple[Frames, ...]

    @property
    def indices(self) -> IntArray:
        """Places in the pool, all its sources one after the other, from 0; in the order of picking."""
        found: IntArray = self.table["index"].to_numpy(dtype="int64")
        return found

    @functools.cached_property
    def frames(self) -> list[Atoms]:
        """The chosen frames, in the order of picking, with all that they came with and `KEYS` in ``info``.

        Raises
        ------
        DataError
            If a file has changed since.
        """
        found = dict(_marked(self.sources, self.table, texts=False))
        return [one for _, one in sorted(found.items()) if isinstance(one, Atoms)]

    def write(self, path: str | Path) -> None:
        """Write extended XYZ (.xyz, .extxyz), an ASE database (.db, .json), or the table (.csv).

        Frames of extended XYZ are copied as they are written, with `KEYS` added to their headers.

        Raises
        ------
        StudyError
            If the ending is another one, or the file is one that was read.
        DataError
            If a file has changed since it was read.
        """
        from crossprune.labelling.writing import write

        write(self, Path(path))

    def __str__(self) -> str:
        """Say it in sentences."""
        from crossprune.labelling.wording import sentences

        return "\n".join(sentences(self))

    def marked(self, *, texts: bool) -> Iterator[FrameText | Atoms]:
        """Yield the chosen frames in the order of picking; with ``texts`` as text where they are."""
        found = dict(_marked(self.sources, self.table, texts=texts))
        for order in range(len(self.table)):
            yield found[order]


def _marked(
    sources: Sequence[Frames], table: pd.DataFrame, *, texts: bool
) -> Iterator[tuple[int, FrameText | Atoms]]:
    """Go through the sources again; yield order of picking and frame."""
    for number in sorted(set(table["source"].tolist())):
        source, part = sources[number], table[table["source"] == number]
        rows = {row["place"]: row for row in part.to_dict("records")}
        last, found = max(rows), 0
        for place, one in enumerate(source.one_by_one()):
            if place > last:
                break
            if place not in rows:
                continue
            row = rows[place]
            values = (int(row["order"]), float(row["score"]), source.name, int(row["frame"]))
            marks = dict(zip(KEYS, values, strict=True))
            found += 1
            if isinstance(one, FrameText):
                if _n_atoms(one) != row["n_atoms"]:
                    raise DataError(f"{one.place}: the file has changed since it was read; select again")
                yield values[0], one.with_values(marks) if texts else _with(one.parsed(), marks)
            else:
                yield values[0], _with(_flat(one), marks, one)
        if found < len(rows):
            raise DataError(f"{source.name}: the file has changed since it was read; select again")


def _flat(atoms: Atoms) -> Atoms:
    """Copy a frame; what a row of a database holds beside it becomes values and arrays of its own."""
    copy: Atoms = atoms.copy()
    for inner in ("key_value_pairs", "data"):
        if not isinstance(copy.info.get(inner), dict):
            continue
        for name, value in copy.info.pop(inner).items():
            is_of_atoms = isinstance(value, np.ndarray) and value.shape[:1] == (len(copy),)
            if is_of_atoms and name not in copy.arrays:
                copy.set_array(name, value)
            else:
                copy.info[name] = value
    return copy


def _n_atoms(text: FrameText) -> int:
    return int(text.lines[0])


def _with(atoms: Atoms, marks: dict[str, object], labelled: Atoms | None = None) -> Atoms:
    """Add what was said of a frame; its labels stay, if the copy has lost them."""
    atoms.info.update(marks)
    if labelled is not None:
        atoms.calc = labelled.calc
    return atoms
