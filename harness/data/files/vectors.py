"""Read two vectors per atom, such as reference and predicted forces, that frames hold under keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.files.labels import Keys, RawFrame, required, without_labels
from crossprune.harness.data.frames import group_of
from crossprune.harness.data.validation import check_group
from crossprune.harness.errors import DataError

LARGEST = 1e100
"""Beyond it squares overflow."""
REAL = "iufO"
"""Kinds of arrays that hold real numbers; not truth values, complex numbers, texts or dates."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Two vectors per atom of frames, one after another."""

    first: FloatArray
    """Shape (n_atoms, 3)."""
    second: FloatArray
    """Shape (n_atoms, 3)."""
    sizes: IntArray
    """Atoms of each frame, shape (n_frames,)."""
    groups: list[str]
    """Of each frame."""


def read_vectors(frames: Iterable[tuple[Atoms, str]], keys: dict[str, str], group_key: str | None) -> Vectors:
    """Gather two vectors per atom; nothing else is kept of a frame.

    Parameters
    ----------
    frames
        Each with its place: file and frame.
    keys
        Option, for messages, to key in ``arrays``, or of what ASE has read as results; two of them.
    group_key
        Key of the group in ``info``; None looks for ``group``, then ``config_type``.

    Raises
    ------
    DataError
        If there is no frame, or one lacks a key, or its values are no finite numbers, three per atom.
    """
    found: dict[str, list[FloatArray]] = {option: [] for option in keys}
    sizes, groups, named = [], [], Keys(group=group_key)
    for atoms, place in frames:
        raw = RawFrame.of(atoms, place)
        for option, key in keys.items():
            found[option].append(_vector(required(raw.columns, key, option, place), len(atoms), key, place))
        group = group_of(without_labels(raw, named))
        check_group(group, place)
        sizes.append(len(atoms))
        groups.append(group)
    if not sizes:
        raise DataError("there are no frames; give one at least")
    first, second = (np.concatenate(one) for one in found.values())
    return Vectors(first, second, np.array(sizes, dtype=np.int64), groups)


def _vector(value: object, n_atoms: int, key: str, place: str) -> FloatArray:
    """Return a vector per atom, or say what is wrong with it."""
    try:
        given = np.asarray(value)
        if given.dtype.kind not in REAL:
            raise TypeError
        array = given.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"{place}: {key!r} holds no real numbers; name the key of a vector per atom"
        ) from None
    if array.shape != (n_atoms, 3):
        raise DataError(
            f"{place}: {key!r} has shape {array.shape}; expected {(n_atoms, 3)}, a vector per atom"
        )
    if not (np.abs(array) < LARGEST).all():
        atom = int(np.flatnonzero(~(np.abs(array) < LARGEST).all(axis=1))[0])
        raise DataError(
            f"{place}: {key!r} of atom {atom} is NaN, infinite or beyond {LARGEST:g}; recompute or remove "
            "the frame"
        )
    return array
