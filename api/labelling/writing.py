"""Write what was chosen: extended XYZ, an ASE database, or a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.io import write as write_frames
from crossprune.harness.data.files.extxyz import FrameText
from crossprune.harness.data.files.formats import DATABASE_SUFFIXES, XYZ_SUFFIXES
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import write_file

if TYPE_CHECKING:
    from crossprune.labelling.selection import Selection

TABLE = (".csv",)
IN_A_ROW = ("numbers", "positions", "momenta", "tags", "initial_magmoms", "initial_charges", "masses")
"""Arrays that a row of an ASE database has by itself."""


def check_output(path: Path, read: list[Path]) -> None:
    """Refuse, before anything is computed, a file that cannot be written or was read.

    Raises
    ------
    StudyError
        With what is allowed.
    """
    allowed = (*XYZ_SUFFIXES, *DATABASE_SUFFIXES, *TABLE)
    if path.suffix not in allowed:
        raise StudyError(f"{path}: the format is not clear; give it an ending of {', '.join(allowed)}")
    if not path.parent.is_dir():
        raise StudyError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise StudyError(f"{path} is a folder, and a file is to be written there; give another name")
    if path.exists() and any(path.samefile(one) for one in read if one.exists()):
        raise StudyError(f"{path} is a file that is read; give another name")


def write(selection: Selection, path: Path) -> None:
    """Write a selection whole, or leave what is there."""
    check_output(path, [one.path for one in selection.sources if one.path is not None])
    if path.suffix in TABLE:
        table = selection.table.drop(columns=["source", "place"])
        write_file(path, lambda temporary: table.to_csv(temporary, index=False))
    elif path.suffix in XYZ_SUFFIXES:
        write_file(path, lambda temporary: _write_xyz(selection, temporary))
    else:
        write_file(path, lambda temporary: _write_database(selection, temporary, path.suffix[1:]))


def _write_xyz(selection: Selection, path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for one in selection.marked(texts=True):
            if isinstance(one, FrameText):
                stream.writelines(one.lines)
            else:
                write_frames(stream, one, format="extxyz")


def _write_database(selection: Selection, path: Path, kind: str) -> None:
    import ase.db  # only here: longer to import than most files take to write

    with ase.db.connect(path, type=kind, append=False) as database:
        for one in selection.marked(texts=False):
            assert isinstance(one, Atoms)
            pairs, data = _row_of(one)
            database.write(one, key_value_pairs=pairs, data=data)


def _row_of(atoms: Atoms) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide what a frame carries into what a database can look for, and the rest."""
    from ase.db.core import check

    info = dict(atoms.info)
    for inner in ("key_value_pairs", "data"):
        if isinstance(info.get(inner), dict):  # of a row of a database
            info |= info.pop(inner)
    pairs: dict[str, Any] = {}
    data: dict[str, Any] = {name: atoms.arrays[name] for name in atoms.arrays if name not in IN_A_ROW}
    for name, value in info.items():
        if name == "unique_id":
            continue
        plain = value.item() if isinstance(value, np.generic) else value
        if plain != plain or plain in (np.inf, -np.inf) if isinstance(plain, float) else False:
            plain = str(plain)
        try:
            check({name: plain})
        except (ValueError, TypeError):
            data[str(name)] = _storable(plain)
        else:
            pairs[name] = plain
    return pairs, data


def _storable(value: Any) -> Any:
    """Return what a database can hold: itself, or what it says of itself."""
    from ase.db.core import object_to_bytes
    from ase.io.jsonio import encode

    try:
        encode(value)
        object_to_bytes(value)
    except (TypeError, ValueError, AttributeError):
        return str(value)
    return value
